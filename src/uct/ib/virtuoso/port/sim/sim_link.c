/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "sim_int.h"

#include <stdio.h>

/* NICs, the links between them, and packets on the way */

#define SIM_CTL_PAYLOAD  16             /* bytes of ACK, NAK, READ request */
#define SIM_NET          10


static sim_pkt_t *pkt_pool;


/* NICs --------------------------------------------------------------------- */

void sim_nics_make(void)
{
    sim_nic_t *nic;
    unsigned i;

    sim.num_nics = sim_conf.hosts * sim_conf.rails;
    sim.nics     = sim_alloc(sim.num_nics * sizeof(*sim.nics));
    for (i = 0; i < sim.num_nics; ++i) {
        nic             = &sim.nics[i];
        nic->index      = i;
        nic->host       = i / sim_conf.rails;
        nic->rail       = i % sim_conf.rails;
        nic->tx_ev.type = SIM_EV_NIC_TX;
    }
}

void sim_nics_free(void)
{
    sim_pkt_t *pkt;
    unsigned i, j;

    for (i = 0; i < sim.num_nics; ++i) {
        for (j = 0; (sim.nics[i].out != NULL) && (j < sim.num_nics); ++j) {
            free(sim.nics[i].out[j]);
        }

        free(sim.nics[i].out);
        free(sim.nics[i].qps);
        free(sim.nics[i].uds);
    }

    free(sim.nics);
    while ((pkt = pkt_pool) != NULL) {
        pkt_pool = pkt->next;
        free(pkt);
    }
}

/* ::ffff:10.rail.host, as RoCEv2 over IPv4 has them; 11... when the address was
 * changed */
void sim_nic_addr(const sim_nic_t *nic, vmp_rail_addr_t *addr)
{
    memset(addr, 0, sizeof(*addr));
    addr->gid[10] = 0xff;
    addr->gid[11] = 0xff;
    addr->gid[12] = SIM_NET + nic->address;
    addr->gid[13] = nic->rail;
    addr->gid[14] = nic->host >> 8;
    addr->gid[15] = nic->host & 0xff;
    addr->is_roce = 1;
    addr->mtu     = sim_conf.mtu;
}

sim_nic_t *sim_nic_of_addr(const vmp_rail_addr_t *addr)
{
    unsigned host = (addr->gid[14] << 8) | addr->gid[15];
    unsigned rail = addr->gid[13];

    if ((addr->gid[10] != 0xff) || (host >= sim_conf.hosts) ||
        (rail >= sim_conf.rails)) {
        return NULL;
    }

    return &sim.nics[sim_nic(host, rail)];
}

uint8_t sim_addr_address(const vmp_rail_addr_t *addr)
{
    return addr->gid[12] - SIM_NET;
}

uint32_t sim_nic_qpn(sim_nic_t *nic, vmp_port_qp_t *qp, vmp_port_t *ud)
{
    uint32_t i = nic->num_qpns;

    if (sim_conf.qpn_recycle) {
        for (i = 0; (i < nic->num_qpns) && ((nic->qps[i] != NULL) ||
                                            (nic->uds[i] != NULL)); ++i);
    }

    if (i == nic->max_qpns) {
        nic->max_qpns = (i == 0) ? 64 : i * 2;
        nic->qps      = realloc(nic->qps, nic->max_qpns * sizeof(*nic->qps));
        nic->uds      = realloc(nic->uds, nic->max_qpns * sizeof(*nic->uds));
        if ((nic->qps == NULL) || (nic->uds == NULL)) {
            abort();
        }
    }

    nic->qps[i] = qp;
    nic->uds[i] = ud;
    nic->num_qpns += (i == nic->num_qpns);
    return i + SIM_QPN_FIRST;
}

vmp_port_qp_t *sim_qp_find(unsigned nic_index, uint32_t qpn)
{
    const sim_nic_t *nic = &sim.nics[nic_index];
    uint32_t i           = qpn - SIM_QPN_FIRST;

    return (i < nic->num_qpns) ? nic->qps[i] : NULL;
}


/* Links -------------------------------------------------------------------- */

sim_link_t *sim_link(unsigned from_nic, unsigned to_nic, unsigned link)
{
    sim_nic_t *nic = &sim.nics[from_nic];
    unsigned i;

    if (nic->out == NULL) {
        nic->out = sim_alloc(sim.num_nics * sizeof(*nic->out));
    }

    if (nic->out[to_nic] == NULL) {
        nic->out[to_nic] = sim_alloc(sim_conf.links * sizeof(sim_link_t));
        for (i = 0; i < sim_conf.links; ++i) {
            nic->out[to_nic][i] = sim_conf.link;
        }
    }

    return &nic->out[to_nic][link];
}

unsigned sim_link_of(unsigned from_nic, unsigned to_nic, uint16_t udp_sport)
{
    uint64_t a = from_nic;
    uint64_t b = to_nic;

    if (sim_conf.is_symmetric && (a > b)) {
        a = to_nic;
        b = from_nic;
    }

    return sim_mix(sim_mix(sim_conf.seed ^ (a << 40) ^ (b << 16)) ^
                   udp_sport) % sim_conf.links;
}

void sim_link_cut(sim_link_t *link, int is_cut)
{
    if (is_cut && !link->is_cut) {
        ++link->cuts;
    }

    link->is_cut = is_cut;
}

void sim_nic_cut(unsigned nic, int is_cut)
{
    unsigned i, j;

    for (i = 0; i < sim.num_nics; ++i) {
        for (j = 0; (i != nic) && (j < sim_conf.links); ++j) {
            sim_link_cut(sim_link(nic, i, j), is_cut);
            sim_link_cut(sim_link(i, nic, j), is_cut);
        }
    }
}


/* Packets ------------------------------------------------------------------ */

sim_pkt_t *sim_pkt_new(sim_op_t op)
{
    sim_pkt_t *pkt = pkt_pool;

    if (pkt == NULL) {
        pkt = sim_alloc(sizeof(*pkt));
    } else {
        pkt_pool = pkt->next;
        memset(pkt, 0, sizeof(*pkt));
    }

    pkt->ev.type = SIM_EV_PKT;
    pkt->op      = op;
    pkt->num     = 1;
    return pkt;
}

void sim_pkt_free(sim_pkt_t *pkt)
{
    if (pkt->wr != NULL) {
        sim_wr_put(pkt->wr);
    }

    free(pkt->data);
    pkt->next = pkt_pool;
    pkt_pool  = pkt;
}

uint32_t sim_pkt_payload(const sim_pkt_t *pkt)
{
    uint64_t begin = (uint64_t)pkt->index * pkt->mtu;
    uint64_t end   = (uint64_t)(pkt->index + pkt->num) * pkt->mtu;

    switch (pkt->op) {
    case SIM_SEND:
    case SIM_WRITE:
    case SIM_RESPONSE:
        return ((end < pkt->length) ? end : pkt->length) - begin;
    case SIM_UD:
        return pkt->length;
    default:
        return SIM_CTL_PAYLOAD;
    }
}

/* `num` of its packets, from the `skip`-th on, as a run of their own */
static sim_pkt_t *sim_pkt_part(const sim_pkt_t *pkt, uint32_t skip,
                               uint32_t num)
{
    sim_pkt_t *part = sim_pkt_new(pkt->op);
    sim_pkt_t *next = part->next;

    *part         = *pkt;
    part->ev.pos  = 0;
    part->next    = next;
    part->psn     = sim_psn_add(pkt->psn, skip);
    part->index  += skip;
    part->num     = num;
    if (part->wr != NULL) {
        ++part->wr->refs;
    }

    if (pkt->data != NULL) {
        part->data = sim_alloc(sim_pkt_payload(part) + 1);
        memcpy(part->data, pkt->data + ((size_t)skip * pkt->mtu),
               sim_pkt_payload(part));
    }

    return part;
}

static const char *sim_op_str(sim_op_t op)
{
    static const char *const names[] = {
        "SEND", "WRITE", "READ", "RESPONSE", "ACK", "NAK_SEQ", "NAK_RNR",
        "NAK_ERR", "UD"
    };

    return names[op];
}

static void sim_pkt_trace(const sim_pkt_t *pkt, const char *what)
{
    sim_trace_line("h%ur%u -> h%ur%u:0x%x %s psn %u+%u, packet %u of %u, link "
                   "%u: %s", pkt->src->host, pkt->src->rail, pkt->dst->host,
                   pkt->dst->rail, pkt->dst_qpn, sim_op_str(pkt->op), pkt->psn,
                   pkt->num, pkt->index, pkt->total,
                   (unsigned)(pkt->link -
                              sim_link(pkt->src->index, pkt->dst->index, 0)),
                   what);
}

static void sim_pkt_lose(sim_pkt_t *pkt, uint64_t *counter, const char *why)
{
    *counter += pkt->num;
    if (sim_conf.trace != NULL) {
        sim_pkt_trace(pkt, why);
    }

    sim_pkt_free(pkt);
}

/* What the link's luck leaves of it arrives */
static void sim_pkt_launch(sim_pkt_t *pkt, uint64_t time)
{
    sim_link_t *link = pkt->link;
    uint32_t loss    = link->loss + ((pkt->op == SIM_UD) ? link->ud_loss : 0);
    uint32_t begin   = 0;
    sim_pkt_t *part;
    uint32_t i;

    if (loss == 0) {
        sim_ev_at(&pkt->ev, time);
        return;
    }

    for (i = 0; i < pkt->num; ++i) {
        if (!sim_chance(loss)) {
            continue;
        }

        if (i > begin) {
            part = sim_pkt_part(pkt, begin, i - begin);
            sim_ev_at(&part->ev, time);
        }

        part              = sim_pkt_part(pkt, i, 1);
        link->ud_dropped += (pkt->op == SIM_UD);
        sim_pkt_lose(part, &link->dropped_loss, "lost");
        begin = i + 1;
    }

    if (begin == 0) {
        sim_ev_at(&pkt->ev, time);
        return;
    }

    if (begin < pkt->num) {
        part = sim_pkt_part(pkt, begin, pkt->num - begin);
        sim_ev_at(&part->ev, time);
    }

    sim_pkt_free(pkt);
}

/* Drop what the queue has no room for. Return -1: nothing is left. */
static int sim_link_queue(sim_link_t *link, sim_pkt_t *pkt)
{
    uint64_t wait = (link->busy_until > sim.now) ?
                    link->busy_until - sim.now : 0;
    uint64_t each = (sim_pkt_payload(pkt) / pkt->num) + SIM_PKT_OVERHEAD;
    uint64_t used, room;

    if ((link->queue == 0) || (link->rate == 0)) {
        return 0;
    }

    used = (uint64_t)((double)wait * link->rate / 1e9);
    room = (used < link->queue) ? (link->queue - used) / each : 0;
    if (room >= pkt->num) {
        return 0;
    }

    link->dropped_queue += pkt->num - room;
    pkt->num             = room;
    return (room == 0) ? -1 : 0;
}

uint64_t sim_link_send(sim_pkt_t *pkt, uint64_t extra, uint64_t *fifo_p)
{
    sim_link_t *link = pkt->link;
    uint64_t left, time, bytes;

    if (link->is_cut || pkt->src->is_failed) {
        sim_pkt_lose(pkt, &link->dropped_cut, "cut");
        return sim.now;
    }

    if (sim_link_queue(link, pkt) != 0) {
        pkt->num = 1;
        sim_pkt_lose(pkt, &(uint64_t){0}, "no room in the queue");
        return sim.now;
    }

    pkt->cuts = link->cuts;
    left      = (link->busy_until > sim.now) ? link->busy_until : sim.now;
    if (link->rate > 0) {
        bytes = sim_pkt_payload(pkt) +
                ((uint64_t)pkt->num * SIM_PKT_OVERHEAD);
        left += (bytes * 1000000000ull) / link->rate;
    }

    link->busy_until = left;
    time             = left + link->delay + sim_up_to(link->jitter) + extra;
    if ((fifo_p != NULL) && sim_chance(link->late)) {
        link->kept_back += pkt->num;
        time            += sim_up_to(link->late_ns);
    } else if (fifo_p != NULL) {
        time    = (time > *fifo_p) ? time : *fifo_p;
        *fifo_p = time;
    } else if (sim_chance(link->ud_late)) {
        ++link->ud_kept_back;
        time += sim_up_to(link->ud_late_ns);
    }

    if (sim_conf.trace != NULL) {
        sim_pkt_trace(pkt, "sent");
    }

    if ((fifo_p == NULL) && sim_chance(link->ud_dup)) {
        ++link->ud_repeated;
        sim_pkt_launch(sim_pkt_part(pkt, 0, 1),
                       time + sim_up_to(link->ud_late_ns));
    } else if ((fifo_p != NULL) && sim_chance(link->dup)) {
        link->repeated += pkt->num;
        sim_pkt_launch(sim_pkt_part(pkt, 0, pkt->num),
                       time + sim_up_to(link->late_ns));
    }

    sim_pkt_launch(pkt, time);
    return left;
}

static void sim_pkt_arrive_rc(sim_pkt_t *pkt)
{
    vmp_port_qp_t *qp = sim_qp_find(pkt->dst->index, pkt->dst_qpn);

    if ((qp == NULL) || !qp->is_connected || (qp->dst != pkt->src) ||
        qp->pub.is_mute) {
        ++sim_counters.stray;
    } else if ((pkt->op <= SIM_READ) && sim_qp_is_responding(qp)) {
        sim_resp_packet(qp, pkt);
    } else if ((pkt->op <= SIM_READ) || (qp->pub.state != SIM_QP_RTS)) {
        ++sim_counters.stray;
    } else {
        sim_req_packet(qp, pkt);
    }

    sim_pkt_free(pkt);
}

void sim_pkt_arrive(sim_pkt_t *pkt)
{
    sim_link_t *link = pkt->link;

    if ((link->cuts != pkt->cuts) || pkt->dst->is_failed) {
        sim_pkt_lose(pkt, &link->dropped_cut, "cut on the way");
        return;
    }

    if (pkt->dst_address != pkt->dst->address) {
        sim_pkt_lose(pkt, &sim_counters.stray, "nobody has that address");
        return;
    }

    sim_note(sim.now ^ ((uint64_t)pkt->op << 60) ^
             ((uint64_t)pkt->dst->index << 44) ^
             ((uint64_t)pkt->dst_qpn << 24) ^ pkt->psn);
    link->packets += pkt->num;
    link->bytes   += sim_pkt_payload(pkt) +
                     ((uint64_t)pkt->num * SIM_PKT_OVERHEAD);
    if (sim_conf.trace != NULL) {
        sim_pkt_trace(pkt, "arrives");
    }

    if (pkt->op == SIM_UD) {
        sim_ud_arrive(pkt);
    } else {
        link->rc_bytes += (pkt->op > SIM_RESPONSE) || (pkt->op == SIM_READ) ?
                          0 : sim_pkt_payload(pkt);
        sim_pkt_arrive_rc(pkt);
    }
}
