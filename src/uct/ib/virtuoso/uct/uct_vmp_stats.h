/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef UCT_VMP_STATS_H_
#define UCT_VMP_STATS_H_

#include "core/vmp_types.h"

#define UCT_VMP_STATS_OFF  (-1)


/**
 * Open where UCX_VMP_STATS tells lines of statistics to go.
 *
 * @param [in]  dest  "" (nowhere), "stdout", "stderr", or "file:PATH" to append
 *                    to, with %p for the pid and %h for the host.
 * @param [out] fd_p  File descriptor, or UCT_VMP_STATS_OFF.
 *
 * @return VMP_OK, or VMP_ERR_INVALID_PARAM after one error line.
 */
vmp_status_t uct_vmp_stats_open(const char *dest, int *fd_p);

/** Write a line, as a whole. */
void uct_vmp_stats_write(int fd, const char *line);

void uct_vmp_stats_close(int fd);

#endif
