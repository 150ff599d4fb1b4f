/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_POST_H_
#define VMP_POST_H_

#include "vmp_conn.h"


/**
 * Posting of work requests: what all operations share on the hot path. First
 * the room is checked, then vmp_post_begin() says whether to signal, the port
 * posts, and vmp_post_end() keeps the books; also of what the device refused,
 * which is the end of the path (vmp_post_check()).
 */

/** Start of every send buffer: what is needed to post it again */
typedef struct vmp_tx_buf {
    vmp_buf_t    super;
    uint64_t     remote_addr;       /**< Put */
    vmp_rkey_t   rkey;
    uint16_t     hdr_length;        /**< Message with user's buffers: bytes of its
                                         header, behind the frame's */
    uint8_t      iovcnt;            /**< These buffers; 0: all is here */
    uint8_t      is_short;          /**< From short_bufs */
    vmp_iov_t    iov[VMP_MAX_IOV];
} vmp_tx_buf_t;

/** Room for an operation in send queue and CQ */
static inline int vmp_path_has_room(const vmp_path_t *path)
{
    return ((path->head - path->tail) < path->limit) &&
           (path->rail->cq_avail > path->rail->cq_reserve);
}

static inline void vmp_path_update_eligible(vmp_path_t *path)
{
    vmp_conn_t *conn = path->conn;
    uint64_t bit     = 1ull << path->index;

    if ((path->state == VMP_PATH_UP) && !path->is_error &&
        ((path->head - path->tail) < path->limit) &&
        (path->pol->inflight < path->pol->window)) {
        conn->eligible |= bit;
    } else {
        conn->eligible &= ~bit;
    }
}

/** wr_id of the next WR */
static inline uint64_t vmp_post_wr_id(const vmp_path_t *path)
{
    return path->wr_id | (path->head & path->mask);
}

/**
 * Whether a WR that need not be signalled has to be: such ones are budgeted a
 * path and an interface, so that idle connections never pin queues or buffers.
 */
static inline unsigned vmp_post_moderate(const vmp_path_t *path, uint32_t bytes,
                                         const vmp_buf_t *buf)
{
    const vmp_iface_t *iface = path->conn->iface;
    const vmp_rail_t *rail   = path->rail;

    if (vmp_likely(((path->unsig + 1) < iface->signal_period) &&
                   ((path->unsig_bytes + bytes) < iface->signal_bytes) &&
                   (rail->unsig < rail->unsig_max)) &&
        ((buf == NULL) || (rail->unsig_bufs < iface->unsig_bufs_max))) {
        return 0;
    }

    return VMP_POST_SIGNALED;
}

/** The port has a WR. Inlined, as most of it falls away for a known kind. */
static inline __attribute__((always_inline)) vmp_wr_t *
vmp_post_end(vmp_path_t *path, unsigned flags, vmp_wr_kind_t kind, vmp_ep_t *ep,
             vmp_buf_t *buf, void *comp, uint32_t bytes)
{
    vmp_wr_t *wr     = &path->ring[path->head & path->mask];
    vmp_rail_t *rail = path->rail;

    wr->ep        = ep;
    wr->buf       = buf;
    wr->comp      = comp;
    wr->bytes     = bytes;
    wr->kind      = kind;
    wr->refusals  = 0;
    wr->deaths    = 0;
    wr->has_fence = 0;
    ++path->head;
    vmp_watch_add(path->conn);
    path->psn += vmp_wr_packets(path, kind, bytes);
    --rail->cq_avail;
    ++path->pol->outstanding;
    path->pol->inflight += bytes;

    if (flags & VMP_POST_SIGNALED) {
        rail->unsig      -= path->unsig;
        rail->unsig_bufs -= path->unsig_bufs;
        path->unsig       = 0;
        path->unsig_bytes = 0;
        path->unsig_bufs  = 0;
        if (vmp_unlikely(path->timing == VMP_TIMING_DUE)) {
            vmp_watch_begin(path);
        }
    } else {
        ++rail->unsig;
        ++path->unsig;
        path->unsig_bytes += bytes;
        if ((buf != NULL) && !((vmp_tx_buf_t*)buf)->is_short) {
            ++rail->unsig_bufs;
            ++path->unsig_bufs;
        }
    }

    if (vmp_wr_is_ctrl(kind)) {
        wr->barrier = NULL;
        ++path->num_ctrl;
    } else {
        if (vmp_wr_is_chunk(kind)) {
            wr->barrier = NULL;
            ++path->conn->chunks;
            ++path->conn->iface->chunks;
        } else {
            wr->barrier = vmp_conn_start(path->conn);
        }

        if (path->num_ops++ == 0) {
            path->conn->busy_mask |= 1ull << path->index;
        }
    }

    vmp_path_update_eligible(path);
    return wr;
}

/** After that, of what reads */
static inline void vmp_path_count_read(vmp_path_t *path, vmp_wr_kind_t kind)
{
    if (kind == VMP_WR_GET_CHUNK) {
        ++path->conn->reads;
        ++path->num_reads;
    }
}

/** After that: what the port returned */
static inline void vmp_post_check(vmp_path_t *path, int ret)
{
    if (vmp_unlikely(ret != 0)) {
        vmp_path_refused(path);
    }
}

/** Header of the next frame on a path */
static inline void vmp_post_frame_sn(const vmp_path_t *path, void *buf,
                                     uint8_t type, uint8_t am_id,
                                     size_t length, uint64_t sn)
{
    const vmp_conn_t *conn = path->conn;
    vmp_frame_t frame;

    frame.type      = type;
    frame.am_id     = am_id;
    frame.path      = path->index;
    frame.conn      = conn->peer_conn;
    frame.incarn    = conn->peer_incarn;
    frame.epoch     = path->epoch;
    frame.sn        = (uint32_t)sn;
    frame.delivered = (uint32_t)conn->rx_next;
    frame.limit     = (uint32_t)(conn->rx_next + conn->rx_window);
    frame.length    = (uint32_t)length;
    vmp_frame_pack(buf, &frame);
}

static inline void vmp_post_frame(const vmp_path_t *path, void *buf,
                                  uint8_t type, uint8_t am_id, size_t length)
{
    vmp_post_frame_sn(path, buf, type, am_id, length, path->conn->tx_sn);
}

/** A frame went out: what it told the peer. */
static inline void vmp_post_told(vmp_conn_t *conn)
{
    conn->rx_told = conn->rx_next + conn->rx_window;
}

/** Local key of a buffer on the rail of a path */
static inline uint32_t vmp_post_lkey(const vmp_path_t *path,
                                     const vmp_mem_t *mem)
{
    return mem->lkey[path->rail->dev_index];
}

/** Remote key on the peer's rail of a path */
static inline uint32_t vmp_post_rkey(const vmp_path_t *path,
                                     const vmp_rkey_t *rkey)
{
    return rkey->key[vmp_likely(path->remote_rail < rkey->num_devs) ?
                     path->remote_rail : 0];
}

/**
 * The endpoint of a message goes, and with it, maybe, the memory that it is sent
 * from: what is sent once more is sent from its buffer. The device goes on
 * reading where it was told to.
 */
void vmp_am_own(vmp_buf_t *buf);

/** Data of a send buffer */
static inline void *vmp_post_buf_data(vmp_buf_t *buf)
{
    return (char*)buf + sizeof(vmp_tx_buf_t);
}

/** A buffer for a long send. There must be one. */
static inline vmp_buf_t *vmp_post_buf_get(vmp_iface_t *iface)
{
    vmp_buf_t *buf = vmp_buf_get(&iface->tx_bufs);

    if (buf == NULL) {
        __builtin_unreachable();
    }

    ((vmp_tx_buf_t*)buf)->is_short = 0;
    ((vmp_tx_buf_t*)buf)->iovcnt   = 0;
    return buf;
}

/** A buffer for what goes inline, or NULL. */
static inline vmp_buf_t *vmp_post_short_get(vmp_iface_t *iface)
{
    vmp_buf_t *buf = vmp_buf_get(&iface->short_bufs);

    if (vmp_likely(buf != NULL)) {
        ((vmp_tx_buf_t*)buf)->is_short = 1;
        ((vmp_tx_buf_t*)buf)->iovcnt   = 0;
    }

    return buf;
}

static inline void vmp_post_buf_put(vmp_iface_t *iface, vmp_buf_t *buf)
{
    vmp_buf_put(((vmp_tx_buf_t*)buf)->is_short ? &iface->short_bufs :
                                                 &iface->tx_bufs, buf);
}

/**
 * Path of an operation in one piece, and whether its endpoint takes it.
 *
 * @return VMP_OK, VMP_ERR_NO_RESOURCE, or the failure of the connection.
 */
static inline vmp_status_t vmp_post_begin(vmp_ep_t *ep, size_t length,
                                          vmp_path_t **path_p)
{
    vmp_conn_t *conn = ep->conn;
    vmp_path_t *path;

    *path_p = NULL;
    if (vmp_unlikely(vmp_ep_is_blocked(ep))) {
        return vmp_ep_refusal(ep);
    }

    if (vmp_likely(!vmp_conn_is_spread(conn, length))) {
        path = conn->tx_path;
        if (vmp_unlikely(!vmp_path_has_room(path))) {
            return vmp_conn_no_room(conn);
        }
    } else {
        path = vmp_conn_spread(conn, length);
        if (path == NULL) {
            return vmp_conn_no_room(conn);
        }
    }

    *path_p = path;
    return VMP_OK;
}

/**
 * Bounce buffer of an operation whose length is known after packing only, and
 * then it must go. So there is to be room on the path for short ones; and if
 * the last one was long, in a window, too, lest bulk piles up on that path. The
 * latter holds up one attempt only: a short one must not wait for bulk.
 */
static inline vmp_status_t vmp_post_begin_bcopy(vmp_ep_t *ep,
                                                vmp_buf_t **buf_p)
{
    vmp_conn_t *conn   = ep->conn;
    vmp_iface_t *iface = conn->iface;

    *buf_p = NULL;
    if (vmp_unlikely(conn->is_pinned && conn->is_bulk)) {
        vmp_path_force(conn->tx_path);
    }

    if (vmp_unlikely(vmp_ep_is_blocked(ep))) {
        return vmp_ep_refusal(ep);
    }

    if (vmp_unlikely(conn->is_bulk && (conn->eligible == 0))) {
        conn->is_bulk = 0;
        return vmp_conn_no_room(conn);
    }

    if (vmp_unlikely(!vmp_path_has_room(conn->tx_path) ||
                     !vmp_buf_pool_has(&iface->tx_bufs,
                                       VMP_TX_BUFS_RESERVE + 1))) {
        return vmp_conn_no_room(conn);
    }

    *buf_p = vmp_post_buf_get(iface);
    return VMP_OK;
}

/** Path of what was packed; a fence that pins holds for it, too. */
static inline vmp_path_t *vmp_post_bcopy_path(vmp_conn_t *conn, size_t length)
{
    vmp_path_t *path;

    if (vmp_likely(!vmp_conn_is_spread(conn, length))) {
        return conn->tx_path;
    }

    conn->is_bulk = 1;
    if (vmp_unlikely(conn->is_pinned)) {
        return conn->tx_path;           /* there is no way back: post nothing */
    }

    path = vmp_conn_spread(conn, length);
    return (path != NULL) ? path : conn->tx_path;
}


#endif
