/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_credit.h"
#include "vmp_post.h"

#define VMP_CREDIT_LOOKS  4         /* connections at a time */


void vmp_credit_init(vmp_conn_t *conn)
{
    vmp_iface_t *iface = conn->iface;

    /* everybody gets the minimum, even beyond the pool: a full SRQ then makes
     * senders wait (RNR), which is slow but ends */
    conn->rx_window     = iface->params.rx_window_min;
    conn->rx_told       = conn->rx_window;
    iface->credit_used += conn->rx_window;
}

void vmp_credit_cleanup(vmp_conn_t *conn)
{
    conn->iface->credit_used -= conn->rx_window;
    conn->rx_window           = 0;
}

/* Who was not heard of since the last look has no use for a large window */
static void vmp_credit_look(vmp_conn_t *conn)
{
    if (conn->rx_next != conn->rx_seen) {
        conn->rx_seen = conn->rx_next;
        conn->rx_ask  = VMP_ASK_NOT;
    } else if ((conn->rx_ask == VMP_ASK_NOT) && (conn->tx_path != NULL) &&
               (conn->rx_window > conn->iface->params.rx_window_min) &&
               !(conn->block & (VMP_BLOCK_CLOSED | VMP_BLOCK_FAILED))) {
        conn->rx_ask = VMP_ASK_DUE;
        vmp_list_add_once(&conn->iface->owing, &conn->owing);
    }
}

/* The pool is used up. It fills again from connections that were used once: a
 * few are looked at each time, in turn. */
static void vmp_credit_reclaim(vmp_conn_t *hungry)
{
    vmp_iface_t *iface = hungry->iface;
    vmp_link_t *first  = iface->all.next;
    vmp_conn_t *conn;
    unsigned i;

    for (i = 0; i < VMP_CREDIT_LOOKS; ++i) {
        conn = vmp_container_of(iface->all.next, vmp_conn_t, all);
        if ((i > 0) && (&conn->all == first)) {
            return;
        }

        vmp_list_del(&conn->all);
        vmp_list_add_tail(&iface->all, &conn->all);
        if (conn != hungry) {
            vmp_credit_look(conn);
        }
    }
}

void vmp_credit_grow(vmp_conn_t *conn)
{
    vmp_iface_t *iface = conn->iface;
    uint32_t window    = conn->rx_window;

    conn->rx_earned = 0;
    if ((window * 2) > iface->params.rx_window_max) {
        return;
    }

    if ((iface->credit_used + window) <= iface->credit_pool) {
        conn->rx_window    += window;
        iface->credit_used += window;
    } else {
        vmp_credit_reclaim(conn);
    }
}

void vmp_credit_returned(vmp_conn_t *conn, uint64_t num)
{
    vmp_iface_t *iface = conn->iface;
    uint32_t window    = iface->params.rx_window_min;

    /* the peer has that much less, so the promise shrinks with the window */
    if ((conn->rx_window > num) && ((conn->rx_window - num) > window)) {
        window = conn->rx_window - num;
    }

    iface->counters.rx_returned += num;
    iface->credit_used          -= conn->rx_window - window;
    conn->rx_window              = window;
    conn->rx_earned              = 0;
    vmp_credit_owe(conn);
}

/* Post a frame without payload. Return 0, or -1: not now. */
static int vmp_credit_post(vmp_path_t *path, vmp_wr_kind_t kind, uint8_t type,
                           uint8_t am_id, uint64_t sn, unsigned more_flags)
{
    vmp_iface_t *iface = path->conn->iface;
    vmp_buf_t *buf     = NULL;
    uint8_t frame[VMP_FRAME_HDR_LEN];
    unsigned flags;
    vmp_sge_t sge;
    vmp_wr_t *wr;
    int ret;

    sge.length = sizeof(frame);
    if (vmp_likely(iface->attr.max_inline >= sizeof(frame))) {
        sge.addr = (uintptr_t)frame;
        sge.lkey = 0;
        flags    = VMP_POST_INLINE;
    } else {
        if (!vmp_buf_pool_has(&iface->tx_bufs, 1)) {
            return -1;
        }

        buf      = vmp_post_buf_get(iface);
        sge.addr = (uintptr_t)vmp_post_buf_data(buf);
        sge.lkey = vmp_post_lkey(path, buf->mem);
        flags    = 0;
    }

    vmp_post_frame_sn(path, (void*)(uintptr_t)sge.addr, type, am_id, 0, sn);
    flags |= vmp_post_moderate(path, 0, buf) | more_flags;
    ret         = vmp_port_post_send(path->qp, vmp_post_wr_id(path), flags,
                                     &sge, 1);
    wr          = vmp_post_end(path, flags, kind, NULL, buf, NULL, 0);
    wr->sn      = sn;
    wr->num_log = am_id;
    vmp_post_told(path->conn);
    vmp_post_check(path, ret);

    /* a SKIP goes on elsewhere, but nothing is told of credit */
    return (kind == VMP_WR_CREDIT) ? ret : 0;
}

/* CREDIT frames need no credit, and have a reserve of SQ and CQ slots and of
 * bounce buffers. Return 0, or -1: not now. */
static int vmp_credit_frame(vmp_path_t *path, uint8_t ask, unsigned flags)
{
    return ((path == NULL) || path->is_error || path->is_condemned ||
            (path->rail->cq_avail == 0) ||
            ((path->head - path->tail) >= (path->limit + 1))) ? -1 :
           vmp_credit_post(path, VMP_WR_CREDIT, VMP_FRAME_CREDIT, ask,
                           path->conn->tx_sn, flags);
}

int vmp_credit_probe(vmp_path_t *path)
{
    return vmp_credit_frame(path, 0, VMP_POST_SIGNALED);
}

static int vmp_credit_send(vmp_conn_t *conn)
{
    uint8_t ask = (conn->rx_ask == VMP_ASK_DUE) ? VMP_CREDIT_ASK : 0;

    if (vmp_credit_frame(conn->tx_path, ask, 0) != 0) {
        return -1;
    }

    if (ask) {
        conn->rx_ask = VMP_ASK_SENT;
    }

    return 0;
}

int vmp_credit_skip(vmp_path_t *path, uint64_t sn, uint8_t num_log)
{
    return vmp_credit_post(path, VMP_WR_SKIP, VMP_FRAME_SKIP, num_log, sn, 0);
}

void vmp_credit_give_back(vmp_conn_t *conn)
{
    uint64_t unused = conn->tx_limit - conn->tx_sn;
    unsigned log;

    /* who has no room for the answer uses its credit, or is asked again */
    if (conn->block || (unused < 4) || !vmp_path_has_room(conn->tx_path)) {
        return;
    }

    log = 63 - __builtin_clzll(unused / 2);
    if ((log > VMP_FRAME_SKIP_MAX) ||
        (vmp_credit_skip(conn->tx_path, conn->tx_sn, log) != 0)) {
        return;
    }

    if (conn->tx_skip_end != conn->tx_sn) {
        conn->tx_skip = conn->tx_sn;
    }

    conn->tx_sn      += 1ull << log;
    conn->tx_skip_end = conn->tx_sn;
}

unsigned vmp_credit_progress(vmp_iface_t *iface)
{
    unsigned count = 0;
    vmp_link_t *link;
    vmp_link_t *tmp;
    vmp_conn_t *conn;
    uint64_t owed;

    vmp_list_for_each_safe(link, tmp, &iface->owing) {
        conn = vmp_container_of(link, vmp_conn_t, owing);
        owed = vmp_credit_limit(conn) - conn->rx_told;
        if (((owed * 2) < conn->rx_window) && !conn->must_tell &&
            (conn->rx_ask != VMP_ASK_DUE)) {
            /* another frame has told it */
            vmp_list_del(link);
        } else if (vmp_credit_send(conn) == 0) {
            conn->must_tell = 0;
            vmp_list_del(link);
            ++count;
        }
    }

    return count;
}
