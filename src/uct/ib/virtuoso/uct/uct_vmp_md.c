/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "uct_vmp_md.h"
#include "uct_vmp_config.h"
#include "uct_vmp_log.h"

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

/* Estimates that UCX's protocols weigh against copying; seconds. */
#define UCT_VMP_MD_REG_COST         16e-6
#define UCT_VMP_MD_REG_COST_BYTE    0.06e-9
#define UCT_VMP_MD_REG_COST_CACHED  180e-9

/* Packed remote key: number of keys (1 byte), keys (4 bytes each, network byte
 * order), one a device. */
#define UCT_VMP_RKEY_HEADER_LEN     1
#define UCT_VMP_RKEY_KEY_LEN        sizeof(uint32_t)

/* Memory is deregistered at once, by which peers lose access to it. */
#if UCT_VMP_ABI_INVALIDATE_SPLIT
#  define UCT_VMP_MD_FLAG_INVALIDATE \
    (UCT_MD_FLAG_INVALIDATE_RMA | UCT_MD_FLAG_INVALIDATE_AMO)
#else
#  define UCT_VMP_MD_FLAG_INVALIDATE UCT_MD_FLAG_INVALIDATE
#endif


#if !UCT_VMP_ABI_UCP_CACHES_REG
/* What the cache keeps; memory handles point to `mem`. */
typedef struct uct_vmp_rcache_region {
    ucs_rcache_region_t super;
    vmp_mem_t           mem;
} uct_vmp_rcache_region_t;
#endif


vmp_port_dev_t *uct_vmp_query_devices(unsigned *num_p)
{
    vmp_port_dev_t *devs = NULL;

    *num_p = 0;
    if (vmp_port_query_devices(&devs, num_p) != VMP_OK) {
        *num_p = 0;
        return NULL;
    }

    return devs;
}

/* UCX's names of domains are shorter than names of devices may be. */
static int uct_vmp_md_name_is_of(const char *md_name, const char *dev_name)
{
    return !strncmp(md_name, dev_name, UCT_MD_NAME_MAX - 1);
}

ucs_status_t uct_vmp_query_md_resources(uct_component_t *component,
                                        uct_md_resource_desc_t **resources_p,
                                        unsigned *num_resources_p)
{
    uct_md_resource_desc_t *resources = NULL;
    unsigned num_resources            = 0;
    vmp_port_dev_t *devs;
    unsigned num_devs, i;

    uct_vmp_log_init();

    devs = uct_vmp_query_devices(&num_devs);
    if (num_devs > 0) {
        resources = ucs_calloc(num_devs, sizeof(*resources), "vmp_md_resources");
        if (resources == NULL) {
            free(devs);
            return UCS_ERR_NO_MEMORY;
        }
    }

    /* one domain a device; its ports follow each other in the list */
    for (i = 0; i < num_devs; ++i) {
        if ((i > 0) && uct_vmp_md_name_is_of(devs[i - 1].name, devs[i].name)) {
            continue;
        }

        strncpy(resources[num_resources].md_name, devs[i].name,
                UCT_MD_NAME_MAX - 1);
        ++num_resources;
    }

    free(devs);
    *resources_p     = resources;
    *num_resources_p = num_resources;
    return UCS_OK;
}

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

static ucs_status_t uct_vmp_md_create_rcache(uct_vmp_md_t *md)
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

static ucs_status_t uct_vmp_md_reg(uct_vmp_md_t *md, void *address,
                                   size_t length, uint64_t flags,
                                   uct_mem_h *memh_p)
{
    ucs_status_t status;
    vmp_mem_t *mem;

#if !UCT_VMP_ABI_UCP_CACHES_REG
    if (md->rcache != NULL) {
        ucs_rcache_region_t *rregion;

        status = ucs_rcache_get(md->rcache, address, length,
                                PROT_READ | PROT_WRITE, &flags, &rregion);
        if (status != UCS_OK) {
            return status;
        }

        *memh_p = &ucs_container_of(rregion, uct_vmp_rcache_region_t,
                                    super)->mem;
        return UCS_OK;
    }
#endif

    mem = malloc(sizeof(*mem));
    if (mem == NULL) {
        return UCS_ERR_NO_MEMORY;
    }

    status = uct_vmp_mem_reg_always(md, address, length, flags, mem);
    if (status != UCS_OK) {
        free(mem);
        return status;
    }

    *memh_p = mem;
    return UCS_OK;
}

#if UCT_VMP_ABI_REG_PARAMS
static ucs_status_t uct_vmp_mem_reg(uct_md_h tl_md, void *address,
                                    size_t length,
                                    const uct_md_mem_reg_params_t *params,
                                    uct_mem_h *memh_p)
{
    uint64_t flags = UCS_PARAM_VALUE(UCT_MD_MEM_REG_FIELD, params, flags, FLAGS,
                                     0);

    return uct_vmp_md_reg(ucs_container_of(tl_md, uct_vmp_md_t, super), address,
                          length, flags, memh_p);
}
#else
static ucs_status_t uct_vmp_mem_reg(uct_md_h tl_md, void *address,
                                    size_t length, unsigned flags,
                                    uct_mem_h *memh_p)
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

static ucs_status_t uct_vmp_mem_dereg(uct_md_h tl_md,
                                      const uct_md_mem_dereg_params_t *params)
{
    uct_vmp_md_t *md = ucs_container_of(tl_md, uct_vmp_md_t, super);
    vmp_mem_t *mem   = UCS_PARAM_VALUE(UCT_MD_MEM_DEREG_FIELD, params, memh,
                                       MEMH, NULL);
    unsigned flags   = UCS_PARAM_VALUE(UCT_MD_MEM_DEREG_FIELD, params, flags,
                                       FLAGS, 0);
    void *comp       = UCS_PARAM_VALUE(UCT_MD_MEM_DEREG_FIELD, params, comp,
                                       COMPLETION, NULL);
    ucs_status_t status;

    if ((mem == NULL) ||
        ((flags & UCT_MD_MEM_DEREG_FLAG_INVALIDATE) && (comp == NULL))) {
        return UCS_ERR_INVALID_PARAM;
    }

#if !UCT_VMP_ABI_UCP_CACHES_REG
    if (md->rcache != NULL) {
        uct_vmp_rcache_region_t *region;

        region = ucs_container_of(mem, uct_vmp_rcache_region_t, mem);
        if (flags & UCT_MD_MEM_DEREG_FLAG_INVALIDATE) {
            /* nobody gets it from now on; gone when its last user gives it
             * back */
            ucs_rcache_region_invalidate(md->rcache, &region->super,
                                         uct_vmp_mem_invalidated, comp);
        }

        ucs_rcache_region_put(md->rcache, &region->super);
        return UCS_OK;
    }
#else
    (void)md;
#endif

    status = (ucs_status_t)vmp_port_mem_dereg(mem);
    free(mem);
    if ((status == UCS_OK) && (flags & UCT_MD_MEM_DEREG_FLAG_INVALIDATE)) {
        uct_vmp_mem_invalidated(comp);
    }

    return status;
}

static size_t uct_vmp_md_rkey_len(const uct_vmp_md_t *md)
{
    return UCT_VMP_RKEY_HEADER_LEN + (md->num_devs * UCT_VMP_RKEY_KEY_LEN);
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

#if UCT_VMP_ABI_MKEY_PACK_RANGE
static ucs_status_t uct_vmp_mkey_pack(uct_md_h tl_md, uct_mem_h memh,
                                      void *address, size_t length,
                                      const uct_md_mkey_pack_params_t *params,
                                      void *buffer)
#else
static ucs_status_t uct_vmp_mkey_pack(uct_md_h tl_md, uct_mem_h memh,
                                      const uct_md_mkey_pack_params_t *params,
                                      void *buffer)
#endif
{
    uct_vmp_mkey_pack_mem(uct_vmp_mem(memh), buffer);
    return UCS_OK;
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

static ucs_linear_func_t uct_vmp_md_reg_cost(const uct_vmp_md_t *md)
{
    ucs_linear_func_t cost = {
        .c = UCT_VMP_MD_REG_COST,
        .m = UCT_VMP_MD_REG_COST_BYTE
    };

    if (md->rcache != NULL) {
        cost.c = UCT_VMP_MD_REG_COST_CACHED;
        cost.m = 0;
    }

    return cost;
}

static ucs_status_t uct_vmp_md_query(uct_md_h tl_md,
                                     uct_vmp_abi_md_attr_t *attr)
{
    const uct_vmp_md_t *md = ucs_container_of(tl_md, uct_vmp_md_t, super);
    const uint64_t flags   = UCT_MD_FLAG_REG | UCT_MD_FLAG_NEED_MEMH |
                             UCT_MD_FLAG_NEED_RKEY |
                             UCT_VMP_MD_FLAG_INVALIDATE;
    const uint64_t host    = UCS_BIT(UCS_MEMORY_TYPE_HOST);

#if UCT_VMP_ABI_MD_ATTR_V2
    const uint64_t field_mask = attr->field_mask;

    memset(attr, 0, sizeof(*attr));
    attr->field_mask       = field_mask;
    attr->max_reg          = md->max_mr_size;
    attr->flags            = flags;
    attr->reg_mem_types    = host;
    attr->access_mem_types = host;
    /* without it UCP 1.18's assertions fail */
    attr->cache_mem_types  = host;
    attr->reg_alignment    = 1;
    memcpy(attr->component_name, md->super.component->name,
           sizeof(attr->component_name));
#else
    memset(attr, 0, sizeof(*attr));
    attr->cap.max_reg          = md->max_mr_size;
    attr->cap.flags            = flags;
    attr->cap.reg_mem_types    = host;
    attr->cap.access_mem_types = host;
#endif
    attr->reg_cost         = uct_vmp_md_reg_cost(md);
    attr->rkey_packed_size = uct_vmp_md_rkey_len(md);
    memset(&attr->local_cpus, 0xff, sizeof(attr->local_cpus));
    return UCS_OK;
}

static void uct_vmp_md_close(uct_md_h tl_md)
{
    uct_vmp_md_t *md = ucs_container_of(tl_md, uct_vmp_md_t, super);

#if !UCT_VMP_ABI_UCP_CACHES_REG
    if (md->rcache != NULL) {
        ucs_rcache_destroy(md->rcache);
    }
#endif
    vmp_port_md_close(md->port_md);
    free(md);
}

static ucs_status_t
uct_vmp_md_detect_memory_type(uct_md_h md, const void *address, size_t length,
                              ucs_memory_type_t *mem_type_p)
{
    return UCS_ERR_UNSUPPORTED;
}

static ucs_status_t uct_vmp_md_mem_query(uct_md_h md, const void *address,
                                         size_t length, uct_md_mem_attr_t *attr)
{
    return UCS_ERR_UNSUPPORTED;
}

static uct_md_ops_t uct_vmp_md_ops = {
    .close              = uct_vmp_md_close,
    .query              = uct_vmp_md_query,
    .mem_reg            = uct_vmp_mem_reg,
    .mem_dereg          = uct_vmp_mem_dereg,
    .mem_query          = uct_vmp_md_mem_query,
    .mkey_pack          = uct_vmp_mkey_pack,
    .detect_memory_type = uct_vmp_md_detect_memory_type
};

/* Sets the device's name; the first that fits, as the list of domains has it. */
static ucs_status_t uct_vmp_md_find_device(uct_vmp_md_t *md,
                                           const char *md_name)
{
    vmp_port_dev_t *devs;
    unsigned num_devs, i;

    devs = uct_vmp_query_devices(&num_devs);
    for (i = 0; i < num_devs; ++i) {
        if (uct_vmp_md_name_is_of(md_name, devs[i].name)) {
            memcpy(md->name, devs[i].name, sizeof(md->name));
            break;
        }
    }

    free(devs);
    return (md->name[0] == '\0') ? UCS_ERR_NO_DEVICE : UCS_OK;
}

ucs_status_t uct_vmp_md_open(uct_component_t *component, const char *md_name,
                             const uct_md_config_t *tl_config, uct_md_h *md_p)
{
    const uct_vmp_md_config_t *config = (const uct_vmp_md_config_t*)tl_config;
    vmp_port_md_attr_t attr;
    ucs_status_t status;
    const char *name;
    uct_vmp_md_t *md;

    uct_vmp_log_init();

    md = calloc(1, sizeof(*md));
    if (md == NULL) {
        status = UCS_ERR_NO_MEMORY;
        goto err;
    }

    md->super.ops       = &uct_vmp_md_ops;
    md->super.component = component;

    status = uct_vmp_md_find_device(md, md_name);
    if (status != UCS_OK) {
        goto err_free;
    }

    name   = md->name;
    status = (ucs_status_t)vmp_port_md_open(&name, 1, &md->port_md);
    if (status != UCS_OK) {
        goto err_free;
    }

    vmp_port_md_query(md->port_md, &attr);
    md->num_devs    = attr.num_devs;
    md->max_mr_size = attr.max_mr_size;

#if !UCT_VMP_ABI_UCP_CACHES_REG
    if (config->rcache) {
        status = uct_vmp_md_create_rcache(md);
        if (status != UCS_OK) {
            /* slower, not wrong */
            vmp_warn("%s: no registration cache (%s): large transfers will be "
                     "slow", md_name, ucs_status_string(status));
        }
    }
#else
    (void)config;
#endif

    *md_p = &md->super;
    return UCS_OK;

err_free:
    free(md);
err:
    return status;
}
