/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * The glue between UCX's transport interface and the core, over a core that the
 * test controls: what UCX sees, every operation, order while requests wait,
 * receive buffers, memory, settings, failure. Needs no RDMA device.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "fake_core.h"

#include "uct/uct_vmp_ep.h"
#include "uct/uct_vmp_md.h"
#include "unit/vmp_check.h"

#include <ucs/async/async_fwd.h>

#include <string.h>


#define TEST_AM_ID    3
#define TEST_SETUP_ID 1 /* of UCP's own set-up */
#define TEST_HEADROOM 40
#define TEST_MAX      16

uint64_t vmp_check_seed = 0;

static ucs_async_context_t *test_async;
static uct_worker_h test_worker;
static uct_component_h test_component;
static uct_md_h test_md;
static uct_iface_h test_iface;
static uct_ep_h test_ep;

/* What arrived */
static unsigned test_num_msgs;
static char test_msgs[TEST_MAX][64];
static void *test_descs[TEST_MAX];
static int test_keep;
static unsigned test_num_errors;
static ucs_status_t test_error;


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
    return UCS_OK;
}

static ucs_status_t test_open_iface(const char *name, const char *value,
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

static uct_ep_h test_connect(uct_iface_h iface)
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

    /* an address of something else */
    memset(iface_addr, 0xff, sizeof(iface_addr));
    VMP_CHECK(!uct_iface_is_reachable(iface, (void*)device_addr,
                                      (void*)iface_addr));
    return ep;
}

static void test_resources(void)
{
    uct_tl_resource_desc_t *tls;
    uct_component_attr_t attr = {
        .field_mask = UCT_COMPONENT_ATTR_FIELD_NAME |
                      UCT_COMPONENT_ATTR_FIELD_MD_RESOURCE_COUNT
    };
    unsigned num;

    /* two devices, the first with two ports */
    fake_core.num_devices = 3;
    VMP_CHECK(uct_component_query(test_component, &attr) == UCS_OK);
    VMP_CHECK(!strcmp(attr.name, "vmp"));
    VMP_CHECK(attr.md_resource_count == 2);
    VMP_CHECK(uct_md_query_tl_resources(test_md, &tls, &num) == UCS_OK);
    VMP_CHECK(num == 2);
    VMP_CHECK(!strcmp(tls[0].tl_name, "vmp"));
    VMP_CHECK(!strcmp(tls[0].dev_name, "fake0:1"));
    VMP_CHECK(!strcmp(tls[1].dev_name, "fake0:2"));
    uct_release_tl_resource_list(tls);

    /* none is no error */
    fake_core.num_devices = 0;
    VMP_CHECK(uct_component_query(test_component, &attr) == UCS_OK);
    VMP_CHECK(attr.md_resource_count == 0);
    VMP_CHECK(uct_md_query_tl_resources(test_md, &tls, &num) == UCS_OK);
    VMP_CHECK(num == 0);
    uct_release_tl_resource_list(tls);
    fake_core.num_devices = 1;
}

static void test_attributes(void)
{
    uct_iface_attr_t attr;

    VMP_CHECK(uct_iface_query(test_iface, &attr) == UCS_OK);
    VMP_CHECK(attr.cap.flags & UCT_IFACE_FLAG_CONNECT_TO_IFACE);
    VMP_CHECK(!(attr.cap.flags & UCT_IFACE_FLAG_CONNECT_TO_EP));
    VMP_CHECK(!(attr.cap.flags & (UCT_IFACE_FLAG_ATOMIC_CPU |
                                  UCT_IFACE_FLAG_ATOMIC_DEVICE)));
    VMP_CHECK(attr.cap.event_flags == 0);
    /* limits of UCP's address format */
    VMP_CHECK(attr.device_addr_len <= 31);
    VMP_CHECK(attr.iface_addr_len <= 63);
    VMP_CHECK(attr.dev_num_paths == 1);
    VMP_CHECK(attr.bandwidth.shared > 1);
}

static void test_settings(void)
{
    static const struct {
        const char *name;
        const char *value;
    } bad[] = {
        {"NUM_PATHS", "0"}, {"NUM_PATHS", "65"}, {"NUM_PATHS", "many"},
        {"RETRY_COUNT", "7"}, {"TIMEOUT", "0"}, {"PATH_MTU", "1500"},
        {"SL", "16"}, {"TRAFFIC_CLASS", "256"}, {"PKEY", "0x8000"},
        {"GID_INDEX", "256"}, {"CHUNK_SIZE", "1k"}, {"SEG_SIZE", "10"},
        {"RX_WINDOW", "100"}, {"TX_QUEUE_LEN", "7"}, {"NUM_UD", "9"},
        {"RNR_TIMEOUT", "1s"}, {"PEER_TIMEOUT", "0"}
    };
    uct_iface_h iface = NULL;
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
        VMP_CHECK(test_open_iface(bad[i].name, bad[i].value, &iface) !=
                  UCS_OK);
    }

    VMP_CHECK(test_open_iface("TIMEOUT", "1s", &iface) == UCS_OK);
    VMP_CHECK(fake_core.params.port.timeout == 18);
    VMP_CHECK(fake_core.params.port.min_rnr_timer == 14); /* 1ms or more */
    VMP_CHECK(fake_core.params.port.gid_index == -1);
    VMP_CHECK(fake_core.params.port.pkey == 0xffff);
    VMP_CHECK(fake_core.params.port.retry_count == 6);
    VMP_CHECK(fake_core.params.rx_headroom == TEST_HEADROOM);
    uct_iface_close(iface);

    VMP_CHECK(test_open_iface("PKEY", "0x7fff", &iface) == UCS_OK);
    VMP_CHECK(fake_core.params.port.pkey == 0x7fff);
    uct_iface_close(iface);

    VMP_CHECK(test_open_iface("PATH_MTU", "1024", &iface) == UCS_OK);
    VMP_CHECK(fake_core.params.port.path_mtu == 3);
    uct_iface_close(iface);

    fake_core.create_status = VMP_ERR_NO_MEMORY;
    VMP_CHECK(test_open_iface(NULL, NULL, &iface) == UCS_ERR_NO_MEMORY);
    fake_core.create_status = VMP_OK;
}

static size_t test_pack(void *dest, void *arg)
{
    memcpy(dest, arg, strlen(arg) + 1);
    return strlen(arg) + 1;
}

static void test_unpack(void *arg, const void *data, size_t length)
{
    memcpy(arg, data, length);
}

static void test_comp_func(uct_completion_t *comp)
{
    VMP_CHECK(comp->status == UCS_OK);
}

static void test_progress(void)
{
    uct_worker_progress(test_worker);
}

static void test_messages(void)
{
    char payload[]         = "payload";
    uct_iov_t iov[2]       = {
        {.buffer = payload, .length = 3, .count = 1},
        {.buffer = payload + 3, .length = 5, .count = 1}
    };
    uct_completion_t comp  = {
        .func = test_comp_func, .count = 1, .status = UCS_OK
    };
    uint64_t header        = 0x0123456789abcdef;
    uct_mem_h memh;

    VMP_CHECK(uct_md_mem_reg(test_md, payload, sizeof(payload),
                             UCT_MD_MEM_ACCESS_ALL, &memh) == UCS_OK);
    test_num_msgs  = 0;
    fake_core.room = 4;
    VMP_CHECK(uct_ep_am_short(test_ep, TEST_AM_ID, header, payload,
                              sizeof(payload)) == UCS_OK);
    VMP_CHECK(uct_ep_am_short_iov(test_ep, TEST_AM_ID, iov, 2) == UCS_OK);
    VMP_CHECK(uct_ep_am_bcopy(test_ep, TEST_AM_ID, test_pack, payload, 0) ==
              sizeof(payload));
    iov[0].memh = memh;
    iov[1].memh = memh;
    VMP_CHECK(uct_ep_am_zcopy(test_ep, TEST_AM_ID, "head", 4, iov, 2, 0,
                              &comp) == UCS_INPROGRESS);
    VMP_CHECK(uct_ep_am_short(test_ep, TEST_AM_ID, 0, NULL, 0) ==
              UCS_ERR_NO_RESOURCE);
    VMP_CHECK(comp.count == 1);

    test_progress();
    VMP_CHECK(comp.count == 0);
    VMP_CHECK(test_num_msgs == 4);
    VMP_CHECK(!memcmp(test_msgs[0], &header, sizeof(header)));
    VMP_CHECK(!strcmp(test_msgs[0] + sizeof(header), payload));
    VMP_CHECK(!strcmp(test_msgs[1], payload));
    VMP_CHECK(!strcmp(test_msgs[2], payload));
    VMP_CHECK(!strcmp(test_msgs[3], "headpayload"));
    VMP_CHECK(uct_md_mem_dereg(test_md, memh) == UCS_OK);
}

static void test_rma(void)
{
    static char source[]  = "source of puts and gets";
    static char target[sizeof(source)];
    uct_completion_t comp = {
        .func = test_comp_func, .count = 1, .status = UCS_OK
    };
    uct_iov_t iov         = {
        .buffer = source, .length = sizeof(source), .count = 1
    };
    char packed[16];
    uct_rkey_bundle_t rkey;
    uct_mem_h memh;

    VMP_CHECK(uct_md_mem_reg(test_md, target, sizeof(target),
                             UCT_MD_MEM_ACCESS_ALL, &memh) == UCS_OK);
    VMP_CHECK(uct_md_mkey_pack(test_md, memh, packed) == UCS_OK);
    VMP_CHECK(uct_rkey_unpack(test_component, packed, &rkey) == UCS_OK);
    iov.memh       = memh;
    fake_core.room = 8;

    VMP_CHECK(uct_ep_put_short(test_ep, source, sizeof(source),
                               (uintptr_t)target, rkey.rkey) == UCS_OK);
    VMP_CHECK(!strcmp(source, target));
    memset(target, 0, sizeof(target));
    VMP_CHECK(uct_ep_put_bcopy(test_ep, test_pack, source, (uintptr_t)target,
                               rkey.rkey) == sizeof(source));
    VMP_CHECK(!strcmp(source, target));
    memset(target, 0, sizeof(target));
    VMP_CHECK(uct_ep_put_zcopy(test_ep, &iov, 1, (uintptr_t)target, rkey.rkey,
                               &comp) == UCS_INPROGRESS);
    test_progress();
    VMP_CHECK((comp.count == 0) && !strcmp(source, target));

    memset(target, 0, sizeof(target));
    comp.count = 2;
    VMP_CHECK(uct_ep_get_bcopy(test_ep, test_unpack, target, sizeof(target),
                               (uintptr_t)source, rkey.rkey, &comp) ==
              UCS_INPROGRESS);
    VMP_CHECK(uct_ep_flush(test_ep, 0, &comp) == UCS_INPROGRESS);
    test_progress();
    VMP_CHECK((comp.count == 0) && !strcmp(source, target));
    VMP_CHECK(uct_ep_flush(test_ep, 0, NULL) == UCS_OK);
    VMP_CHECK(uct_ep_fence(test_ep, 0) == UCS_OK);

    memset(target, 0, sizeof(target));
    iov.buffer = target;
    comp.count = 1;
    VMP_CHECK(uct_ep_get_zcopy(test_ep, &iov, 1, (uintptr_t)source, rkey.rkey,
                               &comp) == UCS_INPROGRESS);
    test_progress();
    VMP_CHECK((comp.count == 0) && !strcmp(source, target));

    /* nothing to do is done at once, room or not */
    fake_core.room = 0;
    VMP_CHECK(uct_ep_put_short(test_ep, source, 0, (uintptr_t)target,
                               rkey.rkey) == UCS_OK);

    /* a key that cannot be one */
    packed[0] = 77;
    VMP_CHECK(uct_rkey_release(test_component, &rkey) == UCS_OK);
    VMP_CHECK(uct_rkey_unpack(test_component, packed, &rkey) != UCS_OK);
    VMP_CHECK(uct_md_mem_dereg(test_md, memh) == UCS_OK);
}

static void test_receive_buffers(void)
{
    unsigned i;

    test_num_msgs  = 0;
    test_keep      = 1;
    fake_core.room = 3;
    for (i = 0; i < 3; ++i) {
        VMP_CHECK(uct_ep_am_short(test_ep, TEST_AM_ID, i, NULL, 0) == UCS_OK);
    }
    test_progress();
    test_keep = 0;
    VMP_CHECK(fake_core.num_kept == 3);
    for (i = 0; i < 3; ++i) {
        VMP_CHECK(test_msgs[i][0] == (char)i);
        uct_iface_release_desc(test_descs[i]);
    }
    VMP_CHECK(fake_core.num_kept == 0);
}

/* Requests that wait: each sends its number of messages. */
typedef struct test_req {
    uct_pending_req_t super;
    unsigned          left;
    char              name;
    int               again;    /* queue once more when done */
    int               close;    /* destroy the endpoint when done */
    struct test_req   *reply;   /* what its completion callback sends */
} test_req_t;

static ucs_status_t test_req_func(uct_pending_req_t *super)
{
    test_req_t *req = ucs_container_of(super, test_req_t, super);
    ucs_status_t status;

    if (req->left > 0) {
        status = uct_ep_am_short(test_ep, TEST_AM_ID, req->name, NULL, 0);
        if (status != UCS_OK) {
            return status;
        }
        --req->left;
    }

    if (req->left > 0) {
        return UCS_INPROGRESS;
    }

    if (req->again) {
        req->again = 0;
        req->left  = 1;
        VMP_CHECK(uct_ep_pending_add(test_ep, &req->super, 0) == UCS_OK);
    } else if (req->close) {
        uct_ep_destroy(test_ep);
    } else if ((req->reply != NULL) &&
               (test_req_func(&req->reply->super) != UCS_OK)) {
        VMP_CHECK(uct_ep_pending_add(test_ep, &req->reply->super, 0) ==
                  UCS_OK);
    }

    return UCS_OK;
}

static void test_purged(uct_pending_req_t *super, void *arg)
{
    strncat(arg, &ucs_container_of(super, test_req_t, super)->name, 1);
}

static void test_pending(void)
{
    test_req_t reqs[4] = {
        {{test_req_func, {0}}, 2, 'a', 0, 0, NULL},
        {{test_req_func, {0}}, 1, 'b', 1, 0, NULL},
        {{test_req_func, {0}}, 3, 'c', 0, 0, NULL},
        {{test_req_func, {0}}, 1, 'd', 0, 0, NULL}
    };
    char order[TEST_MAX + 1] = "";
    unsigned i;

    test_num_msgs  = 0;
    fake_core.room = 1;
    VMP_CHECK(uct_ep_pending_add(test_ep, &reqs[0].super, 0) ==
              UCS_ERR_BUSY);
    fake_core.room = 0;
    for (i = 0; i < 3; ++i) {
        VMP_CHECK(uct_ep_pending_add(test_ep, &reqs[i].super, 0) == UCS_OK);
    }

    /* room comes, but nothing may overtake */
    fake_core.room = 100;
    VMP_CHECK(uct_ep_am_short(test_ep, TEST_AM_ID, 'x', NULL, 0) ==
              UCS_ERR_NO_RESOURCE);
    VMP_CHECK(uct_ep_am_bcopy(test_ep, TEST_AM_ID, test_pack, (void*)"x", 0) ==
              UCS_ERR_NO_RESOURCE);
    VMP_CHECK(uct_ep_flush(test_ep, 0, NULL) == UCS_ERR_NO_RESOURCE);
    VMP_CHECK(uct_ep_pending_add(test_ep, &reqs[3].super, 0) == UCS_OK);

    fake_core.room = 4;
    for (i = 0; i < 4; ++i) {
        test_progress();
    }
    fake_core.room = 100;
    for (i = 0; i < 4; ++i) {
        test_progress();
    }

    for (i = 0; i < test_num_msgs; ++i) {
        order[i] = test_msgs[i][0];
    }
    VMP_CHECK(!strcmp(order, "aabcccdb"));
    VMP_CHECK(uct_ep_am_short(test_ep, TEST_AM_ID, 'x', NULL, 0) == UCS_OK);
    test_progress();

    /* purge gives them back in order, and none runs */
    fake_core.room = 0;
    memset(order, 0, sizeof(order));
    for (i = 0; i < 4; ++i) {
        reqs[i].left = 1;
        VMP_CHECK(uct_ep_pending_add(test_ep, &reqs[i].super, 0) == UCS_OK);
    }
    uct_ep_pending_purge(test_ep, test_purged, order);
    VMP_CHECK(!strcmp(order, "abcd"));
    fake_core.room = 1;
    test_progress();
    VMP_CHECK(fake_core.room == 1);
}

static void test_check_fence(char before, char after)
{
    const char *fence = strchr(strchr(fake_core.trace, before), '|');

    VMP_CHECK(fence != NULL);
    VMP_CHECK(strchr(fake_core.trace, after) > fence);
}

static void test_send_traced(char what)
{
    VMP_CHECK(uct_ep_am_short(test_ep, TEST_AM_ID, what, NULL, 0) == UCS_OK);
}

/* After a purge UCP replays what it kept, without the fences between. */
static void test_pending_replay(void)
{
    test_req_t reqs[2] = {
        {{test_req_func, {0}}, 1, 'c', 0, 0, NULL},
        {{test_req_func, {0}}, 1, 'd', 0, 0, NULL}
    };
    char setup[2] = "w";

    test_num_msgs = 0;
    uct_ep_pending_purge(test_ep, test_purged, NULL);
    fake_core.trace[0] = '\0';
    fake_core.room     = 3;
    test_progress();
    VMP_CHECK(uct_ep_am_bcopy(test_ep, TEST_SETUP_ID, test_pack, setup, 0) > 0);
    VMP_CHECK(fake_core.trace[0] == '\0');
    test_send_traced('a');
    test_send_traced('b');
    VMP_CHECK(uct_ep_pending_add(test_ep, &reqs[0].super, 0) == UCS_OK);
    VMP_CHECK(uct_ep_pending_add(test_ep, &reqs[1].super, 0) == UCS_OK);
    fake_core.room = 100;
    test_progress();
    test_check_fence('a', 'b');
    test_check_fence('b', 'c');
    test_check_fence('c', 'd');

    /* over */
    test_send_traced('x');
    test_progress();
    fake_core.trace[0] = '\0';
    test_send_traced('y');
    test_send_traced('z');
    VMP_CHECK(!strcmp(fake_core.trace, "yz"));
    test_progress();
}

/* What a completion callback sends does not overtake what waits. */
static void test_pending_reply(void)
{
    test_req_t reqs[4] = {
        {{test_req_func, {0}}, 1, 'a', 0, 0, &reqs[3]},
        {{test_req_func, {0}}, 2, 'b', 0, 0, NULL},
        {{test_req_func, {0}}, 1, 'c', 0, 0, NULL},
        {{test_req_func, {0}}, 1, 'd', 0, 0, NULL}
    };
    unsigned i;

    test_num_msgs  = 0;
    fake_core.room = 0;
    for (i = 0; i < 3; ++i) {
        VMP_CHECK(uct_ep_pending_add(test_ep, &reqs[i].super, 0) == UCS_OK);
    }

    fake_core.trace[0] = '\0';
    fake_core.room     = 100;
    test_progress();
    test_progress();
    VMP_CHECK(!strcmp(fake_core.trace, "abbcd"));
}

/* UCP flushes and fences interfaces while requests wait. */
static void test_pending_fence(void)
{
    test_req_t reqs[4] = {
        {{test_req_func, {0}}, 2, 'a', 0, 0, NULL},
        {{test_req_func, {0}}, 1, 'b', 0, 0, NULL},
        {{test_req_func, {0}}, 1, 'c', 0, 0, NULL},
        {{test_req_func, {0}}, 1, 'd', 0, 0, NULL}
    };
    unsigned i;

    test_num_msgs  = 0;
    fake_core.room = 0;
    VMP_CHECK(uct_iface_flush(test_iface, 0, NULL) == UCS_OK);
    for (i = 0; i < 4; ++i) {
        VMP_CHECK(uct_ep_pending_add(test_ep, &reqs[i].super, 0) == UCS_OK);
        VMP_CHECK(uct_iface_flush(test_iface, 0, NULL) == UCS_INPROGRESS);
        if ((i == 1) || (i == 3)) {
            VMP_CHECK(uct_iface_fence(test_iface, 0) == UCS_OK);
        }
    }

    /* a, b | c, d | x */
    fake_core.trace[0] = '\0';
    for (i = 0; i < 6; ++i) {
        fake_core.room = 1;
        test_progress();
    }
    fake_core.room = 1;
    VMP_CHECK(uct_ep_am_short(test_ep, TEST_AM_ID, 'x', NULL, 0) == UCS_OK);
    test_progress();
    VMP_CHECK(uct_iface_flush(test_iface, 0, NULL) == UCS_OK);

    /* more fences than needed would be no error */
    test_check_fence('b', 'c');
    test_check_fence('d', 'x');
}

static void test_failure(void)
{
    VMP_CHECK(uct_ep_check(test_ep, 0, NULL) == UCS_OK);
    fake_core_fail(&uct_vmp_ep(test_ep)->core, VMP_ERR_CONNECTION_RESET);
    VMP_CHECK(test_num_errors == 1);
    VMP_CHECK(test_error == UCS_ERR_CONNECTION_RESET);
    VMP_CHECK(uct_ep_check(test_ep, 0, NULL) == UCS_ERR_CONNECTION_RESET);
    uct_ep_destroy(test_ep);
    test_ep = test_connect(test_iface);
}

static void test_destroy_in_request(void)
{
    test_req_t req = {{test_req_func, {0}}, 1, 'z', 0, 1, NULL};

    fake_core.room = 0;
    VMP_CHECK(uct_ep_pending_add(test_ep, &req.super, 0) == UCS_OK);
    fake_core.room = 1;
    test_progress();
    VMP_CHECK(req.left == 0);
    test_progress();
    test_ep = NULL;
}

/* A request that purges what waits behind it, and itself finds no room */
static ucs_status_t test_purging_func(uct_pending_req_t *super)
{
    test_req_t *req = ucs_container_of(super, test_req_t, super);
    char order[8]   = "";

    if (req->close) {
        req->close = 0;
        uct_ep_pending_purge(test_ep, test_purged, order);
        return UCS_ERR_NO_RESOURCE;
    }

    return test_req_func(super);
}

static void test_purge_in_request(void)
{
    test_req_t req = {{test_purging_func, {0}}, 1, 'p', 0, 1, NULL};

    fake_core.room = 0;
    VMP_CHECK(uct_ep_pending_add(test_ep, &req.super, 0) == UCS_OK);
    fake_core.room = 1;
    test_progress();
    VMP_CHECK(!req.close);
    test_progress();
    VMP_CHECK(req.left == 0);
    test_progress();
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

static void test_start(void)
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

static void test_stop(void)
{
    uct_iface_close(test_iface);
    uct_md_close(test_md);
    VMP_CHECK(fake_core.num_regions == 0);
    uct_worker_destroy(test_worker);
    ucs_async_context_destroy(test_async);
}

int main(void)
{
    test_start();
    test_resources();
    test_attributes();
    test_settings();
    test_messages();
    test_rma();
    test_receive_buffers();
    test_pending();
    test_pending_fence();
    test_pending_replay();
    test_pending_reply();
    test_failure();
    test_purge_in_request();
    test_destroy_in_request();
    test_stop();
    printf("ok\n");
    return 0;
}
