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

/** An operation of `ep` has failed (NULL: the endpoint is gone), and its messages
 *  from `sn` on will not be delivered. The caller has logged why. */
void vmp_fault_begin(vmp_conn_t *conn, vmp_ep_t *ep, uint64_t sn,
                     vmp_status_t status);

/** A request failed with `status`. If that is its own fault: log it, see to it
 *  that it is not done again, and let its endpoint fail. Return 1 if so. */
int vmp_fault_accuse(vmp_path_t *path, uint32_t pos, vmp_wc_status_t status,
                     uint32_t vendor_err);

/** Whether a request of a dead path is not to be done again: it failed by itself,
 *  or is behind one of its endpoint that did. */
int vmp_fault_is_refused(const vmp_wr_t *wr);

/** An endpoint that was to leave is gone. */
void vmp_fault_end(vmp_conn_t *conn);

/** Tell endpoints whose operations have ended. Return how many. */
unsigned vmp_fault_progress(vmp_iface_t *iface);

/** Whether that has something to do now. */
int vmp_fault_is_due(const vmp_iface_t *iface);


#endif
