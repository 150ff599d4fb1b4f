/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/* One side: a device, and single steps on it. */

#include "vmp_facts.h"

#include <infiniband/verbs.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PORT_NUM    1
#define TIMEOUT     14              /* 67 ms */
#define RETRIES     2
#define MARK        0x5a
#define LOOK_ON_US  500000


static struct ibv_context *ctx;
static struct ibv_pd      *pd;
static struct ibv_cq      *cq[2];       /* sends, receives */
static struct ibv_srq     *srq;
static struct ibv_mr      *mr;
static struct ibv_qp      *qps[FACTS_QPS];
static uint8_t            *region;      /* written; receive buffers; source */
static union ibv_gid      gid;
static int                gid_index = -1;
static enum ibv_mtu       mtu;
static uint32_t           mtu_bytes;


uint64_t facts_now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (ts.tv_sec * 1000000ull) + (ts.tv_nsec / 1000);
}

static void need(int cond, const char *what)
{
    if (!cond) {
        facts_die(what);
    }
}

static void find_gid(void)
{
    struct ibv_gid_entry entry;
    int i;

    for (i = 0; (i < 16) && (gid_index < 0); ++i) {
        if ((ibv_query_gid_ex(ctx, PORT_NUM, i, &entry, 0) == 0) &&
            (entry.gid_type == IBV_GID_TYPE_ROCE_V2) &&
            (entry.gid.raw[0] == 0) && (entry.gid.raw[10] == 0xff)) {
            gid       = entry.gid;
            gid_index = i;
        }
    }

    need(gid_index >= 0, "no RoCEv2 GID over IPv4");
}

void side_open(const char *device)
{
    struct ibv_device **list         = ibv_get_device_list(NULL);
    struct ibv_srq_init_attr srq_attr = {
        .attr = {.max_wr = 64, .max_sge = 1}
    };
    size_t size = FACTS_REGION + (FACTS_BUFS * FACTS_BUF) + FACTS_REGION;
    struct ibv_port_attr port;
    int i;

    need(list != NULL, "no RDMA devices");
    for (i = 0; (list[i] != NULL) && (ctx == NULL); ++i) {
        if (strcmp(ibv_get_device_name(list[i]), device) == 0) {
            ctx = ibv_open_device(list[i]);
        }
    }

    ibv_free_device_list(list);
    need(ctx != NULL, "cannot open the device");
    need(ibv_query_port(ctx, PORT_NUM, &port) == 0, "no port 1");
    mtu       = port.active_mtu;
    mtu_bytes = 128u << mtu;
    find_gid();
    pd     = ibv_alloc_pd(ctx);
    cq[0]  = ibv_create_cq(ctx, 1024, NULL, NULL, 0);
    cq[1]  = ibv_create_cq(ctx, 1024, NULL, NULL, 0);
    region = calloc(1, size);
    need((pd != NULL) && (cq[0] != NULL) && (cq[1] != NULL) &&
         (region != NULL), "no PD, CQ or memory");
    srq = ibv_create_srq(pd, &srq_attr);
    mr  = ibv_reg_mr(pd, region, size, IBV_ACCESS_LOCAL_WRITE |
                                       IBV_ACCESS_REMOTE_WRITE);
    need((srq != NULL) && (mr != NULL), "no SRQ or MR");
    memset(region + FACTS_REGION + (FACTS_BUFS * FACTS_BUF), MARK,
           FACTS_REGION);
}

void side_close(void)
{
    unsigned i;

    for (i = 0; i < FACTS_QPS; ++i) {
        if (qps[i] != NULL) {
            ibv_destroy_qp(qps[i]);
        }
    }

    ibv_dereg_mr(mr);
    ibv_destroy_srq(srq);
    ibv_destroy_cq(cq[0]);
    ibv_destroy_cq(cq[1]);
    ibv_dealloc_pd(pd);
    ibv_close_device(ctx);
    free(region);
}


/* QPs ---------------------------------------------------------------------- */

static uint32_t make(unsigned i)
{
    struct ibv_qp_init_attr init = {
        .send_cq    = cq[0],
        .recv_cq    = cq[1],
        .srq        = srq,
        .qp_type    = IBV_QPT_RC,
        .sq_sig_all = 1,
        .cap        = {.max_send_wr = 64, .max_send_sge = 1}
    };
    struct ibv_qp_attr attr = {
        .qp_state        = IBV_QPS_INIT,
        .port_num        = PORT_NUM,
        .qp_access_flags = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE
    };

    qps[i] = ibv_create_qp(pd, &init);
    need(qps[i] != NULL, "no QP");
    need(ibv_modify_qp(qps[i], &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX |
                       IBV_QP_PORT | IBV_QP_ACCESS_FLAGS) == 0, "INIT");
    return qps[i]->qp_num;
}

static void join(const uint64_t *v)
{
    struct ibv_qp_attr attr = {
        .qp_state           = IBV_QPS_RTR,
        .path_mtu           = mtu,
        .dest_qp_num        = v[1],
        .rq_psn             = v[4],
        .max_dest_rd_atomic = 1,
        .min_rnr_timer      = 10,
        .ah_attr            = {
            .is_global = 1,
            .port_num  = PORT_NUM,
            .grh       = {.sgid_index = gid_index, .hop_limit = 64}
        }
    };

    memcpy(attr.ah_attr.grh.dgid.raw, &v[2], 16);
    need(ibv_modify_qp(qps[v[0]], &attr, IBV_QP_STATE | IBV_QP_AV |
                       IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                       IBV_QP_MAX_DEST_RD_ATOMIC |
                       IBV_QP_MIN_RNR_TIMER) == 0, "RTR");
    attr = (struct ibv_qp_attr){
        .qp_state      = IBV_QPS_RTS,
        .timeout       = TIMEOUT,
        .retry_cnt     = RETRIES,
        .rnr_retry     = 7,
        .sq_psn        = v[5],
        .max_rd_atomic = 1
    };
    need(ibv_modify_qp(qps[v[0]], &attr, IBV_QP_STATE | IBV_QP_TIMEOUT |
                       IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
                       IBV_QP_MAX_QP_RD_ATOMIC) == 0, "RTS");
}

static void move(unsigned i, enum ibv_qp_state state)
{
    struct ibv_qp_attr attr = {.qp_state = state};

    need(ibv_modify_qp(qps[i], &attr, IBV_QP_STATE) == 0, "modify");
}

static void query(unsigned i, struct ibv_qp_attr *attr)
{
    struct ibv_qp_init_attr init;

    need(ibv_query_qp(qps[i], attr, IBV_QP_STATE | IBV_QP_RQ_PSN |
                      IBV_QP_SQ_PSN, &init) == 0, "query");
}

static void post(unsigned i, uint64_t wr_id, uint32_t length,
                 enum ibv_wr_opcode opcode, const uint64_t *remote)
{
    struct ibv_sge sge = {
        .addr   = (uintptr_t)region + FACTS_REGION + (FACTS_BUFS * FACTS_BUF),
        .length = length,
        .lkey   = mr->lkey
    };
    struct ibv_send_wr wr = {
        .wr_id   = wr_id,
        .sg_list = &sge,
        .num_sge = 1,
        .opcode  = opcode
    };
    struct ibv_send_wr *bad;

    if (remote != NULL) {
        wr.wr.rdma.remote_addr = remote[0];
        wr.wr.rdma.rkey        = remote[1];
    }

    need(ibv_post_send(qps[i], &wr, &bad) == 0, "post");
}

static void post_recvs(uint64_t first, unsigned num)
{
    struct ibv_recv_wr *bad;
    struct ibv_recv_wr wr;
    struct ibv_sge sge;

    for (; num > 0; --num, ++first) {
        sge = (struct ibv_sge){
            .addr   = (uintptr_t)region + FACTS_REGION +
                      ((first % FACTS_BUFS) * FACTS_BUF),
            .length = FACTS_BUF,
            .lkey   = mr->lkey
        };
        wr  = (struct ibv_recv_wr){.wr_id   = first, .sg_list = &sge,
                                   .num_sge = 1};
        need(ibv_post_srq_recv(srq, &wr, &bad) == 0, "SRQ");
    }
}


/* Looking ------------------------------------------------------------------ */

static int poll_one(int is_rx, uint64_t ms, uint64_t *v)
{
    uint64_t begin = facts_now_us();
    struct ibv_wc wc;
    int ret;

    do {
        ret = ibv_poll_cq(cq[is_rx], 1, &wc);
        need(ret >= 0, "poll");
        v[3] = facts_now_us() - begin;
    } while ((ret == 0) && (v[3] < (ms * 1000)));

    v[0] = ret;
    v[1] = (ret > 0) ? wc.wr_id : 0;
    v[2] = (ret > 0) ? wc.status : 0;
    return ret;
}

static void wait_event(int ms, uint64_t *v)
{
    struct pollfd fd = {.fd = ctx->async_fd, .events = POLLIN};
    struct ibv_async_event event;
    unsigned i;

    v[0] = 0;
    if ((poll(&fd, 1, ms) != 1) || (ibv_get_async_event(ctx, &event) != 0)) {
        return;
    }

    v[0] = 1;
    v[1] = event.event_type;
    v[2] = UINT64_MAX;
    for (i = 0; i < FACTS_QPS; ++i) {
        if (qps[i] == event.element.qp) {
            v[2] = i;
        }
    }

    ibv_ack_async_event(&event);
}

/* Written from the front: how far, starting at block `from` */
static uint64_t count(uint64_t from)
{
    volatile uint8_t *bytes = region;

    while ((from < (FACTS_REGION / mtu_bytes)) &&
           (bytes[((from + 1) * mtu_bytes) - 1] == MARK)) {
        ++from;
    }

    return from;
}

static void look_on(unsigned i, uint64_t blocks, uint64_t *v)
{
    struct timespec pause = {.tv_nsec = 200000};
    struct ibv_qp_attr attr;
    uint64_t begin, now, last, num;

    while (count(0) < blocks) {
        nanosleep(&pause, NULL);
    }

    begin = facts_now_us();
    move(i, IBV_QPS_ERR);
    last = now = facts_now_us();
    v[5] = now - begin;
    v[0] = num = count(blocks);
    query(i, &attr);
    v[3]  = attr.rq_psn;
    begin = now;
    while ((now - begin) < LOOK_ON_US) {
        blocks = count(num);
        now    = facts_now_us();
        if (blocks != num) {
            num  = blocks;
            last = now;
        }
    }

    query(i, &attr);
    v[1] = num;
    v[2] = last - begin;
    v[4] = attr.rq_psn;
}

void side_step(facts_msg_t *msg)
{
    uint64_t *v = msg->v;
    struct ibv_qp_attr attr;

    switch (msg->step) {
    case STEP_INFO:
        memcpy(v, gid.raw, sizeof(gid.raw));
        v[2] = mtu_bytes;
        v[3] = (uintptr_t)region;
        v[4] = mr->rkey;
        break;
    case STEP_MAKE:
        v[0] = make(v[0]);
        break;
    case STEP_CONNECT:
        join(v);
        break;
    case STEP_ERROR:
        /* not from RESET and INIT: soft-RoCE refuses */
        query(v[0], &attr);
        if (attr.qp_state > IBV_QPS_INIT) {
            move(v[0], IBV_QPS_ERR);
        }
        break;
    case STEP_RESET:
        move(v[0], IBV_QPS_RESET);
        break;
    case STEP_DESTROY:
        need(ibv_destroy_qp(qps[v[0]]) == 0, "destroy");
        qps[v[0]] = NULL;
        break;
    case STEP_QUERY:
        query(v[0], &attr);
        v[0] = attr.qp_state;
        v[1] = attr.rq_psn;
        v[2] = attr.sq_psn;
        break;
    case STEP_WRITE:
        post(v[0], v[1], v[2], IBV_WR_RDMA_WRITE, &v[3]);
        break;
    case STEP_SEND:
        post(v[0], v[1], v[2], IBV_WR_SEND, NULL);
        break;
    case STEP_RECV:
        post_recvs(v[0], v[1]);
        break;
    case STEP_POLL:
        poll_one(v[0], v[1], v);
        break;
    case STEP_EVENT:
        wait_event(v[0], v);
        break;
    case STEP_CLEAR:
        memset(region, 0, FACTS_REGION);
        break;
    case STEP_COUNT:
        v[0] = count(0);
        break;
    case STEP_KILL:
        look_on(v[0], v[1], v);
        break;
    default:
        facts_die("no such step");
    }
}
