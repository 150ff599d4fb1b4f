/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_KIT_H_
#define VMP_KIT_H_

/*
 * What the small UCP programs of the lab's tests share. A run consists of
 * processes with ranks: rank 0 listens on a TCP port, the others connect to it.
 * TCP carries addresses, keys and barriers, never what is tested. While it
 * waits, the workers of the process make progress.
 */

#include <ucp/api/ucp.h>

#include <stddef.h>
#include <stdint.h>

#include "../common/vmp_content.h"

#define KIT_MAX_RANKS    16
#define KIT_MAX_WORKERS  64
#define KIT_MAX_BLOB     4096   /* bytes of an address or packed key */


/* An address or key as it is exchanged */
typedef struct {
    uint32_t size;
    uint8_t  data[KIT_MAX_BLOB];
} kit_blob_t;


typedef struct {
    const char *name;       /* of the program, for its lines */
    const char *stage;      /* what is going on, for the line of a failure */
    uint64_t   seed;
    unsigned   rank;
    unsigned   num_ranks;
    unsigned   seconds;     /* the time limit */
    const char *host;       /* where rank 0 is; NULL: here */
    const char *port;       /* and its TCP port */
} kit_t;

/* What programs differ in when they start */
typedef struct {
    const char *name;
    const char *port;       /* TCP port of rank 0 by default */
    const char *letters;    /* of its own options, as getopt() wants them */
    void       (*option)(int letter, const char *arg);
    void       (*usage)(void); /* prints the lines of these */
} kit_program_t;

extern kit_t kit;


/* One line, and the end (exit code 1) */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* One line on standard output */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

void *xalloc(size_t size);

/* Read the program's options and start its time limit. Who is given a host is
 * rank 1, unless an option of its own (-r) says more. */
void kit_options(const kit_program_t *program, int argc, char **argv);

/* The number of an option from min to max */
uint64_t kit_number(const char *arg, char option, uint64_t min, uint64_t max);

double kit_now(void);

/* Meet the other ranks */
void kit_net_open(void);

/* all[i] becomes what rank i gave as mine */
void kit_allgather(const void *mine, void *all, size_t size);

/* Everybody comes here, with the same stage */
void kit_barrier(const char *next_stage);

/* The TCP connections are left alone from now on: peers may end */
void kit_net_close(void);


/* A new worker in a new context. It makes progress while the kit waits, until
 * kit_worker_close() */
ucp_worker_h kit_worker_open(uint64_t features, ucs_thread_mode_t mode,
                             ucp_context_h *context_p);

void kit_worker_close(ucp_worker_h worker, ucp_context_h context);

void kit_worker_address(ucp_worker_h worker, kit_blob_t *blob);

/* With peer error handling if cb is not NULL */
ucp_ep_h kit_ep(ucp_worker_h worker, const kit_blob_t *addr,
                ucp_err_handler_cb_t cb, void *arg);

/* Of all open workers */
unsigned kit_progress(void);

/* Wait for a request, free it and return how it ended */
ucs_status_t kit_wait(ucs_status_ptr_t request);

/* ... which must be well */
void kit_wait_ok(ucs_status_ptr_t request, const char *what);

void kit_ep_close(ucp_ep_h ep, int force);

/* What "rdma resource show" says of this host now */
void kit_resources(char *buf, size_t size);

/* ... must be as it was within some seconds */
void kit_resources_check(const char *before);

/* Resident memory, KiB */
size_t kit_rss(void);

#endif
