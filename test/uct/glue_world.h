/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef GLUE_WORLD_H_
#define GLUE_WORLD_H_

#include "fake_core.h"

#include "uct/uct_vmp_ep.h"
#include "uct/uct_vmp_md.h"
#include "unit/vmp_check.h"

#include <ucs/async/async_fwd.h>

#include <string.h>


/**
 * An interface of vmp over the fake core, with an endpoint to itself, for tests
 * of the glue between UCX's transport interface and the core.
 */
#define TEST_AM_ID    3
#define TEST_SETUP_ID 1         /* of UCP's own set-up */
#define TEST_HEADROOM 40
#define TEST_MAX      16

extern uct_worker_h    test_worker;
extern uct_component_h test_component;
extern uct_md_h        test_md;
extern uct_iface_h     test_iface;
extern uct_ep_h        test_ep;

/* What arrived */
extern unsigned     test_num_msgs;
extern char         test_msgs[TEST_MAX][64];
extern void         *test_descs[TEST_MAX];
extern int          test_keep;
extern unsigned     test_num_errors;
extern ucs_status_t test_error;
extern ucs_status_t test_err_status;     /* What the handler of errors returns */


void test_start(void);

/** test_ep must have been destroyed. */
void test_stop(void);

/** Open another interface, with a setting changed if `name` is not NULL. */
ucs_status_t test_open_iface(const char *name, const char *value,
                             uct_iface_h *iface_p);

/** An endpoint of an interface to itself */
uct_ep_h test_connect(uct_iface_h iface);

/** Pack a string. */
size_t test_pack(void *dest, void *arg);

void test_progress(void);

#endif
