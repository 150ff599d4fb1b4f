/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "fake_port_int.h"

#include <string.h>

#define FAKE_CTL_DELAY  2000            /* ns */


/* QPs ---------------------------------------------------------------------- */

vmp_port_qp_t *vmp_port_qp_create(vmp_port_t *port, unsigned rail)
{
    vmp_port_qp_t *qp = calloc(1, sizeof(*qp));

    VMP_CHECK((qp != NULL) && (rail == 0));
    qp->port   = port;
    qp->qpn    = fake_next_qpn();
    qp->tail   = &qp->head;
    qp->delay  = fake_conf.delay + (fake_conf.delay_step * port->num_qps++);
    qp->jitter = fake_conf.jitter;
    qp->next   = port->qps;
    port->qps  = qp;
    return qp;
}

uint32_t vmp_port_qp_num(const vmp_port_qp_t *qp)
{
    return qp->qpn;
}

int vmp_port_qp_connect(vmp_port_qp_t *qp, const vmp_port_qp_remote_t *remote)
{
    qp->remote       = *remote;
    qp->is_connected = 1;
    return 0;
}

static void fake_wr_end(vmp_port_qp_t *qp, vmp_wc_status_t status)
{
    fake_wr_t *wr = qp->head;
    vmp_wc_t wc   = {
        .wr_id  = wr->wr_id,
        .status = status
    };

    qp->head = wr->next;
    if (qp->head == NULL) {
        qp->tail = &qp->head;
    }

    /* a send queue entry that is not signalled counts as used until a later
     * completion was polled */
    ++qp->ended;
    if ((wr->flags & VMP_POST_SIGNALED) || (status != VMP_WC_SUCCESS)) {
        fake_cq_push(&qp->port->tx, qp->port->params.cq_depth, qp, qp->ended,
                     &wc);
        qp->ended = 0;
    }

    free(wr->data);
    free(wr);
}

int vmp_port_qp_error(vmp_port_qp_t *qp)
{
    if (qp->is_stuck) {
        return -1;
    }

    qp->is_error = 1;
    while (qp->head != NULL) {
        fake_wr_end(qp, VMP_WC_FLUSHED);
    }

    return 0;
}

void vmp_port_qp_destroy(vmp_port_qp_t *qp)
{
    vmp_port_qp_t **qp_p = &qp->port->qps;
    fake_wr_t *wr;
    fake_cqe_t *cqe;

    /* R6: drained before, unless the whole interface goes */
    VMP_CHECK((qp->port->ctl == NULL) || !qp->is_connected || qp->is_stuck ||
              ((qp->head == NULL) && (qp->cqes == 0)));
    while ((wr = qp->head) != NULL) {
        qp->head = wr->next;
        free(wr->data);
        free(wr);
    }

    for (cqe = qp->port->tx.head; cqe != NULL; cqe = cqe->next) {
        if (cqe->qp == qp) {
            cqe->qp = NULL;
        }
    }

    while (*qp_p != qp) {
        qp_p = &(*qp_p)->next;
    }

    *qp_p             = qp->next;
    qp->port->posted -= qp->posted;
    free(qp);
}

vmp_port_qp_t *fake_qp_peer(const vmp_port_qp_t *qp)
{
    unsigned i = qp->remote.addr.gid[15] - 1;
    vmp_port_qp_t *peer;

    if ((i >= fake_num_ports) || (fake_ports[i] == NULL)) {
        return NULL;
    }

    for (peer = fake_ports[i]->qps; peer != NULL; peer = peer->next) {
        if (peer->qpn == qp->remote.qpn) {
            return peer;
        }
    }

    return NULL;
}


/* Time --------------------------------------------------------------------- */

static void fake_copy(const fake_wr_t *wr, uint8_t *flat, int to_sge)
{
    size_t pos = 0;
    unsigned i;

    for (i = 0; i < wr->num_sge; pos += wr->sge[i].length, ++i) {
        if (to_sge) {
            memcpy((void*)(uintptr_t)wr->sge[i].addr, flat + pos,
                   wr->sge[i].length);
        } else if (wr->data != NULL) {
            memcpy(flat + pos, wr->data + pos, wr->sge[i].length);
        } else {
            memcpy(flat + pos, (void*)(uintptr_t)wr->sge[i].addr,
                   wr->sge[i].length);
        }
    }
}

static int fake_exec_send(vmp_port_qp_t *peer, fake_wr_t *wr)
{
    vmp_port_t *port = peer->port;
    fake_recv_t *recv;
    vmp_wc_t wc;

    if (port->srq_head == port->srq_tail) {
        ++fake_rnr_stalls;
        return -1;
    }

    recv = &port->srq[port->srq_tail++ % port->params.srq_depth];
    VMP_CHECK(wr->length <= recv->sge.length);
    fake_copy(wr, (void*)(uintptr_t)recv->sge.addr, 0);
    wc = (vmp_wc_t){
        .wr_id    = recv->wr_id,
        .status   = VMP_WC_SUCCESS,
        .byte_len = wr->length
    };
    fake_cq_push(&port->rx, port->params.srq_depth, NULL, 0, &wc);
    return 0;
}

/* The oldest WR takes effect. Return -1: not now; an error kills the QP */
static int fake_exec(vmp_port_qp_t *qp, fake_wr_t *wr)
{
    vmp_port_qp_t *peer    = fake_qp_peer(qp);
    vmp_wc_status_t status = qp->kill;
    unsigned access        = (wr->type == FAKE_WRITE) ? VMP_MEM_REMOTE_WRITE :
                                                        VMP_MEM_REMOTE_READ;

    if ((status == VMP_WC_SUCCESS) &&
        ((peer == NULL) || peer->is_error || !peer->is_connected)) {
        status = VMP_WC_RETRY_EXC;
    }

    if ((status == VMP_WC_SUCCESS) && (wr->type != FAKE_SEND) &&
        (wr->length > 0) &&
        !fake_mem_ok(wr->rkey - 0x10000, wr->remote_addr, wr->length, access)) {
        status = VMP_WC_REM_ACCESS;
    }

    if (status != VMP_WC_SUCCESS) {
        fake_wr_end(qp, status);
        vmp_port_qp_error(qp);
        return -1;
    }

    if (wr->type == FAKE_SEND) {
        if (fake_exec_send(peer, wr) != 0) {
            wr->exec_time = fake_time + 1000;
            return -1;
        }
    } else if ((wr->type == FAKE_WRITE) && (wr->length > 0)) {
        fake_copy(wr, (void*)(uintptr_t)wr->remote_addr, 0);
    } else if (wr->type == FAKE_READ) {
        wr->data = malloc(wr->length + 1);
        VMP_CHECK(wr->data != NULL);
        memcpy(wr->data, (void*)(uintptr_t)wr->remote_addr, wr->length);
    }

    wr->is_executed = 1;
    if (wr->ack_time < fake_time) {
        wr->ack_time = fake_time + qp->delay;
    }

    return 0;
}

static void fake_qp_run(vmp_port_qp_t *qp)
{
    fake_wr_t *wr;

    if (qp->is_mute) {
        return;
    }

    if (qp->is_error) {
        vmp_port_qp_error(qp);
        return;
    }

    while (((wr = qp->head) != NULL) && wr->is_executed &&
           (wr->ack_time <= fake_time)) {
        if (wr->type == FAKE_READ) {
            fake_copy(wr, wr->data, 1);
        }

        fake_wr_end(qp, VMP_WC_SUCCESS);
    }

    for (wr = qp->head; wr != NULL; wr = wr->next) {
        if (wr->is_executed) {
            continue;
        }

        if ((wr->exec_time > fake_time) || (fake_exec(qp, wr) != 0)) {
            return;
        }
    }
}

static uint64_t fake_qp_time(const vmp_port_qp_t *qp)
{
    uint64_t time = UINT64_MAX;
    const fake_wr_t *wr;

    if (qp->is_mute || (qp->head == NULL)) {
        return time;
    }

    if (qp->is_error) {
        return 0;
    }

    if (qp->head->is_executed) {
        time = qp->head->ack_time;
    }

    for (wr = qp->head; wr != NULL; wr = wr->next) {
        if (!wr->is_executed) {
            return (wr->exec_time < time) ? wr->exec_time : time;
        }
    }

    return time;
}

static void fake_dgrams_run(void)
{
    fake_dgram_t *dgram;

    while (((dgram = fake_dgrams) != NULL) && (dgram->time <= fake_time)) {
        fake_dgrams = dgram->next;
        if (dgram->dest->ctl != NULL) {
            vmp_ctl_recv(dgram->dest->ctl, 0, dgram->data, dgram->length,
                         fake_time);
            dgram->dest->ctl_time = fake_time;
        }

        free(dgram);
    }
}

void fake_step(uint64_t max)
{
    uint64_t next = fake_time + max;
    vmp_port_qp_t *qp;
    vmp_port_t *port;
    uint64_t time;
    unsigned i;

    if ((fake_dgrams != NULL) && (fake_dgrams->time < next)) {
        next = fake_dgrams->time;
    }

    for (i = 0; i < fake_num_ports; ++i) {
        port = fake_ports[i];
        if (port == NULL) {
            continue;
        }

        if ((port->ctl != NULL) && (port->ctl_time < next)) {
            next = port->ctl_time;
        }

        for (qp = port->qps; qp != NULL; qp = qp->next) {
            time = fake_qp_time(qp);
            next = (time < next) ? time : next;
        }
    }

    fake_time = (next > fake_time) ? next : fake_time;
    fake_dgrams_run();
    for (i = 0; i < fake_num_ports; ++i) {
        port = fake_ports[i];
        if (port == NULL) {
            continue;
        }

        for (qp = port->qps; qp != NULL; qp = qp->next) {
            fake_qp_run(qp);
        }

        if ((port->ctl != NULL) && (port->ctl_time <= fake_time)) {
            port->ctl_time = UINT64_MAX;
            time = vmp_ctl_progress(port->ctl, fake_time);
            port->ctl_time = (time < port->ctl_time) ? time : port->ctl_time;
        }
    }
}

unsigned fake_in_flight(void)
{
    unsigned num = 0;
    const vmp_port_qp_t *qp;
    const fake_wr_t *wr;
    unsigned i;

    for (i = 0; i < fake_num_ports; ++i) {
        if (fake_ports[i] == NULL) {
            continue;
        }

        for (qp = fake_ports[i]->qps; qp != NULL; qp = qp->next) {
            for (wr = qp->head; wr != NULL; wr = wr->next) {
                num += !wr->is_executed;
            }
        }
    }

    return num;
}


/* Control datagrams -------------------------------------------------------- */

void vmp_port_ctl_send(vmp_port_t *port, unsigned rail, unsigned ud,
                       const vmp_rail_addr_t *dest, uint32_t remote_qpn,
                       const void *data, size_t length)
{
    unsigned index        = dest->gid[15] - 1;
    fake_dgram_t **last_p = &fake_dgrams;
    fake_dgram_t *dgram;

    (void)port;
    (void)rail;
    (void)ud;
    if ((index >= fake_num_ports) || (fake_ports[index] == NULL) ||
        (remote_qpn != (0x10 + index))) {
        return;
    }

    dgram = calloc(1, sizeof(*dgram));
    VMP_CHECK((dgram != NULL) && (length <= sizeof(dgram->data)));
    dgram->dest   = fake_ports[index];
    dgram->time   = fake_time + FAKE_CTL_DELAY;
    dgram->length = length;
    memcpy(dgram->data, data, length);
    while (*last_p != NULL) {
        last_p = &(*last_p)->next;
    }

    *last_p = dgram;
}

void vmp_port_ctl_forget(vmp_port_t *port, unsigned rail,
                         const vmp_rail_addr_t *dest)
{
    (void)port;
    (void)rail;
    (void)dest;
}
