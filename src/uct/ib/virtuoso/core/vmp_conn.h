/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_CONN_H_
#define VMP_CONN_H_

#include "vmp_iface.h"
#include "vmp_barrier.h"
#include "vmp_path.h"
#include "vmp_watch.h"

#define VMP_NO_SLOT            UINT32_MAX
#define VMP_CONN_NEED_UNKNOWN  2        /* control may know or not */
#define VMP_CONN_REFUSED       2        /* looks: it is not forgotten while
                                           somebody tries again in between */


/** Why a connection takes no operations now; 0: it does. */
#define VMP_BLOCK_SETUP   0x1           /**< No path is up yet */
#define VMP_BLOCK_FENCE   0x2           /**< Earlier ones must complete first */
#define VMP_BLOCK_CLOSED  0x4           /**< Peer closed in good order */
#define VMP_BLOCK_FAILED  0x8           /**< Lost */


/** Whether the peer was asked to give credit back. */
typedef enum vmp_credit_ask {
    VMP_ASK_NOT,
    VMP_ASK_DUE,                        /**< Next CREDIT frame does */
    VMP_ASK_SENT                        /**< No message came since */
} vmp_credit_ask_t;


typedef struct vmp_path_stats vmp_path_stats_t;


/** The set of paths between two interfaces. */
struct vmp_conn {
    uint64_t          peer_id;          /**< With role: key of the tree */
    uint8_t           role;
    uint8_t           num_paths;        /**< Agreed; 0: not yet */
    uint8_t           is_pinned;        /**< Fence: stay on tx_path until its
                                             tail passes pin_pos */
    uint8_t           is_held;          /**< A pin was lost: chunks wait until
                                             nothing is in flight */
    uint8_t           want_sent;        /**< Asked for more paths */
    uint8_t           is_bulk;          /**< Last bcopy was spread */
    uint8_t           is_filled;        /**< Chunks wait for windows to open */
    uint8_t           deepen;           /**< Windows are 2^this as large: see
                                             vmp_rma_deepen() */
    uint8_t           num_fed;          /**< Long operations since chunks last
                                             ran dry */
    uint8_t           must_tell;        /**< A path died, and with it what was
                                             told of credit */
    uint8_t           is_touched;       /**< In iface->touched */
    uint8_t           is_fresh;         /**< Not looked at yet since then */
    uint8_t           is_needed;        /**< No path is up, and control knows
                                             that we wait for one; or
                                             VMP_CONN_NEED_UNKNOWN */
    uint8_t           refused;          /**< A send was, with nothing in flight:
                                             looks at idle paths until that is
                                             forgotten. Means nothing while no
                                             path is up */
    uint8_t           num_suspects;
    uint8_t           idle_index;       /**< Path that was probed last */
    uint32_t          block;            /**< OR of VMP_BLOCK_* */
    vmp_iface_t       *iface;

    /* sending */
    vmp_path_t        *tx_path;         /**< For what is not spread */
    uint64_t          tx_sn;            /**< Of the next message */
    uint64_t          tx_limit;         /**< SNs below may be sent */
    uint64_t          tx_delivered;     /**< SNs below were delivered */
    uint64_t          tx_skip;          /**< The last skipped SNs, which no */
    uint64_t          tx_skip_end;      /**< message has: from, up to below */
    uint64_t          up_mask;          /**< Paths that may send */
    uint64_t          eligible;         /**< Of these: with room */
    uint64_t          busy_mask;        /**< With operations in flight */
    uint64_t          outstanding;      /**< Operations not yet complete */
    uint64_t          starved_gen;      /**< iface->gen of the last refusal */
    uint32_t          reads;            /**< Reads in flight */
    uint32_t          chunks;           /**< Chunks in flight */
    uint32_t          num_ops;          /**< In `ops` */
    uint32_t          pin_pos;
    uint32_t          peer_conn;        /**< Peer's slot and incarnation */
    uint32_t          peer_incarn;
    vmp_barrier_t     *bar_open;        /**< Of operations started now */
    vmp_barrier_t     *bar_head;        /**< Oldest */
    vmp_link_t        ops;              /**< Chunked ones not all posted */
    vmp_link_t        active;           /**< In iface->active */
    vmp_path_t        **paths;          /**< num_paths; NULL: not there */
    uint32_t          *gone_epochs;     /**< num_paths: of those that were
                                             there, 0: none */
    vmp_path_stats_t  *stats;           /**< num_paths: of all epochs */
    uint64_t          num_replayed;     /**< Work requests */
    vmp_rail_addr_t   peer_rail;        /**< Where the peer is */
    uint8_t           *probe_fails;     /**< num_paths: epochs in a row that
                                             never carried */
    vmp_watch_est_t   est;              /**< Of the last sample of any path */
    uint64_t          idle_time;        /**< Of the last probe, ns */
    uint64_t          proof_any;        /**< A request that was posted later is
                                             complete, on some path, ns */
    uint64_t          proof_send;       /**< The same of a frame: the peer had
                                             a receive buffer */
    vmp_watch_turn_t  turns[VMP_WATCH_TURNS]; /**< The last ones */
    uint32_t          num_turns;
    uint64_t          ping_time;        /**< Of the last question, ns */
    uint64_t          alive_time;       /**< Of the last answered at once */
    uint64_t          sacrifice_time;   /**< No path is given up for that before */
    uint64_t          sacrifice_wait;   /**< ns */
    uint64_t          refused_last;     /**< The device has taken nothing on any
                                             path, ns; 0: it has */
    uint64_t          refused_time;     /**< For so long, without outages, ns */
    uint32_t          done_gone;        /**< Operations done on paths that are
                                             gone, in part or as replay found */
    uint32_t          vain_done;        /**< The same of all, before the first */
    uint32_t          vain_rounds;      /**< of so many paths that died one */
    uint64_t          vain_since;       /**< after the other, ns; 0: none; */
    uint64_t          vain_time;        /**< the last one then, ns */
    vmp_link_t        watched;          /**< In iface->watched */
    vmp_link_t        touched;          /**< In iface->touched */
    uint64_t          look_time;        /**< In the heap: look at it then, ns */
    uint32_t          heap_pos;         /**< From 1; 0: not there */
    uint32_t          num_waiting;      /**< Endpoints that wait for room */
    uint32_t          num_checks;       /**< Of vmp_ep_check() now: endpoints
                                             that have no answer yet */
    uint64_t          check_gen;        /**< Counts when num_checks was 0 */
    uint64_t          up_gen;           /**< Counts when a path comes up */
    vmp_policy_path_t *pol_paths;       /**< num_paths */
    void              *pol_priv;

    /* receiving */
    uint64_t          rx_next;          /**< SNs below were delivered */
    uint64_t          rx_told;          /**< Highest limit sent */
    uint32_t          rx_window;        /**< Messages granted ahead */
    uint32_t          rx_earned;        /**< Consumed since it last grew */
    uint64_t          rx_seen;          /**< rx_next when last looked at */
    uint32_t          rx_num_held;
    uint8_t           rx_ask;           /**< vmp_credit_ask_t */
    vmp_rx_t          **rx_ring;        /**< rx_window_max; NULL: never used */
    vmp_link_t        owing;            /**< In iface->owing */

    /* life */
    uint32_t          slot;             /**< VMP_NO_SLOT: not known yet */
    uint32_t          incarn;
    uint32_t          num_eps;
    uint32_t          paths_live;       /**< Paths not yet drained */
    uint32_t          replays;          /**< Dead paths with work left */
    vmp_ep_t          *eps;
    vmp_status_t      status;           /**< Why it is lost */
    uint8_t           is_gone;          /**< Control forgot it */
    uint8_t           is_closed;        /**< PEER_CLOSED */
    uint8_t           is_unread;        /**< Lost for nothing but messages that
                                             the closing peer did not look at */
    uint8_t           is_doomed;        /**< Progress is to fail it */
    uint8_t           in_tree;
    uint8_t           in_use;           /**< Control knows of endpoints */
    uint8_t           was_used;         /**< It was told so once */
    uint8_t           is_drained;       /**< Failure was reported */
    uint32_t          num_faults;       /**< Endpoints that leave it */
    vmp_link_t        faulty;           /**< In iface->faulty */
    vmp_link_t        failing;          /**< In iface->failing */
    vmp_link_t        all;              /**< In iface->all or iface->dead */
};


/** Find or make the connection to a peer. NULL: no memory. */
vmp_conn_t *vmp_conn_get(vmp_iface_t *iface, uint64_t peer_id, uint8_t role);

/** A lost connection for an endpoint that leaves `conn`. NULL: no memory. */
vmp_conn_t *vmp_conn_make_lost(const vmp_conn_t *conn, vmp_status_t status);

/** Control could not even give the connection to a peer a slot. */
void vmp_conn_not_made(vmp_iface_t *iface, const vmp_ev_t *ev);

/** New endpoints to its peer make another connection. */
void vmp_conn_leave_tree(vmp_conn_t *conn);

/** An event of control, in vmp_conn_ev.c. */
void vmp_conn_event(vmp_iface_t *iface, const vmp_ev_t *ev);

/** The connection is lost; the caller has logged why. Endpoints hear of it from
 *  progress, after the drain. */
void vmp_conn_fail(vmp_conn_t *conn, vmp_status_t status);

/** Tell control that the last endpoint is gone. */
void vmp_conn_idle(vmp_conn_t *conn);

/** Finish connections whose paths are drained. Return how many. */
unsigned vmp_conn_progress(vmp_iface_t *iface);

/** Free it if nobody knows it any more. */
void vmp_conn_put(vmp_conn_t *conn);

/** Nothing more will be delivered: let the peers know how far it came. */
void vmp_conn_say_delivered(vmp_iface_t *iface);

/** Free all connections: the interface closes. */
void vmp_conn_cleanup(vmp_iface_t *iface);

/** Why a blocked connection refuses: VMP_ERR_NO_RESOURCE or its failure. */
vmp_status_t vmp_conn_refusal(vmp_conn_t *conn);

/** A send was refused with nothing in flight: who tries again and again waits as
 * well, though he does not say so. */
void vmp_conn_refused(vmp_conn_t *conn) __attribute__((cold));

/** The same of a blocked endpoint. */
vmp_status_t vmp_ep_refusal(vmp_ep_t *ep) __attribute__((cold));

/** `what` is longer than it may be: log it. @return VMP_ERR_INVALID_PARAM */
vmp_status_t vmp_ep_too_long(const char *what, size_t length, size_t max)
                             __attribute__((cold));

/** An endpoint stands on a connection from now on, or does no more. */
void vmp_ep_join(vmp_ep_t *ep, vmp_conn_t *conn);
void vmp_ep_leave(vmp_ep_t *ep);

/** Ask for all paths that were agreed on, once. */
void vmp_conn_want_paths(vmp_conn_t *conn);

/** Tell control if something waits and no path is up: the peer's time runs
 *  from then on (R5). */
void vmp_conn_check_need(vmp_conn_t *conn);

/** No path is up, and somebody waits whose time is over: unless the peer answers
 *  what control asks now it is lost. */
void vmp_conn_overdue(vmp_conn_t *conn);

/** No path is up, and somebody may wait: have control ask the peer soon. */
void vmp_conn_hurry(vmp_conn_t *conn);

/** Which path an operation longer than spread_thresh takes; NULL: none now. */
vmp_path_t *vmp_conn_spread(vmp_conn_t *conn, size_t length);

/** Recompute which path takes what is not spread. */
void vmp_conn_update_tx_path(vmp_conn_t *conn);

/** See vmp_ep_fence(). */
void vmp_conn_fence(vmp_conn_t *conn);

/** Nothing is outstanding: lift a blocking fence. */
void vmp_conn_quiet(vmp_conn_t *conn);

/** The pinned path may have passed the fence. */
void vmp_conn_check_pin(vmp_conn_t *conn);

/** Make sure that everything posted will be known complete. */
void vmp_conn_force(vmp_conn_t *conn);


/** By slot and incarnation, checked. NULL: not known. */
static inline vmp_conn_t *vmp_conn_find(const vmp_iface_t *iface, uint32_t slot,
                                        uint32_t incarn)
{
    vmp_conn_t *conn;

    if (slot >= iface->conns_size) {
        return NULL;
    }

    conn = iface->conns[slot];
    return ((conn != NULL) && (conn->incarn == incarn)) ? conn : NULL;
}

/** Its connection takes no operations now, or none of it: it failed */
static inline int vmp_ep_is_blocked(const vmp_ep_t *ep)
{
    return (ep->conn->block | (uint32_t)ep->fault) != 0;
}

/** A send found no room: endpoints wait until something changes. */
static inline vmp_status_t vmp_conn_no_room(vmp_conn_t *conn)
{
    conn->starved_gen = conn->iface->gen;
    if ((conn->refused < VMP_CONN_REFUSED) && (conn->outstanding == 0)) {
        vmp_conn_refused(conn);
    }

    return VMP_ERR_NO_RESOURCE;
}

/** Whether somebody waits for it */
static inline int vmp_conn_has_work(const vmp_conn_t *conn)
{
    return (conn->outstanding > 0) || (conn->num_waiting > 0) ||
           (conn->num_checks > 0) ||
           ((conn->refused > 0) && (conn->up_mask != 0));
}

/** Control still thinks that somebody waits */
static inline int vmp_conn_need_is_over(const vmp_conn_t *conn)
{
    return (conn->is_needed != 0) && (conn->up_mask == 0) &&
           !vmp_conn_has_work(conn);
}

/** It has something in flight, or waits: see to it that it moves. */
static inline void vmp_watch_add(vmp_conn_t *conn)
{
    if (vmp_unlikely(!conn->is_touched)) {
        vmp_watch_add_slow(conn);
    }
}

/** Whether operations of this length are spread */
static inline int vmp_conn_is_spread(const vmp_conn_t *conn, size_t length)
{
    return (length > conn->iface->spread_thresh) && (conn->num_paths > 1);
}

/** An operation starts: it belongs to the generation of now. */
static inline vmp_barrier_t *vmp_conn_start(vmp_conn_t *conn)
{
    ++conn->outstanding;
    ++conn->iface->outstanding;
    ++conn->bar_open->count;
    return conn->bar_open;
}

/** It ended. May call back. */
static inline void vmp_conn_end(vmp_conn_t *conn, vmp_barrier_t *barrier)
{
    --conn->iface->outstanding;
    if ((--conn->outstanding == 0) &&
        vmp_unlikely(conn->block & VMP_BLOCK_FENCE)) {
        vmp_conn_quiet(conn);
    }

    if ((--barrier->count == 0) && vmp_unlikely(barrier != conn->bar_open)) {
        vmp_barrier_retire(conn);
    }
}


#endif
