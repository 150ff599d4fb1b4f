/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_PORT_H_
#define VMP_PORT_H_

#include "core/vmp_types.h"


/**
 * The port: what the core and the UCT glue know of devices. It is implemented
 * by verbs/ for real devices and by a simulated fabric for tests, and is bound
 * at link time, so that no call is indirect.
 *
 * Thread rules. Functions marked [app] are called by the thread that progresses
 * the interface, those marked [helper] by the port's helper thread alone
 * (from within vmp_ctl_*() calls); the two never wait for each other.
 * Functions marked [setup] may take locks and system calls, and come from the
 * application's thread outside of the data path.
 */
typedef struct vmp_port_md vmp_port_md_t;   /**< Opened devices and their PDs */
typedef struct vmp_port    vmp_port_t;      /**< Rails of one interface */
typedef struct vmp_port_qp vmp_port_qp_t;   /**< One RC QP */
struct vmp_ctl;


/* Devices and memory ------------------------------------------------------ */

#define VMP_PORT_NAME_MAX  32


/** One usable device and port, as query_devices lists it. */
typedef struct vmp_port_dev {
    char     name[VMP_PORT_NAME_MAX];       /**< Verbs device, e.g. mlx5_0 */
    uint8_t  port_num;                      /**< From 1 */
    uint8_t  is_roce;
    uint8_t  mtu;                           /**< enum ibv_mtu, active */
    uint64_t speed;                         /**< Bytes/s on the wire */
    char     sysfs_path[128];               /**< For topology; may be empty */
} vmp_port_dev_t;


/**
 * List the devices with a port that is active, has a usable GID or LID, and on
 * which RC QPs with an SRQ can be made. No device is not an error.
 *
 * [setup]
 * @param devs_p  Set to an array that the caller frees with free(), or NULL.
 */
vmp_status_t vmp_port_query_devices(vmp_port_dev_t **devs_p, unsigned *num_p);


/** Open the named devices as one MD. [setup] */
vmp_status_t vmp_port_md_open(const char *const *names, unsigned num,
                              vmp_port_md_t **md_p);

void vmp_port_md_close(vmp_port_md_t *md);


typedef struct vmp_port_md_attr {
    uint64_t max_mr_size;                   /**< Bytes */
    unsigned num_devs;
    int      has_odp;
} vmp_port_md_attr_t;

void vmp_port_md_query(const vmp_port_md_t *md, vmp_port_md_attr_t *attr);


#define VMP_MEM_LOCAL_WRITE    0x1
#define VMP_MEM_REMOTE_WRITE   0x2
#define VMP_MEM_REMOTE_READ    0x4
#define VMP_MEM_REMOTE_ATOMIC  0x8

/**
 * Register memory on every device of the MD (all or nothing).
 *
 * [setup], any thread.
 * @param access  OR of VMP_MEM_*.
 * @param silent  Do not log a failure (UCP probes with memory that may fail).
 */
vmp_status_t vmp_port_mem_reg(vmp_port_md_t *md, void *address, size_t length,
                              unsigned access, int silent, vmp_mem_t *mem);

vmp_status_t vmp_port_mem_dereg(vmp_mem_t *mem);


/* Interface --------------------------------------------------------------- */

/** Settings of an interface's rails; see UCX_VMP_* for their meaning. */
typedef struct vmp_port_params {
    unsigned num_rails;
    struct {
        uint8_t dev_index;                  /**< In the MD's list */
        uint8_t port_num;
    }        rails[VMP_MAX_RAILS];
    int      gid_index;                     /**< -1: choose (RoCEv2 IPv4, then
                                                 IPv6, then others) */
    uint8_t  traffic_class;
    uint8_t  sl;
    uint16_t pkey;                          /**< Value; 0xffff: the first full
                                                 member */
    uint8_t  path_mtu;                      /**< enum ibv_mtu; 0: of the port */
    uint8_t  timeout;                       /**< 4.096 us * 2^timeout, 0..31 */
    uint8_t  retry_count;                   /**< 0..6 (soft-RoCE takes 7 as for
                                                 ever) */
    uint8_t  min_rnr_timer;                 /**< IB encoding, 0..31 */
    uint8_t  max_rd_atomic;
    uint8_t  num_ud;                        /**< Control QPs, 1..VMP_MAX_UD */
    uint32_t sq_depth;                      /**< Send WRs a QP (power of 2) */
    uint32_t cq_depth;                      /**< Send CQ entries a rail */
    uint32_t srq_depth;                     /**< Receive buffers a rail */
    uint32_t max_inline;                    /**< Wanted, bytes */
    uint8_t  max_sge;                       /**< Wanted */
} vmp_port_params_t;


/** What was really got, by probing. */
typedef struct vmp_port_attr {
    unsigned        num_rails;
    vmp_rail_addr_t addr[VMP_MAX_RAILS];
    uint32_t        ud_qpn[VMP_MAX_RAILS][VMP_MAX_UD];
    uint8_t         num_ud;
    uint8_t         dev_index[VMP_MAX_RAILS];
    uint32_t        sq_depth;
    uint32_t        cq_depth;
    uint32_t        srq_depth;
    uint32_t        max_inline;             /**< Bytes, at least 0 */
    uint8_t         max_sge;
    uint8_t         max_rd_atomic;
    uint8_t         path_mtu;               /**< enum ibv_mtu */
    uint64_t        speed;                  /**< Bytes/s, home rail */
} vmp_port_attr_t;


/**
 * Open the rails of an interface: send and receive CQ, SRQ, control QPs.
 * Control datagrams are not served before vmp_port_start(). [setup]
 * A failure is logged with what, where and what to do.
 */
vmp_status_t vmp_port_open(vmp_port_md_t *md, const vmp_port_params_t *params,
                           vmp_port_t **port_p, vmp_port_attr_t *attr);

/** Hand `ctl` to the helper thread (made on first need, one a process, all
 *  signals blocked), which from now on calls vmp_ctl_recv() and
 *  vmp_ctl_progress(). [setup] */
vmp_status_t vmp_port_start(vmp_port_t *port, struct vmp_ctl *ctl);

/** Take `ctl` back: when this returns, the helper is out of it and never calls
 *  it again. [setup] */
void vmp_port_stop(vmp_port_t *port);

/** Close the rails. QPs must have been destroyed. [setup] */
void vmp_port_close(vmp_port_t *port);

/** Make the helper call vmp_ctl_progress() soon. One system call: for
 *  connection set-up, never per message. [app] */
void vmp_port_wake(vmp_port_t *port);

#define VMP_PORT_EVENT_TX  0x1              /**< A send completed */
#define VMP_PORT_EVENT_RX  0x2              /**< A frame came in */

/** File descriptor for poll() or epoll: readable when something armed for has
 *  happened. -1: the port has none (sim). [setup] */
int vmp_port_event_fd(vmp_port_t *port);

/**
 * Ask for an event at the next completion of the kinds in `events`, at the next
 * vmp_port_event_signal(), and at time `deadline` (ns, UINT64_MAX: none). What
 * has happened is taken back; what was asked for before and has not may still
 * happen.
 *
 * [app] Some system calls: for who is about to sleep.
 * @return VMP_OK: armed, and nothing was there. VMP_ERR_BUSY: something is there
 *         already: poll, then ask again.
 */
vmp_status_t vmp_port_event_arm(vmp_port_t *port, unsigned events,
                                uint64_t deadline);

/** Something for the application's thread (an event of control's). Cheap when
 *  not armed. [helper] */
void vmp_port_event_signal(vmp_port_t *port);

/** Monotonic time, ns. For set-up and progress, not per message. */
uint64_t vmp_port_now(vmp_port_t *port);

/** A random 64-bit number (ids, PSNs, entropy). Not per message. */
uint64_t vmp_port_random(vmp_port_t *port);


/* Data path [app] --------------------------------------------------------- */

/** One local piece of a work request. */
typedef struct vmp_sge {
    uint64_t addr;
    uint32_t length;                        /**< Bytes */
    uint32_t lkey;
} vmp_sge_t;

#define VMP_POST_SIGNALED  0x1              /**< Raise a completion */
#define VMP_POST_INLINE    0x2              /**< Copy the data now */
#define VMP_POST_FENCE     0x4              /**< Wait for earlier READs */

/** Each returns 0, or -1 after logging why; the WR was then not posted. The
 *  caller guarantees room in the send queue and the CQ. */
int vmp_port_post_send(vmp_port_qp_t *qp, uint64_t wr_id, unsigned flags,
                       const vmp_sge_t *sge, unsigned num_sge);

int vmp_port_post_write(vmp_port_qp_t *qp, uint64_t wr_id, unsigned flags,
                        const vmp_sge_t *sge, unsigned num_sge,
                        uint64_t remote_addr, uint32_t rkey);

int vmp_port_post_read(vmp_port_qp_t *qp, uint64_t wr_id, unsigned flags,
                       const vmp_sge_t *sge, unsigned num_sge,
                       uint64_t remote_addr, uint32_t rkey);


/** How a work request ended. */
typedef enum vmp_wc_status {
    VMP_WC_SUCCESS,
    VMP_WC_FLUSHED,                         /**< QP was in error already */
    VMP_WC_RETRY_EXC,                       /**< No answer from the peer */
    VMP_WC_RNR_EXC,
    VMP_WC_LOC_ERR,                         /**< Local length, protection, QP */
    VMP_WC_REM_ACCESS,                      /**< Remote access error */
    VMP_WC_REM_INV_REQ,
    VMP_WC_REM_OP,
    VMP_WC_OTHER
} vmp_wc_status_t;


/** A completion. For receives wr_id is what was given to vmp_port_srq_post();
 *  after an error only wr_id, status and vendor_err are valid. */
typedef struct vmp_wc {
    uint64_t        wr_id;
    vmp_wc_status_t status;
    uint32_t        byte_len;               /**< Receives only */
    uint32_t        vendor_err;
} vmp_wc_t;

/** Poll completions of sends, or of receives, of one rail. Return how many, or
 *  -1 after logging (CQ broken). */
int vmp_port_poll_tx(vmp_port_t *port, unsigned rail, vmp_wc_t *wc, int max);
int vmp_port_poll_rx(vmp_port_t *port, unsigned rail, vmp_wc_t *wc, int max);

/** Post `num` receive buffers, linked in one call. Return how many the device
 *  took, the first ones. Less than `num` is logged, once until it takes all. */
unsigned vmp_port_srq_post(vmp_port_t *port, unsigned rail,
                           const uint64_t *wr_ids, const vmp_sge_t *bufs,
                           unsigned num);

const char *vmp_wc_status_str(vmp_wc_status_t status);


/* QPs and control datagrams [helper] -------------------------------------- */

/** What each end of a path must know of the other to connect its QP. */
typedef struct vmp_port_qp_remote {
    vmp_rail_addr_t addr;
    uint32_t        qpn;
    uint32_t        rq_psn;                 /**< Peer's first PSN, 24 bits */
    uint32_t        sq_psn;                 /**< Our first PSN, 24 bits */
    uint32_t        entropy;                /**< RoCE: flow label, 20 bits, not
                                                 0. IB: path bits. */
    uint8_t         mtu;                    /**< enum ibv_mtu, agreed */
    uint8_t         max_rd_atomic;          /**< Agreed */
} vmp_port_qp_remote_t;

/** Make an RC QP in INIT on a rail, bound to its SRQ and CQs. NULL after
 *  logging why. */
vmp_port_qp_t *vmp_port_qp_create(vmp_port_t *port, unsigned rail);

uint32_t vmp_port_qp_num(const vmp_port_qp_t *qp);

/** INIT -> RTR -> RTS. Return 0, or -1 after logging. */
int vmp_port_qp_connect(vmp_port_qp_t *qp, const vmp_port_qp_remote_t *remote);

/** Move to ERR: every posted WR will complete, nothing more is received. */
int vmp_port_qp_error(vmp_port_qp_t *qp);

/**
 * The responder's barrier (R6): whether it is over with what the peer posted to
 * this QP, after vmp_port_qp_error(). Before that the NIC may still execute a
 * request, however long it has been in ERR.
 *
 * @return 0: nothing takes effect any more. Else ns after which to ask again;
 *         should the device say so earlier (LAST_WQE_REACHED), the helper calls
 *         vmp_ctl_progress().
 */
uint64_t vmp_port_qp_settle(const vmp_port_qp_t *qp, uint64_t now);

/** The next PSN that the responder expects, 24 bits: requests below were
 *  executed, and nothing else (R7). To be asked after the barrier. Return 0, or
 *  -1: this device does not know. */
int vmp_port_qp_rq_psn(const vmp_port_qp_t *qp, uint32_t *psn_p);

void vmp_port_qp_destroy(vmp_port_qp_t *qp);

/** Address of a rail as it is now; it changes with the host's IP addresses. QPs
 *  that were connected before a change have the old one for ever. */
void vmp_port_rail_addr(vmp_port_t *port, unsigned rail, vmp_rail_addr_t *addr);

#define VMP_CTL_MAX_LEN  512                /**< Bytes of a datagram */

/** Control QPs of a rail that only send, besides the others, and can be
 *  renewed: `ud` of vmp_port_ctl_send() is VMP_MAX_UD + 0... for them. */
#define VMP_PORT_UD_SPARES  4

/**
 * Let the datagrams of a spare control QP take another way through the network:
 * a new QP has another UDP source port. To be called before the first use.
 *
 * @return 0, or -1: not now (the old one is still sending, or none is to be
 *         had).
 */
int vmp_port_ctl_renew(vmp_port_t *port, unsigned rail, unsigned spare);

/**
 * Send one control datagram, unreliably, from control QP `ud` of `rail` to the
 * peer's control QP `remote_qpn`. Address handles are cached by the port. The
 * data is copied. A failure is a lost datagram (debug log only).
 */
void vmp_port_ctl_send(vmp_port_t *port, unsigned rail, unsigned ud,
                       const vmp_rail_addr_t *dest, uint32_t remote_qpn,
                       const void *data, size_t length);

/** Forget what is cached for a destination: it does not answer, and the way to it
 *  may have changed. Others may go on using it. */
void vmp_port_ctl_forget(vmp_port_t *port, unsigned rail,
                         const vmp_rail_addr_t *dest);

/** UDP source port that a flow label selects (RoCEv2; see docs/protocol.md for
 *  the formula's source), for choosing labels and for log lines. */
static inline uint16_t vmp_port_udp_sport(uint32_t flow_label)
{
    return (uint16_t)(((flow_label & 0x3fff) ^ (flow_label >> 14)) | 0xc000);
}


#endif
