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

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* Estimates that UCX's protocols weigh against copying; seconds. */
#define UCT_VMP_MD_REG_COST         16e-6
#define UCT_VMP_MD_REG_COST_BYTE    0.06e-9
#define UCT_VMP_MD_REG_COST_CACHED  180e-9

/* Memory is deregistered at once, by which peers lose access to it. */
#if UCT_VMP_ABI_INVALIDATE_SPLIT
#  define UCT_VMP_MD_FLAG_INVALIDATE \
    (UCT_MD_FLAG_INVALIDATE_RMA | UCT_MD_FLAG_INVALIDATE_AMO)
#else
#  define UCT_VMP_MD_FLAG_INVALIDATE UCT_MD_FLAG_INVALIDATE
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
    attr->rkey_packed_size = uct_vmp_mem_rkey_len(md->num_devs);
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
