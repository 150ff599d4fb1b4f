/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_policy_reg.h"


/** State: paths there may be */
typedef struct vmp_policy_single_priv {
    unsigned num_paths;
} vmp_policy_single_priv_t;


static int vmp_policy_single_init(void *priv, const vmp_policy_params_t *params)
{
    vmp_policy_single_priv_t *single = priv;

    single->num_paths = params->num_paths;
    return 0;
}

static int vmp_policy_single_select(void *priv, const vmp_policy_path_t *paths,
                                    uint64_t eligible, size_t length)
{
    const vmp_policy_single_priv_t *single = priv;
    unsigned i;

    (void)length;

    /* the first path that is up, even if it means to wait for it */
    for (i = 0; i < single->num_paths; ++i) {
        if (paths[i].window != 0) {
            return ((eligible >> i) & 1) ? (int)i : -1;
        }
    }

    return -1;
}

const vmp_policy_ops_t vmp_policy_single = {
    .abi_version = VMP_POLICY_ABI_VERSION,
    .size        = sizeof(vmp_policy_ops_t),
    .name        = "single",
    .desc        = "always the first path that is up",
    .priv_size   = sizeof(vmp_policy_single_priv_t),
    .init        = vmp_policy_single_init,
    .select      = vmp_policy_single_select
};
