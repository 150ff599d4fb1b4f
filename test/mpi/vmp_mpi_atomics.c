/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/* One-sided operations that read and write at once */

#include "vmp_mpi_check.h"

#define ATOMIC_COUNT 16
#define NUM_CELLS    8
#define GUARD_32     0x5a5a5a5a


/* A window of numbers of 32 bits. Counters pass zero on their way: one of 64
 * bits would carry into its neighbour then. */
enum {
    CELL_FETCHED,
    CELL_GUARD_A,
    CELL_SWAPPED,
    CELL_GUARD_B,
    CELL_SUMS,
    CELL_GUARD_C = CELL_SUMS + NUM_CELLS,
    NUM_CELLS_32
};


static void cells_32_init(int32_t *cells, int32_t start)
{
    int j;

    for (j = 0; j < NUM_CELLS_32; ++j) {
        cells[j] = start;
    }
    cells[CELL_GUARD_A] = cells[CELL_GUARD_B] = cells[CELL_GUARD_C] = GUARD_32;
}

static void cells_32_open(MPI_Win *win, int32_t start)
{
    int32_t *base;

    MPI_Win_allocate(WIN_SIZE(NUM_CELLS_32 * 4), 4, MPI_INFO_NULL,
                     MPI_COMM_WORLD, &base, win);
    cells_32_init(base, start);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_lock_all(0, *win);
}

/* Closes it, when rank 0's cells are what they should be: sums have grown by
 * their number times @a steps. Returns what CELL_FETCHED has. */
static int32_t cells_32_close(MPI_Win *win, const char *op, int32_t start,
                              int32_t swapped, int32_t steps)
{
    int32_t cells[NUM_CELLS_32], want[NUM_CELLS_32];
    int j;

    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Get(cells, NUM_CELLS_32, MPI_INT32_T, 0, 0, NUM_CELLS_32, MPI_INT32_T,
            *win);
    MPI_Win_flush(0, *win);
    cells_32_init(want, start);
    want[CELL_SWAPPED] = swapped;
    for (j = 0; j < NUM_CELLS; ++j) {
        want[CELL_SUMS + j] += steps * (j + 1);
    }
    for (j = CELL_FETCHED + 1; j < NUM_CELLS_32; ++j) {
        check_value(op, 0, cells[j], want[j]);
    }
    MPI_Win_unlock_all(*win);
    set_where("free of a window", 4);
    MPI_Win_free(win);
    return cells[CELL_FETCHED];
}

static void test_atomics_32(int rounds)
{
    int32_t start = -(rounds * nprocs / 2), seen = start - 1, one = 1, got;
    int32_t add[NUM_CELLS], end = start + (rounds * nprocs);
    MPI_Win win;
    int i;

    set_where("32-bit accumulate", 4);
    for (i = 0; i < NUM_CELLS; ++i) {
        add[i] = i + 1;
    }
    cells_32_open(&win, start);
    for (i = 0; i < rounds; ++i) {
        MPI_Fetch_and_op(&one, &got, MPI_INT32_T, 0, CELL_FETCHED, MPI_SUM,
                         win);
        MPI_Win_flush(0, win);
        check_value("32-bit fetch_and_op grows", 0, got > seen, 1);
        seen = got;
        MPI_Accumulate(&one, 1, MPI_INT32_T, 0, CELL_SWAPPED, 1, MPI_INT32_T,
                       MPI_SUM, win);
        MPI_Accumulate(add, NUM_CELLS, MPI_INT32_T, 0, CELL_SUMS, NUM_CELLS,
                       MPI_INT32_T, MPI_SUM, win);
        MPI_Win_flush(0, win);
    }
    got = cells_32_close(&win, "32-bit accumulate", start, end,
                         rounds * nprocs);
    check_value("32-bit fetch_and_op", 0, got, end);
}

/* As test_swaps, but nobody waits for anybody: what fails shows that another
 * one has got on */
void test_swaps_32(void)
{
    int rounds    = opts.quick ? 4 : 20;
    int32_t start = -(rounds * nprocs / 2), end = start + (rounds * nprocs);
    int32_t add[NUM_CELLS], fetched[NUM_CELLS], old, value, got;
    int64_t tokens = 0, sum;
    MPI_Win win;
    int i, j;

    set_where("32-bit compare_and_swap", 4);
    for (j = 0; j < NUM_CELLS; ++j) {
        add[j] = j + 1;
    }
    cells_32_open(&win, start);
    for (i = 0; i < rounds; ++i) {
        /* one more than what is there, whatever that is */
        got = start;
        do {
            old   = got;
            value = old + 1;
            MPI_Compare_and_swap(&value, &old, &got, MPI_INT32_T, 0,
                                 CELL_SWAPPED, win);
            MPI_Win_flush(0, win);
        } while (got != old);
        /* Everybody takes what is there and leaves another token: none is lost
         * and none is taken twice */
        value = (rank * rounds) + i + 1;
        MPI_Fetch_and_op(&value, &got, MPI_INT32_T, 0, CELL_FETCHED,
                         MPI_REPLACE, win);
        MPI_Win_flush(0, win);
        tokens += (int64_t)value - got;
        MPI_Get_accumulate(add, NUM_CELLS, MPI_INT32_T, fetched, NUM_CELLS,
                           MPI_INT32_T, 0, CELL_SUMS, NUM_CELLS, MPI_INT32_T,
                           MPI_SUM, win);
        MPI_Win_flush(0, win);
        for (j = 0; j < NUM_CELLS; ++j) {
            check_value("32-bit get_accumulate: whole steps", 0,
                        (fetched[j] - start) % (j + 1), 0);
        }
    }
    got = cells_32_close(&win, "32-bit compare_and_swap", start, end,
                         rounds * nprocs);
    MPI_Allreduce(&tokens, &sum, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
    check_value("32-bit fetch_and_op: tokens", 0, start + sum, got);
}

/* What get_accumulate fetches is what was there before: every sum is met once
 * by each cell */
static void test_get_accumulate(int rounds)
{
    int64_t *base, one = 1, seen = -1, fetched[NUM_CELLS], add[NUM_CELLS], got;
    double biggest = rank + 0.5, max;
    int i, j;
    MPI_Win win;

    set_where("get_accumulate", 8 * NUM_CELLS);
    MPI_Win_allocate(WIN_SIZE((NUM_CELLS + 2) * 8), 8, MPI_INFO_NULL,
                     MPI_COMM_WORLD, &base, &win);
    memset(base, 0, (NUM_CELLS + 2) * 8);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_lock_all(0, win);
    for (j = 0; j < NUM_CELLS; ++j) {
        add[j] = j + 1;
    }
    for (i = 0; i < rounds; ++i) {
        MPI_Get_accumulate(add, NUM_CELLS, MPI_INT64_T, fetched, NUM_CELLS,
                           MPI_INT64_T, 0, 0, NUM_CELLS, MPI_INT64_T, MPI_SUM,
                           win);
        MPI_Win_flush(0, win);
        check_value("get_accumulate grows", 0, fetched[0] > seen, 1);
        seen = fetched[0];
        for (j = 0; j < NUM_CELLS; ++j) {
            check_value("get_accumulate: whole steps", 0,
                        fetched[j] % (j + 1), 0);
        }
    }
    MPI_Accumulate(&biggest, 1, MPI_DOUBLE, 0, NUM_CELLS, 1, MPI_DOUBLE,
                   MPI_MAX, win);
    MPI_Accumulate(&one, 1, MPI_INT64_T, 0, NUM_CELLS + 1, 1, MPI_INT64_T,
                   MPI_REPLACE, win);
    MPI_Win_flush(0, win);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Get_accumulate(NULL, 0, MPI_INT64_T, fetched, NUM_CELLS, MPI_INT64_T,
                       0, 0, NUM_CELLS, MPI_INT64_T, MPI_NO_OP, win);
    MPI_Get(&max, 1, MPI_DOUBLE, 0, NUM_CELLS, 1, MPI_DOUBLE, win);
    MPI_Get(&got, 1, MPI_INT64_T, 0, NUM_CELLS + 1, 1, MPI_INT64_T, win);
    MPI_Win_flush(0, win);
    for (j = 0; j < NUM_CELLS; ++j) {
        check_value("get_accumulate: sum", 0, fetched[j],
                    (int64_t)rounds * nprocs * (j + 1));
    }
    check_value("accumulate: largest", 0, max == (nprocs - 0.5), 1);
    check_value("accumulate: replace", 0, got, 1);
    MPI_Win_unlock_all(win);
    MPI_Win_free(&win);
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
    test_get_accumulate(rounds);
    test_atomics_32(rounds);
}

/* A lock of our own, made of compare_and_swap, that guards cells written by
 * others */
void test_swaps(void)
{
    int rounds = opts.quick ? 4 : 20;
    int64_t *base, free_value = 0, taken = rank + 1, got, cells[NUM_CELLS];
    int i, j;
    MPI_Win win;

    set_where("compare_and_swap", 8);
    MPI_Win_allocate(WIN_SIZE((NUM_CELLS + 1) * 8), 8, MPI_INFO_NULL,
                     MPI_COMM_WORLD, &base, &win);
    memset(base, 0, (NUM_CELLS + 1) * 8);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_lock_all(0, win);
    for (i = 0; i < rounds; ++i) {
        for (got = -1; got != 0; usleep(got ? 500 : 0)) {
            MPI_Compare_and_swap(&taken, &free_value, &got, MPI_INT64_T, 0, 0,
                                 win);
            MPI_Win_flush(0, win);
        }
        MPI_Get(cells, NUM_CELLS, MPI_INT64_T, 0, 1, NUM_CELLS, MPI_INT64_T,
                win);
        MPI_Win_flush(0, win);
        for (j = 0; j < NUM_CELLS; ++j) {
            check_value("cells under our lock are alike", 0, cells[j],
                        cells[NUM_CELLS - 1]);
        }
        for (j = 0; j < NUM_CELLS; ++j) {
            ++cells[j];
        }
        MPI_Put(cells, NUM_CELLS, MPI_INT64_T, 0, 1, NUM_CELLS, MPI_INT64_T,
                win);
        MPI_Win_flush(0, win);
        MPI_Fetch_and_op(&free_value, &got, MPI_INT64_T, 0, 0, MPI_REPLACE,
                         win);
        MPI_Win_flush(0, win);
        check_value("our lock was ours", 0, got, taken);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Get(cells, NUM_CELLS, MPI_INT64_T, 0, 1, NUM_CELLS, MPI_INT64_T, win);
    MPI_Win_flush(0, win);
    check_value("updates under our lock", 0, cells[0],
                (int64_t)rounds * nprocs);
    MPI_Win_unlock_all(win);
    MPI_Win_free(&win);
}
