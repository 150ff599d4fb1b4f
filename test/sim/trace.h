/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_SIM_TRACE_H_
#define VMP_SIM_TRACE_H_

/** 0: nothing; 1: what applications do and see; 2: frames, too; 3: the core's
 *  debug log, too. */
extern int trace_level;

void trace_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define trace(...) \
    do { \
        if (__builtin_expect(trace_level > 0, 0)) { \
            trace_line(__VA_ARGS__); \
        } \
    } while (0)


#endif
