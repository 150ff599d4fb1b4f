/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_IFACE_H_
#define VMP_IFACE_H_

#include "vmp_core.h"
#include "vmp_ctl.h"
#include "vmp_list.h"
#include "vmp_log.h"
#include "vmp_pool.h"
#include "vmp_rx.h"
#include "vmp_spsc.h"
#include "policy/vmp_policy_reg.h"

#define vmp_likely(_cond)    __builtin_expect(!!(_cond), 1)
#define vmp_unlikely(_cond)  __builtin_expect(!!(_cond), 0)

#define VMP_INLINE_MAX       1024   /**< Bytes of a frame built on the stack */
#define VMP_POLL_BATCH       16     /**< Completions taken at once */
#define VMP_AM_HDR_MAX       1024   /**< Bytes of a zcopy header */
#define VMP_TX_BUFS_RESERVE  8      /**< Bounce buffers for CREDIT frames */


/** One rail as the application's thread uses it */
typedef struct vmp_rail {
    /* R10: every posted WR, signalled or not, holds a CQ slot */
    uint32_t cq_avail;              /**< CQ slots free */
    uint32_t cq_lost;               /**< Of WRs that may still complete, though
                                         nobody waits for them any more */
    uint32_t cq_reserve;            /**< Of these for CREDIT frames and nops */
    uint32_t cq_share;              /**< Of these not for deepened windows */
    uint32_t unsig;                 /**< WRs with no signalled one behind */
    uint32_t unsig_max;
    uint32_t unsig_bufs;            /**< Of these with a bounce buffer */
    uint32_t srq_posted;            /**< Receive buffers in the SRQ */
    uint32_t srq_depth;
    uint32_t srq_batch;             /**< Missing buffers are posted together */
    uint32_t rx_held;               /**< Receive buffers held for order */
    uint32_t rx_held_max;           /**< Beyond these they are copied out */
    vmp_link_t forcing;             /**< Paths whose vmp_path_force() found no
                                         room */
    uint8_t  dev_index;             /**< Of the local keys */
    uint8_t  rx_empty;              /**< Last poll emptied the receive CQ */
    uint8_t  tx_empty;              /**< The same of the send CQ, just now */
    uint8_t  tx_skipped;            /**< Calls without a poll of the send CQ */
    uint8_t  is_broken;             /**< A CQ failed: not polled any more */
    uint8_t  is_srq_refused;        /**< The SRQ did not take a buffer */
} vmp_rail_t;


struct vmp_iface {
    /* every message */
    vmp_port_t             *port;
    vmp_port_md_t          *md;
    vmp_rail_t             rails[VMP_MAX_RAILS];
    unsigned               num_rails;
    size_t                 max_short;       /**< Bytes of a payload */
    size_t                 seg_size;
    size_t                 spread_thresh;
    size_t                 chunk_size;
    uint32_t               path_window;     /**< Bytes */
    uint32_t               conn_ops_max;    /**< Operations that wait for
                                                 windows, a connection */
    uint32_t               signal_bytes;    /**< Unsignalled at most a path */
    uint32_t               signal_period;   /**< WRs: same */
    uint32_t               unsig_bufs_max;
    uint8_t                max_sge;
    uint8_t                in_progress;
    uint8_t                is_broken;       /**< One of the rails is */
    uint8_t                has_stray_connect; /**< See vmp_conn_created() */
    uint8_t                is_ready_first;  /**< Whose turn it is: waiting
                                                 endpoints or chunks */
    uint64_t               gen;             /**< Rises when room may be back */
    uint64_t               ready_gen;       /**< gen of the last ready round */
    uint64_t               outstanding;     /**< Operations not yet complete */
    uint64_t               chunks;          /**< In flight */
    uintptr_t              num_gone;        /**< Endpoints destroyed so far */
    vmp_iface_ops_t        ops;
    void                   *arg;
    vmp_buf_pool_t         tx_bufs;
    vmp_buf_pool_t         short_bufs;      /**< Copies of what went inline */
    vmp_obj_pool_t         op_pool;         /**< vmp_op_t */
    vmp_obj_pool_t         barrier_pool;    /**< vmp_barrier_t */
    vmp_obj_pool_t         waiter_pool;     /**< vmp_waiter_t */
    vmp_spsc_t             evs;
    vmp_spsc_t             cmds;
    vmp_rx_conf_t          rx;

    /* connections by slot, as frames and completions name them */
    vmp_conn_t             **conns;
    uint32_t               conns_size;

    vmp_link_t             active;          /**< Conns with chunks to post */
    vmp_link_t             owing;           /**< Conns that owe credit */
    vmp_link_t             failing;         /**< Conns that drain */
    vmp_link_t             draining;        /**< Paths that drain */
    vmp_link_t             replaying;       /**< Dead paths whose work is to be
                                                 done again, oldest first */
    vmp_link_t             done;            /**< Operations to complete */
    vmp_link_t             dead;            /**< Conns to be freed */
    vmp_link_t             faulty;          /**< Conns that endpoints leave */
    vmp_link_t             watched;         /**< Conns with something in flight,
                                                 or that wait */
    vmp_link_t             touched;         /**< Of these: something was posted
                                                 or completed since they were
                                                 looked at before sleeping */
    vmp_conn_t             **watch_heap;    /**< The others, by look_time */
    uint32_t               watch_num;       /**< In the heap */
    uint32_t               watch_max;       /**< Room there */
    unsigned               polls;           /**< Calls of progress since these
                                                 were looked at */
    vmp_link_t             all;             /**< Every connection */
    vmp_ep_t               *ready_head;     /**< Ring of waiting endpoints: the
                                                 oldest */
    vmp_ep_t               *ready_next;     /**< Next of a round */
    vmp_ep_t               *ready_cur;      /**< The one that is called now */
    unsigned               num_waiting;
    unsigned               ready_left;      /**< Of a round that was cut */
    void                   *conn_tree;      /**< By (peer id, role): tsearch */

    /* credit that the interface may have granted in all */
    uint32_t               credit_pool;
    uint32_t               credit_used;

    const vmp_policy_ops_t *policy;
    vmp_iface_params_t     params;          /**< As given; `policy` not valid */
    vmp_port_attr_t        attr;
    uint64_t               id;
    vmp_ctl_t              *ctl;
    vmp_iface_counters_t   counters;
};


/** Hand a command to control; `cmd` is copied. Return 0, or -1: no memory. */
int vmp_iface_command(vmp_iface_t *iface, const vmp_cmd_t *cmd);

/** Take all events that control has sent. Return how many. */
unsigned vmp_iface_events(vmp_iface_t *iface);

/** A CQ of a rail failed (the port has logged why): everything is lost. */
void vmp_iface_rail_broken(vmp_iface_t *iface, unsigned rail);

/** Offer room to waiting endpoints. Return how many were called. */
unsigned vmp_iface_ready(vmp_iface_t *iface);

/** Room may have come back: waiting endpoints are worth a call */
static inline void vmp_iface_changed(vmp_iface_t *iface)
{
    ++iface->gen;
}


#endif
