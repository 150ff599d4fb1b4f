/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef FAKE_CORE_H_
#define FAKE_CORE_H_

#include "core/vmp_core.h"


/**
 * A core, and the part of the port that the glue uses, within one process: what
 * is sent lies in a queue until the receiver progresses, remote memory is local
 * memory, and the test decides when there is room. One thread.
 */
typedef struct fake_core {
    unsigned           num_devices;     /**< What query_devices finds */
    unsigned           room;            /**< Sends that succeed from now on */
    unsigned           num_regions;     /**< Registrations that are alive */
    unsigned           num_kept;        /**< Receive buffers that are kept */
    unsigned           num_sends;       /**< Sends that succeeded */
    char               trace[64];       /**< First byte of each am_short(), '|'
                                             for each fence of an endpoint */
    int                event_fd;        /**< Of all interfaces */
    vmp_status_t       arm_status;      /**< What vmp_iface_event_arm() returns
                                             when nothing is there */
    unsigned           armed;           /**< Events of its last call */
    unsigned           flush_flags;     /**< Of the last vmp_ep_flush() */
    int                no_am_zcopy;     /**< The device has one SGE */
    unsigned path_mtu;      /**< Bytes; 0: 4096 */
    int                is_unread;       /**< What vmp_ep_is_unread() returns */
    vmp_status_t       create_status;   /**< What vmp_iface_create() returns */
    vmp_iface_params_t params;          /**< Of the last interface */
    vmp_rail_addr_t    ep_rail;         /**< Peer of the last endpoint */
} fake_core_t;

extern fake_core_t fake_core;


#define FAKE_LKEY 0x1234

/** Whether memory of this remote key is registered. */
int fake_core_has_key(uint32_t rkey);

/** Report an endpoint as lost. */
void fake_core_fail(vmp_ep_t *ep, vmp_status_t status);

#endif
