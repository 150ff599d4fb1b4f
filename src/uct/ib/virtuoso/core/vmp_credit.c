/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_credit.h"
#include "vmp_post.h"


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

void vmp_credit_grow(vmp_conn_t *conn)
{
    vmp_iface_t *iface = conn->iface;
    uint32_t window    = conn->rx_window;

    conn->rx_earned = 0;
    if (((window * 2) <= iface->params.rx_window_max) &&
        ((iface->credit_used + window) <= iface->credit_pool)) {
        conn->rx_window    += window;
        iface->credit_used += window;
    }
}

/* CREDIT frames need no credit, and have a reserve of SQ and CQ slots and of
 * bounce buffers. Return 0, or -1: not now. */
static int vmp_credit_send(vmp_conn_t *conn)
{
    vmp_path_t *path   = conn->tx_path;
    vmp_iface_t *iface = conn->iface;
    vmp_buf_t *buf     = NULL;
    uint8_t frame[VMP_FRAME_HDR_LEN];
    unsigned flags;
    vmp_sge_t sge;

    if ((path == NULL) || path->is_error || (path->rail->cq_avail == 0) ||
        ((path->head - path->tail) >= (path->limit + 1))) {
        return -1;
    }

    sge.length = sizeof(frame);
    if (vmp_likely(iface->attr.max_inline >= sizeof(frame))) {
        sge.addr = (uintptr_t)frame;
        sge.lkey = 0;
        flags    = VMP_POST_INLINE;
    } else {
        buf = vmp_buf_get(&iface->tx_bufs);
        if (buf == NULL) {
            return -1;
        }

        sge.addr = (uintptr_t)vmp_post_buf_data(buf);
        sge.lkey = vmp_post_lkey(path, buf->mem);
        flags    = 0;
    }

    vmp_post_frame(path, (void*)(uintptr_t)sge.addr, VMP_FRAME_CREDIT, 0, 0);
    flags |= vmp_post_moderate(path, 0, buf);
    if (vmp_port_post_send(path->qp, vmp_post_wr_id(path), flags, &sge,
                           1) != 0) {
        if (buf != NULL) {
            vmp_buf_put(&iface->tx_bufs, buf);
        }

        vmp_path_post_failed(path, VMP_WR_CREDIT);
        return -1;
    }

    vmp_post_end(path, flags, VMP_WR_CREDIT, NULL, buf, NULL, 0);
    vmp_post_told(conn);
    return 0;
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
        if ((owed * 2) < conn->rx_window) {
            /* another frame has told it */
            vmp_list_del(link);
        } else if (vmp_credit_send(conn) == 0) {
            vmp_list_del(link);
            ++count;
        }
    }

    return count;
}
