/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_CHECK_H_
#define VMP_CHECK_H_

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>


/** Where a check failed in a seeded run; printed with the failure. */
extern uint64_t vmp_check_seed;


/** End the test unless the condition holds. */
#define VMP_CHECK(_cond) \
    do { \
        if (!(_cond)) { \
            fflush(stdout); \
            fprintf(stderr, "%s:%d: seed %lu: failed: %s\n", __FILE__, \
                    __LINE__, (unsigned long)vmp_check_seed, #_cond); \
            abort(); \
        } \
    } while (0)


/** Splitmix64. */
static inline uint64_t vmp_check_random(uint64_t *state)
{
    uint64_t x;

    *state += 0x9e3779b97f4a7c15ull;
    x       = *state;
    x       = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x       = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}


/** A number from the environment, or `def`. */
static inline uint64_t vmp_check_env(const char *name, uint64_t def)
{
    const char *value = getenv(name);

    return (value == NULL) ? def : strtoull(value, NULL, 0);
}


#endif
