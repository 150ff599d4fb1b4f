/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_REORDER_H_
#define VMP_REORDER_H_

#include "vmp_core.h"
#include "vmp_wire.h"

/**
 * A message of a connection came in: deliver it and what waited for it, hold
 * it, or drop it. Takes over `rx`, whose length, type and am_id are set.
 */
void vmp_reorder_recv(vmp_conn_t *conn, vmp_rx_t *rx, uint32_t sn);

/** Drop what is held. */
void vmp_reorder_cleanup(vmp_conn_t *conn);


#endif
