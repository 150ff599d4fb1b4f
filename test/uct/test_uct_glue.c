/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * The glue between UCX's transport interface and the core, over a core that the
 * test controls: what UCX sees, every operation, receive buffers, memory,
 * settings, failure. Needs no RDMA device.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "glue_world.h"

#include <unistd.h>


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
    uct_iface_h iface;

    VMP_CHECK(uct_iface_query(test_iface, &attr) == UCS_OK);
    VMP_CHECK(attr.cap.flags & UCT_IFACE_FLAG_CONNECT_TO_IFACE);
    VMP_CHECK(!(attr.cap.flags & UCT_IFACE_FLAG_CONNECT_TO_EP));
    VMP_CHECK(!(attr.cap.flags & (UCT_IFACE_FLAG_ATOMIC_CPU |
                                  UCT_IFACE_FLAG_ATOMIC_DEVICE)));
    /* limits of UCP's address format */
    VMP_CHECK(attr.device_addr_len <= 31);
    VMP_CHECK(attr.iface_addr_len <= 63);
    VMP_CHECK(attr.dev_num_paths == 1);
    VMP_CHECK(attr.bandwidth.shared > 1);
    VMP_CHECK(attr.cap.flags & UCT_IFACE_FLAG_AM_ZCOPY);

    fake_core.no_am_zcopy = 1;
    VMP_CHECK(test_open_iface(NULL, NULL, &iface) == UCS_OK);
    VMP_CHECK(uct_iface_query(iface, &attr) == UCS_OK);
    VMP_CHECK(!(attr.cap.flags & UCT_IFACE_FLAG_AM_ZCOPY));
    uct_iface_close(iface);
    fake_core.no_am_zcopy = 0;

    /* UCP subtracts what is not aligned from this MTU */
    fake_core.path_mtu = 256;
    VMP_CHECK(test_open_iface(NULL, NULL, &iface) == UCS_OK);
    VMP_CHECK(uct_iface_query(iface, &attr) == UCS_OK);
    VMP_CHECK(attr.cap.am.opt_zcopy_align <= attr.cap.am.align_mtu);
    VMP_CHECK(attr.cap.put.opt_zcopy_align <= attr.cap.put.align_mtu);
    VMP_CHECK(attr.cap.get.opt_zcopy_align <= attr.cap.get.align_mtu);
    uct_iface_close(iface);
    fake_core.path_mtu = 0;
}

static void test_wakeup(void)
{
    uct_iface_attr_t attr;
    int fd = -1;

    VMP_CHECK(uct_iface_query(test_iface, &attr) == UCS_OK);
    VMP_CHECK(attr.cap.event_flags == (UCT_IFACE_FLAG_EVENT_SEND_COMP |
                                       UCT_IFACE_FLAG_EVENT_RECV |
                                       UCT_IFACE_FLAG_EVENT_FD));
    VMP_CHECK(uct_iface_event_fd_get(test_iface, &fd) == UCS_OK);
    VMP_CHECK(fd == fake_core.event_fd);

    VMP_CHECK(uct_iface_event_arm(test_iface, UCT_EVENT_RECV) == UCS_OK);
    VMP_CHECK(fake_core.armed == VMP_PORT_EVENT_RX);
    VMP_CHECK(uct_iface_event_arm(test_iface, UCT_EVENT_SEND_COMP |
                                  UCT_EVENT_RECV_SIG) == UCS_OK);
    VMP_CHECK(fake_core.armed == (VMP_PORT_EVENT_RX | VMP_PORT_EVENT_TX));

    fake_core.room = 1;
    VMP_CHECK(uct_ep_am_short(test_ep, TEST_AM_ID, 0, NULL, 0) == UCS_OK);
    VMP_CHECK(uct_iface_event_arm(test_iface, UCT_EVENT_SEND_COMP) == UCS_OK);
    VMP_CHECK(uct_iface_event_arm(test_iface, UCT_EVENT_RECV) == UCS_ERR_BUSY);
    test_progress();
    VMP_CHECK(uct_iface_event_arm(test_iface, UCT_EVENT_RECV) == UCS_OK);

    /* UCP ends the program upon any other error than this */
    fake_core.arm_status = VMP_ERR_IO_ERROR;
    VMP_CHECK(uct_iface_event_arm(test_iface, UCT_EVENT_RECV) == UCS_ERR_BUSY);
    fake_core.arm_status = VMP_OK;

    /* a port without one */
    fake_core.event_fd = -1;
    VMP_CHECK(uct_iface_query(test_iface, &attr) == UCS_OK);
    VMP_CHECK(attr.cap.event_flags == 0);
    VMP_CHECK(uct_iface_event_fd_get(test_iface, &fd) == UCS_ERR_UNSUPPORTED);
    fake_core.event_fd = 12345;
    test_num_msgs      = 0;
}

/* UCX_ADAPTIVE_PROGRESS: the worker leaves an interface alone that nobody uses */
static void test_progress_disabled(void)
{
    const unsigned flags = UCT_PROGRESS_SEND | UCT_PROGRESS_RECV;

    test_num_msgs  = 0;
    fake_core.room = 1;
    uct_iface_progress_disable(test_iface, flags);
    VMP_CHECK(uct_ep_am_short(test_ep, TEST_AM_ID, 0, NULL, 0) == UCS_OK);
    test_progress();
    VMP_CHECK(test_num_msgs == 0);

    uct_iface_progress_enable(test_iface, flags);
    test_progress();
    VMP_CHECK(test_num_msgs == 1);
    test_num_msgs = 0;
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
        {"RNR_TIMEOUT", "1s"}, {"PEER_TIMEOUT", "0"}, {"TX_QUEUE_LEN", "8"},
        {"SUSPECT_TIME", "0"},
        {"TX_QUEUE_LEN", "65536"}, {"TX_CQ_LEN", "128"}, {"TX_CQ_LEN", "inf"},
        {"RX_QUEUE_LEN", "16"}, {"RX_MAX_BUFS", "1000"}, {"TX_MAX_BUFS", "8"},
        {"TX_MIN_INLINE", "8k"}, {"TX_MIN_SGE", "1"}, {"MAX_RD_ATOMIC", "0"},
        {"MAX_RD_ATOMIC", "256"}, {"PATH_WINDOW", "1k"}, {"LATENCY", "2s"},
        {"CHUNK_SIZE", "inf"}, {"CHUNK_SIZE", "auto"}, {"SEG_SIZE", "2m"},
        {"PATH_WINDOW", "inf"}, {"RX_WINDOW", "131072"}, {"OVERHEAD", "2s"},
        {"RX_WINDOW_MIN", "0"}, {"RX_WINDOW_MIN", "1024"}, {"NUM_UD", "0"},
        {"SPREAD_THRESH", "auto"}, {"PEER_TIMEOUT", "1e9s"},
        {"BANDWIDTH", "-1MBs"}, {"BANDWIDTH", "1e400GBs"},
        {"NUM_PATHS", "-1"}, {"STATS", "yes"}, {"STATS", "file:"}, {"STATS", "file:/tmp/%x"},
        {"STATS", "file:/nowhere/at/all"}
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
    VMP_CHECK(fake_core.params.port.retry_count == 3);
    VMP_CHECK(fake_core.params.rx_headroom == TEST_HEADROOM);
    uct_iface_close(iface);

    VMP_CHECK(test_open_iface("SPREAD_THRESH", "inf", &iface) == UCS_OK);
    VMP_CHECK(fake_core.params.spread_thresh == SIZE_MAX);
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

/* What the core says at the end is appended to a file of the process */
static void test_stats(void)
{
    char name[]       = "/tmp/vmp_test.XXXXXX";
    uct_iface_h iface = NULL;
    char path[64], dest[64], line[64];
    FILE *file;
    int fd, i;

    fd = mkstemp(name);
    VMP_CHECK(fd >= 0);
    close(fd);
    unlink(name);
    snprintf(dest, sizeof(dest), "file:%s.%%p", name);
    snprintf(path, sizeof(path), "%s.%d", name, (int)getpid());
    for (i = 0; i < 2; ++i) {
        VMP_CHECK(test_open_iface("STATS", dest, &iface) == UCS_OK);
        uct_iface_close(iface);
    }

    file = fopen(path, "r");
    VMP_CHECK(file != NULL);
    for (i = 0; fgets(line, sizeof(line), file) != NULL; ++i) {
        VMP_CHECK(strcmp(line, "{\"type\":\"iface\"}\n") == 0);
    }
    VMP_CHECK(i == 2);
    fclose(file);
    unlink(path);
}

static void test_unpack(void *arg, const void *data, size_t length)
{
    memcpy(arg, data, length);
}

static void test_comp_func(uct_completion_t *comp)
{
    VMP_CHECK(comp->status == UCS_OK);
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

static void test_failure(void)
{
    VMP_CHECK(uct_ep_check(test_ep, 0, NULL) == UCS_OK);
    fake_core_fail(&uct_vmp_ep(test_ep)->core, VMP_ERR_CONNECTION_RESET);
    VMP_CHECK(test_num_errors == 1);
    VMP_CHECK(test_error == UCS_ERR_CONNECTION_RESET);
    VMP_CHECK(uct_ep_check(test_ep, 0, NULL) == UCS_ERR_CONNECTION_RESET);
    uct_ep_destroy(test_ep);
    test_ep = test_connect(test_iface);

    /* Nobody takes care: this one is not fatal */
    fake_core.is_unread = 1;
    test_err_status     = UCS_ERR_UNSUPPORTED;
    fake_core_fail(&uct_vmp_ep(test_ep)->core, VMP_ERR_CONNECTION_RESET);
    VMP_CHECK(test_num_errors == 2);
    test_err_status     = UCS_OK;
    fake_core.is_unread = 0;
    uct_ep_destroy(test_ep);
    test_ep = test_connect(test_iface);
}

/* Fault injection of UCX's own tests */
static void test_invalidate(void)
{
    uct_base_iface_t *iface = ucs_container_of(test_iface, uct_base_iface_t,
                                               super);

    /* an endpoint has no socket address: as UCX's own transports */
    VMP_CHECK(iface->internal_ops->ep_query(test_ep, NULL) ==
              UCS_ERR_UNSUPPORTED);

    test_num_errors = 0;
    VMP_CHECK(iface->internal_ops->ep_invalidate(test_ep, 1) ==
              UCS_ERR_INVALID_PARAM);
    test_progress();
    VMP_CHECK(test_num_errors == 0);
    VMP_CHECK(iface->internal_ops->ep_invalidate(test_ep, 0) == UCS_OK);
    VMP_CHECK(test_num_errors == 0);
    test_progress();
    VMP_CHECK(test_num_errors == 1);
    VMP_CHECK(test_error == UCS_ERR_CONNECTION_RESET);
    uct_ep_destroy(test_ep);
    test_ep = test_connect(test_iface);
}

/* Flags of flush; those of newer versions of UCX, and unknown ones, as well */
static const unsigned test_flush_flags[] = {
    UCT_FLUSH_FLAG_LOCAL,
    UCS_BIT(1),                                 /* remote */
    UCS_BIT(31),
    UCT_FLUSH_FLAG_CANCEL,
    UCT_FLUSH_FLAG_CANCEL | UCS_BIT(1) | UCS_BIT(31)
};

typedef enum test_work {
    TEST_IDLE,                  /* nothing was sent */
    TEST_IN_FLIGHT,
    TEST_WAITS                  /* a request has no room */
} test_work_t;

static ucs_status_t test_send_one(uct_pending_req_t *req)
{
    return uct_ep_am_short(test_ep, TEST_AM_ID, 0, NULL, 0);
}

/* Flush an endpoint in one of these states */
static void test_flush_ep(test_work_t work, unsigned flags, int has_comp)
{
    int is_cancel         = !!(flags & UCT_FLUSH_FLAG_CANCEL);
    ucs_status_t expected = (work == TEST_IN_FLIGHT) ? UCS_INPROGRESS : UCS_OK;
    uct_completion_t sent = {
        .func = test_comp_func, .count = 1, .status = UCS_OK
    };
    uct_completion_t comp = sent;
    uct_pending_req_t req = {.func = test_send_one};

    if ((work == TEST_WAITS) && !is_cancel) {
        expected = UCS_ERR_NO_RESOURCE;
    }

    fake_core.room        = (work == TEST_IN_FLIGHT);
    fake_core.flush_flags = ~0u;
    if (work == TEST_IN_FLIGHT) {
        VMP_CHECK(uct_ep_am_zcopy(test_ep, TEST_AM_ID, "x", 1, NULL, 0, 0,
                                  &sent) == UCS_INPROGRESS);
    } else if (work == TEST_WAITS) {
        VMP_CHECK(uct_ep_pending_add(test_ep, &req, 0) == UCS_OK);
    }

    VMP_CHECK(uct_ep_flush(test_ep, flags, has_comp ? &comp : NULL) ==
              expected);
    /* whether the core heard of it, and what */
    VMP_CHECK(fake_core.flush_flags ==
              ((expected == UCS_ERR_NO_RESOURCE) ? ~0u :
               is_cancel ? VMP_FLUSH_CANCEL : 0));
    VMP_CHECK(comp.count == 1);

    /* the interface takes no completion, whatever else it is asked */
    VMP_CHECK(uct_iface_flush(test_iface, flags, &comp) == UCS_ERR_UNSUPPORTED);
    VMP_CHECK(uct_iface_flush(test_iface, flags, NULL) ==
              ((work == TEST_IDLE) ? UCS_OK : UCS_INPROGRESS));

    fake_core.room = 1;
    test_progress();
    VMP_CHECK(sent.count == (work != TEST_IN_FLIGHT));
    VMP_CHECK(comp.count == !(has_comp && (expected == UCS_INPROGRESS)));
    VMP_CHECK(uct_iface_flush(test_iface, flags, NULL) == UCS_OK);
    test_progress();
}

static void test_flush(void)
{
    test_work_t work;
    unsigned i;

    for (i = 0; i < ucs_static_array_size(test_flush_flags); ++i) {
        for (work = TEST_IDLE; work <= TEST_WAITS; ++work) {
            test_num_msgs = 0;
            test_flush_ep(work, test_flush_flags[i], 0);
            test_flush_ep(work, test_flush_flags[i], 1);
            VMP_CHECK(test_num_msgs == ((work == TEST_IDLE) ? 0 : 2));
        }

        /* fences have no flags, and always succeed */
        fake_core.trace[0] = 0;
        VMP_CHECK(uct_ep_fence(test_ep, test_flush_flags[i]) == UCS_OK);
        VMP_CHECK(!strcmp(fake_core.trace, "|"));
        VMP_CHECK(uct_iface_fence(test_iface, test_flush_flags[i]) == UCS_OK);
    }
}

static ucs_status_t test_open_aligned(size_t align, size_t offset,
                                      uint64_t fields)
{
    uct_iface_params_t params = {
        .field_mask           = UCT_IFACE_PARAM_FIELD_OPEN_MODE |
                                UCT_IFACE_PARAM_FIELD_DEVICE | fields,
        .open_mode            = UCT_IFACE_OPEN_MODE_DEVICE,
        .mode.device.tl_name  = "vmp",
        .mode.device.dev_name = "fake0:1",
        .am_alignment         = align,
        .am_align_offset      = offset
    };
    uct_iface_config_t *config;
    ucs_status_t status;
    uct_iface_h iface;

    VMP_CHECK(uct_md_iface_config_read(test_md, "vmp", NULL, NULL, &config) ==
              UCS_OK);
    status = uct_iface_open(test_md, test_worker, &params, config, &iface);
    uct_config_release(config);
    if (status == UCS_OK) {
        VMP_CHECK(fake_core.params.rx_align == align);
        VMP_CHECK(fake_core.params.rx_align_offset == (offset % align));
        uct_iface_close(iface);
    }

    return status;
}

static ucs_status_t test_am_unaligned(void *arg, void *data, size_t length,
                                      unsigned flags)
{
    VMP_CHECK(flags == 0);
    ++*(unsigned*)arg;
    return UCS_OK;
}

/* Only what is aligned as UCX wants it may be kept */
static void test_alignment(void)
{
    const uint64_t align   = UCT_IFACE_PARAM_FIELD_AM_ALIGNMENT;
    const uint64_t offset  = UCT_IFACE_PARAM_FIELD_AM_ALIGN_OFFSET;
    uct_vmp_iface_t *iface = ucs_container_of(test_iface, uct_vmp_iface_t,
                                              super.super);
    unsigned count         = 0;

    VMP_CHECK(test_open_aligned(0, 0, align) == UCS_ERR_INVALID_PARAM);
    VMP_CHECK(test_open_aligned(3, 1, align) == UCS_ERR_INVALID_PARAM);
    VMP_CHECK(test_open_aligned(0, 11, offset) == UCS_ERR_INVALID_PARAM);
    VMP_CHECK(test_open_aligned(8, 8, offset) == UCS_ERR_INVALID_PARAM);
    /* a UCP worker's am_alignment of 8: the offset is always 8 */
    VMP_CHECK(test_open_aligned(8, 8, align | offset) == UCS_OK);
    VMP_CHECK(test_open_aligned(4, 11, align | offset) == UCS_OK);
    VMP_CHECK(test_open_aligned(256, 24, align | offset) == UCS_OK);

    VMP_CHECK(uct_iface_set_am_handler(test_iface, TEST_AM_ID + 1,
                                       test_am_unaligned, &count, 0) == UCS_OK);
    fake_core.room    = 1;
    iface->align_mask = ~(size_t)0;
    VMP_CHECK(uct_ep_am_short(test_ep, TEST_AM_ID + 1, 1, NULL, 0) == UCS_OK);
    test_progress();
    iface->align_mask = 0;
    VMP_CHECK(count == 1);
}

/* UCX's own transports refuse it, too, whatever else is wrong with the call */
static void test_bad_id(void)
{
    const uint8_t id = UCT_AM_ID_MAX;
    char text[]      = "x";
    uct_iov_t iov    = {.buffer = text, .length = 1, .count = 1};

    fake_core.room = 4;
    VMP_CHECK(uct_ep_am_short(test_ep, id, 0, NULL, 0) ==
              UCS_ERR_INVALID_PARAM);
    VMP_CHECK(uct_ep_am_short_iov(test_ep, id, &iov, 1) ==
              UCS_ERR_INVALID_PARAM);
    VMP_CHECK(uct_ep_am_bcopy(test_ep, id, test_pack, text, 0) ==
              UCS_ERR_INVALID_PARAM);
    VMP_CHECK(uct_ep_am_zcopy(test_ep, id, NULL, 0, &iov, 1, 0, NULL) ==
              UCS_ERR_INVALID_PARAM);
    VMP_CHECK(fake_core.room == 4);
}

int main(void)
{
    test_start();
    test_resources();
    test_attributes();
    test_wakeup();
    test_progress_disabled();
    test_settings();
    test_stats();
    test_messages();
    test_rma();
    test_receive_buffers();
    test_alignment();
    test_bad_id();
    test_flush();
    test_failure();
    test_invalidate();
    uct_ep_destroy(test_ep);
    test_stop();
    printf("ok\n");
    return 0;
}
