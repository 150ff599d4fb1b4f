/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_MPI_CHECK_H_
#define VMP_MPI_CHECK_H_

#include <mpi.h>

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/vmp_content.h"

#define GUARD_BYTE   0xa5
#define MIN(_a, _b)  (((_a) < (_b)) ? (_a) : (_b))

/* Size of a window to allocate: where sizes are odd, MPICH 4.0 confuses the
 * ranks of a node, over any transport */
#define WIN_SIZE(_n) (((_n) + 63) & ~(size_t)63)


typedef struct {
    uint64_t seed;
    size_t   max_size;
    unsigned time_limit; /* seconds */
    int      quick;
    int      threads;    /* MPI gave us MPI_THREAD_MULTIPLE */
} check_opts_t;

extern check_opts_t opts;
extern int          rank, nprocs;
extern int          next, prev;    /* neighbours in the ring of ranks */
extern size_t       sizes[];       /* the message sizes to try */
extern int          num_sizes;


/* What runs now, for the message of a run that hangs; main thread only */
void set_where(const char *op, size_t size);

/* Both sides of a transfer derive the same key, and from it the contents */
uint64_t make_key(uint64_t op, int src, int dst, uint64_t index);

void fill(void *buf, size_t size, uint64_t key, size_t start);

/* These three end the whole job at the first difference */
void check(const void *buf, size_t size, uint64_t key, size_t start,
           const char *op, int peer);
void check_value(const char *op, int peer, int64_t got, int64_t want);
void guarded_check(const uint8_t *buf, size_t size, const char *op, int peer);

/* Never returns NULL, not for size 0 either */
void *alloc(size_t size);

/* A receive buffer between guards, poisoned so that stale data show */
uint8_t *guarded_alloc(size_t size);
void guarded_free(uint8_t *buf);

/* Counts what must cross the network from the node of @a src to that of @a dst.
 * A lower bound: protocol headers come on top. */
void count_payload(int src, int dst, size_t size);

/* As above for contents of @a root that reach every node */
void count_payload_to_all(int root, size_t size);


/* The tests: vmp_mpi_check.c has their names. All ranks run each one. */
void test_accept(void);
void test_atomics(void);
void test_blocking(void);
void test_cancel(void);
void test_coll(void);
void test_coll_nb(void);
void test_coll_v(void);
void test_modes(void);
void test_nonblocking(void);
void test_probes(void);
void test_refusal(void);
void test_rma(void);
void test_rma_lock(void);
void test_rma_pscw(void);
void test_spawn(void);
void test_storms(void);
void test_swaps(void);
void test_swaps_32(void);
void test_threads(void);
void test_truncation(void);
void test_types(void);
void test_wildcards(void);

/* What a process does that test_spawn made */
void spawned_main(MPI_Comm parent);

/* Ends one rank in the way that --end names, while others wait for it */
void end_badly(const char *how);

#endif
