/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "oracle.h"
#include "trace.h"

#include <stdlib.h>
#include <string.h>


/** A receive buffer that the application kept */
struct kept {
    kept_t     *next;
    vmp_rx_t   *rx;
    const void *data;
    const op_t *am;
};


/* Requests ----------------------------------------------------------------- */

static op_t *op_new(user_ep_t *ep, act_type_t type)
{
    op_t *op = calloc(1, sizeof(*op));

    world.ops                  = world_grow(world.ops, world.num_ops,
                                            &world.max_ops);
    op->id                     = world.num_ops;
    op->ep                     = ep;
    op->type                   = type;
    op->since                  = world_now();
    world.ops[world.num_ops++] = op;
    return op;
}

/* It found no room: ask to be called, or try again at the next turn */
static void app_refused(user_ep_t *ep, op_t *op)
{
    op->is_refused = 1;
    trace("  %s: no room", op_str(op));
    oracle_check((ep->ep.conn->block != 0) || !vmp_ep_is_ready(&ep->ep),
                 "refusal", "%s was refused, but its endpoint is ready",
                 op_str(op));
    if (ep->waits && !ep->is_waiting) {
        ep->is_waiting = 1;
        ep->turn       = ++world.stamp;
        vmp_ep_wait_ready(&ep->ep);
    }
}

static int app_pump_one(user_ep_t *ep)
{
    op_t *op = ep->queue;
    vmp_status_t status;

    status = post_op(op);
    if (status == VMP_ERR_NO_RESOURCE) {
        app_refused(ep, op);
        return 0;
    }

    ep->queue = op->next;
    if (ep->queue == NULL) {
        ep->queue_tail = &ep->queue;
    }

    if (status < 0) {
        op->state = OP_FAILED;
        oracle_lost(ep, status);
        return 0;
    }

    return 1;
}

void app_pump(user_ep_t *ep)
{
    if (ep->is_pumping) {
        return;
    }

    ep->is_pumping = 1;
    while ((ep->queue != NULL) && ep->is_open && !ep->is_lost &&
           app_pump_one(ep)) {
        if (ep->one_by_one && ep->is_waiting) {
            break;
        }
    }

    ep->is_pumping = 0;
}

op_t *app_request(user_ep_t *ep, const act_t *act)
{
    op_t *op;

    if (ep->is_lost) {
        return NULL;
    }

    op              = op_new(ep, act->type);
    op->length      = act->size;
    op->arg         = act->arg;
    *ep->queue_tail = op;
    ep->queue_tail  = &op->next;
    post_prepare(op);
    if (!ep->is_waiting) {
        app_pump(ep);
    }

    return op;
}

void app_cancel(user_ep_t *ep)
{
    op_t *op;

    if (ep->is_lost) {
        return;
    }

    while ((op = ep->queue) != NULL) {
        ep->queue = op->next;
        op->state = OP_FAILED;
    }

    if (ep->is_waiting && world_chance(50)) {
        ep->is_waiting = 0;
        vmp_ep_cancel_wait(&ep->ep);
    }

    ep->queue_tail = &ep->queue;
    op             = op_new(ep, ACT_FLUSH);
    op->is_cancel  = 1;
    oracle_cancelled(ep);
    *ep->queue_tail = op;
    ep->queue_tail  = &op->next;
    app_pump(ep);
}


/* Endpoints ---------------------------------------------------------------- */

user_ep_t *app_open(host_t *host, unsigned slot, inst_t *target)
{
    user_ep_t *ep = calloc(1, sizeof(*ep));
    vmp_status_t status;

    ep->id         = world.num_eps;
    ep->inst       = host->inst;
    ep->target     = target;
    ep->slot       = slot;
    ep->queue_tail = &ep->queue;
    ep->waits      = world_chance(70);
    ep->one_by_one = world_chance(30);
    ep->tag        = WORLD_MAX_TAG;
    ep->opened     = world_now();
    ep->asked      = target->attr.rail_addr;
    if (target->num_tags < WORLD_MAX_TAG) {
        ep->tag                  = target->num_tags++;
        target->by_tag[ep->tag] = ep;
    }

    pair_of_ep(ep)->had_ep     = 1;
    world.eps                  = world_grow(world.eps, world.num_eps,
                                            &world.max_eps);
    world.eps[world.num_eps++] = ep;
    host->slots[slot]          = ep;
    status = vmp_ep_create(host->inst->iface, &target->attr.rail_addr,
                           &target->attr.addr, &ep->ep);
    oracle_check(status == VMP_OK, "failure", "%s cannot be made: %d",
                 ep_str(ep), status);
    ep->is_open = 1;
    trace("%s opens, %s", ep_str(ep), ep->waits ? "waits" : "tries");
    return ep;
}

void app_close(user_ep_t *ep)
{
    host_t *host = ep->inst->host;

    trace("%s closes", ep_str(ep));
    ep->is_open    = 0;
    ep->is_waiting = 0;
    oracle_closing(ep);
    vmp_ep_destroy(&ep->ep);
    memset(&ep->ep, WORLD_POISON, sizeof(ep->ep));
    oracle_closed(ep);
    if (host->slots[ep->slot] == ep) {
        host->slots[ep->slot] = NULL;
    }
}

/* Callbacks may do anything that programs do */
static void app_in_callback(inst_t *inst)
{
    host_t *host = inst->host;
    user_ep_t *ep;
    unsigned slot;

    if (host->inst != inst) {
        return;
    }

    slot = world_rnd(PROG_MAX_SLOTS);
    ep   = host->slots[slot];
    if ((ep != NULL) && !ep->is_open) {
        return;                         /* being destroyed: it calls back */
    }

    if ((host->close_mask & (1u << slot)) && (ep != NULL) &&
        !ep->is_pumping) {
        host->close_mask &= ~(1u << slot);
        app_close(ep);
        return;
    }

    if ((ep != NULL) && !ep->is_waiting && (ep->queue != NULL) &&
        world_chance(host->conf->pump_percent)) {
        app_pump(ep);
    }
}

void app_turn(inst_t *inst)
{
    host_t *host = inst->host;
    user_ep_t *ep;
    unsigned i;

    for (i = 0; i < WORLD_SLOTS; ++i) {
        ep = host->slots[i];
        if (ep == NULL) {
            continue;
        }

        if (ep->is_failed && world_chance(20)) {
            app_close(ep);
        } else if (!ep->is_waiting && (ep->queue != NULL)) {
            app_pump(ep);
        }
    }

    if (inst->num_kept > 0) {
        app_release(inst, 0);
    }
}

int app_is_trying(const inst_t *inst)
{
    const user_ep_t *ep;
    unsigned i;

    for (i = 0; i < WORLD_SLOTS; ++i) {
        ep = inst->host->slots[i];
        if ((ep != NULL) && (ep->is_failed ||
            (!ep->is_waiting && (ep->queue != NULL)))) {
            return 1;
        }
    }

    return inst->num_kept > 0;
}

int app_is_sending(const inst_t *inst)
{
    uint32_t i;

    for (i = 0; i < inst->num_ops; ++i) {
        if ((inst->ops[i]->state == OP_POSTED) && inst->ops[i]->is_async) {
            return 1;
        }
    }

    return 0;
}


/* Receive buffers ---------------------------------------------------------- */

static void app_keep(inst_t *inst, vmp_rx_t *rx, void *data, const op_t *am)
{
    const vmp_iface_params_t *params = &world.prog->params;
    kept_t *kept                     = calloc(1, sizeof(*kept));
    uint8_t *priv                    = vmp_rx_priv(rx);

    oracle_check((vmp_rx_from_priv(priv) == rx) &&
                 ((priv + params->rx_priv + params->rx_headroom) ==
                  (uint8_t*)data), "receive-buffer", "the room before a "
                 "message of %s is not where it should be", ep_str(am->ep));
    memset(priv, WORLD_POISON, params->rx_priv + params->rx_headroom);
    kept->next = inst->kept;
    kept->rx   = rx;
    kept->data = data;
    kept->am   = am;
    inst->kept = kept;
    ++inst->num_kept;
}

void app_forget_kept(inst_t *inst)
{
    kept_t *kept;

    while ((kept = inst->kept) != NULL) {
        inst->kept = kept->next;
        free(kept);
    }

    inst->num_kept = 0;
}

void app_release(inst_t *inst, int all)
{
    kept_t **kept_p = &inst->kept;
    kept_t *kept;

    while ((kept = *kept_p) != NULL) {
        if (!all && !world_chance(15)) {
            kept_p = &kept->next;
            continue;
        }

        oracle_check(app_message_matches(kept->am, kept->data),
                     "receive-buffer", "kept %s has changed",
                     op_str(kept->am));
        *kept_p = kept->next;
        --inst->num_kept;
        vmp_rx_release(kept->rx);
        free(kept);
    }
}


/* What the core calls ------------------------------------------------------ */

static int app_am(void *arg, uint8_t am_id, void *data, size_t length,
                  vmp_rx_t *rx)
{
    inst_t *inst = arg;
    op_t *am     = oracle_message(inst, am_id, data, length);
    int keep     = (rx != NULL) && !world.is_ending &&
                   world_chance(inst->host->conf->keep_percent);

    if (keep) {
        app_keep(inst, rx, data, am);
    }

    app_in_callback(inst);
    if (!keep) {
        /* ours until return */
        memset(data, WORLD_POISON, length);
    }

    return keep;
}

static void app_complete(void *arg, void *comp, vmp_status_t status)
{
    oracle_complete(comp, status);
    app_in_callback(arg);
}

static void app_unpack(void *arg, void (*unpack)(void), void *unpack_arg,
                       const void *data, size_t length)
{
    (void)unpack;
    oracle_unpack(unpack_arg, data, length);
    app_in_callback(arg);
}

static int app_ep_ready(void *arg, vmp_ep_t *vmp_ep)
{
    user_ep_t *ep = (user_ep_t*)vmp_ep;

    oracle_ready(ep);
    app_pump(ep);
    app_in_callback(arg);
    if (!ep->is_open) {
        return 0;
    }

    ep->is_waiting = (ep->queue != NULL) && !ep->is_lost;
    return ep->is_waiting;
}

static void app_ep_failed(void *arg, vmp_ep_t *vmp_ep, vmp_status_t status)
{
    user_ep_t *ep = (user_ep_t*)vmp_ep;

    oracle_failed(ep, status);
    if (world_chance(40)) {
        app_close(ep);
    }

    app_in_callback(arg);
}

const vmp_iface_ops_t app_ops = {
    .am        = app_am,
    .complete  = app_complete,
    .unpack    = app_unpack,
    .ep_ready  = app_ep_ready,
    .ep_failed = app_ep_failed
};
