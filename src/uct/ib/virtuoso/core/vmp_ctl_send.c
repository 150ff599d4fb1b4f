/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core/vmp_ctl_int.h"


static void ctl_send_from(vmp_ctl_t *ctl, vmp_ctl_msg_t *msg, unsigned rail,
                          unsigned ud, const vmp_rail_addr_t *dest,
                          uint32_t qpn)
{
    uint8_t buf[VMP_CTL_MAX_LEN];
    size_t length;

    /* Spares do not receive: in their datagrams stands one that does */
    msg->src_qpn  = ctl->attr.ud_qpn[rail][ud % ctl->attr.num_ud];
    msg->src_rail = ctl->attr.addr[rail];
    length        = vmp_ctl_msg_pack(buf, msg);
    vmp_port_ctl_send(ctl->params.port, rail, ud, dest, qpn, buf, length);
}

static void ctl_send(vmp_ctl_t *ctl, vmp_ctl_msg_t *msg, uint32_t seq,
                     const vmp_rail_addr_t *dest, uint32_t qpn)
{
    ctl_send_from(ctl, msg, (seq / ctl->attr.num_ud) % ctl->attr.num_rails,
                  seq % ctl->attr.num_ud, dest, qpn);
}

/* When many connections repeat themselves at a time, copies would only fill the
 * queues. Return 0: no more. */
static int take_copy(vmp_ctl_t *ctl)
{
    if (ctl->copy_time < ctl->now) {
        ctl->copy_time = ctl->now;
    } else if (ctl->copy_time - ctl->now >=
               VMP_CTL_COPY_BURST * VMP_CTL_COPY_INTERVAL) {
        return 0;
    }

    ctl->copy_time += VMP_CTL_COPY_INTERVAL;
    return 1;
}

static void send_from_spares(vmp_ctl_conn_t *conn, vmp_ctl_msg_t *msg)
{
    vmp_ctl_t *ctl = conn->ctl;
    unsigned rail, i;

    for (rail = 0; rail < ctl->attr.num_rails; rail++) {
        for (i = 0; i < VMP_PORT_UD_SPARES; i++) {
            if ((ctl->spares[rail] & (1u << i)) && take_copy(ctl)) {
                ctl_send_from(ctl, msg, rail, VMP_MAX_UD + i, &conn->rail,
                              conn->iface.ud_qpn[(conn->send_seq + i) %
                                                 conn->iface.num_ud]);
            }
        }
    }
}

static void renew_spares(vmp_ctl_t *ctl, uint64_t interval)
{
    unsigned rail, i;

    if ((ctl->renewed_at != 0) && (ctl->now - ctl->renewed_at < interval)) {
        return;
    }

    ctl->renewed_at = ctl->now;
    for (rail = 0; rail < ctl->attr.num_rails; rail++) {
        vmp_ctl_addr_refresh(ctl, rail);
        for (i = 0; i < VMP_PORT_UD_SPARES; i++) {
            if (vmp_port_ctl_renew(ctl->params.port, rail, i) == 0) {
                ctl->spares[rail] |= 1u << i;
            }
        }
    }
}

void vmp_ctl_conn_try_hard(vmp_ctl_conn_t *conn, unsigned tries)
{
    conn->hard_until = conn->ctl->now + VMP_CTL_HARD_TIME;
    renew_spares(conn->ctl, (tries < VMP_CTL_HARD_FAST) ? VMP_CTL_RENEW_FAST :
                                                          VMP_CTL_RENEW_SLOW);
}

void vmp_ctl_conn_send(vmp_ctl_conn_t *conn, vmp_ctl_msg_t *msg)
{
    vmp_ctl_t *ctl  = conn->ctl;
    unsigned num_ud = ctl->attr.num_ud * ctl->attr.num_rails;
    unsigned remote, i;
    uint32_t seq;

    msg->version    = conn->version;
    msg->role       = conn->role;
    msg->src_id     = ctl->params.id;
    msg->dst_id     = conn->peer_id;
    msg->src_conn   = conn->slot;
    msg->src_incarn = conn->incarn;
    msg->dst_conn   = conn->peer_conn;
    msg->dst_incarn = conn->peer_incarn;

    vmp_trace("vmp: send %s to %016lx, incarnation %u, path %u, epoch %u",
              vmp_ctl_type_str(msg->type), (unsigned long)conn->peer_id,
              conn->incarn, msg->path, msg->epoch);

    /* All of ours first: they differ in UDP source port, so in the way through
     * the network; the peer's differ only in their queue, of which copies take
     * different ones */
    for (i = 0; (i == 0) || ((i <= conn->extra) && take_copy(ctl)); i++) {
        seq    = conn->send_seq + i;
        remote = (seq / num_ud + i) % conn->iface.num_ud;
        ctl_send(ctl, msg, seq, &conn->rail, conn->iface.ud_qpn[remote]);
    }

    if (ctl->now < conn->hard_until) {
        send_from_spares(conn, msg);
    }
}

void vmp_ctl_conn_send_again(vmp_ctl_conn_t *conn, unsigned extra)
{
    unsigned num_ud = conn->ctl->attr.num_ud * conn->ctl->attr.num_rails;

    if ((conn->ctl->now < conn->hard_until) && (extra > 1)) {
        extra = 1;              /* spares promise more */
    }
    conn->extra = (extra < num_ud) ? extra : num_ud - 1;
    conn->send_seq++;
}

int vmp_ctl_conn_answer_again(vmp_ctl_conn_t *conn, uint64_t *last_p,
                              uint64_t gap)
{
    uint64_t now = conn->ctl->now;

    if ((*last_p != 0) && (now - *last_p < gap)) {
        return 0;
    }

    *last_p = now;
    if (conn->repeats < UINT8_MAX) {
        conn->repeats++;
    }
    if (conn->repeats >= VMP_CTL_HARD_REPEATS) {
        vmp_ctl_conn_try_hard(conn, conn->repeats);
    }
    vmp_ctl_conn_send_again(conn, conn->repeats);
    return 1;
}

void vmp_ctl_conn_send_wide(vmp_ctl_conn_t *conn, vmp_ctl_msg_t *msg)
{
    unsigned num_ud = conn->ctl->attr.num_ud * conn->ctl->attr.num_rails;
    vmp_ctl_t *ctl  = conn->ctl;
    uint8_t extra   = conn->extra;
    unsigned wide   = (num_ud < VMP_CTL_WIDE) ? num_ud : VMP_CTL_WIDE;

    if (conn->extra < wide - 1) {
        conn->extra = wide - 1;
    }
    vmp_ctl_conn_send(conn, msg);
    conn->extra = extra;

    /* Work waits: the more ways the better is the quickest, since datagrams are
     * in line with what fills the links */
    if (ctl->now >= conn->hard_until) {
        if (ctl->spares[0] == 0) {
            renew_spares(ctl, VMP_CTL_RENEW_SLOW);
        }
        send_from_spares(conn, msg);
    }
}

void vmp_ctl_conn_send_again_end(vmp_ctl_conn_t *conn)
{
    conn->send_seq += conn->extra;
    conn->extra     = 0;
}

void vmp_ctl_answer(vmp_ctl_t *ctl, const vmp_ctl_msg_t *in,
                    vmp_ctl_type_t type, vmp_ctl_reason_t reason, uint64_t now)
{
    vmp_ctl_msg_t out = {
        .type       = type,
        .reason     = reason,
        .role       = (in->src_id == in->dst_id) ? !in->role : 0,
        .src_id     = in->dst_id,
        .dst_id     = in->src_id,
        .src_conn   = in->dst_conn,
        .src_incarn = in->dst_incarn,
        .dst_conn   = in->src_conn,
        .dst_incarn = in->src_incarn,
        .ver_min    = VMP_WIRE_VER_MIN,
        .ver_max    = VMP_WIRE_VER_MAX,
        .path       = in->path,
        .epoch      = in->epoch
    };

    /* No answers to answers, so no loops */
    if ((in->type == VMP_CTL_GOODBYE) || (in->type == VMP_CTL_REJECT) ||
        (in->type == VMP_CTL_DEAD)) {
        return;
    }

    if (ctl->answer_time < now) {
        ctl->answer_time = now;
    } else if (ctl->answer_time - now >
               VMP_CTL_ANSWER_BURST * VMP_CTL_ANSWER_INTERVAL) {
        return;                 /* The sender will repeat it */
    }

    ctl->answer_time += VMP_CTL_ANSWER_INTERVAL;
    vmp_debug("vmp: answer %s of %016lx with %s: %s",
              vmp_ctl_type_str(in->type), (unsigned long)in->src_id,
              vmp_ctl_type_str(type), vmp_ctl_reason_str(reason));
    ctl_send(ctl, &out, ctl->answer_seq++, &in->src_rail, in->src_qpn);
}
