/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_path.h"
#include "vmp_fault.h"
#include "vmp_post.h"
#include "vmp_rma.h"
#include "vmp_stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* wr_id: connection slot, path, low bits of the epoch, ring slot */
#define VMP_WR_ID_RING_BITS   16
#define VMP_WR_ID_EPOCH_BITS  18
#define VMP_WR_ID_PATH_BITS   6
#define VMP_WR_ID_EPOCH_MASK  ((1u << VMP_WR_ID_EPOCH_BITS) - 1)


static uint64_t vmp_path_wr_id(uint32_t slot, uint8_t index, uint32_t epoch)
{
    uint64_t id = slot;

    id = (id << VMP_WR_ID_PATH_BITS) | index;
    id = (id << VMP_WR_ID_EPOCH_BITS) | (epoch & VMP_WR_ID_EPOCH_MASK);
    return id << VMP_WR_ID_RING_BITS;
}

const char *vmp_path_str(const vmp_path_t *path, char *buf, size_t max)
{
    snprintf(buf, max, "path %u (rail %u to rail %u, UDP source port %u, "
             "epoch %u) to peer %016" PRIx64, path->index, path->rail_index,
             path->remote_rail, vmp_port_udp_sport(path->entropy), path->epoch,
             path->conn->peer_id);
    return buf;
}

vmp_path_t *vmp_path_create(vmp_conn_t *conn, const vmp_ev_t *ev)
{
    vmp_iface_t *iface = conn->iface;
    uint32_t depth     = iface->attr.sq_depth;
    vmp_path_t *path   = calloc(1, sizeof(*path));

    if (path == NULL) {
        return NULL;
    }

    path->ring = calloc(depth, sizeof(*path->ring));
    if (path->ring == NULL) {
        free(path);
        return NULL;
    }

    path->conn        = conn;
    path->qp          = ev->qp;
    path->rail        = &iface->rails[ev->rail];
    path->pol         = &conn->pol_paths[ev->path];
    path->mask        = depth - 1;
    path->limit       = depth - VMP_RING_RESERVE;
    path->wr_id       = vmp_path_wr_id(conn->slot, ev->path, ev->epoch);
    path->epoch       = ev->epoch;
    path->entropy     = ev->entropy;
    path->index       = ev->path;
    path->rail_index  = ev->rail;
    path->remote_rail = ev->remote_rail;
    path->state       = VMP_PATH_READY;
    path->psn         = ev->psn;
    path->mtu_shift   = 7 + ev->mtu;        /* as enum ibv_mtu has it */
    path->born_time   = vmp_port_now(iface->port);
    vmp_watch_path_init(path);
    vmp_list_init(&path->draining);
    vmp_list_init(&path->forcing);
    conn->paths[path->index] = path;
    ++conn->paths_live;
    return path;
}

void vmp_path_unpost(vmp_path_t *path, const vmp_wr_t *wr)
{
    vmp_conn_t *conn = path->conn;

    ++path->rail->cq_avail;
    --path->pol->outstanding;
    path->pol->inflight -= wr->bytes;

    if (vmp_wr_is_ctrl(wr->kind)) {
        return;
    }

    if (wr->kind == VMP_WR_GET_CHUNK) {
        --conn->reads;
        --path->num_reads;
    }

    if (vmp_wr_is_chunk(wr->kind)) {
        --conn->chunks;
        --conn->iface->chunks;
    }

    if (--path->num_ops == 0) {
        conn->busy_mask &= ~(1ull << path->index);
    }
}

void vmp_wr_end(vmp_conn_t *conn, const vmp_wr_t *wr, vmp_status_t status)
{
    if (wr->buf != NULL) {
        vmp_post_buf_put(conn->iface, wr->buf);
    }

    if (wr->barrier != NULL) {
        if ((wr->comp != NULL) && (wr->ep != NULL)) {
            conn->iface->ops.complete(conn->iface->arg, wr->comp, status);
        }

        vmp_conn_end(conn, wr->barrier);
    } else if (vmp_wr_is_chunk(wr->kind)) {
        vmp_rma_chunk_done(wr->comp, status);
    }
}

void vmp_path_detach(vmp_path_t *path)
{
    vmp_conn_t *conn = path->conn;

    vmp_stats_path_gone(path);
    path->rail->unsig             -= path->unsig;
    path->rail->unsig_bufs        -= path->unsig_bufs;
    conn->paths[path->index]       = NULL;
    conn->gone_epochs[path->index] = path->epoch;
    conn->up_mask                 &= ~(1ull << path->index);
    conn->eligible                &= ~(1ull << path->index);
    *path->pol                     = (vmp_policy_path_t){0};
    --conn->paths_live;
    vmp_list_del(&path->draining);
    vmp_list_del(&path->forcing);
}

void vmp_path_free(vmp_path_t *path)
{
    vmp_conn_t *conn = path->conn;
    vmp_wr_t *wr;

    vmp_replay_forget(path);
    if (conn->paths[path->index] == path) {
        for (; path->tail != path->head; ++path->tail) {
            wr = &path->ring[path->tail & path->mask];
            vmp_path_unpost(path, wr);
            if (wr->buf != NULL) {
                vmp_post_buf_put(conn->iface, wr->buf);
            }
        }

        vmp_path_detach(path);
    }

    free(path->ring);
    free(path);
}

/* What was repaired carries: control counts it so from now on */
static void vmp_path_proved(const vmp_path_t *path)
{
    vmp_cmd_t cmd = {
        .type   = VMP_CMD_PATH_PROVED,
        .slot   = path->conn->slot,
        .incarn = path->conn->incarn,
        .path   = path->index,
        .epoch  = path->epoch
    };

    vmp_iface_command(path->conn->iface, &cmd);
}

void vmp_path_up(vmp_path_t *path)
{
    /* control's clock has stopped; if the path then shows nothing, it is told
     * again */
    path->conn->is_needed = VMP_CONN_NEED_UNKNOWN;
    if (path->state != VMP_PATH_READY) {
        return;
    }

    if ((path->epoch > 1) || (path->index > 0)) {
        /* it has to show that it carries, in both directions, or it would be
         * given work that waits for nothing. Only the first one of all is not
         * waited for. */
        path->state = VMP_PATH_PROBE;
        vmp_path_force(path);
    } else {
        vmp_path_enable(path);
    }
}

void vmp_path_enable(vmp_path_t *path)
{
    vmp_conn_t *conn = path->conn;
    char str[VMP_PATH_STR_MAX];

    if (path->state == VMP_PATH_PROBE) {
        conn->refused_last = 0;
        conn->refused_time = 0;
        if (path->epoch > 1) {
            vmp_path_proved(path);
        }
    }

    vmp_debug("%s is up", vmp_path_str(path, str, sizeof(str)));
    if (path->state == VMP_PATH_SUSPECT) {
        --conn->num_suspects;
    }

    vmp_stats_path_up(path);
    path->state                    = VMP_PATH_UP;
    path->pol->window              = vmp_rma_window(path);
    conn->refused                  = 0;
    conn->probe_fails[path->index] = 0;
    conn->up_mask                 |= 1ull << path->index;
    ++conn->up_gen;
    vmp_path_update_eligible(path);
    vmp_conn_update_tx_path(conn);
    vmp_rma_kick(conn);
    vmp_iface_changed(conn->iface);
}

void vmp_path_seen(vmp_path_t *path)
{
    vmp_cmd_t cmd = {
        .type   = VMP_CMD_PATH_SEEN,
        .slot   = path->conn->slot,
        .incarn = path->conn->incarn,
        .path   = path->index,
        .epoch  = path->epoch
    };

    vmp_path_up(path);
    vmp_iface_command(path->conn->iface, &cmd);
}

void vmp_path_withdraw(vmp_path_t *path)
{
    vmp_conn_t *conn = path->conn;

    conn->up_mask    &= ~(1ull << path->index);
    conn->eligible   &= ~(1ull << path->index);
    path->pol->window = 0;
    vmp_conn_update_tx_path(conn);
}

void vmp_path_disable(vmp_path_t *path)
{
    vmp_conn_t *conn = path->conn;

    vmp_stats_path_down(path);
    vmp_path_withdraw(path);
    if (conn->up_mask == 0) {
        vmp_watch_restore(conn);
    }

    vmp_watch_add(conn);
    if (!(conn->block & (VMP_BLOCK_FAILED | VMP_BLOCK_CLOSED))) {
        /* what was told of credit on it may be lost */
        conn->must_tell = 1;
        conn->rx_ask    = VMP_ASK_NOT;
        vmp_list_add_once(&conn->iface->owing, &conn->owing);
    }

    if (!vmp_list_is_linked(&path->draining)) {
        vmp_list_add_tail(&conn->iface->draining, &path->draining);
    }
}

const char *vmp_wr_kind_str(unsigned kind)
{
    static const char *const names[] = {
        [VMP_WR_CREDIT]    = "credit",
        [VMP_WR_SKIP]      = "return of credit",
        [VMP_WR_NOP]       = "flush",
        [VMP_WR_AM]        = "message",
        [VMP_WR_PUT]       = "put",
        [VMP_WR_PUT_CHUNK] = "put (part)",
        [VMP_WR_GET_CHUNK] = "get (part)"
    };

    return names[kind];
}

static void vmp_path_post_nop(vmp_path_t *path)
{
    int ret;

    ret = vmp_port_post_write(path->qp, vmp_post_wr_id(path),
                              VMP_POST_SIGNALED, NULL, 0, 0, 0);
    vmp_post_end(path, VMP_POST_SIGNALED, VMP_WR_NOP, NULL, NULL, NULL, 0);
    vmp_post_check(path, ret);
}

void vmp_path_force(vmp_path_t *path)
{
    int is_probe = (path->state == VMP_PATH_PROBE) &&
                   (path->head == path->tail);

    if ((!is_probe && (path->unsig == 0)) || !vmp_path_is_watched(path)) {
        vmp_list_del(&path->forcing);
        return;
    }

    if ((path->num_reads > 0) || (path->rail->cq_avail == 0) ||
        ((path->head - path->tail) >= (path->limit + 2))) {
        /* READs are signalled, and so much else is posted that signalled WRs are
         * among it: try again when they complete. The CQ is shared: they may be
         * of any path. Soft-RoCE seems to refuse a READ that is repeated behind
         * a write without length, see docs/protocol.md. */
        vmp_list_add_once(&path->rail->forcing, &path->forcing);
        return;
    }

    vmp_list_del(&path->forcing);
    vmp_path_post_nop(path);
}

void vmp_path_probe(vmp_path_t *path)
{
    if (path->unsig > 0) {
        /* these may be done already */
        vmp_path_force(path);
    } else if ((path->head == path->tail) && (path->rail->cq_avail > 0) &&
               (path->state == VMP_PATH_UP) && !path->is_error) {
        vmp_path_post_nop(path);
    }
}

void vmp_path_probe_all(vmp_conn_t *conn)
{
    uint64_t mask = conn->up_mask;

    for (; mask != 0; mask &= mask - 1) {
        vmp_path_probe(conn->paths[__builtin_ctzll(mask)]);
    }
}

void vmp_path_force_again(vmp_rail_t *rail)
{
    unsigned num = 0;
    vmp_link_t *link;

    vmp_list_for_each(link, &rail->forcing) {
        ++num;
    }

    /* once around: who still finds no room goes to the end; and a nop that is
     * refused may take others out of the list */
    for (; (num > 0) && (rail->cq_avail > 0) &&
         !vmp_list_is_empty(&rail->forcing); --num) {
        link = rail->forcing.next;
        vmp_list_del(link);
        vmp_path_force(vmp_container_of(link, vmp_path_t, forcing));
    }
}

void vmp_path_retire(vmp_path_t *path, uint32_t end, vmp_status_t status)
{
    vmp_conn_t *conn = path->conn;
    vmp_wr_t wr;

    while (path->tail != end) {
        wr = path->ring[path->tail & path->mask];
        ++path->tail;
        vmp_path_unpost(path, &wr);
        vmp_wr_end(conn, &wr, status);
    }
}

void vmp_path_fence_off(vmp_path_t *path)
{
    vmp_conn_t *conn = path->conn;
    vmp_cmd_t cmd    = {
        .type   = VMP_CMD_PATH_FAIL,
        .slot   = conn->slot,
        .incarn = conn->incarn,
        .path   = path->index,
        .epoch  = path->epoch
    };

    ++conn->iface->counters.paths_failed;
    conn->is_needed = VMP_CONN_NEED_UNKNOWN;
    if (vmp_iface_command(conn->iface, &cmd) != 0) {
        vmp_conn_fail(conn, VMP_ERR_NO_MEMORY);
        return;
    }

    if ((conn->up_mask == 0) && ((conn->outstanding > 0) ||
                                 (conn->num_checks > 0))) {
        cmd.type        = VMP_CMD_NEED;
        conn->is_needed = (vmp_iface_command(conn->iface, &cmd) == 0);
    }

    /* if it is the peer that is dead, all find out at the same time */
    vmp_path_probe_all(conn);
}

/* All before a position has completed, if it was ever posted */
static void vmp_path_retire_posted(vmp_path_t *path, uint32_t pos)
{
    if (path->is_refused && ((int32_t)(pos - path->refused_pos) > 0)) {
        pos = path->refused_pos;
    }

    vmp_path_retire(path, pos, VMP_OK);
}

static void vmp_path_error(vmp_path_t *path, uint32_t pos, const vmp_wc_t *wc)
{
    vmp_conn_t *conn = path->conn;
    char str[VMP_PATH_STR_MAX];
    const vmp_wr_t *wr;

    if (path->is_error) {
        path->drain_pos = pos + 1;
        return;
    }

    /* all before the first error has completed; all behind it is flushed, and
     * stays in the ring until the path is drained */
    vmp_path_retire_posted(path, pos);
    path->is_error  = 1;
    path->drain_pos = pos + 1;
    vmp_path_disable(path);

    if ((conn->block & (VMP_BLOCK_FAILED | VMP_BLOCK_CLOSED)) ||
        path->is_condemned) {
        return;
    }

    wr = &path->ring[pos & path->mask];
    if (!vmp_fault_accuse(path, pos, wc->status, wc->vendor_err) &&
        (wc->status != VMP_WC_FLUSHED)) {
        vmp_log_at(vmp_log_failure_level,
                   "%s failed: %s of %u bytes: %s (vendor error 0x%x); its "
                   "work goes on over %u other paths",
                   vmp_path_str(path, str, sizeof(str)),
                   vmp_wr_kind_str(wr->kind), wr->bytes,
                   vmp_wc_status_str(wc->status), wc->vendor_err,
                   (unsigned)__builtin_popcountll(conn->up_mask));
    }

    vmp_path_fence_off(path);
}

/* Of a QP that could not be moved to ERR: its slot is free now */
static void vmp_path_completion_late(vmp_iface_t *iface, unsigned rail,
                                     const vmp_wc_t *wc)
{
    vmp_debug("completion of an unknown path dropped: 0x%" PRIx64, wc->wr_id);
    if (iface->rails[rail].cq_lost > 0) {
        --iface->rails[rail].cq_lost;
        ++iface->rails[rail].cq_avail;
    }
}

static void vmp_path_completion(vmp_iface_t *iface, unsigned rail,
                                const vmp_wc_t *wc)
{
    uint64_t id       = wc->wr_id;
    uint32_t ring_pos = id & ((1u << VMP_WR_ID_RING_BITS) - 1);
    uint32_t epoch;
    uint32_t index;
    uint32_t slot;
    vmp_conn_t *conn;
    vmp_path_t *path;
    uint32_t pos;

    id  >>= VMP_WR_ID_RING_BITS;
    epoch = id & VMP_WR_ID_EPOCH_MASK;
    id  >>= VMP_WR_ID_EPOCH_BITS;
    index = id & ((1u << VMP_WR_ID_PATH_BITS) - 1);
    slot  = id >> VMP_WR_ID_PATH_BITS;

    if (vmp_unlikely((slot >= iface->conns_size) ||
                     ((conn = iface->conns[slot]) == NULL) ||
                     (index >= conn->num_paths) ||
                     ((path = conn->paths[index]) == NULL) ||
                     ((path->epoch & VMP_WR_ID_EPOCH_MASK) != epoch))) {
        vmp_path_completion_late(iface, rail, wc);
        return;
    }

    pos = path->tail + ((ring_pos - path->tail) & path->mask);
    if (vmp_unlikely((pos - path->tail) >= (path->head - path->tail))) {
        vmp_debug("completion of an unknown request dropped: 0x%" PRIx64,
                  wc->wr_id);
        return;
    }

    if (vmp_unlikely(wc->status != VMP_WC_SUCCESS)) {
        vmp_path_error(path, pos, wc);
        return;
    }

    conn->num_checks = 0;
    vmp_watch_add(conn);
    if (vmp_unlikely(path->is_refused &&
                     ((int32_t)(pos - path->refused_pos) > 0))) {
        /* the marker was faster than the move to ERR */
        vmp_path_retire_posted(path, pos);
        path->is_error  = 1;
        path->drain_pos = pos + 1;
        return;
    }

    vmp_path_retire(path, pos + 1, VMP_OK);
    if (vmp_unlikely(path->timing == VMP_TIMING_ON)) {
        vmp_watch_end(path);
    }

    if (vmp_unlikely(path->state == VMP_PATH_PROBE) && !path->is_condemned) {
        vmp_path_enable(path);
    }

    vmp_path_update_eligible(path);
    if (vmp_unlikely(conn->is_pinned)) {
        vmp_conn_check_pin(conn);
    }

    vmp_rma_kick(conn);
}

unsigned vmp_path_poll(vmp_iface_t *iface, unsigned rail)
{
    unsigned count = 0;
    vmp_wc_t wc[VMP_POLL_BATCH];
    int num;
    int i;

    /* after a long time without a poll there is more than one batch of chunks:
     * only then is it known what is still in flight */
    do {
        num = vmp_port_poll_tx(iface->port, rail, wc, VMP_POLL_BATCH);
        if (vmp_unlikely(num < 0)) {
            vmp_iface_rail_broken(iface, rail);
            break;
        }

        for (i = 0; i < num; ++i) {
            vmp_path_completion(iface, rail, &wc[i]);
        }

        count += num;
    } while ((num == VMP_POLL_BATCH) && (count < iface->attr.cq_depth) &&
             (iface->chunks > 0));

    iface->rails[rail].tx_empty = (num < VMP_POLL_BATCH);
    if (count == 0) {
        return 0;
    }

    vmp_iface_changed(iface);

    if (vmp_unlikely(!vmp_list_is_empty(&iface->rails[rail].forcing))) {
        vmp_path_force_again(&iface->rails[rail]);
    }

    return count;
}
