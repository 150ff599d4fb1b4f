/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core/vmp_ctl_int.h"

#include <stdlib.h>


/* Messages */

/* PATH_REQ or PATH_REP */
static void send_qp(const vmp_ctl_path_t *path, vmp_ctl_type_t type)
{
    vmp_ctl_msg_t msg = {
        .type          = type,
        .path          = path->index,
        .rail_index    = path->rail,
        .mtu           = path->mtu,
        .max_rd_atomic = path->max_rd_atomic,
        .epoch         = path->epoch,
        .entropy       = path->entropy,
        .qpn           = vmp_port_qp_num(path->qp),
        .psn           = path->psn,
        .rail          = path->conn->ctl->attr.addr[path->rail]
    };

    vmp_ctl_conn_send(path->conn, &msg);
}

static void send_epoch(vmp_ctl_conn_t *conn, vmp_ctl_type_t type,
                       unsigned index, uint32_t epoch, vmp_ctl_reason_t reason)
{
    vmp_ctl_msg_t msg = {
        .type   = type,
        .path   = index,
        .epoch  = epoch,
        .reason = reason
    };

    vmp_ctl_conn_send(conn, &msg);
}

/* To what may have been asked before */
static void answer_epoch(vmp_ctl_conn_t *conn, vmp_ctl_type_t type,
                         unsigned index, uint32_t epoch,
                         vmp_ctl_reason_t reason)
{
    if (vmp_ctl_conn_answer_again(conn, &conn->paths[index].answered_at,
                                  VMP_CTL_ANSWER_GAP)) {
        send_epoch(conn, type, index, epoch, reason);
        vmp_ctl_conn_send_again_end(conn);
    }
}


/* No QP for this path: the first is needed, others are not.
 * Return -1: the connection has failed and may be gone. */
static int path_unavailable(vmp_ctl_conn_t *conn, unsigned index, uint64_t now)
{
    vmp_ctl_path_slot_t *slot = &conn->paths[index];
    char str[VMP_CTL_STR_MAX];

    if (slot->epoch > 1) {
        /* it was there before, and will be tried again */
        slot->repair_at = now + VMP_CTL_REPAIR_MAX;
        return 0;
    }

    slot->is_unavailable = 1;
    vmp_ctl_conn_str(conn, str);
    if (index == 0) {
        vmp_log_at(conn->has_user ? VMP_LOG_ERROR : VMP_LOG_WARN,
                   "vmp: %s: no QP for the first path, so no connection. Free "
                   "QPs or raise the limits (ulimit -l, device's maximum)",
                   str);
        vmp_ctl_conn_fail(conn, VMP_EV_CONN_FAILED, VMP_ERR_NO_MEMORY,
                          VMP_REASON_RESOURCE, VMP_REASON_RESOURCE, now);
        return -1;
    }

    if (!conn->is_warned) {
        conn->is_warned = 1;
        vmp_warn("vmp: %s: out of resources for path %u, going on with fewer "
                 "than the %u paths wanted", str, index, conn->want);
    }

    return 0;
}


/* What is wanted */

int vmp_ctl_path_any_up(const vmp_ctl_conn_t *conn)
{
    const vmp_ctl_path_t *path;
    unsigned i;

    for (i = 0; i < conn->num_paths; i++) {
        path = conn->paths[i].path;
        if ((path != NULL) && (path->state == VMP_CTL_PATH_STATE_UP)) {
            return 1;
        }
    }

    return 0;
}

int vmp_ctl_path_is_waited(const vmp_ctl_conn_t *conn)
{
    const vmp_ctl_path_slot_t *slot;
    unsigned i;

    if (vmp_ctl_down_is_waited(conn)) {
        return 1;
    }

    for (i = 0; i < conn->num_paths; i++) {
        slot = &conn->paths[i];
        if (slot->path != NULL) {
            if (slot->path->state != VMP_CTL_PATH_STATE_UP) {
                return 1;
            }
        } else if ((i < conn->want) && !slot->is_unavailable) {
            return 1;
        }
    }

    return 0;
}

int vmp_ctl_path_is_asked(const vmp_ctl_conn_t *conn)
{
    unsigned i;

    if (!conn->is_leader || vmp_ctl_down_is_waited(conn)) {
        return 1;
    }

    for (i = 0; i < conn->num_paths; i++) {
        if ((conn->paths[i].path != NULL) &&
            (conn->paths[i].path->state != VMP_CTL_PATH_STATE_UP)) {
            return 1;
        }
    }

    return 0;
}

static unsigned num_pending(const vmp_ctl_conn_t *conn)
{
    unsigned count = 0;
    unsigned i;

    for (i = 0; i < conn->num_paths; i++) {
        if ((conn->paths[i].path != NULL) &&
            (conn->paths[i].path->state != VMP_CTL_PATH_STATE_UP)) {
            count++;
        }
    }

    return count;
}

/* Return -1: the connection has failed and may be gone */
static int path_request(vmp_ctl_conn_t *conn, unsigned index, uint64_t now)
{
    uint32_t epoch       = conn->paths[index].epoch + 1;
    vmp_ctl_path_t *path = NULL;
    uint32_t entropy;

    /* An epoch is never used twice, so the last one is the end of this path */
    if (epoch != 0) {
        entropy = vmp_ctl_home_entropy(conn, index, epoch);
        path    = vmp_ctl_path_new(conn, index, epoch, entropy, now);
    }
    if (path == NULL) {
        return path_unavailable(conn, index, now);
    }

    path->state    = VMP_CTL_PATH_REQ_SENT;
    path->asked_at = now;
    send_qp(path, VMP_CTL_PATH_REQ);
    return 0;
}

int vmp_ctl_path_start(vmp_ctl_conn_t *conn, uint64_t now)
{
    unsigned pending, i;

    if (!conn->is_leader || (conn->state != VMP_CTL_CONN_CONNECTED)) {
        return 0;
    }

    vmp_ctl_home_return(conn, now);
    pending = num_pending(conn);
    for (i = 0; (i < conn->want) && (pending < VMP_CTL_MAX_PENDING); i++) {
        if ((conn->paths[i].path != NULL) || conn->paths[i].is_unavailable ||
            (conn->paths[i].repair_at > now) ||
            (conn->num_dying >= VMP_CTL_MAX_DYING) ||
            vmp_ctl_path_is_draining(conn, i)) {
            continue;
        }
        if (path_request(conn, i, now) < 0) {
            return -1;
        }
        pending++;
    }

    return 0;
}

uint64_t vmp_ctl_path_repair_time(const vmp_ctl_conn_t *conn, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    const vmp_ctl_path_slot_t *slot;
    uint64_t home;
    unsigned i;

    for (i = 0; conn->is_leader && (i < conn->want); i++) {
        slot = &conn->paths[i];
        if ((slot->path == NULL) && !slot->is_unavailable &&
            !vmp_ctl_path_is_draining(conn, i) && (slot->repair_at < next)) {
            next = slot->repair_at;
        }
    }

    home = vmp_ctl_home_time(conn);
    next = (home < next) ? home : next;

    /* should there be too many, they wait for others to end */
    return (next <= now) ? now + VMP_CTL_RTO_MIN : next;
}

static void send_ask(vmp_ctl_conn_t *conn)
{
    vmp_ctl_msg_t msg = {
        .type      = VMP_CTL_PATH_ASK,
        .num_paths = conn->want
    };

    if (conn->want > 0) {
        vmp_ctl_conn_send(conn, &msg);
    }
}

void vmp_ctl_path_resend(vmp_ctl_conn_t *conn)
{
    int is_missing = 0;
    vmp_ctl_path_t *path;
    unsigned i;

    for (i = 0; i < conn->num_paths; i++) {
        path = conn->paths[i].path;
        if (path == NULL) {
            is_missing |= (i < conn->want) && !conn->paths[i].is_unavailable;
        } else if (path->state == VMP_CTL_PATH_REQ_SENT) {
            path->asked_at = 0;
            send_qp(path, VMP_CTL_PATH_REQ);
        } else if (path->state == VMP_CTL_PATH_REP_SENT) {
            path->asked_at = 0;
            send_qp(path, VMP_CTL_PATH_REP);
        }
    }

    vmp_ctl_down_resend(conn);
    if (is_missing && !conn->is_leader) {
        send_ask(conn);
    }
}

void vmp_ctl_path_send_dead(vmp_ctl_conn_t *conn, unsigned index,
                            uint32_t epoch)
{
    answer_epoch(conn, VMP_CTL_DEAD, index, epoch, VMP_REASON_NONE);
}

void vmp_ctl_path_failed(vmp_ctl_conn_t *conn, uint8_t index, uint32_t epoch,
                         uint64_t now)
{
    vmp_ctl_path_t *path = (index < conn->num_paths) ?
                           conn->paths[index].path : NULL;

    /* else it is known already */
    if ((path != NULL) && (path->epoch == epoch)) {
        vmp_ctl_path_retire(path, now);
        vmp_ctl_conn_kick(conn, now);
    }
}

void vmp_ctl_path_want(vmp_ctl_conn_t *conn, unsigned num_paths, uint64_t now)
{
    unsigned i;

    if (conn->state == VMP_CTL_CONN_CONNECTING) {
        if (num_paths > conn->want) {       /* Cut down when agreed */
            conn->want = num_paths;
        }
        return;
    }

    if (num_paths > conn->num_paths) {
        num_paths = conn->num_paths;
    }
    for (i = 0; i < num_paths; i++) {
        conn->paths[i].is_unavailable = 0;
    }
    if (num_paths > conn->want) {
        conn->want = num_paths;
    }

    if (!vmp_ctl_path_is_waited(conn)) {
        return;
    }

    if (conn->is_leader) {
        if (vmp_ctl_path_start(conn, now) < 0) {
            return;
        }
    } else {
        send_ask(conn);
    }
    vmp_ctl_conn_kick(conn, now);
}


/* Input */

static void recv_ask(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg,
                     uint64_t now)
{
    unsigned want = (msg->num_paths < conn->num_paths) ? msg->num_paths :
                    conn->num_paths;
    unsigned i;

    if (!conn->is_leader) {
        return;
    }

    for (i = 0; i < want; i++) {
        if (conn->paths[i].is_unavailable) {
            send_epoch(conn, VMP_CTL_DEAD, i, conn->paths[i].epoch,
                       VMP_REASON_RESOURCE);
        } else if (conn->paths[i].path == NULL) {
            vmp_ctl_down_not_yet(conn, i);
        }
    }

    if (want > conn->want) {
        conn->want = want;
        if (vmp_ctl_path_start(conn, now) == 0) {
            vmp_ctl_conn_kick(conn, now);
        }
    }
}

static void recv_req_new(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg,
                         uint64_t now)
{
    vmp_ctl_path_slot_t *slot = &conn->paths[msg->path];
    vmp_ctl_path_t *path;

    slot->is_unavailable = 0;
    path                 = vmp_ctl_path_new(conn, msg->path, msg->epoch,
                                            msg->entropy, now);
    if (path == NULL) {
        goto err;
    }

    path->state = VMP_CTL_PATH_REP_SENT;
    if (vmp_ctl_path_connect(path, msg) < 0) {
        vmp_ctl_path_retire(path, now);
        goto err;
    }

    path->is_announced = 1;
    path->asked_at     = now;
    path->answered_at  = now;
    vmp_ctl_path_event(path, VMP_EV_PATH_READY);
    send_qp(path, VMP_CTL_PATH_REP);
    vmp_ctl_conn_kick(conn, now);
    return;

err:
    if (path_unavailable(conn, msg->path, now) == 0) {
        send_epoch(conn, VMP_CTL_DEAD, msg->path, msg->epoch,
                   VMP_REASON_RESOURCE);
    }
}

static void recv_req(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg,
                     uint64_t now)
{
    vmp_ctl_path_slot_t *slot = &conn->paths[msg->path];
    vmp_ctl_path_t *path      = slot->path;

    if (conn->is_leader) {
        return;
    }

    if ((msg->epoch < slot->epoch) ||
        ((msg->epoch == slot->epoch) && (path == NULL))) {
        answer_epoch(conn, VMP_CTL_DEAD, msg->path, msg->epoch,
                     slot->is_unavailable ? VMP_REASON_RESOURCE :
                     VMP_REASON_NONE);
        return;
    }

    if (msg->epoch == slot->epoch) {
        /* A repeated one. If UP, the leader does not wait for us any more. */
        if ((path->state == VMP_CTL_PATH_REP_SENT) &&
            (path->remote_qpn == msg->qpn) &&
            vmp_ctl_conn_answer_again(conn, &path->answered_at,
                                      vmp_ctl_conn_path_gap(conn))) {
            send_qp(path, VMP_CTL_PATH_REP);
            vmp_ctl_conn_send_again_end(conn);
        }
        return;
    }

    if (path != NULL) {
        /* The leader has given it up, before it heard of our QP, or it would
         * have fenced it off with us */
        if (path->state == VMP_CTL_PATH_STATE_UP) {
            vmp_debug("vmp: PATH_REQ of epoch %u for path %u, which is up",
                      msg->epoch, path->index);
            return;
        }
        vmp_ctl_path_retire(path, now);
    }

    /* Not before the application has let go of the former epoch, and both sides
     * have fenced it off: the leader repeats it */
    if ((conn->num_dying < VMP_CTL_MAX_DYING) &&
        !vmp_ctl_path_is_draining(conn, msg->path)) {
        recv_req_new(conn, msg, now);
    } else {
        vmp_ctl_down_not_yet(conn, msg->path);
    }
}

static void recv_rep(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg,
                     uint64_t now)
{
    vmp_ctl_path_t *path = conn->paths[msg->path].path;

    if (!conn->is_leader) {
        return;
    }

    if ((path == NULL) || (path->epoch != msg->epoch)) {
        answer_epoch(conn, VMP_CTL_DEAD, msg->path, msg->epoch,
                     VMP_REASON_NONE);
        return;
    }

    if (path->entropy != msg->entropy) {
        return;
    }

    if (path->state == VMP_CTL_PATH_STATE_UP) {
        if ((path->remote_qpn == msg->qpn) &&
            vmp_ctl_conn_answer_again(conn, &path->answered_at,
                                      vmp_ctl_conn_path_gap(conn))) {
            send_epoch(conn, VMP_CTL_PATH_RTU, path->index, path->epoch,
                       VMP_REASON_NONE);
            vmp_ctl_conn_send_again_end(conn);
        }
        return;
    }

    vmp_ctl_conn_rtt(conn, path->asked_at, now);
    if (vmp_ctl_path_connect(path, msg) < 0) {
        vmp_ctl_path_retire(path, now);
        if (path_unavailable(conn, msg->path, now) < 0) {
            return;
        }
        send_epoch(conn, VMP_CTL_DEAD, msg->path, msg->epoch,
                   VMP_REASON_RESOURCE);
    } else {
        path->answered_at = now;
        vmp_ctl_path_up(path, now);
        send_epoch(conn, VMP_CTL_PATH_RTU, path->index, path->epoch,
                   VMP_REASON_NONE);
    }

    if (vmp_ctl_path_start(conn, now) == 0) {
        vmp_ctl_conn_kick(conn, now);
    }
}

static void recv_rtu(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg,
                     uint64_t now)
{
    vmp_ctl_path_t *path = conn->paths[msg->path].path;

    if (conn->is_leader) {
        return;
    }

    if ((path == NULL) || (path->epoch != msg->epoch)) {
        send_epoch(conn, VMP_CTL_DEAD, msg->path, msg->epoch,
                   VMP_REASON_NONE);
        return;
    }

    if (path->state == VMP_CTL_PATH_REP_SENT) {
        vmp_ctl_conn_rtt(conn, path->asked_at, now);
        vmp_ctl_path_up(path, now);
        vmp_ctl_conn_kick(conn, now);
    }
}

static void recv_dead(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg,
                      uint64_t now)
{
    vmp_ctl_path_slot_t *slot = &conn->paths[msg->path];
    vmp_ctl_path_t *path      = slot->path;
    int is_refused            = msg->reason == VMP_REASON_RESOURCE;
    char str[VMP_CTL_STR_MAX];

    if (!is_refused && vmp_ctl_down_unknown(conn, msg, now)) {
        return;
    }

    if (msg->epoch < slot->epoch) {
        return;
    }

    if (path == NULL) {
        /* The leader cannot name an epoch for what it cannot make */
        if (!is_refused || conn->is_leader) {
            return;
        }
    } else if (path->epoch != msg->epoch) {
        return;
    } else {
        vmp_ctl_path_retire(path, now);
        (void)vmp_ctl_down_unknown(conn, msg, now);
    }

    /* what was there before is tried again */
    if (is_refused && (msg->path == 0) && !conn->was_up) {
        vmp_log_at(conn->has_user ? VMP_LOG_ERROR : VMP_LOG_INFO,
                   "vmp: %s has no QP for the first path",
                   vmp_ctl_conn_str(conn, str));
        vmp_ctl_conn_fail(conn, VMP_EV_CONN_FAILED, VMP_ERR_REJECTED,
                          VMP_REASON_RESOURCE, VMP_REASON_FAILED, now);
        return;
    }

    if (is_refused && (path_unavailable(conn, msg->path, now) < 0)) {
        return;
    }

    if (vmp_ctl_path_start(conn, now) == 0) {
        vmp_ctl_conn_kick(conn, now);
    }
}

void vmp_ctl_path_recv(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg,
                       uint64_t now)
{
    if (msg->type == VMP_CTL_PATH_ASK) {
        recv_ask(conn, msg, now);
        return;
    }

    if (msg->path >= conn->num_paths) {
        if (msg->type != VMP_CTL_DEAD) {
            send_epoch(conn, VMP_CTL_DEAD, msg->path, msg->epoch,
                       VMP_REASON_RESOURCE);
        }
        return;
    }

    switch (msg->type) {
    case VMP_CTL_PATH_REQ:
        recv_req(conn, msg, now);
        break;
    case VMP_CTL_PATH_REP:
        recv_rep(conn, msg, now);
        break;
    case VMP_CTL_PATH_RTU:
        recv_rtu(conn, msg, now);
        break;
    case VMP_CTL_DEAD:
        recv_dead(conn, msg, now);
        break;
    case VMP_CTL_PATH_DOWN:
        vmp_ctl_down_recv(conn, msg, now);
        break;
    default:
        break;
    }
}
