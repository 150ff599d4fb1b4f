/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_VERBS_PORT_H_
#define VMP_VERBS_PORT_H_

#include "core/vmp_ctl.h"
#include "core/vmp_log.h"
#include "port/port.h"

#include <infiniband/verbs.h>
#include <stdatomic.h>
#include <string.h>


/**
 * Types that the files of the verbs port share. Who touches what:
 *   [setup]   before vmp_port_start() and after vmp_port_stop()
 *   [helper]  the helper thread in between; same members, so that no two
 *             threads ever share one without vmp_port_start/stop between them
 *   [app]     the application's thread: data CQs, SRQ and data QPs
 */

/** Datagrams that a control QP can take before the helper polls, and that a
 *  rail can have on their way out; more are dropped (UD is unreliable). */
#define VMP_UD_RX_DEPTH   64
#define VMP_UD_TX_DEPTH   256
/** All QPs that send. */
#define VMP_UD_MAX_QPS    (VMP_MAX_UD + VMP_PORT_UD_SPARES)
/** A UD receive starts with room for a GRH, used or not. */
#define VMP_UD_GRH_LEN    40
#define VMP_UD_RX_STRIDE  (VMP_UD_GRH_LEN + VMP_CTL_MAX_LEN + 24)

/** Q_Key of all control QPs, "VMP1". It keeps foreign datagrams out, nothing
 *  more: what a datagram says is checked by the core. The top bit is clear, as
 *  the privileged keys have it set. */
#define VMP_UD_QKEY       0x564d5031u

/** Address handles kept a rail; the least recently used goes first. */
#define VMP_AH_MAX        4096
#define VMP_AH_BUCKETS    256

#define VMP_HOP_LIMIT     255
#define VMP_NSEC_PER_MSEC 1000000ul
#define VMP_NSEC_PER_SEC  1000000000ul

/** Completions taken at once. */
#define VMP_VERBS_STASH_MAX   16
/** A fork's child finds nothing in the CQs, and gives no receive buffers: all is
 *  the parent's. */
#define VMP_VERBS_FORKED      0x80
#define VMP_VERBS_STASHED_TX  (VMP_PORT_EVENT_TX | VMP_VERBS_FORKED)
#define VMP_VERBS_STASHED_RX  (VMP_PORT_EVENT_RX | VMP_VERBS_FORKED)


/** An opened device. */
typedef struct vmp_verbs_dev {
    struct ibv_context     *ctx;
    struct ibv_pd          *pd;
    struct ibv_device_attr attr;
    char                   name[VMP_PORT_NAME_MAX];
    uint32_t               id;          /**< Names the async fd in epoll */
    unsigned               num_started; /**< Rails of started ports */
    struct vmp_verbs_dev   *next;       /**< Helper's list of those with any */
} vmp_verbs_dev_t;


struct vmp_port_md {
    vmp_verbs_dev_t    devs[VMP_MAX_RAILS];
    unsigned           num_devs;
    int                has_odp;
    unsigned           fork_gen;        /**< See vmp_verbs_fork_gen */
    struct vmp_port_md *next;           /**< All MDs of the process */
};


/** Address of a peer's rail with its address handles, one a control QP, so that
 *  devices which take the UDP source port from there use several. */
typedef struct vmp_verbs_ah {
    struct vmp_verbs_ah *hash_next;
    struct vmp_verbs_ah *next;          /**< Circular, latest use first */
    struct vmp_verbs_ah *prev;
    struct ibv_ah       *ah[VMP_UD_MAX_QPS];
    uint64_t            retry_at;       /**< Creation failed: not before, ns */
    vmp_rail_addr_t     addr;
    unsigned            inflight;       /**< Sends that use it */
    int                 is_doomed;      /**< Not in the hash: ends with them */
} vmp_verbs_ah_t;


typedef struct vmp_verbs_ud_slot {
    vmp_verbs_ah_t *ah;                 /**< NULL: free */
    uint8_t        ud;
} vmp_verbs_ud_slot_t;


/** Control QPs of a rail. [helper] */
typedef struct vmp_verbs_ud {
    struct ibv_comp_channel *channel;
    struct ibv_cq           *rx_cq;
    struct ibv_cq           *tx_cq;     /**< Without events: sends poll it */
    struct ibv_qp           *qp[VMP_UD_MAX_QPS];    /**< Those to receive, and
                                             from VMP_MAX_UD on the spares */
    struct ibv_mr           *mr;
    uint8_t                 *buf;       /**< Receive slots, then send slots */
    uint8_t                 *rx_posted; /**< By receive slot */
    vmp_verbs_ud_slot_t     tx[VMP_UD_TX_DEPTH];
    uint8_t                 tx_free[VMP_UD_TX_DEPTH];
    unsigned                num_tx_free;
    unsigned                num_qps;
    unsigned                broken;     /**< Mask of QPs to be repaired */
    unsigned                spares_bad; /**< Mask of spares to be renewed */
    uint64_t                repair_at;  /**< Not before, ns */
    int                     rx_ready;   /**< There may be completions */
    int                     is_stuck;   /**< Sends do not complete: at close */
    vmp_verbs_ah_t          ah_list;    /**< Head */
    vmp_verbs_ah_t          *ah_hash[VMP_AH_BUCKETS];
    unsigned                num_ahs;
} vmp_verbs_ud_t;


/** Completions that vmp_port_event_arm() found; the next poll takes them. */
typedef struct vmp_verbs_stash {
    int      pos;
    int      num;
    vmp_wc_t wc[VMP_VERBS_STASH_MAX];
} vmp_verbs_stash_t;


typedef struct vmp_verbs_rail {
    /* hot */
    struct ibv_cq   *tx_cq;
    struct ibv_cq   *rx_cq;
    struct ibv_srq  *srq;
    unsigned        stashed;            /**< What a poll has to look at first:
                                             OR of VMP_PORT_EVENT_*, and
                                             VMP_VERBS_FORKED */
    int             is_srq_refused;     /**< The SRQ takes no buffers: it was
                                             logged */

    /* wakeup [app] */
    unsigned          notified;         /**< CQs that will raise an event: OR
                                             of VMP_PORT_EVENT_* */
    int               is_deaf;          /**< They do not: it was logged */
    int               is_broken;        /**< A CQ is: it was reported */
    vmp_verbs_stash_t stash[2];         /**< Of the send and the receive CQ */
    struct ibv_comp_channel *channel;   /**< Of both */

    vmp_verbs_dev_t *dev;
    char            name[VMP_PORT_NAME_MAX + 8];    /**< "rxe0:1" */
    vmp_rail_addr_t addr;
    uint64_t        speed;
    uint8_t         dev_index;
    uint8_t         port_num;
    uint8_t         is_roce;
    uint8_t         lmc;
    uint16_t        pkey_index;
    int             gid_index;
    uint32_t        gid_type;
    vmp_verbs_ud_t  ud;
} vmp_verbs_rail_t;


/** Sleeping until something happens, see wakeup.c. [app] but for the flag. */
typedef struct vmp_verbs_wakeup {
    int         epoll_fd;               /**< Over all that follows */
    int         signal_fd;              /**< Written by the helper */
    int         timer_fd;
    uint64_t    deadline;               /**< That the timer is set to, ns */
    _Atomic int is_armed;               /**< Write to signal_fd */
} vmp_verbs_wakeup_t;


struct vmp_port {
    vmp_verbs_rail_t    rails[VMP_MAX_RAILS];
    unsigned            num_rails;
    vmp_port_md_t       *md;
    vmp_port_params_t   params;         /**< After clamping */
    struct ibv_qp_cap   qp_cap;         /**< What QPs are made with */
    uint8_t             path_mtu;
    unsigned            fork_gen;
    int                 wake_fd;        /**< Wakes the helper */
    vmp_verbs_wakeup_t  wakeup;
    _Atomic uint64_t    random;
    vmp_port_t          *all_next;      /**< All ports of the process */

    /* [helper], under its lock */
    uint32_t            id;             /**< Names its fds in epoll */
    vmp_ctl_t           *ctl;           /**< NULL: not started */
    uint64_t            deadline;       /**< Of vmp_ctl_progress() */
    int                 is_touched;     /**< Progress is due now */
    vmp_port_qp_t       *qps;
    vmp_port_t          *next;          /**< Helper's list */
};


struct vmp_port_qp {
    struct ibv_qp *qp;
    vmp_port_t    *port;
    vmp_port_qp_t *next;                /**< Of the port's [helper] */
    vmp_port_qp_t **prev_p;             /**< Who points here */
    uint64_t      err_time;             /**< Move to ERR, ns; 0: not yet */
    int           is_last;              /**< LAST_WQE_REACHED came [helper] */
    uint8_t       rail;
};


/* util.c */

/**
 * Number of forks between the process that loaded us and this one. Verbs
 * objects are shared with the parent by a fork, and destroying them in the
 * child would destroy the parent's: what has another number is left alone.
 */
extern unsigned vmp_verbs_fork_gen;

/** Register the fork handlers, once. Called before anything is opened. */
void vmp_verbs_init_once(void);

/** Enter a port in the list of the process, or take it out. [setup] */
void vmp_verbs_ports_add(vmp_port_t *port);
void vmp_verbs_ports_remove(vmp_port_t *port);

/** What to do about an errno of verbs; "" if nothing comes to mind. */
const char *vmp_verbs_hint(int err);

uint64_t vmp_verbs_now(void);

/** A 64-bit mix (splitmix64's finaliser). */
uint64_t vmp_verbs_mix(uint64_t value);


/* device.c */

/** Bytes/s that a port carries. */
uint64_t vmp_verbs_port_speed(const struct ibv_port_attr *attr);

/** Whether a context belongs to this process, not to the one it was forked
 *  from. */
int vmp_verbs_is_own_ctx(const struct ibv_context *ctx);

/** In a fork's child. */
void vmp_verbs_devices_forked(void);


/* probe.c */

/** Whether what an interface needs can be made on a device; it is undone at
 *  once. Return 0, or -1: no. */
int vmp_verbs_probe(struct ibv_context *ctx, const char *name);


/* gid.c */

typedef struct vmp_verbs_gid {
    union ibv_gid gid;
    uint32_t      type;                 /**< enum ibv_gid_type */
    int           index;
} vmp_verbs_gid_t;

/**
 * Choose a GID, or check the wanted one.
 *
 * @param wanted  Index, or -1: the best one.
 * @param level   Of the log line of a failure.
 */
vmp_status_t vmp_verbs_gid_select(struct ibv_context *ctx, uint8_t port_num,
                                  const struct ibv_port_attr *attr, int wanted,
                                  const char *name, vmp_log_level_t level,
                                  vmp_verbs_gid_t *gid);

/** Look the address of a rail up, which may have another GID now, or the same
 *  one at another index. Return 0: it has one; -1: none of the kind
 *  that it had. [helper] */
int vmp_verbs_gid_refresh(const vmp_port_t *port, vmp_verbs_rail_t *rail);

/** Find a partition key, see vmp_port_params_t. */
vmp_status_t vmp_verbs_pkey_find(struct ibv_context *ctx, uint8_t port_num,
                                 const struct ibv_port_attr *attr,
                                 uint16_t pkey, const char *name,
                                 uint16_t *index_p);


/* qp.c */

/** Address vector of a peer's rail. */
void vmp_verbs_fill_av(const vmp_port_t *port, const vmp_verbs_rail_t *rail,
                       const vmp_rail_addr_t *dest, uint32_t entropy,
                       struct ibv_ah_attr *av);


/** A device says that the responder of one of its QPs has stopped. */
void vmp_verbs_qp_last(const vmp_verbs_dev_t *dev, vmp_port_t *ports,
                       uint32_t qpn);


/* ah.c [helper] */

void vmp_verbs_ah_init(vmp_verbs_ud_t *ud);
void vmp_verbs_ah_cleanup(vmp_verbs_ud_t *ud);

/** Handle for a destination from one control QP. NULL: none to be had now. */
vmp_verbs_ah_t *vmp_verbs_ah_get(vmp_port_t *port, vmp_verbs_rail_t *rail,
                                 unsigned ud, const vmp_rail_addr_t *dest);

/** A send that used it has completed. */
void vmp_verbs_ah_put(vmp_verbs_ud_t *ud, vmp_verbs_ah_t *ah);

void vmp_verbs_ah_forget(vmp_verbs_ud_t *ud, const vmp_rail_addr_t *dest);

void vmp_verbs_ah_forget_all(vmp_verbs_ud_t *ud);

/** Forget the handles of one control QP, none of which may be in use. */
void vmp_verbs_ah_forget_qp(vmp_verbs_ud_t *ud, unsigned qp);


/* ctl_ud.c, ud_qp.c [helper] */

vmp_status_t vmp_verbs_ud_open(vmp_port_t *port, vmp_verbs_rail_t *rail);
void vmp_verbs_ud_close(vmp_verbs_rail_t *rail);

/** Move a new or reset QP to RTS. Return 0 or errno. */
int vmp_verbs_ud_qp_to_rts(vmp_port_t *port, vmp_verbs_rail_t *rail,
                           unsigned ud);

/** Post a receive slot. Return 0 or errno. */
int vmp_verbs_ud_post_rx(vmp_verbs_rail_t *rail, unsigned slot);

/** Take completions of sends. */
void vmp_verbs_ud_reap(vmp_verbs_rail_t *rail);

/** Consume the channel's events. Return 0, or -1: the channel is broken. */
int vmp_verbs_ud_channel_event(vmp_verbs_rail_t *rail);

/** Hand what came in to ctl. A bounded number: see ud.rx_ready. Return the
 *  number of datagrams. */
unsigned vmp_verbs_ud_poll_rx(vmp_port_t *port, unsigned rail_index);

/** Bring broken control QPs back. */
void vmp_verbs_ud_repair(vmp_port_t *port, unsigned rail_index, uint64_t now);


/* poll.c [app] */

/** Poll the send CQ (VMP_PORT_EVENT_TX) or the receive CQ of a rail. */
int vmp_verbs_poll_rail(vmp_verbs_rail_t *rail, unsigned event, vmp_wc_t *wc,
                        int max);


/* wakeup.c */

/** A completion channel that does not block. NULL: errno says why. */
struct ibv_comp_channel *vmp_verbs_channel_create(struct ibv_context *ctx);

void vmp_verbs_wakeup_init(vmp_verbs_wakeup_t *wakeup);

/** Make the file descriptors, when the rails are open. */
vmp_status_t vmp_verbs_wakeup_open(vmp_port_t *port);

void vmp_verbs_wakeup_close(vmp_verbs_wakeup_t *wakeup);

/** vmp_verbs_poll_rail() where vmp_verbs_rail_t.stashed says so. */
int vmp_verbs_poll_stash(vmp_verbs_rail_t *rail, unsigned event, vmp_wc_t *wc,
                         int max);


/* event.c [helper] */

/** Consume async events of a device for all ports on the list. Return 0, or -1:
 *  the device is gone. */
int vmp_verbs_async_events(vmp_verbs_dev_t *dev, vmp_port_t *ports);


/* helper.c */

/** A fork's child has no helper. */
void vmp_verbs_helper_forked(void);


#endif
