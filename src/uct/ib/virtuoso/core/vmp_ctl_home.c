/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core/vmp_ctl_int.h"
#include "core/vmp_entropy.h"

/*
 * Where paths come from. Links that fail one after the other would drive the paths
 * of a connection together on few links, where they stay when all are healed.
 * So each path remembers the entropy value on which it was up for long (its home),
 * and its leader tries that again from time to time: the path goes there as if it
 * had failed where it is, and comes back to where it was if it does not carry
 * there. One path of a connection at a time, and never the last one that carries.
 */

#define VMP_CTL_HOME_MIN  1000          /* ms: until the first try */
#define VMP_CTL_HOME_MAX  16000


static void home_put_off(vmp_ctl_path_slot_t *slot, uint64_t now)
{
    slot->home_wait_ms *= 2;
    if (slot->home_wait_ms > VMP_CTL_HOME_MAX) {
        slot->home_wait_ms = VMP_CTL_HOME_MAX;
    }

    slot->home_at = now + slot->home_wait_ms * VMP_CTL_MSEC;
}

void vmp_ctl_home_left(const vmp_ctl_path_t *path, uint64_t now)
{
    vmp_ctl_path_slot_t *slot = &path->conn->paths[path->index];
    uint64_t up_time          = path->is_proved ? now - path->proved_time : 0;
    int is_stable             = (up_time >= VMP_CTL_STABLE);

    if ((path->state != VMP_CTL_PATH_STATE_UP) || !path->conn->is_leader) {
        return;
    }

    if ((slot->home == 0) && is_stable) {
        slot->home = path->entropy;
    }

    if (path->entropy != slot->home) {
        return;
    }

    /* a link that comes and goes, however slowly, is to cost ever less: only who
     * stayed there for longer than it had waited begins anew */
    if (is_stable &&
        (up_time >= 2 * slot->home_wait_ms * VMP_CTL_MSEC)) {
        slot->home_wait_ms = VMP_CTL_HOME_MIN / 2;
    }

    home_put_off(slot, now);
}

/* Whether a path is up elsewhere, so that it could go home */
static int is_away(const vmp_ctl_path_slot_t *slot)
{
    return (slot->path != NULL) && (slot->home != 0) &&
           (slot->path->state == VMP_CTL_PATH_STATE_UP) &&
           slot->path->is_proved && (slot->path->entropy != slot->home);
}

/* Not the last one that carries, nor before the one that went before it has
 * arrived or come back, nor without need */
static int may_go(const vmp_ctl_conn_t *conn)
{
    unsigned i;

    for (i = 0; i < conn->num_paths; i++) {
        if (conn->paths[i].going_home != VMP_CTL_HOME_REST) {
            return 0;
        }
    }

    return conn->is_leader && (vmp_ctl_path_num_carrying(conn) > 1) &&
           (conn->has_user || !conn->peer_is_idle);
}

void vmp_ctl_home_return(vmp_ctl_conn_t *conn, uint64_t now)
{
    vmp_ctl_path_slot_t *slot;
    char str[VMP_CTL_STR_MAX];
    unsigned i;

    for (i = 0; i < conn->num_paths; i++) {
        slot = &conn->paths[i];
        if (!is_away(slot) || (slot->home_at > now) || !may_go(conn)) {
            continue;
        }

        if (vmp_entropy_is_taken(conn, slot->home)) {
            slot->home_at = now + VMP_CTL_HOME_MAX * VMP_CTL_MSEC;
            continue;
        }

        vmp_info("vmp: %s: path %u goes back from UDP port %u to %u",
                 vmp_ctl_conn_str(conn, str), i,
                 vmp_port_udp_sport(slot->path->entropy),
                 vmp_port_udp_sport(slot->home));
        slot->home_back = slot->path->entropy;
        vmp_ctl_path_retire(slot->path, now);
        slot->going_home = VMP_CTL_HOME_LEAVES;
        slot->repair_at  = now;
        return;                         /* one at a time */
    }
}

uint32_t vmp_ctl_home_entropy(vmp_ctl_conn_t *conn, unsigned index,
                              uint32_t epoch)
{
    vmp_ctl_path_slot_t *slot = &conn->paths[index];
    int is_leaving            = (slot->going_home == VMP_CTL_HOME_LEAVES);
    uint32_t back             = slot->home_back;

    if ((slot->going_home == VMP_CTL_HOME_TRIES) &&
        (slot->home_at <= conn->ctl->now)) {
        home_put_off(slot, conn->ctl->now); /* it never came up there */
    }

    if (is_leaving && !vmp_entropy_is_taken(conn, slot->home)) {
        slot->going_home = VMP_CTL_HOME_TRIES;
        return slot->home;
    }

    slot->going_home = VMP_CTL_HOME_REST;
    slot->home_back  = 0;
    return ((back != 0) && !vmp_entropy_is_taken(conn, back)) ?
           back : vmp_entropy_choose(conn, index, epoch);
}

void vmp_ctl_home_proved(const vmp_ctl_path_t *path)
{
    vmp_ctl_path_slot_t *slot = &path->conn->paths[path->index];

    slot->going_home = VMP_CTL_HOME_REST;
    slot->home_back  = 0;
}

uint64_t vmp_ctl_home_time(const vmp_ctl_conn_t *conn)
{
    uint64_t next = UINT64_MAX;
    unsigned i;

    if ((conn->state != VMP_CTL_CONN_CONNECTED) || !may_go(conn)) {
        return next;
    }

    for (i = 0; i < conn->num_paths; i++) {
        if (is_away(&conn->paths[i]) && (conn->paths[i].home_at < next)) {
            next = conn->paths[i].home_at;
        }
    }

    return next;
}
