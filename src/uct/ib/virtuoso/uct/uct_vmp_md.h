/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef UCT_VMP_MD_H_
#define UCT_VMP_MD_H_

#include "uct_vmp_weak.h"

#include "port/port.h"


/** A memory domain: the devices of one home rail. */
typedef struct uct_vmp_md {
    struct uct_md  super;
    vmp_port_md_t  *port_md;
    ucs_rcache_t   *rcache;                 /**< NULL: none */
    unsigned       num_devs;
    uint64_t       max_mr_size;
    char           name[VMP_PORT_NAME_MAX]; /**< Of the verbs device */
} uct_vmp_md_t;


extern uct_component_t uct_vmp_component;


/** Component methods; see struct uct_component. Errors are logged. */
ucs_status_t uct_vmp_query_md_resources(uct_component_t *component,
                                        uct_md_resource_desc_t **resources_p,
                                        unsigned *num_resources_p);

ucs_status_t uct_vmp_md_open(uct_component_t *component, const char *md_name,
                             const uct_md_config_t *config, uct_md_h *md_p);

ucs_status_t uct_vmp_rkey_unpack(uct_component_t *component,
                                 const void *buffer, uct_rkey_t *rkey_p,
                                 void **handle_p);

ucs_status_t uct_vmp_rkey_ptr(uct_component_t *component, uct_rkey_t rkey,
                              void *handle, uint64_t remote_address,
                              void **local_address_p);

ucs_status_t uct_vmp_rkey_release(uct_component_t *component, uct_rkey_t rkey,
                                  void *handle);

#if UCT_VMP_ABI_RKEY_COMPARE
ucs_status_t uct_vmp_rkey_compare(uct_component_t *component,
                                  uct_rkey_t rkey1, uct_rkey_t rkey2,
                                  const uct_rkey_compare_params_t *params,
                                  int *result_p);
#endif


/* Methods of a domain (uct_vmp_mem.c); see struct uct_md_ops. */

#if UCT_VMP_ABI_REG_PARAMS
ucs_status_t uct_vmp_mem_reg(uct_md_h md, void *address, size_t length,
                             const uct_md_mem_reg_params_t *params,
                             uct_mem_h *memh_p);
#else
ucs_status_t uct_vmp_mem_reg(uct_md_h md, void *address, size_t length,
                             unsigned flags, uct_mem_h *memh_p);
#endif

ucs_status_t uct_vmp_mem_dereg(uct_md_h md,
                               const uct_md_mem_dereg_params_t *params);

#if UCT_VMP_ABI_MKEY_PACK_RANGE
ucs_status_t uct_vmp_mkey_pack(uct_md_h md, uct_mem_h memh, void *address,
                               size_t length,
                               const uct_md_mkey_pack_params_t *params,
                               void *buffer);
#else
ucs_status_t uct_vmp_mkey_pack(uct_md_h md, uct_mem_h memh,
                               const uct_md_mkey_pack_params_t *params,
                               void *buffer);
#endif

/** Bytes of a packed remote key. */
size_t uct_vmp_mem_rkey_len(unsigned num_devs);

#if !UCT_VMP_ABI_UCP_CACHES_REG
ucs_status_t uct_vmp_md_create_rcache(uct_vmp_md_t *md);
#endif


/** The core's form of UCX's handles. */
static inline const vmp_mem_t *uct_vmp_mem(uct_mem_h memh)
{
    return (const vmp_mem_t*)memh;
}

static inline const vmp_rkey_t *uct_vmp_rkey(uct_rkey_t rkey)
{
    return (const vmp_rkey_t*)rkey;
}


/**
 * The listed devices, as vmp_port_query_devices() gives them; no device and
 * devices that cannot be listed are both an empty list.
 *
 * @param [out] num_p   How many.
 *
 * @return Array to be freed by free(), or NULL.
 */
vmp_port_dev_t *uct_vmp_query_devices(unsigned *num_p);

#endif
