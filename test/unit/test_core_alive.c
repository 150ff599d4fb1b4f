/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Which silence is the end of a connection (R5), and which is only a wait.
 */

#include "core_work.h"
#include "core/vmp_path.h"

#define MSEC     1000000ull
#define SEC      1000000000ull
#define TIMEOUT  (2 * SEC)              /* of peers */


static stream_t streams[2];             /* From node 0 to 1, and back */
static int is_late;                     /* What node 0 sends fails, but is
                                           executed before */

static void alive_begin(const char *name, uint64_t seed)
{
    unsigned i;

    world_begin(name, seed);
    world_params.peer_timeout_ns    = TIMEOUT;
    world_params.port.num_ud        = 4;
    world_params.port.min_rnr_timer = 18;   /* 5 ms */
    world_open(2);
    world_run(3 * TIMEOUT);             /* that was before any connection */
    for (i = 0; i < 2; ++i) {
        stream_open(&streams[i], i, !i);
        stream_wait_paths(&streams[i], 4);
    }
}

static void alive_end(void)
{
    stream_close(&streams[0]);
    stream_close(&streams[1]);
    world_end();
}

/* What happens to the next request of each QP, on whichever path */
static void set_data(vmp_wc_status_t status)
{
    vmp_port_qp_t *qp;
    unsigned node;
    unsigned i;

    for (node = 0; node < (is_late ? 1 : 2); ++node) {
        for (i = 0; i < 8; ++i) {
            qp = sim_port_qp(world_nodes[node].iface->port, !node, i);
            if (qp != NULL) {
                sim_qp(qp)->kill      = status;
                sim_qp(qp)->kill_late = is_late;
            }
        }
    }
}

/* A path is about to come up: it does not even carry what it is tried with, */
static int on_datagram(void *arg, vmp_port_t *port, const void *data,
                       size_t length)
{
    (void)port;
    (void)data;
    (void)length;
    set_data(*(vmp_wc_status_t*)arg);
    return 0;
}

/* or nothing but that */
static void on_executed(void *arg, const sim_exec_t *exec)
{
    (void)arg;
    if (!is_late || (exec->at == world_nodes[1].iface->port)) {
        set_data(VMP_WC_RETRY_EXC);
    }
}

static void data_cut(int is_tried)
{
    static vmp_wc_status_t status;

    status                = is_tried ? VMP_WC_SUCCESS : VMP_WC_RETRY_EXC;
    sim_conf.datagram     = on_datagram;
    sim_conf.datagram_arg = &status;
    sim_conf.executed     = on_executed;
    set_data(VMP_WC_RETRY_EXC);
}

static void data_heal(void)
{
    sim_conf.datagram = NULL;
    sim_conf.executed = NULL;
    set_data(VMP_WC_SUCCESS);
}

/* The peer is there, but no path carries, or nothing but what it is tried with:
 * an error, after the peer timeout */
static void test_nothing_carries(uint64_t seed, int is_tried)
{
    uint64_t begin;

    alive_begin(is_tried ? "no data is carried" : "nothing is carried", seed);
    begin = sim_now();
    data_cut(is_tried);
    VMP_CHECK(stream_send(&streams[0], SEND_BCOPY, 100, NULL) == VMP_OK);
    VMP_CHECK(vmp_ep_flush(&streams[0].ep, 0, NULL) == VMP_INPROGRESS);
    while (!streams[0].failed && ((sim_now() - begin) < 20 * SEC)) {
        world_run(20 * MSEC);
    }

    data_heal();
    printf("  failed after %.1f s\n", (sim_now() - begin) / 1e9);
    VMP_CHECK(streams[0].failed == 1);
    VMP_CHECK(streams[0].status == VMP_ERR_ENDPOINT_TIMEOUT);
    VMP_CHECK((sim_now() - begin) > TIMEOUT);
    VMP_CHECK((sim_now() - begin) < TIMEOUT + 6 * SEC);
    alive_end();
}

/* The same for less than that is only a wait; and so is any time if nobody
 * waits */
static void test_comes_back(uint64_t seed, int is_idle)
{
    alive_begin(is_idle ? "nobody waits" : "comes back", seed);
    data_cut(seed % 2);
    VMP_CHECK(stream_send(&streams[0], SEND_BCOPY, 100, NULL) == VMP_OK);
    if (is_idle) {
        data_heal();
        world_until(vmp_ep_flush(&streams[0].ep, 0, NULL) == VMP_OK, 5000);
        stream_wait_paths(&streams[0], 4);
        data_cut(seed % 2);
        vmp_path_probe_all(streams[0].ep.conn);
        world_run(10 * SEC);
    } else {
        world_run(TIMEOUT - (300 * MSEC));
    }

    VMP_CHECK(!streams[0].failed && !streams[1].failed);
    data_heal();
    world_until(stream_send(&streams[0], SEND_BCOPY, 100, NULL) == VMP_OK,
                5000);
    world_until(world_nodes[1].next_seq[streams[0].id] == 2, 5000);
    alive_end();
}

/* All paths die, and the peer computes: they cannot be set up before it looks,
 * but its control answers. That is only a wait. */
static void test_computes(uint64_t seed)
{
    alive_begin("peer computes", seed);
    world_nodes[1].is_paused = 1;
    data_cut(seed % 2);
    VMP_CHECK(stream_send(&streams[0], SEND_BCOPY, 100, NULL) == VMP_OK);
    VMP_CHECK(vmp_ep_flush(&streams[0].ep, 0, NULL) == VMP_INPROGRESS);
    world_run(1 * SEC);
    data_heal();
    world_run(10 * SEC);
    VMP_CHECK(!streams[0].failed);
    world_nodes[1].is_paused = 0;
    world_until(world_nodes[1].next_seq[streams[0].id] == 1, 5000);
    VMP_CHECK(!streams[0].failed && !streams[1].failed);
    alive_end();
}

/* A process that is stopped, with an empty SRQ: its NIC says that it has no
 * buffer, and nothing else says anything. That is only a wait. */
static void test_stopped(uint64_t seed, int is_full)
{
    const vmp_iface_counters_t *counters;
    vmp_port_t *port;
    region_t from;
    region_t to;
    comp_t comp = {0};
    vmp_iov_t iov;
    unsigned sent = 0;

    alive_begin(is_full ? "peer is stopped, no buffers" : "peer is stopped",
                seed);
    counters = &world_nodes[0].iface->counters;
    port     = world_nodes[1].iface->port;
    region_make(&from, 0, 20000, 1);
    region_make(&to, 1, 20000, 2);
    world_nodes[1].is_paused = 1;
    sim_port_stall_helper(port, UINT64_MAX);
    if (is_full) {
        sim_conf.rnr_false = 1000000;   /* as without any buffer */
    }

    iov = (vmp_iov_t){from.data, from.size, &from.mem};
    while (stream_send(&streams[0], SEND_BCOPY, 100, NULL) == VMP_OK) {
        ++sent;
    }

    VMP_CHECK(sent > 0);
    VMP_CHECK(vmp_ep_put_zcopy(&streams[0].ep, &iov, 1, (uintptr_t)to.data,
                               &to.rkey, &comp) == VMP_INPROGRESS);
    VMP_CHECK(vmp_ep_flush(&streams[0].ep, 0, NULL) == VMP_INPROGRESS);
    world_run(5 * TIMEOUT);
    VMP_CHECK((comp.calls == 0) == is_full);
    VMP_CHECK(!streams[0].failed && !streams[1].failed);
    VMP_CHECK(counters->paths_failed == 0);

    sim_conf.rnr_false       = 0;
    world_nodes[1].is_paused = 0;
    sim_port_stall_helper(port, 0);
    world_until((world_nodes[1].next_seq[streams[0].id] == sent) &&
                (comp.calls == 1), 5000);
    VMP_CHECK(comp.status == VMP_OK);
    VMP_CHECK(!streams[0].failed && !streams[1].failed);
    VMP_CHECK(counters->paths_failed == 0);
    region_free(&from);
    region_free(&to);
    alive_end();
}

/* A program that tries again and again, and asks for nothing else, waits, too:
 * when the peer is gone it gets an error. Who does not even try hears nothing. */
static void test_spin(uint64_t seed)
{
    vmp_status_t status;
    uint64_t begin;

    alive_begin("spin", seed);
    sim_nic_cut(0, 1);
    vmp_path_probe_all(streams[0].ep.conn);
    world_until(streams[0].ep.conn->up_mask == 0, 5000);
    world_run(5 * TIMEOUT);
    VMP_CHECK(!streams[0].failed && !streams[1].failed);
    begin = sim_now();
    do {
        status = stream_send(&streams[0], SEND_BCOPY, 100, NULL);
        world_run(MSEC);
    } while ((status == VMP_ERR_NO_RESOURCE) &&
             ((sim_now() - begin) < 10 * TIMEOUT));

    printf("  refused for %.1f s\n", (sim_now() - begin) / 1e9);
    VMP_CHECK(status == VMP_ERR_ENDPOINT_TIMEOUT);
    VMP_CHECK((sim_now() - begin) >= TIMEOUT);
    VMP_CHECK((sim_now() - begin) < 3 * TIMEOUT);
    world_until(streams[0].failed, 100);
    VMP_CHECK((streams[0].failed == 1) && !streams[1].failed);
    sim_nic_cut(0, 0);
    alive_end();
}

/* The peer is dead: who spins hears of it */
static void spin_while_dead(send_kind_t kind)
{
    uint64_t begin = sim_now();
    vmp_status_t status;

    sim_nic_cut(0, 1);
    do {
        status = stream_send(&streams[0], kind, 16, NULL);
        world_run(MSEC);
    } while ((status == VMP_ERR_NO_RESOURCE) &&
             ((sim_now() - begin) < 10 * TIMEOUT));

    printf("  refused for %.1f s\n", (sim_now() - begin) / 1e9);
    VMP_CHECK(status == VMP_ERR_ENDPOINT_TIMEOUT);
    VMP_CHECK((sim_now() - begin) < 3 * TIMEOUT);
    world_until(streams[0].failed, 100);
    VMP_CHECK(streams[0].failed == 1);
    sim_nic_cut(0, 0);
}

/* The same if the last that was sent arrived, and there is no credit for more:
 * nothing is in flight. While the peer only does not look that is a wait. */
static void test_spin_credit(uint64_t seed)
{
    vmp_status_t status = VMP_OK;
    uint64_t begin;
    vmp_conn_t *conn;

    alive_begin("spin without credit", seed);
    conn                     = streams[0].ep.conn;
    world_nodes[1].is_paused = 1;
    world_until((status = stream_send(&streams[0], SEND_SHORT, 16, NULL)) ==
                VMP_ERR_NO_RESOURCE, 10000);
    begin = sim_now();
    do {
        world_run(MSEC);
        status = stream_send(&streams[0], SEND_SHORT, 16, NULL);
        VMP_CHECK(status == VMP_ERR_NO_RESOURCE);
    } while ((sim_now() - begin) < 3 * TIMEOUT);

    VMP_CHECK(conn->tx_sn == conn->tx_limit);
    VMP_CHECK((conn->outstanding == 0) && (conn->num_waiting == 0));
    spin_while_dead(SEND_SHORT);
    world_nodes[1].is_paused = 0;
    alive_end();
}

/* Who is refused for want of buffers, since others hold them, has nothing in
 * flight either */
static void test_spin_bufs(uint64_t seed)
{
    unsigned num = 0;
    vmp_buf_pool_t *pool;
    vmp_conn_t *conn;
    vmp_buf_t **bufs;

    alive_begin("spin without buffers", seed);
    conn = streams[0].ep.conn;
    pool = &world_nodes[0].iface->tx_bufs;
    world_until(!vmp_conn_has_work(conn), 10000);
    bufs = calloc(world_params.tx_max_bufs, sizeof(*bufs));
    VMP_CHECK(bufs != NULL);
    while (vmp_buf_pool_has(pool, 1)) {
        VMP_CHECK(num < world_params.tx_max_bufs);
        bufs[num++] = vmp_buf_get(pool);
    }

    spin_while_dead(SEND_BCOPY);
    while (num > 0) {
        vmp_buf_put(pool, bufs[--num]);
    }

    free(bufs);
    alive_end();
}

/* An operation that was taken, but waits for CQ slots that others hold, has
 * nothing in flight either */
static void test_unposted(uint64_t seed)
{
    vmp_rail_t *rail;
    uint32_t avail;
    uint64_t begin;
    comp_t comp = {0};
    vmp_iov_t iov;
    work_t work;

    alive_begin("taken, not posted", seed);
    work_make(&work);
    world_until(!vmp_conn_has_work(streams[0].ep.conn), 10000);
    rail            = &world_nodes[0].iface->rails[0];
    avail           = rail->cq_avail - rail->cq_reserve;
    rail->cq_avail -= avail;
    iov             = (vmp_iov_t){work.local.data, REGION, &work.local.mem};
    VMP_CHECK(vmp_ep_put_zcopy(&streams[0].ep, &iov, 1,
                               (uintptr_t)work.remote.data, &work.remote.rkey,
                               &comp) == VMP_INPROGRESS);
    VMP_CHECK(streams[0].ep.conn->busy_mask == 0);
    sim_nic_cut(0, 1);
    begin = sim_now();
    world_wake();
    while (!streams[0].failed && ((sim_now() - begin) < 10 * TIMEOUT)) {
        world_run(20 * MSEC);
    }

    printf("  failed after %.1f s\n", (sim_now() - begin) / 1e9);
    VMP_CHECK(streams[0].status == VMP_ERR_ENDPOINT_TIMEOUT);
    VMP_CHECK((sim_now() - begin) < 3 * TIMEOUT);
    VMP_CHECK(comp.calls == 1);
    rail->cq_avail += avail;
    sim_nic_cut(0, 0);
    work_free(&work);
    alive_end();
}

/* Who waits, but not for the network, has a path that dies again and again,
 * while the others carry. That is only a wait. */
static void test_one_dies(uint64_t seed)
{
    const vmp_iface_counters_t *counters;
    const vmp_path_t *path;
    uint64_t begin;

    alive_begin("one path dies", seed);
    counters                = &world_nodes[0].iface->counters;
    streams[0].keep_waiting = 1;        /* for buffers, say */
    vmp_ep_wait_ready(&streams[0].ep);
    for (begin = sim_now(); (sim_now() - begin) < 10 * TIMEOUT;
         world_run(100 * MSEC)) {
        path = streams[0].ep.conn->paths[3];
        if ((path != NULL) && (path->state == VMP_PATH_UP)) {
            stream_kill_path(&streams[0], 3, VMP_WC_RETRY_EXC);
            vmp_path_probe_all(streams[0].ep.conn);
        }
    }

    VMP_CHECK(counters->paths_failed > 8);
    VMP_CHECK(!streams[0].failed && !streams[1].failed);
    vmp_ep_cancel_wait(&streams[0].ep);
    world_until(stream_send(&streams[0], SEND_BCOPY, 100, NULL) == VMP_OK,
                5000);
    world_until(world_nodes[1].next_seq[streams[0].id] == 1, 5000);
    alive_end();
}

/* Each path carries one put and dies before it has said so: that goes on,
 * though only replay ever finds it done */
static void test_replay_ends(uint64_t seed)
{
    unsigned count = 0;
    region_t from;
    region_t to;
    uint64_t begin;
    vmp_iov_t iov;
    comp_t comp;

    alive_begin("only replay ends", seed);
    region_make(&from, 0, 100, 1);
    region_make(&to, 1, 100, 2);
    iov     = (vmp_iov_t){from.data, from.size, &from.mem};
    is_late = 1;
    data_cut(1);
    for (begin = sim_now(); (sim_now() - begin) < 5 * TIMEOUT; ++count) {
        comp = (comp_t){0};
        world_until(vmp_ep_put_zcopy(&streams[0].ep, &iov, 1,
                                     (uintptr_t)to.data, &to.rkey, &comp) ==
                    VMP_INPROGRESS, 5000);
        world_until(comp.calls == 1, 5000);
        VMP_CHECK(comp.status == VMP_OK);
    }

    is_late = 0;
    data_heal();
    printf("  %u puts, %lu paths died\n", count, (unsigned long)
           world_nodes[0].iface->counters.paths_failed);
    VMP_CHECK(world_nodes[0].iface->counters.paths_failed > 8);
    VMP_CHECK(!streams[0].failed && !streams[1].failed);
    stream_wait_paths(&streams[0], 4);
    region_free(&from);
    region_free(&to);
    alive_end();
}

static void cut_and_wait(uint64_t ns)
{
    data_cut(0);
    vmp_ep_wait_ready(&streams[0].ep);
    vmp_path_probe_all(streams[0].ep.conn);
    world_wake();
    world_run(ns);
    data_heal();
    stream_wait_paths(&streams[0], 4);
    vmp_ep_cancel_wait(&streams[0].ep);
    VMP_CHECK(!streams[0].failed && !streams[1].failed);
}

/* Somebody waits, and does no more before it is over; then again. What was
 * before says nothing of the second time. */
static void test_waits_twice(uint64_t seed)
{
    alive_begin("waits twice", seed);
    streams[0].keep_waiting = 1;
    cut_and_wait(TIMEOUT / 2);
    VMP_CHECK(streams[0].ep.conn->vain_rounds > 0);
    world_run(TIMEOUT);
    VMP_CHECK(streams[0].ep.conn->vain_rounds == 0);
    cut_and_wait(TIMEOUT / 2);
    alive_end();
}

static void run(uint64_t seed)
{
    uint64_t i;

    for (i = seed; i < seed + 4; ++i) {
        test_nothing_carries(i, 0);
        test_nothing_carries(i, 1);
        test_comes_back(i, 0);
        test_comes_back(i, 1);
        test_computes(i);
        test_spin(i);
        test_spin_credit(i);
        test_spin_bufs(i);
        test_unposted(i);
        test_stopped(i, 0);
        test_stopped(i, 1);
        test_one_dies(i);
        test_replay_ends(i);
        test_waits_twice(i);
    }
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    run(seed);
    world_sleeps = 1;
    run(seed);
    printf("test_core_alive: ok\n");
    return 0;
}
