/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_SIM_RANDOM_H_
#define VMP_SIM_RANDOM_H_

#include "../unit/vmp_check.h"


/** A stream of random numbers */
typedef struct rnd {
    uint64_t state;
} rnd_t;

static inline void rnd_init(rnd_t *rnd, uint64_t seed)
{
    rnd->state = seed * 0x2545f4914f6cdd1dull;
}

static inline uint32_t rnd_below(rnd_t *rnd, uint32_t num)
{
    return vmp_check_random(&rnd->state) % num;
}

/** From `min` to `max`, each magnitude as likely as the other */
static inline uint32_t rnd_log(rnd_t *rnd, uint32_t min, uint32_t max)
{
    unsigned lo    = 31 - __builtin_clz(min);
    unsigned hi    = 31 - __builtin_clz(max);
    uint32_t value = 1u << (lo + rnd_below(rnd, hi - lo + 1));

    value += rnd_below(rnd, value);
    return (value < min) ? min : (value > max) ? max : value;
}


#endif
