/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Addresses as UCX carries them: our forms, by bytes written down, and the
 * device address of uct_ib, which UCP hands to us for endpoints that RDMA CM
 * connects.
 */

#include "unit/vmp_check.h"
#include "uct/uct_vmp_addr.h"

#include <string.h>


uint64_t vmp_check_seed = 1;

/* UCX 1.13 and 1.18: RDMA CM's private data less its header, less UCP's part of
 * it with the settings as they are */
#define ROOM_IN_PRIVATE_DATA (54 - 9 - 23)


/* 10.1.2.2 */
static vmp_rail_addr_t ipv4_rail(int is_roce)
{
    return (vmp_rail_addr_t){
        .gid     = {[10] = 0xff, [11] = 0xff, [12] = 10, 1, 2, 2},
        .is_roce = is_roce, .mtu = 3
    };
}

/* fd00::6 */
static vmp_rail_addr_t ipv6_rail(void)
{
    return (vmp_rail_addr_t){ .gid = { 0xfd, [15] = 6 }, .is_roce = 1,
                              .mtu = 4 };
}

static void test_iface_addr(void)
{
    static const uint8_t golden[] = {
        0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,     /* id */
        0x22, 0x02,                                         /* versions; QPs */
        10, 1, 2, 2,                                        /* IPv4 */
        0x00, 0x00, 0x11, 0x12, 0x34, 0x56                  /* their numbers */
    };
    static const struct {
        uint8_t at, value;
    } wrong[] = { {8, 0x02}, {8, 0x32}, {8, 0x11}, {8, 0xff}, {9, 0}, {9, 5} };
    vmp_iface_addr_t addr = {
        .id     = 0x0123456789abcdef, .ver_min = 2, .ver_max = 2,
        .num_ud = 2, .ud_qpn = { 0x11, 0x123456 }
    };
    static const uint8_t no_ipv4[4];
    vmp_rail_addr_t rail = ipv4_rail(1);
    uint8_t buf[64], bad[sizeof(golden)];
    vmp_iface_addr_t out;
    unsigned i;

    memset(buf, 0xee, sizeof(buf));
    VMP_CHECK(uct_vmp_iface_addr_len(&addr) == sizeof(golden));
    uct_vmp_iface_addr_pack(buf, &addr, &rail);
    VMP_CHECK(!memcmp(buf, golden, sizeof(golden)));
    VMP_CHECK(buf[sizeof(golden)] == 0xee);
    VMP_CHECK(uct_vmp_iface_addr_unpack(buf, &out) == 0);
    VMP_CHECK(!memcmp(&out, &addr, sizeof(addr)));

    rail = ipv6_rail();
    uct_vmp_iface_addr_pack(bad, &addr, &rail);
    VMP_CHECK(!memcmp(&bad[10], no_ipv4, sizeof(no_ipv4)));
    VMP_CHECK(!memcmp(bad, golden, 10) && !memcmp(&bad[14], &golden[14], 6));
    rail = ipv4_rail(0);    /* looks like one, but is InfiniBand */
    uct_vmp_iface_addr_pack(bad, &addr, &rail);
    VMP_CHECK(!memcmp(&bad[10], no_ipv4, sizeof(no_ipv4)));

    /* what cannot be */
    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); ++i) {
        memcpy(bad, golden, sizeof(bad));
        bad[wrong[i].at] = wrong[i].value;
        VMP_CHECK(uct_vmp_iface_addr_unpack(bad, &out) != 0);
    }
    memcpy(bad, golden, sizeof(bad));
    memset(&bad[14], 0, 3);
    VMP_CHECK(uct_vmp_iface_addr_unpack(bad, &out) != 0);
    memcpy(bad, golden, sizeof(bad));
    memset(bad, 0, sizeof(uint64_t));
    VMP_CHECK(uct_vmp_iface_addr_unpack(bad, &out) != 0);
}

/* However many control QPs there are: connecting by RDMA CM depends on it */
static void test_iface_addr_fits(void)
{
    vmp_iface_addr_t addr = { .id = 7, .ver_min = 2, .ver_max = 2 }, out;
    vmp_rail_addr_t rail  = ipv4_rail(1);
    uint8_t buf[ROOM_IN_PRIVATE_DATA + 1];
    unsigned i;

    for (i = 0; i < VMP_MAX_UD; ++i) {
        addr.ud_qpn[i] = 100 + i;
        addr.num_ud    = i + 1;
        buf[ROOM_IN_PRIVATE_DATA] = 0xee;
        VMP_CHECK(uct_vmp_iface_addr_len(&addr) <= ROOM_IN_PRIVATE_DATA);
        uct_vmp_iface_addr_pack(buf, &addr, &rail);
        VMP_CHECK(buf[ROOM_IN_PRIVATE_DATA] == 0xee);
        VMP_CHECK(uct_vmp_iface_addr_unpack(buf, &out) == 0);
        VMP_CHECK((out.num_ud >= 1) && (out.num_ud <= addr.num_ud));
        VMP_CHECK(!memcmp(out.ud_qpn, addr.ud_qpn,
                          out.num_ud * sizeof(out.ud_qpn[0])));
    }
}

static void test_device_addr(void)
{
    vmp_rail_addr_t addr = { .gid = { 0xfd, 1, [15] = 2 }, .lid = 3,
                             .is_roce = 1, .mtu = 4 }, out;
    uint8_t buf[UCT_VMP_DEVICE_ADDR_LEN + 1];

    buf[UCT_VMP_DEVICE_ADDR_LEN] = 0xee;
    uct_vmp_device_addr_pack(buf, &addr);
    VMP_CHECK(buf[0] == 0x80);
    VMP_CHECK(buf[UCT_VMP_DEVICE_ADDR_LEN] == 0xee);
    VMP_CHECK(uct_vmp_device_addr_unpack(buf, &out) == 0);
    VMP_CHECK(!memcmp(&out, &addr, sizeof(addr)));
    buf[0] = 0x81;
    VMP_CHECK(uct_vmp_device_addr_unpack(buf, &out) != 0);
}

/* As RDMA CM's part of UCX packs it for 10.1.2.2 over RoCE */
static void test_device_addr_of_rdmacm(void)
{
    static const uint8_t gid[16] = {
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 2
    };
    /* GID index, MTU, Ethernet, any version of RoCE */
    uint8_t buf[19] = { 0x01 | 0x02 | 0x08 | (3 << 5) };
    vmp_rail_addr_t out;

    memcpy(&buf[1], gid, sizeof(gid));
    buf[17] = 3;
    buf[18] = 1;
    VMP_CHECK(uct_vmp_device_addr_unpack(buf, &out) == 0);
    VMP_CHECK(out.is_roce && (out.mtu == 3) && (out.lid == 0));
    VMP_CHECK(!memcmp(out.gid, gid, sizeof(gid)));

    buf[17] = 9;    /* no MTU */
    VMP_CHECK(uct_vmp_device_addr_unpack(buf, &out) != 0);
    buf[0] &= ~0x02;
    VMP_CHECK(uct_vmp_device_addr_unpack(buf, &out) == 0);
    VMP_CHECK(out.mtu == 5);
    memset(&buf[1], 0, sizeof(gid));
    VMP_CHECK(uct_vmp_device_addr_unpack(buf, &out) != 0);
}

/* The same over InfiniBand: LID, and what the flags announce */
static void test_device_addr_of_ib(void)
{
    static const uint8_t port[8]   = { 1, 2, 3, 4, 5, 6, 7, 8 };
    static const uint8_t global[8] = { 0x20, 1, 0, 0, 0, 0, 0, 9 };
    uint8_t buf[32]                = { 0x02 | 0x40 | 0x20 };
    uint16_t lid                   = 0x1234;
    vmp_rail_addr_t out;

    memcpy(&buf[1], &lid, 2);
    memcpy(&buf[3], port, 8);
    memcpy(&buf[11], global, 8);
    buf[19] = 4;
    VMP_CHECK(uct_vmp_device_addr_unpack(buf, &out) == 0);
    VMP_CHECK(!out.is_roce && (out.lid == lid) && (out.mtu == 4));
    VMP_CHECK(!memcmp(out.gid, global, 8) && !memcmp(&out.gid[8], port, 8));

    buf[0] = 0;     /* the link-local subnet */
    VMP_CHECK(uct_vmp_device_addr_unpack(buf, &out) == 0);
    VMP_CHECK((out.lid == lid) && (out.mtu == 5));
    VMP_CHECK((out.gid[0] == 0xfe) && (out.gid[1] == 0x80) &&
              (out.gid[15] == 0));
}

/* A listener on an IPv6 address: RDMA CM says fd00::6, our rails are of IPv4 */
static void test_listener_on_ipv6(void)
{
    vmp_iface_addr_t addr = { .id = 7, .ver_min = 2, .ver_max = 2,
                              .num_ud = 1, .ud_qpn = { 5 } };
    vmp_rail_addr_t ipv4 = ipv4_rail(1), ipv6 = ipv6_rail(), own, rail;
    uint8_t buf[64];

    own         = ipv4;
    own.gid[15] = 9;
    rail        = ipv6;
    uct_vmp_iface_addr_pack(buf, &addr, &ipv4);
    VMP_CHECK(uct_vmp_rail_addr_differ(&own, &rail));
    uct_vmp_rail_addr_resolve(&own, buf, &rail);
    VMP_CHECK(!memcmp(rail.gid, ipv4.gid, sizeof(rail.gid)));
    VMP_CHECK(rail.is_roce && (rail.mtu == 4));
    VMP_CHECK(!uct_vmp_rail_addr_differ(&own, &rail));

    /* RDMA CM knows a way of our kind: as it says, on another rail maybe */
    rail         = ipv4;
    rail.gid[14] = 77;
    uct_vmp_rail_addr_resolve(&own, buf, &rail);
    VMP_CHECK(rail.gid[14] == 77);

    /* we have IPv6 as the peer's listener, whatever its rail is */
    rail = ipv6;
    uct_vmp_rail_addr_resolve(&ipv6, buf, &rail);
    VMP_CHECK(!memcmp(&rail, &ipv6, sizeof(rail)));
    /* ... or its listener has IPv4: nothing is known of its IPv6 */
    rail = ipv4;
    uct_vmp_rail_addr_resolve(&ipv6, buf, &rail);
    VMP_CHECK(!memcmp(&rail, &ipv4, sizeof(rail)));
    VMP_CHECK(uct_vmp_rail_addr_differ(&ipv6, &rail));

    /* the peer has no IPv4 */
    uct_vmp_iface_addr_pack(buf, &addr, &ipv6);
    rail = ipv6;
    uct_vmp_rail_addr_resolve(&own, buf, &rail);
    VMP_CHECK(!memcmp(&rail, &ipv6, sizeof(rail)));
    VMP_CHECK(uct_vmp_rail_addr_differ(&own, &rail));

    /* InfiniBand is neither */
    rail.is_roce = 0;
    uct_vmp_rail_addr_resolve(&own, buf, &rail);
    VMP_CHECK(!memcmp(rail.gid, ipv6.gid, sizeof(rail.gid)));
    VMP_CHECK(!uct_vmp_rail_addr_differ(&own, &rail));
}

int main(void)
{
    test_listener_on_ipv6();
    test_iface_addr();
    test_iface_addr_fits();
    test_device_addr();
    test_device_addr_of_rdmacm();
    test_device_addr_of_ib();
    printf("test_uct_addr: ok\n");
    return 0;
}
