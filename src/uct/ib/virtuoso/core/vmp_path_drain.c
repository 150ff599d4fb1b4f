/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_conn.h"
#include "vmp_fault.h"
#include "vmp_path.h"
#include "vmp_post.h"

#include <inttypes.h>

#define VMP_MARKER_TRIES  16
#define VMP_REFUSED_MAX   1000000000ul      /* ns */

/*
 * The end of a path: all that was posted is found complete or flushed, then
 * control may destroy the QP.
 */

/* R5, should the device refuse everything: the peer answers all the while, so
 * that control never gives it up. Between two refusals control makes a new
 * path, which takes it about a second at most while it can: what is beyond that
 * is an outage, which says nothing of the device. */
static void vmp_path_check_refusals(vmp_conn_t *conn)
{
    uint64_t timeout = conn->iface->params.peer_timeout_ns;
    uint64_t max     = (timeout < (2 * VMP_REFUSED_MAX)) ? timeout / 2 :
                                                          VMP_REFUSED_MAX;
    uint64_t now     = vmp_port_now(conn->iface->port);
    uint64_t time;

    if ((conn->up_mask != 0) || (conn->block & VMP_BLOCK_FAILED)) {
        return;
    }

    if (conn->refused_last != 0) {
        time                = now - conn->refused_last;
        conn->refused_time += (time < max) ? time : max;
    }

    conn->refused_last = now;
    if (conn->refused_time >= timeout) {
        vmp_error("peer %016" PRIx64 " is lost: the device has refused to post "
                  "on every path for as long as a peer is waited for; the "
                  "lines before say why", conn->peer_id);
        vmp_conn_fail(conn, VMP_ERR_ENDPOINT_TIMEOUT);
    }
}

void vmp_path_refused(vmp_path_t *path)
{
    vmp_conn_t *conn = path->conn;
    char str[VMP_PATH_STR_MAX];
    const vmp_wr_t *wr;

    path->is_refused   = 1;
    path->is_condemned = 1;
    path->refused_pos  = path->head - 1;
    wr                 = &path->ring[path->refused_pos & path->mask];
    if (path->state == VMP_PATH_UP) {
        path->state = VMP_PATH_SUSPECT; /* nothing more is posted */
        ++conn->num_suspects;
    }

    vmp_path_disable(path);
    if (conn->block & (VMP_BLOCK_FAILED | VMP_BLOCK_CLOSED)) {
        return;
    }

    vmp_log_at(vmp_log_failure_level,
               "%s: the device refused to post a %s of %u bytes; its work goes "
               "on over %u other paths; the line before says why",
               vmp_path_str(path, str, sizeof(str)), vmp_wr_kind_str(wr->kind),
               wr->bytes, (unsigned)__builtin_popcountll(conn->up_mask));
    vmp_fault_accuse(path, path->refused_pos, VMP_WC_OTHER, 0);
    vmp_path_check_refusals(conn);
    vmp_path_fence_off(path);
}

/* The peer closed in good order, but an operation did not get through. Its
 * acknowledgement may just be lost: of messages, GOODBYE said which were
 * delivered. */
static void vmp_path_check_lost(vmp_path_t *path)
{
    vmp_conn_t *conn = path->conn;
    const vmp_wr_t *wr;
    char str[VMP_PATH_STR_MAX];
    uint32_t pos;

    for (pos = path->tail; pos != path->head; ++pos) {
        wr = &path->ring[pos & path->mask];
        if (vmp_wr_is_ctrl(wr->kind) || ((wr->kind == VMP_WR_AM) &&
                                         (wr->sn < conn->tx_delivered))) {
            continue;
        }

        vmp_log_at(vmp_log_failure_level,
                   "%s: the peer closed its interface before a %s of %u "
                   "bytes to it completed",
                   vmp_path_str(path, str, sizeof(str)),
                   vmp_wr_kind_str(wr->kind), wr->bytes);
        vmp_conn_fail(conn, VMP_ERR_CONNECTION_RESET);
        return;
    }
}

/* WRs that were posted, and whose completions nobody waits for */
static uint32_t vmp_path_num_lost(const vmp_path_t *path)
{
    uint32_t num = path->head - (path->is_error ? path->drain_pos : path->tail);

    return ((num > 0) && path->is_refused) ? num - 1 : num;
}

/* Everything ends. The CQ may still get what was not waited for (R10), so that
 * its slots are not to be had when callbacks post. */
static void vmp_path_end(vmp_path_t *path, vmp_status_t status)
{
    vmp_conn_t *conn = path->conn;
    uint32_t lost    = vmp_path_num_lost(path);
    vmp_wr_t wr;
    uint32_t pos;

    for (pos = path->tail; pos != path->head; ++pos) {
        vmp_path_unpost(path, &path->ring[pos & path->mask]);
    }

    path->rail->cq_avail -= lost;
    path->rail->cq_lost  += lost;
    while (path->tail != path->head) {
        wr = path->ring[path->tail & path->mask];
        ++path->tail;
        vmp_wr_end(conn, &wr, status);
    }

    vmp_path_free(path);
}

/* Control may destroy the QP; what is in the ring ends. Return 1 if so. */
static unsigned vmp_path_finish(vmp_path_t *path)
{
    vmp_conn_t *conn = path->conn;
    vmp_rail_t *rail = path->rail;
    uint32_t lost    = vmp_path_num_lost(path);
    vmp_cmd_t cmd    = {
        .type   = VMP_CMD_PATH_DRAINED,
        .slot   = conn->slot,
        .incarn = conn->incarn,
        .path   = path->index,
        .epoch  = path->epoch
    };

    if (vmp_iface_command(conn->iface, &cmd) != 0) {
        return 0;
    }

    if (!(conn->block & (VMP_BLOCK_FAILED | VMP_BLOCK_CLOSED))) {
        vmp_replay_begin(path);
        rail->cq_avail -= lost;
        rail->cq_lost  += lost;
        return 1;
    }

    if (!(conn->block & VMP_BLOCK_FAILED)) {
        vmp_path_check_lost(path);
    }

    vmp_path_end(path, (conn->block & VMP_BLOCK_FAILED) ? conn->status :
                                                          VMP_OK);
    return 1;
}

void vmp_path_down(vmp_path_t *path, int is_stuck)
{
    char str[VMP_PATH_STR_MAX];

    if (path->state == VMP_PATH_DOWN) {
        return;
    }

    path->conn->is_needed = VMP_CONN_NEED_UNKNOWN;
    if (vmp_conn_has_work(path->conn)) {
        vmp_watch_add(path->conn);
    }

    vmp_debug("%s is down", vmp_path_str(path, str, sizeof(str)));
    if ((path->state == VMP_PATH_READY) &&
        !(path->conn->block & VMP_BLOCK_CLOSED) &&
        (vmp_path_finish(path) != 0)) {
        /* it never carried anything: nobody misses it */
        return;
    }

    if (path->state == VMP_PATH_SUSPECT) {
        --path->conn->num_suspects;
    }

    path->state    = VMP_PATH_DOWN;
    path->is_stuck = is_stuck;
    if (!path->rail->is_broken) {
        path->rail->rx_empty = 0; /* what came in since the last poll counts */
    }
    vmp_path_disable(path);
}

static int vmp_path_post_marker(vmp_path_t *path)
{
    int ret;

    ret = vmp_port_post_write(path->qp, vmp_post_wr_id(path),
                              VMP_POST_SIGNALED, NULL, 0, 0, 0);
    if (ret == 0) {
        vmp_post_end(path, VMP_POST_SIGNALED, VMP_WR_NOP, NULL, NULL, NULL, 0);
    }

    return ret;
}

/* What completed without a completion cannot be told from what did not: a
 * marker that is flushed tells. Behind a WR that was refused, it is the only
 * completion that comes. */
static int vmp_path_wants_marker(const vmp_path_t *path)
{
    return !path->is_marked && (path->is_refused ||
                                (!path->is_error && (path->unsig > 0)));
}

/* Whether the drain can go on now */
static int vmp_path_can_drain(const vmp_path_t *path)
{
    if (path->state != VMP_PATH_DOWN) {
        return 0;
    }

    if (path->rail->is_broken || path->is_stuck) {
        return 1; /* nothing more will ever be known */
    }

    if (vmp_path_wants_marker(path)) {
        return (path->rail->cq_avail > 0) &&
               ((path->head - path->tail) <= path->mask);
    }

    /* nor may an arrival be lost with the QP */
    return ((path->is_error ? path->drain_pos : path->tail) == path->head) &&
           path->rail->rx_empty;
}

/* One step of the drain. Return 1 if something happened. */
static unsigned vmp_path_drain(vmp_path_t *path)
{
    if (!vmp_path_can_drain(path)) {
        return 0;
    }

    if (!path->rail->is_broken && !path->is_stuck &&
        vmp_path_wants_marker(path)) {
        path->is_marked = 1;
        if (vmp_path_post_marker(path) == 0) {
            return 0;
        }

        /* it is in ERR: there is no reason to refuse */
        if (++path->marker_tries < VMP_MARKER_TRIES) {
            path->is_marked = 0;
            return 0;
        }

        path->is_stuck = 1;
    }

    return vmp_path_finish(path);
}

unsigned vmp_path_progress(vmp_iface_t *iface)
{
    unsigned count = 0;
    vmp_link_t *link;
    vmp_link_t *tmp;
    unsigned i;

    vmp_list_for_each_safe(link, tmp, &iface->draining) {
        count += vmp_path_drain(vmp_container_of(link, vmp_path_t, draining));
    }

    if (count > 0) {
        /* they gave back what they held */
        for (i = 0; i < iface->num_rails; ++i) {
            vmp_path_force_again(&iface->rails[i]);
        }

        vmp_iface_changed(iface);
    }

    return count;
}

int vmp_path_has_to_drain(const vmp_iface_t *iface)
{
    const vmp_link_t *link;
    const vmp_path_t *path;

    vmp_list_for_each(link, &iface->draining) {
        path = vmp_container_of(link, vmp_path_t, draining);
        if (vmp_path_can_drain(path) || ((path->state == VMP_PATH_DOWN) &&
                                         !path->rail->rx_empty)) {
            return 1;
        }
    }

    return 0;
}
