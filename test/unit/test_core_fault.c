/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Operations that fail by themselves (R8): the end of their endpoint, and of
 * nothing else.
 */

#include "core_work.h"
#include "core/vmp_path.h"

#include <stdarg.h>
#include <stdio.h>


typedef enum fault {
    FAULT_LOCAL,                        /* the device refuses its buffer */
    FAULT_KEY                           /* the peer's devices refuse its key */
} fault_t;

static unsigned num_lost;               /* lines of a lost connection */


void vmp_log(vmp_log_level_t level, const char *file, unsigned line,
             const char *fmt, ...)
{
    va_list ap;

    (void)level;
    (void)file;
    (void)line;
    num_lost += strstr(fmt, "is lost, and all its endpoints") != NULL;
    va_start(ap, fmt);
    printf("  ");
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
}

/* An operation that fails on any path */
static void fail_operation(stream_t *stream, work_t *work, fault_t fault)
{
    if (fault == FAULT_LOCAL) {
        stream_kill_path(stream, stream->ep.conn->tx_path->index,
                         VMP_WC_LOC_ERR);
        VMP_CHECK(stream_send(stream, SEND_SHORT, 16, NULL) == VMP_OK);
    } else {
        work_put_refused(work, stream, &work->comps[work->num++]);
    }
}

/* That is the end of its endpoint alone (R8): what the endpoint had started
 * ends once, and all others on the connection go on, in both directions */
static void test_operation_failure(uint64_t seed, fault_t fault)
{
    vmp_status_t status = VMP_ERR_CONNECTION_RESET;
    stream_t streams[3];
    stream_t again;
    work_t work;
    unsigned i, k;

    world_begin("operation failure", seed);
    sim_conf.qp_jitter         = 10000;
    world_params.spread_thresh = 300 + sim_random() % 400;
    world_open(2);
    work_make(&work);
    stream_open(&streams[0], 0, 1);
    stream_open(&streams[1], 0, 1);
    stream_open(&streams[2], 1, 0);
    stream_wait_paths(&streams[0], 4);
    stream_wait_paths(&streams[2], 4);
    if (sim_random() % 2) {
        work_start(&work, &streams[0]);
        world_run(200000000ul);
        VMP_CHECK(work.flushed.calls == 1);
        memset(&work.flushed, 0, sizeof(work.flushed));
    }
    fail_operation(&streams[0], &work, fault);
    VMP_CHECK(stream_send(&streams[1], SEND_BCOPY, 100, NULL) == VMP_OK);
    VMP_CHECK(vmp_ep_flush(&streams[0].ep, 0, &work.flushed) ==
              VMP_INPROGRESS);
    world_until(streams[0].failed, 1000);
    VMP_CHECK(streams[0].status == status);
    VMP_CHECK((work.flushed.calls == 1) && (work.flushed.status == status));
    for (i = 0; i < work.num; ++i) {
        VMP_CHECK(work.comps[i].calls == 1);
        VMP_CHECK((work.comps[i].status == VMP_OK) || (i == work.num - 1));
    }

    VMP_CHECK((fault != FAULT_KEY) ||
              (work.comps[work.num - 1].status == status));
    VMP_CHECK(stream_send(&streams[0], SEND_SHORT, 16, NULL) == status);
    VMP_CHECK(vmp_ep_flush(&streams[0].ep, 0, &work.flushed) == status);
    VMP_CHECK(vmp_ep_flush(&streams[0].ep, VMP_FLUSH_CANCEL, NULL) == VMP_OK);
    VMP_CHECK(vmp_ep_check(&streams[0].ep) == status);

    /* the others stay where they are, and so do new ones */
    stream_open(&again, 0, 1);
    again.id = 200;
    VMP_CHECK(again.ep.conn == streams[1].ep.conn);
    VMP_CHECK(again.ep.conn != streams[0].ep.conn);
    for (i = 0; i < 10; ++i) {
        for (k = 1; k < 3; ++k) {
            world_until(stream_send(&streams[k], SEND_BCOPY, 100, NULL) ==
                        VMP_OK, 100);
        }
        world_until(stream_send(&again, SEND_SHORT, 16, NULL) == VMP_OK, 100);
    }

    world_until((world_nodes[1].next_seq[200] == 10) &&
                (world_nodes[1].next_seq[streams[1].id] == 11) &&
                (world_nodes[0].next_seq[streams[2].id] == 10), 100);
    VMP_CHECK(!streams[1].failed && !streams[2].failed && !again.failed);
    stream_wait_paths(&streams[1], 4);
    for (i = 0; i < 3; ++i) {
        stream_close(&streams[i]);
    }

    VMP_CHECK(streams[0].failed == 1);
    stream_close(&again);
    world_run(5000000000ul);
    work_check_idle(&world_nodes[0]);
    work_check_idle(&world_nodes[1]);
    work_free(&work);
    world_end();
}

/* What is refused once only was no error of the operation */
static void test_false_refusal(uint64_t seed, vmp_wc_status_t wc_status)
{
    stream_t streams[2];
    work_t work;
    unsigned i;

    world_begin("false refusal", seed);
    sim_conf.qp_jitter         = 10000;
    world_params.spread_thresh = sim_random() % 400;
    world_open(2);
    work_make(&work);
    stream_open(&streams[0], 0, 1);
    stream_open(&streams[1], 1, 0);
    stream_wait_paths(&streams[0], 4);
    work_start(&work, &streams[0]);
    world_run(sim_random() % 30000);
    stream_kill_path(&streams[0], sim_random() % 4, wc_status);
    world_until(work.flushed.calls == 1, 1000);
    VMP_CHECK(work.flushed.status == VMP_OK);
    for (i = 0; i < work.num; ++i) {
        VMP_CHECK((work.comps[i].calls == 1) &&
                  (work.comps[i].status == VMP_OK));
    }

    world_run(5000000000ul);
    VMP_CHECK(!streams[0].failed && !streams[1].failed);
    work_check_idle(&world_nodes[0]);
    stream_close(&streams[0]);
    stream_close(&streams[1]);
    work_free(&work);
    world_end();
}

/* Return whether it was taken */
/* The peer is stopped and has no buffers, so that what an endpoint with a fault
 * had posted takes long to end. Others of its connection go on. */
static void test_others_go_on(uint64_t seed)
{
    stream_t streams[2];
    comp_t flushes[2] = {{0}};
    comp_t puts[16]   = {{0}};
    work_t work;
    unsigned done = 0;
    unsigned i;

    world_begin("others go on", seed);
    world_params.port.min_rnr_timer = 18;       /* 5 ms */
    world_params.spread_thresh      = 64;       /* puts, but no messages */
    world_open(2);
    work_make(&work);
    stream_open(&streams[0], 0, 1);
    stream_open(&streams[1], 0, 1);
    stream_wait_paths(&streams[0], 4);
    world_nodes[1].is_paused = 1;
    sim_conf.rnr_false       = 1000000;
    VMP_CHECK(stream_send(&streams[0], SEND_SHORT, 16, NULL) == VMP_OK);
    world_run(100000);
    stream_kill_path(&streams[0], (streams[0].ep.conn->tx_path->index + 1) % 4,
                     VMP_WC_LOC_ERR);
    for (i = 0; i < 4; ++i) {
        VMP_CHECK(work_put(&work, &streams[0], &puts[i]));
    }

    world_until(streams[0].ep.fault != VMP_OK, 100);
    VMP_CHECK(vmp_ep_flush(&streams[0].ep, 0, &flushes[0]) == VMP_INPROGRESS);
    for (; i < 16; ++i) {
        VMP_CHECK(work_put(&work, &streams[1], &puts[i]));
        VMP_CHECK(stream_send(&streams[0], SEND_SHORT, 16, NULL) ==
                  VMP_ERR_NO_RESOURCE);
        VMP_CHECK(!vmp_ep_is_ready(&streams[0].ep));
        world_run(1000000);
    }

    VMP_CHECK(stream_send(&streams[1], SEND_SHORT, 16, NULL) == VMP_OK);
    VMP_CHECK(vmp_ep_flush(&streams[1].ep, 0, &flushes[1]) == VMP_INPROGRESS);
    world_run(500000000ul);
    for (i = 4; i < 16; ++i) {
        done += puts[i].calls;
    }

    printf("  %u puts of the other are done\n", done);
    VMP_CHECK(done > 2);
    VMP_CHECK(!streams[0].failed && (flushes[0].calls + flushes[1].calls == 0));

    sim_conf.rnr_false       = 0;
    world_nodes[1].is_paused = 0;
    world_until(streams[0].failed && (flushes[1].calls == 1), 1000);
    VMP_CHECK(streams[0].status == VMP_ERR_CONNECTION_RESET);
    VMP_CHECK(flushes[0].status == VMP_ERR_CONNECTION_RESET);
    VMP_CHECK((flushes[0].calls == 1) && (flushes[1].status == VMP_OK));
    for (i = 0; i < 16; ++i) {
        VMP_CHECK((puts[i].calls == 1) &&
                  ((i < 4) || (puts[i].status == VMP_OK)));
    }

    world_until(world_nodes[1].next_seq[streams[1].id] == 1, 100);
    VMP_CHECK((streams[0].failed == 1) && !streams[1].failed);
    stream_close(&streams[0]);
    stream_close(&streams[1]);
    world_run(5000000000ul);
    work_check_idle(&world_nodes[0]);
    work_free(&work);
    world_end();
}

/* A message behind a fence says that the put before it is done: it must not
 * come if the put failed (R3) */
static void test_fence(uint64_t seed)
{
    stream_t streams[2];
    vmp_status_t status;
    comp_t comp = {0};
    work_t work;
    unsigned i;

    world_begin("message behind a fence", seed);
    sim_conf.qp_jitter         = 10000;
    world_params.spread_thresh = (seed % 2) ? 0 : 400;
    world_open(2);
    work_make(&work);
    for (i = 0; i < 2; ++i) {
        stream_open(&streams[i], 0, 1);
        stream_wait_paths(&streams[i], 4);
    }

    for (i = sim_random() % 4; i > 0; --i) {
        VMP_CHECK(stream_send(&streams[1], SEND_BCOPY, 200, NULL) == VMP_OK);
    }

    work_put_refused(&work, &streams[0], &comp);
    VMP_CHECK(vmp_ep_fence(&streams[0].ep) == VMP_OK);
    do {
        world_step();
        status = stream_send(&streams[0], sim_random() % SEND_KINDS, 16, NULL);
        stream_send(&streams[1], SEND_SHORT, 16, NULL);
    } while ((status == VMP_ERR_NO_RESOURCE) && !streams[0].failed);

    world_until(streams[0].failed, 1000);
    VMP_CHECK((comp.calls == 1) && (comp.status == VMP_ERR_CONNECTION_RESET));
    world_until(world_nodes[1].next_seq[streams[1].id] == streams[1].seq, 1000);
    VMP_CHECK(world_nodes[1].next_seq[streams[0].id] == 0);
    VMP_CHECK(!streams[1].failed);
    stream_close(&streams[0]);
    stream_close(&streams[1]);
    work_free(&work);
    world_end();
}

/* A later message of its endpoint went another way: the connection is lost with
 * it, and the log says so */
static void test_overtaken(uint64_t seed)
{
    stream_t streams[2];
    unsigned i;

    world_begin("overtaken", seed);
    world_params.spread_thresh = 64;
    world_open(2);
    for (i = 0; i < 2; ++i) {
        stream_open(&streams[i], 0, 1);
        stream_wait_paths(&streams[i], 4);
    }

    for (i = 0; i < 4; ++i) {
        stream_kill_path(&streams[0], i, VMP_WC_LOC_ERR);
    }

    num_lost = 0;
    for (i = 0; i < 4; ++i) {
        VMP_CHECK(stream_send(&streams[0], SEND_BCOPY, 400, NULL) == VMP_OK);
    }

    world_until(streams[0].failed && streams[1].failed, 1000);
    VMP_CHECK(num_lost == 1);
    VMP_CHECK(world_nodes[1].next_seq[streams[0].id] == 0);
    stream_close(&streams[0]);
    stream_close(&streams[1]);
    world_end();
}

static void run(uint64_t seed, uint64_t rounds)
{
    uint64_t i;

    for (i = seed; i < seed + rounds; ++i) {
        test_operation_failure(i, FAULT_LOCAL);
        test_operation_failure(i, FAULT_KEY);
        test_others_go_on(i);
        test_fence(i);
        test_overtaken(i);
        test_false_refusal(i, VMP_WC_REM_ACCESS);
        test_false_refusal(i, VMP_WC_REM_INV_REQ);
        test_false_refusal(i, VMP_WC_REM_OP);
    }
}

int main(void)
{
    uint64_t seed   = vmp_check_env("VMP_TEST_SEED", 1);
    uint64_t rounds = vmp_check_env("VMP_TEST_CASES", 30);

    run(seed, rounds);
    world_sleeps = 1;
    run(seed, rounds);
    printf("test_core_fault: ok\n");
    return 0;
}
