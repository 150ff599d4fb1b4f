/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_INTEGRITY_H_
#define VMP_INTEGRITY_H_

#include <ucp/api/ucp.h>

#include <stddef.h>
#include <stdint.h>

#include "../common/vmp_content.h"

#define MAX_WORKERS 16
#define MAX_EPS     64
#define PUT_SLOTS   4    /* regions for puts of an endpoint */
#define SLOT_SLACK  64   /* room for random offsets in a region */
#define GUARD_BYTE  0xa5
#define MAX_IOV     3    /* pieces of a message */
#define TAG_WINDOW  4    /* receives posted ahead an endpoint */


/* Same at both sides: the client sends its own over TCP */
typedef struct {
    uint64_t seed;
    uint32_t num_ops;     /* operations an endpoint and side */
    uint32_t num_eps;
    uint32_t num_workers;
    uint32_t num_contexts;
    uint32_t max_size;    /* bytes */
    uint32_t window;      /* operations a side has under way at once */
    uint32_t peer_mode;   /* UCP_ERR_HANDLING_MODE_PEER */
    uint32_t wakeup;      /* sleep in poll(2) when there is nothing to do */
    char     kinds[16];   /* see op_kind_t; a letter may be repeated */
} test_opts_t;


typedef enum {
    KIND_TAG    = 't',
    KIND_AM     = 'a',
    KIND_STREAM = 's',
    KIND_PUT    = 'p',
    KIND_GET    = 'g',
    KIND_ATOMIC = 'x'
} op_kind_t;


/* How the target learns that a put is there */
typedef enum {
    PUT_FLUSH_AM,   /* the origin flushes, then sends a message */
    PUT_FENCE_AM,   /* fence, message */
    PUT_FENCE_FLAG, /* fence, put of a flag that the target polls */
    PUT_MODE_LAST
} put_mode_t;


/* Everything about operation @a index of an endpoint and side; either side
 * works it out by itself */
typedef struct {
    char     kind;
    unsigned mode;
    unsigned slot;
    size_t   size;
    size_t   offset;
    uint64_t key;
} op_t;


/* What each side tells the other about the memory of an endpoint */
typedef struct {
    uint64_t slots;    /* PUT_SLOTS regions of slot_size() */
    uint64_t source;   /* constant contents for gets, max_size bytes */
    uint64_t flags;    /* PUT_SLOTS 64-bit words: index + 1 of the put */
    uint64_t counter;  /* 64-bit word for atomics */
} ep_memory_t;


typedef struct {
    ucp_ep_h    ep;
    ucp_rkey_h  rkey;
    unsigned    index;
    unsigned    worker;
    uint8_t     *memory;     /* ours, exposed to the peer */
    ep_memory_t local;
    ep_memory_t remote;
    /* as origin */
    uint32_t    next_op;
    int         slot_busy[PUT_SLOTS];
    uint64_t    flag_value[PUT_SLOTS];
    /* as target */
    uint32_t    next_tag;    /* operation index of the next receive to post */
    uint32_t    tags_posted;
    uint32_t    next_stream; /* operation index of the next piece */
    int         stream_posted;
    int64_t     last_small;  /* operation index of the last small message */
    uint32_t    received;    /* messages and puts that came and were checked */
    uint32_t    expected;
} test_ep_t;


enum {
    AM_DATA,
    AM_PUT_DONE, /* header: the put to check */
    AM_PUT_ACK   /* header: the put that was checked */
};


typedef struct {
    uint32_t ep;
    uint32_t index;
} am_header_t;


/* An operation under way, at either side */
typedef struct {
    test_ep_t    *ep;
    uint32_t     index;
    op_t         op;
    am_header_t  header;
    uint64_t     value[2];
    ucp_dt_iov_t iov[MAX_IOV];
    uint8_t      *buffer;
} work_t;


extern test_opts_t  opts;
extern unsigned     side;      /* 0 client, 1 server */
extern ucp_worker_h workers[MAX_WORKERS];
extern test_ep_t    eps[MAX_EPS];
extern uint64_t     bytes_out, bytes_in, num_checks, num_active;
extern const char   *stage;


/* Ends the program with one line */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

void *xalloc(size_t size);

size_t slot_size(void);

/* Operation @a index of @a from's endpoint @a ep */
void op_make(unsigned from, unsigned ep, uint32_t index, op_t *op);

/* Register the handlers of all active messages */
void ops_init(void);

/* Post what the windows allow; non-zero if anything was posted */
int ops_advance(void);

/* Non-zero if all of ours are complete and all of the peer's have come */
int ops_done(void);

/* After ops_done() of both sides: atomics lost or done twice */
void ops_check_counters(void);

void ops_print_state(void);

/* Wait for a request of close or flush, while everything makes progress */
void wait_request(ucs_status_ptr_t request, const char *what);

unsigned progress(void);

/* Shared by the two halves: what an origin and what a target does */
work_t *work_new(test_ep_t *ep, uint32_t index, const op_t *op, size_t size);

void work_free(work_t *work);

void set_params(ucp_request_param_t *param, work_t *work);

/* The operation of @a work must not fail */
void check_status(work_t *work, ucs_status_t status, const char *what);

void check_bytes(test_ep_t *ep, uint32_t index, const op_t *op,
                 const void *data, size_t size, size_t start);

const char *kind_name(const op_t *op);

void post_am_header(test_ep_t *ep, uint32_t index, const op_t *op,
                    unsigned id);

void post_tag_recv(test_ep_t *ep);

/* Receive the next piece of the endpoint's stream, if there is one; non-zero if
 * posted */
int post_stream_recv(test_ep_t *ep);

/* The target is told by what comes in, without being asked */
int op_is_sent(const op_t *op);

/* Puts that announce themselves by a flag; returns how many came */
int poll_flags(test_ep_t *ep);

void target_init(void);

/* Give back delivered data that were kept, after another look at them */
void held_release(int all);

#endif
