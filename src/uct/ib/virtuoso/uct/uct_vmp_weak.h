/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef UCT_VMP_WEAK_H_
#define UCT_VMP_WEAK_H_

/*
 * Every symbol of UCX that the module refers to, as a weak reference, so that
 * dlopen() succeeds on any UCX and uct_vmp_abi_check() can name what is missing.
 * test/abi looks into the module for references that this list lacks. To be
 * included after UCX's headers by every file that uses UCX.
 */

#include "uct_vmp_abi.h"

#include <ucs/config/global_opts.h>
#include <ucs/debug/log_def.h>
#include <ucs/debug/memtrack.h>
#include <ucs/sys/stubs.h>


/* UCX frees what it gets from a transport by ucs_free(). */
void *ucs_calloc(size_t count, size_t size, const char *name);


#define UCT_VMP_WEAK_COMMON(_macro) \
    _macro(ucs_calloc) \
    _macro(ucs_class_call_cleanup_chain) \
    _macro(ucs_class_check_new_func_result) \
    _macro(ucs_class_free) \
    _macro(ucs_class_malloc) \
    _macro(ucs_config_clone_double) \
    _macro(ucs_config_clone_int) \
    _macro(ucs_config_clone_string) \
    _macro(ucs_config_clone_table) \
    _macro(ucs_config_clone_uint) \
    _macro(ucs_config_clone_ulong) \
    _macro(ucs_config_help_enum) \
    _macro(ucs_config_help_generic) \
    _macro(ucs_config_help_table) \
    _macro(ucs_config_release_nop) \
    _macro(ucs_config_release_string) \
    _macro(ucs_config_release_table) \
    _macro(ucs_config_sprintf_bool) \
    _macro(ucs_config_sprintf_bw) \
    _macro(ucs_config_sprintf_enum) \
    _macro(ucs_config_sprintf_hex) \
    _macro(ucs_config_sprintf_memunits) \
    _macro(ucs_config_sprintf_string) \
    _macro(ucs_config_sprintf_time) \
    _macro(ucs_config_sprintf_uint) \
    _macro(ucs_config_sprintf_ulunits) \
    _macro(ucs_config_sscanf_bool) \
    _macro(ucs_config_sscanf_bw) \
    _macro(ucs_config_sscanf_enum) \
    _macro(ucs_config_sscanf_hex) \
    _macro(ucs_config_sscanf_memunits) \
    _macro(ucs_config_sscanf_string) \
    _macro(ucs_config_sscanf_table) \
    _macro(ucs_config_sscanf_time) \
    _macro(ucs_config_sscanf_uint) \
    _macro(ucs_config_sscanf_ulunits) \
    _macro(ucs_global_opts) \
    _macro(ucs_log_dispatch) \
    _macro(ucs_status_string) \
    _macro(uct_base_ep_am_short_iov) \
    _macro(uct_base_ep_t_class) \
    _macro(uct_base_ep_t_init) \
    _macro(uct_base_iface_estimate_perf) \
    _macro(uct_base_iface_progress_disable) \
    _macro(uct_base_iface_progress_enable) \
    _macro(uct_base_iface_query) \
    _macro(uct_base_iface_t_class) \
    _macro(uct_base_iface_t_init) \
    _macro(uct_component_register) \
    _macro(uct_iface_config_table) \
    _macro(uct_iface_handle_ep_err) \
    _macro(uct_md_config_table) \
    _macro(uct_tl_register)

/* What one of the versions uses */
#if UCT_VMP_ABI_UCP_CACHES_REG
#  define UCT_VMP_WEAK_VERSION(_macro) \
    _macro(ucs_config_doc_nop)
#else
#  define UCT_VMP_WEAK_VERSION(_macro) \
    _macro(ucs_rcache_create) \
    _macro(ucs_rcache_destroy) \
    _macro(ucs_rcache_get) \
    _macro(ucs_rcache_region_invalidate) \
    _macro(ucs_rcache_region_put)
#endif

#define UCT_VMP_WEAK_SYMBOLS(_macro) \
    UCT_VMP_WEAK_COMMON(_macro) \
    UCT_VMP_WEAK_VERSION(_macro)

#define UCT_VMP_WEAK_PRAGMA_(_text)  _Pragma(#_text)
#define UCT_VMP_WEAK_PRAGMA(_symbol) UCT_VMP_WEAK_PRAGMA_(weak _symbol)

UCT_VMP_WEAK_SYMBOLS(UCT_VMP_WEAK_PRAGMA)

#endif
