/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_CORE_H_
#define VMP_CORE_H_

#include "vmp_types.h"
#include "port/port.h"


/**
 * The core as its user (the UCT glue, or a test) sees it: interfaces and
 * endpoints. An endpoint stands on a connection, which spreads its traffic over
 * paths; several endpoints to one peer share a connection.
 *
 * Threads: everything here belongs to the one thread that progresses the
 * interface. Callbacks come from within vmp_iface_progress() (and, where said,
 * from within the call itself), and may call back into the core, but for
 * vmp_iface_destroy().
 */
typedef struct vmp_iface vmp_iface_t;
typedef struct vmp_conn  vmp_conn_t;
typedef struct vmp_rx    vmp_rx_t;      /**< A receive buffer that was kept */


/** Embedded by the user in its endpoint; the members are the core's. */
typedef struct vmp_ep {
    vmp_conn_t     *conn;
    struct vmp_ep  *next;               /**< On the same connection */
    struct vmp_ep  *prev;
    struct vmp_ep  *ready_next;         /**< Among those that wait for room */
    struct vmp_ep  *ready_prev;
    uint8_t        is_waiting;
    uint8_t        is_failed;           /**< ep_failed was called */
    uint8_t        fault_path;          /**< Something of it is in flight: */
    uint32_t       fault_epoch;         /**< path and epoch, */
    uint32_t       fault_pos;           /**< where in its ring */
    vmp_status_t   fault;               /**< An operation of its own failed: it
                                             will be called */
    uint64_t       run;                 /**< Path of its last message, as its
                                             wr_id has it, */
    uint64_t       run_sn;              /**< and its first message of those that
                                             went there one after the other */
    uint64_t       check_gen;           /**< Of vmp_ep_check() */
    uint64_t       refused_gen;         /**< Of the outage in which it was */
    uint64_t       refused_time;        /**< refused, and first when, ns */
} vmp_ep_t;


/** What the core calls. */
typedef struct vmp_iface_ops {
    /**
     * A message arrived, in order.
     *
     * @param data  Payload, valid until return.
     * @param rx    Not NULL: the user may keep the buffer by returning 1, and
     *              gives it back by vmp_rx_release(); the rx_headroom bytes
     *              before `data`, and rx_priv bytes before these, are its to
     *              write. NULL: must be copied.
     * @return 1 if the buffer is kept, else 0.
     */
    int  (*am)(void *arg, uint8_t am_id, void *data, size_t length,
               vmp_rx_t *rx);

    /** An operation that returned VMP_INPROGRESS has ended. Its buffers are the
     *  caller's again. Also called for flushes. */
    void (*complete)(void *arg, void *comp, vmp_status_t status);

    /** Data of a bcopy read: called before `complete`. `unpack` and
     *  `unpack_arg` are as given to vmp_ep_get_bcopy(). */
    void (*unpack)(void *arg, void (*unpack)(void), void *unpack_arg,
                   const void *data, size_t length);

    /** There may be room again for an endpoint that asked by
     *  vmp_ep_wait_ready(). Return 1 to go on waiting, 0 when done. */
    int  (*ep_ready)(void *arg, vmp_ep_t *ep);

    /** The endpoint is lost, with its connection or by an operation of its own
     *  that failed (R8): every operation on it fails from now on. Once an
     *  endpoint, from progress, after all its operations have ended. The user
     *  destroys it by vmp_ep_destroy(). An idle endpoint whose peer closed in
     *  good order hears of it upon next use only. */
    void (*ep_failed)(void *arg, vmp_ep_t *ep, vmp_status_t status);

    /** NULL, or: a line of statistics, JSON without a newline. Called when a
     *  connection goes, and from vmp_iface_destroy(). */
    void (*stats)(void *arg, const char *line);
} vmp_iface_ops_t;


typedef struct vmp_iface_params {
    vmp_port_params_t     port;
    unsigned              num_paths;        /**< 1..VMP_MAX_PATHS */
    size_t                spread_thresh;    /**< Bytes: longer operations are
                                                 spread over the paths */
    size_t                chunk_size;       /**< Bytes a WR of a put or get */
    size_t                path_window;      /**< Bytes in flight a path */
    size_t                seg_size;         /**< Payload of a frame, bytes */
    uint32_t              rx_window_min;    /**< Messages: initial credit */
    uint32_t              rx_window_max;    /**< Messages: power of 2 */
    size_t                rx_headroom;      /**< Bytes before a payload */
    size_t                rx_priv;          /**< Bytes before the headroom */
    size_t                rx_align;         /**< Payloads plus rx_align_offset
                                                 are multiples of this power of
                                                 2, where lengths allow; 0: do
                                                 not care. Not heap copies */
    size_t                rx_align_offset;  /**< Bytes, below rx_align */
    uint32_t              rx_max_bufs;      /**< Receive buffers at most */
    uint32_t              tx_max_bufs;      /**< Bounce buffers at most */
    uint64_t              peer_timeout_ns;
    uint64_t              suspect_ns;       /**< A path may stand still for that
                                                 long, at least, before it gets
                                                 no new work; 0: default */
    const char            *policy;          /**< "single", "rr" */
    const vmp_iface_ops_t *ops;             /**< Copied */
    void                  *arg;             /**< First argument of the ops */
} vmp_iface_params_t;


typedef struct vmp_iface_attr {
    vmp_rail_addr_t  rail_addr;             /**< Of the home rail */
    vmp_iface_addr_t addr;
    size_t           max_short;             /**< put_short; am_short with its
                                                 8-byte header; 0: none */
    size_t           max_bcopy;             /**< am, put, get bcopy */
    size_t           max_zcopy_am;          /**< am_zcopy: header and payload */
    size_t           max_zcopy_hdr;         /**< am_zcopy: header */
    size_t           max_zcopy_rma;         /**< put, get zcopy */
    size_t           max_iov;
    size_t           path_mtu;              /**< Bytes */
    uint64_t         speed;                 /**< Bytes/s, all rails */
} vmp_iface_attr_t;


/** Open an interface. A failure is logged: what, where, what to do. */
vmp_status_t vmp_iface_create(vmp_port_md_t *md,
                              const vmp_iface_params_t *params,
                              vmp_iface_t **iface_p);

/** Close it: GOODBYE to all peers. All endpoints must have been destroyed;
 *  kept receive buffers are lost with it. */
void vmp_iface_destroy(vmp_iface_t *iface);

void vmp_iface_query(const vmp_iface_t *iface, vmp_iface_attr_t *attr);

/** @return Number of events handled: messages, completions, connection
 *  events. 0: nothing happened. */
unsigned vmp_iface_progress(vmp_iface_t *iface);

/** File descriptor that vmp_iface_event_arm() is about, for poll() or epoll.
 *  -1: the port has none. */
int vmp_iface_event_fd(const vmp_iface_t *iface);

/**
 * Before sleeping: let the file descriptor become readable when progress has
 * something to do. That may also be something of our own: a connection that
 * comes up, a time that has come.
 *
 * @param events  OR of VMP_PORT_EVENT_*: what the user waits for.
 * @return VMP_OK: armed. VMP_ERR_BUSY: there is something to do now.
 */
vmp_status_t vmp_iface_event_arm(vmp_iface_t *iface, unsigned events);

/** VMP_OK: nothing that was posted before is in flight; else
 *  VMP_INPROGRESS: call again after progress. */
vmp_status_t vmp_iface_flush(vmp_iface_t *iface);

/** vmp_ep_fence() of all connections. */
vmp_status_t vmp_iface_fence(vmp_iface_t *iface);

/** Give back a kept receive buffer. */
void vmp_rx_release(vmp_rx_t *rx);

/** The user's private bytes of a buffer (rx_priv of them) and back. */
void *vmp_rx_priv(vmp_rx_t *rx);
vmp_rx_t *vmp_rx_from_priv(void *priv);


/* Endpoints ---------------------------------------------------------------- */

/**
 * Make an endpoint to a peer's interface. The connection comes up in the
 * background; until then sends return VMP_ERR_NO_RESOURCE.
 */
vmp_status_t vmp_ep_create(vmp_iface_t *iface, const vmp_rail_addr_t *rail,
                           const vmp_iface_addr_t *addr, vmp_ep_t *ep);

/** End an endpoint. Its flushes under way call back with VMP_ERR_CANCELED, from
 *  within; no other operation of its does, then or later, since the device may
 *  still use their buffers: what was posted runs to its end, what was not is
 *  dropped. Messages in flight are copied, and come also when a path dies:
 *  what they are sent from has to be there still. The connection stays for others and for the next endpoint to this
 *  peer. */
void vmp_ep_destroy(vmp_ep_t *ep);

/**
 * Sends. Each returns
 *   VMP_OK              done, or copied: the buffers are the caller's
 *   VMP_INPROGRESS      ops.complete(comp) will follow (zcopy, get)
 *   VMP_ERR_NO_RESOURCE no room now: nothing happened; see wait_ready. Of puts
 *                       and gets by zcopy as many may wait for the network as a
 *                       send queue holds
 *   VMP_ERR_CONNECTION_RESET, VMP_ERR_ENDPOINT_TIMEOUT  the endpoint is lost;
 *                       also other errors, where the connection could not be
 *                       made (REJECTED, NO_MEMORY) or the device failed
 * `comp` may be NULL where the caller does not want to know.
 */

/** Header and payload, at most max_short together. */
vmp_status_t vmp_ep_am_short(vmp_ep_t *ep, uint8_t am_id, uint64_t header,
                             const void *payload, size_t length);

/** Gather from plain memory, at most max_short in all. */
vmp_status_t vmp_ep_am_short_iov(vmp_ep_t *ep, uint8_t am_id,
                                 const vmp_iov_t *iov, unsigned iovcnt);

typedef size_t (*vmp_pack_func_t)(void *dest, void *arg);

/** @return Bytes packed (0 is possible), or a vmp_status_t < 0. */
ssize_t vmp_ep_am_bcopy(vmp_ep_t *ep, uint8_t am_id, vmp_pack_func_t pack,
                        void *arg);

/** `header` is copied. */
vmp_status_t vmp_ep_am_zcopy(vmp_ep_t *ep, uint8_t am_id, const void *header,
                             size_t header_length, const vmp_iov_t *iov,
                             unsigned iovcnt, void *comp);

vmp_status_t vmp_ep_put_short(vmp_ep_t *ep, const void *buffer, size_t length,
                              uint64_t remote_addr, const vmp_rkey_t *rkey);

ssize_t vmp_ep_put_bcopy(vmp_ep_t *ep, vmp_pack_func_t pack, void *arg,
                         uint64_t remote_addr, const vmp_rkey_t *rkey);

vmp_status_t vmp_ep_put_zcopy(vmp_ep_t *ep, const vmp_iov_t *iov,
                              unsigned iovcnt, uint64_t remote_addr,
                              const vmp_rkey_t *rkey, void *comp);

vmp_status_t vmp_ep_get_bcopy(vmp_ep_t *ep, void (*unpack)(void),
                              void *unpack_arg, size_t length,
                              uint64_t remote_addr, const vmp_rkey_t *rkey,
                              void *comp);

vmp_status_t vmp_ep_get_zcopy(vmp_ep_t *ep, const vmp_iov_t *iov,
                              unsigned iovcnt, uint64_t remote_addr,
                              const vmp_rkey_t *rkey, void *comp);

/** Nothing posted later takes effect remotely before what was posted earlier,
 *  whatever path each takes. Never blocks: later sends wait if they must. */
vmp_status_t vmp_ep_fence(vmp_ep_t *ep);

#define VMP_FLUSH_CANCEL  0x1   /**< Drop what was not posted yet */

/**
 * Everything sent on the endpoint's connection so far has completed: VMP_OK
 * now, or VMP_INPROGRESS and `comp` (if any) when it has. VMP_ERR_NO_RESOURCE:
 * out of memory now. The failure of a lost endpoint, once nothing of it is in
 * flight any more (with VMP_FLUSH_CANCEL: VMP_OK).
 */
vmp_status_t vmp_ep_flush(vmp_ep_t *ep, unsigned flags, void *comp);

/**
 * Whether a send of whatever kind may find room now. After a send was refused
 * with VMP_ERR_NO_RESOURCE the answer is 0 until something has changed, so that
 * nobody retries in a circle. A lost endpoint is ready: its sends return at
 * once.
 */
int vmp_ep_is_ready(const vmp_ep_t *ep);

/** Ask for ops.ep_ready when there may be room (or the endpoint is lost). */
void vmp_ep_wait_ready(vmp_ep_t *ep);

/** Withdraw it. */
void vmp_ep_cancel_wait(vmp_ep_t *ep);

/** VMP_OK, or why the endpoint is lost. Probes an idle peer, whose death is
 *  then known after the retries. */
vmp_status_t vmp_ep_check(vmp_ep_t *ep);

/** Whether it was lost only because the peer closed its interface without
 *  delivering all messages, which its NIC had acknowledged. */
int vmp_ep_is_unread(const vmp_ep_t *ep);

/**
 * Fail the endpoint's connection as if its peer were lost, for tests of error
 * handling: the next progress does, until then nothing is to be seen of it.
 * ops.ep_failed is called for this endpoint and for all others of this
 * interface to the same peer, which hears of it, too. Nothing happens to an endpoint that
 * is lost already.
 */
void vmp_ep_invalidate(vmp_ep_t *ep);


/* Observation -------------------------------------------------------------- */

/** Counters of one path; they exist from the start, tools come later. */
typedef struct vmp_path_counters {
    uint64_t tx_frames;         /**< Messages */
    uint64_t tx_chunks;         /**< Writes and reads */
    uint64_t tx_bytes;          /**< Payload of both */
    uint64_t rx_frames;
    uint64_t rx_bytes;
} vmp_path_counters_t;

/** Paths that came back, and how long they were away. */
typedef struct vmp_repair_counters {
    uint64_t count;
    uint64_t total_ns;
    uint64_t max_ns;
} vmp_repair_counters_t;

/** What was posted again, on another path. */
typedef struct vmp_replay_counters {
    uint64_t messages;
    uint64_t puts;              /**< Work requests */
    uint64_t gets;              /**< The same */
    uint64_t bytes;             /**< Payload of all */
} vmp_replay_counters_t;

typedef struct vmp_iface_counters {
    uint64_t rx_out_of_order;   /**< Messages held for order */
    uint64_t rx_duplicate;      /**< Dropped: delivered before */
    uint64_t rx_bad_frame;      /**< Dropped: failed a check */
    uint64_t rx_copied_out;     /**< Held messages copied to free the SRQ */
    uint64_t rx_returned;       /**< Credits that idle peers gave back */
    uint64_t tx_no_credit;      /**< Sends refused for want of credit */
    uint64_t paths_down;        /**< Had been up; whoever found it */
    uint64_t paths_failed;      /**< Found by ourselves */
    uint64_t paths_suspected;   /**< Stood still, and may have moved again */
    uint64_t paths_timed_out;   /**< Of the failed: by our own timer */
    uint64_t conns_failed;
    uint64_t eps_failed;        /**< By operations of their own */
    vmp_repair_counters_t repairs;
    vmp_replay_counters_t replays;
} vmp_iface_counters_t;

void vmp_iface_get_counters(const vmp_iface_t *iface,
                            vmp_iface_counters_t *counters);

/** Of all epochs of each path.
 *
 *  @return Paths of the endpoint's connection, up to `max` counters filled. */
unsigned vmp_ep_get_path_counters(const vmp_ep_t *ep,
                                  vmp_path_counters_t *counters, unsigned max);


#endif
