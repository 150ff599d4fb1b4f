/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_policy_reg.h"


/** Index of the path that had the last turn, plus 1 */
typedef struct vmp_policy_rr_priv {
    unsigned next;
} vmp_policy_rr_priv_t;


static int vmp_policy_rr_select(void *priv, const vmp_policy_path_t *paths,
                                uint64_t eligible, size_t length)
{
    vmp_policy_rr_priv_t *rr = priv;
    uint64_t later           = eligible & (~0ull << rr->next);
    int path                 = __builtin_ctzll(later ? later : eligible);

    (void)paths;
    (void)length;

    /* a shift by 64 is undefined: after the last path comes the first */
    rr->next = (path + 1) & 63;
    return path;
}

const vmp_policy_ops_t vmp_policy_rr = {
    .abi_version = VMP_POLICY_ABI_VERSION,
    .size        = sizeof(vmp_policy_ops_t),
    .name        = "rr",
    .desc        = "round robin over the paths that have room",
    .priv_size   = sizeof(vmp_policy_rr_priv_t),
    .select      = vmp_policy_rr_select
};
