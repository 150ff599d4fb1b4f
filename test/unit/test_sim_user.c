/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * The simulated port: what it reports of its user, and what devices refuse.
 */

#include "sim_pair.h"
#include "core/vmp_ctl.h"

#define SIGNALED  VMP_POST_SIGNALED
#define REMOTE    (PAIR_REGION / 2)


static unsigned faults[SIM_FAULT_LAST];

static void fault(void *arg, sim_fault_t which, const char *text)
{
    (void)arg;
    printf("  %s: %s\n", sim_fault_str(which), text);
    ++faults[which];
}

static void check_fault(sim_fault_t which)
{
    unsigned i;

    for (i = 0; i < SIM_FAULT_LAST; ++i) {
        VMP_CHECK(faults[i] == (i == (unsigned)which));
        faults[i] = 0;
    }
}

static void faulty_begin(const char *name, uint64_t seed)
{
    pair_begin(name, seed);
    memset(faults, 0, sizeof(faults));
    pair_conf.fault = fault;
}

static void test_full(uint64_t seed)
{
    vmp_wc_t wc;
    unsigned i;

    faulty_begin("full queues", seed);
    pair_params.cq_depth  = 100;
    pair_params.srq_depth = PAIR_BUFS - 1;
    pair_open(2);
    pair_recv(0, PAIR_BUFS - 1);
    VMP_CHECK(vmp_port_srq_post(pair[1].port, 0, (uint64_t[]){9},
                                &(vmp_sge_t){(uintptr_t)pair[1].data, 10,
                                             pair[1].mem.lkey[0]}, 1) == 0);
    check_fault(SIM_FAULT_SRQ_FULL);

    /* one that is not signalled leaves the queue with the next one that is */
    for (i = 0; i < 64; ++i) {
        VMP_CHECK(pair_write(0, i, (i % 2) ? SIGNALED : 0, 0, 1, REMOTE) == 0);
    }

    VMP_CHECK(pair_write(0, i, SIGNALED, 0, 1, REMOTE) == -1);
    check_fault(SIM_FAULT_SQ_FULL);
    sim_run(100000);
    VMP_CHECK(pair_write(0, i, SIGNALED, 0, 1, REMOTE) == -1);
    check_fault(SIM_FAULT_SQ_FULL);
    VMP_CHECK(vmp_port_poll_tx(pair[0].port, 0, &wc, 1) == 1);
    VMP_CHECK((wc.wr_id == 1) && (sim_qp(pair[0].qps[0])->posted == 62));
    VMP_CHECK(pair_write(0, 64, 0, 0, 1, REMOTE) == 0);
    VMP_CHECK(pair_write(0, 65, 0, 0, 1, REMOTE) == 0);

    /* on another QP, but of the same CQ */
    for (i = 0; i < 36; ++i) {
        VMP_CHECK(pair_write(1, i, 0, 0, 1, REMOTE) == 0);
    }

    VMP_CHECK(pair_write(1, i, 0, 0, 1, REMOTE) == -1);
    check_fault(SIM_FAULT_CQ_FULL);
    pair_end();

    faulty_begin("full receive CQ", seed);
    pair_params.srq_depth = 2;
    pair_open(1);
    for (i = 0; i < 3; ++i) {
        pair_recv(i, 1);
        VMP_CHECK(pair_send(0, i, SIGNALED, 0, 10) == 0);
        pair_expect(i, VMP_WC_SUCCESS);
    }

    check_fault(SIM_FAULT_RX_CQ_FULL);
    VMP_CHECK(pair_arrival(&wc) == -1);
    pair_end();
}

static void test_limits(uint64_t seed)
{
    vmp_sge_t sge[5] = {{0}};
    vmp_port_qp_t *qp;
    vmp_port_qp_t *fresh;
    vmp_wc_t wc;

    faulty_begin("limits", seed);
    pair_open(1);
    qp = pair[0].qps[0];
    VMP_CHECK(vmp_port_post_send(qp, 1, 0, sge, 5) == -1);
    check_fault(SIM_FAULT_LIMIT);
    VMP_CHECK(pair_send(0, 1, VMP_POST_INLINE, 0, 65) == -1);
    check_fault(SIM_FAULT_LIMIT);
    fresh = vmp_port_qp_create(pair[0].port, 0);
    VMP_CHECK(vmp_port_post_send(fresh, 1, 0, sge, 1) == -1);
    check_fault(SIM_FAULT_STATE);
    vmp_port_qp_destroy(fresh);
    VMP_CHECK(vmp_port_post_send(fresh, 1, 0, sge, 1) == -1);
    check_fault(SIM_FAULT_DESTROYED);
    vmp_port_qp_destroy(fresh);
    check_fault(SIM_FAULT_DESTROYED);

    /* deregistered before the other end has it */
    VMP_CHECK(pair_write(0, 7, 0, 0, 100, REMOTE) == 0);
    VMP_CHECK(vmp_port_mem_dereg(&pair[0].mem) == VMP_OK);
    sim_run(100000);
    check_fault(SIM_FAULT_RELEASED);
    VMP_CHECK(vmp_port_poll_tx(pair[0].port, 0, &wc, 1) == 1);
    VMP_CHECK((wc.wr_id == 7) && (wc.status == VMP_WC_LOC_ERR));
    pair_end();
}

static void test_leaks(uint64_t seed)
{
    vmp_mem_t mem;
    vmp_sge_t sge;

    faulty_begin("leaks", seed);
    pair_open(1);
    VMP_CHECK(vmp_port_mem_reg(pair[0].md, pair[0].data, 10, 0, 0, &mem) ==
              VMP_OK);
    sge = (vmp_sge_t){(uintptr_t)pair[0].data, 10, mem.lkey[0]};
    VMP_CHECK(vmp_port_post_write(pair[0].qps[0], 1, SIGNALED, &sge, 1,
                                  (uintptr_t)pair[1].data,
                                  pair[1].mem.rkey[0]) == 0);
    pair_expect(1, VMP_WC_SUCCESS);
    VMP_CHECK(sim_counters.mrs == 3);
    pair_end();
    check_fault(SIM_FAULT_LEAK);
    pair_begin("no leak", seed);
    pair_open(1);
    VMP_CHECK((sim_counters.mrs == 2) && (sim_counters.qps == 2));
    pair_end();
}

/* Control, so that the interface counts as running */
typedef struct control {
    vmp_spsc_t cmds;
    vmp_spsc_t evs;
    vmp_ctl_t  *ctl;
} control_t;

static void control_start(control_t *control, unsigned side)
{
    vmp_ctl_params_t params = {
        .port            = pair[side].port,
        .attr            = &pair[side].attr,
        .id              = 5,
        .num_paths       = 1,
        .credits         = 8,
        .frame_size      = 100,
        .peer_timeout_ns = 1000000000ul,
        .cmds            = &control->cmds,
        .evs             = &control->evs
    };

    VMP_CHECK((vmp_spsc_init(&control->cmds) == 0) &&
              (vmp_spsc_init(&control->evs) == 0));
    control->ctl = vmp_ctl_create(&params);
    VMP_CHECK(control->ctl != NULL);
    VMP_CHECK(vmp_port_start(pair[side].port, control->ctl) == VMP_OK);
}

static void control_stop(control_t *control, unsigned side)
{
    vmp_port_stop(pair[side].port);
    vmp_ctl_destroy(control->ctl);
    vmp_spsc_cleanup(&control->cmds);
    vmp_spsc_cleanup(&control->evs);
}

/* How QPs must end while an interface is in use */
static void test_ends(uint64_t seed)
{
    control_t control;
    vmp_wc_t wc;
    unsigned i;

    faulty_begin("ends", seed);
    pair_conf.quarantine     = 2000000000ul;
    pair_conf.fault_expected = 1u << SIM_FAULT_THREAD;
    pair_open(3);
    control_start(&control, 0);
    VMP_CHECK(sim_counters.faults[SIM_FAULT_THREAD] == 0);
    vmp_port_qp_destroy(pair[0].qps[0]);
    check_fault(SIM_FAULT_QUARANTINE);
    VMP_CHECK(sim_counters.faults[SIM_FAULT_THREAD] == 1);
    for (i = 1; i < 3; ++i) {
        VMP_CHECK(pair_write(i, i, 0, 0, 10, REMOTE) == 0);
        VMP_CHECK(vmp_port_qp_error(pair[0].qps[i]) == 0);
    }

    sim_run(2000000000ul);
    VMP_CHECK(vmp_port_poll_tx(pair[0].port, 0, &wc, 1) == 1);
    VMP_CHECK((wc.wr_id == 1) && (wc.status == VMP_WC_FLUSHED));
    vmp_port_qp_destroy(pair[0].qps[1]);
    VMP_CHECK(faults[SIM_FAULT_QUARANTINE] == 0);
    vmp_port_qp_destroy(pair[0].qps[2]);
    check_fault(SIM_FAULT_NOT_DRAINED);

    /* what was not polled is lost with it */
    VMP_CHECK(vmp_port_poll_tx(pair[0].port, 0, &wc, 1) == 0);
    control_stop(&control, 0);
    memset(pair[0].qps, 0, sizeof(pair[0].qps));
    pair_end();
}

/* A helper that does not run lets datagrams wait */
static void test_helper(uint64_t seed)
{
    control_t control;
    uint64_t runs;

    pair_begin("helper", seed);
    pair_open(0);
    control_start(&control, 1);
    sim_run(1000000);
    runs = sim_counters.helper_runs;
    VMP_CHECK(runs == 1);
    sim_port_stall_helper(pair[1].port, sim_now() + 5000000);
    vmp_port_ctl_send(pair[0].port, 0, 0, &pair[1].attr.addr[0],
                      pair[1].attr.ud_qpn[0][0], "x", 1);
    vmp_port_wake(pair[1].port);
    sim_run(4900000);
    VMP_CHECK((sim_counters.helper_runs == runs) &&
              (sim_counters.ud_received == 0));
    sim_run(200000);
    VMP_CHECK((sim_counters.helper_runs == runs + 1) &&
              (sim_counters.ud_received == 1));
    sim_port_stall_helper(pair[1].port, SIM_NEVER);
    vmp_port_wake(pair[1].port);
    sim_run(10000000000ul);
    VMP_CHECK(sim_counters.helper_runs == runs + 1);
    sim_port_stall_helper(pair[1].port, 0);
    sim_run(100000);
    VMP_CHECK(sim_counters.helper_runs == runs + 2);
    control_stop(&control, 1);
    pair_end();
}

/* What the device is told to refuse */
static void test_refused(uint64_t seed)
{
    vmp_port_qp_t *qps[3];
    unsigned i;

    pair_begin("refused", seed);
    pair_open(1);
    sim_conf.post_fail_after = 2;
    VMP_CHECK(pair_write(0, 1, SIGNALED, 0, 10, REMOTE) == 0);
    VMP_CHECK(pair_write(0, 2, SIGNALED, 0, 10, REMOTE) == -1);
    VMP_CHECK(pair_write(0, 2, SIGNALED, 0, 10, REMOTE) == 0);
    sim_conf.max_qps = 3;
    for (i = 0; i < 3; ++i) {
        qps[i] = vmp_port_qp_create(pair[0].port, 0);
        VMP_CHECK((qps[i] == NULL) == (i == 2));
    }

    vmp_port_qp_destroy(qps[0]);
    sim_conf.qp_fail = 1000000;
    VMP_CHECK(vmp_port_qp_create(pair[0].port, 0) == NULL);
    sim_conf.qp_fail = 0;
    qps[0]           = vmp_port_qp_create(pair[0].port, 0);
    vmp_port_qp_destroy(qps[0]);
    vmp_port_qp_destroy(qps[1]);
    pair_end();
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    test_full(seed);
    test_limits(seed);
    test_leaks(seed);
    test_ends(seed);
    test_helper(seed);
    test_refused(seed);
    return 0;
}
