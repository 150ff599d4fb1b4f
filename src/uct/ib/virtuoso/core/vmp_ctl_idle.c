/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core/vmp_ctl_int.h"

/*
 * Connections on which no endpoint of ours stands (R14). Nobody here would ever
 * find out that the peer is gone, should its last words be lost, and its QPs
 * would stay for ever. So now and then all connections are looked at, and a
 * peer that was long silent is asked: who knows nothing of the connection ends
 * it. Without an answer the paths are tried; if all are dead, and there is still
 * no sign of it, it is gone. Connections with endpoints are kept for these.
 */
#define VMP_CTL_IDLE_PERIOD  4          /* peer timeouts from look to look */
#define VMP_CTL_IDLE_ASK     2          /* looks without a sign of it */
#define VMP_CTL_IDLE_PROBE   3
#define VMP_CTL_IDLE_GONE    4
#define VMP_CTL_IDLE_PROBES  4          /* nobody may take the events */


static void idle_ask(vmp_ctl_conn_t *conn)
{
    vmp_ctl_conn_send_again(conn, VMP_CTL_PING_COPIES - 1);
    vmp_ctl_conn_send_connect(conn, VMP_CTL_CONNECT);
    vmp_ctl_conn_send_again_end(conn);
}

void vmp_ctl_idle_probe(vmp_ctl_conn_t *conn)
{
    static const vmp_ev_t none;

    if (vmp_ctl_ev_reserve(conn, conn->num_spare_evs + 1) == 0) {
        vmp_ctl_ev_push(conn, VMP_EV_PROBE, &none);
    }
}

static void idle_look(vmp_ctl_conn_t *conn, uint64_t now)
{
    char str[VMP_CTL_STR_MAX];

    if (conn->heard != conn->idle_heard) {
        conn->idle_heard  = conn->heard;
        conn->idle_looks  = 0;
        conn->idle_probes = 0;
        return;
    }

    if (++conn->idle_looks < VMP_CTL_IDLE_ASK) {
        return;
    }

    if (vmp_ctl_path_any_up(conn)) {
        if ((conn->idle_looks >= VMP_CTL_IDLE_PROBE) &&
            (conn->idle_probes < VMP_CTL_IDLE_PROBES)) {
            conn->idle_probes++;
            vmp_ctl_idle_probe(conn);
        }
        if (conn->idle_looks > VMP_CTL_IDLE_GONE) {
            /* they carry, only control is not heard */
            conn->idle_looks = 0;
        }
    } else if (conn->idle_looks >= VMP_CTL_IDLE_GONE) {
        vmp_info("vmp: %s is gone: no path is up, and nothing was heard of it "
                 "for %.1f s. No endpoint needs it",
                 vmp_ctl_conn_str(conn, str), (now - conn->heard) / 1e9);
        conn->must_forget = 1;
        vmp_ctl_conn_fail(conn, VMP_EV_CONN_FAILED, VMP_ERR_ENDPOINT_TIMEOUT,
                          VMP_REASON_NONE, VMP_REASON_FAILED, now);
        return;
    }

    idle_ask(conn);
}

uint64_t vmp_ctl_idle_progress(vmp_ctl_t *ctl, uint64_t now)
{
    uint64_t period = ctl->params.peer_timeout_ns * VMP_CTL_IDLE_PERIOD;
    vmp_ctl_conn_t *conn;
    uint32_t slot;

    if (ctl->num_conns == 0) {
        ctl->idle_at = 0;
        return UINT64_MAX;
    }

    if (ctl->idle_at == 0) {
        ctl->idle_at = now + period;
    } else if (ctl->idle_at <= now) {
        /* looks count, not time: we may have stood still */
        ctl->idle_at = now + period;
        for (slot = 0; slot < ctl->num_slots; slot++) {
            conn = ctl->slots[slot];
            if ((conn != NULL) && (conn->state == VMP_CTL_CONN_CONNECTED) &&
                !conn->has_user && (conn->peer_id != ctl->params.id)) {
                idle_look(conn, now);
            }
        }
    }

    return ctl->idle_at;
}
