/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_SIM_DRIVER_H_
#define VMP_SIM_DRIVER_H_

#include "program.h"

/** Two test programs are made of the same sources. */
typedef struct driver {
    const char *name;
    int        is_faulty;           /* see program_make() */
    unsigned   rounds;              /* by default, */
    unsigned   rounds_sanitized;    /* and where sanitizers make it slow */
} driver_t;

extern const driver_t driver;


/** Say how to see a program again. */
void driver_replay(const program_t *prog);


/* scenario.c: a program and its accidents as text */

/**
 * Lines of
 *
 *     # anything
 *     program SEED                 first: the world, and what applications do
 *     without LIST                 of acts, e.g. 0-3,7
 *     at ...                       accidents, see fault.h
 *
 * Return 0, or -1 after saying why not.
 */
int scenario_read(program_t *prog, const char *path);

/** Of what is not left out */
void scenario_print(const program_t *prog);

/** Acts that are left out, as "0-3,7". Return 0 if there is none. */
int scenario_list(const program_t *prog, char *buf, unsigned max);

#endif
