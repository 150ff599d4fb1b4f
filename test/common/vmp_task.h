/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_TASK_H_
#define VMP_TASK_H_

/*
 * What the kernel says of this process's threads: which signals vmp's helper
 * thread blocks.
 */

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define VMP_TASK_HELPER "vmp-helper"


static inline int vmp_task_read(const char *task, const char *file,
                                const char *format, void *value)
{
    char path[320], line[256];
    int found = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/self/task/%s/%s", task, file);
    f = fopen(path, "r");
    if (f == NULL) {
        return 0;
    }
    while (!found && (fgets(line, sizeof(line), f) != NULL)) {
        found = (sscanf(line, format, value) == 1);
    }
    fclose(f);
    return found;
}


/* How many helper threads there are; -1: nobody knows. Of the signals that the
 * application may get, *open_p are those that one of them does not block. */
static inline int vmp_task_helpers(uint64_t *open_p)
{
    /* What a thread does itself, and what cannot be blocked */
    static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGKILL,
                               SIGSTOP, 32, 33 /* the C library's */ };
    uint64_t want          = UINT64_MAX;
    int count              = 0;
    struct dirent *entry;
    uint64_t blocked;
    char name[32];
    unsigned i;
    DIR *dir;

    for (i = 0; i < (sizeof(own) / sizeof(own[0])); ++i) {
        want &= ~(UINT64_C(1) << (own[i] - 1));
    }

    *open_p = 0;
    dir     = opendir("/proc/self/task");
    if (dir == NULL) {
        return -1;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (!vmp_task_read(entry->d_name, "comm", "%31s", name) ||
            (strcmp(name, VMP_TASK_HELPER) != 0)) {
            continue;
        }
        ++count;
        if (!vmp_task_read(entry->d_name, "status", "SigBlk: %" SCNx64,
                           &blocked)) {
            blocked = 0;
        }
        *open_p |= want & ~blocked;
    }
    closedir(dir);
    return count;
}

#endif
