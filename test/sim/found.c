/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "oracle.h"
#include "trace.h"

#include "core/vmp_ctl_int.h"

#include "port/sim/sim.h"

#include <string.h>

#define FOUND_ANSWER 2250000000ull      /* ns: until it has told its peers */
#define FOUND_MOVED  ((1ull << FAULT_ADDRESS) | (1ull << FAULT_SILENT))

/*
 * Who moves to another address finds his peers again, and is found, as long as
 * one of the two knows where the other one is. If neither does no protocol
 * could: what they have with each other at that time may be lost.
 */


static const vmp_ctl_conn_t *found_conn(const inst_t *inst, const inst_t *peer)
{
    const vmp_ctl_peer_t *known = vmp_ctl_peer_find(inst->iface->ctl,
                                                    peer->attr.addr.id, 0);

    return (known == NULL) ? NULL : known->conn;
}

/* Where an endpoint was made to, of which control has not heard yet: it does
 * when its helper runs */
static const vmp_rail_addr_t *found_asked(const inst_t *inst,
                                          const inst_t *peer)
{
    unsigned i;

    if (vmp_spsc_is_empty(&inst->iface->cmds)) {
        return NULL;
    }

    for (i = world.num_eps; i > 0; --i) {
        if (world.eps[i - 1]->is_open && (world.eps[i - 1]->inst == inst) &&
            (world.eps[i - 1]->target == peer)) {
            return &world.eps[i - 1]->asked;
        }
    }

    return NULL;
}

static int found_is_at(const inst_t *peer, const vmp_rail_addr_t *rail)
{
    vmp_rail_addr_t addr;

    sim_nic_address(peer->host->index, &addr);
    return (rail != NULL) && (memcmp(rail->gid, addr.gid,
                                     sizeof(addr.gid)) == 0);
}

static int found_knows(const inst_t *inst, const inst_t *peer)
{
    const vmp_ctl_conn_t *conn = found_conn(inst, peer);

    return ((conn != NULL) && found_is_at(peer, &conn->rail)) ||
           ((conn != NULL) && conn->has_hint &&
            found_is_at(peer, &conn->hint)) ||
           found_is_at(peer, found_asked(inst, peer));
}

/* Where it believes to be itself */
static const vmp_rail_addr_t *found_own(const inst_t *inst)
{
    return &inst->iface->ctl->attr.addr[0];
}

static void found_cut_off(const inst_t *inst, const inst_t *peer)
{
    user_ep_t *ep;
    unsigned i;

    for (i = 0; i < world.num_eps; ++i) {
        ep = world.eps[i];
        if (ep->is_open && !ep->is_lost && (ep->inst == inst) &&
            (ep->target == peer)) {
            ep->is_cut_off = 1;
            trace("  %s: neither knows where the other one is", ep_str(ep));
        }
    }
}

/* Who gave up lets go of what was put on the connection later, too; until the
 * first round of traffic */
static void found_lost(unsigned from, unsigned to)
{
    pair_t *pair = pair_of(from, to);

    pair->is_cut_off = 1;
    pair->may_fail   = 1;
}

/* Of who was killed nobody says any more that he is gone: the next one has his
 * QP numbers, but is somewhere else */
static int found_is_silent(const host_t *host, unsigned peer)
{
    const user_ep_t *ep;
    unsigned i;

    for (i = 0; i < world.num_eps; ++i) {
        ep = world.eps[i];
        if ((ep->target->host == host) && (ep->target != host->inst) &&
            (ep->inst->host->index == peer) && ep->is_open) {
            return 1;
        }
    }

    return 0;
}

void found_check(const host_t *host)
{
    const inst_t *inst = host->inst;
    const inst_t *peer;
    unsigned i;

    for (i = 0; i < world.prog->num_hosts; ++i) {
        peer = world.hosts[i].inst;
        if ((pair_of(i, host->index)->happened & FOUND_MOVED) &&
            found_is_silent(host, i)) {
            pair_of(i, host->index)->is_cut_off = 1;
        }

        if ((inst != NULL) && (peer != NULL) && (peer != inst) &&
            !found_knows(inst, peer) && !found_knows(peer, inst)) {
            found_cut_off(inst, peer);
            found_cut_off(peer, inst);
            found_lost(i, host->index);
            found_lost(host->index, i);
        }
    }
}

/* Control asks for its own address when a path of its comes or goes. Who has
 * nothing to send has no cause to; whoever sends to it does so in vain then. */
static int found_may_notice(const host_t *host)
{
    const inst_t *inst = host->inst;

    return (inst == NULL) || found_is_at(inst, found_own(inst)) ||
           (inst->iface->counters.paths_failed > host->num_failed);
}

void found_moved(host_t *host)
{
    if (host->inst != NULL) {
        host->is_blind   = 1;
        host->num_failed = host->inst->iface->counters.paths_failed;
    }
}

int found_is_blind(host_t *host)
{
    if (host->is_blind && found_may_notice(host)) {
        host->is_blind = 0;
        host->seen     = world_now();
    }

    return host->is_blind ||
           ((host->seen > 0) && (world_now() < (host->seen + FOUND_ANSWER)));
}
