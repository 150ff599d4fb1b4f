/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef UCT_VMP_ABI_H_
#define UCT_VMP_ABI_H_

/*
 * The part of UCX's internal interface that a transport needs and that UCX does
 * not install, declared in our own words. Types keep UCX's names, so that one
 * probe (test/abi) can be compiled against this header and against a UCX source
 * tree and the two outputs compared.
 *
 * To support another minor: add a block to the table below, run
 * test/abi/abi_compare.sh against that version's source tree, and fix whatever
 * it reports here. Nothing outside this header may look at UCX's version.
 */

#include <uct/api/version.h>

#include <uct/api/uct.h>
#include <uct/api/tl.h>
#include <ucs/config/parser.h>
#include <ucs/config/types.h>
#include <ucs/datastruct/callbackq.h>
#include <ucs/datastruct/list.h>
#include <ucs/memory/memory_type.h>
#include <ucs/memory/rcache.h>
#include <ucs/sys/topo/base/topo.h>
#include <ucs/type/class.h>
#include <ucs/type/cpu_set.h>
#include <ucs/type/param.h>
#include <ucs/type/thread_mode.h>

#include <stddef.h>
#include <stdint.h>


/* ---- Features by minor -------------------------------------------------- */

#if (UCT_VERNO_MAJOR == 1) && (UCT_VERNO_MINOR == 13)

#  define UCT_VMP_ABI_MD_ATTR_V2        0 /* md query fills uct_md_attr_v2_t */
#  define UCT_VMP_ABI_GVA_MEM_TYPES     0 /* that one has gva_mem_types */
#  define UCT_VMP_ABI_REG_PARAMS        0 /* mem_reg takes a params struct */
#  define UCT_VMP_ABI_MKEY_PACK_RANGE   0 /* mkey_pack takes address, length */
#  define UCT_VMP_ABI_MEM_ATTACH        0 /* md_ops has mem_attach */
#  define UCT_VMP_ABI_SOCKADDR_SLOT     1 /* md_ops: is_sockaddr_accessible */
#  define UCT_VMP_ABI_RKEY_COMPARE      0 /* component has rkey_compare */
#  define UCT_VMP_ABI_INVALIDATE_SPLIT  0 /* invalidate flag split RMA/AMO */
#  define UCT_VMP_ABI_INTERNAL_OPS      4 /* slots of the internal ops table */
#  define UCT_VMP_ABI_REACHABLE_SCOPE   0 /* is_reachable params have scope */
#  define UCT_VMP_ABI_UCP_CACHES_REG    0 /* UCP caches registrations */
#  define UCT_VMP_ABI_SIZE_COMPONENT    208
#  define UCT_VMP_ABI_SIZE_TL           96
#  define UCT_VMP_ABI_SIZE_MD_ATTR_V2   0
#  define UCT_VMP_ABI_SIZE_CONFIG_FIELD 80
#  define UCT_VMP_ABI_SIZE_CONFIG_ENTRY 48
#  define UCT_VMP_ABI_SIZE_WORKER       264
/* A symbol that tells this minor where libucp is not at hand: it exists only in
 * 1.15 and older, and its size is 8 bytes a slot of its table. */
#  define UCT_VMP_ABI_MARK_PRESENT      "uct_base_iface_internal_ops"
#  define UCT_VMP_ABI_MARK_SIZE         32
#  define UCT_VMP_ABI_MARK_ABSENT       "uct_rkey_compare"

#elif (UCT_VERNO_MAJOR == 1) && (UCT_VERNO_MINOR == 18)

#  define UCT_VMP_ABI_MD_ATTR_V2        1
#  define UCT_VMP_ABI_GVA_MEM_TYPES     1
#  define UCT_VMP_ABI_REG_PARAMS        1
#  define UCT_VMP_ABI_MKEY_PACK_RANGE   1
#  define UCT_VMP_ABI_MEM_ATTACH        1
#  define UCT_VMP_ABI_SOCKADDR_SLOT     0
#  define UCT_VMP_ABI_RKEY_COMPARE      1
#  define UCT_VMP_ABI_INVALIDATE_SPLIT  1
#  define UCT_VMP_ABI_INTERNAL_OPS      7
#  define UCT_VMP_ABI_REACHABLE_SCOPE   1
#  define UCT_VMP_ABI_UCP_CACHES_REG    1
#  define UCT_VMP_ABI_SIZE_COMPONENT    232
#  define UCT_VMP_ABI_SIZE_TL           104
#  define UCT_VMP_ABI_SIZE_MD_ATTR_V2   536
#  define UCT_VMP_ABI_SIZE_CONFIG_FIELD 88
#  define UCT_VMP_ABI_SIZE_CONFIG_ENTRY 56
#  define UCT_VMP_ABI_SIZE_WORKER       136
/* The first came with 1.18, the second with 1.19. */
#  define UCT_VMP_ABI_MARK_PRESENT      "ucs_sockaddr_is_same_subnet"
#  define UCT_VMP_ABI_MARK_SIZE         0
#  define UCT_VMP_ABI_MARK_ABSENT       "uct_rkey_unpack_v2"

#else
#  error "vmp does not know this UCX's internal interface: supported are 1.13 \
and 1.18; see the table in uct_vmp_abi.h"
#endif

#if !defined(__x86_64__) && !defined(__aarch64__)
#  error "vmp's declarations of UCX's internals are for 64-bit machines"
#endif


/* ---- Memory domain ------------------------------------------------------ */

typedef struct uct_component uct_component_t;

/* No setting is common to all memory domains; C wants a member all the same. */
struct uct_md_config {
    char __dummy;
};

/* Fields of the structures below that the caller filled in. */
enum {
    UCT_MD_MEM_DEREG_FIELD_MEMH       = UCS_BIT(0),
    UCT_MD_MEM_DEREG_FIELD_FLAGS      = UCS_BIT(1),
    UCT_MD_MEM_DEREG_FIELD_COMPLETION = UCS_BIT(2)
};

enum {
    UCT_MD_MEM_DEREG_FLAG_INVALIDATE = UCS_BIT(0)
};

enum {
    UCT_MD_MKEY_PACK_FIELD_FLAGS = UCS_BIT(0)
};

#if UCT_VMP_ABI_INVALIDATE_SPLIT
enum {
    UCT_MD_MKEY_PACK_FLAG_INVALIDATE_RMA = UCS_BIT(0),
    UCT_MD_MKEY_PACK_FLAG_INVALIDATE_AMO = UCS_BIT(1),
    UCT_MD_MKEY_PACK_FLAG_EXPORT         = UCS_BIT(2)
};

enum {
    UCT_MD_FLAG_INVALIDATE_RMA = UCS_BIT(11),
    UCT_MD_FLAG_INVALIDATE_AMO = UCS_BIT(12)
};
#else
enum {
    UCT_MD_MKEY_PACK_FLAG_INVALIDATE = UCS_BIT(0)
};
#endif

typedef struct uct_md_mem_dereg_params {
    uint64_t         field_mask;
    unsigned         flags;
    uct_mem_h        memh;
    uct_completion_t *comp;      /* called once nobody can reach the memory */
} uct_md_mem_dereg_params_t;

typedef struct uct_md_mkey_pack_params {
    uint64_t field_mask;
    unsigned flags;
} uct_md_mkey_pack_params_t;

#if UCT_VMP_ABI_REG_PARAMS
enum {
    UCT_MD_MEM_REG_FIELD_FLAGS         = UCS_BIT(0),
    UCT_MD_MEM_REG_FIELD_DMABUF_FD     = UCS_BIT(1),
    UCT_MD_MEM_REG_FIELD_DMABUF_OFFSET = UCS_BIT(2)
};

typedef struct uct_md_mem_reg_params {
    uint64_t field_mask;
    uint64_t flags;              /* UCT_MD_MEM_xx */
    int      dmabuf_fd;
    size_t   dmabuf_offset;
} uct_md_mem_reg_params_t;
#endif

#if UCT_VMP_ABI_MEM_ATTACH
typedef struct uct_md_mem_attach_params {
    uint64_t field_mask;
    uint64_t flags;
} uct_md_mem_attach_params_t;
#endif

#if UCT_VMP_ABI_MD_ATTR_V2
/* Every xx_mem_types is a bit map of ucs_memory_type_t. A query fills only what
 * field_mask asks for, but filling more is harmless. */
typedef struct {
    uint64_t          field_mask;
    uint64_t          max_alloc;
    size_t            max_reg;
    uint64_t          flags;
    uint64_t          reg_mem_types;
    uint64_t          reg_nonblock_mem_types;
    uint64_t          cache_mem_types;
#if UCT_VMP_ABI_GVA_MEM_TYPES
    uint64_t          gva_mem_types;
#endif
    uint64_t          detect_mem_types;
    uint64_t          alloc_mem_types;
    uint64_t          access_mem_types;
    uint64_t          dmabuf_mem_types;
    ucs_linear_func_t reg_cost;
    char              component_name[UCT_COMPONENT_NAME_MAX];
    size_t            rkey_packed_size;
    ucs_cpu_set_t     local_cpus;
    size_t            exported_mkey_packed_size;
    char              global_id[UCT_MD_GLOBAL_ID_MAX];
    size_t            reg_alignment;
} uct_md_attr_v2_t;

typedef uct_md_attr_v2_t uct_vmp_abi_md_attr_t;
#else
typedef uct_md_attr_t    uct_vmp_abi_md_attr_t;
#endif

struct uct_md_ops {
    void         (*close)(uct_md_h md);
    ucs_status_t (*query)(uct_md_h md, uct_vmp_abi_md_attr_t *attr);
    ucs_status_t (*mem_alloc)(uct_md_h md, size_t *length_p, void **address_p,
                              ucs_memory_type_t mem_type, unsigned flags,
                              const char *name, uct_mem_h *memh_p);
    ucs_status_t (*mem_free)(uct_md_h md, uct_mem_h memh);
    ucs_status_t (*mem_advise)(uct_md_h md, uct_mem_h memh, void *address,
                               size_t length, unsigned advice);
#if UCT_VMP_ABI_REG_PARAMS
    ucs_status_t (*mem_reg)(uct_md_h md, void *address, size_t length,
                            const uct_md_mem_reg_params_t *params,
                            uct_mem_h *memh_p);
#else
    ucs_status_t (*mem_reg)(uct_md_h md, void *address, size_t length,
                            unsigned flags, uct_mem_h *memh_p);
#endif
    ucs_status_t (*mem_dereg)(uct_md_h md,
                              const uct_md_mem_dereg_params_t *params);
    ucs_status_t (*mem_query)(uct_md_h md, const void *address, size_t length,
                              uct_md_mem_attr_t *attr);
#if UCT_VMP_ABI_MKEY_PACK_RANGE
    ucs_status_t (*mkey_pack)(uct_md_h md, uct_mem_h memh, void *address,
                              size_t length,
                              const uct_md_mkey_pack_params_t *params,
                              void *buffer);
#else
    ucs_status_t (*mkey_pack)(uct_md_h md, uct_mem_h memh,
                              const uct_md_mkey_pack_params_t *params,
                              void *buffer);
#endif
#if UCT_VMP_ABI_MEM_ATTACH
    ucs_status_t (*mem_attach)(uct_md_h md, const void *buffer,
                               uct_md_mem_attach_params_t *params,
                               uct_mem_h *memh_p);
#endif
#if UCT_VMP_ABI_SOCKADDR_SLOT
    int          (*is_sockaddr_accessible)(uct_md_h md,
                                           const ucs_sock_addr_t *address,
                                           uct_sockaddr_accessibility_t mode);
#endif
    ucs_status_t (*detect_memory_type)(uct_md_h md, const void *address,
                                       size_t length,
                                       ucs_memory_type_t *mem_type_p);
};

struct uct_md {
    uct_md_ops_t    *ops;
    uct_component_t *component;
};


/* ---- Component and transport -------------------------------------------- */

#if UCT_VMP_ABI_RKEY_COMPARE
typedef struct uct_rkey_compare_params {
    uint64_t field_mask;         /* no field exists yet */
} uct_rkey_compare_params_t;
#endif

/* Of these UCX calls md_vfs_init without looking whether it is NULL. */
struct uct_component {
    const char                     name[UCT_COMPONENT_NAME_MAX];
    ucs_status_t                   (*query_md_resources)(
                                        uct_component_t *component,
                                        uct_md_resource_desc_t **resources_p,
                                        unsigned *num_resources_p);
    ucs_status_t                   (*md_open)(uct_component_t *component,
                                              const char *md_name,
                                              const uct_md_config_t *config,
                                              uct_md_h *md_p);
    ucs_status_t                   (*cm_open)(uct_component_t *component,
                                              uct_worker_h worker,
                                              const uct_cm_config_t *config,
                                              uct_cm_h *cm_p);
    ucs_status_t                   (*rkey_unpack)(uct_component_t *component,
                                                  const void *buffer,
                                                  uct_rkey_t *rkey_p,
                                                  void **handle_p);
    ucs_status_t                   (*rkey_ptr)(uct_component_t *component,
                                               uct_rkey_t rkey, void *handle,
                                               uint64_t remote_address,
                                               void **local_address_p);
    ucs_status_t                   (*rkey_release)(uct_component_t *component,
                                                   uct_rkey_t rkey,
                                                   void *handle);
#if UCT_VMP_ABI_RKEY_COMPARE
    ucs_status_t                   (*rkey_compare)(
                                        uct_component_t *component,
                                        uct_rkey_t rkey1, uct_rkey_t rkey2,
                                        const uct_rkey_compare_params_t *params,
                                        int *result_p);
#endif
    ucs_config_global_list_entry_t md_config;
    ucs_config_global_list_entry_t cm_config;
    ucs_list_link_t                tl_list;
    ucs_list_link_t                list;
    uint64_t                       flags;
    void                           (*md_vfs_init)(uct_md_h md);
};

typedef struct uct_tl_device_resource {
    char              name[UCT_DEVICE_NAME_MAX];
    uct_device_type_t type;
    ucs_sys_device_t  sys_device;
} uct_tl_device_resource_t;

typedef struct uct_tl {
    char                           name[UCT_TL_NAME_MAX];
    ucs_status_t                   (*query_devices)(
                                        uct_md_h md,
                                        uct_tl_device_resource_t **devices_p,
                                        unsigned *num_devices_p);
    ucs_status_t                   (*iface_open)(
                                        uct_md_h md, uct_worker_h worker,
                                        const uct_iface_params_t *params,
                                        const uct_iface_config_t *config,
                                        uct_iface_h *iface_p);
    ucs_config_global_list_entry_t config;
    ucs_list_link_t                list;
} uct_tl_t;


/* ---- Worker, interface, endpoint ---------------------------------------- */

/* What stands behind a uct_worker_h. */
typedef struct uct_priv_worker {
    uct_worker_t        super;
    ucs_async_context_t *async;
    ucs_thread_mode_t   thread_mode;
    ucs_list_link_t     tl_data;
} uct_priv_worker_t;

typedef struct uct_worker_progress {
    uct_worker_cb_id_t id;
    uint32_t           refcount;
} uct_worker_progress_t;

/* Settings common to all interfaces; the parent of our table. */
struct uct_iface_config {
    struct {
        uct_alloc_method_t *methods;
        unsigned           count;
    } alloc_methods;
    int    failure;              /* log level of a peer's failure */
    size_t max_num_eps;
};

/* Never looked into: uct_base_iface_estimate_perf() fills it from the interface
 * attributes, whatever its layout. */
typedef struct uct_vmp_abi_perf_attr uct_perf_attr_t;

typedef struct uct_ep_attr uct_ep_attr_t;

enum {
    UCT_IFACE_IS_REACHABLE_FIELD_DEVICE_ADDR        = UCS_BIT(0),
    UCT_IFACE_IS_REACHABLE_FIELD_IFACE_ADDR         = UCS_BIT(1),
    UCT_IFACE_IS_REACHABLE_FIELD_INFO_STRING        = UCS_BIT(2),
    UCT_IFACE_IS_REACHABLE_FIELD_INFO_STRING_LENGTH = UCS_BIT(3),
    UCT_IFACE_IS_REACHABLE_FIELD_SCOPE              = UCS_BIT(4),
    UCT_IFACE_IS_REACHABLE_FIELD_DEVICE_ADDR_LENGTH = UCS_BIT(5),
    UCT_IFACE_IS_REACHABLE_FIELD_IFACE_ADDR_LENGTH  = UCS_BIT(6)
};

#if UCT_VMP_ABI_REACHABLE_SCOPE
typedef enum {
    UCT_IFACE_REACHABILITY_SCOPE_DEVICE,
    UCT_IFACE_REACHABILITY_SCOPE_NETWORK
} uct_iface_reachability_scope_t;
#endif

typedef struct uct_iface_is_reachable_params {
    uint64_t                       field_mask;
    const uct_device_addr_t        *device_addr;
    const uct_iface_addr_t         *iface_addr;
    char                           *info_string;
    size_t                         info_string_length;
#if UCT_VMP_ABI_REACHABLE_SCOPE
    uct_iface_reachability_scope_t scope;
    size_t                         device_addr_length;
    size_t                         iface_addr_length;
#endif
} uct_iface_is_reachable_params_t;

#if UCT_VMP_ABI_INTERNAL_OPS >= 7
typedef struct uct_ep_connect_to_ep_params {
    uint64_t field_mask;
    size_t   device_addr_length;
    size_t   ep_addr_length;
} uct_ep_connect_to_ep_params_t;

enum {
    UCT_EP_IS_CONNECTED_FIELD_DEVICE_ADDR = UCS_BIT(0),
    UCT_EP_IS_CONNECTED_FIELD_IFACE_ADDR  = UCS_BIT(1),
    UCT_EP_IS_CONNECTED_FIELD_EP_ADDR     = UCS_BIT(2)
};

typedef struct uct_ep_is_connected_params {
    uint64_t                field_mask;
    const uct_device_addr_t *device_addr;
    const uct_iface_addr_t  *iface_addr;
    const uct_ep_addr_t     *ep_addr;
} uct_ep_is_connected_params_t;
#endif

typedef struct uct_iface_internal_ops {
    ucs_status_t (*iface_estimate_perf)(uct_iface_h iface,
                                        uct_perf_attr_t *attr);
    void         (*iface_vfs_refresh)(uct_iface_h iface);
    ucs_status_t (*ep_query)(uct_ep_h ep, uct_ep_attr_t *attr);
    ucs_status_t (*ep_invalidate)(uct_ep_h ep, unsigned flags);
#if UCT_VMP_ABI_INTERNAL_OPS >= 7
    ucs_status_t (*ep_connect_to_ep_v2)(
                        uct_ep_h ep, const uct_device_addr_t *device_addr,
                        const uct_ep_addr_t *ep_addr,
                        const uct_ep_connect_to_ep_params_t *params);
    int          (*iface_is_reachable_v2)(
                        const uct_iface_h iface,
                        const uct_iface_is_reachable_params_t *params);
    int          (*ep_is_connected)(uct_ep_h ep,
                                    const uct_ep_is_connected_params_t *params);
#endif
} uct_iface_internal_ops_t;

typedef struct uct_am_handler {
    uct_am_callback_t cb;
    void              *arg;
    uint32_t          flags;
} uct_am_handler_t;

/* A build of UCX with statistics has one pointer more at the end; such a UCX is
 * refused at run time. */
typedef struct uct_base_iface {
    uct_iface_t              super;
    uct_iface_internal_ops_t *internal_ops;
    uct_md_h                 md;
    uct_priv_worker_t        *worker;
    uct_am_handler_t         am[UCT_AM_ID_MAX];
    uct_am_tracer_t          am_tracer;
    void                     *am_tracer_arg;
    uct_error_handler_t      err_handler;
    void                     *err_handler_arg;
    uint32_t                 err_handler_flags;
    uct_worker_progress_t    prog;
    unsigned                 progress_flags;
    struct {
        unsigned           num_alloc_methods;
        uct_alloc_method_t alloc_methods[UCT_ALLOC_METHOD_LAST];
        ucs_log_level_t    failure_level;
        size_t             max_num_eps;
    } config;
} uct_base_iface_t;

typedef struct uct_base_ep {
    uct_ep_t super;
} uct_base_ep_t;


/* ---- Functions and tables that libuct exports --------------------------- */

/* All of them are weak references: the module loads on any UCX, finds out what
 * it is on, and refuses instead of failing to be linked. */
#define UCT_VMP_ABI_WEAK __attribute__((weak))

extern ucs_class_t        uct_base_iface_t_class   UCT_VMP_ABI_WEAK;
extern ucs_class_t        uct_base_ep_t_class      UCT_VMP_ABI_WEAK;
extern ucs_config_field_t uct_md_config_table[]    UCT_VMP_ABI_WEAK;
extern ucs_config_field_t uct_iface_config_table[] UCT_VMP_ABI_WEAK;

void uct_component_register(uct_component_t *component) UCT_VMP_ABI_WEAK;

void uct_tl_register(uct_component_t *component, uct_tl_t *tl) UCT_VMP_ABI_WEAK;

/* The last two arguments are read only by a UCX with statistics. */
ucs_status_t
uct_base_iface_t_init(uct_base_iface_t *self, ucs_class_t *myclass,
                      int *init_count, uct_iface_ops_t *ops,
                      uct_iface_internal_ops_t *internal_ops, uct_md_h md,
                      uct_worker_h worker, const uct_iface_params_t *params,
                      const uct_iface_config_t *config, void *stats_parent,
                      const char *stats_name) UCT_VMP_ABI_WEAK;

ucs_status_t
uct_base_ep_t_init(uct_base_ep_t *self, ucs_class_t *myclass, int *init_count,
                   uct_base_iface_t *iface) UCT_VMP_ABI_WEAK;

void uct_base_iface_query(uct_base_iface_t *iface,
                          uct_iface_attr_t *attr) UCT_VMP_ABI_WEAK;

ucs_status_t
uct_base_iface_estimate_perf(uct_iface_h iface,
                             uct_perf_attr_t *attr) UCT_VMP_ABI_WEAK;

void uct_base_iface_progress_enable(uct_iface_h iface,
                                    unsigned flags) UCT_VMP_ABI_WEAK;

void uct_base_iface_progress_disable(uct_iface_h iface,
                                     unsigned flags) UCT_VMP_ABI_WEAK;

ucs_status_t uct_iface_handle_ep_err(uct_iface_h iface, uct_ep_h ep,
                                     ucs_status_t status) UCT_VMP_ABI_WEAK;

ucs_status_t uct_base_ep_am_short_iov(uct_ep_h ep, uint8_t id,
                                      const uct_iov_t *iov,
                                      size_t iovcnt) UCT_VMP_ABI_WEAK;


/* ---- What must hold ----------------------------------------------------- */

#define UCT_VMP_ABI_ASSERT_SIZE(_type, _size) \
    _Static_assert(sizeof(_type) == (_size), "size of " #_type)

#define UCT_VMP_ABI_ASSERT_OFFSET(_type, _field, _offset) \
    _Static_assert(offsetof(_type, _field) == (_offset), \
                   "offset of " #_type "." #_field)

UCT_VMP_ABI_ASSERT_SIZE(uct_component_t, UCT_VMP_ABI_SIZE_COMPONENT);
UCT_VMP_ABI_ASSERT_SIZE(uct_tl_t, UCT_VMP_ABI_SIZE_TL);
UCT_VMP_ABI_ASSERT_SIZE(ucs_config_field_t, UCT_VMP_ABI_SIZE_CONFIG_FIELD);
UCT_VMP_ABI_ASSERT_SIZE(ucs_config_global_list_entry_t,
                        UCT_VMP_ABI_SIZE_CONFIG_ENTRY);
UCT_VMP_ABI_ASSERT_SIZE(uct_worker_t, UCT_VMP_ABI_SIZE_WORKER);
UCT_VMP_ABI_ASSERT_SIZE(uct_iface_internal_ops_t,
                        8 * UCT_VMP_ABI_INTERNAL_OPS);
UCT_VMP_ABI_ASSERT_SIZE(struct uct_md_ops, 8 * 11);
#if UCT_VMP_ABI_MD_ATTR_V2
UCT_VMP_ABI_ASSERT_SIZE(uct_md_attr_v2_t, UCT_VMP_ABI_SIZE_MD_ATTR_V2);
#endif
UCT_VMP_ABI_ASSERT_SIZE(struct uct_md, 16);
UCT_VMP_ABI_ASSERT_SIZE(uct_tl_device_resource_t, 40);
UCT_VMP_ABI_ASSERT_SIZE(uct_am_handler_t, 24);
UCT_VMP_ABI_ASSERT_SIZE(struct uct_iface_config, 32);
UCT_VMP_ABI_ASSERT_SIZE(uct_iface_ops_t, 400);
UCT_VMP_ABI_ASSERT_SIZE(uct_base_iface_t, 1280);
UCT_VMP_ABI_ASSERT_OFFSET(uct_base_iface_t, internal_ops, 400);
UCT_VMP_ABI_ASSERT_OFFSET(uct_base_iface_t, md, 408);
UCT_VMP_ABI_ASSERT_OFFSET(uct_base_iface_t, worker, 416);
UCT_VMP_ABI_ASSERT_OFFSET(uct_base_iface_t, am, 424);
UCT_VMP_ABI_ASSERT_OFFSET(uct_base_iface_t, am_tracer, 1192);
UCT_VMP_ABI_ASSERT_OFFSET(uct_base_iface_t, err_handler, 1208);
UCT_VMP_ABI_ASSERT_OFFSET(uct_base_iface_t, prog, 1228);
UCT_VMP_ABI_ASSERT_OFFSET(uct_base_iface_t, config, 1240);
UCT_VMP_ABI_ASSERT_SIZE(uct_base_ep_t, 8);
UCT_VMP_ABI_ASSERT_SIZE(uct_pending_req_t, 48);
UCT_VMP_ABI_ASSERT_SIZE(uct_completion_t, 16);

#endif
