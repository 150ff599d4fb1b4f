/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_PATH_H_
#define VMP_PATH_H_

#include "vmp_barrier.h"
#include "vmp_iface.h"
#include "vmp_watch.h"
#include "vmp_wire.h"


/** What a posted work request was. */
typedef enum vmp_wr_kind {
    VMP_WR_CREDIT,                  /**< CREDIT frame */
    VMP_WR_SKIP,                    /**< SKIP frame */
    VMP_WR_NOP,                     /**< To know that what is before is done */
    VMP_WR_AM,                      /**< Message */
    VMP_WR_PUT,                     /**< Put out of a buffer of ours */
    VMP_WR_PUT_CHUNK,               /**< Piece of an operation, see vmp_rma.h */
    VMP_WR_GET_CHUNK
} vmp_wr_kind_t;

static inline int vmp_wr_is_ctrl(uint8_t kind)
{
    return kind <= VMP_WR_NOP;
}

static inline int vmp_wr_is_chunk(uint8_t kind)
{
    return kind >= VMP_WR_PUT_CHUNK;
}


/** A posted work request: all that is needed to end it, or to do it again. */
typedef struct vmp_wr {
    vmp_barrier_t *barrier;         /**< NULL: of the operation, or none */
    vmp_ep_t      *ep;              /**< NULL: endpoint is gone */
    vmp_buf_t     *buf;             /**< Bounce buffer */
    void          *comp;            /**< The user's; without endpoint: which it
                                         was; of chunks: vmp_op_t */
    uint64_t      sn;               /**< AM: its SN; SKIP: the first; PUT,
                                         CHUNK: offset, bytes */
    uint32_t      bytes;
    uint8_t       kind;
    uint8_t       num_log;          /**< SKIP: log2 of how many SNs */
    uint8_t       refusals;         /**< By the peer's NIC, or VMP_WR_FAILED */
    uint8_t       deaths    : 7;    /**< Of paths that did not get it through */
    uint8_t       has_fence : 1;    /**< What is behind it in the queue relies
                                         on that (R3) */
} vmp_wr_t;

#define VMP_WR_FAILED      UINT8_MAX    /**< `refusals`: not to be done again */
#define VMP_WR_REFUSALS    2            /**< So often: it is its own (R8) */
#define VMP_WR_DEATHS      64           /**< The same */


typedef enum vmp_path_state {
    VMP_PATH_READY,                 /**< May receive */
    VMP_PATH_PROBE,                 /**< Has to show that it carries */
    VMP_PATH_UP,                    /**< May send */
    VMP_PATH_SUSPECT,               /**< Stands still: gets nothing new */
    VMP_PATH_DOWN                   /**< QP is in ERR: drains */
} vmp_path_state_t;


/** One QP pair; (index, epoch) names it for ever. */
struct vmp_path {
    vmp_conn_t          *conn;
    vmp_port_qp_t       *qp;
    vmp_rail_t          *rail;
    vmp_policy_path_t   *pol;       /**< Numbers that policies see */
    vmp_wr_t            *ring;      /**< Posted WRs, by position & mask */
    uint32_t            mask;
    uint32_t            head;       /**< Position of the next WR */
    uint32_t            tail;       /**< Of the oldest not known complete */
    uint32_t            limit;      /**< Entries that operations may use */
    uint32_t            unsig;      /**< WRs after the last signalled one */
    uint32_t            unsig_bytes;
    uint32_t            unsig_bufs;
    uint32_t            num_ops;    /**< Posted WRs but CREDIT and NOP */
    uint32_t            num_reads;  /**< READs among these */
    uint32_t            num_ctrl;   /**< CREDIT and NOP, ever posted */
    uint64_t            wr_id;      /**< All but the ring slot */
    uint32_t            epoch;
    uint32_t            entropy;
    uint32_t            drain_pos;  /**< is_error: completions seen up to */
    uint32_t            refused_pos; /**< is_refused: the WR that it did not
                                         take, the last one but the marker */
    uint32_t            psn;        /**< Of the next WR; when being replayed: of
                                         the oldest */
    uint32_t            peer_psn;   /**< is_dead: the next one that the peer
                                         expected, or VMP_PSN_UNKNOWN */
    uint8_t             mtu_shift;  /**< log2 of bytes a packet */
    uint8_t             index;
    uint8_t             rail_index;
    uint8_t             remote_rail;
    uint8_t             state;
    uint8_t             timing;     /**< vmp_watch_timing_t */
    uint8_t             is_error;   /**< An error completion came */
    uint8_t             is_condemned; /**< Given up by our timer */
    uint8_t             is_marked;  /**< Drain marker was posted */
    uint8_t             is_stuck;   /**< QP could not be moved to ERR */
    uint8_t             is_refused; /**< The device did not take the last WR */
    uint8_t             marker_tries;
    uint8_t             is_dead;    /**< The peer has fenced it off, too */
    uint8_t             is_begun;   /**< Some of it went to `target` */
    uint64_t            probe_time; /**< Not is_dead: when the others were
                                         probed last, ns */
    uint64_t            born_time;  /**< ns */
    struct vmp_path     *target;    /**< Being replayed: onto this one, */
    uint32_t            moved_pos;  /**< is_begun: and in front of this position
                                         there */
    vmp_link_t          draining;   /**< In iface->draining, then in
                                         iface->replaying */
    vmp_link_t          forcing;    /**< In rail->forcing */
    vmp_watch_t         watch;
    vmp_path_counters_t counters;
};

typedef struct vmp_path vmp_path_t;

#define VMP_RING_RESERVE  3         /**< CREDIT, NOP, drain marker */


/** A path as control announced it. NULL: no memory. */
vmp_path_t *vmp_path_create(vmp_conn_t *conn, const vmp_ev_t *ev);

/** The books of a WR that is in no queue any more. */
void vmp_path_unpost(vmp_path_t *path, const vmp_wr_t *wr);

/** It ends. Calls back. */
void vmp_wr_end(vmp_conn_t *conn, const vmp_wr_t *wr, vmp_status_t status);

/** Packets of a WR: so many PSNs it takes. */
static inline uint32_t vmp_wr_packets(const vmp_path_t *path, uint8_t kind,
                                      uint32_t bytes)
{
    if (kind == VMP_WR_AM) {
        bytes += VMP_FRAME_HDR_LEN;
    }

    return (bytes == 0) ? 1 : ((bytes - 1) >> path->mtu_shift) + 1;
}

/** Take its index from a drained path: the next epoch may come. */
void vmp_path_detach(vmp_path_t *path);

/** Free it with what its ring holds; calls nobody back. */
void vmp_path_free(vmp_path_t *path);

/** The peer's QP is ready: it may send, or at first only show that it
 *  carries. */
void vmp_path_up(vmp_path_t *path);

/** It gets work from now on. */
void vmp_path_enable(vmp_path_t *path);

/** It gets no more work. */
void vmp_path_withdraw(vmp_path_t *path);

/** Operations that were done on it, ever */
static inline uint32_t vmp_path_ops_done(const vmp_path_t *path)
{
    return path->head - path->num_ctrl - path->num_ops;
}

/** Whether our timer looks at it */
static inline int vmp_path_is_watched(const vmp_path_t *path)
{
    return (path->state >= VMP_PATH_PROBE) &&
           (path->state <= VMP_PATH_SUSPECT) && !path->is_error &&
           !path->is_condemned;
}

/** The same, found out by ourselves: control is to know. */
void vmp_path_seen(vmp_path_t *path);

/** No more sends on it; it begins to drain. */
void vmp_path_disable(vmp_path_t *path);

/** It is of no use any more: control is to fence it off, at both ends. */
void vmp_path_fence_off(vmp_path_t *path);

/** Poll and handle completions of a rail. Return how many. */
unsigned vmp_path_poll(vmp_iface_t *iface, unsigned rail);

/** If the last posted WR is unsignalled, post a nop that is not: a write of 0
 *  bytes, for which responders check no key and touch no memory. Without room
 *  for it, it follows when anything on the rail completes. */
void vmp_path_force(vmp_path_t *path);

/** Room may have come back for nops that found none. */
void vmp_path_force_again(vmp_rail_t *rail);

/** End the oldest WRs up to position `end`. Calls back. */
void vmp_path_retire(vmp_path_t *path, uint32_t end, vmp_status_t status);

/** See to it that something is in flight, which fails if the peer is dead. */
void vmp_path_probe(vmp_path_t *path);

/** The same for all paths of a connection that are up. */
void vmp_path_probe_all(vmp_conn_t *conn);

/** Name a path in log lines. */
const char *vmp_path_str(const vmp_path_t *path, char *buf, size_t max);

const char *vmp_wr_kind_str(unsigned kind);


/* vmp_path_drain.c */

/** A post was refused (the port has logged why): what was booked last is not in
 *  the queue. The path is done for; that goes elsewhere with the rest. */
void vmp_path_refused(vmp_path_t *path) __attribute__((cold));

/** Its QP is in ERR; or is stuck: then nothing is waited for. */
void vmp_path_down(vmp_path_t *path, int is_stuck);

/** End paths that are drained. Return how many. */
unsigned vmp_path_progress(vmp_iface_t *iface);

/** Whether vmp_path_progress() has something to do now. */
int vmp_path_has_to_drain(const vmp_iface_t *iface);


/* vmp_replay.c */

/** A path of a living connection is drained: do again elsewhere what did not
 *  complete, from the first put on as soon as the peer has fenced it off. */
void vmp_replay_begin(vmp_path_t *path);

/** The peer has, and its QP expected this PSN next. */
void vmp_replay_dead(vmp_conn_t *conn, unsigned index, uint32_t epoch,
                     uint32_t psn);

/** Post what there is room for. Return how many were posted or ended. */
unsigned vmp_replay_progress(vmp_iface_t *iface);

/** Whether that has something to do now. If not, `*deadline_p` is when it has
 *  at the latest, ns (UINT64_MAX: not by time). */
int vmp_replay_can_post(const vmp_iface_t *iface, uint64_t *deadline_p);

/** The peer closed: messages that it had delivered are complete. */
void vmp_replay_delivered(vmp_conn_t *conn);

/** The connection is lost: what is left ends with `status`. */
void vmp_replay_abort(vmp_conn_t *conn, vmp_status_t status);

/** The connection is freed: so is what is left, without a call. */
void vmp_replay_drop(vmp_conn_t *conn);

/** An endpoint goes: what is left of it calls nobody back. */
void vmp_replay_purge(vmp_conn_t *conn, const vmp_ep_t *ep);

/** A path object goes: nobody is to be replayed onto it. */
void vmp_replay_forget(const vmp_path_t *path);

/** Whether what a dead path still has goes to `to`, behind what went there. */
int vmp_replay_is_behind(const vmp_path_t *path, const vmp_path_t *to);

/** Whether that is behind the WR at a position there: not if that was posted when
 *  the last of what went there already had been. */
int vmp_replay_is_behind_wr(const vmp_path_t *path, const vmp_path_t *to,
                            uint32_t pos);

#define VMP_PATH_STR_MAX  128


#endif
