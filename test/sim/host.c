/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "oracle.h"
#include "trace.h"
#include "port/sim/sim.h"
#include "../common/vmp_content.h"

#include <stdlib.h>
#include <string.h>

#define HOST_POISONED_MAX  16           /* buffers watched */


/* Buffers: [canary][data][canary] ------------------------------------------ */

buf_t *buf_new(host_t *host, size_t size)
{
    size_t total = size + (2 * WORLD_CANARY);
    buf_t *buf   = calloc(1, sizeof(*buf));
    uint8_t *start;

    buf->host = host;
    buf->size = size;
    start     = malloc(total);
    memset(start, WORLD_POISON, WORLD_CANARY);
    memset(start + WORLD_CANARY, WORLD_POISON ^ 0xff, size);
    memset(start + WORLD_CANARY + size, WORLD_POISON, WORLD_CANARY);
    buf->data = start + WORLD_CANARY;
    oracle_check(vmp_port_mem_reg(host->md, start, total, VMP_MEM_LOCAL_WRITE,
                                  0, &buf->mem) == VMP_OK, "port",
                 "no memory region");
    return buf;
}

static void check_poison(const buf_t *buf, const uint8_t *data, size_t size)
{
    size_t i;

    for (i = 0; i < size; ++i) {
        oracle_check(data[i] == WORLD_POISON, "buffer", "host %u: byte %ld of "
                     "a buffer of %zu bytes was written, which is not the "
                     "core's", buf->host->index, (long)(data + i - buf->data),
                     buf->size);
    }
}

void buf_check(const buf_t *buf)
{
    check_poison(buf, buf->data - WORLD_CANARY, WORLD_CANARY);
    check_poison(buf, buf->data + buf->size, WORLD_CANARY);
}

void buf_free(buf_t *buf)
{
    buf_check(buf);
    vmp_port_mem_dereg(&buf->mem);
    free(buf->data - WORLD_CANARY);
    free(buf);
}

static void host_drop_poisoned(host_t *host, unsigned max)
{
    buf_t **buf_p = &host->poisoned;
    buf_t *buf;
    unsigned i;

    for (i = 0; (i < max) && (*buf_p != NULL); ++i) {
        buf_p = &(*buf_p)->next;
    }

    while ((buf = *buf_p) != NULL) {
        *buf_p = buf->next;
        check_poison(buf, buf->data, buf->size);
        buf_free(buf);
        --host->num_poisoned;
    }
}

void buf_retire(buf_t *buf)
{
    host_t *host = buf->host;

    memset(buf->data, WORLD_POISON, buf->size);
    buf->next      = host->poisoned;
    host->poisoned = buf;
    if (++host->num_poisoned > HOST_POISONED_MAX) {
        host_drop_poisoned(host, world_rnd(HOST_POISONED_MAX));
    }
}


/* Hosts -------------------------------------------------------------------- */

static void region_open(host_t *host)
{
    region_t *region = calloc(1, sizeof(*region));

    region->next = host->region;
    host->region = region;
    region->host = host;
    region->size = world.prog->region_size;
    region->key  = ((uint64_t)host->index + 1) << 24;
    region->data = malloc(region->size);
    vmp_content_fill(region->data, region->size, region->key, 0);
    oracle_check(vmp_port_mem_reg(host->md, region->data, region->size,
                                  VMP_MEM_LOCAL_WRITE | VMP_MEM_REMOTE_WRITE |
                                  VMP_MEM_REMOTE_READ, 0,
                                  &region->mem) == VMP_OK, "port",
                 "no memory region");
    region->rkey.num_devs = 1;
    region->rkey.key[0]   = region->mem.rkey[0];
}

/* Devices and memory of a process */
static void host_open(host_t *host)
{
    char name[32];
    const char *names[] = {name};

    snprintf(name, sizeof(name), "h%ur0", host->index);
    oracle_check(vmp_port_md_open(names, 1, &host->md) == VMP_OK, "port",
                 "no device %s", name);
    region_open(host);
}

static void host_close(host_t *host)
{
    host_drop_poisoned(host, 0);
    vmp_port_mem_dereg(&host->region->mem);
    vmp_port_md_close(host->md);
}

void host_init(host_t *host, unsigned index)
{
    host->index    = index;
    host->conf     = &world.prog->hosts[index];
    host->interval = host->conf->poll_ns;
    host_open(host);
    inst_open(host);
}

void host_end(host_t *host)
{
    inst_close(host->inst);
    host_close(host);
    host->region->is_gone = 1;
    host_open(host);
}

void host_kill(host_t *host)
{
    trace("h%u is killed", host->index);
    sim_process_kill(host->md);
    host_end(host);
}

void host_cleanup(host_t *host)
{
    region_t *region;

    host_close(host);
    while ((region = host->region) != NULL) {
        host->region = region->next;
        free(region->data);
        free(region->puts);
        free(region);
    }
}


/* Interfaces --------------------------------------------------------------- */

void inst_open(host_t *host)
{
    vmp_iface_params_t params = world.prog->params;
    inst_t *inst              = calloc(1, sizeof(*inst));

    inst->host   = host;
    inst->region = host->region;
    inst->gen    = host->num_insts++;
    inst->next   = world.insts;
    world.insts  = inst;
    host->inst   = inst;

    params.port.rails[0].port_num = 1;
    params.num_paths  = host->conf->num_paths;
    params.chunk_size = host->conf->chunk_size;
    params.policy     = program_policies[host->conf->policy];
    params.ops        = &app_ops;
    params.arg        = inst;
    oracle_check(vmp_iface_create(host->md, &params, &inst->iface) == VMP_OK,
                 "failure", "host %u: no interface", host->index);
    vmp_iface_query(inst->iface, &inst->attr);
    trace("h%u.%u opens, id %016lx", host->index, inst->gen,
          (unsigned long)inst->attr.addr.id);
    host->next_poll = world_now() + world_rnd(host->conf->poll_ns);
    host->is_asleep = 0;
    host->num_busy  = 0;
}

void inst_close(inst_t *inst)
{
    host_t *host = inst->host;
    buf_t *buf;
    unsigned i;

    for (i = 0; i < WORLD_SLOTS; ++i) {
        if (host->slots[i] != NULL) {
            app_close(host->slots[i]);
        }
    }

    trace("h%u.%u closes", host->index, inst->gen);
    vmp_iface_destroy(inst->iface);
    inst->iface     = NULL;
    inst->is_closed = 1;
    host->inst      = NULL;

    /* its kept receive buffers went with it; what posted operations had is ours
     * again */
    app_forget_kept(inst);
    while ((buf = inst->orphans) != NULL) {
        inst->orphans = buf->next;
        buf_free(buf);
    }
}

void inst_ask_credit(inst_t *inst)
{
    vmp_iface_t *iface = inst->iface;
    vmp_conn_t *conn;
    vmp_link_t *link;

    vmp_list_for_each(link, &iface->all) {
        conn = vmp_container_of(link, vmp_conn_t, all);
        if ((conn->tx_path != NULL) &&
            !(conn->block & (VMP_BLOCK_CLOSED | VMP_BLOCK_FAILED))) {
            conn->rx_ask = VMP_ASK_DUE;
            vmp_list_add_once(&iface->owing, &conn->owing);
        }
    }
}
