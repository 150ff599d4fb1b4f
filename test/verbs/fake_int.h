/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef FAKE_INT_H_
#define FAKE_INT_H_

#include "fake_verbs.h"

#include <infiniband/verbs.h>

#define FAKE_MAX_QPS     4096
#define FAKE_MAX_MRS     65536
#define FAKE_MAX_SGE     8
#define FAKE_MAX_INLINE  256
#define FAKE_MAX_EVENTS  4096
#define FAKE_FIRST_QPN   16
#define FAKE_GRH         40
#define FAKE_MTU         IBV_MTU_1024


typedef struct fake_qp      fake_qp_t;
typedef struct fake_cq      fake_cq_t;
typedef struct fake_channel fake_channel_t;


typedef struct fake_event {
    enum ibv_event_type type;
    fake_qp_t           *qp;
} fake_event_t;


typedef struct fake_ctx {
    struct ibv_context ib;
    unsigned           dev;
    fake_event_t       events[FAKE_MAX_EVENTS];
    unsigned           num_events;
    struct fake_ctx    *next;
} fake_ctx_t;


typedef struct fake_mr {
    struct ibv_mr ib;
    int           access;
    unsigned      dev;
} fake_mr_t;


typedef struct fake_ah {
    struct ibv_ah ib;
    unsigned      dev;
    unsigned      link;
} fake_ah_t;


struct fake_channel {
    struct ibv_comp_channel ib;
    fake_cq_t               *ready[FAKE_MAX_EVENTS];
    unsigned                num_ready;
};


typedef struct fake_cqe {
    struct ibv_wc wc;
    fake_qp_t     *qp;
    uint32_t      sq_end;       /**< The send queue is free up to here */
    int           is_send;
} fake_cqe_t;


struct fake_cq {
    struct ibv_cq ib;
    fake_cqe_t    *ring;
    uint32_t      head;         /**< Next to be polled */
    uint32_t      tail;
    int           is_armed;
    unsigned      num_got;      /**< Events that the user took */
    unsigned      num_acked;
    unsigned      num_users;
};


/** Receive queue, of a QP or shared. */
typedef struct fake_rq {
    struct ibv_recv_wr *ring;
    struct ibv_sge     *sge;
    uint32_t           depth;
    uint32_t           head;
    uint32_t           tail;
} fake_rq_t;


typedef struct fake_srq {
    struct ibv_srq ib;
    fake_rq_t      rq;
    unsigned       num_users;
} fake_srq_t;


typedef struct fake_wr {
    uint64_t           wr_id;
    enum ibv_wr_opcode opcode;
    unsigned           flags;
    unsigned           num_sge;
    struct ibv_sge     sge[FAKE_MAX_SGE];
    uint32_t           length;
    uint32_t           psn;
    uint32_t           num_packets;
    uint32_t           done;    /**< Packets that were executed */
    uint64_t           remote_addr;
    uint32_t           rkey;
    fake_ah_t          *ah;
    uint32_t           remote_qpn;
    uint32_t           qkey;
    uint8_t            data[FAKE_MAX_INLINE];
} fake_wr_t;


struct fake_qp {
    struct ibv_qp      ib;
    struct ibv_qp_cap  cap;
    unsigned           dev;
    enum ibv_qp_state  state;
    int                sig_all;
    fake_rq_t          rq;      /**< Unless it has an SRQ */
    unsigned           num_got; /**< Events that the user took */
    unsigned           num_acked;

    /* connection */
    unsigned           peer_dev;
    uint32_t           peer_qpn;
    unsigned           link;
    uint32_t           mtu;
    uint32_t           epsn;    /**< Expected by the responder */
    uint32_t           next_psn;
    uint64_t           rto;     /**< ns, with all retries; 0: for ever */
    uint32_t           qkey;

    /* send queue: free <= ack <= exec <= tail */
    fake_wr_t          *sq;
    uint32_t           sq_free;
    uint32_t           sq_ack;
    uint32_t           sq_exec;
    uint32_t           sq_tail;
    uint32_t           sq_sent; /**< Executed by the last turn: may be acked */
    uint64_t           stalled; /**< No answer since, ns; 0: all is well */
    int                is_last; /**< LAST_WQE_REACHED is to be raised */
};


typedef struct fake {
    fake_qp_t  *qps[FAKE_MAX_QPS];
    fake_mr_t  *mrs[FAKE_MAX_MRS];
    uint8_t    mr_gen[FAKE_MAX_MRS];
    fake_ctx_t *contexts;
    unsigned   count[FAKE_KINDS];
    unsigned   cut[FAKE_LINKS];
    unsigned   lost_permille;
    unsigned   failed;          /**< Mask of devices */
    uint64_t   random;
} fake_t;

extern fake_t fake;


/* fake_verbs.c */

void fake_devs_init(void);
void fake_lock(void);
void fake_unlock(void);
uint64_t fake_now(void);
uint64_t fake_random(void);
void fake_copy(void *to, const void *from, size_t length);

/** The test has used verbs in a way that is not allowed. */
void fake_fault(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), noreturn));

/** Write to, or read from, an event fd. */
void fake_fd_add(int fd);
int fake_fd_take(int fd);
int fake_fd_make(void);

/** Whether registered memory is accessible so. The lock is held. */
int fake_mr_check(unsigned dev, uint32_t key, uint64_t addr, uint64_t length,
                  int access);

/** Device of a GID; FAKE_DEVS: none. */
unsigned fake_gid_dev(const union ibv_gid *gid);

unsigned fake_label_link(uint32_t flow_label);

static inline int fake_is_failed(unsigned dev)
{
    return (fake.failed >> dev) & 1;
}


/* fake_cq.c */

void fake_cq_push(fake_cq_t *cq, const fake_cqe_t *cqe);

/** Forget what is about a QP. The lock is held. */
void fake_cq_purge(fake_cq_t *cq, const fake_qp_t *qp);
void fake_event_push(unsigned dev, enum ibv_event_type type, fake_qp_t *qp);
void fake_event_purge(const fake_qp_t *qp);

/** Wait until what the user took is acknowledged. Takes the lock. */
void fake_wait_acked(const unsigned *got, const unsigned *acked,
                     const char *what);

int fake_poll_cq(struct ibv_cq *ib, int num, struct ibv_wc *wc);
int fake_req_notify_cq(struct ibv_cq *ib, int solicited_only);


/* fake_qp.c */

int fake_post_send(struct ibv_qp *ib, struct ibv_send_wr *wr,
                   struct ibv_send_wr **bad_wr);
int fake_post_recv(struct ibv_qp *ib, struct ibv_recv_wr *wr,
                   struct ibv_recv_wr **bad_wr);
int fake_post_srq_recv(struct ibv_srq *ib, struct ibv_recv_wr *wr,
                       struct ibv_recv_wr **bad_wr);

/** To ERR; the oldest send ends with `status`. The lock is held. */
void fake_qp_fail(fake_qp_t *qp, enum ibv_wc_status status);

/** One send is over. The lock is held. */
void fake_qp_complete(fake_qp_t *qp, enum ibv_wc_status status);


/* fake_nic.c */

/** There is something to do. */
void fake_nic_kick(void);


#endif
