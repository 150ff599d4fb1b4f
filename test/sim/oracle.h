/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_SIM_ORACLE_H_
#define VMP_SIM_ORACLE_H_

#include "world.h"

/**
 * What must hold, whatever a program does. Every check names the rule that was
 * broken: order, duplicate, lost, content, memory, get, fence, flush, cancel,
 * completion, twice, ghost, pending, refusal, credit, sn, buffer,
 * receive-buffer, failure, recovery, traffic, paths, pace, idle, leak, bound,
 * wakeup, hang, port, repeat.
 */

/** Say which rule was broken and how to see it again; ends the process. */
void oracle_fail(const char *rule, const char *fmt, ...)
        __attribute__((format(printf, 2, 3), noreturn));

#define oracle_check(_cond, _rule, ...) \
    do { \
        if (__builtin_expect(!(_cond), 0)) { \
            oracle_fail(_rule, __VA_ARGS__); \
        } \
    } while (0)

/** Exit code of a broken rule */
#define ORACLE_EXIT  3

const char *op_str(const op_t *op);
const char *ep_str(const user_ep_t *ep);


/* Operations, oracle.c */

/** Accepted by the core (OK or INPROGRESS). */
void oracle_posted(op_t *op, vmp_status_t status);

/** ops.complete() was called. */
void oracle_complete(op_t *op, vmp_status_t status);

/** Data of a bcopy read came. */
void oracle_unpack(op_t *op, const void *data, size_t length);

/** The endpoint is about to be flushed with CANCEL. */
void oracle_cancelled(user_ep_t *ep);

/** The endpoint is about to be destroyed. */
void oracle_closing(user_ep_t *ep);

/** The endpoint was destroyed. */
void oracle_closed(user_ep_t *ep);

/** ops.ep_failed() was called. */
void oracle_failed(user_ep_t *ep, vmp_status_t status);

/** A call returned an error. */
void oracle_lost(user_ep_t *ep, vmp_status_t status);

/** ops.ep_ready() was called. */
void oracle_ready(user_ep_t *ep);

/** The interface was flushed: nothing is in flight. */
void oracle_iface_flushed(inst_t *inst);

/** Messages of an endpoint that came, or need not come any more. */
uint32_t oracle_delivered(const user_ep_t *ep);

/** A message came. Return the operation that sent it. */
op_t *oracle_message(inst_t *inst, uint8_t am_id, const void *data,
                     size_t length);

/** All is over, and nothing was cut off: what must have happened has. */
void oracle_end(void);


/* Contents, shadow.c */

/** Contents of an operation's data, and whether they are from `offset` on */
void shadow_fill(void *data, const op_t *op);
int shadow_matches(const void *data, const op_t *op, uint32_t offset);

/** The region's memory where `put` wrote, as whoever knows that it completed
 *  sees it. */
void shadow_check_put(op_t *put, const char *rule);

/** As the receiver of message `am` sees it, which came after a fence. */
void shadow_check_fence(op_t *put, const op_t *am);

/** What a get brought */
void shadow_check_get(const op_t *get, const void *data);

/** A whole region */
void shadow_check_region(const region_t *region);


/* What the responders' NICs execute, exec.c */

struct sim_exec;
void exec_observe(void *arg, const struct sim_exec *exec);

/** sim_conf_t.written: whose put it is. */
void *exec_written(void *arg, vmp_port_t *port, const vmp_sge_t *sge,
                   uint64_t remote_addr);

/** A message is at the NIC of its target: it was acknowledged. */
void exec_check_arrived(const op_t *am, const char *rule);

void exec_free_op(op_t *op);
void exec_free_inst(inst_t *inst);


/* White box, inspect.c */

/** The path that has a QP, or NULL. */
vmp_path_t *inspect_path(const vmp_port_qp_t *qp);

/** The path, as its wr_id has it, whose last request is that message; or 0. */
uint64_t inspect_path_of(const vmp_conn_t *conn, uint64_t sn);

/** The interface at the other end, or NULL. */
inst_t *inspect_peer(const vmp_conn_t *conn);

/** Whether all paths are there that should be; else to which host not. */
int inspect_paths(const inst_t *inst, unsigned *peer_p);

/** The other end of a connection, or NULL. */
vmp_conn_t *inspect_peer_conn(const vmp_conn_t *conn);

/** Whether a message was sent over this connection. */
int inspect_is_of(const vmp_conn_t *conn, const op_t *op);

/** Whether something is in flight, and to which host. */
int inspect_busy(const inst_t *inst, unsigned *peer_p);

/** Invariants of an interface, after each poll. */
void inspect_inst(inst_t *inst);

/** After everything was flushed: pools and queues have all back. */
void inspect_idle(inst_t *inst);

/** After the quarantine of dead QPs: only those of live connections are
 *  left. */
void inspect_long(void);


/* White box, bounds.c */

/** Pools, copies of short sends, and control. */
void bounds_inspect(const inst_t *inst);

/** Bytes in flight of a connection that has not failed; `is_deep`: look at
 *  them. */
void bounds_conn(inst_t *inst, const vmp_conn_t *conn, int is_deep);

/** For people */
void inspect_dump(const inst_t *inst);


#endif
