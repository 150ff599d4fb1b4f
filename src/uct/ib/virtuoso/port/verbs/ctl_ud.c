/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "verbs_port.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>


#define VMP_UD_POLL_BATCH    16
/** Datagrams that one turn of the helper takes from a rail, so that the others
 *  and the timers get theirs. */
#define VMP_UD_POLL_MAX      128
/** Wait for room for one more at close: at most 50 ms, once */
#define VMP_UD_WAIT_ROUNDS   1000
/** Wait for the last datagrams (GOODBYE) to leave at close: at most 50 ms */
#define VMP_UD_DRAIN_ROUNDS  50


static uint8_t *vmp_verbs_ud_rx_buf(const vmp_verbs_ud_t *ud, unsigned slot)
{
    return ud->buf + ((size_t)slot * VMP_UD_RX_STRIDE);
}

/** Valid when all QPs are there. */
static uint8_t *vmp_verbs_ud_tx_buf(const vmp_verbs_ud_t *ud, unsigned slot)
{
    return vmp_verbs_ud_rx_buf(ud, ud->num_qps * VMP_UD_RX_DEPTH) +
           ((size_t)slot * VMP_CTL_MAX_LEN);
}

int vmp_verbs_ud_post_rx(vmp_verbs_rail_t *rail, unsigned slot)
{
    vmp_verbs_ud_t *ud = &rail->ud;
    struct ibv_sge sge = {
        .addr   = (uintptr_t)vmp_verbs_ud_rx_buf(ud, slot),
        .length = VMP_UD_GRH_LEN + VMP_CTL_MAX_LEN,
        .lkey   = ud->mr->lkey
    };
    struct ibv_recv_wr wr = {
        .wr_id   = slot,
        .sg_list = &sge,
        .num_sge = 1
    };
    struct ibv_recv_wr *bad_wr;
    int ret;

    ret = ibv_post_recv(ud->qp[slot / VMP_UD_RX_DEPTH], &wr, &bad_wr);
    if (ret == 0) {
        ud->rx_posted[slot] = 1;
    }
    return ret;
}

static void vmp_verbs_ud_break(vmp_verbs_rail_t *rail, unsigned ud,
                               const struct ibv_wc *wc)
{
    if (ud >= VMP_MAX_UD) {
        rail->ud.spares_bad |= 1u << (ud - VMP_MAX_UD);
        return; /* the next renewal brings another one */
    }

    if (!(rail->ud.broken & (1u << ud))) {
        vmp_debug("%s: control QP %u needs repair: %s", rail->name, ud,
                  ibv_wc_status_str(wc->status));
        rail->ud.broken |= 1u << ud;
    }
}

void vmp_verbs_ud_reap(vmp_verbs_rail_t *rail)
{
    struct ibv_wc wc[VMP_UD_POLL_BATCH];
    vmp_verbs_ud_t *ud = &rail->ud;
    vmp_verbs_ud_slot_t *slot;
    int i, num;

    do {
        num = ibv_poll_cq(ud->tx_cq, VMP_UD_POLL_BATCH, wc);
        for (i = 0; i < num; ++i) {
            slot = &ud->tx[wc[i].wr_id];
            if (wc[i].status != IBV_WC_SUCCESS) {
                vmp_verbs_ud_break(rail, slot->ud, &wc[i]);
            }
            if (slot->ah == NULL) {
                continue; /* taken back by a repair */
            }
            vmp_verbs_ah_put(ud, slot->ah);
            slot->ah                       = NULL;
            ud->tx_free[ud->num_tx_free++] = (uint8_t)wc[i].wr_id;
        }
    } while (num == VMP_UD_POLL_BATCH);
}

/** What an interface sends when it closes nobody repeats: wait for room, but not
 *  for a device that is stuck. */
static void vmp_verbs_ud_wait_slot(vmp_verbs_rail_t *rail)
{
    static const struct timespec pause = { 0, VMP_NSEC_PER_MSEC / 20 };
    vmp_verbs_ud_t *ud                 = &rail->ud;
    unsigned i;

    for (i = 0; !ud->is_stuck && (ud->num_tx_free == 0); ++i) {
        if (i == VMP_UD_WAIT_ROUNDS) {
            ud->is_stuck = 1;
            return;
        }
        nanosleep(&pause, NULL);
        vmp_verbs_ud_reap(rail);
    }
}

void vmp_port_ctl_send(vmp_port_t *port, unsigned rail_index, unsigned ud_index,
                       const vmp_rail_addr_t *dest, uint32_t remote_qpn,
                       const void *data, size_t length)
{
    vmp_verbs_rail_t *rail = &port->rails[rail_index];
    vmp_verbs_ud_t *ud     = &rail->ud;
    struct ibv_send_wr wr  = { 0 };
    struct ibv_send_wr *bad_wr;
    vmp_verbs_ah_t *ah;
    struct ibv_sge sge;
    uint8_t slot;
    int ret;

    if ((port->fork_gen != vmp_verbs_fork_gen) ||
        (ud_index >= VMP_UD_MAX_QPS) || (ud->qp[ud_index] == NULL) ||
        (length > VMP_CTL_MAX_LEN)) {
        vmp_debug("%s: control datagram of %zu bytes from QP %u not sent",
                  rail->name, length, ud_index);
        return;
    }

    vmp_verbs_ud_reap(rail);
    if ((ud->num_tx_free == 0) && (port->ctl == NULL)) {
        vmp_verbs_ud_wait_slot(rail);
    }

    if (((ud->broken | (ud->spares_bad << VMP_MAX_UD)) & (1u << ud_index)) ||
        (ud->num_tx_free == 0)) {
        vmp_debug("%s: control datagram dropped: QP %u %s", rail->name,
                  ud_index, (ud->num_tx_free == 0) ? "has no slot free" :
                                                     "waits for repair");
        return;
    }

    ah = vmp_verbs_ah_get(port, rail, ud_index, dest);
    if (ah == NULL) {
        return;
    }

    slot       = ud->tx_free[ud->num_tx_free - 1];
    sge.addr   = (uintptr_t)vmp_verbs_ud_tx_buf(ud, slot);
    sge.length = (uint32_t)length;
    sge.lkey   = ud->mr->lkey;
    memcpy(vmp_verbs_ud_tx_buf(ud, slot), data, length);

    wr.wr_id             = slot;
    wr.sg_list           = &sge;
    wr.num_sge           = 1;
    wr.opcode            = IBV_WR_SEND;
    wr.send_flags        = IBV_SEND_SIGNALED;
    wr.wr.ud.ah          = ah->ah[ud_index];
    wr.wr.ud.remote_qpn  = remote_qpn;
    wr.wr.ud.remote_qkey = VMP_UD_QKEY;
    ret                  = ibv_post_send(ud->qp[ud_index], &wr, &bad_wr);
    if (ret != 0) {
        vmp_debug("%s: control datagram dropped: %s", rail->name,
                  strerror(ret));
        return;
    }

    --ud->num_tx_free;
    ++ah->inflight;
    ud->tx[slot].ah = ah;
    ud->tx[slot].ud = (uint8_t)ud_index;
}

void vmp_port_ctl_forget(vmp_port_t *port, unsigned rail,
                         const vmp_rail_addr_t *dest)
{
    if (port->fork_gen == vmp_verbs_fork_gen) {
        vmp_verbs_ah_forget(&port->rails[rail].ud, dest);
    }
}

int vmp_verbs_ud_channel_event(vmp_verbs_rail_t *rail)
{
    vmp_verbs_ud_t *ud = &rail->ud;
    unsigned num       = 0;
    struct ibv_cq *cq;
    void *context;
    int ret;

    while (ibv_get_cq_event(ud->channel, &cq, &context) == 0) {
        ++num;
    }
    ret = (errno == EAGAIN) || (errno == EINTR) ? 0 : -1;

    if (num > 0) {
        ibv_ack_cq_events(ud->rx_cq, num);
        /* Before polling: what comes in later raises an event again */
        if (ibv_req_notify_cq(ud->rx_cq, 0) != 0) {
            ret = -1;
        }
        ud->rx_ready = 1;
    }

    if (ret != 0) {
        vmp_error("%s: the control channel is broken: no connections can be "
                  "made any more (device gone? see dmesg)", rail->name);
    }
    return ret;
}

static void vmp_verbs_ud_rx(vmp_port_t *port, unsigned rail_index,
                            const struct ibv_wc *wc)
{
    vmp_verbs_rail_t *rail = &port->rails[rail_index];
    unsigned slot          = (unsigned)wc->wr_id;
    unsigned ud            = slot / VMP_UD_RX_DEPTH;

    rail->ud.rx_posted[slot] = 0;
    if (wc->status != IBV_WC_SUCCESS) {
        vmp_verbs_ud_break(rail, ud, wc);
        return; /* posted again by the repair */
    }

    if ((wc->byte_len > VMP_UD_GRH_LEN) && (port->ctl != NULL)) {
        vmp_ctl_recv(port->ctl, rail_index,
                     vmp_verbs_ud_rx_buf(&rail->ud, slot) + VMP_UD_GRH_LEN,
                     wc->byte_len - VMP_UD_GRH_LEN, vmp_verbs_now());
    }

    if (vmp_verbs_ud_post_rx(rail, slot) != 0) {
        rail->ud.broken |= 1u << ud;
    }
}

unsigned vmp_verbs_ud_poll_rx(vmp_port_t *port, unsigned rail_index)
{
    vmp_verbs_ud_t *ud = &port->rails[rail_index].ud;
    struct ibv_wc wc[VMP_UD_POLL_BATCH];
    unsigned count = 0;
    int i, num;

    do {
        num = ibv_poll_cq(ud->rx_cq, VMP_UD_POLL_BATCH, wc);
        for (i = 0; i < num; ++i) {
            vmp_verbs_ud_rx(port, rail_index, &wc[i]);
            ++count;
        }
    } while ((num == VMP_UD_POLL_BATCH) && (count < VMP_UD_POLL_MAX));

    ud->rx_ready = (num == VMP_UD_POLL_BATCH);
    return count;
}

static vmp_status_t vmp_verbs_ud_failed(const vmp_verbs_rail_t *rail,
                                        const char *what, int err)
{
    vmp_error("%s: control channel: cannot make %s: %s%s", rail->name, what,
              strerror(err), vmp_verbs_hint(err));
    return VMP_ERR_NO_RESOURCE;
}

static vmp_status_t vmp_verbs_ud_open_cqs(vmp_verbs_rail_t *rail,
                                          unsigned num_qps)
{
    struct ibv_context *ctx = rail->dev->ctx;
    vmp_verbs_ud_t *ud      = &rail->ud;

    ud->channel = vmp_verbs_channel_create(ctx);
    if (ud->channel == NULL) {
        return vmp_verbs_ud_failed(rail, "a completion channel", errno);
    }

    ud->rx_cq = ibv_create_cq(ctx, (int)(num_qps * VMP_UD_RX_DEPTH), NULL,
                              ud->channel, 0);
    if (ud->rx_cq == NULL) {
        return vmp_verbs_ud_failed(rail, "a receive CQ", errno);
    }

    ud->tx_cq = ibv_create_cq(ctx, VMP_UD_TX_DEPTH, NULL, NULL, 0);
    if (ud->tx_cq == NULL) {
        return vmp_verbs_ud_failed(rail, "a send CQ", errno);
    }
    return VMP_OK;
}

static vmp_status_t vmp_verbs_ud_open_buf(vmp_verbs_rail_t *rail,
                                          unsigned num_qps)
{
    vmp_verbs_ud_t *ud = &rail->ud;
    size_t size        = ((size_t)num_qps * VMP_UD_RX_DEPTH *
                          VMP_UD_RX_STRIDE) +
                         ((size_t)VMP_UD_TX_DEPTH * VMP_CTL_MAX_LEN);
    unsigned i;

    /* Whole pages of its own, for the sake of a fork */
    size = (size + 4095) & ~(size_t)4095;
    if (posix_memalign((void**)&ud->buf, 4096, size) != 0) {
        ud->buf = NULL;
        return vmp_verbs_ud_failed(rail, "buffers", ENOMEM);
    }
    memset(ud->buf, 0, size);

    ud->rx_posted = calloc(num_qps, VMP_UD_RX_DEPTH);
    if (ud->rx_posted == NULL) {
        return vmp_verbs_ud_failed(rail, "buffers", ENOMEM);
    }

    ud->mr = ibv_reg_mr(rail->dev->pd, ud->buf, size, IBV_ACCESS_LOCAL_WRITE);
    if (ud->mr == NULL) {
        return vmp_verbs_ud_failed(rail, "registered buffers", errno);
    }

    for (i = 0; i < VMP_UD_TX_DEPTH; ++i) {
        ud->tx_free[i] = (uint8_t)i;
    }
    ud->num_tx_free = VMP_UD_TX_DEPTH;
    return VMP_OK;
}

static vmp_status_t vmp_verbs_ud_open_qp(vmp_port_t *port,
                                         vmp_verbs_rail_t *rail)
{
    struct ibv_qp_init_attr attr = {
        .send_cq = rail->ud.tx_cq,
        .recv_cq = rail->ud.rx_cq,
        .cap     = { .max_send_wr  = VMP_UD_TX_DEPTH,
                     .max_recv_wr  = VMP_UD_RX_DEPTH,
                     .max_send_sge = 1,
                     .max_recv_sge = 1 },
        .qp_type = IBV_QPT_UD
    };
    vmp_verbs_ud_t *ud = &rail->ud;
    unsigned index     = ud->num_qps;
    unsigned i;
    int ret;

    ud->qp[index] = ibv_create_qp(rail->dev->pd, &attr);
    if (ud->qp[index] == NULL) {
        return vmp_verbs_ud_failed(rail, "a UD QP", errno);
    }

    ++ud->num_qps;
    ret = vmp_verbs_ud_qp_to_rts(port, rail, index);
    if (ret != 0) {
        return vmp_verbs_ud_failed(rail, "a UD QP ready", ret);
    }

    for (i = 0; i < VMP_UD_RX_DEPTH; ++i) {
        ret = vmp_verbs_ud_post_rx(rail, (index * VMP_UD_RX_DEPTH) + i);
        if (ret != 0) {
            return vmp_verbs_ud_failed(rail, "a receive", ret);
        }
    }
    return VMP_OK;
}

vmp_status_t vmp_verbs_ud_open(vmp_port_t *port, vmp_verbs_rail_t *rail)
{
    unsigned num_qps = port->params.num_ud;
    vmp_status_t status;

    status = vmp_verbs_ud_open_cqs(rail, num_qps);
    if (status != VMP_OK) {
        return status;
    }

    status = vmp_verbs_ud_open_buf(rail, num_qps);
    if (status != VMP_OK) {
        return status;
    }

    /* Before the first datagram can come in */
    if (ibv_req_notify_cq(rail->ud.rx_cq, 0) != 0) {
        return vmp_verbs_ud_failed(rail, "notifications", errno);
    }

    while (rail->ud.num_qps < num_qps) {
        status = vmp_verbs_ud_open_qp(port, rail);
        if (status != VMP_OK) {
            return status;
        }
    }
    return VMP_OK;
}

/** Let the last datagrams leave. */
static void vmp_verbs_ud_drain(vmp_verbs_rail_t *rail)
{
    static const struct timespec pause = { 0, VMP_NSEC_PER_MSEC };
    unsigned i;

    if ((rail->ud.tx_cq == NULL) || (rail->ud.mr == NULL)) {
        return;
    }

    for (i = 0; i < VMP_UD_DRAIN_ROUNDS; ++i) {
        vmp_verbs_ud_reap(rail);
        if (rail->ud.num_tx_free == VMP_UD_TX_DEPTH) {
            break;
        }
        nanosleep(&pause, NULL);
    }
}

void vmp_verbs_ud_close(vmp_verbs_rail_t *rail)
{
    vmp_verbs_ud_t *ud = &rail->ud;
    unsigned i;

    vmp_verbs_ud_drain(rail);
    for (i = 0; i < ud->num_qps; ++i) {
        (void)ibv_destroy_qp(ud->qp[i]);
    }
    ud->num_qps = 0;
    for (i = VMP_MAX_UD; i < VMP_UD_MAX_QPS; ++i) {
        if (ud->qp[i] != NULL) {
            (void)ibv_destroy_qp(ud->qp[i]);
        }
    }

    vmp_verbs_ah_cleanup(ud);
    if (ud->mr != NULL) {
        (void)ibv_dereg_mr(ud->mr);
    }
    free(ud->rx_posted);
    free(ud->buf);
    if (ud->tx_cq != NULL) {
        (void)ibv_destroy_cq(ud->tx_cq);
    }
    if (ud->rx_cq != NULL) {
        (void)ibv_destroy_cq(ud->rx_cq);
    }
    if (ud->channel != NULL) {
        (void)ibv_destroy_comp_channel(ud->channel);
    }
    memset(ud, 0, sizeof(*ud));
    vmp_verbs_ah_init(ud);
}
