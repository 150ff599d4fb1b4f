/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * The thread that plays all NICs. In turns: each QP executes some packets of
 * what it has to send, and gets the acknowledgements of what its last turn
 * executed, if the link is not cut meanwhile.
 */

#include "fake_int.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>


#define NIC_PACKETS  4          /* a turn of a QP */
#define NIC_BATCH    16         /* QPs, until others get the lock */
#define NIC_IDLE_NS  1000000


typedef enum nic_result {
    NIC_DONE,
    NIC_SILENCE,                /* no answer: lost, or nobody is there */
    NIC_RNR,
    NIC_REM_ACCESS,
    NIC_LOC_PROT
} nic_result_t;


static pthread_t nic_thread;
static int       nic_stop;
static int       nic_work;      /* raised by kicks */


void fake_nic_kick(void)
{
    if (__atomic_exchange_n(&nic_work, 1, __ATOMIC_SEQ_CST) == 0) {
        syscall(SYS_futex, &nic_work, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

static int nic_is_alive(unsigned from, unsigned to, unsigned link)
{
    unsigned direction = (from < to) ? FAKE_TO_HIGHER :
                         (from > to) ? FAKE_TO_LOWER : FAKE_BOTH;

    return (fake.cut[link] & direction) == 0;
}

/* Bytes of a work request's local memory to or from elsewhere */
static nic_result_t nic_copy(const fake_qp_t *qp, fake_wr_t *wr,
                             uint32_t offset, uint8_t *mem, uint32_t length,
                             int is_read)
{
    int access = is_read ? IBV_ACCESS_LOCAL_WRITE : 0;
    uint32_t len;
    uint8_t *local;
    unsigned i;

    if (wr->flags & IBV_SEND_INLINE) {
        fake_copy(mem, wr->data + offset, length);
        return NIC_DONE;
    }

    for (i = 0; length > 0; ++i) {
        if (offset >= wr->sge[i].length) {
            offset -= wr->sge[i].length;
            continue;
        }

        len = wr->sge[i].length - offset;
        len = (len < length) ? len : length;
        if (!fake_mr_check(qp->dev, wr->sge[i].lkey, wr->sge[i].addr + offset,
                           len, access)) {
            return NIC_LOC_PROT;
        }

        local = (uint8_t*)(uintptr_t)wr->sge[i].addr + offset;
        fake_copy(is_read ? local : mem, is_read ? mem : local, len);
        mem    += len;
        length -= len;
        offset  = 0;
    }
    return NIC_DONE;
}

/* A message into the next receive buffer, `head` bytes from its start */
static nic_result_t nic_deliver(const fake_qp_t *qp, fake_wr_t *wr,
                                fake_qp_t *dest, fake_rq_t *rq, uint32_t head)
{
    fake_cqe_t cqe = {
        .wc = { .status   = IBV_WC_SUCCESS,
                .opcode   = IBV_WC_RECV,
                .byte_len = wr->length + head,
                .qp_num   = dest->ib.qp_num },
        .qp = dest
    };
    const struct ibv_sge *sge;
    nic_result_t result;

    if (rq->head == rq->tail) {
        return NIC_RNR;
    }

    sge = &rq->sge[rq->head % rq->depth];
    if ((sge->length < wr->length + head) ||
        !fake_mr_check(dest->dev, sge->lkey, sge->addr, wr->length + head,
                       IBV_ACCESS_LOCAL_WRITE)) {
        fake_fault("a message of %u bytes meets a receive buffer of %u, or one "
                   "that is not registered", wr->length, sge->length);
    }

    result = nic_copy(qp, wr, 0, (uint8_t*)(uintptr_t)sge->addr + head,
                      wr->length, 0);
    if (result == NIC_DONE) {
        cqe.wc.wr_id = rq->ring[rq->head++ % rq->depth].wr_id;
        fake_cq_push((fake_cq_t*)dest->ib.recv_cq, &cqe);
    }
    return result;
}

/* One packet of a write or read */
static nic_result_t nic_rdma(const fake_qp_t *qp, fake_wr_t *wr,
                             const fake_qp_t *dest)
{
    int is_read     = (wr->opcode == IBV_WR_RDMA_READ);
    uint32_t offset = wr->done * qp->mtu;
    uint32_t length = wr->length - offset;
    uint64_t addr   = wr->remote_addr + offset;

    length = (length < qp->mtu) ? length : qp->mtu;
    if (!fake_mr_check(dest->dev, wr->rkey, addr, length,
                       is_read ? IBV_ACCESS_REMOTE_READ :
                                 IBV_ACCESS_REMOTE_WRITE)) {
        return NIC_REM_ACCESS;
    }
    return nic_copy(qp, wr, offset, (uint8_t*)(uintptr_t)addr, length, is_read);
}

/* The next packet of a work request, or a message as a whole */
static nic_result_t nic_execute(fake_qp_t *qp, fake_wr_t *wr)
{
    fake_qp_t *dest = (qp->peer_qpn < FAKE_MAX_QPS) ? fake.qps[qp->peer_qpn] :
                                                      NULL;
    uint32_t psn    = (wr->psn + wr->done) & 0xffffff;
    uint32_t num    = (wr->opcode == IBV_WR_SEND) ? wr->num_packets : 1;
    nic_result_t result;

    if (!nic_is_alive(qp->dev, qp->peer_dev, qp->link) || (dest == NULL) ||
        (dest->dev != qp->peer_dev) || (dest->ib.qp_type != IBV_QPT_RC) ||
        ((dest->state != IBV_QPS_RTR) && (dest->state != IBV_QPS_RTS)) ||
        (dest->peer_qpn != qp->ib.qp_num) || (dest->peer_dev != qp->dev)) {
        return NIC_SILENCE;
    }

    /* A read whose answer was lost is executed again */
    if ((psn != dest->epsn) && ((wr->opcode != IBV_WR_RDMA_READ) ||
        (((psn + 1) & 0xffffff) != dest->epsn))) {
        return NIC_SILENCE;
    }

    if ((wr->opcode == IBV_WR_RDMA_READ) &&
        !nic_is_alive(qp->peer_dev, qp->dev, qp->link)) {
        dest->epsn = (psn + 1) & 0xffffff;
        return NIC_SILENCE;
    }

    result = (wr->opcode == IBV_WR_SEND) ?
             nic_deliver(qp, wr, dest, &((fake_srq_t*)dest->ib.srq)->rq, 0) :
             nic_rdma(qp, wr, dest);
    if (result == NIC_DONE) {
        dest->epsn = (psn + num) & 0xffffff;
        wr->done  += num;
    } else if (result == NIC_REM_ACCESS) {
        fake_qp_fail(dest, IBV_WC_WR_FLUSH_ERR);
    }
    return result;
}

/* Return whether anything happened */
static int nic_rc(fake_qp_t *qp)
{
    uint32_t ack        = qp->sq_ack;
    nic_result_t result = NIC_DONE;
    unsigned i, num     = 0;
    fake_wr_t *wr;

    if ((qp->sq_sent != qp->sq_ack) &&
        nic_is_alive(qp->peer_dev, qp->dev, qp->link)) {
        while (qp->sq_ack != qp->sq_sent) {
            fake_qp_complete(qp, IBV_WC_SUCCESS);
        }
    }

    for (i = 0; (i < NIC_PACKETS) && (qp->sq_exec != qp->sq_tail) &&
                (result == NIC_DONE); ++i) {
        wr     = &qp->sq[qp->sq_exec % qp->cap.max_send_wr];
        result = nic_execute(qp, wr);
        num   += (result == NIC_DONE);
        if (wr->done == wr->num_packets) {
            ++qp->sq_exec;
        }
    }
    qp->sq_sent = qp->sq_exec;

    if ((result == NIC_REM_ACCESS) || (result == NIC_LOC_PROT)) {
        while (qp->sq_ack != qp->sq_exec) {
            fake_qp_complete(qp, IBV_WC_SUCCESS);
        }
        fake_qp_fail(qp, (result == NIC_REM_ACCESS) ? IBV_WC_REM_ACCESS_ERR :
                                                      IBV_WC_LOC_PROT_ERR);
        return 1;
    }

    if ((num > 0) || (qp->sq_ack != ack)) {
        qp->stalled = 0;
        return 1;
    }

    /* RNR is an answer */
    if ((qp->sq_ack == qp->sq_tail) || (result == NIC_RNR)) {
        qp->stalled = 0;
    } else if (qp->stalled == 0) {
        qp->stalled = fake_now();
    } else if ((qp->rto != 0) && (fake_now() - qp->stalled > qp->rto)) {
        fake_qp_fail(qp, IBV_WC_RETRY_EXC_ERR);
    }
    return 0;
}

static void nic_datagram(fake_qp_t *qp, fake_wr_t *wr)
{
    fake_qp_t *dest = (wr->remote_qpn < FAKE_MAX_QPS) ?
                      fake.qps[wr->remote_qpn] : NULL;

    if (!nic_is_alive(qp->dev, wr->ah->dev, wr->ah->link) || (dest == NULL) ||
        (dest->dev != wr->ah->dev) || (dest->ib.qp_type != IBV_QPT_UD) ||
        ((dest->state != IBV_QPS_RTR) && (dest->state != IBV_QPS_RTS)) ||
        (dest->qkey != wr->qkey) ||
        ((fake_random() % 1000) < fake.lost_permille)) {
        return;
    }
    (void)nic_deliver(qp, wr, dest, &dest->rq, FAKE_GRH);
}

static int nic_ud(fake_qp_t *qp)
{
    int num = 0;

    for (; qp->sq_ack != qp->sq_tail; ++num) {
        nic_datagram(qp, &qp->sq[qp->sq_ack % qp->cap.max_send_wr]);
        fake_qp_complete(qp, IBV_WC_SUCCESS);
    }
    return num;
}

static int nic_turn(void)
{
    int num = 0;
    unsigned i, j;
    fake_qp_t *qp;

    for (i = 0; i < FAKE_MAX_QPS; i += NIC_BATCH) {
        fake_lock();
        for (j = i; j < i + NIC_BATCH; ++j) {
            qp = fake.qps[j];
            if (qp == NULL) {
                continue;
            }

            if (qp->is_last) {
                qp->is_last = 0;
                fake_event_push(qp->dev, IBV_EVENT_QP_LAST_WQE_REACHED, qp);
            }
            if (qp->state == IBV_QPS_RTS) {
                num += (qp->ib.qp_type == IBV_QPT_RC) ? nic_rc(qp) :
                                                        nic_ud(qp);
            }
        }
        fake_unlock();
    }
    return num;
}

static void *nic_main(void *arg)
{
    static const struct timespec timeout = {0, NIC_IDLE_NS};

    (void)arg;
    while (!__atomic_load_n(&nic_stop, __ATOMIC_ACQUIRE)) {
        __atomic_store_n(&nic_work, 0, __ATOMIC_SEQ_CST);
        if (nic_turn() == 0) {
            syscall(SYS_futex, &nic_work, FUTEX_WAIT_PRIVATE, 0, &timeout,
                    NULL, 0);
        }
    }
    return NULL;
}

void fake_begin(uint64_t seed)
{
    fake_devs_init();
    fake.random = seed;
    nic_stop    = 0;
    if (pthread_create(&nic_thread, NULL, nic_main, NULL) != 0) {
        fake_fault("no thread for the NICs");
    }
}

void fake_end(void)
{
    __atomic_store_n(&nic_stop, 1, __ATOMIC_RELEASE);
    (void)pthread_join(nic_thread, NULL);
}


/* Faults */

void fake_cut(unsigned link, unsigned directions)
{
    fake_lock();
    fake.cut[link] |= directions;
    fake_unlock();
}

void fake_heal(void)
{
    fake_lock();
    memset(fake.cut, 0, sizeof(fake.cut));
    fake.lost_permille = 0;
    fake_unlock();
}

int fake_break(void)
{
    unsigned i, first;
    fake_qp_t *qp = NULL;

    fake_lock();
    first = (unsigned)(fake_random() % FAKE_MAX_QPS);
    for (i = 0; i < FAKE_MAX_QPS; ++i) {
        qp = fake.qps[(first + i) % FAKE_MAX_QPS];
        if ((qp != NULL) && (qp->ib.qp_type == IBV_QPT_RC) &&
            (qp->state == IBV_QPS_RTS)) {
            fake_qp_fail(qp, IBV_WC_RETRY_EXC_ERR);
            break;
        }
    }
    fake_unlock();
    return i < FAKE_MAX_QPS;
}

void fake_lose_datagrams(unsigned permille)
{
    fake_lock();
    fake.lost_permille = permille;
    fake_unlock();
}
