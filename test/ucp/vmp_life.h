/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_LIFE_H_
#define VMP_LIFE_H_

#include "vmp_kit.h"

/* What rank 1 does in vmp_life; with rank 0 all of this does nothing */

extern unsigned act_stop_seconds;

/* One of the names of acts_help(), a line each */
void act_choose(const char *name);

const char *acts_help(void);

/* Before anything else is done */
void act_prepare(void);

/* Rank 1 ends by it, */
int act_is_end(void);

/* and does so before anybody connects */
int act_is_early(void);

/* Messages are under way */
void act_now(unsigned round);

/* They have all arrived */
void act_finish(unsigned round);

/* End as chosen, if at all by returning main()'s value */
int act_end(ucp_worker_h worker);

/* A message has come */
void act_in_callback(void);

/* The helper thread has blocked all signals that are not its own doing */
void act_check_helper(void);

void act_report(void);

#endif
