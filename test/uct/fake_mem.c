/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Devices and memory of the fake core.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "fake_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_RKEY        0xabcd
#define FAKE_MAX_REGIONS 64

static int fake_regions[FAKE_MAX_REGIONS];


vmp_status_t vmp_port_query_devices(vmp_port_dev_t **devs_p, unsigned *num_p)
{
    unsigned i;

    *num_p  = fake_core.num_devices;
    *devs_p = (*num_p == 0) ? NULL : calloc(*num_p, sizeof(**devs_p));
    for (i = 0; i < *num_p; ++i) {
        snprintf((*devs_p)[i].name, VMP_PORT_NAME_MAX, "fake%u", i / 2);
        (*devs_p)[i].port_num = 1 + (i % 2);
        (*devs_p)[i].is_roce  = 1;
    }

    return VMP_OK;
}

vmp_status_t vmp_port_md_open(const char *const *names, unsigned num,
                              vmp_port_md_t **md_p)
{
    *md_p = malloc(1);
    return VMP_OK;
}

void vmp_port_md_close(vmp_port_md_t *md)
{
    free(md);
}

void vmp_port_md_query(const vmp_port_md_t *md, vmp_port_md_attr_t *attr)
{
    memset(attr, 0, sizeof(*attr));
    attr->max_mr_size = UINT64_MAX;
    attr->num_devs    = 1;
}

vmp_status_t vmp_port_mem_reg(vmp_port_md_t *md, void *address, size_t length,
                              unsigned access, int silent, vmp_mem_t *mem)
{
    unsigned i;

    for (i = 0; (i < FAKE_MAX_REGIONS) && fake_regions[i]; ++i);
    if (i == FAKE_MAX_REGIONS) {
        return VMP_ERR_NO_MEMORY;
    }

    memset(mem, 0, sizeof(*mem));
    mem->num_devs   = 1;
    mem->lkey[0]    = FAKE_LKEY;
    mem->rkey[0]    = FAKE_RKEY + i;
    fake_regions[i] = 1;
    ++fake_core.num_regions;
    return VMP_OK;
}

vmp_status_t vmp_port_mem_dereg(vmp_mem_t *mem)
{
    fake_regions[mem->rkey[0] - FAKE_RKEY] = 0;
    --fake_core.num_regions;
    memset(mem, 0, sizeof(*mem));
    return VMP_OK;
}

int fake_core_has_key(uint32_t rkey)
{
    return (rkey >= FAKE_RKEY) && (rkey < FAKE_RKEY + FAKE_MAX_REGIONS) &&
           fake_regions[rkey - FAKE_RKEY];
}
