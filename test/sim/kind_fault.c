/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "driver.h"

/* The same with accidents by name */
const driver_t driver = {
    .name             = "sim_fault",
    .is_faulty        = 1,
    .rounds           = 10000,
    .rounds_sanitized = 1500
};
