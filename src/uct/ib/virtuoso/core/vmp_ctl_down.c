/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core/vmp_ctl_int.h"

/*
 * Fencing off (path, epoch) at both ends (R6). Whoever finds a path dead moves
 * its QP to ERR, waits until the device has settled, so that nothing that the
 * peer sent takes effect any more, and says so with the PSN that it had come
 * to. The peer does the same and answers. Only when both have said it may the
 * path get a new epoch, and its puts be done again elsewhere.
 */


static void send_down(vmp_ctl_conn_t *conn, unsigned index, uint32_t epoch,
                      uint32_t psn, int is_answer, int is_first)
{
    vmp_ctl_msg_t msg = {
        .type      = VMP_CTL_PATH_DOWN,
        .path      = index,
        .epoch     = epoch,
        .psn       = psn,
        .is_answer = is_answer
    };

    if (is_first) {
        vmp_ctl_conn_send_wide(conn, &msg);
    } else {
        vmp_ctl_conn_send(conn, &msg);
    }
}

static void send_own(const vmp_ctl_path_t *path, int is_first)
{
    send_down(path->conn, path->index, path->epoch, path->rq_psn,
              path->is_peer_down, is_first);
}

/* An answer that was lost */
static void answer_down(vmp_ctl_conn_t *conn, unsigned index, uint32_t epoch,
                        uint32_t psn)
{
    if (vmp_ctl_conn_answer_again(conn, &conn->paths[index].answered_at,
                                  VMP_CTL_ANSWER_GAP)) {
        send_down(conn, index, epoch, psn, 1, 0);
        vmp_ctl_conn_send_again_end(conn);
    }
}

static vmp_ctl_path_t *dying_find(const vmp_ctl_conn_t *conn, unsigned index,
                                  uint32_t epoch)
{
    vmp_ctl_path_t *path;

    for (path = conn->dying; path != NULL; path = path->next) {
        if ((path->index == index) && (path->epoch == epoch)) {
            return path;
        }
    }

    return NULL;
}

int vmp_ctl_down_is_over(const vmp_ctl_path_t *path)
{
    return (path->conn->state != VMP_CTL_CONN_CONNECTED) ||
           (path->is_fenced && path->is_peer_down);
}

void vmp_ctl_down_begin(vmp_ctl_path_t *path)
{
    vmp_ctl_t *ctl = path->conn->ctl;

    if (path->conn->state != VMP_CTL_CONN_CONNECTED) {
        return;
    }

    path->is_settling = 1;
    path->settle_next = ctl->settling;
    ctl->settling     = path;
}

/* Both sides have fenced it off: the way is free for the next epoch */
static void check_over(vmp_ctl_path_t *path, uint64_t now)
{
    vmp_ctl_conn_t *conn = path->conn;

    if (!path->is_fenced || !path->is_peer_down) {
        return;
    }

    vmp_ctl_path_check_end(path);
    if (vmp_ctl_path_start(conn, now) == 0) {
        vmp_ctl_conn_kick(conn, now);
    }
}

static void settled(vmp_ctl_path_t *path, uint64_t now)
{
    vmp_ctl_conn_t *conn = path->conn;
    char str[VMP_CTL_STR_MAX];

    if (conn->state != VMP_CTL_CONN_CONNECTED) {
        vmp_ctl_path_check_end(path);
        return;
    }

    if (path->is_stuck) {
        vmp_error("vmp: %s: path %u cannot be fenced off, since its QP does "
                  "not go to the error state: the connection is lost",
                  vmp_ctl_conn_str(conn, str), path->index);
        vmp_ctl_conn_fail(conn, VMP_EV_CONN_FAILED, VMP_ERR_IO_ERROR,
                          VMP_REASON_FAILED, VMP_REASON_FAILED, now);
        return;
    }

    path->is_fenced = 1;
    if (vmp_port_qp_rq_psn(path->qp, &path->rq_psn) != 0) {
        path->rq_psn = VMP_PSN_UNKNOWN;
    }
    conn->paths[path->index].down_epoch  = path->epoch;
    conn->paths[path->index].down_psn    = path->rq_psn;
    conn->paths[path->index].answered_at = now;
    send_own(path, 1);
    vmp_ctl_conn_kick(conn, now);
    check_over(path, now);
}

uint64_t vmp_ctl_down_settle(vmp_ctl_t *ctl, uint64_t now)
{
    vmp_ctl_path_t **prev = &ctl->settling;
    vmp_ctl_path_t *done  = NULL;
    uint64_t next         = UINT64_MAX;
    vmp_ctl_path_t *path;
    uint64_t left;

    while ((path = *prev) != NULL) {
        left = path->is_stuck ? 0 : vmp_port_qp_settle(path->qp, now);
        if (left > 0) {
            next = (now + left < next) ? now + left : next;
            prev = &path->settle_next;
        } else {
            *prev             = path->settle_next;
            path->settle_next = done;
            done              = path;
        }
    }

    /* these may make others begin */
    while ((path = done) != NULL) {
        done              = path->settle_next;
        path->is_settling = 0;
        settled(path, now);
    }

    return (ctl->settling == NULL) ? UINT64_MAX : next;
}

/* The peer is done with it. `psn`: what its QP expected next. */
static void peer_down(vmp_ctl_path_t *path, uint32_t psn, uint64_t now)
{
    if (path->is_peer_down) {
        return;
    }

    path->is_peer_down = 1;
    path->peer_psn     = psn;
    if (path->is_announced) {
        vmp_ctl_path_event(path, VMP_EV_PATH_DEAD);
    }
    check_over(path, now);
}

void vmp_ctl_down_recv(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg,
                       uint64_t now)
{
    vmp_ctl_path_slot_t *slot = &conn->paths[msg->path];
    vmp_ctl_path_t *path      = slot->path;
    vmp_log_level_t level;
    char str[VMP_CTL_STR_MAX];

    if ((path != NULL) && (path->epoch == msg->epoch)) {
        if (!path->is_connected) {
            /* its QP never left INIT: nothing was sent, nothing came in */
            vmp_ctl_path_retire(path, now);
            vmp_ctl_conn_kick(conn, now);
        } else {
            level = path->is_proved ? vmp_ctl_log_level(conn) : VMP_LOG_DEBUG;
            vmp_log_at(level,
                       "vmp: %s: path %u epoch %u (rail %u to %u, UDP port %u) "
                       "failed there: fenced off, will be repaired",
                       vmp_ctl_conn_str(conn, str), path->index, path->epoch,
                       path->rail, path->remote_rail,
                       vmp_port_udp_sport(path->entropy));
            vmp_ctl_path_retire(path, now);
        }
    }

    path = dying_find(conn, msg->path, msg->epoch);
    if (path == NULL) {
        if (msg->is_answer) {
            return;
        }

        if ((slot->down_epoch == msg->epoch) && (msg->epoch != 0)) {
            answer_down(conn, msg->path, msg->epoch, slot->down_psn);
        } else {
            vmp_ctl_path_send_dead(conn, msg->path, msg->epoch);
        }
        return;
    }

    /* An answer that was lost is asked for again. While we are not settled the
     * peer repeats itself. */
    if (path->is_fenced && !msg->is_answer) {
        answer_down(conn, path->index, path->epoch, path->rq_psn);
    }

    peer_down(path, msg->psn, now);
}

int vmp_ctl_down_unknown(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg,
                         uint64_t now)
{
    vmp_ctl_path_t *path = dying_find(conn, msg->path, msg->epoch);

    if ((path == NULL) || (path->up_time != 0)) {
        /* or it was up, so it existed there: what was late is answered so */
        return 0;
    }

    /* It never existed there: nothing of it was ever executed */
    peer_down(path, path->psn, now);
    return 1;
}

void vmp_ctl_down_not_yet(vmp_ctl_conn_t *conn, unsigned index)
{
    const vmp_ctl_path_slot_t *slot = &conn->paths[index];

    if (slot->down_epoch != 0) {
        answer_down(conn, index, slot->down_epoch, slot->down_psn);
    }
}

int vmp_ctl_down_is_waited(const vmp_ctl_conn_t *conn)
{
    const vmp_ctl_path_t *path;

    for (path = conn->dying; path != NULL; path = path->next) {
        if (!path->is_peer_down) {
            return 1;
        }
    }

    return 0;
}

void vmp_ctl_down_resend(vmp_ctl_conn_t *conn)
{
    const vmp_ctl_path_t *path;

    for (path = conn->dying; path != NULL; path = path->next) {
        if (path->is_fenced && !path->is_peer_down) {
            send_own(path, 0);
        }
    }
}
