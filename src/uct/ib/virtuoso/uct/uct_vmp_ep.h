/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef UCT_VMP_EP_H_
#define UCT_VMP_EP_H_

#include "uct_vmp_iface.h"


/** UCX's view of one endpoint of the core. */
typedef struct uct_vmp_ep {
    uct_base_ep_t     super;
    vmp_ep_t          core;
    uint64_t          peer_id;          /**< Of the peer's interface */
    uct_pending_req_t *pending_head;    /**< First of those that wait */
    uct_pending_req_t *pending_tail;
    unsigned          num_pending;      /**< That wait or run */
    uint32_t          fence_gen;        /**< Interface's fence that what was
                                             sent last comes after */
    uint32_t          strict_seq;       /**< Progress during which the replay
                                             began */
    int               *destroyed_p;     /**< Set when the endpoint goes away
                                             while a request of it runs */
    uint8_t           is_dispatching;   /**< A pending request runs */
    uint8_t           has_sent;         /**< And was let through once */
    uint8_t           is_barred;        /**< And was refused to keep order */
    uint8_t           is_strict;        /**< Fences may be missing, see
                                             uct_vmp_pending.c */
    uint8_t           is_replaying;     /**< And UCP replays requests */
} uct_vmp_ep_t;


static inline uct_vmp_ep_t *uct_vmp_ep(uct_ep_h tl_ep)
{
    return ucs_container_of(tl_ep, uct_vmp_ep_t, super.super);
}

static inline uct_vmp_iface_t *uct_vmp_ep_iface(const uct_vmp_ep_t *ep)
{
    return ucs_container_of(ep->super.super.iface, uct_vmp_iface_t,
                            super.super);
}

/** uct_vmp_ep_may_send() where something is out of the ordinary. */
int uct_vmp_ep_may_send_slow(uct_vmp_ep_t *ep);

/** Order: nothing may overtake the requests that wait. */
static inline int uct_vmp_ep_may_send(uct_vmp_ep_t *ep)
{
    return ucs_likely((ep->num_pending | ep->is_strict) == 0) ||
           uct_vmp_ep_may_send_slow(ep);
}

/** The same for an active message. */
int uct_vmp_ep_may_send_am(uct_vmp_ep_t *ep, uint8_t id);


/* Endpoint methods; see uct_iface_ops_t. */

ucs_status_t uct_vmp_ep_create(const uct_ep_params_t *params, uct_ep_h *ep_p);

void uct_vmp_ep_destroy(uct_ep_t *ep);

ucs_status_t uct_vmp_ep_am_short(uct_ep_h ep, uint8_t id, uint64_t header,
                                 const void *payload, unsigned length);

ucs_status_t uct_vmp_ep_am_short_iov(uct_ep_h ep, uint8_t id,
                                     const uct_iov_t *iov, size_t iovcnt);

ssize_t uct_vmp_ep_am_bcopy(uct_ep_h ep, uint8_t id,
                            uct_pack_callback_t pack_cb, void *arg,
                            unsigned flags);

ucs_status_t uct_vmp_ep_am_zcopy(uct_ep_h ep, uint8_t id, const void *header,
                                 unsigned header_length, const uct_iov_t *iov,
                                 size_t iovcnt, unsigned flags,
                                 uct_completion_t *comp);

ucs_status_t uct_vmp_ep_put_short(uct_ep_h ep, const void *buffer,
                                  unsigned length, uint64_t remote_addr,
                                  uct_rkey_t rkey);

ssize_t uct_vmp_ep_put_bcopy(uct_ep_h ep, uct_pack_callback_t pack_cb,
                             void *arg, uint64_t remote_addr, uct_rkey_t rkey);

ucs_status_t uct_vmp_ep_put_zcopy(uct_ep_h ep, const uct_iov_t *iov,
                                  size_t iovcnt, uint64_t remote_addr,
                                  uct_rkey_t rkey, uct_completion_t *comp);

ucs_status_t uct_vmp_ep_get_bcopy(uct_ep_h ep, uct_unpack_callback_t unpack_cb,
                                  void *arg, size_t length,
                                  uint64_t remote_addr, uct_rkey_t rkey,
                                  uct_completion_t *comp);

ucs_status_t uct_vmp_ep_get_zcopy(uct_ep_h ep, const uct_iov_t *iov,
                                  size_t iovcnt, uint64_t remote_addr,
                                  uct_rkey_t rkey, uct_completion_t *comp);

ucs_status_t uct_vmp_ep_flush(uct_ep_h ep, unsigned flags,
                              uct_completion_t *comp);

ucs_status_t uct_vmp_ep_fence(uct_ep_h ep, unsigned flags);

ucs_status_t uct_vmp_ep_check(uct_ep_h ep, unsigned flags,
                              uct_completion_t *comp);

/** Fail the connection here, for tests: all endpoints of the interface to this
 *  peer are reported as lost by progress. */
ucs_status_t uct_vmp_ep_invalidate(uct_ep_h ep, unsigned flags);


/* Requests that wait for room (uct_vmp_pending.c) */

/** UCS_ERR_BUSY: there is room now, send instead of waiting. */
ucs_status_t uct_vmp_ep_pending_add(uct_ep_h ep, uct_pending_req_t *req,
                                    unsigned flags);

void uct_vmp_ep_pending_purge(uct_ep_h ep, uct_pending_purge_callback_t cb,
                              void *arg);

/** vmp_iface_ops_t.ep_ready: run waiting requests, first come first served. */
int uct_vmp_ep_pending_dispatch(void *arg, vmp_ep_t *core_ep);

/** vmp_iface_ops_t.ep_failed: tell UCX. */
void uct_vmp_ep_failed(void *arg, vmp_ep_t *core_ep, vmp_status_t status);


#if UCT_VMP_ABI_INTERNAL_OPS >= 7
/** Internal method of newer versions. */
int uct_vmp_ep_is_connected(uct_ep_h ep,
                            const uct_ep_is_connected_params_t *params);
#endif

#endif
