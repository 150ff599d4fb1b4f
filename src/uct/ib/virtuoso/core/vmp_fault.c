/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_fault.h"
#include "vmp_rma.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define VMP_FAULT_WHERE_MAX  48
#define VMP_FAULT_NOT_SEEN   UINT8_MAX      /* `fault_path` */


/*
 * Whose fault an error is (R8). Local errors are the operation's. What the peer
 * refuses is done once more elsewhere, since some devices refuse falsely:
 * soft-RoCE does so to a repeated READ that follows a request of 0 bytes. And
 * what takes path after path down is no error of the paths. Return 1 if `wr` is
 * not to be done again.
 */
static int vmp_fault_is_own(vmp_wr_t *wr, vmp_wc_status_t status)
{
    if (vmp_wr_is_ctrl(wr->kind) || (wr->refusals == VMP_WR_FAILED)) {
        return 0;
    }

    switch (status) {
    case VMP_WC_FLUSHED:
        return 0;
    case VMP_WC_LOC_ERR:
        if ((wr->kind != VMP_WR_AM) || (wr->ep != NULL)) {
            wr->refusals = VMP_WR_FAILED;
            return 1;
        }

        /* its memory has gone with its endpoint, but we have a copy */
        /* fall through */
    case VMP_WC_REM_ACCESS:
    case VMP_WC_REM_INV_REQ:
    case VMP_WC_REM_OP:
        if (++wr->refusals < VMP_WR_REFUSALS) {
            return 0;
        }

        wr->refusals = VMP_WR_FAILED;
        return 1;
    default:
        if (++wr->deaths < VMP_WR_DEATHS) {
            return 0;
        }

        wr->refusals = VMP_WR_FAILED;
        return 1;
    }
}

static const char *vmp_fault_str(vmp_wc_status_t status)
{
    switch (status) {
    case VMP_WC_LOC_ERR:
        return "the local buffer was not registered for it: an error of the "
               "program";
    case VMP_WC_REM_ACCESS:
        return "the peer's memory was not registered for it, or the address is "
               "wrong: an error of the program";
    case VMP_WC_REM_INV_REQ:
    case VMP_WC_REM_OP:
        return "the peer refuses it on every path";
    default:
        return "no path gets it through, though others go on: look at the MTU "
               "of the network";
    }
}

/* Where a put or get goes; "" of others */
static const char *
vmp_fault_where(const vmp_wr_t *wr, char *buf, size_t max)
{
    const vmp_op_t *op;

    buf[0] = '\0';
    if (vmp_wr_is_chunk(wr->kind)) {
        op = wr->comp;
        snprintf(buf, max, " at 0x%" PRIx64 " of the peer",
                 op->remote_addr + wr->sn);
    } else if ((wr->kind == VMP_WR_PUT) && (wr->buf != NULL)) {
        snprintf(buf, max, " at 0x%" PRIx64 " of the peer",
                 ((const vmp_tx_buf_t*)wr->buf)->remote_addr + wr->sn);
    }

    return buf;
}

/* An operation of `ep` has failed. The caller has logged why. */
static void
vmp_fault_begin(vmp_conn_t *conn, vmp_ep_t *ep, vmp_status_t status)
{
    if ((ep->fault != VMP_OK) || ep->is_failed ||
        (conn->block & (VMP_BLOCK_FAILED | VMP_BLOCK_CLOSED))) {
        return;
    }

    ep->fault      = status;
    ep->fault_path = VMP_FAULT_NOT_SEEN;
    ++conn->num_faults;
    ++conn->iface->counters.eps_failed;
    vmp_rma_abort(conn, ep, status);
    vmp_list_add_once(&conn->iface->faulty, &conn->faulty);
}

static const vmp_ep_t *vmp_fault_ep(const vmp_wr_t *wr)
{
    return vmp_wr_is_chunk(wr->kind) ? ((const vmp_op_t*)wr->comp)->ep : wr->ep;
}

static int vmp_fault_is_of(const vmp_wr_t *wr, const vmp_ep_t *ep)
{
    return !vmp_wr_is_ctrl(wr->kind) && (vmp_fault_ep(wr) == ep);
}

/* Nothing of an endpoint in a ring, from a position on, is done again. Return
 * the first message of that, UINT64_MAX: there is none. */
static uint64_t
vmp_fault_refuse_ring(vmp_path_t *path, uint32_t pos, const vmp_ep_t *ep)
{
    uint64_t sn = UINT64_MAX;
    vmp_wr_t *wr;

    for (; pos != path->head; ++pos) {
        wr = &path->ring[pos & path->mask];
        if (!vmp_fault_is_of(wr, ep)) {
            continue;
        }

        wr->refusals = VMP_WR_FAILED;
        if ((wr->kind == VMP_WR_AM) && (wr->sn < sn)) {
            sn = wr->sn;
        }
    }

    return sn;
}

/* What its endpoint posted behind it on the same path may not overtake it: a
 * fence may have relied on the order of one queue (R3). Nor may what was behind
 * it on a path that died, and is still to go where it went; that is marked now,
 * as nobody will know whose it was once the endpoint is gone. Return the first
 * message of these, UINT64_MAX: there is none. */
static uint64_t vmp_fault_refuse(vmp_path_t *path, uint32_t pos)
{
    const vmp_ep_t *ep = vmp_fault_ep(&path->ring[pos & path->mask]);
    uint64_t sn        = vmp_fault_refuse_ring(path, pos, ep);
    uint64_t waiting;
    vmp_path_t *other;
    vmp_link_t *link;

    vmp_list_for_each(link, &path->conn->iface->replaying) {
        other = vmp_container_of(link, vmp_path_t, draining);
        if (vmp_replay_is_behind_wr(other, path, pos)) {
            waiting = vmp_fault_refuse_ring(other, other->tail, ep);
            sn      = (waiting < sn) ? waiting : sn;
        }
    }

    return sn;
}

/* What of an endpoint that is gone may not be done in a ring, from a position
 * on, since `lost` cannot be: later messages, and what is in line behind it and
 * a fence. Return whether there is one. */
static int vmp_fault_lose_ring(vmp_path_t *path, uint32_t pos, int is_line,
                               int is_fenced, const vmp_wr_t *lost)
{
    vmp_wr_t *wr;

    for (; pos != path->head; ++pos) {
        wr = &path->ring[pos & path->mask];
        if (vmp_fault_is_of(wr, NULL) &&
            (vmp_rma_gone(wr) == vmp_rma_gone(lost)) &&
            (is_fenced || ((wr->kind == VMP_WR_AM) &&
                           (lost->kind == VMP_WR_AM) && (wr->sn > lost->sn)))) {
            wr->refusals = VMP_WR_FAILED;
        }

        is_fenced |= is_line && wr->has_fence;
    }

    return is_fenced;
}

/* The same of dead paths. Who waits behind `path`, be it behind another one,
 * died before that: newest first, to go along the line. */
static void vmp_fault_lose_waiting(const vmp_path_t *path, int is_fenced,
                                   const vmp_wr_t *lost)
{
    const vmp_link_t *head = &path->conn->iface->replaying;
    const vmp_link_t *link;
    vmp_path_t *other;

    for (link = head->prev; link != head; link = link->prev) {
        other = vmp_container_of(link, vmp_path_t, draining);
        if ((other == path) || (other->conn != path->conn)) {
            continue;
        }

        if (vmp_replay_is_behind(other, path)) {
            is_fenced = vmp_fault_lose_ring(other, other->tail, 1, is_fenced,
                                            lost);
        } else if (lost->kind == VMP_WR_AM) {
            vmp_fault_lose_ring(other, other->tail, 0, 0, lost);
        }
    }
}

void vmp_fault_lose(vmp_path_t *path, uint32_t pos)
{
    const vmp_conn_t *conn = path->conn;
    const vmp_wr_t *lost   = &path->ring[pos & path->mask];
    int is_fenced;
    unsigned i;

    if (lost->kind == VMP_WR_GET_CHUNK) {
        return;                             /* the peer does not miss it */
    }

    is_fenced = vmp_fault_lose_ring(path, pos + 1, 1, lost->has_fence, lost);
    vmp_fault_lose_waiting(path, is_fenced, lost);

    if (lost->kind != VMP_WR_AM) {
        return;                             /* no SN is missing elsewhere */
    }

    /* nobody can call these back, unless their paths die, too */
    for (i = 0; i < conn->num_paths; ++i) {
        if ((conn->paths[i] != NULL) && (conn->paths[i] != path)) {
            vmp_fault_lose_ring(conn->paths[i], conn->paths[i]->tail, 0, 0,
                                lost);
        }
    }
}

/* Whether an endpoint sent a later message on another path than this one, where
 * nobody can call it back: it may be at the peer, or complete */
static int vmp_fault_is_overtaken(const vmp_ep_t *ep, uint64_t sn)
{
    return (sn != UINT64_MAX) && (ep->run_sn > sn);
}

int vmp_fault_accuse(vmp_path_t *path, uint32_t pos, vmp_wc_status_t status,
                    uint32_t vendor_err)
{
    vmp_wr_t *wr = &path->ring[pos & path->mask];
    char str[VMP_PATH_STR_MAX];
    char where[VMP_FAULT_WHERE_MAX];
    const vmp_ep_t *ep;
    uint64_t sn;

    if (!vmp_fault_is_own(wr, status)) {
        return 0;
    }

    vmp_error("%s failed: %s of %u bytes%s: %s (vendor error 0x%x); %s. Its "
              "endpoint is lost", vmp_path_str(path, str, sizeof(str)),
              vmp_wr_kind_str(wr->kind), wr->bytes,
              vmp_fault_where(wr, where, sizeof(where)),
              vmp_wc_status_str(status), vendor_err,
              vmp_fault_str(status));
    ep = vmp_fault_ep(wr);
    if (ep == NULL) {
        vmp_fault_lose(path, pos);
        return 1;
    }

    sn = vmp_fault_refuse(path, pos);
    if (vmp_fault_is_overtaken(ep, sn)) {
        /* the peer gets messages behind a gap that it does not see (R1) */
        vmp_error("the connection to peer %016" PRIx64 " is lost, and all its "
                  "endpoints: the one of the line before had sent more over "
                  "other paths, which cannot be called back. That line says "
                  "what to correct", path->conn->peer_id);
        vmp_conn_fail(path->conn, VMP_ERR_CONNECTION_RESET);
    } else {
        vmp_fault_begin(path->conn, (vmp_ep_t*)ep, VMP_ERR_CONNECTION_RESET);
    }

    return 1;
}

void vmp_fault_end(vmp_conn_t *conn)
{
    if (--conn->num_faults == 0) {
        vmp_list_del(&conn->faulty);
    }
}

/* The newest request of an endpoint in a ring is remembered: before that is
 * done nobody has to look again. Return 0: there is none. */
static int vmp_fault_in_ring(const vmp_path_t *path, vmp_ep_t *ep)
{
    uint32_t pos;

    for (pos = path->head; pos != path->tail; --pos) {
        if (vmp_fault_is_of(&path->ring[(pos - 1) & path->mask], ep)) {
            ep->fault_path  = path->index;
            ep->fault_epoch = path->epoch;
            ep->fault_pos   = pos - 1;
            return 1;
        }
    }

    return 0;
}

/* Whether that one is still there */
static int vmp_fault_is_seen(const vmp_conn_t *conn, const vmp_ep_t *ep)
{
    const vmp_path_t *path = NULL;
    const vmp_link_t *link;

    if (ep->fault_path == VMP_FAULT_NOT_SEEN) {
        return 0;
    }

    path = conn->paths[ep->fault_path];
    if ((path == NULL) || (path->epoch != ep->fault_epoch)) {
        path = NULL;
        vmp_list_for_each(link, &conn->iface->replaying) {
            path = vmp_container_of(link, vmp_path_t, draining);
            if ((path->conn == conn) && (path->index == ep->fault_path) &&
                (path->epoch == ep->fault_epoch)) {
                break;
            }

            path = NULL;
        }
    }

    return (path != NULL) &&
           ((ep->fault_pos - path->tail) < (path->head - path->tail));
}

/* Whether anything of an endpoint may still call back */
static int vmp_fault_has_ops(const vmp_conn_t *conn, vmp_ep_t *ep)
{
    const vmp_link_t *link;
    const vmp_path_t *path;
    unsigned i;

    if (vmp_fault_is_seen(conn, ep)) {
        return 1;
    }

    ep->fault_path = VMP_FAULT_NOT_SEEN;
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
static vmp_ep_t *vmp_fault_find(vmp_conn_t *conn)
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
    vmp_waiter_t *flush;
    void *comp;

    if (lost == NULL) {
        vmp_error("out of memory for an endpoint that failed: the connection "
                  "to peer %016" PRIx64 " is lost", conn->peer_id);
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

    /* its flushes first; their callbacks may destroy it, which ends the rest */
    lost->bar_open->waiters = flushes;
    while ((flush = lost->bar_open->waiters) != NULL) {
        comp                    = flush->comp;
        lost->bar_open->waiters = flush->next;
        vmp_obj_put(&iface->waiter_pool, flush);
        iface->ops.complete(iface->arg, comp, status);
    }

    lost->bar_open->waiters_tail = &lost->bar_open->waiters;
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
