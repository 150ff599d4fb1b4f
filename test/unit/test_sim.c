/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * The simulated port: what RC QPs promise, and how they fail.
 */

#include "sim_pair.h"

#define SIGNALED  VMP_POST_SIGNALED
#define INLINE    VMP_POST_INLINE
#define FENCE     VMP_POST_FENCE
#define MTU       1024
#define TIMEOUT   (4096ul << 8)         /* ns, of pair_params */
#define REMOTE    (PAIR_REGION / 2)     /* memory of side 1 for puts and gets */
#define NUM_QPS   4
#define SLOTS     16                    /* a QP, of PAIR_BUF bytes each */
#define NUM_OPS   1000


/* Random work -------------------------------------------------------------- */

typedef enum {
    OP_SEND,
    OP_WRITE,
    OP_READ
} op_t;

static struct {
    unsigned posted[NUM_QPS];
    unsigned done[NUM_QPS];
    unsigned sent[NUM_QPS];
    unsigned arrived[NUM_QPS];
    op_t     op[NUM_QPS][SLOTS];
    uint32_t length[NUM_QPS][SLOTS];
} work;


static void fill(uint8_t *data, unsigned qp, unsigned seq, uint32_t length)
{
    uint32_t i;

    for (i = 0; i < length; ++i) {
        data[i] = (uint8_t)(qp + (seq * 3) + (i * 5) + (i >> 8));
    }

    memcpy(data, &qp, 4);
    memcpy(data + 4, &seq, 4);
}

static void work_post(unsigned qp)
{
    unsigned slot   = work.posted[qp] % SLOTS;
    uint64_t id     = (qp << 16) | work.posted[qp];
    size_t pos      = ((qp * SLOTS) + slot) * PAIR_BUF;
    uint32_t length = 8 + (sim_random() % ((sim_random() % 4) ? 500 : 10000));
    op_t op         = sim_random() % 3;
    unsigned flags  = SIGNALED | ((sim_random() % 8) ? 0 : FENCE);
    int ret;

    switch (op) {
    case OP_SEND:
        fill(pair[0].data + pos, qp, work.sent[qp]++, length);
        ret = pair_send(qp, id, flags, pos, length);
        break;
    case OP_WRITE:
        fill(pair[0].data + pos, qp, work.posted[qp] + 77, length);
        ret = pair_write(qp, id, flags, pos, length, REMOTE + pos);
        break;
    default:
        ret = pair_read(qp, id, flags, pos, length, REMOTE + pos);
        break;
    }

    VMP_CHECK(ret == 0);
    work.op[qp][slot]     = op;
    work.length[qp][slot] = length;
    ++work.posted[qp];
}

static int work_poll(void)
{
    uint8_t expected[PAIR_BUF];
    const uint8_t *data;
    unsigned qp, slot;
    size_t pos;
    vmp_wc_t wc;
    int num = 0;

    while (vmp_port_poll_tx(pair[0].port, 0, &wc, 1) == 1) {
        qp   = wc.wr_id >> 16;
        slot = work.done[qp] % SLOTS;
        pos  = ((qp * SLOTS) + slot) * PAIR_BUF;
        VMP_CHECK(wc.status == VMP_WC_SUCCESS);
        VMP_CHECK((wc.wr_id & 0xffff) == work.done[qp]++);
        VMP_CHECK((work.op[qp][slot] == OP_SEND) ||
                  !memcmp(pair[0].data + pos, pair[1].data + REMOTE + pos,
                          work.length[qp][slot]));
        memset(pair[0].data + pos, 0xee, PAIR_BUF);
        ++num;
    }

    while (pair_arrival(&wc)) {
        data = pair[1].data + ((wc.wr_id % PAIR_BUFS) * PAIR_BUF);
        memcpy(&qp, data, 4);
        VMP_CHECK((wc.status == VMP_WC_SUCCESS) && (qp < NUM_QPS));
        fill(expected, qp, work.arrived[qp]++, wc.byte_len);
        VMP_CHECK(!memcmp(data, expected, wc.byte_len));
        pair_recv(wc.wr_id, 1);
    }

    return num;
}

/* Sends of a QP arrive in order, memory is right, everything completes once and
 * in order. Return the digest of what happened. */
static uint64_t test_work(uint64_t seed, uint32_t loss, FILE *trace)
{
    unsigned left = NUM_OPS;
    unsigned busy = 0;
    uint64_t hash;
    unsigned qp;

    pair_begin(loss ? "random work, lossy" : "random work", seed);
    memset(&work, 0, sizeof(work));
    pair_conf.burst         = 1 + (seed % 9);
    pair_conf.qp_jitter     = (seed % 3) * 5000;
    pair_conf.nic_rate      = (seed % 2) * 1000000000;
    pair_conf.link.loss     = loss;
    pair_params.retry_count = 6;
    pair_params.timeout     = 6;
    if (trace != NULL) {
        pair_conf.trace     = sim_trace_file;
        pair_conf.trace_arg = trace;
    }

    pair_open(NUM_QPS);
    pair_recv(0, PAIR_BUFS);
    while ((left > 0) || (busy > 0)) {
        VMP_CHECK(sim_now() < 100000000000ul);
        qp = sim_random() % NUM_QPS;
        if ((left > 0) && (work.posted[qp] - work.done[qp] < SLOTS)) {
            work_post(qp);
            --left;
            ++busy;
        }

        if ((left == 0) || (sim_random() % 2)) {
            sim_step(1000000);
        }

        busy -= work_poll();
    }

    for (qp = 0; qp < NUM_QPS; ++qp) {
        VMP_CHECK(work.arrived[qp] == work.sent[qp]);
    }

    printf("  %lu packets, %lu again, %lu timeouts, %lu sequence NAKs\n",
           sim_counters.packets, sim_counters.retransmitted,
           sim_counters.timeouts, sim_counters.seq_naks);
    VMP_CHECK((sim_counters.retransmitted > 0) == (loss > 0));
    hash = sim_hash();
    pair_end();
    return hash;
}

static void test_same_seed(uint64_t seed)
{
    FILE *trace   = tmpfile();
    uint64_t hash = test_work(seed, 20000, NULL);

    VMP_CHECK(trace != NULL);
    VMP_CHECK(test_work(seed, 20000, trace) == hash);
    VMP_CHECK(ftell(trace) > 10000);
    VMP_CHECK(test_work(seed + 1, 20000, NULL) != hash);
    fclose(trace);
}


/* One thing at a time ------------------------------------------------------ */

static void check_qp(unsigned side, sim_qp_state_t state)
{
    VMP_CHECK(sim_qp(pair[side].qps[0])->state == state);
}

/* No receive buffer: the sender tries again after the receiver's time, for
 * ever, and what follows waits */
static void test_rnr(uint64_t seed)
{
    uint64_t start;
    vmp_wc_t wc;
    unsigned i;

    pair_begin("RNR", seed);
    pair_params.min_rnr_timer = 14;             /* 1.28 ms */
    pair_params.timeout       = 0;
    pair_open(1);
    start = sim_now();
    VMP_CHECK(pair_send(0, 1, SIGNALED, 0, 3000) == 0);
    VMP_CHECK(pair_write(0, 2, SIGNALED, 0, 3000, REMOTE) == 0);
    sim_run(10000000);
    VMP_CHECK((sim_counters.rnr_naks == 8) && (sim_counters.timeouts == 0));
    VMP_CHECK(sim_port_pending(pair[0].port) == 0);
    VMP_CHECK(memcmp(pair[0].data, pair[1].data + REMOTE, 3000));
    pair_recv(5, 1);
    pair_expect(1, VMP_WC_SUCCESS);
    pair_expect(2, VMP_WC_SUCCESS);
    VMP_CHECK((sim_now() - start) < 12000000);
    VMP_CHECK(pair_arrival(&wc) && (wc.wr_id == 5) && (wc.byte_len == 3000));
    VMP_CHECK(!memcmp(pair[0].data, pair[1].data + (5 * PAIR_BUF), 3000));

    /* many times more than retry_count */
    VMP_CHECK(pair_send(0, 3, SIGNALED, 0, 10) == 0);
    sim_run(100000000);
    for (i = 0; i < 2; ++i) {
        check_qp(i, SIM_QP_RTS);
    }

    pair_recv(6, 1);
    pair_expect(3, VMP_WC_SUCCESS);
    VMP_CHECK(pair_arrival(&wc));
    pair_end();
}

/* Nobody answers: the oldest fails after all its tries, the rest is flushed */
static void test_retry_exceeded(uint64_t seed)
{
    uint64_t start;
    unsigned i;

    pair_begin("retries exceeded", seed);
    pair_open(1);
    for (i = 0; i < pair_conf.links; ++i) {
        sim_link_cut(sim_link(0, 1, i), 1);
    }

    start = sim_now();
    VMP_CHECK(pair_write(0, 1, 0, 0, 100, REMOTE) == 0);
    VMP_CHECK(pair_write(0, 2, 0, 0, 100, REMOTE) == 0);
    VMP_CHECK(pair_read(0, 3, SIGNALED, 0, 100, REMOTE) == 0);
    pair_expect(1, VMP_WC_RETRY_EXC);
    VMP_CHECK(sim_now() == start + (4 * TIMEOUT));
    pair_expect(2, VMP_WC_FLUSHED);
    pair_expect(3, VMP_WC_FLUSHED);
    VMP_CHECK(pair_write(0, 4, 0, 0, 100, REMOTE) == 0);
    pair_expect(4, VMP_WC_FLUSHED);
    check_qp(0, SIM_QP_ERR);
    check_qp(1, SIM_QP_RTS);
    VMP_CHECK(sim_counters.timeouts == 4);
    pair_end();
}

/* Acknowledgements are lost: it was executed, once, and is acknowledged when
 * the way back is there again */
static void test_lost_ack(uint64_t seed)
{
    vmp_wc_t wc;
    unsigned i;

    pair_begin("lost acknowledgement", seed);
    pair_open(1);
    pair_recv(0, 2);
    for (i = 0; i < pair_conf.links; ++i) {
        sim_link_cut(sim_link(1, 0, i), 1);
    }

    VMP_CHECK(pair_send(0, 1, SIGNALED, 0, 5000) == 0);
    sim_run(TIMEOUT * 2);
    VMP_CHECK(pair_arrival(&wc) && (sim_port_pending(pair[0].port) == 0));
    for (i = 0; i < pair_conf.links; ++i) {
        sim_link_cut(sim_link(1, 0, i), 0);
    }

    pair_expect(1, VMP_WC_SUCCESS);
    VMP_CHECK(!pair_arrival(&wc) && (sim_counters.duplicates > 0));
    VMP_CHECK(sim_port_srq_posted(pair[1].port, 0) == 1);
    pair_end();
}

/* A read that is under way holds back what is fenced, and nothing else */
static void test_fence(uint64_t seed)
{
    unsigned i;

    for (i = 0; i < 2; ++i) {
        pair_begin("fence", seed);
        pair_open(1);
        memset(pair[0].data, 1, 100);
        memset(pair[1].data + REMOTE, 2, 100);
        VMP_CHECK(pair_read(0, 1, SIGNALED, 0, 100, REMOTE) == 0);
        VMP_CHECK(pair_write(0, 2, SIGNALED | (i ? FENCE : 0), 0, 100,
                             REMOTE + 1000) == 0);
        pair_expect(1, VMP_WC_SUCCESS);
        pair_expect(2, VMP_WC_SUCCESS);
        VMP_CHECK(pair[1].data[REMOTE + 1000] == (i ? 2 : 1));
        pair_end();
    }
}

/* No more reads at a time than agreed */
static void test_reads(uint64_t seed)
{
    uint64_t start;
    unsigned i;

    pair_begin("reads", seed);
    pair_conf.link.rate  = 0;
    pair_conf.link.delay = 10000;
    pair_open(1);
    start = sim_now();
    for (i = 0; i < 12; ++i) {
        VMP_CHECK(pair_read(0, i, SIGNALED, i * 1000, 1000,
                            REMOTE + (i * 1000)) == 0);
    }

    for (i = 0; i < 12; ++i) {
        pair_expect(i, VMP_WC_SUCCESS);
        VMP_CHECK(sim_now() == start + (20000 * ((i / 4) + 1)));
    }

    VMP_CHECK(!memcmp(pair[0].data, pair[1].data + REMOTE, 12000));
    pair_end();
}

/* Wrong keys, and messages that are too long: who hears of it, and how */
static void test_keys(uint64_t seed)
{
    vmp_wc_status_t expected[] = {VMP_WC_REM_ACCESS, VMP_WC_REM_ACCESS,
                                  VMP_WC_REM_INV_REQ, VMP_WC_LOC_ERR};
    vmp_sge_t sge;
    vmp_wc_t wc;
    unsigned i;
    int ret = 0;

    for (i = 0; i < 4; ++i) {
        pair_begin("keys", seed);
        pair_conf.fault_expected = 1u << SIM_FAULT_LKEY;
        pair_open(1);
        sge = (vmp_sge_t){(uintptr_t)pair[0].data, 100,
                          pair[0].mem.lkey[0] + (i == 3)};
        VMP_CHECK(pair_write(0, 1, 0, 0, 100, REMOTE) == 0);
        switch (i) {
        case 0:
            ret = pair_write(0, 2, 0, 0, 100, PAIR_REGION - 99);
            break;
        case 1:                         /* a local key is no remote one */
            ret = vmp_port_post_read(pair[0].qps[0], 2, 0, &sge, 1,
                                     (uintptr_t)pair[1].data,
                                     pair[1].mem.lkey[0]);
            break;
        case 2:
            pair_recv(9, 1);
            ret = pair_send(0, 2, 0, 0, PAIR_BUF + 1);
            break;
        default:
            ret = vmp_port_post_write(pair[0].qps[0], 2, 0, &sge, 1,
                                      (uintptr_t)pair[1].data,
                                      pair[1].mem.rkey[0]);
            break;
        }

        VMP_CHECK(ret == 0);
        VMP_CHECK(pair_write(0, 3, SIGNALED, 0, 100, REMOTE + 500) == 0);
        pair_expect(2, expected[i]);
        pair_expect(3, VMP_WC_FLUSHED);
        sim_run(100000);
        check_qp(0, SIM_QP_ERR);
        check_qp(1, (i == 3) ? SIM_QP_RTS : SIM_QP_ERR);
        VMP_CHECK(!memcmp(pair[0].data, pair[1].data + REMOTE, 100));
        VMP_CHECK(memcmp(pair[0].data, pair[1].data + REMOTE + 500, 100));
        VMP_CHECK(pair_arrival(&wc) == (i == 2));
        VMP_CHECK((i != 2) ||
                  ((wc.wr_id == 9) && (wc.status == VMP_WC_LOC_ERR)));
        VMP_CHECK(sim_counters.faults[SIM_FAULT_LKEY] == (i == 3));
        pair_end();
    }
}

/* A switch of the tests: the next request fails, as they say */
static void test_kill(uint64_t seed)
{
    pair_begin("kill", seed);
    pair_open(1);
    VMP_CHECK(pair_write(0, 1, SIGNALED, 0, 100, REMOTE) == 0);
    pair_expect(1, VMP_WC_SUCCESS);
    sim_qp(pair[0].qps[0])->kill = VMP_WC_REM_OP;
    VMP_CHECK(pair_write(0, 2, 0, 0, 100, REMOTE + 500) == 0);
    VMP_CHECK(pair_write(0, 3, 0, 0, 100, REMOTE + 500) == 0);
    pair_expect(2, VMP_WC_REM_OP);
    pair_expect(3, VMP_WC_FLUSHED);
    check_qp(1, SIM_QP_ERR);            /* it has said so */
    VMP_CHECK(memcmp(pair[0].data, pair[1].data + REMOTE + 500, 100));
    pair_end();
}

/* Data is taken when a packet is executed; when its QP dies on the way, as it
 * was then: the buffer is the user's again */
static void test_when_data_is_read(uint64_t seed)
{
    uint8_t data[40];
    vmp_sge_t sge;

    pair_begin("when data is read", seed);
    pair_open(2);
    memset(pair[0].data, 1, 100);
    VMP_CHECK(pair_write(0, 1, 0, 0, 100, REMOTE) == 0);
    VMP_CHECK(pair_write(1, 2, 0, 0, 100, REMOTE + 1000) == 0);
    memset(pair[0].data, 2, 100);
    VMP_CHECK(vmp_port_qp_error(pair[0].qps[1]) == 0);
    pair_expect(2, VMP_WC_FLUSHED);
    memset(pair[0].data, 3, 100);
    sim_run(100000);
    VMP_CHECK(pair[1].data[REMOTE + 99] == 3);
    VMP_CHECK(pair[1].data[REMOTE + 1099] == 2);

    /* inline data is taken at once */
    memset(data, 4, sizeof(data));
    sge = (vmp_sge_t){(uintptr_t)data, sizeof(data), 0};
    VMP_CHECK(vmp_port_post_write(pair[0].qps[0], 3, INLINE | SIGNALED, &sge, 1,
                                  (uintptr_t)pair[1].data + REMOTE,
                                  pair[1].mem.rkey[0]) == 0);
    memset(data, 5, sizeof(data));
    pair_expect(3, VMP_WC_SUCCESS);
    VMP_CHECK((pair[1].data[REMOTE + 39] == 4) &&
              (pair[1].data[REMOTE + 40] == 3));
    pair_end();
}

/* A message cut in half: what came is executed, the PSN tells how much */
static void test_half_done(uint64_t seed)
{
    uint32_t psn;

    pair_begin("half done", seed);
    pair_conf.burst     = 1;
    pair_conf.link.rate = 1104000000;           /* a packet in 1000 ns */
    pair_open(1);
    psn = sim_qp(pair[1].qps[0])->expected_psn;
    VMP_CHECK(pair_write(0, 1, SIGNALED, 0, 10 * MTU, REMOTE) == 0);
    sim_run(5500);                              /* delay, four packets */
    VMP_CHECK(vmp_port_qp_error(pair[1].qps[0]) == 0);
    pair_expect(1, VMP_WC_RETRY_EXC);
    psn = (sim_qp(pair[1].qps[0])->expected_psn - psn) & 0xffffff;
    VMP_CHECK(psn == 4);
    VMP_CHECK(!memcmp(pair[0].data, pair[1].data + REMOTE, 4 * MTU));
    VMP_CHECK(memcmp(pair[0].data + (4 * MTU),
                     pair[1].data + REMOTE + (4 * MTU), MTU));
    VMP_CHECK(sim_counters.stray > 0);
    pair_end();
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);
    unsigned i;

    for (i = 0; i < vmp_check_env("VMP_TEST_COUNT", 9); ++i) {
        (void)test_work(seed + i, 0, NULL);
        (void)test_work(seed + i, 30000, NULL);
    }

    test_same_seed(seed);
    test_rnr(seed);
    test_retry_exceeded(seed);
    test_lost_ack(seed);
    test_fence(seed);
    test_reads(seed);
    test_keys(seed);
    test_kill(seed);
    test_when_data_is_read(seed);
    test_half_done(seed);
    return 0;
}
