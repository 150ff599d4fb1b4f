/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core_work.h"
#include "core/vmp_path.h"

/* The device refuses a post: that path is done for, and nobody sees it */
static void test_post_refused(uint64_t seed, unsigned paths)
{
    stream_t stream;
    work_t work;
    unsigned kind;
    unsigned i, j;

    for (i = 1; i < 12; ++i) {
        for (kind = 0; kind < SEND_KINDS; ++kind) {
            world_begin("post refused", seed);
            world_params.num_paths = paths;
            world_open(2);
            work_make(&work);
            stream_open(&stream, 0, 1);
            stream_wait_paths(&stream, paths);
            sim_conf.post_fail_after = i;
            for (j = 0; j < 40;) {
                if (stream_send(&stream, (send_kind_t)kind, 64, NULL) >= 0) {
                    ++j;
                } else {
                    world_step();
                }
            }

            world_until(world_nodes[1].received == j, 1000);
            VMP_CHECK(world_nodes[0].iface->counters.paths_failed == 1);
            VMP_CHECK(world_nodes[0].iface->counters.conns_failed == 0);
            stream_wait_paths(&stream, paths);
            work_check_idle(&world_nodes[0]);
            stream_close(&stream);
            work_free(&work);
            world_end();
        }
    }
}

/* All operations, with many refusals: each ends well, once */
static void test_posts_refused(uint64_t seed)
{
    stream_t stream;
    work_t work;

    world_begin("posts refused", seed);
    world_open(2);
    work_make(&work);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    sim_conf.post_fail = 10000;
    sim_conf.srq_fail  = 10000;
    work_start(&work, &stream);
    world_until(work.flushed.calls == 1, 30000);
    VMP_CHECK(work.flushed.status == VMP_OK);
    VMP_CHECK(world_nodes[0].iface->counters.conns_failed == 0);
    sim_conf.post_fail = 0;
    sim_conf.srq_fail  = 0;
    stream_wait_paths(&stream, 4);
    work_check_idle(&world_nodes[0]);
    stream_close(&stream);
    work_free(&work);
    world_end();
}

/* It refuses everything, for longer than a peer is waited for, while the peer
 * answers: the endpoint is lost (R5), and not before */
static void test_all_posts_refused(uint64_t seed)
{
    uint64_t timeout;
    uint64_t since;
    stream_t stream;

    world_begin("all posts refused", seed);
    world_open(2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    timeout            = world_nodes[0].iface->params.peer_timeout_ns;
    sim_conf.post_fail = 1000000;
    since              = sim_now();
    VMP_CHECK(stream_send(&stream, SEND_SHORT, 64, NULL) >= 0);
    world_until(stream.failed, 2 * (timeout / 1000000));
    VMP_CHECK(stream.status == VMP_ERR_ENDPOINT_TIMEOUT);
    VMP_CHECK((sim_now() - since) >= timeout);
    VMP_CHECK((sim_now() - since) < (timeout + 3000000000ull));
    sim_conf.post_fail = 0;
    stream_close(&stream);
    world_end();
}

/* It refuses all once, then no path comes up for long: that time says nothing of
 * the device, and what it refuses next is no more than the beginning */
static void test_refused_then_outage(uint64_t seed)
{
    const vmp_path_t *path;
    uint64_t timeout;
    stream_t stream;
    vmp_conn_t *conn;
    uint32_t epoch;

    world_begin("refused, then cut off", seed);
    world_open(2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    conn               = stream.ep.conn;
    timeout            = world_nodes[0].iface->params.peer_timeout_ns;
    epoch              = conn->paths[0]->epoch;
    sim_conf.post_fail = 1000000;
    vmp_path_probe_all(conn);
    VMP_CHECK(conn->up_mask == 0);
    sim_nic_cut(0, 1);
    world_run(3 * timeout);
    VMP_CHECK(!stream.failed);
    sim_nic_cut(0, 0);
    do {
        world_step();
        path = conn->paths[0];
    } while (!stream.failed && !(conn->block & VMP_BLOCK_FAILED) &&
             ((path == NULL) || (path->epoch == epoch) || !path->is_refused));

    VMP_CHECK(!(conn->block & VMP_BLOCK_FAILED));
    sim_conf.post_fail = 0;
    stream_wait_paths(&stream, 4);
    VMP_CHECK(stream_send(&stream, SEND_SHORT, 64, NULL) == VMP_OK);
    world_until(world_nodes[1].next_seq[stream.id] == 1, 100);
    VMP_CHECK(!stream.failed);
    stream_close(&stream);
    world_end();
}

/* The nops of a flush wait for room in the CQ; when that comes, the first one
 * is refused */
static void test_nop_refused(uint64_t seed)
{
    comp_t comp = {0};
    vmp_rail_t *rail;
    stream_t stream;
    uint32_t avail;
    unsigned i;

    world_begin("nop refused", seed);
    world_open(2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    for (i = 0; i < 4; ++i) {
        VMP_CHECK(stream_send(&stream, SEND_SHORT, 16, NULL) == VMP_OK);
    }

    rail           = &world_nodes[0].iface->rails[0];
    avail          = rail->cq_avail;
    rail->cq_avail = 0;
    VMP_CHECK(vmp_ep_flush(&stream.ep, 0, &comp) == VMP_INPROGRESS);
    rail->cq_avail           = avail;
    sim_conf.post_fail_after = 1;
    vmp_path_force_again(rail);
    world_until(comp.calls == 1, 5000);
    VMP_CHECK((comp.status == VMP_OK) && !stream.failed);
    VMP_CHECK(world_nodes[0].iface->counters.paths_failed == 1);
    world_until(world_nodes[1].next_seq[stream.id] == 4, 1000);
    stream_close(&stream);
    world_end();
}

/* Endpoint goes while its work is in flight: only its flush calls back */
static void test_destroy_busy(uint64_t seed)
{
    comp_t comp = {0};
    stream_t streams[2];
    work_t work;
    unsigned i;
    unsigned calls[NUM_OPS];

    world_begin("destroy while busy", seed);
    sim_conf.qp_jitter = 10000;
    world_open(2);
    work_make(&work);
    stream_open(&streams[0], 0, 1);
    stream_open(&streams[1], 0, 1);
    stream_wait_paths(&streams[0], 4);
    work_start(&work, &streams[0]);
    world_run(sim_random() % 20000);
    vmp_ep_wait_ready(&streams[0].ep);
    stream_close(&streams[0]);
    VMP_CHECK((work.flushed.calls == 1) &&
              (work.flushed.status == VMP_ERR_CANCELED));
    for (i = 0; i < work.num; ++i) {
        calls[i] = work.comps[i].calls;
    }

    /* the other one goes on, in order */
    while (stream_send(&streams[1], SEND_ZCOPY, 400, &comp) < 0) {
        world_step();
    }

    world_until(comp.calls == 1, 100);
    world_until(vmp_iface_flush(world_nodes[0].iface) == VMP_OK, 100);
    for (i = 0; i < work.num; ++i) {
        VMP_CHECK(work.comps[i].calls == (int)calls[i]);
    }

    VMP_CHECK(work.flushed.calls == 1);
    work_check_idle(&world_nodes[0]);
    stream_close(&streams[1]);
    work_free(&work);
    world_end();
}

static stream_t *reborn;

static void on_failed_reopen(stream_t *stream)
{
    stream_close(stream);
    stream_open(reborn, 0, 1);
}

static void on_comp_close(comp_t *comp)
{
    stream_t *stream = comp->arg;

    if (stream->is_open) {
        stream_close(stream);
    }
}

/* Flushes of an endpoint end with it, at once, though their callbacks destroy
 * another one; those of others go on, also of the same generation */
static void test_destroy_flushing(uint64_t seed)
{
    comp_t flushed[3][2] = {{{0}}};
    stream_t streams[3];
    unsigned i;
    unsigned j;

    world_begin("destroy while flushing", seed);
    world_open(2);
    for (i = 0; i < 3; ++i) {
        stream_open(&streams[i], 0, 1);
    }

    stream_wait_paths(&streams[0], 1);
    flushed[0][0].on_call = on_comp_close;
    flushed[0][0].arg     = &streams[2];
    for (j = 0; j < 2; ++j) {
        VMP_CHECK(stream_send(&streams[0], SEND_SHORT, 16, NULL) == VMP_OK);
        for (i = 0; i < 3; ++i) {
            VMP_CHECK(vmp_ep_flush(&streams[i].ep, 0, &flushed[i][j]) ==
                      VMP_INPROGRESS);
        }
    }

    stream_close(&streams[0]);
    VMP_CHECK(!streams[2].is_open);
    for (i = 0; i < 6; ++i) {
        VMP_CHECK(flushed[i / 2][i % 2].calls == ((i / 2) != 1));
        VMP_CHECK(((i / 2) == 1) ||
                  (flushed[i / 2][i % 2].status == VMP_ERR_CANCELED));
    }

    /* a generation whose last waiter has gone takes new ones */
    VMP_CHECK(vmp_ep_flush(&streams[1].ep, 0, &flushed[0][0]) ==
              VMP_INPROGRESS);
    flushed[0][0].on_call = NULL;
    world_until(flushed[0][0].calls == 2, 100);
    for (j = 0; j < 2; ++j) {
        VMP_CHECK((flushed[1][j].calls == 1) &&
                  (flushed[1][j].status == VMP_OK));
    }

    VMP_CHECK(flushed[0][0].status == VMP_OK);
    work_check_idle(&world_nodes[0]);
    stream_close(&streams[1]);
    world_end();
}

/* Callbacks destroy and create endpoints, also the one called for */
static void test_reentry(uint64_t seed)
{
    comp_t comps[20] = {{0}};
    comp_t flushed   = {0};
    stream_t streams[3];
    work_t work;
    vmp_iov_t iov;
    unsigned i;

    world_begin("re-entry", seed);
    world_open(2);
    work_make(&work);
    for (i = 0; i < 3; ++i) {
        stream_open(&streams[i], 0, 1);
    }

    stream_wait_paths(&streams[0], 4);
    iov = (vmp_iov_t){work.local.data, REGION, &work.local.mem};
    for (i = 0; i < 20; ++i) {
        comps[i].on_call = on_comp_close;
        comps[i].arg     = &streams[0];
        VMP_CHECK(vmp_ep_put_zcopy(&streams[0].ep, &iov, 1,
                                   (uintptr_t)work.remote.data,
                                   &work.remote.rkey, &comps[i]) ==
                  VMP_INPROGRESS);
        VMP_CHECK(vmp_ep_flush(&streams[0].ep, 0, &flushed) == VMP_INPROGRESS);
    }

    world_until(vmp_iface_flush(world_nodes[0].iface) == VMP_OK, 100);
    VMP_CHECK(!streams[0].is_open && (comps[0].calls == 1) &&
              (comps[1].calls == 0));
    VMP_CHECK((flushed.calls == 20) && (flushed.status == VMP_ERR_CANCELED));

    reborn               = &streams[0];
    streams[1].on_failed = on_failed_reopen;
    streams[2].on_failed = stream_close;
    stream_send(&streams[1], SEND_SHORT, 8, NULL);
    vmp_ep_invalidate(&streams[1].ep);
    stream_send(&streams[1], SEND_SHORT, 8, NULL);
    stream_send(&streams[1], SEND_SHORT, 8, NULL);
    world_until(!streams[1].is_open && !streams[2].is_open, 100);
    stream_wait_paths(&streams[0], 4);
    stream_close(&streams[0]);
    world_run(1000000);
    work_free(&work);
    world_end();
}

/* The peer closes in good order: what it sent arrives, idle endpoints hear of
 * it upon next use only */
static void test_peer_close(uint64_t seed)
{
    stream_t streams[2];
    unsigned i;

    world_begin("peer closes", seed);
    world_open(2);
    stream_open(&streams[0], 0, 1);
    stream_open(&streams[1], 1, 0);
    stream_wait_paths(&streams[0], 4);
    VMP_CHECK(stream_send(&streams[0], SEND_SHORT, 8, NULL) == VMP_OK);
    for (i = 0; i < 8; ++i) {
        VMP_CHECK(stream_send(&streams[1], SEND_SHORT, 8, NULL) == VMP_OK);
    }

    /* node 0 sleeps while node 1 flushes and goes */
    world_nodes[0].is_paused = 1;
    world_until(vmp_iface_flush(world_nodes[1].iface) == VMP_OK, 100);
    stream_close(&streams[1]);
    vmp_iface_destroy(world_nodes[1].iface);
    world_nodes[1].iface = NULL;
    world_run(1000000);
    world_nodes[0].is_paused = 0;
    world_run(100000000);
    VMP_CHECK((world_nodes[0].received == 8) && (streams[0].failed == 0));
    VMP_CHECK(vmp_ep_flush(&streams[0].ep, 0, NULL) == VMP_OK);

    VMP_CHECK(stream_send(&streams[0], SEND_SHORT, 8, NULL) ==
              VMP_ERR_CONNECTION_RESET);
    world_until(streams[0].failed == 1, 100);
    world_run(5000000000ul);
    VMP_CHECK(streams[0].failed == 1);
    stream_close(&streams[0]);
    world_run(100000);
    work_check_idle(&world_nodes[0]);
    VMP_CHECK(vmp_list_is_empty(&world_nodes[0].iface->all));
    world_end();
}

/* The peer closes in good order without having looked at all that its NIC took
 * and acknowledged: who sent it hears, once, without doing anything more.
 * `num_taken` < 0: it looked at all of it, and everybody stays quiet. */
static void test_peer_close_undelivered(uint64_t seed, int num_taken)
{
    int all = 20, taken = (num_taken < 0) ? all : num_taken;
    stream_t streams[2];
    comp_t comp = {0};
    int i;

    world_begin("peer closes without a look", seed);
    world_params.rx_window_min = 64;
    world_open(2);
    stream_open(&streams[0], 0, 1);
    stream_open(&streams[1], 0, 1);
    stream_wait_paths(&streams[0], 4);
    for (i = 0; i < all; ++i) {
        if (i == taken) {
            world_run(1000000);
            VMP_CHECK(world_nodes[1].received == (uint64_t)taken);
            world_nodes[1].is_paused = 1;
        }

        VMP_CHECK(stream_send(&streams[0], (send_kind_t)(i % SEND_KINDS), 32,
                              &comp) >= 0);
    }

    world_until(vmp_iface_flush(world_nodes[0].iface) == VMP_OK, 100);
    world_run(1000000);
    VMP_CHECK(streams[0].failed == 0);
    vmp_iface_destroy(world_nodes[1].iface);
    world_nodes[1].iface = NULL;
    world_run(5000000000ul);
    for (i = 0; i < 2; ++i) {
        VMP_CHECK(streams[i].failed == (taken < all));
        VMP_CHECK((taken == all) ||
                  (streams[i].status == VMP_ERR_CONNECTION_RESET));
        VMP_CHECK(vmp_ep_is_unread(&streams[i].ep) == (taken < all));
        stream_close(&streams[i]);
    }

    world_run(100000);
    work_check_idle(&world_nodes[0]);
    VMP_CHECK(vmp_list_is_empty(&world_nodes[0].iface->all));
    world_end();
}

/* The peer closes with our work in flight */
static void test_peer_close_busy(uint64_t seed)
{
    stream_t stream;
    work_t work;

    world_begin("peer closes on us", seed);
    world_open(2);
    work_make(&work);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    work_start(&work, &stream);
    vmp_iface_destroy(world_nodes[1].iface);
    world_nodes[1].iface = NULL;
    world_until(stream.failed, 5000);
    work_check_failed(&work, stream.status);
    stream_close(&stream);
    work_free(&work);
    world_end();
}

/* Endpoints that go before their connection is there, and come again */
static void test_early_close(uint64_t seed)
{
    stream_t stream;
    unsigned i;

    world_begin("early close", seed);
    world_open(2);
    for (i = 0; i < 20; ++i) {
        stream_open(&stream, 0, 1);
        world_run(i * 500);
        stream_close(&stream);
        world_run((i % 3) * 3000);
    }

    VMP_CHECK(world_nodes[0].iface->all.next->next ==
              &world_nodes[0].iface->all);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    VMP_CHECK(stream_send(&stream, SEND_SHORT, 16, NULL) == VMP_OK);
    world_until(world_nodes[1].received == 1, 100);
    stream_close(&stream);
    world_run(1000000);
    VMP_CHECK(!world_nodes[0].iface->conns[0]->in_use);
    world_end();
}

/* Nobody is there */
static void test_unreachable(uint64_t seed)
{
    vmp_rail_addr_t rail = {.gid = {[15] = 60}, .is_roce = 1};
    vmp_iface_addr_t addr = {
        .id      = 1234,
        .ver_min = VMP_WIRE_VER_MIN,
        .ver_max = VMP_WIRE_VER_MAX,
        .num_ud  = 1,
        .ud_qpn  = {99}
    };
    stream_t stream;

    world_begin("unreachable", seed);
    world_open(1);
    memset(&stream, 0, sizeof(stream));
    stream.node = &world_nodes[0];
    VMP_CHECK(vmp_ep_create(world_nodes[0].iface, &rail, &addr, &stream.ep) ==
              VMP_OK);
    VMP_CHECK(stream_send(&stream, SEND_SHORT, 8, NULL) ==
              VMP_ERR_NO_RESOURCE);
    vmp_ep_wait_ready(&stream.ep);
    world_until(stream.failed, 20000);
    VMP_CHECK((stream.status < 0) && (stream.ready == 1));
    stream_close(&stream);
    world_run(5000000000ul);
    VMP_CHECK(vmp_list_is_empty(&world_nodes[0].iface->all));
    world_end();
}

/* Frames full of nonsense are dropped and counted, and hurt nobody */
static void test_nonsense(uint64_t seed)
{
    vmp_iface_counters_t counters;
    uint8_t frame[128];
    stream_t stream;
    vmp_conn_t *conn;
    vmp_frame_t good;
    vmp_sge_t sge;
    unsigned i;
    unsigned j;

    world_begin("nonsense", seed);
    world_open(2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    conn = stream.ep.conn;
    for (i = 0; i < 2000; ++i) {
        good = (vmp_frame_t){
            .type   = VMP_FRAME_AM,
            .path   = 0,
            .conn   = conn->peer_conn,
            .incarn = conn->peer_incarn,
            .epoch  = conn->paths[0]->epoch,
            .limit  = 16,
            .sn     = 0
        };
        sge = (vmp_sge_t){(uintptr_t)frame, 32, 0};
        switch (i % 5) {
        case 0:
            good.conn = sim_random();
            break;
        case 1:
            good.incarn += 1 + (sim_random() % 1000);
            break;
        case 2:
            good.epoch += 1 + (sim_random() % 1000);
            break;
        case 3:
            good.path = 4 + (sim_random() % 200);
            break;
        default:
            sge.length = sim_random() % sizeof(frame);
            break;
        }

        vmp_frame_pack(frame, &good);
        if ((i % 5) == 4) {
            for (j = 0; j < sizeof(frame); ++j) {
                frame[j] = sim_random();
            }
        }

        VMP_CHECK(vmp_port_post_send(stream_qp(&stream, 0), UINT64_MAX,
                                     VMP_POST_SIGNALED | VMP_POST_INLINE, &sge,
                                     1) == 0);
        world_until(stream_sim(&stream, 0)->posted == 0, 100);
    }

    vmp_iface_get_counters(world_nodes[1].iface, &counters);
    VMP_CHECK(counters.rx_bad_frame == 2000);
    for (i = 0; i < 10; ++i) {
        VMP_CHECK(stream_send(&stream, SEND_SHORT, 16, NULL) == VMP_OK);
    }

    world_until(world_nodes[1].received == 10, 100);
    stream_close(&stream);
    world_end();
}

static void run(uint64_t seed)
{
    unsigned i;

    for (i = 0; i < vmp_check_env("VMP_TEST_COUNT", 5); ++i) {
        test_destroy_busy(seed + i);
        test_destroy_flushing(seed + i);
    }

    test_post_refused(seed, 4);
    test_post_refused(seed, 1);
    test_posts_refused(seed);
    test_all_posts_refused(seed);
    test_refused_then_outage(seed);
    test_nop_refused(seed);
    test_reentry(seed);
    test_peer_close(seed);
    test_peer_close_undelivered(seed, 0);
    test_peer_close_undelivered(seed, 7);
    test_peer_close_undelivered(seed, -1);
    test_peer_close_busy(seed);
    test_early_close(seed);
    test_unreachable(seed);
    test_nonsense(seed);
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    run(seed);
    world_sleeps = 1;
    run(seed);
    return 0;
}
