/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_ENTROPY_H_
#define VMP_ENTROPY_H_

#include "core/vmp_ctl_int.h"


/** Whether another path of the connection has its UDP source port. */
int vmp_entropy_is_taken(const vmp_ctl_conn_t *conn, uint32_t entropy);

/** Choose the entropy value of a path that is about to be requested. */
uint32_t vmp_entropy_choose(vmp_ctl_conn_t *conn, unsigned path,
                            uint32_t epoch);

/** A path with this value has failed: not again soon. The connection is still
 *  its peer's. */
void vmp_entropy_failed(vmp_ctl_conn_t *conn, uint32_t entropy);


#endif
