/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "sim_int.h"

/* Control datagrams. Their UDP source port belongs to the UD QP that sends. */

#define SIM_UD_SPORT(_hash)  (uint16_t)(0xc000 | ((_hash) & 0x3fff))


int vmp_port_ctl_renew(vmp_port_t *port, unsigned rail, unsigned spare)
{
    sim_port_is_helper(port, "ctl_renew");
    if (spare >= VMP_PORT_UD_SPARES) {
        sim_fault(SIM_FAULT_LIMIT, "spare control QP %u", spare);
        return -1;
    }

    if (port->rails[rail].nic->is_failed) {
        return -1;
    }

    port->rails[rail].spares[spare] = ++port->made_spares;
    return 0;
}

/* 0: there is no such QP */
static uint16_t sim_ud_sport(const vmp_port_t *port, const sim_rail_t *rail,
                             unsigned ud)
{
    uint32_t way;

    if (ud < port->params.num_ud) {
        return SIM_UD_SPORT(sim_mix(((uint64_t)rail->nic->index << 32) |
                                    rail->ud_qpn[ud]));
    }

    way = ((ud >= VMP_MAX_UD) && (ud < VMP_MAX_UD + VMP_PORT_UD_SPARES)) ?
          rail->spares[ud - VMP_MAX_UD] : 0;
    if (way == 0) {
        sim_fault(SIM_FAULT_STATE, "no control QP %u", ud);
        return 0;
    }

    return SIM_UD_SPORT(sim_mix(sim_mix(port->index + 1) + way));
}

sim_link_t *sim_ud_link(const vmp_port_t *port, const sim_rail_t *rail,
                        unsigned ud, const sim_nic_t *dst)
{
    uint16_t sport = sim_ud_sport(port, rail, ud);

    return (sport == 0) ? NULL :
           sim_link(rail->nic->index, dst->index,
                    sim_link_of(rail->nic->index, dst->index, sport));
}

sim_link_t *sim_port_ud_link(const vmp_port_t *port, unsigned ud, unsigned nic)
{
    return sim_ud_link(port, &port->rails[0], ud, &sim.nics[nic]);
}

void vmp_port_ctl_send(vmp_port_t *port, unsigned rail_index, unsigned ud,
                       const vmp_rail_addr_t *dest, uint32_t remote_qpn,
                       const void *data, size_t length)
{
    const sim_rail_t *rail = &port->rails[rail_index];
    sim_nic_t *dst         = sim_nic_of_addr(dest);
    sim_link_t *link;
    sim_pkt_t *pkt;

    sim_port_is_helper(port, "ctl_send");
    if (port->is_killed) {
        return;
    }

    ++sim_counters.ud_sent;
    if (length > VMP_CTL_MAX_LEN) {
        sim_fault(SIM_FAULT_LIMIT, "datagram of %zu bytes", length);
        return;
    }

    if ((dst == NULL) ||
        ((link = sim_ud_link(port, rail, ud, dst)) == NULL)) {
        return;
    }

    sim_counters.ahs      += !rail->ahs[dst->index];
    rail->ahs[dst->index]  = 1;
    pkt                    = sim_pkt_new(SIM_UD);
    pkt->src               = rail->nic;
    pkt->dst               = dst;
    pkt->dst_qpn           = remote_qpn;
    pkt->dst_address       = sim_addr_address(dest);
    pkt->total             = 1;
    pkt->mtu               = VMP_CTL_MAX_LEN;
    pkt->length            = length;
    pkt->data              = sim_alloc(length + 1);
    pkt->link              = link;
    memcpy(pkt->data, data, length);
    sim_link_send(pkt, 0, NULL);
}

void vmp_port_ctl_forget(vmp_port_t *port, unsigned rail,
                         const vmp_rail_addr_t *dest)
{
    sim_nic_t *dst = sim_nic_of_addr(dest);

    sim_port_is_helper(port, "ctl_forget");
    if (dst != NULL) {
        sim_counters.ahs                   -= port->rails[rail].ahs[dst->index];
        port->rails[rail].ahs[dst->index]   = 0;
    }
}

/* The helper takes it when it runs */
void sim_ud_arrive(sim_pkt_t *pkt)
{
    uint32_t i       = pkt->dst_qpn - SIM_QPN_FIRST;
    vmp_port_t *port = (i < pkt->dst->num_qpns) ? pkt->dst->uds[i] : NULL;

    if ((port == NULL) ||
        ((sim_conf.datagram != NULL) &&
         sim_conf.datagram(sim_conf.datagram_arg, port, pkt->data,
                           pkt->length)) ||
        (port->ctl == NULL) || (port->inbox_num >= sim_conf.ud_queue)) {
        sim_pkt_free(pkt);
        return;
    }

    for (pkt->value = 0; port->rails[pkt->value].nic != pkt->dst;
         ++pkt->value);
    pkt->next = NULL;
    if (port->inbox_head == NULL) {
        port->inbox_head = pkt;
    } else {
        port->inbox_tail->next = pkt;
    }

    port->inbox_tail = pkt;
    ++port->inbox_num;
    sim_helper_wake(port);
}
