/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "glue_world.h"
#include "uct/uct_vmp_addr.h"


uint64_t vmp_check_seed = 0;

static ucs_async_context_t *test_async;
uct_worker_h test_worker;
uct_component_h test_component;
uct_md_h test_md;
uct_iface_h test_iface;
uct_ep_h test_ep;

/* What arrived */
unsigned test_num_msgs;
char test_msgs[TEST_MAX][64];
void *test_descs[TEST_MAX];
int test_keep;
unsigned test_num_errors;
ucs_status_t test_err_status = UCS_OK;
ucs_status_t test_error;


static ucs_status_t test_am(void *arg, void *data, size_t length,
                            unsigned flags)
{
    VMP_CHECK(test_num_msgs < TEST_MAX);
    VMP_CHECK(length < sizeof(test_msgs[0]));
    memset(test_msgs[test_num_msgs], 0, sizeof(test_msgs[0]));
    memcpy(test_msgs[test_num_msgs], data, length);
    VMP_CHECK(flags & UCT_CB_PARAM_FLAG_DESC);
    test_descs[test_num_msgs] = (char*)data - TEST_HEADROOM;
    memset(test_descs[test_num_msgs], 0xee, TEST_HEADROOM);
    ++test_num_msgs;
    return test_keep ? UCS_INPROGRESS : UCS_OK;
}

static ucs_status_t test_err_handler(void *arg, uct_ep_h ep,
                                     ucs_status_t status)
{
    VMP_CHECK(ep == test_ep);
    ++test_num_errors;
    test_error = status;
    return test_err_status;
}

ucs_status_t test_open_iface(const char *name, const char *value,
                             uct_iface_h *iface_p)
{
    uct_iface_params_t params = {
        .field_mask           = UCT_IFACE_PARAM_FIELD_OPEN_MODE |
                                UCT_IFACE_PARAM_FIELD_DEVICE |
                                UCT_IFACE_PARAM_FIELD_RX_HEADROOM |
                                UCT_IFACE_PARAM_FIELD_ERR_HANDLER,
        .open_mode            = UCT_IFACE_OPEN_MODE_DEVICE,
        .mode.device.tl_name  = "vmp",
        .mode.device.dev_name = "fake0:1",
        .rx_headroom          = TEST_HEADROOM,
        .err_handler          = test_err_handler
    };
    uct_iface_config_t *config;
    ucs_status_t status;
    char full_name[64];

    VMP_CHECK(uct_md_iface_config_read(test_md, "vmp", NULL, NULL, &config) ==
              UCS_OK);
    if (name != NULL) {
        status = uct_config_modify(config, name, value);
        if (status == UCS_ERR_NO_ELEM) {
            /* newer UCX wants the table's prefix, too */
            snprintf(full_name, sizeof(full_name), "VMP_%s", name);
            status = uct_config_modify(config, full_name, value);
        }
        VMP_CHECK(status != UCS_ERR_NO_ELEM);
        if (status != UCS_OK) {
            uct_config_release(config);
            return status;
        }
    }

    status = uct_iface_open(test_md, test_worker, &params, config, iface_p);
    uct_config_release(config);
    return status;
}

#if UCT_VMP_ABI_INTERNAL_OPS >= 7
static int test_is_here(uct_iface_h iface, const char *device_addr,
                        const char *iface_addr)
{
    const uct_iface_is_reachable_params_t params = {
        .field_mask  = UCT_IFACE_IS_REACHABLE_FIELD_DEVICE_ADDR |
                       UCT_IFACE_IS_REACHABLE_FIELD_IFACE_ADDR |
                       UCT_IFACE_IS_REACHABLE_FIELD_SCOPE,
        .device_addr = (void*)device_addr,
        .iface_addr  = (void*)iface_addr,
        .scope       = UCT_IFACE_REACHABILITY_SCOPE_DEVICE
    };

    /* uct_iface_is_reachable_v2() is in no header that Debian installs */
    return ucs_derived_of(iface, uct_base_iface_t)
                   ->internal_ops->iface_is_reachable_v2(iface, &params);
}
#endif

/* An endpoint to the interface itself, which RDMA CM knows by an IPv6 address,
 * and to one whose rail is of IPv6 */
static void test_other_ip(const uct_ep_params_t *created)
{
    static const char of_rdmacm[] = { 0x08, (char)0xfd, [16] = 6 };
    uct_iface_h iface             = created->iface;
    uct_ep_params_t params        = *created;
    char own_addr[64], iface_addr[64];
    vmp_rail_addr_t rail;
    uct_ep_h ep;

    memcpy(own_addr, created->dev_addr, UCT_VMP_DEVICE_ADDR_LEN);
    memcpy(iface_addr, created->iface_addr, sizeof(iface_addr));
    VMP_CHECK(uct_vmp_device_addr_unpack(own_addr, &rail) == 0);
    VMP_CHECK(uct_iface_is_reachable(iface, (void*)of_rdmacm,
                                     (void*)iface_addr));
    VMP_CHECK(!uct_iface_is_reachable(iface, (void*)of_rdmacm, NULL));
    VMP_CHECK(uct_iface_is_reachable(iface, (void*)own_addr, NULL));
#if UCT_VMP_ABI_INTERNAL_OPS >= 7
    VMP_CHECK(test_is_here(iface, own_addr, iface_addr));
    VMP_CHECK(test_is_here(iface, of_rdmacm, iface_addr));
    iface_addr[13] ^= 1;
    VMP_CHECK(!test_is_here(iface, of_rdmacm, iface_addr));
    iface_addr[13] ^= 1;
#endif

    params.dev_addr   = (void*)of_rdmacm;
    params.iface_addr = (void*)iface_addr;
    memset(&fake_core.ep_rail, 0, sizeof(fake_core.ep_rail));
    VMP_CHECK(uct_ep_create(&params, &ep) == UCS_OK);
    VMP_CHECK(!memcmp(fake_core.ep_rail.gid, rail.gid, sizeof(rail.gid)));
    uct_ep_destroy(ep);

    memset(&iface_addr[10], 0, UCT_VMP_IPV4_LEN);
    VMP_CHECK(!uct_iface_is_reachable(iface, (void*)of_rdmacm,
                                      (void*)iface_addr));
    VMP_CHECK(!uct_iface_is_reachable(iface, (void*)own_addr,
                                      (void*)iface_addr));
    VMP_CHECK(uct_ep_create(&params, &ep) == UCS_ERR_UNREACHABLE);
    params.dev_addr = (void*)own_addr;
    VMP_CHECK(uct_ep_create(&params, &ep) == UCS_ERR_UNREACHABLE);
}

uct_ep_h test_connect(uct_iface_h iface)
{
    char device_addr[64], iface_addr[64];
    uct_ep_params_t params = {
        .field_mask = UCT_EP_PARAM_FIELD_IFACE | UCT_EP_PARAM_FIELD_DEV_ADDR |
                      UCT_EP_PARAM_FIELD_IFACE_ADDR,
        .iface      = iface,
        .dev_addr   = (void*)device_addr,
        .iface_addr = (void*)iface_addr
    };
    uct_ep_h ep;

    VMP_CHECK(uct_iface_get_device_address(iface, (void*)device_addr) ==
              UCS_OK);
    VMP_CHECK(uct_iface_get_address(iface, (void*)iface_addr) == UCS_OK);
    VMP_CHECK(uct_iface_is_reachable(iface, (void*)device_addr,
                                     (void*)iface_addr));
    VMP_CHECK(uct_ep_create(&params, &ep) == UCS_OK);

    test_other_ip(&params);

    /* an address of something else */
    memset(iface_addr, 0xff, sizeof(iface_addr));
    VMP_CHECK(!uct_iface_is_reachable(iface, (void*)device_addr,
                                      (void*)iface_addr));
    return ep;
}

size_t test_pack(void *dest, void *arg)
{
    memcpy(dest, arg, strlen(arg) + 1);
    return strlen(arg) + 1;
}

void test_progress(void)
{
    uct_worker_progress(test_worker);
}

static void test_find_component(void)
{
    uct_component_h *components;
    unsigned num, i;

    VMP_CHECK(uct_query_components(&components, &num) == UCS_OK);
    for (i = 0; i < num; ++i) {
        if (components[i] == &uct_vmp_component) {
            test_component = components[i];
        }
    }
    uct_release_component_list(components);
    VMP_CHECK(test_component != NULL);
}

void test_start(void)
{
    uct_md_config_t *config;

    VMP_CHECK(ucs_async_context_create(UCS_ASYNC_MODE_THREAD_SPINLOCK,
                                       &test_async) == UCS_OK);
    VMP_CHECK(uct_worker_create(test_async, UCS_THREAD_MODE_SINGLE,
                                &test_worker) == UCS_OK);
    test_find_component();
    VMP_CHECK(uct_md_config_read(test_component, NULL, NULL, &config) ==
              UCS_OK);
    VMP_CHECK(uct_md_open(test_component, "fake0", config, &test_md) ==
              UCS_OK);
    uct_config_release(config);
    VMP_CHECK(test_open_iface(NULL, NULL, &test_iface) == UCS_OK);
    uct_iface_progress_enable(test_iface,
                              UCT_PROGRESS_SEND | UCT_PROGRESS_RECV);
    VMP_CHECK(uct_iface_set_am_handler(test_iface, TEST_AM_ID, test_am, NULL,
                                       0) == UCS_OK);
    VMP_CHECK(uct_iface_set_am_handler(test_iface, TEST_SETUP_ID, test_am, NULL,
                                       0) == UCS_OK);
    test_ep = test_connect(test_iface);
}

void test_stop(void)
{
    uct_iface_close(test_iface);
    uct_md_close(test_md);
    VMP_CHECK(fake_core.num_regions == 0);
    uct_worker_destroy(test_worker);
    ucs_async_context_destroy(test_async);
}
