/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core/vmp_ctl_int.h"

#include <search.h>
#include <stdlib.h>


#define VMP_CTL_SLOTS_INITIAL  16


/* Slots */

static int slots_grow(vmp_ctl_t *ctl)
{
    uint32_t num = (ctl->num_slots == 0) ? VMP_CTL_SLOTS_INITIAL :
                   ctl->num_slots * 2;
    vmp_ctl_conn_t **slots, **heap;
    uint32_t i;

    if (num > VMP_CTL_MAX_CONNS) {
        return -1;
    }

    slots = realloc(ctl->slots, num * sizeof(*slots));
    if (slots == NULL) {
        return -1;
    }

    for (i = ctl->num_slots; i < num; i++) {
        slots[i] = NULL;
    }
    ctl->slots = slots;

    /* Room for all, so that starting a timer cannot fail */
    heap = realloc(ctl->heap, num * sizeof(*heap));
    if (heap == NULL) {
        return -1;
    }

    ctl->heap      = heap;
    ctl->num_slots = num;
    return 0;
}

int vmp_ctl_slot_add(vmp_ctl_t *ctl, vmp_ctl_conn_t *conn)
{
    uint32_t i;

    /* An incarnation is never given twice, so the last one is the end */
    if ((ctl->next_incarn == UINT32_MAX) ||
        ((ctl->num_conns == ctl->num_slots) && (slots_grow(ctl) < 0))) {
        return -1;
    }

    for (i = ctl->next_free % ctl->num_slots; ctl->slots[i] != NULL;
         i = (i + 1) % ctl->num_slots) {
    }

    ctl->next_free   = i + 1;
    ctl->slots[i]    = conn;
    conn->slot       = i;
    conn->incarn     = ctl->next_incarn++;
    conn->heap_index = VMP_CTL_NO_TIMER;
    ctl->num_conns++;
    return 0;
}

void vmp_ctl_slot_remove(vmp_ctl_t *ctl, vmp_ctl_conn_t *conn)
{
    ctl->slots[conn->slot] = NULL;
    ctl->num_conns--;
}

vmp_ctl_conn_t *vmp_ctl_slot_find(const vmp_ctl_t *ctl, uint32_t slot,
                                  uint32_t incarn)
{
    vmp_ctl_conn_t *conn = (slot < ctl->num_slots) ? ctl->slots[slot] : NULL;

    return ((conn != NULL) && (conn->incarn == incarn)) ? conn : NULL;
}


/* Peers */

static int peer_cmp(const void *a, const void *b)
{
    const vmp_ctl_peer_t *pa = a, *pb = b;

    if (pa->id != pb->id) {
        return (pa->id < pb->id) ? -1 : 1;
    }

    return (int)pa->role - (int)pb->role;
}

vmp_ctl_peer_t *vmp_ctl_peer_find(const vmp_ctl_t *ctl, uint64_t id,
                                  uint8_t role)
{
    vmp_ctl_peer_t key = {.id = id, .role = role};
    void *node         = tfind(&key, &ctl->peers, peer_cmp);

    return (node == NULL) ? NULL : *(vmp_ctl_peer_t**)node;
}

static void peer_old_remove(vmp_ctl_t *ctl, vmp_ctl_peer_t *peer)
{
    *((peer->prev == NULL) ? &ctl->old_head : &peer->prev->next) = peer->next;
    *((peer->next == NULL) ? &ctl->old_tail : &peer->next->prev) = peer->prev;
    peer->next = peer->prev = NULL;
    ctl->num_old--;
}

static void peer_old_add(vmp_ctl_t *ctl, vmp_ctl_peer_t *peer, uint64_t now)
{
    peer->forget_at = now + VMP_CTL_PEER_MEMORY;
    peer->next      = NULL;
    peer->prev      = ctl->old_tail;
    *((ctl->old_tail == NULL) ? &ctl->old_head : &ctl->old_tail->next) = peer;
    ctl->old_tail   = peer;
    ctl->num_old++;
}

vmp_ctl_peer_t *vmp_ctl_peer_get(vmp_ctl_t *ctl, uint64_t id, uint8_t role)
{
    vmp_ctl_peer_t *peer = vmp_ctl_peer_find(ctl, id, role);

    if (peer != NULL) {
        return peer;
    }

    peer = calloc(1, sizeof(*peer));
    if (peer == NULL) {
        return NULL;
    }

    peer->id   = id;
    peer->role = role;
    if (tsearch(peer, &ctl->peers, peer_cmp) == NULL) {
        free(peer);
        return NULL;
    }

    peer_old_add(ctl, peer, 0);
    return peer;
}

void vmp_ctl_peer_attach(vmp_ctl_t *ctl, vmp_ctl_peer_t *peer,
                         vmp_ctl_conn_t *conn)
{
    peer_old_remove(ctl, peer);
    peer->conn = conn;
    conn->peer = peer;
}

void vmp_ctl_peer_detach(vmp_ctl_t *ctl, vmp_ctl_conn_t *conn, uint64_t now)
{
    vmp_ctl_peer_t *peer = conn->peer;

    conn->peer = NULL;
    peer->conn = NULL;
    peer_old_add(ctl, peer, now);
}

void vmp_ctl_peer_expire(vmp_ctl_t *ctl, uint64_t now)
{
    vmp_ctl_peer_t *peer;

    while (((peer = ctl->old_head) != NULL) &&
           ((peer->forget_at <= now) ||
            (ctl->num_old > VMP_CTL_MAX_OLD_PEERS))) {
        peer_old_remove(ctl, peer);
        tdelete(peer, &ctl->peers, peer_cmp);
        free(peer);
    }
}

void vmp_ctl_peers_free(vmp_ctl_t *ctl)
{
    tdestroy(ctl->peers, free);
    ctl->peers = NULL;
}


/* Timers: a binary heap of the connections that wait for something */

static void heap_put(vmp_ctl_t *ctl, uint32_t i, vmp_ctl_conn_t *conn)
{
    ctl->heap[i]     = conn;
    conn->heap_index = i;
}

static void heap_up(vmp_ctl_t *ctl, uint32_t i, vmp_ctl_conn_t *conn)
{
    uint32_t parent;

    for (; i > 0; i = parent) {
        parent = (i - 1) / 2;
        if (ctl->heap[parent]->resend_at <= conn->resend_at) {
            break;
        }
        heap_put(ctl, i, ctl->heap[parent]);
    }

    heap_put(ctl, i, conn);
}

static void heap_down(vmp_ctl_t *ctl, uint32_t i, vmp_ctl_conn_t *conn)
{
    uint32_t child;

    for (; (child = 2 * i + 1) < ctl->heap_len; i = child) {
        if ((child + 1 < ctl->heap_len) &&
            (ctl->heap[child + 1]->resend_at < ctl->heap[child]->resend_at)) {
            child++;
        }
        if (conn->resend_at <= ctl->heap[child]->resend_at) {
            break;
        }
        heap_put(ctl, i, ctl->heap[child]);
    }

    heap_put(ctl, i, conn);
}

void vmp_ctl_timer_clear(vmp_ctl_conn_t *conn)
{
    vmp_ctl_t *ctl = conn->ctl;
    uint32_t i     = conn->heap_index;
    vmp_ctl_conn_t *last;

    if (i == VMP_CTL_NO_TIMER) {
        return;
    }

    conn->heap_index = VMP_CTL_NO_TIMER;
    last             = ctl->heap[--ctl->heap_len];
    if (last != conn) {
        heap_down(ctl, i, last);
        heap_up(ctl, last->heap_index, last);
    }
}

void vmp_ctl_timer_set(vmp_ctl_conn_t *conn, uint64_t time)
{
    vmp_ctl_t *ctl = conn->ctl;

    vmp_ctl_timer_clear(conn);
    conn->resend_at = time;
    heap_up(ctl, ctl->heap_len++, conn);
}


/* Half-open connections, oldest first */

void vmp_ctl_half_add(vmp_ctl_conn_t *conn)
{
    vmp_ctl_t *ctl = conn->ctl;

    conn->is_half_open = 1;
    conn->half_next    = NULL;
    conn->half_prev    = ctl->half_tail;
    *((ctl->half_tail == NULL) ? &ctl->half_head :
      &ctl->half_tail->half_next) = conn;
    ctl->half_tail     = conn;
    ctl->num_half++;
}

void vmp_ctl_half_remove(vmp_ctl_conn_t *conn)
{
    vmp_ctl_t *ctl = conn->ctl;

    if (!conn->is_half_open) {
        return;
    }

    conn->is_half_open = 0;
    *((conn->half_prev == NULL) ? &ctl->half_head :
      &conn->half_prev->half_next) = conn->half_next;
    *((conn->half_next == NULL) ? &ctl->half_tail :
      &conn->half_next->half_prev) = conn->half_prev;
    ctl->num_half--;
}
