/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The accidents of a random program */
#define FAULTS_LONG_RNR  20             /* 10 ms */
#define FAULTS_TRIES     10
#define FAULTS_GONE      25             /* percent, among other accidents */


static rnd_t    *faults_rnd;
static uint64_t faults_begin;           /* ns */


static uint32_t rnd(uint32_t num)
{
    return rnd_below(faults_rnd, num);
}

static int chance(unsigned percent)
{
    return rnd(100) < percent;
}

/* Soon after something was begun */
static void make_untimely(const program_t *prog, fault_t *fault)
{
    uint64_t time = prog->acts[rnd(prog->num_acts)].time;

    time += rnd_log(faults_rnd, 100, 500000);
    if ((time + ((fault->size > FAULT_WINDOW) ? 0 : fault->size)) <
        (faults_begin + FAULT_WINDOW)) {
        fault->time = time;
    }
}

/* A message of which a part may come alone */
static int is_long(const program_t *prog, const act_t *act)
{
    uint32_t burst = prog->burst * (128u << prog->params.port.path_mtu);

    return ((act->type == ACT_AM_BCOPY) || (act->type == ACT_AM_ZCOPY)) &&
           (act->size > burst) && (prog->params.seg_size > burst);
}

/* HALF: where the endpoint of a long message goes */
static void make_half(const program_t *prog, fault_t *fault)
{
    const act_t *act = NULL;
    unsigned i;

    for (i = 0; (i < FAULTS_TRIES) &&
         ((act == NULL) || !is_long(prog, act)); ++i) {
        act = &prog->acts[rnd(prog->num_acts)];
    }

    fault->host = act->host;
    for (i = act - prog->acts; (i > 0) &&
         ((prog->acts[i].type != ACT_OPEN) ||
          (prog->acts[i].host != act->host) ||
          (prog->acts[i].slot != act->slot)); --i);
    if (prog->acts[i].type == ACT_OPEN) {
        fault->peer = prog->acts[i].peer;
    }
}

/* Those that VMP_SIM_ACCIDENTS names, e.g. "cut late-err" */
static unsigned make_kinds(uint8_t *kinds)
{
    const char *list = getenv("VMP_SIM_ACCIDENTS");
    unsigned num     = 0;
    unsigned kind;
    size_t len;

    for (; (list != NULL) && (*list != '\0'); list += strspn(list, " ")) {
        len = strcspn(list, " ");
        for (kind = 0; (kind < FAULT_LAST) &&
             ((strlen(fault_name(kind)) != len) ||
              (strncmp(fault_name(kind), list, len) != 0)); ++kind);
        if ((kind == FAULT_LAST) || (num == FAULT_LAST)) {
            printf("VMP_SIM_ACCIDENTS: no accident is \"%s\"\n", list);
            exit(2);
        }

        kinds[num++] = kind;
        list        += len;
    }

    return num;
}

/* Both ends of a connection are to move, so that neither knows where the other
 * one is: one host after the other */
static int is_move(unsigned kind)
{
    return (kind == FAULT_ADDRESS) || (kind == FAULT_SILENT);
}

/* What devices do with dying QPs shows where some die, and in programs that
 * have nothing else none would */
static unsigned make_killer(void)
{
    static const uint8_t killers[] = {FAULT_CUT, FAULT_BLACKOUT, FAULT_BREAK,
                                      FAULT_EXECUTED, FAULT_HALF};

    return killers[rnd(sizeof(killers))];
}

static unsigned make_kind(const program_t *prog, unsigned one)
{
    unsigned kind = (one > 0) ? one - 1 : rnd(FAULT_LAST);

    if ((one > 0) && fault_is_of_dying(kind) && (prog->num_faults > 0) &&
        rnd(2)) {
        return make_killer();
    }

    if (one > 0) {
        return kind;
    }

    /* these excuse too much */
    return (kind == FAULT_OUTAGE) ? FAULT_BLACKOUT :
           ((kind == FAULT_GONE) && !chance(FAULTS_GONE)) ? FAULT_UNPLUG : kind;
}

static fault_t *make_fault(program_t *prog, unsigned kind, int is_alone)
{
    fault_t *fault = &prog->faults[prog->num_faults++];

    fault_random(fault, kind, faults_begin, is_alone, prog->num_hosts,
                 prog->num_links, rnd);
    if (kind == FAULT_HALF) {
        make_half(prog, fault);
    } else if (chance(70)) {
        make_untimely(prog, fault);
    }

    return fault;
}

void program_make_faults(program_t *prog, rnd_t *rnd_of_prog, uint64_t begin)
{
    uint8_t kinds[FAULT_LAST];
    unsigned num_kinds = make_kinds(kinds);
    unsigned num, one, host, kind;
    fault_t *fault;

    faults_rnd   = rnd_of_prog;
    faults_begin = begin;

    num  = 1 + rnd(chance(70) ? 3 : 10);
    one  = chance(40) ? 1 + rnd(FAULT_LAST) : 0;
    host = rnd(prog->num_hosts);
    num += (one > 0) && (is_move(one - 1) || fault_is_of_dying(one - 1));
    for (; num > 0; --num) {
        kind  = make_kind(prog, one);
        kind  = (num_kinds > 0) ? kinds[rnd(num_kinds)] : kind;
        fault = make_fault(prog, kind, (one > 0) && (num_kinds == 0));
        if ((one > 0) && is_move(kind)) {
            fault->host = host++ % prog->num_hosts;
        }

        if ((kind == FAULT_BUFFER_BACK) && (num_kinds == 0)) {
            (void)make_fault(prog, FAULT_HALF, 0);
        }
    }
}

void program_sort_faults(program_t *prog)
{
    fault_t *faults = prog->faults;
    fault_t fault;
    unsigned i, j;

    for (i = 1; i < prog->num_faults; ++i) {
        fault = faults[i];
        for (j = i; (j > 0) && (faults[j - 1].time > fault.time); --j) {
            faults[j] = faults[j - 1];
        }

        faults[j] = fault;
    }

    prog->end                       = prog->acts_end;
    prog->params.port.min_rnr_timer = prog->min_rnr_timer;
    for (i = 0; i < prog->num_faults; ++i) {
        if (fault_end(&faults[i]) > prog->end) {
            prog->end = fault_end(&faults[i]);
        }

        if ((faults[i].size > FAULT_WINDOW) &&
            (prog->params.port.min_rnr_timer < FAULTS_LONG_RNR)) {
            /* who does not poll for so long is asked not so often */
            prog->params.port.min_rnr_timer = FAULTS_LONG_RNR;
        }
    }
}

