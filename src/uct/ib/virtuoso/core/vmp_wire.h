/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_WIRE_H_
#define VMP_WIRE_H_

#include "vmp_frame.h"
#include "vmp_types.h"


/**
 * Wire formats. docs/protocol.md is their description; all fields are in
 * network byte order. Packing and unpacking is here (of data frames, which are
 * many: in vmp_frame.h) and nowhere else; unpacking checks lengths and ranges,
 * so that what it returns may be used.
 */

/** Version of the messages that every version must understand, whatever else it
 *  speaks: CONNECT, CONNECT_ACK, GOODBYE, REJECT, DEAD. */
#define VMP_WIRE_VER_BASE 1

/** Feature bits, offered in CONNECT; a connection has the AND of both. */
#define VMP_FEATURE_NONE  0


/** Frame sizes (header included) that two sides may agree on, bytes. */
#define VMP_FRAME_SIZE_MIN 64
#define VMP_FRAME_SIZE_MAX (1u << 24)

#define VMP_QPN_MAX        0xffffffu    /**< 24 bits */
#define VMP_PSN_MAX        0xffffffu    /**< 24 bits */
#define VMP_PSN_UNKNOWN    UINT32_MAX
#define VMP_FLOW_LABEL_MAX 0xfffffu     /**< 20 bits */
#define VMP_PATH_BITS_MAX  0x7fu        /**< IB: 7 bits */


/* Addresses ---------------------------------------------------------------- */

void vmp_rail_addr_pack(void *buf, const vmp_rail_addr_t *addr);
int vmp_rail_addr_unpack(const void *buf, vmp_rail_addr_t *addr);
void vmp_iface_addr_pack(void *buf, const vmp_iface_addr_t *addr);

/** @return 0, or -1: nonsense, or no version in common. */
int vmp_iface_addr_unpack(const void *buf, vmp_iface_addr_t *addr);


/* Control datagrams: UD ---------------------------------------------------- */

typedef enum vmp_ctl_type {
    VMP_CTL_CONNECT     = 1,    /**< Offer a connection */
    VMP_CTL_CONNECT_ACK = 2,
    VMP_CTL_PATH_ASK    = 3,    /**< Follower: bring up `num_paths` paths */
    VMP_CTL_PATH_REQ    = 4,    /**< Leader: path, epoch, entropy, its QP */
    VMP_CTL_PATH_REP    = 5,    /**< Follower: its QP, which is ready */
    VMP_CTL_PATH_RTU    = 6,    /**< Leader: its QP is ready too */
    VMP_CTL_DISCONNECT  = 7,    /**< Sender has no endpoints on it now */
    VMP_CTL_GOODBYE     = 8,    /**< Sender's interface closes or the connection
                                     has failed there, see reason */
    VMP_CTL_REJECT      = 9,    /**< Answer to CONNECT: cannot, see reason */
    VMP_CTL_DEAD        = 10,   /**< (path, epoch) is dead or was never known;
                                     with reason RESOURCE: will not come */
    VMP_CTL_PATH_DOWN   = 11,   /**< (path, epoch) is fenced off here: nothing of
                                     it takes effect any more */
    VMP_CTL_LAST
} vmp_ctl_type_t;

typedef enum vmp_ctl_reason {
    VMP_REASON_NONE     = 0,
    VMP_REASON_CLOSED   = 1,    /**< Interface closed in good order */
    VMP_REASON_FAILED   = 2,    /**< A path died and could not be replaced */
    VMP_REASON_VERSION  = 3,    /**< No version in common */
    VMP_REASON_RESOURCE = 4,    /**< Out of QPs or memory */
    VMP_REASON_STALE    = 5,    /**< Connection or incarnation is not known */
    VMP_REASON_LAST
} vmp_ctl_reason_t;

/**
 * A control datagram, unpacked. Every one carries the common part; which of the
 * rest counts depends on the type (see docs/protocol.md).
 */
typedef struct vmp_ctl_msg {
    /* common */
    uint8_t         version;
    uint8_t         type;
    uint8_t         role;           /**< Sender's role bit: 0, but 1 for the
                                         accepting half of a connection of an
                                         interface with itself */
    uint8_t         reason;
    uint64_t        src_id;         /**< Interface ids */
    uint64_t        dst_id;
    uint32_t        src_conn;       /**< Sender's slot */
    uint32_t        src_incarn;     /**< Sender's incarnation of it, never 0 */
    uint32_t        dst_conn;       /**< Receiver's; valid if incarn != 0 */
    uint32_t        dst_incarn;     /**< 0: not known to the sender yet */
    uint32_t        src_qpn;        /**< Control QP it was sent from, where an
                                         answer may go if the receiver does not
                                         know the sender otherwise, */
    vmp_rail_addr_t src_rail;       /**< and that QP's rail */

    /* CONNECT, CONNECT_ACK */
    uint8_t         ver_min;        /**< REJECT too */
    uint8_t         ver_max;
    uint8_t         num_paths;      /**< Most paths wanted; PATH_ASK too */
    uint8_t         addr_gen;       /**< Grows with new `rail`s, 255 to 1 */
    uint8_t         known_gen;      /**< Of the receiver's, as the sender knows
                                         it */
    uint32_t        features;
    uint32_t        credits;        /**< Initial credit limit granted */
    uint32_t        frame_size;     /**< Largest frame accepted, with header */
    vmp_rail_addr_t rail;           /**< Of the sender's home rail; in PATH_REQ
                                         and PATH_REP: of the path's rail */
    vmp_iface_addr_t iface;         /**< Of the sender */

    /* GOODBYE */
    uint32_t        delivered;      /**< Reason CLOSED: low bits of the SN below
                                         which all was delivered there */

    /* PATH_*, DEAD */
    uint8_t         path;
    uint8_t         is_answer;      /**< DOWN: the receiver's own one came */
    uint8_t         rail_index;     /**< Sender's rail of this path */
    uint8_t         mtu;
    uint8_t         max_rd_atomic;
    uint32_t        epoch;
    uint32_t        entropy;        /**< REQ; REP: the same again */
    uint32_t        qpn;            /**< Sender's QP: REQ, REP */
    uint32_t        psn;            /**< Sender's first PSN: REQ, REP. DOWN: the
                                         PSN that its QP expected next, or
                                         VMP_PSN_UNKNOWN */
} vmp_ctl_msg_t;

/** @return Bytes written, at most VMP_CTL_MAX_LEN. */
size_t vmp_ctl_msg_pack(void *buf, const vmp_ctl_msg_t *msg);

/** @return 0, or -1: not ours, truncated, or out of range. */
int vmp_ctl_msg_unpack(const void *buf, size_t length, vmp_ctl_msg_t *msg);

const char *vmp_ctl_type_str(unsigned type);
const char *vmp_ctl_reason_str(unsigned reason);


#endif
