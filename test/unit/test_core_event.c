/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core_world.h"

/*
 * Sleeping until there is something to do. The other tests of the core run with
 * nodes that sleep, too (world_sleeps); here is what they do not come to.
 */
#define EVENTS  (VMP_PORT_EVENT_TX | VMP_PORT_EVENT_RX)
#define SRQ     16
#define WAITERS 20           /* more than progress calls at once */


/* Progress and arm as programs do; return how often the answer was "busy". */
static unsigned sleep_node(node_t *node)
{
    unsigned busy;

    while (vmp_iface_progress(node->iface) > 0);
    for (busy = 0; vmp_iface_event_arm(node->iface, EVENTS) != VMP_OK; ++busy) {
        VMP_CHECK(busy < 10);
        vmp_iface_progress(node->iface);
    }

    return busy;
}

/* A peer that connects wakes up who has no endpoint and does nothing */
static void test_connect(uint64_t seed)
{
    node_t *node = &world_nodes[1];
    stream_t stream;

    world_begin("wakeup by a connection", seed);
    world_open(2);
    sleep_node(node);
    world_run(1000000);
    VMP_CHECK(!sim_port_is_signaled(node->iface->port));

    node->is_paused = 1;
    stream_open(&stream, 0, 1);
    world_until(sim_port_is_signaled(node->iface->port), 100);
    VMP_CHECK(vmp_iface_event_arm(node->iface, EVENTS) == VMP_ERR_BUSY);
    VMP_CHECK(vmp_iface_progress(node->iface) > 0);
    node->is_paused = 0;
    stream_wait_paths(&stream, 1);
    stream_close(&stream);
    world_end();
}

/* All receive buffers are kept, then released while the node is about to sleep:
 * it must not sleep before they are posted, or nothing would ever wake it up */
static void test_refill(uint64_t seed)
{
    node_t *node  = &world_nodes[1];
    unsigned sent = 0;
    stream_t stream;

    world_begin("wakeup with kept buffers", seed);
    world_params.rx_window_min  = SRQ * 4;
    world_params.rx_window_max  = SRQ * 4;
    world_params.port.srq_depth = SRQ;
    world_params.rx_max_bufs    = SRQ;
    world_open(2);
    node->keep_percent = 100;
    node->keep_all     = 1;
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 1);
    while (sent < SRQ * 8) {
        if (stream_send(&stream, SEND_SHORT, 16, NULL) == VMP_OK) {
            ++sent;
        } else {
            world_step();
        }

        /* what is held is given back at the last moment */
        node->is_paused = 1;
        world_step();
        while (vmp_iface_progress(node->iface) > 0);
        while (node->num_kept > 0) {
            vmp_rx_release(node->kept[--node->num_kept]);
        }

        sleep_node(node);
        VMP_CHECK(node->iface->rails[0].srq_posted +
                  node->iface->rails[0].srq_batch > SRQ);
        node->is_paused = 0;
    }

    world_until(node->received == sent, 100);
    while (node->num_kept > 0) {
        vmp_rx_release(node->kept[--node->num_kept]);
    }

    stream_close(&stream);
    world_end();
}

/* The only path fails, and its work goes on over what comes in its place: all
 * that the sleeper needs for this wakes it up */
static void test_repair(uint64_t seed)
{
    stream_t stream;

    world_begin("asleep while the only path is repaired", seed);
    world_params.num_paths = 1;
    world_open(2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 1);
    stream_kill_path(&stream, 0, VMP_WC_FLUSHED);
    VMP_CHECK(stream_send(&stream, SEND_SHORT, 16, NULL) == VMP_OK);
    VMP_CHECK(vmp_ep_flush(&stream.ep, 0, NULL) == VMP_INPROGRESS);
    world_until(vmp_ep_flush(&stream.ep, 0, NULL) == VMP_OK, 1000);
    VMP_CHECK(!stream.failed);
    stream_close(&stream);
    world_end();
}

/* The endpoint of a peer that is gone fails upon use, which is reported from
 * progress: there is something to do */
static void test_failed(uint64_t seed)
{
    node_t *node = &world_nodes[0];
    stream_t stream;

    world_begin("wakeup with a lost endpoint", seed);
    world_open(2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 1);
    vmp_iface_destroy(world_nodes[1].iface);
    world_nodes[1].iface = NULL;
    world_run(3000000000ul);
    VMP_CHECK(sleep_node(node) == 0);
    VMP_CHECK(!stream.failed);
    VMP_CHECK(stream_send(&stream, SEND_SHORT, 16, NULL) ==
              VMP_ERR_CONNECTION_RESET);
    VMP_CHECK(vmp_iface_event_arm(node->iface, EVENTS) == VMP_ERR_BUSY);
    VMP_CHECK(vmp_iface_progress(node->iface) > 0);
    VMP_CHECK(stream.failed == 1);
    stream_close(&stream);
    world_end();
}

/* Who waits for arrivals only is woken by completions, too, as long as chunks
 * wait for room */
static void test_room(uint64_t seed)
{
    node_t *node = &world_nodes[0];
    comp_t comp  = {0};
    region_t from, to;
    stream_t stream;
    vmp_iov_t iov;

    world_begin("wakeup with chunks that wait", seed);
    world_params.chunk_size  = 1024;
    world_params.path_window = 2048;
    world_open(2);
    region_make(&from, 0, 1 << 20, 1);
    region_make(&to, 1, 1 << 20, 2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 1);
    iov = (vmp_iov_t){from.data, from.size, &from.mem};
    VMP_CHECK(vmp_ep_put_zcopy(&stream.ep, &iov, 1, (uintptr_t)to.data,
                               &to.rkey, &comp) == VMP_INPROGRESS);
    node->is_paused = 1;
    while (!comp.calls) {
        while (vmp_iface_progress(node->iface) > 0);
        if (!comp.calls && (vmp_iface_event_arm(node->iface,
                                                VMP_PORT_EVENT_RX) ==
                            VMP_OK)) {
            world_until(sim_port_is_signaled(node->iface->port), 10);
        }
    }

    node->is_paused = 0;
    VMP_CHECK(memcmp(from.data, to.data, to.size) == 0);
    stream_close(&stream);
    region_free(&from);
    region_free(&to);
    world_end();
}

/* Nothing is there but what the next lines make */
static void check_quiet(const node_t *node)
{
    const vmp_iface_t *iface = node->iface;

    VMP_CHECK(sim_port_pending(iface->port) == 0);
    VMP_CHECK(vmp_spsc_is_empty(&iface->evs));
    VMP_CHECK(vmp_list_is_empty(&iface->done));
    VMP_CHECK(vmp_list_is_empty(&iface->failing));
    VMP_CHECK(vmp_list_is_empty(&iface->draining));
}

static void wait_event(void *arg, vmp_port_t *port)
{
    const node_t *node = arg;

    (void)port;
    while (vmp_spsc_is_empty(&node->iface->evs)) {
        VMP_CHECK(sim_next() != SIM_NEVER);
        sim_step(WORLD_STEP);
    }

    sim_conf.arming = NULL;
}

/* Control has news just after the application looked, and before it has armed:
 * nothing would wake it up */
static void test_late_event(uint64_t seed)
{
    node_t *node = &world_nodes[1];
    stream_t stream;

    world_begin("wakeup by an event while arming", seed);
    world_open(2);
    sleep_node(node);
    node->is_paused = 1;
    stream_open(&stream, 0, 1);
    check_quiet(node);
    sim_conf.arming_arg = node;
    sim_conf.arming     = wait_event;
    VMP_CHECK(vmp_iface_event_arm(node->iface, EVENTS) == VMP_ERR_BUSY);
    VMP_CHECK(sim_conf.arming == NULL);
    VMP_CHECK(!sim_port_is_signaled(node->iface->port));
    VMP_CHECK(vmp_iface_progress(node->iface) > 0);
    node->is_paused = 0;
    stream_wait_paths(&stream, 1);
    stream_close(&stream);
    world_end();
}

/* Progress calls back for what a flush has cancelled */
static void test_cancelled(uint64_t seed)
{
    node_t *node   = &world_nodes[0];
    comp_t comp[2] = {{0}};
    region_t from, to;
    stream_t stream;
    vmp_iov_t iov;
    unsigned i;

    world_begin("wakeup with cancelled operations", seed);
    world_params.num_paths   = 1;
    world_params.chunk_size  = 1024;
    world_params.path_window = 4096;
    world_open(2);
    region_make(&from, 0, 1 << 16, 1);
    region_make(&to, 1, 1 << 16, 2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 1);
    sleep_node(node);
    node->is_paused = 1;
    iov = (vmp_iov_t){from.data, from.size, &from.mem};
    for (i = 0; i < 2; ++i) {
        VMP_CHECK(vmp_ep_put_zcopy(&stream.ep, &iov, 1, (uintptr_t)to.data,
                                   &to.rkey, &comp[i]) == VMP_INPROGRESS);
    }

    /* as many as the window lets out: nothing to do but wait */
    while (vmp_iface_progress(node->iface) > 0);
    VMP_CHECK(vmp_iface_event_arm(node->iface, 0) == VMP_OK);
    check_quiet(node);
    vmp_ep_flush(&stream.ep, VMP_FLUSH_CANCEL, NULL);
    VMP_CHECK(!vmp_list_is_empty(&node->iface->done));
    VMP_CHECK(vmp_list_is_empty(&node->iface->active));
    VMP_CHECK(sim_port_pending(node->iface->port) == 0);
    VMP_CHECK(vmp_iface_event_arm(node->iface, 0) == VMP_ERR_BUSY);
    VMP_CHECK(vmp_iface_progress(node->iface) > 0);
    VMP_CHECK((comp[1].calls == 1) && (comp[1].status == VMP_ERR_CANCELED));
    VMP_CHECK(vmp_iface_event_arm(node->iface, 0) == VMP_OK);
    node->is_paused = 0;
    world_until(comp[0].calls == 1, 100);
    stream_close(&stream);
    region_free(&from);
    region_free(&to);
    world_end();
}

/* One call of progress does not post all chunks that there is room for */
static void test_budget(uint64_t seed)
{
    node_t *node = &world_nodes[0];
    comp_t comp  = {0};
    unsigned busy;
    region_t from, to;
    stream_t stream;
    vmp_iov_t iov;

    world_begin("wakeup with chunks to be posted", seed);
    world_params.chunk_size    = 1024;
    world_params.path_window   = 32768;
    world_params.port.sq_depth = 256;
    world_open(2);
    region_make(&from, 0, 1 << 19, 1);
    region_make(&to, 1, 1 << 19, 2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 1);
    sleep_node(node);
    node->is_paused = 1;
    iov = (vmp_iov_t){from.data, from.size, &from.mem};
    VMP_CHECK(vmp_ep_put_zcopy(&stream.ep, &iov, 1, (uintptr_t)to.data,
                               &to.rkey, &comp) == VMP_INPROGRESS);

    /* all other paths come up at once: room for 96 chunks */
    world_run(100000000);
    while (!vmp_spsc_is_empty(&node->iface->evs) ||
           (sim_port_pending(node->iface->port) > 0)) {
        vmp_iface_progress(node->iface);
    }

    VMP_CHECK(!vmp_list_is_empty(&node->iface->active));
    check_quiet(node);
    for (busy = 0; vmp_iface_event_arm(node->iface, 0) != VMP_OK; ++busy) {
        VMP_CHECK(sim_port_pending(node->iface->port) == 0);
        vmp_iface_progress(node->iface);
    }

    VMP_CHECK(busy > 0);
    VMP_CHECK(vmp_list_is_empty(&node->iface->active));
    node->is_paused = 0;
    world_until(comp.calls, 100);
    VMP_CHECK(memcmp(from.data, to.data, to.size) == 0);
    stream_close(&stream);
    region_free(&from);
    region_free(&to);
    world_end();
}

/* Endpoints that wait, and find room, are called by progress: some each time */
static void test_waiting(uint64_t seed)
{
    node_t *node = &world_nodes[0];
    stream_t streams[WAITERS];
    unsigned i, ready;

    world_begin("wakeup with endpoints that wait", seed);
    world_params.num_paths = 1;
    world_open(2);
    for (i = 0; i < WAITERS; ++i) {
        stream_open(&streams[i], 0, 1);
    }

    stream_wait_paths(&streams[0], 1);
    world_run(10000000);
    sleep_node(node);
    node->is_paused = 1;
    check_quiet(node);
    for (i = 0; i < WAITERS; ++i) {
        vmp_ep_wait_ready(&streams[i].ep);
    }

    /* whose turn has not begun */
    VMP_CHECK((node->iface->ready_left == 0) &&
              (node->iface->ready_gen != node->iface->gen));
    VMP_CHECK(vmp_iface_event_arm(node->iface, 0) == VMP_ERR_BUSY);
    VMP_CHECK(vmp_iface_progress(node->iface) > 0);

    /* in the middle of a turn */
    VMP_CHECK((node->iface->ready_left > 0) &&
              (node->iface->ready_gen == node->iface->gen));
    VMP_CHECK(vmp_iface_event_arm(node->iface, 0) == VMP_ERR_BUSY);
    sleep_node(node);
    for (i = 0, ready = 0; i < WAITERS; ++i) {
        ready += streams[i].ready;
        stream_close(&streams[i]);
    }

    VMP_CHECK(ready == WAITERS);
    node->is_paused = 0;
    world_end();
}

/* Who asks for arrivals only is woken by room for an endpoint that waits */
static void test_waiting_room(uint64_t seed)
{
    node_t *node = &world_nodes[0];
    vmp_status_t status;
    region_t to;
    stream_t stream;

    world_begin("wakeup of an endpoint by room", seed);
    world_params.num_paths = 1;
    world_open(2);
    region_make(&to, 1, 64, 2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 1);
    sleep_node(node);
    node->is_paused = 1;
    do {
        status = vmp_ep_put_short(&stream.ep, &seed, sizeof(seed),
                                  (uintptr_t)to.data, &to.rkey);
    } while (status == VMP_OK);
    VMP_CHECK(status == VMP_ERR_NO_RESOURCE);

    vmp_ep_wait_ready(&stream.ep);
    VMP_CHECK(node->iface->chunks == 0);
    while (vmp_iface_event_arm(node->iface, VMP_PORT_EVENT_RX) != VMP_OK) {
        vmp_iface_progress(node->iface);
    }

    VMP_CHECK(stream.ready == 0);
    check_quiet(node);
    world_until(sim_port_is_signaled(node->iface->port), 10);
    while (vmp_iface_progress(node->iface) > 0);
    VMP_CHECK(stream.ready == 1);
    node->is_paused = 0;
    VMP_CHECK(vmp_ep_flush(&stream.ep, 0, NULL) >= 0);
    world_run(10000000);
    stream_close(&stream);
    region_free(&to);
    world_end();
}

/* Progress until there is nothing to do, then sleep until an arrival, or what the
 * core itself waits for */
static void sleep_for_arrivals(node_t *node)
{
    while ((vmp_iface_progress(node->iface) > 0) ||
           (vmp_iface_event_arm(node->iface, VMP_PORT_EVENT_RX) != VMP_OK));
    check_quiet(node);
}

static void wake_node(node_t *node)
{
    world_until(sim_port_is_signaled(node->iface->port), 10);
    while (vmp_iface_progress(node->iface) > 0);
}

/* Who waits for arrivals is woken by completions of others, too, when a put
 * found the CQ full and nothing of it is in flight */
static void test_full_cq(uint64_t seed)
{
    node_t *node         = &world_nodes[0];
    const vmp_rail_t *rail;
    comp_t comp          = {0};
    region_t from, to;
    stream_t stream;
    vmp_iov_t iov;

    world_begin("wakeup with a full CQ", seed);
    world_params.num_paths     = 1;
    world_params.port.cq_depth = 16;
    world_open(2);
    region_make(&from, 0, 4096, 1);
    region_make(&to, 1, 4096, 2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 1);
    sleep_node(node);
    node->is_paused = 1;
    rail            = &node->iface->rails[0];
    iov             = (vmp_iov_t){from.data, 100, &from.mem};
    while (vmp_ep_put_short(&stream.ep, from.data, 8, (uintptr_t)to.data,
                            &to.rkey) == VMP_OK);
    VMP_CHECK(vmp_ep_put_zcopy(&stream.ep, &iov, 1, (uintptr_t)to.data,
                               &to.rkey, &comp) == VMP_INPROGRESS);
    VMP_CHECK(stream.ep.conn->num_ops == 1);
    VMP_CHECK(rail->cq_avail <= rail->cq_reserve);
    sleep_for_arrivals(node);
    VMP_CHECK((node->iface->chunks == 0) && (node->iface->num_waiting == 0));
    VMP_CHECK(!vmp_list_is_empty(&node->iface->active));
    wake_node(node);
    node->is_paused = 0;
    world_until(comp.calls == 1, 100);
    stream_close(&stream);
    region_free(&from);
    region_free(&to);
    world_end();
}

/* So is who owes credit, but found no room to say so: the peer waits for it */
static void test_owing(uint64_t seed)
{
    node_t *node = &world_nodes[0];
    region_t to;
    stream_t stream, back;
    vmp_conn_t *conn;

    world_begin("wakeup of who owes credit", seed);
    world_params.num_paths     = 1;
    world_params.rx_window_min = 8;
    world_params.rx_window_max = 8;
    world_open(2);
    region_make(&to, 1, 64, 2);
    stream_open(&stream, 0, 1);
    stream_open(&back, 1, 0);
    stream_wait_paths(&stream, 1);
    stream_wait_paths(&back, 1);
    world_run(1000000);
    stream_sim(&stream, 0)->delay = 3000000;
    while (vmp_ep_put_short(&stream.ep, &seed, sizeof(seed),
                            (uintptr_t)to.data, &to.rkey) == VMP_OK);

    /* the first CREDIT takes the place that is kept for it */
    conn = stream.ep.conn;
    while (vmp_list_is_empty(&node->iface->owing)) {
        stream_send(&back, SEND_SHORT, 16, NULL);
        world_step();
    }

    while (stream_send(&back, SEND_SHORT, 16, NULL) == VMP_OK);
    world_run(100000);
    node->is_paused = 1;
    VMP_CHECK(!vmp_list_is_empty(&node->iface->owing));
    sleep_for_arrivals(node);
    VMP_CHECK((node->iface->chunks == 0) && (node->iface->num_waiting == 0));
    VMP_CHECK(vmp_list_is_empty(&node->iface->active));
    VMP_CHECK(!vmp_list_is_empty(&node->iface->owing));
    wake_node(node);
    VMP_CHECK(vmp_list_is_empty(&node->iface->owing));
    VMP_CHECK(conn->rx_told == (conn->rx_next + conn->rx_window));
    node->is_paused = 0;
    world_run(20000000);
    stream_close(&back);
    stream_close(&stream);
    region_free(&to);
    world_end();
}

static void run(uint64_t seed)
{
    test_connect(seed);
    test_refill(seed);
    test_repair(seed);
    test_failed(seed);
    test_room(seed);
    test_late_event(seed);
    test_cancelled(seed);
    test_budget(seed);
    test_waiting(seed);
    test_waiting_room(seed);
    test_full_cq(seed);
    test_owing(seed);
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    run(seed);
    world_sleeps = 1;
    run(seed);
    return 0;
}
