/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core_work.h"

/*
 * Peers that go without a word, and devices.
 */


static unsigned count_qps(unsigned index)
{
    return sim_port_num_qps(world_nodes[index].iface->port);
}

static int lose_all(void *arg, vmp_port_t *port, const void *data,
                    size_t length)
{
    (void)arg;
    (void)port;
    (void)data;
    (void)length;
    return 1;
}

/* How a peer may go whose last words are lost */
enum {
    GONE_CLOSED,                        /* nobody is there to answer */
    GONE_DROPPED,                       /* it is, without the connection */
    GONE_NOT                            /* it is, and idle */
};

/* Nothing is in flight, and no endpoint stands here: who is left finds out by
 * itself, and lets go of all QPs (R14). Who has an endpoint keeps the
 * connection for it. */
static void test_gone(uint64_t seed, int how, int has_ep)
{
    stream_t streams[2];
    uint64_t period;
    uint64_t sent;
    node_t *node;

    world_begin("gone without a word", seed);
    world_open(2);
    node   = &world_nodes[0];
    period = world_params.peer_timeout_ns * 4;
    stream_open(&streams[1], 1, 0);
    stream_wait_paths(&streams[1], 4);
    if (has_ep) {
        stream_open(&streams[0], 0, 1);
    }

    world_run(1000000);
    VMP_CHECK(count_qps(0) == 4);
    if (how != GONE_NOT) {
        sim_conf.datagram = lose_all;
        if (how == GONE_DROPPED) {
            vmp_conn_fail(streams[1].ep.conn, VMP_ERR_IO_ERROR);
            world_run(1000000000);
        }

        stream_close(&streams[1]);
        if (how == GONE_CLOSED) {
            vmp_iface_destroy(world_nodes[1].iface);
            world_nodes[1].iface = NULL;
        }

        world_run(1000000);
        sim_conf.datagram = NULL;
    }

    sent = sim_counters.ud_sent;
    world_run(period * 6);
    if (how == GONE_NOT) {
        VMP_CHECK(count_qps(0) == 4);
        VMP_CHECK(sim_counters.ud_sent - sent <= 4 * 8);
        VMP_CHECK(node->iface->counters.conns_failed == 0);
        stream_close(&streams[1]);
    } else if (!has_ep) {
        VMP_CHECK((count_qps(0) == 0) && vmp_list_is_empty(&node->iface->all));
    } else {
        VMP_CHECK(streams[0].failed == 0);
        stream_close(&streams[0]);
        has_ep = 0;
        world_run(period * 6);
        VMP_CHECK((count_qps(0) == 0) && vmp_list_is_empty(&node->iface->all));
    }

    if (has_ep) {
        stream_close(&streams[0]);
    }

    world_end();
}

/* The completion queues of node 0 fail, or its device: all on it hear of it at
 * once, without their completions. With control alive the peer is told; of a dead
 * device it finds out by itself. */
static void test_broken(uint64_t seed, int is_device)
{
    stream_t streams[3];
    uint64_t timeout;
    uint64_t since;
    work_t work;

    world_begin(is_device ? "device fails" : "CQ fails", seed);
    world_open(2);
    timeout = world_nodes[0].iface->params.peer_timeout_ns;
    work_make(&work);
    stream_open(&streams[0], 0, 1);
    stream_open(&streams[1], 0, 1);
    stream_open(&streams[2], 1, 0);
    stream_wait_paths(&streams[0], 4);
    stream_wait_paths(&streams[2], 4);
    work_start(&work, &streams[0]);
    VMP_CHECK(work.flushed.calls == 0);
    since = sim_now();
    if (is_device) {
        sim_nic_fail(0, 1);
    } else {
        sim_port_break(world_nodes[0].iface->port);
    }

    world_until(streams[0].failed && streams[1].failed, 10);
    work_check_failed(&work, VMP_ERR_IO_ERROR);
    VMP_CHECK((streams[0].status == VMP_ERR_IO_ERROR) &&
              (streams[1].status == VMP_ERR_IO_ERROR));
    VMP_CHECK(world_nodes[0].iface->counters.conns_failed == 1);

    /* an idle endpoint hears when it is used */
    (void)stream_send(&streams[2], SEND_SHORT, 64, NULL);
    (void)vmp_ep_flush(&streams[2].ep, 0, &work.flushed);
    world_until(streams[2].failed, 2 * (timeout / 1000000));
    VMP_CHECK(((sim_now() - since) >= timeout) == is_device);
    stream_close(&streams[0]);
    stream_close(&streams[1]);
    stream_close(&streams[2]);
    sim_nic_fail(0, 0);
    work_free(&work);
    world_end();
}

static void run(uint64_t seed)
{
    test_gone(seed, GONE_CLOSED, 0);
    test_gone(seed, GONE_CLOSED, 1);
    test_gone(seed, GONE_DROPPED, 0);
    test_gone(seed, GONE_DROPPED, 1);
    test_gone(seed, GONE_NOT, 0);
    test_gone(seed, GONE_NOT, 1);
    test_broken(seed, 0);
    test_broken(seed, 1);
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    run(seed);
    world_sleeps = 1;
    run(seed);
    return 0;
}
