/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "uct_vmp_stats.h"

#include "core/vmp_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define UCT_VMP_STATS_FILE  "file:"


/* Return 0, or -1: too long, or an unknown % */
static int uct_vmp_stats_expand(const char *name, char *path, size_t max)
{
    char host[HOST_NAME_MAX + 1] = "";
    size_t length                = 0;
    int ret;

    gethostname(host, sizeof(host) - 1);
    for (; *name != '\0'; ++name) {
        if (*name != '%') {
            ret = snprintf(path + length, max - length, "%c", *name);
        } else if (*++name == 'p') {
            ret = snprintf(path + length, max - length, "%d", (int)getpid());
        } else if (*name == 'h') {
            ret = snprintf(path + length, max - length, "%s", host);
        } else {
            return -1;
        }

        length += ret;
        if (length >= max) {
            return -1;
        }
    }

    return (length > 0) ? 0 : -1;
}

vmp_status_t uct_vmp_stats_open(const char *dest, int *fd_p)
{
    size_t length = strlen(UCT_VMP_STATS_FILE);
    char path[PATH_MAX];

    *fd_p = UCT_VMP_STATS_OFF;
    if (dest[0] == '\0') {
        return VMP_OK;
    }

    if (strcmp(dest, "stdout") == 0) {
        *fd_p = STDOUT_FILENO;
        return VMP_OK;
    }

    if (strcmp(dest, "stderr") == 0) {
        *fd_p = STDERR_FILENO;
        return VMP_OK;
    }

    if ((strncmp(dest, UCT_VMP_STATS_FILE, length) != 0) ||
        (uct_vmp_stats_expand(dest + length, path, sizeof(path)) != 0)) {
        vmp_error("UCX_VMP_STATS is \"%s\": must be empty, stdout, stderr or "
                  "file:PATH, with %%p for the pid and %%h for the host",
                  dest);
        return VMP_ERR_INVALID_PARAM;
    }

    *fd_p = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (*fd_p < 0) {
        vmp_error("UCX_VMP_STATS: cannot write to %s: %s", path,
                  strerror(errno));
        *fd_p = UCT_VMP_STATS_OFF;
        return VMP_ERR_INVALID_PARAM;
    }

    return VMP_OK;
}

void uct_vmp_stats_write(int fd, const char *line)
{
    char newline[]      = "\n";
    struct iovec iov[2] = {
        {(void*)line, strlen(line)},
        {newline, 1}
    };

    /* one call, so that lines of other processes stay whole, too */
    if (writev(fd, iov, 2) < 0) {
        vmp_info("a line of statistics is lost: %s", strerror(errno));
    }
}

void uct_vmp_stats_close(int fd)
{
    if (fd > STDERR_FILENO) {
        close(fd);
    }
}
