/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_FACTS_H_
#define VMP_FACTS_H_

#include <stdint.h>


/**
 * What a device does when QPs die: two hosts, each with a side (facts_side.c)
 * that does single steps on its device, and one of them with the experiments
 * (vmp_facts.c), which calls the steps of both.
 */
typedef enum step {
    STEP_INFO,          /**< -> GID (2 values), MTU in bytes */
    STEP_MAKE,          /**< QP -> its number */
    STEP_CONNECT,       /**< QP, remote number, GID (2), PSN of receives, of
                             sends */
    STEP_ERROR,         /**< QP -> ERR */
    STEP_RESET,         /**< QP -> RESET */
    STEP_DESTROY,       /**< QP */
    STEP_QUERY,         /**< QP -> state, rq_psn, sq_psn */
    STEP_WRITE,         /**< QP, wr_id, bytes, is the key wrong */
    STEP_SEND,          /**< QP, wr_id, bytes */
    STEP_RECV,          /**< First wr_id, how many: to the SRQ */
    STEP_POLL,          /**< Is it the receive CQ, ms -> found, wr_id, status,
                             us waited */
    STEP_EVENT,         /**< ms -> found, type, QP's index */
    STEP_CLEAR,         /**< The memory that the peer writes */
    STEP_COUNT,         /**< -> blocks of an MTU that were written */
    STEP_KILL,          /**< QP, blocks: wait until so many were written, then
                             to ERR, and look on for half a second. -> blocks
                             at return, at the end, us from return to the last
                             one, rq_psn at return, at the end, us in modify */
    STEP_LAST
} step_t;

#define FACTS_VALUES  8
#define FACTS_QPS     64
#define FACTS_REGION  (32u << 20)   /**< Bytes written by the peer */
#define FACTS_BUF     (1u << 20)    /**< Bytes of a receive buffer */
#define FACTS_BUFS    8

typedef struct facts_msg {
    uint64_t step;
    uint64_t v[FACTS_VALUES];       /**< Arguments; then results */
} facts_msg_t;

/** Open a device. */
void side_open(const char *device);

/** One step: `msg` has its arguments, and gets its results. */
void side_step(facts_msg_t *msg);

/** Destroy everything. */
void side_close(void);

/** Say why, and end. */
void facts_die(const char *what) __attribute__((noreturn));

uint64_t facts_now_us(void);


#endif
