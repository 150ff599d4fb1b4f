/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_reorder.h"
#include "vmp_credit.h"

#include <inttypes.h>
#include <stdlib.h>


/* SNs that a frame fills */
static uint64_t vmp_reorder_count(const vmp_rx_t *rx)
{
    return vmp_likely(rx->type == VMP_FRAME_AM) ? 1 : (1ull << rx->am_id);
}

static void vmp_reorder_deliver(vmp_conn_t *conn, vmp_rx_t *rx)
{
    uint64_t count;

    /* first the books: the callback may send, which tells the peer */
    if (vmp_likely(rx->type == VMP_FRAME_AM)) {
        ++conn->rx_next;
        vmp_credit_consumed(conn);
        vmp_rx_deliver(conn->iface, rx);
        return;
    }

    count          = vmp_reorder_count(rx);
    conn->rx_next += count;
    vmp_rx_free(conn->iface, rx);
    if (count == 1) {
        vmp_credit_consumed(conn);
    } else {
        vmp_credit_returned(conn, count);
    }
}

static vmp_rx_t **vmp_reorder_slot(vmp_conn_t *conn, uint64_t sn)
{
    return &conn->rx_ring[sn & (conn->iface->params.rx_window_max - 1)];
}

/* Held messages must not starve the SRQ of what the missing one needs */
static vmp_rx_t *vmp_reorder_spare(vmp_iface_t *iface, vmp_rx_t *rx)
{
    vmp_rail_t *rail = &iface->rails[rx->rail];
    vmp_rx_t *copy;

    if ((rail->rx_held >= rail->rx_held_max) ||
        !vmp_rx_can_replace(iface, rx)) {
        copy = vmp_rx_copy(iface, rx);
        if (copy != NULL) {
            vmp_rx_free(iface, rx);
            ++iface->counters.rx_copied_out;
            return copy;
        }
    }

    ++rail->rx_held;
    return rx;
}

static void vmp_reorder_hold(vmp_conn_t *conn, vmp_rx_t *rx, uint64_t sn)
{
    vmp_iface_t *iface = conn->iface;
    vmp_rx_t **slot;

    if (conn->rx_ring == NULL) {
        conn->rx_ring = calloc(iface->params.rx_window_max,
                               sizeof(*conn->rx_ring));
        if (conn->rx_ring == NULL) {
            vmp_error("out of memory for messages of peer %016" PRIx64 " that "
                      "came out of order: the connection is lost",
                      conn->peer_id);
            vmp_rx_free(iface, rx);
            vmp_conn_fail(conn, VMP_ERR_NO_MEMORY);
            return;
        }
    }

    slot = vmp_reorder_slot(conn, sn);
    if (*slot != NULL) {
        ++iface->counters.rx_duplicate;
        vmp_rx_free(iface, rx);
        return;
    }

    *slot = vmp_reorder_spare(iface, rx);
    ++conn->rx_num_held;
    ++iface->counters.rx_out_of_order;
}

static vmp_rx_t *vmp_reorder_take(vmp_conn_t *conn, uint64_t sn)
{
    vmp_rx_t **slot = vmp_reorder_slot(conn, sn);
    vmp_rx_t *rx    = *slot;

    if (rx != NULL) {
        *slot = NULL;
        --conn->rx_num_held;
        if (!rx->is_heap) {
            --conn->iface->rails[rx->rail].rx_held;
        }
    }

    return rx;
}

void vmp_reorder_recv(vmp_conn_t *conn, vmp_rx_t *rx, uint32_t low)
{
    vmp_iface_t *iface = conn->iface;
    uint64_t sn        = vmp_sn_widen(conn->rx_next, low);
    uint64_t last      = sn + vmp_reorder_count(rx) - 1;

    if (vmp_unlikely((int64_t)(sn - conn->rx_next) < 0)) {
        ++iface->counters.rx_duplicate;
        vmp_rx_free(iface, rx);
        return;
    }

    if (vmp_unlikely(last >= conn->rx_told)) {
        ++iface->counters.rx_bad_frame;
        /* dropped alone, it would be missed for ever */
        vmp_error("peer %016" PRIx64 " sent message %" PRIu64 ", but may send "
                  "those below %" PRIu64 ": the connection is lost; its "
                  "program or ours is broken", conn->peer_id, last,
                  conn->rx_told);
        vmp_rx_free(iface, rx);
        vmp_conn_fail(conn, VMP_ERR_IO_ERROR);
        return;
    }

    if (vmp_unlikely(sn != conn->rx_next)) {
        vmp_reorder_hold(conn, rx, sn);
        return;
    }

    vmp_reorder_deliver(conn, rx);
    while (vmp_unlikely(conn->rx_num_held > 0) &&
           ((rx = vmp_reorder_take(conn, conn->rx_next)) != NULL)) {
        vmp_reorder_deliver(conn, rx);
    }
}

void vmp_reorder_cleanup(vmp_conn_t *conn)
{
    vmp_rx_t *rx;
    uint64_t i;

    for (i = 0; conn->rx_num_held > 0; ++i) {
        rx = vmp_reorder_take(conn, i);
        if (rx != NULL) {
            vmp_rx_free(conn->iface, rx);
        }
    }

    free(conn->rx_ring);
    conn->rx_ring = NULL;
}
