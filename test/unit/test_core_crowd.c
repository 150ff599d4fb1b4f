/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * One interface and a hundred peers, all at work, when links are cut: one, others,
 * several at once. All connections go on, and come back to all their paths.
 */

#include "core_world.h"
#include "core/vmp_path.h"

#define PEERS   100
#define PATHS   4
#define LINKS   4
#define BULK    20000               /* bytes of a put */
#define MSEC    1000000ul
#define LOOK    (MSEC / 2)          /* between looks at what is complete */

/* A stream, what it has under way, and what it did */
typedef struct peer {
    stream_t stream;
    region_t local;
    region_t remote;
    comp_t   comp;
    unsigned puts;
    uint64_t since;                 /* its last step forward, ns */
    uint64_t pause;                 /* and the longest time without, ns */
} peer_t;

static peer_t peers[PEERS];


/* Of all NICs, both directions */
static void cut(unsigned link, int is_cut)
{
    unsigned i;

    for (i = 1; i < WORLD_HOSTS; ++i) {
        sim_link_cut(sim_link(0, i, link), is_cut);
        sim_link_cut(sim_link(i, 0, link), is_cut);
    }
}

/* Messages and puts in turn, one at a time */
static void peer_go_on(peer_t *peer, unsigned node)
{
    stream_t *stream = &peer->stream;
    vmp_iov_t iov    = {peer->local.data, BULK, &peer->local.mem};
    int is_done;

    is_done = (stream->seq == world_nodes[node].next_seq[stream->id]) &&
              (peer->comp.calls == (int)peer->puts);
    if (!is_done) {
        if ((sim_now() - peer->since) > peer->pause) {
            peer->pause = sim_now() - peer->since;
        }
        return;
    }

    peer->since = sim_now();
    VMP_CHECK(peer->comp.status == VMP_OK);
    if (stream->seq <= peer->puts) {
        stream_send(stream, SEND_BCOPY, 100, NULL);
    } else if (vmp_ep_put_zcopy(&stream->ep, &iov, 1,
                                (uintptr_t)peer->remote.data,
                                &peer->remote.rkey, &peer->comp) ==
               VMP_INPROGRESS) {
        ++peer->puts;
    }
}

static void work(uint64_t duration)
{
    uint64_t end = sim_now() + duration;
    unsigned i;

    while (sim_now() < end) {
        for (i = 0; i < PEERS; ++i) {
            peer_go_on(&peers[i], i + 1);
        }

        world_wake();
        world_run(LOOK);
    }
}

/* With these links cut all go on, and in the end none waits for long. Where a path's
 * two directions take links by chance, with two of four cut a new path in four
 * carries; with three one in sixteen, so these are for symmetric ones only. */
static void work_without(unsigned first, unsigned num)
{
    unsigned before[PEERS];
    unsigned i;

    for (i = 0; i < num; ++i) {
        cut((first + i) % LINKS, 1);
    }

    for (i = 0; i < PEERS; ++i) {
        peers[i].pause = 0;
        before[i]      = peers[i].puts;
    }

    work(3000 * MSEC);
    for (i = 0; i < PEERS; ++i) {
        VMP_CHECK(!peers[i].stream.failed);
        VMP_CHECK(peers[i].puts >= before[i] + 2);
        VMP_CHECK((sim_now() - peers[i].since) < 200 * MSEC);
    }

    for (i = 0; i < num; ++i) {
        cut((first + i) % LINKS, 0);
    }
}

static void test_crowd(uint64_t seed, int is_symmetric)
{
    unsigned max = is_symmetric ? LINKS - 1 : LINKS / 2;
    const vmp_iface_counters_t *counters;
    unsigned i;

    world_begin("a hundred connections, links cut", seed);
    sim_conf.links                = LINKS;
    sim_conf.is_symmetric         = is_symmetric;
    sim_conf.link.rate            = 1250000000;
    sim_conf.link.delay           = 5000;
    world_params.num_paths        = PATHS;
    world_params.spread_thresh    = 4096;
    world_params.chunk_size       = 8192;
    world_params.port.num_ud      = 8;
    world_params.port.timeout     = 12; /* 17 ms */
    world_params.port.retry_count = 3;
    world_open(PEERS + 1);
    memset(peers, 0, sizeof(peers));
    for (i = 0; i < PEERS; ++i) {
        stream_open(&peers[i].stream, 0, i + 1);
        region_make(&peers[i].local, 0, BULK, i);
        region_make(&peers[i].remote, i + 1, BULK, PEERS + i);
    }

    for (i = 0; i < PEERS; ++i) {
        stream_wait_paths(&peers[i].stream, PATHS);
        peers[i].since = sim_now();
    }

    work(20 * MSEC);
    for (i = 0; i < LINKS; ++i) {
        work_without(i, 1 + (i % max));
        work(100 * MSEC);
    }

    counters = &world_nodes[0].iface->counters;
    VMP_CHECK(counters->paths_failed > PEERS);
    for (i = 0; i < PEERS; ++i) {
        world_until(peers[i].comp.calls == (int)peers[i].puts, 2000);
        VMP_CHECK(memcmp(peers[i].local.data, peers[i].remote.data, BULK) == 0);
    }

    for (i = 0; i < PEERS; ++i) {
        stream_wait_paths(&peers[i].stream, PATHS);
        world_until(world_nodes[i + 1].next_seq[peers[i].stream.id] ==
                    peers[i].stream.seq, 1000);
        VMP_CHECK(!peers[i].stream.failed);
        stream_close(&peers[i].stream);
        region_free(&peers[i].local);
        region_free(&peers[i].remote);
    }

    world_end();
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    world_sleeps = 1;
    test_crowd(seed, 0);
    test_crowd(seed, 1);
    printf("test_core_crowd: ok\n");
    return 0;
}
