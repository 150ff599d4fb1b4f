/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_SIM_INT_H_
#define VMP_SIM_INT_H_

#include "port/sim/sim.h"
#include "core/vmp_list.h"

#include <stdlib.h>
#include <string.h>


/* What the files of the simulated port share. */

#define SIM_MAX_SGE    8
#define SIM_PSN_MASK   0xffffff
#define SIM_QPN_FIRST  0x100
#define SIM_ACK_EVERY  32           /* packets of a message without its end */

typedef struct sim_nic sim_nic_t;
typedef struct sim_pkt sim_pkt_t;
typedef struct sim_wr  sim_wr_t;


/* Events ------------------------------------------------------------------- */

typedef enum sim_ev_type {
    SIM_EV_PKT,                     /* packets arrive */
    SIM_EV_QP_TIMER,
    SIM_EV_QP_DEATH,                /* a QP's next step to its end */
    SIM_EV_NIC_TX,                  /* a NIC may send again */
    SIM_EV_HELPER,
    SIM_EV_ARM                      /* the deadline that was armed for */
} sim_ev_type_t;

/* Embedded in what it is about */
typedef struct sim_ev {
    uint32_t      pos;              /* in the heap, from 1; 0: not in it */
    sim_ev_type_t type;
} sim_ev_t;

/* Let it happen at `time`, instead of when it was to happen */
void sim_ev_at(sim_ev_t *ev, uint64_t time);

void sim_ev_cancel(sim_ev_t *ev);

/* Forget all, and free the packets among them */
void sim_events_free(void);


/* World -------------------------------------------------------------------- */

/* Growing queue of small records */
typedef struct sim_ring {
    uint8_t  *data;
    uint32_t size;                  /* power of 2, records */
    uint32_t head;                  /* next to put */
    uint32_t tail;                  /* next to take */
} sim_ring_t;

static inline uint32_t sim_ring_num(const sim_ring_t *ring)
{
    return ring->head - ring->tail;
}

void *sim_ring_put(sim_ring_t *ring, size_t record);
void *sim_ring_at(const sim_ring_t *ring, uint32_t pos, size_t record);
void sim_ring_cleanup(sim_ring_t *ring);

typedef struct sim_world {
    int         is_begun;
    uint64_t    now;
    uint64_t    rng;                /* of the network */
    uint64_t    rng_driver;
    uint64_t    hash;
    sim_nic_t   *nics;
    unsigned    num_nics;
    vmp_port_t  **ports;            /* by order of opening; NULL: closed */
    unsigned    num_ports;
    vmp_link_t  mds;
    vmp_link_t  qps;                /* all, also destroyed ones */
    vmp_port_t  *helped;            /* whose control is running */
} sim_world_t;

extern sim_world_t sim;

void *sim_alloc(size_t size);       /* zeroed; never fails */
uint64_t sim_mix(uint64_t x);
uint64_t sim_draw(void);            /* the network's luck */

/* Happens with a probability per million */
static inline int sim_chance(uint32_t ppm)
{
    return (ppm != 0) && ((sim_draw() % 1000000) < ppm);
}

/* 0 .. max */
static inline uint64_t sim_up_to(uint64_t max)
{
    return (max == 0) ? 0 : (sim_draw() % (max + 1));
}

static inline void sim_note(uint64_t what)
{
    sim.hash = (sim.hash ^ what) * 0x9e3779b97f4a7c15ull;
    sim.hash ^= sim.hash >> 29;
}

void sim_fault(sim_fault_t fault, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));

void sim_trace_line(const char *fmt, ...)
        __attribute__((format(printf, 1, 2)));

#define sim_trace(...) \
    do { \
        if (__builtin_expect(sim_conf.trace != NULL, 0)) { \
            sim_trace_line(__VA_ARGS__); \
        } \
    } while (0)

#define SIM_QP_FMT       "h%ur%u:0x%x"
#define SIM_QP_ARG(_qp)  (_qp)->nic->host, (_qp)->nic->rail, (_qp)->pub.qpn


/* NICs and links ----------------------------------------------------------- */

struct sim_nic {
    unsigned      index;
    unsigned      host;
    unsigned      rail;
    sim_link_t    **out;            /* by destination; arrays, made on need */
    vmp_port_qp_t **qps;            /* by number - SIM_QPN_FIRST */
    vmp_port_t    **uds;            /* the same, of control QPs */
    uint32_t      num_qpns;
    uint32_t      max_qpns;
    unsigned      num_qps;          /* alive */
    sim_ev_t      tx_ev;
    uint64_t      busy_until;
    vmp_port_qp_t *tx_head;         /* with something to send */
    vmp_port_qp_t *tx_tail;
    int           is_sending;
    uint8_t       address;          /* the so-manieth that it has */
    uint8_t       is_failed;
};

sim_nic_t *sim_nic_of_addr(const vmp_rail_addr_t *addr);
void sim_nic_addr(const sim_nic_t *nic, vmp_rail_addr_t *addr);
uint32_t sim_nic_qpn(sim_nic_t *nic, vmp_port_qp_t *qp, vmp_port_t *ud);
void sim_nics_make(void);
void sim_nics_free(void);


/* Packets ------------------------------------------------------------------ */

typedef enum sim_op {
    SIM_SEND,
    SIM_WRITE,
    SIM_READ,
    SIM_RESPONSE,                   /* of a read */
    SIM_ACK,
    SIM_NAK_SEQ,
    SIM_NAK_RNR,
    SIM_NAK_ERR,
    SIM_UD
} sim_op_t;

/* A run of packets of one message, on the way */
struct sim_pkt {
    sim_ev_t       ev;              /* first */
    sim_op_t       op;
    sim_pkt_t      *next;           /* in a helper's inbox, or free */
    sim_link_t     *link;
    uint32_t       cuts;            /* of the link when it left */
    sim_nic_t      *src;
    sim_nic_t      *dst;
    vmp_port_qp_t  *src_qp;         /* RC */
    uint32_t       dst_qpn;
    uint8_t        dst_address;     /* see sim_nic_t */
    uint32_t       psn;             /* ACK, NAK: the next one expected */
    uint32_t       num;             /* packets; a READ counts as one */
    uint32_t       index;           /* of the first one in the message */
    uint32_t       total;           /* packets of the message, of a READ those
                                     * of its response */
    uint32_t       mtu;             /* bytes */
    uint32_t       length;          /* of the message, bytes */
    uint32_t       rkey;
    uint64_t       remote_addr;
    uint32_t       value;           /* RNR: timer code, ERR: status, UD: rail */
    sim_wr_t       *wr;             /* SEND, WRITE: where the data is */
    uint8_t        *data;           /* RESPONSE, UD: owned */
};

sim_pkt_t *sim_pkt_new(sim_op_t op);
void sim_pkt_free(sim_pkt_t *pkt);

/* Bytes of payload */
uint32_t sim_pkt_payload(const sim_pkt_t *pkt);

/* Send it over its link; it is lost or split there. `fifo_p` is the time of
 * arrival of the flow's last one, or NULL: no order. Returns when it has left
 * the host. */
uint64_t sim_link_send(sim_pkt_t *pkt, uint64_t extra, uint64_t *fifo_p);

void sim_pkt_arrive(sim_pkt_t *pkt);


/* Memory ------------------------------------------------------------------- */

struct vmp_port_md {
    vmp_link_t link;
    int        is_killed;
    size_t     registered;              /* bytes, for each of its devices */
    unsigned   num;
    sim_nic_t  *nics[VMP_MAX_RAILS];
};

int sim_lkey_ok(const sim_nic_t *nic, uint32_t lkey, uint64_t addr,
                size_t length, unsigned access);
int sim_rkey_ok(const sim_nic_t *nic, uint32_t rkey, uint64_t addr,
                size_t length, unsigned access);
void sim_mem_kill(const vmp_port_md_t *md);
void sim_mem_cleanup(void);


/* Interfaces --------------------------------------------------------------- */

typedef struct sim_cqe {
    vmp_port_qp_t *qp;              /* NULL: purged */
    vmp_wc_t      wc;
    uint32_t      sq_end;           /* sends: slots below are free */
} sim_cqe_t;

typedef struct sim_recv {
    uint64_t  wr_id;
    vmp_sge_t sge;
} sim_recv_t;

/* A NIC as used by one interface */
typedef struct sim_rail {
    sim_nic_t  *nic;
    uint8_t    dev_index;
    sim_ring_t tx;                  /* of sim_cqe_t */
    sim_ring_t rx;                  /* the same */
    sim_ring_t srq;                 /* of sim_recv_t */
    uint32_t   posted;              /* WRs not yet known complete to the user */
    uint32_t   lost;                /* receive buffers, with QPs or completions */
    int        is_broken;           /* a CQ has overrun, or failed */
    uint32_t   ud_qpn[VMP_MAX_UD];
    uint32_t   spares[VMP_PORT_UD_SPARES];  /* names ways; 0: not made */
    uint8_t    *ahs;                /* by NIC */
} sim_rail_t;

#define SIM_RAIL_EVENTS  16

struct vmp_port {
    unsigned          index;
    vmp_port_md_t     *md;
    int               is_killed;
    vmp_port_params_t params;       /* as granted */
    unsigned          num_rails;
    sim_rail_t        rails[VMP_MAX_RAILS];
    uint64_t          rng;
    vmp_port_qp_t     *qps;
    unsigned          num_qps;
    unsigned          made_qps;
    uint32_t          made_spares;

    struct vmp_ctl    *ctl;         /* started */
    sim_ev_t          helper_ev;
    uint64_t          deadline;     /* of vmp_ctl_progress() */
    uint64_t          stall_until;
    int               is_touched;
    uint64_t          helper_runs;
    sim_pkt_t         *inbox_head;
    sim_pkt_t         *inbox_tail;
    unsigned          inbox_num;

    struct {
        uint8_t       rail;
        uint8_t       is_up;
    }                 rail_events[SIM_RAIL_EVENTS];
    unsigned          num_rail_events;

    unsigned          armed;        /* VMP_PORT_EVENT_*, SIM_ARMED */
    int               is_signaled;
    sim_ev_t          arm_ev;
};

#define SIM_ARMED  0x80000000u

void sim_port_event(vmp_port_t *port, unsigned kind);
void sim_helper_run(vmp_port_t *port);
void sim_helper_wake(vmp_port_t *port);
void sim_port_free(vmp_port_t *port);
int sim_port_is_helper(const vmp_port_t *port, const char *what);
int sim_port_is_app(const char *what);

/* A completion of a send, or an arrival */
void sim_cq_push(vmp_port_qp_t *qp, int is_rx, uint64_t wr_id,
                 vmp_wc_status_t status, uint32_t value);
void sim_cq_purge(vmp_port_qp_t *qp);

/* Datagrams */
void sim_ud_arrive(sim_pkt_t *pkt);
sim_link_t *sim_ud_link(const vmp_port_t *port, const sim_rail_t *rail,
                        unsigned ud, const sim_nic_t *dst);


/* QPs ---------------------------------------------------------------------- */

struct sim_wr {
    sim_wr_t  *next;
    uint64_t  wr_id;
    void      *owner;               /* conf.written */
    uint64_t  remote_addr;
    uint32_t  rkey;
    uint32_t  length;
    uint32_t  psn;                  /* of its first packet */
    uint32_t  num_pkts;             /* PSNs that it takes */
    uint32_t  sq_end;               /* slots below are free with it */
    uint32_t  refs;                 /* packets on the way that name it */
    uint8_t   op;
    uint8_t   flags;
    uint8_t   num_sge;
    uint8_t   is_retired;           /* not in the send queue any more */
    uint8_t   is_bad;               /* fails with a local error */
    uint8_t   *data;                /* copied: INLINE, or its QP died */
    vmp_sge_t sge[SIM_MAX_SGE];
};

/* What a responder still has to send, in order */
typedef struct sim_resp {
    struct sim_resp *next;
    sim_op_t        op;             /* RESPONSE, ACK, NAK_* */
    uint32_t        psn;
    uint32_t        index;
    uint32_t        total;
    uint32_t        length;
    uint64_t        addr;
    uint32_t        rkey;
    uint32_t        value;
} sim_resp_t;

struct vmp_port_qp {
    sim_qp_t             pub;       /* first */
    vmp_link_t           link;      /* in the world */
    vmp_port_t           *port;
    sim_rail_t           *rail;
    sim_nic_t            *nic;
    vmp_port_qp_t        *next;     /* of the port's */
    vmp_port_qp_t        *prev;
    uint8_t              rail_index;
    uint8_t              is_connected;  /* was RTR once */
    uint8_t              is_halved;     /* by kill_half */
    vmp_port_qp_remote_t remote;
    sim_nic_t            *dst;      /* NULL: nobody has that address */
    uint8_t              address;   /* of its NIC, when it was connected */
    sim_ev_t             death;
    sim_link_t           *out;      /* what it sends goes that way */
    uint32_t             mtu;       /* bytes */
    uint64_t             fifo;      /* arrival of the last one sent */

    /* requester */
    sim_wr_t             *head;     /* posted and not complete, oldest first */
    sim_wr_t             **tail;
    sim_wr_t             *tx_wr;    /* next to send; NULL: none */
    uint32_t             tx_index;  /* packet of it */
    uint32_t             next_psn;  /* of the next WR posted */
    uint32_t             sent_psn;  /* first never sent */
    uint32_t             sq_head;   /* slots ever used */
    uint32_t             sq_tail;   /* slots ever freed */
    uint32_t             reads;     /* sent and not complete */
    uint8_t              retries;   /* left */
    uint8_t              is_rewound;    /* for a lost response */
    uint8_t              is_rnr;    /* waits until `timer_at` */
    sim_ev_t             timer;
    uint64_t             timer_at;  /* when it is meant to fire */
    uint64_t             timeout;   /* ns; 0: none */
    uint64_t             left_at;   /* when the last one left the host */

    /* responder */
    uint32_t             first_psn;
    uint8_t              nak_sent;
    uint8_t              has_recv;
    uint32_t             unacked;   /* packets executed without an ACK */
    sim_recv_t           recv;      /* of the message under way */
    sim_resp_t           *resp_head;
    sim_resp_t           **resp_tail;

    /* in the NIC's queue of senders */
    vmp_port_qp_t        *tx_next;
    uint8_t              is_queued;
    uint8_t              turn;      /* responses, requests */
};

static inline int32_t sim_psn_diff(uint32_t a, uint32_t b)
{
    return (int32_t)((a - b) << 8) >> 8;
}

static inline uint32_t sim_psn_add(uint32_t psn, uint32_t n)
{
    return (psn + n) & SIM_PSN_MASK;
}

/* Something to send: let the NIC do so in its turn */
void sim_qp_kick(vmp_port_qp_t *qp);
void sim_nic_run(sim_nic_t *nic);

/* sim_fault.c: the end of QPs, and accidents */
int sim_qp_is_responding(const vmp_port_qp_t *qp);
void sim_qp_fail_at(vmp_port_qp_t *qp);
void sim_qp_stopping(vmp_port_qp_t *qp);
void sim_qp_death(vmp_port_qp_t *qp);
void sim_port_rail_events(vmp_port_t *port);
void sim_executed(const vmp_port_qp_t *qp, const sim_pkt_t *pkt,
                  sim_exec_kind_t kind, uint64_t addr, uint32_t skip);
uint8_t sim_addr_address(const vmp_rail_addr_t *addr);

/* To ERR: what is posted is flushed, but for the oldest WR, which ends so */
void sim_qp_fail(vmp_port_qp_t *qp, vmp_wc_status_t status);
void sim_qp_free(vmp_port_qp_t *qp);
void sim_qp_quiet(vmp_port_qp_t *qp);
void sim_qp_unlist(vmp_port_qp_t *qp);
int sim_qp_is_live(const vmp_port_qp_t *qp, const char *what);

/* The packet, or the send queue, lets go of it */
void sim_wr_put(sim_wr_t *wr);

/* The oldest WR ends */
void sim_wr_retire(vmp_port_qp_t *qp, vmp_wc_status_t status);

void sim_wrs_cleanup(void);

/* Counts down to a failure */
int sim_fail_after(uint64_t *left);

sim_pkt_t *sim_qp_pkt(vmp_port_qp_t *qp, sim_op_t op, uint32_t psn);
void sim_qp_send(vmp_port_qp_t *qp, sim_pkt_t *pkt);

/* Bytes between the pieces of a WR and `flat`, from `offset` of the message on.
 * Return -1 if they are not registered (any more). */
int sim_wr_copy(const sim_nic_t *nic, const sim_wr_t *wr, uint32_t offset,
                void *flat, uint32_t length, int to_wr);

/* Requester */
int sim_req_has_work(const vmp_port_qp_t *qp);
void sim_req_emit(vmp_port_qp_t *qp);
void sim_req_packet(vmp_port_qp_t *qp, sim_pkt_t *pkt);
void sim_req_timer(vmp_port_qp_t *qp);

/* Responder */
void sim_resp_emit(vmp_port_qp_t *qp);
void sim_resp_packet(vmp_port_qp_t *qp, sim_pkt_t *pkt);
void sim_resp_drop(vmp_port_qp_t *qp);


#endif
