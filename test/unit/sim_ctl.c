/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Control state machines in the small world of ctl_world.h: random schedules on
 * bad networks, and hostile input. VMP_TEST_SEED chooses the first seed,
 * VMP_TEST_ROUNDS how many schedules, VMP_TEST_LOG=1..5 shows log lines.
 */

#include "ctl_world.h"
#include "core/vmp_ctl_int.h"

#include <string.h>


static void random_action(void)
{
    unsigned n    = world_rand(WORLD_NODES);
    unsigned peer = world_rand(WORLD_NODES);
    uint8_t role  = (n == peer) ? world_rand(2) : 0;
    node_t *node  = &world.nodes[n];
    uint32_t slot;

    if (node->ctl == NULL) {
        if (world_rand(4) == 0) {
            node_open(n, 0);
        }
        return;
    }

    switch (world_rand(16)) {
    case 0 ... 4:
        if (world.nodes[peer].ctl != NULL) {
            app_connect(n, peer);
        }
        return;
    case 5:
        if (world_rand(4) == 0) {
            node_close(n);
        }
        return;
    case 6:
        node->is_lazy = world_rand(2);
        return;
    case 7:
        world.is_ud_dead[n][world_rand(WORLD_UD)] = world_rand(2);
        return;
    case 8:
        node->qps_left = world_rand(3) ? UINT32_MAX : world_rand(10);
        return;
    case 9:
        node->connects_left = world_rand(3) ? UINT32_MAX : world_rand(10);
        return;
    default:
        break;
    }

    if (app_find(n, world.nodes[peer].id, role, &slot) == NULL) {
        return;
    }

    switch (world_rand(8)) {
    case 0:
        app_cmd(n, slot, VMP_CMD_FAIL, 0);
        break;
    case 2 ... 3:
        app_fail_path(n, slot, world_rand(WORLD_PATHS));
        break;
    case 4:
        app_prove_path(n, slot, world_rand(WORLD_PATHS));
        break;
    case 1:
        app_cmd(n, slot, world_rand(2) ? VMP_CMD_IDLE : VMP_CMD_NEED, 0);
        break;
    default:
        app_cmd(n, slot, VMP_CMD_WANT_PATHS, world_rand(256));
        break;
    }
}

/* With the network good again everybody reaches everybody */
static void converge(void)
{
    unsigned n, p, round;
    uint32_t slot;
    int is_done;

    world.loss = world.dup = 0;
    world.delay_max        = 100000;
    memset(world.is_ud_dead, 0, sizeof(world.is_ud_dead));
    for (n = 0; n < WORLD_NODES; n++) {
        if (world.nodes[n].ctl == NULL) {
            node_open(n, 0);
        }
        world.nodes[n].is_lazy       = 0;
        world.nodes[n].qps_left      = UINT32_MAX;
        world.nodes[n].connects_left = UINT32_MAX;
    }

    for (round = 0, is_done = 0; !is_done; round++) {
        VMP_CHECK(round < 8);
        is_done = 1;
        for (n = 0; n < WORLD_NODES; n++) {
            for (p = 0; p < WORLD_NODES; p++) {
                app_connect(n, p);
                is_done &= app_is_pair_up(n, p, WORLD_PATHS);
                if (app_find(n, world.nodes[p].id, 0, &slot) == NULL) {
                    continue;
                }

                /* All GOODBYEs may have been lost: then the RC retries of what
                 * is sent tell */
                app_cmd(n, slot, ((round == 3) &&
                                  !app_is_pair_up(n, p, WORLD_PATHS)) ?
                        VMP_CMD_FAIL : VMP_CMD_WANT_PATHS, WORLD_PATHS);
            }
        }
        world_run(1500 * MSEC);
    }

    for (n = 0; n < WORLD_NODES; n++) {
        for (p = 0; p < WORLD_NODES; p++) {
            app_check_pair(n, p, WORLD_PATHS);
        }
    }
}

static void test_schedule(uint64_t seed)
{
    unsigned n, steps;

    world_init(seed);
    world.loss      = world_rand(3) ? world_rand(400) : 0;
    world.dup       = world_rand(3) ? world_rand(300) : 0;
    world.delay_max = world_rand(2) ? 100000 : 1 + world_rand(200 * MSEC);
    for (n = 0; n < WORLD_NODES; n++) {
        node_open(n, 0);
    }

    for (steps = world_rand(60); steps > 0; steps--) {
        random_action();
        world_run(world_rand(world_rand(4) ? 30 * MSEC : 1500 * MSEC));
    }

    if (world_rand(4) != 0) {
        converge();
    }
    world_cleanup();
}

/* Helper threads that get no CPU for a while, longer than a repetition takes and
 * shorter than the peer timeout, on a network that loses nothing: nobody is taken
 * for dead */
static void test_stalls(uint64_t seed)
{
    uint64_t busy[WORLD_NODES] = {0};
    unsigned n, steps;
    node_t *node;

    world_init(seed);
    world.dup       = world_rand(2) ? world_rand(300) : 0;
    world.delay_max = world_rand(2) ? 100000 : 1 + world_rand(50 * MSEC);
    for (n = 0; n < WORLD_NODES; n++) {
        node_open(n, 0);
    }

    for (steps = 20 + world_rand(40); steps > 0; steps--) {
        n    = world_rand(WORLD_NODES);
        node = &world.nodes[n];
        if (world_rand(2)) {
            app_connect(n, world_rand(WORLD_NODES));
        } else if (busy[n] <= world.now) {
            node->still_until = world.now + VMP_CTL_RTO_MIN +
                                world_rand(WORLD_TIMEOUT / 3);
            /* in between it answers whoever asks */
            busy[n]           = node->still_until + VMP_CTL_RTO_MAX +
                                (VMP_CTL_RTO_MAX / 4);
        }
        world_run(world_rand(world_rand(4) ? 30 * MSEC : 500 * MSEC));
    }

    world_run(WORLD_TIMEOUT);
    for (n = 0; n < WORLD_NODES; n++) {
        VMP_CHECK(world.nodes[n].num_failed == 0);
    }
    converge();
    world_cleanup();
}


/* Hostile input: datagrams seen before, changed in some places. Anything may
 * fail, but orderly. */

#define SEEN_MAX  64

static uint8_t  seen[SEEN_MAX][VMP_CTL_MAX_LEN];
static size_t   seen_len[SEEN_MAX];
static unsigned seen_num;

static void tap_seen(unsigned node, const void *data, size_t length)
{
    unsigned i = seen_num++ % SEEN_MAX;

    (void)node;
    memcpy(seen[i], data, length);
    seen_len[i] = length;
}

static void hostile_inject(void)
{
    unsigned i = world_rand((seen_num < SEEN_MAX) ? seen_num : SEEN_MAX);
    uint8_t buf[VMP_CTL_MAX_LEN];
    vmp_ctl_msg_t msg;
    unsigned flips;

    memcpy(buf, seen[i], sizeof(buf));
    if (vmp_ctl_msg_unpack(buf, seen_len[i], &msg) == 0) {
        switch (world_rand(8)) {
        case 0:
            msg.type = 1 + world_rand(VMP_CTL_LAST - 1);
            break;
        case 1:
            msg.epoch += world_rand(5) - 2;
            break;
        case 2:
            msg.path = world_rand(VMP_MAX_PATHS);
            break;
        case 3:
            msg.src_incarn += world_rand(5) - 2;
            break;
        case 4:
            msg.dst_incarn += world_rand(5) - 2;
            break;
        case 5:
            msg.reason = world_rand(VMP_REASON_LAST);
            break;
        default:
            break;
        }
        vmp_ctl_msg_pack(buf, &msg);
    }

    for (flips = world_rand(3); flips > 0; flips--) {
        buf[world_rand(seen_len[i])] ^= 1 << world_rand(8);
    }
    for (i = 0; i < WORLD_NODES; i++) {
        if (world.nodes[i].ctl != NULL) {
            world_inject(i, buf, vmp_ctl_msg_unpack(buf, sizeof(buf), &msg) ?
                         (buf[6] << 8 | buf[7]) % sizeof(buf) : sizeof(buf));
        }
    }
}

static void test_hostile(uint64_t seed)
{
    unsigned n, steps;

    world_init(seed);
    world.tap = tap_seen;
    seen_num  = 0;
    for (n = 0; n < WORLD_NODES; n++) {
        node_open(n, 0);
    }
    app_connect(0, 1);
    app_connect(2, 0);
    world_run(world_rand(10 * MSEC));

    for (steps = 0; steps < 100; steps++) {
        hostile_inject();
        if (steps % 8 == 0) {
            random_action();
        }
        world_run(world_rand(20 * MSEC));
    }
    world_cleanup();
}

int main(void)
{
    uint64_t seed   = vmp_check_env("VMP_TEST_SEED", 1);
    uint64_t rounds = vmp_check_env("VMP_TEST_ROUNDS", 2000);
    uint64_t i;

    for (i = 0; i < rounds; i++) {
        test_schedule(seed + i);
    }
    for (i = 0; i < rounds / 2; i++) {
        test_stalls(seed + i);
    }
    for (i = 0; i < rounds / 4; i++) {
        test_hostile(seed + i);
    }

    printf("sim_ctl: ok, %lu schedules\n", (unsigned long)rounds);
    return 0;
}
