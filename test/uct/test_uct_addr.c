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

#include <stdlib.h>
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
        0x33, 0x02,                                         /* versions; QPs */
        10, 1, 2, 2,                                        /* IPv4 */
        0x00, 0x00, 0x11, 0x12, 0x34, 0x56                  /* their numbers */
    };
    static const struct {
        uint8_t at, value;
    } wrong[] = { {8, 0x03}, {8, 0x43}, {8, 0x11}, {8, 0x22}, {8, 0x44},
                  {8, 0xff}, {9, 0}, {9, 3} };
    vmp_iface_addr_t addr = {
        .id     = 0x0123456789abcdef, .ver_min = 3, .ver_max = 3,
        .num_ud = 2, .ud_qpn = { 0x11, 0x123456 }
    };
    static const uint8_t no_ipv4[4];
    vmp_rail_addr_t rail = ipv4_rail(1);
    uint8_t buf[64], bad[sizeof(golden)], ipv4[UCT_VMP_IPV4_LEN];
    vmp_iface_addr_t out;
    unsigned i;

    memset(buf, 0xee, sizeof(buf));
    VMP_CHECK(uct_vmp_iface_addr_len(&addr) == sizeof(golden));
    uct_vmp_iface_addr_pack(buf, &addr, &rail);
    VMP_CHECK(!memcmp(buf, golden, sizeof(golden)));
    VMP_CHECK(buf[sizeof(golden)] == 0xee);
    VMP_CHECK(uct_vmp_iface_addr_unpack(buf, &out, ipv4) == 0);
    VMP_CHECK(!memcmp(&out, &addr, sizeof(addr)));
    VMP_CHECK(!memcmp(ipv4, &golden[10], sizeof(ipv4)));

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
        VMP_CHECK(uct_vmp_iface_addr_unpack(bad, &out, ipv4) != 0);
    }
    memcpy(bad, golden, sizeof(bad));
    memset(&bad[14], 0, 3);
    VMP_CHECK(uct_vmp_iface_addr_unpack(bad, &out, ipv4) != 0);
    memcpy(bad, golden, sizeof(bad));
    memset(bad, 0, sizeof(uint64_t));
    VMP_CHECK(uct_vmp_iface_addr_unpack(bad, &out, ipv4) != 0);
}

/* Version 2 had no IPv4 address: nothing behind its end is read, and what is
 * read there is not taken for one */
static void test_iface_addr_version_2(void)
{
    static const uint8_t golden[] = {
        0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,     /* id */
        0x22, 0x01,                                         /* versions; QPs */
        0x00, 0x00, 0x11                                    /* their numbers */
    };
    uint8_t *buf = malloc(sizeof(golden)); /* so that sanitizers see its end */
    uint8_t ipv4[UCT_VMP_IPV4_LEN];
    vmp_iface_addr_t out;

    VMP_CHECK(buf != NULL);
    memcpy(buf, golden, sizeof(golden));
    VMP_CHECK(uct_vmp_iface_addr_unpack(buf, &out, ipv4) != 0);
    free(buf);
}

/* However many control QPs there are: connecting by RDMA CM depends on it */
static void test_iface_addr_fits(void)
{
    vmp_iface_addr_t addr = { .id = 7, .ver_min = 3, .ver_max = 3 }, out;
    vmp_rail_addr_t rail  = ipv4_rail(1);
    uint8_t buf[ROOM_IN_PRIVATE_DATA + 1], ipv4[UCT_VMP_IPV4_LEN];
    unsigned i;

    for (i = 0; i < VMP_MAX_UD; ++i) {
        addr.ud_qpn[i] = 100 + i;
        addr.num_ud    = i + 1;
        buf[ROOM_IN_PRIVATE_DATA] = 0xee;
        VMP_CHECK(uct_vmp_iface_addr_len(&addr) <= ROOM_IN_PRIVATE_DATA);
        uct_vmp_iface_addr_pack(buf, &addr, &rail);
        VMP_CHECK(buf[ROOM_IN_PRIVATE_DATA] == 0xee);
        VMP_CHECK(uct_vmp_iface_addr_unpack(buf, &out, ipv4) == 0);
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

/* Says what the peer's interface address tells of its home rail */
static int resolve(const vmp_rail_addr_t *own, const vmp_rail_addr_t *peer,
                   vmp_rail_addr_t *rail)
{
    vmp_iface_addr_t addr = { .id = 7, .ver_min = 3, .ver_max = 3,
                              .num_ud = 1, .ud_qpn = { 5 } }, out;
    uint8_t buf[64], ipv4[UCT_VMP_IPV4_LEN];

    uct_vmp_iface_addr_pack(buf, &addr, peer);
    VMP_CHECK(uct_vmp_iface_addr_unpack(buf, &out, ipv4) == 0);
    return uct_vmp_rail_addr_resolve(own, ipv4, rail);
}

/* A listener on an IPv6 address: RDMA CM says fd00::6, our rails are of IPv4 */
static void test_listener_on_ipv6(void)
{
    vmp_rail_addr_t ipv4 = ipv4_rail(1), ipv6 = ipv6_rail(), own, rail;

    own         = ipv4;
    own.gid[15] = 9;
    rail        = ipv6;
    VMP_CHECK(resolve(&own, &ipv4, &rail));
    VMP_CHECK(!memcmp(rail.gid, ipv4.gid, sizeof(rail.gid)));
    VMP_CHECK(rail.is_roce && (rail.mtu == 4));

    /* RDMA CM knows a way of our kind: as it says, on another rail maybe */
    rail         = ipv4;
    rail.gid[14] = 77;
    VMP_CHECK(resolve(&own, &ipv4, &rail));
    VMP_CHECK(rail.gid[14] == 77);
    rail         = ipv6;
    rail.gid[14] = 77;
    VMP_CHECK(resolve(&ipv6, &ipv6, &rail));
    VMP_CHECK(rail.gid[14] == 77);

    /* nobody tells what the peer's rail is */
    rail = ipv6;
    VMP_CHECK(uct_vmp_rail_addr_resolve(&ipv6, NULL, &rail));
    VMP_CHECK(!uct_vmp_rail_addr_resolve(&own, NULL, &rail));
}

/* The peer's rail is of the other kind, whatever its listener's address is; it
 * could not answer */
static void test_other_ip(void)
{
    const vmp_rail_addr_t ipv4 = ipv4_rail(1), ipv6 = ipv6_rail();
    vmp_rail_addr_t rail;

    rail = ipv6;
    VMP_CHECK(!resolve(&ipv6, &ipv4, &rail));
    rail = ipv4;
    VMP_CHECK(!resolve(&ipv6, &ipv4, &rail));
    rail = ipv6;
    VMP_CHECK(!resolve(&ipv4, &ipv6, &rail));
    rail = ipv4;
    VMP_CHECK(!resolve(&ipv4, &ipv6, &rail));

    /* ... or of ours, but who knows its address */
    rail = ipv4;
    VMP_CHECK(!resolve(&ipv6, &ipv6, &rail));
    VMP_CHECK(!memcmp(&rail, &ipv4, sizeof(rail)));
}

/* Where we would send CONNECTs is a peer's word */
static void test_ipv4_of_no_host(void)
{
    static const struct {
        uint8_t ipv4[UCT_VMP_IPV4_LEN];
        int     is_host;
    } cases[] = {
        { {10, 0, 0, 1}, 1 }, { {126, 0, 0, 0}, 1 }, { {223, 9, 9, 9}, 1 },
        { {240, 0, 0, 1}, 1 }, { {255, 255, 255, 254}, 1 },
        { {0, 0, 0, 1}, 0 }, { {127, 0, 0, 1}, 0 }, { {224, 1, 2, 2}, 0 },
        { {239, 255, 0, 1}, 0 }, { {255, 255, 255, 255}, 0 }
    };
    const vmp_rail_addr_t own = ipv4_rail(1), ipv6 = ipv6_rail();
    vmp_rail_addr_t peer = ipv4_rail(1), rail;
    unsigned i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        rail = ipv6;
        memcpy(&peer.gid[12], cases[i].ipv4, sizeof(cases[i].ipv4));
        VMP_CHECK(resolve(&own, &peer, &rail) == cases[i].is_host);
        VMP_CHECK(!memcmp(&rail.gid, cases[i].is_host ? &peer.gid : &ipv6.gid,
                          sizeof(rail.gid)));
    }
}

/* InfiniBand is neither, and has no IPv4 address */
static void test_infiniband_is_no_ip(void)
{
    vmp_rail_addr_t ib = ipv6_rail(), looks = ipv4_rail(0), rail = ib;
    vmp_rail_addr_t ipv4 = ipv4_rail(1), ipv6 = ipv6_rail();

    ib.is_roce = rail.is_roce = 0;
    VMP_CHECK(resolve(&ib, &ib, &rail));
    VMP_CHECK(resolve(&looks, &ib, &rail));
    VMP_CHECK(resolve(&ib, &looks, &looks));
    VMP_CHECK(resolve(&ipv4, &ib, &rail));
    VMP_CHECK(resolve(&looks, &ib, &ipv6));
    VMP_CHECK(uct_vmp_rail_addr_resolve(&ib, NULL, &looks));
    VMP_CHECK(!memcmp(&rail, &ib, sizeof(rail)));
}

int main(void)
{
    test_listener_on_ipv6();
    test_other_ip();
    test_ipv4_of_no_host();
    test_infiniband_is_no_ip();
    test_iface_addr();
    test_iface_addr_version_2();
    test_iface_addr_fits();
    test_device_addr();
    test_device_addr_of_rdmacm();
    test_device_addr_of_ib();
    printf("test_uct_addr: ok\n");
    return 0;
}
