/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef UCT_VMP_IFACE_H_
#define UCT_VMP_IFACE_H_

#include "uct_vmp_weak.h"

#include "core/vmp_core.h"


/** UCX's view of one interface of the core. */
typedef struct uct_vmp_iface {
    uct_base_iface_t super;
    vmp_iface_t      *core;
    vmp_iface_attr_t attr;          /**< Of the core; constant */
    size_t           rx_headroom;   /**< Bytes UCX wants before a message */
    uct_recv_desc_t  release_desc;  /**< Gives kept buffers back */
    size_t           align_mask;    /**< Messages that UCX may keep, plus */
    size_t           align_offset;  /**< that, have none of these bits */
    unsigned         num_pending;   /**< Requests that wait on endpoints */
    uint32_t         fence_gen;     /**< Counts fences; see uct_vmp_pending.c */
    uint32_t         progress_seq;  /**< Counts progress */
    int              stats_fd;      /**< Or UCT_VMP_STATS_OFF */
    double           bandwidth;     /**< What UCX is told, bytes/s */
    double           latency;       /**< The same, seconds */
    double           overhead;      /**< The same, seconds */
} uct_vmp_iface_t;


/** Transport methods; see uct_tl_t. Errors are logged. */
ucs_status_t uct_vmp_query_tl_devices(uct_md_h md,
                                      uct_tl_device_resource_t **devices_p,
                                      unsigned *num_devices_p);

ucs_status_t uct_vmp_iface_open(uct_md_h md, uct_worker_h worker,
                                const uct_iface_params_t *params,
                                const uct_iface_config_t *config,
                                uct_iface_h *iface_p);


/** Whether a peer with this address can be reached, and if not, why not.
 *
 * @param [in]  iface        From here.
 * @param [in]  device_addr  Packed address of the peer's device.
 * @param [in]  iface_addr   Packed address of its interface, or NULL.
 * @param [out] rail         Where it is, if the answer is yes.
 * @param [out] reason       One sentence, if the answer is no.
 * @param [in]  max          Size of reason; may be 0.
 */
int uct_vmp_iface_can_reach(uct_vmp_iface_t *iface,
                            const uct_device_addr_t *device_addr,
                            const uct_iface_addr_t *iface_addr,
                            vmp_rail_addr_t *rail, char *reason, size_t max);


/** What is wrong where uct_vmp_rail_addr_resolve() says no. */
#define UCT_VMP_OTHER_IP \
    "one side has an IPv4 address and the other an IPv6 one; see " \
    "UCX_VMP_GID_INDEX"


/**
 * Bandwidth of the device's PCI link as the kernel reports it.
 *
 * @param [in]  name  Verbs device.
 *
 * @return Bytes/s, or a very large number where there is no such link.
 */
double uct_vmp_pci_bandwidth(const char *name);

#endif
