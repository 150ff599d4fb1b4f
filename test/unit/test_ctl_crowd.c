/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * A hundred connections of one interface lose a path at the same time, while a
 * quarter of the control datagrams gets lost on a dead link: what is fenced off
 * is so at once by most, and by all in the end, however short the queues are.
 */

#include "core_world.h"
#include "core/vmp_path.h"

#include <stdlib.h>

#define NUM    100
#define DELAY  5000                     /* ns: half a round trip */
#define MSEC   1000000ul


static stream_t streams[NUM];
static comp_t   comps[NUM];

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t*)a;
    uint64_t y = *(const uint64_t*)b;

    return (x > y) - (x < y);
}

/* One of four links carries no datagrams */
static void lose_datagrams(unsigned link, uint32_t ppm)
{
    unsigned i;

    for (i = 1; i < WORLD_HOSTS; ++i) {
        sim_link(0, i, link)->ud_loss = ppm;
        sim_link(i, 0, link)->ud_loss = ppm;
    }
}

/* All lose the path on which their message is. Return the median pause, ns. */
static uint64_t lose_paths(unsigned max_ms)
{
    uint64_t pauses[NUM];
    uint64_t begin = sim_now();
    vmp_conn_t *conn;
    unsigned i;

    memset(comps, 0, sizeof(comps));
    for (i = 0; i < NUM; ++i) {
        VMP_CHECK(stream_send(&streams[i], SEND_ZCOPY, 200, &comps[i]) ==
                  VMP_INPROGRESS);
        conn = streams[i].ep.conn;
        sim_qp_break(conn->tx_path->qp, VMP_WC_RETRY_EXC);
    }

    for (i = 0; i < NUM; ++i) {
        world_until(comps[i].calls == 1, max_ms);
        VMP_CHECK((comps[i].status == VMP_OK) && !streams[i].failed);
        pauses[i] = comps[i].time - begin;
    }

    qsort(pauses, NUM, sizeof(pauses[0]), compare);
    printf("  pause of %u: median %.3f ms, most %.3f ms, %lu datagrams\n", NUM,
           pauses[NUM / 2] / 1e6, pauses[NUM - 1] / 1e6,
           (unsigned long)sim_counters.ud_sent);
    VMP_CHECK(pauses[NUM - 1] < max_ms * MSEC);
    return pauses[NUM / 2];
}

static void test_crowd(uint64_t seed, unsigned queue, unsigned max_ms)
{
    uint64_t median, sent;
    unsigned i;

    world_begin("crowd", seed);
    sim_conf.link.delay        = DELAY;
    sim_conf.ud_queue          = queue;
    world_params.port.num_ud   = 4;
    world_params.spread_thresh = 4096;
    world_open(NUM + 1);
    for (i = 0; i < NUM; ++i) {
        stream_open(&streams[i], i + 1, 0);
    }
    for (i = 0; i < NUM; ++i) {
        stream_wait_paths(&streams[i], 4);
    }

    world_run(100 * MSEC);
    lose_datagrams(seed % 4, 1000000);
    sent   = sim_counters.ud_sent;
    median = lose_paths(max_ms);
    VMP_CHECK((queue < 256) || (median <= MSEC));

    /* every path is there again, and not by shouting */
    world_run(3000 * MSEC);
    for (i = 0; i < NUM; ++i) {
        stream_wait_paths(&streams[i], 4);
    }
    VMP_CHECK(sim_counters.ud_sent - sent < NUM * 60);
    lose_datagrams(seed % 4, 0);
    for (i = 0; i < NUM; ++i) {
        stream_close(&streams[i]);
    }
    world_end();
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);
    uint64_t i;

    for (i = seed; i < seed + 4; ++i) {
        test_crowd(i, 256, 50);
        test_crowd(i, 16, 1000);
    }

    printf("test_ctl_crowd: ok\n");
    return 0;
}
