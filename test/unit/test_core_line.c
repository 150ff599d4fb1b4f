/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * The line behind what failed, and endpoints that are destroyed in it or while
 * their operations are done again: order (R1), and memory that nobody touches
 * any more.
 */

#include "core_work.h"
#include "core/vmp_path.h"

#include <stdio.h>
#include <sys/mman.h>


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

    work_put_refused(&work, &streams[0], &comp);
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

    VMP_CHECK(work_put(&work, &streams[0], &comp));
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

    VMP_CHECK(work_put(&work, &streams[0], &comp));
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

/* What is behind a put that is lost has used up the send buffers, and the
 * reserve has gone as well: what fills their places does not go inline.
 * `again`: the path that the SKIPs go to dies as well. */
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
    VMP_CHECK(work_put(&work, &streams[0], &comp));
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
static void run(uint64_t seed, uint64_t rounds)
{
    uint64_t i;

    for (i = seed; i < seed + rounds; ++i) {
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
    }
}

int main(void)
{
    uint64_t seed   = vmp_check_env("VMP_TEST_SEED", 1);
    uint64_t rounds = vmp_check_env("VMP_TEST_CASES", 30);

    run(seed, rounds);
    world_sleeps = 1;
    run(seed, rounds);
    printf("test_core_line: ok\n");
    return 0;
}
