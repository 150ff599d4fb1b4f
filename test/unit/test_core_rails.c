/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Hosts with two devices each: the paths of a connection use both, and go on
 * over one of them.
 */

#include "core_work.h"
#include "core/vmp_path.h"

#define RAILS      2
#define PATHS      4
#define ROUNDS     40
#define CUT_NS     400000000ul          /* many times what a QP tries for */
#define CUT_MS     300                  /* within that */


/* Payload that came over a rail, from one node to the other */
static uint64_t rail_bytes(unsigned from, unsigned to, unsigned rail)
{
    uint64_t bytes = 0;
    unsigned i;

    for (i = 0; i < sim_conf.links; ++i) {
        bytes += sim_link(sim_nic(from, rail), sim_nic(to, rail), i)->rc_bytes;
    }

    return bytes;
}

static void check_paths(const stream_t *stream)
{
    const vmp_conn_t *conn = stream->ep.conn;
    unsigned i;

    VMP_CHECK(conn->num_paths == PATHS);
    for (i = 0; i < PATHS; ++i) {
        VMP_CHECK(conn->paths[i]->rail_index == (i % RAILS));
        VMP_CHECK(conn->paths[i]->remote_rail == (i % RAILS));
    }
}

/* A put, a get and messages, over all paths. What was sent before is there by
 * then, since messages keep their order. */
static void work_round(work_t *work, stream_t *stream, unsigned ms)
{
    uint64_t addr = (uintptr_t)work->remote.data;
    vmp_iov_t put = {work->local.data, REGION / 2, &work->local.mem};
    vmp_iov_t get = {work->local.data + (REGION / 2), REGION / 2,
                     &work->local.mem};
    node_t *peer  = &world_nodes[1];
    comp_t comps[2];
    unsigned i;

    memset(comps, 0, sizeof(comps));
    memset(get.buffer, 0xee, REGION / 2);
    memset(work->remote.data, 0xdd, REGION / 2);
    world_until(vmp_ep_put_zcopy(&stream->ep, &put, 1, addr,
                                 &work->remote.rkey, &comps[0]) ==
                VMP_INPROGRESS, ms);
    world_until(vmp_ep_get_zcopy(&stream->ep, &get, 1, addr + (REGION / 2),
                                 &work->remote.rkey, &comps[1]) ==
                VMP_INPROGRESS, ms);
    for (i = 0; i < 2 * PATHS; ++i) {
        world_until(stream_send(stream, (i % 2) ? SEND_BCOPY : SEND_SHORT, 100,
                                NULL) == VMP_OK, ms);
    }

    world_until(comps[0].calls && comps[1].calls &&
                (peer->next_seq[stream->id] == stream->seq), ms);
    for (i = 0; i < 2; ++i) {
        VMP_CHECK((comps[i].calls == 1) && (comps[i].status == VMP_OK));
    }

    VMP_CHECK(memcmp(put.buffer, work->remote.data, REGION / 2) == 0);
    VMP_CHECK(memcmp(get.buffer, work->remote.data + (REGION / 2),
                     REGION / 2) == 0);
}

static void check_rails(work_t *work, stream_t *streams, unsigned only)
{
    uint64_t before[RAILS][2];
    unsigned rail;
    unsigned i;

    for (rail = 0; rail < RAILS; ++rail) {
        before[rail][0] = rail_bytes(0, 1, rail);
        before[rail][1] = rail_bytes(1, 0, rail);
    }

    for (i = 0; i < ROUNDS; ++i) {
        work_round(work, &streams[0], CUT_MS);
        world_until(stream_send(&streams[1], SEND_SHORT, 100, NULL) == VMP_OK,
                    CUT_MS);
    }

    world_until(world_nodes[0].next_seq[streams[1].id] == streams[1].seq,
                CUT_MS);
    for (rail = 0; rail < RAILS; ++rail) {
        if ((only != RAILS) && (rail != only)) {
            VMP_CHECK(rail_bytes(0, 1, rail) == before[rail][0]);
            VMP_CHECK(rail_bytes(1, 0, rail) == before[rail][1]);
        } else {
            /* a put there, a get back: half of each where there are two */
            VMP_CHECK(rail_bytes(0, 1, rail) - before[rail][0] >
                      ROUNDS * REGION / 10);
            VMP_CHECK(rail_bytes(1, 0, rail) - before[rail][1] >
                      ROUNDS * REGION / 10);
        }
    }
}

static void cut_rail(unsigned rail, unsigned hosts, int is_cut)
{
    unsigned i;

    for (i = 0; i < hosts; ++i) {
        sim_nic_cut(sim_nic(1 - i, rail), is_cut);
    }
}

static void check_done(const work_t *work)
{
    unsigned i;

    VMP_CHECK((work->flushed.calls == 1) && (work->flushed.status == VMP_OK));
    for (i = 0; i < work->num; ++i) {
        VMP_CHECK((work->comps[i].calls == 1) &&
                  (work->comps[i].status == VMP_OK));
    }
}

/* The device of a rail is cut off in the middle of a transfer, on one host or
 * on both, and comes back */
static void cut_and_heal(work_t *work, stream_t *streams, unsigned rail,
                         unsigned hosts)
{
    uint64_t healed;

    work_start(work, &streams[0]);
    world_run(5000);
    VMP_CHECK(work->flushed.calls == 0);
    cut_rail(rail, hosts, 1);
    healed = sim_now() + CUT_NS;
    if ((rail == 0) && (hosts == 2)) {
        /* control knows where the peer's first rail is, and no other: what was
         * on the dead paths waits until one of the two is back */
        world_run(CUT_NS);
        VMP_CHECK(work->flushed.calls == 0);
    } else {
        world_until(work->flushed.calls, CUT_MS);
        check_rails(work, streams, 1 - rail);
        VMP_CHECK(sim_now() < healed);
    }

    cut_rail(rail, hosts, 0);
    world_until(work->flushed.calls, 2000);
    check_done(work);
    stream_wait_paths(&streams[0], PATHS);
    stream_wait_paths(&streams[1], PATHS);
    check_paths(&streams[0]);
    check_paths(&streams[1]);
    check_rails(work, streams, RAILS);
}

static void test_rails(uint64_t seed, unsigned cut, unsigned hosts)
{
    stream_t streams[2];
    work_t work;

    world_rails = RAILS;
    world_begin("rails", seed);
    printf("  rail %u of %u hosts is to be cut\n", cut, hosts);
    world_open(2);
    work_make(&work);
    stream_open(&streams[0], 0, 1);
    stream_open(&streams[1], 1, 0);
    stream_wait_paths(&streams[0], PATHS);
    stream_wait_paths(&streams[1], PATHS);
    check_paths(&streams[0]);
    check_paths(&streams[1]);
    check_rails(&work, streams, RAILS);
    if (hosts > 0) {
        cut_and_heal(&work, streams, cut, hosts);
    }

    VMP_CHECK(!streams[0].failed && !streams[1].failed);
    stream_close(&streams[0]);
    stream_close(&streams[1]);
    world_run(5000000000ul);
    work_check_idle(&world_nodes[0]);
    work_check_idle(&world_nodes[1]);
    work_free(&work);
    world_end();
    world_rails = 1;
}


int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);
    unsigned hosts;
    unsigned rail;

    test_rails(seed, 0, 0);
    for (rail = 0; rail < RAILS; ++rail) {
        for (hosts = 1; hosts <= 2; ++hosts) {
            test_rails(seed, rail, hosts);
        }
    }

    printf("test_core_rails: ok\n");
    return 0;
}
