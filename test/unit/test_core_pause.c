/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * A link is cut under bulk that fills slow links and their queues, as in the
 * lab: how long nothing completes, against how long the device needs to give
 * a path up. In virtual time.
 */

#include "core_work.h"
#include "core/vmp_path.h"

#include <stdlib.h>

#define LINKS       4
#define PATHS       4
#define DEPTH       8               /* puts in flight */
#define SIZE        262144          /* bytes of a put */
#define USEC        1000ull
#define MSEC        1000000ull

/* The device's own: four times 268 ms. Bound: what three round trips through
 * full queues, of 2 x 128 KiB at 6.25 MB/s, and the detection may take */
#define MAX_MEDIAN  (160 * MSEC)
#define MAX_NOISY   (260 * MSEC)
/* Of nine in ten, and of all: two control QPs may have lost what they sent */
#define MAX_PAUSE   (400 * MSEC)
#define MAX_LONGEST (1500 * MSEC)
#define STALL       (300 * MSEC)    /* everywhere, some time before the cut */


static region_t source, target;
static unsigned num_cuts;       /* VMP_TEST_CUTS */


static void net_begin(uint64_t seed)
{
    world_begin("cut under bulk", seed);
    sim_conf.links                = LINKS;
    sim_conf.is_symmetric         = 0;
    sim_conf.link.rate            = 6250000;
    sim_conf.link.delay           = 300 * USEC;
    world_params.num_paths        = PATHS;
    world_params.port.num_ud      = 2;
    world_params.port.timeout     = 16;     /* 268 ms */
    world_params.port.retry_count = 3;
    world_params.spread_thresh    = 4096;
    world_params.chunk_size       = 32768;
    world_params.path_window      = 131072;
    world_params.seg_size         = 8192;
    world_open(2);
}

static int put_start(stream_t *stream, comp_t *comp, unsigned slot)
{
    vmp_iov_t iov = {source.data + (slot * SIZE), SIZE, &source.mem};
    vmp_status_t status;

    memset(comp, 0, sizeof(*comp));
    status = vmp_ep_put_zcopy(&stream->ep, &iov, 1,
                              (uintptr_t)target.data + (slot * SIZE),
                              &target.rkey, comp);
    VMP_CHECK((status == VMP_INPROGRESS) || (status == VMP_ERR_NO_RESOURCE));
    return status == VMP_INPROGRESS;
}

/* Puts for so long. Return the longest time between the ends of two, ns. */
static uint64_t traffic(stream_t *stream, uint64_t duration)
{
    uint64_t end     = sim_now() + duration;
    uint64_t last    = sim_now();
    uint64_t longest = 0;
    unsigned head    = 0, tail = 0;
    comp_t comps[DEPTH];

    while ((sim_now() < end) || (tail < head)) {
        VMP_CHECK(sim_now() < (end + (10000 * MSEC)));
        while (((head - tail) < DEPTH) && (sim_now() < end) &&
               put_start(stream, &comps[head % DEPTH], head % DEPTH)) {
            ++head;
        }

        world_run(200 * USEC);
        while ((tail < head) && (comps[tail % DEPTH].calls == 1)) {
            VMP_CHECK(comps[tail % DEPTH].status == VMP_OK);
            if ((sim_now() - last) > longest) {
                longest = sim_now() - last;
            }
            last = sim_now();
            ++tail;
        }
    }

    return longest;
}

static void set_delay(uint64_t delay)
{
    unsigned i;

    for (i = 0; i < LINKS; ++i) {
        sim_link(0, 1, i)->delay = delay;
        sim_link(1, 0, i)->delay = delay;
    }
}

static uint64_t one_cut(uint64_t seed, int is_noisy)
{
    unsigned index = seed % PATHS;
    stream_t stream;
    vmp_path_t *path;
    uint64_t pause;
    unsigned link;

    net_begin(seed);
    region_make(&source, 0, DEPTH * SIZE, 1);
    region_make(&target, 1, DEPTH * SIZE, 2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, PATHS);
    traffic(&stream, 500 * MSEC);
    VMP_CHECK(world_nodes[0].iface->counters.paths_timed_out == 0);
    if (is_noisy) {
        set_delay(STALL);
        traffic(&stream, 2 * STALL);
        set_delay(300 * USEC);
        traffic(&stream, 500 * MSEC);
    }

    path = stream.ep.conn->paths[index];
    link = sim_link_of(0, 1, vmp_port_udp_sport(path->entropy));
    sim_link_cut(sim_link(0, 1, link), 1);
    sim_link_cut(sim_link(1, 0, link), 1);
    pause = traffic(&stream, 1500 * MSEC);
    VMP_CHECK(world_nodes[0].iface->counters.paths_timed_out > 0);
    VMP_CHECK(!stream.failed);
    stream_close(&stream);
    region_free(&source);
    region_free(&target);
    world_end();
    return pause;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t*)a;
    uint64_t y = *(const uint64_t*)b;

    return (x > y) - (x < y);
}

static void cuts(uint64_t seed, int is_noisy)
{
    uint64_t *pauses = calloc(num_cuts, sizeof(*pauses));
    unsigned i, tenth;

    VMP_CHECK((pauses != NULL) && (num_cuts > 0));
    for (i = 0; i < num_cuts; ++i) {
        pauses[i] = one_cut(seed + i, is_noisy);
    }

    qsort(pauses, num_cuts, sizeof(pauses[0]), compare_u64);
    tenth = (num_cuts - 1) * 9 / 10;
    printf("  pause of bulk after a cut%s: median %.1f ms, nine in ten to "
           "%.1f ms, longest %.1f ms\n",
           is_noisy ? ", all stood still before" : "",
           pauses[num_cuts / 2] / 1e6, pauses[tenth] / 1e6,
           pauses[num_cuts - 1] / 1e6);
    VMP_CHECK(pauses[num_cuts / 2] <= (is_noisy ? MAX_NOISY : MAX_MEDIAN));
    VMP_CHECK(pauses[tenth] <= MAX_PAUSE);
    VMP_CHECK(pauses[num_cuts - 1] <= MAX_LONGEST);
    free(pauses);
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 100);

    num_cuts = vmp_check_env("VMP_TEST_CUTS", 11);
    cuts(seed, 0);
    cuts(seed, 1);
    printf("test_core_pause: ok\n");
    return 0;
}
