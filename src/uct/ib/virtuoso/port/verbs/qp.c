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


/** RNR is never the end of a path: flow control is the core's (rule R9). */
#define VMP_VERBS_RNR_FOR_EVER  7

/** ns from ERR, where a device raises no LAST_WQE_REACHED. Soft-RoCE raises it,
 *  and executes nothing after the call returned (docs/protocol.md). */
#define VMP_VERBS_SETTLE  500000000ul


void vmp_verbs_fill_av(const vmp_port_t *port, const vmp_verbs_rail_t *rail,
                       const vmp_rail_addr_t *dest, uint32_t entropy,
                       struct ibv_ah_attr *av)
{
    uint32_t path_bits;

    memset(av, 0, sizeof(*av));
    av->sl                = port->params.sl;
    av->port_num          = rail->port_num;
    av->grh.sgid_index    = (uint8_t)rail->gid_index;
    av->grh.hop_limit     = VMP_HOP_LIMIT;
    av->grh.traffic_class = port->params.traffic_class;
    memcpy(av->grh.dgid.raw, dest->gid, sizeof(dest->gid));

    if (rail->is_roce) {
        av->is_global      = 1;
        av->grh.flow_label = entropy & 0xfffff;
        return;
    }

    /* InfiniBand: ports have 2^LMC addresses, which the subnet manager routes
     * apart. A GRH only to other subnets: it costs 40 bytes a packet. */
    path_bits         = entropy & ((1u << rail->lmc) - 1);
    av->dlid          = (uint16_t)(dest->lid | path_bits);
    av->src_path_bits = (uint8_t)path_bits;
    av->is_global     = (memcmp(dest->gid, rail->addr.gid, 8) != 0);
}

vmp_port_qp_t *vmp_port_qp_create(vmp_port_t *port, unsigned rail_index)
{
    vmp_verbs_rail_t *rail = &port->rails[rail_index];
    struct ibv_qp_init_attr init_attr = {
        .send_cq    = rail->tx_cq,
        .recv_cq    = rail->rx_cq,
        .srq        = rail->srq,
        .cap        = port->qp_cap,
        .qp_type    = IBV_QPT_RC,
        .sq_sig_all = 0
    };
    struct ibv_qp_attr attr = {
        .qp_state        = IBV_QPS_INIT,
        .pkey_index      = rail->pkey_index,
        .port_num        = rail->port_num,
        .qp_access_flags = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |
                           IBV_ACCESS_REMOTE_READ
    };
    vmp_port_qp_t *qp;
    int ret;

    if (port->fork_gen != vmp_verbs_fork_gen) {
        return NULL;
    }

    qp = calloc(1, sizeof(*qp));
    if (qp == NULL) {
        vmp_error("%s: no memory for a QP", rail->name);
        return NULL;
    }

    qp->port = port;
    qp->rail = (uint8_t)rail_index;
    qp->qp   = ibv_create_qp(rail->dev->pd, &init_attr);
    if (qp->qp == NULL) {
        vmp_error("%s: cannot make an RC QP of %u sends: %s%s", rail->name,
                  init_attr.cap.max_send_wr, strerror(errno),
                  vmp_verbs_hint(errno));
        goto err_free;
    }

    ret = ibv_modify_qp(qp->qp, &attr,
                        IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
                        IBV_QP_ACCESS_FLAGS);
    if (ret != 0) {
        vmp_error("%s: cannot prepare QP 0x%x: %s%s", rail->name,
                  qp->qp->qp_num, strerror(ret), vmp_verbs_hint(ret));
        goto err_destroy;
    }

    qp->prev_p = &port->qps;
    qp->next   = port->qps;
    if (qp->next != NULL) {
        qp->next->prev_p = &qp->next;
    }

    port->qps = qp;
    return qp;

err_destroy:
    ibv_destroy_qp(qp->qp);
err_free:
    free(qp);
    return NULL;
}

uint32_t vmp_port_qp_num(const vmp_port_qp_t *qp)
{
    return qp->qp->qp_num;
}

int vmp_port_qp_connect(vmp_port_qp_t *qp, const vmp_port_qp_remote_t *remote)
{
    const vmp_verbs_rail_t *rail = &qp->port->rails[qp->rail];
    const vmp_port_params_t *params = &qp->port->params;
    struct ibv_qp_attr attr;
    uint8_t max_rd_atomic;
    int ret;

    if (remote->addr.is_roce != rail->is_roce) {
        vmp_error("%s: cannot connect QP 0x%x: one end is RoCE, the other "
                  "InfiniBand", rail->name, qp->qp->qp_num);
        return -1;
    }

    max_rd_atomic = (remote->max_rd_atomic < params->max_rd_atomic) ?
                    remote->max_rd_atomic : params->max_rd_atomic;

    memset(&attr, 0, sizeof(attr));
    attr.qp_state           = IBV_QPS_RTR;
    attr.path_mtu           = (enum ibv_mtu)remote->mtu;
    attr.dest_qp_num        = remote->qpn;
    attr.rq_psn             = remote->rq_psn & 0xffffff;
    attr.max_dest_rd_atomic = max_rd_atomic;
    attr.min_rnr_timer      = params->min_rnr_timer;
    vmp_verbs_fill_av(qp->port, rail, &remote->addr, remote->entropy,
                      &attr.ah_attr);
    ret = ibv_modify_qp(qp->qp, &attr,
                        IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
                        IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                        IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
    if (ret != 0) {
        vmp_error("%s: cannot connect QP 0x%x to 0x%x (to RTR): %s%s",
                  rail->name, qp->qp->qp_num, remote->qpn, strerror(ret),
                  vmp_verbs_hint(ret));
        return -1;
    }

    memset(&attr, 0, sizeof(attr));
    attr.qp_state      = IBV_QPS_RTS;
    attr.timeout       = params->timeout;
    attr.retry_cnt     = params->retry_count;
    attr.rnr_retry     = VMP_VERBS_RNR_FOR_EVER;
    attr.sq_psn        = remote->sq_psn & 0xffffff;
    attr.max_rd_atomic = max_rd_atomic;
    ret = ibv_modify_qp(qp->qp, &attr,
                        IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
                        IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
                        IBV_QP_MAX_QP_RD_ATOMIC);
    if (ret != 0) {
        vmp_error("%s: cannot connect QP 0x%x to 0x%x (to RTS): %s%s",
                  rail->name, qp->qp->qp_num, remote->qpn, strerror(ret),
                  vmp_verbs_hint(ret));
        return -1;
    }

    vmp_debug("%s: QP 0x%x to 0x%x, entropy 0x%x (UDP port %u), MTU code %u",
              rail->name, qp->qp->qp_num, remote->qpn, remote->entropy,
              vmp_port_udp_sport(remote->entropy), remote->mtu);
    return 0;
}

int vmp_port_qp_error(vmp_port_qp_t *qp)
{
    struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };
    int ret;

    if (qp->port->fork_gen != vmp_verbs_fork_gen) {
        return -1;
    }

    ret = ibv_modify_qp(qp->qp, &attr, IBV_QP_STATE);
    if (ret != 0) {
        vmp_error("%s: cannot move QP 0x%x to ERR: %s%s",
                  qp->port->rails[qp->rail].name, qp->qp->qp_num,
                  strerror(ret), vmp_verbs_hint(ret));
        return -1;
    }

    if (qp->err_time == 0) {
        qp->err_time = vmp_verbs_now();
    }
    return 0;
}

void vmp_verbs_qp_last(const vmp_verbs_dev_t *dev, vmp_port_t *ports,
                       uint32_t qpn)
{
    vmp_port_t *port;
    vmp_port_qp_t *qp;

    for (port = ports; port != NULL; port = port->next) {
        for (qp = port->qps; qp != NULL; qp = qp->next) {
            if ((qp->qp->qp_num == qpn) &&
                (port->rails[qp->rail].dev == dev)) {
                qp->is_last      = 1;
                port->is_touched = 1;
                return;
            }
        }
    }
}

uint64_t vmp_port_qp_settle(const vmp_port_qp_t *qp, uint64_t now)
{
    uint64_t end = qp->err_time + VMP_VERBS_SETTLE;

    return (qp->is_last || (now >= end)) ? 0 : end - now;
}

int vmp_port_qp_rq_psn(const vmp_port_qp_t *qp, uint32_t *psn_p)
{
    struct ibv_qp_init_attr init_attr;
    struct ibv_qp_attr attr;

    if ((qp->port->fork_gen != vmp_verbs_fork_gen) ||
        (ibv_query_qp(qp->qp, &attr, IBV_QP_RQ_PSN, &init_attr) != 0)) {
        return -1;
    }

    *psn_p = attr.rq_psn & 0xffffff;
    return 0;
}

void vmp_port_qp_destroy(vmp_port_qp_t *qp)
{
    int ret;

    if (qp->port->fork_gen != vmp_verbs_fork_gen) {
        return; /* the parent's */
    }

    *qp->prev_p = qp->next;
    if (qp->next != NULL) {
        qp->next->prev_p = qp->prev_p;
    }

    ret = ibv_destroy_qp(qp->qp);
    if (ret != 0) {
        vmp_warn("%s: cannot destroy a QP: %s%s",
                 qp->port->rails[qp->rail].name, strerror(ret),
                 vmp_verbs_hint(ret));
    }
    free(qp);
}
