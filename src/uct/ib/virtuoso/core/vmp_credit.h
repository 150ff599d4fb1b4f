/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_CREDIT_H_
#define VMP_CREDIT_H_

#include "vmp_conn.h"


/** Take part in the interface's pool with the minimum. */
void vmp_credit_init(vmp_conn_t *conn);

/** Give the grant back to the pool. */
void vmp_credit_cleanup(vmp_conn_t *conn);

/** Enlarge a window that was used up, or see to it that others give some
 *  back. */
void vmp_credit_grow(vmp_conn_t *conn);

/** The peer gave back `num` SNs, which were delivered as nothing. */
void vmp_credit_returned(vmp_conn_t *conn, uint64_t num);

/** The peer wants credit back: half of what is not used. */
void vmp_credit_give_back(vmp_conn_t *conn);

/** Post a SKIP frame of 2^`num_log` SNs from `sn` on. Return 0, or -1: not
 *  now. */
int vmp_credit_skip(vmp_path_t *path, uint64_t sn, uint8_t num_log);

/** Post a CREDIT frame that is signalled, to see whether the peer takes it.
 *  Return 0, or -1: not now. */
int vmp_credit_probe(vmp_path_t *path);

/** Send CREDIT frames to those that are owed one and got no other frame.
 *  Return how many. */
unsigned vmp_credit_progress(vmp_iface_t *iface);


/** Absolute limit granted to the peer: it may send SNs below. */
static inline uint64_t vmp_credit_limit(const vmp_conn_t *conn)
{
    return conn->rx_next + conn->rx_window;
}

/** The peer is to hear when much of its credit is used up. */
static inline void vmp_credit_owe(vmp_conn_t *conn)
{
    if (((vmp_credit_limit(conn) - conn->rx_told) * 2 >= conn->rx_window) &&
        !vmp_list_is_linked(&conn->owing) &&
        !(conn->block & (VMP_BLOCK_CLOSED | VMP_BLOCK_FAILED))) {
        vmp_list_add_tail(&conn->iface->owing, &conn->owing);
    }
}

/** A message was delivered. */
static inline void vmp_credit_consumed(vmp_conn_t *conn)
{
    if (vmp_unlikely(++conn->rx_earned >= conn->rx_window)) {
        vmp_credit_grow(conn);
    }

    vmp_credit_owe(conn);
}

/** The peer delivered our SNs below `low`, of which these are the low bits. */
static inline void vmp_credit_delivered(vmp_conn_t *conn, uint32_t low)
{
    uint64_t delivered = vmp_sn_widen(conn->tx_delivered, low);

    if (((int64_t)(delivered - conn->tx_delivered) > 0) &&
        ((int64_t)(conn->tx_sn - delivered) >= 0)) {
        conn->tx_delivered = delivered;
    }
}

/** What a frame of the peer says of our messages. */
static inline void vmp_credit_recv(vmp_conn_t *conn, const vmp_frame_t *frame)
{
    uint64_t limit = vmp_sn_widen(conn->tx_limit, frame->limit);

    /* frames overtake each other: only what is news counts */
    if ((int64_t)(limit - conn->tx_limit) > 0) {
        if (conn->tx_sn == conn->tx_limit) {
            vmp_iface_changed(conn->iface);
        }

        conn->tx_limit = limit;
    }

    vmp_credit_delivered(conn, frame->delivered);
}


#endif
