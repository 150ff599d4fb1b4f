/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "sim_int.h"

/* The responder's half of a QP: what it does with requests, and answers */

#define SIM_POISON  0xdb


/* Answers, in order -------------------------------------------------------- */

static void sim_resp_queue(vmp_port_qp_t *qp, const sim_resp_t *resp)
{
    sim_resp_t *copy = sim_alloc(sizeof(*copy));

    *copy          = *resp;
    copy->next     = NULL;
    *qp->resp_tail = copy;
    qp->resp_tail  = &copy->next;
    sim_qp_kick(qp);
}

static void sim_resp_pop(vmp_port_qp_t *qp)
{
    sim_resp_t *resp = qp->resp_head;

    qp->resp_head = resp->next;
    if (qp->resp_head == NULL) {
        qp->resp_tail = &qp->resp_head;
    }

    free(resp);
}

void sim_resp_drop(vmp_port_qp_t *qp)
{
    while (qp->resp_head != NULL) {
        sim_resp_pop(qp);
    }
}

/* An answer without data: at once, but not before data that goes first */
static void sim_resp_answer(vmp_port_qp_t *qp, sim_op_t op, uint32_t value)
{
    sim_pkt_t *pkt;

    qp->unacked = 0;
    if (qp->resp_head != NULL) {
        sim_resp_queue(qp, &(sim_resp_t){
            .op    = op,
            .psn   = qp->pub.expected_psn,
            .value = value
        });
        return;
    }

    pkt        = sim_qp_pkt(qp, op, qp->pub.expected_psn);
    pkt->value = value;
    sim_qp_send(qp, pkt);
}

void sim_resp_emit(vmp_port_qp_t *qp)
{
    sim_resp_t *resp = qp->resp_head;
    sim_pkt_t *pkt   = sim_qp_pkt(qp, resp->op, resp->psn);
    uint64_t addr;

    if (resp->op != SIM_RESPONSE) {
        pkt->value = resp->value;
        sim_resp_pop(qp);
        sim_qp_send(qp, pkt);
        return;
    }

    pkt->index  = resp->index;
    pkt->total  = resp->total;
    pkt->length = resp->length;
    pkt->num    = resp->total - resp->index;
    pkt->num    = (pkt->num < sim_conf.burst) ? pkt->num : sim_conf.burst;
    pkt->data   = sim_alloc(sim_pkt_payload(pkt) + 1);
    addr        = resp->addr + ((uint64_t)resp->index * qp->mtu);
    if ((resp->length > 0) &&
        !sim_rkey_ok(qp->nic, resp->rkey, addr, sim_pkt_payload(pkt),
                     VMP_MEM_REMOTE_READ)) {
        /* deregistered meanwhile */
        pkt->op    = SIM_NAK_ERR;
        pkt->num   = 1;
        pkt->value = VMP_WC_REM_ACCESS;
        sim_resp_pop(qp);
        sim_qp_send(qp, pkt);
        return;
    }

    memcpy(pkt->data, (void*)(uintptr_t)addr, sim_pkt_payload(pkt));
    resp->psn    = sim_psn_add(resp->psn, pkt->num);
    resp->index += pkt->num;
    if (resp->index == resp->total) {
        sim_resp_pop(qp);
    }

    sim_qp_send(qp, pkt);
}


/* Requests ----------------------------------------------------------------- */

/* Refuse it, and be in error from now on */
static int sim_resp_refuse(vmp_port_qp_t *qp, vmp_wc_status_t status)
{
    ++sim_counters.err_naks;
    ++sim_counters.qp_errors;
    sim_resp_answer(qp, SIM_NAK_ERR, status);
    while (qp->resp_head != NULL) {
        sim_resp_emit(qp);              /* the last words */
    }

    sim_qp_fail(qp, VMP_WC_FLUSHED);
    return -1;
}

/* The requester fails although it was executed, and nothing is said of it */
static void sim_resp_fail_requester(const sim_pkt_t *pkt)
{
    ++sim_counters.qp_errors;
    sim_counters.halves    += pkt->src_qp->pub.kill_half;
    pkt->src_qp->is_halved  = pkt->src_qp->pub.kill_half;
    sim_qp_fail(pkt->src_qp, pkt->src_qp->pub.kill);
}

/* Payload of packets of a send or write into memory here */
static int sim_resp_data(sim_pkt_t *pkt, uint32_t skip, uint8_t *dest)
{
    uint32_t offset = (pkt->index + skip) * pkt->mtu;
    uint32_t length = sim_pkt_payload(pkt) - (skip * pkt->mtu);
    sim_wr_t *wr    = pkt->wr;

    if (length == 0) {
        return 0;
    }

    if (wr->is_retired && (wr->data == NULL)) {
        /* a ghost, whose sender has forgotten what it said */
        memset(dest, SIM_POISON, length);
        return 0;
    }

    if (sim_wr_copy(pkt->src, wr, offset, dest, length, 0) == 0) {
        return 0;
    }

    sim_fault(SIM_FAULT_RELEASED, SIM_QP_FMT ": source of wr_id 0x%lx",
              SIM_QP_ARG(pkt->src_qp), (unsigned long)wr->wr_id);
    ++sim_counters.qp_errors;
    sim_qp_fail(pkt->src_qp, VMP_WC_LOC_ERR);
    return -1;
}

/* Return -1: not executed */
static int sim_resp_send(vmp_port_qp_t *qp, sim_pkt_t *pkt, uint32_t skip)
{
    sim_ring_t *srq = &qp->rail->srq;
    uint64_t offset = (uint64_t)(pkt->index + skip) * pkt->mtu;
    uint64_t end    = ((uint64_t)pkt->index * pkt->mtu) + sim_pkt_payload(pkt);

    if (pkt->index + skip == 0) {
        if ((sim_ring_num(srq) == 0) || sim_chance(sim_conf.rnr_false)) {
            ++sim_counters.rnr_naks;
            qp->nak_sent = 1;
            sim_resp_answer(qp, SIM_NAK_RNR, qp->port->params.min_rnr_timer);
            return -1;
        }

        qp->recv     = *(sim_recv_t*)sim_ring_at(srq, srq->tail++,
                                                 sizeof(sim_recv_t));
        qp->has_recv = 1;
        if (!sim_lkey_ok(qp->nic, qp->recv.sge.lkey, qp->recv.sge.addr,
                         qp->recv.sge.length, VMP_MEM_LOCAL_WRITE)) {
            sim_fault(SIM_FAULT_RELEASED, SIM_QP_FMT ": receive buffer",
                      SIM_QP_ARG(qp));
            return sim_resp_refuse(qp, VMP_WC_REM_OP);
        }
    }

    if (!qp->has_recv || (end > qp->recv.sge.length)) {
        if (qp->has_recv) {
            sim_cq_push(qp, 1, qp->recv.wr_id, VMP_WC_LOC_ERR, 0);
            qp->has_recv = 0;
        }
        return sim_resp_refuse(qp, VMP_WC_REM_INV_REQ);
    }

    if (sim_resp_data(pkt, skip, (uint8_t*)(uintptr_t)qp->recv.sge.addr +
                      offset) != 0) {
        return -1;
    }

    sim_executed(qp, pkt, SIM_EXEC_SEND, qp->recv.sge.addr + offset, skip);
    if (pkt->index + pkt->num == pkt->total) {
        sim_cq_push(qp, 1, qp->recv.wr_id, VMP_WC_SUCCESS, pkt->length);
        qp->has_recv = 0;
    }

    return 0;
}

static int sim_resp_write(vmp_port_qp_t *qp, sim_pkt_t *pkt, uint32_t skip)
{
    uint64_t offset = (uint64_t)(pkt->index + skip) * pkt->mtu;

    if (pkt->length == 0) {
        return 0;
    }

    if (!sim_rkey_ok(qp->nic, pkt->rkey, pkt->remote_addr, pkt->length,
                     VMP_MEM_REMOTE_WRITE)) {
        return sim_resp_refuse(qp, VMP_WC_REM_ACCESS);
    }

    if (sim_resp_data(pkt, skip, (uint8_t*)(uintptr_t)
                      (pkt->remote_addr + offset)) != 0) {
        return -1;
    }

    sim_executed(qp, pkt, SIM_EXEC_WRITE, pkt->remote_addr + offset, skip);
    return 0;
}

static int sim_resp_read(vmp_port_qp_t *qp, const sim_pkt_t *pkt)
{
    if ((pkt->length > 0) &&
        !sim_rkey_ok(qp->nic, pkt->rkey, pkt->remote_addr, pkt->length,
                     VMP_MEM_REMOTE_READ)) {
        return sim_resp_refuse(qp, VMP_WC_REM_ACCESS);
    }

    sim_executed(qp, pkt, SIM_EXEC_READ, pkt->remote_addr, 0);
    sim_resp_queue(qp, &(sim_resp_t){
        .op     = SIM_RESPONSE,
        .psn    = pkt->psn,
        .index  = pkt->index,
        .total  = pkt->total,
        .length = pkt->length,
        .addr   = pkt->remote_addr,
        .rkey   = pkt->rkey
    });
    return 0;
}

/* Its requester's QP is to fail by it. What says that the responder did not like
 * it comes from one that is in error, as on soft-RoCE; other failures are the
 * requester's own. */
static void sim_resp_kill(vmp_port_qp_t *qp, vmp_wc_status_t status,
                          int is_late)
{
    if (!is_late && (status >= VMP_WC_REM_ACCESS) &&
        (status <= VMP_WC_REM_OP)) {
        (void)sim_resp_refuse(qp, status);
        return;
    }

    ++sim_counters.err_naks;
    sim_resp_answer(qp, SIM_NAK_ERR, status);
}

/* Whether its requester's QP is to fail by what comes here */
static int sim_resp_is_killed(const sim_pkt_t *pkt)
{
    const sim_qp_t *pub = &pkt->src_qp->pub;

    return (pub->kill != VMP_WC_SUCCESS) &&
           (!pub->kill_half || ((pkt->op == SIM_SEND) &&
                                ((pkt->index + pkt->num) < pkt->total)));
}

/* It was executed before: only its answer may be missing */
static void sim_resp_again(vmp_port_qp_t *qp, const sim_pkt_t *pkt)
{
    if (sim_psn_diff(pkt->psn, qp->first_psn) < 0) {
        ++sim_counters.stray;           /* for who had its number before */
        return;
    }

    if (pkt->op == SIM_READ) {
        ++sim_counters.duplicates;
        (void)sim_resp_read(qp, pkt);
    } else {
        sim_counters.duplicates += pkt->num;
        sim_resp_answer(qp, SIM_ACK, 0);
    }
}

void sim_resp_packet(vmp_port_qp_t *qp, sim_pkt_t *pkt)
{
    int32_t gap   = sim_psn_diff(pkt->psn, qp->pub.expected_psn);
    uint32_t skip = (gap < 0) ? -gap : 0;
    int ret;

    if (pkt->src_qp->is_halved) {
        ++sim_counters.stray;           /* its other half */
        return;
    }

    if (gap > 0) {
        if (!qp->nak_sent) {
            qp->nak_sent = 1;
            ++sim_counters.seq_naks;
            sim_resp_answer(qp, SIM_NAK_SEQ, 0);
        }
        return;
    }

    if (skip >= pkt->num) {
        sim_resp_again(qp, pkt);
        return;
    }

    if (sim_resp_is_killed(pkt) &&
        (!pkt->src_qp->pub.kill_late || (pkt->op == SIM_READ))) {
        sim_resp_kill(qp, pkt->src_qp->pub.kill, pkt->src_qp->pub.kill_late);
        return;
    }

    if (pkt->op == SIM_READ) {
        /* what follows is expected behind its response */
        ret                  = sim_resp_read(qp, pkt);
        qp->pub.expected_psn = (ret != 0) ? qp->pub.expected_psn :
                               sim_psn_add(pkt->psn, pkt->total - pkt->index);
        qp->nak_sent         = (ret != 0) ? qp->nak_sent : 0;
        return;
    }

    ret = (pkt->op == SIM_SEND) ? sim_resp_send(qp, pkt, skip) :
                                  sim_resp_write(qp, pkt, skip);
    if (ret != 0) {
        return;
    }

    sim_counters.duplicates += skip;
    qp->nak_sent             = 0;
    qp->unacked             += pkt->num - skip;
    qp->pub.expected_psn     = sim_psn_add(pkt->psn, pkt->num);
    if (sim_resp_is_killed(pkt)) {
        sim_resp_fail_requester(pkt);
        return;
    }

    if ((pkt->index + pkt->num == pkt->total) ||
        (qp->unacked >= SIM_ACK_EVERY)) {
        sim_resp_answer(qp, SIM_ACK, 0);
    }
}
