/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_conn.h"

#define VMP_OVER_BULK   4096    /* bytes: less says nothing about bulk */
#define VMP_OVER_TURNS  3       /* of others, at least */

/*
 * A path that is overtaken. How long a full path may stand still is not only a
 * matter of time: where hosts or the network are slow, all paths are. While it
 * stands still others turn over: all that was in flight completes, and
 * something that was posted later. When they did so more often than they ever
 * did before it moved again, it is not slow but dead.
 */


void vmp_watch_turned(vmp_path_t *path)
{
    vmp_conn_t *conn       = path->conn;
    vmp_watch_turn_t *turn = &conn->turns[conn->num_turns++ %
                                          VMP_WATCH_TURNS];

    turn->since = path->watch.since_time;
    turn->bytes = path->watch.since_bytes;
}

/* How often others, as full as it is, turned over since it moved */
static unsigned vmp_watch_count(const vmp_path_t *path)
{
    const vmp_conn_t *conn = path->conn;
    uint64_t bytes         = path->pol->inflight / 2;
    unsigned count         = 0;
    unsigned i;

    /* a probe waits for what others have in front of it */
    if (path->state == VMP_PATH_PROBE) {
        bytes = conn->iface->path_window / 2;
    }

    for (i = 0; i < VMP_WATCH_TURNS; ++i) {
        count += (conn->turns[i].since > path->watch.seen_time) &&
                 (conn->turns[i].bytes >= bytes);
    }

    return count;
}

void vmp_watch_moved(vmp_path_t *path, uint64_t now)
{
    vmp_watch_est_t *est = &path->watch.est;
    unsigned count;

    if ((now - path->watch.seen_time) < path->conn->iface->params.suspect_ns) {
        return;
    }

    count = vmp_watch_count(path);
    if (count > est->turns) {
        est->turns = count;
        est->calm  = 0;
    } else if (++est->calm == 0) {
        est->turns -= (est->turns > 0);
    }
}

int vmp_watch_is_overtaken(const vmp_path_t *path)
{
    return ((path->pol->inflight >= VMP_OVER_BULK) ||
            (path->state == VMP_PATH_PROBE)) &&
           (vmp_watch_count(path) >=
            (VMP_OVER_TURNS + (2u * path->watch.est.turns)));
}
