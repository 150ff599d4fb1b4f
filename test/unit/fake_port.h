/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_FAKE_PORT_H_
#define VMP_FAKE_PORT_H_

#include "vmp_check.h"
#include "core/vmp_ctl.h"
#include "port/port.h"


/**
 * A small fabric in memory and in virtual time, for tests of the core with the
 * real control: RC QPs keep their order, paths overtake each other. Data is
 * read when it is delivered, as a retransmission would, so that a buffer which
 * is released too early shows as wrong data. It checks what a device leaves to
 * its user: room in queues, keys, and that a QP is drained before it is
 * destroyed.
 */
typedef struct fake_wr {
    struct fake_wr *next;
    uint64_t       wr_id;
    unsigned       flags;
    enum {
        FAKE_SEND,
        FAKE_WRITE,
        FAKE_READ
    }              type;
    vmp_sge_t      sge[8];
    unsigned       num_sge;
    size_t         length;
    uint64_t       remote_addr;
    uint32_t       rkey;
    uint64_t       exec_time;       /**< At the responder */
    uint64_t       ack_time;        /**< Back at the requester */
    int            is_executed;
    uint8_t        *data;           /**< INLINE, or what a READ brings */
} fake_wr_t;

struct vmp_port_qp {
    vmp_port_t           *port;
    vmp_port_qp_t        *next;
    uint32_t             qpn;
    int                  is_connected;
    int                  is_error;
    vmp_port_qp_remote_t remote;
    fake_wr_t            *head;     /**< Posted, oldest first */
    fake_wr_t            **tail;
    uint32_t             posted;    /**< Not yet known complete to the user */
    uint32_t             cqes;      /**< In the CQ */
    uint32_t             ended;     /**< Since the last CQE */
    uint64_t             delay;     /**< ns, one way */
    uint64_t             jitter;    /**< ns, at most in addition */
    uint64_t             last_exec;
    vmp_wc_status_t      kill;      /**< Next WR fails so; 0: none */
    int                  is_mute;   /**< Nothing moves */
    int                  is_stuck;  /**< Cannot be moved to ERR */
    uint64_t             num_wrs;
};

/** Fabric-wide knobs, reset by fake_init() */
typedef struct fake_conf {
    uint64_t delay;                 /**< ns: of new QPs */
    uint64_t jitter;                /**< ns: of new QPs */
    uint64_t delay_step;            /**< ns: each new QP of a port is slower */
    uint64_t post_fail_after;       /**< Posts until one fails; 0: never */
    uint32_t max_inline;
    uint8_t  max_sge;
} fake_conf_t;

extern fake_conf_t fake_conf;
extern uint64_t    fake_rnr_stalls;

void fake_init(uint64_t seed);

/** Free what is left; nothing may be. */
void fake_cleanup(void);

uint64_t fake_now(void);

/** Let time pass to the next thing that happens, at most `max` ns, and make it
 *  happen; controls of all ports run, too. */
void fake_step(uint64_t max);

uint64_t fake_random(void);

/** WRs posted and not executed, all QPs */
unsigned fake_in_flight(void);

/** QP at the other end, or NULL */
vmp_port_qp_t *fake_qp_peer(const vmp_port_qp_t *qp);


#endif
