/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "driver.h"
#include "shrink.h"
#include "trace.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SHRINK_SECONDS  20              /* of one try */
#define SHRINK_TOTAL    120             /* s */
#define SHRINK_FAULT_MIN  1000          /* ns: that an accident lasts */


int shrink_is_child;


void shrink_parse(program_t *prog, const char *list)
{
    unsigned long first;
    unsigned long last;
    char *end;

    while ((list != NULL) && (*list != '\0')) {
        first = last = strtoul(list, &end, 10);
        if (*end == '-') {
            last = strtoul(end + 1, &end, 10);
        }

        for (; (first <= last) && (first < prog->num_acts); ++first) {
            prog->acts[first].is_off = 1;
        }

        list = (*end == ',') ? end + 1 : NULL;
    }
}

/* Run it in a process of its own. `text` gets the rule that it breaks. */
static int try_run(const program_t *prog, char *text, size_t max)
{
    int fds[2];
    ssize_t len;
    pid_t pid;
    char *end;
    int ret;

    fflush(stdout);
    if (pipe(fds) != 0) {
        abort();
    }

    pid = fork();
    if (pid == 0) {
        shrink_is_child = 1;
        trace_level     = 0;
        dup2(fds[1], STDOUT_FILENO);
        alarm(SHRINK_SECONDS);
        world_run(prog);
        fflush(stdout);
        _exit(0);
    }

    close(fds[1]);
    len = read(fds[0], text, max - 1);
    close(fds[0]);
    waitpid(pid, &ret, 0);
    text[(len > 0) ? len : 0] = '\0';

    /* up to the rule's name: times and numbers change */
    end = strstr(text, "is broken at");
    if (end != NULL) {
        *end = '\0';
    }

    return ret != 0;
}

/* Leave out `num` acts from `first` on. Return 1 if it still fails alike. */
static int try_without(program_t *prog, unsigned first, unsigned num,
                       const char *want)
{
    uint8_t *old = malloc(num);
    int changes  = 0;
    char text[512];
    unsigned i;

    for (i = 0; i < num; ++i) {
        old[i]   = prog->acts[first + i].is_off;
        changes |= !old[i];
        prog->acts[first + i].is_off = 1;
    }

    if (changes && try_run(prog, text, sizeof(text)) &&
        (strcmp(text, want) == 0)) {
        free(old);
        return 1;
    }

    for (i = 0; i < num; ++i) {
        prog->acts[first + i].is_off = old[i];
    }

    free(old);
    return 0;
}

/* The same with accident `i` as `fault` has it */
static int try_fault(program_t *prog, unsigned i, fault_t fault,
                     const char *want)
{
    fault_t old = prog->faults[i];
    char text[512];

    prog->faults[i] = fault;
    if (try_run(prog, text, sizeof(text)) && (strcmp(text, want) == 0)) {
        return 1;
    }

    prog->faults[i] = old;
    return 0;
}

/* With less of its argument it is less of an accident */
static int is_milder(const fault_t *fault)
{
    switch (fault->kind) {
    case FAULT_DELAY:
    case FAULT_LOSS:
    case FAULT_TWICE:
    case FAULT_LATE:
    case FAULT_CTL_LOSS:
    case FAULT_LATE_ERR:
    case FAULT_LATE_LAST:
    case FAULT_RNR:
    case FAULT_NO_POST:
    case FAULT_NO_CONNECT:
        return fault->arg > 0;
    default:
        return 0;
    }
}

/* Without accidents, or with shorter and milder ones. Return how many changes
 * went. */
static unsigned try_faults(program_t *prog, const char *want, time_t end)
{
    unsigned num = 0;
    fault_t fault;
    unsigned part;
    unsigned i;

    for (i = 0; (i < prog->num_faults) && (time(NULL) < end); ++i) {
        fault        = prog->faults[i];
        fault.is_off = 1;
        if (prog->faults[i].is_off || try_fault(prog, i, fault, want)) {
            num += !prog->faults[i].is_off;
            continue;
        }

        for (part = 8; part > 1; part /= 4) {
            for (fault = prog->faults[i], fault.size /= part;
                 (fault.size >= SHRINK_FAULT_MIN) && (time(NULL) < end) &&
                 try_fault(prog, i, fault, want); fault.size /= part) {
                ++num;
            }
        }

        for (fault = prog->faults[i], fault.arg /= 2;
             is_milder(&fault) && (time(NULL) < end) &&
             try_fault(prog, i, fault, want); fault.arg /= 2) {
            ++num;
        }
    }

    return num;
}

/* Without acts, many at a time first. Return how often it went. */
static unsigned try_acts(program_t *prog, const char *want, time_t end)
{
    unsigned step = (prog->num_acts + 1) / 2;
    unsigned num  = 0;
    unsigned i;

    for (; step > 0; step /= 2) {
        for (i = 0; (i < prog->num_acts) && (time(NULL) < end); i += step) {
            num += try_without(prog, i, ((prog->num_acts - i) < step) ?
                               (prog->num_acts - i) : step, want);
        }
    }

    return num;
}

int shrink(program_t *prog)
{
    time_t end    = time(NULL) + SHRINK_TOTAL;
    unsigned left = 0;
    unsigned num;
    char want[512];
    unsigned i;

    if (!try_run(prog, want, sizeof(want))) {
        printf("shrink: seed %lu does not fail\n", (unsigned long)prog->seed);
        return -1;
    }

    /* what one needs the other may not, when that is less */
    do {
        num  = try_faults(prog, want, end);
        num += try_acts(prog, want, end);
    } while ((num > 0) && (time(NULL) < end));

    for (i = 0; i < prog->num_acts; ++i) {
        left += !prog->acts[i].is_off;
    }

    printf("%s%s\nshrink: %u of %u acts are left; replay: ", want,
           (strstr(want, "rule") != NULL) ? "is broken" : "", left,
           prog->num_acts);
    driver_replay(prog);
    return 0;
}
