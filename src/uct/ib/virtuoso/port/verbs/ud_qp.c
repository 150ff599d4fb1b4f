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
