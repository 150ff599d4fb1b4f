/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * How long paths take, as the core knows it: a network that is slow, and slow
 * in its own ways, is suspected of nothing.
 */

#include "core_work.h"
#include "core/vmp_path.h"

#define LINKS     4
#define NUM_LOAD  100000                /* operations */
#define LONG      65536                 /* bytes of a put */
#define USEC      1000ull
#define MSEC      1000000ull


typedef struct load {
    stream_t stream;
    stream_t back;                      /* messages the other way */
    work_t   work;
    unsigned in_flight;                 /* puts */
    unsigned started;                   /* operations */
    unsigned back_percent;              /* so many of them */
    uint64_t pause;                     /* between calls of progress, ns */
} load_t;

typedef struct put {
    comp_t comp;
    load_t *load;
} put_t;


static const vmp_iface_counters_t *counters(unsigned node)
{
    return &world_nodes[node].iface->counters;
}

/* Round trips of 3 to 7 ms, and 5 ms for what a window has */
static void net_begin(const char *name, uint64_t seed)
{
    world_begin(name, seed);
    sim_conf.links        = LINKS;
    sim_conf.is_symmetric = seed % 2;
    sim_conf.link.rate    = 12500000;
    sim_conf.link.delay   = 1500 * USEC;
    sim_conf.link.jitter  = 2000 * USEC;
    world_params.num_paths        = 4;
    world_params.port.num_ud      = 8;
    world_params.port.timeout     = 18;     /* 1 s */
    world_params.port.retry_count = 3;
    world_params.spread_thresh    = 4096;
    world_params.chunk_size       = 16384;
    world_params.path_window      = 65536;
    world_params.seg_size         = 8192;
    world_open(2);
}

static void put_done(comp_t *comp)
{
    put_t *put = (put_t*)comp;

    VMP_CHECK(comp->status == VMP_OK);
    --put->load->in_flight;
    free(put);
}

/* Return whether it was taken */
static int load_put(load_t *load, size_t length)
{
    vmp_iov_t iov = {load->work.local.data, length, &load->work.local.mem};
    put_t *put    = calloc(1, sizeof(*put));

    VMP_CHECK(put != NULL);
    put->comp.on_call = put_done;
    put->load         = load;
    if (vmp_ep_put_zcopy(&load->stream.ep, &iov, 1,
                         (uintptr_t)load->work.remote.data,
                         &load->work.remote.rkey,
                         &put->comp) != VMP_INPROGRESS) {
        free(put);
        return 0;
    }

    ++load->in_flight;
    return 1;
}

static int load_message(load_t *load)
{
    return stream_send(&load->stream, SEND_BCOPY, 16 + (sim_random() % 500),
                       NULL) == VMP_OK;
}

/* `num` operations, up to `depth` puts at a time, some of them long */
static void load_run(load_t *load, unsigned num, unsigned depth,
                     unsigned long_percent)
{
    unsigned end = load->started + num;
    int is_taken;

    while ((load->started < end) || (load->in_flight > 0)) {
        is_taken = (load->started < end) && (load->in_flight < depth);
        if (is_taken && ((sim_random() % 100) < long_percent)) {
            is_taken = load_put(load, LONG);
        } else if (is_taken && (sim_random() % 2)) {
            is_taken = load_put(load, 1 + (sim_random() % 3000));
        } else if (is_taken) {
            is_taken = load_message(load);
        }

        load->started += is_taken;
        if (load->back_percent > (sim_random() % 100)) {
            stream_send(&load->back, SEND_BCOPY, 100, NULL);
        }

        if (is_taken && ((sim_random() % 4) != 0)) {
            continue;
        }

        if (load->pause > 0) {
            world_nodes[0].is_paused = 1;
            world_run(load->pause);
            world_nodes[0].is_paused = 0;
            world_step();
        } else {
            world_run(20 * USEC * (1 + sim_random() % 50));
        }
    }
}

static void load_begin(load_t *load, const char *name, uint64_t seed)
{
    memset(load, 0, sizeof(*load));
    net_begin(name, seed);
    work_make(&load->work);
    stream_open(&load->stream, 0, 1);
    stream_open(&load->back, 1, 0);
    stream_wait_paths(&load->stream, 4);
}

static void load_end(load_t *load)
{
    VMP_CHECK(!load->stream.failed);
    stream_close(&load->stream);
    stream_close(&load->back);
    work_free(&load->work);
    world_end();
}

/* One request after the other, sooner than the last one is complete; then
 * single ones. How often they come says nothing of how long they take. */
static void load_periodic(load_t *load, uint64_t period)
{
    const vmp_conn_t *conn = load->stream.ep.conn;
    unsigned i;

    for (i = 0; i < 100; ++i) {
        VMP_CHECK(load_put(load, 100));
        world_run(period);
    }

    VMP_CHECK((conn->tx_path->watch.est.srtt > 4 * MSEC) &&
              (conn->tx_path->watch.est.srtt < 8 * MSEC));
    world_until(load->in_flight == 0, 100);
    load->started += i;
    load_run(load, 10, 1, 0);
}

/* Nothing is suspected, however such a network is used */
static void test_steady(uint64_t seed)
{
    uint64_t begin;
    unsigned depth;
    load_t load;

    load_begin(&load, "steady", seed);
    begin = sim_now();
    while (load.started < NUM_LOAD) {
        depth      = 1u << (sim_random() % 8);
        load.back_percent = 10 * (sim_random() % 5);
        load.pause = (sim_random() % 3) * 500 * USEC;
        load_run(&load, 50 * depth, depth, (sim_random() % 4) * 10);
        load_periodic(&load, (1 + sim_random() % 6) * 500 * USEC);
        world_run((sim_random() % 50) * MSEC);
    }

    printf("  %u operations in %.1f s: %lu suspicions, %lu by the peer\n",
           load.started, (sim_now() - begin) / 1e9,
           (unsigned long)counters(0)->paths_suspected,
           (unsigned long)counters(1)->paths_suspected);
    VMP_CHECK(counters(0)->paths_suspected == 0);

    /* whose messages wait behind the other's puts knows that by experience
     * only */
    VMP_CHECK(counters(1)->paths_suspected < 10);
    VMP_CHECK(counters(1)->paths_timed_out == 0);
    load_end(&load);
}

/* But a link that is cut is found out, soon for such a network */
static void test_cut(uint64_t seed)
{
    load_t load;
    uint64_t begin;
    unsigned link;

    load_begin(&load, "cut", seed);
    load_run(&load, 2000, 16, 10);
    VMP_CHECK(counters(0)->paths_suspected == 0);
    link = sim_link_of(0, 1, vmp_port_udp_sport(
                       load.stream.ep.conn->tx_path->entropy));
    sim_link_cut(sim_link(0, 1, link), 1);
    begin = sim_now();
    load_run(&load, 20, 16, 0);
    printf("  %.1f ms after the cut all is done\n", (sim_now() - begin) / 1e6);
    VMP_CHECK((sim_now() - begin) < 200 * MSEC);
    load_end(&load);
}

static void run(uint64_t seed)
{
    unsigned i;

    test_steady(seed);
    for (i = 0; i < 8; ++i) {
        test_cut(seed + i);
    }
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    run(seed);
    world_sleeps = 1;
    run(seed);
    printf("test_core_timing: ok\n");
    return 0;
}
