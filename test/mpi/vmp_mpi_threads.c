/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/* MPI_THREAD_MULTIPLE: threads of each rank that send, receive, probe and run
 * collectives at the same time, with no lock of ours */

#include "vmp_mpi_check.h"

#include <pthread.h>

#define NUM_THREADS 3


typedef struct {
    int       id;       /* thread i speaks with thread i of other ranks */
    int       rounds;
    MPI_Comm  comm;     /* its own */
    pthread_t thread;
} worker_t;


static size_t thread_size(uint64_t key)
{
    static const size_t steps[] = {0, 8, 100, 2000, 8193, 40000, 150000};
    size_t size                 = steps[key % 7];

    return MIN(size + ((key >> 8) % 64), opts.max_size);
}

/* Round the ring, in the communicator that all threads share */
static void thread_exchange(worker_t *worker, int i)
{
    uint64_t out_key = make_key(80 + worker->id, rank, next, i);
    uint64_t in_key  = make_key(80 + worker->id, prev, rank, i);
    size_t out_size  = thread_size(out_key), in_size = thread_size(in_key);
    uint8_t *sbuf    = alloc(out_size), *rbuf = guarded_alloc(in_size);
    int tag          = (100 * (worker->id + 1)) + (i % 100), count;
    MPI_Request req;
    MPI_Message msg;
    MPI_Status st;

    fill(sbuf, out_size, out_key, 0);
    MPI_Isend(sbuf, out_size, MPI_BYTE, next, tag, MPI_COMM_WORLD, &req);
    if (i % 2) {
        MPI_Mprobe(prev, tag, MPI_COMM_WORLD, &msg, &st);
        MPI_Get_count(&st, MPI_BYTE, &count);
        check_value("threads: probed", prev, count, in_size);
        MPI_Mrecv(rbuf, in_size, MPI_BYTE, &msg, &st);
    } else {
        MPI_Recv(rbuf, in_size, MPI_BYTE, MPI_ANY_SOURCE, tag, MPI_COMM_WORLD,
                 &st);
    }
    check_value("threads: tag", prev, st.MPI_TAG, tag);
    check(rbuf, in_size, in_key, 0, "threads: message", prev);
    guarded_check(rbuf, in_size, "threads: message", prev);
    MPI_Wait(&req, MPI_STATUS_IGNORE);
    count_payload(rank, next, out_size);
    free(sbuf);
    guarded_free(rbuf);
}

/* In the thread's own communicator, in which its peers do the same */
static void thread_collective(worker_t *worker, int i)
{
    size_t size = thread_size(make_key(90, 0, worker->id, i));
    int root    = i % nprocs, k;
    uint8_t *buf = guarded_alloc(size);
    int64_t in, sum, want = 0;

    if (rank == root) {
        fill(buf, size, make_key(91, root, worker->id, i), 0);
    }
    MPI_Bcast(buf, size, MPI_BYTE, root, worker->comm);
    check(buf, size, make_key(91, root, worker->id, i), 0, "threads: bcast",
          root);
    guarded_check(buf, size, "threads: bcast", root);
    guarded_free(buf);

    in = (int64_t)(make_key(92, rank, worker->id, i) >> 16);
    MPI_Allreduce(&in, &sum, 1, MPI_INT64_T, MPI_SUM, worker->comm);
    for (k = 0; k < nprocs; ++k) {
        want += (int64_t)(make_key(92, k, worker->id, i) >> 16);
    }
    check_value("threads: allreduce", -1, sum, want);
}

static void *thread_main(void *arg)
{
    worker_t *worker = arg;
    int i;

    for (i = 0; i < worker->rounds; ++i) {
        thread_exchange(worker, i);
        if ((i % 3) == 0) {
            thread_collective(worker, i);
        }
    }
    return NULL;
}

void test_threads(void)
{
    worker_t workers[NUM_THREADS];
    int i, ret;

    set_where("threads", 0);
    /* An MPI that has none is run --without threads */
    check_value("MPI_THREAD_MULTIPLE is provided", -1, opts.threads, 1);
    for (i = 0; i < NUM_THREADS; ++i) {
        workers[i].id     = i;
        workers[i].rounds = opts.quick ? 15 : 90;
        MPI_Comm_dup(MPI_COMM_WORLD, &workers[i].comm);
    }
    for (i = 0; i < NUM_THREADS; ++i) {
        ret = pthread_create(&workers[i].thread, NULL, thread_main,
                             &workers[i]);
        check_value("pthread_create", -1, ret, 0);
    }
    for (i = 0; i < NUM_THREADS; ++i) {
        pthread_join(workers[i].thread, NULL);
        MPI_Comm_free(&workers[i].comm);
    }
}
