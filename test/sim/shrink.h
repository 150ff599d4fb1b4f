/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_SIM_SHRINK_H_
#define VMP_SIM_SHRINK_H_

#include "program.h"

/** Set in processes that only try. */
extern int shrink_is_child;

/** Leave out the acts in a list such as "3,7-12"; NULL: none. */
void shrink_parse(program_t *prog, const char *list);

/** Leave out acts as long as the program still fails, and print how to run what
 *  remains. Return 0, or -1: it does not fail at all. */
int shrink(program_t *prog);


#endif
