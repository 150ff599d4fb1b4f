/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_log.h"


vmp_log_level_t vmp_log_failure_level = VMP_LOG_DIAG;
