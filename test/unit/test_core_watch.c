/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Paths that stand still (R11): found by the core's own timer, and only if
 * others move. A network of 10 us round trips, in virtual time.
 */

#include "core_work.h"
#include "core/vmp_path.h"

#define LINKS       4
#define NUM_CUTS    21
#define NUM_SLOW    20              /* times that a link is slow */
#define BULK        65536           /* bytes of a put */
#define USEC        1000ull
#define MSEC        1000000ull
#define PATIENCE    15000           /* ms for a peer, as by default */

static unsigned num_ud = 8;             /* control QPs */


static const vmp_iface_counters_t *counters(unsigned node)
{
    return &world_nodes[node].iface->counters;
}

static void net_begin(const char *name, uint64_t seed)
{
    world_begin(name, seed);
    sim_conf.links        = LINKS;
    sim_conf.is_symmetric = seed % 2;
    sim_conf.link.rate    = 1250000000;
    sim_conf.link.delay   = 5 * USEC;
    world_params.num_paths        = 4;
    world_params.port.num_ud      = num_ud;
    world_params.port.timeout     = 16;     /* 268 ms */
    world_params.port.retry_count = 3;
    world_params.spread_thresh    = 4096;
    world_params.chunk_size       = 16384;
    world_params.path_window      = 65536;
    world_params.seg_size         = 8192;
    world_params.peer_timeout_ns  = PATIENCE * MSEC;
    world_open(2);
}

static void net_cut(unsigned link, int is_cut)
{
    sim_link_cut(sim_link(0, 1, link), is_cut);
    sim_link_cut(sim_link(1, 0, link), is_cut);
}

/* Link that requests of a path of node 0 take */
static unsigned path_link(stream_t *stream, unsigned path)
{
    return sim_link_of(0, 1, vmp_port_udp_sport(
                       stream->ep.conn->paths[path]->entropy));
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t*)a;
    uint64_t y = *(const uint64_t*)b;

    return (x > y) - (x < y);
}

/* Messages or puts one after the other; how long one takes at most */
static uint64_t traffic(stream_t *stream, work_t *work, int is_bulk,
                        uint64_t duration)
{
    uint64_t end     = sim_now() + duration;
    uint64_t longest = 0;
    uint64_t begin;
    comp_t comp;
    vmp_iov_t iov;

    while (sim_now() < end) {
        begin = sim_now();
        memset(&comp, 0, sizeof(comp));
        if (is_bulk) {
            iov = (vmp_iov_t){work->local.data, BULK, &work->local.mem};
            world_until(vmp_ep_put_zcopy(&stream->ep, &iov, 1,
                                         (uintptr_t)work->remote.data,
                                         &work->remote.rkey, &comp) ==
                        VMP_INPROGRESS, PATIENCE);
            world_until(comp.calls == 1, PATIENCE);
            VMP_CHECK(comp.status == VMP_OK);
        } else {
            world_until(stream_send(stream, SEND_BCOPY, 100, NULL) == VMP_OK,
                        PATIENCE);
            world_until(world_nodes[1].next_seq[stream->id] == stream->seq,
                        PATIENCE);
        }

        if ((sim_now() - begin) > longest) {
            longest = sim_now() - begin;
        }
    }

    return longest;
}

/* A link that carries traffic is cut, and healed after a while */
static uint64_t one_cut(uint64_t seed, int is_bulk)
{
    stream_t stream;
    work_t work;
    uint64_t pause;
    unsigned link;

    net_begin(is_bulk ? "cut under puts" : "cut under messages", seed);
    work_make(&work);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    traffic(&stream, &work, is_bulk, 5 * MSEC);
    VMP_CHECK(counters(0)->paths_timed_out == 0);
    VMP_CHECK(counters(0)->paths_failed == 0);

    link = path_link(&stream, is_bulk ? sim_random() % 4 :
                              stream.ep.conn->tx_path->index);
    net_cut(link, 1);
    pause = traffic(&stream, &work, is_bulk, 300 * MSEC);
    VMP_CHECK((counters(0)->paths_timed_out + counters(1)->paths_timed_out) >
              0);

    /* those that are up again do not use it */
    world_until(__builtin_popcountll(stream.ep.conn->up_mask) == 4, 10000);
    net_cut(link, 0);
    traffic(&stream, &work, is_bulk, 50 * MSEC);
    VMP_CHECK(!stream.failed);
    stream_close(&stream);
    work_free(&work);
    world_end();
    return pause;
}

static void test_pause(uint64_t seed, int is_bulk)
{
    uint64_t pauses[NUM_CUTS];
    unsigned i;

    for (i = 0; i < NUM_CUTS; ++i) {
        pauses[i] = one_cut(seed + i, is_bulk);
    }

    qsort(pauses, NUM_CUTS, sizeof(pauses[0]), compare_u64);
    printf("  pause of %s after a cut, %u control QPs: median %.3f ms, longest "
           "%.3f ms\n", is_bulk ? "puts" : "messages", num_ud,
           pauses[NUM_CUTS / 2] / 1e6, pauses[NUM_CUTS - 1] / 1e6);
    VMP_CHECK(pauses[NUM_CUTS / 2] <= MSEC);
    VMP_CHECK(pauses[NUM_CUTS - 1] <= 1000 * MSEC);
}

/* All but one link are cut at once */
static void test_last_link(uint64_t seed)
{
    unsigned alive = seed % LINKS;
    stream_t stream;
    work_t work;
    unsigned i;

    net_begin("one link is left", seed);
    work_make(&work);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    traffic(&stream, &work, 1, 5 * MSEC);
    for (i = 0; i < LINKS; ++i) {
        if (i != alive) {
            net_cut(i, 1);
        }
    }

    traffic(&stream, &work, 1, 1500 * MSEC);
    traffic(&stream, &work, 0, 100 * MSEC);
    for (i = 0; i < LINKS; ++i) {
        net_cut(i, 0);
    }

    traffic(&stream, &work, 1, 2000 * MSEC);
    stream_wait_paths(&stream, 4);
    VMP_CHECK(!stream.failed);
    stream_close(&stream);
    work_free(&work);
    world_end();
}

/* Everything takes long, everywhere: nobody is at fault */
static void test_congestion(uint64_t seed)
{
    stream_t stream;
    work_t work;
    unsigned i;

    net_begin("congestion", seed);
    work_make(&work);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    traffic(&stream, &work, 1, 5 * MSEC);
    for (i = 0; i < LINKS; ++i) {
        sim_link(0, 1, i)->delay += 20 * MSEC;
        sim_link(1, 0, i)->delay += 20 * MSEC;
    }

    traffic(&stream, &work, 1, 500 * MSEC);
    traffic(&stream, &work, 0, 500 * MSEC);
    VMP_CHECK(counters(0)->paths_timed_out == 0);
    VMP_CHECK(counters(1)->paths_timed_out == 0);
    VMP_CHECK(!stream.failed);
    stream_close(&stream);
    work_free(&work);
    world_end();
}

/* One path stands still for less than it takes to be given up */
static void test_hiccup(uint64_t seed)
{
    stream_t stream;
    work_t work;
    sim_link_t *link;
    unsigned index;

    net_begin("hiccup", seed);
    work_make(&work);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    traffic(&stream, &work, 0, 5 * MSEC);
    index = stream.ep.conn->tx_path->index;
    link  = sim_link(0, 1, path_link(&stream, index));
    link->delay += 250 * USEC;
    VMP_CHECK(stream_send(&stream, SEND_BCOPY, 100, NULL) == VMP_OK);
    VMP_CHECK(vmp_ep_flush(&stream.ep, 0, NULL) == VMP_INPROGRESS);
    world_until(counters(0)->paths_suspected > 0, 100);
    link->delay -= 250 * USEC;
    world_until(stream.ep.conn->num_suspects == 0, 100);
    traffic(&stream, &work, 0, 20 * MSEC);
    VMP_CHECK(counters(0)->paths_timed_out == 0);
    VMP_CHECK(stream.ep.conn->paths[index]->epoch == 1);
    stream_close(&stream);
    work_free(&work);
    world_end();
}

/* A link is slow at times: a path that was suspected for that, and moved, is
 * given the time that it took */
static void test_slow_link(uint64_t seed, int is_bulk)
{
    stream_t stream;
    work_t work;
    sim_link_t *link;
    unsigned i;

    net_begin(is_bulk ? "slow link under puts" : "slow link under messages",
              seed);
    work_make(&work);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    traffic(&stream, &work, is_bulk, 5 * MSEC);
    link = sim_link(0, 1, path_link(&stream, stream.ep.conn->tx_path->index));
    for (i = 0; i < NUM_SLOW; ++i) {
        link->delay += 250 * USEC;
        traffic(&stream, &work, is_bulk, 10 * MSEC);
        link->delay -= 250 * USEC;
        traffic(&stream, &work, is_bulk, 5 * MSEC);
    }

    VMP_CHECK(counters(0)->paths_suspected > 0);
    VMP_CHECK(counters(0)->paths_suspected <= (3 * NUM_SLOW));
    VMP_CHECK(counters(0)->paths_timed_out == 0);
    VMP_CHECK(!stream.failed);
    stream_close(&stream);
    work_free(&work);
    world_end();
}

/* A peer that has no receive buffers, or does not look at its messages, is not
 * a dead path */
static void test_slow_peer(uint64_t seed, int is_paused)
{
    stream_t stream;
    unsigned sent = 0;
    unsigned i;

    net_begin(is_paused ? "peer is stopped" : "peer keeps its buffers", seed);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    world_nodes[1].is_paused = is_paused;
    world_nodes[1].keep_all  = !is_paused;
    for (i = 0; i < 2000; ++i) {
        sent += (stream_send(&stream, SEND_BCOPY, 5000, NULL) >= 0);
        world_run(100 * USEC);
    }

    VMP_CHECK(sent > 10);
    VMP_CHECK(counters(0)->paths_timed_out == 0);
    world_nodes[1].is_paused = 0;
    world_nodes[1].keep_all  = 0;
    world_until(world_nodes[1].next_seq[stream.id] == sent, 2000);
    VMP_CHECK(!stream.failed);
    stream_close(&stream);
    world_end();
}

/* Paths that have nothing to do are asked now and then while others work: a
 * dead one is known before it is needed; and there are few packets for that */
static void test_idle(uint64_t seed)
{
    vmp_path_t *path;
    stream_t stream;
    work_t work;
    uint64_t wrs;
    unsigned index;
    unsigned link;

    net_begin("idle paths", seed);
    work_make(&work);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    traffic(&stream, &work, 0, 10 * MSEC);
    index = (stream.ep.conn->tx_path->index + 1) % 4;
    path  = stream.ep.conn->paths[index];
    link  = path_link(&stream, index);
    if (link != path_link(&stream, stream.ep.conn->tx_path->index)) {
        net_cut(link, 1);
        traffic(&stream, &work, 0, 2500 * MSEC);
        VMP_CHECK((counters(0)->paths_timed_out +
                   counters(1)->paths_timed_out) > 0);
        net_cut(link, 0);
    } else {
        wrs = sim_qp(path->qp)->num_wrs;
        traffic(&stream, &work, 0, 2500 * MSEC);
        VMP_CHECK((sim_qp(path->qp)->num_wrs - wrs) <= 4);
        VMP_CHECK((sim_qp(path->qp)->num_wrs - wrs) >= 1);
    }

    VMP_CHECK(!stream.failed);
    stream_close(&stream);
    work_free(&work);
    world_end();
}

static int is_home(const stream_t *stream, const uint32_t *home)
{
    const vmp_conn_t *conn = stream->ep.conn;
    unsigned i;

    for (i = 0; i < 4; ++i) {
        if ((conn->paths[i] == NULL) || (conn->paths[i]->entropy != home[i])) {
            return 0;
        }
    }

    return conn->up_mask == 0xf;
}

/* Links are cut one after the other, so that all paths have moved: in the end
 * they are where they were, though nothing fails any more */
static void test_home(uint64_t seed)
{
    uint32_t home[4];
    stream_t stream;
    work_t work;
    uint64_t end;
    unsigned i;

    net_begin("paths go home", seed);
    work_make(&work);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    for (i = 0; i < 4; ++i) {
        home[i] = stream.ep.conn->paths[i]->entropy;
    }

    traffic(&stream, &work, 1, 5 * MSEC);
    world_run(1200 * MSEC);             /* long enough to be a home */
    for (i = 0; i < LINKS; ++i) {
        net_cut(i, 1);
        traffic(&stream, &work, 1, 100 * MSEC);
        net_cut(i, 0);
    }

    VMP_CHECK(!is_home(&stream, home));
    end = sim_now() + 20000 * MSEC;
    while (!is_home(&stream, home)) {
        VMP_CHECK(sim_now() < end);
        traffic(&stream, &work, 1, MSEC);
        world_run(50 * MSEC);
    }

    VMP_CHECK(!stream.failed);
    stream_close(&stream);
    work_free(&work);
    world_end();
}

static void run(uint64_t seed)
{
    uint64_t i;

    for (i = seed; i < seed + 4; ++i) {
        test_last_link(i);
        test_congestion(i);
        test_hiccup(i);
        test_slow_link(i, 0);
        test_slow_link(i, 1);
        test_idle(i);
        test_home(i);
    }

    test_slow_peer(seed, 0);
    test_slow_peer(seed, 1);
    for (i = 0; i < 2; ++i) {
        test_pause(seed, i);
        num_ud = 2;                     /* as many as by default */
        test_pause(seed, i);
        num_ud = 8;
    }
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    run(seed);
    world_sleeps = 1;
    run(seed);
    printf("test_core_watch: ok\n");
    return 0;
}
