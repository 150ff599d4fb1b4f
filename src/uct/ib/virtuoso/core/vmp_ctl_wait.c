/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core/vmp_ctl_int.h"


/* What a connection waits for, and for how long */

static int is_waiting(const vmp_ctl_conn_t *conn)
{
    switch (conn->state) {
    case VMP_CTL_CONN_CONNECTING:
        return 1;
    case VMP_CTL_CONN_CONNECTED:
        return conn->is_moved || vmp_ctl_path_is_waited(conn) ||
               (vmp_ctl_home_time(conn) != UINT64_MAX);
    default:
        return conn->goodbyes > 0;
    }
}

/* While no path is up a connection can time out, if somebody waits for it; a
 * path that is up shows whether the peer lives, and others wait as long as it
 * does */
static int can_time_out(const vmp_ctl_conn_t *conn)
{
    if (conn->state != VMP_CTL_CONN_CONNECTED) {
        return conn->state == VMP_CTL_CONN_CONNECTING;
    }

    return (conn->is_needed || !conn->was_up) && !vmp_ctl_path_any_up(conn) &&
           (conn->is_moved || vmp_ctl_path_is_asked(conn));
}

static uint64_t max_time(uint64_t a, uint64_t b)
{
    return (a > b) ? a : b;
}

/* The clock (R5): from the last sign of life, or from when the peer was asked
 * for what somebody needs */
static uint64_t silent_since(const vmp_ctl_conn_t *conn)
{
    if ((conn->state == VMP_CTL_CONN_CONNECTED) && conn->is_needed &&
        conn->was_up) {
        return max_time(conn->heard, max_time(conn->need_since,
                                              conn->asked_since));
    }

    return max_time(conn->heard, conn->wait_start);
}

void vmp_ctl_conn_rtt(vmp_ctl_conn_t *conn, uint64_t asked_at, uint64_t now)
{
    uint64_t rtt = now - asked_at;
    uint64_t delta;

    if (asked_at == 0) {
        return;
    }

    if (conn->srtt == 0) {
        conn->srtt   = rtt + 1;
        conn->rttvar = rtt / 2;
        return;
    }

    delta        = (rtt > conn->srtt) ? rtt - conn->srtt : conn->srtt - rtt;
    conn->rttvar = (3 * conn->rttvar + delta) / 4;
    conn->srtt   = (7 * conn->srtt + rtt) / 8;
}

uint64_t vmp_ctl_conn_rto(const vmp_ctl_conn_t *conn)
{
    uint64_t load = conn->ctl->heap_len * VMP_CTL_RTO_SHARE;
    uint64_t rto  = conn->srtt + 4 * conn->rttvar;

    if ((conn->state != VMP_CTL_CONN_CONNECTED) || (conn->srtt == 0)) {
        return VMP_CTL_RTO_MIN;
    }

    rto = (rto > VMP_CTL_RTO_FLOOR) ? rto : VMP_CTL_RTO_FLOOR;
    rto = (rto > load) ? rto : load;
    return (rto < VMP_CTL_RTO_MAX) ? rto : VMP_CTL_RTO_MAX;
}

/* A PATH_REQ or PATH_REP that comes again sooner than this is a copy that took
 * another way, since who asks again has normally waited for a round trip. To
 * answer copies by copies would fill the queues, and the more so the slower the
 * network is. Not for what work waits for: few of those are sent. */
uint64_t vmp_ctl_conn_path_gap(const vmp_ctl_conn_t *conn)
{
    uint64_t gap = (conn->srtt == 0) ? VMP_CTL_RTO_MIN / 4 : conn->srtt / 2;

    gap = (gap > VMP_CTL_ANSWER_GAP) ? gap : VMP_CTL_ANSWER_GAP;
    return (gap < VMP_CTL_ANSWER_GAP_MAX) ? gap : VMP_CTL_ANSWER_GAP_MAX;
}

/* Whether the peer owes an answer. From when it begins to, wait anew. */
static int is_asked(vmp_ctl_conn_t *conn, uint64_t now)
{
    int was_asked = conn->is_asked;

    conn->is_asked = (conn->state != VMP_CTL_CONN_CONNECTED) ||
                     conn->is_moved || vmp_ctl_path_is_asked(conn);
    if (conn->is_asked && !was_asked) {
        conn->rto         = vmp_ctl_conn_rto(conn);
        conn->tries       = 0;
        conn->resend_due  = 0;
        conn->asked_since = now;
    }

    return conn->is_asked;
}

static void timer_start(vmp_ctl_conn_t *conn, uint64_t now)
{
    uint64_t time = UINT64_MAX;
    uint64_t repair, end;

    if (is_asked(conn, now)) {
        if (conn->resend_due <= now) {
            /* Plus or minus an eighth, so that the peers of one that restarts
             * do not all call at once for ever */
            conn->resend_due = now + conn->rto - conn->rto / 8 +
                               vmp_ctl_random(conn->ctl) % (conn->rto / 4);
        }
        time = conn->resend_due;
    }

    if (conn->state == VMP_CTL_CONN_CONNECTED) {
        repair = vmp_ctl_path_repair_time(conn, now);
        time   = (repair < time) ? repair : time;
    }

    if (can_time_out(conn)) {
        end  = silent_since(conn) + conn->ctl->params.peer_timeout_ns;
        time = ((time > end) && (end > now)) ? end : time;
    }

    if (time == UINT64_MAX) {
        vmp_ctl_timer_clear(conn);
    } else {
        vmp_ctl_timer_set(conn, time);
    }
}

void vmp_ctl_conn_kick(vmp_ctl_conn_t *conn, uint64_t now)
{
    conn->rto        = vmp_ctl_conn_rto(conn);
    conn->resend_due = 0;
    conn->tries      = 0;
    conn->repeats    = 0;
    conn->wait_start = now;
    if (is_waiting(conn)) {
        timer_start(conn, now);
    } else {
        conn->is_asked = 0;
        vmp_ctl_timer_clear(conn);
    }
}

void vmp_ctl_conn_wait(vmp_ctl_conn_t *conn, uint64_t now)
{
    /* What is due is done in a moment */
    if (is_waiting(conn) && ((conn->heap_index == VMP_CTL_NO_TIMER) ||
                             (conn->resend_at > now))) {
        timer_start(conn, now);
    }
}

void vmp_ctl_conn_hurry(vmp_ctl_conn_t *conn, uint64_t now)
{
    uint64_t max = conn->ctl->params.peer_timeout_ns / 8;

    max = (max < VMP_CTL_HARD_RTO_MAX) ? max : VMP_CTL_HARD_RTO_MAX;
    if (now - conn->hurried_at >= VMP_CTL_HURRY_GAP) {
        conn->rto   = vmp_ctl_conn_rto(conn);
        conn->tries = 0;
    } else if (conn->rto > max) {
        conn->rto = max;
    }

    conn->hurried_at = now;
    if (conn->resend_due > now + conn->rto) {
        conn->resend_due = now + conn->rto;
    }

    vmp_ctl_conn_wait(conn, now);
}

void vmp_ctl_conn_need(vmp_ctl_conn_t *conn, int is_overdue, uint64_t now)
{
    uint64_t timeout = conn->ctl->params.peer_timeout_ns;

    if ((conn->state != VMP_CTL_CONN_CONNECTED) || conn->is_needed ||
        vmp_ctl_path_any_up(conn)) {
        return;
    }

    /* Nobody is judged who was not asked for it */
    conn->is_needed     = 1;
    conn->is_need_asked = 0;
    conn->need_since    = is_overdue ? now - timeout + timeout / 4 : now;
    conn->want          = (conn->want == 0) ? 1 : conn->want;
    vmp_ctl_conn_hurry(conn, now);
}

void vmp_ctl_conn_no_need(vmp_ctl_conn_t *conn)
{
    conn->is_needed = 0;
}

static void timed_out(vmp_ctl_conn_t *conn, uint64_t now)
{
    int is_connecting     = conn->state == VMP_CTL_CONN_CONNECTING;
    vmp_log_level_t level = conn->has_user ? VMP_LOG_ERROR : VMP_LOG_INFO;
    char str[VMP_CTL_STR_MAX];
    char paths[256];

    if (conn->was_up) {
        vmp_log_at(level, "vmp: %s is lost: no path is up, and nothing was "
                   "heard of it for %.1f s, though asked %u times from %u "
                   "control QPs. Down: %s", vmp_ctl_conn_str(conn, str),
                   (now - conn->heard) / 1e9, conn->tries,
                   conn->ctl->attr.num_ud,
                   vmp_ctl_log_paths(conn, now, paths, sizeof(paths)));
        goto out;
    }

    vmp_log_at(level,
               "vmp: %s does not answer: %s repeated %u times in %.1f s from "
               "%u control QPs. Check that its process runs and that the "
               "network lets UDP port 4791 through in both directions",
               vmp_ctl_conn_str(conn, str),
               is_connecting ? "CONNECT" : conn->is_leader ? "PATH_REQ" :
               (conn->paths[0].path == NULL) ? "PATH_ASK" : "PATH_REP",
               conn->tries, (now - silent_since(conn)) / 1e9,
               conn->ctl->attr.num_ud);
out:
    conn->must_forget = 1;
    vmp_ctl_conn_fail(conn, VMP_EV_CONN_FAILED, VMP_ERR_ENDPOINT_TIMEOUT,
                      VMP_REASON_NONE,
                      is_connecting ? VMP_REASON_NONE : VMP_REASON_FAILED,
                      now);
}

static int is_silent(const vmp_ctl_conn_t *conn, uint64_t now)
{
    return (conn->state == VMP_CTL_CONN_CONNECTED) && conn->was_up &&
           (now - conn->heard >= conn->ctl->params.peer_timeout_ns);
}

void vmp_ctl_conn_heard(vmp_ctl_conn_t *conn, uint64_t now)
{
    int was_silent = is_silent(conn, now);

    conn->heard = now;
    if (was_silent) {
        conn->is_tried = 0;
        vmp_ctl_conn_kick(conn, now);
    }
}

/* Who was silent for long, and of whom nobody wants anything now, is asked more
 * rarely: still more so if no endpoint is there, or no path is missing and it
 * only has to be told where we are. With NEED, or the end of a path, all begins
 * anew. */
static uint64_t rto_max(const vmp_ctl_conn_t *conn)
{
    if (!is_silent(conn, conn->ctl->now) || conn->is_needed) {
        return VMP_CTL_RTO_MAX;
    }

    if (!conn->has_user || !vmp_ctl_path_is_waited(conn)) {
        return VMP_CTL_RTO_IDLE;
    }

    return vmp_ctl_path_any_up(conn) ? VMP_CTL_RTO_MAX : VMP_CTL_RTO_LOST;
}

static void resend(vmp_ctl_conn_t *conn)
{
    uint64_t max = rto_max(conn);

    if (!conn->is_tried && is_silent(conn, conn->ctl->now) &&
        vmp_ctl_path_any_up(conn)) {
        /* one that nobody uses may be up though the peer is long gone */
        conn->is_tried = 1;
        vmp_ctl_idle_probe(conn);
    }

    if ((conn->tries >= VMP_CTL_HARD_TRIES) ||
        ((conn->tries > 0) && (conn->ctl->now < conn->hard_until))) {
        vmp_ctl_conn_try_hard(conn, conn->tries);
        if (conn->tries < VMP_CTL_HARD_FAST) {
            /* not so many will do, but each is another draw */
            max = VMP_CTL_HARD_RTO_MAX;
        }
    }

    /* All ways but one may be dead, from there to us too. So the longer it
     * takes the more ways are tried at once, the first ones one by one. */
    vmp_ctl_conn_send_again(conn, conn->tries++);
    conn->is_need_asked = 1;
    if (conn->state == VMP_CTL_CONN_CONNECTING) {
        conn->asked_at = 0;
        vmp_ctl_conn_send_connect(conn, VMP_CTL_CONNECT);
    } else if (conn->state == VMP_CTL_CONN_CONNECTED) {
        if (conn->is_moved || (vmp_ctl_addr_is_unsure(conn) &&
                               !vmp_ctl_path_any_up(conn))) {
            vmp_ctl_conn_send_connect(conn, VMP_CTL_CONNECT);
        }
        vmp_ctl_path_resend(conn);
    }
    vmp_ctl_conn_send_again_end(conn);

    conn->rto = (2 * conn->rto < max) ? 2 * conn->rto : max;
}

void vmp_ctl_conn_timer(vmp_ctl_conn_t *conn, uint64_t now)
{
    uint64_t timeout = conn->ctl->params.peer_timeout_ns;
    uint64_t late    = now - conn->resend_at;
    uint64_t start;
    char str[VMP_CTL_STR_MAX];

    vmp_ctl_timer_clear(conn);
    if (late > VMP_CTL_STILL) {
        /* We stood still (stopped, or starved of CPU), not the peer: its
         * answers may lie there unread (R5). What was heard when we went on
         * came after that time, which does not count for it. */
        start            = silent_since(conn) + late;
        conn->wait_start = (start < now) ? start : now;
        conn->need_since = conn->wait_start;
    }

    if (!is_waiting(conn)) {
        return;
    }

    if (conn->state == VMP_CTL_CONN_DYING) {
        vmp_ctl_conn_send_goodbye(conn);
        if (conn->goodbyes == 0) {
            vmp_ctl_conn_check_gone(conn);
            return;
        }
    } else if (now - silent_since(conn) >= timeout) {
        if (can_time_out(conn) && (conn->is_need_asked || !conn->is_needed ||
                                   !conn->was_up)) {
            timed_out(conn, now);
            return;
        }

        if (!conn->is_warned && conn->is_asked && vmp_ctl_path_any_up(conn)) {
            conn->is_warned = 1;
            vmp_warn("vmp: %s: not all of %u paths came up in %.1f s, going on "
                     "with fewer and trying on", vmp_ctl_conn_str(conn, str),
                     conn->want, timeout / 1e9);
        }
    }

    /* else a path is to be repaired, or the peer was waited for long enough */
    if (conn->is_asked && (conn->resend_due <= now)) {
        resend(conn);
    }

    if (vmp_ctl_path_start(conn, now) == 0) {
        timer_start(conn, now);
    }
}
