/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_RX_H_
#define VMP_RX_H_

#include "vmp_core.h"
#include "vmp_pool.h"
#include "vmp_wire.h"


/**
 * A receive buffer: [vmp_rx][rx_priv][rx_headroom][payload]. The NIC writes the
 * frame header directly before the payload, where it is read before the user
 * may write there; `wire` is its room if rx_priv and rx_headroom are shorter.
 */
struct vmp_rx {
    vmp_buf_t   super;
    vmp_iface_t *iface;
    uint32_t    length;                     /**< Bytes of payload */
    uint8_t     type;                       /**< vmp_frame_type_t */
    uint8_t     am_id;
    uint8_t     rail;
    uint8_t     is_heap;                    /**< A copy, not of the pool */
    uint8_t     wire[VMP_FRAME_HDR_LEN];
};


/** Geometry and pool of an interface's receive buffers */
typedef struct vmp_rx_conf {
    vmp_buf_pool_t pool;
    size_t         priv_headroom;           /**< Bytes of both */
    size_t         frame_size;              /**< Largest frame, bytes */
} vmp_rx_conf_t;


vmp_status_t vmp_rx_init(vmp_iface_t *iface);

/** Nothing may be posted any more. */
void vmp_rx_cleanup(vmp_iface_t *iface);

/** Refill the SRQ of a rail as far as the pool goes. */
void vmp_rx_refill(vmp_iface_t *iface, unsigned rail);

/** Poll and handle arrivals of a rail. Return how many. */
unsigned vmp_rx_poll(vmp_iface_t *iface, unsigned rail);

/** Where the payload of a buffer begins */
void *vmp_rx_data(vmp_rx_t *rx);

/** Give a message to the user and let go of its buffer. */
void vmp_rx_deliver(vmp_iface_t *iface, vmp_rx_t *rx);

/** Whether the SRQ can do without a buffer that came in. */
int vmp_rx_can_replace(vmp_iface_t *iface, const vmp_rx_t *rx);

/** Let go of a buffer that is not (or no longer) the user's. */
void vmp_rx_free(vmp_iface_t *iface, vmp_rx_t *rx);

/** A copy on the heap, so that the buffer can go back. NULL: no memory. */
vmp_rx_t *vmp_rx_copy(vmp_iface_t *iface, vmp_rx_t *rx);


#endif
