/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "sim_pair.h"

pair_side_t       pair[2];
unsigned          pair_qps;
sim_conf_t        pair_conf;
vmp_port_params_t pair_params;
uint64_t          vmp_check_seed;


void pair_begin(const char *name, uint64_t seed)
{
    printf("%s: seed %lu\n", name, (unsigned long)seed);
    fflush(stdout);
    vmp_check_seed = seed;
    sim_conf_init(&pair_conf, seed);
    pair_conf.quarantine = 0;
    if (getenv("VMP_TEST_DEBUG") != NULL) {
        pair_conf.trace     = sim_trace_file;
        pair_conf.trace_arg = stdout;
    }

    pair_params = (vmp_port_params_t){
        .num_rails     = 1,
        .timeout       = 8,                 /* 1.05 ms */
        .retry_count   = 3,
        .min_rnr_timer = 1,                 /* 0.01 ms */
        .max_rd_atomic = 4,
        .num_ud        = 4,
        .sq_depth      = 64,
        .cq_depth      = 256,
        .srq_depth     = PAIR_BUFS,
        .max_inline    = 64,
        .max_sge       = 4
    };
}

static void pair_open_side(unsigned i)
{
    pair_side_t *side   = &pair[i];
    const char *names[] = {i ? "h1r0" : "h0r0"};

    VMP_CHECK(vmp_port_md_open(names, 1, &side->md) == VMP_OK);
    VMP_CHECK(vmp_port_open(side->md, &pair_params, &side->port,
                            &side->attr) == VMP_OK);
    side->data = malloc(PAIR_REGION);
    VMP_CHECK(side->data != NULL);
    pair_fill(i, i);
    VMP_CHECK(vmp_port_mem_reg(side->md, side->data, PAIR_REGION,
                               VMP_MEM_LOCAL_WRITE | VMP_MEM_REMOTE_WRITE |
                               VMP_MEM_REMOTE_READ, 0, &side->mem) == VMP_OK);
}

static void pair_connect(unsigned side, unsigned i)
{
    vmp_port_qp_remote_t remote = {
        .addr          = pair[!side].attr.addr[0],
        .qpn           = vmp_port_qp_num(pair[!side].qps[i]),
        .rq_psn        = side ? 0xfffff0 : 0x123456,
        .sq_psn        = side ? 0x123456 : 0xfffff0,
        .entropy       = 77 + (i * 1000),
        .mtu           = 3,
        .max_rd_atomic = 4
    };

    VMP_CHECK(vmp_port_qp_connect(pair[side].qps[i], &remote) == 0);
}

void pair_open(unsigned num)
{
    unsigned i;

    sim_begin(&pair_conf);
    pair_open_side(0);
    pair_open_side(1);
    pair_qps = num;
    for (i = 0; i < num; ++i) {
        pair[0].qps[i] = vmp_port_qp_create(pair[0].port, 0);
        pair[1].qps[i] = vmp_port_qp_create(pair[1].port, 0);
        VMP_CHECK((pair[0].qps[i] != NULL) && (pair[1].qps[i] != NULL));
        pair_connect(0, i);
        pair_connect(1, i);
    }
}

void pair_end(void)
{
    unsigned i, j;

    for (i = 0; i < 2; ++i) {
        for (j = 0; j < pair_qps; ++j) {
            if (pair[i].qps[j] != NULL) {
                vmp_port_qp_destroy(pair[i].qps[j]);
            }
        }

        if (pair[i].mem.num_devs > 0) {
            VMP_CHECK(vmp_port_mem_dereg(&pair[i].mem) == VMP_OK);
        }

        vmp_port_close(pair[i].port);
        vmp_port_md_close(pair[i].md);
    }

    sim_end();
    free(pair[0].data);
    free(pair[1].data);
}

void pair_recv(unsigned first, unsigned num)
{
    vmp_sge_t sge;
    uint64_t id;

    for (id = first; id < first + num; ++id) {
        sge = (vmp_sge_t){
            .addr   = (uintptr_t)pair[1].data + ((id % PAIR_BUFS) * PAIR_BUF),
            .length = PAIR_BUF,
            .lkey   = pair[1].mem.lkey[0]
        };
        VMP_CHECK(vmp_port_srq_post(pair[1].port, 0, &id, &sge, 1) == 1);
    }
}

static vmp_sge_t pair_sge(size_t offset, uint32_t length)
{
    return (vmp_sge_t){
        .addr   = (uintptr_t)pair[0].data + offset,
        .length = length,
        .lkey   = pair[0].mem.lkey[0]
    };
}

int pair_send(unsigned i, uint64_t wr_id, unsigned flags, size_t from,
              uint32_t length)
{
    vmp_sge_t sge = pair_sge(from, length);

    return vmp_port_post_send(pair[0].qps[i], wr_id, flags, &sge, 1);
}

int pair_write(unsigned i, uint64_t wr_id, unsigned flags, size_t from,
               uint32_t length, size_t to)
{
    vmp_sge_t sge = pair_sge(from, length);

    return vmp_port_post_write(pair[0].qps[i], wr_id, flags, &sge, 1,
                               (uintptr_t)pair[1].data + to,
                               pair[1].mem.rkey[0]);
}

int pair_read(unsigned i, uint64_t wr_id, unsigned flags, size_t into,
              uint32_t length, size_t from)
{
    vmp_sge_t sge = pair_sge(into, length);

    return vmp_port_post_read(pair[0].qps[i], wr_id, flags, &sge, 1,
                              (uintptr_t)pair[1].data + from,
                              pair[1].mem.rkey[0]);
}

vmp_wc_status_t pair_wait(uint64_t *wr_id, uint64_t max_ns)
{
    uint64_t end = sim_now() + max_ns;
    vmp_wc_t wc;

    while (vmp_port_poll_tx(pair[0].port, 0, &wc, 1) == 0) {
        VMP_CHECK(sim_now() < end);
        sim_step(end - sim_now());
    }

    *wr_id = wc.wr_id;
    return wc.status;
}

void pair_expect(uint64_t wr_id, vmp_wc_status_t status)
{
    uint64_t got;

    VMP_CHECK(pair_wait(&got, 10000000000ul) == status);
    VMP_CHECK(got == wr_id);
}

int pair_arrival(vmp_wc_t *wc)
{
    return vmp_port_poll_rx(pair[1].port, 0, wc, 1);
}

void pair_fill(unsigned side, int seed)
{
    size_t i;

    for (i = 0; i < PAIR_REGION; ++i) {
        pair[side].data[i] = (uint8_t)((i * 7) + (i >> 9) + (seed * 101));
    }
}
