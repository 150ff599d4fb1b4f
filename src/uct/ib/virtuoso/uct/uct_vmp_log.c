/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "uct_vmp_log.h"
#include "uct_vmp_weak.h"

#include "core/vmp_log.h"

#include <stdarg.h>
#include <stdio.h>


#define UCT_VMP_LOG_LINE_MAX 512


vmp_log_level_t vmp_log_max_level = VMP_LOG_WARN;

static const ucs_log_level_t uct_vmp_log_levels[] = {
    [VMP_LOG_ERROR] = UCS_LOG_LEVEL_ERROR,
    [VMP_LOG_WARN]  = UCS_LOG_LEVEL_WARN,
    [VMP_LOG_DIAG]  = UCS_LOG_LEVEL_DIAG,
    [VMP_LOG_INFO]  = UCS_LOG_LEVEL_INFO,
    [VMP_LOG_DEBUG] = UCS_LOG_LEVEL_DEBUG,
    [VMP_LOG_TRACE] = UCS_LOG_LEVEL_TRACE
};


void uct_vmp_log_init(void)
{
    ucs_log_level_t limit = ucs_global_opts.log_component.log_level;
    vmp_log_level_t level = VMP_LOG_ERROR;

    while ((level < VMP_LOG_TRACE) && (uct_vmp_log_levels[level + 1] <= limit)) {
        ++level;
    }

    vmp_log_max_level = level;
}

void uct_vmp_log_set_failure(ucs_log_level_t failure)
{
    vmp_log_level_t level = VMP_LOG_ERROR;

    while ((level < VMP_LOG_TRACE) && (uct_vmp_log_levels[level] < failure)) {
        ++level;
    }

    vmp_log_failure_level = level;
}

void vmp_log(vmp_log_level_t level, const char *file, unsigned line,
             const char *fmt, ...)
{
    char text[UCT_VMP_LOG_LINE_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);

    /* UCX's logger may be called from any thread */
    ucs_log_dispatch(file, line, "vmp", uct_vmp_log_levels[level],
                     &ucs_global_opts.log_component, "%s", text);
}
