/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_RMA_H_
#define VMP_RMA_H_

#include "vmp_post.h"


/**
 * A put or get that is posted in chunks, bound to paths as their windows open,
 * or a read that goes through a bounce buffer.
 */
typedef struct vmp_op {
    vmp_link_t    link;             /**< In conn->ops, or iface->done */
    vmp_conn_t    *conn;
    vmp_ep_t      *ep;              /**< NULL: gone, nobody is called */
    vmp_barrier_t *barrier;
    void          *comp;
    vmp_wr_kind_t kind;             /**< PUT_CHUNK or GET_CHUNK */
    vmp_status_t  status;
    uint32_t      posted;           /**< Chunks in flight */
    unsigned      iovcnt;
    unsigned      iov_index;        /**< Where the next chunk begins */
    size_t        iov_offset;
    size_t        length;           /**< Bytes in all */
    size_t        offset;           /**< Bytes posted so far */
    uint64_t      remote_addr;
    vmp_rkey_t    rkey;
    vmp_iov_t     iov[VMP_MAX_IOV];
    vmp_buf_t     *buf;             /**< Bcopy read */
    void          (*unpack)(void);
    void          *unpack_arg;
} vmp_op_t;


#define VMP_RMA_BUDGET  16          /**< Chunks a progress call */
#define VMP_RMA_ALL     UINT32_MAX  /**< All that the windows take */

/** Post chunks of connections that have some, in turn. Return how many. */
unsigned vmp_rma_progress(vmp_iface_t *iface);

/** Whether that has something to do now. */
int vmp_rma_can_post(const vmp_iface_t *iface);

/** Complete operations that ended outside of progress. Return how many. */
unsigned vmp_rma_complete_done(vmp_iface_t *iface);

/** A chunk of an operation was completed (or, with an error, drained). */
void vmp_rma_chunk_done(vmp_op_t *op, vmp_status_t status);

/** End the chunked operations of an endpoint (NULL: of all) where they are:
 *  unposted chunks are dropped. Calls back from progress only. */
void vmp_rma_abort(vmp_conn_t *conn, const vmp_ep_t *ep, vmp_status_t status);

/** The endpoint goes: its operations end without calling back. */
void vmp_rma_purge(vmp_conn_t *conn, const vmp_ep_t *ep);

/** Post chunks of a connection, at most `max`. Return how many. */
unsigned vmp_rma_conn_post(vmp_conn_t *conn, unsigned max);

/** What is in a path's ring of an endpoint calls nobody back. */
void vmp_rma_purge_ring(vmp_path_t *path, const vmp_ep_t *ep);

/** Which endpoint a request was of that has none any more. */
static inline const void *vmp_rma_gone(const vmp_wr_t *wr)
{
    return vmp_wr_is_chunk(wr->kind) ? ((const vmp_op_t*)wr->comp)->comp :
                                       wr->comp;
}

/** Local pieces of `length` bytes of an operation from `offset` on, which were
 *  posted as one chunk before. Return how many. */
unsigned vmp_op_gather_at(const vmp_op_t *op, const vmp_path_t *path,
                          size_t offset, size_t length, vmp_sge_t *sge);

/** Bytes that a path may have in flight now. */
uint32_t vmp_rma_window(const vmp_path_t *path);

/** Post a piece of memory to or from the peer. Return 0 or -1. */
static inline int
vmp_rma_post(vmp_path_t *path, vmp_wr_kind_t kind, unsigned flags,
             const vmp_sge_t *sge, unsigned num_sge, uint64_t remote_addr,
             const vmp_rkey_t *rkey)
{
    uint32_t key = vmp_post_rkey(path, rkey);

    if (kind == VMP_WR_GET_CHUNK) {
        return vmp_port_post_read(path->qp, vmp_post_wr_id(path), flags, sge,
                                  num_sge, remote_addr, key);
    }

    return vmp_port_post_write(path->qp, vmp_post_wr_id(path), flags, sge,
                               num_sge, remote_addr, key);
}

static inline void vmp_rma_count(vmp_path_t *path, size_t length)
{
    ++path->counters.tx_chunks;
    path->counters.tx_bytes += length;
}

/** A path may have room for chunks. */
static inline void vmp_rma_kick(vmp_conn_t *conn)
{
    if (vmp_unlikely(!vmp_list_is_empty(&conn->ops)) &&
        !vmp_list_is_linked(&conn->active)) {
        vmp_list_add_tail(&conn->iface->active, &conn->active);
    }
}


#endif
