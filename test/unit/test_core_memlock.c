/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core_world.h"
#include "core/vmp_path.h"

#define NUM_MESSAGES  300
#define STEP          (64u << 10)       /* bytes */

/* docs/setup.md, "Locked memory": what an interface takes, in KiB, and of it what
 * the control channel of the verbs port has, which the simulation does not count */
#define NEED_KIB      (9 << 10)
#define NEED_CTL_KIB  200

/* An interface of a program: the defaults of UCX_VMP_..., and what UCP asks for */
static void defaults(void)
{
    world_params.port.sq_depth  = 256;
    world_params.port.cq_depth  = 4096;
    world_params.port.srq_depth = 1024;
    world_params.seg_size       = 8192;
    world_params.tx_max_bufs    = 4096;
    world_params.rx_max_bufs    = UINT32_MAX;
    world_params.rx_headroom    = 64;
    world_params.rx_window_max  = 512;
    world_params.chunk_size     = 32768;
    world_params.path_window    = 131072;
}

static void send_all(stream_t *stream, send_kind_t kind, size_t length)
{
    node_t *to    = &world_nodes[1 - (stream->node - world_nodes)];
    uint64_t want = to->received + NUM_MESSAGES;
    unsigned i;

    for (i = 0; i < NUM_MESSAGES; ++i) {
        world_until(stream_send(stream, kind, length, NULL) == VMP_OK, 1000);
    }

    world_until(to->received == want, 1000);
}

/* Whatever the limit is: either there is no interface, or messages of all sizes
 * go both ways. Returns what the limit left of both interfaces. */
static unsigned test_limit(uint64_t seed, size_t limit)
{
    unsigned num = 0;
    stream_t streams[2];
    unsigned i;

    world_begin("limit", seed);
    printf("limit %zu\n", limit);
    sim_conf.mem_limit = limit;
    defaults();
    for (i = 0; i < 2; ++i) {
        if (world_try_node(i) == VMP_OK) {
            ++num;
        }
    }

    VMP_CHECK(num != 1);
    if (num == 2) {
        for (i = 0; i < 2; ++i) {
            stream_open(&streams[i], i, 1 - i);
            stream_wait_paths(&streams[i], 1);
        }

        for (i = 0; i < 2; ++i) {
            send_all(&streams[i], SEND_SHORT, 16);
            send_all(&streams[i], SEND_BCOPY, 8192);
            stream_close(&streams[i]);
        }
    }

    world_end();
    return num;
}

static void test_limits(uint64_t seed)
{
    unsigned refused = 0;
    unsigned worked  = 0;
    size_t limit;

    for (limit = STEP; limit <= (10u << 20); limit += STEP) {
        if (test_limit(seed, limit) == 0) {
            /* more memory must not make it worse */
            VMP_CHECK(worked == 0);
            ++refused;
        } else {
            ++worked;
        }
    }

    VMP_CHECK((refused > 0) && (worked > 0));
}

/* The docs' number, which is for those who choose a limit */
static void test_number(uint64_t seed)
{
    uint64_t kib;

    world_begin("number", seed);
    defaults();
    world_open_node(0);
    kib = (sim_counters.mr_bytes / 1024) + NEED_CTL_KIB;
    printf("an interface has %lu KiB\n", (unsigned long)kib);
    VMP_CHECK((kib <= NEED_KIB) && (kib > NEED_KIB - 200));
    world_end();
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    test_number(seed);
    test_limits(seed);
    return 0;
}
