/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "uct_vmp_ep.h"
#include "uct_vmp_addr.h"
#include "uct_vmp_md.h"

#include "core/vmp_log.h"

#include <string.h>


static UCS_CLASS_INIT_FUNC(uct_vmp_ep_t, const uct_ep_params_t *params)
{
    const uint64_t required = UCT_EP_PARAM_FIELD_IFACE |
                              UCT_EP_PARAM_FIELD_DEV_ADDR |
                              UCT_EP_PARAM_FIELD_IFACE_ADDR;
    uint8_t ipv4[UCT_VMP_IPV4_LEN];
    vmp_iface_addr_t addr;
    vmp_rail_addr_t rail;
    uct_vmp_iface_t *iface;

    if ((params->field_mask & required) != required) {
        return UCS_ERR_INVALID_PARAM;
    }

    iface = ucs_container_of(params->iface, uct_vmp_iface_t, super.super);
    UCS_CLASS_CALL_SUPER_INIT(uct_base_ep_t, &iface->super);

    if ((uct_vmp_device_addr_unpack(params->dev_addr, &rail) != 0) ||
        (uct_vmp_iface_addr_unpack(params->iface_addr, &addr, ipv4) != 0)) {
        vmp_error("a peer's address is not one of this version of vmp: do both "
                  "sides run the same version?");
        return UCS_ERR_INVALID_ADDR;
    }

    /* UCP does not ask uct_iface_is_reachable() of who listens on a socket's
     * address */
    if (!uct_vmp_rail_addr_resolve(&iface->attr.rail_addr, ipv4, &rail)) {
        vmp_error("a peer cannot be reached: " UCT_VMP_OTHER_IP);
        return UCS_ERR_UNREACHABLE;
    }

    self->peer_id        = addr.id;
    self->pending_head   = NULL;
    self->pending_tail   = NULL;
    self->num_pending    = 0;
    self->fence_gen      = 0;
    self->destroyed_p    = NULL;
    self->is_dispatching = 0;
    self->has_sent       = 0;
    self->is_barred      = 0;
    self->strict_seq     = 0;
    self->is_strict      = 0;
    self->is_replaying   = 0;
    memset(&self->core, 0, sizeof(self->core));
    return (ucs_status_t)vmp_ep_create(iface->core, &rail, &addr, &self->core);
}

static UCS_CLASS_CLEANUP_FUNC(uct_vmp_ep_t)
{
    if (self->destroyed_p != NULL) {
        *self->destroyed_p = 1;
    }

    uct_vmp_ep_iface(self)->num_pending -= self->num_pending;
    if (self->pending_head != NULL) {
        vmp_warn("endpoint %p is destroyed while requests wait on it",
                 (void*)self);
    }

    vmp_ep_destroy(&self->core);
}

UCS_CLASS_DEFINE(uct_vmp_ep_t, uct_base_ep_t)
UCS_CLASS_DEFINE_NAMED_NEW_FUNC(uct_vmp_ep_create, uct_vmp_ep_t, uct_ep_t,
                                const uct_ep_params_t*)
UCS_CLASS_DEFINE_NAMED_DELETE_FUNC(uct_vmp_ep_destroy, uct_vmp_ep_t, uct_ep_t)

/* Returns how many of UCX's pieces are not empty and puts them into `to`, or -1:
 * more than VMP_MAX_IOV. */
static int uct_vmp_iov_convert(vmp_iov_t *to, const uct_iov_t *iov,
                               size_t iovcnt, size_t *length_p)
{
    int count = 0;
    size_t i, length;

    *length_p = 0;
    for (i = 0; i < iovcnt; ++i) {
        length = iov[i].length * iov[i].count;
        if (length == 0) {
            continue;
        }

        if (count == VMP_MAX_IOV) {
            return -1;
        }

        to[count].buffer = iov[i].buffer;
        to[count].length = length;
        to[count].mem    = uct_vmp_mem(iov[i].memh);
        *length_p       += length;
        ++count;
    }

    return count;
}

static ucs_status_t uct_vmp_iov_too_many(size_t iovcnt)
{
    vmp_error("%zu pieces in one operation: must be at most %d", iovcnt,
              VMP_MAX_IOV);
    return UCS_ERR_INVALID_PARAM;
}

static ucs_status_t uct_vmp_ep_bad_id(uint8_t id)
{
    vmp_error("active message id %u: must be at most %u", id,
              (unsigned)UCT_AM_ID_MAX - 1);
    return UCS_ERR_INVALID_PARAM;
}

ucs_status_t uct_vmp_ep_am_short(uct_ep_h tl_ep, uint8_t id, uint64_t header,
                                 const void *payload, unsigned length)
{
    uct_vmp_ep_t *ep = uct_vmp_ep(tl_ep);

    if (ucs_unlikely(id >= UCT_AM_ID_MAX)) {
        return uct_vmp_ep_bad_id(id);
    }

    if (!uct_vmp_ep_may_send(ep)) {
        return UCS_ERR_NO_RESOURCE;
    }

    return (ucs_status_t)vmp_ep_am_short(&ep->core, id, header, payload,
                                         length);
}

ucs_status_t uct_vmp_ep_am_short_iov(uct_ep_h tl_ep, uint8_t id,
                                     const uct_iov_t *iov, size_t iovcnt)
{
    uct_vmp_ep_t *ep = uct_vmp_ep(tl_ep);
    vmp_iov_t pieces[VMP_MAX_IOV];
    size_t length;
    int count;

    if (ucs_unlikely(id >= UCT_AM_ID_MAX)) {
        return uct_vmp_ep_bad_id(id);
    }

    if (!uct_vmp_ep_may_send(ep)) {
        return UCS_ERR_NO_RESOURCE;
    }

    count = uct_vmp_iov_convert(pieces, iov, iovcnt, &length);
    if (ucs_unlikely(count < 0)) {
        /* joins the pieces and calls am_short */
        return uct_base_ep_am_short_iov(tl_ep, id, iov, iovcnt);
    }

    return (ucs_status_t)vmp_ep_am_short_iov(&ep->core, id, pieces, count);
}

ssize_t uct_vmp_ep_am_bcopy(uct_ep_h tl_ep, uint8_t id,
                            uct_pack_callback_t pack_cb, void *arg,
                            unsigned flags)
{
    uct_vmp_ep_t *ep = uct_vmp_ep(tl_ep);

    if (ucs_unlikely(id >= UCT_AM_ID_MAX)) {
        return uct_vmp_ep_bad_id(id);
    }

    if (!uct_vmp_ep_may_send_am(ep, id)) {
        return UCS_ERR_NO_RESOURCE;
    }

    return vmp_ep_am_bcopy(&ep->core, id, pack_cb, arg);
}

ucs_status_t uct_vmp_ep_am_zcopy(uct_ep_h tl_ep, uint8_t id, const void *header,
                                 unsigned header_length, const uct_iov_t *iov,
                                 size_t iovcnt, unsigned flags,
                                 uct_completion_t *comp)
{
    uct_vmp_ep_t *ep = uct_vmp_ep(tl_ep);
    vmp_iov_t pieces[VMP_MAX_IOV];
    size_t length;
    int count;

    if (ucs_unlikely(id >= UCT_AM_ID_MAX)) {
        return uct_vmp_ep_bad_id(id);
    }

    if (!uct_vmp_ep_may_send(ep)) {
        return UCS_ERR_NO_RESOURCE;
    }

    count = uct_vmp_iov_convert(pieces, iov, iovcnt, &length);
    if (ucs_unlikely(count < 0)) {
        return uct_vmp_iov_too_many(iovcnt);
    }

    return (ucs_status_t)vmp_ep_am_zcopy(&ep->core, id, header, header_length,
                                         pieces, count, comp);
}

ucs_status_t uct_vmp_ep_put_short(uct_ep_h tl_ep, const void *buffer,
                                  unsigned length, uint64_t remote_addr,
                                  uct_rkey_t rkey)
{
    uct_vmp_ep_t *ep = uct_vmp_ep(tl_ep);

    if (length == 0) {
        /* with UCX's own transports this finds out whether the peer is there */
        return (ucs_status_t)vmp_ep_check(&ep->core);
    }

    if (!uct_vmp_ep_may_send(ep)) {
        return UCS_ERR_NO_RESOURCE;
    }

    return (ucs_status_t)vmp_ep_put_short(&ep->core, buffer, length,
                                          remote_addr, uct_vmp_rkey(rkey));
}

ssize_t uct_vmp_ep_put_bcopy(uct_ep_h tl_ep, uct_pack_callback_t pack_cb,
                             void *arg, uint64_t remote_addr, uct_rkey_t rkey)
{
    uct_vmp_ep_t *ep = uct_vmp_ep(tl_ep);

    if (!uct_vmp_ep_may_send(ep)) {
        return UCS_ERR_NO_RESOURCE;
    }

    return vmp_ep_put_bcopy(&ep->core, pack_cb, arg, remote_addr,
                            uct_vmp_rkey(rkey));
}

ucs_status_t uct_vmp_ep_put_zcopy(uct_ep_h tl_ep, const uct_iov_t *iov,
                                  size_t iovcnt, uint64_t remote_addr,
                                  uct_rkey_t rkey, uct_completion_t *comp)
{
    uct_vmp_ep_t *ep = uct_vmp_ep(tl_ep);
    vmp_iov_t pieces[VMP_MAX_IOV];
    size_t length;
    int count;

    if (!uct_vmp_ep_may_send(ep)) {
        return UCS_ERR_NO_RESOURCE;
    }

    count = uct_vmp_iov_convert(pieces, iov, iovcnt, &length);
    if (ucs_unlikely(count < 0)) {
        return uct_vmp_iov_too_many(iovcnt);
    } else if (length == 0) {
        return UCS_OK;
    }

    return (ucs_status_t)vmp_ep_put_zcopy(&ep->core, pieces, count,
                                          remote_addr, uct_vmp_rkey(rkey),
                                          comp);
}

ucs_status_t uct_vmp_ep_get_bcopy(uct_ep_h tl_ep,
                                  uct_unpack_callback_t unpack_cb, void *arg,
                                  size_t length, uint64_t remote_addr,
                                  uct_rkey_t rkey, uct_completion_t *comp)
{
    uct_vmp_ep_t *ep = uct_vmp_ep(tl_ep);

    if (length == 0) {
        return UCS_OK;
    }

    if (!uct_vmp_ep_may_send(ep)) {
        return UCS_ERR_NO_RESOURCE;
    }

    return (ucs_status_t)vmp_ep_get_bcopy(&ep->core, (void (*)(void))unpack_cb,
                                          arg, length, remote_addr,
                                          uct_vmp_rkey(rkey), comp);
}

ucs_status_t uct_vmp_ep_get_zcopy(uct_ep_h tl_ep, const uct_iov_t *iov,
                                  size_t iovcnt, uint64_t remote_addr,
                                  uct_rkey_t rkey, uct_completion_t *comp)
{
    uct_vmp_ep_t *ep = uct_vmp_ep(tl_ep);
    vmp_iov_t pieces[VMP_MAX_IOV];
    size_t length;
    int count;

    if (!uct_vmp_ep_may_send(ep)) {
        return UCS_ERR_NO_RESOURCE;
    }

    count = uct_vmp_iov_convert(pieces, iov, iovcnt, &length);
    if (ucs_unlikely(count < 0)) {
        return uct_vmp_iov_too_many(iovcnt);
    } else if (length == 0) {
        return UCS_OK;
    }

    return (ucs_status_t)vmp_ep_get_zcopy(&ep->core, pieces, count,
                                          remote_addr, uct_vmp_rkey(rkey),
                                          comp);
}

ucs_status_t uct_vmp_ep_flush(uct_ep_h tl_ep, unsigned flags,
                              uct_completion_t *comp)
{
    uct_vmp_ep_t *ep = uct_vmp_ep(tl_ep);

    if (flags & UCT_FLUSH_FLAG_CANCEL) {
        return (ucs_status_t)vmp_ep_flush(&ep->core, VMP_FLUSH_CANCEL, comp);
    }

    /* A flush covers what was sent before it, and waits behind what waits.
     * A remote flush is the same: completions are the peer device's acks. */
    if (!uct_vmp_ep_may_send(ep)) {
        return UCS_ERR_NO_RESOURCE;
    }

    return (ucs_status_t)vmp_ep_flush(&ep->core, 0, comp);
}

ucs_status_t uct_vmp_ep_fence(uct_ep_h tl_ep, unsigned flags)
{
    return (ucs_status_t)vmp_ep_fence(&uct_vmp_ep(tl_ep)->core);
}

ucs_status_t uct_vmp_ep_check(uct_ep_h tl_ep, unsigned flags,
                              uct_completion_t *comp)
{
    if ((flags != 0) || (comp != NULL)) {
        return UCS_ERR_INVALID_PARAM;
    }

    return (ucs_status_t)vmp_ep_check(&uct_vmp_ep(tl_ep)->core);
}

ucs_status_t uct_vmp_ep_invalidate(uct_ep_h tl_ep, unsigned flags)
{
    /* no flags are defined */
    if (flags != 0) {
        return UCS_ERR_INVALID_PARAM;
    }

    vmp_ep_invalidate(&uct_vmp_ep(tl_ep)->core);
    return UCS_OK;
}

void uct_vmp_ep_failed(void *arg, vmp_ep_t *core_ep, vmp_status_t vmp_status)
{
    uct_vmp_iface_t *iface = arg;
    uct_vmp_ep_t *ep       = ucs_container_of(core_ep, uct_vmp_ep_t, core);
    ucs_status_t status    = (ucs_status_t)vmp_status;
    int is_unread          = vmp_ep_is_unread(core_ep);

    /* A peer that went without a look at our last words may have known that it
     * needs them no more: that ends no program */
    if (uct_iface_handle_ep_err(&iface->super.super, &ep->super.super,
                                status) == UCS_OK) {
        return;
    }

    if (is_unread) {
        vmp_warn("the peer of endpoint %p closed its interface without having "
                 "looked at all messages to it", (void*)ep);
        return;
    }

    /* Nobody takes care of it, and messages were lost. As with UCX's own
     * transports this is fatal: going on would wait for the peer for ever. */
    ucs_log_dispatch(__FILE__, __LINE__, "vmp", UCS_LOG_LEVEL_FATAL,
                     &ucs_global_opts.log_component,
                     "the connection of endpoint %p is lost (%s) and the "
                     "application did not ask to be told of errors: "
                     "UCX_LOG_LEVEL=diag tells why", (void*)ep,
                     ucs_status_string(status));
}

#if UCT_VMP_ABI_INTERNAL_OPS >= 7
int uct_vmp_ep_is_connected(uct_ep_h tl_ep,
                            const uct_ep_is_connected_params_t *params)
{
    uint8_t ipv4[UCT_VMP_IPV4_LEN];
    vmp_iface_addr_t addr;

    if (!(params->field_mask & UCT_EP_IS_CONNECTED_FIELD_IFACE_ADDR) ||
        (uct_vmp_iface_addr_unpack(params->iface_addr, &addr, ipv4) != 0)) {
        return 0;
    }

    return addr.id == uct_vmp_ep(tl_ep)->peer_id;
}
#endif
