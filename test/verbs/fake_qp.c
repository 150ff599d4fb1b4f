/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/* Queue pairs and receive queues */

#include "fake_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>


static void fake_rq_init(fake_rq_t *rq, uint32_t depth)
{
    rq->depth = depth;
    rq->ring  = calloc(depth, sizeof(*rq->ring));
    rq->sge   = calloc(depth, sizeof(*rq->sge));
}

static void fake_rq_cleanup(fake_rq_t *rq)
{
    free(rq->ring);
    free(rq->sge);
}

static int fake_rq_post(fake_rq_t *rq, const struct ibv_recv_wr *wr)
{
    uint32_t slot;
    int ret = 0;

    for (; wr != NULL; wr = wr->next) {
        if (rq->tail - rq->head == rq->depth) {
            ret = ENOMEM;
            break;
        }

        if (wr->num_sge != 1) {
            fake_fault("a receive of %d pieces", wr->num_sge);
        }
        slot                 = rq->tail++ % rq->depth;
        rq->ring[slot].wr_id = wr->wr_id;
        rq->sge[slot].addr   = wr->sg_list->addr;
        rq->sge[slot].length = wr->sg_list->length;
        rq->sge[slot].lkey   = wr->sg_list->lkey;
    }
    return ret;
}

struct ibv_srq *ibv_create_srq(struct ibv_pd *pd,
                               struct ibv_srq_init_attr *attr)
{
    fake_srq_t *srq = calloc(1, sizeof(*srq));

    srq->ib.context = pd->context;
    srq->ib.pd      = pd;
    fake_rq_init(&srq->rq, attr->attr.max_wr);
    fake_lock();
    ++fake.count[FAKE_SRQ];
    fake_unlock();
    return &srq->ib;
}

int ibv_destroy_srq(struct ibv_srq *ib)
{
    fake_srq_t *srq = (fake_srq_t*)ib;

    fake_lock();
    if (srq->num_users != 0) {
        fake_fault("an SRQ is destroyed, which %u QPs use", srq->num_users);
    }
    --fake.count[FAKE_SRQ];
    fake_unlock();
    fake_rq_cleanup(&srq->rq);
    free(srq);
    return 0;
}

int fake_post_srq_recv(struct ibv_srq *ib, struct ibv_recv_wr *wr,
                       struct ibv_recv_wr **bad_wr)
{
    int ret;

    fake_lock();
    ret = fake_rq_post(&((fake_srq_t*)ib)->rq, wr);
    fake_nic_kick();
    fake_unlock();
    *bad_wr = wr;
    return ret;
}

int fake_post_recv(struct ibv_qp *ib, struct ibv_recv_wr *wr,
                   struct ibv_recv_wr **bad_wr)
{
    fake_qp_t *qp = (fake_qp_t*)ib;
    int ret       = EINVAL;

    fake_lock();
    if ((qp->state != IBV_QPS_RESET) && (qp->rq.ring != NULL)) {
        ret = fake_rq_post(&qp->rq, wr);
    }
    fake_unlock();
    *bad_wr = wr;
    return ret;
}

/* Return -1: there is no number */
static int fake_qp_enter(fake_qp_t *qp)
{
    uint32_t qpn;

    /* Numbers are used again at once */
    for (qpn = FAKE_FIRST_QPN; qpn < FAKE_MAX_QPS; ++qpn) {
        if (fake.qps[qpn] == NULL) {
            break;
        }
    }
    if (qpn == FAKE_MAX_QPS) {
        return -1;
    }

    qp->ib.qp_num  = qpn;
    fake.qps[qpn]  = qp;
    ++fake.count[FAKE_QP];
    ++((fake_cq_t*)qp->ib.send_cq)->num_users;
    ++((fake_cq_t*)qp->ib.recv_cq)->num_users;
    if (qp->ib.srq != NULL) {
        ++((fake_srq_t*)qp->ib.srq)->num_users;
    }
    return 0;
}

static void fake_qp_free(fake_qp_t *qp)
{
    fake_rq_cleanup(&qp->rq);
    free(qp->sq);
    free(qp);
}

struct ibv_qp *ibv_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
    fake_qp_t *qp;
    int ret;

    if ((attr->cap.max_inline_data > FAKE_MAX_INLINE) ||
        (attr->cap.max_send_sge > FAKE_MAX_SGE)) {
        errno = EINVAL;
        return NULL;
    }

    qp             = calloc(1, sizeof(*qp));
    qp->ib.context = pd->context;
    qp->ib.pd      = pd;
    qp->ib.send_cq = attr->send_cq;
    qp->ib.recv_cq = attr->recv_cq;
    qp->ib.srq     = attr->srq;
    qp->ib.qp_type = attr->qp_type;
    qp->cap        = attr->cap;
    qp->dev        = ((fake_ctx_t*)pd->context)->dev;
    qp->sig_all    = attr->sq_sig_all;
    qp->state      = IBV_QPS_RESET;
    qp->sq         = calloc(attr->cap.max_send_wr, sizeof(*qp->sq));
    if (attr->srq == NULL) {
        fake_rq_init(&qp->rq, attr->cap.max_recv_wr);
    }

    fake_lock();
    ret = fake_is_failed(qp->dev) ? -1 : fake_qp_enter(qp);
    fake_unlock();
    if (ret != 0) {
        fake_qp_free(qp);
        errno = ENOMEM;
        return NULL;
    }
    return &qp->ib;
}

int ibv_destroy_qp(struct ibv_qp *ib)
{
    fake_qp_t *qp = (fake_qp_t*)ib;

    fake_lock();
    fake.qps[ib->qp_num] = NULL;
    --fake.count[FAKE_QP];
    fake_cq_purge((fake_cq_t*)ib->send_cq, qp);
    fake_cq_purge((fake_cq_t*)ib->recv_cq, qp);
    fake_event_purge(qp);
    --((fake_cq_t*)ib->send_cq)->num_users;
    --((fake_cq_t*)ib->recv_cq)->num_users;
    if (ib->srq != NULL) {
        --((fake_srq_t*)ib->srq)->num_users;
    }
    fake_unlock();

    fake_wait_acked(&qp->num_got, &qp->num_acked, "a QP");
    fake_qp_free(qp);
    return 0;
}

void fake_qp_complete(fake_qp_t *qp, enum ibv_wc_status status)
{
    const fake_wr_t *wr = &qp->sq[qp->sq_ack % qp->cap.max_send_wr];
    fake_cqe_t cqe      = {
        .wc      = { .wr_id  = wr->wr_id,
                     .status = status,
                     .qp_num = qp->ib.qp_num },
        .qp      = qp,
        .sq_end  = ++qp->sq_ack,
        .is_send = 1
    };

    if ((int32_t)(qp->sq_exec - qp->sq_ack) < 0) {
        qp->sq_exec = qp->sq_ack;
    }
    if ((status != IBV_WC_SUCCESS) || (wr->flags & IBV_SEND_SIGNALED) ||
        qp->sig_all) {
        fake_cq_push((fake_cq_t*)qp->ib.send_cq, &cqe);
    }
}

static void fake_qp_flush(fake_qp_t *qp)
{
    fake_cqe_t cqe = {
        .wc = { .status = IBV_WC_WR_FLUSH_ERR, .qp_num = qp->ib.qp_num },
        .qp = qp
    };
    fake_rq_t *rq = &qp->rq;

    while (qp->sq_ack != qp->sq_tail) {
        fake_qp_complete(qp, IBV_WC_WR_FLUSH_ERR);
    }

    while (rq->head != rq->tail) {
        cqe.wc.wr_id = rq->ring[rq->head++ % rq->depth].wr_id;
        fake_cq_push((fake_cq_t*)qp->ib.recv_cq, &cqe);
    }
}

void fake_qp_fail(fake_qp_t *qp, enum ibv_wc_status status)
{
    if (qp->state == IBV_QPS_ERR) {
        return;
    }

    qp->state   = IBV_QPS_ERR;
    qp->is_last = (qp->ib.srq != NULL);
    qp->stalled = 0;
    if ((status != IBV_WC_WR_FLUSH_ERR) && (qp->sq_ack != qp->sq_tail)) {
        fake_qp_complete(qp, status);
    }
    fake_qp_flush(qp);
    fake_nic_kick();
}

static void fake_qp_reset(fake_qp_t *qp)
{
    fake_cq_purge((fake_cq_t*)qp->ib.send_cq, qp);
    fake_cq_purge((fake_cq_t*)qp->ib.recv_cq, qp);
    qp->state   = IBV_QPS_RESET;
    qp->sq_free = qp->sq_ack = qp->sq_exec = qp->sq_sent = qp->sq_tail = 0;
    qp->rq.head = qp->rq.tail = 0;
    qp->stalled = 0;
    qp->is_last = 0;
}

static void fake_qp_to_rtr(fake_qp_t *qp, const struct ibv_qp_attr *attr)
{
    qp->peer_dev = fake_gid_dev(&attr->ah_attr.grh.dgid);
    qp->peer_qpn = attr->dest_qp_num;
    qp->link     = fake_label_link(attr->ah_attr.grh.flow_label);
    qp->mtu      = 128u << attr->path_mtu;
    qp->epsn     = attr->rq_psn;
}

static void fake_qp_to_rts(fake_qp_t *qp, const struct ibv_qp_attr *attr)
{
    qp->next_psn = attr->sq_psn;
    qp->rto      = (attr->timeout == 0) ? 0 :
                   ((4096ul << attr->timeout) * (attr->retry_cnt + 1ul));
}

/* Return 0 or errno */
static int fake_qp_modify(fake_qp_t *qp, const struct ibv_qp_attr *attr,
                          int mask)
{
    static const int rtr_mask = IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
                                IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
                                IBV_QP_MIN_RNR_TIMER;
    static const int rts_mask = IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
                                IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
                                IBV_QP_MAX_QP_RD_ATOMIC;
    int is_rc = (qp->ib.qp_type == IBV_QPT_RC);

    if (!(mask & IBV_QP_STATE)) {
        return EINVAL;
    }

    if (attr->qp_state == IBV_QPS_ERR) {
        fake_qp_fail(qp, IBV_WC_WR_FLUSH_ERR);
    } else if (attr->qp_state == IBV_QPS_RESET) {
        fake_qp_reset(qp);
    } else if ((attr->qp_state == IBV_QPS_INIT) &&
               (qp->state == IBV_QPS_RESET)) {
        qp->qkey  = (mask & IBV_QP_QKEY) ? attr->qkey : 0;
        qp->state = IBV_QPS_INIT;
    } else if ((attr->qp_state == IBV_QPS_RTR) &&
               (qp->state == IBV_QPS_INIT) &&
               (!is_rc || ((mask & rtr_mask) == rtr_mask))) {
        if (is_rc) {
            fake_qp_to_rtr(qp, attr);
        }
        qp->state = IBV_QPS_RTR;
    } else if ((attr->qp_state == IBV_QPS_RTS) && (qp->state == IBV_QPS_RTR) &&
               (!is_rc || ((mask & rts_mask) == rts_mask))) {
        if (is_rc) {
            fake_qp_to_rts(qp, attr);
        }
        qp->state = IBV_QPS_RTS;
    } else {
        return EINVAL;
    }
    return 0;
}

int ibv_modify_qp(struct ibv_qp *ib, struct ibv_qp_attr *attr, int mask)
{
    int ret;

    fake_lock();
    ret = fake_is_failed(((fake_qp_t*)ib)->dev) ? EIO :
          fake_qp_modify((fake_qp_t*)ib, attr, mask);
    fake_unlock();
    return ret;
}

int ibv_query_qp(struct ibv_qp *ib, struct ibv_qp_attr *attr, int mask,
                 struct ibv_qp_init_attr *init_attr)
{
    fake_qp_t *qp = (fake_qp_t*)ib;

    (void)mask;
    memset(init_attr, 0, sizeof(*init_attr));
    memset(attr, 0, sizeof(*attr));
    fake_lock();
    attr->qp_state = qp->state;
    attr->rq_psn   = qp->epsn;
    fake_unlock();
    return 0;
}

static void fake_wr_gather(fake_wr_t *to, const struct ibv_send_wr *wr)
{
    uint32_t used = 0;
    int i;

    to->num_sge = (unsigned)wr->num_sge;
    to->length  = 0;
    for (i = 0; i < wr->num_sge; ++i) {
        to->sge[i].addr   = wr->sg_list[i].addr;
        to->sge[i].length = wr->sg_list[i].length;
        to->sge[i].lkey   = wr->sg_list[i].lkey;
        to->length       += wr->sg_list[i].length;
    }

    if (!(wr->send_flags & IBV_SEND_INLINE)) {
        return;
    }
    if (to->length > FAKE_MAX_INLINE) {
        fake_fault("%u bytes inline", to->length);
    }
    for (i = 0; i < wr->num_sge; ++i) {
        fake_copy(to->data + used, (void*)(uintptr_t)to->sge[i].addr,
                  to->sge[i].length);
        used += to->sge[i].length;
    }
}

static void fake_wr_make(fake_qp_t *qp, fake_wr_t *to,
                         const struct ibv_send_wr *wr)
{
    if (wr->num_sge > (int)qp->cap.max_send_sge) {
        fake_fault("%d pieces in a send", wr->num_sge);
    }

    to->wr_id  = wr->wr_id;
    to->opcode = wr->opcode;
    to->flags  = wr->send_flags;
    to->done   = 0;
    fake_wr_gather(to, wr);
    if (qp->ib.qp_type == IBV_QPT_UD) {
        to->ah         = (fake_ah_t*)wr->wr.ud.ah;
        to->remote_qpn = wr->wr.ud.remote_qpn;
        to->qkey       = wr->wr.ud.remote_qkey;
        return;
    }

    if (wr->opcode != IBV_WR_SEND) {
        to->remote_addr = wr->wr.rdma.remote_addr;
        to->rkey        = wr->wr.rdma.rkey;
    }
    /* Not known before RTS, but nobody posts then */
    to->num_packets = (to->length == 0) ? 1 :
                      ((to->length + qp->mtu - 1) / qp->mtu);
    to->psn         = qp->next_psn;
    qp->next_psn    = (qp->next_psn + to->num_packets) & 0xffffff;
}

int fake_post_send(struct ibv_qp *ib, struct ibv_send_wr *wr,
                   struct ibv_send_wr **bad_wr)
{
    fake_qp_t *qp = (fake_qp_t*)ib;
    int ret       = 0;

    fake_lock();
    if (wr->next != NULL) {
        fake_fault("a list of sends");
    }

    if (fake_is_failed(qp->dev)) {
        ret = EIO;
    } else if ((qp->state != IBV_QPS_RTS) && (qp->state != IBV_QPS_ERR)) {
        ret = EINVAL;
    } else if (qp->sq_tail - qp->sq_free == qp->cap.max_send_wr) {
        ret = ENOMEM;
    } else {
        fake_wr_make(qp, &qp->sq[qp->sq_tail % qp->cap.max_send_wr], wr);
        ++qp->sq_tail;
        if (qp->state == IBV_QPS_ERR) {
            fake_qp_flush(qp);
        }
        fake_nic_kick();
    }
    fake_unlock();
    *bad_wr = wr;
    return ret;
}
