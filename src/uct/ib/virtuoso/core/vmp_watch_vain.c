/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_conn.h"

#include <inttypes.h>

/*
 * The peer's control answers, and paths come up, but nothing gets through: no
 * silence ends that (R5). So it is counted how often a path dies that was made
 * after the last one had died, while no operation completes.
 */

#define VMP_VAIN_ROUNDS  4


static uint32_t vmp_vain_done(const vmp_conn_t *conn)
{
    uint32_t done = conn->done_gone;
    unsigned i;

    for (i = 0; i < conn->num_paths; ++i) {
        if (conn->paths[i] != NULL) {
            done += vmp_path_ops_done(conn->paths[i]);
        }
    }

    return done;
}

/* What lived longer than the device's retries take had a peer that said "no
 * buffer" all the time: a wait, however long */
static int vmp_vain_was_answered(const vmp_path_t *path, uint64_t now)
{
    const vmp_iface_params_t *params = &path->conn->iface->params;
    uint64_t retries                 = (4096ull << params->port.timeout) *
                                       (params->port.retry_count + 1) * 4;

    return (now - path->born_time) > (retries + params->peer_timeout_ns);
}

void vmp_watch_no_work(vmp_conn_t *conn)
{
    conn->vain_rounds = 0;
    conn->vain_since  = 0;
}

void vmp_watch_died(vmp_path_t *path)
{
    vmp_conn_t *conn = path->conn;
    uint64_t now     = vmp_port_now(conn->iface->port);
    uint32_t done    = vmp_vain_done(conn);

    conn->done_gone += vmp_path_ops_done(path);
    if ((path->head == 0) || ((path->num_ops == 0) && (conn->up_mask != 0))) {
        /* it was never used; or had no work, and there are others for that */
        return;
    }

    if ((done != conn->vain_done) || !vmp_conn_has_work(conn) ||
        vmp_vain_was_answered(path, now)) {
        conn->vain_done   = done;
        conn->vain_rounds = 0;
        conn->vain_since  = now;
        conn->vain_time   = now;
        return;
    }

    if (path->born_time < conn->vain_time) {
        return;                         /* it died with the last one */
    }

    conn->vain_time = now;
    if (conn->vain_since == 0) {
        conn->vain_since = now;
    }

    if ((++conn->vain_rounds < VMP_VAIN_ROUNDS) ||
        ((now - conn->vain_since) < conn->iface->params.peer_timeout_ns)) {
        return;
    }

    vmp_log_at((conn->num_eps > 0) ? VMP_LOG_ERROR : VMP_LOG_INFO,
               "peer %016" PRIx64 " is lost: it answers, but for %.1f s no "
               "path to it has carried any data, and %u have failed one after "
               "the other. Check that the network lets RoCE data through: "
               "filters, the MTU", conn->peer_id, (now - conn->vain_since) / 1e9,
               conn->vain_rounds);
    vmp_conn_fail(conn, VMP_ERR_ENDPOINT_TIMEOUT);
}
