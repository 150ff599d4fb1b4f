/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Registered memory and its keys in the glue: who may lose access, and when.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "glue_world.h"

#include <stdlib.h>

#define PAGE  4096

#if UCT_VMP_ABI_INVALIDATE_SPLIT
#  define PACK_INVALIDATE  UCT_MD_MKEY_PACK_FLAG_INVALIDATE_RMA
#else
#  define PACK_INVALIDATE  UCT_MD_MKEY_PACK_FLAG_INVALIDATE
#endif

static unsigned test_num_invalidated;


static uct_vmp_md_t *test_vmp_md(void)
{
    return ucs_container_of(test_md, uct_vmp_md_t, super);
}

static uint32_t test_pack_key(uct_mem_h memh, void *buffer, unsigned flags)
{
    uct_md_mkey_pack_params_t params = {
        .field_mask = UCT_MD_MKEY_PACK_FIELD_FLAGS,
        .flags      = flags
    };
    char packed[32];
    uct_rkey_bundle_t rkey;
    uint32_t key;

#if UCT_VMP_ABI_MKEY_PACK_RANGE
    VMP_CHECK(test_md->ops->mkey_pack(test_md, memh, buffer, PAGE, &params,
                                      packed) == UCS_OK);
#else
    (void)buffer;
    VMP_CHECK(test_md->ops->mkey_pack(test_md, memh, &params, packed) ==
              UCS_OK);
#endif
    VMP_CHECK(uct_rkey_unpack(test_component, packed, &rkey) == UCS_OK);
    key = uct_vmp_rkey(rkey.rkey)->key[0];
    VMP_CHECK(uct_rkey_release(test_component, &rkey) == UCS_OK);
    return key;
}

static void test_invalidated(uct_completion_t *comp)
{
    VMP_CHECK(comp->status == UCS_OK);
    ++test_num_invalidated;
}

static ucs_status_t test_try_dereg(uct_mem_h memh, uct_completion_t *comp)
{
    uct_md_mem_dereg_params_t params = {
        .field_mask = UCT_MD_MEM_DEREG_FIELD_MEMH |
                      UCT_MD_MEM_DEREG_FIELD_FLAGS |
                      UCT_MD_MEM_DEREG_FIELD_COMPLETION,
        .memh       = memh,
        .flags      = (comp == NULL) ? 0 : UCT_MD_MEM_DEREG_FLAG_INVALIDATE,
        .comp       = comp
    };

    return test_md->ops->mem_dereg(test_md, &params);
}

static void test_dereg(uct_mem_h memh, uct_completion_t *comp)
{
    VMP_CHECK(test_try_dereg(memh, comp) == UCS_OK);
}

/* Two registrations of the same memory: the peer of one loses access at once,
 * that of the other does not */
static void test_invalidate(void *buffer)
{
    uct_completion_t comp = {
        .func = test_invalidated, .count = 1, .status = UCS_OK
    };
    uct_mem_h memh[2];
    unsigned num;
    uint32_t key[3];
    unsigned i;

    for (i = 0; i < 2; ++i) {
        VMP_CHECK(uct_md_mem_reg(test_md, buffer, PAGE, UCT_MD_MEM_ACCESS_ALL,
                                 &memh[i]) == UCS_OK);
    }

    key[0] = test_pack_key(memh[0], buffer, 0);
    key[1] = test_pack_key(memh[1], buffer, PACK_INVALIDATE);
    key[2] = test_pack_key(memh[1], buffer, PACK_INVALIDATE);
    VMP_CHECK(key[1] != key[0]);
    VMP_CHECK(key[2] == key[1]);
    VMP_CHECK(fake_core_has_key(key[0]) && fake_core_has_key(key[1]));

    num                  = fake_core.num_regions;
    test_num_invalidated = 0;
    test_dereg(memh[1], &comp);
    VMP_CHECK(test_num_invalidated == 1);
    VMP_CHECK(fake_core.num_regions == num - 1);
    VMP_CHECK(fake_core_has_key(key[0]) && !fake_core_has_key(key[1]));
    test_dereg(memh[0], NULL);
}

/* Without a key of its own: what was packed is lost when nobody uses it. Where
 * UCP caches registrations, each has its key, and must be packed for it. */
static void test_invalidate_shared(void *buffer)
{
    uct_completion_t comp = {
        .func = test_invalidated, .count = 1, .status = UCS_OK
    };
    uct_mem_h memh;
    uint32_t key;

    VMP_CHECK(uct_md_mem_reg(test_md, buffer, PAGE, UCT_MD_MEM_ACCESS_ALL,
                             &memh) == UCS_OK);
    key                  = test_pack_key(memh, buffer, 0);
    test_num_invalidated = 0;
#if UCT_VMP_ABI_UCP_CACHES_REG
    VMP_CHECK(test_try_dereg(memh, &comp) == UCS_ERR_INVALID_PARAM);
    VMP_CHECK((test_num_invalidated == 0) && fake_core_has_key(key));
    VMP_CHECK(test_pack_key(memh, buffer, PACK_INVALIDATE) == key);
#endif
    test_dereg(memh, &comp);
    VMP_CHECK(test_num_invalidated == 1);
    VMP_CHECK(!fake_core_has_key(key));
}

int main(void)
{
    void *buffer;

    test_start();
    VMP_CHECK(posix_memalign(&buffer, PAGE, PAGE) == 0);
    printf("registrations are %scached\n",
           (test_vmp_md()->rcache == NULL) ? "not " : "");
    test_invalidate(buffer);
    test_invalidate_shared(buffer);
    uct_ep_destroy(test_ep);
    test_stop();
    free(buffer);
    printf("ok\n");
    return 0;
}
