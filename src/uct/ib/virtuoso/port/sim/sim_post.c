/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "sim_int.h"

#include <stdio.h>

/* Work requests: posting, their memory, their end */


static sim_wr_t *wr_pool;


static sim_wr_t *sim_wr_new(void)
{
    sim_wr_t *wr = wr_pool;

    if (wr == NULL) {
        wr = sim_alloc(sizeof(*wr));
    } else {
        wr_pool = wr->next;
    }

    wr->next       = NULL;
    wr->length     = 0;
    wr->data       = NULL;
    wr->is_retired = 0;
    wr->is_bad     = 0;
    wr->refs       = 1;                 /* the send queue's */
    return wr;
}

void sim_wrs_cleanup(void)
{
    sim_wr_t *wr;

    while ((wr = wr_pool) != NULL) {
        wr_pool = wr->next;
        free(wr);
    }
}

void sim_wr_put(sim_wr_t *wr)
{
    if (--wr->refs == 0) {
        free(wr->data);
        wr->next = wr_pool;
        wr_pool  = wr;
    }
}

void sim_wr_retire(vmp_port_qp_t *qp, vmp_wc_status_t status)
{
    sim_wr_t *wr = qp->head;

    qp->head = wr->next;
    if (qp->head == NULL) {
        qp->tail = &qp->head;
    }

    if (qp->tx_wr == wr) {
        qp->tx_wr    = wr->next;
        qp->tx_index = 0;
    }

    --qp->pub.in_flight;
    wr->is_retired = 1;
    if ((wr->flags & VMP_POST_SIGNALED) || (status != VMP_WC_SUCCESS)) {
        sim_trace(SIM_QP_FMT " completion of wr_id 0x%lx: %s", SIM_QP_ARG(qp),
                  (unsigned long)wr->wr_id, vmp_wc_status_str(status));
        sim_cq_push(qp, 0, wr->wr_id, status, wr->sq_end);
    }

    sim_wr_put(wr);
}

int sim_wr_copy(const sim_nic_t *nic, const sim_wr_t *wr, uint32_t offset,
                void *flat, uint32_t length, int to_wr)
{
    unsigned access = to_wr ? VMP_MEM_LOCAL_WRITE : 0;
    uint8_t *pos    = flat;
    const vmp_sge_t *sge;
    uint8_t *local;
    uint32_t part;

    if ((wr->data != NULL) && !to_wr) {
        memcpy(flat, wr->data + offset, length);
        return 0;
    }

    for (sge = wr->sge; length > 0; ++sge) {
        if (offset >= sge->length) {
            offset -= sge->length;
            continue;
        }

        part = sge->length - offset;
        part = (part < length) ? part : length;
        if (!sim_lkey_ok(nic, sge->lkey, sge->addr + offset, part, access)) {
            return -1;
        }

        local = (uint8_t*)(uintptr_t)sge->addr + offset;
        memcpy(to_wr ? local : pos, to_wr ? pos : local, part);
        pos    += part;
        length -= part;
        offset  = 0;
    }

    return 0;
}

/* Return -1: the device refuses it. Room and limits are the user's business */
static int sim_post_check(vmp_port_qp_t *qp, unsigned num_sge)
{
    const vmp_port_params_t *params = &qp->port->params;

    sim_port_is_app("post");
    if (!sim_qp_is_live(qp, "post") || qp->nic->is_failed ||
        sim_fail_after(&sim_conf.post_fail_after) ||
        ((qp->pub.state == SIM_QP_RTS) && sim_chance(sim_conf.post_fail))) {
        ++sim_counters.refused_posts;
        return -1;
    }

    if ((qp->pub.state != SIM_QP_RTS) && (qp->pub.state != SIM_QP_ERR)) {
        sim_fault(SIM_FAULT_STATE, SIM_QP_FMT ": post", SIM_QP_ARG(qp));
        return -1;
    }

    if (num_sge > params->max_sge) {
        sim_fault(SIM_FAULT_LIMIT, SIM_QP_FMT ": %u SGEs", SIM_QP_ARG(qp),
                  num_sge);
        return -1;
    }

    if (qp->pub.posted >= params->sq_depth) {
        sim_fault(SIM_FAULT_SQ_FULL, SIM_QP_FMT ": %u posted", SIM_QP_ARG(qp),
                  qp->pub.posted);
        return -1;
    }

    if (qp->rail->posted >= params->cq_depth) {
        sim_fault(SIM_FAULT_CQ_FULL, SIM_QP_FMT ": %u posted on all QPs",
                  SIM_QP_ARG(qp), qp->rail->posted);
        return -1;
    }

    return 0;
}

/* Return -1: refused; 1: it will fail with a local error */
static int sim_post_data(vmp_port_qp_t *qp, sim_wr_t *wr)
{
    unsigned access = (wr->op == SIM_READ) ? VMP_MEM_LOCAL_WRITE : 0;
    uint8_t *pos;
    unsigned i;

    if (wr->flags & VMP_POST_INLINE) {
        if ((wr->length > qp->port->params.max_inline) ||
            (wr->op == SIM_READ)) {
            sim_fault(SIM_FAULT_LIMIT, SIM_QP_FMT ": %u bytes inline",
                      SIM_QP_ARG(qp), wr->length);
            return -1;
        }

        pos = wr->data = sim_alloc(wr->length + 1);
        for (i = 0; i < wr->num_sge; ++i) {
            memcpy(pos, (void*)(uintptr_t)wr->sge[i].addr, wr->sge[i].length);
            pos += wr->sge[i].length;
        }

        return 0;
    }

    for (i = 0; i < wr->num_sge; ++i) {
        if ((wr->sge[i].length > 0) &&
            !sim_lkey_ok(qp->nic, wr->sge[i].lkey, wr->sge[i].addr,
                         wr->sge[i].length, access)) {
            sim_fault(SIM_FAULT_LKEY, SIM_QP_FMT ": lkey 0x%x, %u bytes",
                      SIM_QP_ARG(qp), wr->sge[i].lkey, wr->sge[i].length);
            return 1;
        }
    }

    return 0;
}

static void *sim_post_owner(const vmp_port_qp_t *qp, sim_op_t op,
                            const vmp_sge_t *sge, unsigned num_sge,
                            uint64_t remote_addr)
{
    if ((op != SIM_WRITE) || (num_sge == 0) || (sim_conf.written == NULL)) {
        return NULL;
    }

    return sim_conf.written(sim_conf.written_arg, qp->port, sge, remote_addr);
}

static int sim_post(vmp_port_qp_t *qp, sim_op_t op, uint64_t wr_id,
                    unsigned flags, const vmp_sge_t *sge, unsigned num_sge,
                    uint64_t remote_addr, uint32_t rkey)
{
    void *owner = sim_post_owner(qp, op, sge, num_sge, remote_addr);
    sim_wr_t *wr;
    unsigned i;
    int ret;

    if (sim_post_check(qp, num_sge) != 0) {
        return -1;
    }

    wr              = sim_wr_new();
    wr->op          = op;
    wr->owner       = owner;
    wr->wr_id       = wr_id;
    wr->flags       = flags;
    wr->num_sge     = num_sge;
    wr->remote_addr = remote_addr;
    wr->rkey        = rkey;
    for (i = 0; i < num_sge; ++i) {
        wr->sge[i]  = sge[i];
        wr->length += sge[i].length;
    }

    ret = sim_post_data(qp, wr);
    if (ret < 0) {
        sim_wr_put(wr);
        return -1;
    }

    wr->num_pkts  = (wr->length == 0) ? 1 :
                    ((wr->length - 1) / qp->mtu) + 1;
    wr->psn       = qp->next_psn;
    qp->next_psn  = sim_psn_add(wr->psn, wr->num_pkts);
    wr->sq_end    = ++qp->sq_head;
    *qp->tail     = wr;
    qp->tail      = &wr->next;
    qp->tx_index  = (qp->tx_wr == NULL) ? 0 : qp->tx_index;
    qp->tx_wr     = (qp->tx_wr == NULL) ? wr : qp->tx_wr;
    ++qp->pub.posted;
    ++qp->rail->posted;
    ++qp->pub.in_flight;
    ++qp->pub.num_wrs;
    ++sim_counters.wrs;
    if (qp->pub.state == SIM_QP_ERR) {
        sim_wr_retire(qp, VMP_WC_FLUSHED);
    } else {
        wr->is_bad = ret;
        sim_qp_kick(qp);
    }

    return 0;
}

int vmp_port_post_send(vmp_port_qp_t *qp, uint64_t wr_id, unsigned flags,
                       const vmp_sge_t *sge, unsigned num_sge)
{
    return sim_post(qp, SIM_SEND, wr_id, flags, sge, num_sge, 0, 0);
}

int vmp_port_post_write(vmp_port_qp_t *qp, uint64_t wr_id, unsigned flags,
                        const vmp_sge_t *sge, unsigned num_sge,
                        uint64_t remote_addr, uint32_t rkey)
{
    return sim_post(qp, SIM_WRITE, wr_id, flags, sge, num_sge, remote_addr,
                    rkey);
}

int vmp_port_post_read(vmp_port_qp_t *qp, uint64_t wr_id, unsigned flags,
                       const vmp_sge_t *sge, unsigned num_sge,
                       uint64_t remote_addr, uint32_t rkey)
{
    return sim_post(qp, SIM_READ, wr_id, flags, sge, num_sge, remote_addr,
                    rkey);
}
