/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Paths die under every kind of work: nobody notices. Contents, order and number
 * of messages are checked by the world, memory here.
 */

#include "core_world.h"
#include "core/vmp_path.h"

#define REGION    65536                 /* bytes */
#define NUM_OPS   40


typedef struct work {
    region_t local;
    region_t put;                       /* at node 1: where puts go */
    region_t get;                       /* at node 1: what is read */
    region_t into;                      /* at node 0 */
    comp_t   comps[NUM_OPS];
    comp_t   flushed;
    unsigned num;
    unsigned sent;
} work_t;

static void send_one(work_t *work, stream_t *stream, unsigned i)
{
    uint64_t put    = (uintptr_t)work->put.data;
    uint64_t get    = (uintptr_t)work->get.data;
    comp_t *comp    = &work->comps[work->num];
    vmp_status_t status;
    vmp_iov_t iov;

    switch (i % 4) {
    case 0:
        status = stream_send(stream, SEND_ZCOPY, 200, comp);
        work->sent += (status >= 0);
        break;
    case 1:
        iov    = (vmp_iov_t){work->local.data, REGION, &work->local.mem};
        status = vmp_ep_put_zcopy(&stream->ep, &iov, 1, put,
                                  &work->put.rkey, comp);
        break;
    case 2:
        iov    = (vmp_iov_t){work->local.data, 500, &work->local.mem};
        status = vmp_ep_put_zcopy(&stream->ep, &iov, 1, put, &work->put.rkey,
                                  comp);
        break;
    default:
        iov    = (vmp_iov_t){work->into.data, REGION, &work->into.mem};
        status = vmp_ep_get_zcopy(&stream->ep, &iov, 1, get, &work->get.rkey,
                                  comp);
        break;
    }

    VMP_CHECK((status == VMP_INPROGRESS) || (status == VMP_ERR_NO_RESOURCE));
    work->num += (status == VMP_INPROGRESS);
    work->sent += (stream_send(stream, SEND_SHORT, 16, NULL) >= 0);
    work->sent += (stream_send(stream, SEND_BCOPY, 400, NULL) >= 0);
    status      = vmp_ep_put_short(&stream->ep, work->local.data, 40, put,
                                   &work->put.rkey);
    VMP_CHECK((status == VMP_OK) || (status == VMP_ERR_NO_RESOURCE));
}

/* If it is not dead already */
static void kill_path(stream_t *stream, unsigned path)
{
    if (stream->ep.conn->paths[path] != NULL) {
        stream_kill_path(stream, path, (sim_random() % 2) ? VMP_WC_RETRY_EXC :
                                                            VMP_WC_OTHER);
    }
}

static void test_deaths(uint64_t seed, unsigned num_deaths, int is_idle)
{
    stream_t streams[2];
    work_t work;
    unsigned i;

    world_begin("deaths of paths", seed);
    sim_conf.qp_jitter         = 10000;
    world_params.spread_thresh = sim_random() % 1500;
    world_open(2);
    memset(&work, 0, sizeof(work));
    region_make(&work.local, 0, REGION, 1);
    region_make(&work.into, 0, REGION, 2);
    region_make(&work.put, 1, REGION, 3);
    region_make(&work.get, 1, REGION, 4);
    stream_open(&streams[0], 0, 1);
    stream_open(&streams[1], 1, 0);
    stream_wait_paths(&streams[0], 4);
    stream_wait_paths(&streams[1], 4);
    for (i = 0; i < NUM_OPS; ++i) {
        send_one(&work, &streams[0], i);
        stream_send(&streams[1], (send_kind_t)(i % SEND_KINDS), 100, NULL);
        if ((i % (NUM_OPS / num_deaths)) == (NUM_OPS / num_deaths) - 1) {
            kill_path(&streams[sim_random() % 2], sim_random() % 4);
        }
        world_run(sim_random() % 30000);
    }

    VMP_CHECK(work.num > NUM_OPS / 4);
    if (vmp_ep_flush(&streams[0].ep, 0, &work.flushed) == VMP_INPROGRESS) {
        world_nodes[1].is_paused = is_idle;
        world_until(work.flushed.calls == 1, 2000);
        world_nodes[1].is_paused = 0;
        VMP_CHECK(work.flushed.status == VMP_OK);
    }
    world_until(world_nodes[1].next_seq[streams[0].id] == work.sent, 100);
    for (i = 0; i < work.num; ++i) {
        VMP_CHECK((work.comps[i].calls == 1) &&
                  (work.comps[i].status == VMP_OK));
    }
    VMP_CHECK(memcmp(work.put.data, work.local.data, REGION) == 0);
    VMP_CHECK(memcmp(work.into.data, work.get.data, REGION) == 0);
    VMP_CHECK(!streams[0].failed && !streams[1].failed);

    /* and all come back */
    world_run(4000000000ul);
    stream_wait_paths(&streams[0], 4);
    VMP_CHECK(world_nodes[0].iface->outstanding == 0);
    VMP_CHECK(vmp_list_is_empty(&world_nodes[0].iface->replaying));
    stream_close(&streams[0]);
    stream_close(&streams[1]);
    region_free(&work.local);
    region_free(&work.into);
    region_free(&work.put);
    region_free(&work.get);
    world_end();
}

static unsigned picks;
static int      picked;
static size_t   pick_length;

/* The last path that there is */
static int pick_last(void *priv, const vmp_policy_path_t *paths,
                     uint64_t eligible, size_t length)
{
    (void)priv;
    (void)paths;
    ++picks;
    pick_length = length;
    picked      = 63 - __builtin_clzll(eligible);
    return picked;
}

/* A policy chooses where the work of a dead path goes: all of it to one */
static void test_choice(uint64_t seed)
{
    comp_t comps[2] = {{0}};
    unsigned num    = 0;
    vmp_policy_ops_t policy;
    const vmp_conn_t *conn;
    const vmp_path_t *path;
    stream_t stream;
    unsigned index;
    uint32_t head;

    world_begin("a policy chooses", seed);
    world_params.spread_thresh = 4096;
    world_open(2);
    policy                       = *world_nodes[0].iface->policy;
    policy.select_replay         = pick_last;
    world_nodes[0].iface->policy = &policy;
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    conn  = stream.ep.conn;
    index = conn->tx_path->index;
    picks = 0;
    stream_kill_path(&stream, index, VMP_WC_RETRY_EXC);
    VMP_CHECK(stream_send(&stream, SEND_ZCOPY, 100, &comps[0]) ==
              VMP_INPROGRESS);
    VMP_CHECK(stream_send(&stream, SEND_ZCOPY, 50, &comps[1]) ==
              VMP_INPROGRESS);
    VMP_CHECK(conn->paths[index]->num_ops == 2);
    head = conn->paths[(index == 3) ? 2 : 3]->head;
    world_until(picks > 0, 1000);
    VMP_CHECK(picked == ((index == 3) ? 2 : 3));
    VMP_CHECK(pick_length >= 100);
    world_until(comps[0].calls && comps[1].calls, 1000);
    path = conn->paths[picked];
    for (; head != path->head; ++head) {
        num += (path->ring[head & path->mask].kind == VMP_WR_AM);
    }

    VMP_CHECK((num == 2) && (picks == 1));
    VMP_CHECK(world_nodes[1].received == 2);
    stream_close(&stream);
    world_end();
}

static void set_ud_loss(uint32_t ppm)
{
    unsigned i;

    for (i = 0; i < sim_conf.links; ++i) {
        sim_link(0, 1, i)->ud_loss = ppm;
        sim_link(1, 0, i)->ud_loss = ppm;
    }
}

/* The peer hears of nothing, so it cannot say that a path is dead for it: what may
 * be done twice is done at once, up to the first put; that and the rest as soon as
 * the peer has said so */
static void test_early(uint64_t seed)
{
    comp_t comps[4] = {{0}};
    const vmp_conn_t *conn;
    region_t remote;
    region_t local;
    stream_t stream;
    unsigned index;
    vmp_iov_t iov;
    unsigned i;

    world_begin("what need not wait", seed);
    world_params.num_paths     = 2;
    world_params.spread_thresh = 4096;
    world_open(2);
    region_make(&local, 0, 64, 1);
    region_make(&remote, 1, 64, 2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 2);
    conn  = stream.ep.conn;
    index = conn->tx_path->index;
    set_ud_loss(1000000);
    stream_kill_path(&stream, index, VMP_WC_RETRY_EXC);
    VMP_CHECK(stream_send(&stream, SEND_ZCOPY, 32, &comps[0]) ==
              VMP_INPROGRESS);
    iov = (vmp_iov_t){local.data, 64, &local.mem};
    VMP_CHECK(vmp_ep_get_zcopy(&stream.ep, &iov, 1, (uintptr_t)remote.data,
                               &remote.rkey, &comps[1]) == VMP_INPROGRESS);
    VMP_CHECK(vmp_ep_put_zcopy(&stream.ep, &iov, 1, (uintptr_t)remote.data,
                               &remote.rkey, &comps[2]) == VMP_INPROGRESS);
    VMP_CHECK(stream_send(&stream, SEND_ZCOPY, 32, &comps[3]) ==
              VMP_INPROGRESS);
    VMP_CHECK(conn->paths[index]->num_ops == 4);
    world_until(comps[1].calls == 1, 100);
    VMP_CHECK((comps[0].calls == 1) && (world_nodes[1].received == 1));
    VMP_CHECK(memcmp(local.data, remote.data, 64) == 0);
    world_run(100000000);
    VMP_CHECK((comps[2].calls == 0) && (comps[3].calls == 0) &&
              (conn->replays == 1));
    set_ud_loss(0);
    world_until(comps[2].calls && comps[3].calls, 2000);
    for (i = 0; i < 4; ++i) {
        VMP_CHECK((comps[i].calls == 1) && (comps[i].status == VMP_OK));
    }

    VMP_CHECK((world_nodes[1].received == 2) && (conn->replays == 0));
    VMP_CHECK(!stream.failed);
    stream_close(&stream);
    region_free(&local);
    region_free(&remote);
    world_end();
}

/* The rest of a dead path waits for the peer. What its endpoint posted meanwhile,
 * where the beginning went, is not in front of it: it fails alone (R8) */
static void test_fails_meanwhile(uint64_t seed)
{
    comp_t comps[3] = {{0}};
    const vmp_conn_t *conn;
    stream_t streams[2];
    region_t remote;
    region_t local;
    vmp_iov_t iov;

    world_begin("a failure while a put waits", seed);
    world_params.spread_thresh = 4096;
    world_open(2);
    region_make(&local, 0, 64, 1);
    region_make(&remote, 1, 64, 2);
    stream_open(&streams[0], 0, 1);
    stream_open(&streams[1], 0, 1);
    stream_wait_paths(&streams[0], 4);
    conn = streams[0].ep.conn;
    set_ud_loss(1000000);
    stream_kill_path(&streams[0], conn->tx_path->index, VMP_WC_RETRY_EXC);
    VMP_CHECK(stream_send(&streams[0], SEND_ZCOPY, 32, &comps[0]) ==
              VMP_INPROGRESS);
    iov = (vmp_iov_t){local.data, 64, &local.mem};
    VMP_CHECK(vmp_ep_put_zcopy(&streams[0].ep, &iov, 1, (uintptr_t)remote.data,
                               &remote.rkey, &comps[1]) == VMP_INPROGRESS);
    VMP_CHECK(stream_send(&streams[0], SEND_ZCOPY, 32, &comps[2]) ==
              VMP_INPROGRESS);
    world_until(comps[0].calls == 1, 100);
    VMP_CHECK((conn->replays == 1) && (comps[1].calls == 0));

    VMP_CHECK(stream_send(&streams[0], SEND_SHORT, 16, NULL) == VMP_OK);
    stream_kill_path(&streams[0], conn->tx_path->index, VMP_WC_LOC_ERR);
    VMP_CHECK(stream_send(&streams[0], SEND_SHORT, 16, NULL) == VMP_OK);
    VMP_CHECK(stream_send(&streams[1], SEND_BCOPY, 100, NULL) == VMP_OK);
    world_run(10000000);
    set_ud_loss(0);
    world_until(streams[0].failed == 1, 5000);
    world_run(1000000000);
    VMP_CHECK(streams[1].failed == 0);
    VMP_CHECK(comps[1].calls && comps[2].calls);
    stream_close(&streams[0]);
    stream_close(&streams[1]);
    region_free(&local);
    region_free(&remote);
    world_end();
}

int main(void)
{
    uint64_t seed   = vmp_check_env("VMP_TEST_SEED", 1);
    uint64_t rounds = vmp_check_env("VMP_TEST_CASES", 200);
    uint64_t i;

    for (i = seed; i < seed + rounds; ++i) {
        test_deaths(i, 1 + i % 4, i % 8 == 7);
        test_early(i);
        test_choice(i);
        if ((i % 50) == 1) {
            test_fails_meanwhile(i);
        }
    }

    printf("test_core_replay: ok\n");
    return 0;
}
