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

/* The same with accident `i`: without it, or shorter */
static void try_fault(program_t *prog, unsigned i, const char *want)
{
    fault_t *fault = &prog->faults[i];
    fault_t old    = *fault;
    char text[512];

    fault->is_off = 1;
    if (try_run(prog, text, sizeof(text)) && (strcmp(text, want) == 0)) {
        return;
    }

    *fault      = old;
    fault->size = old.size / 8;
    if ((old.size > 0) && (!try_run(prog, text, sizeof(text)) ||
                           (strcmp(text, want) != 0))) {
        *fault = old;
    }
}

int shrink(program_t *prog)
{
    time_t end    = time(NULL) + SHRINK_TOTAL;
    unsigned step = (prog->num_acts + 1) / 2;
    unsigned left = 0;
    char want[512];
    unsigned i;

    if (!try_run(prog, want, sizeof(want))) {
        printf("shrink: seed %lu does not fail\n", (unsigned long)prog->seed);
        return -1;
    }

    for (i = 0; i < prog->num_faults; ++i) {
        if (!prog->faults[i].is_off) {
            try_fault(prog, i, want);
        }
    }

    for (; step > 0; step /= 2) {
        for (i = 0; (i < prog->num_acts) && (time(NULL) < end); i += step) {
            try_without(prog, i, ((prog->num_acts - i) < step) ?
                        (prog->num_acts - i) : step, want);
        }
    }

    for (i = 0; i < prog->num_acts; ++i) {
        left += !prog->acts[i].is_off;
    }

    printf("%sis broken\nshrink: %u of %u acts are left; replay: ", want, left,
           prog->num_acts);
    driver_replay(prog);
    return 0;
}
