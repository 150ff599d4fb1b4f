/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_WATCH_H_
#define VMP_WATCH_H_

#include "vmp_list.h"
#include "vmp_types.h"

struct vmp_conn;
struct vmp_iface;
struct vmp_path;

#define VMP_WATCH_TURNS 8                           /**< Remembered */
#define VMP_WATCH_MSEC  1000000ull                  /**< ns */
#define VMP_WATCH_MAX   (1000 * VMP_WATCH_MSEC)     /**< Nothing may take
                                                         longer, ns */


/**
 * Whether paths still carry (R11). Now and then progress looks at the
 * connections that have something in flight: how far each path has come, and
 * how long that took. A path that stands still for longer than its own past
 * explains is SUSPECT: it gets no new work. It is given up when others of its
 * connection moved meanwhile and it still does not.
 */

/** What is known of how long requests take. */
typedef struct vmp_watch_est {
    uint32_t srtt;              /**< Of short ones: smoothed, ns, */
    uint32_t rttvar;            /**< and how much it varies, ns */
    uint32_t byte_ps;           /**< Of long ones: ps a byte in flight, with
                                     what they wait for; falls slowly */
    uint8_t  turns;             /**< Of others while it stood still, and moved
                                     again; at most, falls slowly */
    uint8_t  calm;              /**< Times that were no more than that */
    uint8_t  is_known;          /**< srtt is measured, not assumed */
    uint8_t  is_bulk_known;     /**< So is byte_ps */
} vmp_watch_est_t;

/** A path completed all that it had in flight, and something later. */
typedef struct vmp_watch_turn {
    uint64_t since;             /**< That was posted after this, ns */
    uint32_t bytes;             /**< In flight then */
} vmp_watch_turn_t;

/** Of one path. Times are ns. */
typedef struct vmp_watch {
    vmp_watch_est_t est;
    uint64_t        seen_time;  /**< Last seen to move, or to begin */
    uint64_t        head_time;  /**< Last seen with a new request */
    uint64_t        mark_time;  /**< The last sample was posted, */
    uint32_t        mark_pos;   /**< and ends when this is complete */
    uint32_t        mark_bytes; /**< In flight when it was */
    uint32_t        seen_tail;
    uint32_t        seen_head;
    uint64_t        suspect_time;
    uint64_t        probe_time; /**< Suspect: others were probed last */
    uint64_t        proof_time; /**< Suspect: another one moved since; 0: no */
    uint64_t        since_time; /**< Requests from since_pos on were posted
                                     after that */
    uint64_t        prove_time; /**< A frame was posted to show whether others
                                     should have moved, */
    uint32_t        prove_pos;  /**< and is there when so much is complete */
    uint32_t        since_pos;
    uint32_t        since_bytes; /**< In flight then */
    uint8_t         is_proving; /**< It is in flight */
    uint8_t         looks;      /**< Since it moved */
    uint8_t         is_silent;  /**< Had nothing in flight that completes by
                                     itself */
} vmp_watch_t;

/** Samples of a path: of one request at a time, from its post on. */
typedef enum vmp_watch_timing {
    VMP_TIMING_OFF,             /**< None before the next look */
    VMP_TIMING_DUE,             /**< The next signalled request is one */
    VMP_TIMING_ON               /**< It is in flight */
} vmp_watch_timing_t;


/** Watch a connection until it has nothing in flight any more; look at it
 *  before sleeping. */
void vmp_watch_add_slow(struct vmp_conn *conn);

/** Watch it no longer. */
void vmp_watch_remove(struct vmp_conn *conn);

/** Look at some of the watched connections. After the CQs were polled. */
void vmp_watch_progress(struct vmp_iface *iface);

/** Look at those that need it, before sleeping. Return when to look again at
 *  the latest, ns; UINT64_MAX: no need. */
uint64_t vmp_watch_deadline(struct vmp_iface *iface);

/** The peer's control has answered. */
void vmp_watch_pong(struct vmp_conn *conn);

/** No path is left but suspects: these have to do. */
void vmp_watch_restore(struct vmp_conn *conn);

/** Look at one. Return when to look again, ns (UINT64_MAX: no need); 0: there
 *  is nothing to see any more. */
uint64_t vmp_watch_look(struct vmp_conn *conn, uint64_t now);


/* vmp_watch_over.c: how often others turn over meanwhile ------------------- */

/** A path has: what was posted since since_time is being completed. */
void vmp_watch_turned(struct vmp_path *path);

/** It moves, for the first time since seen_time. */
void vmp_watch_moved(struct vmp_path *path, uint64_t now);

/** It stands still, and others did so more often than is usual. */
int vmp_watch_is_overtaken(const struct vmp_path *path);


/* vmp_watch_vain.c: when it is no use to go on ----------------------------- */

/** A path is drained, and others will take its place. May fail the
 *  connection. */
void vmp_watch_died(struct vmp_path *path);

/** Nobody waits any more: who does later begins anew. */
void vmp_watch_no_work(struct vmp_conn *conn);


/* vmp_watch_est.c: how long it may take ------------------------------------ */

/** Nothing is known yet. */
void vmp_watch_conn_init(struct vmp_conn *conn);

/** A new path begins with what its connection knows. */
void vmp_watch_path_init(struct vmp_path *path);

/** How long a path may stand still with what it has in flight, ns. */
uint64_t vmp_watch_limit(const struct vmp_path *path);

/** How long the first request of a new path may take: as long as what other
 *  paths may have put in front of it, ns. */
uint64_t vmp_watch_probe_limit(const struct vmp_path *path);

/** The request that was posted last is a sample; */
void vmp_watch_begin(struct vmp_path *path);

/** and it may be complete. */
void vmp_watch_end(struct vmp_path *path);

/** Let the next request be a sample, unless there was one just now. */
void vmp_watch_time(struct vmp_path *path, uint64_t now);

/** It stood still for `stood` ns, and only took longer than what is known: so
 *  it may, from now on. */
void vmp_watch_forgive(struct vmp_path *path, uint64_t stood);

static inline uint64_t vmp_watch_min(uint64_t a, uint64_t b)
{
    return (a < b) ? a : b;
}

static inline uint64_t vmp_watch_max(uint64_t a, uint64_t b)
{
    return (a > b) ? a : b;
}


#endif
