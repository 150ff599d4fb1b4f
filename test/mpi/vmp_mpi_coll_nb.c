/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/* Collectives that do not block: several at once in one communicator, with
 * messages between them, completed in any order */

#include "vmp_mpi_check.h"

enum {
    NB_BCAST,
    NB_ALLREDUCE,
    NB_ALLTOALL,
    NB_ALLGATHERV,
    NB_GATHER,
    NB_SCATTER,
    NB_SCAN,
    NB_BARRIER,
    NB_LAST
};

typedef struct {
    int         kind, root;
    size_t      size;    /* bytes a rank */
    uint64_t    index;
    uint8_t     *in, *out;
    int         *counts, *displs;
    MPI_Request *req;
} nb_t;


static void sums_fill(uint8_t *buf, size_t size, int src, uint64_t index)
{
    int64_t value;
    size_t j;

    for (j = 0; j < (size / 8); ++j) {
        value = (int64_t)(make_key(61, src, 0, index + j) >> 16);
        memcpy(buf + (8 * j), &value, 8);
    }
}

/* Sums over ranks from 0 to @a last */
static void sums_check(const uint8_t *buf, size_t size, int last,
                       uint64_t index, const char *op)
{
    int64_t got, want;
    size_t j;
    int k;

    for (j = 0; j < (size / 8); ++j) {
        memcpy(&got, buf + (8 * j), 8);
        for (want = 0, k = 0; k <= last; ++k) {
            want += (int64_t)(make_key(61, k, 0, index + j) >> 16);
        }
        check_value(op, -1, got, want);
    }
}

static void nb_start(nb_t *nb, MPI_Comm comm)
{
    size_t all = nb->size * nprocs;
    int k;

    nb->in     = alloc(all);
    nb->out    = guarded_alloc(all);
    nb->counts = alloc(nprocs * sizeof(int));
    nb->displs = alloc(nprocs * sizeof(int));
    for (k = 0; k < nprocs; ++k) {
        nb->counts[k] = (int)nb->size;
        nb->displs[k] = (int)(nb->size * (nprocs - 1 - k));
        fill(nb->in + (k * nb->size), nb->size,
             make_key(60, rank, k, nb->index), 0);
    }
    switch (nb->kind) {
    case NB_BCAST:
        if (rank == nb->root) {
            fill(nb->out, nb->size, make_key(60, rank, 0, nb->index), 0);
        }
        MPI_Ibcast(nb->out, nb->size, MPI_BYTE, nb->root, comm, nb->req);
        break;
    case NB_ALLREDUCE:
        sums_fill(nb->in, nb->size, rank, nb->index);
        MPI_Iallreduce(nb->in, nb->out, nb->size / 8, MPI_INT64_T, MPI_SUM,
                       comm, nb->req);
        break;
    case NB_ALLTOALL:
        MPI_Ialltoall(nb->in, nb->size, MPI_BYTE, nb->out, nb->size, MPI_BYTE,
                      comm, nb->req);
        break;
    case NB_ALLGATHERV:
        MPI_Iallgatherv(nb->in, nb->size, MPI_BYTE, nb->out, nb->counts,
                        nb->displs, MPI_BYTE, comm, nb->req);
        break;
    case NB_GATHER:
        MPI_Igather(nb->in, nb->size, MPI_BYTE, nb->out, nb->size, MPI_BYTE,
                    nb->root, comm, nb->req);
        break;
    case NB_SCATTER:
        MPI_Iscatter(nb->in, nb->size, MPI_BYTE, nb->out, nb->size, MPI_BYTE,
                     nb->root, comm, nb->req);
        break;
    case NB_SCAN:
        sums_fill(nb->in, nb->size, rank, nb->index);
        MPI_Iscan(nb->in, nb->out, nb->size / 8, MPI_INT64_T, MPI_SUM, comm,
                  nb->req);
        break;
    default:
        MPI_Ibarrier(comm, nb->req);
        break;
    }
}

static void nb_check(nb_t *nb)
{
    int k;

    switch (nb->kind) {
    case NB_BCAST:
        check(nb->out, nb->size, make_key(60, nb->root, 0, nb->index), 0,
              "ibcast", nb->root);
        break;
    case NB_ALLREDUCE:
        sums_check(nb->out, nb->size, nprocs - 1, nb->index, "iallreduce");
        break;
    case NB_ALLTOALL:
        for (k = 0; k < nprocs; ++k) {
            check(nb->out + (k * nb->size), nb->size,
                  make_key(60, k, rank, nb->index), 0, "ialltoall", k);
            count_payload(rank, k, nb->size);
        }
        break;
    case NB_ALLGATHERV:
        for (k = 0; k < nprocs; ++k) {
            check(nb->out + nb->displs[k], nb->size,
                  make_key(60, k, 0, nb->index), 0, "iallgatherv", k);
        }
        break;
    case NB_GATHER:
        for (k = 0; (rank == nb->root) && (k < nprocs); ++k) {
            check(nb->out + (k * nb->size), nb->size,
                  make_key(60, k, 0, nb->index), 0, "igather", k);
        }
        count_payload(rank, nb->root, nb->size);
        break;
    case NB_SCATTER:
        check(nb->out, nb->size, make_key(60, nb->root, rank, nb->index), 0,
              "iscatter", nb->root);
        break;
    case NB_SCAN:
        sums_check(nb->out, nb->size, rank, nb->index, "iscan");
        break;
    }
    guarded_check(nb->out, nb->size * nprocs, "collective", -1);
    free(nb->in);
    guarded_free(nb->out);
    free(nb->counts);
    free(nb->displs);
}

/* Requests complete in the order of chance, some by MPI_Test */
static void nb_finish(nb_t *nbs, MPI_Request *reqs, int count, uint64_t index)
{
    int i, which, flag;

    if ((index % 3) == 0) {
        MPI_Waitall(count, reqs, MPI_STATUSES_IGNORE);
        for (i = 0; i < count; ++i) {
            nb_check(&nbs[i]);
        }
        return;
    }
    for (i = 0; i < count; ++i) {
        if ((index % 3) == 1) {
            MPI_Waitany(count, reqs, &which, MPI_STATUS_IGNORE);
        } else {
            for (flag = 0; !flag;) {
                MPI_Testany(count, reqs, &which, &flag, MPI_STATUS_IGNORE);
            }
        }
        nb_check(&nbs[which]);
    }
}

/* All ranks start the same sequence, as they must; each at its own pace */
static void test_nb_round(MPI_Comm comm, uint64_t index)
{
    static const size_t steps[] = {8, 64, 1000, 4096, 8192, 40000, 150000};
    enum { COUNT = 6 };
    MPI_Request reqs[COUNT];
    uint64_t key;
    nb_t nbs[COUNT];
    int i;

    memset(nbs, 0, sizeof(nbs));
    for (i = 0; i < COUNT; ++i) {
        key          = vmp_mix(opts.seed + (100 * index) + i);
        nbs[i].kind  = key % NB_LAST;
        nbs[i].root  = (key >> 8) % nprocs;
        nbs[i].size  = MIN(steps[(key >> 16) % 7], opts.max_size) & ~7ul;
        nbs[i].index = (1000000 * index) + (100000 * i);
        nbs[i].req   = &reqs[i];
        set_where("collectives that do not block", nbs[i].size);
        nb_start(&nbs[i], comm);
        if ((vmp_mix(key + rank) % 4) == 0) {
            usleep(500);
        }
    }
    nb_finish(nbs, reqs, COUNT, index);
}

/* Nobody leaves an ibarrier before all have entered it, while messages pass */
static void test_ibarrier(int rounds)
{
    MPI_Request req[3];
    int64_t out, in;
    int i, done, late;

    for (i = 0; i < rounds; ++i) {
        set_where("ibarrier", 0);
        late = i % nprocs;
        if (rank == late) {
            usleep(3000);
        }
        out = (int64_t)make_key(62, rank, next, i);
        MPI_Irecv(&in, 1, MPI_INT64_T, prev, 9, MPI_COMM_WORLD, &req[0]);
        MPI_Isend(&out, 1, MPI_INT64_T, next, 9, MPI_COMM_WORLD, &req[1]);
        MPI_Ibarrier(MPI_COMM_WORLD, &req[2]);
        MPI_Test(&req[2], &done, MPI_STATUS_IGNORE);
        MPI_Waitall(3, req, MPI_STATUSES_IGNORE);
        check_value("message beside ibarrier", prev, in,
                    (int64_t)make_key(62, prev, rank, i));
    }
}

void test_coll_nb(void)
{
    int i, rounds = opts.quick ? 9 : 45;
    MPI_Comm comm;

    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    for (i = 0; i < rounds; ++i) {
        test_nb_round(comm, i);
    }
    MPI_Comm_free(&comm);
    test_ibarrier(opts.quick ? 10 : 60);
}
