/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "uct_vmp_ep.h"


/* What a request that waits carries in UCX's private bytes. */
typedef struct uct_vmp_pending_priv {
    uct_pending_req_t *next;
} uct_vmp_pending_priv_t;

_Static_assert(sizeof(uct_vmp_pending_priv_t) <= UCT_PENDING_REQ_PRIV_LEN,
               "private bytes of a pending request");


static uct_pending_req_t **uct_vmp_pending_next(uct_pending_req_t *req)
{
    return &((uct_vmp_pending_priv_t*)req->priv)->next;
}

static void uct_vmp_pending_push_tail(uct_vmp_ep_t *ep, uct_pending_req_t *req)
{
    *uct_vmp_pending_next(req) = NULL;
    if (ep->pending_head == NULL) {
        ep->pending_head = req;
    } else {
        *uct_vmp_pending_next(ep->pending_tail) = req;
    }
    ep->pending_tail = req;
}

static void uct_vmp_pending_push_head(uct_vmp_ep_t *ep, uct_pending_req_t *req)
{
    *uct_vmp_pending_next(req) = ep->pending_head;
    if (ep->pending_head == NULL) {
        ep->pending_tail = req;
    }
    ep->pending_head = req;
}

static uct_pending_req_t *uct_vmp_pending_pop(uct_vmp_ep_t *ep)
{
    uct_pending_req_t *req = ep->pending_head;

    ep->pending_head = *uct_vmp_pending_next(req);
    if (ep->pending_head == NULL) {
        ep->pending_tail = NULL;
    }

    return req;
}

ucs_status_t uct_vmp_ep_pending_add(uct_ep_h tl_ep, uct_pending_req_t *req,
                                    unsigned flags)
{
    uct_vmp_ep_t *ep = uct_vmp_ep(tl_ep);

    /* A request that runs was taken off the queue: others may still wait. */
    if ((ep->pending_head == NULL) && !ep->is_dispatching &&
        vmp_ep_is_ready(&ep->core)) {
        return UCS_ERR_BUSY;
    }

    uct_vmp_pending_push_tail(ep, req);
    vmp_ep_wait_ready(&ep->core);
    return UCS_OK;
}

void uct_vmp_ep_pending_purge(uct_ep_h tl_ep, uct_pending_purge_callback_t cb,
                              void *arg)
{
    uct_vmp_ep_t *ep = uct_vmp_ep(tl_ep);

    while (ep->pending_head != NULL) {
        cb(uct_vmp_pending_pop(ep), arg);
    }

    vmp_ep_cancel_wait(&ep->core);
}

int uct_vmp_ep_pending_dispatch(void *arg, vmp_ep_t *core_ep)
{
    uct_vmp_ep_t *ep = ucs_container_of(core_ep, uct_vmp_ep_t, core);
    int destroyed    = 0;
    ucs_status_t status;
    uct_pending_req_t *req;

    if (ep->is_dispatching) {
        return 1; /* called from within a request: the loop below goes on */
    }

    while (ep->pending_head != NULL) {
        /* Off the queue while it runs, since it may free or queue itself. */
        req                = uct_vmp_pending_pop(ep);
        ep->destroyed_p    = &destroyed;
        ep->is_dispatching = 1;
        status             = req->func(req);
        if (destroyed) {
            return 0;
        }

        ep->is_dispatching = 0;
        ep->destroyed_p    = NULL;
        if (status == UCS_OK) {
            continue;
        }

        /* In progress means that it sent something and has more to send. */
        uct_vmp_pending_push_head(ep, req);
        if (status != UCS_INPROGRESS) {
            return 1;
        }
    }

    return 0;
}
