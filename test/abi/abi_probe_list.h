/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/* Included by abi_probe.c inside a function; no include guard on purpose. */

#define V18 (UCT_VERNO_MINOR >= 18)

typedef struct uct_md_ops       md_ops_t;
typedef struct uct_md           md_t;
typedef struct uct_md_config    md_config_t;
typedef struct uct_iface_config iface_config_t;
typedef const uct_md_mem_dereg_params_t         *dereg_t;
typedef const uct_md_mkey_pack_params_t         *pack_t;
typedef uct_component_t                         *comp_t;
#if V18
typedef uct_md_attr_v2_t                        *md_attr_t;
typedef const uct_md_mem_reg_params_t           *reg_t;
#else
typedef uct_md_attr_t                           *md_attr_t;
#endif

SIZE(uct_component_t)
FIELD(uct_component_t, name)
SLOT(uct_component_t, query_md_resources, ucs_status_t (*)(comp_t,
     uct_md_resource_desc_t**, unsigned*))
SLOT(uct_component_t, md_open, ucs_status_t (*)(comp_t, const char*,
     const uct_md_config_t*, uct_md_h*))
SLOT(uct_component_t, cm_open, ucs_status_t (*)(comp_t, uct_worker_h,
     const uct_cm_config_t*, uct_cm_h*))
SLOT(uct_component_t, rkey_unpack, ucs_status_t (*)(comp_t, const void*,
     uct_rkey_t*, void**))
SLOT(uct_component_t, rkey_ptr, ucs_status_t (*)(comp_t, uct_rkey_t, void*,
     uint64_t, void**))
SLOT(uct_component_t, rkey_release, ucs_status_t (*)(comp_t, uct_rkey_t, void*))
#if V18
SLOT(uct_component_t, rkey_compare, ucs_status_t (*)(comp_t, uct_rkey_t,
     uct_rkey_t, const uct_rkey_compare_params_t*, int*))
SIZE(uct_rkey_compare_params_t)
#endif
FIELD(uct_component_t, md_config)
FIELD(uct_component_t, cm_config)
FIELD(uct_component_t, tl_list)
FIELD(uct_component_t, list)
FIELD(uct_component_t, flags)
SLOT(uct_component_t, md_vfs_init, void (*)(uct_md_h))

SIZE(ucs_config_global_list_entry_t)
FIELD(ucs_config_global_list_entry_t, name)
FIELD(ucs_config_global_list_entry_t, prefix)
FIELD(ucs_config_global_list_entry_t, table)
FIELD(ucs_config_global_list_entry_t, size)
FIELD(ucs_config_global_list_entry_t, list)
SIZE(ucs_config_field_t)
FIELD(ucs_config_field_t, parser)

SIZE(uct_tl_device_resource_t)
FIELD(uct_tl_device_resource_t, name)
FIELD(uct_tl_device_resource_t, type)
FIELD(uct_tl_device_resource_t, sys_device)

SIZE(uct_tl_t)
FIELD(uct_tl_t, name)
SLOT(uct_tl_t, query_devices, ucs_status_t (*)(uct_md_h,
     uct_tl_device_resource_t**, unsigned*))
SLOT(uct_tl_t, iface_open, ucs_status_t (*)(uct_md_h, uct_worker_h,
     const uct_iface_params_t*, const uct_iface_config_t*, uct_iface_h*))
FIELD(uct_tl_t, config)
FIELD(uct_tl_t, list)

SIZE(md_t)
FIELD(md_t, ops)
FIELD(md_t, component)
SIZE(md_config_t)

SIZE(md_ops_t)
SLOT(md_ops_t, close, void (*)(uct_md_h))
SLOT(md_ops_t, query, ucs_status_t (*)(uct_md_h, md_attr_t))
SLOT(md_ops_t, mem_alloc, ucs_status_t (*)(uct_md_h, size_t*, void**,
     ucs_memory_type_t, unsigned, const char*, uct_mem_h*))
SLOT(md_ops_t, mem_free, ucs_status_t (*)(uct_md_h, uct_mem_h))
SLOT(md_ops_t, mem_advise, ucs_status_t (*)(uct_md_h, uct_mem_h, void*, size_t,
     unsigned))
#if V18
SLOT(md_ops_t, mem_reg, ucs_status_t (*)(uct_md_h, void*, size_t, reg_t,
     uct_mem_h*))
#else
SLOT(md_ops_t, mem_reg, ucs_status_t (*)(uct_md_h, void*, size_t, unsigned,
     uct_mem_h*))
#endif
SLOT(md_ops_t, mem_dereg, ucs_status_t (*)(uct_md_h, dereg_t))
SLOT(md_ops_t, mem_query, ucs_status_t (*)(uct_md_h, const void*, size_t,
     uct_md_mem_attr_t*))
#if V18
SLOT(md_ops_t, mkey_pack, ucs_status_t (*)(uct_md_h, uct_mem_h, void*, size_t,
     pack_t, void*))
SLOT(md_ops_t, mem_attach, ucs_status_t (*)(uct_md_h, const void*,
     uct_md_mem_attach_params_t*, uct_mem_h*))
#else
SLOT(md_ops_t, mkey_pack, ucs_status_t (*)(uct_md_h, uct_mem_h, pack_t, void*))
SLOT(md_ops_t, is_sockaddr_accessible, int (*)(uct_md_h, const ucs_sock_addr_t*,
     uct_sockaddr_accessibility_t))
#endif
SLOT(md_ops_t, detect_memory_type, ucs_status_t (*)(uct_md_h, const void*,
     size_t, ucs_memory_type_t*))

SIZE(uct_md_mem_dereg_params_t)
FIELD(uct_md_mem_dereg_params_t, field_mask)
FIELD(uct_md_mem_dereg_params_t, flags)
FIELD(uct_md_mem_dereg_params_t, memh)
FIELD(uct_md_mem_dereg_params_t, comp)
VALUE(UCT_MD_MEM_DEREG_FIELD_MEMH)
VALUE(UCT_MD_MEM_DEREG_FIELD_FLAGS)
VALUE(UCT_MD_MEM_DEREG_FIELD_COMPLETION)
VALUE(UCT_MD_MEM_DEREG_FLAG_INVALIDATE)
SIZE(uct_md_mkey_pack_params_t)
FIELD(uct_md_mkey_pack_params_t, field_mask)
FIELD(uct_md_mkey_pack_params_t, flags)
VALUE(UCT_MD_MKEY_PACK_FIELD_FLAGS)
#if V18
VALUE(UCT_MD_MKEY_PACK_FLAG_INVALIDATE_RMA)
VALUE(UCT_MD_MKEY_PACK_FLAG_INVALIDATE_AMO)
VALUE(UCT_MD_MKEY_PACK_FLAG_EXPORT)
VALUE(UCT_MD_FLAG_INVALIDATE_RMA)
VALUE(UCT_MD_FLAG_INVALIDATE_AMO)
SIZE(uct_md_mem_reg_params_t)
FIELD(uct_md_mem_reg_params_t, field_mask)
FIELD(uct_md_mem_reg_params_t, flags)
FIELD(uct_md_mem_reg_params_t, dmabuf_fd)
FIELD(uct_md_mem_reg_params_t, dmabuf_offset)
VALUE(UCT_MD_MEM_REG_FIELD_FLAGS)
VALUE(UCT_MD_MEM_REG_FIELD_DMABUF_FD)
VALUE(UCT_MD_MEM_REG_FIELD_DMABUF_OFFSET)
SIZE(uct_md_mem_attach_params_t)
FIELD(uct_md_mem_attach_params_t, field_mask)
FIELD(uct_md_mem_attach_params_t, flags)
SIZE(uct_md_attr_v2_t)
FIELD(uct_md_attr_v2_t, field_mask)
FIELD(uct_md_attr_v2_t, max_alloc)
FIELD(uct_md_attr_v2_t, max_reg)
FIELD(uct_md_attr_v2_t, flags)
FIELD(uct_md_attr_v2_t, reg_mem_types)
FIELD(uct_md_attr_v2_t, reg_nonblock_mem_types)
FIELD(uct_md_attr_v2_t, cache_mem_types)
FIELD(uct_md_attr_v2_t, gva_mem_types)
FIELD(uct_md_attr_v2_t, detect_mem_types)
FIELD(uct_md_attr_v2_t, alloc_mem_types)
FIELD(uct_md_attr_v2_t, access_mem_types)
FIELD(uct_md_attr_v2_t, dmabuf_mem_types)
FIELD(uct_md_attr_v2_t, reg_cost)
FIELD(uct_md_attr_v2_t, component_name)
FIELD(uct_md_attr_v2_t, rkey_packed_size)
FIELD(uct_md_attr_v2_t, local_cpus)
FIELD(uct_md_attr_v2_t, exported_mkey_packed_size)
FIELD(uct_md_attr_v2_t, global_id)
FIELD(uct_md_attr_v2_t, reg_alignment)
#else
VALUE(UCT_MD_MKEY_PACK_FLAG_INVALIDATE)
SIZE(uct_md_attr_t)
FIELD(uct_md_attr_t, cap.max_reg)
FIELD(uct_md_attr_t, cap.access_mem_types)
FIELD(uct_md_attr_t, reg_cost)
FIELD(uct_md_attr_t, rkey_packed_size)
#endif

SIZE(uct_worker_t)
SIZE(uct_priv_worker_t)
FIELD(uct_priv_worker_t, async)
FIELD(uct_priv_worker_t, thread_mode)
FIELD(uct_priv_worker_t, tl_data)
SIZE(uct_worker_progress_t)
FIELD(uct_worker_progress_t, id)
FIELD(uct_worker_progress_t, refcount)

SIZE(iface_config_t)
FIELD(iface_config_t, alloc_methods.methods)
FIELD(iface_config_t, alloc_methods.count)
FIELD(iface_config_t, failure)
FIELD(iface_config_t, max_num_eps)

SIZE(uct_iface_is_reachable_params_t)
FIELD(uct_iface_is_reachable_params_t, field_mask)
FIELD(uct_iface_is_reachable_params_t, device_addr)
FIELD(uct_iface_is_reachable_params_t, iface_addr)
FIELD(uct_iface_is_reachable_params_t, info_string)
FIELD(uct_iface_is_reachable_params_t, info_string_length)
VALUE(UCT_IFACE_IS_REACHABLE_FIELD_DEVICE_ADDR)
VALUE(UCT_IFACE_IS_REACHABLE_FIELD_IFACE_ADDR)
VALUE(UCT_IFACE_IS_REACHABLE_FIELD_INFO_STRING)
VALUE(UCT_IFACE_IS_REACHABLE_FIELD_INFO_STRING_LENGTH)
#if V18
FIELD(uct_iface_is_reachable_params_t, scope)
FIELD(uct_iface_is_reachable_params_t, device_addr_length)
FIELD(uct_iface_is_reachable_params_t, iface_addr_length)
VALUE(UCT_IFACE_IS_REACHABLE_FIELD_SCOPE)
VALUE(UCT_IFACE_IS_REACHABLE_FIELD_DEVICE_ADDR_LENGTH)
VALUE(UCT_IFACE_IS_REACHABLE_FIELD_IFACE_ADDR_LENGTH)
VALUE(UCT_IFACE_REACHABILITY_SCOPE_DEVICE)
VALUE(UCT_IFACE_REACHABILITY_SCOPE_NETWORK)
SIZE(uct_ep_connect_to_ep_params_t)
FIELD(uct_ep_connect_to_ep_params_t, field_mask)
FIELD(uct_ep_connect_to_ep_params_t, device_addr_length)
FIELD(uct_ep_connect_to_ep_params_t, ep_addr_length)
SIZE(uct_ep_is_connected_params_t)
FIELD(uct_ep_is_connected_params_t, field_mask)
FIELD(uct_ep_is_connected_params_t, device_addr)
FIELD(uct_ep_is_connected_params_t, iface_addr)
FIELD(uct_ep_is_connected_params_t, ep_addr)
VALUE(UCT_EP_IS_CONNECTED_FIELD_DEVICE_ADDR)
VALUE(UCT_EP_IS_CONNECTED_FIELD_IFACE_ADDR)
VALUE(UCT_EP_IS_CONNECTED_FIELD_EP_ADDR)
#endif

SIZE(uct_iface_internal_ops_t)
SLOT(uct_iface_internal_ops_t, iface_estimate_perf, ucs_status_t (*)(
     uct_iface_h, uct_perf_attr_t*))
SLOT(uct_iface_internal_ops_t, iface_vfs_refresh, void (*)(uct_iface_h))
SLOT(uct_iface_internal_ops_t, ep_query, ucs_status_t (*)(uct_ep_h,
     uct_ep_attr_t*))
SLOT(uct_iface_internal_ops_t, ep_invalidate, ucs_status_t (*)(uct_ep_h,
     unsigned))
#if V18
SLOT(uct_iface_internal_ops_t, ep_connect_to_ep_v2, ucs_status_t (*)(uct_ep_h,
     const uct_device_addr_t*, const uct_ep_addr_t*,
     const uct_ep_connect_to_ep_params_t*))
SLOT(uct_iface_internal_ops_t, iface_is_reachable_v2, int (*)(uct_iface_h,
     const uct_iface_is_reachable_params_t*))
SLOT(uct_iface_internal_ops_t, ep_is_connected, int (*)(uct_ep_h,
     const uct_ep_is_connected_params_t*))
#endif

SIZE(uct_am_handler_t)
FIELD(uct_am_handler_t, cb)
FIELD(uct_am_handler_t, arg)
FIELD(uct_am_handler_t, flags)

SIZE(uct_iface_ops_t)
SIZE(uct_base_iface_t)
FIELD(uct_base_iface_t, super)
FIELD(uct_base_iface_t, internal_ops)
FIELD(uct_base_iface_t, md)
FIELD(uct_base_iface_t, worker)
FIELD(uct_base_iface_t, am)
FIELD(uct_base_iface_t, am_tracer)
FIELD(uct_base_iface_t, am_tracer_arg)
FIELD(uct_base_iface_t, err_handler)
FIELD(uct_base_iface_t, err_handler_arg)
FIELD(uct_base_iface_t, err_handler_flags)
FIELD(uct_base_iface_t, prog)
FIELD(uct_base_iface_t, progress_flags)
FIELD(uct_base_iface_t, config.num_alloc_methods)
FIELD(uct_base_iface_t, config.alloc_methods)
FIELD(uct_base_iface_t, config.failure_level)
FIELD(uct_base_iface_t, config.max_num_eps)
SIZE(uct_base_ep_t)
FIELD(uct_base_ep_t, super)

FUNC(uct_component_register, void (*)(comp_t))
FUNC(uct_tl_register, void (*)(comp_t, uct_tl_t*))
FUNC(uct_base_iface_query, void (*)(uct_base_iface_t*, uct_iface_attr_t*))
FUNC(uct_base_iface_estimate_perf, ucs_status_t (*)(uct_iface_h,
     uct_perf_attr_t*))
FUNC(uct_base_iface_progress_enable, void (*)(uct_iface_h, unsigned))
FUNC(uct_base_iface_progress_disable, void (*)(uct_iface_h, unsigned))
FUNC(uct_iface_handle_ep_err, ucs_status_t (*)(uct_iface_h, uct_ep_h,
     ucs_status_t))
FUNC(uct_base_ep_am_short_iov, ucs_status_t (*)(uct_ep_h, uint8_t,
     const uct_iov_t*, size_t))
FUNC(uct_base_ep_t_init, ucs_status_t (*)(uct_base_ep_t*, ucs_class_t*, int*,
     uct_base_iface_t*))
