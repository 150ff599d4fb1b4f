/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Fencing off (R6), where it takes long: one end of a path fails while a put is
 * on its way, and the QP of the other end goes to ERR late; or the program at
 * the other end does not look at its CQs.
 */

#include "core_world.h"
#include "core/vmp_path.h"

#define USEC     1000ul
#define MSEC     (1000 * USEC)
#define REGION   65536
#define DELAY    (5 * MSEC)             /* of what is on its way */
#define ERR_MAX  (20 * MSEC)            /* twice: requester, responder */

typedef enum side {
    SIDE_SENDER,
    SIDE_TARGET
} side_t;

static region_t      remote;
static uint8_t       times[REGION];     /* that a byte was written */
static unsigned      ghosts;            /* after its sender's QP had failed */
static unsigned      num_late;          /* cases in which these were executed */
static vmp_port_qp_t *old;              /* the sender's QP of that path */


static void on_executed(void *arg, const sim_exec_t *exec)
{
    uint64_t offset = exec->addr - (uintptr_t)remote.data;
    uint32_t i;

    (void)arg;
    if ((exec->kind != SIM_EXEC_WRITE) || (exec->length == 0) ||
        (offset >= REGION)) {
        return;
    }

    ghosts += exec->is_ghost;
    for (i = 0; i < exec->length; ++i) {
        /* not even the second time the same (R7) */
        VMP_CHECK(++times[offset + i] == 1);
    }
}

/* Its memory is the user's again: no NIC may read it any more (R2) */
static void on_complete(comp_t *comp)
{
    VMP_CHECK(comp->status == VMP_OK);
    VMP_CHECK(sim_qp(old)->state == SIM_QP_ERR);
}

/* A path that has a link of its own, apart from datagrams */
static unsigned choose_path(stream_t *stream)
{
    sim_link_t *ud = sim_port_ud_link(world_nodes[0].iface->port, 0, 1);
    unsigned path  = 0;

    while ((path < 3) && (sim_qp_link(stream_qp(stream, path)) == ud)) {
        ++path;
    }

    VMP_CHECK(sim_qp_link(stream_qp(stream, path)) != ud);
    return path;
}

static void test_late_err(uint64_t seed, side_t side)
{
    comp_t comp = {.on_call = on_complete};
    region_t local;
    stream_t stream;
    vmp_iov_t iov;
    unsigned i;

    world_begin((side == SIDE_SENDER) ? "its sender fails" : "its target fails",
                seed);
    sim_conf.executed       = on_executed;
    sim_conf.burst          = 1 + sim_random() % 8;
    world_params.chunk_size = 4096;
    world_open(2);
    region_make(&local, 0, REGION, 1);
    region_make(&remote, 1, REGION, 2);
    memset(times, 0, sizeof(times));
    ghosts = 0;
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    old                     = stream_qp(&stream, choose_path(&stream));
    sim_qp_link(old)->delay = DELAY;
    iov                     = (vmp_iov_t){local.data, REGION, &local.mem};
    VMP_CHECK(vmp_ep_put_zcopy(&stream.ep, &iov, 1, (uintptr_t)remote.data,
                               &remote.rkey, &comp) == VMP_INPROGRESS);
    world_run((5 + sim_random() % 40) * USEC);
    VMP_CHECK((comp.calls == 0) && (sim_qp(old)->in_flight > 0));
    sim_qp_break((side == SIDE_SENDER) ? old : sim_qp_peer(old),
                 VMP_WC_RETRY_EXC);
    sim_conf.err_delay = ERR_MAX;
    world_until(comp.calls > 0, 200);
    sim_conf.err_delay = 0;
    world_run(4000 * MSEC);             /* beyond the end of its QPs */
    VMP_CHECK((comp.calls == 1) && !stream.failed);
    for (i = 0; i < REGION; ++i) {
        VMP_CHECK((times[i] == 1) && (remote.data[i] == local.data[i]));
    }

    for (i = 0; i < 2; ++i) {
        VMP_CHECK(world_nodes[i].iface->rails[0].cq_lost == 0);
    }

    num_late += (ghosts > 0);
    stream_close(&stream);
    region_free(&local);
    region_free(&remote);
    world_end();
}

/* Its target's program computes for longer than a dead QP is kept: what came in
 * is not lost with the QP, which is not destroyed before (R6) */
static void test_computes(uint64_t seed, side_t side)
{
    stream_t stream;
    vmp_port_qp_t *qp;
    unsigned i;

    world_begin("its target computes", seed);
    world_open(2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    world_nodes[1].is_paused = 1;
    for (i = 0; i < 8; ++i) {
        VMP_CHECK(stream_send(&stream, SEND_BCOPY, 100, NULL) == VMP_OK);
    }

    world_run(20 * USEC);
    qp = stream_qp(&stream, stream.ep.conn->tx_path->index);
    VMP_CHECK(sim_qp(sim_qp_peer(qp))->rx_cqes > 0);
    sim_qp_break((side == SIDE_SENDER) ? qp : sim_qp_peer(qp),
                 VMP_WC_RETRY_EXC);
    world_run(3000 * MSEC);
    world_nodes[1].is_paused = 0;
    world_until(world_nodes[1].next_seq[stream.id] == 8, 100);
    stream_wait_paths(&stream, 4);
    VMP_CHECK(!stream.failed);
    stream_close(&stream);
    world_end();
}

int main(void)
{
    uint64_t seed  = vmp_check_env("VMP_TEST_SEED", 1);
    uint64_t cases = vmp_check_env("VMP_TEST_CASES", 40);
    uint64_t i;

    for (i = seed; i < seed + cases; ++i) {
        test_late_err(i, SIDE_SENDER);
        test_late_err(i, SIDE_TARGET);
        test_computes(i, SIDE_SENDER);
        test_computes(i, SIDE_TARGET);
    }

    /* the target's QP goes to ERR before that in few cases only */
    printf("  packets of a dead QP were executed in %u of %lu cases\n",
           num_late, (unsigned long)cases);
    VMP_CHECK(num_late > (cases / 2));
    printf("test_core_fence: ok\n");
    return 0;
}
