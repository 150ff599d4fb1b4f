/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#define _GNU_SOURCE

#include "agent.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>


#define AGENT_MAX_PROCS 4096


static pid_t agent_parent_of(pid_t pid)
{
    char path[64], buffer[256];
    pid_t parent = -1;
    ssize_t length;
    char *p;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    length = read(fd, buffer, sizeof(buffer) - 1);
    close(fd);
    if (length > 0) {
        buffer[length] = '\0';
        /* the name in parentheses may hold anything */
        p = strrchr(buffer, ')');
        if ((p == NULL) || (sscanf(p, ") %*c %d", &parent) != 1)) {
            parent = -1;
        }
    }
    return parent;
}

int agent_kill_tree(int signum)
{
    static pid_t pids[AGENT_MAX_PROCS], parents[AGENT_MAX_PROCS];
    static char below[AGENT_MAX_PROCS];
    int count = 0, found = 0, changed = 1, i, j;
    struct dirent *entry;
    DIR *dir;

    dir = opendir("/proc");
    if (dir == NULL) {
        return 0;
    }
    while (((entry = readdir(dir)) != NULL) && (count < AGENT_MAX_PROCS)) {
        if (atoi(entry->d_name) > 0) {
            pids[count]    = atoi(entry->d_name);
            parents[count] = agent_parent_of(pids[count]);
            below[count]   = (parents[count] == getpid());
            count++;
        }
    }
    closedir(dir);

    while (changed) {
        changed = 0;
        for (i = 0; i < count; i++) {
            for (j = 0; (j < count) && !below[i]; j++) {
                if (below[j] && (parents[i] == pids[j])) {
                    below[i] = 1;
                    changed  = 1;
                }
            }
        }
    }

    for (i = 0; i < count; i++) {
        if (below[i]) {
            found++;
            kill(pids[i], signum);
        }
    }
    return found;
}
