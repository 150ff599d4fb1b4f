/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "oracle.h"

#include "core/vmp_frame.h"
#include "port/sim/sim.h"

#include <stdlib.h>
#include <string.h>

/*
 * What the responders' NICs execute, as the simulated port tells: which
 * messages have arrived there, so that a flush can be judged exactly; and that
 * no byte of a put is written twice, or after its put was complete.
 */


/** Messages of one connection that have arrived at an interface */
struct arrived {
    arrived_t *next;
    uint32_t  conn;
    uint32_t  incarn;
    uint8_t   *sns;                     /* a byte each */
    uint32_t  max;
};

/** Bytes of a put that were executed */
struct piece {
    piece_t  *next;
    uint32_t begin;
    uint32_t end;
};


/* Messages ----------------------------------------------------------------- */

static arrived_t *arrived_find(const inst_t *inst, uint32_t conn,
                               uint32_t incarn)
{
    arrived_t *arrived = inst->arrived;

    while ((arrived != NULL) && ((arrived->conn != conn) ||
                                 (arrived->incarn != incarn))) {
        arrived = arrived->next;
    }

    return arrived;
}

static void arrived_add(inst_t *inst, const vmp_frame_t *frame)
{
    arrived_t *arrived = arrived_find(inst, frame->conn, frame->incarn);
    uint32_t max;

    if (arrived == NULL) {
        arrived         = calloc(1, sizeof(*arrived));
        arrived->conn   = frame->conn;
        arrived->incarn = frame->incarn;
        arrived->next   = inst->arrived;
        inst->arrived   = arrived;
    }

    oracle_check(frame->sn < (1u << 20), "sn", "host %u got a frame with SN "
                 "%u", inst->host->index, frame->sn);
    if (frame->sn >= arrived->max) {
        max          = (2 * frame->sn) + 64;
        arrived->sns = realloc(arrived->sns, max);
        memset(arrived->sns + arrived->max, 0, max - arrived->max);
        arrived->max = max;
    }

    arrived->sns[frame->sn] = 1;
}

void exec_check_arrived(const op_t *am, const char *rule)
{
    const inst_t *inst = am->ep->target;
    const arrived_t *arrived;

    if (inst->is_closed) {
        return;
    }

    arrived = arrived_find(inst, am->peer_conn, am->peer_incarn);
    oracle_check((arrived != NULL) && (am->sn < arrived->max) &&
                 arrived->sns[am->sn], rule, "%s is complete before it has "
                 "arrived", op_str(am));
}

static void exec_send(inst_t *inst, const sim_exec_t *exec)
{
    vmp_frame_t frame;

    if (((exec->offset + exec->length) == exec->total) &&
        (vmp_frame_unpack((void*)(uintptr_t)(exec->addr - exec->offset),
                          exec->total, &frame) == 0) &&
        (frame.type == VMP_FRAME_AM)) {
        arrived_add(inst, &frame);
    }
}


/* Puts --------------------------------------------------------------------- */

static int is_put(const op_t *op)
{
    return (op->type >= ACT_PUT_SHORT) && (op->type <= ACT_PUT_ZCOPY) &&
           (op->length > 0);
}

/* Whether it has its bytes there */
static int is_from(const op_t *op, uint64_t local)
{
    return is_put(op) && (local >= op->local) &&
           (local < (op->local + op->length));
}

static inst_t *find_inst(const vmp_port_t *port)
{
    inst_t *inst;

    for (inst = world.insts; (inst != NULL) && ((inst->iface == NULL) ||
                                                (inst->iface->port != port));
         inst = inst->next);
    return inst;
}

/* A put is known by the memory that it is posted from, at first and when it is
 * done again: by that which the core copied it to in the call, or else by that
 * of its user. Who had the same memory last is meant. */
void *exec_written(void *arg, vmp_port_t *port, const vmp_sge_t *sge,
                   uint64_t remote_addr)
{
    const inst_t *inst = find_inst(port);
    op_t *op           = world.calling;
    uint32_t i;

    (void)arg;
    if ((op != NULL) && is_put(op) && (op->buf == NULL) &&
        (remote_addr == ((uintptr_t)op->region->data + op->offset))) {
        op->local = sge->addr;
    }

    if ((op != NULL) && is_from(op, sge->addr)) {
        return op;
    }

    for (i = (inst == NULL) ? 0 : inst->num_ops; i > 0; --i) {
        if (is_from(inst->ops[i - 1], sge->addr)) {
            return inst->ops[i - 1];
        }
    }

    return NULL;
}

/* Devices that do not know the PSN of a dead QP: puts are at-least-once (R7) */
static int is_twice_allowed(const op_t *op)
{
    return (pair_of_ep(op->ep)->happened & (1ull << FAULT_NO_PSN)) != 0;
}

static void piece_add(op_t *op, uint32_t begin, uint32_t end)
{
    piece_t *next = NULL;
    piece_t *piece;

    for (piece = op->pieces; piece != NULL; piece = piece->next) {
        if ((end > piece->begin) && (begin < piece->end)) {
            oracle_check(is_twice_allowed(op), "twice", "bytes %u to %u of %s "
                         "were written again", begin, end, op_str(op));
            return;
        }

        next = (piece->end == begin) ? piece : next;
    }

    if (next != NULL) {
        next->end = end;
        return;
    }

    piece        = calloc(1, sizeof(*piece));
    piece->begin = begin;
    piece->end   = end;
    piece->next  = op->pieces;
    op->pieces   = piece;
}

static void exec_write(const region_t *region, const sim_exec_t *exec)
{
    uint64_t begin = exec->addr - (uintptr_t)region->data;
    op_t *op;

    if ((exec->length == 0) || (begin >= region->size)) {
        return;
    }

    op = exec->owner;
    oracle_check((op != NULL) && (op->region == region) &&
                 (begin >= op->offset) &&
                 ((begin + exec->length) <= (op->offset + op->length)),
                 "ghost", "bytes %lu to %lu of host %u's memory are written by "
                 "what is not %s", (unsigned long)begin,
                 (unsigned long)begin + exec->length, region->host->index,
                 (op == NULL) ? "a put" : op_str(op));
    begin -= op->offset;
    oracle_check(op->completed == 0, "ghost", "bytes %lu to %lu of %s are "
                 "written when it is complete", (unsigned long)begin,
                 (unsigned long)begin + exec->length, op_str(op));
    piece_add(op, begin, begin + exec->length);
}


/* -------------------------------------------------------------------------- */

void exec_observe(void *arg, const sim_exec_t *exec)
{
    inst_t *inst = find_inst(exec->at);

    (void)arg;
    if (inst == NULL) {
        return;
    }

    if (exec->kind == SIM_EXEC_SEND) {
        exec_send(inst, exec);
    } else if (exec->kind == SIM_EXEC_WRITE) {
        exec_write(inst->region, exec);
    }
}

void exec_free_op(op_t *op)
{
    piece_t *piece;

    while ((piece = op->pieces) != NULL) {
        op->pieces = piece->next;
        free(piece);
    }
}

void exec_free_inst(inst_t *inst)
{
    arrived_t *arrived;

    while ((arrived = inst->arrived) != NULL) {
        inst->arrived = arrived->next;
        free(arrived->sns);
        free(arrived);
    }
}
