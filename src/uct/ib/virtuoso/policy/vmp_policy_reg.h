/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_POLICY_REG_H_
#define VMP_POLICY_REG_H_

#include "policy.h"


/** Policies that are built in. */
extern const vmp_policy_ops_t vmp_policy_rr;
extern const vmp_policy_ops_t vmp_policy_single;

/** @return The policy of that name, or NULL. */
const vmp_policy_ops_t *vmp_policy_find(const char *name);

/** @return The names there are, separated by ", ", for messages. */
const char *vmp_policy_names(void);


#endif
