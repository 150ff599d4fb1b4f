/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_mpi_check.h"

#define STORM_WINDOW 64


/* One message at a time round the ring: odd ranks break the cycle */
void test_blocking(void)
{
    int i, mode, turn;
    uint8_t *sbuf, *rbuf;
    const char *op;
    MPI_Status st;
    int count;

    for (i = 0; i < num_sizes; ++i) {
        mode = i % 3;
        op   = (mode == 0) ? "send" : (mode == 1) ? "ssend" : "sendrecv";
        set_where(op, sizes[i]);
        sbuf = alloc(sizes[i]);
        rbuf = guarded_alloc(sizes[i]);
        fill(sbuf, sizes[i], make_key(1, rank, next, i), 0);
        count_payload(rank, next, sizes[i]);
        if (mode == 2) {
            MPI_Sendrecv(sbuf, sizes[i], MPI_BYTE, next, i, rbuf, sizes[i],
                         MPI_BYTE, prev, i, MPI_COMM_WORLD, &st);
        } else {
            for (turn = 0; turn < 2; ++turn) {
                if (turn != (rank % 2)) {
                    MPI_Recv(rbuf, sizes[i], MPI_BYTE, prev, i, MPI_COMM_WORLD,
                             &st);
                } else if (mode == 0) {
                    MPI_Send(sbuf, sizes[i], MPI_BYTE, next, i, MPI_COMM_WORLD);
                } else {
                    MPI_Ssend(sbuf, sizes[i], MPI_BYTE, next, i,
                              MPI_COMM_WORLD);
                }
            }
        }
        MPI_Get_count(&st, MPI_BYTE, &count);
        check_value(op, prev, count, sizes[i]);
        check(rbuf, sizes[i], make_key(1, prev, rank, i), 0, op, prev);
        guarded_check(rbuf, sizes[i], op, prev);
        free(sbuf);
        guarded_free(rbuf);
    }
}

/* Batches in both directions to both neighbours at once; the receives of every
 * other batch are posted late and in reverse, so that messages come unexpected
 * and out of the order of the receives */
void test_nonblocking(void)
{
    enum { BATCH = 6 };
    MPI_Request req[4 * BATCH];
    uint8_t *sbuf[2 * BATCH], *rbuf[2 * BATCH];
    int peers[2] = {next, prev};
    int first, n, i, j, k, late, num_req;
    const char *op;

    for (first = 0; first < num_sizes; first += BATCH) {
        n       = MIN(BATCH, num_sizes - first);
        late    = (first / BATCH) % 2;
        op      = late ? "isend unexpected" : "isend/irecv";
        num_req = 0;
        set_where(op, sizes[first]);
        for (k = 0; k < 2; ++k) {
            for (i = 0; i < n; ++i) {
                j       = (k * BATCH) + i;
                sbuf[j] = alloc(sizes[first + i]);
                rbuf[j] = guarded_alloc(sizes[first + i]);
                fill(sbuf[j], sizes[first + i],
                     make_key(2 + k, rank, peers[k], first + i), 0);
                count_payload(rank, peers[k], sizes[first + i]);
                if (!late) {
                    /* direction k of the peer comes from its other side */
                    MPI_Irecv(rbuf[j], sizes[first + i], MPI_BYTE, peers[!k],
                              (k * 1000) + i, MPI_COMM_WORLD, &req[num_req++]);
                }
            }
        }
        for (k = 0; k < 2; ++k) {
            for (i = 0; i < n; ++i) {
                MPI_Isend(sbuf[(k * BATCH) + i], sizes[first + i], MPI_BYTE,
                          peers[k], (k * 1000) + i, MPI_COMM_WORLD,
                          &req[num_req++]);
            }
        }
        if (late) {
            usleep(2000);
            for (k = 1; k >= 0; --k) {
                for (i = n - 1; i >= 0; --i) {
                    MPI_Irecv(rbuf[(k * BATCH) + i], sizes[first + i], MPI_BYTE,
                              peers[!k], (k * 1000) + i, MPI_COMM_WORLD,
                              &req[num_req++]);
                }
            }
        }
        MPI_Waitall(num_req, req, MPI_STATUSES_IGNORE);
        for (k = 0; k < 2; ++k) {
            for (i = 0; i < n; ++i) {
                j = (k * BATCH) + i;
                check(rbuf[j], sizes[first + i],
                      make_key(2 + k, peers[!k], rank, first + i), 0, op,
                      peers[!k]);
                guarded_check(rbuf[j], sizes[first + i], op, peers[!k]);
                free(sbuf[j]);
                guarded_free(rbuf[j]);
            }
        }
    }
}

/* Everybody sends to one rank, which finds out by (matched) probes what came */
void test_wildcards(void)
{
    int step = opts.quick ? 3 : 2;
    int i, k, root, count;
    MPI_Message msg;
    MPI_Status st;
    uint8_t *buf;

    for (i = 0; i < num_sizes; i += step) {
        root = (i / step) % nprocs;
        set_where("any_source", sizes[i]);
        if (rank != root) {
            buf = alloc(sizes[i]);
            fill(buf, sizes[i], make_key(4, rank, root, i), 0);
            count_payload(rank, root, sizes[i]);
            MPI_Send(buf, sizes[i], MPI_BYTE, root, i, MPI_COMM_WORLD);
            free(buf);
            continue;
        }
        for (k = 0; k < (nprocs - 1); ++k) {
            if (k % 2) {
                MPI_Probe(MPI_ANY_SOURCE, i, MPI_COMM_WORLD, &st);
            } else {
                MPI_Mprobe(MPI_ANY_SOURCE, i, MPI_COMM_WORLD, &msg, &st);
            }
            MPI_Get_count(&st, MPI_BYTE, &count);
            check_value("any_source", st.MPI_SOURCE, count, sizes[i]);
            buf = guarded_alloc(count);
            if (k % 2) {
                MPI_Recv(buf, count, MPI_BYTE, st.MPI_SOURCE, MPI_ANY_TAG,
                         MPI_COMM_WORLD, &st);
            } else {
                MPI_Mrecv(buf, count, MPI_BYTE, &msg, &st);
            }
            check_value("any_tag", st.MPI_SOURCE, st.MPI_TAG, i);
            check(buf, count, make_key(4, st.MPI_SOURCE, root, i), 0,
                  "any_source", st.MPI_SOURCE);
            guarded_check(buf, count, "any_source", st.MPI_SOURCE);
            guarded_free(buf);
        }
    }
}

/* Many small messages from every rank to its successor, all with one tag and
 * received with wildcards: MPI promises their order */
static void test_storm(uint64_t storm, size_t max_size, int num_msgs)
{
    static uint8_t sbuf[STORM_WINDOW][2048], rbuf[STORM_WINDOW][2048];
    MPI_Request sreq[STORM_WINDOW], rreq[STORM_WINDOW];
    int i, n, slot, first, count;
    uint64_t key;
    size_t size;
    MPI_Status st[STORM_WINDOW];

    set_where("storm", max_size);
    for (first = 0; first < num_msgs; first += STORM_WINDOW) {
        n = MIN(STORM_WINDOW, num_msgs - first);
        for (slot = 0; slot < n; ++slot) {
            i    = first + slot;
            key  = make_key(storm, rank, next, i);
            size = vmp_mix(key) % (max_size + 1);
            fill(sbuf[slot], size, key, 0);
            count_payload(rank, next, size);
            MPI_Isend(sbuf[slot], size, MPI_BYTE, next, 7, MPI_COMM_WORLD,
                      &sreq[slot]);
        }
        for (slot = 0; slot < n; ++slot) {
            MPI_Irecv(rbuf[slot], sizeof(rbuf[slot]), MPI_BYTE, MPI_ANY_SOURCE,
                      MPI_ANY_TAG, MPI_COMM_WORLD, &rreq[slot]);
        }
        MPI_Waitall(n, rreq, st);
        MPI_Waitall(n, sreq, MPI_STATUSES_IGNORE);
        for (slot = 0; slot < n; ++slot) {
            i    = first + slot;
            key  = make_key(storm, prev, rank, i);
            size = vmp_mix(key) % (max_size + 1);
            check_value("storm source", prev, st[slot].MPI_SOURCE, prev);
            MPI_Get_count(&st[slot], MPI_BYTE, &count);
            check_value("storm order", prev, count, size);
            check(rbuf[slot], size, key, 0, "storm order", prev);
        }
    }
}

void test_storms(void)
{
    test_storm(5, 32, opts.quick ? 512 : 4096);
    test_storm(6, 2048, opts.quick ? 256 : 2048);
}
