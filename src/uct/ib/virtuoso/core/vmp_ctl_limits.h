/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_CTL_LIMITS_H_
#define VMP_CTL_LIMITS_H_

/** Times (ns) and bounds of control */
#define VMP_CTL_MSEC             1000000ull
#define VMP_CTL_SEC              1000000000ull
#define VMP_CTL_RTO_MIN          (20 * VMP_CTL_MSEC)    /**< While no round
                                             trip was measured */
#define VMP_CTL_RTO_FLOOR        (1 * VMP_CTL_MSEC)     /**< Then at least; a
                                             thread that is not on a CPU answers
                                             no sooner */
#define VMP_CTL_RTO_SHARE        (20 * 1000ull)         /**< And for each
                                             connection that waits */
#define VMP_CTL_RTO_MAX          (1000 * VMP_CTL_MSEC)
#define VMP_CTL_HURRY_GAP        (2 * VMP_CTL_SEC)      /**< Who hurries after
                                             less does not begin anew */
#define VMP_CTL_RTO_LOST         (4 * VMP_CTL_SEC)      /**< When a peer was
                                             silent for long, and nobody needs
                                             it; */
#define VMP_CTL_RTO_IDLE         (16 * VMP_CTL_SEC)     /**< or uses it */
#define VMP_CTL_STILL            (20 * VMP_CTL_MSEC)    /**< Late by more: no
                                             CPU */
#define VMP_CTL_ANSWER_GAP       (VMP_CTL_RTO_FLOOR / 2)    /**< Again by
                                             then: a copy, not answered; when a
                                             path comes up within half a round
                                             trip, */
#define VMP_CTL_ANSWER_GAP_MAX   (100 * VMP_CTL_MSEC)   /**< but this at most */
#define VMP_CTL_WIDE             4      /**< Control QPs that send urgent things
                                             at once */
#define VMP_CTL_HARD_TRIES       4      /**< Resends, */
#define VMP_CTL_HARD_REPEATS     2      /**< or repeats of the peer, after which
                                             to send from fresh UD QPs, too, */
#define VMP_CTL_HARD_TIME        (10 * VMP_CTL_SEC)     /**< for so long */
#define VMP_CTL_HARD_RTO_MAX     (200 * VMP_CTL_MSEC)   /**< So many times */
#define VMP_CTL_HARD_FAST        32
#define VMP_CTL_RENEW_FAST       (50 * VMP_CTL_MSEC)    /**< Fresh ones */
#define VMP_CTL_RENEW_SLOW       (1000 * VMP_CTL_MSEC)  /**< at most so often */
#define VMP_CTL_COPY_BURST       192    /**< Copies, of all connections, */
#define VMP_CTL_COPY_INTERVAL    (50 * 1000ull)         /**< then one each */
#define VMP_CTL_QUARANTINE       (2 * VMP_CTL_SEC)
#define VMP_CTL_GOODBYES         6      /**< Copies, over 620 ms */
#define VMP_CTL_CLOSE_COPIES     3      /**< At once, when closing */
#define VMP_CTL_MAX_PENDING      16     /**< Paths of a connection coming up */
#define VMP_CTL_MAX_DYING        128    /**< Dead QPs of a connection, beyond
                                             which a peer gets no new ones */
#define VMP_CTL_MAX_HALF_OPEN    4096   /**< Connections made by strangers */
#define VMP_CTL_MAX_CONNS        (1u << 20)
#define VMP_CTL_MAX_OLD_PEERS    4096   /**< Remembered without connection */
#define VMP_CTL_PEER_MEMORY      (60 * VMP_CTL_SEC)
#define VMP_CTL_ANSWER_BURST     256    /**< Answers to the unknown, */
#define VMP_CTL_ANSWER_INTERVAL  (250 * 1000ull)    /**< then one each */
#define VMP_CTL_FAILED_PORTS     8
#define VMP_CTL_PING_COPIES      4
#define VMP_CTL_ADDR_INTERVAL    VMP_CTL_SEC
#define VMP_CTL_NO_TIMER         UINT32_MAX
#define VMP_CTL_STR_MAX          96
#define VMP_CTL_LOG_BURST        8      /**< Lines of a connection's paths, */
#define VMP_CTL_LOG_INTERVAL     VMP_CTL_SEC    /**< then one each */

/** Events that a connection may raise in all, and one of its paths. */
#define VMP_CTL_CONN_EVS         5      /**< CONN, CONN_PEER, PEER_ALIVE, its
                                             end, GONE */
#define VMP_CTL_PATH_EVS         4      /**< READY, UP, DOWN, DEAD */
#define VMP_CTL_STABLE           (1000 * VMP_CTL_MSEC)  /**< A path that was up so
                                             long is repaired at once */
#define VMP_CTL_REPAIR_MIN       (20 * VMP_CTL_MSEC)
#define VMP_CTL_REPAIR_MAX       (800 * VMP_CTL_MSEC)
#define VMP_CTL_REPAIR_LAST      (200 * VMP_CTL_MSEC)   /**< No other carries */

#endif
