/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_FAULT_H_
#define VMP_FAULT_H_

#include "vmp_conn.h"


/**
 * An operation that fails by itself, not by its path, is the end of its
 * endpoint alone (R8). The endpoint takes no new operations; when all that it
 * had posted has ended it moves to a connection of its own, which is lost, and
 * hears of it. All others go on meanwhile.
 */

/** A request failed with `status`. If that is its own fault: log it, see to it
 *  that neither it nor what its endpoint has in line behind it is done again
 *  (VMP_WR_FAILED), and let its endpoint fail. Return 1 if so. */
int vmp_fault_accuse(vmp_path_t *path, uint32_t pos, vmp_wc_status_t status,
                     uint32_t vendor_err);

/** A request of an endpoint that is gone cannot be done again. Nor are then, as
 *  far as they wait or have to be sent again, its later messages if it is one
 *  (R1), and what is behind it and a fence (R3). */
void vmp_fault_lose(vmp_path_t *path, uint32_t pos);

/** An endpoint that was to leave is gone. */
void vmp_fault_end(vmp_conn_t *conn);

/** Tell endpoints whose operations have ended. Return how many. */
unsigned vmp_fault_progress(vmp_iface_t *iface);

/** Whether that has something to do now. */
int vmp_fault_is_due(const vmp_iface_t *iface);


#endif
