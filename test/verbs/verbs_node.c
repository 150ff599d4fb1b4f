/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/* Interfaces and their threads */

#include "fake_verbs.h"
#include "verbs_node.h"
#include "common/vmp_content.h"
#include "unit/vmp_check.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define IDLE_TURNS     20       /* without anything to do, then sleep */
#define SLEEP_MS       500
#define FAILING_SEC    40       /* until who is on a failed device knows */

/* Where things are in an arena */
#define ARENA_TARGETS  (NODES * NODE_OPS * NODE_LEN)
#define ARENA_BUFFERS  (NODES * NODE_OPS * NODE_LEN)
#define ARENA_SIZE     (ARENA_TARGETS + ARENA_BUFFERS + NODE_LEN)


node_t      node_all[NODES_ALL];
_Atomic int node_phase;


static void pause_us(uint64_t us)
{
    struct timespec pause = {0, (long)us * 1000};

    nanosleep(&pause, NULL);
}

static void node_open_with(node_t *node, const vmp_iface_ops_t *ops)
{
    vmp_iface_params_t params = {
        .port            = {
            .num_rails     = 1,
            .rails         = { { .port_num = 1 } },
            .gid_index     = -1,
            .pkey          = 0xffff,
            .sq_depth      = 64,
            .cq_depth      = 2048,
            .srq_depth     = 128,
            .num_ud        = NODE_UD,
            .timeout       = 10,
            .retry_count   = 3,
            .min_rnr_timer = 1,
            .max_rd_atomic = 8,
            .max_inline    = 128,
            .max_sge       = 5
        },
        .num_paths       = NODE_PATHS,
        .spread_thresh   = 512,
        .chunk_size      = 4096,
        .path_window     = 16384,
        .seg_size        = 2048,
        .rx_window_min   = 16,
        .rx_window_max   = 32,
        .rx_max_bufs     = 512,
        .tx_max_bufs     = 256,
        .peer_timeout_ns = 60000000000ul,
        .policy          = "rr",
        .ops             = ops,
        .arg             = node
    };
    char name[16];
    const char *names[] = { name };

    snprintf(name, sizeof(name), "fake%u", node->index);
    VMP_CHECK(vmp_port_md_open(names, 1, &node->md) == VMP_OK);
    VMP_CHECK(vmp_port_mem_reg(node->md, node->arena, ARENA_SIZE,
                               VMP_MEM_LOCAL_WRITE | VMP_MEM_REMOTE_WRITE |
                               VMP_MEM_REMOTE_READ, 0, &node->mem) == VMP_OK);
    node->rkey.num_devs = 1;
    node->rkey.key[0]   = node->mem.rkey[0];
    VMP_CHECK(vmp_iface_create(node->md, &params, &node->iface) == VMP_OK);
    vmp_iface_query(node->iface, &node->attr);
    atomic_store(&node->is_open, 1);
}

void node_open(node_t *node)
{
    node_open_with(node, &node_ops);
}

void node_close(node_t *node)
{
    vmp_iface_destroy(node->iface);
    VMP_CHECK(vmp_port_mem_dereg(&node->mem) == VMP_OK);
    vmp_port_md_close(node->md);
}

void node_wake(node_t *node)
{
    static const uint64_t one = 1;

    VMP_CHECK(write(node->wake_fd, &one, sizeof(one)) == sizeof(one));
}

static void node_init(node_t *node)
{
    uint8_t *buffers;
    unsigned i, j;

    if (node->arena == NULL) {
        node->arena  = calloc(1, ARENA_SIZE);
        VMP_CHECK(node->arena != NULL);
        node->random = vmp_check_seed + node->index;
    }

    node->targets = node->arena;
    buffers       = node->arena + ARENA_TARGETS;
    node->source  = buffers + ARENA_BUFFERS;
    vmp_content_fill(node->source, NODE_LEN, node_source_key(node->index), 0);
    for (i = 0; i < NODES; ++i) {
        node->streams[i].node = node;
        node->streams[i].peer = i;
        for (j = 0; j < NODE_OPS; ++j) {
            node->streams[i].ops[j].stream = &node->streams[i];
            node->streams[i].ops[j].buffer =
                    buffers + (((i * NODE_OPS) + j) * NODE_LEN);
        }
    }
}

static void node_publish(node_t *node)
{
    vmp_iface_counters_t counters;
    int is_busy = (node_get_phase() == NODE_RUN);
    unsigned i;

    vmp_iface_get_counters(node->iface, &counters);
    atomic_store_explicit(&node->failures, counters.paths_failed,
                          memory_order_relaxed);
    for (i = 0; i < NODES; ++i) {
        is_busy |= stream_is_busy(&node->streams[i]);
    }
    flag_set(&node->is_quiet,
             !is_busy && (vmp_iface_flush(node->iface) == VMP_OK));
}

static void node_sleep(node_t *node)
{
    struct pollfd fds[2] = {
        { .fd = vmp_iface_event_fd(node->iface), .events = POLLIN },
        { .fd = node->wake_fd, .events = POLLIN }
    };
    uint64_t count;
    int ret;

    if (vmp_iface_event_arm(node->iface, VMP_PORT_EVENT_TX |
                                         VMP_PORT_EVENT_RX) != VMP_OK) {
        return;
    }

    ++node->num_sleeps;
    ret = poll(fds, 2, SLEEP_MS);
    VMP_CHECK((ret >= 0) || (errno == EINTR));
    if ((ret > 0) && (fds[1].revents != 0)) {
        VMP_CHECK(read(node->wake_fd, &count, sizeof(count)) == sizeof(count));
    }

    /* What there is to do now has made the descriptor readable meanwhile, or is
     * about to, or a wakeup was lost */
    if (ret == 0) {
        ++node->num_slept;
        if (vmp_iface_progress(node->iface) > 0) {
            VMP_CHECK(poll(fds, 1, SLEEP_MS) == 1);
        }
    }
}

/* One turn. Return whether anything happened. */
static int node_turn(node_t *node)
{
    int any = (vmp_iface_progress(node->iface) > 0);
    unsigned i;

    for (i = 0; i < NODES; ++i) {
        if (node->streams[i].is_open) {
            any |= stream_step(&node->streams[i]);
        }
    }
    return any;
}

static void node_streams(node_t *node, int is_open)
{
    unsigned i;

    for (i = 0; i < NODES; ++i) {
        if (i == node->index) {
            continue;
        }
        if (is_open) {
            stream_open(&node->streams[i]);
        } else {
            vmp_ep_destroy(&node->streams[i].ep);
            node->streams[i].is_open = 0;
        }
    }
}

static void node_wait_all(size_t offset)
{
    unsigned i;

    for (i = 0; i < NODES; ++i) {
        while (!atomic_load((_Atomic int*)((char*)&node_all[i] + offset))) {
            pause_us(100);
        }
    }
}

void *node_main(void *arg)
{
    node_t *node   = arg;
    unsigned turns = 0;
    unsigned idle  = 0;

    node_init(node);
    node_open(node);
    node_wait_all(offsetof(node_t, is_open));
    node_streams(node, 1);
    while (node_get_phase() != NODE_CLOSE) {
        idle = node_turn(node) ? 0 : (idle + 1);
        if ((++turns % 64 == 0) || (idle == IDLE_TURNS)) {
            node_publish(node);
        }
        if (idle == IDLE_TURNS) {
            idle = 0;
            node_sleep(node);
        } else if (vmp_check_random(&node->random) % 128 == 0) {
            pause_us(vmp_check_random(&node->random) % 2000); /* computes */
        }
    }

    node_streams(node, 0);
    atomic_store(&node->is_done, 1);
    node_wait_all(offsetof(node_t, is_done));
    node_close(node);
    return NULL;
}

/* One life of the visitor: some messages and gets, all of which end well */
static void node_visit_once(node_t *node, uint32_t last)
{
    node_stream_t *stream = &node->streams[0];
    vmp_status_t status;
    unsigned num = 0;
    node_op_t *op;

    node_init(node);
    node_open(node);
    count_set(&stream->seq, 0);
    stream_open(stream);
    while (stream_send(stream, MSG_HELLO, last, 0, 0, NULL) != 0) {
        vmp_iface_progress(node->iface);
    }

    while (num < 50) {
        op = stream_find_op(stream);
        if (op != NULL) {
            num += (((num % 4) ? stream_text(stream, op) :
                                 stream_get(stream, op)) == 0);
        }
        vmp_iface_progress(node->iface);
    }

    do {
        vmp_iface_progress(node->iface);
        status = vmp_ep_flush(&stream->ep, 0, NULL);
    } while (stream_is_busy(stream) || (status != VMP_OK));
    vmp_ep_destroy(&stream->ep);
    node_close(node);
}

void *node_visit(void *arg)
{
    node_t *node  = arg;
    uint32_t last = 0;

    node_wait_all(offsetof(node_t, is_open));
    while (node_get_phase() == NODE_RUN) {
        node_visit_once(node, last);
        last = count_get(&node->streams[0].seq);
        ++node->num_eps;
        pause_us(20000);
    }
    return NULL;
}

typedef struct failing {
    vmp_ep_t     ep;            /* First */
    unsigned     num_failed;
    unsigned     num_comps;
    vmp_status_t status;        /* Of both */
} failing_t;

static void failing_complete(void *arg, void *comp, vmp_status_t status)
{
    failing_t *failing = comp;

    (void)arg;
    VMP_CHECK(failing->num_failed == 0);
    ++failing->num_comps;
    failing->status = status;
}

static void failing_failed(void *arg, vmp_ep_t *ep, vmp_status_t status)
{
    failing_t *failing = (failing_t*)ep;

    (void)arg;
    VMP_CHECK(failing->status == status);
    ++failing->num_failed;
}

void node_visit_failing(node_t *node)
{
    vmp_iface_ops_t ops = node_ops;
    failing_t failing   = {.status = VMP_OK};
    const node_t *peer  = &node_all[0];
    vmp_status_t status;
    vmp_iov_t iov;
    time_t end;

    ops.complete  = failing_complete;
    ops.ep_failed = failing_failed;
    node_init(node);
    node_open_with(node, &ops);
    VMP_CHECK(vmp_ep_create(node->iface, &peer->attr.rail_addr,
                            &peer->attr.addr, &failing.ep) == VMP_OK);
    iov = (vmp_iov_t){node->streams[0].ops[0].buffer, NODE_LEN, &node->mem};
    do {
        vmp_iface_progress(node->iface);
        status = vmp_ep_get_zcopy(&failing.ep, &iov, 1,
                                  (uintptr_t)peer->source, &peer->rkey,
                                  &failing);
    } while (status == VMP_ERR_NO_RESOURCE);

    VMP_CHECK(status == VMP_INPROGRESS);
    fake_fail(node->index);
    end = time(NULL) + FAILING_SEC;
    while (failing.num_failed == 0) {
        VMP_CHECK(time(NULL) < end);
        node_sleep(node);
        vmp_iface_progress(node->iface);
        pause_us(1000);
    }

    VMP_CHECK((failing.num_failed == 1) && (failing.num_comps == 1));
    VMP_CHECK(failing.status == VMP_ERR_IO_ERROR);
    vmp_ep_destroy(&failing.ep);
    node_close(node);
}
