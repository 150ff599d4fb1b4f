/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Wire formats: round trips of random values, every truncation and extension,
 * values out of range, random bytes, and bytes written down by hand so that a
 * change of the format does not go unseen.
 */

#include "vmp_check.h"
#include "core/vmp_wire.h"
#include "port/port.h"

#include <string.h>


#define ROUNDS       20000
#define CTL_HDR_LEN  64

uint64_t vmp_check_seed = 1;

/* Each check reads from a buffer that is exactly as long, for sanitizers */
static int unpack(const uint8_t *data, size_t length, vmp_ctl_msg_t *msg)
{
    uint8_t *copy = malloc(length + 1);
    int ret;

    memcpy(copy + 1, data, length);         /* Not aligned either */
    ret = vmp_ctl_msg_unpack(copy + 1, length, msg);
    free(copy);
    return ret;
}

static int frame_unpack(const uint8_t *data, size_t length, vmp_frame_t *frame)
{
    uint8_t *copy = malloc(length + 1);
    int ret;

    memcpy(copy + 1, data, length);
    ret = vmp_frame_unpack(copy + 1, length, frame);
    free(copy);
    return ret;
}


/* Frames */

static void test_frame_golden(void)
{
    static const uint8_t golden[VMP_FRAME_HDR_LEN] = {
        0x31, 0x1f, 0x03, 0x00,             /* version 3, AM; am_id; path */
        0x00, 0x00, 0x00, 0x07,             /* conn */
        0x00, 0x00, 0x01, 0x02,             /* incarnation */
        0x00, 0x00, 0x00, 0x05,             /* epoch */
        0xff, 0xff, 0xff, 0xfe,             /* SN */
        0x12, 0x34, 0x56, 0x78,             /* delivered */
        0x00, 0x00, 0x00, 0x40,             /* limit */
        0x00, 0x00, 0x00, 0x02              /* length */
    };
    static const vmp_frame_t frame = {
        .type      = VMP_FRAME_AM,
        .am_id     = 31,
        .path      = 3,
        .conn      = 7,
        .incarn    = 0x102,
        .epoch     = 5,
        .sn        = 0xfffffffe,
        .delivered = 0x12345678,
        .limit     = 64,
        .length    = 2
    };
    uint8_t buf[VMP_FRAME_HDR_LEN + 2];
    vmp_frame_t out;
    size_t length;

    memset(buf, 0xee, sizeof(buf));
    vmp_frame_pack(buf, &frame);
    VMP_CHECK(memcmp(buf, golden, sizeof(golden)) == 0);
    VMP_CHECK(buf[VMP_FRAME_HDR_LEN] == 0xee);
    VMP_CHECK(frame_unpack(buf, sizeof(buf), &out) == 0);
    VMP_CHECK((out.type == frame.type) && (out.am_id == 31) &&
              (out.path == 3) && (out.conn == 7) && (out.incarn == 0x102) &&
              (out.epoch == 5) && (out.sn == frame.sn) &&
              (out.delivered == frame.delivered) && (out.limit == 64) &&
              (out.length == 2));

    for (length = 0; length < sizeof(buf); length++) {
        VMP_CHECK(frame_unpack(buf, length, &out) < 0);
    }
}

static void check_bad_frame(size_t offset, uint8_t value)
{
    static const vmp_frame_t frame = {
        .type = VMP_FRAME_SKIP, .incarn = 1, .epoch = 1
    };
    uint8_t buf[VMP_FRAME_HDR_LEN];
    vmp_frame_t out;

    vmp_frame_pack(buf, &frame);
    VMP_CHECK(frame_unpack(buf, sizeof(buf), &out) == 0);
    buf[offset] = value;
    VMP_CHECK(frame_unpack(buf, sizeof(buf), &out) < 0);
}

static void test_frame_ranges(void)
{
    static const vmp_frame_t skip = {
        .type = VMP_FRAME_SKIP, .incarn = 1, .epoch = 1, .length = 1
    };
    uint8_t buf[VMP_FRAME_HDR_LEN + 1] = {0};
    vmp_frame_t out;

    check_bad_frame(0, 0x02);               /* version 0 */
    check_bad_frame(0, 0x12);               /* version 1 */
    check_bad_frame(0, 0x22);               /* version 2 */
    check_bad_frame(0, 0x42);               /* version 4 */
    check_bad_frame(0, 0x30);               /* type 0 */
    check_bad_frame(0, 0x34);               /* type 4 */
    check_bad_frame(1, VMP_FRAME_SKIP_MAX + 1);
    check_bad_frame(2, VMP_MAX_PATHS);
    check_bad_frame(11, 0);                 /* incarnation 0 */
    check_bad_frame(15, 0);                 /* epoch 0 */
    check_bad_frame(28, 1);                 /* length */

    vmp_frame_pack(buf, &skip);             /* carries nothing */
    VMP_CHECK(frame_unpack(buf, sizeof(buf), &out) < 0);
}

static void test_sn_widen(void)
{
    VMP_CHECK(vmp_sn_widen(5, 3) == 3);
    VMP_CHECK(vmp_sn_widen(0xffffffff, 2) == 0x100000002ull);
    VMP_CHECK(vmp_sn_widen(0x100000002ull, 0xfffffffe) == 0xfffffffe);
    VMP_CHECK(vmp_sn_widen(0x7fffffff12345678ull, 0x12345678) ==
              0x7fffffff12345678ull);
}


/* Addresses */

static void random_rail(uint64_t *rng, vmp_rail_addr_t *rail)
{
    unsigned i;

    memset(rail, 0, sizeof(*rail));
    for (i = 0; i < sizeof(rail->gid); i++) {
        rail->gid[i] = (uint8_t)vmp_check_random(rng);
    }
    rail->gid[0]  |= 1;
    rail->lid      = (uint16_t)vmp_check_random(rng);
    rail->is_roce  = vmp_check_random(rng) % 2;
    rail->mtu      = 1 + vmp_check_random(rng) % 5;
}

static void random_iface(uint64_t *rng, vmp_iface_addr_t *iface)
{
    unsigned i;

    memset(iface, 0, sizeof(*iface));
    iface->id      = vmp_check_random(rng) | 1;
    iface->ver_min = VMP_WIRE_VER_MIN;
    iface->ver_max = VMP_WIRE_VER_MAX + vmp_check_random(rng) % 3;
    iface->num_ud  = 1 + vmp_check_random(rng) % VMP_MAX_UD;
    for (i = 0; i < iface->num_ud; i++) {
        iface->ud_qpn[i] = 1 + vmp_check_random(rng) % VMP_QPN_MAX;
    }
}

static void test_addresses(void)
{
    uint64_t rng = vmp_check_seed;
    vmp_iface_addr_t iface, iface_out;
    vmp_rail_addr_t rail, rail_out;
    uint8_t buf[64], again[64];
    unsigned i, n;

    for (i = 0; i < ROUNDS; i++) {
        random_rail(&rng, &rail);
        vmp_rail_addr_pack(buf, &rail);
        VMP_CHECK(vmp_rail_addr_unpack(buf, &rail_out) == 0);
        VMP_CHECK(memcmp(&rail, &rail_out, sizeof(rail)) == 0);

        random_iface(&rng, &iface);
        vmp_iface_addr_pack(buf, &iface);
        VMP_CHECK(vmp_iface_addr_unpack(buf, &iface_out) == 0);
        VMP_CHECK(memcmp(&iface, &iface_out, sizeof(iface)) == 0);

        /* Random bytes: refused, or what they mean can be written again */
        for (n = 0; n < sizeof(buf); n++) {
            buf[n] = (uint8_t)vmp_check_random(&rng);
        }
        buf[19] %= 8;                       /* mtu */
        buf[18] %= 4;                       /* is_roce */
        if (vmp_rail_addr_unpack(buf, &rail) == 0) {
            vmp_rail_addr_pack(again, &rail);
            VMP_CHECK(memcmp(buf, again, VMP_DEVICE_ADDR_LEN) == 0);
        }
        buf[8]  = buf[8] % 3;               /* versions */
        buf[9]  = buf[9] % 4;
        buf[10] = buf[10] % 10;             /* num_ud */
        if (vmp_iface_addr_unpack(buf, &iface) == 0) {
            VMP_CHECK((iface.num_ud >= 1) && (iface.num_ud <= VMP_MAX_UD));
            VMP_CHECK(iface.ver_min <= VMP_WIRE_VER_MAX);
        }
    }
}

static void test_address_ranges(void)
{
    uint64_t rng = vmp_check_seed;
    vmp_iface_addr_t iface, out;
    vmp_rail_addr_t rail, rail_out;
    uint8_t buf[64];

    random_iface(&rng, &iface);
    iface.ver_min = VMP_WIRE_VER_MAX + 1;   /* Nothing in common */
    iface.ver_max = VMP_WIRE_VER_MAX + 2;
    vmp_iface_addr_pack(buf, &iface);
    VMP_CHECK(vmp_iface_addr_unpack(buf, &out) < 0);

    iface.ver_min = 0;
    iface.ver_max = VMP_WIRE_VER_MAX;
    vmp_iface_addr_pack(buf, &iface);
    VMP_CHECK(vmp_iface_addr_unpack(buf, &out) < 0);

    iface.ver_min   = VMP_WIRE_VER_MIN;
    iface.ud_qpn[0] = 0;
    vmp_iface_addr_pack(buf, &iface);
    VMP_CHECK(vmp_iface_addr_unpack(buf, &out) < 0);

    memset(buf, 0, sizeof(buf));
    VMP_CHECK(vmp_iface_addr_unpack(buf, &out) < 0);
    VMP_CHECK(vmp_rail_addr_unpack(buf, &rail_out) < 0);

    /* InfiniBand needs a LID or a GID, RoCE a GID */
    memset(&rail, 0, sizeof(rail));
    rail.mtu = 5;
    rail.lid = 1;
    vmp_rail_addr_pack(buf, &rail);
    VMP_CHECK(vmp_rail_addr_unpack(buf, &rail_out) == 0);
    rail.is_roce = 1;
    vmp_rail_addr_pack(buf, &rail);
    VMP_CHECK(vmp_rail_addr_unpack(buf, &rail_out) < 0);
}


/* Control datagrams */

static int is_base(unsigned type)
{
    return (type == VMP_CTL_CONNECT) || (type == VMP_CTL_CONNECT_ACK) ||
           (type == VMP_CTL_GOODBYE) || (type == VMP_CTL_REJECT) ||
           (type == VMP_CTL_DEAD);
}

static void random_msg(uint64_t *rng, unsigned type, vmp_ctl_msg_t *msg)
{
    memset(msg, 0, sizeof(*msg));
    msg->version    = is_base(type) ? VMP_WIRE_VER_BASE : VMP_WIRE_VER_MAX;
    msg->type       = type;
    msg->role       = vmp_check_random(rng) % 2;
    msg->reason     = vmp_check_random(rng) % VMP_REASON_LAST;
    msg->src_id     = vmp_check_random(rng) | 1;
    msg->dst_id     = vmp_check_random(rng) | 1;
    msg->src_conn   = (uint32_t)vmp_check_random(rng);
    msg->src_incarn = (uint32_t)vmp_check_random(rng) | 1;
    msg->dst_conn   = (uint32_t)vmp_check_random(rng);
    msg->dst_incarn = (uint32_t)vmp_check_random(rng) | 1;
    msg->src_qpn    = 1 + vmp_check_random(rng) % VMP_QPN_MAX;
    random_rail(rng, &msg->src_rail);

    switch (type) {
    case VMP_CTL_CONNECT:
    case VMP_CTL_CONNECT_ACK:
        msg->ver_min    = 1 + vmp_check_random(rng) % VMP_WIRE_VER_MAX;
        msg->ver_max    = VMP_WIRE_VER_MAX + vmp_check_random(rng) % 3;
        msg->num_paths  = 1 + vmp_check_random(rng) % 255;
        msg->addr_gen   = (uint8_t)vmp_check_random(rng);
        msg->known_gen  = (uint8_t)vmp_check_random(rng);
        msg->features   = (uint32_t)vmp_check_random(rng);
        msg->credits    = vmp_check_random(rng) % (1u << 30);
        msg->frame_size = VMP_FRAME_SIZE_MIN +
                          vmp_check_random(rng) %
                          (VMP_FRAME_SIZE_MAX - VMP_FRAME_SIZE_MIN + 1);
        random_rail(rng, &msg->rail);
        random_iface(rng, &msg->iface);
        msg->iface.id = msg->src_id;
        break;
    case VMP_CTL_REJECT:
        msg->ver_min = 1;
        msg->ver_max = 2;
        break;
    case VMP_CTL_PATH_ASK:
        msg->num_paths = 1 + vmp_check_random(rng) % 255;
        break;
    case VMP_CTL_PATH_REQ:
    case VMP_CTL_PATH_REP:
        random_rail(rng, &msg->rail);
        msg->path          = vmp_check_random(rng) % VMP_MAX_PATHS;
        msg->rail_index    = vmp_check_random(rng) % VMP_MAX_RAILS;
        msg->mtu           = 1 + vmp_check_random(rng) % 5;
        msg->max_rd_atomic = (uint8_t)vmp_check_random(rng);
        msg->epoch         = (uint32_t)vmp_check_random(rng) | 1;
        msg->entropy       = 1 + vmp_check_random(rng) %
                             (msg->rail.is_roce ? VMP_FLOW_LABEL_MAX :
                              VMP_PATH_BITS_MAX);
        msg->qpn           = 1 + vmp_check_random(rng) % VMP_QPN_MAX;
        msg->psn           = vmp_check_random(rng) % (VMP_PSN_MAX + 1);
        break;
    case VMP_CTL_GOODBYE:
        msg->delivered = (uint32_t)vmp_check_random(rng);
        break;
    case VMP_CTL_PATH_RTU:
    case VMP_CTL_DEAD:
        msg->path  = vmp_check_random(rng) % VMP_MAX_PATHS;
        msg->epoch = (uint32_t)vmp_check_random(rng) | 1;
        break;
    case VMP_CTL_PATH_DOWN:
        msg->path      = vmp_check_random(rng) % VMP_MAX_PATHS;
        msg->is_answer = vmp_check_random(rng) % 2;
        msg->epoch     = (uint32_t)vmp_check_random(rng) | 1;
        msg->psn       = (vmp_check_random(rng) % 4) ?
                         vmp_check_random(rng) % (VMP_PSN_MAX + 1) :
                         VMP_PSN_UNKNOWN;
        break;
    default:
        break;
    }
}

static void test_ctl_round_trip(void)
{
    uint64_t rng = vmp_check_seed;
    uint8_t buf[VMP_CTL_MAX_LEN];
    vmp_ctl_msg_t in, out;
    unsigned type, i;
    size_t length, n;

    for (i = 0; i < ROUNDS; i++) {
        type = 1 + i % (VMP_CTL_LAST - 1);
        random_msg(&rng, type, &in);
        memset(buf, 0xee, sizeof(buf));
        length = vmp_ctl_msg_pack(buf, &in);
        VMP_CHECK((length >= CTL_HDR_LEN) && (length < VMP_CTL_MAX_LEN));
        VMP_CHECK(buf[length] == 0xee);
        VMP_CHECK(unpack(buf, length, &out) == 0);
        VMP_CHECK(memcmp(&in, &out, sizeof(in)) == 0);

        if (i >= 5 * VMP_CTL_LAST) {
            continue;
        }

        /* Every truncation, with the length field as it was and adjusted */
        for (n = 0; n < length; n++) {
            VMP_CHECK(unpack(buf, n, &out) < 0);
        }
        for (n = 8; n < length; n++) {
            buf[6] = (uint8_t)(n >> 8);
            buf[7] = (uint8_t)n;
            VMP_CHECK(unpack(buf, n, &out) < 0);
        }

        /* What a later build may add at the end is skipped */
        buf[6] = (uint8_t)((length + 4) >> 8);
        buf[7] = (uint8_t)(length + 4);
        VMP_CHECK(unpack(buf, length, &out) < 0);
        VMP_CHECK(unpack(buf, length + 4, &out) == 0);
        VMP_CHECK(memcmp(&in, &out, sizeof(in)) == 0);
    }
}

static void test_ctl_golden(void)
{
    static const uint8_t golden[] = {
        0x56, 0x4d, 0x03, 0x04, 0x00, 0x00, 0x00, 0x68,
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,     /* src_id */
        0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,     /* dst_id */
        0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x05,     /* src_conn... */
        0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x09,     /* dst_conn... */
        0x00, 0x00, 0x00, 0x11,                             /* src_qpn */
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,     /* src_rail */
        0x00, 0x00, 0xff, 0xff, 0x0a, 0x00, 0x00, 0x01,
        0x00, 0x00, 0x01, 0x03,
        0x02, 0x00, 0x03, 0x10,                     /* path, rail, mtu, rd */
        0x00, 0x00, 0x00, 0x01,                             /* epoch */
        0x00, 0x0a, 0xbc, 0xde,                             /* entropy */
        0x00, 0x00, 0x00, 0x42,                             /* qpn */
        0x00, 0x12, 0x34, 0x56,                             /* psn */
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,     /* rail */
        0x00, 0x00, 0xff, 0xff, 0x0a, 0x00, 0x00, 0x01,
        0x00, 0x00, 0x01, 0x03
    };
    static const vmp_rail_addr_t rail = {
        .gid     = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1},
        .is_roce = 1,
        .mtu     = 3
    };
    vmp_ctl_msg_t msg = {
        .version       = 3,
        .type          = VMP_CTL_PATH_REQ,
        .src_id        = 0x0102030405060708ull,
        .dst_id        = 0x1112131415161718ull,
        .src_conn      = 2,
        .src_incarn    = 5,
        .dst_conn      = 3,
        .dst_incarn    = 9,
        .src_qpn       = 0x11,
        .src_rail      = rail,
        .rail          = rail,
        .path          = 2,
        .mtu           = 3,
        .max_rd_atomic = 16,
        .epoch         = 1,
        .entropy       = 0xabcde,
        .qpn           = 0x42,
        .psn           = 0x123456
    };
    uint8_t buf[VMP_CTL_MAX_LEN];
    vmp_ctl_msg_t out;

    VMP_CHECK(vmp_ctl_msg_pack(buf, &msg) == sizeof(golden));
    VMP_CHECK(memcmp(buf, golden, sizeof(golden)) == 0);
    VMP_CHECK(unpack(golden, sizeof(golden), &out) == 0);
    VMP_CHECK(memcmp(&msg, &out, sizeof(msg)) == 0);
}

/* One byte of a valid message changed so that it must be refused */
static void check_bad_msg(unsigned type, size_t offset, uint8_t value)
{
    uint64_t rng = vmp_check_seed + type;
    uint8_t buf[VMP_CTL_MAX_LEN];
    vmp_ctl_msg_t msg, out;
    size_t length;

    random_msg(&rng, type, &msg);
    length = vmp_ctl_msg_pack(buf, &msg);
    VMP_CHECK(unpack(buf, length, &out) == 0);
    buf[offset] = value;
    VMP_CHECK(unpack(buf, length, &out) < 0);
}

/* A CONNECT of version 1 ends before what version 2 has added: it is read, so
 * that it can be refused for its version */
static void test_ctl_version_1(void)
{
    uint64_t rng = vmp_check_seed;
    uint8_t buf[VMP_CTL_MAX_LEN];
    vmp_ctl_msg_t msg, out;
    size_t length;

    random_msg(&rng, VMP_CTL_CONNECT, &msg);
    msg.ver_min = msg.ver_max = 1;
    length = vmp_ctl_msg_pack(buf, &msg) - 4;
    VMP_CHECK(length == 136);
    buf[6] = 0;
    buf[7] = (uint8_t)length;
    VMP_CHECK(unpack(buf, length, &out) == 0);
    VMP_CHECK((out.ver_min == 1) && (out.ver_max == 1));
    VMP_CHECK((out.known_gen == 0) && (out.iface.id == msg.src_id));
    buf[65] = 2;                            /* ver_max */
    VMP_CHECK(unpack(buf, length, &out) < 0);
}

static void test_ctl_ranges(void)
{
    unsigned type;

    for (type = 1; type < VMP_CTL_LAST; type++) {
        check_bad_msg(type, 0, 0);          /* magic */
        check_bad_msg(type, 2, 0);          /* version */
        check_bad_msg(type, 2, is_base(type) ? 2 : 1);
        check_bad_msg(type, 2, VMP_WIRE_VER_MAX + 1);
        check_bad_msg(type, 3, 0);          /* type */
        check_bad_msg(type, 3, VMP_CTL_LAST);
        check_bad_msg(type, 4, 2);          /* role */
        check_bad_msg(type, 6, 2);          /* length */
        check_bad_msg(type, 40, 1);         /* src_qpn: 24 bits */
        check_bad_msg(type, 62, 2);         /* src_rail.is_roce */
        check_bad_msg(type, 63, 0);         /* src_rail.mtu */
        check_bad_msg(type, 63, 6);
    }

    check_bad_msg(VMP_CTL_CONNECT, 64, 0);          /* ver_min */
    check_bad_msg(VMP_CTL_CONNECT, 65, 0);          /* ver_max < ver_min */
    check_bad_msg(VMP_CTL_CONNECT, 66, 0);          /* num_paths */
    check_bad_msg(VMP_CTL_CONNECT, 72, 0xff);       /* credits */
    check_bad_msg(VMP_CTL_CONNECT, 76, 0xff);       /* frame_size */
    check_bad_msg(VMP_CTL_CONNECT, 99, 7);          /* rail.mtu */
    check_bad_msg(VMP_CTL_CONNECT, 107, 0);         /* id is not src_id */
    check_bad_msg(VMP_CTL_CONNECT, 110, 0);         /* num_ud */
    check_bad_msg(VMP_CTL_CONNECT, 110, VMP_MAX_UD + 1);
    check_bad_msg(VMP_CTL_PATH_ASK, 64, 0);         /* num_paths */
    check_bad_msg(VMP_CTL_PATH_REQ, 64, VMP_MAX_PATHS);
    check_bad_msg(VMP_CTL_PATH_REQ, 65, VMP_MAX_RAILS);
    check_bad_msg(VMP_CTL_PATH_REQ, 66, 0);         /* mtu */
    check_bad_msg(VMP_CTL_PATH_REQ, 66, 6);
    check_bad_msg(VMP_CTL_PATH_REQ, 72, 1);         /* entropy */
    check_bad_msg(VMP_CTL_PATH_REQ, 73, 0x10);
    check_bad_msg(VMP_CTL_PATH_REQ, 76, 1);         /* qpn */
    check_bad_msg(VMP_CTL_PATH_REQ, 80, 1);         /* psn */
    check_bad_msg(VMP_CTL_PATH_RTU, 64, VMP_MAX_PATHS);
    check_bad_msg(VMP_CTL_DEAD, 64, VMP_MAX_PATHS);
    check_bad_msg(VMP_CTL_PATH_DOWN, 64, VMP_MAX_PATHS);
    check_bad_msg(VMP_CTL_PATH_DOWN, 65, 2);        /* is_answer */
}

static void test_ctl_unknown_reason(void)
{
    uint64_t rng = vmp_check_seed;
    uint8_t buf[VMP_CTL_MAX_LEN];
    vmp_ctl_msg_t msg;
    size_t length;

    random_msg(&rng, VMP_CTL_GOODBYE, &msg);
    length = vmp_ctl_msg_pack(buf, &msg);
    buf[5] = 200;
    VMP_CHECK(unpack(buf, length, &msg) == 0);
    VMP_CHECK(msg.reason == VMP_REASON_FAILED);
}

static void test_ctl_random_bytes(void)
{
    uint64_t rng = vmp_check_seed;
    uint8_t buf[VMP_CTL_MAX_LEN + 8], again[VMP_CTL_MAX_LEN];
    unsigned i, flips, accepted = 0;
    vmp_ctl_msg_t msg, out;
    vmp_frame_t frame;
    size_t length, n;

    for (i = 0; i < ROUNDS; i++) {
        length = vmp_check_random(&rng) % sizeof(buf);
        for (n = 0; n < length; n++) {
            buf[n] = (uint8_t)vmp_check_random(&rng);
        }
        unpack(buf, length, &msg);
        frame_unpack(buf, length, &frame);

        /* Nearly right ones get further: what is accepted is in range, so it
         * can be written and read again */
        random_msg(&rng, 1 + vmp_check_random(&rng) % (VMP_CTL_LAST - 1),
                   &msg);
        length = vmp_ctl_msg_pack(buf, &msg);
        for (flips = vmp_check_random(&rng) % 4; flips > 0; flips--) {
            buf[vmp_check_random(&rng) % length] ^=
                    1 << (vmp_check_random(&rng) % 8);
        }
        if (unpack(buf, length, &msg) == 0) {
            length = vmp_ctl_msg_pack(again, &msg);
            VMP_CHECK(unpack(again, length, &out) == 0);
            VMP_CHECK(memcmp(&msg, &out, sizeof(msg)) == 0);
            VMP_CHECK((out.path < VMP_MAX_PATHS) &&
                      (out.rail_index < VMP_MAX_RAILS));
            accepted++;
        }
    }

    VMP_CHECK(accepted > ROUNDS / 10);
}

static void test_strings(void)
{
    unsigned i;

    for (i = 0; i < 256; i++) {
        VMP_CHECK(vmp_ctl_type_str(i) != NULL);
        VMP_CHECK(vmp_ctl_reason_str(i) != NULL);
    }
}

int main(void)
{
    vmp_check_seed = vmp_check_env("VMP_TEST_SEED", 1);

    test_frame_golden();
    test_frame_ranges();
    test_sn_widen();
    test_addresses();
    test_address_ranges();
    test_ctl_round_trip();
    test_ctl_golden();
    test_ctl_version_1();
    test_ctl_ranges();
    test_ctl_unknown_reason();
    test_ctl_random_bytes();
    test_strings();
    printf("test_wire: ok\n");
    return 0;
}
