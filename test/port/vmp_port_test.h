/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_PORT_TEST_H_
#define VMP_PORT_TEST_H_

#include "core/vmp_ctl.h"
#include "port/verbs/verbs_port.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>


#define CHECK(_cond) \
    do { \
        if (!(_cond)) { \
            check_failed(__FILE__, __LINE__, #_cond); \
        } \
    } while (0)

#define MAX_TAGS  4096


/**
 * In place of the core's control: it counts datagrams by the tag that they
 * carry, and runs jobs in the helper thread.
 */
struct vmp_ctl {
    vmp_port_t       *port;
    _Atomic unsigned got[MAX_TAGS];     /**< Datagrams by tag */
    _Atomic unsigned num_bad;           /**< With wrong contents */
    _Atomic unsigned num_progress;
    _Atomic unsigned num_events;
    _Atomic uint64_t interval;          /**< ns between progress calls; 0: no
                                             timer */
    void             (*job)(struct vmp_ctl *ctl, void *arg);
    void             *job_arg;
    _Atomic int      job_state;         /**< 0 none, 1 wanted, 2 done */
};

/** The control datagram of the tests. */
typedef struct test_dgram {
    uint32_t tag;
    uint32_t length;
    uint8_t  fill[VMP_CTL_MAX_LEN - 8];
} test_dgram_t;


extern vmp_port_dev_t   dev;            /**< Device under test */
extern char             last_line[512]; /**< Last error line */
extern _Atomic unsigned num_errors;     /**< Lines of level error */
extern unsigned         base_threads;   /**< Without a helper */

void check_failed(const char *file, int line, const char *cond)
        __attribute__((noreturn));

void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

vmp_port_md_t *open_md(void);

void default_params(vmp_port_params_t *params, int gid_index);

vmp_port_t *open_port(vmp_port_md_t *md, int gid_index, vmp_port_attr_t *attr);

/** Wait until `counter` reaches a value; at most 10 s. */
int wait_counter(_Atomic unsigned *counter, unsigned value);

void sleep_ms(unsigned ms);

/** Run `job` in the helper thread and wait for it. */
void run_job(vmp_ctl_t *ctl, void (*job)(vmp_ctl_t *ctl, void *arg), void *arg);

/** Fill a datagram; return its length, at least 8. */
size_t make_dgram(test_dgram_t *dgram, uint32_t tag, size_t length);

/** Threads of this process. */
unsigned num_threads(void);

/** Whether this process has so many threads, now or within a second. */
int threads_are(unsigned num);

void test_params(vmp_port_md_t *md);
void test_mem(vmp_port_md_t *md);
void test_rc(vmp_port_md_t *md, int gid_index);
void test_ud(vmp_port_md_t *md, int gid_index);
void test_ud_spares(vmp_port_md_t *md, int gid_index);
void test_ud_repair(vmp_port_md_t *md);
void test_helper(vmp_port_md_t *md);
void test_fork(vmp_port_md_t *md);


#endif
