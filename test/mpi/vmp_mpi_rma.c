/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_mpi_check.h"


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
