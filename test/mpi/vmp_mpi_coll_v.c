/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/* Collectives whose parts differ in length, place or type, and reductions */

#include "vmp_mpi_parts.h"


static void test_alltoallv(size_t size, int index)
{
    parts_t out, in;
    uint8_t *sbuf, *rbuf;
    MPI_Datatype *types;
    int k;

    parts_alloc(&out);
    parts_alloc(&in);
    for (k = 0; k < nprocs; ++k) {
        parts_add(&out, k, parts_draw(rank, k, size, index));
        parts_add(&in, k, parts_draw(k, rank, size, index));
    }
    sbuf  = alloc(out.span);
    rbuf  = guarded_alloc(in.span);
    types = alloc(nprocs * sizeof(*types));
    for (k = 0; k < nprocs; ++k) {
        part_fill(sbuf, &out, rank, k, index);
        count_payload(rank, k, 2 * (size_t)out.counts[k]);
        types[k] = MPI_BYTE;
    }
    set_where("alltoallv", size);
    MPI_Alltoallv(sbuf, out.counts, out.displs, MPI_BYTE, rbuf, in.counts,
                  in.displs, MPI_BYTE, MPI_COMM_WORLD);
    for (k = 0; k < nprocs; ++k) {
        part_check(rbuf, &in, k, rank, index, "alltoallv");
    }
    guarded_check(rbuf, in.span, "alltoallv", -1);

    set_where("alltoallw", size);
    memset(rbuf, GUARD_BYTE, in.span);
    MPI_Alltoallw(sbuf, out.counts, out.displs, types, rbuf, in.counts,
                  in.displs, types, MPI_COMM_WORLD);
    for (k = 0; k < nprocs; ++k) {
        part_check(rbuf, &in, k, rank, index, "alltoallw");
    }
    guarded_check(rbuf, in.span, "alltoallw", -1);
    parts_free(&out);
    parts_free(&in);
    free(sbuf);
    free(types);
    guarded_free(rbuf);
}

/* Every rank has one part for all, or the root one for each */
static void test_gatherv(size_t size, int index)
{
    int root     = index % nprocs;
    int own_size = parts_draw(rank, 0, size, index), k, scattered;
    parts_t parts, scatter;
    uint8_t *own, *all;

    parts_alloc(&parts);
    parts_alloc(&scatter);
    for (k = 0; k < nprocs; ++k) {
        parts_add(&parts, k, parts_draw(k, 0, size, index));
        parts_add(&scatter, k, parts_draw(root, k, size, index));
    }
    own = alloc(own_size);
    all = guarded_alloc(parts.span);
    fill(own, own_size, make_key(51, rank, 0, index), 0);
    set_where("allgatherv", size);
    MPI_Allgatherv(own, own_size, MPI_BYTE, all, parts.counts, parts.displs,
                   MPI_BYTE, MPI_COMM_WORLD);
    for (k = 0; k < nprocs; ++k) {
        part_check(all, &parts, k, 0, index, "allgatherv");
    }
    guarded_check(all, parts.span, "allgatherv", -1);

    set_where("gatherv", size);
    memset(all, GUARD_BYTE, parts.span);
    MPI_Gatherv(own, own_size, MPI_BYTE, all, parts.counts, parts.displs,
                MPI_BYTE, root, MPI_COMM_WORLD);
    count_payload(rank, root, own_size);
    for (k = 0; (rank == root) && (k < nprocs); ++k) {
        part_check(all, &parts, k, 0, index, "gatherv");
    }
    guarded_check(all, parts.span, "gatherv", root);
    guarded_free(all);
    free(own);

    set_where("scatterv", size);
    scattered = scatter.counts[rank];
    all       = alloc(scatter.span);
    own       = guarded_alloc(scattered);
    for (k = 0; (rank == root) && (k < nprocs); ++k) {
        part_fill(all, &scatter, root, k, index);
        count_payload(root, k, scatter.counts[k]);
    }
    MPI_Scatterv(all, scatter.counts, scatter.displs, MPI_BYTE, own, scattered,
                 MPI_BYTE, root, MPI_COMM_WORLD);
    check(own, scattered, make_key(51, root, rank, index), 0, "scatterv", root);
    guarded_check(own, scattered, "scatterv", root);
    guarded_free(own);
    free(all);
    parts_free(&parts);
    parts_free(&scatter);
}

/* Each rank's type is a column of its own width in a matrix of bytes */
static void test_alltoallw_types(int rows, int index)
{
    int width    = 3 * nprocs * (nprocs + 1) / 2, i, k, col;
    int *counts  = alloc(nprocs * sizeof(*counts));
    int *sdispls = alloc(nprocs * sizeof(*sdispls));
    int *rdispls = alloc(nprocs * sizeof(*rdispls));
    uint8_t *sbuf, *rbuf;
    MPI_Datatype *stypes = alloc(nprocs * sizeof(*stypes));
    MPI_Datatype *rtypes = alloc(nprocs * sizeof(*rtypes));

    /* ours for rank k is 3 * (rank + 1) wide, that of k for us 3 * (k + 1) */
    set_where("alltoallw of columns", rows);
    sbuf = alloc((size_t)rows * width);
    rbuf = guarded_alloc((size_t)rows * width);
    for (k = 0, col = 0; k < nprocs; col += 3 * (k + 1), ++k) {
        counts[k]  = 1;
        sdispls[k] = 0;
        rdispls[k] = col;
        MPI_Type_vector(rows, 3 * (rank + 1), width, MPI_BYTE, &stypes[k]);
        MPI_Type_vector(rows, 3 * (k + 1), width, MPI_BYTE, &rtypes[k]);
        MPI_Type_commit(&stypes[k]);
        MPI_Type_commit(&rtypes[k]);
        count_payload(rank, k, 3 * (rank + 1) * (size_t)rows);
    }
    for (i = 0; i < rows; ++i) {
        fill(sbuf + ((size_t)i * width), 3 * (rank + 1),
             make_key(52, rank, i, index), 0);
    }
    MPI_Alltoallw(sbuf, counts, sdispls, stypes, rbuf, counts, rdispls, rtypes,
                  MPI_COMM_WORLD);
    for (i = 0; i < rows; ++i) {
        for (k = 0; k < nprocs; ++k) {
            check(rbuf + ((size_t)i * width) + rdispls[k], 3 * (k + 1),
                  make_key(52, k, i, index), 0, "alltoallw of columns", k);
        }
    }
    guarded_check(rbuf, (size_t)rows * width, "alltoallw of columns", -1);
    for (k = 0; k < nprocs; ++k) {
        MPI_Type_free(&stypes[k]);
        MPI_Type_free(&rtypes[k]);
    }
    free(counts);
    free(sdispls);
    free(rdispls);
    free(stypes);
    free(rtypes);
    free(sbuf);
    guarded_free(rbuf);
}

/* x -> a x + b, as pairs (a, b): associative, but not commutative. Overflow
 * is well defined for unsigned numbers. */
static void affine_op(void *in, void *inout, int *len, MPI_Datatype *type)
{
    uint64_t *f = in, *g = inout;
    int i;

    (void)type;
    for (i = 0; i < *len; ++i, f += 2, g += 2) {
        /* first f, then g */
        g[1] += g[0] * f[1];
        g[0] *= f[0];
    }
}

/* What the ranks from @a first to @a last make of it one after the other */
static void affine_want(int first, int last, int index, size_t j,
                        uint64_t want[2])
{
    uint64_t f[2];
    int k, one = 1;

    want[0] = 1;
    want[1] = 0;
    for (k = first; k <= last; ++k) {
        f[0] = make_key(53, k, index, 2 * j) | 1;
        f[1] = make_key(53, k, index, (2 * j) + 1);
        affine_op(want, f, &one, NULL);
        want[0] = f[0];
        want[1] = f[1];
    }
}

static void affine_check(const uint64_t *got, size_t n, int first, int last,
                         int index, size_t start, const char *op)
{
    uint64_t want[2];
    size_t j;

    for (j = 0; j < n; ++j) {
        affine_want(first, last, index, start + j, want);
        check_value(op, -1, (int64_t)got[2 * j], (int64_t)want[0]);
        check_value(op, -1, (int64_t)got[(2 * j) + 1], (int64_t)want[1]);
    }
}

static void test_reductions(size_t n, int index)
{
    int root      = index % nprocs, k, mine;
    uint64_t *in  = alloc(n * 16), *out = alloc((n + 1) * 16);
    int *counts   = alloc(nprocs * sizeof(*counts));
    size_t before = 0, j;
    MPI_Datatype type;
    MPI_Op op;

    MPI_Type_contiguous(2, MPI_UINT64_T, &type);
    MPI_Type_commit(&type);
    MPI_Op_create(affine_op, 0, &op);
    for (j = 0; j < n; ++j) {
        in[2 * j]       = make_key(53, rank, index, 2 * j) | 1;
        in[(2 * j) + 1] = make_key(53, rank, index, (2 * j) + 1);
    }
    set_where("reduce, not commutative", n * 16);
    MPI_Reduce(in, out, n, type, op, root, MPI_COMM_WORLD);
    if (rank == root) {
        affine_check(out, n, 0, nprocs - 1, index, 0, "reduce");
    }
    set_where("allreduce in place", n * 16);
    memcpy(out, in, n * 16);
    MPI_Allreduce(MPI_IN_PLACE, out, n, type, op, MPI_COMM_WORLD);
    affine_check(out, n, 0, nprocs - 1, index, 0, "allreduce in place");
    set_where("scan", n * 16);
    MPI_Scan(in, out, n, type, op, MPI_COMM_WORLD);
    affine_check(out, n, 0, rank, index, 0, "scan");
    set_where("exscan", n * 16);
    MPI_Exscan(in, out, n, type, op, MPI_COMM_WORLD);
    if (rank > 0) {
        affine_check(out, n, 0, rank - 1, index, 0, "exscan");
    }
    set_where("reduce_scatter", n * 16);
    for (k = 0; k < nprocs; ++k) {
        counts[k] = (k == (nprocs - 1)) ? (int)(n - ((n / nprocs) * k)) :
                                          (int)(n / nprocs);
        before   += (k < rank) ? (size_t)counts[k] : 0;
    }
    mine = counts[rank];
    MPI_Reduce_scatter(in, out, counts, type, op, MPI_COMM_WORLD);
    affine_check(out, mine, 0, nprocs - 1, index, before, "reduce_scatter");
    if (n >= (size_t)nprocs) {
        set_where("reduce_scatter_block", n * 16);
        mine = (int)(n / nprocs);
        MPI_Reduce_scatter_block(in, out, mine, type, op, MPI_COMM_WORLD);
        affine_check(out, mine, 0, nprocs - 1, index, (size_t)mine * rank,
                     "reduce_scatter_block");
    }
    MPI_Op_free(&op);
    MPI_Type_free(&type);
    free(in);
    free(out);
    free(counts);
}

/* Each half of the ranks does something else at the same time */
static void test_halves(size_t size, int index)
{
    int half = rank % 2, me, count, k;
    uint8_t *buf = guarded_alloc(size);
    MPI_Comm comm;

    set_where("collectives of halves", size);
    MPI_Comm_split(MPI_COMM_WORLD, half, rank, &comm);
    MPI_Comm_rank(comm, &me);
    MPI_Comm_size(comm, &count);
    for (k = 0; k < count; ++k) {
        memset(buf, GUARD_BYTE, size);
        if (me == k) {
            fill(buf, size, make_key(54, half, k, index), 0);
        }
        MPI_Bcast(buf, size, MPI_BYTE, k, comm);
        check(buf, size, make_key(54, half, k, index), 0, "bcast of a half",
              k);
        guarded_check(buf, size, "bcast of a half", k);
        if (half == 0) {
            MPI_Barrier(comm);
        }
    }
    MPI_Comm_free(&comm);
    guarded_free(buf);
}

void test_coll_v(void)
{
    static const size_t steps[] = {1, 9, 100, 3000, 20000, 70000, 200000};
    int num_steps               = sizeof(steps) / sizeof(steps[0]);
    int i, rounds               = opts.quick ? 1 : 3;
    size_t size;

    for (i = 0; i < (rounds * num_steps); ++i) {
        size = MIN(steps[i % num_steps], opts.max_size);
        test_alltoallv(size, i);
        test_gatherv(size, i);
        if ((i % 2) == 0) {
            test_halves(size, i);
            test_reductions(1 + (size / 100), i);
        }
    }
    test_alltoallw_types(1, 0);
    test_alltoallw_types(opts.quick ? 200 : 3000, 1);
}
