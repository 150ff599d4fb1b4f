/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "oracle.h"
#include "trace.h"

#include "port/sim/sim.h"

#include <string.h>

/*
 * The end: all is healed, everything that was begun comes to its end, and then
 * the world works as before: traffic between all who had some, all paths back,
 * nothing left, nobody busy.
 */
#define MSEC          1000000ull
#define SEC           (1000 * MSEC)

#define END_PATIENCE  (10 * SEC)        /* without progress; with accidents:
                                           pair_bound() */
#define END_SETTLE    (2 * MSEC)        /* until idle is idle */
#define END_LONG      (12 * SEC)        /* peer timeout, then quarantine */
#define END_TRYING    30                /* runs a second of a helper that cannot
                                           reach a peer, as is known */
#define END_ROUNDS    2
#define END_REPEAT    (5 * SEC)         /* what a device repeats has come */
#define END_QUIET     10                /* s, until all are quiet */
#define END_TRICKLE   (100 * MSEC)
#define END_PATHS_IDLE 3                /* s: eight paths, four a second */


/* What has not ended ------------------------------------------------------- */

static int ep_is_settled(const user_ep_t *ep)
{
    if (!ep->is_open || (ep->last == NULL)) {
        return 1;
    }

    return ep->is_lost ? ep->is_failed : (ep->last->state > OP_POSTED);
}

static int stream_is_settled(const user_ep_t *ep)
{
    if ((oracle_delivered(ep) == ep->num_msgs) || ep->target->is_closed ||
        ep->inst->is_closed || ep->is_lost) {
        return 1;
    }

    /* an idle endpoint learns of a loss when it is used next */
    return pair_of_ep(ep)->is_lossy && (!world.is_strict || !ep->is_open);
}

static int end_is_asked(unsigned from, unsigned to)
{
    return !pair_of(from, to)->is_stuck;
}

/* Whoever waits so has armed for it before, or polls: now and then, since it
 * may take as long as devices do */
static void end_ask_flush(host_t *host)
{
    if (host->is_asleep && (sim_now() >= host->ask_flush)) {
        host->ask_flush = sim_now() + MSEC;
        host_wake(host);
    }
}

/* What has not ended between two hosts that are to recover. NULL: all has. */
static const char *end_unsettled(unsigned *from_p, unsigned *to_p)
{
    const user_ep_t *ep;
    const inst_t *inst;
    unsigned i;

    for (i = 0; i < world.num_eps; ++i) {
        ep      = world.eps[i];
        *from_p = ep->inst->host->index;
        *to_p   = ep->target->host->index;
        if (end_is_asked(*from_p, *to_p) && (!ep_is_settled(ep) ||
                                            !stream_is_settled(ep))) {
            return ep_str(ep);
        }
    }

    /* what was sent on endpoints that are gone */
    for (inst = world.insts; inst != NULL; inst = inst->next) {
        if ((inst->iface == NULL) || (vmp_iface_flush(inst->iface) == VMP_OK)) {
            continue;
        }

        *from_p = inst->host->index;
        *to_p   = *from_p;
        if (inspect_busy(inst, to_p) || !inst->host->is_stuck) {
            end_ask_flush(inst->host);
            return "an interface's flush";
        }
    }

    return NULL;
}

/* Name who waits for what */
static void end_blame(void)
{
    const user_ep_t *ep;
    unsigned i;

    for (i = 0; i < world.num_eps; ++i) {
        ep = world.eps[i];
        if (ep->is_open && ep->is_waiting && vmp_ep_is_ready(&ep->ep)) {
            oracle_fail("pending", "%s waits, is ready, and is not called: a "
                        "lost wakeup", ep_str(ep));
        }

        if (ep->is_open && !ep->is_lost && (ep->queue != NULL)) {
            oracle_fail("refusal", "%s is refused for ever", op_str(ep->queue));
        }

        if (ep->is_open && ep->is_lost && !ep->is_failed) {
            oracle_fail("failure", "%s is lost, but ep_failed does not come",
                        ep_str(ep));
        }

        if (!ep_is_settled(ep)) {
            oracle_fail("completion", "%s: the last flush does not complete",
                        ep_str(ep));
        }

        if (!stream_is_settled(ep)) {
            oracle_fail("lost", "%s: %u messages sent, only %u come",
                        ep_str(ep), ep->num_msgs, ep->delivered);
        }
    }

    oracle_fail("flush", "an interface's flush does not end");
}

/* Without accidents: as long as there is progress */
static void end_settle(void)
{
    uint64_t stamp = world.stamp;
    uint64_t since = sim_now();
    unsigned from, to;

    while (end_unsettled(&from, &to) != NULL) {
        world_step(sim_now() + MSEC);
        if (stamp != world.stamp) {
            stamp = world.stamp;
            since = sim_now();
        } else if (sim_now() > (since + END_PATIENCE)) {
            end_blame();
        }
    }
}

/* With accidents: in time */
static void end_recover(const char *rule, uint64_t since)
{
    const char *what;
    unsigned from, to;
    uint64_t bound;
    pair_t *pair;

    while ((what = end_unsettled(&from, &to)) != NULL) {
        world_step(sim_now() + MSEC);
        pair  = pair_of(from, to);
        bound = pair_bound(pair);
        if (sim_now() <= (since + bound)) {
            continue;
        }

        if (pair_excuses(pair, rule)) {
            pair_give_up(from, to);
        } else {
            oracle_fail(rule, "%s, from host %u to %u, has not ended in %lu ms",
                        what, from, to, (unsigned long)(bound / MSEC));
        }
    }
}


/* It works as before ------------------------------------------------------- */

/* An endpoint of its own, and one of each on it */
static void round_of(host_t *host, host_t *peer)
{
    static const act_type_t types[] = {
        ACT_AM_SHORT, ACT_AM_BCOPY, ACT_PUT_ZCOPY, ACT_GET_ZCOPY, ACT_FENCE,
        ACT_AM_ZCOPY, ACT_PUT_SHORT, ACT_GET_BCOPY, ACT_PUT_BCOPY, ACT_AM_BCOPY
    };
    unsigned slot = PROG_MAX_SLOTS + peer->index;
    user_ep_t *ep = host->slots[slot];
    act_t act     = {0};
    unsigned i;

    if ((ep != NULL) && ep->is_lost) {
        app_close(ep);
        ep = NULL;
    } else if (ep != NULL) {
        return;                         /* the last round was good */
    }

    host_wake(host);
    ep = app_open(host, slot, peer->inst);
    for (i = 0; i < (sizeof(types) / sizeof(types[0])); ++i) {
        act.type = types[i];
        act.size = 1 + world_rnd(4096);
        act.arg  = world_rnd(UINT32_MAX);
        (void)app_request(ep, &act);
    }

    act.type = ACT_FLUSH;
    ep->last = app_request(ep, &act);
}

static void end_round(void)
{
    unsigned num = world.prog->num_hosts;
    unsigned from, to;
    const pair_t *pair;

    for (from = 0; from < num; ++from) {
        for (to = 0; to < num; ++to) {
            pair = pair_of(from, to);
            if (pair->had_ep && !pair->is_stuck &&
                (world.hosts[from].inst != NULL) &&
                (world.hosts[to].inst != NULL)) {
                round_of(&world.hosts[from], &world.hosts[to]);
            }
        }
    }
}

/* Who was lost learns of it in the first round: in the second nobody is */
static void end_rounds(void)
{
    unsigned i;

    for (i = 0; i < END_ROUNDS; ++i) {
        end_round();
        world.is_strict = 1;
        end_recover("traffic", sim_now());
        pairs_healed();
    }
}

/* A message each: only where something moves are idle paths looked at */
static void end_trickle(void)
{
    act_t act = {.type = ACT_AM_SHORT, .size = 8};
    host_t *host;
    unsigned from, i;

    for (from = 0; from < world.prog->num_hosts; ++from) {
        host = &world.hosts[from];
        for (i = PROG_MAX_SLOTS; i < WORLD_SLOTS; ++i) {
            if (host->slots[i] != NULL) {
                host_wake(host);
                (void)app_request(host->slots[i], &act);
            }
        }
    }
}

/* Idle paths are probed one after the other */
static uint64_t end_paths_bound(const pair_t *pair)
{
    return (END_PATHS_IDLE * SEC) + pair_bound(pair);
}

static void end_paths(void)
{
    uint64_t since = sim_now();
    uint64_t next  = since;
    const inst_t *inst;
    unsigned host, to;
    pair_t *pair;

    for (host = 0; host < world.prog->num_hosts;) {
        inst = world.hosts[host].inst;
        if ((inst == NULL) || inspect_paths(inst, &to)) {
            ++host;
            continue;
        }

        pair = pair_of(host, to);
        if (sim_now() <= (since + end_paths_bound(pair))) {
            if (sim_now() >= next) {
                next = sim_now() + END_TRICKLE;
                end_trickle();
            }

            world_run_until(sim_now() + MSEC);
        } else if (pair_excuses(pair, "paths")) {
            pair_give_up(host, to);
        } else {
            oracle_fail("paths", "not all paths from host %u to %u came back "
                        "in %lu ms", host, to,
                        (unsigned long)(end_paths_bound(pair) / MSEC));
        }
    }
}

/* How often its helper may run in a second with nothing to do */
static unsigned end_max_runs(unsigned host)
{
    unsigned max = 0;
    unsigned i;

    for (i = 0; i < world.prog->num_hosts; ++i) {
        if (pair_of(host, i)->is_stuck ||
            pair_excuses(pair_of(host, i), "idle")) {
            max = END_TRYING;
        }
    }

    return max;
}

static uint64_t end_runs(unsigned host)
{
    const inst_t *inst = world.hosts[host].inst;

    return (inst == NULL) ? 0 : sim_port_helper_runs(inst->iface->port);
}

/* A second in which helpers do nothing. Return 0, or -1: `host_p` did. */
static int end_is_quiet(unsigned *host_p)
{
    uint64_t runs[WORLD_MAX_FAULTY];
    unsigned i;

    for (i = 0; i < world.prog->num_hosts; ++i) {
        runs[i] = end_runs(i);
    }

    world_run_until(sim_now() + SEC);
    for (i = 0; i < world.prog->num_hosts; ++i) {
        if (end_runs(i) > (runs[i] + end_max_runs(i))) {
            *host_p = i;
            return -1;
        }
    }

    return 0;
}

/* Who has nothing to do does nothing: no timer was forgotten. A connection that
 * is idle may find out late that its peer is gone. */
static void end_check_quiet(void)
{
    unsigned host = 0;
    unsigned i;

    for (i = 0; i < END_QUIET; ++i) {
        if (end_is_quiet(&host) == 0) {
            return;
        }
    }

    oracle_fail("idle", "host %u: its helper runs more than %u times a second "
                "with nothing to do, and does not stop", host,
                end_max_runs(host));
}


/* -------------------------------------------------------------------------- */

static void end_flush(void)
{
    act_t act = {.type = ACT_FLUSH};
    unsigned i;

    for (i = 0; i < world.num_eps; ++i) {
        if (world.eps[i]->is_open) {
            host_wake(world.eps[i]->inst->host);
            world.eps[i]->last = app_request(world.eps[i], &act);
        }
    }
}

/* QPs that were to fail at their next request, and had none */
static void end_forget(void)
{
    const inst_t *inst;
    vmp_port_qp_t *qp;
    unsigned host, i;

    for (inst = world.insts; inst != NULL; inst = inst->next) {
        for (host = 0; (inst->iface != NULL) && (host < world.prog->num_hosts);
             ++host) {
            for (i = 0; i < sim_port_num_qps(inst->iface->port); ++i) {
                qp = sim_port_qp(inst->iface->port, host, i);
                if (qp != NULL) {
                    sim_qp(qp)->kill = VMP_WC_SUCCESS;
                }
            }
        }
    }
}

static void end_faulty(void)
{
    unsigned i;

    end_forget();
    pairs_end();
    world.is_timed = 1;
    for (i = 0; i < world.prog->num_hosts; ++i) {
        world.hosts[i].interval  = world.hosts[i].conf->poll_ns;
        world.hosts[i].next_poll = sim_now();
    }

    end_recover("recovery", world.healed);
    end_rounds();
    end_paths();
    end_recover("traffic", sim_now());
    world.is_timed = 0;
}

static int end_is_held(void)
{
    const vmp_iface_t *iface;
    const vmp_conn_t *conn;
    vmp_link_t *link;
    unsigned i;

    for (i = 0; i < world.prog->num_hosts; ++i) {
        if (world.hosts[i].inst == NULL) {
            continue;
        }

        iface = world.hosts[i].inst->iface;
        vmp_list_for_each(link, &iface->all) {
            conn = vmp_container_of(link, vmp_conn_t, all);
            if (!(conn->block & VMP_BLOCK_CLOSED) && (conn->rx_num_held > 0)) {
                return 1;
            }
        }
    }

    return 0;
}

/* A frame that nobody waits for may have been lost in the network just now: the
 * device sends it again, and those behind it are held until then */
static void end_wait_for_held(void)
{
    uint64_t end = sim_now() + END_REPEAT;

    while (end_is_held() && (sim_now() < end)) {
        world_run_until(sim_now() + (10 * MSEC));
    }
}

void world_end(void)
{
    host_t *host;
    unsigned i;

    world.is_ending = 1;
    world.healed    = sim_now();
    accident_end(1);
    end_flush();
    if (world.prog->is_faulty) {
        end_faulty();
    } else {
        end_settle();
    }

    world_run_until(sim_now() + END_SETTLE);
    oracle_end();
    for (i = 0; i < world.prog->num_hosts; ++i) {
        host = &world.hosts[i];
        if (host->inst != NULL) {
            host_wake(host);
            app_release(host->inst, 1);
        }
    }

    /* what a failed connection had comes back when its QPs are destroyed */
    world_run_until(sim_now() + (world.prog->is_faulty ? END_LONG :
                                                         END_SETTLE));
    end_wait_for_held();
    for (i = 0; i < world.prog->num_hosts; ++i) {
        host = &world.hosts[i];
        if (host->inst != NULL) {
            inspect_idle(host->inst);
        }
    }

    if (world.prog->is_faulty) {
        inspect_long();
        end_check_quiet();
    }
}
