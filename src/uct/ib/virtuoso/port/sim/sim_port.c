/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "sim_int.h"

#include "core/vmp_ctl.h"
#include "core/vmp_log.h"

#include <stdio.h>

/* Interfaces: opening, completion and receive queues, wakeup, the helper */

static uint32_t sim_min(uint32_t a, uint32_t b)
{
    return (a < b) ? a : b;
}


/* Threads: in the simulation, who is inside of whom ------------------------ */

int sim_port_is_helper(const vmp_port_t *port, const char *what)
{
    if ((sim.helped == port) || (port->ctl == NULL)) {
        return 1;
    }

    if (port->is_killed) {
        return 1;
    }

    sim_fault(SIM_FAULT_THREAD, "h%u: %s outside of the helper",
              port->rails[0].nic->host, what);
    return 0;
}

int sim_port_is_app(const char *what)
{
    if (sim.helped == NULL) {
        return 1;
    }

    sim_fault(SIM_FAULT_THREAD, "h%u: %s inside of the helper",
              sim.helped->rails[0].nic->host, what);
    return 0;
}


/* Opening ------------------------------------------------------------------ */

static void sim_port_grant(vmp_port_t *port)
{
    vmp_port_params_t *params = &port->params;

    params->max_inline    = sim_min(params->max_inline, sim_conf.max_inline);
    params->max_sge       = sim_min(params->max_sge, sim_conf.max_sge);
    params->max_rd_atomic = sim_min(params->max_rd_atomic,
                                    sim_conf.max_rd_atomic);
    params->num_ud        = sim_min(params->num_ud, VMP_MAX_UD);
    if ((params->path_mtu == 0) || (params->path_mtu > sim_conf.mtu)) {
        params->path_mtu = sim_conf.mtu;
    }
}

static void sim_port_fill_attr(const vmp_port_t *port, vmp_port_attr_t *attr)
{
    const sim_rail_t *rail;
    unsigned i;

    memset(attr, 0, sizeof(*attr));
    attr->num_rails     = port->num_rails;
    attr->num_ud        = port->params.num_ud;
    attr->sq_depth      = port->params.sq_depth;
    attr->cq_depth      = port->params.cq_depth;
    attr->srq_depth     = port->params.srq_depth;
    attr->max_inline    = port->params.max_inline;
    attr->max_sge       = port->params.max_sge;
    attr->max_rd_atomic = port->params.max_rd_atomic;
    attr->path_mtu      = port->params.path_mtu;
    attr->speed         = sim_conf.speed;
    for (i = 0; i < port->num_rails; ++i) {
        rail               = &port->rails[i];
        attr->dev_index[i] = rail->dev_index;
        sim_nic_addr(rail->nic, &attr->addr[i]);
        memcpy(attr->ud_qpn[i], rail->ud_qpn, sizeof(rail->ud_qpn));
    }
}

static void sim_rail_open(vmp_port_t *port, vmp_port_md_t *md, unsigned i)
{
    sim_rail_t *rail = &port->rails[i];
    unsigned ud;

    rail->dev_index = port->params.rails[i].dev_index;
    rail->nic       = md->nics[rail->dev_index];
    rail->ahs       = sim_alloc(sim.num_nics);
    for (ud = 0; ud < port->params.num_ud; ++ud) {
        rail->ud_qpn[ud] = sim_nic_qpn(rail->nic, NULL, port);
    }
}

vmp_status_t vmp_port_open(vmp_port_md_t *md, const vmp_port_params_t *params,
                           vmp_port_t **port_p, vmp_port_attr_t *attr)
{
    vmp_port_t *port;
    unsigned i;

    if ((params->num_rails == 0) || (params->num_rails > VMP_MAX_RAILS) ||
        (params->sq_depth == 0) || (params->cq_depth == 0) ||
        (params->srq_depth == 0) || (params->num_ud == 0) ||
        (params->max_sge == 0) || (params->max_rd_atomic == 0) ||
        (params->timeout > 31) || (params->min_rnr_timer > 31)) {
        vmp_error("the simulation does not open such an interface");
        return VMP_ERR_INVALID_PARAM;
    }

    port                 = sim_alloc(sizeof(*port));
    port->index          = sim.num_ports;
    port->md             = md;
    port->params         = *params;
    port->num_rails      = params->num_rails;
    port->rng            = sim_mix(sim_mix(sim_conf.seed) + sim.num_ports);
    port->deadline       = SIM_NEVER;
    port->helper_ev.type = SIM_EV_HELPER;
    port->arm_ev.type    = SIM_EV_ARM;
    sim_port_grant(port);
    for (i = 0; i < port->num_rails; ++i) {
        if (params->rails[i].dev_index >= md->num) {
            vmp_error("rail %u: the MD has no device %u", i,
                      params->rails[i].dev_index);
            sim_port_free(port);
            return VMP_ERR_INVALID_PARAM;
        }

        sim_rail_open(port, md, i);
    }

    sim.ports = realloc(sim.ports, (sim.num_ports + 1) * sizeof(*sim.ports));
    if (sim.ports == NULL) {
        abort();
    }

    sim.ports[sim.num_ports++] = port;
    ++sim_counters.ports;
    sim_port_fill_attr(port, attr);
    *port_p = port;
    return VMP_OK;
}

void sim_port_free(vmp_port_t *port)
{
    sim_rail_t *rail;
    sim_pkt_t *pkt;
    unsigned i, j;

    while ((pkt = port->inbox_head) != NULL) {
        port->inbox_head = pkt->next;
        sim_pkt_free(pkt);
    }

    for (i = 0; i < port->num_rails; ++i) {
        rail = &port->rails[i];
        for (j = 0; (rail->nic != NULL) && !port->is_killed &&
             (j < port->params.num_ud); ++j) {
            rail->nic->uds[rail->ud_qpn[j] - SIM_QPN_FIRST] = NULL;
        }

        for (j = 0; (rail->ahs != NULL) && (j < sim.num_nics); ++j) {
            sim_counters.ahs -= rail->ahs[j];
        }

        free(rail->ahs);
        sim_ring_cleanup(&rail->tx);
        sim_ring_cleanup(&rail->rx);
        sim_ring_cleanup(&rail->srq);
    }

    free(port);
}

void vmp_port_close(vmp_port_t *port)
{
    if (((port->ctl != NULL) || (port->num_qps > 0)) && !port->is_killed) {
        sim_fault(SIM_FAULT_LEAK, "h%u: interface closed with %u QPs left%s",
                  port->rails[0].nic->host, port->num_qps,
                  (port->ctl != NULL) ? ", before it was stopped" : "");
    }

    sim_ev_cancel(&port->helper_ev);
    sim_ev_cancel(&port->arm_ev);
    sim.ports[port->index] = NULL;
    --sim_counters.ports;
    sim_port_free(port);
}

vmp_port_t *sim_port(unsigned i)
{
    return (i < sim.num_ports) ? sim.ports[i] : NULL;
}

uint64_t vmp_port_now(vmp_port_t *port)
{
    (void)port;
    return sim.now;
}

uint64_t vmp_port_random(vmp_port_t *port)
{
    port->rng += 0x9e3779b97f4a7c15ull;
    return sim_mix(port->rng);
}


/* The helper --------------------------------------------------------------- */

static void sim_helper_at(vmp_port_t *port, uint64_t time)
{
    time = (time > port->stall_until) ? time : port->stall_until;
    if (time == SIM_NEVER) {
        sim_ev_cancel(&port->helper_ev);
    } else {
        sim_ev_at(&port->helper_ev, time);
    }
}

void sim_helper_wake(vmp_port_t *port)
{
    uint64_t time;

    if ((port->ctl != NULL) && !port->is_touched && !port->is_killed) {
        port->is_touched = 1;
        time             = sim.now + sim_conf.helper_delay +
                           sim_up_to(sim_conf.helper_jitter);
        sim_helper_at(port, (time < port->deadline) ? time : port->deadline);
    }
}

void sim_helper_run(vmp_port_t *port)
{
    sim_pkt_t *pkt;

    ++sim_counters.helper_runs;
    ++port->helper_runs;
    sim.helped       = port;
    port->is_touched = 0;
    sim_port_rail_events(port);
    while ((pkt = port->inbox_head) != NULL) {
        port->inbox_head = pkt->next;
        --port->inbox_num;
        ++sim_counters.ud_received;
        vmp_ctl_recv(port->ctl, pkt->value, pkt->data, pkt->length, sim.now);
        sim_pkt_free(pkt);
    }

    port->deadline = vmp_ctl_progress(port->ctl, sim.now);
    sim.helped     = NULL;
    if (!port->is_touched) {
        /* a deadline that has passed already does not stop the clock */
        sim_helper_at(port, (port->deadline > sim.now) ?
                      port->deadline : sim.now + 1);
    }
}

void sim_port_stall_helper(vmp_port_t *port, uint64_t until)
{
    port->stall_until = until;
    if ((port->ctl != NULL) && !port->is_killed) {
        sim_helper_at(port, port->is_touched ? sim.now : port->deadline);
    }
}

vmp_status_t vmp_port_start(vmp_port_t *port, struct vmp_ctl *ctl)
{
    port->ctl      = ctl;
    port->deadline = SIM_NEVER;
    sim_helper_wake(port);
    return VMP_OK;
}

void vmp_port_stop(vmp_port_t *port)
{
    port->ctl        = NULL;
    port->is_touched = 0;
    sim_ev_cancel(&port->helper_ev);
}

void vmp_port_wake(vmp_port_t *port)
{
    sim_helper_wake(port);
}


/* Wakeup ------------------------------------------------------------------- */

void sim_port_event(vmp_port_t *port, unsigned kind)
{
    if (port->armed & kind) {
        port->armed       = 0;
        port->is_signaled = 1;
        sim_ev_cancel(&port->arm_ev);
        sim_note(sim.now ^ kind ^ ((uint64_t)port->index << 48));
        sim_trace("h%u: event for the application",
                  port->rails[0].nic->host);
    }
}

int vmp_port_event_fd(vmp_port_t *port)
{
    (void)port;
    return -1;
}

vmp_status_t vmp_port_event_arm(vmp_port_t *port, unsigned events,
                                uint64_t deadline)
{
    const sim_rail_t *rail;
    unsigned i;

    sim_port_is_app("event_arm");
    sim_ev_cancel(&port->arm_ev);
    port->armed       = 0;
    port->is_signaled = 0;
    if (sim_conf.arming != NULL) {
        sim_conf.arming(sim_conf.arming_arg, port);
    }

    for (i = 0; i < port->num_rails; ++i) {
        rail = &port->rails[i];
        if (((events & VMP_PORT_EVENT_TX) && (sim_ring_num(&rail->tx) > 0)) ||
            ((events & VMP_PORT_EVENT_RX) && (sim_ring_num(&rail->rx) > 0)) ||
            (deadline <= sim.now)) {
            return VMP_ERR_BUSY;
        }
    }

    port->armed = events | SIM_ARMED;
    if (deadline != SIM_NEVER) {
        sim_ev_at(&port->arm_ev, deadline);
    }

    return VMP_OK;
}

void vmp_port_event_signal(vmp_port_t *port)
{
    sim_port_event(port, SIM_ARMED);
}

int sim_port_is_signaled(const vmp_port_t *port)
{
    return port->is_signaled;
}


/* Completion queues -------------------------------------------------------- */

void sim_cq_push(vmp_port_qp_t *qp, int is_rx, uint64_t wr_id,
                 vmp_wc_status_t status, uint32_t value)
{
    vmp_port_t *port = qp->port;
    sim_rail_t *rail = qp->rail;
    sim_ring_t *ring = is_rx ? &rail->rx : &rail->tx;
    uint32_t depth   = is_rx ? port->params.srq_depth : port->params.cq_depth;
    sim_cqe_t *cqe;

    if (rail->is_broken || port->is_killed) {
        rail->lost += is_rx;
        return;
    }

    if (sim_ring_num(ring) >= depth) {
        sim_fault(is_rx ? SIM_FAULT_RX_CQ_FULL : SIM_FAULT_CQ_FULL,
                  SIM_QP_FMT ": %u completions are not polled",
                  SIM_QP_ARG(qp), depth);
        rail->is_broken = 1;
        return;
    }

    cqe            = sim_ring_put(ring, sizeof(*cqe));
    *cqe           = (sim_cqe_t){.qp = qp};
    cqe->wc.wr_id  = wr_id;
    cqe->wc.status = status;
    if (is_rx) {
        cqe->wc.byte_len = value;
        ++qp->pub.rx_cqes;
    } else {
        cqe->sq_end = value;
        ++qp->pub.cqes;
    }

    sim_port_event(port, is_rx ? VMP_PORT_EVENT_RX : VMP_PORT_EVENT_TX);
}

void sim_cq_purge(vmp_port_qp_t *qp)
{
    sim_ring_t *rings[] = {&qp->rail->tx, &qp->rail->rx};
    sim_cqe_t *cqe;
    uint32_t pos;
    unsigned i;

    for (i = 0; (qp->pub.cqes + qp->pub.rx_cqes > 0) && (i < 2); ++i) {
        for (pos = rings[i]->tail; pos != rings[i]->head; ++pos) {
            cqe     = sim_ring_at(rings[i], pos, sizeof(*cqe));
            cqe->qp = (cqe->qp == qp) ? NULL : cqe->qp;
        }
    }

    qp->pub.cqes    = 0;
    qp->pub.rx_cqes = 0;
}

/* Slots that its completion frees */
static void sim_cqe_free_slots(const sim_cqe_t *cqe)
{
    vmp_port_qp_t *qp = cqe->qp;
    uint32_t num      = cqe->sq_end - qp->sq_tail;

    qp->sq_tail       = cqe->sq_end;
    qp->pub.posted   -= num;
    qp->rail->posted -= num;
}

static int sim_cq_poll(vmp_port_t *port, unsigned rail_index, int is_rx,
                       vmp_wc_t *wc, int max)
{
    sim_rail_t *rail = &port->rails[rail_index];
    sim_ring_t *ring = is_rx ? &rail->rx : &rail->tx;
    int num          = 0;
    const sim_cqe_t *cqe;

    if (rail->is_broken) {
        vmp_error("rail %u: its CQs have failed", rail_index);
        return -1;
    }

    while ((num < max) && (sim_ring_num(ring) > 0)) {
        cqe = sim_ring_at(ring, ring->tail++, sizeof(*cqe));
        if (cqe->qp == NULL) {
            rail->lost += is_rx;
            continue;
        }

        wc[num++] = cqe->wc;
        if (is_rx) {
            --cqe->qp->pub.rx_cqes;
        } else {
            --cqe->qp->pub.cqes;
            sim_cqe_free_slots(cqe);
        }
    }

    return num;
}

int vmp_port_poll_tx(vmp_port_t *port, unsigned rail, vmp_wc_t *wc, int max)
{
    return sim_cq_poll(port, rail, 0, wc, max);
}

int vmp_port_poll_rx(vmp_port_t *port, unsigned rail, vmp_wc_t *wc, int max)
{
    return sim_cq_poll(port, rail, 1, wc, max);
}

unsigned sim_port_pending(const vmp_port_t *port)
{
    unsigned num = 0;
    unsigned i;

    for (i = 0; i < port->num_rails; ++i) {
        num += port->rails[i].is_broken ? 0 :
               sim_ring_num(&port->rails[i].tx) +
               sim_ring_num(&port->rails[i].rx);
    }

    return num;
}

const char *vmp_wc_status_str(vmp_wc_status_t status)
{
    static const char *const names[] = {
        "success", "flushed", "retries exceeded", "RNR retries exceeded",
        "local error", "remote access error", "remote invalid request",
        "remote operation error", "other error"
    };

    return names[status];
}


/* Receive buffers ---------------------------------------------------------- */

unsigned vmp_port_srq_post(vmp_port_t *port, unsigned rail_index,
                           const uint64_t *wr_ids, const vmp_sge_t *bufs,
                           unsigned num)
{
    sim_rail_t *rail = &port->rails[rail_index];
    sim_recv_t *recv;
    unsigned i;

    for (i = 0; i < num; ++i) {
        if ((port->ctl != NULL) && sim_chance(sim_conf.srq_fail)) {
            break;
        }

        if (sim_ring_num(&rail->srq) >= port->params.srq_depth) {
            sim_fault(SIM_FAULT_SRQ_FULL, "h%ur%u: the SRQ has %u buffers",
                      rail->nic->host, rail->nic->rail,
                      port->params.srq_depth);
            break;
        }

        if (!sim_lkey_ok(rail->nic, bufs[i].lkey, bufs[i].addr,
                         bufs[i].length, VMP_MEM_LOCAL_WRITE)) {
            sim_fault(SIM_FAULT_LKEY, "h%ur%u: receive buffer with lkey 0x%x",
                      rail->nic->host, rail->nic->rail, bufs[i].lkey);
            break;
        }

        recv  = sim_ring_put(&rail->srq, sizeof(*recv));
        *recv = (sim_recv_t){wr_ids[i], bufs[i]};
    }

    return i;
}

unsigned sim_port_srq_posted(const vmp_port_t *port, unsigned rail)
{
    return sim_ring_num(&port->rails[rail].srq);
}

unsigned sim_port_srq_held(const vmp_port_t *port, unsigned rail_index)
{
    const sim_rail_t *rail = &port->rails[rail_index];
    const vmp_port_qp_t *qp;
    unsigned num = sim_ring_num(&rail->srq) + sim_ring_num(&rail->rx) +
                   rail->lost;

    for (qp = port->qps; qp != NULL; qp = qp->next) {
        num += (qp->rail == rail) && qp->has_recv;
    }

    return num;
}

uint64_t sim_port_helper_runs(const vmp_port_t *port)
{
    return port->helper_runs;
}

unsigned sim_port_num_qps(const vmp_port_t *port)
{
    return port->num_qps;
}
