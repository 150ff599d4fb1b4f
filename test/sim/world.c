/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "oracle.h"
#include "trace.h"

#include "port/sim/sim.h"

#include <stdlib.h>
#include <string.h>

#define MSEC             1000000ull
#define SEC              (1000 * MSEC)

/* Bounds of a program: who needs more hangs */
#define WORLD_MAX_STEPS  20000000ull
#define WORLD_BUSY       300            /* polls in vain, ever rarer ones */
#define WORLD_ASKERS     8              /* every 8th program asks for credit */
#define WORLD_ASK        20             /* at every 20th poll of an interface */
#define WORLD_ASK_MAX    1000           /* polls: then no more */
#define WORLD_LONG       (8 * SEC)      /* quarantine, and what devices take */
#define WORLD_GONE       (5 * 4)        /* peer timeouts: see vmp_ctl_idle.c */
#define WORLD_IDLE_POLL  (10 * MSEC)    /* while it is measured */
#define WORLD_RARELY     64             /* polls in a silence as long as all
                                           before: paths are looked after at
                                           each 32nd */


world_t world;


uint64_t world_now(void)
{
    return sim_now();
}

void *world_grow(void *array, uint32_t num, uint32_t *max_p)
{
    if (num < *max_p) {
        return array;
    }

    *max_p = (2 * num) + 16;
    array  = realloc(array, *max_p * sizeof(void*));
    if (array == NULL) {
        abort();
    }

    return array;
}


/* Beginning and end -------------------------------------------------------- */

static void world_fault(void *arg, sim_fault_t fault, const char *text)
{
    (void)arg;
    oracle_fail("port", "%s: %s", sim_fault_str(fault), text);
}

static void world_trace(void *arg, const char *line)
{
    (void)arg;
    printf("%s\n", line);
}

static void world_begin(const program_t *prog)
{
    sim_conf_t conf;
    unsigned i;

    memset(&world, 0, sizeof(world));
    world.prog = prog;
    world.pace = pace_bound(prog);
    pairs_init();
    rnd_init(&world.rnd, prog->run_seed);

    sim_conf_init(&conf, prog->run_seed);
    conf.hosts         = prog->num_hosts;
    conf.links         = prog->num_links;
    conf.mtu           = prog->params.port.path_mtu;
    conf.max_inline    = prog->inline_max;
    conf.max_sge       = prog->max_sge;
    conf.max_rd_atomic = prog->params.port.max_rd_atomic;
    conf.executed      = exec_observe;
    conf.written       = exec_written;
    conf.failed        = pair_qp_failed;
    conf.qpn_recycle   = prog->is_faulty;
    conf.burst         = prog->burst;
    conf.fault         = world_fault;
    conf.trace         = (trace_level > 1) ? world_trace : NULL;
    sim_begin(&conf);
    accident_init();
    for (i = 0; i < prog->num_hosts; ++i) {
        host_init(&world.hosts[i], i);
    }
}

static void world_free(void)
{
    inst_t *inst;
    unsigned i;

    while ((inst = world.insts) != NULL) {
        world.insts = inst->next;
        exec_free_inst(inst);
        free(inst->deepest);
        free(inst->ops);
        free(inst);
    }

    for (i = 0; i < world.num_eps; ++i) {
        free(world.eps[i]->msgs);
        free(world.eps[i]);
    }

    for (i = 0; i < world.num_ops; ++i) {
        exec_free_op(world.ops[i]);
        free(world.ops[i]);
    }

    free(world.eps);
    free(world.ops);
    pairs_cleanup();
}


/* Acts --------------------------------------------------------------------- */

static void act_open(const act_t *act, host_t *host)
{
    host_t *peer = &world.hosts[act->peer];

    if ((host->slots[act->slot] == NULL) && (host->inst != NULL) &&
        (peer->inst != NULL)) {
        app_open(host, act->slot, peer->inst);
    }
}

/* Accidents that have no name of their own */
static void act_accident(const act_t *act)
{
    static const fault_kind_t kinds[] = {
        [ACT_STALL]        = FAULT_STALL,
        [ACT_HELPER_STALL] = FAULT_HELPER,
        [ACT_UD_LOSS]      = FAULT_CTL_LOSS,
        [ACT_LINK_LOSS]    = FAULT_LOSS,
        [ACT_NO_QP]        = FAULT_NO_QP
    };
    fault_t fault = {
        .kind = kinds[act->type],
        .size = act->size,
        .arg  = act->arg,
        .host = act->host,
        .link = act->slot
    };

    accident_begin(&fault);
}

static void act_do(const act_t *act)
{
    host_t *host  = &world.hosts[act->host];
    user_ep_t *ep = host->slots[act->slot];
    char str[128];

    trace("%s", act_str(act, str, sizeof(str)));
    if (act->type < ACT_FIRST_ACCIDENT) {
        host_wake(host);
    }

    if (act->type >= ACT_FIRST_ACCIDENT) {
        act_accident(act);
    } else if (act->type == ACT_OPEN) {
        act_open(act, host);
    } else if (act->type == ACT_IFACE_OPEN) {
        if ((host->inst == NULL) && (host->num_fails == 0)) {
            inst_open(host);
        }
    } else if (act->type == ACT_IFACE_CLOSE) {
        if (host->inst != NULL) {
            pairs_closed(host->index);
            inst_close(host->inst);
        }
    } else if (ep == NULL) {
        return;
    } else if (act->type == ACT_CANCEL) {
        app_cancel(ep);
    } else if (act->type != ACT_CLOSE) {
        app_request(ep, act);
    } else if (act->arg & 1) {
        host->close_mask |= 1u << act->slot;
    } else {
        app_close(ep);
    }
}

static void world_faults(void)
{
    const program_t *prog = world.prog;
    const fault_t *fault;
    char str[128];

    while ((world.next_fault < prog->num_faults) &&
           (prog->faults[world.next_fault].time <= sim_now())) {
        fault = &prog->faults[world.next_fault++];
        if (!fault->is_off) {
            trace("%s", fault_str(fault, str, sizeof(str)));
            accident_begin(fault);
        }
    }
}

static void world_acts(void)
{
    const program_t *prog = world.prog;
    const act_t *act;

    while ((world.next_act < prog->num_acts) &&
           (prog->acts[world.next_act].time <= sim_now())) {
        act = &prog->acts[world.next_act++];
        if (!act->is_off) {
            act_do(act);
        }
    }
}


/* Time --------------------------------------------------------------------- */

/* Until something is signalled: whoever is not woken hangs */
static void host_sleep(host_t *host)
{
    unsigned events = VMP_PORT_EVENT_RX;
    vmp_status_t status;

    if (app_is_sending(host->inst)) {
        events |= VMP_PORT_EVENT_TX;
    }

    status = vmp_iface_event_arm(host->inst->iface, events);
    oracle_check((status == VMP_OK) || (status == VMP_ERR_BUSY), "wakeup",
                 "host %u cannot arm: %d", host->index, status);
    host->is_asleep = (status == VMP_OK);
    /* what a CQ that has failed holds never comes */
    host->num_busy  = (host->is_asleep || host->inst->is_broken) ? 0 :
                      host->num_busy + 1;
    oracle_check(host->num_busy < WORLD_BUSY, "wakeup", "host %u has nothing "
                 "to do, but may not sleep", host->index);
}

/* An application polls: often when something happens, else less and less, but
 * so often that paths are looked after in time */
static void host_poll(host_t *host)
{
    inst_t *inst = host->inst;
    uint64_t now = sim_now();
    uint64_t max = (now - host->active) / WORLD_RARELY;
    unsigned count;

    if (world.is_timed && (max > WORLD_IDLE_POLL)) {
        max = WORLD_IDLE_POLL;
    }

    if (((world.prog->seed % WORLD_ASKERS) == 0) &&
        ((inst->num_polls % WORLD_ASK) == 0) &&
        (inst->num_polls < WORLD_ASK_MAX) && (now < world.prog->end)) {
        inst_ask_credit(inst);
    }

    told_look(inst);
    count = vmp_iface_progress(inst->iface);
    inspect_inst(inst);
    spoil_look(inst);
    pace_look(inst);
    app_turn(inst);
    if (count > 0) {
        host->active   = now;
        host->interval = host->conf->poll_ns;
    } else if ((host->interval < host->conf->idle_ns) ||
               (host->interval < max)) {
        host->interval *= 2;
    }

    host->next_poll = sim_now() + host->interval;
    if ((count == 0) && host->conf->sleeps && !app_is_trying(inst)) {
        host_sleep(host);
    }
}

static void world_polls(void)
{
    uint64_t now = sim_now();
    host_t *host;
    unsigned i;

    for (i = 0; i < world.prog->num_hosts; ++i) {
        host = &world.hosts[i];
        if ((host->inst != NULL) && (host->next_poll <= now) &&
            (host->stall_until <= now) && !host->is_asleep) {
            host_poll(host);
        }
    }
}

void host_wake(host_t *host)
{
    if (host->is_asleep) {
        host->is_asleep = 0;
        host->interval  = host->conf->poll_ns;
        host->next_poll = sim_now() + world_rnd(host->conf->poll_ns);
    }
}

/* When an application or the program does something next */
static uint64_t world_next(void)
{
    uint64_t now  = sim_now();
    uint64_t next = accident_next();
    uint64_t poll;
    host_t *host;
    unsigned i;

    if ((world.next_act < world.prog->num_acts) &&
        (world.prog->acts[world.next_act].time < next)) {
        next = world.prog->acts[world.next_act].time;
    }

    if ((world.next_fault < world.prog->num_faults) &&
        (world.prog->faults[world.next_fault].time < next)) {
        next = world.prog->faults[world.next_fault].time;
    }

    for (i = 0; i < world.prog->num_hosts; ++i) {
        host = &world.hosts[i];
        if (host->inst == NULL) {
            continue;
        }

        if (host->is_asleep) {
            if (!sim_port_is_signaled(host->inst->iface->port)) {
                continue;
            }

            host_wake(host);
        }

        if ((host->interval > host->conf->poll_ns) &&
            (sim_port_pending(host->inst->iface->port) > 0)) {
            host->interval = host->conf->poll_ns;
            poll           = now + host->interval;
            if (poll < host->next_poll) {
                host->next_poll = poll;
            }
        }

        poll = (host->stall_until > host->next_poll) ? host->stall_until :
                                                       host->next_poll;
        next = (poll < next) ? poll : next;
    }

    return next;
}

void world_step(uint64_t end)
{
    uint64_t next = world_next();
    uint64_t now  = sim_now();

    oracle_check(++world.steps < WORLD_MAX_STEPS, "hang", "more than %llu "
                 "steps", WORLD_MAX_STEPS);
    next = (next < end) ? next : end;
    if (next > now) {
        sim_step(next - now);
    } else {
        accident_end(0);
        world_faults();
        world_acts();
        world_polls();
    }
}

void world_run_until(uint64_t end)
{
    while (sim_now() < end) {
        world_step(end);
    }
}


/* Beginning to end --------------------------------------------------------- */

/* Until nothing is left of who closed. Its last words may have been lost. */
static uint64_t world_long(void)
{
    return WORLD_LONG + (WORLD_GONE * world.prog->params.peer_timeout_ns);
}

/* Close in random order, some after a while */
static void world_close(void)
{
    unsigned start = world_rnd(world.prog->num_hosts);
    host_t *host;
    unsigned i;

    for (i = 0; i < world.prog->num_hosts; ++i) {
        host = &world.hosts[(start + i) % world.prog->num_hosts];
        if (host->inst != NULL) {
            inst_close(host->inst);
            if (!world.prog->is_crowd && world_chance(50)) {
                world_run_until(sim_now() + world_rnd(3 * MSEC));
            }

            if (world.prog->is_long && (i == 0)) {
                world_run_until(sim_now() + world_long());
                inspect_long();
            }
        }
    }

    for (i = 0; i < world.prog->num_hosts; ++i) {
        host_cleanup(&world.hosts[i]);
    }
}

void world_run(const program_t *prog)
{
    world_begin(prog);
    world_run_until(prog->end + 1);
    world_end();
    world_close();
    sim_end();
    world_free();
}

void world_dump(void)
{
    const user_ep_t *ep;
    const inst_t *inst;
    unsigned i;

    printf("state at %lu ns, %lu steps:\n", (unsigned long)sim_now(),
           (unsigned long)world.steps);
    for (inst = world.insts; inst != NULL; inst = inst->next) {
        if (inst->iface != NULL) {
            inspect_dump(inst);
        }
    }

    for (i = 0; i < world.num_eps; ++i) {
        ep = world.eps[i];
        if (ep->is_open || (ep->delivered < ep->num_msgs)) {
            printf("  %s: sent %u delivered %u%s%s%s%s%s\n", ep_str(ep),
                   ep->num_msgs, ep->delivered, ep->is_open ? "" : " closed",
                   ep->is_lost ? " lost" : "", ep->is_failed ? " failed" : "",
                   ep->is_waiting ? " waits" : "",
                   (ep->queue != NULL) ? " queued:" : "");
            if (ep->queue != NULL) {
                printf("    %s\n", op_str(ep->queue));
            }
        }
    }
}
