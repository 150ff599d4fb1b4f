/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_mpi_check.h"

#define ATOMIC_COUNT 16


/* Each rank owns one region in its successor's window */
static void test_rma_window(MPI_Win win, uint8_t *base, size_t win_size,
                            uint64_t flavour)
{
    int step = opts.quick ? 4 : 2;
    int i, exclusive;
    uint64_t key;
    uint8_t *sbuf, *rbuf;
    size_t len, offset, lo, hi;

    /* the two windows share the sizes */
    for (i = (int)flavour; i < num_sizes; i += step) {
        len    = MIN(sizes[i], win_size);
        key    = make_key(20 + flavour, 0, 0, i);
        offset = vmp_mix(key) % (win_size - len + 1);
        sbuf   = alloc(len);
        rbuf   = guarded_alloc(len);

        set_where("put fence", len);
        lo = (offset > 0) ? (offset - 1) : 0;
        hi = MIN(offset + len + 1, win_size);
        memset(base + lo, GUARD_BYTE, hi - lo);
        fill(sbuf, len, make_key(key, rank, next, 1), 0);
        MPI_Win_fence(0, win);
        MPI_Put(sbuf, len, MPI_BYTE, next, offset, len, MPI_BYTE, win);
        count_payload(rank, next, len);
        MPI_Win_fence(0, win);
        check(base + offset, len, make_key(key, prev, rank, 1), 0, "put fence",
              prev);
        if (offset > 0) {
            check_value("put before", prev, base[offset - 1], GUARD_BYTE);
        }
        if ((offset + len) < win_size) {
            check_value("put behind", prev, base[offset + len], GUARD_BYTE);
        }

        set_where("get fence", len);
        fill(base + offset, len, make_key(key, rank, 0, 2), offset);
        MPI_Win_fence(0, win);
        MPI_Get(rbuf, len, MPI_BYTE, next, offset, len, MPI_BYTE, win);
        count_payload(next, rank, len);
        MPI_Win_fence(0, win);
        check(rbuf, len, make_key(key, next, 0, 2), offset, "get fence", next);
        guarded_check(rbuf, len, "get fence", next);

        set_where("lock put flush get", len);
        exclusive = i % 2;
        fill(sbuf, len, make_key(key, rank, next, 3), 0);
        MPI_Barrier(MPI_COMM_WORLD);
        MPI_Win_lock(exclusive ? MPI_LOCK_EXCLUSIVE : MPI_LOCK_SHARED, next, 0,
                     win);
        MPI_Put(sbuf, len, MPI_BYTE, next, offset, len, MPI_BYTE, win);
        MPI_Win_flush(next, win);
        MPI_Get(rbuf, len, MPI_BYTE, next, offset, len, MPI_BYTE, win);
        MPI_Win_unlock(next, win);
        count_payload(rank, next, len);
        count_payload(next, rank, len);
        check(rbuf, len, make_key(key, rank, next, 3), 0, "lock put flush get",
              next);
        guarded_check(rbuf, len, "lock put flush get", next);
        MPI_Barrier(MPI_COMM_WORLD);
        free(sbuf);
        guarded_free(rbuf);
    }
}

/* Sums do not depend on the order in which ranks arrive, lost or doubled
 * updates show */
void test_atomics(void)
{
    int rounds = opts.quick ? 5 : 20;
    int64_t *base, add[ATOMIC_COUNT], got, one = 1, seen = -1, want;
    int i, j, k, target;
    MPI_Win win;

    set_where("accumulate", sizeof(add));
    MPI_Win_allocate(WIN_SIZE((ATOMIC_COUNT + 1) * 8), 8, MPI_INFO_NULL,
                     MPI_COMM_WORLD, &base, &win);
    memset(base, 0, (ATOMIC_COUNT + 1) * 8);
    MPI_Win_fence(0, win);
    MPI_Win_fence(0, win);
    MPI_Win_lock_all(0, win);
    for (i = 0; i < rounds; ++i) {
        target = (rank + i) % nprocs;
        for (j = 0; j < ATOMIC_COUNT; ++j) {
            add[j] = (rank + 1) * (j + 1);
        }
        MPI_Accumulate(add, ATOMIC_COUNT, MPI_INT64_T, target, 0, ATOMIC_COUNT,
                       MPI_INT64_T, MPI_SUM, win);
        MPI_Win_flush(target, win);
        /* one counter for all: every rank must see it grow */
        MPI_Fetch_and_op(&one, &got, MPI_INT64_T, 0, ATOMIC_COUNT, MPI_SUM,
                         win);
        MPI_Win_flush(0, win);
        check_value("fetch_and_op grows", 0, got > seen, 1);
        seen = got;
    }

    /* Nobody may leave a barrier before the last one came: each adds one
     * before, and all must be counted behind it */
    for (i = 0; i < rounds; ++i) {
        set_where("barrier", 0);
        MPI_Fetch_and_op(&one, &got, MPI_INT64_T, 0, ATOMIC_COUNT, MPI_SUM,
                         win);
        MPI_Win_flush(0, win);
        MPI_Barrier(MPI_COMM_WORLD);
        MPI_Fetch_and_op(NULL, &got, MPI_INT64_T, 0, ATOMIC_COUNT, MPI_NO_OP,
                         win);
        MPI_Win_flush(0, win);
        check_value("barrier", -1, got >= (int64_t)nprocs * (rounds + i + 1),
                    1);
    }
    MPI_Win_unlock_all(win);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_lock(MPI_LOCK_SHARED, rank, 0, win);
    for (want = 0, k = 0; k < nprocs; ++k) {
        for (i = 0; i < rounds; ++i) {
            want += (((k + i) % nprocs) == rank) ? (k + 1) : 0;
        }
    }
    for (j = 0; j < ATOMIC_COUNT; ++j) {
        check_value("accumulate", -1, base[j], want * (j + 1));
    }
    check_value("fetch_and_op", -1, base[ATOMIC_COUNT],
                (rank == 0) ? (int64_t)rounds * nprocs * 2 : 0);
    MPI_Win_unlock(rank, win);
    MPI_Win_free(&win);
}

void test_rma(void)
{
    size_t win_size = MIN(opts.max_size, opts.quick ? 300000 : 4 << 20);
    uint8_t *base;
    MPI_Win win;

    win_size += 4096;
    set_where("win_create", win_size);
    base = alloc(win_size);
    MPI_Win_create(base, win_size, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &win);
    test_rma_window(win, base, win_size, 0);
    MPI_Win_free(&win);
    free(base);

    set_where("win_allocate", win_size);
    MPI_Win_allocate(WIN_SIZE(win_size), 1, MPI_INFO_NULL, MPI_COMM_WORLD,
                     &base, &win);
    test_rma_window(win, base, win_size, 1);
    MPI_Win_free(&win);
}
