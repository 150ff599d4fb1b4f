/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/* Processes that join, and the ends of jobs */

#include "vmp_mpi_check.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#define NUM_CHILDREN 2
#define NUM_MEETINGS 3


/* Everybody on our side of @a comm with everybody on the other one */
static void meet(MPI_Comm comm, int side, int index, uint64_t seed)
{
    static const size_t steps[] = {0, 64, 5000, 70000, 200000};
    MPI_Request req[64];
    uint8_t *out, *in;
    int me, peers, i, k;
    size_t size;

    MPI_Comm_rank(comm, &me);
    MPI_Comm_remote_size(comm, &peers);
    peers = MIN(peers, 64);
    for (i = 0; i < 5; ++i) {
        size = MIN(steps[i], opts.max_size);
        out  = alloc(size * peers);
        set_where("messages between groups", size);
        for (k = 0; k < peers; ++k) {
            fill(out + (k * size), size,
                 vmp_mix(seed + (1000 * index) + (100 * side) + (10 * me) + k),
                 0);
            MPI_Isend(out + (k * size), size, MPI_BYTE, k, i, comm, &req[k]);
        }
        for (k = 0; k < peers; ++k) {
            in = guarded_alloc(size);
            MPI_Recv(in, size, MPI_BYTE, k, i, comm, MPI_STATUS_IGNORE);
            check(in, size,
                  vmp_mix(seed + (1000 * index) + (100 * !side) + (10 * k) +
                          me),
                  0, "messages between groups", k);
            guarded_check(in, size, "messages between groups", k);
            guarded_free(in);
        }
        MPI_Waitall(peers, req, MPI_STATUSES_IGNORE);
        free(out);
    }
}

/* Both groups as one */
static void merge(MPI_Comm inter, int side, uint64_t seed)
{
    int64_t sum, one = 1;
    MPI_Comm intra;
    int count, local, remote;
    uint8_t *buf = guarded_alloc(50000);

    set_where("merged groups", 0);
    MPI_Comm_size(inter, &local);
    MPI_Comm_remote_size(inter, &remote);
    MPI_Intercomm_merge(inter, side, &intra);
    MPI_Comm_size(intra, &count);
    check_value("merged size", -1, count, local + remote);
    MPI_Allreduce(&one, &sum, 1, MPI_INT64_T, MPI_SUM, intra);
    check_value("merged allreduce", -1, sum, count);
    MPI_Comm_rank(intra, &local);
    if (local == 0) {
        fill(buf, 50000, seed, 0);
    }
    MPI_Bcast(buf, 50000, MPI_BYTE, 0, intra);
    check(buf, 50000, seed, 0, "merged bcast", 0);
    guarded_check(buf, 50000, "merged bcast", 0);
    guarded_free(buf);
    MPI_Comm_free(&intra);
}

void spawned_main(MPI_Comm parent)
{
    set_where("start of a child", 0);
    MPI_Bcast(&opts.seed, 1, MPI_UINT64_T, 0, parent);
    meet(parent, 1, 0, opts.seed);
    merge(parent, 1, opts.seed);
    set_where("end of a child", 0);
    MPI_Comm_disconnect(&parent);
}

static void own_path(char *path, size_t size)
{
    ssize_t len = readlink("/proc/self/exe", path, size - 1);

    path[(len > 0) ? len : 0] = '\0';
}

void test_spawn(void)
{
    char path[PATH_MAX], limit[32];
    char option[] = "--time-limit", *argv[] = {option, limit, NULL};
    int codes[NUM_CHILDREN], i;
    MPI_Comm children;

    own_path(path, sizeof(path));
    snprintf(limit, sizeof(limit), "%u", opts.time_limit);
    set_where("spawn", 0);
    MPI_Comm_spawn(path, argv, NUM_CHILDREN, MPI_INFO_NULL, 0, MPI_COMM_WORLD,
                   &children, codes);
    for (i = 0; i < NUM_CHILDREN; ++i) {
        check_value("spawn", i, codes[i], MPI_SUCCESS);
    }
    MPI_Bcast(&opts.seed, 1, MPI_UINT64_T, (rank == 0) ? MPI_ROOT :
              MPI_PROC_NULL, children);
    meet(children, 0, 0, opts.seed);
    merge(children, 0, opts.seed);
    set_where("disconnect of children", 0);
    MPI_Comm_disconnect(&children);
}

/* The ranks in two groups, which meet and part several times */
void test_accept(void)
{
    char port[MPI_MAX_PORT_NAME] = "";
    int side                     = rank % 2, i;
    MPI_Comm half, other;

    MPI_Comm_split(MPI_COMM_WORLD, side, rank, &half);
    for (i = 0; i < NUM_MEETINGS; ++i) {
        set_where("accept and connect", 0);
        if (rank == 0) {
            MPI_Open_port(MPI_INFO_NULL, port);
        }
        MPI_Bcast(port, MPI_MAX_PORT_NAME, MPI_CHAR, 0, MPI_COMM_WORLD);
        if (side == 0) {
            MPI_Comm_accept(port, MPI_INFO_NULL, 0, half, &other);
        } else {
            MPI_Comm_connect(port, MPI_INFO_NULL, 0, half, &other);
        }
        meet(other, side, i + 1, opts.seed);
        set_where("disconnect", 0);
        MPI_Comm_disconnect(&other);
        if (rank == 0) {
            MPI_Close_port(port);
        }
    }
    MPI_Comm_free(&half);
}

static void check_refused(const char *what, int ret)
{
    char text[MPI_MAX_ERROR_STRING];
    int len;

    check_value(what, -1, ret != MPI_SUCCESS, 1);
    MPI_Error_string(ret, text, &len);
    if (rank == 0) {
        printf("vmp_mpi_check: %s: %s\n", what, text);
        fflush(stdout);
    }
}

/* An MPI that has neither accept nor spawn says so, and the job goes on. Where
 * one of them works the tests for it should be run instead. */
void test_refusal(void)
{
    char port[MPI_MAX_PORT_NAME], path[PATH_MAX];
    int codes[NUM_CHILDREN];
    MPI_Comm children;

    own_path(path, sizeof(path));
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
    set_where("refusal of open_port", 0);
    check_refused("open_port is refused", MPI_Open_port(MPI_INFO_NULL, port));
    set_where("refusal of spawn", 0);
    check_refused("spawn is refused",
                  MPI_Comm_spawn(path, MPI_ARGV_NULL, NUM_CHILDREN,
                                 MPI_INFO_NULL, 0, MPI_COMM_WORLD, &children,
                                 codes));
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
    MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_ARE_FATAL);
}

/* Round the ring, so that every rank has lanes, and the links have carried
 * something whatever comes */
static void exchange_before_end(uint8_t *buf, size_t size)
{
    fill(buf, size, make_key(95, rank, next, 0), 0);
    MPI_Sendrecv(buf, size, MPI_BYTE, next, 3, buf + size, size, MPI_BYTE, prev,
                 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    check(buf + size, size, make_key(95, prev, rank, 0), 0, "before the end",
          prev);
}

/* Large messages are on their way to the rank that ends and from it, and all
 * others wait for more from it. They are ended by MPI, or by their alarm. */
void end_badly(const char *how)
{
    size_t size  = MIN(1 << 20, opts.max_size);
    uint8_t *buf = alloc(2 * size);
    MPI_Request req[2];
    int last = nprocs - 1;

    exchange_before_end(buf, size);
    /* What UCX has said of its lanes is wanted, and nobody else flushes it */
    fflush(NULL);
    set_where("the end of another rank", size);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0) {
        printf("vmp_mpi_check: ending rank %d by %s at %lld\n", last, how,
               (long long)time(NULL));
        fflush(stdout);
    }
    memset(buf, 0, 2 * size);
    MPI_Irecv(buf, size, MPI_BYTE, (rank == last) ? 0 : last, 1,
              MPI_COMM_WORLD, &req[0]);
    MPI_Isend(buf + size, size, MPI_BYTE, (rank == last) ? 0 : last, 1,
              MPI_COMM_WORLD, &req[1]);
    if (rank != last) {
        MPI_Waitall(2, req, MPI_STATUSES_IGNORE);
        MPI_Recv(buf, size, MPI_BYTE, last, 2, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
        fprintf(stderr, "vmp_mpi_check: FAIL: a message of nobody\n");
        _exit(1);
    }
    usleep(20000);
    if (strcmp(how, "abort") == 0) {
        MPI_Abort(MPI_COMM_WORLD, 42);
        pause(); /* MPICH's returns, and then the launcher kills us */
    } else if (strcmp(how, "exit") == 0) {
        exit(3);
    } else if (strcmp(how, "kill") == 0) {
        raise(SIGKILL);
    } else if (strcmp(how, "error") == 0) {
        MPI_Send(buf, 1, MPI_BYTE, nprocs + 5, 1, MPI_COMM_WORLD);
    }
    fprintf(stderr, "vmp_mpi_check: FAIL: no end by '%s'\n", how);
    _exit(1);
}
