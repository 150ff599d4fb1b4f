/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "driver.h"
#include "shrink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_LEN  4096


static int read_fault(program_t *prog, const char *line, char *why,
                      unsigned max)
{
    fault_t fault;

    if (fault_parse(line, &fault, why, max) != 0) {
        return -1;
    }

    if ((fault.host >= prog->num_hosts) || (fault.peer >= prog->num_hosts)) {
        snprintf(why, max, "the program has %u hosts", prog->num_hosts);
        return -1;
    }

    if (prog->num_faults == FAULT_MAX) {
        snprintf(why, max, "more than %u accidents", FAULT_MAX);
        return -1;
    }

    prog->faults[prog->num_faults++] = fault;
    return 0;
}

static int read_line(program_t *prog, char *line, char *why, unsigned max)
{
    line[strcspn(line, "\n")] = '\0';
    if ((*line == '\0') || (*line == '#')) {
        return 0;
    }

    if (strncmp(line, "program ", 8) == 0) {
        program_make(prog, strtoull(line + 8, NULL, 10), driver.is_faulty);
        prog->num_faults = 0;
        return 0;
    }

    if (prog->acts == NULL) {
        snprintf(why, max, "no \"program SEED\" before it");
        return -1;
    }

    if (strncmp(line, "without ", 8) == 0) {
        shrink_parse(prog, line + 8);
        return 0;
    }

    return read_fault(prog, line, why, max);
}

int scenario_read(program_t *prog, const char *path)
{
    FILE *file      = !strcmp(path, "-") ? stdin : fopen(path, "r");
    unsigned number = 0;
    int ret         = 0;
    char line[LINE_MAX_LEN];
    char why[256];

    prog->acts = NULL;
    if (file == NULL) {
        printf("%s: cannot read %s\n", driver.name, path);
        return -1;
    }

    while ((ret == 0) && (fgets(line, sizeof(line), file) != NULL)) {
        ++number;
        ret = read_line(prog, line, why, sizeof(why));
    }

    if (ret != 0) {
        printf("%s: %s, line %u: %s\n", driver.name, path, number, why);
    } else if (prog->acts == NULL) {
        printf("%s: %s has no \"program SEED\"\n", driver.name, path);
        ret = -1;
    } else {
        program_sort_faults(prog);
    }

    if (file != stdin) {
        fclose(file);
    }

    return ret;
}

int scenario_list(const program_t *prog, char *buf, unsigned max)
{
    const char *comma = "";
    unsigned len      = 0;
    unsigned i;
    unsigned j;

    *buf = '\0';
    for (i = 0; (i < prog->num_acts) && ((len + 24) < max); i = j + 1) {
        for (j = i; (j < prog->num_acts) && prog->acts[j].is_off; ++j);
        if (j == i) {
            continue;
        }

        len  += snprintf(buf + len, max - len, "%s%u", comma, i);
        comma = ",";
        if (j > (i + 1)) {
            len += snprintf(buf + len, max - len, "-%u", j - 1);
        }
    }

    return len > 0;
}

void scenario_print(const program_t *prog)
{
    char list[LINE_MAX_LEN - 16];
    char str[160];
    unsigned i;

    printf("program %lu\n", (unsigned long)prog->seed);
    if (scenario_list(prog, list, sizeof(list))) {
        printf("without %s\n", list);
    }

    for (i = 0; i < prog->num_faults; ++i) {
        if (!prog->faults[i].is_off) {
            printf("%s\n", fault_str(&prog->faults[i], str, sizeof(str)));
        }
    }
}
