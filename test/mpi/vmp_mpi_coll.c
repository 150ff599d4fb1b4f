/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_mpi_check.h"


/* Parts of the root's for all, and of all for the root */
static void test_scatter_gather(size_t len, int root, int i)
{
    size_t all = (rank == root) ? (len * nprocs) : 0;
    uint8_t *in = alloc(len * nprocs), *part = guarded_alloc(len);
    uint8_t *out = guarded_alloc(all);
    int k;

    for (k = 0; (rank == root) && (k < nprocs); ++k) {
        fill(in + (k * len), len, make_key(14, root, k, i), 0);
        count_payload(root, k, len);
    }
    set_where("scatter", len);
    MPI_Scatter(in, len, MPI_BYTE, part, len, MPI_BYTE, root, MPI_COMM_WORLD);
    check(part, len, make_key(14, root, rank, i), 0, "scatter", root);
    guarded_check(part, len, "scatter", root);

    fill(in, len, make_key(15, rank, root, i), 0);
    set_where("gather", len);
    MPI_Gather(in, len, MPI_BYTE, out, len, MPI_BYTE, root, MPI_COMM_WORLD);
    count_payload(rank, root, len);
    for (k = 0; (rank == root) && (k < nprocs); ++k) {
        check(out + (k * len), len, make_key(15, k, root, i), 0, "gather", k);
    }
    guarded_check(out, all, "gather", root);
    free(in);
    guarded_free(part);
    guarded_free(out);
}

void test_coll(void)
{
    int step       = opts.quick ? 4 : 2;
    size_t max_len = 256 * 1024;
    int64_t *in, *out, want;
    uint8_t *sbuf, *rbuf;
    int i, k, root;
    size_t len, n, j;

    for (i = 0; i < num_sizes; i += step) {
        root = i % nprocs;
        len  = sizes[i];
        set_where("bcast", len);
        rbuf = guarded_alloc(len);
        if (rank == root) {
            fill(rbuf, len, make_key(10, root, 0, i), 0);
            count_payload_to_all(root, len);
        }
        MPI_Bcast(rbuf, len, MPI_BYTE, root, MPI_COMM_WORLD);
        check(rbuf, len, make_key(10, root, 0, i), 0, "bcast", root);
        guarded_check(rbuf, len, "bcast", root);
        guarded_free(rbuf);

        len  = MIN(len, max_len);
        sbuf = alloc(len * nprocs);
        rbuf = guarded_alloc(len * nprocs);
        for (k = 0; k < nprocs; ++k) {
            fill(sbuf + (k * len), len, make_key(11, rank, k, i), 0);
            count_payload(rank, k, len);
        }
        set_where("alltoall", len);
        MPI_Alltoall(sbuf, len, MPI_BYTE, rbuf, len, MPI_BYTE, MPI_COMM_WORLD);
        for (k = 0; k < nprocs; ++k) {
            check(rbuf + (k * len), len, make_key(11, k, rank, i), 0,
                  "alltoall", k);
        }
        guarded_check(rbuf, len * nprocs, "alltoall", -1);

        set_where("allgather", len);
        memset(rbuf, GUARD_BYTE, len * nprocs);
        fill(sbuf, len, make_key(12, rank, 0, i), 0);
        MPI_Allgather(sbuf, len, MPI_BYTE, rbuf, len, MPI_BYTE, MPI_COMM_WORLD);
        for (k = 0; k < nprocs; ++k) {
            check(rbuf + (k * len), len, make_key(12, k, 0, i), 0, "allgather",
                  k);
        }
        guarded_check(rbuf, len * nprocs, "allgather", -1);
        free(sbuf);
        guarded_free(rbuf);

        test_scatter_gather(len, root, i);

        n   = (len + 7) / 8;
        in  = alloc(n * 8);
        out = alloc(n * 8);
        for (j = 0; j < n; ++j) {
            in[j] = (int64_t)(make_key(13, rank, i, j) >> 16);
        }
        set_where("allreduce", n * 8);
        MPI_Allreduce(in, out, n, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
        for (j = 0; j < n; ++j) {
            for (want = 0, k = 0; k < nprocs; ++k) {
                want += (int64_t)(make_key(13, k, i, j) >> 16);
            }
            check_value("allreduce", -1, out[j], want);
        }
        free(in);
        free(out);
        MPI_Barrier(MPI_COMM_WORLD);
    }
}
