/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef UCT_VMP_ADDR_H_
#define UCT_VMP_ADDR_H_

#include "core/vmp_types.h"

#include <stddef.h>


/*
 * Addresses as UCX carries them, docs/protocol.md. They are shorter than those
 * in control datagrams: what UCP says in RDMA CM's private data to connect two
 * sockets' addresses has 54 bytes, and our interface address is in it. The
 * device address is not: there UCP gives us what RDMA CM knows, in the form of
 * UCX's own transports. So we read both forms.
 */

/** Packed device address, bytes. */
#define UCT_VMP_DEVICE_ADDR_LEN    21

/** Control QPs in an interface address at most; the peer's CONNECT has all. */
#define UCT_VMP_IFACE_ADDR_MAX_UD  2

/** Bytes of an IPv4 address */
#define UCT_VMP_IPV4_LEN           4


/** Bytes of a packed interface address; the same for all with as many QPs. */
size_t uct_vmp_iface_addr_len(const vmp_iface_addr_t *addr);

/** @param [in]  rail  Our home rail. Its IPv4 address is told, if it has one:
 *                     RDMA CM may know another address of ours. */
void uct_vmp_iface_addr_pack(void *buf, const vmp_iface_addr_t *addr,
                             const vmp_rail_addr_t *rail);

/** @param [out] ipv4  UCT_VMP_IPV4_LEN bytes: of the peer's home rail, or 0.0.0.0.
 *  @return 0, or -1: not an address of vmp, or of no version that we know. */
int uct_vmp_iface_addr_unpack(const void *buf, vmp_iface_addr_t *addr,
                              uint8_t *ipv4);

void uct_vmp_device_addr_pack(void *buf, const vmp_rail_addr_t *addr);

/** Reads our own form and uct_ib's. @return 0, or -1: neither. */
int uct_vmp_device_addr_unpack(const void *buf, vmp_rail_addr_t *addr);

/**
 * Where a peer is for us: its device address, but who listens on an IPv6 address
 * is known by that to RDMA CM, while both our rails may be of IPv4.
 *
 * @param [in]     own   Our home rail.
 * @param [in]     ipv4  What the peer's interface address tells, or NULL: not
 *                       known.
 * @param [in,out] rail  The peer's device address; becomes that of its home rail
 *                       where RDMA CM knows another.
 *
 * @return 1, or 0: both are of RoCE, but one of IPv4 and the other of IPv6.
 */
int uct_vmp_rail_addr_resolve(const vmp_rail_addr_t *own, const uint8_t *ipv4,
                              vmp_rail_addr_t *rail);

#endif
