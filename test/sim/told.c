/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "oracle.h"

#include "port/sim/sim.h"

/*
 * Who waits for a peer that is away is told so when the peer timeout is over
 * (R5): not before, and not much later. Who waits for its own device is told at
 * once.
 */
#define BIT(_kind)       (1ull << FAULT_##_kind)
#define TOLD_NO_CPU      (BIT(STALL) | BIT(HELPER) | BIT(FREEZE))

/* ns */
#define MSEC             1000000ull
#define TOLD_DEVICE      (100 * MSEC)   /* until who can find out does */
#define TOLD_BEGIN       (2250 * MSEC)  /* of control: without a path */
#define TOLD_IDLE        (1000 * MSEC)  /* who waits for credit, with nothing in
                                           flight, asks a path so often */
#define TOLD_ASK         (1000 * MSEC)  /* the peer is asked once, at least */
#define TOLD_POLL        (500 * MSEC)   /* applications poll rarely when nothing
                                           happens: see host_poll() */

/* Accidents that have no part in how long it takes, or a known one. Others
 * make devices or control do things of which each may begin a clock anew. */
#define TOLD_KNOWN       (BIT(OUTAGE) | BIT(GONE) | BIT(CUT) | BIT(ONE_WAY) | \
                          BIT(BLACKOUT) | BIT(UNPLUG) | BIT(EARLY) | \
                          BIT(BREAK) | BIT(LATE_ERR) | BIT(LATE_LAST) | \
                          BIT(NO_LAST) | BIT(NO_PSN) | BIT(BUFFER_BACK) | \
                          BIT(PORT_DOWN) | BIT(PORT_UP) | BIT(TWICE))


static uint64_t told_timeout(void)
{
    return world.prog->params.peer_timeout_ns;
}

/* What befell two hosts before, and may have begun a clock, counts until they
 * had time to recover from it */
void told_accident(pair_t *pair, const fault_t *fault)
{
    uint64_t now = world_now();
    uint64_t end = now + fault_end(fault) - fault->time;

    if ((pair->happened == 0) ||
        (now > (pair->hurt_until + pair_bound(pair)))) {
        pair->hurt_since = now;
    }

    pair->hurt_until = (end > pair->hurt_until) ? end : pair->hurt_until;
    if (!fault_is_outage(fault->kind)) {
        return;
    }

    if (now > pair->gone_until) {
        pair->gone_since = now;
    }

    pair->gone_until = (end > pair->gone_until) ? end : pair->gone_until;
}

/* When the first endpoint between two interfaces was made: the clock of a
 * connection without a path begins with it */
static uint64_t told_opened(const user_ep_t *ep)
{
    uint64_t opened = ep->opened;
    const user_ep_t *other;
    unsigned i;

    for (i = 0; i < world.num_eps; ++i) {
        other = world.eps[i];
        if ((((other->inst == ep->inst) && (other->target == ep->target)) ||
             ((other->inst == ep->target) && (other->target == ep->inst))) &&
            (other->opened < opened)) {
            opened = other->opened;
        }
    }

    return opened;
}

int told_is_due(const user_ep_t *ep)
{
    const pair_t *pair = pair_of_ep(ep);
    uint64_t since     = pair->hurt_since;
    uint64_t opened;

    if (pair->gone_since == 0) {
        return 0;
    }

    if (!ep->was_up) {
        opened = told_opened(ep);
        since  = (opened < since) ? opened : since;
    }

    return sim_now() >= (since + told_timeout());
}

/* Since when it waits for operations; UINT64_MAX: it does not. `is_only_p`: it
 * only tries to begin one, now and then, and the core does not know. */
static uint64_t told_waits_since(const user_ep_t *ep, int *is_only_p)
{
    const inst_t *inst = ep->inst;
    const op_t *op;
    uint32_t i;

    *is_only_p = 0;
    for (i = 0; i < inst->num_ops; ++i) {
        op = inst->ops[i];
        if ((op->ep == ep) && op->is_async && (op->state == OP_POSTED)) {
            return op->since;
        }
    }

    *is_only_p = !ep->is_waiting;
    return (ep->queue != NULL) ? ep->queue->since : UINT64_MAX;
}

/* From when on it is lost that a peer is away, at most: paths in use fail when
 * the device gives up, and then those that are idle are tried; control's clock
 * begins. Who only tries is told a quarter of the time after it has tried for
 * all of it, or so much later as another one has begun to wait, and stopped. */
static uint64_t told_bound(const pair_t *pair, int is_only)
{
    const vmp_port_params_t *port = &world.prog->params.port;
    uint64_t retries              = (4096ull << port->timeout) *
                                    (port->retry_count + 1);
    uint64_t bound                = told_timeout() + (2 * retries) +
                                    TOLD_IDLE + TOLD_ASK + TOLD_POLL;

    bound += is_only ? told_timeout() + (told_timeout() / 4) : 0;
    bound += pair_settle_time(pair->happened);
    return bound;
}

static int told_can_wait(const user_ep_t *ep)
{
    return (ep != NULL) && ep->is_open && !ep->is_failed;
}

static void told_check(const user_ep_t *ep)
{
    const pair_t *pair = pair_of_ep(ep);
    uint64_t since;
    uint64_t bound;
    int is_only;

    if ((pair->gone_since == 0) || ((pair->happened & ~TOLD_KNOWN) != 0) ||
        (sim_now() <= (pair->gone_since + told_timeout())) ||
        (sim_now() > pair->gone_until)) {
        return;
    }

    since = told_waits_since(ep, &is_only);
    if (since == UINT64_MAX) {
        return;
    }

    since = (pair->gone_since > since) ? pair->gone_since : since;
    bound = told_bound(pair, is_only);
    oracle_check(sim_now() <= (since + bound), "failure", "%s waits for a peer "
                 "that is away for %lu ms, and is not told in %lu ms",
                 ep_str(ep), (unsigned long)((sim_now() - since) / MSEC),
                 (unsigned long)(bound / MSEC));
}

void told_look(const inst_t *inst)
{
    const host_t *host = inst->host;
    unsigned i;

    if (world.is_ending || !world.prog->is_faulty) {
        return;
    }

    for (i = 0; i < WORLD_SLOTS; ++i) {
        if (told_can_wait(host->slots[i])) {
            told_check(host->slots[i]);
        }
    }
}

void told_over(void)
{
    unsigned i;

    for (i = 0; i < world.prog->num_hosts; ++i) {
        if (world.hosts[i].inst != NULL) {
            told_look(world.hosts[i].inst);
        }
    }
}

void told_check_own(const inst_t *inst)
{
    unsigned host = inst->host->index;
    const user_ep_t *ep;
    uint64_t bound;
    int is_only;
    unsigned i;

    if (pair_of(host, host)->happened & TOLD_NO_CPU) {
        return;
    }

    for (i = 0; i < WORLD_SLOTS; ++i) {
        ep = inst->host->slots[i];
        if (!told_can_wait(ep) ||
            (told_waits_since(ep, &is_only) == UINT64_MAX)) {
            continue;
        }

        /* who begins on it is as one whose peer is not there */
        bound = (ep->opened <= inst->broken) ? inst->broken + TOLD_DEVICE :
                ep->opened + told_timeout() + TOLD_BEGIN;
        oracle_check((sim_now() <= bound) ||
                     pair_excuses(pair_of_ep(ep), "failure"),
                     "failure", "%s is not told that its "
                     "device failed %lu ms ago", ep_str(ep), (unsigned long)
                     ((sim_now() - inst->broken) / MSEC));
    }
}
