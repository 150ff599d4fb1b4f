/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "uct_vmp_addr.h"

#include "core/vmp_wire.h"

#include <string.h>


/* First byte of our device address. It is not one of uct_ib, whose flags below
 * leave the highest bit alone. */
#define UCT_VMP_DEVICE_ADDR_TAG    0x80

/* uct_ib's device address: these flags, and what they announce, in this order.
 * The same in UCX 1.12 to 1.22. Numbers are in the byte order of the host. */
#define UCT_VMP_IB_ADDR_MTU        0x02     /* last of what we read: 1 byte */
#define UCT_VMP_IB_ADDR_ETH        0x08     /* RoCE: GID, 16 bytes */
#define UCT_VMP_IB_ADDR_SUBNET16   0x10     /* else: LID 2, and these */
#define UCT_VMP_IB_ADDR_SUBNET64   0x20
#define UCT_VMP_IB_ADDR_IF_ID      0x40

#define UCT_VMP_IB_MTU_4096        5        /* enum ibv_mtu, the default */

/* Of an interface address */
#define UCT_VMP_IFACE_ADDR_FIXED   14       /* bytes; then the control QPs */
#define UCT_VMP_IPV4_IN_GID        12       /* offset */


size_t uct_vmp_iface_addr_len(const vmp_iface_addr_t *addr)
{
    unsigned num_ud = (addr->num_ud < UCT_VMP_IFACE_ADDR_MAX_UD) ?
                      addr->num_ud : UCT_VMP_IFACE_ADDR_MAX_UD;

    return UCT_VMP_IFACE_ADDR_FIXED + (3 * num_ud);
}

void uct_vmp_iface_addr_pack(void *buf, const vmp_iface_addr_t *addr,
                             const vmp_rail_addr_t *rail)
{
    unsigned num_ud = (uct_vmp_iface_addr_len(addr) -
                       UCT_VMP_IFACE_ADDR_FIXED) / 3;
    uint8_t *p      = buf;
    unsigned i;

    for (i = 0; i < sizeof(addr->id); ++i) {
        *p++ = (uint8_t)(addr->id >> (56 - (8 * i)));
    }

    *p++ = (uint8_t)((addr->ver_min << 4) | addr->ver_max);
    *p++ = (uint8_t)num_ud;
    memset(p, 0, UCT_VMP_IPV4_LEN);
    if (rail->is_roce && vmp_gid_is_ipv4(rail->gid)) {
        memcpy(p, &rail->gid[UCT_VMP_IPV4_IN_GID], UCT_VMP_IPV4_LEN);
    }

    p += UCT_VMP_IPV4_LEN;
    for (i = 0; i < num_ud; ++i) {
        *p++ = (uint8_t)(addr->ud_qpn[i] >> 16);
        *p++ = (uint8_t)(addr->ud_qpn[i] >> 8);
        *p++ = (uint8_t)addr->ud_qpn[i];
    }
}

int uct_vmp_iface_addr_unpack(const void *buf, vmp_iface_addr_t *addr,
                              uint8_t *ipv4)
{
    const uint8_t *p = buf;
    unsigned i;

    memset(addr, 0, sizeof(*addr));
    for (i = 0; i < sizeof(addr->id); ++i) {
        addr->id = (addr->id << 8) | *p++;
    }

    addr->ver_min = *p >> 4;
    addr->ver_max = *p++ & 0xf;
    addr->num_ud  = *p++;
    if ((addr->id == 0) || (addr->ver_min == 0) ||
        (addr->ver_min > addr->ver_max) ||
        (addr->ver_min > VMP_WIRE_VER_MAX) ||
        (addr->ver_max < VMP_WIRE_VER_MIN) || (addr->num_ud == 0) ||
        (addr->num_ud > UCT_VMP_IFACE_ADDR_MAX_UD)) {
        return -1;
    }

    memcpy(ipv4, p, UCT_VMP_IPV4_LEN);
    p += UCT_VMP_IPV4_LEN;
    for (i = 0; i < addr->num_ud; ++i, p += 3) {
        addr->ud_qpn[i] = ((uint32_t)p[0] << 16) | ((uint32_t)p[1] << 8) | p[2];
        if (addr->ud_qpn[i] == 0) {
            return -1;
        }
    }

    return 0;
}

void uct_vmp_device_addr_pack(void *buf, const vmp_rail_addr_t *addr)
{
    uint8_t *p = buf;

    *p = UCT_VMP_DEVICE_ADDR_TAG;
    vmp_rail_addr_pack(p + 1, addr);
}

/* What UCP has from RDMA CM */
static int uct_vmp_ib_addr_unpack(const uint8_t *p, vmp_rail_addr_t *addr)
{
    static const uint8_t link_local[] = { 0xfe, 0x80 };
    static const uint8_t site_local[] = { 0xfe, 0xc0 };
    const uint8_t flags               = *p++;
    uint8_t packed[VMP_DEVICE_ADDR_LEN];

    memset(addr, 0, sizeof(*addr));
    addr->mtu = UCT_VMP_IB_MTU_4096;
    if (flags & UCT_VMP_IB_ADDR_ETH) {
        addr->is_roce = 1;
        memcpy(addr->gid, p, sizeof(addr->gid));
        p += sizeof(addr->gid);
    } else {
        memcpy(addr->gid, link_local, sizeof(link_local));
        memcpy(&addr->lid, p, sizeof(addr->lid));
        p += sizeof(addr->lid);
        if (flags & UCT_VMP_IB_ADDR_IF_ID) {
            memcpy(&addr->gid[8], p, 8);
            p += 8;
        }

        if (flags & UCT_VMP_IB_ADDR_SUBNET16) {
            memcpy(addr->gid, site_local, sizeof(site_local));
            memcpy(&addr->gid[6], p, 2);
            p += 2;
        } else if (flags & UCT_VMP_IB_ADDR_SUBNET64) {
            memcpy(addr->gid, p, 8);
            p += 8;
        }

    }

    if (flags & UCT_VMP_IB_ADDR_MTU) {
        addr->mtu = *p;
    }

    /* the checks of our own form */
    vmp_rail_addr_pack(packed, addr);
    return vmp_rail_addr_unpack(packed, addr);
}

int uct_vmp_device_addr_unpack(const void *buf, vmp_rail_addr_t *addr)
{
    const uint8_t *p = buf;

    if (*p & UCT_VMP_DEVICE_ADDR_TAG) {
        return (*p == UCT_VMP_DEVICE_ADDR_TAG) ?
               vmp_rail_addr_unpack(p + 1, addr) : -1;
    }

    return uct_vmp_ib_addr_unpack(p, addr);
}

/* Whether one host may have it. Peers say what they like, and RDMA CM does not
 * look at it. */
static int uct_vmp_ipv4_is_host(const uint8_t *ipv4)
{
    static const uint8_t broadcast[UCT_VMP_IPV4_LEN] = { 255, 255, 255, 255 };

    return (ipv4[0] != 0) && (ipv4[0] != 127) && ((ipv4[0] >> 4) != 0xe) &&
           (memcmp(ipv4, broadcast, sizeof(broadcast)) != 0);
}

int uct_vmp_rail_addr_resolve(const vmp_rail_addr_t *own, const uint8_t *ipv4,
                              vmp_rail_addr_t *rail)
{
    static const uint8_t none[UCT_VMP_IPV4_LEN];
    const int own_is_ipv4 = vmp_gid_is_ipv4(own->gid);
    const int is_same     = (own_is_ipv4 == vmp_gid_is_ipv4(rail->gid));

    if (!own->is_roce || !rail->is_roce) {
        return 1;
    }

    if (ipv4 == NULL) {
        return is_same;
    }

    /* It would have to answer from a GID of the kind that it has */
    if (own_is_ipv4 == (memcmp(ipv4, none, sizeof(none)) == 0)) {
        return 0;
    }

    if (is_same) {
        return 1;
    }

    /* 0.0.0.0, too: both rails are of IPv6, and nobody knows the peer's */
    if (!uct_vmp_ipv4_is_host(ipv4)) {
        return 0;
    }

    memcpy(rail->gid, own->gid, UCT_VMP_IPV4_IN_GID); /* ::ffff */
    memcpy(&rail->gid[UCT_VMP_IPV4_IN_GID], ipv4, UCT_VMP_IPV4_LEN);
    return 1;
}
