/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/* Completion queues and channels, events of devices */

#include "fake_int.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>


/* 10 s */
#define FAKE_ACK_ROUNDS  10000


void fake_wait_acked(const unsigned *got, const unsigned *acked,
                     const char *what)
{
    static const struct timespec pause = {0, 1000000};
    unsigned i;

    for (i = 0; i < FAKE_ACK_ROUNDS; ++i) {
        fake_lock();
        if (*got == *acked) {
            fake_unlock();
            return;
        }
        fake_unlock();
        nanosleep(&pause, NULL);
    }
    fake_fault("%s is destroyed, events of which are not acknowledged", what);
}

struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *ib)
{
    fake_channel_t *channel = calloc(1, sizeof(*channel));

    channel->ib.context = ib;
    channel->ib.fd      = fake_fd_make();
    fake_lock();
    ++fake.count[FAKE_CHANNEL];
    fake_unlock();
    return &channel->ib;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *ib)
{
    if (ib->refcnt != 0) {
        fake_fault("a channel is destroyed, which CQs use");
    }

    fake_lock();
    --fake.count[FAKE_CHANNEL];
    fake_unlock();
    close(ib->fd);
    free(ib);
    return 0;
}

struct ibv_cq *ibv_create_cq(struct ibv_context *ib, int cqe, void *context,
                             struct ibv_comp_channel *channel, int vector)
{
    fake_cq_t *cq = calloc(1, sizeof(*cq));

    (void)vector;
    cq->ib.context    = ib;
    cq->ib.cq_context = context;
    cq->ib.channel    = channel;
    cq->ib.cqe        = cqe;
    cq->ring          = calloc((size_t)cqe, sizeof(*cq->ring));
    fake_lock();
    ++fake.count[FAKE_CQ];
    if (channel != NULL) {
        ++channel->refcnt;
    }
    fake_unlock();
    return &cq->ib;
}

/* The lock is held */
static void fake_channel_purge(fake_channel_t *channel, const fake_cq_t *cq)
{
    unsigned i, num = 0;

    for (i = 0; i < channel->num_ready; ++i) {
        if (channel->ready[i] != cq) {
            channel->ready[num++] = channel->ready[i];
        } else {
            fake_fd_take(channel->ib.fd);
        }
    }
    channel->num_ready = num;
}

int ibv_destroy_cq(struct ibv_cq *ib)
{
    fake_cq_t *cq = (fake_cq_t*)ib;

    fake_lock();
    if (cq->num_users != 0) {
        fake_fault("a CQ is destroyed, which %u QPs use", cq->num_users);
    }
    if (ib->channel != NULL) {
        fake_channel_purge((fake_channel_t*)ib->channel, cq);
    }
    fake_unlock();

    fake_wait_acked(&cq->num_got, &cq->num_acked, "a CQ");
    fake_lock();
    if (ib->channel != NULL) {
        --ib->channel->refcnt;
    }
    --fake.count[FAKE_CQ];
    fake_unlock();
    free(cq->ring);
    free(cq);
    return 0;
}

/* The lock is held */
static void fake_cq_event(fake_cq_t *cq)
{
    fake_channel_t *channel = (fake_channel_t*)cq->ib.channel;

    if (!cq->is_armed) {
        return;
    }

    cq->is_armed = 0;
    if (channel->num_ready == FAKE_MAX_EVENTS) {
        fake_fault("nobody reads the events of a channel");
    }
    channel->ready[channel->num_ready++] = cq;
    fake_fd_add(channel->ib.fd);
}

void fake_cq_push(fake_cq_t *cq, const fake_cqe_t *cqe)
{
    if (cq->tail - cq->head == (uint32_t)cq->ib.cqe) {
        fake_fault("a CQ of %d entries has overrun", cq->ib.cqe);
    }

    fake_copy(&cq->ring[cq->tail % (uint32_t)cq->ib.cqe], cqe, sizeof(*cqe));
    ++cq->tail;
    fake_cq_event(cq);
}

void fake_cq_purge(fake_cq_t *cq, const fake_qp_t *qp)
{
    uint32_t size = (uint32_t)cq->ib.cqe;
    uint32_t to   = cq->head;
    uint32_t i;

    for (i = cq->head; i != cq->tail; ++i) {
        if (cq->ring[i % size].qp == qp) {
            continue;
        }
        if (i != to) {
            fake_copy(&cq->ring[to % size], &cq->ring[i % size],
                      sizeof(*cq->ring));
        }
        ++to;
    }
    cq->tail = to;
}

int fake_poll_cq(struct ibv_cq *ib, int num, struct ibv_wc *wc)
{
    fake_cq_t *cq = (fake_cq_t*)ib;
    const fake_cqe_t *cqe;
    int count = 0;

    fake_lock();
    if (fake_is_failed(((fake_ctx_t*)ib->context)->dev)) {
        fake_unlock();
        return -1;
    }

    for (; (count < num) && (cq->head != cq->tail); ++cq->head, ++count) {
        cqe = &cq->ring[cq->head % (uint32_t)ib->cqe];
        fake_copy(&wc[count], &cqe->wc, sizeof(*wc));
        if (cqe->is_send) {
            cqe->qp->sq_free = cqe->sq_end;
        }
    }
    fake_unlock();
    return count;
}

/* Only completions that come later raise an event */
int fake_req_notify_cq(struct ibv_cq *ib, int solicited_only)
{
    (void)solicited_only;
    if (ib->channel == NULL) {
        fake_fault("events are asked for of a CQ without a channel");
    }

    fake_lock();
    ((fake_cq_t*)ib)->is_armed = 1;
    fake_unlock();
    return 0;
}

int ibv_get_cq_event(struct ibv_comp_channel *ib, struct ibv_cq **cq_p,
                     void **context_p)
{
    fake_channel_t *channel = (fake_channel_t*)ib;
    fake_cq_t *cq;
    unsigned i;

    fake_lock();
    if (fake_fd_take(ib->fd) != 0) {
        fake_unlock();
        errno = EAGAIN;
        return -1;
    }

    cq = channel->ready[0];
    for (i = 1; i < channel->num_ready; ++i) {
        channel->ready[i - 1] = channel->ready[i];
    }
    --channel->num_ready;
    ++cq->num_got;
    *cq_p      = &cq->ib;
    *context_p = cq->ib.cq_context;
    fake_unlock();
    return 0;
}

void ibv_ack_cq_events(struct ibv_cq *ib, unsigned num)
{
    fake_lock();
    ((fake_cq_t*)ib)->num_acked += num;
    fake_unlock();
}


/* Events of devices */

void fake_event_push(unsigned dev, enum ibv_event_type type, fake_qp_t *qp)
{
    fake_ctx_t *ctx;

    for (ctx = fake.contexts; ctx != NULL; ctx = ctx->next) {
        if ((ctx->dev != dev) ||
            ((qp != NULL) && (qp->ib.context != &ctx->ib))) {
            continue;
        }
        if (ctx->num_events == FAKE_MAX_EVENTS) {
            fake_fault("nobody reads the events of a device");
        }
        ctx->events[ctx->num_events].type = type;
        ctx->events[ctx->num_events].qp   = qp;
        ++ctx->num_events;
        fake_fd_add(ctx->ib.async_fd);
    }
}

void fake_event_purge(const fake_qp_t *qp)
{
    fake_ctx_t *ctx = (fake_ctx_t*)qp->ib.context;
    unsigned i, num = 0;

    for (i = 0; i < ctx->num_events; ++i) {
        if (ctx->events[i].qp != qp) {
            ctx->events[num++] = ctx->events[i];
        } else {
            fake_fd_take(ctx->ib.async_fd);
        }
    }
    ctx->num_events = num;
}

int ibv_get_async_event(struct ibv_context *ib, struct ibv_async_event *event)
{
    fake_ctx_t *ctx = (fake_ctx_t*)ib;
    fake_event_t *first = &ctx->events[0];
    unsigned i;

    fake_lock();
    if (fake_fd_take(ib->async_fd) != 0) {
        fake_unlock();
        errno = EAGAIN;
        return -1;
    }

    event->event_type = first->type;
    if (first->qp != NULL) {
        event->element.qp = &first->qp->ib;
        ++first->qp->num_got;
    } else {
        event->element.port_num = 1;
    }
    for (i = 1; i < ctx->num_events; ++i) {
        ctx->events[i - 1] = ctx->events[i];
    }
    --ctx->num_events;
    fake_unlock();
    return 0;
}

void ibv_ack_async_event(struct ibv_async_event *event)
{
    if (event->event_type == IBV_EVENT_QP_LAST_WQE_REACHED) {
        fake_lock();
        ++((fake_qp_t*)event->element.qp)->num_acked;
        fake_unlock();
    }
}

void fake_port_event(unsigned dev, int is_up)
{
    fake_lock();
    fake_event_push(dev, is_up ? IBV_EVENT_PORT_ACTIVE : IBV_EVENT_PORT_ERR,
                    NULL);
    fake_unlock();
}

void fake_fail(unsigned dev)
{
    fake_qp_t *qp;
    unsigned i;

    fake_lock();
    fake.failed |= 1u << dev;
    for (i = 0; i < FAKE_MAX_QPS; ++i) {
        qp = fake.qps[i];
        if ((qp != NULL) && (qp->dev == dev)) {
            qp->state = IBV_QPS_ERR;
            fake_cq_event((fake_cq_t*)qp->ib.send_cq);
            fake_cq_event((fake_cq_t*)qp->ib.recv_cq);
        }
    }
    fake_event_push(dev, IBV_EVENT_DEVICE_FATAL, NULL);
    fake_unlock();
}
