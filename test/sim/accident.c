/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "oracle.h"
#include "trace.h"

#include "port/sim/sim.h"

#define USEC  1000ull


/*
 * What befalls a world: accidents begin and end at their times, and may lie
 * over each other. After each change the network and the devices are set anew
 * to what the program says and what the accidents under way make of it.
 */
#define ACCIDENT_MAX  48                /* under way; more are left out */


typedef struct accident {
    fault_t       fault;
    uint64_t      begin;                /* ns */
    uint64_t      until;
    uint64_t      witness;              /* see effect.c */
    vmp_port_qp_t *qp;                  /* MUTE */
    const inst_t  *inst;                /* CQ, DEVICE: whose it was */
    uint8_t       num_said;             /* how often the device said so */
} accident_t;

static accident_t accidents[ACCIDENT_MAX];
static unsigned   num_accidents;
static uint64_t   applied;              /* ns: what is set is of then */


/* Links -------------------------------------------------------------------- */

static uint32_t max_of(uint32_t a, uint32_t b)
{
    return (a > b) ? a : b;
}

/* FLAP: cut first, then healed... */
static int flap_is_cut(const accident_t *accident)
{
    uint64_t period = accident->fault.arg * USEC;

    return (period == 0) || !(((sim_now() - accident->begin) / period) & 1);
}

/* UNPLUG, EARLY: from when on the links are cut, for its size */
static uint64_t unplug_begin(const accident_t *accident)
{
    return accident->begin + ((accident->fault.kind == FAULT_EARLY) ?
                              (accident->fault.arg * USEC) : 0);
}

/* Its queue has room for a second: who heals it does not wait for hours */
static void accident_slow(sim_link_t *link, uint64_t rate)
{
    link->rate  = (rate < link->rate) ? rate : link->rate;
    link->queue = ((link->queue == 0) || (link->rate < link->queue)) ?
                  link->rate : link->queue;
}

/* Of one direction. Return 1 if it is cut. */
static int accident_on_link(sim_link_t *link, unsigned index,
                            const accident_t *accident, unsigned from,
                            unsigned to)
{
    const fault_t *fault = &accident->fault;
    uint64_t begin       = unplug_begin(accident);

    if (!fault_is_on(fault, from, to)) {
        return 0;
    }

    switch (fault->kind) {
    case FAULT_UNPLUG:
    case FAULT_EARLY:
    case FAULT_GONE:
        return (sim_now() >= begin) && (sim_now() < (begin + fault->size));
    case FAULT_CUT:
    case FAULT_ONE_WAY:
    case FAULT_BLACKOUT:
    case FAULT_OUTAGE:
        return 1;
    case FAULT_FLAP:
        return flap_is_cut(accident);
    case FAULT_SLOW:
        accident_slow(link, (world.prog->links[index].rate * fault->arg) /
                            1000);
        return 0;
    case FAULT_DELAY:
        link->delay += fault->arg * USEC;
        return 0;
    case FAULT_LOSS:
        link->loss = max_of(link->loss, fault->arg);
        return 0;
    case FAULT_TWICE:
        link->dup     = max_of(link->dup, fault->arg);
        link->late_ns = max_of(link->late_ns, 1000 * USEC);
        return 0;
    case FAULT_LATE:
        link->late    = 20000;
        link->late_ns = max_of(link->late_ns, fault->arg * USEC);
        return 0;
    case FAULT_CTL_HOLE:
        link->ud_loss = 1000000;
        return 0;
    default:
        return 0;
    }
}

/* It carries less well than it should */
static int accident_is_degraded(const accident_t *accident, unsigned from,
                                unsigned to)
{
    return (accident->fault.kind <= FAULT_LATE) &&
           (fault_is_on(&accident->fault, from, to) ||
            fault_is_on(&accident->fault, to, from));
}

/* Of all links */
static void accident_on_datagrams(sim_link_t *link, const fault_t *fault)
{
    switch (fault->kind) {
    case FAULT_CTL_LOSS:
        link->ud_loss = max_of(link->ud_loss, fault->arg * 1000);
        break;
    case FAULT_CTL_TWICE:
        link->ud_dup     = max_of(link->ud_dup, fault->arg * 1000);
        link->ud_late_ns = max_of(link->ud_late_ns, 1000 * USEC);
        break;
    case FAULT_CTL_LATE:
        link->ud_late    = max_of(link->ud_late, 300000);
        link->ud_late_ns = max_of(link->ud_late_ns, fault->arg * USEC);
        break;
    default:
        break;
    }
}

static void accident_link_conf(sim_link_t *link, unsigned index)
{
    const program_t *prog   = world.prog;
    const prog_link_t *conf = &prog->links[index];
    unsigned i;

    link->rate       = conf->rate;
    link->delay      = conf->delay;
    link->jitter     = conf->jitter;
    link->queue      = conf->queue;
    link->loss       = conf->loss;
    link->dup        = 0;
    link->late       = 0;
    link->late_ns    = 0;
    link->ud_loss    = prog->ud_loss * 1000;
    link->ud_dup     = prog->ud_dup * 1000;
    link->ud_late    = (prog->ud_jitter > 0) ? 300000 : 0;
    link->ud_late_ns = prog->ud_jitter;
    if (world.is_ending && prog->is_faulty) {
        /* from now on it is known how long things take */
        link->queue   = 0;
        link->loss    = 0;
        link->ud_loss = 0;
    }

    for (i = 0; i < num_accidents; ++i) {
        accident_on_datagrams(link, &accidents[i].fault);
    }
}

static void accident_set_link(unsigned from, unsigned to, unsigned index)
{
    sim_link_t *link = sim_link(from, to, index);
    int is_cut       = 0;
    unsigned i;

    accident_link_conf(link, index);
    link->mark = 0;
    for (i = 0; i < num_accidents; ++i) {
        if (fault_is_on_link(&accidents[i].fault, index,
                             world.prog->num_links)) {
            is_cut     |= accident_on_link(link, index, &accidents[i], from,
                                           to);
            link->mark |= is_cut || accident_is_degraded(&accidents[i], from,
                                                         to);
        }
    }

    sim_link_cut(link, is_cut);
}

static void accident_set_links(void)
{
    unsigned from;
    unsigned to;
    unsigned i;

    for (i = 0; i < world.prog->num_links; ++i) {
        for (from = 0; from < world.prog->num_hosts; ++from) {
            for (to = 0; to < world.prog->num_hosts; ++to) {
                accident_set_link(from, to, i);
            }
        }
    }
}


/* Devices ------------------------------------------------------------------ */

static void accident_set_devices(void)
{
    const fault_t *fault;
    unsigned i;

    sim_conf.no_rq_psn    = 0;
    sim_conf.post_fail    = 0;
    sim_conf.srq_fail     = 0;
    sim_conf.qp_fail      = 0;
    sim_conf.connect_fail = 0;
    sim_conf.err_delay    = 0;
    sim_conf.last_delay   = 0;
    sim_conf.last_lost    = 0;
    sim_conf.srq_return   = world.prog->is_faulty ? 300000 : 0;
    sim_conf.srq_status   = VMP_WC_FLUSHED;
    sim_conf.rnr_false    = 0;
    for (i = 0; i < num_accidents; ++i) {
        fault = &accidents[i].fault;
        switch (fault->kind) {
        case FAULT_NO_PSN:
            sim_conf.no_rq_psn = 1;
            break;
        case FAULT_NO_POST:
            sim_conf.post_fail = max_of(sim_conf.post_fail, fault->arg);
            sim_conf.srq_fail  = max_of(sim_conf.srq_fail, fault->arg);
            break;
        case FAULT_NO_QP:
            sim_conf.qp_fail = 1000000;
            break;
        case FAULT_NO_CONNECT:
            sim_conf.connect_fail = fault->arg;
            break;
        case FAULT_LATE_ERR:
            sim_conf.err_delay = fault->arg * USEC;
            break;
        case FAULT_LATE_LAST:
            sim_conf.last_delay = fault->arg * USEC;
            break;
        case FAULT_NO_LAST:
            sim_conf.last_lost = 1000000;
            break;
        case FAULT_BUFFER_BACK:
            sim_conf.srq_return = 1000000;
            sim_conf.srq_status = fault->arg;
            break;
        case FAULT_RNR:
            sim_conf.rnr_false = fault->arg;
            break;
        default:
            break;
        }
    }
}

static void accident_apply(void)
{
    applied = sim_now();
    accident_set_devices();
    if (world.prog->is_crowd) {
        /* too many links: all are copies of this, and stay so */
        accident_link_conf(&sim_conf.link, 0);
    } else {
        accident_set_links();
    }
}

static vmp_port_qp_t *accident_qp(const fault_t *fault)
{
    const inst_t *inst = world.hosts[fault->host].inst;

    return (inst == NULL) ? NULL :
           sim_port_qp(inst->iface->port, fault->peer, fault->link);
}

static void accident_on_qp(accident_t *accident)
{
    const fault_t *fault = &accident->fault;
    vmp_port_qp_t *qp    = accident_qp(fault);

    accident->qp = qp;
    if (qp == NULL) {
        trace("  there is no such path");
        return;
    }

    if (sim_qp(qp)->in_flight > 0) {
        effect_took_now(fault);
    }

    if (fault->kind == FAULT_BREAK) {
        sim_qp_break(qp, fault->arg);
    } else if (fault->kind == FAULT_MUTE) {
        sim_qp_mute(qp, 1);
    } else if (fault->kind == FAULT_STUCK) {
        sim_qp(qp)->is_stuck = 1;
        sim_qp_break(qp, VMP_WC_OTHER);
    } else {
        sim_qp(qp)->kill      = fault->arg;
        sim_qp(qp)->kill_late = (fault->kind == FAULT_EXECUTED);
        sim_qp(qp)->kill_half = 0;
    }
}

/* Connections follow; who asks for it from now on gets the new one. The device
 * says so at once, if at all: see accident_says_at(). */
static void accident_new_address(host_t *host, const fault_t *fault)
{
    int is_said = (fault->kind == FAULT_ADDRESS) && (fault->arg == 0);

    /* one in four moves goes back */
    sim_nic_new_address(host->index, (fault->time % 4) == 1, is_said);
    if (host->inst != NULL) {
        sim_nic_address(host->index, &host->inst->attr.rail_addr);
    }

    found_check(host);
}

static void accident_on_host(const fault_t *fault, uint64_t until)
{
    host_t *host = &world.hosts[fault->host];

    if ((host->inst != NULL) && !fault_is_unplug(fault->kind) &&
        (sim_port_num_qps(host->inst->iface->port) > 0)) {
        effect_took(fault);
    }

    if ((fault->kind == FAULT_ADDRESS) || (fault->kind == FAULT_SILENT)) {
        accident_new_address(host, fault);
        if (fault->kind == FAULT_SILENT) {
            found_moved(host);
        }
        return;
    }

    if ((fault->kind == FAULT_STALL) || (fault->kind == FAULT_FREEZE)) {
        host->stall_until = until;
    }

    if (fault->kind == FAULT_DEVICE) {
        ++host->num_fails;
        sim_nic_fail(host->index, 1);
    }

    if (host->inst == NULL) {
        return;
    }

    if ((fault->kind == FAULT_DEVICE) || (fault->kind == FAULT_CQ)) {
        host->inst->broken     = host->inst->is_broken ? host->inst->broken :
                                                         sim_now();
        host->inst->is_broken |= (fault->kind == FAULT_CQ) ? BROKEN_CQ :
                                                             BROKEN_DEVICE;
    }

    if ((fault->kind == FAULT_HELPER) || (fault->kind == FAULT_FREEZE)) {
        sim_port_stall_helper(host->inst->iface->port, until);
    } else if (fault->kind == FAULT_KILL) {
        host_kill(host);
        found_check(host);
    } else if (fault->kind == FAULT_CQ) {
        sim_port_break(host->inst->iface->port);
    } else if ((fault->kind == FAULT_PORT_DOWN) ||
               (fault->kind == FAULT_PORT_UP)) {
        sim_port_rail_event(host->inst->iface->port, 0,
                            fault->kind == FAULT_PORT_UP);
    }
}


/* Beginning and end -------------------------------------------------------- */

void accident_init(void)
{
    num_accidents = 0;
    accident_apply();
}

/* For the n-th time, with the time that it began; UINT64_MAX: not any more */
static uint64_t accident_says_at(const accident_t *accident)
{
    const fault_t *fault = &accident->fault;
    uint64_t usec        = fault->arg * USEC;

    switch (fault->kind) {
    case FAULT_UNPLUG:
        return (accident->num_said == 0) ? accident->begin + usec :
               (accident->num_said == 1) ? accident->until : UINT64_MAX;
    case FAULT_EARLY:
        return (accident->num_said == 0) ? accident->begin :
               (accident->num_said == 1) ? accident->begin + fault->size :
                                           UINT64_MAX;
    case FAULT_ADDRESS:
        return (accident->num_said == 0) ? accident->until : UINT64_MAX;
    case FAULT_DEVICE:
        return (accident->num_said == 0) ? accident->begin + usec : UINT64_MAX;
    default:
        return UINT64_MAX;
    }
}

/* What the device has to say by now; `all`: at the end what it has not said */
static void accident_say(accident_t *accident, int all)
{
    const fault_t *fault = &accident->fault;
    const host_t *host   = &world.hosts[fault->host];
    uint64_t time;

    while (((time = accident_says_at(accident)) != UINT64_MAX) &&
           (all || (time <= sim_now()))) {
        ++accident->num_said;
        if (host->inst != NULL) {
            sim_port_rail_event(host->inst->iface->port, 0,
                                (accident->num_said == 2) ||
                                (fault->kind == FAULT_ADDRESS));
        }
    }
}

/* It does not end by itself */
static int accident_is_kept(const fault_t *fault)
{
    return (!fault_is_moment(fault->kind) && (fault->kind < FAULT_STALL)) ||
           ((fault->kind >= FAULT_DEVICE) && (fault->kind <= FAULT_KILL)) ||
           fault_is_unplug(fault->kind) ||
           ((fault->kind == FAULT_ADDRESS) && (fault->arg > 0));
}

/* HALF: of all paths that there are by now, but for those that have other
 * plans, until one has failed: what fails everywhere is lost with its
 * endpoint */
static void accident_half(const accident_t *accident, int is_over)
{
    const fault_t *fault = &accident->fault;
    const inst_t *inst   = world.hosts[fault->host].inst;
    int is_off           = is_over ||
                           (effect_witness(fault) > accident->witness);
    vmp_wc_status_t from = is_off ? fault->arg : VMP_WC_SUCCESS;
    vmp_port_qp_t *qp;
    sim_qp_t *pub;
    unsigned i;

    for (i = 0; (inst != NULL) && (i < sim_port_num_qps(inst->iface->port));
         ++i) {
        qp = sim_port_qp(inst->iface->port, fault->peer, i);
        if (qp == NULL) {
            return;
        }

        pub = sim_qp(qp);
        if ((pub->kill == from) && (!is_off || pub->kill_half)) {
            pub->kill      = is_off ? VMP_WC_SUCCESS : fault->arg;
            pub->kill_late = 1;
            pub->kill_half = 1;
        }
    }
}

void accident_begin(const fault_t *fault)
{
    accident_t accident = {
        .fault   = *fault,
        .begin   = sim_now(),
        .until   = sim_now() + fault_end(fault) - fault->time,
        .witness = effect_witness(fault)
    };

    if ((num_accidents == ACCIDENT_MAX) ||
        (world.prog->is_crowd && (fault->kind < FAULT_BREAK))) {
        return;
    }

    accident.inst = world.hosts[fault->host].inst;
    pair_accident(fault);
    effect_begun(fault);
    if ((fault->kind >= FAULT_BREAK) && (fault->kind <= FAULT_STUCK) &&
        (fault->kind != FAULT_HALF)) {
        accident_on_qp(&accident);
    } else if (fault->kind >= FAULT_STALL) {
        accident_on_host(fault, accident.until);
    }

    if (accident_is_kept(fault)) {
        accident_say(&accident, 0);
        accidents[num_accidents++] = accident;
        accident_apply();
    }
}

/* The user starts the program again, on a device that works */
static void accident_restart(const accident_t *accident, host_t *host)
{
    if ((accident->fault.kind == FAULT_DEVICE) && (--host->num_fails == 0)) {
        sim_nic_fail(host->index, 0);
    }

    if ((host->inst != NULL) && (host->inst == accident->inst)) {
        trace("h%u starts again", host->index);
        told_check_own(host->inst);
        host_end(host);
        found_check(host);
    }
}

static void accident_over(accident_t *accident)
{
    host_t *host        = &world.hosts[accident->fault.host];
    fault_kind_t kind   = accident->fault.kind;

    if (effect_witness(&accident->fault) > accident->witness) {
        effect_took(&accident->fault);
    }

    if (fault_is_outage(kind)) {
        told_over();
    }

    accident_say(accident, 1);
    if ((kind == FAULT_MUTE) && (accident->qp != NULL)) {
        sim_qp_mute(accident->qp, 0);
    } else if (kind == FAULT_HALF) {
        accident_half(accident, 1);
    } else if ((kind == FAULT_DEVICE) || (kind == FAULT_CQ)) {
        accident_restart(accident, host);
    }

    if ((kind >= FAULT_DEVICE) && (kind <= FAULT_KILL) &&
        (host->inst == NULL) && (host->num_fails == 0)) {
        inst_open(host);
    }
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
    return (a < b) ? a : b;
}

/* The next of two times that is not set yet */
static uint64_t accident_later(uint64_t time, uint64_t next)
{
    return (time > applied) ? min_of(time, next) : next;
}

/* Its next step, from what is set on */
static uint64_t accident_change(const accident_t *accident)
{
    uint64_t usec  = accident->fault.arg * USEC;
    uint64_t begin = unplug_begin(accident);
    uint64_t next  = min_of(accident->until, accident_says_at(accident));

    if ((accident->fault.kind == FAULT_FLAP) && (usec > 0)) {
        next = accident->begin +
               ((((applied - accident->begin) / usec) + 1) * usec);
    } else if (fault_is_unplug(accident->fault.kind)) {
        next = accident_later(begin, next);
        next = accident_later(begin + accident->fault.size, next);
    }

    return min_of(next, accident->until);
}

uint64_t accident_next(void)
{
    uint64_t next = UINT64_MAX;
    unsigned i;

    for (i = 0; i < num_accidents; ++i) {
        next = min_of(next, accident_change(&accidents[i]));
    }

    return next;
}

void accident_end(int all)
{
    uint64_t now = sim_now();
    unsigned num = 0;
    int changes  = all;
    accident_t over;
    unsigned i;

    for (i = 0; i < num_accidents; ++i) {
        changes |= (accident_change(&accidents[i]) <= now);
        if (accidents[i].fault.kind == FAULT_HALF) {
            accident_half(&accidents[i], 0);
        }

        accident_say(&accidents[i], 0);
        if (!all && (accidents[i].until > now)) {
            accidents[num++] = accidents[i];
        } else {
            over = accidents[i];
            accident_over(&over);
        }
    }

    if (num != num_accidents) {
        trace("%u accidents are over", num_accidents - num);
        num_accidents = num;
    }

    if (changes) {
        accident_apply();
    }
}
