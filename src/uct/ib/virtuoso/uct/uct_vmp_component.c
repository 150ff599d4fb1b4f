/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "uct_vmp_abi_check.h"
#include "uct_vmp_config.h"
#include "uct_vmp_iface.h"
#include "uct_vmp_md.h"


/* The core passes its statuses through the glue by casts. */
#define UCT_VMP_ASSERT_STATUS(_name) \
    _Static_assert((int)VMP_##_name == (int)UCS_##_name, #_name)

UCT_VMP_ASSERT_STATUS(OK);
UCT_VMP_ASSERT_STATUS(INPROGRESS);
UCT_VMP_ASSERT_STATUS(ERR_NO_RESOURCE);
UCT_VMP_ASSERT_STATUS(ERR_IO_ERROR);
UCT_VMP_ASSERT_STATUS(ERR_NO_MEMORY);
UCT_VMP_ASSERT_STATUS(ERR_INVALID_PARAM);
UCT_VMP_ASSERT_STATUS(ERR_UNREACHABLE);
UCT_VMP_ASSERT_STATUS(ERR_INVALID_ADDR);
UCT_VMP_ASSERT_STATUS(ERR_NO_ELEM);
UCT_VMP_ASSERT_STATUS(ERR_NO_DEVICE);
UCT_VMP_ASSERT_STATUS(ERR_BUSY);
UCT_VMP_ASSERT_STATUS(ERR_CANCELED);
UCT_VMP_ASSERT_STATUS(ERR_UNSUPPORTED);
UCT_VMP_ASSERT_STATUS(ERR_REJECTED);
UCT_VMP_ASSERT_STATUS(ERR_CONNECTION_RESET);
UCT_VMP_ASSERT_STATUS(ERR_ENDPOINT_TIMEOUT);


/* UCX calls it without looking whether it is there. */
static void uct_vmp_md_vfs_init(uct_md_h md)
{
}

uct_component_t uct_vmp_component = {
    .query_md_resources = uct_vmp_query_md_resources,
    .md_open            = uct_vmp_md_open,
    .rkey_unpack        = uct_vmp_rkey_unpack,
    .rkey_ptr           = uct_vmp_rkey_ptr,
    .rkey_release       = uct_vmp_rkey_release,
#if UCT_VMP_ABI_RKEY_COMPARE
    .rkey_compare       = uct_vmp_rkey_compare,
#endif
    .name               = "vmp",
    .md_config          = {
        .name           = "VMP memory domain",
        .prefix         = "VMP_",
        .table          = uct_vmp_md_config_table,
        .size           = sizeof(uct_vmp_md_config_t)
    },
    .cm_config          = UCS_CONFIG_EMPTY_GLOBAL_LIST_ENTRY,
    .tl_list            = UCS_LIST_INITIALIZER(&uct_vmp_component.tl_list,
                                               &uct_vmp_component.tl_list),
    .flags              = 0,
    .md_vfs_init        = uct_vmp_md_vfs_init
};

static uct_tl_t uct_vmp_tl = {
    .name               = "vmp",
    .query_devices      = uct_vmp_query_tl_devices,
    .iface_open         = uct_vmp_iface_open,
    .config             = {
        .name           = "vmp transport",
        .prefix         = "VMP_",
        .table          = uct_vmp_iface_config_table,
        .size           = sizeof(uct_vmp_iface_config_t)
    }
};

/* There is no counterpart: UCX keeps pointers to the component for ever, and
 * the module is linked so that it is never unloaded. */
static void __attribute__((constructor)) uct_vmp_load(void)
{
    if (!uct_vmp_abi_check()) {
        return;
    }

    uct_component_register(&uct_vmp_component);
    uct_tl_register(&uct_vmp_component, &uct_vmp_tl);
}
