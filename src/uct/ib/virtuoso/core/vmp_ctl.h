/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_CTL_H_
#define VMP_CTL_H_

#include "vmp_types.h"
#include "vmp_spsc.h"
#include "vmp_wire.h"
#include "port/port.h"


/**
 * Control: the state machines that make, serve and end connections and the QPs
 * of their paths. Everything here runs in the port's helper thread and owns the
 * life of QPs; the application's thread (vmp_conn_*) sees it only through two
 * single-producer single-consumer queues: commands go in, events come out.
 * Time is an argument; input and output go through the port.
 *
 * Slots and incarnations of connections are given by control, since a peer may
 * connect while the application does not poll. For every connection there is
 * exactly one VMP_EV_CONN, before any other event of it, and exactly one
 * VMP_EV_CONN_GONE, after which its slot may come back with a higher
 * incarnation. At most one connection to a peer (id, role) is alive, that is,
 * before CONN_FAILED, PEER_CLOSED or VMP_CMD_FAIL: a new one may exist while
 * the old one is drained. Commands that name a connection or path which is gone
 * are ignored.
 *
 * A VMP_CMD_CONNECT that finds the connection alive raises no event of its own.
 * If there is no memory to make one, CONN_FAILED comes with `slot` UINT32_MAX
 * and `peer_id`, and no other event.
 */
typedef struct vmp_ctl vmp_ctl_t;


/* Commands: application -> control ---------------------------------------- */

typedef enum vmp_cmd_type {
    VMP_CMD_CONNECT,        /**< Find or make the connection to a peer. Again
                                 when it is said to be somewhere else */
    VMP_CMD_WANT_PATHS,     /**< Bring up paths until `num_paths` are there */
    VMP_CMD_FAIL,           /**< The connection has failed here: all its QPs to
                                 ERR, tell the peer (GOODBYE, FAILED) */
    VMP_CMD_PATH_DRAINED,   /**< (path, epoch) is out of use here and all its
                                 completions were seen: destroy its QP */
    VMP_CMD_PATH_FAIL,      /**< (path, epoch) has failed here: fence it off, tell
                                 the peer, bring up its next epoch */
    VMP_CMD_PATH_SEEN,      /**< A frame came in on (path, epoch): the peer may
                                 send on it, whatever datagram was lost */
    VMP_CMD_PING,           /**< All paths stand still: is the peer there? An
                                 answer raises VMP_EV_PEER_ALIVE */
    VMP_CMD_PATH_PROVED,    /**< A request of ours on (path, epoch), not the
                                 first epoch, was acknowledged: it carries.
                                 Before that a path that was repaired does not
                                 count as up again */
    VMP_CMD_NEED,           /**< No path is up and something waits for one: from
                                 now on a peer that gives no sign of life times
                                 out. Over with the next PATH_UP, and void while
                                 control has a path up: to be said again when
                                 that goes (after PATH_DOWN or the PATH_FAIL of
                                 it, also if it was never sent on) */
    VMP_CMD_NO_NEED,        /**< Who waited for a path does not any more: the
                                 peer may be silent until the next NEED */
    VMP_CMD_IDLE            /**< No endpoints on the connection any more */
} vmp_cmd_type_t;

typedef struct vmp_cmd {
    vmp_spsc_node_t  super;
    vmp_cmd_type_t   type;
    uint32_t         slot;          /**< All but CONNECT */
    uint32_t         incarn;
    uint8_t          path;
    uint8_t          num_paths;
    uint8_t          is_overdue;    /**< NEED: for the peer timeout already */
    uint32_t         epoch;
    vmp_rail_addr_t  rail;          /**< CONNECT: where the peer is */
    vmp_iface_addr_t iface;
} vmp_cmd_t;


/* Events: control -> application ------------------------------------------ */

typedef enum vmp_ev_type {
    VMP_EV_CONN,            /**< A connection exists (peer known, no path) */
    VMP_EV_CONN_PEER,       /**< Parameters agreed: see below */
    VMP_EV_PATH_READY,      /**< QP may receive; sending only after PATH_UP or a
                                 frame that came in on it */
    VMP_EV_PATH_UP,         /**< QP may send */
    VMP_EV_PATH_DOWN,       /**< QP is in ERR: drain it, then PATH_DRAINED.
                                 Without the connection's end before it the
                                 path has failed, here or there, or was given up;
                                 others go on. Not READY or UP again (with a
                                 higher epoch) before that PATH_DRAINED */
    VMP_EV_PATH_DEAD,       /**< After PATH_DOWN: the peer has fenced it off, too;
                                 `psn` is what its QP expected next. What was
                                 posted and not completed may be done again
                                 elsewhere. Not sent once the connection ended */
    VMP_EV_PEER_ALIVE,      /**< It answered what was asked after the last
                                 VMP_CMD_PING */
    VMP_EV_PROBE,           /**< It has long been silent: see whether its paths
                                 are there */
    VMP_EV_CONN_FAILED,     /**< Cannot go on; `status`, `reason`. PATH_DOWN of
                                 each of its paths follows. Not sent after
                                 VMP_CMD_FAIL was taken */
    VMP_EV_PEER_CLOSED,     /**< Peer's interface closed in good order: deliver
                                 what is there, send nothing more; `delivered`.
                                 PATH_DOWN of each of its paths follows */
    VMP_EV_CONN_GONE        /**< Last event: all its QPs are destroyed */
} vmp_ev_type_t;

typedef struct vmp_ev {
    vmp_spsc_node_t  super;
    vmp_ev_type_t    type;
    uint32_t         slot;
    uint32_t         incarn;
    uint64_t         peer_id;       /**< CONN */
    uint8_t          role;          /**< CONN: our role bit, see wire */
    vmp_rail_addr_t  peer_rail;     /**< Where the peer is now */
    uint8_t          path;          /**< PATH_* */
    uint8_t          rail;          /**< Local rail of the path */
    uint8_t          remote_rail;
    uint32_t         epoch;
    uint32_t         entropy;       /**< PATH_READY, PATH_UP: for log lines */
    uint32_t         psn;           /**< PATH_READY, PATH_UP: our first; PATH_DEAD:
                                         see there, or VMP_PSN_UNKNOWN */
    uint8_t          mtu;           /**< PATH_READY, PATH_UP: enum ibv_mtu */
    vmp_port_qp_t    *qp;           /**< PATH_READY, PATH_UP. Owned by control;
                                         post on it until PATH_DOWN (then
                                         at most one marker, to drain) */
    uint8_t          is_stuck;      /**< PATH_DOWN: the device did not move the
                                         QP to ERR (the port has logged why): no
                                         completion can be waited for */
    uint8_t          num_paths;     /**< CONN_PEER: agreed maximum */
    uint32_t         peer_conn;     /**< CONN_PEER: peer's slot, */
    uint32_t         peer_incarn;   /**< and incarnation, for frames */
    uint32_t         credits;       /**< CONN_PEER: SNs below may be sent */
    uint32_t         frame_size;    /**< CONN_PEER: largest that the peer
                                         receives, bytes */
    uint32_t         delivered;     /**< PEER_CLOSED: low bits of the SN below
                                         which the peer delivered all */
    vmp_status_t     status;        /**< CONN_FAILED */
    vmp_ctl_reason_t reason;        /**< CONN_FAILED */
    struct vmp_ev    *spare_next;   /**< Control's, before it is pushed */
} vmp_ev_t;


typedef struct vmp_ctl_params {
    vmp_port_t             *port;
    const vmp_port_attr_t  *attr;           /**< Copied */
    uint64_t               id;              /**< Of our interface */
    uint8_t                num_paths;       /**< Most paths of a connection */
    uint32_t               credits;         /**< Initial grant to each peer */
    uint32_t               frame_size;      /**< Largest that we receive */
    uint64_t               peer_timeout_ns; /**< No answer so long to
                                                 what somebody waits for */
    vmp_spsc_t             *cmds;           /**< Consumed by control */
    vmp_spsc_t             *evs;            /**< Produced by control */
} vmp_ctl_params_t;


/** Make the control part of an interface. [setup] NULL: out of memory. */
vmp_ctl_t *vmp_ctl_create(const vmp_ctl_params_t *params);

/** All of the peer's SNs below `sn` were delivered here, and no more will be:
 *  GOODBYE will say so. Between vmp_port_stop() and vmp_ctl_destroy(). [setup] */
void vmp_ctl_delivered(vmp_ctl_t *ctl, uint32_t slot, uint32_t incarn,
                       uint64_t sn);

/** Tell all peers GOODBYE and destroy all QPs and connections. The helper must
 *  be out of it (vmp_port_stop()) and the application must not post any more.
 *  [setup] */
void vmp_ctl_destroy(vmp_ctl_t *ctl);

/** A control datagram came in on `rail`. [helper] */
void vmp_ctl_recv(vmp_ctl_t *ctl, unsigned rail, const void *data,
                  size_t length, uint64_t now);

/**
 * Take commands and run timers. [helper]
 *
 * @return When to call again at the latest (ns), UINT64_MAX: no need.
 */
uint64_t vmp_ctl_progress(vmp_ctl_t *ctl, uint64_t now);

/** A device or port event (a hint, not a verdict); up: its address may have
 *  changed, too. [helper] */
void vmp_ctl_rail_event(vmp_ctl_t *ctl, unsigned rail, int is_up,
                        uint64_t now);


#endif
