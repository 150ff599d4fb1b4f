/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "sim_int.h"

/* The requester's half of a QP: what it sends, and what it makes of answers */

#define SIM_MUTE_POLL  1000000          /* ns */


static void sim_req_arm(vmp_port_qp_t *qp, uint64_t time)
{
    qp->timer_at = time;
    if ((time != SIM_NEVER) && (qp->timer.pos == 0)) {
        sim_ev_at(&qp->timer, time);
    }
}

/* The timeout runs from now, or from when the last packet leaves the host */
static void sim_req_restart(vmp_port_qp_t *qp)
{
    uint64_t begin = (qp->left_at > sim.now) ? qp->left_at : sim.now;

    if (qp->is_rnr) {
        return;
    }

    if ((qp->timeout == 0) || (qp->pub.una_psn == qp->sent_psn)) {
        qp->timer_at = SIM_NEVER;
    } else {
        sim_req_arm(qp, begin + qp->timeout);
    }
}

/* From the first packet on that has no acknowledgement */
static void sim_req_rewind(vmp_port_qp_t *qp)
{
    qp->tx_wr = qp->head;
    qp->reads = 0;
    if (qp->head != NULL) {
        qp->tx_index = sim_psn_diff(qp->pub.una_psn, qp->head->psn);
    }
}

void sim_req_timer(vmp_port_qp_t *qp)
{
    if (qp->timer_at == SIM_NEVER) {
        return;
    }

    if (sim.now < qp->timer_at) {
        sim_ev_at(&qp->timer, qp->timer_at);
        return;
    }

    qp->timer_at = SIM_NEVER;
    if (qp->pub.is_mute) {
        sim_req_arm(qp, sim.now + qp->timeout + SIM_MUTE_POLL);
        return;
    }

    if (qp->is_rnr) {
        qp->is_rnr = 0;
        sim_qp_kick(qp);
        return;
    }

    ++sim_counters.timeouts;
    sim_note(sim.now ^ qp->pub.qpn);
    sim_trace(SIM_QP_FMT " timeout at psn %u, %u retries left", SIM_QP_ARG(qp),
              qp->pub.una_psn, qp->retries);
    if (qp->retries == 0) {
        ++sim_counters.qp_errors;
        sim_qp_fail(qp, VMP_WC_RETRY_EXC);
        return;
    }

    --qp->retries;
    qp->is_rewound = 0;
    sim_req_rewind(qp);
    sim_qp_kick(qp);
}

int sim_req_has_work(const vmp_port_qp_t *qp)
{
    const sim_wr_t *wr = qp->tx_wr;

    if ((wr == NULL) || qp->is_rnr || (qp->pub.state != SIM_QP_RTS)) {
        return 0;
    }

    if (wr->is_bad && (wr != qp->head)) {
        return 0;                       /* it fails in its turn */
    }

    if ((wr->flags & VMP_POST_FENCE) && (qp->reads > 0) &&
        (qp->tx_index == 0)) {
        return 0;
    }

    return (wr->op != SIM_READ) || (qp->reads < qp->remote.max_rd_atomic);
}

/* One run of packets */
void sim_req_emit(vmp_port_qp_t *qp)
{
    sim_wr_t *wr = qp->tx_wr;
    uint32_t end;
    sim_pkt_t *pkt;
    int32_t again;

    if (wr->is_bad) {
        ++sim_counters.qp_errors;
        sim_qp_fail(qp, VMP_WC_LOC_ERR);
        return;
    }

    pkt              = sim_qp_pkt(qp, wr->op,
                                  sim_psn_add(wr->psn, qp->tx_index));
    pkt->index       = qp->tx_index;
    pkt->total       = wr->num_pkts;
    pkt->length      = wr->length;
    pkt->remote_addr = wr->remote_addr;
    pkt->rkey        = wr->rkey;
    if (wr->op == SIM_READ) {
        ++qp->reads;
        qp->tx_index = wr->num_pkts;
    } else {
        pkt->num      = wr->num_pkts - qp->tx_index;
        pkt->num      = (pkt->num < sim_conf.burst) ? pkt->num :
                                                      sim_conf.burst;
        pkt->wr       = wr;
        qp->tx_index += pkt->num;
        ++wr->refs;
    }

    end   = sim_psn_add(wr->psn, qp->tx_index);
    again = sim_psn_diff(qp->sent_psn, pkt->psn);
    if (again > 0) {
        sim_counters.retransmitted += ((uint32_t)again < pkt->num) ?
                                      (uint32_t)again : pkt->num;
    }

    if (sim_psn_diff(end, qp->sent_psn) > 0) {
        qp->sent_psn = end;
    }

    if (qp->tx_index == wr->num_pkts) {
        qp->tx_wr    = wr->next;
        qp->tx_index = 0;
    }

    sim_qp_send(qp, pkt);
    if (qp->timer_at == SIM_NEVER) {
        sim_req_restart(qp);
    }
}

/* All before `psn` was executed. Return 1 if a response that must have come
 * before is missing. */
static int sim_req_acked(vmp_port_qp_t *qp, uint32_t psn)
{
    uint32_t una = qp->pub.una_psn;
    int is_lost  = 0;
    const sim_wr_t *wr;
    uint32_t end;

    if (sim_psn_diff(psn, qp->sent_psn) > 0) {
        return 0;                       /* nonsense */
    }

    while (((wr = qp->head) != NULL) &&
           (sim_psn_diff(psn, qp->pub.una_psn) > 0)) {
        end = sim_psn_add(wr->psn, wr->num_pkts);
        if (wr->op == SIM_READ) {
            is_lost = 1;
            break;
        }

        if (sim_psn_diff(psn, end) < 0) {
            qp->pub.una_psn = psn;
            if ((qp->tx_wr == wr) &&
                (sim_psn_diff(psn, sim_psn_add(wr->psn, qp->tx_index)) > 0)) {
                qp->tx_index = sim_psn_diff(psn, wr->psn);
            }
            break;
        }

        qp->pub.una_psn = end;
        sim_wr_retire(qp, VMP_WC_SUCCESS);
    }

    if (una != qp->pub.una_psn) {
        qp->retries    = qp->port->params.retry_count;
        qp->is_rewound = 0;
        sim_req_restart(qp);
    }

    return is_lost;
}

/* Send again what was lost, once; then it is the timeout's */
static void sim_req_again(vmp_port_qp_t *qp)
{
    if (!qp->is_rewound) {
        qp->is_rewound = 1;
        sim_req_rewind(qp);
    }
}

static void sim_req_response(vmp_port_qp_t *qp, const sim_pkt_t *pkt)
{
    uint32_t begin = (pkt->psn - pkt->index) & SIM_PSN_MASK;
    sim_wr_t *wr;
    int32_t gap;
    uint32_t skip;

    if (sim_req_acked(qp, begin)) {
        sim_req_again(qp);
        return;
    }

    wr  = qp->head;
    gap = sim_psn_diff(pkt->psn, qp->pub.una_psn);
    if ((wr == NULL) || (wr->op != SIM_READ) || (wr->psn != begin) ||
        (gap + (int32_t)pkt->num <= 0)) {
        return;                         /* it had come before */
    }

    if (gap > 0) {
        sim_req_again(qp);
        return;
    }

    skip = -gap;
    if (sim_wr_copy(qp->nic, wr, (pkt->index + skip) * qp->mtu,
                    pkt->data + ((size_t)skip * qp->mtu),
                    sim_pkt_payload(pkt) - (skip * qp->mtu), 1) != 0) {
        sim_fault(SIM_FAULT_RELEASED, SIM_QP_FMT ": target of a read",
                  SIM_QP_ARG(qp));
        ++sim_counters.qp_errors;
        sim_qp_fail(qp, VMP_WC_LOC_ERR);
        return;
    }

    qp->pub.una_psn = sim_psn_add(pkt->psn, pkt->num);
    qp->retries     = qp->port->params.retry_count;
    qp->is_rewound  = 0;
    if (pkt->index + pkt->num == pkt->total) {
        qp->reads -= (qp->reads > 0);
        sim_wr_retire(qp, VMP_WC_SUCCESS);
    } else if ((qp->tx_wr == wr) && (qp->tx_index < pkt->index + pkt->num)) {
        qp->tx_index = pkt->index + pkt->num;
    }

    sim_req_restart(qp);
}

static void sim_req_rnr(vmp_port_qp_t *qp, const sim_pkt_t *pkt)
{
    /* ms/100 of the codes 0 .. 31 */
    static const uint32_t delays[] = {
        65536, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256,
        384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384,
        24576, 32768, 49152
    };

    if (qp->is_rnr || (pkt->psn != qp->pub.una_psn) || (qp->head == NULL)) {
        return;
    }

    sim_req_rewind(qp);
    qp->is_rnr = 1;
    /* it may have to fire earlier than it stands */
    sim_ev_cancel(&qp->timer);
    sim_req_arm(qp, sim.now + (delays[pkt->value] * 10000ull));
}

static void sim_req_seq(vmp_port_qp_t *qp, const sim_pkt_t *pkt)
{
    if ((pkt->psn != qp->pub.una_psn) || (qp->head == NULL) || qp->is_rnr) {
        return;
    }

    /* without progress since the last time it is a try like any other */
    if (qp->retries == 0) {
        ++sim_counters.qp_errors;
        sim_qp_fail(qp, VMP_WC_RETRY_EXC);
        return;
    }

    --qp->retries;
    sim_req_rewind(qp);
}

/* An answer of the responder */
void sim_req_packet(vmp_port_qp_t *qp, sim_pkt_t *pkt)
{
    if (pkt->op == SIM_RESPONSE) {
        sim_req_response(qp, pkt);
        sim_qp_kick(qp);
        return;
    }

    if (sim_req_acked(qp, pkt->psn)) {
        sim_req_again(qp);
    } else if (pkt->op == SIM_NAK_SEQ) {
        sim_req_seq(qp, pkt);
    } else if (pkt->op == SIM_NAK_RNR) {
        sim_req_rnr(qp, pkt);
    } else if ((pkt->op == SIM_NAK_ERR) && (pkt->psn == qp->pub.una_psn) &&
               (qp->head != NULL)) {
        ++sim_counters.qp_errors;
        sim_qp_fail(qp, pkt->value);
    }

    sim_qp_kick(qp);
}
