/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * The simulated port: dying QPs and other accidents.
 */

#include "sim_pair.h"

#define SIGNALED  VMP_POST_SIGNALED
#define MTU       1024
#define REMOTE    (PAIR_REGION / 2)     /* memory of side 1 for puts and gets */
#define USEC      1000ul
#define MSEC      (1000 * USEC)
#define LENGTH    (200 * MTU)           /* about 200 us */


static struct {
    uint8_t  blocks[PAIR_REGION / MTU];     /* how often executed */
    unsigned num;                           /* packets */
    unsigned ghosts;
    uint64_t last;                          /* ns */
} seen;


static void executed(void *arg, const sim_exec_t *exec)
{
    uint64_t offset = exec->addr - (uintptr_t)pair[1].data;
    uint32_t i;

    VMP_CHECK(arg == &seen);
    VMP_CHECK((exec->at == pair[1].port) && (offset < PAIR_REGION));
    VMP_CHECK((exec->offset + exec->length) <= exec->total);
    seen.last    = sim_now();
    seen.ghosts += exec->is_ghost;
    for (i = 0; i < exec->length; i += MTU) {
        ++seen.num;
        ++seen.blocks[(offset + i) / MTU];
    }
}

static void begin(const char *name, uint64_t seed)
{
    memset(&seen, 0, sizeof(seen));
    pair_begin(name, seed);
    pair_conf.burst        = 1;
    pair_conf.link.rate    = 1104000000;    /* a packet in 1000 ns */
    pair_conf.executed     = executed;
    pair_conf.executed_arg = &seen;
}

static unsigned psn_moved(uint32_t first)
{
    return (sim_qp(pair[1].qps[0])->expected_psn - first) & 0xffffff;
}

/* A responder goes on for a while in ERR; when it has stopped, its PSN says what
 * it did, and that stays so */
static void test_late_error(uint64_t seed, uint64_t last_delay)
{
    unsigned later = 0;
    unsigned i, at_return;
    uint32_t first, psn;
    uint64_t wait;

    for (i = 0; i < 20; ++i) {
        begin("late error", seed + i);
        pair_conf.err_delay  = 100 * USEC;
        pair_conf.last_delay = last_delay;
        pair_open(1);
        first = sim_qp(pair[1].qps[0])->expected_psn;
        VMP_CHECK(pair_write(0, 1, SIGNALED, 0, LENGTH, REMOTE) == 0);
        sim_run(20 * USEC);
        VMP_CHECK(vmp_port_qp_error(pair[1].qps[0]) == 0);
        at_return = seen.num;
        while ((wait = vmp_port_qp_settle(pair[1].qps[0], sim_now())) > 0) {
            sim_run((wait < USEC) ? wait : USEC);
        }

        later += (seen.num > at_return);
        VMP_CHECK(vmp_port_qp_rq_psn(pair[1].qps[0], &psn) == 0);
        VMP_CHECK(((psn - first) & 0xffffff) == seen.num);
        at_return = seen.num;
        sim_run(20 * MSEC);
        VMP_CHECK((seen.num == at_return) && (seen.num < (LENGTH / MTU)));
        pair_end();
    }

    VMP_CHECK(later > 10);
}

/* A device that goes on for as long as it may, and does not say when it has
 * stopped: the time that it is waited for is enough */
static void test_settled(uint64_t seed)
{
    unsigned late = 0;
    uint64_t asked, wait;
    uint32_t psn, first;
    unsigned i, num;

    for (i = 0; i < 20; ++i) {
        begin("settled", seed + i);
        pair_params.timeout = 0;
        pair_conf.link.rate = 1104000;      /* a packet in 1 ms */
        pair_conf.err_delay = 100 * MSEC;
        pair_conf.last_lost = 1000000;
        pair_open(1);
        first = sim_qp(pair[1].qps[0])->expected_psn;
        VMP_CHECK(pair_write(0, 1, SIGNALED, 0, LENGTH, REMOTE) == 0);
        sim_run(20 * MSEC);
        asked = sim_now();
        VMP_CHECK(vmp_port_qp_error(pair[1].qps[0]) == 0);
        while ((wait = vmp_port_qp_settle(pair[1].qps[0], sim_now())) > 0) {
            sim_run(wait);
        }

        num   = seen.num;
        late += (seen.last > (asked + (100 * MSEC)));
        VMP_CHECK(vmp_port_qp_rq_psn(pair[1].qps[0], &psn) == 0);
        VMP_CHECK(((psn - first) & 0xffffff) == num);
        sim_run(400 * MSEC);
        VMP_CHECK(seen.num == num);
        pair_end();
    }

    VMP_CHECK(late > 0);
}

/* A device that does not say that it has stopped: after a time */
static void test_no_last(uint64_t seed)
{
    uint64_t begun;

    begin("no last WQE", seed);
    pair_conf.last_lost = 1000000;
    pair_open(1);
    begun = sim_now();
    VMP_CHECK(vmp_port_qp_error(pair[0].qps[0]) == 0);
    VMP_CHECK(vmp_port_qp_settle(pair[0].qps[0], begun) == pair_conf.settle);
    sim_run(pair_conf.settle - 1);
    VMP_CHECK(vmp_port_qp_settle(pair[0].qps[0], sim_now()) == 1);
    sim_run(1);
    VMP_CHECK(vmp_port_qp_settle(pair[0].qps[0], sim_now()) == 0);
    pair_end();

    begin("no PSN", seed);
    pair_conf.no_rq_psn = 1;
    pair_open(1);
    VMP_CHECK(vmp_port_qp_error(pair[0].qps[0]) == 0);
    VMP_CHECK(vmp_port_qp_settle(pair[0].qps[0], sim_now()) == 0);
    VMP_CHECK(vmp_port_qp_rq_psn(pair[0].qps[0], &(uint32_t){0}) == -1);
    pair_end();
}

/* Twice or late: executed once and in order all the same */
static void test_dup_and_late(uint64_t seed)
{
    uint64_t repeated  = 0;
    uint64_t kept_back = 0;
    unsigned i;

    begin("twice and late", seed);
    pair_conf.burst        = 4;
    pair_conf.link.dup     = 200000;
    pair_conf.link.late    = 30000;
    pair_conf.link.late_ns = 300 * USEC;
    pair_open(1);
    for (i = 0; i < 4; ++i) {
        VMP_CHECK(pair_write(0, i, SIGNALED, i * LENGTH, LENGTH,
                             REMOTE + (i * LENGTH)) == 0);
    }

    for (i = 0; i < 4; ++i) {
        pair_expect(i, VMP_WC_SUCCESS);
    }

    sim_run(MSEC);
    VMP_CHECK(sim_counters.duplicates > 0);
    VMP_CHECK(seen.num == 4 * (LENGTH / MTU));
    for (i = 0; i < sizeof(seen.blocks); ++i) {
        VMP_CHECK(seen.blocks[i] <= 1);
    }

    for (i = 0; i < sim_conf.links; ++i) {
        repeated  += sim_link(0, 1, i)->repeated;
        kept_back += sim_link(0, 1, i)->kept_back;
        VMP_CHECK(sim_link(0, 1, i)->ud_repeated == 0);
    }

    VMP_CHECK((repeated > 0) && (kept_back > 0));
    VMP_CHECK(!memcmp(pair[0].data, pair[1].data + REMOTE, 4 * LENGTH));
    pair_end();
}

/* The requester is dead, its packets are not; nor does another QP of the same
 * number take them */
static void test_ghosts(uint64_t seed)
{
    vmp_port_qp_remote_t remote;
    vmp_sge_t sge;
    uint32_t qpn;

    begin("ghosts", seed);
    pair_conf.link.delay  = 50 * USEC;
    pair_conf.qpn_recycle = 1;
    pair_open(1);
    memset(pair[0].data, 1, 4 * MTU);
    VMP_CHECK(pair_write(0, 1, SIGNALED, 0, 4 * MTU, REMOTE) == 0);
    sim_run(10 * USEC);
    VMP_CHECK(vmp_port_qp_error(pair[0].qps[0]) == 0);
    pair_expect(1, VMP_WC_FLUSHED);
    memset(pair[0].data, 2, 4 * MTU);
    sim_run(100 * USEC);
    VMP_CHECK((seen.num == 4) && (seen.ghosts == 4));
    VMP_CHECK(pair[1].data[REMOTE] == 1);
    pair_end();

    begin("recycled number", seed);
    pair_conf.link.delay  = 50 * USEC;
    pair_conf.qpn_recycle = 1;
    pair_open(1);
    VMP_CHECK(pair_write(0, 1, SIGNALED, 0, 4 * MTU, REMOTE) == 0);
    sge = (vmp_sge_t){(uintptr_t)pair[0].data, MTU, pair[0].mem.lkey[0]};
    VMP_CHECK(vmp_port_post_read(pair[0].qps[0], 2, SIGNALED, &sge, 1,
                                 (uintptr_t)pair[1].data,
                                 pair[1].mem.rkey[0] ^ 0x100) == 0);
    sim_run(10 * USEC);
    qpn    = vmp_port_qp_num(pair[1].qps[0]);
    remote = (vmp_port_qp_remote_t){
        .addr          = pair[0].attr.addr[0],
        .qpn           = vmp_port_qp_num(pair[0].qps[0]),
        .rq_psn        = 0x300000,
        .sq_psn        = 0x300000,
        .entropy       = 77,
        .mtu           = 3,
        .max_rd_atomic = 4
    };
    vmp_port_qp_destroy(pair[1].qps[0]);
    pair[1].qps[0] = vmp_port_qp_create(pair[1].port, 0);
    VMP_CHECK(vmp_port_qp_num(pair[1].qps[0]) == qpn);
    VMP_CHECK(vmp_port_qp_connect(pair[1].qps[0], &remote) == 0);
    pair_expect(1, VMP_WC_RETRY_EXC);
    VMP_CHECK(seen.num == 0);
    VMP_CHECK(sim_qp(pair[1].qps[0])->state == SIM_QP_RTS);
    pair_end();
}

/* Executed, but said to have failed; and failed without a word to the peer */
static void test_false_failures(uint64_t seed)
{
    uint32_t first;

    begin("executed, and failed", seed);
    pair_open(1);
    first = sim_qp(pair[1].qps[0])->expected_psn;
    sim_qp(pair[0].qps[0])->kill      = VMP_WC_REM_OP;
    sim_qp(pair[0].qps[0])->kill_late = 1;
    VMP_CHECK(pair_write(0, 1, SIGNALED, 0, MTU, REMOTE) == 0);
    VMP_CHECK(pair_write(0, 2, SIGNALED, 0, MTU, REMOTE + MTU) == 0);
    pair_expect(1, VMP_WC_REM_OP);
    pair_expect(2, VMP_WC_FLUSHED);
    sim_run(MSEC);
    VMP_CHECK(seen.blocks[REMOTE / MTU] == 1);
    VMP_CHECK(psn_moved(first) == seen.num);
    VMP_CHECK(sim_qp(pair[1].qps[0])->state == SIM_QP_RTS);
    pair_end();

    begin("fails by itself", seed);
    pair_open(1);
    VMP_CHECK(pair_write(0, 1, SIGNALED, 0, MTU, REMOTE) == 0);
    sim_qp_break(pair[0].qps[0], VMP_WC_OTHER);
    pair_expect(1, VMP_WC_OTHER);
    VMP_CHECK(sim_qp(pair[1].qps[0])->state == SIM_QP_RTS);
    pair_end();
}

/* A message of which only a part is executed, the first that is long enough */
static void test_half_failure(uint64_t seed)
{
    vmp_wc_t wc;

    begin("half, and failed", seed);
    pair_conf.srq_return = 1000000;
    pair_open(1);
    pair_recv(0, 3);
    sim_qp(pair[0].qps[0])->kill      = VMP_WC_OTHER;
    sim_qp(pair[0].qps[0])->kill_late = 1;
    sim_qp(pair[0].qps[0])->kill_half = 1;
    VMP_CHECK(pair_send(0, 1, SIGNALED, 0, 100) == 0);
    pair_expect(1, VMP_WC_SUCCESS);
    VMP_CHECK(pair_arrival(&wc) && (wc.wr_id == 0));
    VMP_CHECK(pair_write(0, 2, SIGNALED, 0, 4 * MTU, REMOTE) == 0);
    pair_expect(2, VMP_WC_SUCCESS);
    VMP_CHECK(sim_counters.halves == 0);
    seen.num = 0;
    VMP_CHECK(pair_send(0, 3, SIGNALED, 0, 10 * MTU) == 0);
    pair_expect(3, VMP_WC_OTHER);
    sim_run(MSEC);
    VMP_CHECK((sim_counters.halves == 1) && (seen.num == 1));
    VMP_CHECK(!pair_arrival(&wc));
    VMP_CHECK(sim_qp(pair[1].qps[0])->state == SIM_QP_RTS);
    VMP_CHECK(vmp_port_qp_error(pair[1].qps[0]) == 0);
    VMP_CHECK(pair_arrival(&wc) && (wc.wr_id == 1) &&
              (wc.status == VMP_WC_FLUSHED));
    VMP_CHECK(sim_counters.buffers_back == 1);
    pair_end();
}

/* Side 1's request fails. Who refused it is in ERR, too, as on soft-RoCE: what it
 * has under way the other way ends at once. Of other failures it hears nothing. */
static void test_refused(uint64_t seed, vmp_wc_status_t status)
{
    int is_refused = (status >= VMP_WC_REM_ACCESS) &&
                     (status <= VMP_WC_REM_OP);
    uint64_t since;
    vmp_sge_t sge;
    vmp_wc_t wc;

    begin("refused", seed);
    pair_open(1);
    sim_qp(pair[1].qps[0])->kill = status;
    sge = (vmp_sge_t){(uintptr_t)pair[1].data, MTU, pair[1].mem.lkey[0]};
    VMP_CHECK(vmp_port_post_write(pair[1].qps[0], 2, SIGNALED, &sge, 1,
                                  (uintptr_t)pair[0].data,
                                  pair[0].mem.rkey[0]) == 0);
    VMP_CHECK(pair_write(0, 1, SIGNALED, 0, LENGTH, REMOTE) == 0);
    since = sim_now();
    while (vmp_port_poll_tx(pair[1].port, 0, &wc, 1) == 0) {
        VMP_CHECK(sim_now() < (since + MSEC));
        sim_step(USEC);
    }

    VMP_CHECK((wc.wr_id == 2) && (wc.status == status));
    VMP_CHECK(sim_qp(pair[1].qps[0])->state == SIM_QP_ERR);
    VMP_CHECK(sim_qp(pair[0].qps[0])->state ==
              (is_refused ? SIM_QP_ERR : SIM_QP_RTS));
    pair_expect(1, is_refused ? VMP_WC_FLUSHED : VMP_WC_SUCCESS);
    pair_end();
}

/* The receive buffer of a message that was half there */
static void test_half_buffer(uint64_t seed, int comes_back,
                             vmp_wc_status_t status)
{
    vmp_wc_t wc;

    begin("half a message", seed);
    pair_conf.srq_return = comes_back ? 1000000 : 0;
    pair_conf.srq_status = status;
    pair_open(1);
    pair_recv(0, 2);
    VMP_CHECK(pair_send(0, 1, SIGNALED, 0, 10 * MTU) == 0);
    sim_run(6 * USEC);
    VMP_CHECK(vmp_port_qp_error(pair[1].qps[0]) == 0);
    VMP_CHECK(pair_arrival(&wc) == comes_back);
    VMP_CHECK(!comes_back || ((wc.wr_id == 0) &&
                              (wc.status == status)));
    VMP_CHECK(sim_port_srq_posted(pair[1].port, 0) == 1);
    pair_expect(1, VMP_WC_RETRY_EXC);
    pair_end();
}

static void test_false_rnr(uint64_t seed)
{
    unsigned i;

    begin("false RNR", seed);
    pair_conf.rnr_false = 500000;
    pair_open(1);
    pair_recv(0, 16);
    for (i = 0; i < 16; ++i) {
        VMP_CHECK(pair_send(0, i, SIGNALED, 0, 100) == 0);
    }

    for (i = 0; i < 16; ++i) {
        pair_expect(i, VMP_WC_SUCCESS);
    }

    VMP_CHECK(sim_counters.rnr_naks > 2);
    pair_end();
}

static void test_new_address(uint64_t seed)
{
    vmp_rail_addr_t addr;

    begin("new address", seed);
    pair_open(1);
    VMP_CHECK(pair_write(0, 1, SIGNALED, 0, MTU, REMOTE) == 0);
    pair_expect(1, VMP_WC_SUCCESS);
    sim_nic_new_address(1, 0, 1);
    vmp_port_rail_addr(pair[1].port, 0, &addr);
    VMP_CHECK(memcmp(&addr, &pair[1].attr.addr[0], sizeof(addr)) != 0);
    VMP_CHECK(pair_write(0, 2, SIGNALED, 0, MTU, REMOTE) == 0);
    pair_expect(2, VMP_WC_RETRY_EXC);
    VMP_CHECK(seen.num == 1);
    pair_end();
}

/* Polls fail for ever, what is posted ends without a word, and the peer hears
 * nothing; with the device, neither QPs nor posts are to be had. Another interface
 * has queues of its own; the device is as new when it is replaced. */
static void test_broken(uint64_t seed, int is_device)
{
    vmp_port_qp_t *qp;
    vmp_wc_t wc;

    begin(is_device ? "device fails" : "CQs fail", seed);
    pair_open(1);
    VMP_CHECK(pair_write(0, 1, SIGNALED, 0, LENGTH, REMOTE) == 0);
    sim_run(20 * USEC);
    VMP_CHECK(vmp_port_poll_tx(pair[0].port, 0, &wc, 1) == 0);
    if (is_device) {
        sim_nic_fail(0, 1);
    } else {
        sim_port_break(pair[0].port);
    }

    VMP_CHECK(vmp_port_poll_tx(pair[0].port, 0, &wc, 1) == -1);
    VMP_CHECK(vmp_port_poll_rx(pair[0].port, 0, &wc, 1) == -1);
    VMP_CHECK(sim_qp(pair[0].qps[0])->state == SIM_QP_ERR);
    VMP_CHECK(sim_qp(pair[1].qps[0])->state == SIM_QP_RTS);
    VMP_CHECK((vmp_port_qp_error(pair[0].qps[0]) == 0) == !is_device);
    VMP_CHECK((pair_write(0, 2, SIGNALED, 0, MTU, REMOTE) == 0) == !is_device);
    qp = vmp_port_qp_create(pair[0].port, 0);
    VMP_CHECK((qp != NULL) == !is_device);
    if (qp != NULL) {
        vmp_port_qp_destroy(qp);
    }

    sim_run(MSEC);
    VMP_CHECK(vmp_port_poll_tx(pair[0].port, 0, &wc, 1) == -1);
    VMP_CHECK(vmp_port_poll_tx(pair[1].port, 0, &wc, 1) == 0);
    if (is_device) {
        sim_nic_fail(0, 0);
        qp = vmp_port_qp_create(pair[0].port, 0);
        VMP_CHECK(qp != NULL);
        vmp_port_qp_destroy(qp);
    }

    pair_end();
}

/* A killed process says nothing, and its numbers are free at once */
static void test_kill(uint64_t seed)
{
    const char *names[] = {"h1r0"};
    vmp_port_md_t *md;
    vmp_port_attr_t attr;
    vmp_port_t *port;
    uint32_t qpn;

    begin("killed", seed);
    pair_conf.qpn_recycle = 1;
    pair_open(1);
    qpn = vmp_port_qp_num(pair[1].qps[0]);
    VMP_CHECK(pair_write(0, 1, SIGNALED, 0, LENGTH, REMOTE) == 0);
    sim_run(20 * USEC);
    VMP_CHECK(seen.num > 0);
    sim_process_kill(pair[1].md);
    seen.num = 0;
    VMP_CHECK(vmp_port_md_open(names, 1, &md) == VMP_OK);
    VMP_CHECK(vmp_port_open(md, &pair_params, &port, &attr) == VMP_OK);
    VMP_CHECK(attr.ud_qpn[0][0] == pair[1].attr.ud_qpn[0][0]);
    vmp_port_qp_destroy(pair[1].qps[0]);
    pair[1].qps[0] = vmp_port_qp_create(port, 0);
    VMP_CHECK(vmp_port_qp_num(pair[1].qps[0]) == qpn);
    pair_expect(1, VMP_WC_RETRY_EXC);
    VMP_CHECK(seen.num == 0);
    vmp_port_qp_destroy(pair[1].qps[0]);
    pair[1].qps[0] = NULL;
    vmp_port_close(port);
    vmp_port_md_close(md);
    pair_end();
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    test_late_error(seed, 0);
    test_late_error(seed, 30 * USEC);
    test_settled(seed);
    test_no_last(seed);
    test_dup_and_late(seed);
    test_ghosts(seed);
    test_false_failures(seed);
    test_half_failure(seed);
    test_refused(seed, VMP_WC_REM_ACCESS);
    test_refused(seed, VMP_WC_REM_INV_REQ);
    test_refused(seed, VMP_WC_REM_OP);
    test_refused(seed, VMP_WC_RETRY_EXC);
    test_refused(seed, VMP_WC_LOC_ERR);
    test_half_buffer(seed, 0, VMP_WC_FLUSHED);
    test_half_buffer(seed, 1, VMP_WC_FLUSHED);
    test_half_buffer(seed, 1, VMP_WC_OTHER);
    test_false_rnr(seed);
    test_new_address(seed);
    test_broken(seed, 0);
    test_broken(seed, 1);
    test_kill(seed);
    printf("test_sim_fault: ok\n");
    return 0;
}
