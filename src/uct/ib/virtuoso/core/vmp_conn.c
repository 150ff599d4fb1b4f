/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_conn.h"
#include "vmp_credit.h"
#include "vmp_post.h"
#include "vmp_reorder.h"
#include "vmp_rma.h"
#include "vmp_stats.h"

#include <inttypes.h>
#include <search.h>
#include <stdlib.h>


static int vmp_conn_compare(const void *ptr1, const void *ptr2)
{
    const vmp_conn_t *conn1 = ptr1;
    const vmp_conn_t *conn2 = ptr2;

    if (conn1->peer_id != conn2->peer_id) {
        return (conn1->peer_id < conn2->peer_id) ? -1 : 1;
    }

    return (int)conn1->role - (int)conn2->role;
}

static vmp_conn_t *vmp_conn_new(vmp_iface_t *iface, uint64_t peer_id,
                                uint8_t role)
{
    vmp_conn_t *conn = calloc(1, sizeof(*conn));

    if (conn == NULL) {
        return NULL;
    }

    conn->peer_id = peer_id;
    conn->role    = role;
    conn->iface   = iface;
    conn->slot    = VMP_NO_SLOT;
    conn->block   = VMP_BLOCK_SETUP;
    vmp_list_init(&conn->ops);
    vmp_list_init(&conn->active);
    vmp_list_init(&conn->owing);
    vmp_list_init(&conn->failing);
    vmp_list_init(&conn->faulty);
    vmp_list_init(&conn->watched);
    vmp_list_init(&conn->touched);
    vmp_list_init(&conn->all);
    return conn;
}

vmp_conn_t *vmp_conn_get(vmp_iface_t *iface, uint64_t peer_id, uint8_t role)
{
    vmp_conn_t *conn = vmp_conn_new(iface, peer_id, role);
    vmp_conn_t **found;

    if (conn == NULL) {
        return NULL;
    }

    found = tsearch(conn, &iface->conn_tree, vmp_conn_compare);
    if ((found == NULL) || (*found != conn)) {
        free(conn);
        return (found == NULL) ? NULL : *found;
    }

    if (vmp_barrier_init(conn) != 0) {
        tdelete(conn, &iface->conn_tree, vmp_conn_compare);
        free(conn);
        return NULL;
    }

    /* never the number of now: nothing was refused yet */
    conn->starved_gen = iface->gen - 1;
    conn->up_gen      = 1;
    conn->in_tree     = 1;
    vmp_list_add_tail(&iface->all, &conn->all);
    vmp_watch_conn_init(conn);
    vmp_credit_init(conn);
    return conn;
}

vmp_conn_t *vmp_conn_make_lost(const vmp_conn_t *conn, vmp_status_t status)
{
    vmp_conn_t *lost = vmp_conn_new(conn->iface, conn->peer_id, conn->role);

    if ((lost != NULL) && (vmp_barrier_init(lost) != 0)) {
        free(lost);
        return NULL;
    }

    if (lost != NULL) {
        lost->block      = VMP_BLOCK_FAILED;
        lost->status     = status;
        lost->is_gone    = 1;
        lost->is_drained = 1;
        vmp_list_add_tail(&conn->iface->all, &lost->all);
    }

    return lost;
}

void vmp_conn_not_made(vmp_iface_t *iface, const vmp_ev_t *ev)
{
    vmp_conn_t key = {
        .peer_id = ev->peer_id,
        .role    = ev->role
    };
    vmp_conn_t **found = tfind(&key, &iface->conn_tree, vmp_conn_compare);

    if ((found != NULL) && ((*found)->slot == VMP_NO_SLOT)) {
        vmp_conn_fail(*found, ev->status);
    }
}

void vmp_conn_leave_tree(vmp_conn_t *conn)
{
    if (conn->in_tree) {
        tdelete(conn, &conn->iface->conn_tree, vmp_conn_compare);
        conn->in_tree = 0;
    }
}

static void vmp_conn_free(vmp_conn_t *conn)
{
    vmp_iface_t *iface = conn->iface;
    unsigned i;

    vmp_stats_conn_gone(conn);
    vmp_conn_leave_tree(conn);
    vmp_replay_drop(conn);
    for (i = 0; i < conn->num_paths; ++i) {
        if (conn->paths[i] != NULL) {
            vmp_path_free(conn->paths[i]);
        }
    }

    vmp_reorder_cleanup(conn);
    vmp_barrier_cleanup(conn);
    vmp_credit_cleanup(conn);
    if ((conn->pol_priv != NULL) && (iface->policy->cleanup != NULL)) {
        iface->policy->cleanup(conn->pol_priv);
    }

    iface->outstanding -= conn->outstanding;
    vmp_list_del(&conn->active);
    vmp_list_del(&conn->owing);
    vmp_list_del(&conn->failing);
    vmp_list_del(&conn->faulty);
    vmp_watch_remove(conn);
    vmp_list_del(&conn->all);
    free(conn->probe_fails);
    free(conn->stats);
    free(conn->pol_priv);
    free(conn->pol_paths);
    free(conn->paths);
    free(conn->gone_epochs);
    free(conn);
}

void vmp_conn_put(vmp_conn_t *conn)
{
    /* callers may still look at it: freed from progress */
    if (conn->is_gone && (conn->num_eps == 0) &&
        !vmp_list_is_linked(&conn->failing)) {
        vmp_conn_leave_tree(conn);
        vmp_list_del(&conn->all);
        vmp_list_add_tail(&conn->iface->dead, &conn->all);
    }
}

void vmp_conn_idle(vmp_conn_t *conn)
{
    vmp_cmd_t cmd = {
        .type   = VMP_CMD_IDLE,
        .slot   = conn->slot,
        .incarn = conn->incarn
    };

    /* not known to control yet: see vmp_conn_created() */
    if (conn->in_use && (conn->slot != VMP_NO_SLOT) && !conn->is_gone &&
        !(conn->block & (VMP_BLOCK_CLOSED | VMP_BLOCK_FAILED)) &&
        (vmp_iface_command(conn->iface, &cmd) == 0)) {
        conn->in_use = 0;
    }
}

static void vmp_conn_reap(vmp_link_t *list)
{
    while (!vmp_list_is_empty(list)) {
        vmp_conn_free(vmp_container_of(list->next, vmp_conn_t, all));
    }
}

void vmp_conn_say_delivered(vmp_iface_t *iface)
{
    vmp_link_t *link;
    vmp_conn_t *conn;

    vmp_list_for_each(link, &iface->all) {
        conn = vmp_container_of(link, vmp_conn_t, all);
        vmp_ctl_delivered(iface->ctl, conn->slot, conn->incarn, conn->rx_next);
    }
}

void vmp_conn_cleanup(vmp_iface_t *iface)
{
    vmp_rma_complete_done(iface);
    vmp_conn_reap(&iface->dead);
    vmp_conn_reap(&iface->all);
    free(iface->watch_heap);
    free(iface->conns);
    iface->watch_heap = NULL;
    iface->conns      = NULL;
    iface->conns_size = 0;
}

void vmp_conn_update_tx_path(vmp_conn_t *conn)
{
    if (conn->is_pinned) {
        if (conn->tx_path->state == VMP_PATH_UP) {
            return;
        }

        /* the order of one queue is lost: wait for everything instead */
        conn->is_pinned = 0;
        if (conn->outstanding > 0) {
            conn->block |= VMP_BLOCK_FENCE;
            /* what waits in line came behind the fence, too */
            conn->is_held = !vmp_list_is_empty(&conn->ops);
        }
    }

    if (conn->up_mask == 0) {
        conn->tx_path = NULL;
        conn->block  |= VMP_BLOCK_SETUP;
    } else {
        conn->tx_path = conn->paths[__builtin_ctzll(conn->up_mask)];
        conn->block  &= ~VMP_BLOCK_SETUP;
    }
}

void vmp_conn_refused(vmp_conn_t *conn)
{
    conn->refused = VMP_CONN_REFUSED;
    vmp_watch_add(conn);
}

vmp_status_t vmp_conn_refusal(vmp_conn_t *conn)
{
    if (conn->block & VMP_BLOCK_FAILED) {
        return conn->status;
    }

    if (conn->block & VMP_BLOCK_CLOSED) {
        vmp_debug("peer %016" PRIx64 " has closed its interface: endpoints to "
                  "it are lost", conn->peer_id);
        vmp_conn_fail(conn, VMP_ERR_CONNECTION_RESET);
        return conn->status;
    }

    return vmp_conn_no_room(conn);
}

void vmp_conn_want_paths(vmp_conn_t *conn)
{
    vmp_cmd_t cmd = {
        .type      = VMP_CMD_WANT_PATHS,
        .slot      = conn->slot,
        .incarn    = conn->incarn,
        .num_paths = conn->num_paths
    };

    if (conn->want_sent) {
        return;
    }

    conn->want_sent = (vmp_iface_command(conn->iface, &cmd) == 0);
}

vmp_path_t *vmp_conn_spread(vmp_conn_t *conn, size_t length)
{
    const vmp_iface_t *iface = conn->iface;
    vmp_path_t *path;
    int index;

    if (vmp_unlikely(!conn->want_sent)) {
        vmp_conn_want_paths(conn);
    }

    if (vmp_unlikely(conn->is_pinned)) {
        vmp_path_force(conn->tx_path);
        return NULL;
    }

    if (conn->eligible == 0) {
        return NULL;
    }

    index = iface->policy->select(conn->pol_priv, conn->pol_paths,
                                  conn->eligible, length);
    if ((index < 0) || (index >= VMP_MAX_PATHS) ||
        !((conn->eligible >> index) & 1)) {
        return NULL;
    }

    path = conn->paths[index];
    return (path->rail->cq_avail > path->rail->cq_reserve) ? path : NULL;
}

void vmp_conn_force(vmp_conn_t *conn)
{
    uint64_t mask = conn->up_mask;
    unsigned i;

    for (; mask != 0; mask &= mask - 1) {
        vmp_path_force(conn->paths[__builtin_ctzll(mask)]);
    }

    /* those that stand still may move again, and would not say so */
    for (i = 0; vmp_unlikely(conn->num_suspects > 0) && (i < conn->num_paths);
         ++i) {
        if ((conn->paths[i] != NULL) &&
            (conn->paths[i]->state == VMP_PATH_SUSPECT)) {
            vmp_path_force(conn->paths[i]);
        }
    }
}

void vmp_conn_fence(vmp_conn_t *conn)
{
    uint64_t busy = conn->busy_mask;
    vmp_path_t *path;

    if ((conn->outstanding == 0) || (conn->block & VMP_BLOCK_FENCE)) {
        return;
    }

    if ((conn->replays == 0) && (busy != 0) &&
        ((busy & (busy - 1)) == 0) && (conn->reads == 0) &&
        vmp_list_is_empty(&conn->ops) && (busy & conn->up_mask)) {
        /* one queue keeps the order by itself */
        path            = conn->paths[__builtin_ctzll(busy)];
        conn->is_pinned = 1;
        conn->tx_path   = path;
        conn->pin_pos   = path->head;
        path->ring[(path->head - 1) & path->mask].has_fence = 1;
    } else {
        conn->block |= VMP_BLOCK_FENCE;
        vmp_conn_force(conn);
    }
}

void vmp_conn_quiet(vmp_conn_t *conn)
{
    conn->block &= ~VMP_BLOCK_FENCE;
    vmp_iface_changed(conn->iface);
}

void vmp_conn_check_pin(vmp_conn_t *conn)
{
    if ((int32_t)(conn->tx_path->tail - conn->pin_pos) >= 0) {
        conn->is_pinned = 0;
        vmp_conn_update_tx_path(conn);
    }
}

void vmp_conn_fail(vmp_conn_t *conn, vmp_status_t status)
{
    vmp_iface_t *iface = conn->iface;
    vmp_cmd_t cmd      = {
        .type   = VMP_CMD_FAIL,
        .slot   = conn->slot,
        .incarn = conn->incarn
    };

    if (conn->block & VMP_BLOCK_FAILED) {
        return;
    }

    conn->block |= VMP_BLOCK_FAILED;
    conn->status = status;
    ++iface->counters.conns_failed;
    if (conn->was_used) {
        iface->has_stray_connect = 1;
    }

    /* a new endpoint to this peer makes a new connection */
    vmp_conn_leave_tree(conn);
    vmp_list_del(&conn->owing);
    vmp_list_del(&conn->faulty);
    vmp_list_add_once(&iface->failing, &conn->failing);
    if (conn->slot == VMP_NO_SLOT) {
        conn->is_gone = 1;
    } else if (!conn->is_gone) {
        vmp_iface_command(iface, &cmd);
    }

    vmp_iface_changed(iface);
}

/* The paths are drained: what was never posted ends, and everybody hears */
static void vmp_conn_report(vmp_conn_t *conn)
{
    vmp_iface_t *iface = conn->iface;
    vmp_ep_t *ep;

    vmp_replay_abort(conn, conn->status);
    vmp_rma_abort(conn, NULL, conn->status);
    vmp_rma_complete_done(iface);
    conn->is_drained = 1;

    /* the callback may destroy any endpoint: begin again each time */
    do {
        for (ep = conn->eps; (ep != NULL) && ep->is_failed; ep = ep->next);
        if (ep != NULL) {
            ep->is_failed = 1;
            iface->ops.ep_failed(iface->arg, ep, conn->status);
        }
    } while (ep != NULL);
}

/* The peer closed in good order, but too early? */
static void vmp_conn_check_unfinished(vmp_conn_t *conn)
{
    uint64_t end    = (conn->tx_skip_end == conn->tx_sn) ? conn->tx_skip :
                                                           conn->tx_sn;
    uint64_t unread = (end > conn->tx_delivered) ?
                      (end - conn->tx_delivered) : 0;

    if ((conn->outstanding > 0) || (conn->num_checks > 0)) {
        vmp_log_at(vmp_log_failure_level, "peer %016" PRIx64 " closed its "
                   "interface before operations to it were done",
                   conn->peer_id);
    } else if (unread > 0) {
        vmp_log_at((conn->num_eps > 0) ? vmp_log_failure_level :
                                         VMP_LOG_INFO,
                   "peer %016" PRIx64 " closed its interface without having "
                   "looked at the last %" PRIu64 " messages to it",
                   conn->peer_id, unread);
        conn->is_unread = 1;
    } else {
        return;
    }

    vmp_conn_fail(conn, VMP_ERR_CONNECTION_RESET);
    vmp_list_del(&conn->failing);
}

unsigned vmp_conn_progress(vmp_iface_t *iface)
{
    unsigned count = 0;
    vmp_link_t todo;
    vmp_conn_t *conn;

    vmp_conn_reap(&iface->dead);

    /* once around: callbacks may make others fail */
    vmp_list_init(&todo);
    vmp_list_add_tail(&iface->failing, &todo);
    while (iface->failing.next != &todo) {
        conn = vmp_container_of(iface->failing.next, vmp_conn_t, failing);
        vmp_list_del(&conn->failing);
        if (vmp_unlikely(conn->is_doomed) &&
            !(conn->block & VMP_BLOCK_FAILED)) {
            /* comes back in the next call */
            vmp_conn_fail(conn, VMP_ERR_CONNECTION_RESET);
            ++count;
            continue;
        }

        if (conn->paths_live > 0) {
            vmp_list_add_tail(&iface->failing, &conn->failing);
            continue;
        }

        ++count;
        if (!(conn->block & VMP_BLOCK_FAILED)) {
            vmp_replay_delivered(conn);
            vmp_conn_check_unfinished(conn);
        }

        if (conn->block & VMP_BLOCK_FAILED) {
            vmp_conn_report(conn);
        }

        vmp_conn_put(conn);
    }

    vmp_list_del(&todo);
    return count;
}

static void vmp_conn_tell_need(vmp_conn_t *conn, int is_needed, int is_overdue)
{
    vmp_cmd_t cmd = {
        .type       = is_needed ? VMP_CMD_NEED : VMP_CMD_NO_NEED,
        .slot       = conn->slot,
        .incarn     = conn->incarn,
        .is_overdue = is_overdue
    };

    if ((conn->up_mask == 0) && (conn->is_needed != is_needed) &&
        (conn->num_paths > 0) &&
        !(conn->block & (VMP_BLOCK_CLOSED | VMP_BLOCK_FAILED)) &&
        (vmp_iface_command(conn->iface, &cmd) == 0)) {
        conn->is_needed = is_needed;
    }
}

void vmp_conn_check_need(vmp_conn_t *conn)
{
    vmp_conn_tell_need(conn, vmp_conn_has_work(conn), 0);
}

void vmp_conn_overdue(vmp_conn_t *conn)
{
    vmp_conn_tell_need(conn, 1, 1);
    vmp_watch_add(conn);
}

void vmp_conn_hurry(vmp_conn_t *conn)
{
    if (conn->is_needed != 1) {
        vmp_conn_tell_need(conn, 1, 0);
        vmp_conn_check_need(conn);
        vmp_watch_add(conn);    /* should there be no memory for that */
    }
}
