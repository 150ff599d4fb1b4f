/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_LOG_H_
#define VMP_LOG_H_


/** Severity of a log line; the UCT glue maps them to UCX's levels. */
typedef enum vmp_log_level {
    VMP_LOG_ERROR,
    VMP_LOG_WARN,
    VMP_LOG_DIAG,
    VMP_LOG_INFO,
    VMP_LOG_DEBUG,
    VMP_LOG_TRACE
} vmp_log_level_t;


/** Severity up to which lines are written; set by who provides vmp_log(). */
extern vmp_log_level_t vmp_log_max_level;

/** Severity of what tells of a peer that is lost: the program is told as well.
 *  Set before there are interfaces with traffic; VMP_LOG_DIAG. */
extern vmp_log_level_t vmp_log_failure_level;


/**
 * Write one log line. Provided by whoever embeds the core (the UCT glue hands
 * it to UCX's logger, tests to stderr). Any thread.
 */
void vmp_log(vmp_log_level_t level, const char *file, unsigned line,
             const char *fmt, ...) __attribute__((format(printf, 4, 5)));


#define vmp_log_at(_level, ...) \
    do { \
        if (__builtin_expect((_level) <= vmp_log_max_level, 0)) { \
            vmp_log(_level, __FILE__, __LINE__, __VA_ARGS__); \
        } \
    } while (0)

#define vmp_error(...)  vmp_log_at(VMP_LOG_ERROR, __VA_ARGS__)
#define vmp_warn(...)   vmp_log_at(VMP_LOG_WARN, __VA_ARGS__)
#define vmp_info(...)   vmp_log_at(VMP_LOG_INFO, __VA_ARGS__)
#define vmp_debug(...)  vmp_log_at(VMP_LOG_DEBUG, __VA_ARGS__)
#define vmp_trace(...)  vmp_log_at(VMP_LOG_TRACE, __VA_ARGS__)

/** Internal consistency check, compiled in by --enable-debug only. */
#ifdef VMP_ENABLE_ASSERT
#  include <stdlib.h>
#  define vmp_assert(_cond) \
    do { \
        if (!(_cond)) { \
            vmp_error("assertion failed: %s", #_cond); \
            abort(); \
        } \
    } while (0)
#else
#  define vmp_assert(_cond)  ((void)sizeof(_cond))
#endif


#endif
