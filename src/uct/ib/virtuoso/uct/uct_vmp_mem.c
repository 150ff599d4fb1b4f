/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "uct_vmp_md.h"

#include "core/vmp_log.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#if !UCT_VMP_ABI_UCP_CACHES_REG
#  include <ucm/api/ucm.h>
#endif


/* A registration serves whatever use comes later (UCX merges and shares them),
 * so that it always has all rights. */
#define UCT_VMP_MD_ACCESS \
    (VMP_MEM_LOCAL_WRITE | VMP_MEM_REMOTE_WRITE | VMP_MEM_REMOTE_READ | \
     VMP_MEM_REMOTE_ATOMIC)

/* Packed remote key: number of keys (1 byte), keys (4 bytes each, network byte
 * order), one a device. */
#define UCT_VMP_RKEY_HEADER_LEN     1
#define UCT_VMP_RKEY_KEY_LEN        sizeof(uint32_t)

#if UCT_VMP_ABI_INVALIDATE_SPLIT
#  define UCT_VMP_MD_PACK_INVALIDATE \
    (UCT_MD_MKEY_PACK_FLAG_INVALIDATE_RMA | \
     UCT_MD_MKEY_PACK_FLAG_INVALIDATE_AMO)
#else
#  define UCT_VMP_MD_PACK_INVALIDATE UCT_MD_MKEY_PACK_FLAG_INVALIDATE
#endif


/* What UCX holds for a registration. */
typedef struct uct_vmp_memh {
    vmp_mem_t           mem;            /* first: what operations use */
    ucs_rcache_region_t *rregion;       /* whose keys these are; NULL: own */
    void                *address;
    size_t              length;         /* bytes */
    vmp_mem_t           own;            /* for peers that may lose access; no
                                           devices: not packed for that */
    int                 may_invalidate; /* packed for such peers */
} uct_vmp_memh_t;

#if !UCT_VMP_ABI_UCP_CACHES_REG
/* What the cache keeps. */
typedef struct uct_vmp_rcache_region {
    ucs_rcache_region_t super;
    vmp_mem_t           mem;
} uct_vmp_rcache_region_t;
#endif


static ucs_status_t uct_vmp_mem_reg_always(uct_vmp_md_t *md, void *address,
                                           size_t length, uint64_t flags,
                                           vmp_mem_t *mem)
{
    return (ucs_status_t)vmp_port_mem_reg(
                                    md->port_md, address, length,
                                    UCT_VMP_MD_ACCESS,
                                    !!(flags & UCT_MD_MEM_FLAG_HIDE_ERRORS),
                                    mem);
}

#if !UCT_VMP_ABI_UCP_CACHES_REG
static ucs_status_t
uct_vmp_rcache_mem_reg(void *context, ucs_rcache_t *rcache, void *arg,
                       ucs_rcache_region_t *rregion, uint16_t rcache_flags)
{
    uct_vmp_rcache_region_t *region = ucs_container_of(rregion,
                                                       uct_vmp_rcache_region_t,
                                                       super);
    const uint64_t *flags           = arg;
    uint64_t silent                 = 0;

    if (rcache_flags & UCS_RCACHE_MEM_REG_HIDE_ERRORS) {
        silent = UCT_MD_MEM_FLAG_HIDE_ERRORS;
    }

    return uct_vmp_mem_reg_always(context, (void*)rregion->super.start,
                                  rregion->super.end - rregion->super.start,
                                  *flags | silent, &region->mem);
}

static void uct_vmp_rcache_mem_dereg(void *context, ucs_rcache_t *rcache,
                                     ucs_rcache_region_t *rregion)
{
    uct_vmp_rcache_region_t *region = ucs_container_of(rregion,
                                                       uct_vmp_rcache_region_t,
                                                       super);

    vmp_port_mem_dereg(&region->mem);
}

static void uct_vmp_rcache_dump(void *context, ucs_rcache_t *rcache,
                                ucs_rcache_region_t *rregion, char *buf,
                                size_t max)
{
    uct_vmp_rcache_region_t *region = ucs_container_of(rregion,
                                                       uct_vmp_rcache_region_t,
                                                       super);

    snprintf(buf, max, "lkey 0x%x rkey 0x%x", region->mem.lkey[0],
             region->mem.rkey[0]);
}

ucs_status_t uct_vmp_md_create_rcache(uct_vmp_md_t *md)
{
    static const ucs_rcache_ops_t ops = {
        .mem_reg     = uct_vmp_rcache_mem_reg,
        .mem_dereg   = uct_vmp_rcache_mem_dereg,
        .dump_region = uct_vmp_rcache_dump
    };
    ucs_rcache_params_t params        = {
        .region_struct_size = sizeof(uct_vmp_rcache_region_t),
        .alignment          = UCS_RCACHE_MIN_ALIGNMENT,
        .max_alignment      = sysconf(_SC_PAGESIZE),
        .ucm_events         = UCM_EVENT_VM_UNMAPPED,
        .ucm_event_priority = 1000,
        .ops                = &ops,
        .context            = md,
        .flags              = UCS_RCACHE_FLAG_PURGE_ON_FORK,
        .max_regions        = ULONG_MAX,
        .max_size           = SIZE_MAX,
        .max_unreleased     = SIZE_MAX
    };

    return ucs_rcache_create(&params, md->name, NULL, &md->rcache);
}
#endif

static ucs_status_t uct_vmp_memh_reg(uct_vmp_md_t *md, uint64_t flags,
                                     uct_vmp_memh_t *memh)
{
#if !UCT_VMP_ABI_UCP_CACHES_REG
    ucs_status_t status;

    if (md->rcache != NULL) {
        status = ucs_rcache_get(md->rcache, memh->address, memh->length,
                                PROT_READ | PROT_WRITE, &flags,
                                &memh->rregion);
        if (status == UCS_OK) {
            memh->mem = ucs_container_of(memh->rregion, uct_vmp_rcache_region_t,
                                         super)->mem;
        }
        return status;
    }
#endif

    return uct_vmp_mem_reg_always(md, memh->address, memh->length, flags,
                                  &memh->mem);
}

static ucs_status_t uct_vmp_md_reg(uct_vmp_md_t *md, void *address,
                                   size_t length, uint64_t flags,
                                   uct_mem_h *memh_p)
{
    uct_vmp_memh_t *memh = malloc(sizeof(*memh));
    ucs_status_t status;

    if (memh == NULL) {
        return UCS_ERR_NO_MEMORY;
    }

    memh->rregion        = NULL;
    memh->address        = address;
    memh->length         = length;
    memh->own.num_devs   = 0;
    memh->may_invalidate = 0;
    status               = uct_vmp_memh_reg(md, flags, memh);
    if (status != UCS_OK) {
        free(memh);
        return status;
    }

    *memh_p = memh;
    return UCS_OK;
}

#if UCT_VMP_ABI_REG_PARAMS
ucs_status_t uct_vmp_mem_reg(uct_md_h tl_md, void *address, size_t length,
                             const uct_md_mem_reg_params_t *params,
                             uct_mem_h *memh_p)
{
    uint64_t flags = UCS_PARAM_VALUE(UCT_MD_MEM_REG_FIELD, params, flags, FLAGS,
                                     0);

    return uct_vmp_md_reg(ucs_container_of(tl_md, uct_vmp_md_t, super), address,
                          length, flags, memh_p);
}
#else
ucs_status_t uct_vmp_mem_reg(uct_md_h tl_md, void *address, size_t length,
                             unsigned flags, uct_mem_h *memh_p)
{
    return uct_vmp_md_reg(ucs_container_of(tl_md, uct_vmp_md_t, super), address,
                          length, flags, memh_p);
}
#endif

/* The memory is out of reach of peers. */
static void uct_vmp_mem_invalidated(void *arg)
{
    uct_completion_t *comp = arg;

    if (--comp->count == 0) {
        comp->func(comp);
    }
}

#if !UCT_VMP_ABI_UCP_CACHES_REG
/* Others may use the region, and so may peers by keys that they were given: only
 * the registration's own key is out of use at once. */
static ucs_status_t uct_vmp_mem_dereg_shared(uct_vmp_md_t *md,
                                             uct_vmp_memh_t *memh, void *comp)
{
    ucs_status_t status = UCS_OK;

    if (memh->own.num_devs > 0) {
        status = (ucs_status_t)vmp_port_mem_dereg(&memh->own);
        if ((status == UCS_OK) && (comp != NULL)) {
            uct_vmp_mem_invalidated(comp);
        }
    } else if (comp != NULL) {
        /* Its keys are shared: nobody gets it from now on, and it is gone when
         * its last user gives it back. */
        ucs_rcache_region_invalidate(md->rcache, memh->rregion,
                                     uct_vmp_mem_invalidated, comp);
    }

    ucs_rcache_region_put(md->rcache, memh->rregion);
    return status;
}
#endif

ucs_status_t uct_vmp_mem_dereg(uct_md_h tl_md,
                               const uct_md_mem_dereg_params_t *params)
{
    uct_vmp_memh_t *memh = UCS_PARAM_VALUE(UCT_MD_MEM_DEREG_FIELD, params, memh,
                                           MEMH, NULL);
    unsigned flags       = UCS_PARAM_VALUE(UCT_MD_MEM_DEREG_FIELD, params,
                                           flags, FLAGS, 0);
    void *comp           = UCS_PARAM_VALUE(UCT_MD_MEM_DEREG_FIELD, params, comp,
                                           COMPLETION, NULL);
    int is_invalidate    = !!(flags & UCT_MD_MEM_DEREG_FLAG_INVALIDATE);
    ucs_status_t status;

    if ((memh == NULL) || (is_invalidate && (comp == NULL))) {
        return UCS_ERR_INVALID_PARAM;
    }

#if !UCT_VMP_ABI_UCP_CACHES_REG
    if (memh->rregion != NULL) {
        status = uct_vmp_mem_dereg_shared(ucs_container_of(tl_md, uct_vmp_md_t,
                                                           super),
                                          memh, is_invalidate ? comp : NULL);
        free(memh);
        return status;
    }
#else
    /* As UCX's own do it: who wants to take access away has said so before */
    if (is_invalidate && !memh->may_invalidate) {
        return UCS_ERR_INVALID_PARAM;
    }
#endif

    status = (ucs_status_t)vmp_port_mem_dereg(&memh->mem);
    free(memh);
    if ((status == UCS_OK) && is_invalidate) {
        uct_vmp_mem_invalidated(comp);
    }

    return status;
}

size_t uct_vmp_mem_rkey_len(unsigned num_devs)
{
    return UCT_VMP_RKEY_HEADER_LEN + (num_devs * UCT_VMP_RKEY_KEY_LEN);
}

static void uct_vmp_mkey_pack_mem(const vmp_mem_t *mem, void *buffer)
{
    uint8_t *p = buffer;
    uint32_t key;
    unsigned i;

    *p++ = mem->num_devs;
    for (i = 0; i < mem->num_devs; ++i) {
        key = htonl(mem->rkey[i]);
        memcpy(p, &key, sizeof(key));
        p += sizeof(key);
    }
}

/* The keys to give to a peer: such as can be taken back without taking them from
 * others, if need be. */
static ucs_status_t
uct_vmp_memh_pack(uct_md_h tl_md, uct_vmp_memh_t *memh,
                  const uct_md_mkey_pack_params_t *params, void *buffer)
{
    unsigned flags = UCS_PARAM_VALUE(UCT_MD_MKEY_PACK_FIELD, params, flags,
                                     FLAGS, 0);
    ucs_status_t status;

    memh->may_invalidate |= !!(flags & UCT_VMP_MD_PACK_INVALIDATE);
    if (!(flags & UCT_VMP_MD_PACK_INVALIDATE) || (memh->rregion == NULL)) {
        uct_vmp_mkey_pack_mem(&memh->mem, buffer);
        return UCS_OK;
    }

    if (memh->own.num_devs == 0) {
        status = uct_vmp_mem_reg_always(ucs_container_of(tl_md, uct_vmp_md_t,
                                                         super),
                                        memh->address, memh->length, 0,
                                        &memh->own);
        if (status != UCS_OK) {
            memh->own.num_devs = 0;
            return status;
        }
    }

    uct_vmp_mkey_pack_mem(&memh->own, buffer);
    return UCS_OK;
}

#if UCT_VMP_ABI_MKEY_PACK_RANGE
ucs_status_t uct_vmp_mkey_pack(uct_md_h tl_md, uct_mem_h memh, void *address,
                               size_t length,
                               const uct_md_mkey_pack_params_t *params,
                               void *buffer)
#else
ucs_status_t uct_vmp_mkey_pack(uct_md_h tl_md, uct_mem_h memh,
                               const uct_md_mkey_pack_params_t *params,
                               void *buffer)
#endif
{
    return uct_vmp_memh_pack(tl_md, memh, params, buffer);
}

ucs_status_t uct_vmp_rkey_unpack(uct_component_t *component,
                                 const void *buffer, uct_rkey_t *rkey_p,
                                 void **handle_p)
{
    const uint8_t *p = buffer;
    vmp_rkey_t *rkey;
    uint32_t key;
    unsigned i;

    if ((*p == 0) || (*p > VMP_MAX_RAILS)) {
        vmp_error("a remote key names %u devices: must be 1..%d (is the peer's "
                  "vmp of another version?)", *p, VMP_MAX_RAILS);
        return UCS_ERR_INVALID_PARAM;
    }

    rkey = calloc(1, sizeof(*rkey));
    if (rkey == NULL) {
        return UCS_ERR_NO_MEMORY;
    }

    rkey->num_devs = *p++;
    for (i = 0; i < rkey->num_devs; ++i) {
        memcpy(&key, p, sizeof(key));
        rkey->key[i] = ntohl(key);
        p           += sizeof(key);
    }

    *rkey_p   = (uct_rkey_t)rkey;
    *handle_p = NULL;
    return UCS_OK;
}

ucs_status_t uct_vmp_rkey_ptr(uct_component_t *component, uct_rkey_t rkey,
                              void *handle, uint64_t remote_address,
                              void **local_address_p)
{
    return UCS_ERR_UNSUPPORTED;
}

ucs_status_t uct_vmp_rkey_release(uct_component_t *component, uct_rkey_t rkey,
                                  void *handle)
{
    free((void*)rkey);
    return UCS_OK;
}

#if UCT_VMP_ABI_RKEY_COMPARE
ucs_status_t uct_vmp_rkey_compare(uct_component_t *component,
                                  uct_rkey_t rkey1, uct_rkey_t rkey2,
                                  const uct_rkey_compare_params_t *params,
                                  int *result_p)
{
    if ((params->field_mask != 0) || (result_p == NULL)) {
        return UCS_ERR_INVALID_PARAM;
    }

    *result_p = memcmp(uct_vmp_rkey(rkey1), uct_vmp_rkey(rkey2),
                       sizeof(vmp_rkey_t));
    return UCS_OK;
}
#endif
