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
#define EFFECT_SHARE    100             /* at least one in so many */

/* Those that witnesses cannot tell from each other: counted where there is but
 * one kind of them */
#define BIT(_kind)      (1ull << FAULT_##_kind)
#define EFFECT_CUTS     (BIT(CUT) | BIT(ONE_WAY) | BIT(FLAP) | BIT(BLACKOUT) | \
                         BIT(OUTAGE) | BIT(UNPLUG) | BIT(EARLY) | \
                         BIT(GONE) | BIT(DEVICE))
#define EFFECT_LOSSES   (BIT(LOSS) | BIT(CTL_LOSS) | BIT(CTL_HOLE))
#define EFFECT_REFUSALS (BIT(NO_QP) | BIT(NO_CONNECT) | BIT(NO_POST) | \
                         BIT(DEVICE))


static struct {
    uint64_t begun;
    uint64_t took;
} effects[FAULT_LAST][2];               /* both ways, one way */


static uint64_t link_witness(fault_kind_t kind, const sim_link_t *link)
{
    switch (kind) {
    case FAULT_CUT:
    case FAULT_ONE_WAY:
    case FAULT_FLAP:
    case FAULT_BLACKOUT:
    case FAULT_OUTAGE:
    case FAULT_UNPLUG:
    case FAULT_EARLY:
    case FAULT_GONE:
        return link->dropped_cut;
    case FAULT_LOSS:
        return link->dropped_loss;
    case FAULT_TWICE:
        return link->repeated;
    case FAULT_LATE:
        return link->kept_back;
    case FAULT_CTL_LOSS:
    case FAULT_CTL_HOLE:
        return link->ud_dropped;
    case FAULT_CTL_TWICE:
        return link->ud_repeated;
    case FAULT_CTL_LATE:
        return link->ud_kept_back;
    default:
        return link->packets;
    }
}

/* Of all links that the accident is about */
static uint64_t links_witness(const fault_t *fault)
{
    unsigned num_links = world.prog->num_links;
    uint64_t sum       = 0;
    unsigned i, j, link;

    for (i = 0; i < world.prog->num_hosts; ++i) {
        for (j = 0; j < world.prog->num_hosts; ++j) {
            for (link = 0; (link < num_links) && fault_is_on(fault, i, j);
                 ++link) {
                if (fault_is_on_link(fault, link, num_links)) {
                    sum += link_witness(fault->kind, sim_link(i, j, link));
                }
            }
        }
    }

    return sum;
}

/* Whether it happens without an accident, too */
static int is_usual(const fault_t *fault)
{
    const program_t *prog = world.prog;

    switch (fault->kind) {
    case FAULT_LOSS:
        return prog->links[fault->link % prog->num_links].loss > 0;
    case FAULT_CTL_LOSS:
    case FAULT_CTL_HOLE:
        return prog->ud_loss > 0;
    case FAULT_CTL_TWICE:
        return prog->ud_dup > 0;
    case FAULT_CTL_LATE:
        return prog->ud_jitter > 0;
    default:
        return 0;
    }
}

uint64_t effect_witness(const fault_t *fault)
{
    if (world.prog->is_crowd || is_usual(fault)) {
        return 0;                       /* or too many links */
    }

    switch (fault->kind) {
    case FAULT_RNR:
        return sim_counters.rnr_naks;
    case FAULT_NO_POST:
        return sim_counters.refused_posts;
    case FAULT_NO_QP:
    case FAULT_NO_CONNECT:
        return sim_counters.refused_qps;
    case FAULT_HALF:
        return sim_counters.halves;
    case FAULT_BUFFER_BACK:
        return sim_counters.buffers_back;
    case FAULT_LATE_ERR:
    case FAULT_LATE_LAST:
    case FAULT_NO_LAST:
    case FAULT_NO_PSN:
        return sim_counters.dead_qps;
    default:
        return ((fault->kind < FAULT_BREAK) || fault_is_unplug(fault->kind)) ?
               links_witness(fault) : 0;
    }
}

static int is_counted(const fault_t *fault)
{
    static const uint64_t alike[] = {EFFECT_CUTS, EFFECT_LOSSES,
                                     EFFECT_REFUSALS};
    const program_t *prog         = world.prog;
    uint64_t mine                 = 1ull << fault->kind;
    uint64_t all                  = 0;
    unsigned i;

    for (i = 0; i < prog->num_faults; ++i) {
        all |= prog->faults[i].is_off ? 0 : 1ull << prog->faults[i].kind;
    }

    for (i = 0; i < (sizeof(alike) / sizeof(alike[0])); ++i) {
        if ((alike[i] & mine) && (alike[i] & all & ~mine)) {
            return 0;
        }
    }

    return 1;
}

void effect_begun(const fault_t *fault)
{
    effects[fault->kind][fault->is_one_way].begun += is_counted(fault);
}

void effect_took(const fault_t *fault)
{
    effects[fault->kind][fault->is_one_way].took += is_counted(fault);
}

void effect_took_now(const fault_t *fault)
{
    if ((fault->kind == FAULT_BREAK) || (fault->kind == FAULT_MUTE) ||
        (fault->kind == FAULT_STUCK)) {
        effect_took(fault);
    }
}

/* Those of which the next request was to fail */
void effect_qp_failed(vmp_port_qp_t *qp, vmp_wc_status_t status)
{
    const sim_qp_t *pub = sim_qp(qp);
    fault_t fault       = {
        .kind = pub->kill_late ? FAULT_EXECUTED : FAULT_REFUSE
    };

    if ((pub->kill != VMP_WC_SUCCESS) && (pub->kill == status) &&
        !pub->kill_half) {
        effect_took(&fault);
    }
}

int effect_check(void)
{
    int ret = 0;
    uint64_t begun, took;
    unsigned i, one_way;

    for (i = 0; i < FAULT_LAST; ++i) {
        for (one_way = 0; one_way <= (unsigned)fault_may_be_one_way(i);
             ++one_way) {
            begun = effects[i][one_way].begun;
            took  = effects[i][one_way].took;
            if ((took * EFFECT_SHARE) <= begun) {
                printf("accident \"%s%s\" began %lu times, and did something "
                       "%lu times: too seldom to be tried\n", fault_name(i),
                       one_way ? " one-way" : "", (unsigned long)begun,
                       (unsigned long)took);
                ret = -1;
            }
        }
    }

    return ret;
}
