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
#include <time.h>


/** A UD QP dies by local errors, such as a route that is away for a moment:
 *  it is brought back, but not in a busy loop. */
#define VMP_UD_REPAIR_NS      (50 * VMP_NSEC_PER_MSEC)
/** Wait for the flushed receives of a QP: at most 10 ms */
#define VMP_UD_FLUSH_ROUNDS   10


int vmp_verbs_ud_qp_to_rts(vmp_port_t *port, vmp_verbs_rail_t *rail,
                           unsigned ud)
{
    struct ibv_qp *qp       = rail->ud.qp[ud];
    struct ibv_qp_attr attr = {
        .qp_state   = IBV_QPS_INIT,
        .pkey_index = rail->pkey_index,
        .port_num   = rail->port_num,
        .qkey       = VMP_UD_QKEY
    };
    int ret;

    ret = ibv_modify_qp(qp, &attr,
                        IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
                        IBV_QP_QKEY);
    if (ret != 0) {
        return ret;
    }

    attr.qp_state = IBV_QPS_RTR;
    ret           = ibv_modify_qp(qp, &attr, IBV_QP_STATE);
    if (ret != 0) {
        return ret;
    }

    attr.qp_state = IBV_QPS_RTS;
    attr.sq_psn   = (uint32_t)vmp_port_random(port) & 0xffffff;
    return ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN);
}

static int vmp_verbs_ud_is_flushed(const vmp_verbs_rail_t *rail, unsigned ud)
{
    return memchr(rail->ud.rx_posted + (ud * VMP_UD_RX_DEPTH), 1,
                  VMP_UD_RX_DEPTH) == NULL;
}

/** After a reset nothing of the QP's is in flight. */
static void vmp_verbs_ud_take_back(vmp_verbs_rail_t *rail, unsigned ud)
{
    vmp_verbs_ud_slot_t *slot;
    unsigned i;

    for (i = 0; i < VMP_UD_TX_DEPTH; ++i) {
        slot = &rail->ud.tx[i];
        if ((slot->ah != NULL) && (slot->ud == ud)) {
            vmp_verbs_ah_put(&rail->ud, slot->ah);
            slot->ah = NULL;
            rail->ud.tx_free[rail->ud.num_tx_free++] = (uint8_t)i;
        }
    }
    memset(rail->ud.rx_posted + (ud * VMP_UD_RX_DEPTH), 0, VMP_UD_RX_DEPTH);
}

/** Return 0 or errno. */
static int vmp_verbs_ud_repair_qp(vmp_port_t *port, unsigned rail_index,
                                  unsigned ud)
{
    static const struct timespec pause = { 0, VMP_NSEC_PER_MSEC };
    vmp_verbs_rail_t *rail             = &port->rails[rail_index];
    struct ibv_qp_attr attr            = { .qp_state = IBV_QPS_ERR };
    unsigned i;
    int ret;

    ret = ibv_modify_qp(rail->ud.qp[ud], &attr, IBV_QP_STATE);
    if (ret != 0) {
        return ret;
    }

    /* Good datagrams are still served meanwhile */
    for (i = 0; i < VMP_UD_FLUSH_ROUNDS; ++i) {
        (void)vmp_verbs_ud_poll_rx(port, rail_index);
        vmp_verbs_ud_reap(rail);
        if (vmp_verbs_ud_is_flushed(rail, ud)) {
            break;
        }
        nanosleep(&pause, NULL);
    }

    attr.qp_state = IBV_QPS_RESET;
    ret           = ibv_modify_qp(rail->ud.qp[ud], &attr, IBV_QP_STATE);
    if (ret != 0) {
        return ret;
    }

    vmp_verbs_ud_take_back(rail, ud);
    ret = vmp_verbs_ud_qp_to_rts(port, rail, ud);
    for (i = 0; (ret == 0) && (i < VMP_UD_RX_DEPTH); ++i) {
        ret = vmp_verbs_ud_post_rx(rail, (ud * VMP_UD_RX_DEPTH) + i);
    }
    return ret;
}

/** Whether a QP is still sending. */
static int vmp_verbs_ud_is_sending(const vmp_verbs_ud_t *ud, unsigned qp)
{
    unsigned i;

    for (i = 0; i < VMP_UD_TX_DEPTH; ++i) {
        if ((ud->tx[i].ah != NULL) && (ud->tx[i].ud == qp)) {
            return 1;
        }
    }
    return 0;
}

int vmp_port_ctl_renew(vmp_port_t *port, unsigned rail_index, unsigned spare)
{
    vmp_verbs_rail_t *rail       = &port->rails[rail_index];
    vmp_verbs_ud_t *ud           = &rail->ud;
    unsigned index               = VMP_MAX_UD + spare;
    struct ibv_qp *old           = ud->qp[index];
    struct ibv_qp_init_attr init = {
        .send_cq = ud->tx_cq,
        .recv_cq = ud->rx_cq,
        .cap     = { .max_send_wr  = VMP_UD_TX_DEPTH,
                     .max_recv_wr  = 1,
                     .max_send_sge = 1,
                     .max_recv_sge = 1 },
        .qp_type = IBV_QPT_UD
    };
    struct ibv_qp_attr attr      = { .qp_state = IBV_QPS_ERR };
    int ret;

    if (port->fork_gen != vmp_verbs_fork_gen) {
        return -1;
    }

    vmp_verbs_ud_reap(rail);
    if ((old != NULL) && vmp_verbs_ud_is_sending(ud, index)) {
        if (ud->spares_bad & (1u << spare)) {
            (void)ibv_modify_qp(old, &attr, IBV_QP_STATE); /* flushes it */
        }
        return -1;
    }

    /* The new one first, or it might get the old one's number, which stands for
     * its UDP source port */
    ud->qp[index] = ibv_create_qp(rail->dev->pd, &init);
    if (ud->qp[index] == NULL) {
        vmp_debug("%s: cannot make a spare control QP: %s%s", rail->name,
                  strerror(errno), vmp_verbs_hint(errno));
        ud->qp[index] = old;
        return -1;
    }

    ret = vmp_verbs_ud_qp_to_rts(port, rail, index);
    if (ret != 0) {
        vmp_debug("%s: cannot make a spare control QP ready: %s%s", rail->name,
                  strerror(ret), vmp_verbs_hint(ret));
        (void)ibv_destroy_qp(ud->qp[index]);
        ud->qp[index] = old;
        return -1;
    }

    /* Where the port comes from the flow label of the address handle, that
     * follows the new number */
    vmp_verbs_ah_forget_qp(ud, index);
    ud->spares_bad &= ~(1u << spare);
    if (old != NULL) {
        (void)ibv_destroy_qp(old);
    }
    return 0;
}

void vmp_verbs_ud_repair(vmp_port_t *port, unsigned rail_index, uint64_t now)
{
    vmp_verbs_rail_t *rail = &port->rails[rail_index];
    unsigned ud;
    int ret;

    if ((rail->ud.broken == 0) || (now < rail->ud.repair_at)) {
        return;
    }

    rail->ud.repair_at = now + VMP_UD_REPAIR_NS;
    for (ud = 0; ud < rail->ud.num_qps; ++ud) {
        if (!(rail->ud.broken & (1u << ud))) {
            continue;
        }

        ret = vmp_verbs_ud_repair_qp(port, rail_index, ud);
        if (ret == 0) {
            rail->ud.broken &= ~(1u << ud);
        } else {
            vmp_debug("%s: cannot repair control QP %u: %s%s", rail->name, ud,
                      strerror(ret), vmp_verbs_hint(ret));
        }
    }
}
