/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * A seed is the same program of sim_core and sim_fault everywhere, whatever the
 * compiler: scenarios, and what people report, rely on it.
 */

#include "vmp_check.h"
#include "../sim/program.h"

#define PROGRAMS  2000                  /* crowds are 1 in 200 */

/* Who changes what seeds mean puts the new ones here. If it is the first one,
 * what the scenarios show is something else now, and to be found anew. */
#define ACTS      0x960446a7d3866dbeull     /* worlds, what programs do */
#define FAULTS    0x959cf2407b938e93ull     /* accidents by name */


uint64_t vmp_check_seed;

static uint64_t digest;


static void add(uint64_t value)
{
    uint64_t state = digest ^ value;

    digest = vmp_check_random(&state);
}

static void add_world(const program_t *prog)
{
    const vmp_iface_params_t *params = &prog->params;
    const vmp_port_params_t *port    = &params->port;
    const prog_host_t *host;
    const prog_link_t *link;
    unsigned i;

    add(port->sq_depth ^ port->cq_depth ^ port->srq_depth);
    add(port->path_mtu ^ port->timeout ^ prog->min_rnr_timer);
    add(params->seg_size ^ params->path_window ^ params->spread_thresh);
    add(prog->ud_loss ^ prog->ud_dup ^ prog->ud_jitter);
    add(prog->region_size ^ prog->inline_max ^ prog->max_sge);
    for (i = 0; i < prog->num_links; ++i) {
        link = &prog->links[i];
        add(link->rate ^ link->delay);
        add(link->jitter ^ link->queue ^ link->loss);
    }

    for (i = 0; i < prog->num_hosts; ++i) {
        host = &prog->hosts[i];
        add(host->poll_ns ^ host->idle_ns ^ host->chunk_size);
        add(host->num_paths ^ host->policy ^ host->sleeps);
    }
}

static void add_acts(const program_t *prog)
{
    const act_t *act;
    unsigned i;

    for (i = 0; i < prog->num_acts; ++i) {
        act = &prog->acts[i];
        add(act->time);
        add(act->size);
        add(act->arg);
        add(act->type);
        add(((uint64_t)act->host << 32) | ((uint64_t)act->peer << 8) |
            act->slot);
    }
}

static void add_faults(const program_t *prog)
{
    const fault_t *fault;
    const char *c;
    unsigned i;

    for (i = 0; i < prog->num_faults; ++i) {
        fault = &prog->faults[i];
        for (c = fault_name(fault->kind); *c != '\0'; ++c) {
            add(*c);
        }

        add(fault->time);
        add(fault->size);
        add(fault->arg);
        add(fault->is_one_way);
        add(((uint64_t)fault->host << 32) | ((uint64_t)fault->peer << 8) |
            fault->link);
    }
}

static uint64_t digest_of(void (*add_part)(const program_t *prog))
{
    program_t *prog = calloc(1, sizeof(*prog));

    VMP_CHECK(prog != NULL);
    digest = 0;
    for (vmp_check_seed = 1; vmp_check_seed <= PROGRAMS; ++vmp_check_seed) {
        program_make(prog, vmp_check_seed, 0);
        add_part(prog);
        program_free(prog);
        program_make(prog, vmp_check_seed, 1);
        add_part(prog);
        program_free(prog);
    }

    free(prog);
    return digest;
}

static void add_most(const program_t *prog)
{
    add_world(prog);
    add_acts(prog);
}

int main(void)
{
    uint64_t acts   = digest_of(add_most);
    uint64_t faults = digest_of(add_faults);

    printf("programs 1 to %d: worlds and acts 0x%lxull, accidents 0x%lxull\n",
           PROGRAMS, (unsigned long)acts, (unsigned long)faults);
    VMP_CHECK(acts == ACTS);
    VMP_CHECK(faults == FAULTS);
    printf("test_sim_program: ok\n");
    return 0;
}
