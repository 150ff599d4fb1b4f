/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_policy_reg.h"

#include <string.h>


/* both in alphabetical order */
static const vmp_policy_ops_t *const vmp_policies[] = {
    &vmp_policy_rr,
    &vmp_policy_single
};

#define VMP_POLICY_NAMES  "rr, single"


const vmp_policy_ops_t *vmp_policy_find(const char *name)
{
    size_t i;

    for (i = 0; i < sizeof(vmp_policies) / sizeof(vmp_policies[0]); ++i) {
        if (!strcmp(vmp_policies[i]->name, name)) {
            return vmp_policies[i];
        }
    }

    return NULL;
}

const char *vmp_policy_names(void)
{
    return VMP_POLICY_NAMES;
}
