/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Our declarations against the UCX that is installed: sizes by ELF symbols, and
 * places of members by walking UCX's own objects (the "self" transport).
 * Exits 77 where UCX has no "self" transport.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "uct_vmp_abi.h"
#include "uct_vmp_abi_check.h"

#include <uct/api/uct.h>
#include <ucs/async/async_fwd.h>

#include <stdio.h>
#include <string.h>


#define TEST_AM_ID 5
#define TEST_SKIP  77


static int test_errors = 0;


#define TEST_CHECK(_condition) \
    do { \
        if (!(_condition)) { \
            printf("FAIL line %d: %s\n", __LINE__, #_condition); \
            ++test_errors; \
        } \
    } while (0)


static ucs_status_t test_am_handler(void *arg, void *data, size_t length,
                                    unsigned flags)
{
    (void)arg;
    (void)data;
    (void)length;
    (void)flags;
    return UCS_OK;
}

static ucs_status_t test_err_handler(void *arg, uct_ep_h ep,
                                     ucs_status_t status)
{
    (void)arg;
    (void)ep;
    return status;
}

static void test_facts(void)
{
    char reason[UCT_VMP_ABI_REASON_MAX] = "";
    uct_vmp_abi_facts_t facts;

    uct_vmp_abi_collect(&facts);
    printf("%s: libucp %s%u.%u.%u, component %zu, tl %zu, field %zu, iface %zu, "
           "ep %zu, marks %d/%zu/%d\n", facts.library,
           facts.version_known ? "" : "not loaded ", facts.major, facts.minor,
           facts.patch, facts.component_size, facts.tl_size,
           facts.config_field_size, facts.base_iface_size, facts.base_ep_size,
           facts.mark_present, facts.mark_size, facts.mark_absent);
    TEST_CHECK(uct_vmp_abi_judge(&facts, reason, sizeof(reason)));

    /* both kinds of evidence agree */
    facts.version_known = !facts.version_known;
    facts.major         = UCT_VERNO_MAJOR;
    facts.minor         = UCT_VERNO_MINOR;
    TEST_CHECK(uct_vmp_abi_judge(&facts, reason, sizeof(reason)));
    printf("%s%s", reason, (reason[0] == '\0') ? "" : "\n");
}

static void test_component(uct_component_t *component, uct_md_h md)
{
    uct_tl_t *tl;
    int num_tls = 0;

    TEST_CHECK(!strcmp((const char*)component->name, "self"));
    TEST_CHECK(component->md_config.name != NULL);
    TEST_CHECK(component->md_config.table != NULL);
    TEST_CHECK(component->md_config.list.next->prev ==
               &component->md_config.list);
    TEST_CHECK(component->list.next->prev == &component->list);

    ucs_list_for_each(tl, &component->tl_list, list) {
        TEST_CHECK(!strcmp(tl->name, "self"));
        TEST_CHECK(tl->config.table != NULL);
        TEST_CHECK(!strcmp(tl->config.prefix, "SELF_"));
        TEST_CHECK(tl->config.size >= sizeof(struct uct_iface_config));
        ++num_tls;
    }
    TEST_CHECK(num_tls == 1);

    TEST_CHECK(md->component == component);
    TEST_CHECK(md->ops->close != NULL);
}

static void test_md_query(uct_md_h md)
{
    uct_vmp_abi_md_attr_t raw;
    uct_md_attr_t attr;

    memset(&raw, 0, sizeof(raw));
    TEST_CHECK(uct_md_query(md, &attr) == UCS_OK);
#if UCT_VMP_ABI_MD_ATTR_V2
    raw.field_mask = UINT64_MAX;
    TEST_CHECK(md->ops->query(md, &raw) == UCS_OK);
    TEST_CHECK(raw.flags == attr.cap.flags);
    TEST_CHECK(raw.access_mem_types == attr.cap.access_mem_types);
#else
    TEST_CHECK(md->ops->query(md, &raw) == UCS_OK);
    TEST_CHECK(raw.cap.flags == attr.cap.flags);
    TEST_CHECK(raw.cap.access_mem_types == attr.cap.access_mem_types);
#endif
    TEST_CHECK(raw.rkey_packed_size == attr.rkey_packed_size);
    TEST_CHECK(!strcmp(attr.component_name, "self"));
}

static void test_iface(uct_md_h md, uct_worker_h worker)
{
    uct_iface_params_t params = {
        .field_mask           = UCT_IFACE_PARAM_FIELD_OPEN_MODE |
                                UCT_IFACE_PARAM_FIELD_DEVICE |
                                UCT_IFACE_PARAM_FIELD_ERR_HANDLER |
                                UCT_IFACE_PARAM_FIELD_ERR_HANDLER_ARG |
                                UCT_IFACE_PARAM_FIELD_ERR_HANDLER_FLAGS,
        .open_mode            = UCT_IFACE_OPEN_MODE_DEVICE,
        .mode.device.tl_name  = "self",
        .mode.device.dev_name = "memory",
        .err_handler          = test_err_handler,
        .err_handler_arg      = &params,
        .err_handler_flags    = 0
    };
    uct_tl_resource_desc_t *resources;
    uct_iface_config_t *config;
    uct_base_iface_t *base;
    unsigned num_resources;
    uct_iface_attr_t attr;
    uct_iface_h iface;

    TEST_CHECK(uct_md_query_tl_resources(md, &resources, &num_resources) ==
               UCS_OK);
    TEST_CHECK(num_resources == 1);
    params.mode.device.dev_name = resources[0].dev_name;

    TEST_CHECK(uct_md_iface_config_read(md, "self", NULL, NULL, &config) ==
               UCS_OK);
    if (uct_iface_open(md, worker, &params, config, &iface) != UCS_OK) {
        printf("FAIL cannot open the self interface\n");
        ++test_errors;
        return;
    }

    base = ucs_container_of(iface, uct_base_iface_t, super);
    TEST_CHECK(base->md == md);
    TEST_CHECK((void*)base->worker == (void*)worker);
    TEST_CHECK(base->worker->thread_mode == UCS_THREAD_MODE_SINGLE);
    TEST_CHECK(base->err_handler == test_err_handler);
    TEST_CHECK(base->err_handler_arg == (void*)&params);
    TEST_CHECK(base->config.max_num_eps == config->max_num_eps);
    TEST_CHECK(base->config.num_alloc_methods <= UCT_ALLOC_METHOD_LAST);
    TEST_CHECK(base->internal_ops->iface_estimate_perf != NULL);
    TEST_CHECK(base->progress_flags == 0);
    uct_base_iface_progress_enable(iface,
                                   UCT_PROGRESS_SEND | UCT_PROGRESS_RECV);
    TEST_CHECK(base->progress_flags == (UCT_PROGRESS_SEND | UCT_PROGRESS_RECV));
    uct_base_iface_progress_disable(iface,
                                    UCT_PROGRESS_SEND | UCT_PROGRESS_RECV);

    TEST_CHECK(uct_iface_set_am_handler(iface, TEST_AM_ID, test_am_handler,
                                        &attr, 0) == UCS_OK);
    TEST_CHECK(base->am[TEST_AM_ID].cb == test_am_handler);
    TEST_CHECK(base->am[TEST_AM_ID].arg == (void*)&attr);
    TEST_CHECK(base->am[TEST_AM_ID].flags == 0);

    TEST_CHECK(uct_iface_query(iface, &attr) == UCS_OK);
    TEST_CHECK(attr.dev_num_paths == 1);

    uct_iface_close(iface);
    uct_config_release(config);
    uct_release_tl_resource_list(resources);
}

static int test_self(uct_component_h component, uct_worker_h worker)
{
    uct_component_attr_t attr = {
        .field_mask = UCT_COMPONENT_ATTR_FIELD_NAME
    };
    uct_md_config_t *config;
    uct_md_h md;

    if ((uct_component_query(component, &attr) != UCS_OK) ||
        strcmp(attr.name, "self")) {
        return 0;
    }

    TEST_CHECK(uct_md_config_read(component, NULL, NULL, &config) == UCS_OK);
    TEST_CHECK(uct_md_open(component, "self", config, &md) == UCS_OK);
    uct_config_release(config);
    if (test_errors == 0) {
        test_component(component, md);
        test_md_query(md);
        test_iface(md, worker);
    }

    uct_md_close(md);
    return 1;
}

int main(void)
{
    uct_component_h *components;
    unsigned num_components, i;
    ucs_async_context_t *async;
    uct_worker_h worker;
    int found = 0;

    test_facts();

    if ((ucs_async_context_create(UCS_ASYNC_MODE_THREAD_SPINLOCK, &async) !=
         UCS_OK) ||
        (uct_worker_create(async, UCS_THREAD_MODE_SINGLE, &worker) != UCS_OK) ||
        (uct_query_components(&components, &num_components) != UCS_OK)) {
        printf("FAIL cannot start UCX\n");
        return 1;
    }

    for (i = 0; i < num_components; ++i) {
        found += test_self(components[i], worker);
    }

    uct_release_component_list(components);
    uct_worker_destroy(worker);
    ucs_async_context_destroy(async);

    if (!found) {
        printf("skipped: this UCX has no self transport\n");
        return TEST_SKIP;
    }

    printf("%d errors\n", test_errors);
    return test_errors != 0;
}
