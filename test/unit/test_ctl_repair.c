/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * How soon paths are repaired, and what is said of it.
 */

#include "ctl_world.h"
#include "core/vmp_ctl_int.h"

#include <stdlib.h>
#include <string.h>

#define PSN_EPOCHS  20
#define HEARD       "nothing was heard of it for "

static char     last_up[512];
static char     last_down[512];
static unsigned num_up, num_down, num_there, num_all, num_left_out;
static unsigned num_missing, num_back;

static void on_log(vmp_log_level_t level, const char *text)
{
    num_back += (strstr(text, "goes back from") != NULL);
    if (level > VMP_LOG_DIAG) {
        return;
    }

    num_all++;
    if (strstr(text, "is up again after") != NULL) {
        num_up++;
        snprintf(last_up, sizeof(last_up), "%s", text);
    } else if (strstr(text, "no path is up any more") != NULL) {
        num_down++;
    } else if (strstr(text, "failed there") != NULL) {
        num_there++;
    } else if (strstr(text, "were left out") != NULL) {
        num_left_out++;
    } else if (strstr(text, "not all of") != NULL) {
        num_missing++;
    } else if (strstr(text, "is lost") != NULL) {
        snprintf(last_down, sizeof(last_down), "%s", text);
    }
}

static void begin(uint64_t seed, unsigned num_paths)
{
    world_begin(seed);
    world.drain_max = MSEC;
    num_all         = num_up = num_down = num_there = num_left_out = 0;
    num_missing     = num_back = 0;
    world_on_log    = on_log;
    app_connect(0, 1);
    world_run(100 * MSEC);
    app_cmd(0, app_slot(0, 1), VMP_CMD_WANT_PATHS, num_paths);
    world_run(100 * MSEC);
    app_check_pair(0, 1, num_paths);
}

/* Path 0 of node n fails. Return how long it takes until it is up again, ns. */
static uint64_t repair(unsigned n)
{
    uint64_t begin = world.now;

    app_fail_path(n, app_slot(n, 1 - n), 0);
    world_run(3 * MSEC);
    while (!app_is_pair_up(0, 1, 1)) {
        world_run(MSEC);
        VMP_CHECK(world.now - begin < 2 * SEC);
    }

    return world.now - begin;
}

/* Who does not carry is repaired ever more rarely, but for ever, however long
 * it takes to find out; who carried for a while is so at once */
static void test_backoff(unsigned n)
{
    uint64_t time = 0;
    unsigned i;

    begin(n, 2);
    world_run(2 * SEC);
    VMP_CHECK(repair(n) < 20 * MSEC);
    for (i = 0; i < 20; i++) {
        world_run(1500 * MSEC);
        time = repair(n);
        VMP_CHECK(time < VMP_CTL_REPAIR_MAX + 50 * MSEC);
        VMP_CHECK((i < 6) || (time >= VMP_CTL_REPAIR_MAX));
    }

    VMP_CHECK(num_up == 0);
    for (i = 0; i < 2; i++) {
        app_prove_path(i, app_slot(i, 1 - i), 0);
    }
    world_run(2 * MSEC);                /* then it goes home */
    VMP_CHECK((num_up == 2) && (strstr(last_up, "try 21") != NULL));
    VMP_CHECK((num_down == 0) && (num_there <= 2) && (num_left_out == 0));
    world_on_log = NULL;
    world_cleanup();
}

/* There is no other path: soon, whoever of the two has the endpoint */
static void test_backoff_of_one(unsigned n)
{
    uint64_t time = 0;
    unsigned i;

    world_begin(1);
    world.drain_max = MSEC;
    app_connect(n, 1 - n);
    world_run(100 * MSEC);
    for (i = 0; i < 12; i++) {
        time = repair(n);
        VMP_CHECK(time < VMP_CTL_REPAIR_LAST + 50 * MSEC);
    }

    VMP_CHECK(time >= VMP_CTL_REPAIR_LAST);
    world_cleanup();
}

/* Each time over another way */
static void test_ports(void)
{
    uint32_t seen[VMP_CTL_FAILED_PORTS];
    uint16_t port;
    unsigned i, j;

    begin(1, 1);
    for (i = 0; i < 100; i++) {
        port = vmp_port_udp_sport(app_find(0, 20, 0, NULL)->paths[0].entropy);
        for (j = 0; j < ((i < VMP_CTL_FAILED_PORTS) ? i : VMP_CTL_FAILED_PORTS);
             j++) {
            VMP_CHECK(seen[j] != port);
        }
        seen[i % VMP_CTL_FAILED_PORTS] = port;
        repair(i % 2);
    }
    world_on_log = NULL;
    world_cleanup();
}

/* Each epoch begins with another PSN, on both sides: a late packet for a QP
 * number that is used again fits none (R6) */
static void test_first_psn(void)
{
    uint32_t seen[2 * PSN_EPOCHS];
    unsigned num = 0;
    unsigned i, j, n;

    begin(1, 1);
    for (i = 0; i < PSN_EPOCHS; i++) {
        for (n = 0; n < 2; n++) {
            seen[num] = app_find(n, (n == 0) ? 20 : 10, 0,
                                 NULL)->paths[0].qp->remote.sq_psn;
            VMP_CHECK(seen[num] <= VMP_PSN_MAX);
            for (j = 0; j < num; j++) {
                /* far apart: also what was in flight in the old epoch */
                VMP_CHECK(((seen[num] - seen[j]) & VMP_PSN_MAX) > 256);
                VMP_CHECK(((seen[j] - seen[num]) & VMP_PSN_MAX) > 256);
            }
            num++;
        }
        repair(i % 2);
    }
    world_on_log = NULL;
    world_cleanup();
}

static uint32_t entropy(void)
{
    return app_find(0, 20, 0, NULL)->paths[0].entropy;
}

static void prove_path(unsigned index)
{
    app_prove_path(0, app_slot(0, 1), index);
    app_prove_path(1, app_slot(1, 0), index);
}

static void prove(void)
{
    prove_path(0);
}

/* Two paths that carry. Return the entropy value of the first one. */
static uint32_t begin_at_home(void)
{
    begin(1, 2);
    prove_path(1);
    prove();
    return entropy();
}

static void wait_for_home(uint32_t home, uint64_t max)
{
    uint64_t left = world.now;

    while ((entropy() != home) || !app_is_pair_up(0, 1, 2)) {
        VMP_CHECK(world.now - left < max);
        world_run(10 * MSEC);
    }
}

/* A way that a path prefers carries for some time and fails again: it is tried
 * ever more rarely; and if it lasts, soon */
static void test_home(void)
{
    uint64_t wait = 1000 * MSEC;
    unsigned renewed;
    uint32_t home;
    uint32_t away;
    uint64_t left;
    unsigned i;

    home = begin_at_home();
    for (i = 0; i < 8; i++) {
        world_run((i == 7) ? 40 * SEC : 1500 * MSEC);
        left = world.now;
        repair(0);
        VMP_CHECK(entropy() != home);
        prove();
        renewed = world.num_renewed;
        wait_for_home(home, 2 * wait);
        VMP_CHECK(world.now - left >= wait);
        /* all paths were up: nobody was asked for anything */
        VMP_CHECK((world.num_renewed == renewed) && (num_missing == 0));
        prove();
        wait = (i == 6) ? 1000 * MSEC : (i < 4) ? 2 * wait : wait;
    }

    /* it does not carry there at all: back to where it did */
    repair(0);
    away = entropy();
    prove();
    wait_for_home(home, 20 * SEC);
    repair(0);
    VMP_CHECK(entropy() == away);
    world_on_log = NULL;
    world_cleanup();
}

/* The peer has no QP for whoever goes home, since the last one is in quarantine */
static void test_home_refused(void)
{
    uint64_t left  = 0;
    uint64_t up    = 0;
    unsigned tries = 0;
    uint32_t home;
    unsigned i;

    home = begin_at_home();
    world_run(1500 * MSEC);
    repair(0);
    prove();
    for (i = 0; i < 60000; i++) {
        world_run(MSEC);
        if (num_back > tries) {
            tries = num_back;
            left  = world.now;
            world.nodes[1].qps_left = 0;
        } else if (world.now - left >= 2 * SEC) {
            world.nodes[1].qps_left = 1000000;
        }

        if (app_is_pair_up(0, 1, 1)) {
            up++;
            if (entropy() != home) {
                prove();
            }
        }
    }

    VMP_CHECK((num_back >= 3) && (num_back <= 10));
    VMP_CHECK(up > 60000 / 2);
    world_on_log = NULL;
    world_cleanup();
}

/* A path that comes and goes fills no log */
static void test_flapping(void)
{
    unsigned i;

    begin(1, 1);
    for (i = 0; i < 300; i++) {
        repair(0);
        app_prove_path(0, app_slot(0, 1), 0);
        app_prove_path(1, app_slot(1, 0), 0);
        world_run(10 * MSEC);
    }

    VMP_CHECK(num_down + num_up + num_there > 16);
    VMP_CHECK((num_left_out > 0) && (num_left_out * 2 < num_all));
    /* both sides */
    VMP_CHECK(num_all < 4 * (VMP_CTL_LOG_BURST + (world.now - 1000 * SEC) /
                             VMP_CTL_LOG_INTERVAL));
    world_on_log = NULL;
    world_cleanup();
}

/* Of a peer that is lost it is said what is known */
static void test_lost(void)
{
    const char *text;
    unsigned tries, num_uds;
    double silent;

    begin(1, 2);
    world_run(SEC);
    world.loss = 1000;
    app_fail_path(0, app_slot(0, 1), 0);
    app_fail_path(0, app_slot(0, 1), 1);
    app_cmd(0, app_slot(0, 1), VMP_CMD_NEED, 0);
    world_run(2 * WORLD_TIMEOUT);
    VMP_CHECK((num_down == 1) && (world.nodes[0].num_failed == 1));
    VMP_CHECK(strstr(last_down, "for 2.0 s, 0 tries; path 1 (UDP") != NULL);

    /* that was when the paths came up, a second before they failed */
    text = strstr(last_down, HEARD);
    VMP_CHECK(text != NULL);
    VMP_CHECK(sscanf(text + strlen(HEARD), "%lf s, though asked %u times "
                     "from %u control QPs", &silent, &tries, &num_uds) == 3);
    VMP_CHECK((silent > WORLD_TIMEOUT / 1e9 + 0.95) &&
              (silent < WORLD_TIMEOUT / 1e9 + 1.25));
    VMP_CHECK((tries > 0) && (num_uds == WORLD_UD));
    world_on_log = NULL;
    world_cleanup();
}

int main(void)
{
    test_backoff(0);
    test_backoff(1);
    test_ports();
    test_first_psn();
    test_home();
    test_home_refused();
    test_backoff_of_one(0);
    test_backoff_of_one(1);
    test_flapping();
    test_lost();

    printf("test_ctl_repair: ok\n");
    return 0;
}
