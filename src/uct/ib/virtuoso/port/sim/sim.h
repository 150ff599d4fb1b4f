/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_SIM_H_
#define VMP_SIM_H_

#include "port/port.h"

#include <stdio.h>


/**
 * The simulated port: an implementation of port/port.h on a network in memory,
 * in virtual time. There is one world a process, and no thread: the driver (a
 * test) makes it, opens interfaces of the core on its devices, and then in turn
 * lets applications run (vmp_iface_progress() and what they call) and lets time
 * pass (sim_step()). Everything that happens follows from the settings, the
 * seed and the order of the driver's calls: one seed, one outcome.
 *
 *     sim_conf_init(&conf, seed);          what is not set has a sane default
 *     conf.hosts = 2;
 *     sim_begin(&conf);
 *     vmp_port_md_open() of "h0r0", "h1r0"; vmp_iface_create(), ...
 *     while (...) {
 *         vmp_iface_progress() of each interface, posts, ...
 *         sim_step(1000);
 *     }
 *     vmp_iface_destroy(), vmp_port_md_close()
 *     sim_end();                           checks that nothing is left
 *
 * The network. A host has `rails` devices (a NIC each), named "h3r0": host 3,
 * rail 0. Each ordered pair of NICs, also a NIC and itself, is joined by `links`
 * parallel links of one direction. Which of them a packet takes follows from a
 * hash of sender, receiver and UDP source port (vmp_port_udp_sport() of the
 * path's entropy; UD QPs have a fixed port of their own). Packets of one QP keep
 * their order, those of different QPs and links overtake each other.
 *
 * RC QPs. Messages are cut into packets of the path MTU, each with its PSN. The
 * responder executes packet by packet; what is lost is repeated from there on
 * (sequence NAK, timeout); after `retry_count` repeats without progress the
 * request fails with RETRY_EXC and the QP goes to ERR. An empty SRQ makes RNR
 * NAKs with the responder's min_rnr_timer, for ever. Up to conf.burst packets of
 * a message travel as one event: they arrive together, and a QP that dies
 * meanwhile has executed none or all of them, a loss cuts the burst. The data of
 * sends and writes is read when its packet is executed, so that a buffer which
 * was released before its acknowledgement shows as wrong data.
 *
 * Faults of the user (the core): what a device leaves to its user, or punishes
 * later, is reported at once (sim_fault_t).
 */

/** Bytes that a packet takes on a link besides its payload. */
#define SIM_PKT_OVERHEAD  80

/** Never: a time. */
#define SIM_NEVER  UINT64_MAX


/* The user's faults ------------------------------------------------------- */

/** What the user of the port did wrong. */
typedef enum sim_fault {
    SIM_FAULT_SQ_FULL,          /**< More posted than sq_depth: a slot is free
                                     when the completion of its WR or of a later
                                     one of its QP was polled */
    SIM_FAULT_CQ_FULL,          /**< More posted, or completed and not polled,
                                     than cq_depth. WRs that are not signalled
                                     count until known complete (R10) */
    SIM_FAULT_RX_CQ_FULL,       /**< More arrivals not polled than srq_depth */
    SIM_FAULT_SRQ_FULL,         /**< More buffers posted than srq_depth */
    SIM_FAULT_STATE,            /**< Post on a QP that was never connected */
    SIM_FAULT_LIMIT,            /**< max_sge, max_inline or a length exceeded */
    SIM_FAULT_LKEY,             /**< Local memory not registered for it */
    SIM_FAULT_RELEASED,         /**< Local memory of a posted WR or receive
                                     buffer was deregistered */
    SIM_FAULT_NOT_DRAINED,      /**< QP destroyed with WRs or completions (also
                                     arrivals) that were not polled (R6) */
    SIM_FAULT_QUARANTINE,       /**< QP destroyed within conf.quarantine of its
                                     move to ERR, or without one (R6) */
    SIM_FAULT_DESTROYED,        /**< Use of a QP that was destroyed */
    SIM_FAULT_THREAD,           /**< [helper] call outside of the helper, or
                                     [app] call inside */
    SIM_FAULT_LEAK,             /**< Something is left at close or sim_end() */
    SIM_FAULT_LAST
} sim_fault_t;

const char *sim_fault_str(sim_fault_t fault);


/* What responders execute -------------------------------------------------- */

typedef enum sim_exec_kind {
    SIM_EXEC_SEND,
    SIM_EXEC_WRITE,
    SIM_EXEC_READ
} sim_exec_kind_t;

/** Packets of a request that took effect in the memory of the responder */
typedef struct sim_exec {
    sim_exec_kind_t kind;
    vmp_port_t      *from;          /**< Requester; NULL: it is gone */
    vmp_port_t      *at;            /**< Responder */
    uint64_t        addr;           /**< In the responder's memory */
    uint32_t        length;         /**< Bytes there */
    uint32_t        offset;         /**< Of these in the message */
    uint32_t        total;          /**< Bytes of the message */
    uint64_t        wr_id;          /**< Of the requester; READ: 0 */
    void            *owner;         /**< WRITE: conf.written said so */
    int             is_ghost;       /**< The requester's QP was in ERR */
} sim_exec_t;


/* Settings ---------------------------------------------------------------- */

/** One direction of a link: settings, which may be changed at any time, and
 *  counters. Probabilities are per million packets. */
typedef struct sim_link {
    uint64_t rate;              /**< Bytes/s; 0: no limit */
    uint64_t delay;             /**< ns: of the wire */
    uint64_t jitter;            /**< ns: up to that much more, uniformly */
    uint64_t queue;             /**< Bytes that may wait; what comes then is
                                     dropped. 0: no limit */
    uint32_t loss;              /**< All packets */
    uint32_t dup;               /**< RC packets that come twice, */
    uint32_t late;              /**< or are kept back for up to late_ns, however */
    uint64_t late_ns;           /**< long their QPs have been dead by then */
    uint32_t ud_loss;           /**< Of UD packets: lost in addition, */
    uint32_t ud_dup;            /**< repeated, */
    uint32_t ud_late;           /**< kept back for up to ud_late_ns, so that */
    uint64_t ud_late_ns;        /**< later ones overtake them */
    uint8_t  mark;              /**< The driver's, means nothing here */

    uint64_t packets;           /**< That arrived at the other end */
    uint64_t bytes;             /**< Of these, with overhead */
    uint64_t rc_bytes;          /**< Payload of RC packets among them */
    uint64_t dropped_queue;     /**< Packets: queue full */
    uint64_t dropped_loss;
    uint64_t dropped_cut;       /**< Sent, or under way, while it was cut */
    uint64_t repeated;          /**< RC packets: `dup` */
    uint64_t kept_back;         /**< The same: `late` */
    uint64_t ud_dropped;        /**< UD packets: by `loss` or `ud_loss` */
    uint64_t ud_repeated;       /**< `ud_dup` */
    uint64_t ud_kept_back;      /**< `ud_late` */

    uint8_t  is_cut;            /**< Read only: see sim_link_cut() */
    uint32_t cuts;              /**< Read only */
    uint64_t busy_until;        /**< Private */
} sim_link_t;


/** Settings of the world; sim_conf_init() fills in defaults. Members marked (*)
 *  may be changed while it runs, in `sim_conf`. */
typedef struct sim_conf {
    uint64_t   seed;
    unsigned   hosts;           /**< 2 */
    unsigned   rails;           /**< NICs a host: 1 */
    unsigned   links;           /**< Parallel links between two NICs: 4 */
    sim_link_t link;            /**< New links are copies of it (*): 10 Gbyte/s,
                                     1000 ns, everything else 0 */
    int        is_symmetric;    /**< Both directions of a flow take links of
                                     the same number: 0 */
    uint64_t   nic_rate;        /**< Bytes/s that a NIC sends, its QPs in turn;
                                     0: no limit (default) */
    uint32_t   burst;           /**< Packets of a message an event, at most: 8.
                                     1: each packet by itself */
    uint8_t    mtu;             /**< enum ibv_mtu of the ports: 3 (1024) */
    uint64_t   speed;           /**< Bytes/s that the devices say: 1000000 */
    uint32_t   max_inline;      /**< Of what params want, at most: 256 */
    uint8_t    max_sge;         /**< The same: 8 */
    uint8_t    max_rd_atomic;   /**< The same: 16 */
    uint64_t   helper_delay;    /**< ns until the helper runs when it is woken
                                     (*): 2000 */
    uint64_t   helper_jitter;   /**< ns: up to that much more (*): 0 */
    uint32_t   ud_queue;        /**< Datagrams that wait for the helper of an
                                     interface (*); more are lost: 1024 */
    uint64_t   quarantine;      /**< ns from ERR to destroy, at least: 2 s.
                                     0: not checked (*) */

    /* Of new QPs (*), see sim_qp_t */
    uint64_t   qp_delay;        /**< ns: 0 */
    uint64_t   qp_jitter;       /**< ns: 0 */
    uint64_t   qp_delay_step;   /**< ns: each QP of an interface has that much
                                     more delay than the one before: 0 */

    /* Dying QPs (*), see sim_fault.c. Defaults are what soft-RoCE does */
    uint64_t   err_delay;       /**< ns: at most, until a move to ERR takes
                                     effect, and from then until the responder
                                     stops to execute: 0 */
    uint64_t   last_delay;      /**< ns: at most, from then until the device
                                     says so (LAST_WQE_REACHED): 0 */
    uint32_t   last_lost;       /**< Of a million QPs that never say so: 0 */
    uint64_t   settle;          /**< ns after which vmp_port_qp_settle() does
                                     not wait any longer: 500 ms, as the verbs
                                     port. More than twice err_delay */
    uint32_t   srq_return;      /**< Of a million receive buffers of messages
                                     that were half there: come back; others
                                     are lost: 0 */
    vmp_wc_status_t srq_status; /**< How these come back: FLUSHED */
    int        no_rq_psn;       /**< vmp_port_qp_rq_psn() does not know: 0 */
    int        qpn_recycle;     /**< The lowest free QP number is taken: 0 */
    uint32_t   rnr_false;       /**< Of a million messages: RNR NAK, whatever
                                     the SRQ has: 0 */

    /* What the devices refuse (*) */
    uint64_t   post_fail_after; /**< So many posts until one fails; 0: never */
    uint32_t   post_fail;       /**< Of a million posts to QPs in RTS: 0 */
    uint32_t   srq_fail;        /**< Of a million receive buffers, which stop
                                     their call: 0 */
    uint64_t   qp_fail_after;   /**< The same for QP creation */
    uint32_t   qp_fail;         /**< Of a million QP creations that fail: 0 */
    uint32_t   connect_fail;    /**< Of a million vmp_port_qp_connect(): 0 */
    uint32_t   mem_fail;        /**< Of a million registrations: 0 */
    size_t     mem_limit;       /**< Bytes that a process may have registered;
                                     0: no limit */
    unsigned   max_qps;         /**< QPs alive a NIC; 0: no limit */

    /**
     * Called for a fault of the user; NULL: print it with the seed and abort.
     * `text` says what happened, in one line. After return the simulation goes
     * on as a device would: it refuses the post, breaks the CQ, ...
     */
    void       (*fault)(void *arg, sim_fault_t fault, const char *text);
    void       *fault_arg;
    uint32_t   fault_expected;  /**< OR of 1 << SIM_FAULT_*: only counted (*) */

    /** Called for a datagram that arrives at an interface, before its helper
     *  has it; may be NULL. Return 1: take it away. (*) */
    int        (*datagram)(void *arg, vmp_port_t *port, const void *data,
                           size_t length);
    void       *datagram_arg;

    /** Called when a responder has executed something, once for each run of
     *  packets; may be NULL. (*) */
    void       (*executed)(void *arg, const sim_exec_t *exec);
    void       *executed_arg;

    /** Called when a write is posted, whether or not the device takes it; may
     *  be NULL. What it returns is sim_exec_t.owner of what is executed. (*) */
    void       *(*written)(void *arg, vmp_port_t *port, const vmp_sge_t *sge,
                           uint64_t remote_addr);
    void       *written_arg;

    /** Called when a QP fails by itself, before its oldest request ends with
     *  `status`; may be NULL. (*) */
    void       (*failed)(void *arg, vmp_port_qp_t *qp, uint64_t wr_id,
                         vmp_wc_status_t status);
    void       *failed_arg;

    /** Called when an application is about to arm, before the port looks; may
     *  be NULL. What it makes happen (sim_step()) is not seen by what the
     *  application has looked at, and wakes nobody. (*) */
    void       (*arming)(void *arg, vmp_port_t *port);
    void       *arming_arg;

    /** One line (without newline) for everything that happens, for reading a
     *  replay; NULL: none, at no cost. (*) */
    void       (*trace)(void *arg, const char *line);
    void       *trace_arg;
} sim_conf_t;

/** Settings of the world that is there: change what is marked (*). */
extern sim_conf_t sim_conf;

void sim_conf_init(sim_conf_t *conf, uint64_t seed);

/** A trace function that writes to the FILE in `arg`. */
void sim_trace_file(void *arg, const char *line);

/* The port also brings vmp_log(), unless the program has its own: lines up to
 * vmp_log_max_level (warnings, if nobody sets it) go to the trace or, without
 * one, to stdout. */


/* The world --------------------------------------------------------------- */

/** Make the world; time begins at 1000 ns. There must be none. */
void sim_begin(const sim_conf_t *conf);

/** End the world. MDs, ports, QPs and MRs that are left are reported as
 *  SIM_FAULT_LEAK, then freed. */
void sim_end(void);

/** Virtual time, ns. */
uint64_t sim_now(void);

/** When the next thing happens by itself, at earliest sim_now(); SIM_NEVER:
 *  nothing will before somebody posts. */
uint64_t sim_next(void);

/** Let time pass to the next thing that happens, at most `max` ns, and make
 *  happen all that happens at that time. Return how many things happened. */
unsigned sim_step(uint64_t max);

/** Let `ns` pass, and make happen what happens. */
void sim_run(uint64_t ns);

/** A random number for the driver, from the seed; the world's own are apart, so
 *  that what the driver draws does not change the network's luck. */
uint64_t sim_random(void);

/** Digest of all that has happened: equal runs have equal ones. */
uint64_t sim_hash(void);

typedef struct sim_counters {
    uint64_t events;            /**< Steps of the simulation itself */
    uint64_t wrs;               /**< Posted */
    uint64_t packets;           /**< Of RC, sent, with acks */
    uint64_t retransmitted;     /**< Packets sent again */
    uint64_t timeouts;          /**< Of RC requesters */
    uint64_t seq_naks;
    uint64_t rnr_naks;
    uint64_t err_naks;
    uint64_t duplicates;        /**< Packets that a responder had already */
    uint64_t stray;             /**< RC packets to no QP that wanted them */
    uint64_t qp_errors;         /**< QPs that failed by themselves */
    uint64_t dead_qps;          /**< QPs that went to ERR, for any reason */
    uint64_t refused_qps;       /**< Not made, or not connected */
    uint64_t refused_posts;     /**< Of requests */
    uint64_t halves;            /**< Messages that failed by kill_half */
    uint64_t buffers_back;      /**< Receive buffers of messages that were half
                                     there when their QP died */
    uint64_t ud_sent;           /**< Datagrams */
    uint64_t ud_received;       /**< Handed to a helper */
    uint64_t helper_runs;
    uint64_t faults[SIM_FAULT_LAST];

    /* alive */
    uint32_t mds;
    uint32_t ports;
    uint32_t qps;
    uint32_t mrs;
    uint64_t mr_bytes;
    uint32_t ahs;               /**< Destinations cached for datagrams */
} sim_counters_t;

extern sim_counters_t sim_counters;


/* Network ----------------------------------------------------------------- */

/** Number of a NIC, as links are named: with one rail a host, the host's. */
static inline unsigned sim_nic(unsigned host, unsigned rail)
{
    return (host * sim_conf.rails) + rail;
}

/** A direction of a link, to look at and to change. Valid until sim_end(). */
sim_link_t *sim_link(unsigned from_nic, unsigned to_nic, unsigned link);

/** Number of the link that packets with a UDP source port take. */
unsigned sim_link_of(unsigned from_nic, unsigned to_nic, uint16_t udp_sport);

/** Cut (what is under way is lost, too) or heal one direction. */
void sim_link_cut(sim_link_t *link, int is_cut);

/** The same for all links of a NIC in both directions, but for its own. */
void sim_nic_cut(unsigned nic, int is_cut);


/* Interfaces -------------------------------------------------------------- */

/** The interface's port that was opened as the i-th (from 0), or NULL if it is
 *  closed. The core has it in vmp_iface_t, too. */
vmp_port_t *sim_port(unsigned i);

/** The helper does nothing for this port before `until` (ns; SIM_NEVER: until
 *  called again): datagrams, commands and timers wait. */
void sim_port_stall_helper(vmp_port_t *port, uint64_t until);

/**
 * Whether the event has happened for which the application armed by
 * vmp_port_event_arm(): its event fd would be readable. It stays so until it is
 * armed again. A model of an application that sleeps: arm until VMP_OK, then do
 * not progress before this is 1. A deadline is among what sim_next() knows.
 */
int sim_port_is_signaled(const vmp_port_t *port);

/** Completions and arrivals that were not polled. A quick way to know that an
 *  application has nothing to poll; control's events are not counted. */
unsigned sim_port_pending(const vmp_port_t *port);

/** Receive buffers posted and not used. */
unsigned sim_port_srq_posted(const vmp_port_t *port, unsigned rail);

/** Receive buffers that were posted and have not come back by a poll: also those
 *  that QPs have taken, whose completions wait, or that were lost with a QP. */
unsigned sim_port_srq_held(const vmp_port_t *port, unsigned rail);

/** The link that datagrams of a control QP to a NIC take. */
sim_link_t *sim_port_ud_link(const vmp_port_t *port, unsigned ud, unsigned nic);

/** QPs alive. */
unsigned sim_port_num_qps(const vmp_port_t *port);


/* Accidents --------------------------------------------------------------- */

/** The device says that a port went up or down, whatever is true of it: control
 *  hears of it when the helper runs. */
void sim_port_rail_event(vmp_port_t *port, unsigned rail, int is_up);

/** The completion queues of an interface fail (CQ_ERR): polling them returns -1
 *  for ever, and its QPs are in error. Control has queues of its own. */
void sim_port_break(vmp_port_t *port);

/**
 * A NIC fails (DEVICE_FATAL): so do the completion queues of its interfaces; it
 * makes and moves no QP, takes no request, and nothing comes in or goes out.
 * The driver raises the event, if there is one. 0: it is as new, for interfaces
 * that are opened from now on.
 */
void sim_nic_fail(unsigned nic, int is_failed);

/** A NIC gets another address (`is_back`: the one before, if there is one), and
 *  says so or not. What goes to the old one is lost, and so is what QPs send
 *  that were connected before. See vmp_port_rail_addr(). */
void sim_nic_new_address(unsigned nic, int is_back, int is_said);

/** The one that it has. */
void sim_nic_address(unsigned nic, vmp_rail_addr_t *addr);

/**
 * The process that has an MD is killed: at once its QPs, control QPs and memory
 * regions are gone and their numbers free (sim_conf_t.qpn_recycle), and nothing
 * is said to anybody. What was sent is on its way. The driver then makes the
 * core free its memory (vmp_iface_destroy(), vmp_port_mem_dereg(),
 * vmp_port_md_close()), of which the world notices nothing.
 */
void sim_process_kill(vmp_port_md_t *md);


/* QPs --------------------------------------------------------------------- */

typedef enum sim_qp_state {
    SIM_QP_INIT,
    SIM_QP_RTR,                 /**< Receives only: connecting it failed */
    SIM_QP_RTS,
    SIM_QP_ERR,
    SIM_QP_DESTROYED
} sim_qp_state_t;

/** A QP: switches, which may be changed at any time, and what is to be seen. */
typedef struct sim_qp {
    uint64_t        delay;      /**< ns: what it sends takes that much longer */
    uint64_t        jitter;     /**< ns: and up to that much more */
    vmp_wc_status_t kill;       /**< Not SUCCESS: the next request that reaches
                                     the responder is not executed, and fails
                                     so; the QP goes to ERR, and with REM_* the
                                     responder's, too */
    uint8_t         kill_late;  /**< It is executed all the same, */
    uint8_t         kill_half;  /**< but only its first packets: those behind
                                     are lost. It is the next send that is more
                                     than a burst */
    uint8_t         is_mute;    /**< Sends nothing and hears nothing, and no try
                                     is counted. It goes on with the timeout
                                     or post that follows the end of this */
    uint8_t         is_stuck;   /**< Cannot be moved to ERR */

    sim_qp_state_t  state;      /**< From here on: read only */
    uint32_t        qpn;
    uint32_t        entropy;
    uint32_t        posted;     /**< Send queue slots used */
    uint32_t        cqes;       /**< Completions of sends not polled */
    uint32_t        rx_cqes;    /**< Arrivals not polled */
    uint32_t        in_flight;  /**< WRs posted and not yet complete */
    uint32_t        una_psn;    /**< Requester: first PSN not acknowledged */
    uint32_t        expected_psn;   /**< Responder: the next one */
    uint64_t        num_wrs;    /**< Ever posted */
    uint64_t        err_time;   /**< ns: move to ERR */
    uint64_t        err_asked;  /**< ns: when the user asked for it; 0: never */
    uint8_t         is_stopped; /**< In ERR, and executes nothing any more */
    uint8_t         is_last;    /**< And the device has said so */
} sim_qp_t;

static inline sim_qp_t *sim_qp(vmp_port_qp_t *qp)
{
    return (sim_qp_t*)qp;       /* its first member */
}

/** A connected QP of an interface to a NIC, the i-th from the oldest on (as
 *  often around as it takes), or NULL if there is none. */
vmp_port_qp_t *sim_port_qp(const vmp_port_t *port, unsigned nic, unsigned i);

/** How often the helper has run for it. */
uint64_t sim_port_helper_runs(const vmp_port_t *port);

/** The QP at the other end, or NULL if there is none (any more). */
vmp_port_qp_t *sim_qp_peer(const vmp_port_qp_t *qp);

/** The link that it sends on; NULL: none. */
sim_link_t *sim_qp_link(const vmp_port_qp_t *qp);

/** Set `is_mute`; at its end it goes on at once. */
void sim_qp_mute(vmp_port_qp_t *qp, int is_mute);

/** It fails by itself, its oldest request with `status`. The other end hears
 *  nothing of it. */
void sim_qp_break(vmp_port_qp_t *qp, vmp_wc_status_t status);

/** QP that now has a number, or NULL. */
vmp_port_qp_t *sim_qp_find(unsigned nic, uint32_t qpn);


#endif
