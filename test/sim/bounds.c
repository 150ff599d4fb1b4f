/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * White box: what takes memory or bandwidth is counted right, and bounded.
 */

#include "oracle.h"

#include "core/vmp_ctl_int.h"
#include "core/vmp_post.h"
#include "core/vmp_rma.h"

#include <inttypes.h>
#include <string.h>

#define BOUNDS_TX_MIN    (4 * VMP_TX_BUFS_RESERVE)
#define BOUNDS_RX_SPARE  64             /* see vmp_rx.c */
#define BOUNDS_CHUNK     64             /* buffers: pools grow by so many */
#define BOUNDS_MAX       (1ull << 30)   /* bytes: no window is larger */


/* Copies of short sends that the ring of a path holds */
static unsigned bounds_num_short(const vmp_path_t *path)
{
    unsigned num = 0;
    const vmp_buf_t *buf;
    uint32_t pos;

    for (pos = path->tail; pos != path->head; ++pos) {
        buf  = path->ring[pos & path->mask].buf;
        num += (buf != NULL) && ((const vmp_tx_buf_t*)buf)->is_short;
    }

    return num;
}

/* Their pool has no limit of its own: each copy belongs to a request, which has
 * a CQ slot until its path dies */
static void bounds_shorts(const inst_t *inst)
{
    const vmp_iface_t *iface   = inst->iface;
    const vmp_buf_pool_t *pool = &iface->short_bufs;
    unsigned host              = inst->host->index;
    unsigned used              = 0;
    const vmp_conn_t *conn;
    const vmp_link_t *link;
    unsigned i;

    vmp_list_for_each(link, &iface->all) {
        conn = vmp_container_of(link, vmp_conn_t, all);
        for (i = 0; i < conn->num_paths; ++i) {
            if (conn->paths[i] != NULL) {
                used += bounds_num_short(conn->paths[i]);
            }
        }
    }

    vmp_list_for_each(link, &iface->replaying) {
        used += bounds_num_short(vmp_container_of(link, vmp_path_t, draining));
    }

    oracle_check((pool->num_free + used) == pool->total, "leak", "host %u: %u "
                 "copies of short sends free of %u, %u posted", host,
                 pool->num_free, pool->total, used);
    oracle_check(world.prog->is_faulty ||
                 (pool->total < (iface->attr.cq_depth + BOUNDS_CHUNK)), "bound",
                 "host %u: %u copies of short sends, the CQ has %u slots", host,
                 pool->total, iface->attr.cq_depth);
}

static uint32_t bounds_max(uint32_t a, uint32_t b)
{
    return (a > b) ? a : b;
}

static void bounds_pools(const inst_t *inst)
{
    const vmp_iface_params_t *params = &world.prog->params;
    const vmp_iface_t *iface         = inst->iface;
    uint32_t tx_max = bounds_max(params->tx_max_bufs, BOUNDS_TX_MIN);
    uint32_t rx_max = bounds_max(params->rx_max_bufs, iface->attr.srq_depth +
                                 BOUNDS_RX_SPARE);

    oracle_check(iface->tx_bufs.total <= tx_max, "bound", "host %u: %u send "
                 "buffers, %u at most", inst->host->index,
                 iface->tx_bufs.total, tx_max);
    oracle_check(iface->rx.pool.total <= rx_max, "bound", "host %u: %u receive "
                 "buffers, %u at most", inst->host->index,
                 iface->rx.pool.total, rx_max);
}


/* Windows ------------------------------------------------------------------ */

/* Bytes that may be in flight when one more chunk is posted */
static uint64_t bounds_window(const vmp_path_t *path, unsigned deepen)
{
    const vmp_iface_t *iface = path->conn->iface;
    uint64_t window          = world.prog->params.path_window;
    uint64_t max             = iface->chunk_size *
                               (uint64_t)(path->limit - (path->limit / 4));

    max    = (max < BOUNDS_MAX) ? max : BOUNDS_MAX;
    window = (window < BOUNDS_MAX) ? window : BOUNDS_MAX;
    if (max <= window) {
        return window;
    }

    if ((path->conn->num_paths == 1) ||
        (strcmp(iface->policy->name, "single") == 0) ||
        ((window << deepen) > max)) {
        return max;
    }

    return window << deepen;
}

/* Whether it was posted only as there was room in the window: those that go
 * out in one piece on the path of short messages were not */
static int bounds_is_late(const vmp_conn_t *conn, const vmp_wr_t *wr)
{
    const vmp_op_t *op = wr->comp;

    return vmp_wr_is_chunk(wr->kind) &&
           (vmp_conn_is_spread(conn, op->length) ||
            ((op->buf == NULL) && (op->length > conn->iface->chunk_size)));
}

static void bounds_path(const inst_t *inst, const vmp_path_t *path,
                        unsigned deepest)
{
    const vmp_conn_t *conn = path->conn;
    unsigned host          = inst->host->index;
    uint64_t window        = bounds_window(path, deepest);
    uint64_t before        = 0;
    uint64_t bytes         = 0;
    const vmp_wr_t *wr;
    uint32_t pos;

    for (pos = path->tail; pos != path->head; ++pos) {
        wr = &path->ring[pos & path->mask];
        if (bounds_is_late(conn, wr)) {
            before = bytes;
        }

        bytes += wr->bytes;
    }

    oracle_check(bytes == path->pol->inflight, "leak", "host %u, path %u: %"
                 PRIu64 " bytes in flight, %u in the books", host, path->index,
                 bytes, path->pol->inflight);
    oracle_check(!((conn->up_mask >> path->index) & 1) ||
                 (path->pol->window == bounds_window(path, conn->deepen)),
                 "bound", "host %u, path %u: window of %u bytes, not %" PRIu64,
                 host, path->index, path->pol->window,
                 bounds_window(path, conn->deepen));

    /* within one call of progress it may have been twice as deep; and what is
     * replayed minds no window */
    window <<= (deepest > 0);
    oracle_check((before < window) || (conn->num_replayed > 0), "bound",
                 "host %u, path %u: a chunk was posted behind %" PRIu64
                 " bytes, window %" PRIu64, host, path->index, before, window);
}

/* How deep its windows have ever been */
static unsigned bounds_deepest(inst_t *inst, const vmp_conn_t *conn)
{
    deepest_t *deepest;
    uint32_t num = inst->num_deepest;

    if (conn->slot >= num) {
        inst->num_deepest = (2 * conn->slot) + 8;
        inst->deepest     = realloc(inst->deepest, inst->num_deepest *
                                    sizeof(*inst->deepest));
        if (inst->deepest == NULL) {
            abort();
        }

        memset(&inst->deepest[num], 0, (inst->num_deepest - num) *
                                       sizeof(*inst->deepest));
    }

    deepest = &inst->deepest[conn->slot];
    if (deepest->incarn != conn->incarn) {
        deepest->incarn = conn->incarn;
        deepest->value  = 0;
    }

    if (conn->deepen > deepest->value) {
        deepest->value = conn->deepen;
    }

    return deepest->value;
}

void bounds_conn(inst_t *inst, const vmp_conn_t *conn, int is_deep)
{
    unsigned deepest;
    unsigned i;

    if (conn->slot == VMP_NO_SLOT) {
        return;
    }

    deepest = bounds_deepest(inst, conn);
    for (i = 0; is_deep && (i < conn->num_paths); ++i) {
        if (conn->paths[i] != NULL) {
            bounds_path(inst, conn->paths[i], deepest);
        }
    }
}


/* Control ------------------------------------------------------------------ */

static void bounds_ctl_conn(const inst_t *inst, const vmp_ctl_conn_t *conn)
{
    unsigned max = VMP_CTL_MAX_DYING + conn->num_paths;
    unsigned num = 0;
    const vmp_ctl_path_t *path;

    for (path = conn->dying; path != NULL; path = path->next) {
        ++num;
    }

    oracle_check(num == conn->num_dying, "leak", "host %u: %u QPs of a "
                 "connection are dying, %u in the books", inst->host->index,
                 num, conn->num_dying);
    oracle_check(num <= max, "bound", "host %u: %u QPs of a connection are "
                 "dying", inst->host->index, num);
}

/* Whom it remembers without a connection: each interface once in each role. It
 * looks at whom to forget whenever it runs, the oldest first. */
static void bounds_ctl_peers(const inst_t *inst, const vmp_ctl_t *ctl)
{
    uint32_t max = 0;
    uint32_t num = 0;
    const vmp_ctl_peer_t *peer;
    const inst_t *other;

    for (peer = ctl->old_head; peer != NULL; peer = peer->next) {
        ++num;
    }

    for (other = world.insts; other != NULL; other = other->next) {
        max += 2;
    }

    oracle_check(num == ctl->num_old, "leak", "host %u: %u peers to forget, %u "
                 "in the books", inst->host->index, num, ctl->num_old);
    oracle_check(num <= max, "bound", "host %u: %u peers to forget of %u that "
                 "there were", inst->host->index, num, max);
    oracle_check((num == 0) || (ctl->old_head->forget_at > ctl->now), "bound",
                 "host %u: a peer is not forgotten when it is time",
                 inst->host->index);
}

static void bounds_ctl(const inst_t *inst)
{
    const vmp_ctl_t *ctl = inst->iface->ctl;
    uint32_t conns       = 0;
    uint32_t flagged     = 0;
    uint32_t half        = 0;
    const vmp_ctl_conn_t *conn;
    uint32_t i;

    for (i = 0; i < ctl->num_slots; ++i) {
        conn = ctl->slots[i];
        if (conn != NULL) {
            ++conns;
            flagged += conn->is_half_open;
            bounds_ctl_conn(inst, conn);
        }
    }

    for (conn = ctl->half_head; conn != NULL; conn = conn->half_next) {
        ++half;
    }

    oracle_check(conns == ctl->num_conns, "leak", "host %u: %u connections in "
                 "control, %u in its books", inst->host->index, conns,
                 ctl->num_conns);
    oracle_check((half == flagged) && (half == ctl->num_half), "leak",
                 "host %u: %u connections are half open, %u in the list, %u in "
                 "the books", inst->host->index, flagged, half, ctl->num_half);
    bounds_ctl_peers(inst, ctl);
}


void bounds_inspect(const inst_t *inst)
{
    bounds_pools(inst);
    bounds_ctl(inst);
    if (vmp_list_is_empty(&inst->iface->dead)) {
        bounds_shorts(inst);
    }
}
