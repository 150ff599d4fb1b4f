/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_FRAME_H_
#define VMP_FRAME_H_

#include "vmp_types.h"

#include <endian.h>
#include <string.h>


/** Data frames, which are RC SENDs: packed and unpacked for every message. See
 *  vmp_wire.h for all else. */

#define VMP_WIRE_VER_MIN   3
#define VMP_WIRE_VER_MAX   3

#define VMP_FRAME_HDR_LEN  32

typedef enum vmp_frame_type {
    VMP_FRAME_AM     = 1,       /**< A message with an SN */
    VMP_FRAME_SKIP   = 2,       /**< Fills 2^am_id SNs with nothing */
    VMP_FRAME_CREDIT = 3        /**< No SN: only acknowledges and grants */
} vmp_frame_type_t;

#define VMP_FRAME_SKIP_MAX  20  /**< am_id of a SKIP */

/** am_id of a CREDIT: give back some of the credit that you do not use */
#define VMP_CREDIT_ASK      1

/**
 * Header of every frame, VMP_FRAME_HDR_LEN bytes:
 *
 *   0  ver_type   u8   version << 4 | vmp_frame_type_t
 *   1  am_id      u8   SKIP: log2 of how many; CREDIT: 0, or VMP_CREDIT_ASK
 *   2  path       u8   path index
 *   3  reserved   u8   0
 *   4  conn       u32  receiver's slot of the connection
 *   8  incarn     u32  receiver's incarnation of that slot
 *  12  epoch      u32  of the path
 *  16  sn         u32  low bits of the message's SN (CREDIT: the next one)
 *  20  delivered  u32  low bits: all of the peer's SNs below were delivered
 *  24  limit      u32  low bits: the peer may send SNs below
 *  28  length     u32  bytes that follow the header
 */
typedef struct vmp_frame {
    uint8_t  type;
    uint8_t  am_id;
    uint8_t  path;
    uint32_t conn;
    uint32_t incarn;
    uint32_t epoch;
    uint32_t sn;
    uint32_t delivered;
    uint32_t limit;
    uint32_t length;
} vmp_frame_t;

static inline void vmp_frame_put32(uint8_t *p, uint32_t value)
{
    value = htobe32(value);
    memcpy(p, &value, sizeof(value));
}

static inline uint32_t vmp_frame_get32(const uint8_t *p)
{
    uint32_t value;

    memcpy(&value, p, sizeof(value));
    return be32toh(value);
}

static inline void vmp_frame_pack(void *buf, const vmp_frame_t *frame)
{
    uint8_t *p = buf;

    p[0] = (VMP_WIRE_VER_MAX << 4) | frame->type;
    p[1] = frame->am_id;
    p[2] = frame->path;
    p[3] = 0;
    vmp_frame_put32(p + 4, frame->conn);
    vmp_frame_put32(p + 8, frame->incarn);
    vmp_frame_put32(p + 12, frame->epoch);
    vmp_frame_put32(p + 16, frame->sn);
    vmp_frame_put32(p + 20, frame->delivered);
    vmp_frame_put32(p + 24, frame->limit);
    vmp_frame_put32(p + 28, frame->length);
}

/**
 * Read and check a frame of `byte_len` bytes as received.
 *
 * @return 0, or -1: too short, version or type unknown, path, incarnation or
 *         epoch out of range, too many skipped, or length is not that of the
 *         payload.
 */
static inline int vmp_frame_unpack(const void *buf, size_t byte_len,
                                   vmp_frame_t *frame)
{
    const uint8_t *p = buf;
    unsigned version;

    if (byte_len < VMP_FRAME_HDR_LEN) {
        return -1;
    }

    version          = p[0] >> 4;
    frame->type      = p[0] & 0xf;
    frame->am_id     = p[1];
    frame->path      = p[2];
    frame->conn      = vmp_frame_get32(p + 4);
    frame->incarn    = vmp_frame_get32(p + 8);
    frame->epoch     = vmp_frame_get32(p + 12);
    frame->sn        = vmp_frame_get32(p + 16);
    frame->delivered = vmp_frame_get32(p + 20);
    frame->limit     = vmp_frame_get32(p + 24);
    frame->length    = vmp_frame_get32(p + 28);

    if ((version < VMP_WIRE_VER_MIN) || (version > VMP_WIRE_VER_MAX) ||
        (frame->type < VMP_FRAME_AM) || (frame->type > VMP_FRAME_CREDIT) ||
        (frame->path >= VMP_MAX_PATHS) || (frame->incarn == 0) ||
        (frame->epoch == 0) ||
        (frame->length != byte_len - VMP_FRAME_HDR_LEN) ||
        ((frame->type != VMP_FRAME_AM) && (frame->length != 0)) ||
        ((frame->type == VMP_FRAME_SKIP) &&
         (frame->am_id > VMP_FRAME_SKIP_MAX))) {
        return -1;
    }

    return 0;
}

/** Widen the low 32 bits of a sequence number to the 64-bit value nearest to
 *  `near`; the window is far below 2^31. */
static inline uint64_t vmp_sn_widen(uint64_t near, uint32_t low)
{
    return near + (int64_t)(int32_t)(low - (uint32_t)near);
}


#endif
