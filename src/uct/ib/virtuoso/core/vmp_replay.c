/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_conn.h"
#include "vmp_credit.h"
#include "vmp_fault.h"
#include "vmp_path.h"
#include "vmp_post.h"
#include "vmp_rma.h"
#include "vmp_stats.h"

/*
 * What a dead path had not completed is done again on another one. Messages go by
 * their SN: the peer drops what it has. So they are sent as soon as our own QP has
 * stopped (R11), and so are reads, which change nothing at the peer. Puts, and
 * what is behind them, wait until the peer has fenced the path off, too (R6). The
 * PSN that it expected tells what was executed: that is done, and one of which
 * only the beginning was goes on behind it (R7).
 *
 * All of one path goes to one other path, in order, so that what a fence had
 * ordered by one queue stays ordered (R3). If that path dies, too, the rest
 * waits until its own work has found a place, and goes there.
 */

#define VMP_REPLAY_BUDGET  32       /* WRs a progress call */
#define VMP_PSN_HALF       0x800000
#define VMP_REPLAY_PROBE   1000000000ul     /* ns */


static vmp_path_t *vmp_replay_next(vmp_link_t *link)
{
    return vmp_container_of(link, vmp_path_t, draining);
}

/* CREDIT is sent anew, and nops have no meaning elsewhere */
static int vmp_replay_is_needed(const vmp_wr_t *wr)
{
    return (wr->kind != VMP_WR_CREDIT) && (wr->kind != VMP_WR_NOP);
}

void vmp_replay_begin(vmp_path_t *path)
{
    vmp_conn_t *conn = path->conn;
    unsigned count = 0;
    uint32_t pos;
    vmp_wr_t *wr;

    vmp_watch_died(path);
    for (pos = path->tail; pos != path->head; ++pos) {
        count += vmp_replay_is_needed(&path->ring[pos & path->mask]);
    }

    if (count == 0) {
        vmp_path_free(path);
        return;
    }

    for (pos = path->tail; pos != path->head; ++pos) {
        wr         = &path->ring[pos & path->mask];
        path->psn -= vmp_wr_packets(path, wr->kind, wr->bytes);
        vmp_path_unpost(path, wr);
    }

    vmp_path_detach(path);
    path->target     = NULL;
    path->probe_time = vmp_port_now(conn->iface->port);
    vmp_list_add_tail(&conn->iface->replaying, &path->draining);
    ++conn->replays;
    vmp_watch_add(conn);
}

static void vmp_replay_end(vmp_path_t *path)
{
    --path->conn->replays;
    vmp_rma_kick(path->conn);
    vmp_list_del(&path->draining);
    vmp_path_free(path);
}

void vmp_replay_dead(vmp_conn_t *conn, unsigned index, uint32_t epoch,
                     uint32_t psn)
{
    vmp_path_t *path = conn->paths[index];
    vmp_link_t *link;

    if ((path == NULL) || (path->epoch != epoch)) {
        path = NULL;
        vmp_list_for_each(link, &conn->iface->replaying) {
            if ((vmp_replay_next(link)->conn == conn) &&
                (vmp_replay_next(link)->index == index) &&
                (vmp_replay_next(link)->epoch == epoch)) {
                path = vmp_replay_next(link);
            }
        }
    }

    if (path != NULL) {
        path->is_dead  = 1;
        path->peer_psn = psn;
    }
}

/* How many bytes of a put were executed, of `packets`; all: UINT32_MAX */
static uint32_t vmp_replay_done(const vmp_path_t *path, uint32_t packets)
{
    uint32_t count;

    if ((path->peer_psn == VMP_PSN_UNKNOWN) ||
        (path->is_refused && ((path->tail - 1) == path->refused_pos))) {
        /* of what the device did not take, the marker may have the PSN */
        return 0;
    }

    count = (path->peer_psn - path->psn) & VMP_PSN_MAX;
    if (count >= VMP_PSN_HALF) {
        return 0;
    }

    return (count >= packets) ? UINT32_MAX : count << path->mtu_shift;
}

/* The books of a WR that was posted again */
static void vmp_replay_posted(vmp_path_t *to, const vmp_wr_t *old,
                              uint32_t bytes, uint64_t sn)
{
    vmp_conn_t *conn = to->conn;
    uint8_t timing   = to->timing;
    vmp_wr_t *wr;

    /* no sample: how much is in flight is counted below */
    to->timing   = (timing == VMP_TIMING_ON) ? timing : VMP_TIMING_OFF;
    wr           = vmp_post_end(to, VMP_POST_SIGNALED, VMP_WR_NOP, old->ep,
                                old->buf, old->comp, 0);
    wr->kind     = old->kind;
    wr->barrier  = old->barrier;
    wr->bytes    = bytes;
    wr->sn       = sn;
    wr->refusals = old->refusals;
    wr->deaths   = old->deaths;
    to->timing   = timing;
    --to->num_ctrl;

    /* what posting a nop does not count */
    to->psn           += vmp_wr_packets(to, wr->kind, bytes) - 1;
    to->pol->inflight += bytes;
    vmp_path_count_read(to, wr->kind);
    if (vmp_wr_is_chunk(wr->kind)) {
        ++conn->chunks;
        ++conn->iface->chunks;
    }

    if (to->num_ops++ == 0) {
        conn->busy_mask |= 1ull << to->index;
    }

    vmp_stats_replay(conn, wr->kind, bytes);
    vmp_path_update_eligible(to);
}

static void vmp_replay_message(vmp_path_t *to, const vmp_wr_t *wr)
{
    vmp_tx_buf_t *buf = (vmp_tx_buf_t*)wr->buf;
    uint8_t *frame    = vmp_post_buf_data(wr->buf);
    unsigned num      = 1;
    vmp_sge_t sge[VMP_MAX_IOV + 1];
    unsigned i;
    int ret;

    sge[0].addr   = (uintptr_t)frame;
    sge[0].lkey   = vmp_post_lkey(to, wr->buf->mem);
    sge[0].length = VMP_FRAME_HDR_LEN + ((buf->iovcnt > 0) ? buf->hdr_length :
                                                             wr->bytes);
    for (i = 0; i < buf->iovcnt; ++i) {
        if (buf->iov[i].length > 0) {
            sge[num].addr   = (uintptr_t)buf->iov[i].buffer;
            sge[num].length = (uint32_t)buf->iov[i].length;
            sge[num].lkey   = vmp_post_lkey(to, buf->iov[i].mem);
            ++num;
        }
    }

    vmp_post_frame_sn(to, frame, VMP_FRAME_AM, frame[1], wr->bytes, wr->sn);
    ret = vmp_port_post_send(to->qp, vmp_post_wr_id(to), VMP_POST_SIGNALED, sge,
                             num);
    vmp_replay_posted(to, wr, wr->bytes, wr->sn);
    vmp_post_told(to->conn);
    vmp_post_check(to, ret);
}

/* A put out of a buffer of ours, but for its first `done` bytes */
static void vmp_replay_put(vmp_path_t *to, const vmp_wr_t *wr, uint32_t done)
{
    vmp_tx_buf_t *buf = (vmp_tx_buf_t*)wr->buf;
    uint64_t offset   = wr->sn + done;
    vmp_sge_t sge     = {
        .addr   = (uintptr_t)vmp_post_buf_data(wr->buf) + offset,
        .length = wr->bytes - done,
        .lkey   = vmp_post_lkey(to, wr->buf->mem)
    };
    int ret;

    ret = vmp_rma_post(to, VMP_WR_PUT, VMP_POST_SIGNALED, &sge, 1,
                       buf->remote_addr + offset, &buf->rkey);
    vmp_replay_posted(to, wr, wr->bytes - done, offset);
    vmp_post_check(to, ret);
}

static void vmp_replay_chunk(vmp_path_t *to, const vmp_wr_t *wr, uint32_t done)
{
    vmp_op_t *op    = wr->comp;
    uint64_t offset = wr->sn + done;
    size_t length   = wr->bytes - done;
    vmp_sge_t sge[VMP_MAX_IOV];
    unsigned num;
    int ret;

    num = vmp_op_gather_at(op, to, offset, length, sge);
    ret = vmp_rma_post(to, op->kind, VMP_POST_SIGNALED, sge, num,
                       op->remote_addr + offset, &op->rkey);
    vmp_replay_posted(to, wr, length, offset);
    vmp_post_check(to, ret);
}

/* Whether it needs memory that may have gone with its endpoint */
static int vmp_replay_is_lost(const vmp_wr_t *wr)
{
    return vmp_wr_is_chunk(wr->kind) &&
           (((const vmp_op_t*)wr->comp)->ep == NULL);
}

/* A WR of a dead path is not sent again: its SNs are filled instead. Where a
 * SKIP does not go inline it takes a buffer, and that of the WR may be the last
 * one. Return 0, or -1: not now. */
static int vmp_replay_skip(vmp_path_t *to, vmp_wr_t *wr, uint8_t num_log)
{
    if (wr->buf != NULL) {
        vmp_post_buf_put(to->conn->iface, wr->buf);
        wr->buf = NULL;
    }

    return vmp_credit_skip(to, wr->sn, num_log);
}

/* The oldest WR of a path is a message. Return 0, or -1: not now. */
static int vmp_replay_am(vmp_path_t *path, vmp_wr_t *wr)
{
    vmp_conn_t *conn = path->conn;

    if (wr->sn < conn->tx_delivered) {
        ++conn->done_gone;
        vmp_wr_end(conn, wr, VMP_OK);
        return 0;
    }

    if (wr->refusals != VMP_WR_FAILED) {
        vmp_replay_message(path->target, wr);
        return 0;
    }

    /* it will not be delivered, but its SN has to be filled */
    if (vmp_replay_skip(path->target, wr, 0) != 0) {
        return -1;
    }

    vmp_wr_end(conn, wr, VMP_ERR_CONNECTION_RESET);
    return 0;
}

/* The oldest WR of a path. Return 0, or -1: not now. */
static int vmp_replay_wr(vmp_path_t *path, vmp_wr_t *wr, uint32_t packets)
{
    vmp_conn_t *conn = path->conn;
    vmp_path_t *to   = path->target;
    uint32_t done    = 0;
    int is_refused   = (wr->refusals == VMP_WR_FAILED);

    if (wr->kind == VMP_WR_SKIP) {
        if ((wr->sn >= conn->tx_delivered) &&
            (vmp_replay_skip(to, wr, wr->num_log) != 0)) {
            return -1;
        }

        vmp_wr_end(conn, wr, VMP_OK);
        return 0;
    }

    if (!vmp_replay_is_needed(wr)) {
        vmp_wr_end(conn, wr, VMP_OK);
        return 0;
    }

    if (wr->kind == VMP_WR_AM) {
        return vmp_replay_am(path, wr);
    }

    if (wr->kind != VMP_WR_GET_CHUNK) {
        done             = vmp_replay_done(path, packets);
        conn->done_gone += (done > 0);  /* the dead path did carry */
        if (done == UINT32_MAX) {
            vmp_wr_end(conn, wr, VMP_OK);
            return 0;
        }
    }

    if (is_refused) {
        vmp_wr_end(conn, wr, VMP_ERR_CONNECTION_RESET);
        return 0;
    }

    if (wr->kind == VMP_WR_PUT) {
        vmp_replay_put(to, wr, done);
    } else if (vmp_replay_is_lost(wr)) {
        vmp_fault_lose(path, path->tail - 1);
        vmp_wr_end(conn, wr, VMP_ERR_CANCELED);
    } else {
        vmp_replay_chunk(to, wr, done);
    }

    return 0;
}

/* Where the work of a path goes. NULL: nowhere yet. */
static vmp_path_t *vmp_replay_target(vmp_path_t *path)
{
    vmp_conn_t *conn              = path->conn;
    const vmp_policy_ops_t *policy = conn->iface->policy;
    int index;

    if ((path->target == NULL) && (conn->eligible != 0)) {
        index = ((policy->select_replay != NULL) ? policy->select_replay :
                                                   policy->select)
                (conn->pol_priv, conn->pol_paths, conn->eligible,
                 path->ring[path->tail & path->mask].bytes);
        if ((index >= 0) && (index < VMP_MAX_PATHS) &&
            ((conn->eligible >> index) & 1)) {
            path->target = conn->paths[index];
        }
    }

    if (path->target == NULL) {
        path->target = conn->tx_path;
    }

    return ((path->target == NULL) || (path->target->state != VMP_PATH_UP) ||
            path->target->is_error) ? NULL : path->target;
}

/* Whether the oldest WR of a path may be done again. A QP that is stuck, or whose
 * device is, may still read its memory, or write it. */
static int vmp_replay_is_safe(const vmp_path_t *path)
{
    const vmp_wr_t *wr = &path->ring[path->tail & path->mask];

    return path->is_dead ||
           (!path->is_stuck && !path->rail->is_broken &&
            (wr->kind != VMP_WR_PUT) && (wr->kind != VMP_WR_PUT_CHUNK));
}

static int vmp_replay_is_ready(vmp_path_t *path)
{
    vmp_path_t *to;

    /* what a doomed one had was not copied when its endpoint went */
    if (!vmp_replay_is_safe(path) || path->conn->is_doomed ||
        (path->conn->block & (VMP_BLOCK_FAILED | VMP_BLOCK_CLOSED))) {
        return 0;
    }

    to = vmp_replay_target(path);
    return (to != NULL) && vmp_path_has_room(to);
}

/* What is to be behind all that was replayed so far still is */
static void vmp_replay_fence(vmp_path_t *to)
{
    if ((to != NULL) && (to->head != to->tail)) {
        to->ring[(to->head - 1) & to->mask].has_fence = 1;
    }
}

static unsigned vmp_replay_path(vmp_path_t *path, unsigned budget)
{
    unsigned count = 0;
    uint32_t packets;
    vmp_wr_t wr;

    while ((path->tail != path->head) && (count < budget) &&
           vmp_replay_is_ready(path)) {
        wr             = path->ring[path->tail & path->mask];
        packets        = vmp_wr_packets(path, wr.kind, wr.bytes);
        path->is_begun = 1;
        ++path->tail;
        if (vmp_replay_wr(path, &wr, packets) != 0) {
            /* what it gave back is not its own any more */
            path->ring[--path->tail & path->mask].buf = wr.buf;
            break;
        }

        if (wr.has_fence) {
            vmp_replay_fence(path->target);
        }

        if (path->target != NULL) {
            path->moved_pos = path->target->head;
        }

        path->psn += packets;
        ++count;
    }

    return count;
}

/* While the peer's word is waited for, whoever is up shows now and then whether
 * the peer is there at all: without any path up its silence is counted */
static void vmp_replay_wait(vmp_path_t *path, uint64_t now)
{
    if ((now - path->probe_time) >= VMP_REPLAY_PROBE) {
        path->probe_time = now;
        vmp_path_probe_all(path->conn);
    }
}

unsigned vmp_replay_progress(vmp_iface_t *iface)
{
    unsigned count = 0;
    uint64_t now   = vmp_port_now(iface->port);
    vmp_path_t *path;
    vmp_link_t *link;
    vmp_link_t *tmp;

    vmp_list_for_each_safe(link, tmp, &iface->replaying) {
        path   = vmp_replay_next(link);
        count += vmp_replay_path(path, VMP_REPLAY_BUDGET);
        if (path->tail == path->head) {
            vmp_replay_end(path);
            ++count;
        } else if (!path->is_dead) {
            vmp_replay_wait(path, now);
        }
    }

    if (count > 0) {
        vmp_iface_changed(iface);
    }

    return count;
}

int vmp_replay_can_post(const vmp_iface_t *iface, uint64_t *deadline_p)
{
    uint64_t time;
    vmp_path_t *path;
    vmp_link_t *link;

    *deadline_p = UINT64_MAX;
    vmp_list_for_each(link, &iface->replaying) {
        path = vmp_replay_next(link);
        if (vmp_replay_is_ready(path)) {
            return 1;
        }

        time = path->probe_time + VMP_REPLAY_PROBE;
        if (!path->is_dead && (time < *deadline_p)) {
            *deadline_p = time;
        }
    }

    return 0;
}

void vmp_replay_delivered(vmp_conn_t *conn)
{
    vmp_path_t *path;
    vmp_link_t *link;
    vmp_link_t *tmp;
    vmp_wr_t wr;

    vmp_list_for_each_safe(link, tmp, &conn->iface->replaying) {
        path = vmp_replay_next(link);
        while ((path->conn == conn) && (path->tail != path->head)) {
            wr = path->ring[path->tail & path->mask];
            if (!vmp_wr_is_ctrl(wr.kind) && /* the peer needs no credit back */
                ((wr.kind != VMP_WR_AM) || (wr.sn >= conn->tx_delivered))) {
                break;
            }

            ++path->tail;
            vmp_wr_end(conn, &wr, VMP_OK);
        }

        if ((path->conn == conn) && (path->tail == path->head)) {
            vmp_replay_end(path);
        }
    }
}

void vmp_replay_abort(vmp_conn_t *conn, vmp_status_t status)
{
    vmp_iface_t *iface = conn->iface;
    vmp_path_t *path;
    vmp_link_t *link;
    vmp_link_t *tmp;
    vmp_wr_t wr;

    vmp_list_for_each_safe(link, tmp, &iface->replaying) {
        path = vmp_replay_next(link);
        if (path->conn != conn) {
            continue;
        }

        while (path->tail != path->head) {
            wr = path->ring[path->tail & path->mask];
            ++path->tail;
            vmp_wr_end(conn, &wr, status);
        }

        vmp_replay_end(path);
    }
}

void vmp_replay_drop(vmp_conn_t *conn)
{
    vmp_path_t *path;
    vmp_link_t *link;
    vmp_link_t *tmp;
    vmp_wr_t *wr;

    vmp_list_for_each_safe(link, tmp, &conn->iface->replaying) {
        path = vmp_replay_next(link);
        if (path->conn != conn) {
            continue;
        }

        for (; path->tail != path->head; ++path->tail) {
            wr = &path->ring[path->tail & path->mask];
            if (wr->buf != NULL) {
                vmp_post_buf_put(conn->iface, wr->buf);
            }
        }

        vmp_replay_end(path);
    }
}

void vmp_replay_purge(vmp_conn_t *conn, const vmp_ep_t *ep)
{
    vmp_path_t *path;
    vmp_link_t *link;

    if (conn->replays == 0) {
        return;
    }

    vmp_list_for_each(link, &conn->iface->replaying) {
        path = vmp_replay_next(link);
        if (path->conn == conn) {
            vmp_rma_purge_ring(path, ep);
        }
    }
}

void vmp_replay_forget(const vmp_path_t *path)
{
    vmp_path_t *other;
    vmp_link_t *link;

    vmp_list_for_each(link, &path->conn->iface->replaying) {
        other = vmp_replay_next(link);
        if (other->target == path) {
            other->target    = path->target;
            other->moved_pos = path->moved_pos;
            other->is_begun  = other->is_begun && (path->target != NULL);
        }
    }
}

int vmp_replay_is_behind(const vmp_path_t *path, const vmp_path_t *to)
{
    while ((path != to) && path->is_begun && (path->target != NULL)) {
        path = path->target;
    }

    return path == to;
}

int vmp_replay_is_behind_wr(const vmp_path_t *path, const vmp_path_t *to,
                            uint32_t pos)
{
    return vmp_replay_is_behind(path, to) &&
           ((path->target != to) || ((int32_t)(path->moved_pos - pos) > 0));
}
