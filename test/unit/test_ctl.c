/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Control state machines in the small world of ctl_world.h, one situation after
 * the other. VMP_TEST_LOG=1..5 shows log lines.
 */

#include "ctl_world.h"
#include "core/vmp_ctl_int.h"

#include <string.h>


/* One side connects, either side wants more paths */
static void test_connect(unsigned from, unsigned wants)
{
    world_begin(1);
    app_connect(from, 1 - from);
    world_run(100 * MSEC);
    app_check_pair(0, 1, 1);
    VMP_CHECK(world.num_qps == 2);
    VMP_CHECK(world.sent_types[VMP_CTL_CONNECT] == 1);
    VMP_CHECK(app_find(0, 20, 0, NULL)->peer.credits == 16);

    app_cmd(wants, app_slot(wants, 1 - wants), VMP_CMD_WANT_PATHS, 200);
    world_run(100 * MSEC);
    app_check_pair(0, 1, WORLD_PATHS);

    /* Nothing to wait for: no timer */
    world_check_idle();
    app_cmd(from, app_slot(from, 1 - from), VMP_CMD_IDLE, 0);
    world_run(SEC);
    VMP_CHECK(world.sent_types[VMP_CTL_DISCONNECT] == 1);
    app_check_pair(0, 1, WORLD_PATHS);
    world_cleanup();
}

static void test_simultaneous(void)
{
    world_begin(2);
    app_connect(0, 1);
    app_connect(1, 0);
    world_run(100 * MSEC);
    app_check_pair(0, 1, 1);
    VMP_CHECK(world.num_qps == 2);
    VMP_CHECK(world.nodes[0].num_conn_evs == 1);
    VMP_CHECK(world.nodes[1].num_conn_evs == 1);
    world_check_idle();
    world_cleanup();
}

static void test_self(void)
{
    unsigned wants;

    for (wants = 0; wants < 2; wants++) {
        world_begin(3);
        app_connect(0, 0);
        world_run(100 * MSEC);
        VMP_CHECK(world.nodes[0].num_conns == 2);
        app_check_pair(0, 0, 1);
        app_cmd(0, app_slot(0, 0), VMP_CMD_WANT_PATHS, WORLD_PATHS);
        world_run(100 * MSEC);
        app_check_pair(0, 0, WORLD_PATHS);
        app_cmd(0, app_slot(0, 0), VMP_CMD_FAIL, 0);
        world_run(10 * SEC);
        VMP_CHECK(world.nodes[0].num_conns == 0);
        VMP_CHECK(world.num_qps == 0);
        world_cleanup();
    }
}

/* One side fails; the other hears of it, or only of the new connection */
static void test_fail(int is_goodbye_lost)
{
    uint32_t incarn;

    world_begin(6);
    app_connect(0, 1);
    world_run(100 * MSEC);
    app_connect(1, 0);
    world_run(10 * MSEC);
    world_num_alarms = 0;
    incarn           = app_find(0, 20, 0, NULL)->incarn;
    app_cmd(0, app_slot(0, 1), VMP_CMD_FAIL, 0);
    if (is_goodbye_lost) {
        world.loss = 1000;
        world_run(SEC);
        VMP_CHECK(world.nodes[1].num_failed == 0);
        world.loss = 0;
    } else {
        world_run(10 * MSEC);
        VMP_CHECK(world.nodes[1].num_failed == 1);
    }

    app_connect(0, 1);
    world_run(100 * MSEC);
    app_check_pair(0, 1, 1);
    VMP_CHECK(world.nodes[0].num_failed == 0);
    VMP_CHECK(world.nodes[1].num_failed == 1);
    VMP_CHECK(app_find_ended(1)->status == VMP_ERR_CONNECTION_RESET);
    VMP_CHECK(world_num_alarms == 0);       /* The application is told */
    VMP_CHECK(app_find(0, 20, 0, NULL)->incarn > incarn);
    VMP_CHECK(world.num_qps == 4);
    world_run(10 * SEC);
    VMP_CHECK(world.num_qps == 2);
    /* the one that lost it asks for the way anew */
    VMP_CHECK(world.num_forgotten >= 1);
    world_cleanup();
}

static void test_close(void)
{
    world_begin(7);
    app_connect(0, 1);
    world_run(100 * MSEC);
    node_close(1);
    world_run(10 * MSEC);
    VMP_CHECK(app_find_ended(0)->end == VMP_EV_PEER_CLOSED);
    world_run(10 * SEC);
    VMP_CHECK(world.nodes[0].num_conns == 0);
    VMP_CHECK(world.num_qps == 0);
    /* Other connections may go to the same host */
    VMP_CHECK(world.num_forgotten == 0);

    /* Its control QPs' numbers are another interface's now: no need to wait */
    node_open(1, 21);
    app_connect_to(0, 1, 20);
    world_run(10 * MSEC);
    VMP_CHECK(world.nodes[0].num_failed == 1);
    VMP_CHECK(world.nodes[1].num_conns == 0);
    VMP_CHECK(world.sent_types[VMP_CTL_REJECT] == 1);
    world_cleanup();
}

/* QPs run out for the first path, or a later one, at either side */
static void test_resources(unsigned who, unsigned qps, int at_connect)
{
    world_begin(8);
    world.delay_max = 1;                    /* In order: the last ones fail */
    if (at_connect) {
        world.nodes[who].connects_left = qps;
    } else {
        world.nodes[who].qps_left = qps;
    }
    app_connect(0, 1);
    world_run(100 * MSEC);
    if (qps == 0) {
        VMP_CHECK(world.nodes[0].num_failed == 1);
        VMP_CHECK(world.nodes[1].num_failed == 1);
        world_run(10 * SEC);
        VMP_CHECK(world.num_qps == 0);
    } else {
        app_cmd(1, app_slot(1, 0), VMP_CMD_WANT_PATHS, WORLD_PATHS);
        world_run(SEC);
        app_check_pair(0, 1, qps);
        world_run(10 * SEC);
        app_check_pair(0, 1, qps);
        VMP_CHECK(world.num_qps == 2 * qps);

        /* They give up until asked again */
        world_check_idle();
        world.nodes[who].qps_left = world.nodes[who].connects_left = 100;
        app_cmd(0, app_slot(0, 1), VMP_CMD_WANT_PATHS, WORLD_PATHS);
        world_run(SEC);
        app_check_pair(0, 1, WORLD_PATHS);
    }
    world_cleanup();
}

/* A datagram of a stranger with an address at node 2, which is closed */
static void stranger(vmp_ctl_msg_t *msg, unsigned type, uint64_t id,
                     uint32_t incarn)
{
    memset(msg, 0, sizeof(*msg));
    msg->version    = VMP_WIRE_VER_MAX;
    msg->type       = type;
    msg->src_id     = id;
    msg->dst_id     = world.nodes[0].id;
    msg->src_incarn = incarn;
    msg->src_qpn    = 0x999;
    msg->src_rail   = world.nodes[0].attr.addr[0];
    msg->ver_min    = msg->ver_max = VMP_WIRE_VER_MAX;
    msg->num_paths  = 4;
    msg->credits    = 1;
    msg->frame_size = 1024;
    msg->rail       = msg->src_rail;
    msg->iface      = (vmp_iface_addr_t){
        .id = id, .ver_min = VMP_WIRE_VER_MIN, .ver_max = VMP_WIRE_VER_MAX,
        .num_ud = 1, .ud_qpn = {0x999}
    };
    msg->src_rail.gid[15] = msg->rail.gid[15] = 2;
}

static void inject(const vmp_ctl_msg_t *msg)
{
    uint8_t buf[VMP_CTL_MAX_LEN];

    world_inject(0, buf, vmp_ctl_msg_pack(buf, msg));
}

static void test_version(void)
{
    uint8_t buf[VMP_CTL_MAX_LEN];
    vmp_ctl_msg_t msg;
    uint32_t slot;
    size_t length;

    world_begin(9);
    stranger(&msg, VMP_CTL_CONNECT, 5, 1);
    msg.ver_min = VMP_WIRE_VER_MAX + 1;
    msg.ver_max = VMP_WIRE_VER_MAX + 2;
    inject(&msg);
    VMP_CHECK(world.sent_types[VMP_CTL_REJECT] == 1);
    VMP_CHECK(world.sent_reasons[VMP_REASON_VERSION] == 1);
    VMP_CHECK(world.nodes[0].num_conns == 0);

    /* Of version 1, whose CONNECT is 4 bytes shorter: it is told, too */
    msg.ver_min = msg.ver_max = 1;
    length = vmp_ctl_msg_pack(buf, &msg) - 4;
    buf[7] = (uint8_t)length;
    world_inject(0, buf, length);
    VMP_CHECK(world.sent_types[VMP_CTL_REJECT] == 2);
    VMP_CHECK(world.sent_reasons[VMP_REASON_VERSION] == 2);
    VMP_CHECK(world.nodes[0].num_conns == 0);

    world.loss = 1000;
    app_connect(0, 1);
    world_run(MSEC);
    slot = app_slot(0, 1);
    stranger(&msg, VMP_CTL_REJECT, 20, 0);
    msg.reason     = VMP_REASON_VERSION;
    msg.ver_min    = VMP_WIRE_VER_MAX + 1;
    msg.ver_max    = VMP_WIRE_VER_MAX + 2;
    msg.dst_conn   = slot;
    msg.dst_incarn = world.nodes[0].conns[slot]->incarn + 1;
    inject(&msg);                           /* Of another incarnation */
    world_run(MSEC);
    VMP_CHECK(world.nodes[0].num_failed == 0);
    msg.dst_incarn--;
    inject(&msg);
    world_run(MSEC);
    VMP_CHECK(world.nodes[0].num_failed == 1);
    world_cleanup();
}

/* Strangers who only knock, in numbers */
static void test_half_open(void)
{
    vmp_ctl_msg_t msg;
    unsigned i;

    world_begin(10);
    for (i = 0; i < VMP_CTL_MAX_HALF_OPEN + 100; i++) {
        /* Nine who lead, with smaller ids; we lead the others */
        stranger(&msg, VMP_CTL_CONNECT, (i < 9) ? i + 1 : 1000000 + i, 1);
        inject(&msg);
        world.now += 10000;
        if (i % 64 == 0) {
            world_clear_net();
        }
    }
    app_poll(0);
    VMP_CHECK(world.nodes[0].num_conns == VMP_CTL_MAX_HALF_OPEN);
    VMP_CHECK(world.sent_types[VMP_CTL_REJECT] == 100);

    /* Those whom we asked for a path do not answer; the rest is remembered
     * while there is room */
    world_run(10 * SEC);
    VMP_CHECK(world.nodes[0].num_conns == 9);
    VMP_CHECK(world.num_qps == 0);
    world_cleanup();
}

/* Unknown and old messages are answered, answers are not, and not endlessly */
static void test_stale(void)
{
    vmp_ctl_msg_t msg;
    unsigned type, i;

    for (type = VMP_CTL_CONNECT_ACK; type < VMP_CTL_LAST; type++) {
        world_begin(11);
        stranger(&msg, type, 5, 1);
        msg.dst_incarn = 77;
        msg.qpn        = 1;
        msg.mtu        = 1;
        msg.epoch      = 1;
        msg.entropy    = 1;
        inject(&msg);
        VMP_CHECK(world.num_sent == ((type != VMP_CTL_GOODBYE) &&
                                     (type != VMP_CTL_REJECT) &&
                                     (type != VMP_CTL_DEAD)));
        for (i = 0; i < 10000; i++) {
            inject(&msg);
        }
        VMP_CHECK(world.num_sent <= VMP_CTL_ANSWER_BURST + 2);
        world_cleanup();
    }

    /* An older CONNECT than the one in use */
    world_begin(12);
    stranger(&msg, VMP_CTL_CONNECT, 5, 7);
    inject(&msg);
    msg.src_incarn = 6;
    msg.src_conn   = 1;
    inject(&msg);
    VMP_CHECK(world.sent_reasons[VMP_REASON_STALE] == 1);
    app_poll(0);
    VMP_CHECK(world.nodes[0].num_conn_evs == 1);
    VMP_CHECK(world.nodes[0].num_failed == 0);

    /* A newer one, once */
    msg.src_incarn = 8;
    inject(&msg);
    inject(&msg);
    app_poll(0);
    VMP_CHECK(world.nodes[0].num_conn_evs == 2);
    VMP_CHECK(world.nodes[0].num_failed == 1);
    world_cleanup();
}

/* Every part of what names a connection counts */
static void foreign(vmp_ctl_msg_t *msg, unsigned type, unsigned wrong)
{
    app_conn_t *conn = app_find(0, 20, 0, NULL);

    stranger(msg, type, 20 + (wrong == 1), conn->peer.peer_incarn);
    msg->reason      = VMP_REASON_FAILED;
    msg->src_conn    = conn->peer.peer_conn + (wrong == 2);
    msg->src_incarn += wrong == 3;
    msg->dst_conn    = app_slot(0, 1) + (wrong == 4);
    msg->dst_incarn  = conn->incarn + (wrong == 5);
    msg->dst_id     += wrong == 6;
    msg->role        = wrong == 7;
    msg->epoch       = conn->paths[0].epoch + (wrong == 8);
}

static void test_foreign(void)
{
    vmp_ctl_msg_t msg;
    unsigned wrong;

    /* nobody else says where the peer is now */
    world_begin(13);
    app_connect(0, 1);
    world_run(100 * MSEC);
    for (wrong = 1; wrong <= 7; wrong++) {
        foreign(&msg, VMP_CTL_CONNECT_ACK, wrong);
        msg.addr_gen++;
        msg.rail.gid[15]++;
        inject(&msg);
        VMP_CHECK(world.sent_reasons[VMP_REASON_STALE] ==
                  ((wrong < 7) ? wrong : 6));
        VMP_CHECK(memcmp(&world.nodes[0].ctl->slots[app_slot(0, 1)]->rail,
                         &world.nodes[1].addr, sizeof(msg.rail)) == 0);
    }
    world_run(MSEC);
    app_check_pair(0, 1, 1);
    VMP_CHECK(world.nodes[0].num_failed == 0);
    world_cleanup();

    world_begin(13);
    app_connect(0, 1);
    world_run(100 * MSEC);
    for (wrong = 1; wrong <= 8; wrong++) {
        foreign(&msg, VMP_CTL_DEAD, wrong);
        inject(&msg);
        if (wrong < 8) {
            foreign(&msg, VMP_CTL_GOODBYE, wrong);
            inject(&msg);
            foreign(&msg, VMP_CTL_DISCONNECT, wrong);
            inject(&msg);
            VMP_CHECK(world.sent_reasons[VMP_REASON_STALE] ==
                      ((wrong < 7) ? wrong : 6));
        }
        world_run(MSEC);
        app_check_pair(0, 1, 1);
    }

    foreign(&msg, VMP_CTL_DEAD, 0);
    inject(&msg);
    world_run(MSEC);
    VMP_CHECK(!app_is_pair_up(0, 1, 1));
    world_run(10 * SEC);
    VMP_CHECK(world.nodes[0].num_failed == 0);
    app_check_pair(0, 1, 1);
    VMP_CHECK(app_find(0, 20, 0, NULL)->paths[0].epoch == 2);
    world_cleanup();
}

/* Keeps what node 0 sends to node 1 */
static uint8_t  astray[64][VMP_CTL_MAX_LEN];
static size_t   astray_len[64];
static unsigned num_astray;

static void tap_astray(unsigned node, const void *data, size_t length)
{
    if ((node == 0) && (num_astray < 64)) {
        memcpy(astray[num_astray], data, length);
        astray_len[num_astray++] = length;
    }
}

/* What was meant for node 1 comes to node 2, or back to node 0 itself: neither
 * can speak for node 1, neither while it connects nor later */
static void test_astray(int is_connecting)
{
    unsigned to, i;

    world_begin(15);
    node_open(2, 30);
    num_astray = 0;
    world.tap  = tap_astray;
    if (is_connecting) {
        world.is_ud_dead[1][0] = world.is_ud_dead[1][1] = 1;
        world.is_ud_dead[1][2] = world.is_ud_dead[1][3] = 1;
    }
    app_connect(0, 1);
    app_connect(1, 0);
    world_run(100 * MSEC);
    if (!is_connecting) {
        app_cmd(0, app_slot(0, 1), VMP_CMD_WANT_PATHS, 2);
        world_run(100 * MSEC);
    }
    world.tap = NULL;
    VMP_CHECK(num_astray > 1);
    for (to = 0; to < 3; to += 2) {
        for (i = 0; i < num_astray; i++) {
            world_inject(to, astray[i], astray_len[i]);
        }
    }
    world_run(100 * MSEC);
    memset(world.is_ud_dead, 0, sizeof(world.is_ud_dead));
    world_run(2 * SEC);
    VMP_CHECK(world.nodes[0].num_failed == 0);
    VMP_CHECK(world.nodes[1].num_failed == 0);
    app_check_pair(0, 1, is_connecting ? 1 : 2);
    node_close(2);
    world_cleanup();
}

/* GOODBYE overtakes the CONNECT of the same connection */
static void test_late_connect(void)
{
    vmp_ctl_msg_t msg;
    uint32_t slot;

    world_begin(14);
    world.loss = 1000;
    app_connect(0, 1);
    world_run(MSEC);
    slot = app_slot(0, 1);
    stranger(&msg, VMP_CTL_GOODBYE, 20, 9);
    msg.reason     = VMP_REASON_FAILED;
    msg.dst_conn   = slot;
    msg.dst_incarn = world.nodes[0].conns[slot]->incarn;
    inject(&msg);
    world_run(MSEC);
    VMP_CHECK(world.nodes[0].num_failed == 1);
    stranger(&msg, VMP_CTL_CONNECT, 20, 9);
    inject(&msg);
    world_run(MSEC);
    VMP_CHECK(world.nodes[0].num_conns == 0);
    VMP_CHECK(world.sent_reasons[VMP_REASON_STALE] == 1);
    world_cleanup();
}

int main(void)
{
    unsigned i;

    for (i = 0; i < 4; i++) {
        test_connect(i / 2, i % 2);
    }
    test_simultaneous();
    test_self();
    test_fail(0);
    test_fail(1);
    test_close();
    for (i = 0; i < 8; i++) {
        test_resources(i % 2, (i & 2) ? 3 : 0, i / 4);
    }
    test_version();
    test_half_open();
    test_stale();
    test_foreign();
    test_late_connect();
    test_astray(0);
    test_astray(1);

    printf("test_ctl: ok\n");
    return 0;
}
