/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "sim_int.h"

#include "core/vmp_log.h"

#include <stdio.h>

/* QPs: their life, and the NIC's queue of those that want to send */

#define SIM_TIMEOUT_UNIT  4096          /* ns: * 2^timeout */


/* Life --------------------------------------------------------------------- */

int sim_fail_after(uint64_t *left)
{
    return (*left > 0) && (--*left == 0);
}

int sim_qp_is_live(const vmp_port_qp_t *qp, const char *what)
{
    if (qp->pub.state != SIM_QP_DESTROYED) {
        return 1;
    }

    sim_fault(SIM_FAULT_DESTROYED, SIM_QP_FMT ": %s", SIM_QP_ARG(qp), what);
    return 0;
}

vmp_port_qp_t *vmp_port_qp_create(vmp_port_t *port, unsigned rail_index)
{
    sim_rail_t *rail = &port->rails[rail_index];
    sim_nic_t *nic   = rail->nic;
    vmp_port_qp_t *qp;

    sim_port_is_helper(port, "qp_create");
    if (nic->is_failed || sim_fail_after(&sim_conf.qp_fail_after) ||
        sim_chance(sim_conf.qp_fail) ||
        ((sim_conf.max_qps > 0) && (nic->num_qps >= sim_conf.max_qps))) {
        ++sim_counters.refused_qps;
        vmp_error("h%ur%u: cannot make an RC QP: refused by the simulation",
                  nic->host, nic->rail);
        return NULL;
    }

    qp             = sim_alloc(sizeof(*qp));
    qp->pub.qpn    = sim_nic_qpn(nic, qp, NULL);
    qp->pub.delay  = sim_conf.qp_delay +
                     (sim_conf.qp_delay_step * port->made_qps++);
    qp->pub.jitter = sim_conf.qp_jitter;
    qp->port       = port;
    qp->rail       = rail;
    qp->rail_index = rail_index;
    qp->nic        = nic;
    qp->tail       = &qp->head;
    qp->resp_tail  = &qp->resp_head;
    qp->timer.type = SIM_EV_QP_TIMER;
    qp->death.type = SIM_EV_QP_DEATH;
    qp->timer_at   = SIM_NEVER;
    qp->next       = port->qps;
    if (port->qps != NULL) {
        port->qps->prev = qp;
    }

    port->qps = qp;
    vmp_list_add_tail(&sim.qps, &qp->link);
    ++port->num_qps;
    ++nic->num_qps;
    ++sim_counters.qps;
    sim_trace(SIM_QP_FMT " made", SIM_QP_ARG(qp));
    return qp;
}

uint32_t vmp_port_qp_num(const vmp_port_qp_t *qp)
{
    return qp->pub.qpn;
}

int vmp_port_qp_connect(vmp_port_qp_t *qp, const vmp_port_qp_remote_t *remote)
{
    const vmp_port_params_t *params = &qp->port->params;
    uint16_t sport                  = vmp_port_udp_sport(remote->entropy);
    int is_failed                   = sim_chance(sim_conf.connect_fail);

    sim_port_is_helper(qp->port, "qp_connect");
    if (!sim_qp_is_live(qp, "qp_connect") || (qp->pub.state != SIM_QP_INIT)) {
        return -1;
    }

    sim_counters.refused_qps += is_failed;
    if (qp->nic->is_failed || (is_failed && (sim_draw() & 1))) {
        vmp_error(SIM_QP_FMT ": cannot connect: refused by the simulation",
                  SIM_QP_ARG(qp));
        return -1;
    }

    qp->remote           = *remote;
    qp->dst              = sim_nic_of_addr(&remote->addr);
    qp->mtu              = 128u << remote->mtu;
    qp->is_connected     = 1;
    qp->address          = qp->nic->address;
    qp->pub.entropy      = remote->entropy;
    qp->pub.expected_psn = remote->rq_psn & SIM_PSN_MASK;
    qp->first_psn        = qp->pub.expected_psn;
    qp->pub.una_psn      = remote->sq_psn & SIM_PSN_MASK;
    qp->next_psn         = qp->pub.una_psn;
    qp->sent_psn         = qp->pub.una_psn;
    qp->retries          = params->retry_count;
    qp->timeout          = (params->timeout == 0) ? 0 :
                           ((uint64_t)SIM_TIMEOUT_UNIT << params->timeout);
    if (qp->remote.max_rd_atomic > params->max_rd_atomic) {
        qp->remote.max_rd_atomic = params->max_rd_atomic;
    }

    if (qp->dst != NULL) {
        qp->out = sim_link(qp->nic->index, qp->dst->index,
                           sim_link_of(qp->nic->index, qp->dst->index, sport));
    }

    qp->pub.state = SIM_QP_RTR;
    if (is_failed) {
        vmp_error(SIM_QP_FMT ": cannot connect (to RTS): refused by the "
                  "simulation", SIM_QP_ARG(qp));
        return -1;
    }

    qp->pub.state = SIM_QP_RTS;
    sim_trace(SIM_QP_FMT " connected to 0x%x, UDP source port %u",
              SIM_QP_ARG(qp), remote->qpn, sport);
    return 0;
}

vmp_port_qp_t *sim_qp_peer(const vmp_port_qp_t *qp)
{
    vmp_port_qp_t *peer = (qp->dst == NULL) ? NULL :
                          sim_qp_find(qp->dst->index, qp->remote.qpn);

    return ((peer != NULL) && (peer->dst == qp->nic) &&
            (peer->remote.qpn == qp->pub.qpn)) ? peer : NULL;
}

/* What is on the way carries what it carried when it left: keep that, since its
 * memory is about to be the user's again */
static void sim_qp_snapshot(vmp_port_qp_t *qp)
{
    sim_wr_t *wr;
    uint8_t *data;

    for (wr = qp->head; wr != NULL; wr = wr->next) {
        if ((wr->refs > 1) && (wr->data == NULL) && (wr->op != SIM_READ)) {
            data = sim_alloc(wr->length + 1);
            (void)sim_wr_copy(qp->nic, wr, 0, data, wr->length, 0);
            wr->data = data;
        }
    }
}

static void sim_qp_unqueue(vmp_port_qp_t *qp)
{
    vmp_port_qp_t *prev = NULL;
    vmp_port_qp_t **qp_p;

    if (!qp->is_queued) {
        return;
    }

    for (qp_p = &qp->nic->tx_head; *qp_p != qp; qp_p = &(*qp_p)->tx_next) {
        prev = *qp_p;
    }

    *qp_p = qp->tx_next;
    if (qp->nic->tx_tail == qp) {
        qp->nic->tx_tail = prev;
    }

    qp->is_queued = 0;
}

void sim_qp_quiet(vmp_port_qp_t *qp)
{
    sim_qp_snapshot(qp);
    sim_qp_unqueue(qp);
    sim_ev_cancel(&qp->timer);
    qp->timer_at = SIM_NEVER;
    qp->tx_wr    = NULL;
}

void sim_qp_fail(vmp_port_qp_t *qp, vmp_wc_status_t status)
{
    if ((qp->pub.state != SIM_QP_RTS) && (qp->pub.state != SIM_QP_RTR)) {
        return;
    }

    sim_trace(SIM_QP_FMT " to ERR: %s", SIM_QP_ARG(qp),
              vmp_wc_status_str(status));
    if ((qp->head != NULL) && (sim_conf.failed != NULL)) {
        sim_conf.failed(sim_conf.failed_arg, qp, qp->head->wr_id, status);
    }

    ++sim_counters.dead_qps;
    sim_qp_quiet(qp);
    qp->pub.state    = SIM_QP_ERR;
    qp->pub.err_time = sim.now;
    while (qp->head != NULL) {
        sim_wr_retire(qp, status);
        status = VMP_WC_FLUSHED;
    }

    sim_qp_stopping(qp);
}

int vmp_port_qp_error(vmp_port_qp_t *qp)
{
    sim_port_is_helper(qp->port, "qp_error");
    if (!sim_qp_is_live(qp, "qp_error") || qp->pub.is_stuck) {
        return -1;
    }

    sim_qp_fail_at(qp);
    return 0;
}

static void sim_qp_check_destroy(const vmp_port_qp_t *qp)
{
    uint64_t since = (qp->pub.err_asked > 0) ? qp->pub.err_asked :
                                               qp->pub.err_time;

    if ((qp->port->ctl == NULL) || !qp->is_connected || qp->pub.is_stuck ||
        qp->port->is_killed) {
        return;
    }

    /* who cannot poll cannot drain */
    if (!qp->rail->is_broken &&
        ((qp->head != NULL) || (qp->pub.cqes > 0) || (qp->pub.rx_cqes > 0))) {
        sim_fault(SIM_FAULT_NOT_DRAINED, SIM_QP_FMT " with %u WRs, %u "
                  "completions and %u arrivals", SIM_QP_ARG(qp),
                  qp->pub.in_flight, qp->pub.cqes, qp->pub.rx_cqes);
    }

    if ((sim_conf.quarantine > 0) &&
        ((qp->pub.state != SIM_QP_ERR) || !qp->pub.is_stopped ||
         ((sim.now - since) < sim_conf.quarantine))) {
        sim_fault(SIM_FAULT_QUARANTINE, SIM_QP_FMT " was in ERR for %lu ns%s",
                  SIM_QP_ARG(qp), (qp->pub.state != SIM_QP_ERR) ? 0ul :
                  (unsigned long)(sim.now - since), qp->pub.is_stopped ? "" :
                  ", and has not stopped");
    }
}

void vmp_port_qp_destroy(vmp_port_qp_t *qp)
{
    vmp_port_t *port = qp->port;

    sim_port_is_helper(port, "qp_destroy");
    if (!sim_qp_is_live(qp, "qp_destroy")) {
        return;
    }

    sim_qp_check_destroy(qp);
    if (!port->is_killed) {
        sim_qp_unlist(qp);
    }

    qp->pub.state = SIM_QP_DESTROYED;
    sim_trace(SIM_QP_FMT " destroyed", SIM_QP_ARG(qp));
    while (qp->head != NULL) {
        qp->head->flags = 0;
        sim_wr_retire(qp, VMP_WC_SUCCESS);
    }

    sim_cq_purge(qp);
    qp->rail->posted -= qp->pub.posted;
    qp->pub.posted    = 0;
    if (qp->prev == NULL) {
        port->qps = qp->next;
    } else {
        qp->prev->next = qp->next;
    }

    if (qp->next != NULL) {
        qp->next->prev = qp->prev;
    }

    /* it stays, so that its use is found out */
    qp->next = NULL;
    qp->prev = NULL;
    --port->num_qps;
    --sim_counters.qps;
}

/* Nobody on the network finds it any more */
void sim_qp_unlist(vmp_port_qp_t *qp)
{
    sim_qp_quiet(qp);
    sim_resp_drop(qp);
    sim_ev_cancel(&qp->death);
    qp->nic->qps[qp->pub.qpn - SIM_QPN_FIRST] = NULL;
    --qp->nic->num_qps;
}

void sim_qp_free(vmp_port_qp_t *qp)
{
    sim_wr_t *wr;

    sim_resp_drop(qp);
    while ((wr = qp->head) != NULL) {
        qp->head = wr->next;
        sim_wr_put(wr);
    }

    free(qp);
}


/* Sending ------------------------------------------------------------------ */

static int sim_qp_has_work(const vmp_port_qp_t *qp)
{
    return !qp->pub.is_mute &&
           ((qp->resp_head != NULL) || sim_req_has_work(qp));
}

void sim_qp_kick(vmp_port_qp_t *qp)
{
    sim_nic_t *nic = qp->nic;

    if (qp->is_queued || !sim_qp_has_work(qp)) {
        return;
    }

    qp->is_queued = 1;
    qp->tx_next   = NULL;
    if (nic->tx_head == NULL) {
        nic->tx_head = qp;
    } else {
        nic->tx_tail->tx_next = qp;
    }

    nic->tx_tail = qp;
    sim_nic_run(nic);
}

/* QPs in turn, one run of packets each */
void sim_nic_run(sim_nic_t *nic)
{
    vmp_port_qp_t *qp;

    if (nic->is_sending) {
        return;
    }

    nic->is_sending = 1;
    while ((qp = nic->tx_head) != NULL) {
        if ((sim_conf.nic_rate > 0) && (nic->busy_until > sim.now)) {
            if (nic->tx_ev.pos == 0) {
                sim_ev_at(&nic->tx_ev, nic->busy_until);
            }
            break;
        }

        nic->tx_head  = qp->tx_next;
        qp->is_queued = 0;
        if (sim_qp_has_work(qp)) {
            qp->turn = !qp->turn;
            if ((qp->resp_head != NULL) &&
                (qp->turn || !sim_req_has_work(qp))) {
                sim_resp_emit(qp);
            } else {
                sim_req_emit(qp);
            }
        }

        sim_qp_kick(qp);
    }

    nic->is_sending = 0;
}

sim_pkt_t *sim_qp_pkt(vmp_port_qp_t *qp, sim_op_t op, uint32_t psn)
{
    sim_pkt_t *pkt = sim_pkt_new(op);

    pkt->link    = qp->out;
    pkt->src     = qp->nic;
    pkt->dst     = qp->dst;
    pkt->src_qp  = qp;
    pkt->dst_qpn = qp->remote.qpn;
    pkt->psn     = psn;
    pkt->mtu     = qp->mtu;
    pkt->dst_address = sim_addr_address(&qp->remote.addr);
    return pkt;
}

void sim_qp_send(vmp_port_qp_t *qp, sim_pkt_t *pkt)
{
    sim_nic_t *nic = qp->nic;
    uint64_t bytes = sim_pkt_payload(pkt) +
                     ((uint64_t)pkt->num * SIM_PKT_OVERHEAD);

    sim_counters.packets += pkt->num;
    if (sim_conf.nic_rate > 0) {
        nic->busy_until = (nic->busy_until > sim.now) ?
                          nic->busy_until : sim.now;
        nic->busy_until += (bytes * 1000000000ull) / sim_conf.nic_rate;
    }

    if ((pkt->dst == NULL) || (qp->address != qp->nic->address)) {
        sim_pkt_free(pkt);
        return;
    }

    qp->left_at = sim_link_send(pkt, qp->pub.delay + sim_up_to(qp->pub.jitter),
                                &qp->fifo);
}
