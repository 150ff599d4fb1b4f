/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_conn.h"

#define VMP_EST_SHORT      4096             /* bytes: takes a round trip */
#define VMP_EST_CALM       32               /* samples: the variance falls */

/* ns */
#define VMP_EST_SRTT       (25 * VMP_WATCH_MSEC)    /* before any sample */
#define VMP_EST_BYTE_PS    1000000u                 /* 1 us a byte */
#define VMP_EST_PAUSE      50000                    /* from sample to sample */
#define VMP_EST_PROBE_MIN  (2 * VMP_WATCH_MSEC)
#define VMP_EST_PROBE_NEW  (250 * VMP_WATCH_MSEC)


void vmp_watch_conn_init(vmp_conn_t *conn)
{
    conn->est.srtt    = VMP_EST_SRTT;
    conn->est.rttvar  = VMP_EST_SRTT;
    conn->est.byte_ps = VMP_EST_BYTE_PS;
}

void vmp_watch_path_init(vmp_path_t *path)
{
    path->watch.est       = path->conn->est;
    path->watch.is_silent = 1;
    path->timing          = VMP_TIMING_DUE;
}

/* Bytes in flight that count: a path moves with each chunk, so that the next
 * one or the one behind it tells */
static uint64_t vmp_watch_bytes(const vmp_path_t *path)
{
    return vmp_watch_min(path->pol->inflight,
                         path->conn->iface->chunk_size * 2);
}

uint64_t vmp_watch_limit(const vmp_path_t *path)
{
    const vmp_watch_est_t *est = &path->watch.est;
    const vmp_iface_t *iface   = path->conn->iface;
    uint64_t bytes             = vmp_watch_bytes(path);
    uint64_t limit;

    /* RTO of RFC 6298, and what long requests add */
    limit = est->srtt + (4ull * est->rttvar);
    if (bytes >= VMP_EST_SHORT) {
        limit += bytes * est->byte_ps / 1000;
    }

    return vmp_watch_max(vmp_watch_min(limit, VMP_WATCH_MAX),
                         iface->params.suspect_ns);
}

uint64_t vmp_watch_probe_limit(const vmp_path_t *path)
{
    const vmp_conn_t *conn     = path->conn;
    const vmp_watch_est_t *est = &conn->est;
    uint64_t limit             = est->srtt + (4ull * est->rttvar);

    if (est->is_bulk_known) {
        limit += (uint64_t)conn->iface->path_window * est->byte_ps / 1000;
    }

    /* its work has not begun, so this is no loss but of a try; and a path that
     * never carried is not missed for long */
    limit = vmp_watch_max(limit * 4, (path->epoch == 1) ? VMP_EST_PROBE_NEW :
                                                          VMP_EST_PROBE_MIN);
    return vmp_watch_min(limit << vmp_watch_min(conn->probe_fails[path->index],
                                                4), VMP_WATCH_MAX);
}

static void vmp_watch_sample(vmp_path_t *path, uint64_t time)
{
    vmp_watch_est_t *est = &path->watch.est;
    uint32_t rtt         = vmp_watch_min(time, VMP_WATCH_MAX);
    uint32_t bytes       = path->watch.mark_bytes;
    uint32_t error;
    uint64_t byte_ps;

    if (bytes < VMP_EST_SHORT) {
        if (!est->is_known) {
            est->srtt     = rtt;
            est->rttvar   = rtt / 2;
            est->is_known = 1;
        } else {
            error        = (rtt > est->srtt) ? rtt - est->srtt :
                                               est->srtt - rtt;
            est->srtt   += ((int32_t)rtt - (int32_t)est->srtt) / 8;
            est->rttvar += ((int32_t)error - (int32_t)est->rttvar) /
                           ((error > est->rttvar) ? 4 : VMP_EST_CALM);
        }
    } else {
        byte_ps = vmp_watch_min(rtt * 1000ull / bytes, UINT32_MAX);
        if (!est->is_bulk_known || (byte_ps > est->byte_ps)) {
            est->byte_ps       = byte_ps;
            est->is_bulk_known = 1;
        } else {
            est->byte_ps -= (est->byte_ps - byte_ps) / 8;
        }

        /* a short one would not have taken longer */
        if (!est->is_known && (rtt < est->srtt)) {
            est->srtt   = rtt;
            est->rttvar = rtt / 2;
        }
    }

    path->pol->srtt_ns = est->srtt;
    path->conn->est    = *est;
}

void vmp_watch_begin(vmp_path_t *path)
{
    vmp_watch_t *watch = &path->watch;

    path->timing      = VMP_TIMING_ON;
    watch->mark_pos   = path->head;
    watch->mark_time  = vmp_port_now(path->conn->iface->port);
    watch->mark_bytes = vmp_watch_bytes(path);
}

void vmp_watch_end(vmp_path_t *path)
{
    if ((int32_t)(path->tail - path->watch.mark_pos) >= 0) {
        path->timing = VMP_TIMING_OFF;
        vmp_watch_sample(path, vmp_port_now(path->conn->iface->port) -
                               path->watch.mark_time);
    }
}

void vmp_watch_time(vmp_path_t *path, uint64_t now)
{
    /* the clock is not for every request: that costs */
    if ((path->timing == VMP_TIMING_OFF) &&
        (path->state != VMP_PATH_SUSPECT) &&
        ((now - path->watch.mark_time) >= VMP_EST_PAUSE)) {
        path->timing = VMP_TIMING_DUE;
    }
}

void vmp_watch_forgive(vmp_path_t *path, uint64_t stood)
{
    vmp_watch_est_t *est = &path->watch.est;
    uint64_t byte_ps;

    stood = vmp_watch_min(stood, VMP_WATCH_MAX);
    if (path->pol->inflight >= VMP_EST_SHORT) {
        byte_ps      = stood * 1000 / vmp_watch_bytes(path);
        est->byte_ps = vmp_watch_max(est->byte_ps,
                                     vmp_watch_min(byte_ps, UINT32_MAX));
    } else if (stood > est->srtt) {
        est->rttvar = vmp_watch_max(est->rttvar, (stood - est->srtt) / 4);
    }
}
