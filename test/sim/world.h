/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_SIM_WORLD_H_
#define VMP_SIM_WORLD_H_

#include "program.h"
#include "random.h"

#include "core/vmp_conn.h"

#define WORLD_MAX_TAG   255             /* see user_ep_t */
#define WORLD_POISON    0xdb
#define WORLD_SPOILT    0xbd
#define WORLD_CANARY    16              /* bytes around a buffer */
#define WORLD_IDS_LEN   8               /* bytes */
#define WORLD_MAX_FAULTY 8              /* hosts, with accidents by name */
#define WORLD_KNOWN     1024            /* interfaces found without a search */

/* Endpoints of a host: the program's, and one to each host at the end */
#define WORLD_SLOTS     (PROG_MAX_SLOTS + WORLD_MAX_FAULTY)

typedef struct host    host_t;
typedef struct inst    inst_t;
typedef struct user_ep user_ep_t;
typedef struct op      op_t;
typedef struct region  region_t;
typedef struct kept    kept_t;
typedef struct arrived arrived_t;
typedef struct piece   piece_t;
typedef struct pair    pair_t;
typedef struct deepest deepest_t;


/** Registered local memory of an operation */
typedef struct buf {
    struct buf *next;
    host_t     *host;
    uint8_t    *data;                   /* Between canaries */
    size_t     size;
    vmp_mem_t  mem;
} buf_t;


typedef enum op_state {
    OP_QUEUED,                          /* Not accepted yet */
    OP_POSTED,                          /* Accepted, not known complete */
    OP_DONE,                            /* Complete */
    OP_FAILED,                          /* Ended with an error, or dropped */
    OP_ORPHAN                           /* Its endpoint is gone: never known */
} op_state_t;

/** An operation of an application: also fences and flushes */
struct op {
    op_t       *next;                   /* Queued on the endpoint, or orphan */
    user_ep_t  *ep;
    uint32_t   id;
    uint32_t   arg;
    uint8_t    type;                    /* act_type_t */
    uint8_t    state;                   /* op_state_t */
    uint8_t    is_async;                /* Will call back */
    uint8_t    is_cancel;               /* Flush */
    uint8_t    is_packed;
    uint8_t    is_unpacked;
    uint8_t    is_checked;              /* Put: seen in memory */
    uint8_t    is_refused;              /* Tried before */
    uint8_t    blame;                   /* AM: its errors, */
    uint8_t    is_lost;                 /* which were too many, and nobody was
                                           there to be told */
    buf_t      *orphan;                 /* Its buffer if its endpoint is gone, */
    uint64_t   orphan_path;             /* and where it went last before that */
    uint64_t   since;                   /* ns: accepted, or wanted */
    uint32_t   length;                  /* Bytes */
    uint32_t   seq;                     /* AM: among those of the endpoint */
    uint32_t   epoch;                   /* Fences before it, on the endpoint */
    uint32_t   offset;                  /* In the region */
    region_t   *region;
    uint64_t   key;                     /* Contents */
    uint64_t   local;                   /* Put: where the core posts it from */
    uint64_t   posted;                  /* world_stamp */
    uint64_t   completed;               /* Same; 0: not */
    uint32_t   peer_conn;               /* AM: as its frame names it */
    uint32_t   peer_incarn;
    uint32_t   sn;
    uint64_t   path;                    /* AM: where it went at first */
    piece_t    *pieces;                 /* Put: what was executed of it */
    buf_t      *buf;
};


/** An endpoint of the user, which is also a stream of messages. Never freed
 *  before the program ends. */
struct user_ep {
    vmp_ep_t   ep;                      /* First */
    uint32_t   id;
    inst_t     *inst;
    inst_t     *target;
    unsigned   slot;
    uint8_t    tag;                     /* am_id; below WORLD_MAX_TAG its
                                           messages are known by it alone */
    uint8_t    is_open;
    uint8_t    is_lost;                 /* A call said so */
    uint8_t    is_failed;               /* ep_failed came */
    uint8_t    was_up;                  /* Its connection had a path once */
    uint8_t    blame;                   /* Its operations' errors, see pair.c */
    uint8_t    is_cut;                  /* Gone, and a message did not come */
    uint8_t    is_gap;                  /* By these a message is lost, of */
    uint32_t   gap_conn;                /* this connection of the peer, */
    uint32_t   gap_incarn;
    uint32_t   gap_sn;                  /* the first one */
    uint8_t    is_cut_off;              /* See found.c: it may be lost */
    uint8_t    waits;                   /* By wait_ready, not by trying */
    uint8_t    one_by_one;              /* A request a call of ep_ready */
    uint8_t    is_waiting;
    uint8_t    is_pumping;
    uint32_t   epoch;
    uint64_t   turn;                    /* world_stamp: waits since */
    uint64_t   opened;                  /* ns */
    vmp_rail_addr_t asked;              /* Where it was made to */

    op_t       *queue;                  /* Not accepted yet */
    op_t       **queue_tail;

    op_t       *last;                   /* Flush at the end */

    op_t       **msgs;                  /* Accepted, by seq */
    uint32_t   num_msgs;
    uint32_t   max_msgs;
    uint32_t   delivered;
    uint32_t   flushed;                 /* Messages below were flushed */
    uint32_t   fence_checked;           /* Index in inst->ops */
};


/** How deep the windows of a connection have ever been, see bounds.c. */
struct deepest {
    uint32_t incarn;                    /* Of the connection */
    uint32_t value;
};

#define BROKEN_DEVICE  0x1              /* Nothing works any more */
#define BROKEN_CQ      0x2              /* Control does, and tells others */

/** An interface, from opening to closing. Never freed before the program
 *  ends. */
struct inst {
    inst_t           *next;
    host_t           *host;
    unsigned         gen;
    region_t         *region;           /* Its host's */
    vmp_iface_t      *iface;            /* NULL: closed */
    vmp_iface_attr_t attr;
    int              is_closed;
    uint8_t          is_broken;         /* BROKEN_*: by its device, */
    uint64_t         broken;            /* ns: since then */
    user_ep_t        *by_tag[WORLD_MAX_TAG];
    unsigned         num_tags;
    op_t             **ops;             /* Accepted, by `posted` */
    uint32_t         num_ops;
    uint32_t         max_ops;
    arrived_t        *arrived;          /* At its NIC, see exec.c */
    kept_t           *kept;
    unsigned         num_kept;
    buf_t            *orphans;          /* Theirs until the interface closes */
    op_t             *spoiling;         /* Messages among these, see spoil.c */
    unsigned         num_polls;
    deepest_t        *deepest;          /* By slot of the connection */
    uint32_t         num_deepest;
};


/** Memory that peers write and read */
struct region {
    region_t   *next;
    host_t     *host;
    int        is_gone;                 /* Its process was killed */
    uint8_t    *data;
    uint32_t   size;
    uint32_t   bump;                    /* Where the next put goes */
    uint64_t   key;                     /* Contents at first */
    vmp_mem_t  mem;
    vmp_rkey_t rkey;
    op_t       **puts;
    uint32_t   num_puts;
    uint32_t   max_puts;
};


struct host {
    unsigned          index;
    const prog_host_t *conf;
    vmp_port_md_t     *md;
    inst_t            *inst;            /* NULL: none open */
    unsigned          num_insts;
    user_ep_t         *slots[WORLD_SLOTS];
    region_t          *region;          /* Of its process; older ones follow */
    buf_t             *poisoned;        /* Nobody may touch them any more */
    unsigned          num_poisoned;
    uint64_t          next_poll;
    uint64_t          active;           /* Last poll that found something */
    uint64_t          interval;         /* ns, to the next */
    uint64_t          stall_until;
    uint64_t          ask_flush;        /* ns: whether it is done, next time */
    int               is_asleep;
    unsigned          num_busy;         /* Refused sleep, one after another */
    uint8_t           close_mask;       /* Slots to close in a callback */
    uint8_t           is_stuck;         /* In a pair that is */
    uint8_t           is_hurt;          /* An accident concerned it */
    uint8_t           may_lose_cq;      /* Its CQ: see pair.c */
    uint8_t           num_fails;        /* Its device has failed: how often */
    uint8_t           is_blind;         /* Moved, and control has not noticed */
    uint64_t          num_failed;       /* Of its paths, when it moved */
    uint64_t          seen;             /* ns: noticed it, or had cause to */
};


/** From one host to another */
struct pair {
    uint64_t happened;                  /* Accidents that concern the two, 1 <<
                                           fault_kind_t */
    uint64_t bad_until;                 /* ns: what befell them takes more than
                                           some paths */
    uint64_t good_since;                /* ns: a path carries all the time, and
                                           so does control; 0: not now */
    uint64_t backlog;                   /* ns: of the links, at the end */
    uint64_t hurt_since;                /* ns: not a time since then in which
                                           all had recovered, */
    uint64_t hurt_until;                /* ns: of accidents until now */
    uint64_t gone_since;                /* ns: the last OUTAGE, GONE; 0: none */
    uint64_t gone_until;
    uint8_t  num_deaths;                /* Accidents that kill a QP */
    uint8_t  had_ep;
    uint8_t  has_closed;                /* An interface, in good order */
    uint8_t  may_fail;                  /* Endpoints may be lost, */
    uint8_t  may_not_begin;             /* or those that never had a path */
    uint8_t  is_lossy;                  /* A connection was lost: messages that
                                           had arrived may be dropped */
    uint8_t  is_cut_off;                /* Some endpoint was, see found.c */
    uint8_t  is_stuck;                  /* Never recovers, as is known */
};


typedef struct world {
    const program_t *prog;
    rnd_t           rnd;
    uint64_t        stamp;              /* Order of what the users saw */
    host_t          hosts[PROG_MAX_HOSTS];
    inst_t          *insts;
    inst_t          *known[WORLD_KNOWN]; /* Looked up last, by id */
    user_ep_t       **eps;
    unsigned        num_eps;
    unsigned        max_eps;
    op_t            **ops;              /* All, by id */
    unsigned        num_ops;
    unsigned        max_ops;
    unsigned        next_act;
    unsigned        next_fault;
    op_t            *calling;           /* Being given to the core */
    pair_t          *pairs;
    uint64_t        pace;               /* ns that an operation may stand still
                                           while some path carries */
    uint64_t        healed;             /* When the last accident ended, ns */
    unsigned        num_failed;         /* Endpoints */
    int             is_strict;          /* Who lost messages must know by now */
    int             is_timed;           /* It matters how long it takes */
    uint64_t        steps;
    int             is_ending;          /* All healed: everything completes */
} world_t;

extern world_t world;


/** Run a program to its end; a broken rule ends the process. */
void world_run(const program_t *prog);

/** Let time pass, one thing that happens or all. */
void world_step(uint64_t end);
void world_run_until(uint64_t end);

/** State for people, after a failure. */
void world_dump(void);

uint64_t world_now(void);

static inline uint32_t world_rnd(uint32_t num)
{
    return rnd_below(&world.rnd, num);
}

static inline int world_chance(unsigned percent)
{
    return world_rnd(100) < percent;
}

/** Its application has something to do. */
void host_wake(host_t *host);

/** Room for one more element in an array of pointers. */
void *world_grow(void *array, uint32_t num, uint32_t *max_p);


/* accident.c */

void accident_init(void);
void accident_begin(const fault_t *fault);

/** When one ends, ns; UINT64_MAX: none is under way. */
uint64_t accident_next(void);

/** End those whose time is over, or all. */
void accident_end(int all);


/* effect.c: whether accidents do something */

/** A number that grows if it does, as long as it lasts; 0: none. */
uint64_t effect_witness(const fault_t *fault);

void effect_begun(const fault_t *fault);
void effect_took(const fault_t *fault);

/** One of a path that has requests in flight. */
void effect_took_now(const fault_t *fault);

/** The oldest request of a QP fails. */
void effect_qp_failed(vmp_port_qp_t *qp, vmp_wc_status_t status);

/** After many programs. Return 0, or -1 after saying of which kinds most do
 *  nothing. */
int effect_check(void);


/* host.c: hosts, their interfaces and memory */

void host_init(host_t *host, unsigned index);

/** Its process ends in good order; another one has not begun yet. */
void host_end(host_t *host);

/** Its process is killed; another one has not begun yet. */
void host_kill(host_t *host);
void host_cleanup(host_t *host);
void inst_open(host_t *host);
void inst_close(inst_t *inst);

/** Ask all peers for credit, as an interface with many of them does. */
void inst_ask_credit(inst_t *inst);

buf_t *buf_new(host_t *host, size_t size);

/** Its operation is over: fill it with poison, which has to stay. */
void buf_retire(buf_t *buf);
void buf_check(const buf_t *buf);
void buf_free(buf_t *buf);


/* pair.c: what befell two hosts, and what may follow */

void pairs_init(void);
void pairs_cleanup(void);
pair_t *pair_of(unsigned from, unsigned to);
pair_t *pair_of_ep(const user_ep_t *ep);

/** One begins. */
void pair_accident(const fault_t *fault);

/** Whether it is known that the rule is broken after what befell them. */
int pair_excuses(pair_t *pair, const char *rule);

/** R10: whether slots of an interface's CQ may be given up. */
int pair_may_lose_cq(const inst_t *inst);

/** R5, R8: whether an endpoint may be lost. */
int pair_may_fail(const user_ep_t *ep);

/** The endpoint of a message by zcopy is gone; its buffer stays as long as the
 *  interface. */
void spoil_add(op_t *op, buf_t *buf);

/** An interface has made progress. */
void spoil_look(inst_t *inst);

/** sim_conf_t.failed */
void pair_qp_failed(void *arg, vmp_port_qp_t *qp, uint64_t wr_id,
                    vmp_wc_status_t status);

/** A connection between them was lost. */
void pair_lossy(unsigned a, unsigned b);

/** It does not recover, as is known: nothing more is asked of it. */
void pair_give_up(unsigned a, unsigned b);

/** Accidents are over. */
void pairs_end(void);

/** A host's interface closes. */
void pairs_closed(unsigned host);

/** Nothing that befell them is a reason to lose endpoints any more. */
void pairs_healed(void);

/** How long QPs take to settle after what happened to a pair, ns. */
uint64_t pair_settle_time(uint64_t happened);

/** How long it takes after the last accident, at most, ns. */
uint64_t pair_bound(const pair_t *pair);


/* told.c: when who has lost somebody must be told, and may */

/** An accident of a pair begins. */
void told_accident(pair_t *pair, const fault_t *fault);

/** R5: whether an endpoint may be lost, since its peer was away for so long. */
int told_is_due(const user_ep_t *ep);

/** Before an interface makes progress: whose peer is away for too long by now
 *  has been told. */
void told_look(const inst_t *inst);

/** The same of all, before somebody comes back. */
void told_over(void);

/** A host's device has failed, for as long as can be: who has work must have
 *  been told. */
void told_check_own(const inst_t *inst);


/* found.c: whether hosts that move are found again */

/** It has another address, or was killed. */
void found_check(const host_t *host);

/** It has moved, and its device does not say so. */
void found_moved(host_t *host);

/** Whether it does not know where it is, or has not for long. */
int found_is_blind(host_t *host);


/* pace.c: how long operations stand still while there is a way */

/** How long that may be, ns. */
uint64_t pace_bound(const program_t *prog);

/** After a poll: is there? */
void pace_look(const inst_t *inst);

/** An operation that has stood still until now goes on. */
void pace_check(const op_t *op);


/* end.c */

/** All is healed: everything that was begun comes to its end, and the world
 *  works as before. */
void world_end(void);


/* app.c: applications */

extern const vmp_iface_ops_t app_ops;

user_ep_t *app_open(host_t *host, unsigned slot, inst_t *target);
void app_close(user_ep_t *ep);

/** An operation enters the endpoint's queue, and is tried at once. NULL: the
 *  endpoint is lost. */
op_t *app_request(user_ep_t *ep, const act_t *act);

/** Drop what is queued and flush with CANCEL. */
void app_cancel(user_ep_t *ep);

/** Do what is queued as far as it goes. */
void app_pump(user_ep_t *ep);

/** Between polls of the interface. */
void app_turn(inst_t *inst);

/** Whether it has something to do that nobody will call it for. */
int app_is_trying(const inst_t *inst);

/** Whether it waits for a completion. */
int app_is_sending(const inst_t *inst);

/** Let go of kept receive buffers; `all`, or some. */
void app_release(inst_t *inst, int all);

/** They went with the interface. */
void app_forget_kept(inst_t *inst);

/** Whether `data`, of the right length, is a message */
int app_message_matches(const op_t *op, const void *data);


/* post.c: operations as calls of the core */

/** Try it. VMP_ERR_NO_RESOURCE: not accepted. Makes its contents. */
vmp_status_t post_op(op_t *op);

/** Cut its length to what its kind can take, and find its place. */
void post_prepare(op_t *op);


#endif
