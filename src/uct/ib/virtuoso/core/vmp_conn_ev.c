/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_conn.h"
#include "vmp_credit.h"
#include "vmp_reorder.h"
#include "vmp_stats.h"

#include <inttypes.h>
#include <stdlib.h>

#define VMP_CONN_SLOT_MAX   (1u << 24)      /* as wr_id has it */
#define VMP_CONN_TABLE_MIN  64


static int vmp_conn_table_grow(vmp_iface_t *iface, uint32_t slot)
{
    uint32_t size = iface->conns_size ? iface->conns_size : VMP_CONN_TABLE_MIN;
    vmp_conn_t **conns;
    uint32_t i;

    if (slot < iface->conns_size) {
        return 0;
    }

    if (slot >= VMP_CONN_SLOT_MAX) {
        return -1;
    }

    while (size <= slot) {
        size *= 2;
    }

    conns = realloc(iface->conns, size * sizeof(*conns));
    if (conns == NULL) {
        return -1;
    }

    for (i = iface->conns_size; i < size; ++i) {
        conns[i] = NULL;
    }

    iface->conns      = conns;
    iface->conns_size = size;
    return 0;
}

static void vmp_conn_created(vmp_iface_t *iface, const vmp_ev_t *ev)
{
    vmp_cmd_t cmd = {
        .type   = VMP_CMD_FAIL,
        .slot   = ev->slot,
        .incarn = ev->incarn
    };
    vmp_conn_t *conn;

    conn = vmp_conn_get(iface, ev->peer_id, ev->role);
    if ((conn != NULL) && (conn->slot != VMP_NO_SLOT)) {
        /* the peer began anew before we heard of its end */
        vmp_log_at(vmp_log_failure_level, "peer %016" PRIx64 " connects anew: "
                   "its old connection is lost", conn->peer_id);
        vmp_conn_fail(conn, VMP_ERR_CONNECTION_RESET);
        conn = vmp_conn_get(iface, ev->peer_id, ev->role);
    }

    if ((conn == NULL) || (vmp_conn_table_grow(iface, ev->slot) != 0)) {
        vmp_error("out of memory for the connection to peer %016" PRIx64,
                  ev->peer_id);
        if (conn != NULL) {
            vmp_conn_fail(conn, VMP_ERR_NO_MEMORY);
        }

        vmp_iface_command(iface, &cmd);
        return;
    }

    conn->slot             = ev->slot;
    conn->incarn           = ev->incarn;
    conn->peer_rail        = ev->peer_rail;
    iface->conns[ev->slot] = conn;
    if (conn->num_eps == 0) {
        /* They went before control was heard of; or their command found the end
         * of the connection that they were for, and control made another. */
        conn->in_use |= iface->has_stray_connect;
        vmp_conn_idle(conn);
    }

    if (vmp_unlikely(iface->is_broken)) {
        /* nobody would look at what is done on it: it goes as those before */
        vmp_conn_fail(conn, VMP_ERR_IO_ERROR);
    }
}

static int vmp_conn_make_paths(vmp_conn_t *conn, unsigned num_paths)
{
    const vmp_policy_ops_t *policy = conn->iface->policy;
    vmp_policy_params_t params     = {
        .num_paths = num_paths,
        .seed      = vmp_port_random(conn->iface->port)
    };

    conn->paths       = calloc(num_paths, sizeof(*conn->paths));
    conn->pol_paths   = calloc(num_paths, sizeof(*conn->pol_paths));
    conn->gone_epochs = calloc(num_paths, sizeof(*conn->gone_epochs));
    conn->probe_fails = calloc(num_paths, sizeof(*conn->probe_fails));
    conn->stats       = calloc(num_paths, sizeof(*conn->stats));
    conn->pol_priv    = calloc(1, policy->priv_size + 1);
    if ((conn->paths == NULL) || (conn->pol_paths == NULL) ||
        (conn->gone_epochs == NULL) || (conn->probe_fails == NULL) ||
        (conn->stats == NULL) || (conn->pol_priv == NULL)) {
        return -1;
    }

    if ((policy->init != NULL) &&
        (policy->init(conn->pol_priv, &params) != 0)) {
        vmp_error("policy \"%s\" refuses a connection of %u paths",
                  policy->name, num_paths);
        return -1;
    }

    conn->num_paths = num_paths;
    return 0;
}

static void vmp_conn_agreed(vmp_conn_t *conn, const vmp_ev_t *ev)
{
    vmp_iface_t *iface = conn->iface;

    if (conn->num_paths != 0) {
        return;
    }

    /* UCP cuts messages to our own size, whatever the peer's */
    if (ev->frame_size != iface->rx.frame_size) {
        vmp_error("UCX_VMP_SEG_SIZE is %u at peer %016" PRIx64 " and %zu here: "
                  "set it alike on both sides",
                  ev->frame_size - VMP_FRAME_HDR_LEN, conn->peer_id,
                  iface->seg_size);
        vmp_conn_fail(conn, VMP_ERR_CONNECTION_RESET);
        return;
    }

    if (vmp_conn_make_paths(conn, ev->num_paths) != 0) {
        vmp_error("cannot set up the connection to peer %016" PRIx64,
                  conn->peer_id);
        vmp_conn_fail(conn, VMP_ERR_NO_MEMORY);
        return;
    }

    conn->peer_conn   = ev->peer_conn;
    conn->peer_incarn = ev->peer_incarn;
    conn->tx_limit    = conn->tx_sn + ev->credits;
}

/* A path that is not there: control waits for our word to destroy its QP */
static void vmp_conn_no_path(vmp_iface_t *iface, const vmp_ev_t *ev)
{
    vmp_cmd_t cmd = {
        .type   = VMP_CMD_PATH_DRAINED,
        .slot   = ev->slot,
        .incarn = ev->incarn,
        .path   = ev->path,
        .epoch  = ev->epoch
    };

    vmp_debug("event %d of an unknown connection or path", ev->type);
    if (ev->type == VMP_EV_PATH_DOWN) {
        /* nothing was ever posted on it */
        vmp_iface_command(iface, &cmd);
    }
}

static void vmp_conn_path_event(vmp_conn_t *conn, const vmp_ev_t *ev)
{
    vmp_path_t *path;

    if ((ev->path >= conn->num_paths) || (ev->rail >= conn->iface->num_rails)) {
        vmp_conn_no_path(conn->iface, ev);
        return;
    }

    if (ev->type == VMP_EV_PATH_DEAD) {
        vmp_replay_dead(conn, ev->path, ev->epoch, ev->psn);
        return;
    }

    path = conn->paths[ev->path];
    if ((path == NULL) && (ev->type != VMP_EV_PATH_DOWN)) {
        path = vmp_path_create(conn, ev);
        if (path == NULL) {
            vmp_error("out of memory for path %u to peer %016" PRIx64,
                      ev->path, conn->peer_id);
            vmp_conn_fail(conn, VMP_ERR_NO_MEMORY);
        }
    }

    if ((path == NULL) || (path->epoch != ev->epoch)) {
        vmp_conn_no_path(conn->iface, ev);
        return;
    }

    if (ev->type == VMP_EV_PATH_UP) {
        vmp_path_up(path);
    } else if (ev->type == VMP_EV_PATH_DOWN) {
        vmp_path_down(path, ev->is_stuck);
    }
}

static void vmp_conn_gone(vmp_conn_t *conn)
{
    conn->iface->conns[conn->slot] = NULL;
    conn->is_gone                  = 1;
    vmp_conn_leave_tree(conn);
    /* what they waited for never comes, but endpoints may stay for long */
    vmp_reorder_cleanup(conn);
    if ((conn->num_eps > 0) && !(conn->block & VMP_BLOCK_CLOSED)) {
        vmp_conn_fail(conn, VMP_ERR_CONNECTION_RESET);
    }

    vmp_conn_put(conn);
}

void vmp_conn_event(vmp_iface_t *iface, const vmp_ev_t *ev)
{
    vmp_conn_t *conn;

    if (ev->type == VMP_EV_CONN) {
        vmp_conn_created(iface, ev);
        return;
    }

    if ((ev->type == VMP_EV_CONN_FAILED) && (ev->slot == VMP_NO_SLOT)) {
        vmp_conn_not_made(iface, ev);
        return;
    }

    conn = vmp_conn_find(iface, ev->slot, ev->incarn);
    if (conn == NULL) {
        vmp_conn_no_path(iface, ev);
        return;
    }

    conn->peer_rail = ev->peer_rail;
    switch (ev->type) {
    case VMP_EV_CONN_PEER:
        vmp_conn_agreed(conn, ev);
        break;
    case VMP_EV_PATH_READY:
    case VMP_EV_PATH_UP:
    case VMP_EV_PATH_DOWN:
    case VMP_EV_PATH_DEAD:
        vmp_conn_path_event(conn, ev);
        break;
    case VMP_EV_PEER_ALIVE:
        vmp_watch_pong(conn);
        break;
    case VMP_EV_PROBE:
        vmp_path_probe_all(conn);
        break;
    case VMP_EV_CONN_FAILED:
        /* control has logged why */
        vmp_conn_fail(conn, ev->status);
        break;
    case VMP_EV_PEER_CLOSED:
        vmp_debug("peer %016" PRIx64 " closed its interface", conn->peer_id);
        conn->block    |= VMP_BLOCK_CLOSED;
        conn->is_closed = 1;
        vmp_credit_delivered(conn, ev->delivered);
        /* an endpoint may just have asked for this connection */
        iface->has_stray_connect |= conn->was_used;
        vmp_conn_leave_tree(conn);
        vmp_list_del(&conn->owing);
        vmp_list_add_once(&iface->failing, &conn->failing);
        vmp_iface_changed(iface);
        break;
    case VMP_EV_CONN_GONE:
        vmp_conn_gone(conn);
        break;
    case VMP_EV_CONN:
        break;
    }
}
