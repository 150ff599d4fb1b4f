/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "oracle.h"
#include "trace.h"

#include "port/sim/sim.h"


/*
 * What befalls a world: accidents begin and end at their times, and may lie
 * over each other. After each change the network is set anew to what the
 * program says and what the accidents under way make of it.
 */
#define ACCIDENT_MAX  32                /* under way; more are left out */


typedef struct accident {
    const act_t *act;
    uint64_t    until;                  /* ns */
} accident_t;

static accident_t accidents[ACCIDENT_MAX];
static unsigned   num_accidents;


static void accident_link_conf(sim_link_t *link, unsigned index)
{
    const program_t *prog   = world.prog;
    const prog_link_t *conf = &prog->links[index];
    const act_t *act;
    unsigned i;

    link->rate       = conf->rate;
    link->delay      = conf->delay;
    link->jitter     = conf->jitter;
    link->queue      = conf->queue;
    link->loss       = conf->loss;
    link->ud_loss    = prog->ud_loss * 1000;
    link->ud_dup     = prog->ud_dup * 1000;
    link->ud_late    = (prog->ud_jitter > 0) ? 300000 : 0;
    link->ud_late_ns = prog->ud_jitter;

    for (i = 0; i < num_accidents; ++i) {
        act = accidents[i].act;
        if ((act->type == ACT_LINK_LOSS) && (act->slot == index) &&
            (act->arg > link->loss)) {
            link->loss = act->arg;
        } else if ((act->type == ACT_UD_LOSS) &&
                   ((act->arg * 1000) > link->ud_loss)) {
            link->ud_loss = act->arg * 1000;
        }
    }
}

static void accident_set_links(void)
{
    unsigned from;
    unsigned to;
    unsigned i;

    for (i = 0; i < world.prog->num_links; ++i) {
        for (from = 0; from < world.prog->num_hosts; ++from) {
            for (to = 0; to < world.prog->num_hosts; ++to) {
                accident_link_conf(sim_link(from, to, i), i);
            }
        }
    }
}

static void accident_apply(void)
{
    unsigned i;

    sim_conf.qp_fail = 0;
    for (i = 0; i < num_accidents; ++i) {
        if (accidents[i].act->type == ACT_NO_QP) {
            sim_conf.qp_fail = 1000000;
        }
    }

    if (world.prog->is_crowd) {
        /* too many links: all are copies of this, and stay so */
        accident_link_conf(&sim_conf.link, 0);
    } else {
        accident_set_links();
    }
}

void accident_init(void)
{
    num_accidents = 0;
    accident_apply();
}

void accident_begin(const act_t *act)
{
    host_t *host   = &world.hosts[act->host];
    uint64_t until = sim_now() + act->size;

    if (act->type == ACT_STALL) {
        host->stall_until = until;
    } else if (act->type == ACT_HELPER_STALL) {
        if (host->inst != NULL) {
            sim_port_stall_helper(host->inst->iface->port, until);
        }
    } else if ((num_accidents < ACCIDENT_MAX) &&
               (!world.prog->is_crowd || (act->type == ACT_NO_QP))) {
        accidents[num_accidents].act     = act;
        accidents[num_accidents++].until = until;
        accident_apply();
    }
}

uint64_t accident_next(void)
{
    uint64_t next = UINT64_MAX;
    unsigned i;

    for (i = 0; i < num_accidents; ++i) {
        if (accidents[i].until < next) {
            next = accidents[i].until;
        }
    }

    return next;
}

void accident_end(int all)
{
    uint64_t now = sim_now();
    unsigned num = 0;
    unsigned i;

    for (i = 0; i < num_accidents; ++i) {
        if (!all && (accidents[i].until > now)) {
            accidents[num++] = accidents[i];
        }
    }

    if (num != num_accidents) {
        trace("%u accidents are over", num_accidents - num);
        num_accidents = num;
        accident_apply();
    }
}
