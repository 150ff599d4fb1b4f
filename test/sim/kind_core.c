/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "driver.h"

/* Programs on a network that loses packets at most */
const driver_t driver = {
    .name             = "sim_core",
    .rounds           = 10000,
    .rounds_sanitized = 1500
};
