/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_rma.h"

#include <string.h>


static size_t vmp_iov_length(const vmp_iov_t *iov, unsigned iovcnt)
{
    size_t length = 0;
    unsigned i;

    for (i = 0; i < iovcnt; ++i) {
        length += iov[i].length;
    }

    return length;
}

/* An operation object, which holds a place in the generation of now */
static vmp_op_t *vmp_op_new(vmp_ep_t *ep, vmp_wr_kind_t kind, size_t length,
                            uint64_t remote_addr, const vmp_rkey_t *rkey,
                            void *comp)
{
    vmp_op_t *op = vmp_obj_get(&ep->conn->iface->op_pool);

    if (op != NULL) {
        op->conn        = ep->conn;
        op->ep          = ep;
        op->barrier     = NULL;
        op->comp        = comp;
        op->kind        = kind;
        op->status      = VMP_OK;
        op->posted      = 0;
        op->iovcnt      = 0;
        op->iov_index   = 0;
        op->iov_offset  = 0;
        op->length      = length;
        op->offset      = 0;
        op->remote_addr = remote_addr;
        op->rkey        = *rkey;
        op->buf         = NULL;
        vmp_list_init(&op->link);
    }

    return op;
}

/* Queue an operation that is posted in chunks */
static vmp_status_t
vmp_rma_queue(vmp_ep_t *ep, vmp_wr_kind_t kind, const vmp_iov_t *iov,
              unsigned iovcnt, size_t length, uint64_t remote_addr,
              const vmp_rkey_t *rkey, void *comp)
{
    vmp_conn_t *conn = ep->conn;
    vmp_op_t *op;

    if (vmp_conn_is_spread(conn, length) && conn->is_pinned) {
        vmp_path_force(conn->tx_path);
        return vmp_conn_no_room(conn);
    }

    if (vmp_unlikely(conn->block)) {
        return vmp_ep_refusal(ep);      /* a pin was lost just now */
    }

    if (vmp_unlikely(conn->num_ops >= conn->iface->conn_ops_max)) {
        return vmp_conn_no_room(conn);
    }

    op = vmp_op_new(ep, kind, length, remote_addr, rkey, comp);
    if (op == NULL) {
        return vmp_conn_no_room(conn);
    }

    op->iovcnt = iovcnt;
    memcpy(op->iov, iov, iovcnt * sizeof(*iov));
    op->barrier = vmp_conn_start(conn);
    vmp_list_add_tail(&conn->ops, &op->link);
    ++conn->num_ops;
    vmp_watch_add(conn);        /* also if others hold what it needs */
    if (conn->ops.next == &op->link) {
        /* first in the queue: fill the windows now */
        vmp_rma_conn_post(conn, VMP_RMA_ALL);
        vmp_rma_kick(conn);
    }

    return VMP_INPROGRESS;
}

/* It went out as one chunk */
static inline void vmp_op_posted(vmp_op_t *op, const vmp_iov_t *iov,
                                 unsigned iovcnt, vmp_path_t *path)
{
    op->iovcnt  = iovcnt;
    op->offset  = op->length;
    op->posted  = 1;
    op->barrier = vmp_conn_start(op->conn);
    memcpy(op->iov, iov, iovcnt * sizeof(*iov));
    vmp_post_end(path, VMP_POST_SIGNALED, op->kind, op->ep, NULL, op,
                 op->length)->sn = 0;
    vmp_path_count_read(path, op->kind);
    vmp_rma_count(path, op->length);
}

static vmp_status_t vmp_rma_zcopy(vmp_ep_t *ep, int is_get,
                                  const vmp_iov_t *iov, unsigned iovcnt,
                                  uint64_t remote_addr, const vmp_rkey_t *rkey,
                                  void *comp)
{
    vmp_conn_t *conn   = ep->conn;
    vmp_wr_kind_t kind = is_get ? VMP_WR_GET_CHUNK : VMP_WR_PUT_CHUNK;
    size_t length      = vmp_iov_length(iov, iovcnt);
    vmp_sge_t sge[VMP_MAX_IOV];
    vmp_status_t status;
    vmp_path_t *path;
    vmp_op_t *op;
    unsigned num;
    unsigned i;
    int ret;

    if (vmp_unlikely(iovcnt > VMP_MAX_IOV)) {
        return VMP_ERR_INVALID_PARAM;
    }

    if (vmp_unlikely(vmp_ep_is_blocked(ep))) {
        return vmp_ep_refusal(ep);
    }

    if (vmp_unlikely(length == 0)) {
        return VMP_OK;
    }

    if ((length > conn->iface->chunk_size) ||
        (iovcnt > conn->iface->max_sge) ||
        (!vmp_list_is_empty(&conn->ops) && vmp_conn_is_spread(conn, length))) {
        goto queue;
    }

    status = vmp_post_begin(ep, length, &path);
    if (status != VMP_OK) {
        if (status != VMP_ERR_NO_RESOURCE) {
            return status;
        }

        goto queue;
    }

    for (i = 0, num = 0; i < iovcnt; ++i) {
        if (iov[i].length > 0) {
            sge[num].addr   = (uintptr_t)iov[i].buffer;
            sge[num].length = iov[i].length;
            sge[num].lkey   = vmp_post_lkey(path, iov[i].mem);
            ++num;
        }
    }

    op = vmp_op_new(ep, kind, length, remote_addr, rkey, comp);
    if (op == NULL) {
        return vmp_conn_no_room(conn);
    }

    ret = vmp_rma_post(path, kind, VMP_POST_SIGNALED, sge, num, remote_addr,
                       rkey);
    vmp_op_posted(op, iov, iovcnt, path);
    vmp_post_check(path, ret);
    return VMP_INPROGRESS;

queue:
    return vmp_rma_queue(ep, kind, iov, iovcnt, length, remote_addr, rkey,
                         comp);
}

vmp_status_t vmp_ep_put_zcopy(vmp_ep_t *ep, const vmp_iov_t *iov,
                              unsigned iovcnt, uint64_t remote_addr,
                              const vmp_rkey_t *rkey, void *comp)
{
    return vmp_rma_zcopy(ep, 0, iov, iovcnt, remote_addr, rkey, comp);
}

vmp_status_t vmp_ep_get_zcopy(vmp_ep_t *ep, const vmp_iov_t *iov,
                              unsigned iovcnt, uint64_t remote_addr,
                              const vmp_rkey_t *rkey, void *comp)
{
    return vmp_rma_zcopy(ep, 1, iov, iovcnt, remote_addr, rkey, comp);
}

/* What it takes to post a put out of a buffer of ours again */
static inline void vmp_put_keep(vmp_buf_t *buf, uint64_t remote_addr,
                                const vmp_rkey_t *rkey)
{
    vmp_tx_buf_t *tx_buf = (vmp_tx_buf_t*)buf;

    tx_buf->remote_addr = remote_addr;
    tx_buf->rkey        = *rkey;
}

vmp_status_t vmp_ep_put_short(vmp_ep_t *ep, const void *buffer, size_t length,
                              uint64_t remote_addr, const vmp_rkey_t *rkey)
{
    vmp_sge_t sge = {
        .length = (uint32_t)length
    };
    vmp_status_t status;
    vmp_path_t *path;
    vmp_buf_t *buf;
    unsigned flags;
    int ret;

    if (vmp_unlikely(length > ep->conn->iface->max_short)) {
        return vmp_ep_too_long("put_short", length,
                               ep->conn->iface->max_short);
    }

    status = vmp_post_begin(ep, length, &path);
    if (vmp_unlikely(status != VMP_OK)) {
        return status;
    }

    if (vmp_unlikely(length == 0)) {
        return VMP_OK;
    }

    buf = vmp_post_short_get(ep->conn->iface);
    if (vmp_unlikely(buf == NULL)) {
        return vmp_conn_no_room(ep->conn);
    }

    sge.addr = (uintptr_t)vmp_post_buf_data(buf);
    memcpy(vmp_post_buf_data(buf), buffer, length);
    vmp_put_keep(buf, remote_addr, rkey);
    flags = VMP_POST_INLINE | vmp_post_moderate(path, length, NULL);
    ret   = vmp_rma_post(path, VMP_WR_PUT, flags, &sge, 1, remote_addr, rkey);
    vmp_post_end(path, flags, VMP_WR_PUT, ep, buf, NULL, length)->sn = 0;
    vmp_rma_count(path, length);
    vmp_post_check(path, ret);
    return VMP_OK;
}

ssize_t vmp_ep_put_bcopy(vmp_ep_t *ep, vmp_pack_func_t pack, void *arg,
                         uint64_t remote_addr, const vmp_rkey_t *rkey)
{
    vmp_conn_t *conn   = ep->conn;
    vmp_iface_t *iface = conn->iface;
    vmp_status_t status;
    vmp_path_t *path;
    vmp_buf_t *buf;
    unsigned flags;
    vmp_sge_t sge;
    int ret;

    status = vmp_post_begin_bcopy(ep, &buf);
    if (vmp_unlikely(status != VMP_OK)) {
        return status;
    }

    sge.addr   = (uintptr_t)vmp_post_buf_data(buf);
    sge.length = pack((void*)(uintptr_t)sge.addr, arg);
    if (vmp_unlikely(sge.length == 0)) {
        vmp_post_buf_put(iface, buf);
        return 0;
    }

    path     = vmp_post_bcopy_path(conn, sge.length);
    sge.lkey = vmp_post_lkey(path, buf->mem);
    vmp_put_keep(buf, remote_addr, rkey);
    flags    = vmp_post_moderate(path, sge.length, buf);
    ret      = vmp_rma_post(path, VMP_WR_PUT, flags, &sge, 1, remote_addr,
                            rkey);
    vmp_post_end(path, flags, VMP_WR_PUT, ep, buf, NULL, sge.length)->sn = 0;
    vmp_rma_count(path, sge.length);
    vmp_post_check(path, ret);
    return sge.length;
}

vmp_status_t vmp_ep_get_bcopy(vmp_ep_t *ep, void (*unpack)(void),
                              void *unpack_arg, size_t length,
                              uint64_t remote_addr, const vmp_rkey_t *rkey,
                              void *comp)
{
    vmp_conn_t *conn   = ep->conn;
    vmp_iface_t *iface = conn->iface;
    vmp_status_t status;
    vmp_path_t *path;
    vmp_op_t *op;
    vmp_sge_t sge;
    int ret;

    if (vmp_unlikely(length > iface->seg_size)) {
        return vmp_ep_too_long("get_bcopy", length, iface->seg_size);
    }

    status = vmp_post_begin(ep, length, &path);
    if (vmp_unlikely(status != VMP_OK)) {
        return status;
    }

    if (!vmp_buf_pool_has(&iface->tx_bufs, VMP_TX_BUFS_RESERVE + 1)) {
        return vmp_conn_no_room(conn);
    }

    op = vmp_op_new(ep, VMP_WR_GET_CHUNK, length, remote_addr, rkey, comp);
    if (op == NULL) {
        return vmp_conn_no_room(conn);
    }

    op->buf        = vmp_post_buf_get(iface);
    op->unpack     = unpack;
    op->unpack_arg = unpack_arg;
    op->offset     = length;
    sge.addr       = (uintptr_t)vmp_post_buf_data(op->buf);
    sge.length     = length;
    sge.lkey       = vmp_post_lkey(path, op->buf->mem);
    ret = vmp_rma_post(path, VMP_WR_GET_CHUNK, VMP_POST_SIGNALED, &sge, 1,
                       remote_addr, rkey);

    op->barrier = vmp_conn_start(conn);
    op->posted  = 1;
    vmp_post_end(path, VMP_POST_SIGNALED, VMP_WR_GET_CHUNK, ep, NULL, op,
                 length)->sn = 0;
    vmp_path_count_read(path, VMP_WR_GET_CHUNK);
    vmp_rma_count(path, length);
    vmp_post_check(path, ret);
    return VMP_INPROGRESS;
}
