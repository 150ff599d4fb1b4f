/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * How long control waits, and for whom: datagrams that are lost, peers that do
 * not answer, and a process that was stopped itself.
 */

#include "ctl_world.h"

#include <string.h>

#define RECOVER  (7 * SEC)    /* the application drains within 4 s */


/* All ways but one are dead, from here and from there */
static void test_dead_ud(uint64_t seed)
{
    unsigned n, ud, alive;

    world_begin(seed);
    for (n = 0; n < 2; n++) {
        alive = world_rand(WORLD_UD);
        for (ud = 0; ud < WORLD_UD; ud++) {
            world.is_ud_dead[n][ud] = ud != alive;
        }
    }
    app_connect(seed % 2, 1 - seed % 2);
    world_run(WORLD_TIMEOUT);
    app_check_pair(0, 1, 1);
    world_cleanup();
}

/* Of four links, on which control QPs are by chance, one is alive: also if it
 * has none of them, all gets through */
static void test_dead_links(uint64_t seed)
{
    app_conn_t *conn[2];
    uint64_t time;
    unsigned n;

    world_init(seed);
    world.timeout    = 10 * SEC;
    world.alive_link = 1 + seed % 4;
    node_open(0, 10);
    node_open(1, 20);
    app_connect(seed % 2, 1 - seed % 2);
    app_connect(1 - seed % 2, seed % 2);
    time = world.now;
    while (!app_is_pair_up(0, 1, 1)) {
        VMP_CHECK(world.now - time < 4 * SEC);
        world_run(10 * MSEC);
    }

    n = world_rand(2);
    app_fail_path(n, app_slot(n, 1 - n), 0);
    time    = world.now;
    conn[0] = app_find(0, 20, 0, NULL);
    conn[1] = app_find(1, 10, 0, NULL);
    while ((conn[0]->paths[0].dead_epoch != 1) ||
           (conn[1]->paths[0].dead_epoch != 1)) {
        VMP_CHECK(world.now - time < 4 * SEC);
        world_run(10 * MSEC);
    }

    world_run(4 * SEC);                     /* both are drained */
    time = world.now;
    while (!app_is_pair_up(0, 1, 1)) {
        VMP_CHECK(world.now - time < 4 * SEC);
        world_run(10 * MSEC);
    }

    VMP_CHECK(world.num_renewed < 2000);
    world_check_idle();
    world_cleanup();
}

/* A slow network that reorders: copies of one question are not each answered by
 * copies (twice as many datagrams otherwise). Return how many were sent. */
static unsigned test_slow(uint64_t seed)
{
    unsigned num;
    uint64_t start;

    world_begin(seed);
    start           = world.now;
    world.delay_max = 60 * MSEC;
    app_connect(0, 1);
    app_connect(1, 0);
    while (!app_is_pair_up(0, 1, 1)) {
        VMP_CHECK(world.now - start < 3 * SEC);
        world_run(MSEC);
    }
    app_cmd(0, app_slot(0, 1), VMP_CMD_WANT_PATHS, WORLD_PATHS);
    while (!app_is_pair_up(0, 1, WORLD_PATHS)) {
        VMP_CHECK(world.now - start < 3 * SEC);
        world_run(MSEC);
    }
    num = world.num_sent;
    world_cleanup();
    return num;
}

static uint8_t asked[3][VMP_CTL_MAX_LEN];   /* PATH_REQ of path 0, by epoch */
static size_t asked_len[3];
static unsigned asker;

static void tap_keep_req(unsigned node, const void *data, size_t length)
{
    vmp_ctl_msg_t msg;

    if ((vmp_ctl_msg_unpack(data, length, &msg) == 0) &&
        (msg.type == VMP_CTL_PATH_REQ) && (msg.path == 0) && (msg.epoch < 3)) {
        memcpy(asked[msg.epoch], data, length);
        asked_len[msg.epoch] = length;
        asker                = node;
    }
}

/* A late copy that asks for the former epoch is answered, and does not hold back
 * the answer of who asks for this one again, whose first answer was lost */
static void test_former_epoch(uint64_t seed)
{
    unsigned other, sent;

    memset(asked_len, 0, sizeof(asked_len));
    world_begin(seed);
    world.tap       = tap_keep_req;
    world.delay_max = 60 * MSEC;
    app_connect(0, 1);
    app_connect(1, 0);
    world_run(SEC);
    app_check_pair(0, 1, 1);

    other = 1 - asker;
    app_fail_path(asker, app_slot(asker, other), 0);
    sent = world.sent_types[VMP_CTL_PATH_REP];
    while (world.sent_types[VMP_CTL_PATH_REP] == sent) {
        world_run(MSEC);
    }
    VMP_CHECK((asked_len[1] > 0) && (asked_len[2] > 0));
    world.loss = 1000;
    world_clear_net();
    world_run(100 * MSEC);                  /* a copy of no answer any more */

    sent = world.sent_types[VMP_CTL_DEAD];
    world_inject(other, asked[1], asked_len[1]);
    VMP_CHECK(world.sent_types[VMP_CTL_DEAD] > sent);
    world_run(MSEC);
    sent = world.sent_types[VMP_CTL_PATH_REP];
    world_inject(other, asked[2], asked_len[2]);
    VMP_CHECK(world.sent_types[VMP_CTL_PATH_REP] > sent);
    world.loss = 0;
    world.tap  = NULL;
    world_cleanup();
}

static void tap_lose_ack(unsigned node, const void *data, size_t length)
{
    vmp_ctl_msg_t msg;

    (void)node;
    world.loss = ((vmp_ctl_msg_unpack(data, length, &msg) == 0) &&
                  (msg.type == VMP_CTL_CONNECT_ACK)) ? 1000 : 0;
}

/* All that is lost is CONNECT_ACK: the leader, which asks for paths, is not
 * taken for dead, and is asked again as soon as it is heard */
static void test_lost_ack(void)
{
    unsigned from;

    world_begin(6);
    from      = (world.nodes[0].id > world.nodes[1].id) ? 0 : 1;
    world.tap = tap_lose_ack;
    app_connect(from, 1 - from);
    world_run(2 * WORLD_TIMEOUT);
    VMP_CHECK(world.nodes[from].num_failed == 0);
    world.tap  = NULL;
    world.loss = 0;
    world_run(1500 * MSEC);
    app_check_pair(0, 1, 1);
    world_cleanup();
}

/* Who was stopped itself does not take its peer for dead: not when nothing lies
 * there from it, nor when something does that ends no wait */
static uint8_t last_ack[2][VMP_CTL_MAX_LEN];
static size_t  last_ack_len[2];

static void tap_ack(unsigned node, const void *data, size_t length)
{
    vmp_ctl_msg_t msg;

    if ((vmp_ctl_msg_unpack(data, length, &msg) == 0) &&
        (msg.type == VMP_CTL_CONNECT_ACK)) {
        memcpy(last_ack[1 - node], data, length);
        last_ack_len[1 - node] = length;
    }
}

static void test_stood_still(unsigned from, int is_heard)
{
    unsigned n, num_heard = 0;

    world_begin(7);
    last_ack_len[0] = last_ack_len[1] = 0;
    if (is_heard) {
        world.tap       = tap_ack;
        world.lost_type = VMP_CTL_PATH_REP;
    } else {
        world.loss = 1000;
    }
    app_connect(from, 1 - from);
    world_run(10 * MSEC);
    world.loss      = 0;
    world.lost_type = 0;
    world.now      += 3 * WORLD_TIMEOUT;
    for (n = 0; n < 2; n++) {
        if (last_ack_len[n] > 0) {
            world_inject(n, last_ack[n], last_ack_len[n]);
            num_heard++;
        }
    }
    VMP_CHECK((num_heard > 0) == is_heard);
    world_run(2000 * MSEC);
    VMP_CHECK(world.nodes[0].num_failed == 0);
    VMP_CHECK(world.nodes[1].num_failed == 0);
    app_check_pair(0, 1, 1);
    world_cleanup();
}

static void test_timeout(void)
{
    app_conn_t *conn;

    world_begin(5);
    world.loss = 1000;
    app_connect(0, 1);
    world_run(WORLD_TIMEOUT - 50 * MSEC);
    VMP_CHECK(world.nodes[0].num_failed == 0);
    VMP_CHECK((world.sent_types[VMP_CTL_CONNECT] >= 40) &&
              (world.sent_types[VMP_CTL_CONNECT] <= 80));
    VMP_CHECK((world.num_renewed >= 20) && (world.num_renewed <= 60));
    world_run(60 * MSEC);
    VMP_CHECK(world.nodes[0].num_failed == 1);
    VMP_CHECK(world.nodes[0].num_conns == 0);
    VMP_CHECK(world.num_forgotten == 1);
    world_check_idle();

    /* The same when the peer goes silent half-way */
    world.loss      = 0;
    world.delay_max = 1;                    /* 10 us a datagram */
    app_connect(0, 1);
    world_run(25 * 1000);
    VMP_CHECK(world.sent_types[VMP_CTL_PATH_REQ] == 1);
    world.loss = 1000;
    world_run(WORLD_TIMEOUT + SEC);
    conn = app_find_ended(0);
    VMP_CHECK((conn == NULL) || (conn->status == VMP_ERR_ENDPOINT_TIMEOUT));
    VMP_CHECK(world.nodes[0].num_failed == 2);
    world_run(10 * SEC);
    VMP_CHECK(world.nodes[0].num_conns == 0);
    VMP_CHECK(world.nodes[1].num_conns == 0);
    VMP_CHECK(world.num_qps == 0);
    world_cleanup();
}

/* No RTU gets through, but frames come in: the path is up */
static void test_lost_rtu(int is_seen)
{
    app_conn_t *conn;

    world_begin(19);
    world.lost_type = VMP_CTL_PATH_RTU;
    app_connect(0, 1);
    world_run(100 * MSEC);
    conn = app_find(1, 10, 0, NULL);
    VMP_CHECK((conn != NULL) && (app_find(0, 20, 0, NULL) != NULL));
    VMP_CHECK(!app_is_pair_up(0, 1, 1));
    if (is_seen) {
        app_cmd(1, app_slot(1, 0), VMP_CMD_PATH_SEEN, 0);
        world_run(10 * MSEC);
        app_check_pair(0, 1, 1);
    }

    world_run(2 * WORLD_TIMEOUT);
    VMP_CHECK(world.nodes[1].num_failed == !is_seen);
    if (is_seen) {
        app_check_pair(0, 1, 1);
        world_check_idle();
    }

    world.lost_type = 0;
    world_cleanup();
}

/* Nothing is up between nodes 0 and 1, and nothing gets through */
static void lose_all(uint64_t seed)
{
    unsigned i;

    world_begin(seed);
    world.num_paths = 2;
    app_connect(0, 1);
    app_connect(1, 0);
    world_run(100 * MSEC);
    for (i = 0; i < 2; i++) {
        app_cmd(i, app_slot(i, 1 - i), VMP_CMD_WANT_PATHS, 2);
    }
    world_run(100 * MSEC);
    app_check_pair(0, 1, 2);
    world.loss = 1000;
    for (i = 0; i < 4; i++) {
        app_fail_path(i % 2, app_slot(i % 2, 1 - i % 2), i / 2);
    }
    world_run(100 * MSEC);
}

/* Nobody waits for a path: no peer is taken for dead, and all comes back */
static void test_not_needed(uint64_t seed)
{
    lose_all(seed);
    world_run(10 * WORLD_TIMEOUT);
    VMP_CHECK(world.nodes[0].num_failed + world.nodes[1].num_failed == 0);
    world.loss = 0;
    world_run(RECOVER);
    app_check_pair(0, 1, 2);
    world_check_idle();
    world_cleanup();
}

/* Somebody does: the clock runs from then on, and only there. Where a path
 * comes up in time, it is over. */
static void test_needed(uint64_t seed, int is_healed)
{
    unsigned n = seed / 2 % 2;

    lose_all(seed);
    world_run(3 * WORLD_TIMEOUT);
    app_cmd(n, app_slot(n, 1 - n), VMP_CMD_NEED, 0);
    world_run(WORLD_TIMEOUT / 4);
    app_cmd(n, app_slot(n, 1 - n), VMP_CMD_NEED, 0);    /* changes nothing */
    if (is_healed) {
        world.loss = 0;
        world_run(RECOVER);
        app_check_pair(0, 1, 2);
        world.loss = 1000;
        app_fail_path(n, app_slot(n, 1 - n), 0);
        app_fail_path(n, app_slot(n, 1 - n), 1);
        world_run(3 * WORLD_TIMEOUT);
        VMP_CHECK(world.nodes[0].num_failed + world.nodes[1].num_failed == 0);
    } else {
        world_run(WORLD_TIMEOUT - WORLD_TIMEOUT / 4 - 50 * MSEC);
        VMP_CHECK(world.nodes[0].num_failed + world.nodes[1].num_failed == 0);
        world_run(60 * MSEC);
        VMP_CHECK((world.nodes[n].num_failed == 1) &&
                  (world.nodes[1 - n].num_failed == 0));
    }
    world_cleanup();
}

/* It is void while a path is up */
static void test_need_void(void)
{
    world_begin(1);
    app_connect(0, 1);
    world_run(100 * MSEC);
    app_cmd(0, app_slot(0, 1), VMP_CMD_NEED, 0);
    world_run(MSEC);
    world.loss = 1000;
    app_fail_path(0, app_slot(0, 1), 0);
    world_run(5 * WORLD_TIMEOUT);
    VMP_CHECK(world.nodes[0].num_failed == 0);
    world_cleanup();
}

/* The peer's control answers, though it has no QPs: it lives */
static void test_need_lives(void)
{
    unsigned n;

    for (n = 0; n < 2; n++) {
        world_begin(n);
        app_connect(n, 1 - n);
        world_run(100 * MSEC);
        world.nodes[1 - n].qps_left = 0;
        app_fail_path(n, app_slot(n, 1 - n), 0);
        app_cmd(n, app_slot(n, 1 - n), VMP_CMD_NEED, 0);
        world_run(10 * WORLD_TIMEOUT);
        VMP_CHECK(world.nodes[n].num_failed == 0);
        world.nodes[1 - n].qps_left = 10;
        world_run(RECOVER);
        app_check_pair(0, 1, 1);
        world_cleanup();
    }
}

int main(void)
{
    unsigned sent = 0;
    unsigned i;

    for (i = 0; i < 100; i++) {
        test_dead_ud(i);
    }
    for (i = 0; i < 2000; i++) {
        test_dead_links(i);
    }
    for (i = 0; i < 10; i++) {
        sent += test_slow(i);
    }
    VMP_CHECK(sent < 2000);
    for (i = 0; i < 20; i++) {
        test_former_epoch(i);
    }
    test_lost_ack();
    for (i = 0; i < 4; i++) {
        test_stood_still(i / 2, i % 2);
    }
    test_timeout();
    test_lost_rtu(0);
    test_lost_rtu(1);
    for (i = 0; i < 40; i++) {
        test_not_needed(i);
        test_needed(i, i % 3 == 0);
    }
    test_need_void();
    test_need_lives();

    printf("test_ctl_wait: ok\n");
    return 0;
}
