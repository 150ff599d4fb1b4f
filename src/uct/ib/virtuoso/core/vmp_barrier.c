/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_barrier.h"
#include "vmp_conn.h"


static vmp_barrier_t *vmp_barrier_new(vmp_iface_t *iface)
{
    vmp_barrier_t *barrier = vmp_obj_get(&iface->barrier_pool);

    if (barrier != NULL) {
        barrier->next         = NULL;
        barrier->count        = 0;
        barrier->waiters      = NULL;
        barrier->waiters_tail = &barrier->waiters;
    }

    return barrier;
}

int vmp_barrier_init(vmp_conn_t *conn)
{
    conn->bar_open = vmp_barrier_new(conn->iface);
    conn->bar_head = conn->bar_open;
    return (conn->bar_open == NULL) ? -1 : 0;
}

void vmp_barrier_cleanup(vmp_conn_t *conn)
{
    vmp_iface_t *iface = conn->iface;
    vmp_barrier_t *barrier;
    vmp_waiter_t *waiter;

    while ((barrier = conn->bar_head) != NULL) {
        while ((waiter = barrier->waiters) != NULL) {
            barrier->waiters = waiter->next;
            vmp_obj_put(&iface->waiter_pool, waiter);
        }

        conn->bar_head = barrier->next;
        vmp_obj_put(&iface->barrier_pool, barrier);
    }

    conn->bar_open = NULL;
}

/* The newest generation that has ended to grow: what was started so far */
static vmp_barrier_t *vmp_barrier_seal(vmp_conn_t *conn)
{
    vmp_barrier_t *sealed = conn->bar_open;
    vmp_barrier_t *barrier;

    if ((sealed->count == 0) && (conn->bar_head != sealed)) {
        /* nothing was started since the last flush: share its generation */
        for (barrier = conn->bar_head; barrier->next != sealed;
             barrier = barrier->next);
        return barrier;
    }

    barrier = vmp_barrier_new(conn->iface);
    if (barrier == NULL) {
        return NULL;
    }

    sealed->next   = barrier;
    conn->bar_open = barrier;
    return sealed;
}

vmp_status_t vmp_barrier_flush(vmp_conn_t *conn, vmp_ep_t *ep, void *comp)
{
    vmp_waiter_t *waiter = vmp_obj_get(&conn->iface->waiter_pool);
    vmp_barrier_t *barrier;

    if (waiter == NULL) {
        return VMP_ERR_NO_RESOURCE;
    }

    barrier = vmp_barrier_seal(conn);
    if (barrier == NULL) {
        vmp_obj_put(&conn->iface->waiter_pool, waiter);
        return VMP_ERR_NO_RESOURCE;
    }

    waiter->next           = NULL;
    waiter->ep             = ep;
    waiter->comp           = comp;
    *barrier->waiters_tail = waiter;
    barrier->waiters_tail  = &waiter->next;
    return VMP_INPROGRESS;
}

void vmp_barrier_retire(vmp_conn_t *conn)
{
    vmp_iface_t *iface = conn->iface;
    vmp_barrier_t *barrier;
    vmp_waiter_t *waiter;
    vmp_waiter_t copy;

    while (((barrier = conn->bar_head) != conn->bar_open) &&
           (barrier->count == 0)) {
        /* a callback may destroy endpoints whose waiters come next, so that
         * they stay where vmp_barrier_purge() finds them */
        while ((waiter = barrier->waiters) != NULL) {
            copy             = *waiter;
            barrier->waiters = waiter->next;
            if (barrier->waiters == NULL) {
                barrier->waiters_tail = &barrier->waiters;
            }

            vmp_obj_put(&iface->waiter_pool, waiter);
            iface->ops.complete(iface->arg, copy.comp,
                                (conn->block & VMP_BLOCK_FAILED) ?
                                conn->status : copy.ep->fault);
        }

        conn->bar_head = barrier->next;
        vmp_obj_put(&iface->barrier_pool, barrier);
    }
}

vmp_waiter_t *vmp_barrier_purge(vmp_conn_t *conn, const vmp_ep_t *ep)
{
    vmp_waiter_t *purged = NULL;
    vmp_waiter_t **tail  = &purged;
    vmp_waiter_t **pos;
    vmp_barrier_t *barrier;
    vmp_waiter_t *waiter;

    for (barrier = conn->bar_head; barrier != NULL; barrier = barrier->next) {
        pos = &barrier->waiters;
        while ((waiter = *pos) != NULL) {
            if (waiter->ep == ep) {
                *pos         = waiter->next;
                waiter->next = NULL;
                *tail        = waiter;
                tail         = &waiter->next;
            } else {
                pos = &waiter->next;
            }
        }

        barrier->waiters_tail = pos;
    }

    return purged;
}

void vmp_barrier_cancel(vmp_iface_t *iface, vmp_waiter_t *waiters,
                        vmp_status_t status)
{
    vmp_waiter_t *waiter;
    void *comp;

    while ((waiter = waiters) != NULL) {
        waiters = waiter->next;
        comp    = waiter->comp;
        vmp_obj_put(&iface->waiter_pool, waiter);
        iface->ops.complete(iface->arg, comp, status);
    }
}
