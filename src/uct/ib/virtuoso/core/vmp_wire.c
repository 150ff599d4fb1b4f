/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core/vmp_wire.h"
#include "port/port.h"

#include <endian.h>
#include <string.h>


#define VMP_CTL_MAGIC    0x564d     /* "VM" */
#define VMP_CTL_HDR_LEN  64
#define VMP_CTL_CONNECT2 4          /* bytes of CONNECT that version 1 lacks */
#define VMP_CREDITS_MAX  (1u << 30)
#define VMP_MTU_MIN      1          /* enum ibv_mtu: 256 bytes... */
#define VMP_MTU_MAX      5          /* ...4096 bytes */


/* A cursor: callers check lengths before */

static void put8(uint8_t **p, uint8_t value)
{
    *(*p)++ = value;
}

static void put16(uint8_t **p, uint16_t value)
{
    value = htobe16(value);
    memcpy(*p, &value, sizeof(value));
    *p += sizeof(value);
}

static void put32(uint8_t **p, uint32_t value)
{
    value = htobe32(value);
    memcpy(*p, &value, sizeof(value));
    *p += sizeof(value);
}

static void put64(uint8_t **p, uint64_t value)
{
    value = htobe64(value);
    memcpy(*p, &value, sizeof(value));
    *p += sizeof(value);
}

static uint8_t get8(const uint8_t **p)
{
    return *(*p)++;
}

static uint16_t get16(const uint8_t **p)
{
    uint16_t value;

    memcpy(&value, *p, sizeof(value));
    *p += sizeof(value);
    return be16toh(value);
}

static uint32_t get32(const uint8_t **p)
{
    uint32_t value;

    memcpy(&value, *p, sizeof(value));
    *p += sizeof(value);
    return be32toh(value);
}

static uint64_t get64(const uint8_t **p)
{
    uint64_t value;

    memcpy(&value, *p, sizeof(value));
    *p += sizeof(value);
    return be64toh(value);
}


/* Addresses */

void vmp_rail_addr_pack(void *buf, const vmp_rail_addr_t *addr)
{
    uint8_t *p = buf;

    memcpy(p, addr->gid, sizeof(addr->gid));
    p += sizeof(addr->gid);
    put16(&p, addr->lid);
    put8(&p, addr->is_roce);
    put8(&p, addr->mtu);
}

int vmp_rail_addr_unpack(const void *buf, vmp_rail_addr_t *addr)
{
    static const uint8_t no_gid[sizeof(addr->gid)];
    const uint8_t *p = buf;
    int has_gid;

    memset(addr, 0, sizeof(*addr));
    memcpy(addr->gid, p, sizeof(addr->gid));
    p            += sizeof(addr->gid);
    addr->lid     = get16(&p);
    addr->is_roce = get8(&p);
    addr->mtu     = get8(&p);

    has_gid = memcmp(addr->gid, no_gid, sizeof(no_gid)) != 0;
    if ((addr->is_roce > 1) || (addr->mtu < VMP_MTU_MIN) ||
        (addr->mtu > VMP_MTU_MAX) ||
        !(has_gid || (!addr->is_roce && (addr->lid != 0)))) {
        return -1;
    }

    return 0;
}

void vmp_iface_addr_pack(void *buf, const vmp_iface_addr_t *addr)
{
    uint8_t *p = buf;
    uint32_t qpn;
    unsigned i;

    put64(&p, addr->id);
    put8(&p, addr->ver_min);
    put8(&p, addr->ver_max);
    put8(&p, addr->num_ud);
    put8(&p, 0);
    for (i = 0; i < VMP_MAX_UD; i++) {
        qpn = (i < addr->num_ud) ? addr->ud_qpn[i] : 0;
        put8(&p, qpn >> 16);
        put16(&p, (uint16_t)qpn);
    }
}

/* A range that we have nothing in common with is for the caller to judge */
static int iface_addr_unpack_any(const void *buf, vmp_iface_addr_t *addr)
{
    const uint8_t *p = buf;
    uint32_t qpn;
    unsigned i;

    memset(addr, 0, sizeof(*addr));
    addr->id      = get64(&p);
    addr->ver_min = get8(&p);
    addr->ver_max = get8(&p);
    addr->num_ud  = get8(&p);
    p++;                                    /* reserved */

    if ((addr->id == 0) || (addr->ver_min == 0) ||
        (addr->ver_min > addr->ver_max) || (addr->num_ud == 0) ||
        (addr->num_ud > VMP_MAX_UD)) {
        return -1;
    }

    for (i = 0; i < addr->num_ud; i++) {
        qpn  = (uint32_t)get8(&p) << 16;
        qpn |= get16(&p);
        if (qpn == 0) {
            return -1;
        }
        addr->ud_qpn[i] = qpn;
    }

    return 0;
}

int vmp_iface_addr_unpack(const void *buf, vmp_iface_addr_t *addr)
{
    if (iface_addr_unpack_any(buf, addr) < 0) {
        return -1;
    }

    if ((addr->ver_min > VMP_WIRE_VER_MAX) ||
        (addr->ver_max < VMP_WIRE_VER_MIN)) {
        return -1;
    }

    return 0;
}


/* Control datagrams */

static size_t ctl_msg_len(unsigned type)
{
    switch (type) {
    case VMP_CTL_CONNECT:
    case VMP_CTL_CONNECT_ACK:
        return VMP_CTL_HDR_LEN + 16 + VMP_DEVICE_ADDR_LEN +
               VMP_IFACE_ADDR_LEN + VMP_CTL_CONNECT2;
    case VMP_CTL_PATH_ASK:
    case VMP_CTL_REJECT:
        return VMP_CTL_HDR_LEN + 4;
    case VMP_CTL_PATH_REQ:
    case VMP_CTL_PATH_REP:
        return VMP_CTL_HDR_LEN + 20 + VMP_DEVICE_ADDR_LEN;
    case VMP_CTL_PATH_DOWN:
        return VMP_CTL_HDR_LEN + 12;
    case VMP_CTL_PATH_RTU:
    case VMP_CTL_GOODBYE:
    case VMP_CTL_DEAD:
        return VMP_CTL_HDR_LEN + 8;
    default:
        return VMP_CTL_HDR_LEN;
    }
}

/* Of an older version a CONNECT is shorter, which is no reason to leave it
 * without an answer */
static size_t ctl_msg_len_min(unsigned type)
{
    return ctl_msg_len(type) - (((type == VMP_CTL_CONNECT) ||
                                 (type == VMP_CTL_CONNECT_ACK)) ?
                                VMP_CTL_CONNECT2 : 0);
}

/* Understood by all versions for ever */
static int ctl_type_is_base(unsigned type)
{
    return (type == VMP_CTL_CONNECT) || (type == VMP_CTL_CONNECT_ACK) ||
           (type == VMP_CTL_GOODBYE) || (type == VMP_CTL_REJECT) ||
           (type == VMP_CTL_DEAD);
}

size_t vmp_ctl_msg_pack(void *buf, const vmp_ctl_msg_t *msg)
{
    size_t length = ctl_msg_len(msg->type);
    uint8_t *p    = buf;

    put16(&p, VMP_CTL_MAGIC);
    put8(&p, ctl_type_is_base(msg->type) ? VMP_WIRE_VER_BASE : msg->version);
    put8(&p, msg->type);
    put8(&p, msg->role);
    put8(&p, msg->reason);
    put16(&p, (uint16_t)length);
    put64(&p, msg->src_id);
    put64(&p, msg->dst_id);
    put32(&p, msg->src_conn);
    put32(&p, msg->src_incarn);
    put32(&p, msg->dst_conn);
    put32(&p, msg->dst_incarn);
    put32(&p, msg->src_qpn);
    vmp_rail_addr_pack(p, &msg->src_rail);
    p += VMP_DEVICE_ADDR_LEN;

    switch (msg->type) {
    case VMP_CTL_CONNECT:
    case VMP_CTL_CONNECT_ACK:
        put8(&p, msg->ver_min);
        put8(&p, msg->ver_max);
        put8(&p, msg->num_paths);
        put8(&p, msg->addr_gen);
        put32(&p, msg->features);
        put32(&p, msg->credits);
        put32(&p, msg->frame_size);
        vmp_rail_addr_pack(p, &msg->rail);
        p += VMP_DEVICE_ADDR_LEN;
        vmp_iface_addr_pack(p, &msg->iface);
        p += VMP_IFACE_ADDR_LEN;
        put8(&p, msg->known_gen);
        put8(&p, 0);
        put16(&p, 0);
        break;
    case VMP_CTL_REJECT:
        put8(&p, msg->ver_min);
        put8(&p, msg->ver_max);
        put16(&p, 0);
        break;
    case VMP_CTL_PATH_ASK:
        put8(&p, msg->num_paths);
        put8(&p, 0);
        put16(&p, 0);
        break;
    case VMP_CTL_PATH_REQ:
    case VMP_CTL_PATH_REP:
        put8(&p, msg->path);
        put8(&p, msg->rail_index);
        put8(&p, msg->mtu);
        put8(&p, msg->max_rd_atomic);
        put32(&p, msg->epoch);
        put32(&p, msg->entropy);
        put32(&p, msg->qpn);
        put32(&p, msg->psn);
        vmp_rail_addr_pack(p, &msg->rail);
        break;
    case VMP_CTL_PATH_RTU:
    case VMP_CTL_DEAD:
        put8(&p, msg->path);
        put8(&p, 0);
        put16(&p, 0);
        put32(&p, msg->epoch);
        break;
    case VMP_CTL_PATH_DOWN:
        put8(&p, msg->path);
        put8(&p, msg->is_answer);
        put16(&p, 0);
        put32(&p, msg->epoch);
        put32(&p, msg->psn);
        break;
    case VMP_CTL_GOODBYE:
        put32(&p, msg->delivered);
        put32(&p, 0);
        break;
    default:
        break;
    }

    return length;
}

static int connect_unpack(const uint8_t *p, size_t length, vmp_ctl_msg_t *msg)
{
    msg->ver_min    = get8(&p);
    msg->ver_max    = get8(&p);
    msg->num_paths  = get8(&p);
    msg->addr_gen   = get8(&p);
    msg->features   = get32(&p);
    msg->credits    = get32(&p);
    msg->frame_size = get32(&p);

    if ((msg->ver_min == 0) || (msg->ver_min > msg->ver_max) ||
        (msg->num_paths == 0) || (msg->credits > VMP_CREDITS_MAX) ||
        (msg->frame_size < VMP_FRAME_SIZE_MIN) ||
        (msg->frame_size > VMP_FRAME_SIZE_MAX) ||
        (vmp_rail_addr_unpack(p, &msg->rail) < 0)) {
        return -1;
    }

    /* A later build may offer more paths than we handle: min() follows */
    p += VMP_DEVICE_ADDR_LEN;
    if ((iface_addr_unpack_any(p, &msg->iface) < 0) ||
        (msg->iface.id != msg->src_id)) {
        return -1;
    }

    if (length < ctl_msg_len(msg->type)) {
        return (msg->ver_max < 2) ? 0 : -1;
    }

    p             += VMP_IFACE_ADDR_LEN;
    msg->known_gen = get8(&p);
    return 0;
}

static int path_unpack(const uint8_t *p, vmp_ctl_msg_t *msg)
{
    uint32_t entropy_min, entropy_max;

    msg->path          = get8(&p);
    msg->rail_index    = get8(&p);
    msg->mtu           = get8(&p);
    msg->max_rd_atomic = get8(&p);
    msg->epoch         = get32(&p);
    msg->entropy       = get32(&p);
    msg->qpn           = get32(&p);
    msg->psn           = get32(&p);

    if ((vmp_rail_addr_unpack(p, &msg->rail) < 0) ||
        (msg->path >= VMP_MAX_PATHS) || (msg->rail_index >= VMP_MAX_RAILS) ||
        (msg->mtu < VMP_MTU_MIN) || (msg->mtu > VMP_MTU_MAX) ||
        (msg->epoch == 0) || (msg->qpn == 0) || (msg->qpn > VMP_QPN_MAX) ||
        (msg->psn > VMP_PSN_MAX)) {
        return -1;
    }

    entropy_min = msg->rail.is_roce ? 1 : 0;
    entropy_max = msg->rail.is_roce ? VMP_FLOW_LABEL_MAX : VMP_PATH_BITS_MAX;
    if ((msg->entropy < entropy_min) || (msg->entropy > entropy_max)) {
        return -1;
    }

    return 0;
}

static int body_unpack(const uint8_t *p, size_t length, vmp_ctl_msg_t *msg)
{
    switch (msg->type) {
    case VMP_CTL_CONNECT:
    case VMP_CTL_CONNECT_ACK:
        return connect_unpack(p, length, msg);
    case VMP_CTL_REJECT:
        msg->ver_min = get8(&p);
        msg->ver_max = get8(&p);
        return 0;
    case VMP_CTL_PATH_ASK:
        msg->num_paths = get8(&p);
        return (msg->num_paths == 0) ? -1 : 0;
    case VMP_CTL_PATH_REQ:
    case VMP_CTL_PATH_REP:
        return path_unpack(p, msg);
    case VMP_CTL_PATH_RTU:
    case VMP_CTL_DEAD:
        msg->path  = get8(&p);
        p         += 3;                     /* reserved */
        msg->epoch = get32(&p);
        /* DEAD of epoch 0: of a path that was never named */
        return ((msg->path >= VMP_MAX_PATHS) ||
                ((msg->epoch == 0) && (msg->type != VMP_CTL_DEAD))) ? -1 : 0;
    case VMP_CTL_PATH_DOWN:
        msg->path      = get8(&p);
        msg->is_answer = get8(&p);
        p             += 2;                 /* reserved */
        msg->epoch     = get32(&p);
        msg->psn       = get32(&p);
        return ((msg->path >= VMP_MAX_PATHS) || (msg->is_answer > 1) ||
                (msg->epoch == 0) || ((msg->psn > VMP_PSN_MAX) &&
                                      (msg->psn != VMP_PSN_UNKNOWN))) ? -1 : 0;
    case VMP_CTL_GOODBYE:
        msg->delivered = get32(&p);
        return 0;
    default:
        return 0;
    }
}

static int incarns_are_valid(const vmp_ctl_msg_t *msg)
{
    switch (msg->type) {
    case VMP_CTL_CONNECT:
        return msg->src_incarn != 0;
    case VMP_CTL_GOODBYE:
    case VMP_CTL_REJECT:
    case VMP_CTL_DEAD:
        /* May come from who has no such connection */
        return msg->dst_incarn != 0;
    default:
        return (msg->src_incarn != 0) && (msg->dst_incarn != 0);
    }
}

int vmp_ctl_msg_unpack(const void *buf, size_t length, vmp_ctl_msg_t *msg)
{
    const uint8_t *p = buf;

    memset(msg, 0, sizeof(*msg));
    if ((length < VMP_CTL_HDR_LEN) || (length > VMP_CTL_MAX_LEN) ||
        (get16(&p) != VMP_CTL_MAGIC)) {
        return -1;
    }

    msg->version = get8(&p);
    msg->type    = get8(&p);
    msg->role    = get8(&p);
    msg->reason  = get8(&p);
    if ((msg->type == 0) || (msg->type >= VMP_CTL_LAST) || (msg->role > 1) ||
        (get16(&p) != length) || (length < ctl_msg_len_min(msg->type))) {
        return -1;
    }

    if (ctl_type_is_base(msg->type) ?
        (msg->version != VMP_WIRE_VER_BASE) :
        ((msg->version < VMP_WIRE_VER_MIN) ||
         (msg->version > VMP_WIRE_VER_MAX))) {
        return -1;
    }

    /* A later version may have more reasons; the connection has ended all the
     * same */
    if (msg->reason >= VMP_REASON_LAST) {
        msg->reason = VMP_REASON_FAILED;
    }

    msg->src_id     = get64(&p);
    msg->dst_id     = get64(&p);
    msg->src_conn   = get32(&p);
    msg->src_incarn = get32(&p);
    msg->dst_conn   = get32(&p);
    msg->dst_incarn = get32(&p);
    msg->src_qpn    = get32(&p);
    if ((msg->src_id == 0) || (msg->dst_id == 0) || (msg->src_qpn == 0) ||
        (msg->src_qpn > VMP_QPN_MAX) || !incarns_are_valid(msg) ||
        (vmp_rail_addr_unpack(p, &msg->src_rail) < 0)) {
        return -1;
    }

    return body_unpack(p + VMP_DEVICE_ADDR_LEN, length, msg);
}

const char *vmp_ctl_type_str(unsigned type)
{
    static const char *const names[VMP_CTL_LAST] = {
        [VMP_CTL_CONNECT]     = "CONNECT",
        [VMP_CTL_CONNECT_ACK] = "CONNECT_ACK",
        [VMP_CTL_PATH_ASK]    = "PATH_ASK",
        [VMP_CTL_PATH_REQ]    = "PATH_REQ",
        [VMP_CTL_PATH_REP]    = "PATH_REP",
        [VMP_CTL_PATH_RTU]    = "PATH_RTU",
        [VMP_CTL_DISCONNECT]  = "DISCONNECT",
        [VMP_CTL_GOODBYE]     = "GOODBYE",
        [VMP_CTL_REJECT]      = "REJECT",
        [VMP_CTL_DEAD]        = "DEAD",
        [VMP_CTL_PATH_DOWN]   = "PATH_DOWN"
    };

    return ((type < VMP_CTL_LAST) && (names[type] != NULL)) ? names[type] :
           "unknown";
}

const char *vmp_ctl_reason_str(unsigned reason)
{
    static const char *const names[VMP_REASON_LAST] = {
        [VMP_REASON_NONE]     = "no reason given",
        [VMP_REASON_CLOSED]   = "closed",
        [VMP_REASON_FAILED]   = "failed there",
        [VMP_REASON_VERSION]  = "no protocol version in common",
        [VMP_REASON_RESOURCE] = "out of resources",
        [VMP_REASON_STALE]    = "not known there"
    };

    return (reason < VMP_REASON_LAST) ? names[reason] : "unknown";
}
