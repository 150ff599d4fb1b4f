/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * The verbs port, the core and the helper thread over a fake of libibverbs,
 * with an application's thread each for some interfaces in one process. Paths
 * die and come back under traffic, all of which has to arrive; and nothing may
 * grow with the number of failures.
 */

#include "fake_verbs.h"
#include "verbs_node.h"
#include "common/vmp_task.h"
#include "core/vmp_log.h"
#include "unit/vmp_check.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define WARM_UP      30         /* failures */
#define FACTOR       10         /* times as many are counted */
#define WAIT_MS      40000      /* for what has to happen; it hangs */
#define POLL_MS      5
#define STABLE_MS    2500
#define NUM_QPS      (NODES * (((NODES - 1) * NODE_PATHS) + NODE_UD))
/* What is made when a request was repeated often, and kept: perhaps only after
 * the first count. An address handle is one a peer and control QP. */
#define SPARE_QPS    (NODES * VMP_PORT_UD_SPARES)
#define MAX_AHS      (NODES * (NODES_ALL - 1) * \
                      (NODE_UD + VMP_PORT_UD_SPARES))

/* What differs at any two moments. Leaks of a block each would be more */
#define SLACK_BLOCKS  (WARM_UP * FACTOR / 4)
#define SLACK_BYTES   65536
/* Pools of buffers, of which a chunk is two blocks and a memory region, keep
 * what they once had; they grow with what is in flight, up to a bound */
#define SLACK_CHUNKS  (NODES * 4)
#define CHUNK_BLOCKS  2
#define CHUNK_BYTES   (160 * 1024)


typedef struct usage {
    uint64_t bytes;
    uint64_t blocks;
    unsigned fds;
    unsigned objects[FAKE_KINDS];
} usage_t;


uint64_t        vmp_check_seed;
vmp_log_level_t vmp_log_max_level = VMP_LOG_WARN;

static _Atomic unsigned num_errors;
static _Atomic int      may_err;        /* a device has failed */

/* More than NUM_QPS, if a visitor's GOODBYE was lost: its peer keeps paths */
static unsigned max_qps = UINT32_MAX;


void vmp_log(vmp_log_level_t level, const char *file, unsigned line,
             const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    printf("%s:%u: %s\n", strrchr(file, '/') ? strrchr(file, '/') + 1 : file,
           line, text);
    if ((level <= VMP_LOG_ERROR) &&
        !atomic_load_explicit(&may_err, memory_order_relaxed)) {
        atomic_fetch_add_explicit(&num_errors, 1, memory_order_relaxed);
    }
}

static void pause_ms(unsigned ms)
{
    struct timespec pause = { ms / 1000, (ms % 1000) * 1000000l };

    nanosleep(&pause, NULL);
}

static uint64_t num_failures(void)
{
    uint64_t num = 0;
    unsigned i;

    for (i = 0; i < NODES; ++i) {
        num += atomic_load_explicit(&node_all[i].failures,
                                    memory_order_relaxed);
    }
    return num;
}

static void set_phase(node_phase_t phase)
{
    unsigned i;

    atomic_store_explicit(&node_phase, phase, memory_order_relaxed);
    for (i = 0; i < NODES; ++i) {
        node_wake(&node_all[i]);
    }
}

/* All that was sent has arrived, and nobody has anything to do */
static int is_quiet(void)
{
    unsigned i, j;

    for (i = 0; i < NODES; ++i) {
        if (!atomic_load_explicit(&node_all[i].is_quiet,
                                  memory_order_relaxed)) {
            return 0;
        }
        for (j = 0; j < NODES; ++j) {
            if ((i != j) &&
                (atomic_load_explicit(&node_all[i].streams[j].seq,
                                      memory_order_relaxed) !=
                 atomic_load_explicit(&node_all[j].expected[i],
                                      memory_order_relaxed))) {
                return 0;
            }
        }
    }
    return 1;
}

/* Also since a while: the other end of a path may find out later that it is
 * dead, and those that died are destroyed after two seconds */
static int is_whole(void)
{
    static uint64_t failures;
    static unsigned last, ms;
    unsigned num = fake_count(FAKE_QP);

    if (!is_quiet() || (num < NUM_QPS) || (num > max_qps) || (num != last) ||
        (num_failures() != failures)) {
        failures = num_failures();
        last     = num;
        ms       = 0;
    }
    ms += POLL_MS;
    return ms >= STABLE_MS;
}

static void tell(const char *what)
{
    unsigned i, j;

    fprintf(stderr, "waited in vain for %s: %u QPs, at least %u\n",
            what, fake_count(FAKE_QP), NUM_QPS);
    for (i = 0; i < NODES; ++i) {
        fprintf(stderr, "node %u: %s", i,
                node_all[i].is_quiet ? "quiet" : "busy");
        for (j = 0; j < NODES; ++j) {
            fprintf(stderr, ", %u to %u, %u from it",
                    node_all[i].streams[j].seq, j, node_all[i].expected[j]);
        }
        fprintf(stderr, "\n");
    }
}

static void wait_for(int (*cond)(void), const char *what)
{
    unsigned ms;

    for (ms = 0; !cond(); ms += POLL_MS) {
        if (ms > WAIT_MS) {
            tell(what);
            VMP_CHECK(0);
        }
        pause_ms(POLL_MS);
    }
}

static unsigned num_fds(void)
{
    DIR *dir     = opendir("/proc/self/fd");
    unsigned num = 0;

    VMP_CHECK(dir != NULL);
    while (readdir(dir) != NULL) {
        ++num;
    }
    closedir(dir);
    return num;
}

/* When all is quiet, whole, and what died has been destroyed */
static void measure(usage_t *usage)
{
    unsigned i;

    set_phase(NODE_QUIET);
    wait_for(is_quiet, "the end of the traffic");
    wait_for(is_whole, "all paths, and no old ones");
    usage->fds = num_fds();
    for (i = 0; i < FAKE_KINDS; ++i) {
        usage->objects[i] = fake_count((fake_kind_t)i);
    }
    fake_heap(&usage->bytes, &usage->blocks);
    printf("after %lu failures: %lu bytes in %lu blocks, %u fds, %u QPs, %u "
           "AHs\n", (unsigned long)num_failures(), (unsigned long)usage->bytes,
           (unsigned long)usage->blocks, usage->fds, usage->objects[FAKE_QP],
           usage->objects[FAKE_AH]);
    fflush(stdout);
}

/* One accident, over when this returns */
static void accident(uint64_t *random)
{
    uint64_t dice = vmp_check_random(random);
    unsigned i;

    switch (dice % 8) {
    case 0:
        fake_cut((dice >> 8) % FAKE_LINKS, FAKE_BOTH);
        break;
    case 1:
        fake_cut((dice >> 8) % FAKE_LINKS, FAKE_TO_HIGHER);
        break;
    case 2:
        fake_cut((dice >> 8) % FAKE_LINKS, FAKE_TO_LOWER);
        break;
    case 3:
        for (i = 0; i < FAKE_LINKS; ++i) {
            fake_cut(i, FAKE_BOTH);
        }
        break;
    case 4:
        fake_lose_datagrams(300);
        (void)fake_break();
        break;
    case 5:
        fake_port_event((dice >> 8) % NODES, 0);
        fake_port_event((dice >> 8) % NODES, 1);
        break;
    default:
        for (i = 0; i <= (dice >> 8) % 3; ++i) {
            (void)fake_break();
        }
        break;
    }

    pause_ms(1 + ((dice >> 16) % 60));
    fake_heal();
    pause_ms((dice >> 32) % 60);
}

static void fail_paths(uint64_t *random, uint64_t num)
{
    uint64_t goal = num_failures() + num;
    unsigned i;

    set_phase(NODE_RUN);
    for (i = 0; num_failures() < goal; ++i) {
        VMP_CHECK(i < 10000);
        accident(random);
    }
}

/* Buffers are kept for ever: let there be as many as there can be. All links
 * are cut until credits and queues have run out. */
static void fill_pools(void)
{
    unsigned i, j;

    for (i = 0; i < 8; ++i) {
        pause_ms(100);
        for (j = 0; j < FAKE_LINKS; ++j) {
            fake_cut(j, FAKE_BOTH);
        }
        pause_ms(100);
        fake_heal();
    }
}

/* One for all interfaces. The application's signals are not for it. */
static void check_helper(void)
{
    uint64_t open_signals;

    VMP_CHECK(vmp_task_helpers(&open_signals) == 1);
    VMP_CHECK(open_signals == 0);
}

static void compare(const usage_t *first, const usage_t *last)
{
    const unsigned slack[FAKE_KINDS] = {
        [FAKE_QP] = SPARE_QPS, [FAKE_AH] = MAX_AHS, [FAKE_MR] = SLACK_CHUNKS
    };
    unsigned chunks = 0;
    unsigned i;

    VMP_CHECK(last->fds <= first->fds);
    if (last->objects[FAKE_MR] > first->objects[FAKE_MR]) {
        chunks = last->objects[FAKE_MR] - first->objects[FAKE_MR];
    }
    for (i = 0; i < FAKE_KINDS; ++i) {
        if (last->objects[i] > first->objects[i] + slack[i]) {
            fprintf(stderr, "%s grow\n", fake_kind_str((fake_kind_t)i));
            VMP_CHECK(0);
        }
    }
    VMP_CHECK(last->blocks <=
              first->blocks + SLACK_BLOCKS + (chunks * CHUNK_BLOCKS));
    VMP_CHECK(last->bytes <=
              first->bytes + SLACK_BYTES + (chunks * CHUNK_BYTES));
}

/* The visitor comes once more, and his device fails under him */
static void fail_device(void)
{
    set_phase(NODE_RUN);
    atomic_store_explicit(&may_err, 1, memory_order_relaxed);
    node_visit_failing(&node_all[VISITOR]);
    atomic_store_explicit(&may_err, 0, memory_order_relaxed);
    set_phase(NODE_QUIET);
    wait_for(is_quiet, "the end of the traffic of the others");
}

static void start(void)
{
    unsigned i;

    for (i = 0; i < NODES_ALL; ++i) {
        node_all[i].index   = i;
        node_all[i].wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        VMP_CHECK(node_all[i].wake_fd >= 0);
    }
    for (i = 0; i < NODES_ALL; ++i) {
        VMP_CHECK(pthread_create(&node_all[i].thread, NULL,
                                 (i == VISITOR) ? node_visit : node_main,
                                 &node_all[i]) == 0);
    }
}

static void finish(void)
{
    node_t *node;
    unsigned i;

    set_phase(NODE_CLOSE);
    for (i = 0; i < NODES_ALL; ++i) {
        node = &node_all[i];
        if (i != VISITOR) {
            VMP_CHECK(pthread_join(node->thread, NULL) == 0);
        }
        printf("node %u: %lu texts, %lu puts, %lu gets, %lu endpoints, slept "
               "%lu times, %lu to the end\n", i,
               (unsigned long)node->num[OP_MSG],
               (unsigned long)node->num[OP_PUT],
               (unsigned long)node->num[OP_GET], (unsigned long)node->num_eps,
               (unsigned long)node->num_sleeps, (unsigned long)node->num_slept);
        VMP_CHECK((i == VISITOR) || ((node->num[OP_PUT] > 0) &&
                  (node->num[OP_GET] > 0) && (node->num_sleeps > 0)));
        close(node->wake_fd);
        free(node->arena);
    }
}

int main(void)
{
    unsigned fds = num_fds();
    uint64_t random;
    usage_t first, last;
    unsigned i;

    /* "random" is 0, too */
    vmp_check_seed = vmp_check_env("VMP_TEST_SEED", 0);
    if (vmp_check_seed == 0) {
        vmp_check_seed = (uint64_t)time(NULL);
    }
    printf("seed %lu\n", (unsigned long)vmp_check_seed);
    if (getenv("VMP_TEST_DEBUG") != NULL) {
        vmp_log_max_level = VMP_LOG_DEBUG;
    }

    random = vmp_check_seed;
    fake_begin(vmp_check_seed);
    start();
    fail_paths(&random, WARM_UP);
    check_helper();
    fill_pools();
    set_phase(NODE_QUIET);
    VMP_CHECK(pthread_join(node_all[VISITOR].thread, NULL) == 0);
    measure(&first);
    max_qps = first.objects[FAKE_QP] + SPARE_QPS;
    fail_paths(&random, WARM_UP * FACTOR);
    measure(&last);
    VMP_CHECK(last.objects[FAKE_AH] <= MAX_AHS);
    compare(&first, &last);
    fail_device();
    finish();
    fake_end();

    for (i = 0; i < FAKE_KINDS; ++i) {
        if (fake_count((fake_kind_t)i) != 0) {
            fprintf(stderr, "%u %s are left\n", fake_count((fake_kind_t)i),
                    fake_kind_str((fake_kind_t)i));
            return 1;
        }
    }
    VMP_CHECK(num_fds() == fds);
    VMP_CHECK(num_errors == 0);
    printf("PASS\n");
    return 0;
}
