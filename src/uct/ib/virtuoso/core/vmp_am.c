/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_post.h"

#include <string.h>


/* Room for the next message, and its path if its length is known */
static inline vmp_status_t vmp_am_begin(vmp_ep_t *ep, size_t length,
                                        vmp_path_t **path_p)
{
    vmp_conn_t *conn = ep->conn;

    /* a blocked connection first: its credit means nothing */
    if (vmp_unlikely((conn->tx_sn == conn->tx_limit) && !conn->block)) {
        ++conn->iface->counters.tx_no_credit;
        return vmp_conn_no_room(conn);
    }

    return vmp_post_begin(ep, length, path_p);
}

/* A frame was posted: the SN is used up */
static inline void vmp_am_end(vmp_path_t *path, unsigned flags, vmp_ep_t *ep,
                              vmp_buf_t *buf, void *comp, size_t length)
{
    vmp_conn_t *conn = path->conn;
    vmp_wr_t *wr;

    wr = vmp_post_end(path, flags, VMP_WR_AM, ep, buf, comp, length);
    if (vmp_unlikely(ep->run != path->wr_id)) {
        ep->run    = path->wr_id;
        ep->run_sn = conn->tx_sn;
    }

    wr->sn = conn->tx_sn++;
    vmp_post_told(conn);
    ++path->counters.tx_frames;
    path->counters.tx_bytes += length;
}

/* Post frame and payload in `buf`, which stays until it is known complete */
static inline vmp_status_t vmp_am_post_inline(vmp_path_t *path, vmp_ep_t *ep,
                                              uint8_t am_id, vmp_buf_t *buf,
                                              size_t length)
{
    vmp_sge_t sge = {
        .addr   = (uintptr_t)vmp_post_buf_data(buf),
        .length = VMP_FRAME_HDR_LEN + (uint32_t)length
    };
    unsigned flags;
    int ret;

    vmp_post_frame(path, vmp_post_buf_data(buf), VMP_FRAME_AM, am_id, length);
    flags = VMP_POST_INLINE | vmp_post_moderate(path, length, NULL);
    ret   = vmp_port_post_send(path->qp, vmp_post_wr_id(path), flags, &sge, 1);
    vmp_am_end(path, flags, ep, buf, NULL, length);
    vmp_post_check(path, ret);
    return VMP_OK;
}

vmp_status_t vmp_ep_am_short(vmp_ep_t *ep, uint8_t am_id, uint64_t header,
                             const void *payload, size_t length)
{
    vmp_status_t status;
    vmp_path_t *path;
    vmp_buf_t *buf;
    char *frame;

    if (vmp_unlikely((sizeof(header) + length) > ep->conn->iface->max_short)) {
        return vmp_ep_too_long("am_short", sizeof(header) + length,
                               ep->conn->iface->max_short);
    }

    status = vmp_am_begin(ep, sizeof(header) + length, &path);
    if (vmp_unlikely(status != VMP_OK)) {
        return status;
    }

    buf = vmp_post_short_get(ep->conn->iface);
    if (vmp_unlikely(buf == NULL)) {
        return vmp_conn_no_room(ep->conn);
    }

    frame = vmp_post_buf_data(buf);
    memcpy(frame + VMP_FRAME_HDR_LEN, &header, sizeof(header));
    if (length > 0) {
        memcpy(frame + VMP_FRAME_HDR_LEN + sizeof(header), payload, length);
    }

    return vmp_am_post_inline(path, ep, am_id, buf, sizeof(header) + length);
}

vmp_status_t vmp_ep_am_short_iov(vmp_ep_t *ep, uint8_t am_id,
                                 const vmp_iov_t *iov, unsigned iovcnt)
{
    size_t length = 0;
    vmp_status_t status;
    vmp_path_t *path;
    vmp_buf_t *buf;
    unsigned i;
    char *ptr;

    for (i = 0; i < iovcnt; ++i) {
        if (vmp_unlikely(iov[i].length >
                         (ep->conn->iface->max_short - length))) {
            return vmp_ep_too_long("am_short_iov", length + iov[i].length,
                                   ep->conn->iface->max_short);
        }

        length += iov[i].length;
    }

    status = vmp_am_begin(ep, length, &path);
    if (vmp_unlikely(status != VMP_OK)) {
        return status;
    }

    buf = vmp_post_short_get(ep->conn->iface);
    if (vmp_unlikely(buf == NULL)) {
        return vmp_conn_no_room(ep->conn);
    }

    ptr = (char*)vmp_post_buf_data(buf) + VMP_FRAME_HDR_LEN;
    for (i = 0; i < iovcnt; ++i) {
        if (iov[i].length > 0) {
            memcpy(ptr, iov[i].buffer, iov[i].length);
            ptr += iov[i].length;
        }
    }

    return vmp_am_post_inline(path, ep, am_id, buf, length);
}

ssize_t vmp_ep_am_bcopy(vmp_ep_t *ep, uint8_t am_id, vmp_pack_func_t pack,
                        void *arg)
{
    vmp_conn_t *conn = ep->conn;
    vmp_status_t status;
    vmp_path_t *path;
    vmp_buf_t *buf;
    unsigned flags;
    size_t length;
    vmp_sge_t sge;
    char *frame;
    int ret;

    if (vmp_unlikely((conn->tx_sn == conn->tx_limit) && !conn->block)) {
        ++conn->iface->counters.tx_no_credit;
        return vmp_conn_no_room(conn);
    }

    status = vmp_post_begin_bcopy(ep, &buf);
    if (vmp_unlikely(status != VMP_OK)) {
        return status;
    }

    frame      = vmp_post_buf_data(buf);
    length     = pack(frame + VMP_FRAME_HDR_LEN, arg);
    path       = vmp_post_bcopy_path(conn, length);
    sge.addr   = (uintptr_t)frame;
    sge.length = VMP_FRAME_HDR_LEN + length;
    sge.lkey   = vmp_post_lkey(path, buf->mem);

    vmp_post_frame(path, frame, VMP_FRAME_AM, am_id, length);
    flags = vmp_post_moderate(path, length, buf);
    ret   = vmp_port_post_send(path->qp, vmp_post_wr_id(path), flags, &sge, 1);
    vmp_am_end(path, flags, ep, buf, NULL, length);
    vmp_post_check(path, ret);
    return length;
}

/* What it takes to post a message with user's buffers again */
static inline void vmp_am_keep(vmp_buf_t *buf, size_t header_length,
                               const vmp_iov_t *iov, unsigned iovcnt)
{
    vmp_tx_buf_t *tx_buf = (vmp_tx_buf_t*)buf;

    tx_buf->hdr_length = header_length;
    tx_buf->iovcnt     = iovcnt;
    memcpy(tx_buf->iov, iov, iovcnt * sizeof(*iov));
}

void vmp_am_own(vmp_buf_t *buf)
{
    vmp_tx_buf_t *tx_buf = (vmp_tx_buf_t*)buf;
    char *data           = (char*)vmp_post_buf_data(buf) + VMP_FRAME_HDR_LEN +
                           tx_buf->hdr_length;
    unsigned i;

    for (i = 0; i < tx_buf->iovcnt; ++i) {
        if (tx_buf->iov[i].length > 0) {
            memcpy(data, tx_buf->iov[i].buffer, tx_buf->iov[i].length);
            data += tx_buf->iov[i].length;
        }
    }

    tx_buf->iovcnt = 0;
}

vmp_status_t vmp_ep_am_zcopy(vmp_ep_t *ep, uint8_t am_id, const void *header,
                             size_t header_length, const vmp_iov_t *iov,
                             unsigned iovcnt, void *comp)
{
    vmp_iface_t *iface = ep->conn->iface;
    size_t length      = header_length;
    unsigned num       = 1;
    vmp_sge_t sge[VMP_MAX_IOV + 1];
    vmp_status_t status;
    vmp_path_t *path;
    vmp_buf_t *buf;
    unsigned i;
    char *frame;
    int ret;

    for (i = 0; i < iovcnt; ++i) {
        length += iov[i].length;
    }

    if (vmp_unlikely((iovcnt > iface->attr.max_sge - 1u) ||
                     (iovcnt > VMP_MAX_IOV))) {
        return VMP_ERR_INVALID_PARAM;
    }

    if (vmp_unlikely((length > iface->seg_size) ||
                     (header_length > VMP_AM_HDR_MAX))) {
        return (length > iface->seg_size) ?
               vmp_ep_too_long("am_zcopy", length, iface->seg_size) :
               vmp_ep_too_long("am_zcopy's header", header_length,
                               VMP_AM_HDR_MAX);
    }

    status = vmp_am_begin(ep, length, &path);
    if (vmp_unlikely(status != VMP_OK)) {
        return status;
    }

    if (vmp_unlikely(!vmp_buf_pool_has(&iface->tx_bufs,
                                       VMP_TX_BUFS_RESERVE + 1))) {
        return vmp_conn_no_room(ep->conn);
    }

    buf           = vmp_post_buf_get(iface);
    frame         = vmp_post_buf_data(buf);
    sge[0].addr   = (uintptr_t)frame;
    sge[0].length = VMP_FRAME_HDR_LEN + (uint32_t)header_length;
    sge[0].lkey   = vmp_post_lkey(path, buf->mem);
    for (i = 0; i < iovcnt; ++i) {
        if (iov[i].length > 0) {
            sge[num].addr   = (uintptr_t)iov[i].buffer;
            sge[num].length = (uint32_t)iov[i].length;
            sge[num].lkey   = vmp_post_lkey(path, iov[i].mem);
            ++num;
        }
    }

    vmp_am_keep(buf, header_length, iov, iovcnt);
    if (header_length > 0) {
        memcpy(frame + VMP_FRAME_HDR_LEN, header, header_length);
    }

    vmp_post_frame(path, frame, VMP_FRAME_AM, am_id, length);
    ret = vmp_port_post_send(path->qp, vmp_post_wr_id(path), VMP_POST_SIGNALED,
                             sge, num);
    vmp_am_end(path, VMP_POST_SIGNALED, ep, buf, comp, length);
    vmp_post_check(path, ret);
    return VMP_INPROGRESS;
}
