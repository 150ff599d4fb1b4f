/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "sim_int.h"

#include "core/vmp_log.h"

#include <stdio.h>

/* Devices and memory. A key names an entry of the table of regions and its
 * generation, so that a stale key, or one of another device, is found out. */

#define SIM_KEY_GEN_BITS  8
#define SIM_KEY_GEN_MASK  ((1u << SIM_KEY_GEN_BITS) - 1)
#define SIM_RKEY          0x80000000u   /* tells it from an lkey */
#define SIM_MAX_MR        (1ull << 40)  /* bytes */


typedef struct sim_mr {
    uint64_t  addr;
    size_t    length;
    sim_nic_t *nic;                     /* NULL: free */
    vmp_port_md_t *md;                  /* NULL: its process was killed */
    unsigned  access;
    uint32_t  gen;
    uint32_t  next_free;                /* index */
} sim_mr_t;

static sim_mr_t *mrs;
static uint32_t num_mrs;
static uint32_t max_mrs;
static uint32_t free_mr;                /* 0: none; entry 0 is not used */


/* Devices ------------------------------------------------------------------ */

vmp_status_t vmp_port_query_devices(vmp_port_dev_t **devs_p, unsigned *num_p)
{
    unsigned i;

    *devs_p = NULL;
    *num_p  = sim.num_nics;
    if (sim.num_nics == 0) {
        return VMP_OK;
    }

    *devs_p = sim_alloc(sim.num_nics * sizeof(**devs_p));
    for (i = 0; i < sim.num_nics; ++i) {
        snprintf((*devs_p)[i].name, VMP_PORT_NAME_MAX, "h%ur%u",
                 sim.nics[i].host, sim.nics[i].rail);
        (*devs_p)[i].port_num = 1;
        (*devs_p)[i].is_roce  = 1;
        (*devs_p)[i].mtu      = sim_conf.mtu;
        (*devs_p)[i].speed    = sim_conf.speed;
    }

    return VMP_OK;
}

vmp_status_t vmp_port_md_open(const char *const *names, unsigned num,
                              vmp_port_md_t **md_p)
{
    unsigned host, rail, i;
    vmp_port_md_t *md;

    if ((num == 0) || (num > VMP_MAX_RAILS)) {
        return VMP_ERR_INVALID_PARAM;
    }

    md      = sim_alloc(sizeof(*md));
    md->num = num;
    for (i = 0; i < num; ++i) {
        if ((sscanf(names[i], "h%ur%u", &host, &rail) != 2) ||
            (host >= sim_conf.hosts) || (rail >= sim_conf.rails)) {
            vmp_error("%s: no such device in the simulation", names[i]);
            free(md);
            return VMP_ERR_NO_DEVICE;
        }

        md->nics[i] = &sim.nics[sim_nic(host, rail)];
    }

    vmp_list_add_tail(&sim.mds, &md->link);
    ++sim_counters.mds;
    *md_p = md;
    return VMP_OK;
}

void vmp_port_md_close(vmp_port_md_t *md)
{
    vmp_list_del(&md->link);
    --sim_counters.mds;
    free(md);
}

void vmp_port_md_query(const vmp_port_md_t *md, vmp_port_md_attr_t *attr)
{
    memset(attr, 0, sizeof(*attr));
    attr->max_mr_size = SIM_MAX_MR;
    attr->num_devs    = md->num;
}


/* Regions ------------------------------------------------------------------ */

static uint32_t sim_mr_new(void)
{
    uint32_t i = free_mr;

    if (i != 0) {
        free_mr = mrs[i].next_free;
        return i;
    }

    if (num_mrs + 1 >= max_mrs) {
        max_mrs = (max_mrs == 0) ? 1024 : max_mrs * 2;
        mrs     = realloc(mrs, max_mrs * sizeof(*mrs));
        if (mrs == NULL) {
            abort();
        }
    }

    i      = ++num_mrs;
    mrs[i] = (sim_mr_t){0};
    return i;
}

vmp_status_t vmp_port_mem_reg(vmp_port_md_t *md, void *address, size_t length,
                              unsigned access, int silent, vmp_mem_t *mem)
{
    uint32_t index;
    unsigned i;

    memset(mem, 0, sizeof(*mem));
    if ((length > 0) && sim_chance(sim_conf.mem_fail)) {
        vmp_log_at(silent ? VMP_LOG_DEBUG : VMP_LOG_ERROR,
                   "cannot register memory at %p, %zu bytes: refused by the "
                   "simulation", address, length);
        return VMP_ERR_NO_MEMORY;
    }

    if ((sim_conf.mem_limit > 0) &&
        ((md->registered + (length * md->num)) > sim_conf.mem_limit)) {
        vmp_log_at(silent ? VMP_LOG_DEBUG : VMP_LOG_ERROR,
                   "cannot register memory at %p, %zu bytes: %zu of %zu are "
                   "registered", address, length, md->registered,
                   sim_conf.mem_limit);
        return VMP_ERR_NO_MEMORY;
    }

    md->registered += length * md->num;
    mem->num_devs   = md->num;
    for (i = 0; (length > 0) && (i < md->num); ++i) {
        index             = sim_mr_new();
        mrs[index].addr   = (uintptr_t)address;
        mrs[index].length = length;
        mrs[index].nic    = md->nics[i];
        mrs[index].md     = md;
        mrs[index].access = access;
        if (access & (VMP_MEM_REMOTE_WRITE | VMP_MEM_REMOTE_ATOMIC)) {
            mrs[index].access |= VMP_MEM_LOCAL_WRITE;
        }

        mem->mr[i]   = (void*)(uintptr_t)index;
        mem->lkey[i] = (index << SIM_KEY_GEN_BITS) | mrs[index].gen;
        mem->rkey[i] = mem->lkey[i] | SIM_RKEY;
        ++sim_counters.mrs;
        sim_counters.mr_bytes += length;
    }

    return VMP_OK;
}

vmp_status_t vmp_port_mem_dereg(vmp_mem_t *mem)
{
    uint32_t index;
    unsigned i;

    for (i = 0; i < mem->num_devs; ++i) {
        index = (uintptr_t)mem->mr[i];
        if (index == 0) {
            continue;
        }

        if (mrs[index].nic == NULL) {
            sim_fault(SIM_FAULT_LKEY, "lkey 0x%x deregistered twice",
                      mem->lkey[i]);
            continue;
        }

        if (mrs[index].md != NULL) {
            mrs[index].md->registered -= mrs[index].length;
        }

        mrs[index].nic       = NULL;
        mrs[index].gen       = (mrs[index].gen + 1) & SIM_KEY_GEN_MASK;
        mrs[index].next_free = free_mr;
        free_mr              = index;
        --sim_counters.mrs;
        sim_counters.mr_bytes -= mrs[index].length;
    }

    memset(mem, 0, sizeof(*mem));
    return VMP_OK;
}

int sim_lkey_ok(const sim_nic_t *nic, uint32_t lkey, uint64_t addr,
                size_t length, unsigned access)
{
    uint32_t index     = lkey >> SIM_KEY_GEN_BITS;
    const sim_mr_t *mr = &mrs[index];

    return (index > 0) && (index <= num_mrs) && (mr->nic == nic) &&
           (mr->md != NULL) &&
           (mr->gen == (lkey & SIM_KEY_GEN_MASK)) && (addr >= mr->addr) &&
           (length <= mr->length) &&
           ((addr - mr->addr) <= (mr->length - length)) &&
           ((mr->access & access) == access);
}

int sim_rkey_ok(const sim_nic_t *nic, uint32_t rkey, uint64_t addr,
                size_t length, unsigned access)
{
    return (rkey & SIM_RKEY) &&
           sim_lkey_ok(nic, rkey & ~SIM_RKEY, addr, length, access);
}

void sim_mem_kill(const vmp_port_md_t *md)
{
    uint32_t i;

    for (i = 1; i <= num_mrs; ++i) {
        if ((mrs[i].nic != NULL) && (mrs[i].md == md)) {
            mrs[i].md = NULL;
        }
    }
}

void sim_mem_cleanup(void)
{
    free(mrs);
    mrs     = NULL;
    num_mrs = 0;
    max_mrs = 0;
    free_mr = 0;
}
