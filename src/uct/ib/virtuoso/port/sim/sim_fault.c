/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "sim_int.h"

#include "core/vmp_ctl.h"
#include "core/vmp_log.h"

#include <stdio.h>

/*
 * How QPs die, and what else befalls devices and processes.
 *
 *     RTS --(asked, up to err_delay)--> ERR: the requester's requests ended
 *         --(up to err_delay)---------> stopped: the responder executes nothing
 *         --(up to last_delay)--------> last: LAST_WQE_REACHED, if not lost
 *
 * Between ERR and stopped the responder goes on: what it executes there shows
 * in its expected PSN, which may be trusted from "stopped" on only.
 */


/* The end of QPs ----------------------------------------------------------- */

int sim_qp_is_responding(const vmp_port_qp_t *qp)
{
    return (qp->pub.state == SIM_QP_RTS) || (qp->pub.state == SIM_QP_RTR) ||
           ((qp->pub.state == SIM_QP_ERR) && !qp->pub.is_stopped);
}

/* Go on now, or within `max` */
static void sim_qp_death_in(vmp_port_qp_t *qp, uint64_t max)
{
    uint64_t delay = sim_up_to(max);

    if (delay == 0) {
        sim_qp_death(qp);
    } else {
        sim_ev_at(&qp->death, sim.now + delay);
    }
}

/* The user wants it in ERR */
void sim_qp_fail_at(vmp_port_qp_t *qp)
{
    if (qp->pub.err_asked == 0) {
        qp->pub.err_asked = sim.now;
        if ((qp->pub.state == SIM_QP_RTS) || (qp->pub.state == SIM_QP_RTR)) {
            sim_qp_death_in(qp, sim_conf.err_delay);
        }
    }
}

/* It is in ERR, the responder follows */
void sim_qp_stopping(vmp_port_qp_t *qp)
{
    sim_ev_cancel(&qp->death);
    sim_qp_death_in(qp, sim_conf.err_delay);
}

static void sim_qp_stop(vmp_port_qp_t *qp)
{
    qp->pub.is_stopped = 1;
    sim_trace(SIM_QP_FMT " has stopped at psn %u", SIM_QP_ARG(qp),
              qp->pub.expected_psn);
    sim_resp_drop(qp);
    if (qp->has_recv && sim_chance(sim_conf.srq_return)) {
        ++sim_counters.buffers_back;
        sim_cq_push(qp, 1, qp->recv.wr_id, sim_conf.srq_status, 0);
    } else {
        qp->rail->lost += qp->has_recv;
    }

    qp->has_recv = 0;
    if (!sim_chance(sim_conf.last_lost)) {
        sim_qp_death_in(qp, sim_conf.last_delay);
    }
}

void sim_qp_death(vmp_port_qp_t *qp)
{
    if (qp->pub.state != SIM_QP_ERR) {
        sim_qp_fail(qp, VMP_WC_FLUSHED);
    } else if (!qp->pub.is_stopped) {
        sim_qp_stop(qp);
    } else {
        qp->pub.is_last = 1;
        sim_trace(SIM_QP_FMT " last WQE reached", SIM_QP_ARG(qp));
        sim_helper_wake(qp->port);
    }
}

/* Its time is over, but it may still execute something: the settings are wrong,
 * not the user */
static void sim_qp_check_settled(const vmp_port_qp_t *qp)
{
    if (sim_qp_is_responding(qp) && !qp->pub.is_stuck) {
        fprintf(stderr, "sim: bad settings: " SIM_QP_FMT " has not stopped in "
                "%lu ns\n", SIM_QP_ARG(qp), (unsigned long)sim_conf.settle);
        abort();
    }
}

uint64_t vmp_port_qp_settle(const vmp_port_qp_t *qp, uint64_t now)
{
    sim_port_is_helper(qp->port, "qp_settle");
    if (qp->pub.err_asked == 0) {
        sim_fault(SIM_FAULT_STATE, SIM_QP_FMT ": settle before ERR",
                  SIM_QP_ARG(qp));
    }

    if (qp->pub.is_last || qp->pub.is_stuck) {
        return 0;
    }

    if ((now - qp->pub.err_asked) >= sim_conf.settle) {
        sim_qp_check_settled(qp);
        return 0;
    }

    return qp->pub.err_asked + sim_conf.settle - now;
}

int vmp_port_qp_rq_psn(const vmp_port_qp_t *qp, uint32_t *psn_p)
{
    sim_port_is_helper(qp->port, "qp_rq_psn");
    *psn_p = qp->pub.expected_psn;
    return (sim_conf.no_rq_psn || qp->pub.is_stuck || !qp->is_connected) ?
           -1 : 0;
}

sim_link_t *sim_qp_link(const vmp_port_qp_t *qp)
{
    return qp->out;
}

void sim_qp_mute(vmp_port_qp_t *qp, int is_mute)
{
    qp->pub.is_mute = is_mute;
    if (!is_mute && (qp->pub.state == SIM_QP_RTS)) {
        sim_qp_kick(qp);
    }
}

void sim_qp_break(vmp_port_qp_t *qp, vmp_wc_status_t status)
{
    if ((qp->pub.state == SIM_QP_RTS) || (qp->pub.state == SIM_QP_RTR)) {
        ++sim_counters.qp_errors;
        sim_qp_fail(qp, status);
    }
}


static int sim_qp_is_to(const vmp_port_qp_t *qp, unsigned nic)
{
    return (qp->pub.state == SIM_QP_RTS) && (qp->dst == &sim.nics[nic]);
}

vmp_port_qp_t *sim_port_qp(const vmp_port_t *port, unsigned nic, unsigned i)
{
    unsigned num = 0;
    vmp_port_qp_t *qp;

    for (qp = port->qps; qp != NULL; qp = qp->next) {
        num += sim_qp_is_to(qp, nic);
    }

    if (num == 0) {
        return NULL;
    }

    /* the youngest is first */
    i = num - 1 - (i % num);
    for (qp = port->qps; !sim_qp_is_to(qp, nic) || (i-- > 0); qp = qp->next);
    return qp;
}


/* What responders execute -------------------------------------------------- */

void sim_executed(const vmp_port_qp_t *qp, const sim_pkt_t *pkt,
                  sim_exec_kind_t kind, uint64_t addr, uint32_t skip)
{
    const vmp_port_qp_t *src = pkt->src_qp;
    sim_exec_t exec;

    if (sim_conf.executed == NULL) {
        return;
    }

    exec = (sim_exec_t){
        .kind     = kind,
        .from     = (src->pub.state == SIM_QP_DESTROYED) ? NULL : src->port,
        .at       = qp->port,
        .addr     = addr,
        .length   = (kind == SIM_EXEC_READ) ? pkt->length :
                    (sim_pkt_payload(pkt) - (skip * pkt->mtu)),
        .offset   = (pkt->index + skip) * pkt->mtu,
        .total    = pkt->length,
        .wr_id    = (pkt->wr != NULL) ? pkt->wr->wr_id : 0,
        .owner    = (pkt->wr != NULL) ? pkt->wr->owner : NULL,
        .is_ghost = (src->pub.state != SIM_QP_RTS)
    };
    sim_conf.executed(sim_conf.executed_arg, &exec);
}


/* Ports, addresses, processes ---------------------------------------------- */

void sim_port_rail_event(vmp_port_t *port, unsigned rail, int is_up)
{
    if ((rail < port->num_rails) &&
        (port->num_rail_events < SIM_RAIL_EVENTS)) {
        port->rail_events[port->num_rail_events].rail    = rail;
        port->rail_events[port->num_rail_events++].is_up = is_up;
        sim_helper_wake(port);
    }
}

void sim_port_rail_events(vmp_port_t *port)
{
    unsigned i;

    for (i = 0; i < port->num_rail_events; ++i) {
        vmp_ctl_rail_event(port->ctl, port->rail_events[i].rail,
                           port->rail_events[i].is_up, sim.now);
    }

    port->num_rail_events = 0;
}

void vmp_port_rail_addr(vmp_port_t *port, unsigned rail, vmp_rail_addr_t *addr)
{
    sim_port_is_helper(port, "rail_addr");
    sim_nic_addr(port->rails[rail].nic, addr);
}

void sim_nic_new_address(unsigned nic, int is_back, int is_said)
{
    unsigned i, j;

    sim.nics[nic].address += (is_back && (sim.nics[nic].address > 0)) ? -1 : 1;
    for (i = 0; is_said && (i < sim.num_ports); ++i) {
        for (j = 0; (sim.ports[i] != NULL) &&
             (j < sim.ports[i]->num_rails); ++j) {
            if (sim.ports[i]->rails[j].nic == &sim.nics[nic]) {
                sim_port_rail_event(sim.ports[i], j, 1);
            }
        }
    }

    sim_trace("h%ur%u has a new address", sim.nics[nic].host,
              sim.nics[nic].rail);
}

void sim_nic_address(unsigned nic, vmp_rail_addr_t *addr)
{
    sim_nic_addr(&sim.nics[nic], addr);
}

static void sim_rail_break(vmp_port_t *port, sim_rail_t *rail)
{
    vmp_port_qp_t *qp;

    if (!rail->is_broken) {
        rail->is_broken = 1;
        for (qp = port->qps; qp != NULL; qp = qp->next) {
            if (qp->rail == rail) {
                sim_qp_break(qp, VMP_WC_OTHER);
            }
        }

        /* who sleeps is woken up, to find out */
        sim_port_event(port, VMP_PORT_EVENT_TX | VMP_PORT_EVENT_RX);
    }
}

void sim_port_break(vmp_port_t *port)
{
    unsigned i;

    sim_trace("h%u: the CQs fail", port->rails[0].nic->host);
    for (i = 0; i < port->num_rails; ++i) {
        sim_rail_break(port, &port->rails[i]);
    }
}

static void sim_port_fail_nic(vmp_port_t *port, const sim_nic_t *nic)
{
    vmp_port_qp_t *qp;
    unsigned i;

    for (qp = port->qps; qp != NULL; qp = qp->next) {
        qp->pub.is_stuck |= (qp->nic == nic);
    }

    for (i = 0; i < port->num_rails; ++i) {
        if (port->rails[i].nic == nic) {
            sim_rail_break(port, &port->rails[i]);
        }
    }
}

void sim_nic_fail(unsigned index, int is_failed)
{
    sim_nic_t *nic = &sim.nics[index];
    unsigned i;

    nic->is_failed = is_failed;
    sim_trace("h%ur%u %s", nic->host, nic->rail,
              is_failed ? "fails" : "is as new");
    for (i = 0; is_failed && (i < sim.num_ports); ++i) {
        if (sim.ports[i] != NULL) {
            sim_port_fail_nic(sim.ports[i], nic);
        }
    }
}

static void sim_port_kill(vmp_port_t *port)
{
    vmp_port_qp_t *qp;
    sim_rail_t *rail;
    unsigned i, j;

    port->is_killed = 1;
    sim_ev_cancel(&port->helper_ev);
    sim_ev_cancel(&port->arm_ev);
    for (qp = port->qps; qp != NULL; qp = qp->next) {
        sim_qp_unlist(qp);
        qp->pub.state      = SIM_QP_ERR;
        qp->pub.is_stopped = 1;
    }

    for (i = 0; i < port->num_rails; ++i) {
        rail = &port->rails[i];
        for (j = 0; j < port->params.num_ud; ++j) {
            rail->nic->uds[rail->ud_qpn[j] - SIM_QPN_FIRST] = NULL;
        }
    }
}

void sim_process_kill(vmp_port_md_t *md)
{
    unsigned i;

    md->is_killed = 1;
    sim_trace("process on h%ur%u is killed", md->nics[0]->host,
              md->nics[0]->rail);
    for (i = 0; i < sim.num_ports; ++i) {
        if ((sim.ports[i] != NULL) && (sim.ports[i]->md == md)) {
            sim_port_kill(sim.ports[i]);
        }
    }

    sim_mem_kill(md);
}
