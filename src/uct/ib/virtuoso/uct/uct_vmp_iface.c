/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "uct_vmp_iface.h"
#include "uct_vmp_addr.h"
#include "uct_vmp_config.h"
#include "uct_vmp_ep.h"
#include "uct_vmp_log.h"
#include "uct_vmp_md.h"
#include "uct_vmp_stats.h"

#include "core/vmp_log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* "auto" of UCX_VMP_BANDWIDTH: below what rc_verbs says of the same port, which
 * subtracts headers. */
#define UCT_VMP_IFACE_BANDWIDTH_FACTOR 0.8
#define UCT_VMP_IFACE_BANDWIDTH_MIN    1e6

/* Best alignment of zero-copy buffers, bytes: PCI payload. */
#define UCT_VMP_IFACE_ZCOPY_ALIGN      512


ucs_status_t uct_vmp_query_tl_devices(uct_md_h tl_md,
                                      uct_tl_device_resource_t **devices_p,
                                      unsigned *num_devices_p)
{
    const uct_vmp_md_t *md            = ucs_container_of(tl_md, uct_vmp_md_t,
                                                         super);
    uct_tl_device_resource_t *devices = NULL;
    unsigned num_devices              = 0;
    vmp_port_dev_t *devs;
    unsigned num_devs, i;

    devs = uct_vmp_query_devices(&num_devs);
    if (num_devs > 0) {
        devices = ucs_calloc(num_devs, sizeof(*devices), "vmp_devices");
        if (devices == NULL) {
            free(devs);
            return UCS_ERR_NO_MEMORY;
        }
    }

    for (i = 0; i < num_devs; ++i) {
        if (strcmp(devs[i].name, md->name)) {
            continue;
        }

        if (snprintf(devices[num_devices].name, UCT_DEVICE_NAME_MAX, "%s:%u",
                     devs[i].name, devs[i].port_num) >= UCT_DEVICE_NAME_MAX) {
            vmp_debug("%s: the name is too long for UCX", devs[i].name);
            continue;
        }

        devices[num_devices].type       = UCT_DEVICE_TYPE_NET;
        devices[num_devices].sys_device = UCS_SYS_DEVICE_ID_UNKNOWN;
        ++num_devices;
    }

    free(devs);
    *devices_p     = devices;
    *num_devices_p = num_devices;
    return UCS_OK;
}

/* A message for UCX. Keeping the buffer costs nothing but the buffer; one that
 * is not aligned as UCX wants it is for copying only. */
static int uct_vmp_iface_am(void *arg, uint8_t am_id, void *data, size_t length,
                            vmp_rx_t *rx)
{
    uct_vmp_iface_t *iface = arg;
    unsigned flags         = 0;
    const uct_am_handler_t *handler;
    ucs_status_t status;
    void *desc;

    if (ucs_unlikely(am_id >= UCT_AM_ID_MAX)) {
        vmp_error("a message with id %u arrived and was dropped: the largest "
                  "is %u", am_id, (unsigned)UCT_AM_ID_MAX - 1);
        return 0;
    }

    if ((rx != NULL) && ((((uintptr_t)data + iface->align_offset) &
                          iface->align_mask) == 0)) {
        flags = UCT_CB_PARAM_FLAG_DESC;
        desc  = (char*)data - iface->rx_headroom;
        uct_recv_desc(desc) = &iface->release_desc;
    }

    handler = &iface->super.am[am_id];
    status  = handler->cb(handler->arg, data, length, flags);
    return status == UCS_INPROGRESS;
}

static void uct_vmp_iface_release_desc(uct_recv_desc_t *self, void *desc)
{
    vmp_rx_release(vmp_rx_from_priv(&uct_recv_desc(desc)));
}

static void uct_vmp_iface_complete(void *arg, void *comp_ptr,
                                   vmp_status_t status)
{
    uct_completion_t *comp = comp_ptr;

    if (comp == NULL) {
        return;
    }

    uct_completion_update_status(comp, (ucs_status_t)status);
    if (--comp->count == 0) {
        comp->func(comp);
    }
}

static void uct_vmp_iface_unpack(void *arg, void (*unpack)(void),
                                 void *unpack_arg, const void *data,
                                 size_t length)
{
    ((uct_unpack_callback_t)unpack)(unpack_arg, data, length);
}

static void uct_vmp_iface_stats(void *arg, const char *line)
{
    const uct_vmp_iface_t *iface = arg;

    uct_vmp_stats_write(iface->stats_fd, line);
}

static const vmp_iface_ops_t uct_vmp_core_ops = {
    .am        = uct_vmp_iface_am,
    .complete  = uct_vmp_iface_complete,
    .unpack    = uct_vmp_iface_unpack,
    .ep_ready  = uct_vmp_ep_pending_dispatch,
    .ep_failed = uct_vmp_ep_failed
};

static ucs_status_t uct_vmp_iface_query(uct_iface_h tl_iface,
                                        uct_iface_attr_t *attr)
{
    uct_vmp_iface_t *iface       = ucs_container_of(tl_iface, uct_vmp_iface_t,
                                                    super.super);
    const vmp_iface_attr_t *core = &iface->attr;
    /* UCP subtracts what is not aligned from align_mtu */
    size_t align                 = (core->path_mtu <
                                    UCT_VMP_IFACE_ZCOPY_ALIGN) ?
                                   core->path_mtu : UCT_VMP_IFACE_ZCOPY_ALIGN;

    uct_base_iface_query(&iface->super, attr);

    attr->cap.flags = UCT_IFACE_FLAG_CONNECT_TO_IFACE |
                      UCT_IFACE_FLAG_AM_BCOPY |
                      UCT_IFACE_FLAG_PUT_BCOPY | UCT_IFACE_FLAG_PUT_ZCOPY |
                      UCT_IFACE_FLAG_GET_BCOPY | UCT_IFACE_FLAG_GET_ZCOPY |
                      UCT_IFACE_FLAG_PENDING | UCT_IFACE_FLAG_CB_SYNC |
                      UCT_IFACE_FLAG_EP_CHECK |
                      UCT_IFACE_FLAG_ERRHANDLE_PEER_FAILURE;
#ifdef UCT_IFACE_FLAG_INTER_NODE
    attr->cap.flags |= UCT_IFACE_FLAG_INTER_NODE;
#endif
    if (core->max_short > sizeof(uint64_t)) {
        attr->cap.flags |= UCT_IFACE_FLAG_AM_SHORT | UCT_IFACE_FLAG_PUT_SHORT;
    }

    if (core->max_zcopy_am > 0) {
        attr->cap.flags |= UCT_IFACE_FLAG_AM_ZCOPY;
    }

    if (vmp_iface_event_fd(iface->core) >= 0) {
        attr->cap.event_flags = UCT_IFACE_FLAG_EVENT_SEND_COMP |
                                UCT_IFACE_FLAG_EVENT_RECV |
                                UCT_IFACE_FLAG_EVENT_FD;
    }

    attr->cap.am.max_short        = core->max_short;
    attr->cap.am.max_bcopy        = core->max_bcopy;
    attr->cap.am.min_zcopy        = 0;
    attr->cap.am.max_zcopy        = core->max_zcopy_am;
    attr->cap.am.opt_zcopy_align  = align;
    attr->cap.am.align_mtu        = core->path_mtu;
    attr->cap.am.max_hdr          = core->max_zcopy_hdr;
    attr->cap.am.max_iov          = core->max_iov;

    attr->cap.put.max_short       = core->max_short;
    attr->cap.put.max_bcopy       = core->max_bcopy;
    attr->cap.put.min_zcopy       = 0;
    attr->cap.put.max_zcopy       = core->max_zcopy_rma;
    attr->cap.put.opt_zcopy_align = align;
    attr->cap.put.align_mtu       = core->path_mtu;
    attr->cap.put.max_iov         = core->max_iov;

    attr->cap.get.max_bcopy       = core->max_bcopy;
    attr->cap.get.min_zcopy       = 0;
    attr->cap.get.max_zcopy       = core->max_zcopy_rma;
    attr->cap.get.opt_zcopy_align = align;
    attr->cap.get.align_mtu       = core->path_mtu;
    attr->cap.get.max_iov         = core->max_iov;

    attr->device_addr_len         = UCT_VMP_DEVICE_ADDR_LEN;
    attr->iface_addr_len          = uct_vmp_iface_addr_len(&core->addr);
    attr->ep_addr_len             = 0;
    attr->overhead                = iface->overhead;
    attr->bandwidth.dedicated     = 0;
    attr->bandwidth.shared        = iface->bandwidth;
    attr->latency.c               = iface->latency;
    attr->latency.m               = 0;
    attr->priority                = 0;
    return UCS_OK;
}

static ucs_status_t uct_vmp_iface_get_device_address(uct_iface_h tl_iface,
                                                     uct_device_addr_t *addr)
{
    uct_vmp_iface_t *iface = ucs_container_of(tl_iface, uct_vmp_iface_t,
                                              super.super);

    uct_vmp_device_addr_pack(addr, &iface->attr.rail_addr);
    return UCS_OK;
}

static ucs_status_t uct_vmp_iface_get_address(uct_iface_h tl_iface,
                                              uct_iface_addr_t *addr)
{
    uct_vmp_iface_t *iface = ucs_container_of(tl_iface, uct_vmp_iface_t,
                                              super.super);

    uct_vmp_iface_addr_pack(addr, &iface->attr.addr, &iface->attr.rail_addr);
    return UCS_OK;
}

static int uct_vmp_iface_is_reachable(const uct_iface_h tl_iface,
                                      const uct_device_addr_t *device_addr,
                                      const uct_iface_addr_t *iface_addr)
{
    vmp_rail_addr_t rail;

    return uct_vmp_iface_can_reach(ucs_container_of(tl_iface, uct_vmp_iface_t,
                                                    super.super),
                                   device_addr, iface_addr, &rail, NULL, 0);
}

static unsigned uct_vmp_iface_progress(uct_iface_h tl_iface)
{
    uct_vmp_iface_t *iface = ucs_container_of(tl_iface, uct_vmp_iface_t,
                                              super.super);

    ++iface->progress_seq;
    return vmp_iface_progress(iface->core);
}

static ucs_status_t uct_vmp_iface_flush(uct_iface_h tl_iface, unsigned flags,
                                        uct_completion_t *comp)
{
    uct_vmp_iface_t *iface = ucs_container_of(tl_iface, uct_vmp_iface_t,
                                              super.super);

    if (comp != NULL) {
        return UCS_ERR_UNSUPPORTED;
    }

    /* UCP takes "flushed" for all that it was asked to send, so that what waits
     * counts, too. */
    return (iface->num_pending > 0) ? UCS_INPROGRESS :
           (ucs_status_t)vmp_iface_flush(iface->core);
}

static ucs_status_t uct_vmp_iface_fence(uct_iface_h tl_iface, unsigned flags)
{
    uct_vmp_iface_t *iface = ucs_container_of(tl_iface, uct_vmp_iface_t,
                                              super.super);

    /* requests that wait are before this fence, see uct_vmp_pending.c */
    ++iface->fence_gen;
    return (ucs_status_t)vmp_iface_fence(iface->core);
}

static ucs_status_t uct_vmp_iface_event_fd_get(uct_iface_h tl_iface, int *fd_p)
{
    uct_vmp_iface_t *iface = ucs_container_of(tl_iface, uct_vmp_iface_t,
                                              super.super);
    int fd                 = vmp_iface_event_fd(iface->core);

    if (fd < 0) {
        return UCS_ERR_UNSUPPORTED;
    }

    *fd_p = fd;
    return UCS_OK;
}

/* UCP takes any other answer than these two for fatal */
static ucs_status_t uct_vmp_iface_event_arm(uct_iface_h tl_iface,
                                            unsigned events)
{
    uct_vmp_iface_t *iface = ucs_container_of(tl_iface, uct_vmp_iface_t,
                                              super.super);
    unsigned core_events   = 0;

    if (events & UCT_EVENT_SEND_COMP) {
        core_events |= VMP_PORT_EVENT_TX;
    }

    if (events & (UCT_EVENT_RECV | UCT_EVENT_RECV_SIG)) {
        core_events |= VMP_PORT_EVENT_RX;
    }

    return (vmp_iface_event_arm(iface->core, core_events) == VMP_OK) ?
           UCS_OK : UCS_ERR_BUSY;
}

/* Slots of what vmp does not have */
static void uct_vmp_iface_vfs_refresh(uct_iface_h iface)
{
}

static ucs_status_t uct_vmp_ep_query(uct_ep_h ep, uct_ep_attr_t *attr)
{
    return UCS_ERR_UNSUPPORTED;
}

#if UCT_VMP_ABI_INTERNAL_OPS >= 7
static ucs_status_t
uct_vmp_ep_connect_to_ep_v2(uct_ep_h ep, const uct_device_addr_t *device_addr,
                            const uct_ep_addr_t *ep_addr,
                            const uct_ep_connect_to_ep_params_t *params)
{
    return UCS_ERR_UNSUPPORTED;
}

static int
uct_vmp_iface_is_reachable_v2(const uct_iface_h tl_iface,
                              const uct_iface_is_reachable_params_t *params)
{
    uct_vmp_iface_t *iface              = ucs_container_of(tl_iface,
                                                           uct_vmp_iface_t,
                                                           super.super);
    const uct_device_addr_t *device_addr =
            UCS_PARAM_VALUE(UCT_IFACE_IS_REACHABLE_FIELD, params, device_addr,
                            DEVICE_ADDR, NULL);
    const uct_iface_addr_t *iface_addr   =
            UCS_PARAM_VALUE(UCT_IFACE_IS_REACHABLE_FIELD, params, iface_addr,
                            IFACE_ADDR, NULL);
    char *reason                         =
            UCS_PARAM_VALUE(UCT_IFACE_IS_REACHABLE_FIELD, params, info_string,
                            INFO_STRING, NULL);
    size_t max                           =
            UCS_PARAM_VALUE(UCT_IFACE_IS_REACHABLE_FIELD, params,
                            info_string_length, INFO_STRING_LENGTH, 0);
    vmp_rail_addr_t rail;

    if ((device_addr == NULL) ||
        !uct_vmp_iface_can_reach(iface, device_addr, iface_addr, &rail, reason,
                                 (reason == NULL) ? 0 : max)) {
        return 0;
    }

    if (UCS_PARAM_VALUE(UCT_IFACE_IS_REACHABLE_FIELD, params, scope, SCOPE,
                        UCT_IFACE_REACHABILITY_SCOPE_NETWORK) ==
        UCT_IFACE_REACHABILITY_SCOPE_NETWORK) {
        return 1;
    }

    return !memcmp(rail.gid, iface->attr.rail_addr.gid, sizeof(rail.gid)) &&
           (rail.lid == iface->attr.rail_addr.lid);
}
#endif

static uct_iface_internal_ops_t uct_vmp_iface_internal_ops = {
    .iface_estimate_perf   = uct_base_iface_estimate_perf,
    .iface_vfs_refresh     = uct_vmp_iface_vfs_refresh,
    .ep_query              = uct_vmp_ep_query,
    .ep_invalidate         = uct_vmp_ep_invalidate,
#if UCT_VMP_ABI_INTERNAL_OPS >= 7
    .ep_connect_to_ep_v2   = uct_vmp_ep_connect_to_ep_v2,
    .iface_is_reachable_v2 = uct_vmp_iface_is_reachable_v2,
    .ep_is_connected       = uct_vmp_ep_is_connected
#endif
};

static void uct_vmp_iface_close(uct_iface_t *iface);

static uct_iface_ops_t uct_vmp_iface_ops = {
    .ep_put_short             = uct_vmp_ep_put_short,
    .ep_put_bcopy             = uct_vmp_ep_put_bcopy,
    .ep_put_zcopy             = uct_vmp_ep_put_zcopy,
    .ep_get_bcopy             = uct_vmp_ep_get_bcopy,
    .ep_get_zcopy             = uct_vmp_ep_get_zcopy,
    .ep_am_short              = uct_vmp_ep_am_short,
    .ep_am_short_iov          = uct_vmp_ep_am_short_iov,
    .ep_am_bcopy              = uct_vmp_ep_am_bcopy,
    .ep_am_zcopy              = uct_vmp_ep_am_zcopy,
    .ep_pending_add           = uct_vmp_ep_pending_add,
    .ep_pending_purge         = uct_vmp_ep_pending_purge,
    .ep_flush                 = uct_vmp_ep_flush,
    .ep_fence                 = uct_vmp_ep_fence,
    .ep_check                 = uct_vmp_ep_check,
    .ep_create                = uct_vmp_ep_create,
    .ep_destroy               = uct_vmp_ep_destroy,
    .iface_flush              = uct_vmp_iface_flush,
    .iface_fence              = uct_vmp_iface_fence,
    .iface_progress_enable    = uct_base_iface_progress_enable,
    .iface_progress_disable   = uct_base_iface_progress_disable,
    .iface_progress           = uct_vmp_iface_progress,
    .iface_event_fd_get       = uct_vmp_iface_event_fd_get,
    .iface_event_arm          = uct_vmp_iface_event_arm,
    .iface_close              = uct_vmp_iface_close,
    .iface_query              = uct_vmp_iface_query,
    .iface_get_device_address = uct_vmp_iface_get_device_address,
    .iface_get_address        = uct_vmp_iface_get_address,
    .iface_is_reachable       = uct_vmp_iface_is_reachable
};

/* "mlx5_0:1" of the domain of mlx5_0. */
static ucs_status_t uct_vmp_iface_parse_device(const uct_vmp_md_t *md,
                                               const char *name,
                                               uint8_t *port_num_p)
{
    size_t length = strlen(md->name);
    unsigned long port_num;
    char *end;

    if (!strncmp(name, md->name, length) && (name[length] == ':')) {
        errno    = 0;
        port_num = strtoul(&name[length + 1], &end, 10);
        if ((errno == 0) && (end != &name[length + 1]) && (*end == '\0') &&
            (port_num >= 1) && (port_num <= UINT8_MAX)) {
            *port_num_p = port_num;
            return UCS_OK;
        }
    }

    vmp_error("\"%s\" is no device of vmp: must be %s:PORT", name, md->name);
    return UCS_ERR_NO_DEVICE;
}

static void uct_vmp_iface_set_perf(uct_vmp_iface_t *iface,
                                   const uct_vmp_md_t *md,
                                   const uct_vmp_iface_config_t *config)
{
    iface->latency   = config->latency;
    iface->overhead  = config->overhead;
    iface->bandwidth = config->bandwidth;
    if (iface->bandwidth < 0) {
        iface->bandwidth = uct_vmp_pci_bandwidth(md->name);
        if (iface->bandwidth > iface->attr.speed) {
            iface->bandwidth = iface->attr.speed;
        }
        iface->bandwidth *= UCT_VMP_IFACE_BANDWIDTH_FACTOR;
    }

    if (iface->bandwidth < UCT_VMP_IFACE_BANDWIDTH_MIN) {
        iface->bandwidth = UCT_VMP_IFACE_BANDWIDTH_MIN;
    }
}

/* How messages are to be aligned. UCP's offset is its header's length, whatever
 * the alignment: what counts is the rest. */
static ucs_status_t uct_vmp_iface_set_align(uct_vmp_iface_t *iface,
                                            const uct_iface_params_t *params)
{
    size_t align  = UCS_PARAM_VALUE(UCT_IFACE_PARAM_FIELD, params, am_alignment,
                                    AM_ALIGNMENT, 1);
    size_t offset = UCS_PARAM_VALUE(UCT_IFACE_PARAM_FIELD, params,
                                    am_align_offset, AM_ALIGN_OFFSET, 0);

    if ((align == 0) || ((align & (align - 1)) != 0) ||
        ((offset > 0) &&
         !(params->field_mask & UCT_IFACE_PARAM_FIELD_AM_ALIGNMENT))) {
        vmp_error("messages aligned to %zu, offset %zu: must be a power of 2, "
                  "and an offset needs an alignment", align, offset);
        return UCS_ERR_INVALID_PARAM;
    }

    iface->align_mask   = align - 1;
    iface->align_offset = offset & iface->align_mask;
    return UCS_OK;
}

static UCS_CLASS_INIT_FUNC(uct_vmp_iface_t, uct_md_h tl_md, uct_worker_h worker,
                           const uct_iface_params_t *params,
                           const uct_iface_config_t *tl_config)
{
    const uct_vmp_md_t *md               = ucs_container_of(tl_md, uct_vmp_md_t,
                                                            super);
    const uct_vmp_iface_config_t *config = ucs_container_of(
                                                    tl_config,
                                                    uct_vmp_iface_config_t,
                                                    super);
    vmp_iface_ops_t core_ops             = uct_vmp_core_ops;
    vmp_iface_params_t core_params;
    ucs_status_t status;

    if (!(params->field_mask & UCT_IFACE_PARAM_FIELD_OPEN_MODE) ||
        !(params->open_mode & UCT_IFACE_OPEN_MODE_DEVICE)) {
        return UCS_ERR_UNSUPPORTED;
    }

    UCS_CLASS_CALL_SUPER_INIT(uct_base_iface_t, &uct_vmp_iface_ops,
                              &uct_vmp_iface_internal_ops, tl_md, worker,
                              params, tl_config, NULL, "vmp");

    uct_vmp_log_init();
    uct_vmp_log_set_failure(self->super.config.failure_level);
    self->rx_headroom     = UCS_PARAM_VALUE(UCT_IFACE_PARAM_FIELD, params,
                                            rx_headroom, RX_HEADROOM, 0);
    self->release_desc.cb = uct_vmp_iface_release_desc;
    self->num_pending     = 0;
    self->fence_gen       = 0;
    self->progress_seq    = 0;

    status = uct_vmp_iface_set_align(self, params);
    if (status != UCS_OK) {
        return status;
    }

    status = (ucs_status_t)uct_vmp_config_to_params(config, &core_params);
    if (status != UCS_OK) {
        return status;
    }

    core_params.rx_headroom             = self->rx_headroom;
    core_params.rx_priv                 = sizeof(uct_recv_desc_t*);
    core_params.rx_align                = self->align_mask + 1;
    core_params.rx_align_offset         = self->align_offset;
    core_params.ops                     = &core_ops;
    core_params.arg                     = self;
    core_params.port.num_rails          = 1;
    core_params.port.rails[0].dev_index = 0;
    status = uct_vmp_iface_parse_device(md, params->mode.device.dev_name,
                                        &core_params.port.rails[0].port_num);
    if (status != UCS_OK) {
        return status;
    }

    status = (ucs_status_t)uct_vmp_stats_open(config->stats, &self->stats_fd);
    if (status != UCS_OK) {
        return status;
    }

    if (self->stats_fd != UCT_VMP_STATS_OFF) {
        core_ops.stats = uct_vmp_iface_stats;
    }

    status = (ucs_status_t)vmp_iface_create(md->port_md, &core_params,
                                            &self->core);
    if (status != UCS_OK) {
        uct_vmp_stats_close(self->stats_fd);
        return status;
    }

    vmp_iface_query(self->core, &self->attr);
    uct_vmp_iface_set_perf(self, md, config);
    return UCS_OK;
}

static UCS_CLASS_CLEANUP_FUNC(uct_vmp_iface_t)
{
    uct_base_iface_progress_disable(&self->super.super,
                                    UCT_PROGRESS_SEND | UCT_PROGRESS_RECV);
    vmp_iface_destroy(self->core);
    uct_vmp_stats_close(self->stats_fd);
}

UCS_CLASS_DEFINE(uct_vmp_iface_t, uct_base_iface_t)
UCS_CLASS_DEFINE_NAMED_NEW_FUNC(uct_vmp_iface_open, uct_vmp_iface_t,
                                uct_iface_t, uct_md_h, uct_worker_h,
                                const uct_iface_params_t*,
                                const uct_iface_config_t*)
static UCS_CLASS_DEFINE_NAMED_DELETE_FUNC(uct_vmp_iface_close, uct_vmp_iface_t,
                                          uct_iface_t)
