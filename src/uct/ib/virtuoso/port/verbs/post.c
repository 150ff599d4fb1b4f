/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "verbs_port.h"

#include <errno.h>


#define VMP_SRQ_POST_BATCH  32

/* Our pieces are handed to verbs as they are */
_Static_assert(sizeof(vmp_sge_t) == sizeof(struct ibv_sge), "sge");
_Static_assert(offsetof(vmp_sge_t, addr) == offsetof(struct ibv_sge, addr),
               "sge addr");
_Static_assert(offsetof(vmp_sge_t, length) == offsetof(struct ibv_sge, length),
               "sge length");
_Static_assert(offsetof(vmp_sge_t, lkey) == offsetof(struct ibv_sge, lkey),
               "sge lkey");

_Static_assert(((int)IBV_SEND_SIGNALED == 2) && ((int)IBV_SEND_INLINE == 8) &&
               ((int)IBV_SEND_FENCE == 1), "send flags");


/** Compiles to shifts: the values are known. */
static inline unsigned vmp_verbs_send_flags(unsigned flags)
{
    return ((flags & VMP_POST_SIGNALED) ? IBV_SEND_SIGNALED : 0) |
           ((flags & VMP_POST_INLINE) ? IBV_SEND_INLINE : 0) |
           ((flags & VMP_POST_FENCE) ? IBV_SEND_FENCE : 0);
}

static __attribute__((noinline, cold)) int
vmp_verbs_post_failed(const vmp_port_qp_t *qp, const struct ibv_send_wr *wr,
                      int ret)
{
    vmp_error("%s: QP 0x%x does not take a %s: %s%s",
              qp->port->rails[qp->rail].name, qp->qp->qp_num,
              (wr->opcode == IBV_WR_SEND)       ? "send" :
              (wr->opcode == IBV_WR_RDMA_WRITE) ? "write" :
                                                  "read",
              strerror(ret), (ret == ENOMEM) ? " (its queue is full)" : "");
    return -1;
}

static inline int vmp_verbs_post(vmp_port_qp_t *qp, struct ibv_send_wr *wr,
                                 uint64_t wr_id, unsigned flags,
                                 const vmp_sge_t *sge, unsigned num_sge,
                                 enum ibv_wr_opcode opcode)
{
    struct ibv_send_wr *bad_wr;
    int ret;

    wr->wr_id      = wr_id;
    wr->next       = NULL;
    wr->sg_list    = (struct ibv_sge*)sge;
    wr->num_sge    = (int)num_sge;
    wr->opcode     = opcode;
    wr->send_flags = vmp_verbs_send_flags(flags);
    ret            = ibv_post_send(qp->qp, wr, &bad_wr);
    if (__builtin_expect(ret != 0, 0)) {
        return vmp_verbs_post_failed(qp, wr, ret);
    }
    return 0;
}

int vmp_port_post_send(vmp_port_qp_t *qp, uint64_t wr_id, unsigned flags,
                       const vmp_sge_t *sge, unsigned num_sge)
{
    struct ibv_send_wr wr;

    return vmp_verbs_post(qp, &wr, wr_id, flags, sge, num_sge, IBV_WR_SEND);
}

int vmp_port_post_write(vmp_port_qp_t *qp, uint64_t wr_id, unsigned flags,
                        const vmp_sge_t *sge, unsigned num_sge,
                        uint64_t remote_addr, uint32_t rkey)
{
    struct ibv_send_wr wr;

    wr.wr.rdma.remote_addr = remote_addr;
    wr.wr.rdma.rkey        = rkey;
    return vmp_verbs_post(qp, &wr, wr_id, flags, sge, num_sge,
                          IBV_WR_RDMA_WRITE);
}

int vmp_port_post_read(vmp_port_qp_t *qp, uint64_t wr_id, unsigned flags,
                       const vmp_sge_t *sge, unsigned num_sge,
                       uint64_t remote_addr, uint32_t rkey)
{
    struct ibv_send_wr wr;

    wr.wr.rdma.remote_addr = remote_addr;
    wr.wr.rdma.rkey        = rkey;
    return vmp_verbs_post(qp, &wr, wr_id, flags, sge, num_sge,
                          IBV_WR_RDMA_READ);
}

static __attribute__((noinline, cold)) unsigned
vmp_verbs_srq_refused(vmp_port_t *port, unsigned rail, int ret, ptrdiff_t taken)
{
    if (!port->rails[rail].is_srq_refused) {
        port->rails[rail].is_srq_refused = 1;
        vmp_error("%s: the SRQ does not take a buffer: %s%s",
                  port->rails[rail].name, strerror(ret),
                  (ret == ENOMEM) ? " (it is full)" : "");
    }

    return (unsigned)taken;
}

unsigned vmp_port_srq_post(vmp_port_t *port, unsigned rail,
                           const uint64_t *wr_ids, const vmp_sge_t *bufs,
                           unsigned num)
{
    unsigned count = 0;
    struct ibv_recv_wr wrs[VMP_SRQ_POST_BATCH];
    struct ibv_recv_wr *bad_wr;
    unsigned batch, i;
    int ret;

    if (__builtin_expect(port->rails[rail].stashed & VMP_VERBS_FORKED, 0)) {
        return 0; /* the parent's: nothing to say */
    }

    while (count < num) {
        batch = num - count;
        batch = (batch < VMP_SRQ_POST_BATCH) ? batch : VMP_SRQ_POST_BATCH;
        for (i = 0; i < batch; ++i) {
            wrs[i].wr_id   = wr_ids[count + i];
            wrs[i].next    = (i + 1 < batch) ? &wrs[i + 1] : NULL;
            wrs[i].sg_list = (struct ibv_sge*)&bufs[count + i];
            wrs[i].num_sge = 1;
        }

        /* should a driver not say which */
        bad_wr = wrs;
        ret    = ibv_post_srq_recv(port->rails[rail].srq, wrs, &bad_wr);
        if (__builtin_expect(ret != 0, 0)) {
            return count + vmp_verbs_srq_refused(port, rail, ret, bad_wr - wrs);
        }

        count += batch;
    }

    port->rails[rail].is_srq_refused = 0;
    return count;
}
