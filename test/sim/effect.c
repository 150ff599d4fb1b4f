/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "oracle.h"

#include "port/sim/sim.h"

/*
 * Whether accidents take effect. Those that last are asked for a witness when
 * they begin and when they are over: a number that grows if they did something.
 * The oracle is content with accidents that never do anything.
 */
#define EFFECT_SHARE  100               /* at least one in so many */


static struct {
    uint64_t begun;
    uint64_t took;
} effects[FAULT_LAST];


static uint64_t link_witness(fault_kind_t kind, const sim_link_t *link)
{
    switch (kind) {
    case FAULT_CUT:
    case FAULT_ONE_WAY:
    case FAULT_FLAP:
    case FAULT_BLACKOUT:
    case FAULT_OUTAGE:
    case FAULT_UNPLUG:
        return link->dropped_cut;
    case FAULT_LOSS:
        return link->dropped_loss;
    default:
        return link->packets;
    }
}

/* Of all links that the accident may be about */
static uint64_t links_witness(const fault_t *fault)
{
    uint64_t sum = 0;
    unsigned i, j, link;

    for (i = 0; i < world.prog->num_hosts; ++i) {
        for (j = 0; j < world.prog->num_hosts; ++j) {
            if ((fault->host != fault->peer) && (fault->kind != FAULT_UNPLUG) &&
                (((i != fault->host) || (j != fault->peer)) &&
                 ((j != fault->host) || (i != fault->peer)))) {
                continue;
            }

            for (link = 0; link < world.prog->num_links; ++link) {
                if ((fault->kind >= FAULT_BLACKOUT) ||
                    ((fault->link % world.prog->num_links) == link)) {
                    sum += link_witness(fault->kind, sim_link(i, j, link));
                }
            }
        }
    }

    return sum;
}

uint64_t effect_witness(const fault_t *fault)
{
    if (world.prog->is_crowd) {
        return 0;                       /* too many links */
    }

    switch (fault->kind) {
    case FAULT_CTL_LOSS:
    case FAULT_CTL_HOLE:
        return sim_counters.ud_sent - sim_counters.ud_received;
    case FAULT_RNR:
        return sim_counters.rnr_naks;
    case FAULT_NO_POST:
        return sim_counters.refused_posts;
    case FAULT_NO_QP:
    case FAULT_NO_CONNECT:
        return sim_counters.refused_qps;
    case FAULT_LATE_ERR:
    case FAULT_LATE_LAST:
    case FAULT_NO_LAST:
    case FAULT_BUFFER_BACK:
    case FAULT_NO_PSN:
        return sim_counters.dead_qps;
    default:
        return ((fault->kind < FAULT_BREAK) || (fault->kind == FAULT_UNPLUG)) ?
               links_witness(fault) : 0;
    }
}

void effect_begun(fault_kind_t kind)
{
    ++effects[kind].begun;
}

void effect_took(fault_kind_t kind)
{
    ++effects[kind].took;
}

int effect_check(void)
{
    int ret = 0;
    unsigned i;

    for (i = 0; i < FAULT_LAST; ++i) {
        if ((effects[i].took * EFFECT_SHARE) <= effects[i].begun) {
            printf("accident \"%s\" began %lu times, and did something %lu "
                   "times: too seldom to be tried\n", fault_name(i),
                   (unsigned long)effects[i].begun,
                   (unsigned long)effects[i].took);
            ret = -1;
        }
    }

    return ret;
}
