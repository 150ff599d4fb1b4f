/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "uct_vmp_ep.h"


/*
 * UCP means by a fence of the interface that what it asked to send before is
 * ordered before what it asks to send later, also where a request of the former
 * still waits. So the interface counts its fences and a request remembers the
 * count of when it was queued: where the count of what is sent changes, a fence
 * of the endpoint goes between.
 *
 * While UCP makes itself known to the peer's UCP it keeps requests in a queue of
 * its own, of which neither requests nor fences between them are seen here, and
 * replays them in one go when the answer comes. It purges the endpoint when that
 * begins. So from a purge until that replay is over there is a fence between any
 * two operations, UCP's own messages of that time aside.
 */

/* The message by which UCP makes itself known. */
#define UCT_VMP_UCP_AM_ID_WIREUP 1

/* What a request that waits carries in UCX's private bytes. */
typedef struct uct_vmp_pending_priv {
    uct_pending_req_t *next;
    uint32_t          fence_gen;
} uct_vmp_pending_priv_t;

_Static_assert(sizeof(uct_vmp_pending_priv_t) <= UCT_PENDING_REQ_PRIV_LEN,
               "private bytes of a pending request");


static uct_vmp_pending_priv_t *uct_vmp_pending_priv(uct_pending_req_t *req)
{
    return (uct_vmp_pending_priv_t*)req->priv;
}

static uct_pending_req_t **uct_vmp_pending_next(uct_pending_req_t *req)
{
    return &uct_vmp_pending_priv(req)->next;
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

/* What is sent next comes after this fence of the interface. */
static void uct_vmp_pending_fence(uct_vmp_ep_t *ep, uint32_t fence_gen)
{
    if (ep->fence_gen != fence_gen) {
        vmp_ep_fence(&ep->core);
        ep->fence_gen = fence_gen;
    }
}

static void uct_vmp_pending_done(uct_vmp_ep_t *ep)
{
    --ep->num_pending;
    --uct_vmp_ep_iface(ep)->num_pending;
}

/* A send other than of UCP's set-up while fences may be missing. */
static void uct_vmp_pending_strict(uct_vmp_ep_t *ep)
{
    uint32_t progress_seq = uct_vmp_ep_iface(ep)->progress_seq;

    if (ep->is_replaying && (ep->strict_seq != progress_seq)) {
        ep->is_strict = 0; /* the replay was before that progress */
        return;
    }

    ep->is_replaying = 1;
    ep->strict_seq   = progress_seq;
    vmp_ep_fence(&ep->core);
}

int uct_vmp_ep_may_send_am(uct_vmp_ep_t *ep, uint8_t id)
{
    if (ucs_unlikely(ep->is_strict) && (id == UCT_VMP_UCP_AM_ID_WIREUP)) {
        return (ep->num_pending == 0) || ep->is_dispatching;
    }

    return uct_vmp_ep_may_send(ep);
}

int uct_vmp_ep_may_send_slow(uct_vmp_ep_t *ep)
{
    if (ep->core.is_failed) {
        return 1; /* for it to fail */
    }

    if (ep->is_strict) {
        uct_vmp_pending_strict(ep);
    }

    if (ep->num_pending == 0) {
        return 1;
    }

    if (!ep->is_dispatching) {
        return 0;
    }

    /* Who sends: the request that runs, or whom it called back upon its end? The
     * latter may not overtake those that wait (it may itself just have queued
     * one), the former may. A request sends before it calls back, so the first
     * send is its own. It loses nothing by a refusal: it is run again at once. */
    if (ep->has_sent) {
        if (ep->pending_head != NULL) {
            ep->is_barred = 1;
            return 0;
        }

        uct_vmp_pending_fence(ep, uct_vmp_ep_iface(ep)->fence_gen);
    }

    ep->has_sent = 1;
    return 1;
}

ucs_status_t uct_vmp_ep_pending_add(uct_ep_h tl_ep, uct_pending_req_t *req,
                                    unsigned flags)
{
    uct_vmp_ep_t *ep       = uct_vmp_ep(tl_ep);
    uct_vmp_iface_t *iface = uct_vmp_ep_iface(ep);

    if (ep->num_pending == 0) {
        if (vmp_ep_is_ready(&ep->core)) {
            return UCS_ERR_BUSY;
        }

        /* the core has seen all fences so far */
        ep->fence_gen = iface->fence_gen;
    }

    if (ep->is_strict) {
        ++iface->fence_gen;
    }

    uct_vmp_pending_priv(req)->fence_gen = iface->fence_gen;
    uct_vmp_pending_push_tail(ep, req);
    ++ep->num_pending;
    ++iface->num_pending;
    vmp_ep_wait_ready(&ep->core);
    return UCS_OK;
}

void uct_vmp_ep_pending_purge(uct_ep_h tl_ep, uct_pending_purge_callback_t cb,
                              void *arg)
{
    uct_vmp_ep_t *ep = uct_vmp_ep(tl_ep);
    uct_pending_req_t *req;

    while (ep->pending_head != NULL) {
        req = uct_vmp_pending_pop(ep);
        uct_vmp_pending_done(ep);
        cb(req, arg);
    }

    if (!ep->is_dispatching) {
        uct_vmp_pending_fence(ep, uct_vmp_ep_iface(ep)->fence_gen);
    }

    ep->is_strict    = 1;
    ep->is_replaying = 0;
    vmp_ep_cancel_wait(&ep->core);
}

int uct_vmp_ep_pending_dispatch(void *arg, vmp_ep_t *core_ep)
{
    uct_vmp_iface_t *iface = arg;
    uct_vmp_ep_t *ep       = ucs_container_of(core_ep, uct_vmp_ep_t, core);
    int destroyed          = 0;
    ucs_status_t status;
    uct_pending_req_t *req;

    if (ep->is_dispatching) {
        return 1; /* called from within a request: the loop below goes on */
    }

    while (ep->pending_head != NULL) {
        /* Off the queue while it runs, since it may free or queue itself. */
        req = uct_vmp_pending_pop(ep);
        uct_vmp_pending_fence(ep, uct_vmp_pending_priv(req)->fence_gen);
        ep->destroyed_p    = &destroyed;
        ep->has_sent       = 0;
        ep->is_barred      = 0;
        ep->is_dispatching = 1;
        status             = req->func(req);
        if (destroyed) {
            return 0;
        }

        ep->is_dispatching = 0;
        ep->destroyed_p    = NULL;
        if (status == UCS_OK) {
            uct_vmp_pending_done(ep);
            continue;
        }

        /* In progress means that it sent something and has more to send. It may
         * have purged the queue, which ends the wait. */
        uct_vmp_pending_push_head(ep, req);
        vmp_ep_wait_ready(&ep->core);
        if ((status != UCS_INPROGRESS) &&
            !(ep->is_barred && vmp_ep_is_ready(&ep->core))) {
            return 1;
        }
    }

    uct_vmp_pending_fence(ep, iface->fence_gen);
    return 0;
}
