/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef UCT_VMP_LOG_H_
#define UCT_VMP_LOG_H_


/** Take over UCX's log level; UCX has read its settings by now. Cheap, may be
 *  called again. */
void uct_vmp_log_init(void);

#endif
