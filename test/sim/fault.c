/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "fault.h"

#include "port/port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USEC         1000ull
#define MSEC         (1000 * USEC)
#define SEC          (1000 * MSEC)
#define SIZE_MIN     100000u            /* ns */
#define SIZE_MAX_NS  1000000000u
#define OUTAGE_MIN   (12 * SEC)         /* peer timeout, and RC's retries */
#define GONE_MORE    (14 * SEC)         /* who tries without waiting is told
                                           late, see told.c */
#define LONG_MIN     (9 * SEC)          /* peer timeout */

/* What a kind is about */
#define OF_HOST      0x1
#define OF_PEER      0x2
#define OF_LINK      0x4
#define OF_PATH      0x8
#define OF_PAIR      (OF_HOST | OF_PEER)
#define OF_ONE_LINK  (OF_PAIR | OF_LINK)
#define OF_ONE_PATH  (OF_PAIR | OF_PATH)
#define IS_MOMENT    0x10
#define ONE_WAY_TOO  0x20               /* if the line says so */
#define OF_ANY_WAY   (OF_ONE_LINK | ONE_WAY_TOO)


static const struct {
    const char *name;
    unsigned   of;
    const char *word;                   /* of `arg`; NULL: none */
    uint32_t   min;
    uint32_t   max;
} kinds[FAULT_LAST] = {
    [FAULT_CUT]         = {"cut", OF_ONE_LINK, NULL, 0, 0},
    [FAULT_ONE_WAY]     = {"cut-one-way", OF_ONE_LINK, NULL, 0, 0},
    [FAULT_FLAP]        = {"flap", OF_ANY_WAY, "us", 100, 200000},
    [FAULT_SLOW]        = {"slow", OF_ANY_WAY, "permille", 1, 999},
    [FAULT_DELAY]       = {"delay", OF_ANY_WAY, "us", 1, 5000},
    [FAULT_LOSS]        = {"loss", OF_ANY_WAY, "ppm", 1000, 900000},
    [FAULT_TWICE]       = {"twice", OF_ANY_WAY, "ppm", 1000, 500000},
    [FAULT_LATE]        = {"late", OF_ANY_WAY, "us", 1, 100000},
    [FAULT_BLACKOUT]    = {"blackout", OF_PAIR, NULL, 0, 0},
    [FAULT_OUTAGE]      = {"outage", OF_PAIR, NULL, 0, 0},
    [FAULT_CTL_LOSS]    = {"ctl-loss", 0, "permille", 1, 1000},
    [FAULT_CTL_TWICE]   = {"ctl-twice", 0, "permille", 1, 1000},
    [FAULT_CTL_LATE]    = {"ctl-late", 0, "us", 1, 200000},
    [FAULT_CTL_HOLE]    = {"ctl-blackhole", OF_PAIR, NULL, 0, 0},
    [FAULT_BREAK]       = {"break", OF_ONE_PATH | IS_MOMENT, "status",
                           VMP_WC_FLUSHED, VMP_WC_OTHER},
    [FAULT_REFUSE]      = {"refuse", OF_ONE_PATH | IS_MOMENT, "status",
                           VMP_WC_RETRY_EXC, VMP_WC_OTHER},
    [FAULT_EXECUTED]    = {"executed", OF_ONE_PATH | IS_MOMENT, "status",
                           VMP_WC_RETRY_EXC, VMP_WC_OTHER},
    [FAULT_HALF]        = {"half", OF_PAIR, "status", VMP_WC_RETRY_EXC,
                           VMP_WC_OTHER},
    [FAULT_MUTE]        = {"mute", OF_ONE_PATH, NULL, 0, 0},
    [FAULT_STUCK]       = {"stuck", OF_ONE_PATH | IS_MOMENT, NULL, 0, 0},
    [FAULT_LATE_ERR]    = {"late-err", 0, "us", 1, 100000},
    [FAULT_LATE_LAST]   = {"late-last", 0, "us", 1, 100000},
    [FAULT_NO_LAST]     = {"no-last", 0, NULL, 0, 0},
    [FAULT_BUFFER_BACK] = {"buffer-back", 0, "status", VMP_WC_FLUSHED,
                           VMP_WC_OTHER},
    [FAULT_RNR]         = {"rnr", 0, "ppm", 1000, 900000},
    [FAULT_NO_PSN]      = {"no-rq-psn", 0, NULL, 0, 0},
    [FAULT_NO_POST]     = {"no-post", 0, "ppm", 1000, 100000},
    [FAULT_NO_QP]       = {"no-qp", 0, NULL, 0, 0},
    [FAULT_NO_CONNECT]  = {"no-connect", 0, "ppm", 10000, 1000000},
    [FAULT_STALL]       = {"stall", OF_HOST, NULL, 0, 0},
    [FAULT_HELPER]      = {"helper-stall", OF_HOST, NULL, 0, 0},
    [FAULT_FREEZE]      = {"freeze", OF_HOST, NULL, 0, 0},
    [FAULT_PORT_DOWN]   = {"port-down", OF_HOST | IS_MOMENT, NULL, 0, 0},
    [FAULT_PORT_UP]     = {"port-up", OF_HOST | IS_MOMENT, NULL, 0, 0},
    [FAULT_UNPLUG]      = {"unplug", OF_HOST, "us", 1, 200000},
    [FAULT_EARLY]       = {"early-unplug", OF_HOST, "us", 1, 200000},
    [FAULT_ADDRESS]     = {"new-address", OF_HOST | IS_MOMENT, "us", 0, 200000},
    [FAULT_SILENT]      = {"silent-address", OF_HOST | IS_MOMENT, NULL, 0, 0},
    [FAULT_DEVICE]      = {"device-fail", OF_HOST, "us", 0, 200000},
    [FAULT_CQ]          = {"cq-fail", OF_HOST, NULL, 0, 0},
    [FAULT_KILL]        = {"kill", OF_HOST, NULL, 0, 0},
    [FAULT_GONE]        = {"gone", OF_HOST, NULL, 0, 0}
};

static const char *const statuses[] = {
    [VMP_WC_SUCCESS]     = "success",
    [VMP_WC_FLUSHED]     = "flushed",
    [VMP_WC_RETRY_EXC]   = "retry",
    [VMP_WC_RNR_EXC]     = "rnr",
    [VMP_WC_LOC_ERR]     = "local",
    [VMP_WC_REM_ACCESS]  = "access",
    [VMP_WC_REM_INV_REQ] = "invalid",
    [VMP_WC_REM_OP]      = "operation",
    [VMP_WC_OTHER]       = "other"
};


const char *fault_name(fault_kind_t kind)
{
    return kinds[kind].name;
}

int fault_is_moment(fault_kind_t kind)
{
    return (kinds[kind].of & IS_MOMENT) != 0;
}

int fault_may_be_one_way(fault_kind_t kind)
{
    return (kinds[kind].of & ONE_WAY_TOO) != 0;
}

int fault_is_unplug(fault_kind_t kind)
{
    return (kind == FAULT_UNPLUG) || (kind == FAULT_EARLY) ||
           (kind == FAULT_GONE);
}

int fault_is_outage(fault_kind_t kind)
{
    return (kind == FAULT_OUTAGE) || (kind == FAULT_GONE);
}

uint64_t fault_end(const fault_t *fault)
{
    uint64_t end = fault->time + fault->size;

    return (fault_is_unplug(fault->kind) || (fault->kind == FAULT_ADDRESS)) ?
           end + (fault->arg * USEC) : end;
}

int fault_is_of_dying(fault_kind_t kind)
{
    return ((kind >= FAULT_LATE_ERR) && (kind <= FAULT_BUFFER_BACK)) ||
           (kind == FAULT_NO_PSN);
}

/* Host and peer the same: everybody */
int fault_is_on(const fault_t *fault, unsigned from, unsigned to)
{
    int is_one_way = fault->is_one_way || (fault->kind == FAULT_ONE_WAY) ||
                     (fault->kind == FAULT_CTL_HOLE);

    if (fault_is_unplug(fault->kind)) {
        return (from != to) && ((fault->host == from) || (fault->host == to));
    }

    return (fault->host == fault->peer) ||
           ((fault->host == from) && (fault->peer == to)) ||
           (!is_one_way && (fault->host == to) && (fault->peer == from));
}

int fault_is_on_link(const fault_t *fault, unsigned link, unsigned num_links)
{
    return (fault->kind >= FAULT_BLACKOUT) ||
           ((fault->link % num_links) == link);
}


/* Random ones -------------------------------------------------------------- */

static uint32_t max_of(uint32_t a, uint32_t b)
{
    return (a > b) ? a : b;
}

/* Each magnitude as likely as the other */
static uint32_t between(uint32_t min, uint32_t max,
                        uint32_t (*rnd)(uint32_t num))
{
    unsigned lo    = 31 - __builtin_clz(min);
    unsigned hi    = 31 - __builtin_clz(max);
    uint32_t value = 1u << (lo + rnd(hi - lo + 1));

    value += rnd(value);
    return (value < min) ? min : (value > max) ? max : value;
}

/* What a peer has to wait for, however long it takes (R5): a process that does
 * not run, control that is not heard while paths carry */
static int may_be_long(fault_kind_t kind)
{
    return (kind == FAULT_STALL) || (kind == FAULT_HELPER) ||
           (kind == FAULT_FREEZE) || (kind == FAULT_CTL_HOLE);
}

static int is_device(fault_kind_t kind)
{
    return (kind == FAULT_DEVICE) || (kind == FAULT_CQ);
}

void fault_random(fault_t *fault, fault_kind_t kind, uint64_t begin,
                  int is_alone, unsigned num_hosts, unsigned num_links,
                  uint32_t (*rnd)(uint32_t num))
{
    uint64_t end = begin;

    *fault = (fault_t){.kind = kind, .host = rnd(num_hosts)};
    /* most of it happens while there is traffic */
    fault->time = begin + between(1000, rnd(4) ? 20000000 : 1200000000, rnd);
    if (kind == FAULT_GONE) {
        fault->size = OUTAGE_MIN + (rnd(GONE_MORE / USEC) * USEC);
    } else if ((kind == FAULT_OUTAGE) ||
               (is_alone && is_device(kind) && (rnd(3) == 0))) {
        fault->size = OUTAGE_MIN + rnd(2 * SEC);
    } else if (is_alone && may_be_long(kind) && (rnd(3) == 0)) {
        fault->size = LONG_MIN + rnd(2 * SEC);
    } else if (!fault_is_moment(kind)) {
        fault->size = between(SIZE_MIN, SIZE_MAX_NS, rnd);
        end        += FAULT_WINDOW;
        if ((fault_is_of_dying(kind) && (is_alone || rnd(2))) ||
            (kind == FAULT_HALF)) {
            fault->time = begin;        /* whenever it can */
            fault->size = FAULT_WINDOW;
        } else if ((fault->time + fault->size) > end) {
            fault->size = end - fault->time;
        }
    }

    if (kinds[kind].of & OF_PEER) {
        fault->peer = (fault->host + 1 + rnd(num_hosts - 1)) % num_hosts;
    }

    if (kinds[kind].of & OF_LINK) {
        fault->link = rnd(num_links);
    } else if (kinds[kind].of & OF_PATH) {
        fault->link = rnd(8);
    }

    if ((kinds[kind].word != NULL) && ((kinds[kind].min > 0) || rnd(2))) {
        fault->arg = between(max_of(kinds[kind].min, 1), kinds[kind].max, rnd);
    }

    if (kinds[kind].of & ONE_WAY_TOO) {
        fault->is_one_way = rnd(2);
    }
}


/* Text --------------------------------------------------------------------- */

static const char *time_str(uint64_t ns, char *buf, unsigned max)
{
    if ((ns % 1000) != 0) {
        snprintf(buf, max, "%luns", (unsigned long)ns);
    } else if ((ns % MSEC) != 0) {
        snprintf(buf, max, "%luus", (unsigned long)(ns / USEC));
    } else {
        snprintf(buf, max, "%lums", (unsigned long)(ns / MSEC));
    }

    return buf;
}

const char *fault_str(const fault_t *fault, char *buf, unsigned max)
{
    unsigned of = kinds[fault->kind].of;
    char time[32];
    int len;

    len = snprintf(buf, max, "at %s ", time_str(fault->time, time,
                                                sizeof(time)));
    if (!(of & IS_MOMENT)) {
        len += snprintf(buf + len, max - len, "for %s ",
                        time_str(fault->size, time, sizeof(time)));
    }

    len += snprintf(buf + len, max - len, "%s", kinds[fault->kind].name);
    if (of & OF_HOST) {
        len += snprintf(buf + len, max - len, " host %u", fault->host);
    }

    if (of & OF_PEER) {
        len += snprintf(buf + len, max - len, " peer %u", fault->peer);
    }

    if (of & (OF_LINK | OF_PATH)) {
        len += snprintf(buf + len, max - len, " %s %u",
                        (of & OF_LINK) ? "link" : "path", fault->link);
    }

    if (kinds[fault->kind].word == NULL) {
        return buf;
    }

    if (strcmp(kinds[fault->kind].word, "status") == 0) {
        snprintf(buf + len, max - len, " status %s", statuses[fault->arg]);
    } else {
        snprintf(buf + len, max - len, " %s %u%s", kinds[fault->kind].word,
                 fault->arg, fault->is_one_way ? " one-way" : "");
    }

    return buf;
}

static int time_parse(const char *text, uint64_t *ns_p)
{
    char *unit;
    double value = strtod(text, &unit);

    if ((unit == text) || (value < 0)) {
        return -1;
    }

    value *= !strcmp(unit, "ns") ? 1 : !strcmp(unit, "us") ? USEC :
             !strcmp(unit, "ms") ? MSEC : !strcmp(unit, "s") ? SEC : -1.0;
    *ns_p  = (uint64_t)(value + 0.5);
    return (value < 0) ? -1 : 0;
}

static int kind_parse(const char *text)
{
    int kind;

    for (kind = 0; (kind < FAULT_LAST) && strcmp(kinds[kind].name, text);
         ++kind);
    return (kind == FAULT_LAST) ? -1 : kind;
}

static int arg_parse(fault_t *fault, const char *word, const char *text)
{
    unsigned of        = kinds[fault->kind].of;
    const char *want   = kinds[fault->kind].word;
    unsigned long value;
    unsigned i;
    char *end;

    if ((want != NULL) && !strcmp(word, "status") && !strcmp(want, word)) {
        for (i = 0; i <= VMP_WC_OTHER; ++i) {
            if (!strcmp(statuses[i], text)) {
                fault->arg = i;
                return 0;
            }
        }
        return -1;
    }

    value = strtoul(text, &end, 10);
    if ((*end != '\0') || (end == text)) {
        return -1;
    }

    if (!strcmp(word, "host") && (of & OF_HOST)) {
        fault->host = value;
    } else if (!strcmp(word, "peer") && (of & OF_PEER)) {
        fault->peer = value;
    } else if ((!strcmp(word, "link") && (of & OF_LINK)) ||
               (!strcmp(word, "path") && (of & OF_PATH))) {
        fault->link = value;
    } else if ((want != NULL) && !strcmp(word, want)) {
        fault->arg = value;
    } else {
        return -1;
    }

    return 0;
}

int fault_parse(const char *line, fault_t *fault, char *buf, unsigned max)
{
    char words[16][32];
    unsigned num = 0;
    unsigned i   = 2;
    int len;
    int kind;

    while ((num < 16) && (sscanf(line, " %31s%n", words[num], &len) == 1)) {
        line += len;
        ++num;
    }

    *fault = (fault_t){.size = MSEC};
    if ((num < 3) || strcmp(words[0], "at") ||
        (time_parse(words[1], &fault->time) != 0)) {
        snprintf(buf, max, "does not begin with \"at TIME\"");
        return -1;
    }

    if (!strcmp(words[i], "for")) {
        if ((num < 5) || (time_parse(words[3], &fault->size) != 0)) {
            snprintf(buf, max, "no time after \"for\"");
            return -1;
        }
        i += 2;
    }

    kind = kind_parse(words[i]);
    if (kind < 0) {
        snprintf(buf, max, "no accident has the name \"%s\"", words[i]);
        return -1;
    }

    fault->kind = kind;
    fault->arg  = kinds[kind].min;
    if (!strcmp(words[num - 1], "one-way") && (kinds[kind].of & ONE_WAY_TOO)) {
        fault->is_one_way = 1;
        --num;
    }

    for (++i; i < num; i += 2) {
        if (((i + 1) == num) ||
            (arg_parse(fault, words[i], words[i + 1]) != 0)) {
            snprintf(buf, max, "\"%s\" does not have \"%s\" like that",
                     kinds[kind].name, words[i]);
            return -1;
        }
    }

    if (fault_is_moment(kind)) {
        fault->size = 0;
    }

    return 0;
}
