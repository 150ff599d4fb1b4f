/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core_world.h"
#include "core/vmp_credit.h"

/*
 * Credit that is not used goes back to the pool, with the consent of whoever has
 * it.
 */
#define PEERS     5
#define SRQ       64                    /* entries */
#define WIN_MIN   4                     /* messages */
#define WIN_MAX   32


static vmp_conn_t *conn_of(unsigned node, unsigned peer)
{
    const vmp_iface_t *iface = world_nodes[node].iface;
    vmp_conn_t *conn;
    vmp_link_t *link;

    vmp_list_for_each(link, &iface->all) {
        conn = vmp_container_of(link, vmp_conn_t, all);
        if (conn->peer_id == world_nodes[peer].iface->id) {
            return conn;
        }
    }

    VMP_CHECK(!"no such connection");
    return NULL;
}

/* Never more is promised than the SRQ holds, and the books are right */
static void check_promise(unsigned node)
{
    const vmp_iface_t *iface = world_nodes[node].iface;
    uint64_t promised        = 0;
    uint32_t windows         = 0;
    const vmp_conn_t *conn;
    const vmp_link_t *link;

    vmp_list_for_each(link, &iface->all) {
        conn      = vmp_container_of(link, vmp_conn_t, all);
        promised += conn->rx_told - conn->rx_next;
        windows  += conn->rx_window;
        VMP_CHECK((conn->rx_told - conn->rx_next) <= conn->rx_window);
        VMP_CHECK((conn->rx_window >= WIN_MIN) &&
                  (conn->rx_window <= WIN_MAX));
    }

    VMP_CHECK(windows == iface->credit_used);
    VMP_CHECK((windows <= iface->credit_pool) && (promised <= windows));
}

static void send_many(stream_t *stream, unsigned num)
{
    while (num > 0) {
        if (stream_send(stream, SEND_SHORT, 16, NULL) == VMP_OK) {
            --num;
        } else {
            world_step();
            check_promise(0);
        }
    }
}

/* One peer after the other is busy: who was before gives way */
static void test_phases(uint64_t seed)
{
    stream_t streams[PEERS + 1];
    const vmp_conn_t *conn;
    unsigned round;
    unsigned i;

    world_begin("peers busy in turn", seed);
    world_params.num_paths      = 1;
    world_params.rx_window_min  = WIN_MIN;
    world_params.rx_window_max  = WIN_MAX;
    world_params.port.srq_depth = SRQ;
    world_open(PEERS + 1);
    for (i = 1; i <= PEERS; ++i) {
        stream_open(&streams[i], i, 0);
        stream_wait_paths(&streams[i], 1);
    }

    for (round = 0; round < 2; ++round) {
        for (i = 1; i <= PEERS; ++i) {
            send_many(&streams[i], 600);
            conn = conn_of(0, i);
            VMP_CHECK(conn->rx_window == WIN_MAX);
        }
    }

    VMP_CHECK(world_nodes[0].iface->counters.rx_returned > 0);
    for (i = 1; i <= PEERS; ++i) {
        world_until(world_nodes[0].next_seq[streams[i].id] == 1200, 100);
        stream_close(&streams[i]);
    }

    world_end();
}

/* Credit is given back at any time, between messages over all paths, in both
 * directions: order, contents and books are as ever */
static void test_between_messages(uint64_t seed)
{
    unsigned sent = 0;
    stream_t streams[2];
    unsigned i;

    world_begin("credit given back between messages", seed);
    sim_conf.qp_jitter         = 20000;
    world_params.spread_thresh  = 50;
    world_params.rx_window_min  = WIN_MIN;
    world_params.rx_window_max  = WIN_MAX;
    world_open(2);
    for (i = 0; i < 2; ++i) {
        stream_open(&streams[i], i, !i);
    }

    stream_wait_paths(&streams[0], 4);
    stream_wait_paths(&streams[1], 4);
    while (sent < 4000) {
        i = sim_random() % 2;
        if (stream_send(&streams[i], sim_random() % SEND_KINDS,
                        (sim_random() % 2) ? 16 : 60, NULL) >= 0) {
            ++sent;
        }

        if ((sim_random() % 20) == 0) {
            vmp_credit_give_back(streams[i].ep.conn);
        }

        if ((sim_random() % 4) == 0) {
            world_step();
            check_promise(0);
            check_promise(1);
        }
    }

    world_until((world_nodes[0].received + world_nodes[1].received) == sent,
                1000);
    VMP_CHECK(world_nodes[0].iface->counters.rx_returned > 0);
    VMP_CHECK(world_nodes[0].iface->counters.rx_out_of_order > 0);
    for (i = 0; i < 2; ++i) {
        stream_close(&streams[i]);
    }

    world_end();
}

/* A peer closes without a look at what was given back: nothing is lost by that;
 * a message before or behind it is */
static void test_unread(uint64_t seed, int before, int behind)
{
    stream_t stream;

    world_begin("credit given back to who closes", seed);
    world_params.num_paths     = 1;
    world_params.rx_window_min = 16;
    world_open(2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 1);
    world_nodes[1].is_paused = 1;
    if (before) {
        VMP_CHECK(stream_send(&stream, SEND_SHORT, 16, NULL) == VMP_OK);
    }

    vmp_credit_give_back(stream.ep.conn);
    vmp_credit_give_back(stream.ep.conn);
    VMP_CHECK(stream.ep.conn->tx_sn > 8);
    if (behind) {
        VMP_CHECK(stream_send(&stream, SEND_SHORT, 16, NULL) == VMP_OK);
    }

    world_run(1000000);
    world_until(vmp_iface_flush(world_nodes[0].iface) == VMP_OK, 100);
    vmp_iface_destroy(world_nodes[1].iface);
    world_nodes[1].iface = NULL;
    world_run(100000000);
    VMP_CHECK(stream.ep.conn->block & VMP_BLOCK_CLOSED);
    VMP_CHECK(stream.failed == (before || behind));
    VMP_CHECK(vmp_ep_is_unread(&stream.ep) == (before || behind));
    stream_close(&stream);
    world_end();
}

/* A peer gives back more than it was granted: its books are wrong */
static void test_too_much(uint64_t seed)
{
    stream_t stream;

    world_begin("more given back than granted", seed);
    world_params.num_paths     = 1;
    world_params.rx_window_min = 16;
    world_open(2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 1);
    stream.ep.conn->tx_limit += 64;
    vmp_credit_give_back(stream.ep.conn);
    world_until(stream.failed == 1, 5000);
    VMP_CHECK(world_nodes[1].iface->counters.rx_bad_frame == 1);
    stream_close(&stream);
    world_run(5000000000ul);
    world_end();
}

static void run(uint64_t seed)
{
    test_phases(seed);
    test_between_messages(seed);
    test_unread(seed, 0, 0);
    test_unread(seed, 0, 1);
    test_unread(seed, 1, 0);
    test_unread(seed, 1, 1);
    test_too_much(seed);
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    run(seed);
    world_sleeps = 1;
    run(seed);
    return 0;
}
