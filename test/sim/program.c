/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "program.h"
#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROG_START  2000ull             /* ns */
#define MB          1000000ull          /* bytes */


const char *const program_policies[] = {"rr", "single"};

static rnd_t prog_rnd;


static uint32_t rnd(uint32_t num)
{
    return rnd_below(&prog_rnd, num);
}

static uint32_t rnd_size(uint32_t min, uint32_t max)
{
    return rnd_log(&prog_rnd, min, max);
}

static int chance(unsigned percent)
{
    return rnd(100) < percent;
}


/* The world ---------------------------------------------------------------- */

static uint32_t pow2_size(uint32_t min, uint32_t max)
{
    uint32_t value = min;

    while ((value < max) && rnd(3)) {
        value *= 2;
    }

    return value;
}

static void make_links(program_t *prog)
{
    uint64_t rate  = MB * rnd_size(100, 12500);
    uint32_t delay = rnd_size(100, 20000);
    prog_link_t *link;
    unsigned i;

    prog->num_links = 1 + rnd(PROG_MAX_LINKS);
    for (i = 0; i < prog->num_links; ++i) {
        link         = &prog->links[i];
        link->rate   = chance(70) ? rate : (rate / (1 + rnd(8))) + (40 * MB);
        link->delay  = chance(60) ? delay : rnd_size(100, 20000);
        link->jitter = chance(50) ? 0 : rnd_size(10, 20000);
        link->queue  = chance(70) ? 0 : rnd_size(20000, 1000000);
        link->loss   = chance(85) ? 0 : rnd_size(1, 3000);
    }

    prog->ud_loss   = chance(70) ? 0 : rnd(300);
    prog->ud_dup    = chance(70) ? 0 : rnd(300);
    prog->ud_jitter = chance(50) ? 0 : rnd_size(1000, 3000000);
}

static void make_params(program_t *prog)
{
    vmp_iface_params_t *params = &prog->params;
    vmp_port_params_t *port    = &params->port;

    memset(params, 0, sizeof(*params));
    port->num_rails     = 1;
    port->gid_index     = -1;
    port->pkey          = 0xffff;
    port->path_mtu      = 1 + rnd(5);
    port->timeout       = 13 + rnd(3);  /* 34 to 134 ms: slow, not dead */
    port->retry_count   = 6;
    port->min_rnr_timer = 1 + rnd(12);  /* 10 us to 0.6 ms */
    port->max_rd_atomic = 1 + rnd(16);
    port->num_ud        = 1 + rnd(4);
    port->sq_depth      = pow2_size(8, 256);
    port->cq_depth      = rnd_size(16, 2048);
    port->srq_depth     = rnd_size(16, 1024);
    port->max_inline    = 512;
    port->max_sge       = 8;

    params->spread_thresh   = chance(50) ? 0 : rnd_size(1, 65536);
    params->seg_size        = rnd_size(64, chance(80) ? 8192 : 65536);
    params->path_window     = rnd_size(1, 1 << 19);
    params->rx_window_min   = rnd_size(1, 64);
    params->rx_window_max   = pow2_size(1, 1024);
    params->rx_headroom     = 8 * rnd(9);
    params->rx_priv         = 8 * rnd(9);
    params->rx_max_bufs     = rnd_size(1, 4096);
    params->tx_max_bufs     = rnd_size(1, 1024);
    params->peer_timeout_ns = 4000000000ull;
    while (params->rx_window_max < params->rx_window_min) {
        params->rx_window_max *= 2;
    }

    prog->inline_max  = chance(20) ? rnd(40) : 40 + rnd(400);
    prog->max_sge     = 1 + rnd(6);
    prog->region_size = rnd_size(4096, 1 << 18);
}

static void make_hosts(program_t *prog)
{
    unsigned num_paths = 1 + rnd(8);
    uint32_t chunk     = rnd_size(64, 1 << 17);
    uint32_t poll      = rnd_size(50, 5000);
    unsigned sleeps    = chance(30) ? rnd(101) : 0;
    prog_host_t *host;
    unsigned i;

    for (i = 0; i < prog->num_hosts; ++i) {
        host               = &prog->hosts[i];
        host->poll_ns      = chance(70) ? poll : rnd_size(50, 50000);
        host->idle_ns      = host->poll_ns + rnd_size(1000, 200000);
        host->keep_percent = chance(60) ? 0 : rnd(101);
        host->pump_percent = chance(50) ? 0 : rnd(101);
        host->sleeps       = chance(sleeps);
        host->num_paths    = chance(80) ? num_paths : 1 + rnd(8);
        host->policy       = chance(15);
        host->chunk_size   = chance(80) ? chunk : rnd_size(64, 1 << 17);
    }
}


/* What happens ------------------------------------------------------------- */

static act_t *add(program_t *prog, uint64_t time, act_type_t type,
                  unsigned host, unsigned slot)
{
    act_t *act;

    if (prog->num_acts == prog->max_acts) {
        prog->max_acts = (2 * prog->max_acts) + 64;
        prog->acts     = realloc(prog->acts,
                                 prog->max_acts * sizeof(*prog->acts));
        if (prog->acts == NULL) {
            abort();
        }
    }

    act       = &prog->acts[prog->num_acts++];
    *act      = (act_t){0};
    act->time = time;
    act->type = type;
    act->host = host;
    act->slot = slot;
    act->arg  = rnd(UINT32_MAX);
    return act;
}

/* Endpoints of each host: to which peers, all the time or for a while */
static void make_endpoints(program_t *prog, uint64_t span)
{
    unsigned i;
    unsigned j;
    unsigned num;
    act_t *act;

    for (i = 0; i < prog->num_hosts; ++i) {
        num = 1 + rnd(chance(70) ? 2 : PROG_MAX_SLOTS);
        for (j = 0; j < num; ++j) {
            act       = add(prog, PROG_START + (chance(60) ? 0 : rnd(span)),
                            ACT_OPEN, i, j);
            act->peer = rnd(prog->num_hosts);
            if ((act->peer == i) && !chance(25)) {
                act->peer = (i + 1) % prog->num_hosts;
            }

            if (prog->is_crowd) {
                act->peer = (i == 0) ? rnd(prog->num_hosts) : 0;
            }
        }
    }
}

static act_type_t random_op(unsigned mix)
{
    static const uint8_t weights[4][ACT_STALL] = {
        /* all sorts */
        {[ACT_AM_SHORT] = 12, [ACT_AM_IOV] = 4, [ACT_AM_BCOPY] = 12,
         [ACT_AM_ZCOPY] = 10, [ACT_PUT_SHORT] = 6, [ACT_PUT_BCOPY] = 6,
         [ACT_PUT_ZCOPY] = 10, [ACT_GET_BCOPY] = 6, [ACT_GET_ZCOPY] = 8,
         [ACT_FENCE] = 8, [ACT_FLUSH] = 4, [ACT_CHECK] = 1,
         [ACT_IFACE_FENCE] = 1, [ACT_IFACE_FLUSH] = 1},
        /* messages */
        {[ACT_AM_SHORT] = 20, [ACT_AM_IOV] = 4, [ACT_AM_BCOPY] = 20,
         [ACT_AM_ZCOPY] = 10, [ACT_FLUSH] = 1},
        /* memory */
        {[ACT_AM_SHORT] = 3, [ACT_PUT_SHORT] = 8, [ACT_PUT_BCOPY] = 8,
         [ACT_PUT_ZCOPY] = 20, [ACT_GET_BCOPY] = 8, [ACT_GET_ZCOPY] = 12,
         [ACT_FENCE] = 8, [ACT_FLUSH] = 4},
        /* rendezvous: put, fence, message */
        {[ACT_AM_SHORT] = 12, [ACT_AM_BCOPY] = 2, [ACT_PUT_SHORT] = 2,
         [ACT_PUT_BCOPY] = 2, [ACT_PUT_ZCOPY] = 12, [ACT_GET_ZCOPY] = 3,
         [ACT_FENCE] = 14}
    };
    const uint8_t *weight = weights[mix];
    unsigned sum          = 0;
    unsigned i;

    for (i = 0; i < ACT_STALL; ++i) {
        sum += weight[i];
    }

    sum = rnd(sum);
    for (i = 0; sum >= weight[i]; ++i) {
        sum -= weight[i];
    }

    return (act_type_t)i;
}

/* Bursts of operations, since queues fill only then */
static void make_ops(program_t *prog, uint64_t span, unsigned num)
{
    unsigned mix = rnd(4);
    int64_t left = chance(80) ? 200000 : 1500000;   /* bytes */
    uint32_t big = chance(50) ? 4096 : 300000;
    uint64_t time;
    unsigned burst;
    unsigned host;
    unsigned slot;
    act_t *act;

    while (num > 0) {
        time  = PROG_START + rnd(span);
        host  = (prog->is_crowd && chance(30)) ? 0 : rnd(prog->num_hosts);
        slot  = rnd(chance(70) ? 2 : PROG_MAX_SLOTS);
        burst = 1 + rnd(chance(50) ? 4 : 40);
        if (chance(10)) {
            mix = rnd(4);
        }

        for (; (burst > 0) && (num > 0); --burst, --num) {
            act       = add(prog, time, random_op(mix), host, slot);
            act->size = (left > 0) ? (rnd_size(1, big) - 1) : rnd(64);
            left     -= act->size;
            if (chance(30)) {
                time += rnd(1000);
            }

            if (chance(20)) {
                slot = rnd(PROG_MAX_SLOTS);
            }
        }
    }
}

/* Endpoints that end and begin again, with whatever is under way */
static void make_lives(program_t *prog, uint64_t span)
{
    unsigned num = chance(40) ? 0 : 1 + rnd(6);
    uint64_t time;
    unsigned host;
    unsigned slot;
    unsigned peer;
    act_t *act;

    for (; num > 0; --num) {
        time = PROG_START + rnd(span);
        host = rnd(prog->num_hosts);
        slot = rnd(3);
        switch (rnd(8)) {
        case 0:
            add(prog, time, ACT_IFACE_CLOSE, host, 0);
            add(prog, time + rnd(span), ACT_IFACE_OPEN, host, 0);
            break;
        case 1:
        case 2:
        case 3:
            add(prog, time, ACT_CANCEL, host, slot);
            break;
        default:
            add(prog, time, ACT_CLOSE, host, slot);
            break;
        }

        /* one draw a statement: compilers differ in what they take first */
        peer      = prog->is_crowd ? 0 : rnd(prog->num_hosts);
        act       = add(prog, time + rnd(span), ACT_OPEN, host, slot);
        act->peer = peer;
    }
}

static void make_accidents(program_t *prog, uint64_t span)
{
    unsigned num = chance(30) ? 0 : rnd(6);
    act_type_t type;
    uint64_t time;
    unsigned host;
    unsigned link;
    act_t *act;

    for (; num > 0; --num) {
        link      = rnd(prog->num_links);
        host      = rnd(prog->num_hosts);
        type      = ACT_FIRST_ACCIDENT + rnd(ACT_LAST - ACT_FIRST_ACCIDENT);
        time      = PROG_START + rnd(span);
        act       = add(prog, time, type, host, link);
        act->size = rnd_size(100, 4000000);
        switch (act->type) {
        case ACT_UD_LOSS:
            act->arg  = rnd(1001);
            act->size = rnd_size(10000, 300000000);
            break;
        case ACT_LINK_LOSS:
            act->arg = rnd(30000);
            break;
        case ACT_HELPER_STALL:
            /* half of them longer than control waits before it repeats, and far
             * shorter than the peer timeout */
            act->size *= (act->size & 1) ? 1 : 200;
            break;
        case ACT_NO_QP:
            if (!chance(25)) {
                act->type = ACT_STALL;
            }
            break;
        default:
            break;
        }
    }
}

/* Work that goes on while accidents come and go, and RC that gives up soon */
static void make_faulty(program_t *prog)
{
    unsigned factor = chance(50) ? 1 : rnd_size(1, 300);
    unsigned i;

    /* what is lost by chance alone is found again */
    prog->ud_loss                /= 2;
    prog->params.peer_timeout_ns  = 8000000000ull;
    prog->params.port.timeout     = 11 + rnd(4);    /* 8 to 67 ms */
    if (chance(30)) {
        /* long messages of many packets, of which half is there */
        prog->params.seg_size      = rnd_size(4096, 65536);
        prog->params.port.path_mtu = 1;
        for (i = 0; i < prog->num_links; ++i) {
            prog->links[i].rate = MB * rnd_size(40, 100);
        }
    }

    for (i = 0; i < prog->num_acts; ++i) {
        prog->acts[i].time *= factor;
    }
}

static int compare_acts(const void *ptr1, const void *ptr2)
{
    const act_t *act1 = ptr1;
    const act_t *act2 = ptr2;

    return (act1->time > act2->time) - (act1->time < act2->time);
}

static void sort_acts(program_t *prog)
{
    uint64_t end;
    unsigned i;

    /* glibc's qsort() is a stable merge sort at this size; the order of equal
     * times does not matter but must not depend on the library */
    for (i = 0; i < prog->num_acts; ++i) {
        prog->acts[i].time = (prog->acts[i].time * 4096) + (i & 4095);
    }

    qsort(prog->acts, prog->num_acts, sizeof(*prog->acts), compare_acts);
    for (i = 0; i < prog->num_acts; ++i) {
        prog->acts[i].time /= 4096;
        end = prog->acts[i].time;
        if (prog->acts[i].type >= ACT_FIRST_ACCIDENT) {
            end += prog->acts[i].size;
        }

        if (end > prog->end) {
            prog->end = end;
        }
    }
}

void program_make(program_t *prog, uint64_t seed, int is_faulty)
{
    uint64_t span;
    unsigned num;

    memset(prog, 0, sizeof(*prog));
    rnd_init(&prog_rnd, seed);
    prog->seed      = seed;
    prog->run_seed  = seed ^ 0x5eed;
    prog->is_faulty = is_faulty;
    prog->burst     = is_faulty ? 8u >> (seed & 3) : 8;
    prog->is_crowd  = (rnd(200) == 0) && !is_faulty;
    prog->is_long   = (rnd(12) == 0);
    prog->num_hosts = prog->is_crowd ? 60 + rnd(240) : 2 + rnd(chance(70) ? 2 :
                                                               7);
    make_links(prog);
    make_params(prog);
    if (prog->is_crowd) {
        prog->params.port.srq_depth = 16 + rnd(48);
        prog->params.seg_size       = rnd_size(64, 1024);
        prog->region_size           = 4096;
        prog->ud_loss               = prog->ud_loss / 4;
    }

    make_hosts(prog);
    span = rnd_size(1000, 5000000);
    num  = rnd_size(1, 200);
    if (prog->is_crowd) {
        num += 4 * prog->num_hosts;
    }

    make_endpoints(prog, span);
    make_ops(prog, span, num);
    make_lives(prog, span);
    if (is_faulty) {
        make_faulty(prog);
    } else {
        make_accidents(prog, span);
    }

    sort_acts(prog);
    prog->acts_end      = prog->end;
    prog->min_rnr_timer = prog->params.port.min_rnr_timer;
    if (is_faulty) {
        program_make_faults(prog, &prog_rnd, PROG_START);
        program_sort_faults(prog);
    }
}

void program_free(program_t *prog)
{
    free(prog->acts);
    prog->acts = NULL;
}


/* For people --------------------------------------------------------------- */

const char *act_str(const act_t *act, char *buf, size_t max)
{
    static const char *const names[] = {
        "open", "close", "am_short", "am_short_iov", "am_bcopy", "am_zcopy",
        "put_short", "put_bcopy", "put_zcopy", "get_bcopy", "get_zcopy",
        "fence", "flush", "cancel", "check", "iface_fence", "iface_flush",
        "iface_close", "iface_open", "stall", "helper_stall", "ud_loss",
        "link_loss", "no_qp"
    };
    const char *name = names[act->type];

    if (act->type >= ACT_FIRST_ACCIDENT) {
        snprintf(buf, max, "%s host %u link %u arg %u for %u ns", name,
                 act->host, act->slot, act->arg, act->size);
    } else if (act->type == ACT_OPEN) {
        snprintf(buf, max, "%s h%u.%u to host %u", name, act->host, act->slot,
                 act->peer);
    } else if ((act->type >= ACT_AM_SHORT) && (act->type <= ACT_GET_ZCOPY)) {
        snprintf(buf, max, "%s h%u.%u %u bytes", name, act->host, act->slot,
                 act->size);
    } else {
        snprintf(buf, max, "%s h%u.%u", name, act->host, act->slot);
    }

    return buf;
}

static void print_world(const program_t *prog)
{
    const vmp_iface_params_t *params = &prog->params;
    const vmp_port_params_t *port    = &params->port;
    const prog_link_t *link;
    unsigned i;

    printf("program %lu: %u hosts, %u acts%s\n", (unsigned long)prog->seed,
           prog->num_hosts, prog->num_acts, prog->is_crowd ? ", crowd" : "");
    printf("  sq %u cq %u srq %u inline %u sge %u ud %u mtu %u timeout %u rnr "
           "%u rd %u\n", port->sq_depth, port->cq_depth, port->srq_depth,
           prog->inline_max, prog->max_sge, port->num_ud, 128 << port->path_mtu,
           port->timeout, port->min_rnr_timer, port->max_rd_atomic);
    printf("  spread %zu seg %zu window %zu rx_window %u..%u rx_bufs %u "
           "tx_bufs %u region %u\n", params->spread_thresh, params->seg_size,
           params->path_window, params->rx_window_min, params->rx_window_max,
           params->rx_max_bufs, params->tx_max_bufs, prog->region_size);
    printf("  ud: loss %u/1000 dup %u/1000 jitter %u ns\n", prog->ud_loss,
           prog->ud_dup, prog->ud_jitter);
    for (i = 0; i < prog->num_links; ++i) {
        link = &prog->links[i];
        printf("  link %u: %lu MB/s delay %u ns jitter %u ns queue %u loss "
               "%u/10^6\n", i, (unsigned long)(link->rate / 1000000),
               link->delay, link->jitter, link->queue, link->loss);
    }
}

void program_print(const program_t *prog)
{
    char str[128];
    unsigned i;

    print_world(prog);
    for (i = 0; (i < prog->num_hosts) && (i < 8); ++i) {
        printf("  host %u: paths %u policy %s chunk %u poll %u..%u ns keep "
               "%u%% pump %u%%%s\n", i, prog->hosts[i].num_paths,
               program_policies[prog->hosts[i].policy],
               prog->hosts[i].chunk_size, prog->hosts[i].poll_ns,
               prog->hosts[i].idle_ns, prog->hosts[i].keep_percent,
               prog->hosts[i].pump_percent,
               prog->hosts[i].sleeps ? " sleeps" : "");
    }

    for (i = 0; i < prog->num_faults; ++i) {
        if (!prog->faults[i].is_off) {
            printf("  %s\n", fault_str(&prog->faults[i], str, sizeof(str)));
        }
    }

    for (i = 0; i < prog->num_acts; ++i) {
        if (!prog->acts[i].is_off) {
            printf("  %3u %10lu %s\n", i, (unsigned long)prog->acts[i].time,
                   act_str(&prog->acts[i], str, sizeof(str)));
        }
    }
}
