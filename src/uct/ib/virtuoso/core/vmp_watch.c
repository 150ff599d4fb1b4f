/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_conn.h"
#include "vmp_credit.h"
#include "vmp_fault.h"
#include "vmp_post.h"
#include "vmp_rma.h"

#define VMP_WATCH_PROBES     4              /* paths probed at a time */
#define VMP_WATCH_KINDS      64             /* requests looked at */

/* ns */
#define VMP_WATCH_IDLE       (1000 * VMP_WATCH_MSEC)
#define VMP_WATCH_PING       (100 * VMP_WATCH_MSEC)
#define VMP_WATCH_PONG       (5 * VMP_WATCH_MSEC)
#define VMP_WATCH_ALONE      (20 * VMP_WATCH_MSEC)
#define VMP_WATCH_RARELY     (16000 * VMP_WATCH_MSEC)
#define VMP_WATCH_PATIENCE   8              /* limits, if nobody waits */
#define VMP_WATCH_UNSIG      16             /* limits, until signalled anyway */


/* Whether something between two positions needed a buffer of the peer */
static int vmp_watch_has_send(const vmp_path_t *path, uint32_t from,
                              uint32_t to)
{
    const vmp_wr_t *wr;

    if ((to - from) > VMP_WATCH_KINDS) {
        from = to - VMP_WATCH_KINDS;
    }

    /* what was overwritten since is not known */
    if ((path->head - from) > (path->mask + 1)) {
        from = path->head - (path->mask + 1);
    }

    for (; from != to; ++from) {
        wr = &path->ring[from & path->mask];
        if ((wr->kind == VMP_WR_AM) || (wr->kind == VMP_WR_SKIP) ||
            (wr->kind == VMP_WR_CREDIT)) {
            return 1;
        }
    }

    return 0;
}

/* It moved again: all is well */
static void vmp_watch_trust(vmp_path_t *path)
{
    char str[VMP_PATH_STR_MAX];

    if (path->state == VMP_PATH_SUSPECT) {
        vmp_debug("%s moves again", vmp_path_str(path, str, sizeof(str)));
        path->conn->sacrifice_wait = 0;
        vmp_path_enable(path);
    }
}

/* What is posted from now on tells of others when it is complete */
static void vmp_watch_mark(vmp_path_t *path, uint64_t now)
{
    path->watch.since_pos   = path->head;
    path->watch.since_time  = now;
    path->watch.since_bytes = path->pol->inflight;
}

/* What was posted after a certain time and is complete shows of others, with
 * older requests, that they should have moved */
static void vmp_watch_prove(vmp_path_t *path, uint64_t now)
{
    vmp_watch_t *watch = &path->watch;
    vmp_conn_t *conn   = path->conn;

    if (watch->is_proving && ((int32_t)(path->tail - watch->prove_pos) >= 0)) {
        watch->is_proving = 0;
        conn->proof_any   = vmp_watch_max(conn->proof_any, watch->prove_time);
        conn->proof_send  = vmp_watch_max(conn->proof_send, watch->prove_time);
    }

    if (conn->is_fresh || (path->head == watch->since_pos)) {
        vmp_watch_mark(path, now);
    } else if ((int32_t)(path->tail - watch->since_pos) > 0) {
        vmp_watch_turned(path);
        conn->proof_any = vmp_watch_max(conn->proof_any, watch->since_time);
        if (vmp_watch_has_send(path, watch->since_pos, path->tail)) {
            conn->proof_send = vmp_watch_max(conn->proof_send,
                                             watch->since_time);
        }

        vmp_watch_mark(path, now);
    }
}

/* How far a path has come. Return 1 if it moved. */
static unsigned vmp_watch_path(vmp_path_t *path, uint64_t now)
{
    vmp_watch_t *watch = &path->watch;
    unsigned moved     = 0;
    int is_silent;

    vmp_watch_prove(path, now);
    if (!path->conn->is_fresh && (path->tail != watch->seen_tail)) {
        moved = 1;
        vmp_watch_moved(path, now);
        if (path->state == VMP_PATH_SUSPECT) {
            vmp_watch_forgive(path, now - watch->seen_time);
            vmp_watch_trust(path);
        }
    }

    is_silent = (path->unsig == (path->head - path->tail));
    if (moved || path->conn->is_fresh || (path->head == path->tail) ||
        (watch->is_silent && !is_silent)) {
        watch->seen_time = now;
        watch->looks     = 0;
    } else if (watch->looks < UINT8_MAX) {
        ++watch->looks;
    }

    if ((path->head != watch->seen_head) || path->conn->is_fresh) {
        watch->head_time = now;
    }

    watch->seen_tail = path->tail;
    watch->seen_head = path->head;
    watch->is_silent = is_silent;
    vmp_watch_time(path, now);
    return moved;
}

/* See to it that others show whether a suspect should have moved. A frame,
 * since a peer without receive buffers answers other requests, too. */
static void vmp_watch_probe_others(vmp_path_t *path, uint64_t now)
{
    vmp_conn_t *conn = path->conn;
    unsigned count   = 0;
    uint64_t mask    = conn->up_mask;
    vmp_path_t *other;

    path->watch.probe_time = now;
    for (; (mask != 0) && (count < VMP_WATCH_PROBES); mask &= mask - 1) {
        other = conn->paths[__builtin_ctzll(mask)];
        if (other->watch.is_proving) {
            ++count;
        } else if (vmp_credit_probe(other) == 0) {
            other->watch.is_proving = 1;
            other->watch.prove_pos  = other->head;
            other->watch.prove_time = now;
            ++count;
        }
    }
}

/* All paths stand still. If the peer's control answers, that is not because the
 * network carries nothing. */
static void vmp_watch_ping(vmp_conn_t *conn, uint64_t now)
{
    vmp_cmd_t cmd = {
        .type   = VMP_CMD_PING,
        .slot   = conn->slot,
        .incarn = conn->incarn
    };

    /* so rarely that no answer is taken for that to a later one */
    if (((now - conn->ping_time) >= VMP_WATCH_PING) &&
        (vmp_iface_command(conn->iface, &cmd) == 0)) {
        conn->ping_time = now;
    }
}

void vmp_watch_pong(vmp_conn_t *conn)
{
    uint64_t now = vmp_port_now(conn->iface->port);

    /* what takes long is no reason to give up a path that takes long */
    if ((now - conn->ping_time) <= VMP_WATCH_PONG) {
        conn->alive_time = conn->ping_time;
        vmp_watch_add(conn);
    }
}

static void vmp_watch_suspect(vmp_path_t *path, uint64_t now)
{
    vmp_conn_t *conn = path->conn;
    uint64_t bit     = 1ull << path->index;
    char str[VMP_PATH_STR_MAX];

    if ((conn->up_mask & ~bit) == 0) {
        /* the last one, which is not given up; others may know better */
        vmp_conn_want_paths(conn);
        if (conn->num_suspects > 0) {
            vmp_watch_ping(conn, now);
        }
        return;
    }

    vmp_debug("%s stands still for %.3f ms: suspect",
              vmp_path_str(path, str, sizeof(str)),
              (now - path->watch.seen_time) / 1e6);
    ++conn->iface->counters.paths_suspected;
    ++conn->num_suspects;
    path->state              = VMP_PATH_SUSPECT;
    path->timing             = VMP_TIMING_OFF; /* nothing is learnt of that */
    path->watch.proof_time   = 0;
    path->watch.suspect_time = now;
    path->watch.probe_time   = 0;
    vmp_path_withdraw(path);
    vmp_rma_kick(conn);
    vmp_iface_changed(conn->iface);
}

void vmp_watch_restore(vmp_conn_t *conn)
{
    unsigned i;

    for (i = 0; (i < conn->num_paths) && (conn->num_suspects > 0); ++i) {
        if ((conn->paths[i] != NULL) && vmp_path_is_watched(conn->paths[i])) {
            vmp_watch_trust(conn->paths[i]);
        }
    }
}

static void vmp_watch_condemn(vmp_path_t *path, uint64_t now, const char *why)
{
    vmp_conn_t *conn = path->conn;
    char str[VMP_PATH_STR_MAX];

    if (path->state == VMP_PATH_PROBE) {
        ++conn->probe_fails[path->index];
        if (conn->probe_fails[path->index] == 0) {
            --conn->probe_fails[path->index];
        }
    }

    vmp_log_at((path->state == VMP_PATH_PROBE) ? VMP_LOG_INFO :
                                                 vmp_log_failure_level,
               "%s is given up: %s for %.1f ms; %u other paths are up",
               vmp_path_str(path, str, sizeof(str)), why,
               (now - path->watch.seen_time) / 1e6,
               (unsigned)__builtin_popcountll(conn->up_mask));
    ++conn->iface->counters.paths_timed_out;
    path->is_condemned = 1;
    vmp_path_disable(path);
    vmp_fault_accuse(path, path->tail, VMP_WC_RETRY_EXC, 0);
    vmp_path_fence_off(path);
}

/* Since when others have shown that the oldest request of a path would be
 * complete, if it could be */
static uint64_t vmp_watch_proof(const vmp_path_t *path)
{
    /* any of them: the oldest ones may be done, with nobody to say so */
    return vmp_watch_has_send(path, path->tail, path->head) ?
           path->conn->proof_send : path->conn->proof_any;
}

/* Whether it has messages, which may wait for nothing but the peer's buffers */
static int vmp_watch_has_messages(const vmp_path_t *path)
{
    const vmp_wr_t *wr;
    uint32_t pos;

    for (pos = path->tail; pos != path->head; ++pos) {
        wr = &path->ring[pos & path->mask];
        if ((wr->kind == VMP_WR_AM) || (wr->kind == VMP_WR_SKIP)) {
            return 1;
        }
    }

    return 0;
}

/* All stand still, and the peer's control has answered at once: one of the
 * paths is tried elsewhere. More follow ever more rarely, until something
 * moves. */
static int vmp_watch_is_sacrifice(const vmp_path_t *path, uint64_t now,
                                  uint64_t limit)
{
    const vmp_conn_t *conn   = path->conn;
    const vmp_watch_t *watch = &path->watch;

    return (conn->alive_time > watch->suspect_time) &&
           (now >= conn->sacrifice_time) &&
           ((now - watch->seen_time) >=
            vmp_watch_max(limit * 4, VMP_WATCH_ALONE)) &&
           (watch->looks >= 3) && path->rail->tx_empty &&
           !vmp_watch_has_messages(path);
}

/* Ever more rarely, the longer it takes */
static uint64_t vmp_watch_later(const vmp_path_t *path, uint64_t now,
                                uint64_t limit)
{
    return now + vmp_watch_min(vmp_watch_max((now - path->watch.seen_time) / 4,
                                             limit), VMP_WATCH_MAX);
}

/* A path that was suspect before. Return when to look again. */
static uint64_t vmp_watch_judge_suspect(vmp_path_t *path, uint64_t now,
                                        uint64_t limit)
{
    vmp_watch_t *watch = &path->watch;
    vmp_conn_t *conn   = path->conn;
    uint64_t end;

    if ((watch->proof_time == 0) &&
        (vmp_watch_proof(path) > watch->seen_time)) {
        watch->proof_time = now;
    }

    if (watch->proof_time == 0) {
        /* all stand still: congestion, or the peer is gone */
        end = watch->probe_time +
              vmp_watch_min(vmp_watch_max(now - watch->seen_time, limit),
                            VMP_WATCH_MAX);
        if (now >= end) {
            vmp_watch_probe_others(path, now);
        }

        if (vmp_watch_is_sacrifice(path, now, limit)) {
            vmp_watch_condemn(path, now, "all paths stand still, but the peer "
                              "answers,");
            conn->sacrifice_wait = vmp_watch_min(
                    vmp_watch_max(conn->sacrifice_wait * 2, VMP_WATCH_ALONE),
                    VMP_WATCH_RARELY);
            conn->sacrifice_time = now + conn->sacrifice_wait;
            return UINT64_MAX;
        }

        return vmp_watch_later(path, now, limit);
    }

    end = vmp_watch_max(watch->seen_time + limit + (limit / 2),
                        watch->proof_time + (limit / 4));
    if ((now >= end) && (watch->looks >= 3) && path->rail->tx_empty) {
        vmp_watch_condemn(path, now, "it stands still, and others move,");
        return UINT64_MAX;
    }

    return end;
}

/* Whether nothing is lost if it stands still: it only shows that it carries */
static int vmp_watch_is_probed(const vmp_path_t *path)
{
    uint32_t pos;

    for (pos = path->tail; pos != path->head; ++pos) {
        if (path->ring[pos & path->mask].kind != VMP_WR_NOP) {
            return 0;
        }
    }

    return 1;
}

/* Return when to look again. */
static uint64_t vmp_watch_judge(vmp_path_t *path, uint64_t now)
{
    vmp_watch_t *watch = &path->watch;
    uint64_t limit, end;

    if (path->head == path->tail) {
        return UINT64_MAX;
    }

    if (path->state == VMP_PATH_PROBE) {
        limit = vmp_watch_is_overtaken(path) ?
                path->conn->iface->params.suspect_ns :
                vmp_watch_probe_limit(path);
        end   = watch->seen_time + limit;
        if ((now >= end) && (watch->looks >= 2) && path->rail->tx_empty) {
            vmp_watch_condemn(path, now, "its first request is not answered");
            return UINT64_MAX;
        }

        return end;
    }

    limit = vmp_watch_is_overtaken(path) ?
            path->conn->iface->params.suspect_ns : vmp_watch_limit(path);
    if (path->state == VMP_PATH_SUSPECT) {
        return vmp_watch_judge_suspect(path, now, limit);
    }

    end = watch->seen_time + limit;
    if (now < end) {
        return end;
    }

    if (path->unsig == (path->head - path->tail)) {
        /* these may be done long since: have it said, when no more come or they
         * come slowly */
        end = vmp_watch_min(watch->head_time + limit,
                            watch->seen_time + (limit * VMP_WATCH_UNSIG));
        if (now >= end) {
            vmp_path_force(path);
            watch->seen_time = now;
            watch->looks     = 0;
            end              = now + limit;
        }

        return end;
    }

    if (vmp_watch_is_probed(path)) {
        /* it knows little of the network of now */
        end = watch->seen_time + (limit * VMP_WATCH_PATIENCE);
        if (now < end) {
            return end;
        }
    }

    if ((watch->looks >= 2) && path->rail->tx_empty) {
        vmp_watch_suspect(path, now);
    }

    return vmp_watch_later(path, now, limit / 4);
}

/* Whether somebody waits though nothing is in flight, be it for what others
 * hold; or control did not hear that nobody does */
static int vmp_watch_is_waiting(const vmp_conn_t *conn)
{
    return (conn->num_waiting > 0) || (conn->num_checks > 0) ||
           ((conn->outstanding > 0) && (conn->busy_mask == 0)) ||
           ((conn->refused > 0) && (conn->up_mask != 0)) ||
           vmp_conn_need_is_over(conn);
}

/* Now and then, whether those that have nothing to do still could; and the
 * peer, if we wait for nothing but its word */
static void vmp_watch_idle(vmp_conn_t *conn, uint64_t now, unsigned moved)
{
    unsigned count = 0;
    vmp_path_t *path;
    unsigned i;

    if (((moved == 0) && !vmp_watch_is_waiting(conn)) ||
        ((now - conn->idle_time) < VMP_WATCH_IDLE)) {
        return;
    }

    conn->idle_time = now;
    if ((conn->refused > 0) && (conn->up_mask != 0)) {
        --conn->refused;        /* who still waits tries again until then */
    }

    for (i = 0; (i < conn->num_paths) && (count < VMP_WATCH_PROBES); ++i) {
        conn->idle_index = (conn->idle_index + 1) % conn->num_paths;
        path             = conn->paths[conn->idle_index];
        if ((path != NULL) && (path->state == VMP_PATH_UP) &&
            (path->head == path->tail)) {
            vmp_path_probe(path);
            ++count;
        }
    }
}

static int vmp_watch_is_over(const vmp_conn_t *conn)
{
    const vmp_path_t *path;
    unsigned i;

    if (vmp_conn_has_work(conn) || vmp_conn_need_is_over(conn)) {
        return 0;
    }

    for (i = 0; i < conn->num_paths; ++i) {
        path = conn->paths[i];
        if ((path != NULL) && (path->head != path->tail) &&
            (path->state != VMP_PATH_DOWN)) {
            return 0;
        }
    }

    return 1;
}

uint64_t vmp_watch_look(vmp_conn_t *conn, uint64_t now)
{
    uint64_t next  = UINT64_MAX;
    unsigned moved = 0;
    vmp_path_t *path;
    unsigned i;

    if (conn->block & (VMP_BLOCK_FAILED | VMP_BLOCK_CLOSED)) {
        return 0;
    }

    for (i = 0; i < conn->num_paths; ++i) {
        path = conn->paths[i];
        if ((path != NULL) && vmp_path_is_watched(path)) {
            moved |= vmp_watch_path(path, now);
        }
    }

    conn->is_fresh = 0;
    for (i = 0; i < conn->num_paths; ++i) {
        path = conn->paths[i];
        if ((path != NULL) && vmp_path_is_watched(path)) {
            next = vmp_watch_min(next, vmp_watch_judge(path, now));
        }
    }

    /* only now: new suspects show nothing of each other */
    for (i = 0; (i < conn->num_paths) && (conn->num_suspects > 0); ++i) {
        path = conn->paths[i];
        if ((path != NULL) && (path->state == VMP_PATH_SUSPECT) &&
            (path->watch.probe_time == 0)) {
            vmp_watch_probe_others(path, now);
        }
    }

    vmp_watch_idle(conn, now, moved);
    vmp_conn_check_need(conn);
    if (!vmp_conn_has_work(conn)) {
        vmp_watch_no_work(conn);
    }

    if (vmp_watch_is_over(conn)) {
        return 0;
    }

    if (vmp_watch_is_waiting(conn)) {
        next = vmp_watch_min(next, conn->idle_time + VMP_WATCH_IDLE);
    }

    return next;
}
