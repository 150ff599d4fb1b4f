/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core_world.h"
#include "core/vmp_ctl_int.h"
#include "core/vmp_path.h"

#define PEERS 70                /* more than a device sends datagrams at once */


static unsigned count_qps(unsigned index)
{
    return sim_port_num_qps(world_nodes[index].iface->port);
}

/* The application refuses what control has agreed upon, with paths announced
 * already: nothing of them is left */
static void test_refused_paths(uint64_t seed)
{
    stream_t stream;
    unsigned i;

    world_begin("refused paths", seed);
    for (i = 0; i < 2; ++i) {
        world_params.seg_size = i ? 512 : 1024;
        world_open_node(i);
    }

    for (i = 0; i < 3; ++i) {
        stream_open(&stream, 1, 0);
        world_nodes[0].is_paused = 1;
        world_run(100000000ul);
        world_nodes[0].is_paused = 0;
        world_run(10000000000ul);
        VMP_CHECK(stream.failed == 1);
        stream_close(&stream);
        /* both have said why */
        VMP_CHECK(world_nodes[0].iface->counters.conns_failed == i + 1);
        VMP_CHECK(world_nodes[1].iface->counters.conns_failed == i + 1);
    }

    world_run(10000000000ul);
    VMP_CHECK((count_qps(0) == 0) && (count_qps(1) == 0));
    for (i = 0; i < 2; ++i) {
        VMP_CHECK(vmp_list_is_empty(&world_nodes[i].iface->all));
    }

    world_end();
}

/* An endpoint is made on an idle connection just when control hears that the
 * peer closes, and so connects to it anew, for nobody: it must know that */
static void test_stray_connect(uint64_t seed)
{
    vmp_ctl_t *ctl;
    stream_t stream;
    unsigned i;

    world_begin("stray connection", seed);
    world_open(2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 1);
    stream_close(&stream);
    world_run(10000000ul);

    ctl = world_nodes[0].iface->ctl;
    vmp_iface_destroy(world_nodes[1].iface);
    world_nodes[1].iface = NULL;
    stream_open(&stream, 0, 1);
    /* the command comes second */
    sim_port_stall_helper(sim_port(0), sim_now() + 10000000);
    world_run(100000000ul);
    VMP_CHECK(stream.ep.conn->is_closed);
    for (i = 0; i < ctl->num_slots; ++i) {
        VMP_CHECK((ctl->slots[i] == NULL) || !ctl->slots[i]->has_user);
    }

    VMP_CHECK(stream_send(&stream, SEND_SHORT, 16, NULL) ==
              VMP_ERR_CONNECTION_RESET);
    world_until(stream.failed, 10);
    stream_close(&stream);
    world_end();
}

/* A peer sends more than it was granted, so its books are wrong: the connection
 * ends, the stream does not stall */
static void test_overrun(uint64_t seed)
{
    stream_t stream;
    vmp_conn_t *conn;

    world_begin("overrun of credit", seed);
    world_params.num_paths = 1;
    world_open(2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 1);
    conn            = stream.ep.conn;
    conn->tx_sn     = conn->tx_limit;
    conn->tx_limit += 1;
    VMP_CHECK(stream_send(&stream, SEND_SHORT, 16, NULL) == VMP_OK);
    world_until(stream.failed == 1, 5000);
    stream_close(&stream);
    world_run(5000000000ul);
    VMP_CHECK(world_nodes[1].iface->counters.conns_failed == 1);
    world_end();
}

/* What a closed peer sent is still delivered, but there is nobody to tell of
 * new credit */
static void test_closed_owes_nothing(uint64_t seed)
{
    stream_t streams[2];
    unsigned i;

    world_begin("closed peer is owed nothing", seed);
    world_params.num_paths = 1;
    world_open(2);
    stream_open(&streams[0], 0, 1);
    stream_open(&streams[1], 1, 0);
    stream_wait_paths(&streams[0], 1);
    stream_wait_paths(&streams[1], 1);
    world_nodes[0].is_paused = 1;
    for (i = 0; i < 12; ++i) {
        VMP_CHECK(stream_send(&streams[1], SEND_SHORT, 16, NULL) == VMP_OK);
    }

    world_run(1000000);
    stream_close(&streams[1]);
    vmp_iface_destroy(world_nodes[1].iface);
    world_nodes[1].iface = NULL;
    world_run(1000000);
    world_nodes[0].is_paused = 0;
    world_run(5000000000ul);
    VMP_CHECK((world_nodes[0].received == 12) && (streams[0].failed == 0));
    VMP_CHECK(streams[0].ep.conn->block & VMP_BLOCK_CLOSED);
    VMP_CHECK(vmp_list_is_empty(&world_nodes[0].iface->owing));
    stream_close(&streams[0]);
    world_run(1000000);
    world_end();
}

/* A closed peer left a gap: what waits behind it goes with the connection, not
 * with the endpoint that may stay for long */
static void test_closed_with_gap(uint64_t seed)
{
    stream_t streams[2];
    vmp_conn_t *conn;
    unsigned i;

    world_begin("closed with a gap", seed);
    world_params.num_paths     = 2;
    world_params.policy        = "rr";
    world_params.spread_thresh = 0;
    world_open(2);
    stream_open(&streams[0], 0, 1);
    stream_open(&streams[1], 1, 0);
    stream_wait_paths(&streams[0], 2);
    stream_wait_paths(&streams[1], 2);
    stream_sim(&streams[1], 0)->is_mute = 1;
    for (i = 0; i < 6; ++i) {
        VMP_CHECK(stream_send(&streams[1], SEND_SHORT, 16, NULL) == VMP_OK);
    }

    world_run(1000000);
    conn = streams[0].ep.conn;
    VMP_CHECK(conn->rx_num_held > 0);
    stream_close(&streams[1]);
    vmp_iface_destroy(world_nodes[1].iface);
    world_nodes[1].iface = NULL;
    world_run(5000000000ul);
    VMP_CHECK(conn->is_gone && (streams[0].ep.conn == conn));
    VMP_CHECK((conn->rx_num_held == 0) &&
              (world_nodes[0].iface->rails[0].rx_held == 0));
    stream_close(&streams[0]);
    world_run(1000000);
    world_end();
}

static int lose_rtu(void *arg, vmp_port_t *port, const void *data,
                    size_t length)
{
    vmp_ctl_msg_t msg;

    return (vmp_ctl_msg_unpack(data, length, &msg) == 0) &&
           (msg.type == VMP_CTL_PATH_RTU);
}

/* The last datagram that a path's set-up takes is lost, the peer sends and closes
 * in good order, and all the while the application does something else: what came
 * in is delivered */
static void test_closed_before_up(uint64_t seed)
{
    stream_t stream;
    unsigned leader;
    node_t *node;

    world_begin("closed before the path is up", seed);
    world_params.num_paths = 1;
    world_open(2);
    leader = world_nodes[0].iface->id > world_nodes[1].iface->id;
    node   = &world_nodes[!leader];

    sim_conf.datagram = lose_rtu;
    node->is_paused   = 1;
    stream_open(&stream, leader, !leader);
    stream_wait_paths(&stream, 1);
    VMP_CHECK(stream_send(&stream, SEND_SHORT, 16, NULL) == VMP_OK);
    world_run(100000);
    stream_close(&stream);
    vmp_iface_destroy(world_nodes[leader].iface);
    world_nodes[leader].iface = NULL;
    world_run(1000000);
    node->is_paused = 0;
    world_run(5000000000ul);
    VMP_CHECK(node->received == 1);
    VMP_CHECK(count_qps(!leader) == 0);
    world_end();
}

/* An endpoint is made to a peer whose connection to us has just ended. Unless
 * it happens in a callback, the endpoint does not hear of that end. Control
 * hears in any case when nobody uses what it made. */
static void test_late_ep(uint64_t seed, int in_callback)
{
    vmp_iface_t *iface;
    vmp_ctl_peer_t *peer;
    stream_t streams[2];

    world_begin("endpoint on an ended connection", seed);
    world_open(2);
    iface = world_nodes[0].iface;
    stream_open(&streams[1], 1, 0);
    stream_wait_paths(&streams[1], 4);
    world_run(10000000);
    world_nodes[0].is_paused = 1;
    vmp_conn_fail(streams[1].ep.conn, VMP_ERR_IO_ERROR);
    world_run(100000000);
    iface->in_progress = in_callback;
    stream_open(&streams[0], 0, 1);
    iface->in_progress       = 0;
    world_nodes[0].is_paused = 0;
    world_run(500000000);
    VMP_CHECK(streams[0].failed == in_callback);
    if (!in_callback) {
        VMP_CHECK(stream_send(&streams[0], SEND_SHORT, 16, NULL) == VMP_OK);
        world_until(world_nodes[1].received == 1, 100);
    }

    stream_close(&streams[0]);
    stream_close(&streams[1]);
    world_run(1000000);
    peer = vmp_ctl_peer_find(iface->ctl, world_nodes[1].iface->id, 0);
    VMP_CHECK((peer != NULL) && (peer->conn != NULL) && !peer->conn->has_user);
    world_end();
}

/* A check of an idle endpoint finds that the peer is dead, with one request in
 * flight at a time */
static void test_check_dead(uint64_t seed)
{
    stream_t stream;
    uint64_t num;
    unsigned i;

    world_begin("check of a dead peer", seed);
    world_params.num_paths = 1;
    world_open(2);
    stream_open(&stream, 0, 1);
    VMP_CHECK(vmp_ep_check(&stream.ep) == VMP_OK);
    stream_wait_paths(&stream, 1);
    num = stream_sim(&stream, 0)->num_wrs;
    for (i = 0; i < 10; ++i) {
        VMP_CHECK(vmp_ep_check(&stream.ep) == VMP_OK);
    }

    VMP_CHECK(stream_sim(&stream, 0)->num_wrs == (num + 1));
    world_run(1000000);
    VMP_CHECK(stream.failed == 0);
    sim_nic_cut(sim_nic(1, 0), 1);
    VMP_CHECK(vmp_ep_check(&stream.ep) == VMP_OK);
    world_until(stream.failed == 1, 10000);
    VMP_CHECK(vmp_ep_check(&stream.ep) == VMP_ERR_ENDPOINT_TIMEOUT);
    sim_nic_cut(sim_nic(1, 0), 0);
    stream_close(&stream);
    world_end();
}

/* A peer closes in good order while a check of it is under way: nothing else was
 * to be done, but somebody wants to know */
static void test_check_closing(uint64_t seed)
{
    stream_t stream;

    world_begin("check of a closing peer", seed);
    world_params.num_paths = 1;
    world_open(2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 1);
    VMP_CHECK(vmp_ep_check(&stream.ep) == VMP_OK);
    world_run(1000000);
    world_nodes[0].is_paused = 1;
    vmp_iface_destroy(world_nodes[1].iface);
    world_nodes[1].iface = NULL;
    VMP_CHECK(vmp_ep_check(&stream.ep) == VMP_OK);
    world_nodes[0].is_paused = 0;
    world_until(stream.failed == 1, 5000);
    stream_close(&stream);
    world_end();
}

/* Lengths that are not allowed are refused, and do no harm */
static void test_too_long(uint64_t seed)
{
    static uint8_t data[VMP_INLINE_MAX];
    const vmp_rkey_t rkey = {.num_devs = 1};
    vmp_iov_t iov         = {.buffer = data};
    stream_t stream;
    size_t max;

    world_begin("too long", seed);
    world_open(2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 1);
    max        = stream.ep.conn->iface->max_short;
    iov.length = max + 1;
    VMP_CHECK(max < sizeof(data));
    VMP_CHECK(vmp_ep_put_short(&stream.ep, data, max + 1, 0, &rkey) ==
              VMP_ERR_INVALID_PARAM);
    VMP_CHECK(vmp_ep_am_short(&stream.ep, 0, 0, data, max - 7) ==
              VMP_ERR_INVALID_PARAM);
    VMP_CHECK(vmp_ep_am_short_iov(&stream.ep, 0, &iov, 1) ==
              VMP_ERR_INVALID_PARAM);
    VMP_CHECK(vmp_ep_am_zcopy(&stream.ep, 0, data, VMP_AM_HDR_MAX + 1, NULL, 0,
                              NULL) == VMP_ERR_INVALID_PARAM);
    VMP_CHECK(stream_send(&stream, SEND_SHORT, 16, NULL) == VMP_OK);
    stream_close(&stream);
    world_end();
}

/* Receive buffers are aligned as the user asks for */
static void test_align(uint64_t seed)
{
    vmp_iface_t *iface;
    vmp_rx_t *rx;
    unsigned i;

    world_begin("alignment", seed);
    world_params.rx_priv         = 8;
    world_params.rx_headroom     = 40;
    world_params.rx_align        = 512;
    world_params.rx_align_offset = 24;
    world_open(1);
    iface = world_nodes[0].iface;
    for (i = 0; i < 3; ++i) {
        rx        = (vmp_rx_t*)vmp_buf_get(&iface->rx.pool);
        rx->iface = iface;
        VMP_CHECK((((uintptr_t)vmp_rx_data(rx) + 24) % 512) == 0);
    }

    world_end();
}

/* The device does not move a QP to ERR: no completions come, yet all that was
 * in flight ends */
static void test_stuck(uint64_t seed)
{
    comp_t comp = {0};
    stream_t stream;

    world_begin("stuck QP", seed);
    world_params.num_paths = 1;
    world_open(2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 1);
    stream_sim(&stream, 0)->is_mute  = 1;
    stream_sim(&stream, 0)->is_stuck = 1;
    VMP_CHECK(stream_send(&stream, SEND_SHORT, 16, NULL) == VMP_OK);
    VMP_CHECK(stream_send(&stream, SEND_ZCOPY, 100, &comp) == VMP_INPROGRESS);
    vmp_conn_fail(stream.ep.conn, VMP_ERR_IO_ERROR);
    world_until(stream.failed == 1, 1000);
    VMP_CHECK((comp.calls == 1) && (comp.status == VMP_ERR_IO_ERROR));
    stream_close(&stream);
    world_run(5000000000ul);
    VMP_CHECK((count_qps(0) == 0) && (count_qps(1) == 0));
    world_end();
}

/* Such QPs may go on, and complete what was posted to them, when others have
 * long been at work: the CQ, which they share, has room for both (R10) */
static void test_stuck_cq(uint64_t seed)
{
    stream_t streams[2];
    vmp_port_qp_t *qp;
    unsigned i;

    world_begin("stuck QP and CQ", seed);
    world_params.num_paths     = 1;
    world_params.port.cq_depth = 16;
    world_open(3);
    stream_open(&streams[0], 0, 1);
    stream_open(&streams[1], 0, 2);
    stream_wait_paths(&streams[0], 1);
    stream_wait_paths(&streams[1], 1);
    qp = stream_qp(&streams[0], 0);
    sim_qp_mute(qp, 1);
    sim_qp(qp)->is_stuck = 1;
    for (i = 0; i < 8; ++i) {
        VMP_CHECK(stream_send(&streams[0], SEND_ZCOPY, 100, NULL) ==
                  VMP_INPROGRESS);
    }

    vmp_conn_fail(streams[0].ep.conn, VMP_ERR_IO_ERROR);
    world_until(streams[0].failed == 1, 1000);
    VMP_CHECK(world_nodes[0].iface->rails[0].cq_lost == 8);

    /* 8 slots are left, of which 2 are reserved */
    sim_qp_mute(stream_qp(&streams[1], 0), 1);
    for (i = 0; i < 6; ++i) {
        VMP_CHECK(stream_send(&streams[1], SEND_ZCOPY, 100, NULL) ==
                  VMP_INPROGRESS);
    }

    VMP_CHECK(stream_send(&streams[1], SEND_ZCOPY, 100, NULL) ==
              VMP_ERR_NO_RESOURCE);
    sim_qp_break(qp, VMP_WC_OTHER);
    world_until(world_nodes[0].iface->rails[0].cq_lost == 0, 1000);
    VMP_CHECK(stream_send(&streams[1], SEND_ZCOPY, 100, NULL) ==
              VMP_INPROGRESS);
    sim_qp_mute(stream_qp(&streams[1], 0), 0);
    world_until(world_nodes[2].received == 7, 1000);
    stream_close(&streams[0]);
    stream_close(&streams[1]);
    world_run(5000000000ul);
    world_end();
}

/* A connection is failed on demand, before it is there (`paths` is 0) and with
 * work in flight: both sides' endpoints hear once, and a new one works */
static void test_invalidate(uint64_t seed, unsigned paths)
{
    comp_t comp = {0};
    stream_t streams[3];
    unsigned i;

    world_begin("connection failed on demand", seed);
    world_open(2);
    stream_open(&streams[0], 0, 1);
    stream_open(&streams[1], 0, 1);
    if (paths > 0) {
        stream_wait_paths(&streams[0], paths);
        stream_open(&streams[2], 1, 0);
        stream_wait_paths(&streams[2], 1);
        VMP_CHECK(stream_send(&streams[0], SEND_ZCOPY, 100, &comp) ==
                  VMP_INPROGRESS);
    }

    vmp_ep_invalidate(&streams[0].ep);
    vmp_ep_invalidate(&streams[1].ep);
    /* as with a peer that is lost, nobody knows before progress */
    VMP_CHECK(vmp_ep_check(&streams[0].ep) == VMP_OK);
    VMP_CHECK((streams[0].failed == 0) && (streams[1].failed == 0));
    VMP_CHECK(vmp_iface_event_arm(world_nodes[0].iface, 0) == VMP_ERR_BUSY);
    VMP_CHECK(vmp_iface_progress(world_nodes[0].iface) > 0);
    vmp_ep_invalidate(&streams[1].ep);      /* is lost by now */
    /* whoever flushes hears of it first: UCX's test of peer failure */
    world_until(vmp_iface_flush(world_nodes[0].iface) == VMP_OK, 1000);
    VMP_CHECK(streams[0].failed && streams[1].failed);
    world_run(100000000);
    for (i = 0; i < 2; ++i) {
        VMP_CHECK(streams[i].failed == 1);
        VMP_CHECK(streams[i].status == VMP_ERR_CONNECTION_RESET);
        VMP_CHECK(stream_send(&streams[i], SEND_SHORT, 16, NULL) ==
                  VMP_ERR_CONNECTION_RESET);
        stream_close(&streams[i]);
    }

    VMP_CHECK(comp.calls == (paths > 0));
    VMP_CHECK(world_nodes[0].iface->counters.conns_failed == 1);
    if (paths > 0) {
        VMP_CHECK(streams[2].failed == 1);
        VMP_CHECK(streams[2].status == VMP_ERR_CONNECTION_RESET);
        stream_close(&streams[2]);
    }

    stream_open(&streams[0], 0, 1);
    stream_wait_paths(&streams[0], 1);
    VMP_CHECK(stream_send(&streams[0], SEND_SHORT, 16, NULL) == VMP_OK);
    world_until(world_nodes[1].next_seq[streams[0].id] == 1, 100);
    stream_close(&streams[0]);
    world_run(5000000000ul);
    world_end();
}

/* An interface with many peers closes: all of them hear of it from its control,
 * long before they would find out by themselves */
static void test_goodbyes(uint64_t seed)
{
    static stream_t streams[PEERS + 1];
    vmp_conn_t *conn;
    unsigned i;

    world_begin("many peers of who closes", seed);
    world_params.num_paths     = 1;
    world_params.rx_window_min = 2;
    world_open(PEERS + 1);
    for (i = 1; i <= PEERS; ++i) {
        /* some of its own making, some of the peers' */
        stream_open(&streams[i], (i % 2) ? i : 0, (i % 2) ? 0 : i);
    }

    for (i = 1; i <= PEERS; ++i) {
        stream_wait_paths(&streams[i], 1);
    }

    for (i = 2; i <= PEERS; i += 2) {
        stream_close(&streams[i]);
    }

    world_run(1000000);
    vmp_iface_destroy(world_nodes[0].iface);
    world_nodes[0].iface = NULL;
    world_run(1000000);
    for (i = 1; i <= PEERS; ++i) {
        VMP_CHECK(!vmp_list_is_empty(&world_nodes[i].iface->all));
        conn = vmp_container_of(world_nodes[i].iface->all.next, vmp_conn_t,
                                all);
        VMP_CHECK(conn->block & VMP_BLOCK_CLOSED);
        if (i % 2) {
            stream_close(&streams[i]);
        }
    }

    world_end();
}

static void run(uint64_t seed)
{
    test_refused_paths(seed);
    test_stray_connect(seed);
    test_overrun(seed);
    test_closed_owes_nothing(seed);
    test_closed_with_gap(seed);
    test_closed_before_up(seed);
    test_late_ep(seed, 0);
    test_late_ep(seed, 1);
    test_check_dead(seed);
    test_check_closing(seed);
    test_too_long(seed);
    test_align(seed);
    test_stuck(seed);
    test_stuck_cq(seed);
    test_invalidate(seed, 0);
    test_invalidate(seed, 1);
    test_invalidate(seed, 4);
    test_goodbyes(seed);
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    run(seed);
    world_sleeps = 1;
    run(seed);
    return 0;
}
