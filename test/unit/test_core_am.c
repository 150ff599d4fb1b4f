/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core_world.h"


static send_kind_t random_kind(size_t *length, size_t max)
{
    send_kind_t kind = sim_random() % SEND_KINDS;

    *length = 8 + (sim_random() % (max - 7));
    if (sim_conf.max_inline == 0) {
        return (kind % 2) ? SEND_BCOPY : SEND_ZCOPY;
    }

    if ((kind == SEND_SHORT) || (kind == SEND_SHORT_IOV)) {
        *length = 8 + (sim_random() % 100);
    }

    return kind;
}

/* Random messages over streams until each has sent `num` */
static void blast(stream_t *streams, unsigned num_streams, unsigned num)
{
    unsigned left = 0;
    size_t length;
    send_kind_t kind;
    stream_t *stream;
    unsigned i;
    uint64_t end = sim_now() + 1000000000ul;

    for (i = 0; i < num_streams; ++i) {
        left += num - streams[i].seq;
    }

    while (left > 0) {
        for (i = 0; i < 8; ++i) {
            stream = &streams[sim_random() % num_streams];
            kind   = random_kind(&length, world_params.seg_size);
            if ((stream->seq < num) &&
                (stream_send(stream, kind, length, NULL) >= 0)) {
                --left;
            }
        }

        if ((sim_random() % 4) == 0) {
            world_step();
        }

        VMP_CHECK(sim_now() < end);
    }
}

static uint64_t total_received(void)
{
    uint64_t sum = 0;
    unsigned i;

    for (i = 0; i < world_num; ++i) {
        sum += world_nodes[i].received;
    }

    return sum;
}

static void drain(uint64_t expected)
{
    unsigned i;

    world_until(total_received() == expected, 1000);
    for (i = 0; i < world_num; ++i) {
        world_until(vmp_iface_flush(world_nodes[i].iface) == VMP_OK, 1000);
    }

    world_run(100000);
    VMP_CHECK(total_received() == expected);
}

/* Paths that overtake each other; both directions; kept buffers */
static void test_order(uint64_t seed)
{
    vmp_iface_counters_t counters;
    stream_t streams[4];
    unsigned i;

    world_begin("order", seed);
    sim_conf.qp_delay      = 500 + (sim_random() % 2000);
    sim_conf.qp_jitter     = sim_random() % 20000;
    sim_conf.qp_delay_step = sim_random() % 5000;
    sim_conf.max_inline = (sim_random() % 4) ? 256 : 0;
    if (sim_random() % 2) {
        world_params.spread_thresh = 64;
    }

    world_params.policy = (sim_random() % 4) ? "rr" : "single";
    world_open(2);
    world_nodes[0].keep_percent = 30;
    world_nodes[1].keep_percent = sim_random() % 100;
    for (i = 0; i < 4; ++i) {
        stream_open(&streams[i], i & 1, !(i & 1));
    }

    stream_wait_paths(&streams[0], 4);
    blast(streams, 4, 2000);
    drain(8000);
    vmp_iface_get_counters(world_nodes[1].iface, &counters);
    printf("  out of order %lu, copied out %lu, no credit %lu\n",
           counters.rx_out_of_order, counters.rx_copied_out,
           counters.tx_no_credit);
    if (!strcmp(world_params.policy, "rr") && (sim_conf.qp_jitter > 5000)) {
        VMP_CHECK(counters.rx_out_of_order > 0);
    }

    VMP_CHECK((counters.rx_bad_frame == 0) && (counters.rx_duplicate == 0));
    for (i = 0; i < 4; ++i) {
        stream_close(&streams[i]);
    }

    world_end();
}

/* Nothing depends on addresses, on the time of day, or on what was before */
static void test_repeat(uint64_t seed)
{
    uint64_t hash;

    test_order(seed);
    hash = world_hash;
    test_order(seed + 1);
    VMP_CHECK(world_hash != hash);
    test_order(seed);
    VMP_CHECK(world_hash == hash);
}

/* A receiver that sleeps stops the sender; it goes on afterwards */
static void test_credit(uint64_t seed)
{
    stream_t stream;
    unsigned i;

    world_begin("credit", seed);
    world_open(2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    world_nodes[1].is_paused = 1;
    world_run(100000);
    for (i = 0; i < 1000; ++i) {
        stream_send(&stream, SEND_SHORT, 8, NULL);
        if ((i % 8) == 0) {
            world_step();
        }
    }

    VMP_CHECK(stream.seq == world_params.rx_window_min);
    VMP_CHECK(!vmp_ep_is_ready(&stream.ep));
    vmp_ep_wait_ready(&stream.ep);
    world_run(100000);
    VMP_CHECK(stream.ready == 0);
    world_nodes[1].is_paused = 0;
    world_until(stream.ready > 0, 100);
    VMP_CHECK(vmp_ep_is_ready(&stream.ep));

    /* the window grows with use */
    blast(&stream, 1, 2000);
    drain(2000);
    VMP_CHECK(stream.ep.conn->tx_limit - stream.ep.conn->tx_sn >
              world_params.rx_window_max / 2);
    stream_close(&stream);
    world_end();
}

/* Sequence numbers go over 2^32 on the wire */
static void test_wrap(uint64_t seed)
{
    uint64_t base = (1ul << 32) - 100;
    stream_t streams[2];
    vmp_conn_t *conn;
    unsigned i;

    world_begin("wrap", seed);
    sim_conf.qp_jitter = 20000;
    world_open(2);
    stream_open(&streams[0], 0, 1);
    stream_open(&streams[1], 1, 0);
    stream_wait_paths(&streams[0], 4);
    stream_wait_paths(&streams[1], 4);
    for (i = 0; i < 2; ++i) {
        conn                = streams[i].ep.conn;
        conn->tx_sn        += base;
        conn->tx_limit     += base;
        conn->tx_delivered += base;
        conn->rx_next      += base;
        conn->rx_told      += base;
    }

    blast(streams, 2, 1000);
    drain(2000);
    VMP_CHECK(streams[0].ep.conn->tx_sn == base + 1000);
    stream_close(&streams[0]);
    stream_close(&streams[1]);
    world_end();
}

/* A CQ that is far smaller than all send queues together */
static void test_cq(uint64_t seed, size_t spread_thresh)
{
    stream_t streams[30];
    unsigned i;

    world_begin("cq", seed);
    world_params.port.cq_depth = 64;
    world_params.spread_thresh = spread_thresh;
    sim_conf.qp_jitter = 3000;
    world_open(31);
    for (i = 0; i < 30; ++i) {
        stream_open(&streams[i], 0, i + 1);
    }

    blast(streams, 30, 100);
    drain(3000);
    VMP_CHECK(world_nodes[0].iface->rails[0].cq_avail > 0);
    for (i = 0; i < 30; ++i) {
        stream_close(&streams[i]);
    }

    world_end();
}

/* Many senders into a small SRQ, over paths of different speed */
static void test_srq(uint64_t seed)
{
    vmp_iface_counters_t counters;
    stream_t streams[6];
    unsigned i;

    world_begin("srq", seed);
    world_params.port.srq_depth = 32;
    world_params.rx_max_bufs    = 64;
    world_params.rx_window_min  = 16;
    sim_conf.qp_delay_step        = 4000;
    sim_conf.qp_jitter            = 10000;
    world_open(7);
    world_nodes[6].keep_percent = 50;
    for (i = 0; i < 6; ++i) {
        stream_open(&streams[i], i, 6);
        stream_wait_paths(&streams[i], 4);
    }

    /* more than the SRQ has buffers, while nobody polls: RNR, which ends */
    world_nodes[6].is_paused = 1;
    for (i = 0; i < 6; ++i) {
        while (stream_send(&streams[i], SEND_BCOPY, 200, NULL) >= 0);
    }

    world_run(200000);
    VMP_CHECK(sim_counters.rnr_naks > 0);
    world_nodes[6].is_paused = 0;

    blast(streams, 6, 500);
    drain(3000);
    vmp_iface_get_counters(world_nodes[6].iface, &counters);
    printf("  out of order %lu, copied out %lu, not to keep %u, RNR %lu\n",
           counters.rx_out_of_order, counters.rx_copied_out,
           world_nodes[6].num_refused, sim_counters.rnr_naks);
    VMP_CHECK(counters.rx_copied_out > 0);
    for (i = 0; i < 6; ++i) {
        stream_close(&streams[i]);
    }

    world_end();
}

/* A user that gives no buffer back: the SRQ stays full all the same */
static void test_keep_all(uint64_t seed)
{
    stream_t streams[3];
    node_t *node;
    unsigned i;

    world_begin("keep all", seed);
    world_params.port.srq_depth = 64;
    world_params.rx_max_bufs    = 256;
    sim_conf.qp_jitter            = 10000;
    world_open(4);
    node               = &world_nodes[3];
    node->keep_percent = 100;
    node->keep_all     = 1;
    for (i = 0; i < 3; ++i) {
        stream_open(&streams[i], i, 3);
    }

    blast(streams, 3, 1000);
    drain(3000);
    VMP_CHECK(node->num_kept > 100);
    VMP_CHECK(node->iface->rails[0].srq_posted +
              node->iface->rails[0].srq_batch > 64);
    for (i = 0; i < 3; ++i) {
        stream_close(&streams[i]);
    }

    world_end();
}

/* Endpoints that share a connection, with ep_ready in turn */
static void test_many_eps(uint64_t seed)
{
    stream_t streams[100];
    unsigned i;

    world_begin("many endpoints", seed);
    world_open(2);
    for (i = 0; i < 100; ++i) {
        stream_open(&streams[i], 0, 1);
        VMP_CHECK(streams[i].ep.conn == streams[0].ep.conn);
    }

    blast(streams, 100, 20);
    drain(2000);

    world_nodes[1].is_paused = 1;
    while (stream_send(&streams[0], SEND_SHORT, 8, NULL) >= 0) {
        world_step();
    }

    for (i = 0; i < 100; ++i) {
        vmp_ep_wait_ready(&streams[i].ep);
    }

    vmp_ep_cancel_wait(&streams[7].ep);
    world_run(10000);
    world_nodes[0].ready_calls = 0;
    world_nodes[1].is_paused   = 0;
    world_until(world_nodes[0].ready_calls == 99, 100);
    world_run(1000000);
    VMP_CHECK(world_nodes[0].ready_calls == 99);
    VMP_CHECK(world_nodes[0].iface->num_waiting == 0);
    for (i = 0; i < 100; ++i) {
        VMP_CHECK(streams[i].ready == (i != 7));
        stream_close(&streams[i]);
    }

    world_end();
}

/* An interface and itself: two half-connections */
static void test_self(uint64_t seed)
{
    stream_t streams[2];

    world_begin("self", seed);
    sim_conf.qp_jitter = 10000;
    world_open(1);
    stream_open(&streams[0], 0, 0);
    stream_open(&streams[1], 0, 0);
    stream_wait_paths(&streams[0], 4);
    blast(streams, 2, 1000);
    drain(2000);
    stream_close(&streams[0]);
    stream_close(&streams[1]);
    world_end();
}

static stream_t *reply_stream;
static unsigned reply_left;

static void reply(node_t *node)
{
    (void)node;
    if (reply_left > 0) {
        VMP_CHECK(stream_send(reply_stream, SEND_SHORT, 16, NULL) == VMP_OK);
        --reply_left;
    }
}

/* Replies from the message callback; CREDIT frames are needed when a
 * window grew, at most */
static void test_reply(uint64_t seed)
{
    stream_t streams[2];
    unsigned i;

    world_begin("reply", seed);
    world_params.spread_thresh = 1024;
    world_open(2);
    stream_open(&streams[0], 0, 1);
    stream_open(&streams[1], 1, 0);
    stream_wait_paths(&streams[0], 1);
    stream_wait_paths(&streams[1], 1);
    reply_stream         = &streams[1];
    reply_left           = 500;
    world_nodes[1].on_am = reply;
    for (i = 0; i < 500; ++i) {
        VMP_CHECK(stream_send(&streams[0], SEND_SHORT, 16, NULL) == VMP_OK);
        world_until(world_nodes[0].received == i + 1, 10);
    }

    VMP_CHECK(stream_sim(&streams[0], 0)->num_wrs <= 505);
    VMP_CHECK(__builtin_popcountll(streams[0].ep.conn->up_mask) == 1);
    world_nodes[1].on_am = NULL;
    stream_close(&streams[0]);
    stream_close(&streams[1]);
    world_end();
}

static void run(uint64_t seed)
{
    unsigned i;

    for (i = 0; i < vmp_check_env("VMP_TEST_COUNT", 10); ++i) {
        test_order(seed + i);
    }

    test_repeat(seed);
    test_credit(seed);
    test_wrap(seed);
    test_cq(seed, 0);
    test_cq(seed, 10000);
    test_srq(seed);
    test_keep_all(seed);
    test_many_eps(seed);
    test_self(seed);
    test_reply(seed);
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    run(seed);
    world_sleeps = 1;
    run(seed);
    return 0;
}
