/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_BARRIER_H_
#define VMP_BARRIER_H_

#include "vmp_types.h"

struct vmp_conn;
struct vmp_ep;
struct vmp_iface;


/** Who waits for a flush */
typedef struct vmp_waiter {
    struct vmp_waiter *next;
    struct vmp_ep     *ep;
    void              *comp;
} vmp_waiter_t;


/**
 * One generation of operations of a connection: those started between two
 * flushes. Generations end in order; `count` operations of this one are not yet
 * complete.
 */
typedef struct vmp_barrier {
    struct vmp_barrier *next;           /**< Later generation */
    uint32_t           count;
    vmp_waiter_t       *waiters;        /**< FIFO */
    vmp_waiter_t       **waiters_tail;
} vmp_barrier_t;


/** First generation of a connection. Return 0, or -1: no memory. */
int vmp_barrier_init(struct vmp_conn *conn);

void vmp_barrier_cleanup(struct vmp_conn *conn);

/** Call `comp` when all that was started before has completed (which is not yet
 *  so). VMP_INPROGRESS, or VMP_ERR_NO_RESOURCE. */
vmp_status_t vmp_barrier_flush(struct vmp_conn *conn, struct vmp_ep *ep,
                               void *comp);

/** The last operation of a sealed generation completed. */
void vmp_barrier_retire(struct vmp_conn *conn);

/** Take out the waiters of an endpoint. */
vmp_waiter_t *vmp_barrier_purge(struct vmp_conn *conn,
                                const struct vmp_ep *ep);

/** Call those that were taken out. */
void vmp_barrier_cancel(struct vmp_iface *iface, vmp_waiter_t *waiters,
                        vmp_status_t status);


#endif
