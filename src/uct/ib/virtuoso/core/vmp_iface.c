/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_iface.h"
#include "vmp_barrier.h"
#include "vmp_conn.h"
#include "vmp_credit.h"
#include "vmp_fault.h"
#include "vmp_path.h"
#include "vmp_rma.h"
#include "vmp_stats.h"

#include <stdlib.h>
#include <string.h>

#define VMP_SIGNAL_PERIOD  32           /* WRs */
#define VMP_TX_SKIP_MAX    8            /* progress calls in a row */
#define VMP_WATCH_POLLS    32           /* progress calls from look to look */
#define VMP_SUSPECT_NS     200000ul     /* if nothing is set */
#define VMP_SUSPECT_MAX    (1ull << 60) /* ns: never */
#define VMP_OPS_MAX        65536        /* chunked operations in all */
#define VMP_TX_CHUNK_BUFS  64
#define VMP_SQ_DEPTH_MIN   8
#define VMP_SQ_DEPTH_MAX   65536        /* as wr_id has it */
#define VMP_CQ_DEPTH_MIN   16
#define VMP_SRQ_DEPTH_MIN  16
#define VMP_RMA_MAX        (1ull << 40)  /* bytes of one put or get */


static uint32_t vmp_min(uint32_t a, uint32_t b)
{
    return (a < b) ? a : b;
}

static uint32_t vmp_max(uint32_t a, uint32_t b)
{
    return (a > b) ? a : b;
}

static int vmp_is_pow2(uint32_t value)
{
    return (value != 0) && ((value & (value - 1)) == 0);
}

/* A bad setting is refused with a clear line */
static vmp_status_t vmp_iface_check(const vmp_iface_params_t *params)
{
    if ((params->num_paths == 0) || (params->num_paths > VMP_MAX_PATHS)) {
        vmp_error("UCX_VMP_NUM_PATHS is %u: must be 1 to %u",
                  params->num_paths, VMP_MAX_PATHS);
        return VMP_ERR_INVALID_PARAM;
    }

    if (vmp_policy_find(params->policy) == NULL) {
        vmp_error("UCX_VMP_POLICY is \"%s\": must be one of: %s",
                  params->policy, vmp_policy_names());
        return VMP_ERR_INVALID_PARAM;
    }

    if (!vmp_is_pow2(params->rx_window_max) || (params->rx_window_min == 0) ||
        (params->rx_window_min > params->rx_window_max) ||
        (params->rx_window_max > (1u << 20))) {
        vmp_error("receive windows of %u to %u messages: must be 1 to 2^20, "
                  "and the larger one a power of 2", params->rx_window_min,
                  params->rx_window_max);
        return VMP_ERR_INVALID_PARAM;
    }

    if ((params->chunk_size == 0) || (params->chunk_size > (1u << 30)) ||
        (params->seg_size < 64) || (params->seg_size > (1u << 24)) ||
        (params->path_window == 0)) {
        vmp_error("chunks of %zu bytes, segments of %zu, windows of %zu: must "
                  "be 1 to 2^30, 64 to 2^24, 1 and more", params->chunk_size,
                  params->seg_size, params->path_window);
        return VMP_ERR_INVALID_PARAM;
    }

    return VMP_OK;
}

/* What the device gave must do for at least the smallest traffic */
static vmp_status_t vmp_iface_check_attr(const vmp_port_attr_t *attr)
{
    if ((attr->num_rails == 0) || (attr->num_rails > VMP_MAX_RAILS) ||
        !vmp_is_pow2(attr->sq_depth) || (attr->sq_depth < VMP_SQ_DEPTH_MIN) ||
        (attr->sq_depth > VMP_SQ_DEPTH_MAX) ||
        (attr->cq_depth < VMP_CQ_DEPTH_MIN) ||
        (attr->srq_depth < VMP_SRQ_DEPTH_MIN) || (attr->max_sge == 0)) {
        vmp_error("the device gives send queues of %u, completion queues of "
                  "%u, receive queues of %u entries: need %u (a power of 2), "
                  "%u, %u at least", attr->sq_depth, attr->cq_depth,
                  attr->srq_depth, VMP_SQ_DEPTH_MIN, VMP_CQ_DEPTH_MIN,
                  VMP_SRQ_DEPTH_MIN);
        return VMP_ERR_UNSUPPORTED;
    }

    return VMP_OK;
}

static void vmp_iface_init_rails(vmp_iface_t *iface)
{
    const vmp_port_attr_t *attr = &iface->attr;
    uint32_t credit_pool        = 0;
    vmp_rail_t *rail;
    unsigned i;

    iface->num_rails = attr->num_rails;
    for (i = 0; i < iface->num_rails; ++i) {
        rail              = &iface->rails[i];
        vmp_list_init(&rail->forcing);
        rail->cq_avail    = attr->cq_depth;
        rail->cq_reserve  = vmp_min(attr->cq_depth / 8, 64);
        rail->cq_share    = attr->cq_depth / 2;
        rail->unsig_max   = attr->cq_depth / 4;
        rail->srq_depth   = attr->srq_depth;
        rail->srq_batch   = vmp_max(1, vmp_min(attr->srq_depth / 8, 32));
        rail->rx_held_max = attr->srq_depth / 4;
        rail->dev_index   = attr->dev_index[i];
        /* the rest is for CREDIT frames, which need no credit */
        credit_pool      += attr->srq_depth - (attr->srq_depth / 8);
    }

    iface->credit_pool = credit_pool;
}

static void vmp_iface_init_limits(vmp_iface_t *iface)
{
    const vmp_iface_params_t *params = &iface->params;
    const vmp_port_attr_t *attr      = &iface->attr;
    uint32_t inline_max              = vmp_min(attr->max_inline,
                                               VMP_INLINE_MAX);

    /* inline, and in a receive buffer of the peer */
    iface->max_short     = (inline_max >= VMP_FRAME_HDR_LEN + 8) ?
                           vmp_min(inline_max - VMP_FRAME_HDR_LEN,
                                   params->seg_size) : 0;
    iface->seg_size      = params->seg_size;
    iface->spread_thresh = params->spread_thresh;
    iface->chunk_size    = params->chunk_size;
    iface->path_window   = (params->path_window > (1u << 30)) ?
                           (1u << 30) : params->path_window;
    iface->signal_bytes  = vmp_max(iface->path_window / 4, 1);
    iface->signal_period = vmp_max(1, vmp_min(VMP_SIGNAL_PERIOD,
                                              attr->sq_depth / 4));
    iface->max_sge       = vmp_min(attr->max_sge, VMP_MAX_IOV);

    /* enough to keep a queue busy; more of them wait where the user has them,
     * and takes less memory for it */
    iface->conn_ops_max  = attr->sq_depth;

    iface->rx.priv_headroom = params->rx_priv + params->rx_headroom;
    iface->rx.frame_size    = VMP_FRAME_HDR_LEN + params->seg_size;
}

static void vmp_iface_init_pools(vmp_iface_t *iface)
{
    uint32_t tx_max = vmp_max(iface->params.tx_max_bufs,
                              VMP_TX_BUFS_RESERVE * 4);

    iface->unsig_bufs_max = tx_max / 4;
    vmp_buf_pool_init(&iface->tx_bufs, iface->md, "send buffers",
                      sizeof(vmp_tx_buf_t) + VMP_FRAME_HDR_LEN +
                      iface->seg_size, 0, VMP_TX_CHUNK_BUFS, tx_max);
    vmp_buf_pool_init(&iface->short_bufs, iface->md, "copies of short sends",
                      sizeof(vmp_tx_buf_t) + VMP_FRAME_HDR_LEN +
                      iface->max_short, 0, VMP_TX_CHUNK_BUFS, UINT32_MAX);
    vmp_obj_pool_init(&iface->op_pool, sizeof(vmp_op_t), VMP_OPS_MAX);
    vmp_obj_pool_init(&iface->barrier_pool, sizeof(vmp_barrier_t), UINT32_MAX);
    vmp_obj_pool_init(&iface->waiter_pool, sizeof(vmp_waiter_t), UINT32_MAX);
}

/* The first send buffers come before those for receiving, of which there are as
 * many as memory can be had for: with none at all nothing would ever be sent, and
 * nobody told. */
static vmp_status_t vmp_iface_fill_pools(vmp_iface_t *iface)
{
    if ((vmp_buf_pool_grow(&iface->tx_bufs) != 0) ||
        (vmp_buf_pool_grow(&iface->short_bufs) != 0)) {
        vmp_error("no send buffers: memory or its lockable part is used up; "
                  "raise the limit of locked memory (ulimit -l)");
        return VMP_ERR_NO_MEMORY;
    }

    return VMP_OK;
}

static void vmp_iface_init_lists(vmp_iface_t *iface)
{
    vmp_list_init(&iface->active);
    vmp_list_init(&iface->owing);
    vmp_list_init(&iface->failing);
    vmp_list_init(&iface->draining);
    vmp_list_init(&iface->replaying);
    vmp_list_init(&iface->done);
    vmp_list_init(&iface->dead);
    vmp_list_init(&iface->all);
    vmp_list_init(&iface->faulty);
    vmp_list_init(&iface->watched);
    vmp_list_init(&iface->touched);
}

static void vmp_iface_cleanup_pools(vmp_iface_t *iface)
{
    vmp_buf_pool_cleanup(&iface->tx_bufs);
    vmp_buf_pool_cleanup(&iface->short_bufs);
    vmp_obj_pool_cleanup(&iface->op_pool);
    vmp_obj_pool_cleanup(&iface->barrier_pool);
    vmp_obj_pool_cleanup(&iface->waiter_pool);
}

/* Control, and the queues to it */
static vmp_status_t vmp_iface_init_ctl(vmp_iface_t *iface)
{
    vmp_ctl_params_t params = {
        .port            = iface->port,
        .attr            = &iface->attr,
        .id              = iface->id,
        .num_paths       = iface->params.num_paths,
        .credits         = iface->params.rx_window_min,
        .frame_size      = iface->rx.frame_size,
        .peer_timeout_ns = iface->params.peer_timeout_ns,
        .cmds            = &iface->cmds,
        .evs             = &iface->evs
    };

    if (vmp_spsc_init(&iface->cmds) != 0) {
        goto err;
    }

    if (vmp_spsc_init(&iface->evs) != 0) {
        goto err_cmds;
    }

    iface->ctl = vmp_ctl_create(&params);
    if (iface->ctl == NULL) {
        goto err_evs;
    }

    return VMP_OK;

err_evs:
    vmp_spsc_cleanup(&iface->evs);
err_cmds:
    vmp_spsc_cleanup(&iface->cmds);
err:
    vmp_error("out of memory for an interface");
    return VMP_ERR_NO_MEMORY;
}

vmp_status_t vmp_iface_create(vmp_port_md_t *md,
                              const vmp_iface_params_t *params,
                              vmp_iface_t **iface_p)
{
    vmp_iface_t *iface;
    vmp_status_t status;

    status = vmp_iface_check(params);
    if (status != VMP_OK) {
        return status;
    }

    iface = calloc(1, sizeof(*iface));
    if (iface == NULL) {
        vmp_error("out of memory for an interface");
        return VMP_ERR_NO_MEMORY;
    }

    iface->md            = md;
    iface->params        = *params;
    iface->params.policy = NULL;
    if (iface->params.suspect_ns == 0) {
        iface->params.suspect_ns = VMP_SUSPECT_NS;
    } else if (iface->params.suspect_ns > VMP_SUSPECT_MAX) {
        iface->params.suspect_ns = VMP_SUSPECT_MAX;
    }

    iface->ops           = *params->ops;
    iface->arg           = params->arg;
    iface->policy        = vmp_policy_find(params->policy);
    iface->gen           = 1;
    vmp_iface_init_lists(iface);

    status = vmp_port_open(md, &params->port, &iface->port, &iface->attr);
    if (status != VMP_OK) {
        goto err_free;
    }

    status = vmp_iface_check_attr(&iface->attr);
    if (status != VMP_OK) {
        goto err_close;
    }

    iface->id = vmp_port_random(iface->port);
    vmp_iface_init_rails(iface);
    vmp_iface_init_limits(iface);
    vmp_iface_init_pools(iface);

    status = vmp_iface_fill_pools(iface);
    if (status != VMP_OK) {
        goto err_close;
    }

    status = vmp_rx_init(iface);
    if (status != VMP_OK) {
        goto err_close;
    }

    status = vmp_iface_init_ctl(iface);
    if (status != VMP_OK) {
        goto err_close;
    }

    status = vmp_port_start(iface->port, iface->ctl);
    if (status != VMP_OK) {
        goto err_ctl;
    }

    *iface_p = iface;
    return VMP_OK;

err_ctl:
    vmp_ctl_destroy(iface->ctl);
    vmp_spsc_cleanup(&iface->evs);
    vmp_spsc_cleanup(&iface->cmds);
err_close:
    vmp_port_close(iface->port);
    /* only now has the SRQ let go of them */
    vmp_rx_cleanup(iface);
    vmp_iface_cleanup_pools(iface);
err_free:
    free(iface);
    return status;
}

void vmp_iface_destroy(vmp_iface_t *iface)
{
    vmp_port_stop(iface->port);
    vmp_conn_say_delivered(iface);
    vmp_ctl_destroy(iface->ctl);
    vmp_conn_cleanup(iface);
    vmp_stats_iface_gone(iface);
    vmp_port_close(iface->port);
    vmp_rx_cleanup(iface);
    vmp_iface_cleanup_pools(iface);
    vmp_spsc_cleanup(&iface->evs);
    vmp_spsc_cleanup(&iface->cmds);
    free(iface);
}

void vmp_iface_query(const vmp_iface_t *iface, vmp_iface_attr_t *attr)
{
    const vmp_port_attr_t *port = &iface->attr;

    memset(attr, 0, sizeof(*attr));
    attr->rail_addr    = port->addr[0];
    attr->addr.id      = iface->id;
    attr->addr.ver_min = VMP_WIRE_VER_MIN;
    attr->addr.ver_max = VMP_WIRE_VER_MAX;
    attr->addr.num_ud  = port->num_ud;
    memcpy(attr->addr.ud_qpn, port->ud_qpn[0], sizeof(attr->addr.ud_qpn));
    attr->max_short     = iface->max_short;
    attr->max_bcopy     = iface->seg_size;
    attr->max_zcopy_am  = (port->max_sge > 1) ? iface->seg_size : 0;
    attr->max_zcopy_hdr = vmp_min(iface->seg_size, VMP_AM_HDR_MAX);
    attr->max_zcopy_rma = VMP_RMA_MAX;
    attr->max_iov       = vmp_max(1, vmp_min(port->max_sge - 1, VMP_MAX_IOV));
    attr->path_mtu      = 128ul << port->path_mtu;
    attr->speed         = port->speed;
}

int vmp_iface_command(vmp_iface_t *iface, const vmp_cmd_t *cmd)
{
    vmp_cmd_t *copy = malloc(sizeof(*copy));

    if (copy == NULL) {
        vmp_error("out of memory for a command to control");
        return -1;
    }

    memcpy(copy, cmd, sizeof(*copy));
    vmp_spsc_push(&iface->cmds, &copy->super);
    vmp_port_wake(iface->port);
    return 0;
}

unsigned vmp_iface_events(vmp_iface_t *iface)
{
    unsigned count = 0;
    vmp_spsc_node_t *node;

    while ((node = vmp_spsc_pop(&iface->evs)) != NULL) {
        vmp_conn_event(iface, (const vmp_ev_t*)node);
        ++count;
    }

    return count;
}

void vmp_iface_rail_broken(vmp_iface_t *iface, unsigned rail)
{
    vmp_link_t *link;

    if (iface->rails[rail].is_broken) {
        return;
    }

    vmp_error("rail %u: its completion queue is broken: all connections are "
              "lost; the line before says why", rail);
    iface->is_broken             = 1;
    iface->rails[rail].is_broken = 1;
    iface->rails[rail].rx_empty  = 1;
    vmp_list_for_each(link, &iface->all) {
        vmp_conn_fail(vmp_container_of(link, vmp_conn_t, all),
                      VMP_ERR_IO_ERROR);
    }
}

/*
 * Whether to poll the send CQ of a rail. When messages came in, the answer to
 * one of them is not to wait for that, unless somebody needs the room; but now
 * and then it must be.
 */
static inline int vmp_iface_is_tx_due(const vmp_iface_t *iface,
                                      vmp_rail_t *rail, unsigned num_rx)
{
    if ((num_rx > 0) && (iface->chunks == 0) && (iface->num_waiting == 0) &&
        (rail->tx_skipped < VMP_TX_SKIP_MAX)) {
        ++rail->tx_skipped;
        rail->tx_empty = 0;
        return 0;
    }

    rail->tx_skipped = 0;
    return 1;
}

unsigned vmp_iface_progress(vmp_iface_t *iface)
{
    unsigned count = 0;
    unsigned ready = 0;
    unsigned num;
    unsigned i;

    if (vmp_unlikely(iface->in_progress)) {
        return 0;
    }

    iface->in_progress = 1;
    if (vmp_unlikely(!vmp_spsc_is_empty(&iface->evs))) {
        count += vmp_iface_events(iface);
    }

    for (i = 0; i < iface->num_rails; ++i) {
        if (vmp_likely(!iface->rails[i].is_broken)) {
            num    = vmp_rx_poll(iface, i);
            count += num;
            if (vmp_iface_is_tx_due(iface, &iface->rails[i], num)) {
                count += vmp_path_poll(iface, i);
            }
        }
    }

    if (vmp_unlikely(++iface->polls >= VMP_WATCH_POLLS) &&
        !vmp_list_is_empty(&iface->watched)) {
        iface->polls = 0;
        vmp_watch_progress(iface);
    }

    if (vmp_unlikely(!vmp_list_is_empty(&iface->draining))) {
        count += vmp_path_progress(iface);
    }

    if (vmp_unlikely(!vmp_list_is_empty(&iface->replaying))) {
        count += vmp_replay_progress(iface);
    }

    if (vmp_unlikely(!vmp_list_is_empty(&iface->done))) {
        count += vmp_rma_complete_done(iface);
    }

    if (vmp_unlikely(!vmp_list_is_empty(&iface->faulty))) {
        count += vmp_fault_progress(iface);
    }

    if (vmp_unlikely(!vmp_list_is_empty(&iface->failing) ||
                     !vmp_list_is_empty(&iface->dead))) {
        count += vmp_conn_progress(iface);
    }

    if (!vmp_list_is_empty(&iface->active)) {
        /* the windows that opened go to chunks and to waiting endpoints in
         * turn: neither starves the other */
        if (iface->is_ready_first) {
            ready  = vmp_iface_ready(iface);
            count += ready;
        }

        if ((vmp_rma_progress(iface) > 0) || (ready > 0)) {
            iface->is_ready_first ^= 1;
        }
    }

    if (vmp_unlikely((iface->num_waiting | iface->ready_left) != 0)) {
        count += vmp_iface_ready(iface);
    }

    if (!vmp_list_is_empty(&iface->owing)) {
        vmp_credit_progress(iface);
    }

    iface->in_progress = 0;
    return count;
}

vmp_status_t vmp_iface_flush(vmp_iface_t *iface)
{
    vmp_link_t *link;
    unsigned i;

    if (iface->outstanding == 0) {
        /* who lost something, by a fault of its own or with its connection,
         * hears of that first */
        return (vmp_list_is_empty(&iface->faulty) &&
                vmp_list_is_empty(&iface->failing)) ? VMP_OK : VMP_INPROGRESS;
    }

    for (i = 0; i < iface->num_rails; ++i) {
        if (iface->rails[i].unsig == 0) {
            continue;
        }

        /* once in a flush: afterwards all are signalled */
        vmp_list_for_each(link, &iface->all) {
            vmp_conn_force(vmp_container_of(link, vmp_conn_t, all));
        }
        break;
    }

    return VMP_INPROGRESS;
}

vmp_status_t vmp_iface_fence(vmp_iface_t *iface)
{
    vmp_link_t *link;

    if (iface->outstanding > 0) {
        vmp_list_for_each(link, &iface->all) {
            vmp_conn_fence(vmp_container_of(link, vmp_conn_t, all));
        }
    }

    return VMP_OK;
}

void vmp_iface_get_counters(const vmp_iface_t *iface,
                            vmp_iface_counters_t *counters)
{
    *counters = iface->counters;
}
