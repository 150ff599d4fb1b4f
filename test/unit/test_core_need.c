/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Who waits for a peer that is silent, and gives up (R5): the peer is lost only to
 * those who wait for the whole timeout, and is found as soon as it is back.
 */

#include "core_work.h"
#include "core/vmp_ctl_int.h"
#include "core/vmp_path.h"

#include <stdlib.h>

#define MSEC     1000000ull
#define SEC      1000000000ull
#define TIMEOUT  (2 * SEC)              /* of peers */


static stream_t streams[2];             /* From node 0 to 1, and back */
static int      no_memory;              /* For commands to control */

/* Linked in place of the C library's */
void *__wrap_malloc(size_t size);
void *__real_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    return (no_memory && (size == sizeof(vmp_cmd_t))) ? NULL :
                                                        __real_malloc(size);
}

static void need_begin(const char *name, uint64_t seed, uint64_t timeout)
{
    unsigned i;

    world_begin(name, seed);
    world_params.peer_timeout_ns = timeout;
    world_params.port.num_ud     = 4;
    world_open(2);
    for (i = 0; i < 2; ++i) {
        stream_open(&streams[i], i, !i);
        stream_wait_paths(&streams[i], 4);
    }
}

static void need_end(void)
{
    stream_close(&streams[0]);
    stream_close(&streams[1]);
    world_end();
}

static void outage_begin(vmp_conn_t *conn)
{
    sim_nic_cut(0, 1);
    vmp_path_probe_all(conn);
    world_wake();
    world_until(conn->up_mask == 0, 10000);
}

static void try_once(stream_t *stream)
{
    VMP_CHECK(stream_send(stream, SEND_BCOPY, 16, NULL) ==
              VMP_ERR_NO_RESOURCE);
    world_wake();
}

static void wait_ready(stream_t *stream)
{
    stream->keep_waiting = 1;
    vmp_ep_wait_ready(&stream->ep);
    world_wake();
}

static void wait_and_cancel(stream_t *stream, uint64_t ns)
{
    wait_ready(stream);
    world_run(ns);
    vmp_ep_cancel_wait(&stream->ep);
    world_wake();
}

/* One spins, or waits, and the peer is dead; another one waits now and then, and
 * gives up. That is nothing to the first one. */
static void test_other_gives_up(uint64_t seed, int spins)
{
    stream_t other;
    uint64_t begin;
    unsigned i;

    need_begin(spins ? "spins, another gives up" : "another gives up", seed,
               TIMEOUT);
    stream_open(&other, 0, 1);
    stream_wait_paths(&other, 4);
    outage_begin(streams[0].ep.conn);
    begin = sim_now();
    try_once(&streams[0]);
    if (!spins) {
        wait_ready(&streams[0]);
    }

    while (!streams[0].failed && ((sim_now() - begin) < 10 * TIMEOUT)) {
        wait_and_cancel(&other, MSEC);
        for (i = 0; (i < 50) && !streams[0].failed; ++i) {
            if (spins) {
                stream_send(&streams[0], SEND_BCOPY, 16, NULL);
            }

            world_run(TIMEOUT / 100);
        }
    }

    VMP_CHECK(streams[0].status == VMP_ERR_ENDPOINT_TIMEOUT);
    VMP_CHECK((sim_now() - begin) < 3 * TIMEOUT);
    sim_nic_cut(0, 0);
    world_run(TIMEOUT);
    stream_close(&other);
    need_end();
}

/* Who tries again waits, however rarely: it is told by its first try after the
 * timeout, once the peer was asked */
static void test_spin(uint64_t seed, uint64_t timeout, uint64_t interval)
{
    stream_t *stream = &streams[0];
    uint64_t begin;

    need_begin("spins", seed, timeout);
    outage_begin(stream->ep.conn);
    begin = sim_now();
    while (!stream->failed && ((sim_now() - begin) < 10 * timeout)) {
        stream_send(stream, SEND_BCOPY, 16, NULL);
        world_run(interval);
    }

    printf("  tries every %.2f timeouts: fails after %.2f\n",
           (double)interval / timeout, (double)(sim_now() - begin) / timeout);
    VMP_CHECK(stream->status == VMP_ERR_ENDPOINT_TIMEOUT);
    VMP_CHECK((sim_now() - begin) >= timeout);
    VMP_CHECK((sim_now() - begin) < (timeout / 2 * 3) + (2 * interval));
    sim_nic_cut(0, 0);
    world_run(timeout);
    need_end();
}

/* One spins, but less long than the timeout, and gives up: its endpoint lives, and
 * others that are idle. Nor does it matter that it has tried in an earlier
 * outage. */
static void test_spin_ends(uint64_t seed, unsigned percent)
{
    stream_t other;
    uint64_t begin;
    unsigned i;

    need_begin("spins and gives up", seed, TIMEOUT);
    stream_open(&other, 0, 1);
    stream_wait_paths(&other, 4);
    for (i = 0; i < 2; ++i) {
        outage_begin(streams[0].ep.conn);
        for (begin = sim_now(); (sim_now() - begin) < TIMEOUT / 100 * percent;) {
            try_once(&other);
            world_run(5 * MSEC);
        }

        world_run(3 * TIMEOUT);
        VMP_CHECK(!other.failed && !streams[0].failed && !streams[1].failed);
        sim_nic_cut(0, 0);
        world_run(TIMEOUT);
        stream_wait_paths(&other, 1);
    }

    stream_close(&other);
    need_end();
}

/* Before there is any path the clock of the set-up counts, whoever waits and gives
 * up */
static void test_set_up(uint64_t seed, int waits)
{
    stream_t *stream = &streams[0];
    uint64_t begin;

    world_begin(waits ? "set-up, gives up" : "set-up", seed);
    world_params.peer_timeout_ns = TIMEOUT;
    world_params.port.num_ud     = 4;
    world_open(2);
    stream_open(stream, 0, 1);
    world_until(stream->ep.conn->num_paths > 0, 2000);
    sim_nic_cut(0, 1);
    begin = sim_now();
    while (!stream->failed && ((sim_now() - begin) < 10 * TIMEOUT)) {
        if (waits) {
            wait_and_cancel(stream, 100 * MSEC);
        } else {
            world_run(100 * MSEC);
        }
    }

    VMP_CHECK(stream->status == VMP_ERR_ENDPOINT_TIMEOUT);
    VMP_CHECK((sim_now() - begin) < 2 * TIMEOUT);
    sim_nic_cut(0, 0);
    world_run(SEC);
    stream_close(stream);
    world_end();
}

/* Both wait and give up again and again, faster than control repeats itself: when
 * the network is back, paths come up */
static void test_give_up_often(uint64_t seed)
{
    uint64_t begin;
    vmp_conn_t *conn;
    unsigned i;

    need_begin("give up often", seed, TIMEOUT);
    conn = streams[0].ep.conn;
    outage_begin(conn);
    world_run(TIMEOUT / 4);
    begin = sim_now();
    while ((conn->up_mask == 0) && ((sim_now() - begin) < 4 * TIMEOUT)) {
        if ((sim_now() - begin) > (TIMEOUT / 8)) {
            sim_nic_cut(0, 0);
        }

        for (i = 0; i < 2; ++i) {
            VMP_CHECK(!streams[i].failed);
            wait_and_cancel(&streams[i], 100000);
        }
    }

    VMP_CHECK(conn->up_mask != 0);
    VMP_CHECK((sim_now() - begin) < 2 * TIMEOUT);
    need_end();
}

/* Nor does that keep one side from asking, however late its helper is: the other
 * one may not know that anything is wrong */
static void test_asked_on(uint64_t seed, uint64_t helper_delay)
{
    const vmp_ctl_conn_t *ctl_conn;
    vmp_conn_t *conn;
    uint64_t begin;
    unsigned tries;

    need_begin("asked on", seed, 30 * SEC);
    conn     = streams[0].ep.conn;
    ctl_conn = world_nodes[0].iface->ctl->slots[conn->slot];
    outage_begin(conn);
    world_run(300 * MSEC);
    sim_conf.helper_delay = helper_delay;
    wait_and_cancel(&streams[0], 10 * MSEC);
    tries = ctl_conn->tries;
    for (begin = sim_now(); (sim_now() - begin) < 2 * SEC;) {
        wait_and_cancel(&streams[0], 100000);
    }

    printf("  asked %u times, helper %lu us late\n", ctl_conn->tries - tries,
           (unsigned long)helper_delay / 1000);
    VMP_CHECK(ctl_conn->tries >= tries + 5);
    sim_conf.helper_delay = 2000;
    sim_nic_cut(0, 0);
    world_run(2 * SEC);
    VMP_CHECK(conn->up_mask != 0);
    need_end();
}

/* Nobody waits for long, and the peer is asked rarely: at once for who comes */
static void test_first_waiter(uint64_t seed, int tries)
{
    vmp_conn_t *conn;

    need_begin("first waiter", seed, TIMEOUT);
    conn = streams[0].ep.conn;
    outage_begin(conn);
    world_run(30 * SEC);
    sim_nic_cut(0, 0);
    if (tries) {
        try_once(&streams[0]);
    } else {
        wait_ready(&streams[0]);
    }

    world_run(200 * MSEC);
    VMP_CHECK(conn->up_mask != 0);
    need_end();
}

/* In a long outage somebody waits now and then, but never for long. Who comes when
 * the network is back has the peer asked, not judged by what was. */
static void test_late_waiter(uint64_t seed, uint64_t timeout)
{
    vmp_conn_t *conn;
    uint64_t begin;

    need_begin("late waiter", seed, timeout);
    conn = streams[0].ep.conn;
    outage_begin(conn);
    for (begin = sim_now(); (sim_now() - begin) < (10 * SEC) + (2 * timeout);) {
        wait_and_cancel(&streams[0], 5 * MSEC);
        world_run(1200 * MSEC);
        VMP_CHECK(!streams[0].failed && !streams[1].failed);
    }

    sim_nic_cut(0, 0);
    world_run(seed % 3 * 100 * MSEC);
    wait_ready(&streams[0]);
    world_run(SEC);
    VMP_CHECK(!streams[0].failed && !streams[1].failed);
    VMP_CHECK(conn->up_mask != 0);
    need_end();
}

/* Who comes after many that gave up waits for a whole timeout of its own */
static void test_whole_timeout(uint64_t seed)
{
    uint64_t begin;
    unsigned i;

    need_begin("whole timeout", seed, TIMEOUT);
    outage_begin(streams[0].ep.conn);
    for (i = 0; i < 10; ++i) {
        wait_and_cancel(&streams[0], 5 * MSEC);
        world_run((800 + (seed % 4 * 150)) * MSEC);
    }

    begin = sim_now();
    wait_ready(&streams[0]);
    while (!streams[0].failed && ((sim_now() - begin) < 10 * TIMEOUT)) {
        world_run(MSEC);
    }

    VMP_CHECK(streams[0].status == VMP_ERR_ENDPOINT_TIMEOUT);
    VMP_CHECK((sim_now() - begin) >= TIMEOUT);
    VMP_CHECK((sim_now() - begin) < TIMEOUT / 2 * 3);
    sim_nic_cut(0, 0);
    world_run(TIMEOUT);
    need_end();
}

/* The same by endpoints that live shortly: none of them pays for what those before
 * it have waited, and the peer's, which is idle, does not either */
static void test_short_lived(uint64_t seed, uint64_t timeout)
{
    stream_t stream;
    uint64_t begin;

    need_begin("short-lived", seed, timeout);
    outage_begin(streams[0].ep.conn);
    stream_close(&streams[0]);
    for (begin = sim_now(); (sim_now() - begin) < (10 * SEC) + (2 * timeout);) {
        stream_open(&stream, 0, 1);
        try_once(&stream);
        world_run(5 * MSEC);
        VMP_CHECK(!stream.failed && !streams[1].failed);
        stream_close(&stream);
        world_wake();
        world_run(1200 * MSEC);
    }

    sim_nic_cut(0, 0);
    stream_open(&streams[0], 0, 1);
    try_once(&streams[0]);
    world_run(SEC);
    VMP_CHECK(!streams[0].failed && !streams[1].failed);
    VMP_CHECK(streams[0].ep.conn->up_mask != 0);
    need_end();
}

/* Endpoints of both sides that live more shortly than control waits for an answer
 * keep nobody from asking either */
static void test_shortest_lived(uint64_t seed)
{
    uint64_t begin;
    vmp_conn_t *conn;
    vmp_ep_t eps[2];
    unsigned i;

    need_begin("shortest-lived", seed, 30 * SEC);
    outage_begin(streams[0].ep.conn);
    world_run(300 * MSEC);
    stream_close(&streams[0]);
    stream_close(&streams[1]);
    world_wake();
    world_run(5 * MSEC);
    sim_nic_cut(0, 0);
    begin = sim_now();
    do {
        for (i = 0; i < 2; ++i) {
            VMP_CHECK(vmp_ep_create(world_nodes[i].iface,
                                    &world_nodes[!i].attr.rail_addr,
                                    &world_nodes[!i].attr.addr,
                                    &eps[i]) == VMP_OK);
        }

        conn = eps[0].conn;
        world_wake();
        world_run(150000);
        for (i = 0; i < 2; ++i) {
            vmp_ep_destroy(&eps[i]);
        }

        world_wake();
        world_run(150000);
    } while ((conn->up_mask == 0) && ((sim_now() - begin) < SEC));

    VMP_CHECK(conn->up_mask != 0);
    world_run(2 * SEC);
    world_end();
}

/* What an endpoint did to show in an outage that it needs the peer, */
typedef enum how {
    TRIES,
    WAITS,
    TRIES_WAITS,
    CHECKS,
    CHECKS_OFTEN,
    HOW_LAST
} how_t;

static void need_by(stream_t *stream, how_t how)
{
    unsigned i;

    if ((how == TRIES) || (how == TRIES_WAITS)) {
        try_once(stream);
    }
    if ((how == WAITS) || (how == TRIES_WAITS)) {
        wait_ready(stream);
    }
    if ((how == CHECKS) || (how == CHECKS_OFTEN)) {
        for (i = (how == CHECKS) ? 1 : 3; i > 0; --i) {
            VMP_CHECK(vmp_ep_check(&stream->ep) == VMP_OK);
        }
    }

    world_wake();
    world_run(100 * MSEC);
}

/* and then does not any more, or is gone. No endpoint fails by that, also if it
 * was the only one here. A try that nobody repeats is no need. */
static void test_gives_up(uint64_t seed, how_t how, int goes, int is_alone)
{
    static const char *names[HOW_LAST] = {"tried", "waited",
                                          "tried and waited", "checked",
                                          "checked often"};
    stream_t other;
    vmp_conn_t *conn;

    need_begin(names[how], seed, TIMEOUT);
    conn = streams[0].ep.conn;
    stream_open(&other, 0, 1);
    stream_wait_paths(&other, 4);
    if (is_alone) {
        stream_close(&streams[0]);
    }

    outage_begin(conn);
    VMP_CHECK(!vmp_conn_has_work(conn) && (conn->is_needed != 1));
    need_by(&other, how);
    VMP_CHECK(conn->is_needed == (how != TRIES));
    if (goes) {
        stream_close(&other);
    } else {
        vmp_ep_cancel_wait(&other.ep);
    }

    world_wake();
    VMP_CHECK(conn->is_needed == 0);
    world_run(5 * TIMEOUT);
    VMP_CHECK(!streams[1].failed);
    sim_nic_cut(0, 0);
    world_run(5 * TIMEOUT);
    VMP_CHECK(!streams[1].failed);
    VMP_CHECK(is_alone || (!streams[0].failed && (conn->up_mask != 0)));
    if (!goes) {
        VMP_CHECK(!other.failed);
        stream_close(&other);
    }

    if (!is_alone) {
        stream_close(&streams[0]);
    }

    stream_close(&streams[1]);
    world_end();
}

/* Checks that several made are answered at once, and none is counted twice */
static void test_checks(uint64_t seed)
{
    stream_t other;
    vmp_conn_t *conn;
    unsigned i;

    need_begin("checks", seed, TIMEOUT);
    conn = streams[0].ep.conn;
    stream_open(&other, 0, 1);
    stream_wait_paths(&other, 4);
    for (i = 0; i < 3; ++i) {
        VMP_CHECK(vmp_ep_check(&streams[0].ep) == VMP_OK);
        VMP_CHECK(vmp_ep_check(&streams[0].ep) == VMP_OK);
        VMP_CHECK(vmp_ep_check(&other.ep) == VMP_OK);
        VMP_CHECK(conn->num_checks == 2);
        world_wake();
        world_run(100 * MSEC);
        VMP_CHECK(conn->num_checks == 0);
    }

    outage_begin(conn);
    VMP_CHECK(vmp_ep_check(&streams[0].ep) == VMP_OK);
    VMP_CHECK(vmp_ep_check(&other.ep) == VMP_OK);
    stream_close(&other);
    VMP_CHECK(conn->num_checks == 1);
    world_wake();
    world_run(3 * TIMEOUT);
    VMP_CHECK(streams[0].failed && (streams[0].status ==
                                    VMP_ERR_ENDPOINT_TIMEOUT));
    sim_nic_cut(0, 0);
    world_run(TIMEOUT);
    need_end();
}

/* Control does not hear that nobody waits: it is told later */
static void test_no_memory(uint64_t seed)
{
    vmp_conn_t *conn;

    need_begin("no memory", seed, 8 * SEC);
    conn = streams[0].ep.conn;
    outage_begin(conn);
    wait_ready(&streams[0]);
    world_run(100 * MSEC);
    VMP_CHECK(conn->is_needed == 1);
    no_memory = 1;
    vmp_ep_cancel_wait(&streams[0].ep);
    world_wake();
    world_run(1500 * MSEC);
    no_memory = 0;
    VMP_CHECK(conn->is_needed == 1);
    world_run(3 * SEC);
    VMP_CHECK(conn->is_needed == 0);
    world_run(20 * SEC);
    VMP_CHECK(!streams[0].failed && !streams[1].failed);
    sim_nic_cut(0, 0);
    world_run(6 * SEC);
    need_end();
}

static void run(uint64_t seed)
{
    unsigned percent;
    uint64_t i;
    how_t how;

    for (i = seed; i < seed + 4; ++i) {
        test_other_gives_up(i, 0);
        test_other_gives_up(i, 1);
        test_spin(i, TIMEOUT, MSEC);
        test_spin(i, 100 * MSEC, MSEC);
        for (percent = 20; percent <= 160; percent += 35) {
            test_spin(i, TIMEOUT, TIMEOUT / 100 * percent);
            test_spin(i, 100 * MSEC, MSEC * percent);
        }

        for (percent = 30; percent < 100; percent += 23) {
            test_spin_ends(i, percent);
        }

        test_set_up(i, 0);
        test_set_up(i, 1);
        test_give_up_often(i);
        test_asked_on(i, 2000);
        test_asked_on(i, 300000);
        test_asked_on(i, 1000000);
        test_first_waiter(i, 0);
        test_first_waiter(i, 1);
        test_late_waiter(i, 100 * MSEC);
        test_late_waiter(i, TIMEOUT);
        test_late_waiter(i, 15 * SEC);
        test_whole_timeout(i);
        test_short_lived(i, TIMEOUT);
        test_short_lived(i, 15 * SEC);
        test_shortest_lived(i);
        for (how = TRIES; how < HOW_LAST; ++how) {
            test_gives_up(i, how, 1, 0);
            test_gives_up(i, how, 1, 1);
            if (how < CHECKS) {
                test_gives_up(i, how, 0, 0);
                test_gives_up(i, how, 0, 1);
            }
        }

        test_checks(i);
        test_no_memory(i);
    }
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    run(seed);
    world_sleeps = 1;
    run(seed);
    printf("test_core_need: ok\n");
    return 0;
}
