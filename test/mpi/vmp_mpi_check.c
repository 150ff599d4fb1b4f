/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * A validating MPI-3 program: every byte that is received is compared with what
 * a seeded generator says it must be, and guard bytes around every receive
 * buffer must stay untouched. Any number of ranks from two; each rank works
 * with both its neighbours at once.
 */

#include "vmp_mpi_check.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#define GUARD_SIZE 64
#define MAX_SIZES  160


check_opts_t    opts = {.max_size = 4 << 20};
int             rank, nprocs, next, prev;
size_t          sizes[MAX_SIZES];
int             num_sizes;

static int             *node_of;      /* number of the node of each rank */
static _Atomic int64_t num_checks;
static _Atomic int64_t sent_bytes[2]; /* from node 0 to others, and back */

static const char      *end_how;
static unsigned        named;         /* bits: indices of the tests to run */

/* Read by the alarm handler, which may use write(2) only */
static char            where[128] = "start";


void set_where(const char *op, size_t size)
{
    snprintf(where, sizeof(where), "%s, size %zu", op, size);
}

static void on_alarm(int signo)
{
    static const char head[] = "vmp_mpi_check: FAIL: time limit passed in ";
    ssize_t           ret;

    (void)signo;
    ret = write(STDERR_FILENO, head, sizeof(head) - 1);
    ret = write(STDERR_FILENO, where, strlen(where));
    ret = write(STDERR_FILENO, "\n", 1);
    (void)ret;
    _exit(124);
}

uint64_t make_key(uint64_t op, int src, int dst, uint64_t index)
{
    uint64_t key = vmp_mix(opts.seed ^ op);

    key = vmp_mix(key + (uint64_t)src);
    key = vmp_mix(key + (uint64_t)dst);
    return vmp_mix(key + index);
}

void fill(void *buf, size_t size, uint64_t key, size_t start)
{
    vmp_content_fill(buf, size, key, start);
}

static void fail(const char *op, size_t size, int peer, size_t offset,
                 unsigned got, unsigned want)
{
    fprintf(stderr,
            "vmp_mpi_check: FAIL: rank %d op %s peer %d size %zu offset %zu: "
            "got 0x%02x want 0x%02x (seed %" PRIu64 ")\n",
            rank, op, peer, size, offset, got, want, opts.seed);
    fflush(stderr);
    MPI_Abort(MPI_COMM_WORLD, 1);
    _exit(1);
}

void check_value(const char *op, int peer, int64_t got, int64_t want)
{
    ++num_checks;
    if (got != want) {
        fprintf(stderr,
                "vmp_mpi_check: FAIL: rank %d op %s peer %d: got %" PRId64
                " want %" PRId64 " (seed %" PRIu64 ")\n",
                rank, op, peer, got, want, opts.seed);
        fflush(stderr);
        MPI_Abort(MPI_COMM_WORLD, 1);
        _exit(1);
    }
}

void check(const void *buf, size_t size, uint64_t key, size_t start,
           const char *op, int peer)
{
    uint8_t want = 0;
    size_t offset;

    ++num_checks;
    offset = vmp_content_check(buf, size, key, start, &want);
    if (offset != VMP_CONTENT_OK) {
        fail(op, size, peer, offset, ((const uint8_t*)buf)[offset], want);
    }
}

void *alloc(size_t size)
{
    void *ptr = malloc(size + 1);

    if (ptr == NULL) {
        fprintf(stderr, "vmp_mpi_check: FAIL: no memory for %zu bytes\n", size);
        MPI_Abort(MPI_COMM_WORLD, 1);
        _exit(1);
    }
    return ptr;
}

uint8_t *guarded_alloc(size_t size)
{
    uint8_t *base = alloc(size + (2 * GUARD_SIZE));

    memset(base, GUARD_BYTE, size + (2 * GUARD_SIZE));
    return base + GUARD_SIZE;
}

void guarded_check(const uint8_t *buf, size_t size, const char *op,
                          int peer)
{
    size_t i;

    for (i = 0; i < GUARD_SIZE; ++i) {
        if (buf[size + i] != GUARD_BYTE) {
            fail(op, size, peer, size + i, buf[size + i], GUARD_BYTE);
        }
        if (buf[(ptrdiff_t)i - GUARD_SIZE] != GUARD_BYTE) {
            fail(op, size, peer, 0, buf[(ptrdiff_t)i - GUARD_SIZE], GUARD_BYTE);
        }
    }
}

void guarded_free(uint8_t *buf)
{
    free(buf - GUARD_SIZE);
}

void count_payload(int src, int dst, size_t size)
{
    if ((node_of[src] == 0) && (node_of[dst] != 0)) {
        sent_bytes[0] += size;
    } else if ((node_of[src] != 0) && (node_of[dst] == 0)) {
        sent_bytes[1] += size;
    }
}

void count_payload_to_all(int root, size_t size)
{
    int node, i;

    for (node = 0, i = 0; i < nprocs; ++i) {
        if (node_of[i] == node) { /* the first rank of each node */
            count_payload(root, i, size);
            ++node;
        }
    }
}

static void add_size(size_t size)
{
    if ((size <= opts.max_size) && (num_sizes < MAX_SIZES)) {
        sizes[num_sizes++] = size;
    }
}

/* Edges: UCX's inline, short and segment limits (8 KiB less headers), usual
 * rendezvous thresholds, and random sizes between */
static void make_sizes(void)
{
    static const size_t always[] = {0, 1, 7, 8, 64, 333, 1024, 4097, 8191,
                                    8192, 8193, 16385, 65537, 262145,
                                    (1 << 20) + 1};
    static const size_t edges[]  = {2, 3, 9, 31, 32, 33, 63, 65, 127, 128, 129,
                                    255, 256, 257, 1023, 1025, 2047, 2049,
                                    4095, 4096, 8100, 8128, 8136, 8144, 8152,
                                    8160, 8168, 8176, 8184, 8200, 8256, 8257,
                                    12345, 16383, 16384, 24576, 32767, 32769,
                                    65535, 65536, 100003, 131071, 131073,
                                    262143, 262144, 524287, 524289,
                                    (1 << 20) - 1, 1 << 20, (2 << 20) + 3,
                                    4 << 20};
    size_t range;
    unsigned i;

    for (i = 0; i < (sizeof(always) / sizeof(always[0])); ++i) {
        add_size(always[i]);
    }
    if (!opts.quick) {
        for (i = 0; i < (sizeof(edges) / sizeof(edges[0])); ++i) {
            add_size(edges[i]);
        }
    }
    for (i = 0; i < (opts.quick ? 8u : 32u); ++i) {
        /* every order of magnitude is as likely as any other */
        range = (size_t)1 << (vmp_mix(opts.seed + (2 * i)) % 20);
        add_size(range + (vmp_mix(opts.seed + (2 * i) + 1) % range));
    }
}

/* Nodes are numbered by their lowest rank */
static void find_nodes(void)
{
    MPI_Comm comm;
    int i, leader, node;
    int *leaders;

    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL,
                        &comm);
    leader = rank;
    MPI_Bcast(&leader, 1, MPI_INT, 0, comm);
    MPI_Comm_free(&comm);
    leaders = alloc(nprocs * sizeof(*leaders));
    node_of = alloc(nprocs * sizeof(*node_of));
    MPI_Allgather(&leader, 1, MPI_INT, leaders, 1, MPI_INT, MPI_COMM_WORLD);
    for (node = 0, i = 0; i < nprocs; ++i) {
        node_of[i] = (leaders[i] == i) ? node++ : node_of[leaders[i]];
    }
    free(leaders);
}

/* In the order in which they run. Those of by_default run if none is named. */
static const struct {
    const char *name;
    void       (*func)(void);
    int        by_default;
} tests[] = {
    {"blocking", test_blocking, 1},
    {"nonblocking", test_nonblocking, 1},
    {"wildcards", test_wildcards, 1},
    {"storms", test_storms, 1},
    {"modes", test_modes, 1},
    {"probes", test_probes, 1},
    {"cancel", test_cancel, 1},
    {"truncation", test_truncation, 1},
    {"types", test_types, 1},
    {"coll", test_coll, 1},
    {"coll-v", test_coll_v, 1},
    {"coll-nb", test_coll_nb, 1},
    {"rma", test_rma, 1},
    {"rma-pscw", test_rma_pscw, 1},
    {"rma-lock", test_rma_lock, 1},
    {"atomics", test_atomics, 1},
    {"swaps", test_swaps, 1},
    {"swaps-32", test_swaps_32, 1},
    {"threads", test_threads, 1},
    {"spawn", test_spawn, 0},
    {"accept", test_accept, 0},
    {"refusal", test_refusal, 0},
};

#define NUM_TESTS ((int)(sizeof(tests) / sizeof(tests[0])))

static void usage(void)
{
    int i;

    printf("usage: vmp_mpi_check [OPTION...] [TEST...]\n"
           "Checks the contents of MPI messages, collectives and one-sided "
           "operations.\nRun it with two or more ranks.\n\n"
           "  --quick         fewer sizes and rounds\n"
           "  --seed N        of a run to repeat\n"
           "  --max-size N    bytes of a message, at most [4 MiB]\n"
           "  --time-limit S  then it ends by force [120 if quick, else 540]\n"
           "  --without TEST  leave it out\n"
           "  --end HOW       instead of the tests: the last rank ends the job "
           "amid traffic,\n                  by abort, exit, kill or error\n\n"
           "Tests (*: only when named):");
    for (i = 0; i < NUM_TESTS; ++i) {
        printf(" %s%s", tests[i].name, tests[i].by_default ? "" : "*");
    }
    printf("\n");
}

static int find_test(const char *name)
{
    int i;

    for (i = 0; i < NUM_TESTS; ++i) {
        if (strcmp(tests[i].name, name) == 0) {
            return i;
        }
    }
    fprintf(stderr, "vmp_mpi_check: no test '%s'; try --help\n", name);
    exit(2);
}

static void parse_args(int argc, char **argv)
{
    static const struct option longs[] = {
        {"quick", no_argument, NULL, 'q'},
        {"seed", required_argument, NULL, 's'},
        {"max-size", required_argument, NULL, 'm'},
        {"time-limit", required_argument, NULL, 't'},
        {"without", required_argument, NULL, 'w'},
        {"end", required_argument, NULL, 'e'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}
    };
    unsigned unnamed = 0;
    int c, i;

    opts.seed = (uint64_t)time(NULL);
    while ((c = getopt_long(argc, argv, "qs:m:t:w:e:h", longs, NULL)) != -1) {
        switch (c) {
        case 'q':
            opts.quick = 1;
            break;
        case 's':
            opts.seed = strtoull(optarg, NULL, 0);
            break;
        case 'm':
            opts.max_size = strtoull(optarg, NULL, 0);
            break;
        case 't':
            opts.time_limit = (unsigned)strtoul(optarg, NULL, 0);
            break;
        case 'w':
            unnamed |= 1u << find_test(optarg);
            break;
        case 'e':
            end_how = optarg;
            break;
        case 'h':
            usage();
            exit(0);
        default:
            usage();
            exit(2);
        }
    }
    if (opts.time_limit == 0) {
        opts.time_limit = opts.quick ? 120 : 540;
    }
    for (i = optind; i < argc; ++i) {
        named |= 1u << find_test(argv[i]);
    }
    for (i = 0; (i < NUM_TESTS) && (optind == argc); ++i) {
        named |= tests[i].by_default ? (1u << i) : 0;
    }
    named &= ~unnamed;
}

static void run(const char *name, void (*test)(void))
{
    double start = MPI_Wtime();

    set_where(name, 0);
    test();
    set_where(name, 0);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0) {
        printf("vmp_mpi_check: %s done in %.1f s\n", name,
               MPI_Wtime() - start);
        fflush(stdout);
    }
}

static void start(int *argc, char ***argv)
{
    MPI_Comm parent;
    int provided;

    signal(SIGALRM, on_alarm);
    alarm(opts.time_limit);
    MPI_Init_thread(argc, argv, MPI_THREAD_MULTIPLE, &provided);
    opts.threads = (provided == MPI_THREAD_MULTIPLE);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &nprocs);
    MPI_Comm_get_parent(&parent);
    if (parent != MPI_COMM_NULL) {
        spawned_main(parent);
        MPI_Finalize();
        exit(0);
    }
    if (nprocs < 2) {
        fprintf(stderr, "vmp_mpi_check: FAIL: needs two or more ranks\n");
        MPI_Abort(MPI_COMM_WORLD, 2);
    }
    next = (rank + 1) % nprocs;
    prev = (rank + nprocs - 1) % nprocs;
    find_nodes();
    /* Without --seed every rank drew its own */
    MPI_Bcast(&opts.seed, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
    make_sizes();
    if (rank == 0) {
        printf("vmp_mpi_check: %d ranks, seed %" PRIu64 ", %d sizes up to %zu"
               "\n", nprocs, opts.seed, num_sizes, opts.max_size);
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    int64_t sums[3], in[3];
    int i;

    parse_args(argc, argv);
    start(&argc, &argv);
    if (end_how != NULL) {
        end_badly(end_how);
    }
    for (i = 0; i < NUM_TESTS; ++i) {
        if ((named >> i) & 1) {
            run(tests[i].name, tests[i].func);
        }
    }

    in[0] = num_checks;
    in[1] = sent_bytes[0];
    in[2] = sent_bytes[1];
    MPI_Reduce(in, sums, 3, MPI_INT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
    if (rank == 0) {
        printf("vmp_mpi_check: payload ab %" PRId64 " ba %" PRId64 "\n",
               sums[1], sums[2]);
        printf("vmp_mpi_check: PASS (%" PRId64 " checks, seed %" PRIu64 ")\n",
               sums[0], opts.seed);
        fflush(stdout);
    }
    free(node_of);
    set_where("finalize", 0);
    MPI_Finalize();
    return 0;
}
