/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_FAKE_PORT_INT_H_
#define VMP_FAKE_PORT_INT_H_

#include "fake_port.h"

#define FAKE_PORT_MAX  64


/* What the two halves of the fake port share: fake_port.c is what the user
 * posts and polls, fake_fabric.c what happens in between. */

typedef struct fake_cqe {
    struct fake_cqe *next;
    vmp_port_qp_t   *qp;
    uint32_t        frees;              /* SQ entries that it ends */
    vmp_wc_t        wc;
} fake_cqe_t;

typedef struct fake_cq {
    fake_cqe_t *head;
    fake_cqe_t **tail;
    uint32_t   num;
} fake_cq_t;

typedef struct fake_recv {
    uint64_t  wr_id;
    vmp_sge_t sge;
} fake_recv_t;

struct vmp_port {
    unsigned          index;
    vmp_port_params_t params;
    vmp_ctl_t         *ctl;
    uint64_t          ctl_time;         /* of the next vmp_ctl_progress() */
    fake_cq_t         tx;
    fake_cq_t         rx;
    fake_recv_t       *srq;
    uint32_t          srq_head;
    uint32_t          srq_tail;
    vmp_port_qp_t     *qps;
    unsigned          num_qps;          /* ever made */
    uint32_t          posted;           /* not yet known complete */
};

typedef struct fake_dgram {
    struct fake_dgram *next;
    vmp_port_t        *dest;
    uint64_t          time;
    size_t            length;
    uint8_t           data[VMP_CTL_MAX_LEN];
} fake_dgram_t;


extern uint64_t     fake_time;
extern vmp_port_t   *fake_ports[FAKE_PORT_MAX];
extern unsigned     fake_num_ports;
extern fake_dgram_t *fake_dgrams;

void fake_cq_push(fake_cq_t *cq, uint32_t depth, vmp_port_qp_t *qp,
                  uint32_t frees, const vmp_wc_t *wc);

int fake_mem_ok(uint32_t key, uint64_t address, size_t length,
                unsigned access);

/** QPN of the next QP */
uint32_t fake_next_qpn(void);


#endif
