/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/* Collectives that do not block: several at once in one communicator, with
 * messages between them, completed in any order */

#include "vmp_mpi_parts.h"

enum {
    /* the same size for all */
    NB_BCAST,
    NB_ALLTOALL,
    NB_ALLGATHER,
    NB_GATHER,
    NB_SCATTER,
    /* parts of different lengths */
    NB_ALLTOALLV,
    NB_ALLTOALLW,
    NB_ALLGATHERV,
    NB_GATHERV,
    NB_SCATTERV,
    /* sums */
    NB_ALLREDUCE,
    NB_REDUCE,
    NB_SCAN,
    NB_EXSCAN,
    NB_REDUCE_SCATTER,
    NB_REDUCE_SCATTER_BLOCK,
    NB_BARRIER,
    NB_LAST
};

/* Ialltoallw carries rows of so many bytes, to and from odd ranks with a byte
 * of gap behind each */
#define ROW       3
#define STRIDE(k) (ROW + ((k) % 2))


typedef struct {
    int          kind, root;
    size_t       size;       /* bytes a rank, or at most */
    uint64_t     index;
    uint8_t      *in, *out;
    size_t       out_size;   /* what may be written */
    parts_t      to, from;
    MPI_Datatype *types;     /* a rank each */
    MPI_Request  *req;
} nb_t;


static void nb_buffers(nb_t *nb, size_t in_size, size_t out_size)
{
    nb->in       = alloc(in_size);
    nb->out      = guarded_alloc(out_size);
    nb->out_size = out_size;
}

static void nb_start_even(nb_t *nb, MPI_Comm comm)
{
    size_t all = nb->size * nprocs, out_size = all;
    int k;

    if ((nb->kind == NB_BCAST) || (nb->kind == NB_SCATTER)) {
        out_size = nb->size;
    } else if ((nb->kind == NB_GATHER) && (rank != nb->root)) {
        out_size = 0;
    }
    nb_buffers(nb, all, out_size);
    for (k = 0; k < nprocs; ++k) {
        fill(nb->in + (k * nb->size), nb->size,
             make_key(60, rank, k, nb->index), 0);
    }
    switch (nb->kind) {
    case NB_BCAST:
        if (rank == nb->root) {
            memcpy(nb->out, nb->in, nb->size);
        }
        MPI_Ibcast(nb->out, nb->size, MPI_BYTE, nb->root, comm, nb->req);
        break;
    case NB_ALLTOALL:
        MPI_Ialltoall(nb->in, nb->size, MPI_BYTE, nb->out, nb->size, MPI_BYTE,
                      comm, nb->req);
        break;
    case NB_ALLGATHER:
        MPI_Iallgather(nb->in, nb->size, MPI_BYTE, nb->out, nb->size, MPI_BYTE,
                       comm, nb->req);
        break;
    case NB_GATHER:
        MPI_Igather(nb->in, nb->size, MPI_BYTE, nb->out, nb->size, MPI_BYTE,
                    nb->root, comm, nb->req);
        break;
    default:
        MPI_Iscatter(nb->in, nb->size, MPI_BYTE, nb->out, nb->size, MPI_BYTE,
                     nb->root, comm, nb->req);
        break;
    }
}

static void nb_check_even(const nb_t *nb)
{
    int k;

    switch (nb->kind) {
    case NB_BCAST:
        check(nb->out, nb->size, make_key(60, nb->root, 0, nb->index), 0,
              "ibcast", nb->root);
        break;
    case NB_ALLTOALL:
        for (k = 0; k < nprocs; ++k) {
            check(nb->out + (k * nb->size), nb->size,
                  make_key(60, k, rank, nb->index), 0, "ialltoall", k);
            count_payload(rank, k, nb->size);
        }
        break;
    case NB_ALLGATHER:
        for (k = 0; k < nprocs; ++k) {
            check(nb->out + (k * nb->size), nb->size,
                  make_key(60, k, 0, nb->index), 0, "iallgather", k);
        }
        break;
    case NB_GATHER:
        for (k = 0; (rank == nb->root) && (k < nprocs); ++k) {
            check(nb->out + (k * nb->size), nb->size,
                  make_key(60, k, 0, nb->index), 0, "igather", k);
        }
        count_payload(rank, nb->root, nb->size);
        break;
    default:
        check(nb->out, nb->size, make_key(60, nb->root, rank, nb->index), 0,
              "iscatter", nb->root);
        count_payload(nb->root, rank, nb->size);
        break;
    }
}

/* What each rank has for each other one, or one for all */
static void nb_start_parts(nb_t *nb, MPI_Comm comm)
{
    int k, size, own = parts_draw(rank, 0, nb->size, nb->index);

    /* Backwards: the last rank's part comes first */
    for (k = nprocs - 1; k >= 0; --k) {
        size = parts_draw(rank, k, nb->size, nb->index);
        parts_add(&nb->to, k, size);
        if (nb->kind == NB_ALLTOALLV) {
            size = parts_draw(k, rank, nb->size, nb->index);
        } else {
            size = parts_draw(k, 0, nb->size, nb->index);
        }
        parts_add(&nb->from, k, size);
    }
    if (nb->kind == NB_SCATTERV) {
        own = parts_draw(nb->root, rank, nb->size, nb->index);
        nb_buffers(nb, nb->to.span, own);
    } else if ((nb->kind == NB_GATHERV) && (rank != nb->root)) {
        nb_buffers(nb, nb->to.span, 0);
    } else {
        nb_buffers(nb, nb->to.span, nb->from.span);
    }
    for (k = 0; k < nprocs; ++k) {
        part_fill(nb->in, &nb->to, rank, k, nb->index);
    }
    switch (nb->kind) {
    case NB_ALLTOALLV:
        MPI_Ialltoallv(nb->in, nb->to.counts, nb->to.displs, MPI_BYTE, nb->out,
                       nb->from.counts, nb->from.displs, MPI_BYTE, comm,
                       nb->req);
        break;
    case NB_ALLGATHERV:
        MPI_Iallgatherv(nb->in + nb->to.displs[0], own, MPI_BYTE, nb->out,
                        nb->from.counts, nb->from.displs, MPI_BYTE, comm,
                        nb->req);
        break;
    case NB_GATHERV:
        MPI_Igatherv(nb->in + nb->to.displs[0], own, MPI_BYTE, nb->out,
                     nb->from.counts, nb->from.displs, MPI_BYTE, nb->root,
                     comm, nb->req);
        break;
    default:
        MPI_Iscatterv(nb->in, nb->to.counts, nb->to.displs, MPI_BYTE, nb->out,
                      own, MPI_BYTE, nb->root, comm, nb->req);
        break;
    }
}

static void nb_check_parts(const nb_t *nb)
{
    int k;

    switch (nb->kind) {
    case NB_ALLTOALLV:
        for (k = 0; k < nprocs; ++k) {
            part_check(nb->out, &nb->from, k, rank, nb->index, "ialltoallv");
            count_payload(rank, k, nb->to.counts[k]);
        }
        break;
    case NB_ALLGATHERV:
        for (k = 0; k < nprocs; ++k) {
            part_check(nb->out, &nb->from, k, 0, nb->index, "iallgatherv");
        }
        break;
    case NB_GATHERV:
        for (k = 0; (rank == nb->root) && (k < nprocs); ++k) {
            part_check(nb->out, &nb->from, k, 0, nb->index, "igatherv");
        }
        count_payload(rank, nb->root, nb->to.counts[0]);
        break;
    default:
        check(nb->out, nb->out_size, make_key(51, nb->root, rank, nb->index),
              0, "iscatterv", nb->root);
        count_payload(nb->root, rank, nb->out_size);
        break;
    }
}

/* As Ialltoallv, with types that nobody holds any more but MPI */
static void nb_start_w(nb_t *nb, MPI_Comm comm)
{
    MPI_Datatype row;
    int k, j;

    for (k = 0; k < nprocs; ++k) {
        /* in rows; the gaps between parts are wide enough for those of rows */
        j = parts_draw(rank, k, nb->size / STRIDE(1), nb->index);
        parts_add(&nb->to, k, j * STRIDE(k));
        nb->to.counts[k] = j;
        j = parts_draw(k, rank, nb->size / STRIDE(1), nb->index);
        parts_add(&nb->from, k, j * STRIDE(k));
        nb->from.counts[k] = j;
    }
    nb_buffers(nb, nb->to.span, nb->from.span);
    nb->types = alloc(nprocs * sizeof(*nb->types));
    MPI_Type_contiguous(ROW, MPI_BYTE, &row);
    for (k = 0; k < nprocs; ++k) {
        MPI_Type_create_resized(row, 0, STRIDE(k), &nb->types[k]);
        MPI_Type_commit(&nb->types[k]);
        for (j = 0; j < nb->to.counts[k]; ++j) {
            fill(nb->in + nb->to.displs[k] + (j * STRIDE(k)), ROW,
                 make_key(63, rank, k, nb->index), j * ROW);
        }
    }
    MPI_Ialltoallw(nb->in, nb->to.counts, nb->to.displs, nb->types, nb->out,
                   nb->from.counts, nb->from.displs, nb->types, comm, nb->req);
    for (k = 0; k < nprocs; ++k) {
        MPI_Type_free(&nb->types[k]);
    }
    MPI_Type_free(&row);
}

static void nb_check_w(const nb_t *nb)
{
    const uint8_t *at;
    int k, j;

    for (k = 0; k < nprocs; ++k) {
        at = nb->out + nb->from.displs[k];
        for (j = 0; j < nb->from.counts[k]; ++j, at += STRIDE(k)) {
            check(at, ROW, make_key(63, k, rank, nb->index), j * ROW,
                  "ialltoallw", k);
            if (STRIDE(k) > ROW) {
                check_value("gap of ialltoallw", k, at[ROW], GUARD_BYTE);
            }
        }
        /* behind the last row */
        check_value("gap of ialltoallw", k, *at, GUARD_BYTE);
        count_payload(rank, k, (size_t)nb->to.counts[k] * ROW);
    }
}

static int64_t sum_part(int src, uint64_t index, size_t j)
{
    return (int64_t)(make_key(61, src, 0, index + j) >> 16);
}

/* Of the ranks from 0 to @a last, numbers from @a start */
static void sums_check(const uint8_t *buf, size_t count, int last,
                       uint64_t index, size_t start, const char *op)
{
    int64_t got, want;
    size_t j;
    int k;

    for (j = 0; j < count; ++j) {
        memcpy(&got, buf + (8 * j), 8);
        for (want = 0, k = 0; k <= last; ++k) {
            want += sum_part(k, index, start + j);
        }
        check_value(op, -1, got, want);
    }
}

static void nb_start_sums(nb_t *nb, MPI_Comm comm)
{
    size_t count = nb->size / 8, all = count, mine = count, j;
    int64_t value;
    int k;

    /* nb->from: numbers of each rank, displacements unused */
    for (k = 0; k < nprocs; ++k) {
        parts_add(&nb->from, k, parts_draw(k, 0, count, nb->index));
    }
    if (nb->kind == NB_REDUCE_SCATTER) {
        mine = nb->from.counts[rank];
    }
    if ((nb->kind == NB_REDUCE_SCATTER) ||
        (nb->kind == NB_REDUCE_SCATTER_BLOCK)) {
        all = count * nprocs;
    } else if ((nb->kind == NB_REDUCE) && (rank != nb->root)) {
        mine = 0;
    }
    nb_buffers(nb, all * 8, mine * 8);
    for (j = 0; j < all; ++j) {
        value = sum_part(rank, nb->index, j);
        memcpy(nb->in + (8 * j), &value, 8);
    }
    switch (nb->kind) {
    case NB_ALLREDUCE:
        MPI_Iallreduce(nb->in, nb->out, count, MPI_INT64_T, MPI_SUM, comm,
                       nb->req);
        break;
    case NB_REDUCE:
        MPI_Ireduce(nb->in, nb->out, count, MPI_INT64_T, MPI_SUM, nb->root,
                    comm, nb->req);
        break;
    case NB_SCAN:
        MPI_Iscan(nb->in, nb->out, count, MPI_INT64_T, MPI_SUM, comm, nb->req);
        break;
    case NB_EXSCAN:
        MPI_Iexscan(nb->in, nb->out, count, MPI_INT64_T, MPI_SUM, comm,
                    nb->req);
        break;
    case NB_REDUCE_SCATTER:
        MPI_Ireduce_scatter(nb->in, nb->out, nb->from.counts, MPI_INT64_T,
                            MPI_SUM, comm, nb->req);
        break;
    default:
        MPI_Ireduce_scatter_block(nb->in, nb->out, count, MPI_INT64_T, MPI_SUM,
                                  comm, nb->req);
        break;
    }
}

static void nb_check_sums(const nb_t *nb)
{
    size_t count = nb->out_size / 8, before = 0;
    int last = nprocs - 1, k;

    switch (nb->kind) {
    case NB_ALLREDUCE:
        sums_check(nb->out, count, last, nb->index, 0, "iallreduce");
        break;
    case NB_REDUCE:
        sums_check(nb->out, count, last, nb->index, 0, "ireduce");
        break;
    case NB_SCAN:
        sums_check(nb->out, count, rank, nb->index, 0, "iscan");
        break;
    case NB_EXSCAN: /* rank 0's is not defined */
        sums_check(nb->out, (rank == 0) ? 0 : count, rank - 1, nb->index, 0,
                   "iexscan");
        break;
    case NB_REDUCE_SCATTER:
        for (k = 0; k < rank; ++k) {
            before += nb->from.counts[k];
        }
        sums_check(nb->out, count, last, nb->index, before, "ireduce_scatter");
        break;
    default:
        sums_check(nb->out, count, last, nb->index, count * rank,
                   "ireduce_scatter_block");
        break;
    }
}

static void nb_start(nb_t *nb, MPI_Comm comm)
{
    parts_alloc(&nb->to);
    parts_alloc(&nb->from);
    if (nb->kind == NB_BARRIER) {
        nb_buffers(nb, 0, 0);
        MPI_Ibarrier(comm, nb->req);
    } else if (nb->kind == NB_ALLTOALLW) {
        nb_start_w(nb, comm);
    } else if (nb->kind >= NB_ALLREDUCE) {
        nb_start_sums(nb, comm);
    } else if (nb->kind >= NB_ALLTOALLV) {
        nb_start_parts(nb, comm);
    } else {
        nb_start_even(nb, comm);
    }
}

static void nb_check(nb_t *nb)
{
    if (nb->kind == NB_ALLTOALLW) {
        nb_check_w(nb);
    } else if ((nb->kind >= NB_ALLREDUCE) && (nb->kind != NB_BARRIER)) {
        nb_check_sums(nb);
    } else if ((nb->kind >= NB_ALLTOALLV) && (nb->kind != NB_BARRIER)) {
        nb_check_parts(nb);
    } else if (nb->kind != NB_BARRIER) {
        nb_check_even(nb);
    }
    guarded_check(nb->out, nb->out_size, "collective", -1);
    free(nb->in);
    guarded_free(nb->out);
    free(nb->types);
    parts_free(&nb->to);
    parts_free(&nb->from);
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

/* The n-th kind: all of them in an order of chance, then in another one */
static int nb_kind(uint64_t n)
{
    int kinds[NB_LAST], i, j;

    for (i = 0; i < NB_LAST; ++i) {
        j        = make_key(64, 0, i, n / NB_LAST) % (i + 1);
        kinds[i] = i;
        kinds[i] = kinds[j];
        kinds[j] = i;
    }
    return kinds[n % NB_LAST];
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
        nbs[i].kind  = nb_kind((COUNT * index) + i);
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

/* Nobody leaves an ibarrier before all have entered it, while messages pass.
 * The late one enters when all others have told it that they could not leave. */
static void test_ibarrier(int rounds)
{
    int late, i, j, k, done;
    int64_t out, in, left;
    MPI_Request req[3];

    for (i = 0; i < rounds; ++i) {
        set_where("ibarrier", 0);
        late = i % nprocs;
        out  = (int64_t)make_key(62, rank, next, i);
        MPI_Irecv(&in, 1, MPI_INT64_T, prev, 9, MPI_COMM_WORLD, &req[0]);
        MPI_Isend(&out, 1, MPI_INT64_T, next, 9, MPI_COMM_WORLD, &req[1]);
        if (rank == late) {
            for (k = 0; k < (nprocs - 1); ++k) {
                MPI_Recv(&left, 1, MPI_INT64_T, MPI_ANY_SOURCE, 10,
                         MPI_COMM_WORLD, MPI_STATUS_IGNORE);
                check_value("ranks that left an ibarrier", -1, left, 0);
            }
            MPI_Ibarrier(MPI_COMM_WORLD, &req[2]);
        } else {
            MPI_Ibarrier(MPI_COMM_WORLD, &req[2]);
            for (j = 0, done = 0; (j < 10) && !done; ++j) {
                usleep(200);
                MPI_Test(&req[2], &done, MPI_STATUS_IGNORE);
            }
            left = done;
            MPI_Send(&left, 1, MPI_INT64_T, late, 10, MPI_COMM_WORLD);
        }
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
