/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_CORE_WORLD_H_
#define VMP_CORE_WORLD_H_

#include "vmp_check.h"
#include "core/vmp_conn.h"
#include "port/sim/sim.h"

#include <string.h>


/**
 * Interfaces on the simulated port, each on its host, and endpoints that send messages whose stream,
 * order and contents every receiver checks.
 */
#define WORLD_HOSTS        40
#define WORLD_MAX_NODES    208          /**< Several on a host, if need be */
#define WORLD_MAX_STREAMS  256
#define WORLD_MAX_KEPT     4096
#define WORLD_STEP         1000         /**< ns */


typedef struct node {
    vmp_port_md_t    *md;
    vmp_iface_t      *iface;
    vmp_iface_attr_t attr;
    int              is_paused;         /**< Does not progress */
    int              is_asleep;         /**< Nor before it is woken up */
    uint64_t         wakes;             /**< Times it was woken up, or
                                             could not go to sleep */
    uint64_t         received;          /**< Messages */
    uint32_t         next_seq[WORLD_MAX_STREAMS];
    unsigned         keep_percent;      /**< Of the messages, for a while */
    int              keep_all;          /**< Until the end */
    vmp_rx_t         *kept[WORLD_MAX_KEPT];
    unsigned         num_kept;
    unsigned         num_refused;       /**< rx was NULL */
    unsigned         ready_calls;
    unsigned         unpacked;          /**< Bytes */
    void             (*on_am)(struct node *node);
} node_t;

/** An endpoint of the user */
typedef struct stream {
    vmp_ep_t     ep;                    /**< First */
    node_t       *node;
    uint32_t     id;
    uint32_t     seq;                   /**< Of the next message */
    int          is_open;
    int          failed;                /**< Calls of ep_failed */
    vmp_status_t status;                /**< Of ep_failed */
    int          ready;                 /**< Calls of ep_ready */
    int          keep_waiting;          /**< What ep_ready returns */
    void         (*on_failed)(struct stream *stream);
    void         (*on_ready)(struct stream *stream);
} stream_t;

/** A completion of the user */
typedef struct comp {
    int          calls;
    vmp_status_t status;
    uint64_t     time;
    void         (*on_call)(struct comp *comp);
    void         *arg;
} comp_t;

extern node_t             world_nodes[WORLD_MAX_NODES];
extern unsigned           world_num;
extern vmp_iface_params_t world_params;
extern int                world_sleeps; /**< Nodes progress only when woken, as
                                             programs that wait for events */
extern uint64_t           world_hash;       /**< Of the last world's events */
extern unsigned           world_rails;      /**< Devices of each node, from the
                                                 next world on: 1 */

/** Begin a test: defaults in world_params and sim_conf, a fresh network. */
void world_begin(const char *name, uint64_t seed);

/** Make the interface of a node, with world_params as they are. */
void world_open_node(unsigned node);

/** The same, if it can be made. */
vmp_status_t world_try_node(unsigned node);

/** Make the interfaces of `num` nodes. */
void world_open(unsigned num);

/** Close all, and check that nothing is left. */
void world_end(void);

void world_step(void);

/** The test did something: nobody who sleeps may rely on what it armed. */
void world_wake(void);

/** A step of which nothing was done before. */
void world_step_on(void);

/** Run until a condition holds, for at most ~`_ms` of virtual time */
#define world_until(_cond, _ms) \
    do { \
        uint64_t _end = sim_now() + ((_ms) * 1000000ul); \
        world_wake(); \
        while (!(_cond)) { \
            VMP_CHECK(sim_now() < _end); \
            world_step_on(); \
        } \
    } while (0)

void world_run(uint64_t ns);

void stream_open(stream_t *stream, unsigned from, unsigned to);
void stream_close(stream_t *stream);

/** Connect, with `paths` paths up */
void stream_wait_paths(stream_t *stream, unsigned paths);

typedef enum send_kind {
    SEND_SHORT,
    SEND_BCOPY,
    SEND_ZCOPY,
    SEND_SHORT_IOV,
    SEND_KINDS
} send_kind_t;

/** Send the next message of a stream. Zcopy uses `comp` or an own one. */
vmp_status_t stream_send(stream_t *stream, send_kind_t kind, size_t length,
                         comp_t *comp);

/** Registered memory */
typedef struct region {
    uint8_t    *data;
    size_t     size;
    vmp_mem_t  mem;
    vmp_rkey_t rkey;
} region_t;

/** Of a node */
void region_make(region_t *region, unsigned node, size_t size, int seed);
void region_free(region_t *region);

/** Fail the next operation on a path of a stream's connection */
/** Overwrite what is sent by zcopy, as if its memory had been freed. */
void world_spoil_zcopies(void);

void stream_kill_path(stream_t *stream, unsigned path, vmp_wc_status_t status);

vmp_port_qp_t *stream_qp(stream_t *stream, unsigned path);
sim_qp_t *stream_sim(stream_t *stream, unsigned path);


#endif
