/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_conn.h"
#include "vmp_fault.h"
#include "vmp_post.h"
#include "vmp_rma.h"
#include "vmp_stats.h"

#include <inttypes.h>
#include <string.h>

#define VMP_READY_CALLS   16        /* endpoints called a progress call */
#define VMP_READY_VISITS  64        /* endpoints looked at */


/* Tell control that the connection has users here, and where the peer is said
 * to be: its host may have moved, back to where it was, too, and nobody else may
 * know */
static int vmp_ep_connect(vmp_conn_t *conn, const vmp_rail_addr_t *rail,
                          const vmp_iface_addr_t *addr)
{
    vmp_cmd_t cmd = {
        .type  = VMP_CMD_CONNECT,
        .rail  = *rail,
        .iface = *addr
    };

    if (vmp_iface_command(conn->iface, &cmd) != 0) {
        return -1;
    }

    conn->in_use   = 1;
    conn->was_used = 1;
    return 0;
}

vmp_status_t vmp_ep_create(vmp_iface_t *iface, const vmp_rail_addr_t *rail,
                           const vmp_iface_addr_t *addr, vmp_ep_t *ep)
{
    vmp_conn_t *conn;

    if (!iface->in_progress) {
        /* the end of the connection may be on its way to us: the endpoint is
         * to stand on a new one */
        vmp_iface_events(iface);
    }

    conn = vmp_conn_get(iface, addr->id, 0);
    if (conn == NULL) {
        vmp_error("out of memory for a connection");
        return VMP_ERR_NO_MEMORY;
    }

    if (vmp_ep_connect(conn, rail, addr) != 0) {
        return VMP_ERR_NO_MEMORY;
    }

    memset(ep, 0, sizeof(*ep));
    vmp_ep_join(ep, conn);
    return VMP_OK;
}

void vmp_ep_join(vmp_ep_t *ep, vmp_conn_t *conn)
{
    ep->conn = conn;
    ep->prev = NULL;
    ep->next = conn->eps;
    if (conn->eps != NULL) {
        conn->eps->prev = ep;
    }

    conn->eps = ep;
    ++conn->num_eps;
}

void vmp_ep_leave(vmp_ep_t *ep)
{
    vmp_conn_t *conn = ep->conn;

    if (ep->prev != NULL) {
        ep->prev->next = ep->next;
    } else {
        conn->eps = ep->next;
    }

    if (ep->next != NULL) {
        ep->next->prev = ep->prev;
    }

    if ((ep->fault != VMP_OK) && !ep->is_failed) {
        vmp_fault_end(conn);
    }

    if ((conn->num_checks > 0) && (ep->check_gen == conn->check_gen)) {
        --conn->num_checks;
    }

    ep->conn      = NULL;
    ep->check_gen = 0;
    if (--conn->num_eps > 0) {
        vmp_conn_check_need(conn);
        return;
    }

    conn->refused = 0;
    vmp_conn_check_need(conn);
    vmp_conn_idle(conn);
    vmp_conn_put(conn);
}

void vmp_ep_destroy(vmp_ep_t *ep)
{
    vmp_conn_t *conn   = ep->conn;
    vmp_iface_t *iface = conn->iface;
    vmp_waiter_t *flushes;

    vmp_ep_cancel_wait(ep);
    vmp_rma_purge(conn, ep);
    flushes = vmp_barrier_purge(conn, ep);
    vmp_ep_leave(ep);

    /* last, as the callbacks may do whatever they like */
    vmp_barrier_cancel(iface, flushes, VMP_ERR_CANCELED);
}

vmp_status_t vmp_ep_fence(vmp_ep_t *ep)
{
    vmp_conn_fence(ep->conn);
    return VMP_OK;
}

vmp_status_t vmp_ep_flush(vmp_ep_t *ep, unsigned flags, void *comp)
{
    vmp_conn_t *conn = ep->conn;
    vmp_status_t status;

    if (flags & VMP_FLUSH_CANCEL) {
        vmp_rma_abort(conn, ep, VMP_ERR_CANCELED);
        vmp_conn_check_need(conn);
    }

    if (conn->outstanding == 0) {
        if (flags & VMP_FLUSH_CANCEL) {
            return VMP_OK;
        }

        return (conn->block & VMP_BLOCK_FAILED) ? conn->status : ep->fault;
    }

    vmp_conn_force(conn);
    if (comp == NULL) {
        return VMP_INPROGRESS;
    }

    status = vmp_barrier_flush(conn, ep, comp);
    return (status == VMP_ERR_NO_RESOURCE) ? vmp_conn_no_room(conn) : status;
}

/* It waits for any word of the peer */
static void vmp_ep_check_add(vmp_ep_t *ep)
{
    vmp_conn_t *conn = ep->conn;

    if (conn->num_checks == 0) {
        ++conn->check_gen;
    }

    if (ep->check_gen != conn->check_gen) {
        ep->check_gen = conn->check_gen;
        ++conn->num_checks;
    }
}

vmp_status_t vmp_ep_check(vmp_ep_t *ep)
{
    vmp_conn_t *conn = ep->conn;

    if (conn->block & (VMP_BLOCK_CLOSED | VMP_BLOCK_FAILED)) {
        return vmp_conn_refusal(conn);
    }

    vmp_ep_check_add(ep);
    vmp_watch_add(conn);
    if (conn->tx_path != NULL) {
        vmp_path_probe(conn->tx_path);
    }

    return VMP_OK;
}

int vmp_ep_is_unread(const vmp_ep_t *ep)
{
    return ep->conn->is_unread;
}

void vmp_ep_invalidate(vmp_ep_t *ep)
{
    vmp_conn_t *conn = ep->conn;

    if (conn->block & VMP_BLOCK_FAILED) {
        return;
    }

    vmp_debug("connection to peer %016" PRIx64 " is failed on demand",
              conn->peer_id);
    conn->is_doomed = 1;
    vmp_list_add_once(&conn->iface->failing, &conn->failing);
}

vmp_status_t vmp_ep_too_long(const char *what, size_t length, size_t max)
{
    vmp_error("%s of length %zu: must be at most %zu", what, length, max);
    return VMP_ERR_INVALID_PARAM;
}

/* No path is up. Whether it tries again, and so waits since now, shows when it
 * does: it is told of a dead peer by its first try after the peer timeout. */
static void vmp_ep_refused(vmp_ep_t *ep)
{
    vmp_conn_t *conn = ep->conn;
    uint64_t now     = vmp_port_now(conn->iface->port);

    if (ep->refused_gen != conn->up_gen) {
        ep->refused_gen  = conn->up_gen;
        ep->refused_time = now;
        vmp_conn_hurry(conn);
    } else if ((now - ep->refused_time) >=
               conn->iface->params.peer_timeout_ns) {
        vmp_ep_check_add(ep);
        vmp_conn_overdue(conn);
    }
}

vmp_status_t vmp_ep_refusal(vmp_ep_t *ep)
{
    vmp_conn_t *conn = ep->conn;

    if (conn->block == 0) {
        /* before it hears of its failure all that it had posted ends; others of
         * the connection may have room */
        return VMP_ERR_NO_RESOURCE;
    }

    if ((conn->up_mask == 0) &&
        !(conn->block & (VMP_BLOCK_CLOSED | VMP_BLOCK_FAILED))) {
        vmp_ep_refused(ep);
    }

    return vmp_conn_refusal(conn);
}

int vmp_ep_is_ready(const vmp_ep_t *ep)
{
    const vmp_conn_t *conn   = ep->conn;
    const vmp_iface_t *iface = conn->iface;

    if (vmp_unlikely(vmp_ep_is_blocked(ep))) {
        return (conn->block & (VMP_BLOCK_CLOSED | VMP_BLOCK_FAILED)) != 0;
    }

    /* what was refused is refused again until something changes */
    return (conn->starved_gen != iface->gen) &&
           (conn->tx_sn != conn->tx_limit) && vmp_path_has_room(conn->tx_path);
}


/* Endpoints that wait for room --------------------------------------------- */

static void vmp_ep_ready_add(vmp_iface_t *iface, vmp_ep_t *ep)
{
    vmp_ep_t *head = iface->ready_head;

    if (head == NULL) {
        ep->ready_next    = ep;
        ep->ready_prev    = ep;
        iface->ready_head = ep;
        return;
    }

    ep->ready_next             = head;
    ep->ready_prev             = head->ready_prev;
    head->ready_prev           = ep;
    ep->ready_prev->ready_next = ep;
}

static void vmp_ep_ready_remove(vmp_iface_t *iface, vmp_ep_t *ep)
{
    vmp_ep_t *next = (ep->ready_next == ep) ? NULL : ep->ready_next;

    ep->ready_prev->ready_next = ep->ready_next;
    ep->ready_next->ready_prev = ep->ready_prev;
    if (iface->ready_head == ep) {
        iface->ready_head = next;
    }

    if (iface->ready_next == ep) {
        iface->ready_next = next;
    }

    if (next == NULL) {
        iface->ready_left = 0;
    }
}

void vmp_ep_wait_ready(vmp_ep_t *ep)
{
    vmp_iface_t *iface = ep->conn->iface;

    if (!ep->is_waiting) {
        ep->is_waiting = 1;
        ++iface->num_waiting;
        ++ep->conn->num_waiting;
        vmp_watch_add(ep->conn);
        vmp_ep_ready_add(iface, ep);
    }
}

static void vmp_ep_ready_end(vmp_iface_t *iface, vmp_ep_t *ep)
{
    ep->is_waiting = 0;
    --iface->num_waiting;
    --ep->conn->num_waiting;
    vmp_ep_ready_remove(iface, ep);
}

void vmp_ep_cancel_wait(vmp_ep_t *ep)
{
    vmp_iface_t *iface = ep->conn->iface;

    if (iface->ready_cur == ep) {
        iface->ready_cur = NULL;
    }

    if (ep->is_waiting) {
        vmp_ep_ready_end(iface, ep);
        vmp_conn_check_need(ep->conn);
    }
}

/* Call an endpoint. It goes behind all others, who have their turn before it
 * has another one; those that are not ready keep their place. */
static void vmp_ep_ready_call(vmp_iface_t *iface, vmp_ep_t *ep)
{
    int goes_on;

    vmp_ep_ready_remove(iface, ep);
    vmp_ep_ready_add(iface, ep);
    iface->ready_cur = ep;
    goes_on          = iface->ops.ep_ready(iface->arg, ep);
    if ((iface->ready_cur != ep) || !ep->is_waiting) {
        return;
    }

    if (!goes_on) {
        vmp_ep_ready_end(iface, ep);
    } else if (vmp_unlikely(vmp_ep_is_ready(ep))) {
        /* it did not use the room: nothing else would have it called again */
        iface->ready_gen = iface->gen - 1;
    }
}

unsigned vmp_iface_ready(vmp_iface_t *iface)
{
    unsigned visits = VMP_READY_VISITS;
    unsigned calls  = 0;
    vmp_ep_t *ep;

    if (vmp_likely(iface->num_waiting == 0)) {
        iface->ready_left = 0;
        return 0;
    }

    if (iface->ready_left == 0) {
        if (iface->ready_gen == iface->gen) {
            return 0;
        }

        /* all of them, oldest first; what is cut short goes on in the next
         * call */
        iface->ready_gen  = iface->gen;
        iface->ready_left = iface->num_waiting;
        iface->ready_next = iface->ready_head;
    }

    while ((iface->ready_left > 0) && (visits > 0) &&
           (calls < VMP_READY_CALLS)) {
        --iface->ready_left;
        --visits;
        ep                = iface->ready_next;
        iface->ready_next = ep->ready_next;
        if (vmp_ep_is_ready(ep)) {
            ++calls;
            vmp_ep_ready_call(iface, ep);
        }
    }

    iface->ready_cur = NULL;
    return calls;
}


unsigned vmp_ep_get_path_counters(const vmp_ep_t *ep,
                                  vmp_path_counters_t *counters, unsigned max)
{
    const vmp_conn_t *conn = ep->conn;
    unsigned i;

    for (i = 0; (i < conn->num_paths) && (i < max); ++i) {
        vmp_stats_path_get(conn, i, &counters[i]);
    }

    return i;
}
