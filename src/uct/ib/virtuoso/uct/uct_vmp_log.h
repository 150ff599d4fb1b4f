/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef UCT_VMP_LOG_H_
#define UCT_VMP_LOG_H_

#include "uct_vmp_abi.h"


/** Take over UCX's log level; UCX has read its settings by now. Cheap, may be
 *  called again. */
void uct_vmp_log_init(void);

/** UCX's level for the failure of a peer (setting UCX_VMP_FAILURE); of several
 *  interfaces' the last one's counts. */
void uct_vmp_log_set_failure(ucs_log_level_t failure);

#endif
