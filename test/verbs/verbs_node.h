/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VERBS_NODE_H_
#define VERBS_NODE_H_

#include "core/vmp_core.h"

#include <pthread.h>
#include <stdatomic.h>


/*
 * An interface with a thread of its own, which sends messages, puts and gets to
 * all others and checks what comes in. All others are as well.
 */
#define NODES       3           /* all the time */
#define VISITOR     NODES       /* this one comes and goes */
#define NODES_ALL   (NODES + 1)
#define NODE_OPS    6           /* at a time to a peer */
#define NODE_LEN    24576       /* bytes of a put or get */
#define NODE_MSG    1500        /* of a message */
#define NODE_PATHS  6
#define NODE_UD     2


/** What the threads are to do. */
typedef enum node_phase {
    NODE_RUN,                   /**< Send without end */
    NODE_QUIET,                 /**< End what was begun, and say so */
    NODE_CLOSE
} node_phase_t;

extern _Atomic int node_phase;


typedef enum op_type {
    OP_MSG,
    OP_PUT,
    OP_GET,
    OP_FLUSH
} op_type_t;


typedef struct node_op {
    struct node_stream *stream;
    op_type_t          type;
    int                is_posted;   /**< Not completed */
    int                is_shown;    /**< Put: the peer has not checked it yet */
    size_t             length;
    uint64_t           key;
    uint8_t            *buffer;
} node_op_t;


/** To one peer. */
typedef struct node_stream {
    vmp_ep_t         ep;            /* first */
    struct node      *node;
    unsigned         peer;
    int              is_open;
    _Atomic uint32_t seq;           /**< Messages sent */
    node_op_t        ops[NODE_OPS];
    node_op_t        flush;
    node_op_t        *untold;       /**< Put: the peer is to be told first */
    unsigned         checked;       /**< Puts of the peer's: it is to be told */
    int              is_closing;    /**< Endpoint ends after a flush */
} node_stream_t;


typedef struct node {
    unsigned         index;
    pthread_t        thread;
    vmp_port_md_t    *md;
    vmp_iface_t      *iface;
    vmp_iface_attr_t attr;
    vmp_rkey_t       rkey;
    vmp_mem_t        mem;
    uint8_t          *arena;
    uint8_t          *targets;      /**< For puts, by peer and op */
    uint8_t          *source;       /**< For gets: never changes */
    node_stream_t    streams[NODES];
    _Atomic uint32_t expected[NODES_ALL];   /**< Messages received */
    uint64_t         random;
    int              wake_fd;
    uint64_t         num[3];        /**< By op_type_t */
    uint64_t         num_eps;
    uint64_t         num_sleeps;
    uint64_t         num_slept;     /**< Until the time was up */
    _Atomic int      is_open;       /**< Address and keys are there */
    _Atomic int      is_quiet;
    _Atomic int      is_done;       /**< Endpoints are gone */
    _Atomic uint64_t failures;      /**< Of paths */
} node_t;

extern node_t node_all[NODES_ALL];


static inline int node_get_phase(void)
{
    return atomic_load_explicit(&node_phase, memory_order_relaxed);
}

/* Counters are read by other threads, which must not be ordered by that */
static inline uint32_t count_get(_Atomic uint32_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

static inline void count_set(_Atomic uint32_t *count, uint32_t value)
{
    atomic_store_explicit(count, value, memory_order_relaxed);
}

static inline void flag_set(_Atomic int *flag, int value)
{
    atomic_store_explicit(flag, value, memory_order_relaxed);
}


/* verbs_stream.c */

typedef enum msg_kind {
    MSG_TEXT,                   /* `length` bytes of the content `key` follow */
    MSG_PUT,                    /* look at put `slot` */
    MSG_CHECKED,                /* puts of the mask `slot` were looked at */
    MSG_HELLO                   /* a visitor, which sent `slot` last time */
} msg_kind_t;

extern const vmp_iface_ops_t node_ops;

/** Of what gets read. */
uint64_t node_source_key(unsigned index);

void stream_open(node_stream_t *stream);

/** Each returns 0, or -1: no room now. `op` is for text. */
int stream_send(node_stream_t *stream, msg_kind_t kind, uint32_t slot,
                uint64_t key, size_t length, node_op_t *op);
int stream_text(node_stream_t *stream, node_op_t *op);
int stream_get(node_stream_t *stream, node_op_t *op);

/** NULL: all are in use. */
node_op_t *stream_find_op(node_stream_t *stream);

int stream_is_busy(const node_stream_t *stream);

/** Begin something; what is owed to the peer first. Return whether that was
 *  possible. */
int stream_step(node_stream_t *stream);


/* verbs_node.c */


void node_open(node_t *node);
void node_close(node_t *node);

/** The phase has changed. */
void node_wake(node_t *node);

/** A node's thread. */
void *node_main(void *arg);

/** The visitor's: comes and goes as long as the phase is NODE_RUN. */
void *node_visit(void *arg);

/** One more life of the visitor, in which its device fails, for good. */
void node_visit_failing(node_t *node);


#endif
