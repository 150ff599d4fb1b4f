/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * How often a program that sleeps is woken up to look after its connections:
 * not more often the more it has.
 */

#include "core_work.h"
#include "core/vmp_path.h"

#define PEERS  200
#define MSEC   1000000ull
#define SEC    1000000000ull


static stream_t streams[PEERS];

static void wakeups_begin(const char *name, uint64_t seed)
{
    unsigned i;

    world_begin(name, seed);
    world_params.num_paths          = 2;
    world_params.spread_thresh      = 64;
    world_params.port.srq_depth     = 64;
    world_params.rx_max_bufs        = 256;
    world_params.port.min_rnr_timer = 18;       /* 5 ms */
    world_open(1 + PEERS);
    for (i = 0; i < PEERS; ++i) {
        stream_open(&streams[i], 0, 1 + i);
        VMP_CHECK(stream_send(&streams[i], SEND_SHORT, 16, NULL) ==
                  VMP_ERR_NO_RESOURCE);
    }

    for (i = 0; i < PEERS; ++i) {
        stream_wait_paths(&streams[i], 1);
    }

    world_run(100 * MSEC);
}

static void wakeups_end(void)
{
    unsigned i;

    for (i = 0; i < PEERS; ++i) {
        VMP_CHECK(!streams[i].failed);
        stream_close(&streams[i]);
    }

    world_end();
}

/* Wake-ups of node 0 in a second, with `per_sec` messages to others */
static uint64_t wakeups(unsigned num, unsigned per_sec)
{
    uint64_t begin = world_nodes[0].wakes;
    unsigned i;

    for (i = 0; i < 100; ++i) {
        if ((per_sec > 0) && ((i % (100 / per_sec)) == 0)) {
            VMP_CHECK(stream_send(&streams[sim_random() % num], SEND_SHORT, 16,
                                  NULL) == VMP_OK);
        }

        world_run(10 * MSEC);
    }

    return world_nodes[0].wakes - begin;
}

static void set_stopped(unsigned first, int is_stopped)
{
    unsigned i;

    for (i = first; i < PEERS; ++i) {
        world_nodes[1 + i].is_paused = is_stopped;
    }

    sim_conf.rnr_false = is_stopped ? 1000000 : 0;
}

static void test_wakeups(uint64_t seed)
{
    uint64_t idle, traffic, waiting, both;
    unsigned i;

    wakeups_begin("wake-ups", seed);
    idle    = wakeups(PEERS, 0);
    traffic = wakeups(PEERS, 50);
    world_run(100 * MSEC);

    /* something is in flight to each, and nothing comes back for long */
    set_stopped(0, 1);
    for (i = 0; i < PEERS; ++i) {
        VMP_CHECK(stream_send(&streams[i], SEND_SHORT, 16, NULL) == VMP_OK);
    }

    world_run(5 * SEC);
    waiting = wakeups(PEERS, 0);

    /* that was often enough: each path that should have moved was noticed */
    VMP_CHECK(world_nodes[0].iface->counters.paths_suspected >= PEERS);
    both    = wakeups(PEERS, 50);
    set_stopped(0, 0);
    for (i = 0; i < PEERS; ++i) {
        world_until(world_nodes[1 + i].next_seq[streams[i].id] ==
                    streams[i].seq, 1000);
    }

    printf("  wake-ups a second: idle %lu, with 50 messages %lu; waiting %lu, "
           "and with 50 messages %lu\n", (unsigned long)idle,
           (unsigned long)traffic, (unsigned long)waiting, (unsigned long)both);
    VMP_CHECK(idle <= 2);
    VMP_CHECK(traffic <= 4 * 50);
    VMP_CHECK(waiting <= 100);
    VMP_CHECK(both <= 100 + (4 * 50));
    wakeups_end();
}

/* Who was refused and does not try again waits no more, whether or not he keeps
 * his endpoint: the peer is left alone */
static void test_given_up(uint64_t seed, int is_closed)
{
    stream_t stream;
    uint64_t begin;
    vmp_conn_t *conn;

    world_begin(is_closed ? "given up, closed" : "given up", seed);
    world_open(2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    conn                     = stream.ep.conn;
    world_nodes[1].is_paused = 1;
    world_until(stream_send(&stream, SEND_SHORT, 16, NULL) ==
                VMP_ERR_NO_RESOURCE, 10000);
    world_until(conn->outstanding == 0, 10000);
    VMP_CHECK(stream_send(&stream, SEND_SHORT, 16, NULL) ==
              VMP_ERR_NO_RESOURCE);
    VMP_CHECK(vmp_conn_has_work(conn));
    if (is_closed) {
        stream_close(&stream);
        VMP_CHECK(!vmp_conn_has_work(conn));
    }

    world_run(4 * SEC);
    begin = world_nodes[0].wakes;
    world_run(20 * SEC);
    printf("  wake-ups in 20 s: %lu\n",
           (unsigned long)(world_nodes[0].wakes - begin));
    VMP_CHECK((world_nodes[0].wakes - begin) <= 2);
    world_nodes[1].is_paused = 0;
    if (!is_closed) {
        stream_close(&stream);
    }

    world_end();
}

/* However late it is, what stands still is looked at once each time: between
 * looks the CQ is polled */
static void test_late(uint64_t seed)
{
    vmp_iface_t *iface;
    vmp_path_t *path;
    stream_t stream;
    unsigned looks;
    unsigned i;

    world_begin("late", seed);
    world_open(2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    iface = world_nodes[0].iface;
    stream_kill_path(&stream, 3, VMP_WC_RETRY_EXC);
    vmp_path_probe_all(stream.ep.conn);
    world_until(((path = stream.ep.conn->paths[3]) != NULL) &&
                (path->epoch > 1) && (path->state == VMP_PATH_PROBE), 1000);
    sim_nic_cut(0, 1);
    for (i = 0; i < 2; ++i) {
        VMP_CHECK(stream.ep.conn->paths[3] == path);
        looks                 = path->watch.looks;
        path->watch.seen_time = 0;
        vmp_watch_add(stream.ep.conn);
        vmp_iface_event_arm(iface, VMP_PORT_EVENT_TX);
        VMP_CHECK((path->watch.looks <= (looks + 1)) && !path->is_condemned);
    }

    sim_nic_cut(0, 0);
    stream_wait_paths(&stream, 4);
    stream_close(&stream);
    world_end();
}

/* The SRQ of node 1 refuses `ppm` millionths of what it is given, and lacks a
 * batch, or less */
static void refused_begin(const char *name, uint64_t seed, stream_t *stream,
                          uint32_t ppm, int lacks_batch)
{
    const vmp_rail_t *rail;

    world_begin(name, seed);
    world_params.port.srq_depth = 64;
    world_params.rx_max_bufs    = 256;
    world_open(2);
    stream_open(stream, 0, 1);
    stream_wait_paths(stream, 1);
    rail              = &world_nodes[1].iface->rails[0];
    sim_conf.srq_fail = ppm;
    do {
        VMP_CHECK(stream_send(stream, SEND_SHORT, 16, NULL) == VMP_OK);
        world_until(world_nodes[1].next_seq[stream->id] == stream->seq, 1000);
    } while (!rail->is_srq_refused ||
             (lacks_batch != ((rail->srq_posted + rail->srq_batch) <=
                              rail->srq_depth)));
}

static void check_sleeps(void)
{
    uint64_t woken;

    world_run(100 * MSEC);
    woken = world_nodes[1].wakes;
    world_run(SEC);
    woken = world_nodes[1].wakes - woken;
    printf("  wake-ups a second: %lu\n", (unsigned long)woken);
    VMP_CHECK(woken <= 2);
}

/* The SRQ did not take all buffers. Those that lack are not so many that more
 * are posted, so nobody is woken up for that. */
static void test_refused(uint64_t seed)
{
    stream_t stream;

    refused_begin("SRQ refused", seed, &stream, 300000, 0);
    sim_conf.srq_fail = 0;
    check_sleeps();
    stream_close(&stream);
    world_end();
}

/* The SRQ lacks a batch, but there is no buffer: others hold them all, as the
 * user may. Nobody is woken up before one comes back; then it is filled. */
static void test_refused_held(uint64_t seed)
{
    vmp_buf_t *held[256];
    unsigned num = 0;
    const vmp_rail_t *rail;
    vmp_iface_t *iface;
    stream_t stream;

    refused_begin("SRQ refused, all buffers held", seed, &stream, 1000000, 1);
    iface = world_nodes[1].iface;
    rail  = &iface->rails[0];
    while ((held[num] = vmp_buf_get(&iface->rx.pool)) != NULL) {
        ++num;
    }

    world_wake();
    check_sleeps();

    sim_conf.srq_fail = 0;
    while (num > 0) {
        vmp_buf_put(&iface->rx.pool, held[--num]);
    }

    world_until(rail->srq_posted == rail->srq_depth, 100);
    stream_close(&stream);
    world_end();
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    world_sleeps = 1;
    test_wakeups(seed);
    test_given_up(seed, 0);
    test_given_up(seed, 1);
    test_late(seed);
    test_refused(seed);
    test_refused_held(seed);
    printf("test_core_wakeups: ok\n");
    return 0;
}
