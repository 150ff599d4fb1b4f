/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_CTL_INT_H_
#define VMP_CTL_INT_H_

#include "core/vmp_ctl.h"
#include "core/vmp_ctl_limits.h"
#include "core/vmp_log.h"


/**
 * What the files of control share. Everything runs in the helper thread.
 *
 *   vmp_ctl.c         life, datagram dispatch, commands, events, timers
 *   vmp_ctl_send.c    datagrams out: first ones, repeated ones, copies, answers
 *   vmp_ctl_table.c   slots, peers, the heap of connections that wait
 *   vmp_ctl_conn.c    a connection: from CONNECT to GONE
 *   vmp_ctl_wait.c    repeating what is not answered, and giving up
 *   vmp_ctl_path.c    which paths, and agreeing on their QPs
 *   vmp_ctl_qp.c      a path's QP: from creation to the end of its quarantine
 *   vmp_ctl_down.c    fencing off a path that died, at both ends
 *   vmp_ctl_home.c    paths go back to where they were
 *   vmp_ctl_addr.c    addresses that change
 *   vmp_ctl_idle.c    peers that went without a word
 *   vmp_ctl_log.c     what is said of paths
 *   vmp_entropy.c     which entropy values
 *   vmp_ctl_limits.h  how long, how often, how many
 */

typedef struct vmp_ctl_conn vmp_ctl_conn_t;


typedef enum vmp_ctl_path_state {
    VMP_CTL_PATH_REQ_SENT,      /**< Leader: waits for REP */
    VMP_CTL_PATH_REP_SENT,      /**< Follower: waits for RTU */
    VMP_CTL_PATH_STATE_UP,
    VMP_CTL_PATH_DYING          /**< QP in ERR, see quarantine */
} vmp_ctl_path_state_t;


/** One (path, epoch): a QP and what it was made with. */
typedef struct vmp_ctl_path {
    vmp_ctl_conn_t       *conn;
    struct vmp_ctl_path  *next;             /**< Of conn->dying */
    struct vmp_ctl_path  *fifo_next;        /**< Of ctl->quarantine */
    struct vmp_ctl_path  *settle_next;      /**< Of ctl->settling */
    vmp_port_qp_t        *qp;
    uint64_t             time;              /**< Of creation; DYING: end of
                                                 quarantine */
    uint64_t             up_time;
    uint64_t             proved_time;       /**< is_proved */
    uint64_t             asked_at;          /**< REQ or REP went out; 0: more
                                                 than once */
    uint32_t             rq_psn;            /**< is_fenced: expected then */
    uint32_t             peer_psn;          /**< is_peer_down: the peer's */
    uint32_t             epoch;
    uint32_t             entropy;
    uint32_t             psn;
    uint32_t             remote_qpn;
    uint32_t             remote_psn;
    uint64_t             answered_at;       /**< Last PATH_REP or PATH_RTU */
    uint8_t              index;
    uint8_t              rail;
    uint8_t              remote_rail;
    uint8_t              mtu;
    uint8_t              max_rd_atomic;
    uint8_t              state;             /**< vmp_ctl_path_state_t */
    uint8_t              is_connected;      /**< QP left INIT */
    uint8_t              is_announced;      /**< The application knows it */
    uint8_t              is_stuck;          /**< Cannot be moved to ERR */
    uint8_t              is_drained;
    uint8_t              in_quarantine;
    uint8_t              is_settling;       /**< In ctl->settling */
    uint8_t              is_fenced;         /**< Settled: may be told */
    uint8_t              is_peer_down;      /**< The peer told */
    uint8_t              is_proved;         /**< It was up and carried */
} vmp_ctl_path_t;


typedef enum vmp_ctl_home_state {
    VMP_CTL_HOME_REST,                      /**< Stays where it is */
    VMP_CTL_HOME_LEAVES,                    /**< Goes with the next epoch */
    VMP_CTL_HOME_TRIES                      /**< Is there, if that carries */
} vmp_ctl_home_state_t;


/** What stays of a path index when its QPs come and go. */
typedef struct vmp_ctl_path_slot {
    vmp_ctl_path_t *path;                   /**< NULL: none now */
    uint32_t       epoch;                   /**< Highest used */
    uint32_t       down_epoch;              /**< Fenced off last, and what it */
    uint32_t       down_psn;                /**< expected then */
    uint32_t       backoff_ms;              /**< Before the next repair */
    uint64_t       repair_at;               /**< Not before */
    uint64_t       answered_at;             /**< Last DEAD or PATH_DOWN */
    uint32_t       home;                    /**< Entropy value on which it was up
                                                 for long; 0: none yet */
    uint32_t       home_wait_ms;            /**< Between tries to go back, */
    uint64_t       home_at;                 /**< and the next one */
    uint32_t       home_back;               /**< Value that carried before it
                                                 left for home; 0: none */
    uint8_t        going_home;              /**< vmp_ctl_home_state_t */
    uint64_t       down_time;               /**< When it failed; 0: carries */
    uint32_t       tries;                   /**< To repair it since */
    uint16_t       down_port;               /**< UDP source port that failed */
    uint8_t        is_unavailable;          /**< Out of resources here or there:
                                                 until the next WANT_PATHS */
} vmp_ctl_path_slot_t;


/** A peer interface. Outlives its connections by a while, so that their late
 *  datagrams are known as such. */
typedef struct vmp_ctl_peer {
    uint64_t             id;
    vmp_ctl_conn_t       *conn;             /**< The one alive, or NULL */
    struct vmp_ctl_peer  *next;             /**< Without connection: FIFO */
    struct vmp_ctl_peer  *prev;
    uint64_t             forget_at;
    uint32_t             max_incarn;        /**< Highest of its incarnations
                                                 that we were connected to */
    uint8_t              role;              /**< Ours */
    uint8_t              num_failed;        /**< Total modulo 256 */
    uint16_t             failed_ports[VMP_CTL_FAILED_PORTS];
} vmp_ctl_peer_t;


typedef enum vmp_ctl_conn_state {
    VMP_CTL_CONN_CONNECTING,    /**< CONNECT sent, peer's slot not known */
    VMP_CTL_CONN_CONNECTED,     /**< Parameters agreed */
    VMP_CTL_CONN_DYING          /**< GOODBYEs and QPs run out */
} vmp_ctl_conn_state_t;


struct vmp_ctl_conn {
    vmp_ctl_t            *ctl;
    vmp_ctl_peer_t       *peer;             /**< NULL when DYING */
    vmp_ctl_path_slot_t  *paths;            /**< num_paths of them */
    vmp_ctl_path_t       *dying;
    vmp_ev_t             *spare_evs;        /**< For all that may have to be
                                                 said of it: none gets lost */
    vmp_ctl_conn_t       *half_next;        /**< Half-open: FIFO */
    vmp_ctl_conn_t       *half_prev;
    uint64_t             peer_id;
    uint64_t             wait_start;        /**< Of what it waits for now */
    uint64_t             asked_since;       /**< The peer owes an answer */
    uint64_t             hard_until;        /**< Fresh UD QPs are needed */
    uint64_t             log_time;          /**< Next line about its paths */
    uint32_t             log_left_out;      /**< Lines too many */
    uint64_t             need_since;        /**< VMP_CMD_NEED */
    uint64_t             hurried_at;        /**< vmp_ctl_conn_hurry() */
    uint64_t             heard;             /**< Last valid datagram */
    uint64_t             idle_heard;        /**< The same at the last look */
    uint64_t             resend_at;         /**< Of the timer */
    uint64_t             resend_due;        /**< Of what is unanswered; 0: to be
                                                 set */
    uint64_t             rto;               /**< ns: until the next repeat */
    uint64_t             srtt;              /**< Round trip, ns; 0: unknown, */
    uint64_t             rttvar;            /**< and how much it varies */
    uint64_t             asked_at;          /**< CONNECT went out; 0: more than
                                                 once */
    uint64_t             answered_at;       /**< Last CONNECT_ACK */
    uint32_t             tries;             /**< Resends since wait_start */
    uint32_t             heap_index;        /**< VMP_CTL_NO_TIMER: no timer */
    uint32_t             send_seq;          /**< Chooses the control QPs */
    uint32_t             slot;
    uint32_t             incarn;
    uint32_t             peer_conn;
    uint32_t             peer_incarn;       /**< 0: not known */
    uint32_t             delivered;         /**< For GOODBYE(CLOSED) */
    uint32_t             peer_delivered;    /**< Of the peer's */
    uint16_t             num_dying;
    uint16_t             num_spare_evs;
    uint8_t              state;             /**< vmp_ctl_conn_state_t */
    uint8_t              role;
    uint8_t              is_leader;
    uint8_t              version;           /**< Agreed */
    uint8_t              num_paths;         /**< Agreed */
    uint8_t              want;              /**< Paths to bring up */
    uint8_t              has_user;          /**< The application asked for it */
    uint8_t              is_half_open;      /**< A stranger's, in the FIFO */
    uint8_t              goodbyes;          /**< DYING: copies left to send */
    uint8_t              bye_reason;
    uint8_t              is_warned;         /**< Of paths that do not come */
    uint8_t              peer_is_idle;      /**< Said DISCONNECT */
    uint8_t              must_forget;       /**< Its host may have changed */
    uint8_t              born_gen;          /**< ctl->addr_gen when made */
    uint8_t              idle_looks;        /**< In a row, and no sign of it */
    uint8_t              idle_probes;       /**< VMP_EV_PROBE since then */
    uint8_t              is_tried;          /**< The same, since it is silent */
    uint8_t              is_pinging;        /**< Asks whether the peer is there */
    uint8_t              extra;             /**< Copies, each from another
                                                 control QP */
    uint8_t              repeats;           /**< Of the peer's, answered since
                                                 the last progress */
    uint8_t              is_asked;          /**< The peer owes an answer */
    uint8_t              is_need_asked;     /**< Asked since VMP_CMD_NEED */
    uint8_t              was_up;            /**< Some path was */
    uint8_t              is_ending;         /**< Its paths need no lines */
    uint8_t              is_needed;         /**< Somebody waits for one */
    uint8_t              addr_gen;          /**< Of the peer's address */
    uint8_t              made_gen;          /**< Of ours, when we sent CONNECT */
    uint8_t              is_moved;          /**< We have another address, which
                                                 the peer may not know */
    uint8_t              has_hint;          /**< Until a path comes up that was
                                                 begun later */
    vmp_rail_addr_t      rail;              /**< Peer's home rail */
    vmp_rail_addr_t      hint;              /**< has_hint: it may be there, */
    uint64_t             hint_time;         /**< was said then */
    vmp_iface_addr_t     iface;             /**< Peer's control QPs */
};


struct vmp_ctl {
    vmp_ctl_params_t     params;
    vmp_port_attr_t      attr;
    uint64_t             rng;
    uint64_t             now;
    uint64_t             copy_time;         /**< Next copy of a datagram */
    uint64_t             renewed_at;        /**< Fresh UD QPs; 0: never */
    uint64_t             idle_at;           /**< Next look at all connections */
    uint8_t              spares[VMP_MAX_RAILS]; /**< Mask of those there */
    vmp_ctl_conn_t       **slots;           /**< NULL: free */
    uint32_t             num_slots;
    uint32_t             next_free;         /**< Where to look first */
    uint32_t             num_conns;
    uint32_t             next_incarn;
    void                 *peers;            /**< tsearch() tree */
    vmp_ctl_peer_t       *old_head;         /**< Peers without connection */
    vmp_ctl_peer_t       *old_tail;
    uint32_t             num_old;
    vmp_ctl_conn_t       *half_head;
    vmp_ctl_conn_t       *half_tail;
    uint32_t             num_half;
    vmp_ctl_conn_t       **heap;            /**< By resend_at */
    uint32_t             heap_len;
    vmp_ctl_path_t       *quarantine_head;  /**< By end, since all as long */
    vmp_ctl_path_t       *quarantine_tail;
    vmp_ctl_path_t       *settling;         /**< QPs in ERR that may still execute
                                                 what the peer sent */
    uint64_t             answer_time;       /**< Next answer to unknown */
    uint32_t             answer_seq;
    uint8_t              addr_gen;          /**< Of that of our home rail */
    uint64_t             addr_time[VMP_MAX_RAILS];  /**< Last looked up */
    uint32_t             addr_due;          /**< Rails that are to be, when the
                                                 interval is over */
    uint8_t              is_half_warned;
    uint8_t              is_stalled;        /**< No memory to do `stalled`, nor
                                                 to say so: commands wait */
    vmp_cmd_t            stalled;
};


/* vmp_ctl.c */

uint64_t vmp_ctl_random(vmp_ctl_t *ctl);

/** See to it that so many events of a connection can be pushed. Return 0 or
 *  -1. */
int vmp_ctl_ev_reserve(vmp_ctl_conn_t *conn, unsigned num);
void vmp_ctl_ev_release(vmp_ctl_conn_t *conn);

/** Push a reserved event; `ev` has what is not in every one. */
void vmp_ctl_ev_push(vmp_ctl_conn_t *conn, vmp_ev_type_t type,
                     const vmp_ev_t *ev);


/* vmp_ctl_send.c */

/** Fill in what every datagram of a connection carries and send it. */
void vmp_ctl_conn_send(vmp_ctl_conn_t *conn, vmp_ctl_msg_t *msg);

/** What was sent before may not have got through: send from the next control
 *  QP, and copies from so many others, until vmp_ctl_conn_send_again_end(). */
void vmp_ctl_conn_send_again(vmp_ctl_conn_t *conn, unsigned extra);

/**
 * The same for an answer that the peer seems not to have got.
 *
 * @param last_p  When something of the kind was answered last.
 * @param gap     What comes sooner after that is a copy, ns.
 * @return 0: just now, this is a copy: no answer, and no end.
 */
int vmp_ctl_conn_answer_again(vmp_ctl_conn_t *conn, uint64_t *last_p,
                              uint64_t gap);
void vmp_ctl_conn_send_again_end(vmp_ctl_conn_t *conn);

/** All our control QPs may be on dead links: from now on send from fresh ones,
 *  too, which have other UDP source ports. `tries`: how often in vain. */
void vmp_ctl_conn_try_hard(vmp_ctl_conn_t *conn, unsigned tries);

/** Send what others wait for from several control QPs at once, to several of
 *  the peer's: one may be on the link that has just died. */
void vmp_ctl_conn_send_wide(vmp_ctl_conn_t *conn, vmp_ctl_msg_t *msg);

/** Answer a datagram that fits no connection of ours, at a limited rate. */
void vmp_ctl_answer(vmp_ctl_t *ctl, const vmp_ctl_msg_t *in,
                    vmp_ctl_type_t type, vmp_ctl_reason_t reason,
                    uint64_t now);


/* vmp_ctl_table.c */

/** Give a new connection a slot, an incarnation and room in the heap.
 *  Return 0 or -1. */
int vmp_ctl_slot_add(vmp_ctl_t *ctl, vmp_ctl_conn_t *conn);
void vmp_ctl_slot_remove(vmp_ctl_t *ctl, vmp_ctl_conn_t *conn);
vmp_ctl_conn_t *vmp_ctl_slot_find(const vmp_ctl_t *ctl, uint32_t slot,
                                  uint32_t incarn);

vmp_ctl_peer_t *vmp_ctl_peer_find(const vmp_ctl_t *ctl, uint64_t id,
                                  uint8_t role);
vmp_ctl_peer_t *vmp_ctl_peer_get(vmp_ctl_t *ctl, uint64_t id, uint8_t role);
void vmp_ctl_peer_attach(vmp_ctl_t *ctl, vmp_ctl_peer_t *peer,
                         vmp_ctl_conn_t *conn);
void vmp_ctl_peer_detach(vmp_ctl_t *ctl, vmp_ctl_conn_t *conn, uint64_t now);
void vmp_ctl_peer_expire(vmp_ctl_t *ctl, uint64_t now);
void vmp_ctl_peers_free(vmp_ctl_t *ctl);

void vmp_ctl_timer_set(vmp_ctl_conn_t *conn, uint64_t time);
void vmp_ctl_timer_clear(vmp_ctl_conn_t *conn);

void vmp_ctl_half_add(vmp_ctl_conn_t *conn);
void vmp_ctl_half_remove(vmp_ctl_conn_t *conn);


/* vmp_ctl_idle.c */

/** The application is to try the paths that are up. */
void vmp_ctl_idle_probe(vmp_ctl_conn_t *conn);

/** Look for peers that are gone, when it is time. Return when it is. */
uint64_t vmp_ctl_idle_progress(vmp_ctl_t *ctl, uint64_t now);


/* vmp_ctl_conn.c */

/** VMP_CMD_CONNECT. Return 0, or -1: not done, and no memory to say so. */
int vmp_ctl_conn_open(vmp_ctl_t *ctl, const vmp_cmd_t *cmd, uint64_t now);

/** VMP_CMD_PING. The question is a CONNECT, which is answered whenever it comes,
 *  but for copies. */
void vmp_ctl_conn_ping(vmp_ctl_conn_t *conn);

/** VMP_CMD_IDLE. */
void vmp_ctl_conn_idle(vmp_ctl_conn_t *conn);

void vmp_ctl_conn_recv_connect(vmp_ctl_t *ctl, const vmp_ctl_msg_t *msg,
                               uint8_t role, uint64_t now);
void vmp_ctl_conn_recv_ack(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg,
                           uint64_t now);
void vmp_ctl_conn_recv_reject(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg,
                              uint64_t now);
void vmp_ctl_conn_recv_goodbye(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg,
                               uint64_t now);

/**
 * End a connection: event, QPs to ERR, GOODBYE to the peer. `conn` may be gone
 * on return.
 *
 * @param ev      VMP_EV_CONN_FAILED, VMP_EV_PEER_CLOSED, or VMP_EV_CONN_GONE:
 *                none but the last, since the application knows.
 * @param status  Of the event.
 * @param reason  Of the event.
 * @param bye     What to tell the peer; VMP_REASON_NONE: nothing.
 */
void vmp_ctl_conn_fail(vmp_ctl_conn_t *conn, vmp_ev_type_t ev,
                       vmp_status_t status, vmp_ctl_reason_t reason,
                       vmp_ctl_reason_t bye, uint64_t now);

/** Free it if it is DYING and nothing is left of it. */
void vmp_ctl_conn_check_gone(vmp_ctl_conn_t *conn);

void vmp_ctl_conn_send_connect(vmp_ctl_conn_t *conn, vmp_ctl_type_t type);
void vmp_ctl_conn_send_goodbye(vmp_ctl_conn_t *conn);

/** Free without ceremony. [vmp_ctl_destroy] */
void vmp_ctl_conn_free(vmp_ctl_conn_t *conn);

/** "peer 0123456789abcdef at 10.0.0.1" */
const char *vmp_ctl_conn_str(const vmp_ctl_conn_t *conn, char *buf);


/* vmp_ctl_log.c */

/** Level of a line about a path of a connection: such lines are few while paths
 *  come and go. */
vmp_log_level_t vmp_ctl_log_level(vmp_ctl_conn_t *conn);

/** Paths that were up and are not, with UDP ports and for how long. */
const char *vmp_ctl_log_paths(const vmp_ctl_conn_t *conn, uint64_t now,
                              char *buf, size_t max);

/** A path that carried does not any more. */
void vmp_ctl_log_down(vmp_ctl_path_t *path, uint64_t now);

/** A path that was repaired carries. */
void vmp_ctl_log_repaired(vmp_ctl_path_t *path, uint64_t now);


/* vmp_ctl_wait.c */

/** Its timer has run out. It may be gone on return. */
void vmp_ctl_conn_timer(vmp_ctl_conn_t *conn, uint64_t now);

/** An answer came to what went out at `asked_at` (0: several times, so it is
 *  not known to which). */
void vmp_ctl_conn_rtt(vmp_ctl_conn_t *conn, uint64_t asked_at, uint64_t now);

/** A datagram of the peer's came in. After long silence, what it owes is asked
 *  for at once. */
void vmp_ctl_conn_heard(vmp_ctl_conn_t *conn, uint64_t now);

/** How long to wait for an answer to something new. */
uint64_t vmp_ctl_conn_rto(const vmp_ctl_conn_t *conn);
uint64_t vmp_ctl_conn_path_gap(const vmp_ctl_conn_t *conn);

/** VMP_CMD_NO_NEED. */
void vmp_ctl_conn_no_need(vmp_ctl_conn_t *conn);

/** VMP_CMD_NEED. */
void vmp_ctl_conn_need(vmp_ctl_conn_t *conn, int is_overdue, uint64_t now);

/** It may have something more to wait for. Puts off nothing that is due. */
void vmp_ctl_conn_wait(vmp_ctl_conn_t *conn, uint64_t now);

/** Somebody wants it to go on: ask soon for what the peer owes, and never later
 *  than it would be. Who comes again and again must not keep it from that. */
void vmp_ctl_conn_hurry(vmp_ctl_conn_t *conn, uint64_t now);

/** Something was done: if it waits for more, do so from now on. */
void vmp_ctl_conn_kick(vmp_ctl_conn_t *conn, uint64_t now);


/* vmp_ctl_path.c */

int vmp_ctl_path_any_up(const vmp_ctl_conn_t *conn);

/** Of those that are up: how many are known to carry. vmp_ctl_qp.c */
unsigned vmp_ctl_path_num_carrying(const vmp_ctl_conn_t *conn);

/** Whether a path is on its way, or should be. */
int vmp_ctl_path_is_waited(const vmp_ctl_conn_t *conn);

/** Whether the peer has something to answer. A leader may wait for nobody but
 *  its own application. */
int vmp_ctl_path_is_asked(const vmp_ctl_conn_t *conn);

/** Leader: request what is wanted and not there, some at a time. May fail the
 *  connection: return -1, it may be gone. */
int vmp_ctl_path_start(vmp_ctl_conn_t *conn, uint64_t now);

/** Leader: when the next dead path is to be repaired, at earliest; UINT64_MAX:
 *  none waits for that. */
uint64_t vmp_ctl_path_repair_time(const vmp_ctl_conn_t *conn, uint64_t now);

/** Send again what waits for an answer. */
void vmp_ctl_path_resend(vmp_ctl_conn_t *conn);

/** (path, epoch) is not known here. */
void vmp_ctl_path_send_dead(vmp_ctl_conn_t *conn, unsigned index,
                            uint32_t epoch);

/** VMP_CMD_PATH_FAIL. */
void vmp_ctl_path_failed(vmp_ctl_conn_t *conn, uint8_t index, uint32_t epoch,
                         uint64_t now);

/** VMP_CMD_WANT_PATHS and PATH_ASK. */
void vmp_ctl_path_want(vmp_ctl_conn_t *conn, unsigned num_paths, uint64_t now);

/** PATH_ASK, PATH_REQ, PATH_REP, PATH_RTU, DEAD, checked to be for this very
 *  connection. It may be gone on return. */
void vmp_ctl_path_recv(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg,
                       uint64_t now);


/* vmp_ctl_qp.c */

/** Make a path's QP and enter it in its slot. NULL: out of resources. */
vmp_ctl_path_t *vmp_ctl_path_new(vmp_ctl_conn_t *conn, unsigned index,
                                 uint32_t epoch, uint32_t entropy,
                                 uint64_t now);

/** Connect it to what a PATH_REQ or PATH_REP names. Return 0 or -1. */
int vmp_ctl_path_connect(vmp_ctl_path_t *path, const vmp_ctl_msg_t *msg);

void vmp_ctl_path_event(vmp_ctl_path_t *path, vmp_ev_type_t type);
void vmp_ctl_path_up(vmp_ctl_path_t *path, uint64_t now);

/** VMP_CMD_PATH_PROVED. */
void vmp_ctl_path_proved(vmp_ctl_conn_t *conn, uint8_t index, uint32_t epoch,
                         uint64_t now);

/** Take a path out of use: QP to ERR and quarantine. */
void vmp_ctl_path_retire(vmp_ctl_path_t *path, uint64_t now);

/** VMP_CMD_PATH_DRAINED. The connection may be gone on return. */
void vmp_ctl_path_drained(vmp_ctl_conn_t *conn, uint8_t index, uint32_t epoch,
                          uint64_t now);

/** Destroy its QP if nothing holds it any more. The connection may be gone on
 *  return if it is DYING. */
void vmp_ctl_path_check_end(vmp_ctl_path_t *path);

/** The connection is DYING: what only waited for the peer does not any more. It
 *  may be gone on return. */
void vmp_ctl_path_check_all(vmp_ctl_conn_t *conn);

/** VMP_CMD_PATH_SEEN. */
void vmp_ctl_path_seen(vmp_ctl_conn_t *conn, uint8_t index, uint32_t epoch,
                       uint64_t now);

/** Whether an earlier epoch of a path is still to be drained by the
 *  application, or to be fenced off by the peer or here. */
int vmp_ctl_path_is_draining(const vmp_ctl_conn_t *conn, unsigned index);

/** Destroy QPs whose quarantine is over. */
void vmp_ctl_path_quarantine(vmp_ctl_t *ctl, uint64_t now);

/** Destroy all QPs of a connection at once. [vmp_ctl_destroy] */
void vmp_ctl_path_free_all(vmp_ctl_conn_t *conn);


/* vmp_ctl_down.c */

/** A path's QP was moved to ERR: fence it off, unless its connection ends. */
void vmp_ctl_down_begin(vmp_ctl_path_t *path);

/** Say so of paths whose QPs have settled. Return when to ask again, ns. */
uint64_t vmp_ctl_down_settle(vmp_ctl_t *ctl, uint64_t now);

/** PATH_DOWN. */
void vmp_ctl_down_recv(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg,
                       uint64_t now);

/** DEAD: of a path that waits for the peer's PATH_DOWN? Return 1 if so. */
int vmp_ctl_down_unknown(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg,
                         uint64_t now);

/** Whether both sides are done with a dying path, or need not be. */
int vmp_ctl_down_is_over(const vmp_ctl_path_t *path);

/** The next epoch has to wait until the last one is done with here: let the
 *  peer know that we live. */
void vmp_ctl_down_not_yet(vmp_ctl_conn_t *conn, unsigned index);

int vmp_ctl_down_is_waited(const vmp_ctl_conn_t *conn);
void vmp_ctl_down_resend(vmp_ctl_conn_t *conn);


/* vmp_ctl_home.c */

/** A path is about to be retired. */
void vmp_ctl_home_left(const vmp_ctl_path_t *path, uint64_t now);

/** Leader: retire a path that is away from home and may try to go back. */
void vmp_ctl_home_return(vmp_ctl_conn_t *conn, uint64_t now);

/** Entropy value of a path that is about to be requested. */
uint32_t vmp_ctl_home_entropy(vmp_ctl_conn_t *conn, unsigned index,
                              uint32_t epoch);

/** A path carries. */
void vmp_ctl_home_proved(const vmp_ctl_path_t *path);

/** When vmp_ctl_home_return() has something to do; UINT64_MAX: never. */
uint64_t vmp_ctl_home_time(const vmp_ctl_conn_t *conn);

/* vmp_ctl_addr.c */

/** Look up what address a rail has now; if that was done just before, in a while.
 *  All peers are told of a new one. */
void vmp_ctl_addr_refresh(vmp_ctl_t *ctl, unsigned rail);
void vmp_ctl_addr_refresh_now(vmp_ctl_t *ctl, unsigned rail);

/** Look up what is due. Return when something else is, UINT64_MAX: nothing. */
uint64_t vmp_ctl_addr_progress(vmp_ctl_t *ctl);

/** Tell the peer of a connection where our home rail is. */
void vmp_ctl_addr_tell(vmp_ctl_conn_t *conn);

/** The peer says where it is when both agree on a connection. That may be from
 * before it moved: where it was asked remains another place to ask at. */
void vmp_ctl_addr_agree(vmp_ctl_conn_t *conn, const vmp_rail_addr_t *rail);

/** VMP_CMD_CONNECT: the application was told that the peer is there. */
void vmp_ctl_addr_hint(vmp_ctl_conn_t *conn, const vmp_rail_addr_t *rail);

/** Whether it was said to be somewhere else than it says itself. */
int vmp_ctl_addr_is_unsure(const vmp_ctl_conn_t *conn);

/** CONNECT, CONNECT_ACK: the peer says where its home rail is. */
void vmp_ctl_addr_of_peer(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg);


#endif
