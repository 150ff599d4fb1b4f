/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_fault.h"
#include "vmp_rma.h"

#include <inttypes.h>
#include <stdlib.h>


void vmp_fault_begin(vmp_conn_t *conn, vmp_ep_t *ep, vmp_status_t status)
{
    if ((ep == NULL) || (ep->fault != VMP_OK) || ep->is_failed ||
        (conn->block & (VMP_BLOCK_FAILED | VMP_BLOCK_CLOSED))) {
        return;
    }

    ep->fault    = status;
    conn->block |= VMP_BLOCK_FAULT;
    ++conn->num_faults;
    ++conn->iface->counters.eps_failed;
    vmp_rma_abort(conn, ep, status);
    vmp_list_add_once(&conn->iface->faulty, &conn->faulty);
}

void vmp_fault_end(vmp_conn_t *conn)
{
    if (--conn->num_faults == 0) {
        conn->block &= ~VMP_BLOCK_FAULT;
        vmp_list_del(&conn->faulty);
        vmp_iface_changed(conn->iface);
    }
}

static int vmp_fault_in_ring(const vmp_path_t *path, const vmp_ep_t *ep)
{
    const vmp_wr_t *wr;
    uint32_t pos;

    for (pos = path->tail; pos != path->head; ++pos) {
        wr = &path->ring[pos & path->mask];
        if ((wr->ep == ep) || (vmp_wr_is_chunk(wr->kind) &&
                               (((const vmp_op_t*)wr->comp)->ep == ep))) {
            return 1;
        }
    }

    return 0;
}

/* Whether anything of an endpoint may still call back */
static int vmp_fault_has_ops(const vmp_conn_t *conn, const vmp_ep_t *ep)
{
    const vmp_link_t *link;
    const vmp_path_t *path;
    unsigned i;

    for (i = 0; i < conn->num_paths; ++i) {
        if ((conn->paths[i] != NULL) && vmp_fault_in_ring(conn->paths[i], ep)) {
            return 1;
        }
    }

    vmp_list_for_each(link, &conn->iface->replaying) {
        path = vmp_container_of(link, vmp_path_t, draining);
        if ((path->conn == conn) && vmp_fault_in_ring(path, ep)) {
            return 1;
        }
    }

    vmp_list_for_each(link, &conn->iface->done) {
        if (vmp_container_of(link, vmp_op_t, link)->ep == ep) {
            return 1;
        }
    }

    return 0;
}

/* An endpoint that may go. NULL: none. */
static vmp_ep_t *vmp_fault_find(const vmp_conn_t *conn)
{
    vmp_ep_t *ep;

    for (ep = conn->eps; ep != NULL; ep = ep->next) {
        if ((ep->fault != VMP_OK) && !ep->is_failed &&
            !vmp_fault_has_ops(conn, ep)) {
            return ep;
        }
    }

    return NULL;
}

/* Move it to a connection that is lost, and tell its user */
static void vmp_fault_report(vmp_ep_t *ep)
{
    vmp_conn_t *conn    = ep->conn;
    vmp_iface_t *iface  = conn->iface;
    vmp_status_t status = ep->fault;
    vmp_conn_t *lost    = vmp_conn_make_lost(conn, status);
    vmp_waiter_t *flushes;

    if (lost == NULL) {
        vmp_error("out of memory for an endpoint that failed: the connection to "
                  "peer %016" PRIx64 " is lost", conn->peer_id);
        vmp_conn_fail(conn, VMP_ERR_NO_MEMORY);
        return;
    }

    flushes = vmp_barrier_purge(conn, ep);
    if (ep->is_waiting) {
        --conn->num_waiting;
        ++lost->num_waiting;
    }

    vmp_ep_leave(ep);
    vmp_ep_join(ep, lost);
    ep->is_failed = 1;
    vmp_iface_changed(iface);

    /* its flushes first; their callbacks may destroy it */
    vmp_barrier_cancel(iface, flushes, status);
    if (lost->eps == ep) {
        iface->ops.ep_failed(iface->arg, ep, status);
    }
}

unsigned vmp_fault_progress(vmp_iface_t *iface)
{
    unsigned count = 0;
    vmp_ep_t *ep;
    vmp_link_t *link;

    /* callbacks may change everything: one at a time */
    do {
        ep = NULL;
        vmp_list_for_each(link, &iface->faulty) {
            ep = vmp_fault_find(vmp_container_of(link, vmp_conn_t, faulty));
            if (ep != NULL) {
                break;
            }
        }

        if (ep != NULL) {
            vmp_fault_report(ep);
            ++count;
        }
    } while (ep != NULL);

    return count;
}

int vmp_fault_is_due(const vmp_iface_t *iface)
{
    const vmp_link_t *link;

    vmp_list_for_each(link, &iface->faulty) {
        if (vmp_fault_find(vmp_container_of(link, vmp_conn_t, faulty)) !=
            NULL) {
            return 1;
        }
    }

    return 0;
}
