/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_TYPES_H_
#define VMP_TYPES_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>


/** Upper bounds of what one build handles; wire fields are checked against
 *  them before use. */
#define VMP_MAX_PATHS    64  /**< Paths of one connection */
#define VMP_MAX_RAILS    4   /**< Rails of one interface, devices of one MD */
#define VMP_MAX_IOV      4   /**< Scatter-gather entries of one operation */
#define VMP_MAX_UD       8   /**< Control (UD) QPs of one rail */


/**
 * Result of an operation. The numbers equal those of UCX's ucs_status_t, so
 * that the UCT glue passes them on by a cast (it asserts so statically).
 */
typedef enum vmp_status {
    VMP_OK                   = 0,
    VMP_INPROGRESS           = 1,
    VMP_ERR_NO_RESOURCE      = -2,
    VMP_ERR_IO_ERROR         = -3,
    VMP_ERR_NO_MEMORY        = -4,
    VMP_ERR_INVALID_PARAM    = -5,
    VMP_ERR_UNREACHABLE      = -6,
    VMP_ERR_INVALID_ADDR     = -7,
    VMP_ERR_NO_ELEM          = -12,
    VMP_ERR_NO_DEVICE        = -14,
    VMP_ERR_BUSY             = -15,
    VMP_ERR_CANCELED         = -16,
    VMP_ERR_UNSUPPORTED      = -22,
    VMP_ERR_REJECTED         = -23,
    VMP_ERR_CONNECTION_RESET = -25,
    VMP_ERR_ENDPOINT_TIMEOUT = -80
} vmp_status_t;


/**
 * A registered local memory region: one key per device of the MD. Owned by who
 * registered it; must outlive every operation that names it.
 */
typedef struct vmp_mem {
    void     *mr[VMP_MAX_RAILS];    /**< The port's handles */
    uint32_t lkey[VMP_MAX_RAILS];   /**< By local device index */
    uint32_t rkey[VMP_MAX_RAILS];   /**< By local device index, for export */
    uint8_t  num_devs;
} vmp_mem_t;


/** A remote region as unpacked from its packed form: one key per device of the
 *  peer's MD. Copied by the core when it outlives a call. */
typedef struct vmp_rkey {
    uint32_t key[VMP_MAX_RAILS];    /**< By remote device index */
    uint8_t  num_devs;
} vmp_rkey_t;


/** One piece of a local buffer. */
typedef struct vmp_iov {
    void            *buffer;
    size_t          length;         /**< Bytes */
    const vmp_mem_t *mem;
} vmp_iov_t;


/** Where a rail is found in the network: a GID (RoCE, or IB with GRH) and LID.
 *  The UCX device address is made of it (uct/uct_vmp_addr.h). */
typedef struct vmp_rail_addr {
    uint8_t  gid[16];
    uint16_t lid;
    uint8_t  is_roce;
    uint8_t  mtu;                   /**< enum ibv_mtu of the port, 1..5 */
} vmp_rail_addr_t;

/** A RoCE GID made of an IPv4 address: ::ffff:a.b.c.d */
static inline int vmp_gid_is_ipv4(const uint8_t *gid)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(gid, prefix, sizeof(prefix)) == 0;
}


/** An interface's address: what a peer needs to send it a CONNECT. The
 *  UCX iface address is made of it. */
typedef struct vmp_iface_addr {
    uint64_t id;                    /**< Random, names the interface for ever */
    uint8_t  ver_min;
    uint8_t  ver_max;
    uint8_t  num_ud;
    uint32_t ud_qpn[VMP_MAX_UD];    /**< Control QPs of the home rail */
} vmp_iface_addr_t;


#define VMP_DEVICE_ADDR_LEN  20     /**< Packed vmp_rail_addr_t, bytes */
#define VMP_IFACE_ADDR_LEN   36     /**< Packed vmp_iface_addr_t, bytes */


#endif
