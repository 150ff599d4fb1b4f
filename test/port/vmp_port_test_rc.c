/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "vmp_port_test.h"

#include <poll.h>
#include <sys/mman.h>


#define BUF_SIZE   (256 * 1024)
#define FRAME      4096
#define NUM_RECVS  64
#define NUM_PAIRS  8


/** Two QPs of one port, connected with each other. */
typedef struct pair {
    vmp_port_qp_t *a;
    vmp_port_qp_t *b;
    uint32_t      entropy;
    uint32_t      psn;                  /* first of what `a` sends */
} pair_t;

static vmp_port_t      *port;
static vmp_port_attr_t attr;
static vmp_mem_t       src_mem, dst_mem;
static uint8_t         *src, *dst;
static vmp_ctl_t       ctl;


static void open_rejected(vmp_port_md_t *md, const vmp_port_params_t *params,
                          const char *word)
{
    vmp_port_attr_t unused_attr;
    vmp_port_t *unused;

    num_errors   = 0;
    last_line[0] = '\0';
    CHECK(vmp_port_open(md, params, &unused, &unused_attr) < 0);
    CHECK(num_errors == 1);
    CHECK(strstr(last_line, word) != NULL);
}

void test_params(vmp_port_md_t *md)
{
    vmp_port_md_attr_t md_attr;
    vmp_port_params_t params;

    vmp_port_md_query(md, &md_attr);
    CHECK(md_attr.num_devs == 1);
    CHECK(md_attr.max_mr_size > (1ul << 30));

    default_params(&params, 99);
    open_rejected(md, &params, "GID_INDEX");
    default_params(&params, 300);
    open_rejected(md, &params, "GID_INDEX");

    default_params(&params, -1);
    params.pkey = 0x1234;
    open_rejected(md, &params, "PKEY");

    default_params(&params, -1);
    params.retry_count = 7;
    open_rejected(md, &params, "RETRY_COUNT");

    default_params(&params, -1);
    params.rails[0].dev_index = 1;
    open_rejected(md, &params, "device 1");

    default_params(&params, -1);
    params.rails[0].port_num = 9;
    open_rejected(md, &params, dev.name);

    if (dev.mtu < 5) {
        default_params(&params, -1);
        params.path_mtu = (uint8_t)(dev.mtu + 1);
        open_rejected(md, &params, "PATH_MTU");
    }

    /* Too much of everything is clamped, with the truth in attr */
    default_params(&params, -1);
    params.sq_depth   = 5000;
    params.srq_depth  = 1u << 30;
    params.max_inline = 1u << 20;
    params.max_sge    = 255;
    num_errors        = 0;
    CHECK(vmp_port_open(md, &params, &port, &attr) == VMP_OK);
    CHECK(num_errors == 0);
    say("most of: send queue %u, SRQ %u, inline %u, SGEs %u, reads %u",
        attr.sq_depth, attr.srq_depth, attr.max_inline, attr.max_sge,
        attr.max_rd_atomic);
    CHECK((attr.sq_depth & (attr.sq_depth - 1)) == 0);
    vmp_port_close(port);
}

void test_mem(vmp_port_md_t *md)
{
    vmp_mem_t mem;
    void *ptr;

    num_errors = 0;
    ptr        = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                      0);
    CHECK(ptr != MAP_FAILED);

    CHECK(vmp_port_mem_reg(md, ptr, 8192, VMP_MEM_REMOTE_READ, 0, &mem) ==
          VMP_OK);
    CHECK(mem.num_devs == 1);
    CHECK(vmp_port_mem_dereg(&mem) == VMP_OK);

    CHECK(vmp_port_mem_reg(md, ptr, 0, VMP_MEM_LOCAL_WRITE, 0, &mem) ==
          VMP_OK);
    CHECK(mem.num_devs == 1);
    CHECK(vmp_port_mem_dereg(&mem) == VMP_OK);

    CHECK(munmap(ptr, 8192) == 0);
    CHECK(vmp_port_mem_reg(md, ptr, 8192, VMP_MEM_LOCAL_WRITE, 1, &mem) < 0);
    CHECK(num_errors == 0);
    CHECK(vmp_port_mem_reg(md, ptr, 8192, VMP_MEM_LOCAL_WRITE, 0, &mem) < 0);
    CHECK(num_errors == 1);
    say("registering what is not mapped: %s", last_line);
}

/* The life of QPs is the helper's */
static void do_connect_pair(vmp_ctl_t *unused, void *arg)
{
    pair_t *pair = arg;
    vmp_port_qp_remote_t remote;
    uint32_t psn[2] = { (uint32_t)vmp_port_random(port) & 0xffffff,
                        (uint32_t)vmp_port_random(port) & 0xffffff };

    (void)unused;
    pair->psn = psn[0];
    pair->a = vmp_port_qp_create(port, 0);
    pair->b = vmp_port_qp_create(port, 0);
    CHECK((pair->a != NULL) && (pair->b != NULL));

    memset(&remote, 0, sizeof(remote));
    remote.addr          = attr.addr[0];
    remote.qpn           = vmp_port_qp_num(pair->b);
    remote.rq_psn        = psn[1];
    remote.sq_psn        = psn[0];
    remote.entropy       = pair->entropy;
    remote.mtu           = attr.path_mtu;
    remote.max_rd_atomic = attr.max_rd_atomic;
    CHECK(vmp_port_qp_connect(pair->a, &remote) == 0);

    remote.qpn    = vmp_port_qp_num(pair->a);
    remote.rq_psn = psn[0];
    remote.sq_psn = psn[1];
    CHECK(vmp_port_qp_connect(pair->b, &remote) == 0);
}

static void connect_pair(pair_t *pair, uint32_t entropy)
{
    pair->entropy = entropy;
    run_job(&ctl, do_connect_pair, pair);
}

static void do_destroy_qp(vmp_ctl_t *unused, void *arg)
{
    (void)unused;
    vmp_port_qp_destroy(arg);
}

static void destroy_pair(pair_t *pair)
{
    run_job(&ctl, do_destroy_qp, pair->a);
    run_job(&ctl, do_destroy_qp, pair->b);
}

static void do_qp_error(vmp_ctl_t *unused, void *arg)
{
    (void)unused;
    CHECK(vmp_port_qp_error(arg) == 0);
}

/** Poll until `num` completions are there; at most 10 s. */
static void poll_cq(int is_rx, vmp_wc_t *wc, int num)
{
    uint64_t deadline = vmp_port_now(port) + 10000000000ul;
    int count         = 0;
    int ret;

    while (count < num) {
        ret = is_rx ? vmp_port_poll_rx(port, 0, wc + count, num - count) :
                      vmp_port_poll_tx(port, 0, wc + count, num - count);
        CHECK(ret >= 0);
        count += ret;
        CHECK(vmp_port_now(port) < deadline);
    }
}

/** Buffer i of the SRQ is frame i of dst. */
static void post_recvs(unsigned first, unsigned num)
{
    uint64_t ids[NUM_RECVS];
    vmp_sge_t sge[NUM_RECVS];
    unsigned i;

    for (i = 0; i < num; ++i) {
        ids[i]        = first + i;
        sge[i].addr   = (uintptr_t)dst + ((first + i) * FRAME);
        sge[i].length = FRAME;
        sge[i].lkey   = dst_mem.lkey[0];
    }
    CHECK(vmp_port_srq_post(port, 0, ids, sge, num) == num);
}

static vmp_sge_t src_sge(size_t offset, uint32_t length)
{
    vmp_sge_t sge = { (uintptr_t)src + offset, length, src_mem.lkey[0] };

    return sge;
}

static void test_send(pair_t *pair)
{
    static const uint32_t lengths[] = { 1, 32, 64, 100, 1000, FRAME };
    unsigned i, flags;
    vmp_sge_t sge[3];
    vmp_wc_t wc;

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); ++i) {
        flags  = (lengths[i] <= attr.max_inline) ? VMP_POST_INLINE : 0;
        sge[0] = src_sge(i * 7, lengths[i]);
        if (flags & VMP_POST_INLINE) {
            sge[0].lkey = 0; /* not looked at */
        }
        memset(dst, 0, FRAME);
        post_recvs(0, 1);
        CHECK(vmp_port_post_send(pair->a, 0x1234567890abcdefull + i,
                                 flags | VMP_POST_SIGNALED, sge, 1) == 0);
        poll_cq(0, &wc, 1);
        CHECK(wc.status == VMP_WC_SUCCESS);
        CHECK(wc.wr_id == 0x1234567890abcdefull + i);
        poll_cq(1, &wc, 1);
        CHECK(wc.status == VMP_WC_SUCCESS);
        CHECK((wc.wr_id == 0) && (wc.byte_len == lengths[i]));
        CHECK(memcmp(dst, src + (i * 7), lengths[i]) == 0);
    }

    sge[0] = src_sge(10, 100);
    sge[1] = src_sge(500, 1);
    sge[2] = src_sge(2000, 1500);
    post_recvs(3, 1);
    CHECK(vmp_port_post_send(pair->b, 1, VMP_POST_SIGNALED, sge, 3) == 0);
    poll_cq(0, &wc, 1);
    poll_cq(1, &wc, 1);
    CHECK((wc.wr_id == 3) && (wc.byte_len == 1601));
    CHECK(memcmp(dst + (3 * FRAME) + 101, src + 2000, 1500) == 0);
}

static void wakeup_send(pair_t *pair, unsigned num)
{
    vmp_sge_t sge = src_sge(0, 100);
    unsigned i;

    post_recvs(0, num);
    for (i = 0; i < num; ++i) {
        CHECK(vmp_port_post_send(pair->a, i, VMP_POST_SIGNALED, &sge, 1) == 0);
    }
}

static int is_readable(int msecs)
{
    struct pollfd fd = { .fd = vmp_port_event_fd(port), .events = POLLIN };

    return poll(&fd, 1, msecs) == 1;
}

static vmp_status_t arm(uint64_t deadline)
{
    return vmp_port_event_arm(port, VMP_PORT_EVENT_TX | VMP_PORT_EVENT_RX,
                              deadline);
}

static void test_wakeup(pair_t *pair)
{
    const unsigned num = 20;        /* more than the port looks ahead */
    vmp_wc_t wc[20];
    unsigned i;

    CHECK(vmp_port_event_fd(port) >= 0);
    CHECK(arm(UINT64_MAX) == VMP_OK);
    CHECK(!is_readable(20));
    wakeup_send(pair, 1);
    CHECK(is_readable(10000));
    poll_cq(0, wc, 1);
    poll_cq(1, wc, 1);

    /* what came before: soft-RoCE raises no event for it */
    wakeup_send(pair, num);
    sleep_ms(200);
    CHECK(arm(UINT64_MAX) == VMP_ERR_BUSY);
    poll_cq(1, wc, 3);
    CHECK(arm(UINT64_MAX) == VMP_ERR_BUSY);
    poll_cq(1, wc + 3, num - 3);
    for (i = 0; i < num; ++i) {
        CHECK((wc[i].status == VMP_WC_SUCCESS) && (wc[i].wr_id == i));
    }
    poll_cq(0, wc, num);
    for (i = 0; i < num; ++i) {
        CHECK((wc[i].status == VMP_WC_SUCCESS) && (wc[i].wr_id == i));
    }

    CHECK(arm(UINT64_MAX) == VMP_OK);
    vmp_port_event_signal(port);
    CHECK(is_readable(0));
    CHECK(arm(UINT64_MAX) == VMP_ERR_BUSY);
    CHECK(arm(vmp_port_now(port) + 50000000) == VMP_OK);
    CHECK(is_readable(10000));
    CHECK(arm(vmp_port_now(port)) == VMP_ERR_BUSY);
    CHECK(arm(UINT64_MAX) == VMP_OK);
}

static void test_rma(pair_t *pair)
{
    vmp_sge_t sge = src_sge(0, BUF_SIZE);
    vmp_wc_t wc;

    memset(dst, 0, BUF_SIZE);
    CHECK(vmp_port_post_write(pair->a, 5, VMP_POST_SIGNALED, &sge, 1,
                              (uintptr_t)dst, dst_mem.rkey[0]) == 0);
    poll_cq(0, &wc, 1);
    CHECK((wc.status == VMP_WC_SUCCESS) && (wc.wr_id == 5));
    CHECK(memcmp(src, dst, BUF_SIZE) == 0);

    memset(dst, 0, BUF_SIZE);
    sge.addr = (uintptr_t)dst;
    sge.lkey = dst_mem.lkey[0];
    CHECK(vmp_port_post_read(pair->b, 6, VMP_POST_SIGNALED, &sge, 1,
                             (uintptr_t)src, src_mem.rkey[0]) == 0);
    sge = src_sge(0, 8);
    CHECK(vmp_port_post_write(pair->b, 7,
                              VMP_POST_SIGNALED | VMP_POST_FENCE |
                              ((attr.max_inline >= 8) ? VMP_POST_INLINE : 0),
                              &sge, 1, (uintptr_t)dst, dst_mem.rkey[0]) == 0);
    poll_cq(0, &wc, 1);
    CHECK((wc.status == VMP_WC_SUCCESS) && (wc.wr_id == 6));
    poll_cq(0, &wc, 1);
    CHECK((wc.status == VMP_WC_SUCCESS) && (wc.wr_id == 7));
    CHECK(memcmp(src, dst, BUF_SIZE) == 0);
}

/** Many unsignalled sends over several pairs, a signal at the end of each. */
static void test_many(void)
{
    pair_t pairs[NUM_PAIRS];
    vmp_wc_t wc[NUM_RECVS];
    vmp_sge_t sge;
    unsigned i, j;

    for (i = 0; i < NUM_PAIRS; ++i) {
        connect_pair(&pairs[i], 1 + (i * 77));
    }

    post_recvs(0, NUM_RECVS);
    for (j = 0; j < NUM_RECVS / NUM_PAIRS; ++j) {
        for (i = 0; i < NUM_PAIRS; ++i) {
            sge = src_sge(((j * NUM_PAIRS) + i) * FRAME, FRAME);
            CHECK(vmp_port_post_send(pairs[i].a, i,
                                     (j == (NUM_RECVS / NUM_PAIRS) - 1) ?
                                     VMP_POST_SIGNALED : 0, &sge, 1) == 0);
        }
    }
    poll_cq(0, wc, NUM_PAIRS);
    for (i = 0; i < NUM_PAIRS; ++i) {
        CHECK(wc[i].status == VMP_WC_SUCCESS);
    }
    poll_cq(1, wc, NUM_RECVS);
    for (i = 0; i < NUM_RECVS; ++i) {
        CHECK((wc[i].status == VMP_WC_SUCCESS) && (wc[i].byte_len == FRAME));
    }

    for (i = 0; i < NUM_PAIRS; ++i) {
        destroy_pair(&pairs[i]);
    }
}

static void test_bad_rkey(void)
{
    vmp_sge_t sge = src_sge(0, 64);
    vmp_wc_t wc[4];
    pair_t pair;

    connect_pair(&pair, 99);
    CHECK(vmp_port_post_write(pair.a, 1, 0, &sge, 1, (uintptr_t)dst,
                              dst_mem.rkey[0] ^ 0x5500) == 0);
    CHECK(vmp_port_post_write(pair.a, 2, 0, &sge, 1, (uintptr_t)dst,
                              dst_mem.rkey[0]) == 0);
    poll_cq(0, wc, 2);
    say("bad rkey: %s, then %s", vmp_wc_status_str(wc[0].status),
        vmp_wc_status_str(wc[1].status));
    CHECK((wc[0].wr_id == 1) && (wc[0].status == VMP_WC_REM_ACCESS));
    CHECK((wc[1].wr_id == 2) && (wc[1].status == VMP_WC_FLUSHED));
    run_job(&ctl, do_qp_error, pair.a);
    destroy_pair(&pair);
}

/** No receives: sends wait for ever (RNR), until the QP is moved to ERR. */
static void test_flush(void)
{
    vmp_sge_t sge = src_sge(0, 64);
    vmp_wc_t wc[8];
    pair_t pair;
    unsigned i;

    connect_pair(&pair, 1234);
    for (i = 0; i < 8; ++i) {
        CHECK(vmp_port_post_send(pair.a, i, 0, &sge, 1) == 0);
    }
    sleep_ms(20);
    CHECK(vmp_port_poll_tx(port, 0, wc, 8) == 0);

    run_job(&ctl, do_qp_error, pair.a);
    poll_cq(0, wc, 8);
    for (i = 0; i < 8; ++i) {
        CHECK((wc[i].wr_id == i) && (wc[i].status == VMP_WC_FLUSHED));
    }
    CHECK(vmp_port_poll_tx(port, 0, wc, 8) == 0);
    destroy_pair(&pair);

    /* A peer that is gone */
    connect_pair(&pair, 4321);
    run_job(&ctl, do_destroy_qp, pair.b);
    CHECK(vmp_port_post_send(pair.a, 9, 0, &sge, 1) == 0);
    poll_cq(0, wc, 1);
    say("peer gone: %s", vmp_wc_status_str(wc[0].status));
    CHECK((wc[0].wr_id == 9) && (wc[0].status != VMP_WC_SUCCESS));
    run_job(&ctl, do_destroy_qp, pair.a);
}

/** A question to a QP, and the answer */
typedef struct ask {
    vmp_port_qp_t *qp;
    uint64_t      wait;
    uint32_t      psn;
} ask_t;

static void do_settle(vmp_ctl_t *unused, void *arg)
{
    ask_t *ask = arg;

    (void)unused;
    ask->wait = vmp_port_qp_settle(ask->qp, vmp_port_now(port));
}

static void do_rq_psn(vmp_ctl_t *unused, void *arg)
{
    ask_t *ask = arg;

    (void)unused;
    CHECK(vmp_port_qp_rq_psn(ask->qp, &ask->psn) == 0);
}

static void do_rail_addr(vmp_ctl_t *unused, void *arg)
{
    (void)unused;
    vmp_port_rail_addr(port, 0, arg);
}

/** The barrier of a responder, and what it executed. */
static void test_settle(void)
{
    uint32_t packets = BUF_SIZE / (128u << attr.path_mtu);
    vmp_sge_t sge    = src_sge(0, BUF_SIZE);
    unsigned tries   = 0;
    vmp_rail_addr_t addr;
    ask_t ask;
    vmp_wc_t wc;
    pair_t pair;

    connect_pair(&pair, 5678);
    CHECK(vmp_port_post_write(pair.a, 1, VMP_POST_SIGNALED, &sge, 1,
                              (uintptr_t)dst, dst_mem.rkey[0]) == 0);
    poll_cq(0, &wc, 1);
    CHECK(wc.status == VMP_WC_SUCCESS);
    run_job(&ctl, do_qp_error, pair.b);
    ask.qp = pair.b;
    run_job(&ctl, do_settle, &ask);
    for (; (ask.wait > 0) && (tries < 100); ++tries) {
        sleep_ms(10);
        run_job(&ctl, do_settle, &ask);
    }

    say("settled after %u tries", tries);
    CHECK(ask.wait == 0);
    run_job(&ctl, do_rq_psn, &ask);
    CHECK(((ask.psn - pair.psn) & 0xffffff) == packets);
    destroy_pair(&pair);

    run_job(&ctl, do_rail_addr, &addr);
    CHECK(memcmp(&addr, &attr.addr[0], sizeof(addr)) == 0);
}

void test_rc(vmp_port_md_t *md, int gid_index)
{
    unsigned access = VMP_MEM_LOCAL_WRITE | VMP_MEM_REMOTE_READ |
                      VMP_MEM_REMOTE_WRITE;
    pair_t pair;
    unsigned i;

    num_errors = 0;
    port       = open_port(md, gid_index, &attr);
    ctl.port   = port;
    CHECK(vmp_port_start(port, &ctl) == VMP_OK);
    CHECK((attr.num_rails == 1) && (attr.num_ud == 4));
    CHECK(attr.addr[0].mtu == attr.path_mtu);
    CHECK(vmp_port_random(port) != vmp_port_random(port));

    src = malloc(BUF_SIZE);
    dst = malloc(BUF_SIZE);
    CHECK((src != NULL) && (dst != NULL));
    for (i = 0; i < BUF_SIZE; ++i) {
        src[i] = (uint8_t)vmp_verbs_mix(i);
    }
    CHECK(vmp_port_mem_reg(md, src, BUF_SIZE, access, 0, &src_mem) == VMP_OK);
    CHECK(vmp_port_mem_reg(md, dst, BUF_SIZE, access, 0, &dst_mem) == VMP_OK);

    connect_pair(&pair, 0xabcde);
    test_wakeup(&pair);
    test_send(&pair);
    test_rma(&pair);
    destroy_pair(&pair);
    test_many();
    test_bad_rkey();
    test_flush();
    test_settle();

    CHECK(num_errors == 0);
    CHECK(vmp_port_mem_dereg(&src_mem) == VMP_OK);
    CHECK(vmp_port_mem_dereg(&dst_mem) == VMP_OK);
    free(src);
    free(dst);
    vmp_port_stop(port);
    vmp_port_close(port);
    say("RC with GID index %d: ok", gid_index);
}
