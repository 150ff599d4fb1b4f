/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/* One-sided operations under post/start/complete/wait and under locks */

#include "vmp_mpi_check.h"


/* A group of all ranks but ourselves, or of the ones in @a ranks */
static MPI_Group make_group(const int *ranks, int count)
{
    MPI_Group world, group;

    MPI_Comm_group(MPI_COMM_WORLD, &world);
    if (ranks != NULL) {
        MPI_Group_incl(world, count, ranks, &group);
    } else {
        MPI_Group_excl(world, 1, &rank, &group);
    }
    MPI_Group_free(&world);
    return group;
}

/* Ends an exposure epoch, by waiting or by asking */
static void pscw_wait(MPI_Win win, int ask)
{
    int flag = 0;

    if (!ask) {
        MPI_Win_wait(win);
        return;
    }
    while (!flag) {
        MPI_Win_test(win, &flag);
    }
}

/* Everybody puts into everybody's slot for him, and gets what they have for
 * all. A window: a slot of @a size a rank, then one with contents to get. */
static void test_pscw_all(MPI_Win win, uint8_t *base, size_t size, int index)
{
    size_t span     = size * nprocs;
    uint8_t *out    = alloc(span), *in = guarded_alloc(span);
    MPI_Group group = make_group(NULL, 0);
    int k;

    set_where("put, get in post/start", size);
    memset(base, GUARD_BYTE, span);
    fill(base + span, size, make_key(70, rank, 0, index), 0);
    for (k = 0; k < nprocs; ++k) {
        fill(out + (k * size), size, make_key(71, rank, k, index), 0);
    }
    MPI_Win_post(group, 0, win);
    MPI_Win_start(group, 0, win);
    for (k = 0; k < nprocs; ++k) {
        if (k != rank) {
            MPI_Put(out + (k * size), size, MPI_BYTE, k, rank * size, size,
                    MPI_BYTE, win);
            MPI_Get(in + (k * size), size, MPI_BYTE, k, span, size, MPI_BYTE,
                    win);
            count_payload(rank, k, size);
            count_payload(k, rank, size);
        }
    }
    MPI_Win_complete(win);
    for (k = 0; k < nprocs; ++k) {
        if (k != rank) {
            check(in + (k * size), size, make_key(70, k, 0, index), 0,
                  "get in post/start", k);
        }
    }
    pscw_wait(win, index % 2);
    for (k = 0; k < nprocs; ++k) {
        if (k != rank) {
            check(base + (k * size), size, make_key(71, k, rank, index), 0,
                  "put in post/start", k);
        }
    }
    guarded_check(in, span, "get in post/start", -1);
    MPI_Group_free(&group);
    free(out);
    guarded_free(in);
}

/* A chain: each rank waits for its predecessor's put and passes it on. Only
 * neighbours synchronise. */
static void test_pscw_chain(MPI_Win win, uint8_t *base, size_t size, int index)
{
    MPI_Group from = make_group(&prev, 1), to = make_group(&next, 1);
    uint64_t key   = make_key(72, 0, 0, index);
    uint8_t *out   = alloc(size);

    set_where("chain of post/start", size);
    memset(base, GUARD_BYTE, size);
    if (rank == 0) {
        fill(out, size, key, 0);
    } else {
        MPI_Win_post(from, 0, win);
        pscw_wait(win, index % 2);
        check(base, size, key, 0, "chain of post/start", prev);
        memcpy(out, base, size);
    }
    if (next != 0) {
        MPI_Win_start(to, 0, win);
        MPI_Put(out, size, MPI_BYTE, next, 0, size, MPI_BYTE, win);
        count_payload(rank, next, size);
        MPI_Win_complete(win);
    }
    MPI_Group_free(&from);
    MPI_Group_free(&to);
    free(out);
    MPI_Barrier(MPI_COMM_WORLD);
}

void test_rma_pscw(void)
{
    static const size_t steps[] = {8, 1, 500, 8193, 70000, 262145};
    int i, rounds               = opts.quick ? 6 : 24;
    size_t limit                = MIN(opts.max_size, 262145), size;
    uint8_t *base;
    MPI_Win win;

    MPI_Win_allocate(WIN_SIZE(limit * (nprocs + 1)), 1, MPI_INFO_NULL,
                     MPI_COMM_WORLD, &base, &win);
    for (i = 0; i < rounds; ++i) {
        size = MIN(steps[i % 6], limit);
        test_pscw_all(win, base, size, i);
        test_pscw_chain(win, base, size, i);
    }
    MPI_Win_free(&win);
}

/* Under an exclusive lock, what was read may be changed and written back: no
 * update is lost */
static void test_exclusive(int rounds)
{
    int64_t *base, value;
    int i, target, k;
    MPI_Win win;

    set_where("exclusive locks", 8);
    MPI_Win_allocate(WIN_SIZE(8), 8, MPI_INFO_NULL, MPI_COMM_WORLD, &base,
                     &win);
    MPI_Win_lock(MPI_LOCK_EXCLUSIVE, rank, 0, win);
    *base = 0;
    MPI_Win_unlock(rank, win);
    MPI_Barrier(MPI_COMM_WORLD);
    for (i = 0; i < rounds; ++i) {
        target = i % nprocs;
        MPI_Win_lock(MPI_LOCK_EXCLUSIVE, target, 0, win);
        MPI_Get(&value, 1, MPI_INT64_T, target, 0, 1, MPI_INT64_T, win);
        MPI_Win_flush(target, win);
        value += rank + 1;
        MPI_Put(&value, 1, MPI_INT64_T, target, 0, 1, MPI_INT64_T, win);
        MPI_Win_unlock(target, win);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    for (target = 0; target < nprocs; ++target) {
        MPI_Win_lock(MPI_LOCK_SHARED, target, 0, win);
        MPI_Get(&value, 1, MPI_INT64_T, target, 0, 1, MPI_INT64_T, win);
        MPI_Win_unlock(target, win);
        k = (rounds - target + nprocs - 1) / nprocs; /* visits of each rank */
        check_value("exclusive locks", target, value,
                    (int64_t)k * nprocs * (nprocs + 1) / 2);
    }
    MPI_Win_free(&win);
}

/* All ranks locked at once: requests of our own for each put and get, and
 * flushes of one kind and another */
static void test_lock_all(size_t size, int index)
{
    size_t slot   = WIN_SIZE(size + 1);
    uint8_t *base, *out = alloc(size), *in = guarded_alloc(size);
    MPI_Request req;
    MPI_Win win;
    int k;

    set_where("lock_all", size);
    MPI_Win_allocate(slot * nprocs, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &base,
                     &win);
    MPI_Win_lock_all((index % 2) ? MPI_MODE_NOCHECK : 0, win);
    memset(base, GUARD_BYTE, slot * nprocs);
    MPI_Win_sync(win);
    MPI_Barrier(MPI_COMM_WORLD);
    for (k = 0; k < nprocs; ++k) {
        fill(out, size, make_key(74, rank, k, index), 0);
        MPI_Rput(out, size, MPI_BYTE, k, rank * slot, size, MPI_BYTE, win,
                 &req);
        MPI_Wait(&req, MPI_STATUS_IGNORE); /* out may be used again */
        if (index % 3) {
            MPI_Win_flush(k, win);
        }
        count_payload(rank, k, size);
    }
    MPI_Win_flush_all(win);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_sync(win);
    for (k = 0; k < nprocs; ++k) {
        check(base + (k * slot), size, make_key(74, k, rank, index), 0, "rput",
              k);
        check_value("behind rput", k, base[(k * slot) + size], GUARD_BYTE);
    }
    for (k = 0; k < nprocs; ++k) {
        memset(in, GUARD_BYTE, size);
        if (index % 2) {
            MPI_Rget(in, size, MPI_BYTE, k, rank * slot, size, MPI_BYTE, win,
                     &req);
            MPI_Wait(&req, MPI_STATUS_IGNORE);
        } else {
            MPI_Get(in, size, MPI_BYTE, k, rank * slot, size, MPI_BYTE, win);
            MPI_Win_flush_local(k, win);
        }
        count_payload(k, rank, size);
        check(in, size, make_key(74, rank, k, index), 0, "rget", k);
        guarded_check(in, size, "rget", k);
    }
    MPI_Win_unlock_all(win);
    MPI_Win_free(&win);
    free(out);
    guarded_free(in);
}

/* The target's side is a vector with gaps */
static void test_strided(int rows, int index)
{
    int width = 24, stride = 40;
    size_t span  = (size_t)rows * stride, size = (size_t)rows * width;
    uint8_t *out = alloc(size), *in = guarded_alloc(size), *base;
    uint64_t key = make_key(75, rank, next, index);
    MPI_Datatype type;
    MPI_Win win;
    int i, j;

    set_where("strided put and get", size);
    MPI_Type_vector(rows, width, stride, MPI_BYTE, &type);
    MPI_Type_commit(&type);
    MPI_Win_allocate(WIN_SIZE(span), 1, MPI_INFO_NULL, MPI_COMM_WORLD, &base,
                     &win);
    memset(base, GUARD_BYTE, span);
    fill(out, size, key, 0);
    MPI_Win_fence(0, win);
    MPI_Put(out, size, MPI_BYTE, next, 0, 1, type, win);
    MPI_Win_fence(0, win);
    key = make_key(75, prev, rank, index);
    for (i = 0; i < rows; ++i) {
        check(base + ((size_t)i * stride), width, key, (size_t)i * width,
              "strided put", prev);
        for (j = width; (j < stride) && (i < (rows - 1)); ++j) {
            check_value("gap of a strided put", prev,
                        base[((size_t)i * stride) + j], GUARD_BYTE);
        }
    }
    MPI_Win_fence(0, win);
    MPI_Get(in, size, MPI_BYTE, next, 0, 1, type, win);
    MPI_Win_fence(0, win);
    check(in, size, make_key(75, rank, next, index), 0, "strided get", next);
    guarded_check(in, size, "strided get", next);
    count_payload(rank, next, size);
    count_payload(next, rank, size);
    MPI_Type_free(&type);
    MPI_Win_free(&win);
    free(out);
    guarded_free(in);
}

/* Memory that joins a window after it was made */
static void test_dynamic(size_t size)
{
    uint8_t *mem = alloc(size), *out = alloc(size);
    MPI_Aint where, there;
    MPI_Win win;

    set_where("dynamic window", size);
    MPI_Win_create_dynamic(MPI_INFO_NULL, MPI_COMM_WORLD, &win);
    MPI_Win_attach(win, mem, size);
    MPI_Get_address(mem, &where);
    MPI_Sendrecv(&where, 1, MPI_AINT, prev, 3, &there, 1, MPI_AINT, next, 3,
                 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    fill(out, size, make_key(76, rank, next, 0), 0);
    MPI_Win_lock(MPI_LOCK_EXCLUSIVE, next, 0, win);
    MPI_Put(out, size, MPI_BYTE, next, there, size, MPI_BYTE, win);
    MPI_Win_unlock(next, win);
    count_payload(rank, next, size);
    MPI_Barrier(MPI_COMM_WORLD);
    check(mem, size, make_key(76, prev, rank, 0), 0, "dynamic window", prev);
    MPI_Win_detach(win, mem);
    MPI_Win_free(&win);
    free(mem);
    free(out);
}

void test_rma_lock(void)
{
    static const size_t steps[] = {8, 1, 600, 8193, 70000, 262145};
    int i, rounds               = opts.quick ? 6 : 18;

    test_exclusive(opts.quick ? 6 : 40);
    for (i = 0; i < rounds; ++i) {
        test_lock_all(MIN(steps[i % 6], opts.max_size), i);
    }
    test_strided(3, 0);
    test_strided(opts.quick ? 300 : 4000, 1);
    test_dynamic(MIN(100000, opts.max_size));
}
