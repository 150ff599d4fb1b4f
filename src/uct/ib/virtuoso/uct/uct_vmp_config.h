/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef UCT_VMP_CONFIG_H_
#define UCT_VMP_CONFIG_H_

#include "uct_vmp_weak.h"

#include "core/vmp_core.h"


/** Settings of a memory domain, UCX_VMP_*. */
typedef struct uct_vmp_md_config {
    struct uct_md_config super;
    int                  rcache;            /**< Keep registrations */
} uct_vmp_md_config_t;


/** Settings of an interface, UCX_VMP_*; see the table's help texts. */
typedef struct uct_vmp_iface_config {
    struct uct_iface_config super;
    unsigned                num_paths;
    size_t                  spread_thresh;
    char                    *policy;
    size_t                  chunk_size;
    size_t                  path_window;
    size_t                  seg_size;
    double                  peer_timeout;   /**< Seconds */
    double                  suspect_time;   /**< Seconds */
    unsigned                num_ud;
    unsigned                rx_window;
    unsigned                rx_window_min;
    unsigned                tx_queue_len;
    unsigned                tx_cq_len;
    unsigned                rx_queue_len;
    unsigned                rx_max_bufs;
    unsigned                tx_max_bufs;
    size_t                  max_inline;
    unsigned                max_sge;
    unsigned                max_rd_atomic;
    unsigned long           gid_index;
    unsigned long           traffic_class;
    unsigned long           sl;
    unsigned long           pkey;           /**< UCX's parser writes 8 bytes */
    unsigned                path_mtu;       /**< enum ibv_mtu, 0: the port's */
    double                  timeout;        /**< Seconds */
    unsigned                retry_count;
    double                  rnr_timeout;    /**< Seconds */
    char                    *stats;         /**< Where they go; "": nowhere */
    double                  bandwidth;      /**< Bytes/s, < 0: automatic */
    double                  latency;        /**< Seconds */
    double                  overhead;       /**< Seconds */
} uct_vmp_iface_config_t;


extern ucs_config_field_t uct_vmp_md_config_table[];
extern ucs_config_field_t uct_vmp_iface_config_table[];


/**
 * Check an interface's settings and translate them to the core's parameters.
 * Sets all but the device, headroom, callbacks.
 *
 * @param [in]  config  Settings as UCX read them; must outlive `params`, which
 *                      points to its strings.
 * @param [out] params  Filled.
 *
 * @return VMP_OK, or VMP_ERR_INVALID_PARAM after one error line naming the
 *         variable, its value and what is allowed.
 */
vmp_status_t uct_vmp_config_to_params(const uct_vmp_iface_config_t *config,
                                      vmp_iface_params_t *params);

#endif
