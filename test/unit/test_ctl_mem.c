/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Control runs out of memory, at each of its allocations in turn: a connection
 * may fail, but whoever waits for it hears of that, and memory that comes back
 * is used.
 */

#include "ctl_world.h"
#include "core/vmp_ctl_int.h"

#include <stdlib.h>

#define MAX_ALLOCS  200

/* Linked in place of the C library's */
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t num, size_t size);
void *__real_malloc(size_t size);
void *__real_calloc(size_t num, size_t size);

static unsigned num_allocs;             /* Control's, since begin() */
static unsigned fail_at;                /* The one that fails; 0: none */
static int      fail_all;


/* Control's allocations are told by their size */
static int is_failing(int is_control)
{
    return is_control && ((++num_allocs == fail_at) || fail_all);
}

void *__wrap_malloc(size_t size)
{
    return is_failing(size == sizeof(vmp_ev_t)) ? NULL : __real_malloc(size);
}

/* The world's commands come from here, too */
void *__wrap_calloc(size_t num, size_t size)
{
    int is_control = (size == sizeof(vmp_ctl_conn_t)) ||
                     (size == sizeof(vmp_ctl_path_t)) ||
                     (size == sizeof(vmp_ctl_peer_t)) ||
                     (size == sizeof(vmp_ctl_path_slot_t));

    return is_failing(is_control && (size != sizeof(vmp_cmd_t))) ?
           NULL : __real_calloc(num, size);
}

static void begin(unsigned fail)
{
    world_init(1);
    node_open(0, 10);
    node_open(1, 20);
    num_allocs = 0;
    fail_at    = fail;
}

static void connect_until_up(unsigned from)
{
    unsigned tries;

    for (tries = 0; tries < 4; tries++) {
        if (app_find(from, world.nodes[1 - from].id, 0, NULL) == NULL) {
            app_connect(from, 1 - from);
        }
        world_run(2 * WORLD_TIMEOUT);
        if (app_is_pair_up(0, 1, 1)) {
            return;
        }

        /* it must have been told */
        VMP_CHECK(world.nodes[from].num_failed > 0);
    }

    VMP_CHECK(!"connected");
}

/* Return whether the allocation was reached. */
static int test_one(unsigned fail)
{
    uint32_t slot;

    begin(fail);
    connect_until_up(fail % 2);
    VMP_CHECK(app_find(0, 20, 0, &slot) != NULL);
    app_cmd(0, slot, VMP_CMD_WANT_PATHS, WORLD_PATHS);
    world_run(2 * WORLD_TIMEOUT);
    VMP_CHECK(app_is_pair_up(0, 1, 1));
    app_cmd(0, slot, VMP_CMD_FAIL, 0);
    world_run(10 * SEC);
    VMP_CHECK(world.num_qps == 0);
    VMP_CHECK((world.nodes[0].num_conns == 0) &&
              (world.nodes[1].num_conns == 0));
    world_cleanup();
    return num_allocs >= fail;
}

/* There is no memory even to say so: it is said, or done, later */
static void test_stalled(void)
{
    begin(0);
    fail_all = 1;
    app_connect(0, 1);
    world_run(SEC);
    VMP_CHECK((world.nodes[0].num_conns == 0) &&
              (world.nodes[0].num_failed == 0));
    fail_all = 0;
    world_run(100 * MSEC);
    app_check_pair(0, 1, 1);
    world_cleanup();
}

int main(void)
{
    unsigned fail;

    for (fail = 1; (fail < MAX_ALLOCS) && test_one(fail); fail++);
    VMP_CHECK((fail > 10) && (fail < MAX_ALLOCS));
    test_stalled();
    printf("test_ctl_mem: ok, %u allocations\n", fail - 1);
    return 0;
}
