/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Interfaces whose address changes: connections follow.
 */

#include "ctl_world.h"
#include "core/vmp_ctl_int.h"

#include <string.h>

#define RECOVER  (7 * SEC)              /* the application drains within 4 s */


static uint8_t first[VMP_CTL_MAX_LEN];
static size_t  first_len;

static void tap_connect(unsigned node, const void *data, size_t length)
{
    vmp_ctl_msg_t msg;

    if ((vmp_ctl_msg_unpack(data, length, &msg) == 0) &&
        (msg.type == ((node == 0) ? VMP_CTL_CONNECT : VMP_CTL_CONNECT_ACK))) {
        memcpy(first, data, length);
        first_len = length;
    }
}

static void begin(uint64_t seed)
{
    world_begin(seed);
    world.tap = tap_connect;
    app_connect(0, 1);
    world_run(5000);
    world.tap = NULL;
    world_run(100 * MSEC);
    app_connect(1, 0);
    world_run(100 * MSEC);
    app_check_pair(0, 1, 1);
}

/* All paths of a connection die and come back: both find each other */
static void check_repair(unsigned n)
{
    app_conn_t *conn = app_find(n, world.nodes[1 - n].id, 0, NULL);
    uint32_t epoch   = conn->paths[0].epoch;
    unsigned i;

    app_fail_path(n, app_slot(n, 1 - n), 0);
    app_cmd(n, app_slot(n, 1 - n), VMP_CMD_NEED, 0);
    world_run(RECOVER);
    app_check_pair(0, 1, 1);
    for (i = 0; i < 2; i++) {
        conn = app_find(i, world.nodes[1 - i].id, 0, NULL);
        VMP_CHECK(conn->paths[0].epoch > epoch);
        VMP_CHECK(memcmp(&conn->paths[0].qp->remote.addr,
                         &world.nodes[1 - i].addr,
                         sizeof(vmp_rail_addr_t)) == 0);
        VMP_CHECK(world.nodes[i].num_failed == 0);
    }
    world_check_idle();
}

/* The device says so, or it shows when a path is to be repaired */
static void test_move(uint64_t seed)
{
    unsigned n  = seed % 2;
    int is_said = seed / 2 % 2;

    begin(seed);
    if (seed / 4 % 2) {
        world.loss      = 500;
        world.dup       = 300;
        world.delay_max = 3 * MSEC;
    }
    node_move(n, is_said);
    world_run(is_said ? 500 * MSEC : 0);
    /* who has not heard of it cannot ask */
    check_repair(is_said ? world_rand(2) : n);
    VMP_CHECK(world.num_forgotten == 1);
    world_cleanup();
}

/* What an address that was left just now says is late */
static void test_late(void)
{
    vmp_ctl_msg_t msg;

    begin(1);
    node_move(0, 1);
    world_run(MSEC);
    world_inject(1, first, first_len);
    world_run(MSEC);
    check_repair(1);

    /* it may be had again */
    world.nodes[0].addr.gid[12] -= 2;
    node_move(0, 1);
    world_run(100 * MSEC);
    VMP_CHECK(vmp_ctl_msg_unpack(first, first_len, &msg) == 0);
    VMP_CHECK(memcmp(&msg.rail, &world.nodes[0].addr, sizeof(msg.rail)) == 0);
    check_repair(1);
    world_cleanup();
}

/* Of an interface with itself; and while it connects */
static void test_others(void)
{
    world_begin(2);
    app_connect(0, 0);
    world_run(100 * MSEC);
    node_move(0, 1);
    app_fail_path(0, app_slot(0, 0), 0);
    world_run(RECOVER);
    app_check_pair(0, 0, 1);

    world_cleanup();

    /* when the peer knows the old one, and its answer is at the door */
    world_begin(3);
    world.delay_max = 1;
    world.tap       = tap_connect;
    app_connect(0, 1);
    world_run(15000);
    VMP_CHECK(world.sent_types[VMP_CTL_CONNECT_ACK] == 1);
    world.tap = NULL;
    world_clear_net();
    world.nodes[0].addr.gid[12]++;
    vmp_ctl_rail_event(world.nodes[0].ctl, 0, 1, world.now);
    world_inject(0, first, first_len);
    world_run(2 * SEC);
    app_check_pair(0, 1, 1);
    world_cleanup();

    world_begin(4);
    world.lost_type = VMP_CTL_CONNECT_ACK;
    app_connect(0, 1);
    world_run(100 * MSEC);
    node_move(0, 1);
    world.lost_type = 0;
    world_run(2 * SEC);
    app_check_pair(0, 1, 1);
    world_cleanup();
}

/* Node 0 connects to node 1, which has moved that often; its CONNECT is kept in
 * `first`, and no other one comes for now */
static void begin_late(uint64_t seed, uint64_t id, unsigned moves)
{
    world_init(seed);
    node_open(0, 10);
    node_open(1, id);                   /* who is lower asks for paths */
    for (; moves > 0; --moves) {
        node_move(1, 1);
    }

    world.delay_max = 1;
    world.tap       = tap_connect;
    first_len       = 0;
    app_connect(0, 1);
    world_run(5000);
    VMP_CHECK(first_len > 0);
    world.tap = NULL;
    world_clear_net();
}

/* A CONNECT from before the move was at the door, and the answer to it is lost:
 * who sent it goes on asking where nobody is. `both`: this side connects, too. */
static void test_late_connect(uint64_t id, int both, unsigned moves)
{
    begin_late(6, id, moves);
    world.lost_type = VMP_CTL_CONNECT_ACK;
    node_move(1, 1);
    if (both) {
        app_connect(1, 0);
    }

    world_inject(1, first, first_len);
    world_run(MSEC);
    world.lost_type = 0;
    world_run(3 * SEC);
    app_check_pair(0, 1, 1);
    world_cleanup();
}

/* The same, but who is asked knows the new address: its application said so. It
 * moves, too, before it hears more. */
static void test_late_word(uint64_t id)
{
    begin_late(6, id, 0);
    world.loss = 1000;
    node_move(0, 0);
    app_connect(1, 0);
    world_run(1000);
    world_inject(1, first, first_len);
    world_run(MSEC);
    node_move(1, 1);
    world_run(10 * MSEC);
    world.loss = 0;
    world_run(3 * SEC);
    app_check_pair(0, 1, 1);
    check_repair(0);
    world_cleanup();
}

/* An answer from before the move, which was at the door all the time, does not
 * mean that the peer has heard of it */
static void test_late_answer(void)
{
    world_begin(5);
    world.delay_max = 1;
    world.tap       = tap_connect;
    app_connect(0, 1);
    world_run(15000);
    VMP_CHECK(world.sent_types[VMP_CTL_CONNECT_ACK] == 1);
    world.tap = NULL;
    world_run(100 * MSEC);
    app_connect(1, 0);
    world_run(100 * MSEC);
    world.lost_type = VMP_CTL_CONNECT;
    node_move(0, 1);
    world_run(MSEC);
    world_inject(0, first, first_len);
    world_run(MSEC);
    world.lost_type = 0;
    world_run(500 * MSEC);
    check_repair(1);
    world_cleanup();
}

/* Two that move at the same time do not find each other, unless one of them is
 * told where the other one is */
static void test_hint(unsigned n)
{
    vmp_rail_addr_t addr;

    begin(6);
    world.loss = 1000;
    node_move(0, 1);
    node_move(1, 1);
    world_run(100 * MSEC);
    world.loss = 0;
    app_fail_path(n, app_slot(n, 1 - n), 0);
    world_run(WORLD_TIMEOUT / 2);
    VMP_CHECK(app_find(n, world.nodes[1 - n].id, 0, NULL)->paths[0].state !=
              APP_PATH_UP);
    app_connect(n, 1 - n);
    world_run(RECOVER);
    app_check_pair(0, 1, 1);
    check_repair(n);
    world_cleanup();

    /* the same while it connects */
    world_begin(7);
    addr = world.nodes[1 - n].addr;
    world.nodes[1 - n].addr.gid[12]++;
    app_connect(n, 1 - n);
    world.nodes[1 - n].addr = addr;
    world_run(WORLD_TIMEOUT / 2);
    VMP_CHECK(!app_find(n, world.nodes[1 - n].id, 0, NULL)->is_agreed);
    app_connect(n, 1 - n);
    world_run(100 * MSEC);
    app_check_pair(0, 1, 1);
    world_cleanup();
}

static const vmp_ctl_conn_t *conn_of(unsigned n)
{
    const vmp_ctl_t *ctl = world.nodes[n].ctl;

    return ctl->slots[app_slot(n, 1 - n)];
}

static int is_unsure(unsigned n)
{
    return vmp_ctl_addr_is_unsure(conn_of(n));
}

/* What the application says last counts, until the peer has shown where it is:
 * nobody goes on asking elsewhere */
static void test_last_word(unsigned back)
{
    vmp_rail_addr_t addr;

    begin_late(8, 20, 0);
    world.loss = 1000;
    addr       = world.nodes[0].addr;
    if (!back) {
        world.nodes[0].addr.gid[12]++;
    }

    app_connect(1, 0);
    world_run(1000);
    world.nodes[0].addr = addr;
    world.nodes[0].addr.gid[12] += back;
    app_connect(1, 0);
    world_run(1000);
    world.nodes[0].addr = addr;
    VMP_CHECK(is_unsure(1));
    if (back) {
        app_connect(1, 0);
        world_run(1000);
        VMP_CHECK(!is_unsure(1));
    }

    world_inject(1, first, first_len);
    world_run(1000);
    VMP_CHECK(!is_unsure(1));
    world.loss = 0;
    world_run(3 * SEC);
    app_check_pair(0, 1, 1);
    app_connect(1, 0);
    world_run(100 * MSEC);
    VMP_CHECK(!is_unsure(0) && !is_unsure(1));
    world_cleanup();
}

/* The application's word was old, the peer's right */
static void test_old_word(void)
{
    vmp_rail_addr_t addr;

    world_init(9);
    node_open(0, 10);
    node_open(1, 20);
    addr = world.nodes[0].addr;
    world.nodes[0].addr.gid[12]++;
    app_connect(1, 0);
    world_run(1000);
    world.nodes[0].addr = addr;
    app_connect(0, 1);
    world_run(3 * SEC);
    app_check_pair(0, 1, 1);
    VMP_CHECK(!is_unsure(0) && !is_unsure(1));
    world_cleanup();
}

/* What a peer says of where it was comes after an endpoint was made with where
 * it is, a third place or the first one again: it is still tried there, as it
 * could not find us if we moved, too */
static void test_old_news(int is_first)
{
    vmp_rail_addr_t addr;

    begin(10);
    addr       = world.nodes[0].addr;
    world.loss = 1000;
    world.tap  = tap_connect;
    node_move(0, 1);
    world_run(1000);
    world.tap = NULL;
    if (is_first) {
        world.nodes[0].addr = addr;
    } else {
        node_move(0, 0);
    }

    app_connect(1, 0);
    world_run(1000);
    world_inject(1, first, first_len);
    world_run(1000);
    VMP_CHECK(is_unsure(1));
    node_move(1, 1);
    world_run(100 * MSEC);
    world.loss = 0;
    check_repair(1);
    VMP_CHECK(!is_unsure(1));
    world_cleanup();
}

/* A peer moves, and gives up a connection that the other side still has. It is
 * asked where an endpoint is made to: what it says from there is its own word */
static void test_gone_elsewhere(void)
{
    begin(11);
    world.loss = 1000;
    node_move(0, 1);
    app_fail_path(0, app_slot(0, 1), 0);
    app_cmd(0, app_slot(0, 1), VMP_CMD_NEED, 0);
    world_run(2 * WORLD_TIMEOUT);
    VMP_CHECK(world.nodes[0].num_failed == 1);
    VMP_CHECK(world.nodes[1].num_failed == 0);
    world.loss = 0;
    app_connect(1, 0);
    world_run(100 * MSEC);
    VMP_CHECK(world.nodes[1].num_failed == 1);
    world_cleanup();
}

int main(void)
{
    unsigned i;

    for (i = 0; i < 400; i++) {
        test_move(i);
    }
    test_late();
    test_late_connect(20, 0, 0);
    test_late_connect(20, 1, 0);
    test_late_connect(5, 0, 0);
    test_late_connect(5, 1, 0);
    test_late_connect(20, 0, 254);
    test_late_connect(20, 0, 255);      /* its generation begins anew */
    test_late_connect(5, 1, 255);
    test_late_word(20);
    test_late_word(5);
    test_late_answer();
    test_hint(0);
    test_hint(1);
    test_last_word(0);
    test_last_word(1);
    test_old_word();
    test_old_news(0);
    test_old_news(1);
    test_gone_elsewhere();
    test_others();

    printf("test_ctl_addr: ok\n");
    return 0;
}
