/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core_world.h"

#include <stdlib.h>


/*
 * What an operation costs, in things that can be counted: work requests, how
 * many of them raise a completion, calls of the port. No test here looks at a
 * clock.
 *
 * "test_core_cost run KIND PATHS COUNT" only runs COUNT operations, for
 * contrib/bench/instructions.
 */
#define COST_BYTES  16              /* of a short message, with its header */
#define COST_BULK   (1ul << 18)     /* of a put */

/* Calls of the port, counted where the linker puts us in between (--wrap) */
typedef struct cost {
    unsigned sends;
    unsigned writes;
    unsigned reads;
    unsigned signaled;
    unsigned tx_polls;
    unsigned rx_polls;
    unsigned srq_posts;
    unsigned wakes;                 /* Of the helper: set-up only */
} cost_t;

static cost_t cost;

/* Called by the linker's doing only */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

int __real_vmp_port_post_send(vmp_port_qp_t *qp, uint64_t wr_id, unsigned flags,
                              const vmp_sge_t *sge, unsigned num_sge);
int __real_vmp_port_post_write(vmp_port_qp_t *qp, uint64_t wr_id,
                               unsigned flags, const vmp_sge_t *sge,
                               unsigned num_sge, uint64_t remote_addr,
                               uint32_t rkey);
int __real_vmp_port_post_read(vmp_port_qp_t *qp, uint64_t wr_id, unsigned flags,
                              const vmp_sge_t *sge, unsigned num_sge,
                              uint64_t remote_addr, uint32_t rkey);
int __real_vmp_port_poll_tx(vmp_port_t *port, unsigned rail, vmp_wc_t *wc,
                            int max);
int __real_vmp_port_poll_rx(vmp_port_t *port, unsigned rail, vmp_wc_t *wc,
                            int max);
unsigned __real_vmp_port_srq_post(vmp_port_t *port, unsigned rail,
                                  const uint64_t *wr_ids, const vmp_sge_t *bufs,
                                  unsigned num);
void __real_vmp_port_wake(vmp_port_t *port);

int __wrap_vmp_port_post_send(vmp_port_qp_t *qp, uint64_t wr_id, unsigned flags,
                              const vmp_sge_t *sge, unsigned num_sge)
{
    ++cost.sends;
    cost.signaled += (flags & VMP_POST_SIGNALED) != 0;
    return __real_vmp_port_post_send(qp, wr_id, flags, sge, num_sge);
}

int __wrap_vmp_port_post_write(vmp_port_qp_t *qp, uint64_t wr_id,
                               unsigned flags, const vmp_sge_t *sge,
                               unsigned num_sge, uint64_t remote_addr,
                               uint32_t rkey)
{
    ++cost.writes;
    cost.signaled += (flags & VMP_POST_SIGNALED) != 0;
    return __real_vmp_port_post_write(qp, wr_id, flags, sge, num_sge,
                                      remote_addr, rkey);
}

int __wrap_vmp_port_post_read(vmp_port_qp_t *qp, uint64_t wr_id, unsigned flags,
                              const vmp_sge_t *sge, unsigned num_sge,
                              uint64_t remote_addr, uint32_t rkey)
{
    ++cost.reads;
    cost.signaled += (flags & VMP_POST_SIGNALED) != 0;
    return __real_vmp_port_post_read(qp, wr_id, flags, sge, num_sge,
                                     remote_addr, rkey);
}

int __wrap_vmp_port_poll_tx(vmp_port_t *port, unsigned rail, vmp_wc_t *wc,
                            int max)
{
    ++cost.tx_polls;
    return __real_vmp_port_poll_tx(port, rail, wc, max);
}

int __wrap_vmp_port_poll_rx(vmp_port_t *port, unsigned rail, vmp_wc_t *wc,
                            int max)
{
    ++cost.rx_polls;
    return __real_vmp_port_poll_rx(port, rail, wc, max);
}

unsigned __wrap_vmp_port_srq_post(vmp_port_t *port, unsigned rail,
                                  const uint64_t *wr_ids, const vmp_sge_t *bufs,
                                  unsigned num)
{
    ++cost.srq_posts;
    return __real_vmp_port_srq_post(port, rail, wr_ids, bufs, num);
}

void __wrap_vmp_port_wake(vmp_port_t *port)
{
    ++cost.wakes;
    __real_vmp_port_wake(port);
}


static stream_t cost_streams[2];        /* From node 0 to 1, and back */
static unsigned cost_left;              /* Messages to send yet */

/* Two interfaces as by default, with `paths` paths up */
static void cost_begin(const char *name, unsigned paths)
{
    unsigned i;

    world_begin(name, 1);
    sim_conf.max_inline         = 128;
    sim_conf.qp_delay           = 2000;
    world_params.num_paths      = paths;
    world_params.spread_thresh  = 4096;
    world_params.chunk_size     = 32768;
    world_params.path_window    = 131072;
    world_params.seg_size       = 8192;
    world_params.port.sq_depth  = 256;
    world_params.port.cq_depth  = 4096;
    world_params.port.srq_depth = 1024;
    world_params.rx_window_max  = 512;
    world_params.rx_max_bufs    = 4096;
    world_params.tx_max_bufs    = 4096;
    world_open(2);
    for (i = 0; i < 2; ++i) {
        stream_open(&cost_streams[i], i, !i);
        stream_wait_paths(&cost_streams[i], paths);
    }

    world_run(1000000);
    memset(&cost, 0, sizeof(cost));
}

static void cost_end(void)
{
    unsigned i;

    for (i = 0; i < 2; ++i) {
        world_until(vmp_iface_flush(world_nodes[i].iface) == VMP_OK, 1000);
        stream_close(&cost_streams[i]);
    }

    world_end();
}

static void cost_answer(node_t *node)
{
    if (cost_left > 0) {
        --cost_left;
        VMP_CHECK(stream_send(&cost_streams[node == &world_nodes[1]],
                              SEND_SHORT, COST_BYTES, NULL) == VMP_OK);
    }
}

/* Messages to and fro, each sent when the other arrived */
static void cost_pingpong(unsigned count)
{
    uint64_t received = world_nodes[0].received + world_nodes[1].received;

    world_nodes[0].on_am = cost_answer;
    world_nodes[1].on_am = cost_answer;
    cost_left            = count;
    cost_answer(&world_nodes[0]);
    world_until((world_nodes[0].received + world_nodes[1].received) ==
                (received + count), 10000);
}

/* Messages one way, as many as there is room for */
static void cost_stream(unsigned count, send_kind_t kind)
{
    unsigned i = 0;

    while ((i < count) || (world_nodes[1].received < count)) {
        while ((i < count) && (stream_send(&cost_streams[0], kind, COST_BYTES,
                                           NULL) == VMP_OK)) {
            ++i;
        }

        world_step();
    }
}

static void cost_put(unsigned count)
{
    region_t from;
    region_t to;
    comp_t comp;
    vmp_iov_t iov;
    unsigned i;

    region_make(&from, 0, COST_BULK, 1);
    region_make(&to, 1, COST_BULK, 2);
    iov = (vmp_iov_t){from.data, from.size, &from.mem};
    for (i = 0; i < count; ++i) {
        memset(&comp, 0, sizeof(comp));
        VMP_CHECK(vmp_ep_put_zcopy(&cost_streams[0].ep, &iov, 1,
                                   (uintptr_t)to.data, &to.rkey,
                                   &comp) == VMP_INPROGRESS);
        world_until(comp.calls == 1, 1000);
    }

    region_free(&from);
    region_free(&to);
}

static void cost_print(const char *what, unsigned count)
{
    printf("  %s, %u: sends %u, writes %u, signaled %u, polls tx %u, rx %u, "
           "SRQ posts %u\n", what, count, cost.sends, cost.writes,
           cost.signaled, cost.tx_polls, cost.rx_polls, cost.srq_posts);
}

/* A message that is answered is one WR, and nothing else */
static void test_pingpong(unsigned paths)
{
    const unsigned count = 4000;

    cost_begin("ping-pong", paths);
    cost_pingpong(count);
    cost_print("messages", count);
    VMP_CHECK(cost.sends == count);
    VMP_CHECK(cost.writes + cost.reads + cost.wakes == 0);
    VMP_CHECK(cost.signaled <= count / 32 + 1);
    VMP_CHECK(cost.srq_posts <= count / 32 + 1);

    /* an answer does not wait for a look at the send CQ */
    VMP_CHECK(cost.tx_polls <= cost.rx_polls - count + count / 8);
    cost_end();
}

/* One way the receiver must say what it has room for, now and then */
static void test_stream(send_kind_t kind)
{
    const unsigned count = 4000;

    cost_begin("stream", 1);
    cost_stream(count, kind);
    cost_print("messages", count);
    VMP_CHECK(cost.sends <= count + count / 64);
    VMP_CHECK(cost.writes + cost.reads + cost.wakes == 0);
    VMP_CHECK(cost.signaled <= count / 32 + 1);
    VMP_CHECK(cost.srq_posts <= count / 32 + 1);
    cost_end();
}

/* A put in chunks: one WR each */
static void test_put(void)
{
    const unsigned count = 20;

    cost_begin("put", 1);
    cost_put(count);
    cost_print("puts", count);
    VMP_CHECK(cost.writes == count * (COST_BULK / 32768));
    VMP_CHECK(cost.sends + cost.reads + cost.wakes == 0);
    cost_end();
}

/* A step without anything to do posts nothing and wakes nobody */
static void test_idle(void)
{
    unsigned i;

    cost_begin("idle", 1);
    cost_pingpong(2);
    world_until((vmp_iface_flush(world_nodes[0].iface) == VMP_OK) &&
                (vmp_iface_flush(world_nodes[1].iface) == VMP_OK), 1000);
    memset(&cost, 0, sizeof(cost));
    for (i = 0; i < 100; ++i) {
        world_step();
    }

    cost_print("steps", i);
    VMP_CHECK((cost.tx_polls == 2 * i) && (cost.rx_polls == 2 * i));
    VMP_CHECK(cost.sends + cost.writes + cost.srq_posts + cost.wakes == 0);
    cost_end();
}

/* What was sent completes also if every call of progress finds messages */
static void test_busy(void)
{
    node_t *node   = &world_nodes[1];
    unsigned calls = 0;
    region_t from;
    region_t to;
    comp_t comp;
    vmp_iov_t iov;

    cost_begin("busy", 1);
    region_make(&from, 1, 1024, 1);
    region_make(&to, 0, 1024, 2);
    iov = (vmp_iov_t){from.data, from.size, &from.mem};
    memset(&comp, 0, sizeof(comp));
    VMP_CHECK(vmp_ep_put_zcopy(&cost_streams[1].ep, &iov, 1,
                               (uintptr_t)to.data, &to.rkey,
                               &comp) == VMP_INPROGRESS);
    node->is_paused = 1;
    do {
        VMP_CHECK(stream_send(&cost_streams[0], SEND_SHORT, COST_BYTES,
                              NULL) == VMP_OK);
        world_run(10000);
        VMP_CHECK(vmp_iface_progress(node->iface) > 0);
        VMP_CHECK(node->received == ++calls);
    } while ((comp.calls == 0) && (calls < 100));

    printf("  complete after %u calls\n", calls);
    VMP_CHECK((comp.calls == 1) && (calls < 20));
    node->is_paused = 0;
    region_free(&from);
    region_free(&to);
    cost_end();
}

static int cost_run(const char *kind, unsigned paths, unsigned count)
{
    cost_begin(kind, paths);
    if (!strcmp(kind, "pingpong")) {
        cost_pingpong(count);
    } else if (!strcmp(kind, "short")) {
        cost_stream(count, SEND_SHORT);
    } else if (!strcmp(kind, "bcopy")) {
        cost_stream(count, SEND_BCOPY);
    } else if (!strcmp(kind, "put")) {
        cost_put(count);
    } else {
        fprintf(stderr, "no such kind: %s\n", kind);
        return 2;
    }

    cost_end();
    return 0;
}

int main(int argc, char **argv)
{
    if ((argc == 5) && !strcmp(argv[1], "run")) {
        return cost_run(argv[2], atoi(argv[3]), atoi(argv[4]));
    }

    test_pingpong(1);
    test_pingpong(4);
    test_stream(SEND_SHORT);
    test_stream(SEND_BCOPY);
    test_put();
    test_idle();
    test_busy();
    return 0;
}
