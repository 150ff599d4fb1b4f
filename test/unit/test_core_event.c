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

/* A path fails for no reason that is told: after a while, and without any event
 * but the time, the connection is given up */
static void test_deadline(uint64_t seed)
{
    stream_t stream;

    world_begin("wakeup by time", seed);
    world_params.num_paths = 1;
    world_open(2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 1);
    stream_kill_path(&stream, 0, VMP_WC_FLUSHED);
    VMP_CHECK(stream_send(&stream, SEND_SHORT, 16, NULL) == VMP_OK);
    VMP_CHECK(vmp_ep_flush(&stream.ep, 0, NULL) == VMP_INPROGRESS);
    world_until(stream.failed, 1000);
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

static void run(uint64_t seed)
{
    test_connect(seed);
    test_refill(seed);
    test_deadline(seed);
    test_failed(seed);
    test_room(seed);
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    run(seed);
    world_sleeps = 1;
    run(seed);
    return 0;
}
