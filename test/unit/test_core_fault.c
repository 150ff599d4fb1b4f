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
#include <sys/mman.h>


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

static void put_with_bad_key(stream_t *stream, work_t *work, comp_t *comp)
{
    vmp_iov_t iov  = {work->local.data, 300, &work->local.mem};
    vmp_rkey_t key = work->remote.rkey;

    key.key[0] ^= 0x5a5a;
    VMP_CHECK(vmp_ep_put_zcopy(&stream->ep, &iov, 1,
                               (uintptr_t)work->remote.data, &key,
                               comp) == VMP_INPROGRESS);
}

/* An operation that fails on any path */
static void fail_operation(stream_t *stream, work_t *work, fault_t fault)
{
    if (fault == FAULT_LOCAL) {
        stream_kill_path(stream, stream->ep.conn->tx_path->index,
                         VMP_WC_LOC_ERR);
        VMP_CHECK(stream_send(stream, SEND_SHORT, 16, NULL) == VMP_OK);
    } else {
        put_with_bad_key(stream, work, &work->comps[work->num++]);
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
static int put_small(stream_t *stream, work_t *work, comp_t *comp)
{
    vmp_iov_t iov = {work->local.data, 100, &work->local.mem};

    return vmp_ep_put_zcopy(&stream->ep, &iov, 1, (uintptr_t)work->remote.data,
                            &work->remote.rkey, comp) == VMP_INPROGRESS;
}

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
        VMP_CHECK(put_small(&streams[0], &work, &puts[i]));
    }

    world_until(streams[0].ep.fault != VMP_OK, 100);
    VMP_CHECK(vmp_ep_flush(&streams[0].ep, 0, &flushes[0]) == VMP_INPROGRESS);
    for (; i < 16; ++i) {
        VMP_CHECK(put_small(&streams[1], &work, &puts[i]));
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

    put_with_bad_key(&streams[0], &work, &comp);
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

/* `num` messages are in the queue of a path that dies, and 32 of what was in it
 * go to another one in the first turn. Stop there, before the peer has any. */
static void stop_amid_replay(stream_t *stream, unsigned num)
{
    vmp_conn_t *conn       = stream->ep.conn;
    const vmp_path_t *path = conn->tx_path;
    unsigned i;

    for (i = 0; i < num; ++i) {
        VMP_CHECK(stream_send(stream, SEND_SHORT, 16, NULL) == VMP_OK);
    }

    VMP_CHECK(conn->tx_path == path);
    world_until((conn->replays == 1) && ((path->head - path->tail) <= 32),
                1000);
    VMP_CHECK(path->head != path->tail);
    world_nodes[0].is_paused = 1;
}

static void begin_in_line(const char *name, uint64_t seed, stream_t *streams,
                          unsigned paths)
{
    unsigned i;

    world_begin(name, seed);
    world_params.num_paths     = paths;
    world_params.spread_thresh = 4096;
    world_params.rx_window_min = 64;
    world_open(2);
    for (i = 0; i < 2; ++i) {
        stream_open(&streams[i], 0, 1);
        stream_wait_paths(&streams[i], paths);
    }

    world_run(1000000);
    stream_kill_path(&streams[0], streams[0].ep.conn->tx_path->index,
                     VMP_WC_RETRY_EXC);
}

/* Those behind a message that failed wait in line, and do not pass it when
 * their endpoint is destroyed (R1) */
static void test_line_of_the_gone(uint64_t seed)
{
    stream_t streams[2];
    unsigned i;

    begin_in_line("line of the gone", seed, streams, 2);
    stop_amid_replay(&streams[0], 40);
    stream_kill_path(&streams[0], streams[0].ep.conn->tx_path->index,
                     VMP_WC_LOC_ERR);
    world_run(1000000);
    world_nodes[0].is_paused = 0;
    world_until(streams[0].ep.fault != VMP_OK, 1);
    VMP_CHECK(!streams[0].failed && (streams[0].ep.conn->replays == 1));
    stream_close(&streams[0]);
    for (i = 0; i < 10; ++i) {
        world_until(stream_send(&streams[1], SEND_BCOPY, 100, NULL) == VMP_OK,
                    1000);
    }

    world_until(world_nodes[1].next_seq[streams[1].id] == 10, 1000);
    VMP_CHECK(world_nodes[1].next_seq[streams[0].id] == 0);
    VMP_CHECK(!streams[1].failed);
    stream_close(&streams[1]);
    world_end();
}

/* Nor do those that a fence had put behind a put (R3) */
static void test_line_behind_put(uint64_t seed)
{
    stream_t streams[2];
    comp_t comp = {0};
    vmp_path_t *path;
    work_t work;
    unsigned i;

    begin_in_line("line behind a put", seed, streams, 2);
    work_make(&work);
    path = streams[0].ep.conn->tx_path;
    for (i = 0; i < 31; ++i) {
        VMP_CHECK(stream_send(&streams[1], SEND_SHORT, 16, NULL) == VMP_OK);
    }

    put_with_bad_key(&streams[0], &work, &comp);
    /* as if it had been refused elsewhere before */
    path->ring[(path->head - 1) & path->mask].refusals = VMP_WR_REFUSALS - 1;
    VMP_CHECK(vmp_ep_fence(&streams[0].ep) == VMP_OK);
    stop_amid_replay(&streams[0], 8);
    world_run(1000000);
    world_nodes[0].is_paused = 0;
    world_until(streams[0].failed, 1000);
    VMP_CHECK((comp.calls == 1) && (comp.status == VMP_ERR_CONNECTION_RESET));
    world_until(stream_send(&streams[1], SEND_SHORT, 16, NULL) == VMP_OK, 1000);
    world_until(world_nodes[1].next_seq[streams[1].id] == 32, 1000);
    VMP_CHECK(world_nodes[1].next_seq[streams[0].id] == 0);
    VMP_CHECK(!streams[1].failed);
    stream_close(&streams[0]);
    stream_close(&streams[1]);
    work_free(&work);
    world_end();
}

/* An endpoint has gone that had posted a put out of its memory, a fence, and a
 * message; the path dies before it executes them. The put cannot be done again:
 * the message must not come either (R3). Those before the put do, and those of
 * another endpoint that is gone. */
static void test_gone_behind_put(uint64_t seed)
{
    unsigned before = seed % 3;
    stream_t streams[3];
    comp_t comp     = {0};
    vmp_path_t *path;
    work_t work;
    unsigned i;

    begin_in_line("gone behind a put", seed, streams, 2);
    stream_open(&streams[2], 0, 1);
    work_make(&work);
    path = streams[0].ep.conn->tx_path;
    for (i = 0; i < before; ++i) {
        VMP_CHECK(stream_send(&streams[0], SEND_BCOPY, 100, NULL) == VMP_OK);
    }

    VMP_CHECK(put_small(&streams[0], &work, &comp));
    if (seed % 2) {
        VMP_CHECK(stream_send(&streams[2], SEND_BCOPY, 100, NULL) == VMP_OK);
    }

    VMP_CHECK(vmp_ep_fence(&streams[0].ep) == VMP_OK);
    VMP_CHECK(streams[0].ep.conn->is_pinned);
    VMP_CHECK(stream_send(&streams[0], SEND_BCOPY, 100, NULL) == VMP_OK);
    VMP_CHECK(vmp_ep_put_short(&streams[0].ep, work.local.data, 8,
                               (uintptr_t)work.remote.data + 1000,
                               &work.remote.rkey) == VMP_OK);
    VMP_CHECK(stream_send(&streams[2], SEND_BCOPY, 100, NULL) == VMP_OK);
    VMP_CHECK(streams[0].ep.conn->tx_path == path);
    memset(work.remote.data, 0, REGION);
    stream_close(&streams[0]);
    stream_close(&streams[2]);
    world_until(stream_send(&streams[1], SEND_SHORT, 16, NULL) == VMP_OK, 1000);
    world_until(world_nodes[1].next_seq[streams[1].id] == 1, 1000);
    world_run(10000000);
    VMP_CHECK(memcmp(work.remote.data, work.local.data, 100) != 0);
    VMP_CHECK(world_nodes[1].next_seq[streams[0].id] == before);
    VMP_CHECK(memcmp(work.remote.data + 1000, work.local.data, 8) != 0);
    VMP_CHECK(world_nodes[1].next_seq[streams[2].id] == 1 + (seed % 2));
    VMP_CHECK((comp.calls == 0) && !streams[1].failed);
    stream_close(&streams[1]);
    work_free(&work);
    world_end();
}

/* The same when half of it has moved to another path, which then dies */
static void test_gone_in_line(uint64_t seed)
{
    stream_t streams[2];
    comp_t comp = {0};
    vmp_path_t *path;
    vmp_conn_t *conn;
    work_t work;
    unsigned i;

    begin_in_line("gone in line", seed, streams, 3);
    work_make(&work);
    conn = streams[0].ep.conn;
    path = conn->tx_path;
    for (i = 0; i < 31; ++i) {
        VMP_CHECK(stream_send(&streams[1], SEND_SHORT, 16, NULL) == VMP_OK);
    }

    VMP_CHECK(put_small(&streams[0], &work, &comp));
    VMP_CHECK(vmp_ep_fence(&streams[0].ep) == VMP_OK);
    memset(work.remote.data, 0, REGION);
    stop_amid_replay(&streams[0], 8);
    VMP_CHECK((conn->tx_path != path) && (conn->tx_path != NULL));
    for (i = 0; i < 3; ++i) {
        if ((conn->paths[i] != NULL) && (conn->paths[i]->num_ops > 0)) {
            stream_kill_path(&streams[0], i, VMP_WC_RETRY_EXC);
        }
    }

    stream_close(&streams[0]);
    world_run(1000000);
    world_nodes[0].is_paused = 0;
    world_until(stream_send(&streams[1], SEND_SHORT, 16, NULL) == VMP_OK, 1000);
    world_until(world_nodes[1].next_seq[streams[1].id] == 32, 1000);
    world_run(10000000);
    VMP_CHECK((memcmp(work.remote.data, work.local.data, 100) == 0) ||
              (world_nodes[1].next_seq[streams[0].id] == 0));
    VMP_CHECK((comp.calls == 0) && !streams[1].failed);
    stream_close(&streams[1]);
    work_free(&work);
    world_end();
}

/* A message whose memory went with its endpoint is sent again all the same, and
 * those behind it (R1) */
static void test_gone_zcopy(uint64_t seed, vmp_wc_status_t status)
{
    unsigned before = seed % 3;
    stream_t streams[2];
    comp_t comp     = {0};
    unsigned i;

    begin_in_line("gone with zcopy", seed, streams, 2);
    stream_kill_path(&streams[0], streams[0].ep.conn->tx_path->index, status);
    for (i = 0; i < before + 3; ++i) {
        VMP_CHECK(stream_send(&streams[0], (i == before) ? SEND_ZCOPY :
                              SEND_BCOPY, 100, &comp) >= 0);
        VMP_CHECK(stream_send(&streams[1], SEND_SHORT, 16, NULL) == VMP_OK);
    }

    stream_close(&streams[0]);
    world_spoil_zcopies();
    world_until(world_nodes[1].next_seq[streams[1].id] == before + 3, 1000);
    VMP_CHECK(world_nodes[1].next_seq[streams[0].id] == before + 3);
    VMP_CHECK((comp.calls == 0) && !streams[1].failed);
    stream_close(&streams[1]);
    world_end();
}

/* What the device has refused to read nobody else reads either: the program may
 * know why */
static void test_gone_unmapped(uint64_t seed)
{
    size_t size = 1 << 16;
    stream_t streams[2];
    comp_t comp = {0};
    vmp_mem_t mem;
    vmp_iov_t iov;
    void *data;

    begin_in_line("gone with memory", seed, streams, 2);
    stream_kill_path(&streams[0], streams[0].ep.conn->tx_path->index,
                     VMP_WC_LOC_ERR);
    data = mmap(NULL, size, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    VMP_CHECK(data != MAP_FAILED);
    VMP_CHECK(vmp_port_mem_reg(world_nodes[0].md, data, size, 0, 0, &mem) ==
              VMP_OK);
    iov = (vmp_iov_t){data, 400, &mem};
    VMP_CHECK(vmp_ep_am_zcopy(&streams[0].ep, 0, &comp, 8, &iov, 1, &comp) ==
              VMP_INPROGRESS);
    world_until(streams[0].ep.fault != VMP_OK, 1000);
    VMP_CHECK(!streams[0].failed && (comp.calls == 0));
    vmp_port_mem_dereg(&mem);
    munmap(data, size);
    stream_close(&streams[0]);
    world_until(stream_send(&streams[1], SEND_SHORT, 16, NULL) == VMP_OK, 1000);
    world_until(world_nodes[1].next_seq[streams[1].id] == 1, 1000);
    stream_close(&streams[1]);
    world_end();
}

/* All of its paths that died have had their work done elsewhere */
static int replay_is_over(const vmp_conn_t *conn, unsigned index,
                          uint32_t epoch)
{
    const vmp_path_t *path = conn->paths[index];

    return ((path == NULL) || (path->epoch != epoch)) && (conn->replays == 0);
}

static unsigned take_bufs(vmp_iface_t *iface, vmp_buf_t **bufs, unsigned num)
{
    while (vmp_buf_pool_has(&iface->tx_bufs, 1)) {
        bufs[num++] = vmp_buf_get(&iface->tx_bufs);
    }

    return num;
}

/* A path with a SKIP that is not complete. NULL: there is none */
static vmp_path_t *path_with_skip(const vmp_conn_t *conn)
{
    vmp_path_t *path;
    uint32_t pos;
    unsigned i;

    for (i = 0; i < conn->num_paths; ++i) {
        path = conn->paths[i];
        for (pos = (path == NULL) ? 0 : path->tail;
             (path != NULL) && (pos != path->head); ++pos) {
            if (path->ring[pos & path->mask].kind == VMP_WR_SKIP) {
                return path;
            }
        }
    }

    return NULL;
}

/* What is behind a put that is lost has used up the send buffers, and the reserve
 * has gone as well: what fills their places does not go inline. `again`: the path
 * that the SKIPs go to dies as well. */
static void test_gone_without_bufs(uint64_t seed, int again)
{
    unsigned num = 0;
    stream_t streams[2];
    vmp_iface_t *iface;
    vmp_path_t *path;
    vmp_buf_t *bufs[VMP_TX_BUFS_RESERVE * 4];
    comp_t comp = {0};
    work_t work;
    unsigned index, i;
    vmp_conn_t *conn;
    uint32_t epoch;

    world_begin(again ? "gone without buffers, twice" :
                "gone without buffers", seed);
    world_params.num_paths       = 2 + again;
    world_params.spread_thresh   = 4096;
    world_params.rx_window_min   = 64;
    world_params.tx_max_bufs     = VMP_TX_BUFS_RESERVE * 4;
    world_params.port.max_inline = 0;
    world_open(2);
    for (i = 0; i < 2; ++i) {
        stream_open(&streams[i], 0, 1);
        stream_wait_paths(&streams[i], 2 + again);
    }

    world_run(1000000);
    iface = world_nodes[0].iface;
    conn  = streams[0].ep.conn;
    path  = conn->tx_path;
    index = path->index;
    epoch = path->epoch;
    VMP_CHECK(iface->attr.max_inline == 0);
    stream_kill_path(&streams[0], index, VMP_WC_RETRY_EXC);
    work_make(&work);
    VMP_CHECK(put_small(&streams[0], &work, &comp));
    VMP_CHECK(vmp_ep_fence(&streams[0].ep) == VMP_OK);
    while (stream_send(&streams[0], SEND_BCOPY, 100, NULL) >= 0) {
        ++num;
    }

    VMP_CHECK((num > 0) && ((path->head - path->tail) >= num));
    stream_close(&streams[0]);
    num = take_bufs(iface, bufs, 0);
    VMP_CHECK(num >= VMP_TX_BUFS_RESERVE);
    sim_conf.rnr_false = again ? 1000000 : 0;
    world_until(replay_is_over(conn, index, epoch), 1000);
    if (again) {
        num  = take_bufs(iface, bufs, num);
        path = path_with_skip(conn);
        VMP_CHECK(path != NULL);
        index = path->index;
        epoch = path->epoch;
        stream_kill_path(&streams[1], index, VMP_WC_RETRY_EXC);
        world_until(replay_is_over(conn, index, epoch), 1000);
        VMP_CHECK(path_with_skip(conn) != NULL);
        sim_conf.rnr_false = 0;
    }

    for (i = 0; i < num; ++i) {
        vmp_buf_put(&iface->tx_bufs, bufs[i]);
    }

    world_until(stream_send(&streams[1], SEND_BCOPY, 16, NULL) == VMP_OK, 1000);
    world_until(world_nodes[1].next_seq[streams[1].id] == 1, 1000);
    VMP_CHECK(world_nodes[1].next_seq[streams[0].id] == 0);
    VMP_CHECK(!streams[1].failed && (comp.calls == 0));
    stream_close(&streams[1]);
    work_free(&work);
    world_end();
}

/* A put that waits, a fence, and a message: that is not taken before the put is
 * done, so that nothing of the endpoint is left to come without it */
static void test_gone_unposted(uint64_t seed)
{
    stream_t streams[2];
    comp_t comp = {0};
    work_t work;
    vmp_iov_t iov;
    unsigned i;

    world_begin("gone with a put that waits", seed);
    world_params.num_paths     = 1 + (seed % 4);
    world_params.spread_thresh = 1024;
    world_params.chunk_size    = 1024;
    world_params.path_window   = 2048;
    world_open(2);
    work_make(&work);
    for (i = 0; i < 2; ++i) {
        stream_open(&streams[i], 0, 1);
        stream_wait_paths(&streams[i], world_params.num_paths);
    }

    iov = (vmp_iov_t){work.local.data, REGION, &work.local.mem};
    memset(work.remote.data, 0, REGION);
    VMP_CHECK(vmp_ep_put_zcopy(&streams[0].ep, &iov, 1,
                               (uintptr_t)work.remote.data, &work.remote.rkey,
                               &comp) == VMP_INPROGRESS);
    VMP_CHECK(!vmp_list_is_empty(&streams[0].ep.conn->ops));
    VMP_CHECK(vmp_ep_fence(&streams[0].ep) == VMP_OK);
    VMP_CHECK(stream_send(&streams[0], SEND_BCOPY, 100, NULL) ==
              VMP_ERR_NO_RESOURCE);
    stream_close(&streams[0]);
    world_until(stream_send(&streams[1], SEND_BCOPY, 100, NULL) == VMP_OK, 100);
    world_until(world_nodes[1].next_seq[streams[1].id] == 1, 100);
    VMP_CHECK(world_nodes[1].next_seq[streams[0].id] == 0);
    VMP_CHECK(comp.calls == 0);
    stream_close(&streams[1]);
    work_free(&work);
    world_end();
}

static uint32_t late_num;               /* messages of the first stream */

/* No more of them come behind the first one of the last stream */
static void late_am(node_t *node)
{
    VMP_CHECK((node->next_seq[2] == 0) || (node->next_seq[0] == late_num));
    late_num = node->next_seq[0];
}

/* Messages fail of which copies lie at the peer, where nobody has looked yet:
 * the acknowledgements were lost. Their SNs are said to be filled, and a new
 * endpoint sends; yet they do not come behind that (R1). Copies are in the CQ
 * before the paths that they came on are dead, and only then is their SKIP
 * sent. */
static void test_late_copy(uint64_t seed)
{
    const vmp_iface_counters_t *counters;
    stream_t streams[3];
    vmp_path_t *path = NULL;
    vmp_conn_t *conn;
    unsigned i;

    begin_in_line("late copy", seed, streams, 4);
    conn     = streams[0].ep.conn;
    counters = &world_nodes[1].iface->counters;
    stream_sim(&streams[0], conn->tx_path->index)->kill_late = 1;
    world_nodes[1].is_paused = 1;
    world_nodes[1].on_am     = late_am;
    late_num                 = 0;
    stop_amid_replay(&streams[0], 40);
    for (i = 0; i < 4; ++i) {
        if ((conn->paths[i] != NULL) && (conn->paths[i]->num_ops > 0)) {
            path = conn->paths[i];
        }
    }

    VMP_CHECK((path != NULL) && (path->num_ops == 32));
    stream_kill_path(&streams[0], path->index, VMP_WC_LOC_ERR);
    world_run(1000000);
    world_nodes[0].is_paused = 0;
    world_until(streams[0].failed, 1000);
    stream_close(&streams[0]);
    stream_open(&streams[2], 0, 1);
    VMP_CHECK(streams[2].ep.conn == conn);
    VMP_CHECK(stream_send(&streams[2], SEND_SHORT, 16, NULL) == VMP_OK);
    world_run(10000000);
    VMP_CHECK(world_nodes[1].received == 0);

    world_nodes[1].is_paused = 0;
    world_until(world_nodes[1].next_seq[2] == 1, 1000);
    world_run(100000000);
    VMP_CHECK((late_num > 0) && (world_nodes[1].next_seq[0] == late_num));
    VMP_CHECK(counters->rx_duplicate >= late_num);
    VMP_CHECK(!streams[1].failed && !streams[2].failed);
    stream_close(&streams[1]);
    stream_close(&streams[2]);
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
        test_line_of_the_gone(i);
        test_line_behind_put(i);
        test_late_copy(i);
        test_gone_behind_put(i);
        test_gone_in_line(i);
        test_gone_zcopy(i, VMP_WC_RETRY_EXC);
        test_gone_zcopy(i, VMP_WC_LOC_ERR);
        test_gone_unmapped(i);
        test_gone_without_bufs(i, 0);
        test_gone_without_bufs(i, 1);
        test_gone_unposted(i);
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
