/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_rx.h"
#include "vmp_credit.h"
#include "vmp_reorder.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define VMP_RX_ALIGN     64         /* bytes */
#define VMP_RX_ALIGN_MAX 4096       /* bytes */
#define VMP_RX_CHUNK     128        /* buffers */
#define VMP_RX_SPARE     64         /* buffers beyond the SRQs, at least */
#define VMP_RX_REFILL    32         /* buffers a call of the port */


void *vmp_rx_priv(vmp_rx_t *rx)
{
    return rx + 1;
}

vmp_rx_t *vmp_rx_from_priv(void *priv)
{
    return (vmp_rx_t*)priv - 1;
}

void *vmp_rx_data(vmp_rx_t *rx)
{
    return (char*)(rx + 1) + rx->iface->rx.priv_headroom;
}

static void *vmp_rx_wire(const vmp_iface_t *iface, vmp_rx_t *rx)
{
    return (char*)(rx + 1) + iface->rx.priv_headroom - VMP_FRAME_HDR_LEN;
}

static size_t vmp_rx_round_up(size_t size, size_t align)
{
    return (size + align - 1) & ~(align - 1);
}

/* At least a cache line; more than a page the pool cannot give */
static size_t vmp_rx_align(const vmp_iface_params_t *params)
{
    return ((params->rx_align < VMP_RX_ALIGN) ||
            (params->rx_align > VMP_RX_ALIGN_MAX)) ?
           VMP_RX_ALIGN : params->rx_align;
}

vmp_status_t vmp_rx_init(vmp_iface_t *iface)
{
    size_t fixed   = sizeof(vmp_rx_t) + iface->rx.priv_headroom;
    size_t align   = vmp_rx_align(&iface->params);
    size_t aligned = fixed + iface->params.rx_align_offset;
    size_t offset  = 0;
    uint32_t depth = 0;
    uint32_t max;
    unsigned i;

    /* buffers themselves are aligned, too */
    if ((aligned % sizeof(void*)) == 0) {
        offset = vmp_rx_round_up(aligned, align) - aligned;
    }

    for (i = 0; i < iface->num_rails; ++i) {
        depth += iface->rails[i].srq_depth;
    }

    /* the SRQs are always full, and there is something to replace with */
    max = iface->params.rx_max_bufs;
    if (max < (depth + VMP_RX_SPARE)) {
        max = depth + VMP_RX_SPARE;
    }

    vmp_buf_pool_init(&iface->rx.pool, iface->md, "receive buffers",
                      vmp_rx_round_up(offset + fixed + iface->seg_size, align),
                      offset, VMP_RX_CHUNK, max);
    for (i = 0; i < iface->num_rails; ++i) {
        vmp_rx_refill(iface, i);
        if (iface->rails[i].srq_posted == 0) {
            vmp_error("no receive buffers: memory or its lockable part is "
                      "used up; raise the limit of locked memory (ulimit -l)");
            vmp_buf_pool_cleanup(&iface->rx.pool);
            return VMP_ERR_NO_MEMORY;
        }
    }

    return VMP_OK;
}

void vmp_rx_cleanup(vmp_iface_t *iface)
{
    vmp_buf_pool_cleanup(&iface->rx.pool);
}

void vmp_rx_refill(vmp_iface_t *iface, unsigned rail_index)
{
    vmp_rail_t *rail = &iface->rails[rail_index];
    uint64_t wr_ids[VMP_RX_REFILL];
    vmp_sge_t sges[VMP_RX_REFILL];
    vmp_rx_t *rxs[VMP_RX_REFILL];
    unsigned taken;
    unsigned num;
    vmp_rx_t *rx;

    while (rail->srq_posted < rail->srq_depth) {
        for (num = 0; (num < VMP_RX_REFILL) &&
             ((rail->srq_posted + num) < rail->srq_depth); ++num) {
            rx = (vmp_rx_t*)vmp_buf_get(&iface->rx.pool);
            if (rx == NULL) {
                break;
            }

            rx->iface        = iface;
            rx->rail         = rail_index;
            rx->is_heap      = 0;
            rxs[num]         = rx;
            wr_ids[num]      = (uintptr_t)rx;
            sges[num].addr   = (uintptr_t)vmp_rx_wire(iface, rx);
            sges[num].length = iface->rx.frame_size;
            sges[num].lkey   = rx->super.mem->lkey[rail->dev_index];
        }

        if (num == 0) {
            return;
        }

        taken = vmp_port_srq_post(iface->port, rail_index, wr_ids, sges, num);
        rail->srq_posted    += taken;
        rail->is_srq_refused = (taken < num);
        while (num > taken) {
            vmp_buf_put(&iface->rx.pool, &rxs[--num]->super);
        }

        if (rail->is_srq_refused) {
            return; /* again with the next poll */
        }
    }
}

void vmp_rx_free(vmp_iface_t *iface, vmp_rx_t *rx)
{
    if (vmp_unlikely(rx->is_heap)) {
        free(rx);
    } else {
        vmp_buf_put(&iface->rx.pool, &rx->super);
    }
}

void vmp_rx_release(vmp_rx_t *rx)
{
    vmp_rx_free(rx->iface, rx);
}

vmp_rx_t *vmp_rx_copy(vmp_iface_t *iface, vmp_rx_t *rx)
{
    vmp_rx_t *copy = malloc(sizeof(*copy) + iface->rx.priv_headroom +
                            rx->length);

    if (copy != NULL) {
        *copy         = *rx;
        copy->is_heap = 1;
        memcpy(vmp_rx_data(copy), vmp_rx_data(rx), rx->length);
    }

    return copy;
}

int vmp_rx_can_replace(vmp_iface_t *iface, const vmp_rx_t *rx)
{
    const vmp_rail_t *rail = &iface->rails[rx->rail];

    /* with what the SRQ lacks, or it would dry up bit by bit */
    return vmp_buf_pool_has(&iface->rx.pool,
                            rail->srq_depth - rail->srq_posted + 1);
}

void vmp_rx_deliver(vmp_iface_t *iface, vmp_rx_t *rx)
{
    /* only what can be replaced may be kept; a heap copy always can */
    int may_keep = rx->is_heap || vmp_rx_can_replace(iface, rx);

    if (!iface->ops.am(iface->arg, rx->am_id, vmp_rx_data(rx), rx->length,
                       may_keep ? rx : NULL) || !may_keep) {
        vmp_rx_free(iface, rx);
    }
}

static void vmp_rx_drop(vmp_iface_t *iface, vmp_rx_t *rx, const char *why)
{
    ++iface->counters.rx_bad_frame;
    vmp_debug("frame dropped: %s", why);
    vmp_rx_free(iface, rx);
}

/* Connection and path of a frame; nothing of it is believed unchecked */
static vmp_conn_t *vmp_rx_conn(vmp_iface_t *iface, const vmp_frame_t *frame,
                               vmp_path_t **path_p)
{
    vmp_conn_t *conn = vmp_conn_find(iface, frame->conn, frame->incarn);
    vmp_path_t *path;

    *path_p = NULL;

    if ((conn == NULL) || (conn->block & VMP_BLOCK_FAILED) ||
        (frame->path >= conn->num_paths)) {
        return NULL;
    }

    /* What a QP executes between its move to ERR and its barrier, or what lay
     * in the CQ when its path went, was acknowledged and counts: the SN sorts
     * out what comes twice */
    path = conn->paths[frame->path];
    if ((path != NULL) && (path->epoch == frame->epoch)) {
        *path_p = path;
        return conn;
    }

    return (frame->epoch <= conn->gone_epochs[frame->path]) ? conn : NULL;
}

static void vmp_rx_handle(vmp_iface_t *iface, vmp_rx_t *rx, uint32_t byte_len)
{
    vmp_frame_t frame;
    vmp_path_t *path;
    vmp_conn_t *conn;

    if (vmp_unlikely(vmp_frame_unpack(vmp_rx_wire(iface, rx), byte_len,
                                      &frame) != 0)) {
        vmp_rx_drop(iface, rx, "malformed");
        return;
    }

    conn = vmp_rx_conn(iface, &frame, &path);
    if (vmp_unlikely(path == NULL)) {
        /* a frame may come before we hear of its connection or path */
        vmp_iface_events(iface);
        conn = vmp_rx_conn(iface, &frame, &path);
        if (conn == NULL) {
            vmp_rx_drop(iface, rx, "unknown connection, path or epoch");
            return;
        }
    }

    if (vmp_likely(path != NULL)) {
        if (vmp_unlikely(path->state == VMP_PATH_READY)) {
            /* the peer sends: its QP is ready, too */
            vmp_path_seen(path);
        }

        ++path->counters.rx_frames;
        path->counters.rx_bytes += frame.length;
    }

    vmp_credit_recv(conn, &frame);
    if (frame.type == VMP_FRAME_CREDIT) {
        vmp_rx_free(iface, rx);
        if (vmp_unlikely(frame.am_id & VMP_CREDIT_ASK)) {
            vmp_credit_give_back(conn);
        }

        return;
    }

    rx->length = frame.length;
    rx->type   = frame.type;
    rx->am_id  = frame.am_id;
    vmp_reorder_recv(conn, rx, frame.sn);
}

unsigned vmp_rx_poll(vmp_iface_t *iface, unsigned rail_index)
{
    vmp_rail_t *rail = &iface->rails[rail_index];
    vmp_wc_t wc[VMP_POLL_BATCH];
    vmp_rx_t *rx;
    int num;
    int i;

    num = vmp_port_poll_rx(iface->port, rail_index, wc, VMP_POLL_BATCH);
    rail->rx_empty = (num < VMP_POLL_BATCH);
    if (num <= 0) {
        if (vmp_unlikely(num < 0)) {
            vmp_iface_rail_broken(iface, rail_index);
        }

        if (vmp_unlikely((rail->srq_posted + rail->srq_batch) <=
                         rail->srq_depth)) {
            /* kept buffers may have come back */
            vmp_rx_refill(iface, rail_index);
        }

        return 0;
    }

    rail->srq_posted -= num;
    for (i = 0; i < num; ++i) {
        rx = (vmp_rx_t*)(uintptr_t)wc[i].wr_id;
        if (vmp_likely(wc[i].status == VMP_WC_SUCCESS)) {
            vmp_rx_handle(iface, rx, wc[i].byte_len);
        } else {
            vmp_rx_drop(iface, rx, vmp_wc_status_str(wc[i].status));
        }
    }

    if ((rail->srq_posted + rail->srq_batch) <= rail->srq_depth) {
        vmp_rx_refill(iface, rail_index);
    }

    return num;
}
