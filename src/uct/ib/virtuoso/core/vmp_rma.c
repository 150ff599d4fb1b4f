/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_rma.h"

#include <string.h>

#define VMP_RMA_BURST   4           /* chunks of one connection in its turn */
#define VMP_RMA_FED     8           /* long operations that did not run dry,
                                       until windows are halved */


/* With nothing to choose from there is no reason to bind late */
static int vmp_rma_is_single(const vmp_conn_t *conn)
{
    return (conn->num_paths == 1) ||
           (conn->iface->policy == &vmp_policy_single);
}

/* The largest: a quarter of the queue stays for what is not bulk */
static uint64_t vmp_rma_window_max(const vmp_path_t *path)
{
    const vmp_iface_t *iface = path->conn->iface;
    uint64_t max             = iface->chunk_size *
                               (uint64_t)(path->limit - (path->limit / 4));

    return (max > (1u << 30)) ? (1u << 30) : max;
}

uint32_t vmp_rma_window(const vmp_path_t *path)
{
    const vmp_conn_t *conn = path->conn;
    uint64_t window        = conn->iface->path_window;
    uint64_t max           = vmp_rma_window_max(path);

    if (max <= window) {
        return window;
    }

    if (vmp_rma_is_single(conn) || ((window << conn->deepen) > max)) {
        return max;
    }

    return window << conn->deepen;
}

static void vmp_rma_set_windows(vmp_conn_t *conn)
{
    uint64_t mask = conn->up_mask;
    vmp_path_t *path;

    for (; mask != 0; mask &= mask - 1) {
        path              = conn->paths[__builtin_ctzll(mask)];
        path->pol->window = vmp_rma_window(path);
        vmp_path_update_eligible(path);
    }
}

/*
 * Binding late means that the network idles when the program computes and does
 * not poll. Where all that was bound is found done, while more waits, polls are
 * rare: bind twice as much from then on, also of operations to come.
 */
static void vmp_rma_deepen(vmp_conn_t *conn)
{
    const vmp_path_t *path = conn->tx_path;

    conn->num_fed = 0;
    if ((path != NULL) && (path->pol->window < vmp_rma_window_max(path))) {
        ++conn->deepen;
        vmp_rma_set_windows(conn);
    }
}

/* The last chunk of an operation is posted, and the queue of chunks did not run
 * dry. Short ones do not tell whether polls are frequent. */
static void vmp_rma_fed(vmp_conn_t *conn, size_t length)
{
    uint64_t window = conn->iface->path_window;

    if ((length > (window * __builtin_popcountll(conn->up_mask))) &&
        (++conn->num_fed >= VMP_RMA_FED)) {
        conn->num_fed = 0;
        --conn->deepen;
        vmp_rma_set_windows(conn);
    }
}


/* Gather the next piece of an operation, at most `max` bytes. Return its
 * length; the position is not moved. */
static size_t vmp_op_gather(const vmp_op_t *op, const vmp_path_t *path,
                            size_t max, vmp_sge_t *sge, unsigned *num_p)
{
    unsigned index = op->iov_index;
    size_t offset  = op->iov_offset;
    size_t total   = 0;
    unsigned num   = 0;
    const vmp_iov_t *iov;
    size_t part;

    while ((total < max) && (index < op->iovcnt) &&
           (num < path->conn->iface->max_sge)) {
        iov  = &op->iov[index];
        part = iov->length - offset;
        if (part > (max - total)) {
            part = max - total;
        }

        if (part > 0) {
            sge[num].addr   = (uintptr_t)iov->buffer + offset;
            sge[num].length = part;
            sge[num].lkey   = vmp_post_lkey(path, iov->mem);
            ++num;
        }

        total += part;
        ++index;
        offset = 0;
    }

    *num_p = num;
    return total;
}

static void vmp_op_advance(vmp_op_t *op, size_t length)
{
    size_t part;

    op->offset += length;
    while ((op->iov_index < op->iovcnt) && (length > 0)) {
        part = op->iov[op->iov_index].length - op->iov_offset;
        if (part > length) {
            op->iov_offset += length;
            return;
        }

        length        -= part;
        op->iov_offset = 0;
        ++op->iov_index;
    }
}

unsigned vmp_op_gather_at(const vmp_op_t *op, const vmp_path_t *path,
                          size_t offset, size_t length, vmp_sge_t *sge)
{
    vmp_op_t at = {.iovcnt = op->iovcnt};
    unsigned num;

    if (op->buf != NULL) {
        sge->addr   = (uintptr_t)vmp_post_buf_data(op->buf) + offset;
        sge->length = length;
        sge->lkey   = vmp_post_lkey(path, op->buf->mem);
        return 1;
    }

    memcpy(at.iov, op->iov, op->iovcnt * sizeof(*op->iov));
    vmp_op_advance(&at, offset);
    (void)vmp_op_gather(&at, path, length, sge, &num);
    return num;
}

/* The path of the next chunk; late, so that a path that is done earlier takes
 * more of them */
static vmp_path_t *vmp_op_path(const vmp_op_t *op, size_t length)
{
    vmp_conn_t *conn   = op->conn;
    vmp_iface_t *iface = conn->iface;
    vmp_path_t *path;

    if (conn->block & (VMP_BLOCK_SETUP | VMP_BLOCK_CLOSED |
                       VMP_BLOCK_FAILED)) {
        return NULL;
    }

    if (vmp_unlikely(conn->is_held)) {
        if ((conn->busy_mask != 0) || (conn->replays > 0)) {
            return NULL;
        }

        conn->is_held = 0;
    }

    if (vmp_conn_is_spread(conn, op->length)) {
        path = vmp_conn_spread(conn, length);
        if (path == NULL) {
            return NULL;
        }
    } else {
        path = conn->tx_path;
        if (!vmp_path_has_room(path) ||
            !((conn->eligible >> path->index) & 1)) {
            return NULL;
        }
    }

    /* other connections need the CQ, too */
    return ((path->pol->inflight < iface->path_window) ||
            (path->rail->cq_avail > path->rail->cq_share)) ? path : NULL;
}

/* It waits no longer; others, whose requests were refused, may */
static void vmp_op_unqueue(vmp_op_t *op)
{
    vmp_conn_t *conn = op->conn;

    vmp_list_del(&op->link);
    if (vmp_unlikely(conn->num_ops-- == conn->iface->conn_ops_max)) {
        vmp_iface_changed(conn->iface);
    }
}

/* Post the next chunk. Return 1 if there was room. */
static int vmp_op_post(vmp_op_t *op)
{
    vmp_conn_t *conn = op->conn;
    size_t length    = op->length - op->offset;
    vmp_sge_t sge[VMP_MAX_IOV];
    vmp_path_t *path;
    vmp_wr_t *wr;
    unsigned num;
    int ret;

    if (length > conn->iface->chunk_size) {
        length = conn->iface->chunk_size;
    }

    path = vmp_op_path(op, length);
    if (path == NULL) {
        return 0;
    }

    length = vmp_op_gather(op, path, length, sge, &num);
    ret    = vmp_rma_post(path, op->kind, VMP_POST_SIGNALED, sge, num,
                          op->remote_addr + op->offset, &op->rkey);
    wr     = vmp_post_end(path, VMP_POST_SIGNALED, op->kind, op->ep, NULL, op,
                          length);
    wr->sn = op->offset;
    vmp_path_count_read(path, op->kind);
    ++op->posted;
    vmp_rma_count(path, length);
    vmp_op_advance(op, length);
    if (op->offset == op->length) {
        vmp_op_unqueue(op);
        if (vmp_unlikely(conn->deepen > 0)) {
            vmp_rma_fed(conn, op->length);
        }
    }

    vmp_post_check(path, ret);
    return 1;
}

static int vmp_rma_cq_is_full(const vmp_iface_t *iface)
{
    unsigned i;

    for (i = 0; i < iface->num_rails; ++i) {
        if (iface->rails[i].cq_avail <= iface->rails[i].cq_reserve) {
            return 1;
        }
    }

    return 0;
}

unsigned vmp_rma_conn_post(vmp_conn_t *conn, unsigned max)
{
    unsigned count = 0;

    conn->is_filled = 0;
    while ((count < max) && !vmp_list_is_empty(&conn->ops)) {
        if (!vmp_op_post(vmp_container_of(conn->ops.next, vmp_op_t, link))) {
            conn->is_filled = (conn->chunks > 0) &&
                              !vmp_rma_cq_is_full(conn->iface);
            break;
        }

        ++count;
    }

    return count;
}

/* The turn of a connection. Return how many chunks were posted. */
static unsigned vmp_rma_turn(vmp_conn_t *conn, unsigned budget)
{
    /* who waits for room has the turn: no bulk in front of it */
    if (vmp_unlikely(conn->is_filled && (conn->chunks == 0) &&
                     (conn->iface->num_waiting == 0))) {
        vmp_rma_deepen(conn);
        return vmp_rma_conn_post(conn, VMP_RMA_ALL);
    }

    return vmp_rma_conn_post(conn, (budget < VMP_RMA_BURST) ?
                             budget : VMP_RMA_BURST);
}

int vmp_rma_can_post(const vmp_iface_t *iface)
{
    return !vmp_list_is_empty(&iface->active) && !vmp_rma_cq_is_full(iface);
}

unsigned vmp_rma_progress(vmp_iface_t *iface)
{
    unsigned budget = VMP_RMA_BUDGET;
    unsigned total  = 0;
    unsigned count;
    vmp_conn_t *conn;

    while ((budget > 0) && !vmp_list_is_empty(&iface->active)) {
        conn = vmp_container_of(iface->active.next, vmp_conn_t, active);
        vmp_list_del(&conn->active);
        count = vmp_rma_turn(conn, budget);
        if (count == 0) {
            /* it comes back when a path of its has room; but the CQ pool is
             * shared, and room there may come from others */
            if (vmp_rma_cq_is_full(iface)) {
                vmp_list_add_head(&iface->active, &conn->active);
                break;
            }

            --budget;
        } else {
            budget -= (count < budget) ? count : budget;
            total  += count;
            vmp_rma_kick(conn);
        }
    }

    return total;
}

/* Everything of an operation that will ever be done is done. Calls back. */
static void vmp_op_finish(vmp_op_t *op)
{
    vmp_conn_t *conn       = op->conn;
    vmp_iface_t *iface     = conn->iface;
    vmp_barrier_t *barrier = op->barrier;
    vmp_ep_t *ep           = op->ep;
    vmp_buf_t *buf         = op->buf;

    if ((buf != NULL) && (op->status == VMP_OK) && (ep != NULL)) {
        /* the endpoint may go in this callback, and its operation with it */
        vmp_list_add_tail(&iface->done, &op->link);
        iface->ops.unpack(iface->arg, op->unpack, op->unpack_arg,
                          vmp_post_buf_data(buf), op->length);
        vmp_list_del(&op->link);
        ep = op->ep;
    }

    if (buf != NULL) {
        vmp_post_buf_put(iface, buf);
    }

    if ((ep != NULL) && (op->comp != NULL)) {
        iface->ops.complete(iface->arg, op->comp, op->status);
    }

    vmp_obj_put(&iface->op_pool, op);
    vmp_conn_end(conn, barrier);
}

void vmp_rma_chunk_done(vmp_op_t *op, vmp_status_t status)
{
    --op->posted;
    if ((status != VMP_OK) && (op->status == VMP_OK)) {
        op->status = status;
    }

    if ((op->posted == 0) && (op->offset == op->length)) {
        vmp_op_finish(op);
    }
}

unsigned vmp_rma_complete_done(vmp_iface_t *iface)
{
    unsigned count = 0;
    vmp_link_t *link;

    while (!vmp_list_is_empty(&iface->done)) {
        link = iface->done.next;
        vmp_list_del(link);
        vmp_op_finish(vmp_container_of(link, vmp_op_t, link));
        ++count;
    }

    return count;
}

void vmp_rma_abort(vmp_conn_t *conn, const vmp_ep_t *ep, vmp_status_t status)
{
    vmp_link_t *link;
    vmp_link_t *tmp;
    vmp_op_t *op;

    vmp_list_for_each_safe(link, tmp, &conn->ops) {
        op = vmp_container_of(link, vmp_op_t, link);
        if ((ep != NULL) && (op->ep != ep)) {
            continue;
        }

        vmp_op_unqueue(op);
        op->offset = op->length;
        if (op->status == VMP_OK) {
            op->status = status;
        }

        if (op->posted == 0) {
            vmp_list_add_tail(&conn->iface->done, &op->link);
        }
    }
}

void vmp_rma_purge_ring(vmp_path_t *path, const vmp_ep_t *ep)
{
    const vmp_conn_t *conn = path->conn;
    void *gone             = (void*)conn->iface->num_gone;
    int is_lost            = conn->is_doomed ||
                             (conn->block & (VMP_BLOCK_FAILED |
                                             VMP_BLOCK_CLOSED));
    uint32_t pos;
    vmp_op_t *op;
    vmp_wr_t *wr;

    for (pos = path->tail; pos != path->head; ++pos) {
        wr = &path->ring[pos & path->mask];
        if (vmp_wr_is_chunk(wr->kind)) {
            op = wr->comp;
            if (op->ep == ep) {
                op->ep   = NULL;
                op->comp = gone;
            }
        } else if (wr->ep == ep) {
            wr->ep   = NULL;
            wr->comp = gone;
            if ((wr->kind == VMP_WR_AM) && !is_lost &&
                (wr->refusals != VMP_WR_FAILED)) {
                vmp_am_own(wr->buf);
            }
        }
    }
}

void vmp_rma_purge(vmp_conn_t *conn, const vmp_ep_t *ep)
{
    vmp_iface_t *iface = conn->iface;
    unsigned i;
    vmp_link_t *link;
    vmp_op_t *op;

    ++iface->num_gone;
    vmp_rma_abort(conn, ep, VMP_ERR_CANCELED);
    vmp_list_for_each(link, &iface->done) {
        op = vmp_container_of(link, vmp_op_t, link);
        if (op->ep == ep) {
            op->ep = NULL;
        }
    }

    for (i = 0; i < conn->num_paths; ++i) {
        if (conn->paths[i] == NULL) {
            continue;
        }

        vmp_rma_purge_ring(conn->paths[i], ep);
    }

    vmp_replay_purge(conn, ep);
}
