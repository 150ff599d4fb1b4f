/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/* What MPI promises about which message meets which receive */

#include "vmp_mpi_check.h"

#include <stdio.h>

/* Tags of messages that nobody sends, and of those that order others */
#define TAG_NEVER 30001
#define TAG_READY 30002


/* The peer may go on with what it does to us */
static void tell(int peer)
{
    MPI_Send(NULL, 0, MPI_BYTE, peer, TAG_READY, MPI_COMM_WORLD);
}

static void wait_told(int peer)
{
    MPI_Recv(NULL, 0, MPI_BYTE, peer, TAG_READY, MPI_COMM_WORLD,
             MPI_STATUS_IGNORE);
}

static void check_received(const uint8_t *buf, size_t size, uint64_t key,
                           const char *op, MPI_Status *st)
{
    int count;

    MPI_Get_count(st, MPI_BYTE, &count);
    check_value(op, st->MPI_SOURCE, count, size);
    check(buf, size, key, 0, op, st->MPI_SOURCE);
    guarded_check(buf, size, op, st->MPI_SOURCE);
}

/* Some sizes of each kind: short, eager, rendezvous */
static int pick_size(int i)
{
    static const size_t picks[] = {1, 0, 333, 4097, 8193, 65537, 262145};

    return MIN(picks[i % (int)(sizeof(picks) / sizeof(picks[0]))],
               opts.max_size);
}

/* Synchronous sends end only when they are matched; ready, buffered and
 * persistent ones carry what they should */
static void test_mode_round(int i)
{
    int size           = pick_size(i), done;
    uint8_t *sbuf      = alloc(size), *rbuf = guarded_alloc(size);
    uint64_t key       = make_key(30, rank, next, i);
    uint64_t other_key = make_key(30, prev, rank, i);
    MPI_Request req[2];
    MPI_Status st;
    void *attached;

    fill(sbuf, size, key, 0);
    set_where("issend", size);
    MPI_Issend(sbuf, size, MPI_BYTE, next, i, MPI_COMM_WORLD, &req[0]);
    MPI_Barrier(MPI_COMM_WORLD);
    usleep(1000);
    MPI_Test(&req[0], &done, MPI_STATUS_IGNORE);
    check_value("issend ended before it was matched", next, done, 0);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Recv(rbuf, size, MPI_BYTE, prev, i, MPI_COMM_WORLD, &st);
    MPI_Wait(&req[0], MPI_STATUS_IGNORE);
    check_received(rbuf, size, other_key, "issend", &st);

    set_where("rsend", size);
    memset(rbuf, GUARD_BYTE, size);
    MPI_Irecv(rbuf, size, MPI_BYTE, prev, i, MPI_COMM_WORLD, &req[0]);
    tell(prev);
    wait_told(next);
    MPI_Rsend(sbuf, size, MPI_BYTE, next, i, MPI_COMM_WORLD);
    MPI_Wait(&req[0], &st);
    check_received(rbuf, size, other_key, "rsend", &st);

    set_where("bsend", size);
    memset(rbuf, GUARD_BYTE, size);
    attached = alloc(size + MPI_BSEND_OVERHEAD);
    MPI_Buffer_attach(attached, size + MPI_BSEND_OVERHEAD);
    MPI_Bsend(sbuf, size, MPI_BYTE, next, i, MPI_COMM_WORLD);
    memset(sbuf, 0, size);
    MPI_Recv(rbuf, size, MPI_BYTE, prev, i, MPI_COMM_WORLD, &st);
    MPI_Buffer_detach(&attached, &done);
    free(attached);
    check_received(rbuf, size, other_key, "bsend", &st);

    set_where("persistent", size);
    MPI_Send_init(sbuf, size, MPI_BYTE, next, i, MPI_COMM_WORLD, &req[0]);
    MPI_Recv_init(rbuf, size, MPI_BYTE, prev, i, MPI_COMM_WORLD, &req[1]);
    for (done = 0; done < 4; ++done) {
        memset(rbuf, GUARD_BYTE, size);
        fill(sbuf, size, key + done, 0);
        MPI_Startall(2, req);
        MPI_Wait(&req[0], MPI_STATUS_IGNORE);
        MPI_Wait(&req[1], &st);
        check_received(rbuf, size, other_key + done, "persistent", &st);
    }
    MPI_Request_free(&req[0]);
    MPI_Request_free(&req[1]);
    count_payload(rank, next, 7 * (size_t)size);

    set_where("to oneself and nobody", size);
    memset(rbuf, GUARD_BYTE, size);
    MPI_Sendrecv(sbuf, size, MPI_BYTE, rank, i, rbuf, size, MPI_BYTE, rank, i,
                 MPI_COMM_WORLD, &st);
    check_received(rbuf, size, key + 3, "to oneself", &st);
    MPI_Sendrecv(sbuf, size, MPI_BYTE, MPI_PROC_NULL, i, rbuf, size, MPI_BYTE,
                 MPI_PROC_NULL, i, MPI_COMM_WORLD, &st);
    check_value("from nobody", -1, st.MPI_SOURCE, MPI_PROC_NULL);
    free(sbuf);
    guarded_free(rbuf);
}

/* The same source and tag in three communicators, received in another order */
static void test_communicators(void)
{
    MPI_Comm comm[3];
    MPI_Request req[3];
    int64_t out[3], in;
    int i, me, count;

    set_where("communicators", 8);
    comm[0] = MPI_COMM_WORLD;
    MPI_Comm_dup(MPI_COMM_WORLD, &comm[1]);
    /* the other way round */
    MPI_Comm_split(MPI_COMM_WORLD, 0, -rank, &comm[2]);
    MPI_Comm_rank(comm[2], &me);
    check_value("split", -1, me, nprocs - 1 - rank);
    for (i = 0; i < 3; ++i) {
        out[i] = (int64_t)make_key(31, rank, i, 0);
        MPI_Isend(&out[i], 1, MPI_INT64_T,
                  (i == 2) ? (nprocs - 1 - next) : next, 5, comm[i], &req[i]);
    }
    for (i = 2; i >= 0; --i) {
        MPI_Status st;

        MPI_Recv(&in, 1, MPI_INT64_T, MPI_ANY_SOURCE, MPI_ANY_TAG, comm[i],
                 &st);
        MPI_Get_count(&st, MPI_INT64_T, &count);
        check_value("communicators count", prev, count, 1);
        check_value("communicators", prev, in,
                    (int64_t)make_key(31, prev, i, 0));
    }
    MPI_Waitall(3, req, MPI_STATUSES_IGNORE);
    MPI_Comm_free(&comm[1]);
    MPI_Comm_free(&comm[2]);
}

void test_modes(void)
{
    int i, rounds = opts.quick ? 7 : 21;

    for (i = 0; i < rounds; ++i) {
        test_mode_round(i);
    }
    test_communicators();
}

/* Two messages of one tag. The first is taken out by a matched probe: what is
 * received next, whatever its wildcards, is the second. */
static void test_matched_probe(int i)
{
    int size      = pick_size(i), flag, k;
    uint8_t *sbuf = alloc(2 * (size_t)size), *rbuf[2];
    MPI_Message msg = MPI_MESSAGE_NULL;
    MPI_Request req[3];
    MPI_Status st[2];

    set_where("matched probe", size);
    MPI_Improbe(MPI_ANY_SOURCE, TAG_NEVER, MPI_COMM_WORLD, &flag, &msg,
                &st[0]);
    check_value("improbe of nothing", -1, flag, 0);
    MPI_Iprobe(MPI_ANY_SOURCE, TAG_NEVER, MPI_COMM_WORLD, &flag, &st[0]);
    check_value("iprobe of nothing", -1, flag, 0);
    for (k = 0; k < 2; ++k) {
        rbuf[k] = guarded_alloc(size);
        fill(sbuf + (k * (size_t)size), size, make_key(32 + k, rank, next, i),
             0);
        MPI_Isend(sbuf + (k * (size_t)size), size, MPI_BYTE, next, i,
                  MPI_COMM_WORLD, &req[k]);
        count_payload(rank, next, size);
    }
    while (!flag) {
        MPI_Improbe(prev, i, MPI_COMM_WORLD, &flag, &msg, &st[0]);
    }
    MPI_Recv(rbuf[1], size, MPI_BYTE, MPI_ANY_SOURCE, i, MPI_COMM_WORLD,
             &st[1]);
    if (i % 2) {
        MPI_Imrecv(rbuf[0], size, MPI_BYTE, &msg, &req[2]);
        MPI_Wait(&req[2], &st[0]);
    } else {
        MPI_Mrecv(rbuf[0], size, MPI_BYTE, &msg, &st[0]);
    }
    check_value("message handle", prev, msg == MPI_MESSAGE_NULL, 1);
    for (k = 0; k < 2; ++k) {
        check_received(rbuf[k], size, make_key(32 + k, prev, rank, i),
                       "matched probe", &st[k]);
        guarded_free(rbuf[k]);
    }
    MPI_Waitall(2, req, MPI_STATUSES_IGNORE);
    MPI_Mprobe(MPI_PROC_NULL, i, MPI_COMM_WORLD, &msg, &st[0]);
    check_value("mprobe of nobody", -1, msg == MPI_MESSAGE_NO_PROC, 1);
    MPI_Mrecv(sbuf, size, MPI_BYTE, &msg, &st[0]);
    check_value("mrecv from nobody", -1, st[0].MPI_SOURCE, MPI_PROC_NULL);
    MPI_Barrier(MPI_COMM_WORLD);
    free(sbuf);
}

/* Unexpected messages of several tags, found by probes in another order than
 * they came in */
static void test_probe_order(int round)
{
    enum { COUNT = 12 };
    MPI_Request req[COUNT];
    uint8_t *sbuf[COUNT], *rbuf;
    int i, tag, size, flag;
    MPI_Status st;

    for (i = 0; i < COUNT; ++i) {
        size    = pick_size(i + round);
        sbuf[i] = alloc(size);
        fill(sbuf[i], size, make_key(34, rank, next, i), 0);
        MPI_Isend(sbuf[i], size, MPI_BYTE, next, 100 + i, MPI_COMM_WORLD,
                  &req[i]);
        count_payload(rank, next, size);
    }
    for (i = 0; i < COUNT; ++i) {
        tag  = (5 * i) % COUNT; /* 5 has no factor in common with 12 */
        size = pick_size(tag + round);
        set_where("probe", size);
        if (i % 2) {
            MPI_Probe(prev, 100 + tag, MPI_COMM_WORLD, &st);
        } else {
            for (flag = 0; !flag;) {
                MPI_Iprobe(MPI_ANY_SOURCE, 100 + tag, MPI_COMM_WORLD, &flag,
                           &st);
            }
        }
        rbuf = guarded_alloc(size);
        MPI_Recv(rbuf, size, MPI_BYTE, st.MPI_SOURCE, st.MPI_TAG,
                 MPI_COMM_WORLD, &st);
        check_value("probe tag", prev, st.MPI_TAG, 100 + tag);
        check_received(rbuf, size, make_key(34, prev, rank, tag), "probe",
                       &st);
        guarded_free(rbuf);
    }
    MPI_Waitall(COUNT, req, MPI_STATUSES_IGNORE);
    for (i = 0; i < COUNT; ++i) {
        free(sbuf[i]);
    }
}

void test_probes(void)
{
    int i, rounds = opts.quick ? 7 : 28;

    for (i = 0; i < rounds; ++i) {
        test_matched_probe(i);
    }
    for (i = 0; i < rounds; i += 7) {
        test_probe_order(i);
    }
}

/* A receive that nothing can match must end by being canceled, whatever its
 * wildcards, and must not touch its buffer */
static void test_cancel_unmatched(int i)
{
    int size     = pick_size(i), canceled;
    uint8_t *buf = guarded_alloc(size);
    MPI_Request req;
    MPI_Status st;

    set_where("cancel of an unmatched receive", size);
    MPI_Irecv(buf, size, MPI_BYTE, (i % 2) ? MPI_ANY_SOURCE : prev, TAG_NEVER,
              MPI_COMM_WORLD, &req);
    MPI_Cancel(&req);
    MPI_Wait(&req, &st);
    MPI_Test_cancelled(&st, &canceled);
    check_value("cancel", prev, canceled, 1);
    guarded_check(buf, 0, "cancel", prev);
    guarded_free(buf);
}

/* Races of a message and its receive's cancel: either wins, and the message is
 * received once, by that receive or by the next one */
static void test_cancel_race(int i)
{
    int size      = pick_size(i), canceled;
    uint8_t *sbuf = alloc(size), *rbuf = guarded_alloc(size);
    MPI_Request sreq, rreq;
    MPI_Status st;

    set_where("cancel race", size);
    fill(sbuf, size, make_key(36, rank, next, i), 0);
    MPI_Irecv(rbuf, size, MPI_BYTE, prev, i, MPI_COMM_WORLD, &rreq);
    tell(prev);
    wait_told(next);
    MPI_Isend(sbuf, size, MPI_BYTE, next, i, MPI_COMM_WORLD, &sreq);
    usleep(vmp_mix(opts.seed + rank + (1000 * (uint64_t)i)) % 2000);
    MPI_Cancel(&rreq);
    MPI_Wait(&rreq, &st);
    MPI_Test_cancelled(&st, &canceled);
    if (canceled) {
        MPI_Recv(rbuf, size, MPI_BYTE, prev, i, MPI_COMM_WORLD, &st);
    }
    check_received(rbuf, size, make_key(36, prev, rank, i), "cancel race",
                   &st);
    MPI_Wait(&sreq, MPI_STATUS_IGNORE);
    count_payload(rank, next, size);
    free(sbuf);
    guarded_free(rbuf);
}

/* A send is canceled or received, never both nor neither: what its receiver
 * saw has to be what its sender was told. A message of the same tag that is one
 * byte longer comes behind. Returns whether ours was canceled. */
static int test_cancel_send(int i)
{
    int size      = pick_size(i), canceled, received = 0, count, sent, sent_in;
    uint8_t *sbuf = alloc(size), *last = alloc(size + 1);
    uint8_t *rbuf = guarded_alloc(size + 1);
    MPI_Request req[2];
    MPI_Status st;

    set_where("cancel of a send", size);
    fill(sbuf, size, make_key(37, rank, next, i), 0);
    fill(last, size + 1, make_key(39, rank, next, i), 0);
    if (i % 2) {
        MPI_Isend(sbuf, size, MPI_BYTE, next, i, MPI_COMM_WORLD, &req[0]);
    } else {
        MPI_Issend(sbuf, size, MPI_BYTE, next, i, MPI_COMM_WORLD, &req[0]);
    }
    MPI_Cancel(&req[0]);
    MPI_Isend(last, size + 1, MPI_BYTE, next, i, MPI_COMM_WORLD, &req[1]);
    MPI_Recv(rbuf, size + 1, MPI_BYTE, prev, i, MPI_COMM_WORLD, &st);
    MPI_Get_count(&st, MPI_BYTE, &count);
    if (count == size) {
        received = 1;
        check(rbuf, size, make_key(37, prev, rank, i), 0, "cancel of a send",
              prev);
        check_value("behind a send to cancel", prev, rbuf[size], GUARD_BYTE);
        MPI_Recv(rbuf, size + 1, MPI_BYTE, prev, i, MPI_COMM_WORLD, &st);
    }
    check_received(rbuf, size + 1, make_key(39, prev, rank, i),
                   "after a send to cancel", &st);
    MPI_Wait(&req[0], &st);
    MPI_Test_cancelled(&st, &canceled);
    MPI_Wait(&req[1], MPI_STATUS_IGNORE);
    sent = !canceled;
    MPI_Sendrecv(&sent, 1, MPI_INT, next, TAG_READY, &sent_in, 1, MPI_INT, prev,
                 TAG_READY, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    check_value("message of a send to cancel", prev, received, sent_in);
    count_payload(rank, next, (size + 1) + (sent ? size : 0));
    free(sbuf);
    free(last);
    guarded_free(rbuf);
    return canceled;
}

void test_cancel(void)
{
    int i, canceled = 0, rounds = opts.quick ? 14 : 70;

    for (i = 0; i < rounds; ++i) {
        test_cancel_unmatched(i);
        test_cancel_race(i);
        canceled += test_cancel_send(i);
    }
    if (rank == 0) {
        printf("vmp_mpi_check: %d of %d sends were canceled\n", canceled,
               rounds);
    }
}

/* A message that is longer than its receive is an error of the receive alone:
 * the sender's ends, nothing is written behind the buffer, and what comes after
 * is well */
static void test_truncation_once(MPI_Comm comm, int i)
{
    int size      = MIN((size_t)2 + pick_size(i), opts.max_size);
    int room      = (i % 3) ? (size / 2) : (size - 1), how = (i / 7) % 3;
    uint8_t *sbuf = alloc(size), *rbuf = guarded_alloc(room);
    MPI_Request sreq, rreq;
    MPI_Status st;
    int ret, class = MPI_SUCCESS, index;

    set_where("truncation", size);
    fill(sbuf, size, make_key(38, rank, next, i), 0);
    if (how == 0) { /* the receive is there first */
        MPI_Irecv(rbuf, room, MPI_BYTE, prev, i, comm, &rreq);
        MPI_Barrier(MPI_COMM_WORLD);
    }
    MPI_Isend(sbuf, size, MPI_BYTE, next, i, comm, &sreq);
    if (how == 0) {
        ret = MPI_Wait(&rreq, &st);
    } else if (how == 1) {
        ret = MPI_Recv(rbuf, room, MPI_BYTE, prev, MPI_ANY_TAG, comm, &st);
    } else {
        MPI_Irecv(rbuf, room, MPI_BYTE, MPI_ANY_SOURCE, i, comm, &rreq);
        ret = MPI_Waitany(1, &rreq, &index, &st);
    }
    MPI_Error_class(ret, &class);
    check_value("truncation", prev, class, MPI_ERR_TRUNCATE);
    guarded_check(rbuf, room, "truncation", prev);
    check_value("truncated send", next, MPI_Wait(&sreq, MPI_STATUS_IGNORE),
                MPI_SUCCESS);

    MPI_Sendrecv(sbuf, room, MPI_BYTE, next, i, rbuf, room, MPI_BYTE, prev, i,
                 comm, &st);
    check_received(rbuf, room, make_key(38, prev, rank, i), "after truncation",
                   &st);
    count_payload(rank, next, room);
    free(sbuf);
    guarded_free(rbuf);
}

void test_truncation(void)
{
    int i, rounds = opts.quick ? 21 : 63;
    MPI_Comm comm;

    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    /* MPICH's MPI_Wait has forgotten of which communicator a receive was */
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    for (i = 0; i < rounds; ++i) {
        test_truncation_once(comm, i);
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
    MPI_Comm_free(&comm);
}
