/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_CTL_WORLD_H_
#define VMP_CTL_WORLD_H_

#include "vmp_check.h"
#include "core/vmp_ctl.h"
#include "core/vmp_log.h"


/**
 * A small world for the control state machines: nodes with one interface each,
 * a network that loses, repeats, delays and reorders datagrams, QPs that only
 * count, and applications that check every event against what vmp_ctl.h
 * promises. All in virtual time.
 */
#define WORLD_NODES    3
#define WORLD_UD       4
#define WORLD_PATHS    8
#define WORLD_SLOTS    8192
#define WORLD_TIMEOUT  2000000000ull        /**< Peer timeout, ns */
#define MSEC           1000000ull
#define SEC            1000000000ull


typedef enum {
    QP_INIT,
    QP_RTS,
    QP_ERR
} qp_state_t;

/** A QP of the fake port. */
struct vmp_port_qp {
    unsigned             node;
    uint32_t             qpn;
    qp_state_t           state;
    uint64_t             err_time;
    int                  is_known;          /**< To the application */
    int                  is_drained;
    vmp_port_qp_remote_t remote;
};

struct vmp_port {
    unsigned node;
};


typedef enum {
    APP_PATH_NONE,
    APP_PATH_READY,
    APP_PATH_UP,
    APP_PATH_DOWN                           /**< Drained at drain_time */
} app_path_state_t;

typedef struct app_path {
    app_path_state_t state;
    uint32_t         epoch;
    uint32_t         dead_epoch;            /**< Highest of PATH_DEAD */
    uint32_t         entropy;
    vmp_port_qp_t    *qp;
    uint64_t         drain_time;
} app_path_t;

/** A connection as the application has learned of it. */
typedef struct app_conn {
    uint32_t      incarn;
    uint64_t      peer_id;
    uint8_t       role;
    int           is_agreed;
    int           is_ended;
    int           is_failed_by_us;
    vmp_ev_type_t end;                      /**< How it ended */
    vmp_status_t  status;
    vmp_ev_t      peer;                     /**< CONN_PEER */
    app_path_t    paths[WORLD_PATHS];
} app_conn_t;

typedef struct node {
    vmp_ctl_t       *ctl;                   /**< NULL: closed */
    vmp_port_t      port;
    vmp_port_attr_t attr;
    uint32_t        spares[VMP_PORT_UD_SPARES]; /**< Their numbers; 0: none */
    vmp_rail_addr_t addr;                   /**< As it is now */
    vmp_spsc_t      cmds;
    vmp_spsc_t      evs;
    uint64_t        id;
    uint64_t        deadline;               /**< Of vmp_ctl_progress() */
    uint64_t        still_until;            /**< Its helper gets no CPU before */
    uint32_t        last_incarn;
    uint32_t        num_conns;              /**< Without GONE */
    app_conn_t      *conns[WORLD_SLOTS];
    unsigned        num_failed;             /**< CONN_FAILED so far */
    unsigned        num_conn_evs;           /**< CONN so far */
    unsigned        qps_left;               /**< Creations that succeed */
    unsigned        connects_left;          /**< The same for connecting */
    int             is_lazy;                /**< Application does not poll */
} node_t;

typedef struct world {
    uint64_t now;
    uint64_t rng;
    node_t   nodes[WORLD_NODES];
    unsigned num_qps;                       /**< Alive, all nodes */
    unsigned num_sent;                      /**< Datagrams */
    unsigned sent_types[VMP_CTL_LAST];      /**< Datagrams by type */
    unsigned sent_reasons[VMP_REASON_LAST]; /**< The same by reason */
    unsigned loss;                          /**< Per mille */
    unsigned dup;                           /**< Per mille */
    uint64_t delay_max;                     /**< ns */
    int      is_ud_dead[WORLD_NODES][WORLD_UD]; /**< Nothing leaves from it */
    unsigned alive_link;                    /**< Of four, 1 to 4: datagrams take
                                                 one by their QP, the others are
                                                 dead; 0: none is */
    unsigned num_renewed;                   /**< vmp_port_ctl_renew() */
    uint64_t timeout;                       /**< Of peers */
    uint64_t drain_max;                     /**< Applications drain within it */
    int      is_closing;
    unsigned lost_type;                     /**< These datagrams get lost */
    unsigned num_forgotten;                 /**< vmp_port_ctl_forget() */
    uint8_t  num_paths;
    /** Called for each datagram sent; may be NULL. */
    void     (*tap)(unsigned node, const void *data, size_t length);
} world_t;

extern world_t world;
extern unsigned world_num_alarms;    /**< Errors and warnings logged */
extern void     (*world_on_log)(vmp_log_level_t level, const char *text);


/** Start over: all nodes closed, perfect network. */
void world_init(uint64_t seed);

/** Start over with nodes 0 and 1 open, of ids 10 and 20. */
void world_begin(uint64_t seed);

/** Let a while pass; nodes 0 and 1 have nothing to wait for then. */
void world_check_idle(void);

/** Close all nodes and check that nothing is left. */
void world_cleanup(void);

/** Open an interface at a node, with a new id (0: random). */
void node_open(unsigned node, uint64_t id);
void node_close(unsigned node);

/** It gets another address, and says so if `is_said`. */
void node_move(unsigned node, int is_said);

/** A random number below n. */
uint64_t world_rand(uint64_t n);

/** Let time pass. */
void world_run(uint64_t duration);

/** Hand a datagram to a node now. */
void world_inject(unsigned node, const void *data, size_t length);

/** Drop what is in flight. */
void world_clear_net(void);

void app_connect(unsigned node, unsigned peer);

/** CONNECT to an id and address of the caller's choice. */
void app_connect_to(unsigned node, unsigned peer, uint64_t id);
void app_cmd(unsigned node, uint32_t slot, vmp_cmd_type_t type,
             uint8_t num_paths);

/** Take all events of a node. */
void app_poll(unsigned node);

/** Drain what is due. Return when the next is. */
uint64_t app_drain(unsigned node);

/** The connection of `node` to `peer` that is alive, or NULL. */
app_conn_t *app_find(unsigned node, uint64_t peer_id, uint8_t role,
                     uint32_t *slot_p);

/** A path of a connection fails, if it is there. */
void app_fail_path(unsigned node, uint32_t slot, unsigned index);

/** It carries, says the application. */
void app_prove_path(unsigned node, uint32_t slot, unsigned index);

/** The slot of the connection of `node` to `peer`, which must be alive. */
uint32_t app_slot(unsigned node, unsigned peer);

/** A connection of `node` that has ended and is not gone yet, or NULL. There
 *  must be no second one. */
app_conn_t *app_find_ended(unsigned node);

/** Check that `node` and `peer` are connected and that the first `num_paths`
 *  paths are up at both ends and belong together. */
void app_check_pair(unsigned node, unsigned peer, unsigned num_paths);
int app_is_pair_up(unsigned node, unsigned peer, unsigned num_paths);


#endif
