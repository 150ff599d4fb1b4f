/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "trace.h"
#include "world.h"

#include "core/vmp_log.h"

#include <stdarg.h>
#include <stdio.h>


int trace_level;


static void trace_va(const char *prefix, const char *fmt, va_list ap)
{
    printf("%12lu %s", (unsigned long)world_now(), prefix);
    vprintf(fmt, ap);
    putchar('\n');
}

void trace_line(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    trace_va("", fmt, ap);
    va_end(ap);
}

/* The core's log lines: programs are about failures, so they are shown only
 * when somebody reads */
void vmp_log(vmp_log_level_t level, const char *file, unsigned line,
             const char *fmt, ...)
{
    static const char *const names[] = {"    ERROR ", "    WARN ", "    INFO ",
                                        "    DEBUG ", "    TRACE "};
    va_list ap;

    (void)file;
    (void)line;
    if (trace_level > 0) {
        va_start(ap, fmt);
        trace_va(names[level], fmt, ap);
        va_end(ap);
    }
}
