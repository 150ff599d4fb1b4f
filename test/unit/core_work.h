/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_TEST_CORE_WORK_H_
#define VMP_TEST_CORE_WORK_H_

#include "core_world.h"

#define REGION   65536                  /* bytes */
#define NUM_OPS  24


/* Everything that can be in flight: half of it queued, half of it posted */
typedef struct work {
    region_t local;
    region_t remote;
    comp_t   comps[NUM_OPS + 1];
    comp_t   flushed;
    unsigned num;                       /* of `comps` that were started */
} work_t;


void work_make(work_t *work);
void work_free(work_t *work);

/** Start NUM_OPS operations of all kinds, messages that call nobody back, and a
 *  flush. */
void work_start(work_t *work, stream_t *stream);

/** Each ended once, and some of them badly. */
void work_check_failed(work_t *work, vmp_status_t status);

/** Start a put of 100 bytes. Returns whether it is on its way. */
int work_put(work_t *work, stream_t *stream, comp_t *comp);

/** Start a put that the peer's device refuses, for its key. */
void work_put_refused(work_t *work, stream_t *stream, comp_t *comp);

/** A node has nothing left to do. */
void work_check_idle(const node_t *node);


#endif
