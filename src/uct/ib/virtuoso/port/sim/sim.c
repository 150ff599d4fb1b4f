/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "sim_int.h"

#include "core/vmp_log.h"

#include <stdarg.h>

#define SIM_TIME_BEGIN  1000            /* ns */
#define SIM_LINE_MAX    512


sim_world_t     sim;
sim_conf_t      sim_conf;
sim_counters_t  sim_counters;
vmp_log_level_t vmp_log_max_level = VMP_LOG_WARN;


void *sim_alloc(size_t size)
{
    void *ptr = calloc(1, size);

    if (ptr == NULL) {
        fprintf(stderr, "sim: out of memory\n");
        abort();
    }

    return ptr;
}


/* Luck --------------------------------------------------------------------- */

/* The finaliser of a well-known generator (splitmix64) */
uint64_t sim_mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9ull;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

uint64_t sim_draw(void)
{
    sim.rng += 0x9e3779b97f4a7c15ull;
    return sim_mix(sim.rng);
}

uint64_t sim_random(void)
{
    sim.rng_driver += 0x9e3779b97f4a7c15ull;
    return sim_mix(sim.rng_driver);
}


/* Lines -------------------------------------------------------------------- */

void sim_trace_file(void *arg, const char *line)
{
    fprintf(arg, "%s\n", line);
}

static void sim_line(const char *prefix, const char *fmt, va_list ap)
{
    char line[SIM_LINE_MAX];
    int len;

    len = snprintf(line, sizeof(line), "%12lu %s", (unsigned long)sim.now,
                   prefix);
    vsnprintf(line + len, sizeof(line) - len, fmt, ap);
    if (sim_conf.trace != NULL) {
        sim_conf.trace(sim_conf.trace_arg, line);
    } else {
        printf("%s\n", line);
    }
}

void sim_trace_line(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    sim_line("", fmt, ap);
    va_end(ap);
}

/* Drivers may have their own */
__attribute__((weak))
void vmp_log(vmp_log_level_t level, const char *file, unsigned line,
             const char *fmt, ...)
{
    static const char *const names[] = {"ERROR ", "WARN ", "DIAG ", "INFO ",
                                        "DEBUG ", "TRACE "};
    va_list ap;

    (void)file;
    (void)line;
    va_start(ap, fmt);
    sim_line(names[level], fmt, ap);
    va_end(ap);
}


/* Faults ------------------------------------------------------------------- */

const char *sim_fault_str(sim_fault_t fault)
{
    static const char *const names[SIM_FAULT_LAST] = {
        [SIM_FAULT_SQ_FULL]     = "send queue full",
        [SIM_FAULT_CQ_FULL]     = "send CQ full",
        [SIM_FAULT_RX_CQ_FULL]  = "receive CQ full",
        [SIM_FAULT_SRQ_FULL]    = "SRQ full",
        [SIM_FAULT_STATE]       = "QP not connected",
        [SIM_FAULT_LIMIT]       = "limit exceeded",
        [SIM_FAULT_LKEY]        = "bad local key",
        [SIM_FAULT_RELEASED]    = "memory in use was deregistered",
        [SIM_FAULT_NOT_DRAINED] = "QP destroyed before it was drained",
        [SIM_FAULT_QUARANTINE]  = "QP destroyed without quarantine",
        [SIM_FAULT_DESTROYED]   = "QP was destroyed",
        [SIM_FAULT_THREAD]      = "wrong thread",
        [SIM_FAULT_LEAK]        = "leak"
    };

    return names[fault];
}

void sim_fault(sim_fault_t fault, const char *fmt, ...)
{
    char text[SIM_LINE_MAX];
    va_list ap;

    ++sim_counters.faults[fault];
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    sim_trace("FAULT %s: %s", sim_fault_str(fault), text);
    if (sim_conf.fault_expected & (1u << fault)) {
        return;
    }

    if (sim_conf.fault != NULL) {
        sim_conf.fault(sim_conf.fault_arg, fault, text);
        return;
    }

    fflush(stdout);
    fprintf(stderr, "sim: seed %lu, time %lu: %s: %s\n",
            (unsigned long)sim_conf.seed, (unsigned long)sim.now,
            sim_fault_str(fault), text);
    abort();
}


/* Rings -------------------------------------------------------------------- */

void *sim_ring_at(const sim_ring_t *ring, uint32_t pos, size_t record)
{
    return ring->data + ((pos & (ring->size - 1)) * record);
}

void *sim_ring_put(sim_ring_t *ring, size_t record)
{
    sim_ring_t bigger = *ring;
    uint32_t pos;

    if (sim_ring_num(ring) == ring->size) {
        bigger.size = (ring->size == 0) ? 32 : ring->size * 2;
        bigger.data = sim_alloc(bigger.size * record);
        for (pos = ring->tail; pos != ring->head; ++pos) {
            memcpy(sim_ring_at(&bigger, pos, record),
                   sim_ring_at(ring, pos, record), record);
        }

        free(ring->data);
        *ring = bigger;
    }

    return sim_ring_at(ring, ring->head++, record);
}

void sim_ring_cleanup(sim_ring_t *ring)
{
    free(ring->data);
    *ring = (sim_ring_t){0};
}


/* World -------------------------------------------------------------------- */

void sim_conf_init(sim_conf_t *conf, uint64_t seed)
{
    *conf = (sim_conf_t){
        .seed          = seed,
        .hosts         = 2,
        .rails         = 1,
        .links         = 4,
        .link          = {.rate = 10000000000ull, .delay = 1000},
        .burst         = 8,
        .mtu           = 3,
        .speed         = 1000000,
        .max_inline    = 256,
        .max_sge       = SIM_MAX_SGE,
        .max_rd_atomic = 16,
        .helper_delay  = 2000,
        .ud_queue      = 1024,
        .settle        = 500000000ull,
        .srq_status    = VMP_WC_FLUSHED,
        .quarantine    = 2000000000ull
    };
}

void sim_begin(const sim_conf_t *conf)
{
    if (sim.is_begun || (conf->hosts == 0) || (conf->hosts > 65536) ||
        (conf->rails == 0) || (conf->rails > VMP_MAX_RAILS) ||
        (conf->links == 0) || (conf->burst == 0) || (conf->mtu < 1) ||
        (conf->mtu > 5) || (conf->max_sge > SIM_MAX_SGE)) {
        fprintf(stderr, "sim: bad settings, or the last world has not ended\n");
        abort();
    }

    sim_conf       = *conf;
    sim_counters   = (sim_counters_t){0};
    sim            = (sim_world_t){
        .is_begun   = 1,
        .now        = SIM_TIME_BEGIN,
        .rng        = sim_mix(conf->seed),
        .rng_driver = sim_mix(~conf->seed)
    };
    vmp_list_init(&sim.mds);
    vmp_list_init(&sim.qps);
    sim_nics_make();
}

static void sim_free_all(void)
{
    vmp_port_qp_t *qp;
    vmp_port_md_t *md;
    unsigned i;

    for (i = 0; i < sim.num_ports; ++i) {
        if (sim.ports[i] != NULL) {
            sim_port_free(sim.ports[i]);
        }
    }

    while (!vmp_list_is_empty(&sim.qps)) {
        qp = vmp_container_of(sim.qps.next, vmp_port_qp_t, link);
        vmp_list_del(&qp->link);
        sim_qp_free(qp);
    }

    while (!vmp_list_is_empty(&sim.mds)) {
        md = vmp_container_of(sim.mds.next, vmp_port_md_t, link);
        vmp_list_del(&md->link);
        free(md);
    }

    sim_wrs_cleanup();
    sim_nics_free();
    sim_mem_cleanup();
    free(sim.ports);
}

void sim_end(void)
{
    if (sim_counters.ports + sim_counters.mds + sim_counters.qps +
        sim_counters.mrs + sim_counters.ahs > 0) {
        sim_fault(SIM_FAULT_LEAK, "%u interfaces, %u MDs, %u QPs, %u MRs, %u "
                  "AHs are left", sim_counters.ports, sim_counters.mds,
                  sim_counters.qps, sim_counters.mrs, sim_counters.ahs);
    }

    sim_events_free();
    sim_free_all();
    sim.is_begun = 0;
}

uint64_t sim_now(void)
{
    return sim.now;
}

uint64_t sim_hash(void)
{
    return sim_mix(sim.hash ^ sim.now);
}
