/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_iface.h"
#include "vmp_conn.h"
#include "vmp_fault.h"
#include "vmp_rma.h"

#define VMP_EVENT_REFILL  10000000ull   /* ns */


/* Lost connections whose endpoints have to be told */
static int vmp_event_has_failed(const vmp_iface_t *iface)
{
    const vmp_link_t *link;
    const vmp_conn_t *conn;

    vmp_list_for_each(link, &iface->failing) {
        conn = vmp_container_of(link, vmp_conn_t, failing);
        if ((conn->paths_live == 0) ||
            (conn->is_doomed && !(conn->block & VMP_BLOCK_FAILED))) {
            return 1;
        }
    }

    return 0;
}

/* Receive buffers that the user gave back */
static int vmp_event_has_refill(vmp_iface_t *iface)
{
    const vmp_rail_t *rail;
    unsigned i;

    for (i = 0; i < iface->num_rails; ++i) {
        rail = &iface->rails[i];
        if (!rail->is_broken && !rail->is_srq_refused &&
            ((rail->srq_posted + rail->srq_batch) <= rail->srq_depth) &&
            vmp_buf_pool_has(&iface->rx.pool, 1)) {
            return 1;
        }
    }

    return 0;
}

/* When to try again what the SRQ did not take, ns. Without a buffer it is of no
 * use: who gives one back arms again. */
static uint64_t vmp_event_refill_time(vmp_iface_t *iface)
{
    const vmp_rail_t *rail;
    unsigned i;

    for (i = 0; i < iface->num_rails; ++i) {
        rail = &iface->rails[i];
        if (rail->is_srq_refused && !rail->is_broken &&
            ((rail->srq_posted + rail->srq_batch) <= rail->srq_depth) &&
            vmp_buf_pool_has(&iface->rx.pool, 1)) {
            return vmp_port_now(iface->port) + VMP_EVENT_REFILL;
        }
    }

    return UINT64_MAX;
}

/* Work that progress has without anything happening */
static int vmp_event_has_work(vmp_iface_t *iface, uint64_t *deadline_p)
{
    return !vmp_spsc_is_empty(&iface->evs) ||
           !vmp_list_is_empty(&iface->done) || vmp_rma_can_post(iface) ||
           ((iface->num_waiting > 0) &&
            ((iface->ready_left > 0) || (iface->ready_gen != iface->gen))) ||
           vmp_event_has_failed(iface) || vmp_event_has_refill(iface) ||
           vmp_path_has_to_drain(iface) || vmp_fault_is_due(iface) ||
           vmp_replay_can_post(iface, deadline_p);
}

/* Whether something here waits for room, which comes with completions and with
 * credit, whatever the user waits for */
static int vmp_event_is_waiting(const vmp_iface_t *iface)
{
    unsigned i;

    for (i = 0; i < iface->num_rails; ++i) {
        if (!vmp_list_is_empty(&iface->rails[i].forcing)) {
            return 1;
        }
    }

    return (iface->num_waiting > 0) || (iface->chunks > 0) ||
           !vmp_list_is_empty(&iface->active) ||
           !vmp_list_is_empty(&iface->owing) ||
           !vmp_list_is_empty(&iface->draining) ||
           !vmp_list_is_empty(&iface->replaying);
}

int vmp_iface_event_fd(const vmp_iface_t *iface)
{
    return vmp_port_event_fd(iface->port);
}

vmp_status_t vmp_iface_event_arm(vmp_iface_t *iface, unsigned events)
{
    uint64_t watch  = vmp_watch_deadline(iface);
    uint64_t refill = vmp_event_refill_time(iface);
    uint64_t deadline;
    vmp_status_t status;

    if (vmp_event_has_work(iface, &deadline)) {
        return VMP_ERR_BUSY;
    }

    if (watch < deadline) {
        deadline = watch;
    }

    if (refill < deadline) {
        deadline = refill;
    }

    if (vmp_event_is_waiting(iface)) {
        events |= VMP_PORT_EVENT_TX | VMP_PORT_EVENT_RX;
    }

    status = vmp_port_event_arm(iface->port, events, deadline);
    if (status != VMP_OK) {
        return status;
    }

    /* what control queued before it could see that we sleep */
    return vmp_spsc_is_empty(&iface->evs) ? VMP_OK : VMP_ERR_BUSY;
}
