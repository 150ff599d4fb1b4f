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
