/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core/vmp_ctl_int.h"

#include <stdio.h>


vmp_log_level_t vmp_ctl_log_level(vmp_ctl_conn_t *conn)
{
    uint64_t now      = conn->ctl->now;
    unsigned left_out = conn->log_left_out;
    char str[VMP_CTL_STR_MAX];

    if (conn->log_time < now) {
        conn->log_time = now;
    } else if (conn->log_time - now >=
               VMP_CTL_LOG_BURST * VMP_CTL_LOG_INTERVAL) {
        conn->log_left_out++;
        return VMP_LOG_DEBUG;
    }

    conn->log_time    += VMP_CTL_LOG_INTERVAL;
    conn->log_left_out = 0;
    if (left_out > 0) {
        vmp_log_at(vmp_log_failure_level, "vmp: %s: %u lines about paths that "
                   "come and go were left out", vmp_ctl_conn_str(conn, str),
                   left_out);
    }

    return vmp_log_failure_level;
}

const char *vmp_ctl_log_paths(const vmp_ctl_conn_t *conn, uint64_t now,
                              char *buf, size_t max)
{
    size_t len = 0;
    const vmp_ctl_path_slot_t *slot;
    unsigned i;
    int ret;

    buf[0] = '\0';
    for (i = 0; (i < conn->num_paths) && (len < max); i++) {
        slot = &conn->paths[i];
        if (slot->down_time == 0) {
            continue;
        }

        ret  = snprintf(buf + len, max - len,
                        "%spath %u (UDP port %u) for %.1f s, %u tries",
                        (len == 0) ? "" : "; ", i, slot->down_port,
                        (now - slot->down_time) / 1e9, slot->tries);
        len += (ret > 0) ? ret : 0;
    }

    return buf;
}

void vmp_ctl_log_down(vmp_ctl_path_t *path, uint64_t now)
{
    vmp_ctl_conn_t *conn      = path->conn;
    vmp_ctl_path_slot_t *slot = &conn->paths[path->index];
    vmp_log_level_t level;
    char str[VMP_CTL_STR_MAX];
    char paths[256];

    slot->down_time = now;
    slot->down_port = vmp_port_udp_sport(path->entropy);
    slot->tries     = 0;
    if (!conn->is_ending && !vmp_ctl_path_any_up(conn)) {
        level = vmp_ctl_log_level(conn);
        vmp_log_at(level,
                   "vmp: %s: no path is up any more, last path %u; trying on. "
                   "Down: %s", vmp_ctl_conn_str(conn, str), path->index,
                   vmp_ctl_log_paths(conn, now, paths, sizeof(paths)));
    }
}

void vmp_ctl_log_repaired(vmp_ctl_path_t *path, uint64_t now)
{
    vmp_ctl_conn_t *conn      = path->conn;
    vmp_ctl_path_slot_t *slot = &conn->paths[path->index];
    vmp_log_level_t level;
    char str[VMP_CTL_STR_MAX];

    if (slot->down_time != 0) {
        level = vmp_ctl_log_level(conn);
        vmp_log_at(level,
                   "vmp: %s: path %u epoch %u is up again after %.1f ms: rail "
                   "%u to %u, UDP port %u in place of %u, try %u",
                   vmp_ctl_conn_str(conn, str), path->index, path->epoch,
                   (now - slot->down_time) / 1e6, path->rail,
                   path->remote_rail, vmp_port_udp_sport(path->entropy),
                   slot->down_port, slot->tries);
        slot->down_time = 0;
    }
}
