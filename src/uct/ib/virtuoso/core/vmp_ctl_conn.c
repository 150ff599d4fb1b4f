/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core/vmp_ctl_int.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static uint8_t min_u8(uint8_t a, uint8_t b)
{
    return (a < b) ? a : b;
}

const char *vmp_ctl_conn_str(const vmp_ctl_conn_t *conn, char *buf)
{
    static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};
    const uint8_t *gid                 = conn->rail.gid;
    char addr[INET6_ADDRSTRLEN];

    if (memcmp(gid, v4_prefix, sizeof(v4_prefix)) == 0) {
        inet_ntop(AF_INET, gid + sizeof(v4_prefix), addr, sizeof(addr));
    } else {
        inet_ntop(AF_INET6, gid, addr, sizeof(addr));
    }

    snprintf(buf, VMP_CTL_STR_MAX, "peer %016lx at %s",
             (unsigned long)conn->peer_id, addr);
    return buf;
}


void vmp_ctl_conn_send_connect(vmp_ctl_conn_t *conn, vmp_ctl_type_t type)
{
    vmp_ctl_t *ctl       = conn->ctl;
    vmp_rail_addr_t rail = conn->rail;
    vmp_ctl_msg_t msg    = {
        .type       = type,
        .ver_min    = VMP_WIRE_VER_MIN,
        .ver_max    = VMP_WIRE_VER_MAX,
        .num_paths  = ctl->params.num_paths,
        .addr_gen   = ctl->addr_gen,
        .known_gen  = conn->addr_gen,
        .features   = VMP_FEATURE_NONE,
        .credits    = ctl->params.credits,
        .frame_size = ctl->params.frame_size,
        .rail       = ctl->attr.addr[0],
        .iface      = {
            .id      = ctl->params.id,
            .ver_min = VMP_WIRE_VER_MIN,
            .ver_max = VMP_WIRE_VER_MAX,
            .num_ud  = ctl->attr.num_ud
        }
    };

    memcpy(msg.iface.ud_qpn, ctl->attr.ud_qpn[0], sizeof(msg.iface.ud_qpn));
    vmp_ctl_conn_send(conn, &msg);
    if ((type == VMP_CTL_CONNECT) && vmp_ctl_addr_is_unsure(conn)) {
        conn->rail = conn->hint;
        vmp_ctl_conn_send(conn, &msg);
        conn->rail = rail;
    }
}

void vmp_ctl_conn_send_goodbye(vmp_ctl_conn_t *conn)
{
    vmp_ctl_msg_t msg = {
        .type   = VMP_CTL_GOODBYE,
        .reason = conn->bye_reason
    };

    vmp_ctl_conn_send(conn, &msg);
    conn->send_seq++;
    conn->goodbyes--;
}

/* Life */

static vmp_ctl_conn_t *
conn_new(vmp_ctl_t *ctl, uint64_t peer_id, uint8_t role,
         const vmp_rail_addr_t *rail, const vmp_iface_addr_t *iface,
         uint64_t now)
{
    static const vmp_ev_t none;
    vmp_ctl_peer_t *peer;
    vmp_ctl_conn_t *conn;

    vmp_ctl_addr_refresh(ctl, 0);
    conn = calloc(1, sizeof(*conn));
    if (conn == NULL) {
        goto err;
    }

    peer = vmp_ctl_peer_get(ctl, peer_id, role);
    if (peer == NULL) {
        goto err_free;
    }

    conn->ctl       = ctl;
    conn->peer_id   = peer_id;
    conn->role      = role;
    conn->is_leader = (peer_id == ctl->params.id) ? (role == 0) :
                      (ctl->params.id < peer_id);
    conn->version   = VMP_WIRE_VER_BASE;
    conn->state     = VMP_CTL_CONN_CONNECTING;
    conn->rail      = (peer_id == ctl->params.id) ? ctl->attr.addr[0] : *rail;
    conn->born_gen  = ctl->addr_gen;
    conn->iface     = *iface;
    conn->heard     = now;
    conn->made_gen  = ctl->addr_gen;
    conn->send_seq  = vmp_ctl_random(ctl) % ctl->attr.num_ud;
    if ((vmp_ctl_ev_reserve(conn, VMP_CTL_CONN_EVS) < 0) ||
        (vmp_ctl_slot_add(ctl, conn) < 0)) {
        goto err_free;
    }

    vmp_ctl_peer_attach(ctl, peer, conn);
    vmp_ctl_ev_push(conn, VMP_EV_CONN, &none);
    return conn;

err_free:
    vmp_ctl_ev_release(conn);
    free(conn);
err:
    vmp_error("vmp: no memory for a connection to %016lx beside %u others",
              (unsigned long)peer_id, ctl->num_conns);
    return NULL;
}

void vmp_ctl_conn_free(vmp_ctl_conn_t *conn)
{
    vmp_ctl_t *ctl = conn->ctl;

    vmp_ctl_timer_clear(conn);
    vmp_ctl_half_remove(conn);
    vmp_ctl_slot_remove(ctl, conn);
    vmp_ctl_ev_release(conn);
    free(conn->paths);
    free(conn);
}

void vmp_ctl_conn_check_gone(vmp_ctl_conn_t *conn)
{
    static const vmp_ev_t none;
    vmp_ctl_t *ctl = conn->ctl;

    if ((conn->state != VMP_CTL_CONN_DYING) || (conn->dying != NULL) ||
        (conn->goodbyes > 0)) {
        return;
    }

    vmp_ctl_ev_push(conn, VMP_EV_CONN_GONE, &none);
    if (conn->must_forget) {
        /* The way to that host may have changed; else others may be using it */
        vmp_port_ctl_forget(ctl->params.port, 0, &conn->rail);
    }
    vmp_ctl_conn_free(conn);
}

void vmp_ctl_conn_fail(vmp_ctl_conn_t *conn, vmp_ev_type_t type,
                       vmp_status_t status, vmp_ctl_reason_t reason,
                       vmp_ctl_reason_t bye, uint64_t now)
{
    vmp_ev_t ev = {
        .status    = status,
        .reason    = reason,
        .delivered = conn->peer_delivered
    };
    unsigned i;

    if (type != VMP_EV_CONN_GONE) {
        vmp_ctl_ev_push(conn, type, &ev);
    }

    conn->is_ending = 1;
    for (i = 0; i < conn->num_paths; i++) {
        if (conn->paths[i].path != NULL) {
            vmp_ctl_path_retire(conn->paths[i].path, now);
        }
    }

    vmp_ctl_half_remove(conn);
    vmp_ctl_peer_detach(conn->ctl, conn, now);
    conn->state = VMP_CTL_CONN_DYING;

    if ((bye != VMP_REASON_NONE) && (conn->peer_incarn != 0)) {
        conn->bye_reason = bye;
        conn->goodbyes   = VMP_CTL_GOODBYES;
        vmp_ctl_conn_send_goodbye(conn);
    }

    vmp_ctl_conn_kick(conn, now);
    vmp_ctl_path_check_all(conn);
}

/* Return 0, or -1: no memory to say so */
static int connect_failed(vmp_ctl_t *ctl, uint64_t id)
{
    vmp_ctl_conn_t no_conn = {
        .ctl     = ctl,
        .slot    = UINT32_MAX,
        .peer_id = id
    };
    vmp_ev_t ev            = {
        .status = VMP_ERR_NO_MEMORY,
        .reason = VMP_REASON_RESOURCE
    };

    if (vmp_ctl_ev_reserve(&no_conn, 1) < 0) {
        return -1;
    }

    vmp_ctl_ev_push(&no_conn, VMP_EV_CONN_FAILED, &ev);
    return 0;
}

int vmp_ctl_conn_open(vmp_ctl_t *ctl, const vmp_cmd_t *cmd, uint64_t now)
{
    uint64_t id          = cmd->iface.id;
    vmp_ctl_peer_t *peer = vmp_ctl_peer_find(ctl, id, 0);
    vmp_ctl_conn_t *conn = (peer == NULL) ? NULL : peer->conn;

    if (conn == NULL) {
        conn = conn_new(ctl, id, 0, &cmd->rail, &cmd->iface, now);
        if (conn == NULL) {
            return connect_failed(ctl, id);
        }

        conn->asked_at = now;
        vmp_ctl_conn_send_connect(conn, VMP_CTL_CONNECT);
    } else {
        vmp_ctl_addr_hint(conn, &cmd->rail);
        if (conn->has_user) {
            return 0;
        }
    }

    vmp_ctl_half_remove(conn);
    conn->has_user   = 1;
    conn->wait_start = now;
    if (conn->want == 0) {
        conn->want = 1;
    }
    vmp_ctl_conn_hurry(conn, now);
    return 0;
}

void vmp_ctl_conn_ping(vmp_ctl_conn_t *conn)
{
    if ((conn->state != VMP_CTL_CONN_CONNECTED) ||
        (!conn->is_pinging &&
         (vmp_ctl_ev_reserve(conn, conn->num_spare_evs + 1) < 0))) {
        return;
    }

    /* once, by several ways: an answer to a repetition would tell less */
    conn->is_pinging = 1;
    vmp_ctl_conn_send_again(conn, VMP_CTL_PING_COPIES - 1);
    vmp_ctl_conn_send_connect(conn, VMP_CTL_CONNECT);
    vmp_ctl_conn_send_again_end(conn);
}

void vmp_ctl_conn_idle(vmp_ctl_conn_t *conn)
{
    vmp_ctl_msg_t msg = {.type = VMP_CTL_DISCONNECT};

    conn->has_user = 0;
    if (conn->state == VMP_CTL_CONN_CONNECTED) {
        vmp_ctl_conn_send(conn, &msg);
    }
}


/* Both sides compute the same from both offers.
 * Return -1: failed, and may be gone. */
static int agree(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg, uint64_t now)
{
    const vmp_ctl_params_t *params = &conn->ctl->params;
    uint8_t num_paths              = min_u8(min_u8(params->num_paths,
                                                   msg->num_paths),
                                            VMP_MAX_PATHS);
    vmp_ev_t ev                    = {.num_paths = num_paths};

    conn->paths = calloc(num_paths, sizeof(*conn->paths));

    conn->version     = min_u8(VMP_WIRE_VER_MAX, msg->ver_max);
    conn->peer_conn   = msg->src_conn;
    conn->peer_incarn = msg->src_incarn;
    conn->addr_gen    = msg->addr_gen;
    conn->iface       = msg->iface;
    conn->heard       = now;
    vmp_ctl_addr_agree(conn, &msg->rail);
    if (msg->src_incarn > conn->peer->max_incarn) {
        conn->peer->max_incarn = msg->src_incarn;
    }

    if (conn->paths == NULL) {
        vmp_error("vmp: no memory for %u paths to %016lx", num_paths,
                  (unsigned long)conn->peer_id);
        vmp_ctl_conn_fail(conn, VMP_EV_CONN_FAILED, VMP_ERR_NO_MEMORY,
                          VMP_REASON_RESOURCE, VMP_REASON_RESOURCE, now);
        return -1;
    }

    conn->num_paths = num_paths;
    conn->state     = VMP_CTL_CONN_CONNECTED;
    conn->is_moved  = (conn->made_gen != conn->ctl->addr_gen) &&
                      (conn->peer_id != params->id);

    /* The leader brings up the first path, for whoever needs it */
    if (conn->is_leader && (conn->want == 0)) {
        conn->want = 1;
    }
    conn->want = min_u8(conn->want, num_paths);

    ev.peer_conn   = conn->peer_conn;
    ev.peer_incarn = conn->peer_incarn;
    ev.credits     = msg->credits;
    ev.frame_size  = msg->frame_size;
    vmp_ctl_ev_push(conn, VMP_EV_CONN_PEER, &ev);
    return 0;
}

static int has_common_version(const vmp_ctl_msg_t *msg)
{
    return (msg->ver_min <= VMP_WIRE_VER_MAX) &&
           (msg->ver_max >= VMP_WIRE_VER_MIN);
}

static void go_on(vmp_ctl_conn_t *conn, uint64_t now)
{
    if (conn->born_gen != conn->ctl->addr_gen) {
        /* it may have had a CONNECT from before */
        vmp_ctl_addr_tell(conn);
    }

    if (vmp_ctl_path_start(conn, now) == 0) {
        vmp_ctl_conn_kick(conn, now);
    }
}

static void accept_connect(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg,
                           uint64_t now)
{
    vmp_ctl_t *ctl = conn->ctl;

    if (agree(conn, msg, now) < 0) {
        return;
    }

    if ((ctl->addr_gen != 0) && (conn->peer_id != ctl->params.id)) {
        /* that may have come to an address of before, and no other one will
         * come if the answer gets lost */
        conn->is_moved = 1;
    }

    conn->answered_at = now;
    vmp_ctl_conn_send_connect(conn, VMP_CTL_CONNECT_ACK);
    go_on(conn, now);
}

/* Strangers get a limited number; of those, who has long been silent makes room
 * for the next. Return -1: none. */
static int half_open_reserve(vmp_ctl_t *ctl, uint64_t now)
{
    vmp_ctl_conn_t *oldest = ctl->half_head;

    if (ctl->num_half < VMP_CTL_MAX_HALF_OPEN) {
        return 0;
    }

    if (!ctl->is_half_warned) {
        ctl->is_half_warned = 1;
        vmp_warn("vmp: %u peers began to connect and went on with no path; "
                 "refusing more until some of them finish or are given up",
                 ctl->num_half);
    }

    if (now - oldest->heard < ctl->params.peer_timeout_ns) {
        return -1;
    }

    vmp_ctl_conn_fail(oldest, VMP_EV_CONN_FAILED, VMP_ERR_ENDPOINT_TIMEOUT,
                      VMP_REASON_NONE, VMP_REASON_NONE, now);
    return 0;
}

/* A datagram for the connection that is alive, if any.
 * Return 1: dealt with, 0: a new connection is to be made. */
static int connect_to_alive(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg,
                            uint64_t now)
{
    char str[VMP_CTL_STR_MAX];

    if (conn->state == VMP_CTL_CONN_CONNECTING) {
        /* Both sides at once: one connection */
        accept_connect(conn, msg, now);
        return 1;
    }

    if (msg->src_incarn == conn->peer_incarn) {
        if (msg->src_conn == conn->peer_conn) {
            vmp_ctl_addr_of_peer(conn, msg);
            vmp_ctl_conn_heard(conn, now);
            if (vmp_ctl_conn_answer_again(conn, &conn->answered_at,
                                          VMP_CTL_ANSWER_GAP)) {
                vmp_ctl_conn_send_connect(conn, VMP_CTL_CONNECT_ACK);
                vmp_ctl_conn_send_again_end(conn);
            }
        }
        return 1;
    }

    vmp_log_at(conn->has_user ? vmp_log_failure_level : VMP_LOG_INFO,
               "vmp: %s has dropped the connection and makes a new one: what "
               "used the old one fails", vmp_ctl_conn_str(conn, str));
    vmp_ctl_conn_fail(conn, VMP_EV_CONN_FAILED, VMP_ERR_CONNECTION_RESET,
                      VMP_REASON_STALE, VMP_REASON_NONE, now);
    return 0;
}

void vmp_ctl_conn_recv_connect(vmp_ctl_t *ctl, const vmp_ctl_msg_t *msg,
                               uint8_t role, uint64_t now)
{
    vmp_ctl_peer_t *peer;
    vmp_ctl_conn_t *conn;

    if ((msg->src_id == msg->dst_id) && (role == 0)) {
        return;                     /* Only half 0 initiates */
    }

    if (!has_common_version(msg)) {
        vmp_debug("vmp: %016lx offers protocol versions %u to %u, this "
                  "Virtuoso has %u to %u: refused", (unsigned long)msg->src_id,
                  msg->ver_min, msg->ver_max, VMP_WIRE_VER_MIN,
                  VMP_WIRE_VER_MAX);
        vmp_ctl_answer(ctl, msg, VMP_CTL_REJECT, VMP_REASON_VERSION, now);
        return;
    }

    /* Whoever names a connection has one already, and asks whether we have */
    if ((msg->dst_incarn != 0) &&
        (vmp_ctl_slot_find(ctl, msg->dst_conn, msg->dst_incarn) == NULL)) {
        vmp_ctl_answer(ctl, msg, VMP_CTL_GOODBYE, VMP_REASON_STALE, now);
        return;
    }

    peer = vmp_ctl_peer_find(ctl, msg->src_id, role);
    conn = (peer == NULL) ? NULL : peer->conn;

    /* An incarnation that was connected to, and is not now, is over */
    if ((peer != NULL) && (msg->src_incarn <= peer->max_incarn) &&
        ((conn == NULL) || (conn->peer_incarn != msg->src_incarn))) {
        vmp_ctl_answer(ctl, msg, VMP_CTL_GOODBYE, VMP_REASON_STALE, now);
        return;
    }

    if ((conn != NULL) && connect_to_alive(conn, msg, now)) {
        return;
    }

    conn = (half_open_reserve(ctl, now) < 0) ? NULL :
           conn_new(ctl, msg->src_id, role, &msg->rail, &msg->iface, now);
    if (conn == NULL) {
        vmp_ctl_answer(ctl, msg, VMP_CTL_REJECT, VMP_REASON_RESOURCE, now);
        return;
    }

    vmp_ctl_half_add(conn);
    accept_connect(conn, msg, now);
}

void vmp_ctl_conn_recv_ack(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg,
                           uint64_t now)
{
    static const vmp_ev_t none;

    if (conn->state == VMP_CTL_CONN_CONNECTING) {
        if (msg->src_incarn <= conn->peer->max_incarn) {
            vmp_ctl_answer(conn->ctl, msg, VMP_CTL_GOODBYE, VMP_REASON_STALE,
                           now);
        } else if (!has_common_version(msg)) {
            vmp_ctl_conn_recv_reject(conn, msg, now);
        } else if (agree(conn, msg, now) == 0) {
            vmp_ctl_conn_rtt(conn, conn->asked_at, now);
            go_on(conn, now);
        }
    } else if ((conn->state == VMP_CTL_CONN_DYING) ||
               (msg->src_conn != conn->peer_conn) ||
               (msg->src_incarn != conn->peer_incarn)) {
        /* Made for a CONNECT that came late: end it there */
        vmp_ctl_answer(conn->ctl, msg, VMP_CTL_GOODBYE, VMP_REASON_STALE, now);
    } else {
        vmp_ctl_addr_of_peer(conn, msg);
        vmp_ctl_conn_heard(conn, now);
        if (conn->is_pinging) {
            conn->is_pinging = 0;
            vmp_ctl_ev_push(conn, VMP_EV_PEER_ALIVE, &none);
        }
        if (conn->is_moved && (msg->known_gen == conn->ctl->addr_gen)) {
            conn->is_moved = 0;
            vmp_ctl_conn_kick(conn, now);
        }
    }
}

void vmp_ctl_conn_recv_reject(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg,
                              uint64_t now)
{
    vmp_ctl_reason_t reason = msg->reason;
    vmp_status_t status     = VMP_ERR_REJECTED;
    vmp_log_level_t level   = conn->has_user ? VMP_LOG_ERROR : VMP_LOG_INFO;
    char str[VMP_CTL_STR_MAX];

    if (conn->state != VMP_CTL_CONN_CONNECTING) {
        /* An older answer: accepted meanwhile. But one that names the
         * connection says that it is not there any more. */
        if ((reason == VMP_REASON_STALE) && (msg->src_incarn != 0)) {
            vmp_ctl_conn_recv_goodbye(conn, msg, now);
        }
        return;
    }

    vmp_ctl_conn_str(conn, str);
    switch (reason) {
    case VMP_REASON_VERSION:
        vmp_log_at(level, "vmp: %s speaks protocol versions %u to %u, this "
                   "Virtuoso %u to %u: install versions that overlap", str,
                   msg->ver_min, msg->ver_max, VMP_WIRE_VER_MIN,
                   VMP_WIRE_VER_MAX);
        break;
    case VMP_REASON_STALE:
        status = VMP_ERR_CONNECTION_RESET;
        level  = conn->has_user ? vmp_log_failure_level : VMP_LOG_INFO;
        vmp_log_at(level, "vmp: %s is gone: its interface was closed, or its "
                   "process has ended", str);
        break;
    default:
        vmp_log_at(level, "vmp: %s refuses the connection: %s", str,
                   vmp_ctl_reason_str(reason));
        break;
    }

    vmp_ctl_conn_fail(conn, VMP_EV_CONN_FAILED, status, reason,
                      VMP_REASON_NONE, now);
}

void vmp_ctl_conn_recv_goodbye(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg,
                               uint64_t now)
{
    vmp_status_t status = VMP_ERR_CONNECTION_RESET;
    char str[VMP_CTL_STR_MAX];

    if ((conn->peer_incarn != 0) &&
        ((msg->src_conn != conn->peer_conn) ||
         (msg->src_incarn != conn->peer_incarn))) {
        return;
    }

    if ((conn->peer != NULL) && (msg->src_incarn > conn->peer->max_incarn)) {
        conn->peer->max_incarn = msg->src_incarn;   /* Its CONNECT may follow */
    }

    if (conn->state == VMP_CTL_CONN_DYING) {
        conn->goodbyes = 0;         /* Need not be told any more */
        vmp_ctl_timer_clear(conn);
        vmp_ctl_conn_check_gone(conn);
        return;
    }

    if (msg->reason == VMP_REASON_CLOSED) {
        vmp_info("vmp: %s has closed its interface",
                 vmp_ctl_conn_str(conn, str));
        conn->peer_delivered = msg->delivered;
        vmp_ctl_conn_fail(conn, VMP_EV_PEER_CLOSED, VMP_OK,
                          VMP_REASON_CLOSED, VMP_REASON_NONE, now);
        return;
    }

    if (msg->reason == VMP_REASON_RESOURCE) {
        status = VMP_ERR_REJECTED;
    }

    vmp_log_at(conn->has_user ? vmp_log_failure_level : VMP_LOG_INFO,
               "vmp: %s has ended the connection: %s",
               vmp_ctl_conn_str(conn, str), vmp_ctl_reason_str(msg->reason));
    vmp_ctl_conn_fail(conn, VMP_EV_CONN_FAILED, status, msg->reason,
                      VMP_REASON_NONE, now);
}
