/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_SIM_PAIR_H_
#define VMP_SIM_PAIR_H_

#include "vmp_check.h"
#include "port/sim/sim.h"

#include <string.h>


/**
 * Two interfaces on the simulated port, without the core, and pairs of QPs
 * between them: for tests of the simulation itself. Side 0 posts, side 1 has
 * receive buffers and remote memory.
 */
#define PAIR_MAX_QPS  8
#define PAIR_REGION   (2u << 20)            /**< Bytes: half of side 1 are
                                                 receive buffers */
#define PAIR_BUF      16384                 /**< Bytes of a receive buffer */
#define PAIR_BUFS     64

typedef struct pair_side {
    vmp_port_md_t   *md;
    vmp_port_t      *port;
    vmp_port_attr_t attr;
    uint8_t         *data;
    vmp_mem_t       mem;
    vmp_port_qp_t   *qps[PAIR_MAX_QPS];
} pair_side_t;

extern pair_side_t pair[2];
extern unsigned    pair_qps;
extern sim_conf_t  pair_conf;               /**< For pair_open() */
extern vmp_port_params_t pair_params;       /**< The same */

/** Defaults. */
void pair_begin(const char *name, uint64_t seed);

/** Make the world, and `num` connected pairs of QPs. */
void pair_open(unsigned num);

/** Destroy all and check that nothing is left. */
void pair_end(void);

/** Give side 1 receive buffers `first` .. `first` + `num` - 1; wr_id is the
 *  number. They lie in its region one after the other. */
void pair_recv(unsigned first, unsigned num);

/** Post on QP `i` of side 0: local and remote offsets in the regions. */
int pair_send(unsigned i, uint64_t wr_id, unsigned flags, size_t from,
              uint32_t length);
int pair_write(unsigned i, uint64_t wr_id, unsigned flags, size_t from,
               uint32_t length, size_t to);
int pair_read(unsigned i, uint64_t wr_id, unsigned flags, size_t into,
              uint32_t length, size_t from);

/** Run until side 0 has a completion: its wr_id, and status. */
vmp_wc_status_t pair_wait(uint64_t *wr_id, uint64_t max_ns);

/** Wait for one, and check it. */
void pair_expect(uint64_t wr_id, vmp_wc_status_t status);

/** Poll one arrival of side 1. Return 0 if there is none. */
int pair_arrival(vmp_wc_t *wc);

void pair_fill(unsigned side, int seed);


#endif
