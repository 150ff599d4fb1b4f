/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_check.h"
#include "policy/vmp_policy_reg.h"

#include <string.h>

#define NUM_PATHS  64

uint64_t vmp_check_seed;

static vmp_policy_path_t paths[NUM_PATHS];


static void *policy_make(const vmp_policy_ops_t *ops, unsigned num_paths)
{
    vmp_policy_params_t params = {.num_paths = num_paths};
    void *priv                 = calloc(1, ops->priv_size);
    unsigned i;

    VMP_CHECK(priv != NULL);
    VMP_CHECK((ops->init == NULL) || (ops->init(priv, &params) == 0));
    for (i = 0; i < NUM_PATHS; ++i) {
        paths[i].window = (i < num_paths) ? 1000 : 0;
    }

    return priv;
}

/* Each in turn, those without room left out */
static void test_rr(void)
{
    const vmp_policy_ops_t *ops = vmp_policy_find("rr");
    void *priv                  = policy_make(ops, NUM_PATHS);
    unsigned counts[NUM_PATHS]  = {0};
    uint64_t eligible           = ~0ull;
    unsigned i;
    int path;

    for (i = 0; i < NUM_PATHS * 3; ++i) {
        path = ops->select(priv, paths, eligible, 1);
        VMP_CHECK(path == (int)(i % NUM_PATHS));
    }

    for (i = 0; i < 3000; ++i) {
        eligible = vmp_check_random(&vmp_check_seed) | (1ull << 63);
        path     = ops->select(priv, paths, eligible, 1);
        VMP_CHECK((path >= 0) && ((eligible >> path) & 1));
    }

    eligible = (1ull << 0) | (1ull << 5) | (1ull << 63);
    for (i = 0; i < 300; ++i) {
        ++counts[ops->select(priv, paths, eligible, 1)];
    }

    VMP_CHECK((counts[0] == 100) && (counts[5] == 100) && (counts[63] == 100));
    free(priv);
}

/* The first that is up, or none */
static void test_single(void)
{
    const vmp_policy_ops_t *ops = vmp_policy_find("single");
    void *priv                  = policy_make(ops, 4);

    VMP_CHECK(ops->select(priv, paths, 0xf, 1) == 0);
    VMP_CHECK(ops->select(priv, paths, 0xe, 1) == -1);
    paths[0].window = 0;
    VMP_CHECK(ops->select(priv, paths, 0xe, 1) == 1);
    VMP_CHECK(ops->select(priv, paths, 0xc, 1) == -1);
    free(priv);
}

int main(void)
{
    const vmp_policy_ops_t *ops;

    vmp_check_seed = vmp_check_env("VMP_TEST_SEED", 1);
    printf("policies: seed %lu\n", (unsigned long)vmp_check_seed);
    VMP_CHECK(vmp_policy_find("nonsense") == NULL);
    VMP_CHECK(vmp_policy_find("") == NULL);
    ops = vmp_policy_find("rr");
    VMP_CHECK((ops != NULL) && (ops->abi_version == VMP_POLICY_ABI_VERSION) &&
              (ops->size == sizeof(*ops)));
    VMP_CHECK(strstr(vmp_policy_names(), "single") != NULL);
    test_rr();
    test_single();
    return 0;
}
