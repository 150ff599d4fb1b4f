/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_conn.h"

#include <stdlib.h>

/*
 * Whose turn it is to be looked at. A program that polls has all of them looked
 * at, a few at a time. Before it sleeps only those that something has happened
 * to, and those whose time has come: a heap of the others' times says when to
 * wake up.
 */

#define VMP_WATCH_CONNS      8              /* looked at a call */
#define VMP_WATCH_ARM_CONNS  64             /* looked at before sleeping */


static void vmp_watch_heap_set(vmp_iface_t *iface, uint32_t pos,
                               vmp_conn_t *conn)
{
    iface->watch_heap[pos - 1] = conn;
    conn->heap_pos             = pos;
}

/* Put a connection where it belongs, from a free place on */
static void vmp_watch_heap_sift(vmp_iface_t *iface, uint32_t pos,
                                vmp_conn_t *conn)
{
    vmp_conn_t **heap = iface->watch_heap;
    uint32_t child;

    for (; (pos > 1) && (heap[(pos / 2) - 1]->look_time > conn->look_time);
         pos /= 2) {
        vmp_watch_heap_set(iface, pos, heap[(pos / 2) - 1]);
    }

    while ((child = pos * 2) <= iface->watch_num) {
        if ((child < iface->watch_num) &&
            (heap[child]->look_time < heap[child - 1]->look_time)) {
            ++child;
        }

        if (heap[child - 1]->look_time >= conn->look_time) {
            break;
        }

        vmp_watch_heap_set(iface, pos, heap[child - 1]);
        pos = child;
    }

    vmp_watch_heap_set(iface, pos, conn);
}

static void vmp_watch_heap_remove(vmp_conn_t *conn)
{
    vmp_iface_t *iface = conn->iface;
    uint32_t pos       = conn->heap_pos;
    vmp_conn_t *last;

    if (pos == 0) {
        return;
    }

    conn->heap_pos = 0;
    last           = iface->watch_heap[--iface->watch_num];
    if (last != conn) {
        vmp_watch_heap_sift(iface, pos, last);
    }
}

/* Return 0, or -1: no memory */
static int vmp_watch_heap_grow(vmp_iface_t *iface)
{
    uint32_t max = (iface->watch_max == 0) ? 64 : iface->watch_max * 2;
    vmp_conn_t **heap;

    if (iface->watch_num < iface->watch_max) {
        return 0;
    }

    heap = realloc(iface->watch_heap, max * sizeof(*heap));
    if (heap == NULL) {
        return -1;
    }

    iface->watch_heap = heap;
    iface->watch_max  = max;
    return 0;
}

/* Return 0, or -1: no memory */
static int vmp_watch_heap_add(vmp_conn_t *conn, uint64_t time)
{
    vmp_iface_t *iface = conn->iface;

    vmp_watch_heap_remove(conn);
    if (time == UINT64_MAX) {
        return 0;
    }

    if (vmp_watch_heap_grow(iface) != 0) {
        return -1;
    }

    conn->look_time = time;
    vmp_watch_heap_sift(iface, ++iface->watch_num, conn);
    return 0;
}

void vmp_watch_add_slow(vmp_conn_t *conn)
{
    vmp_iface_t *iface = conn->iface;

    if (!vmp_list_is_linked(&conn->watched)) {
        conn->is_fresh = 1;
        vmp_list_add_tail(&iface->watched, &conn->watched);
    }

    conn->is_touched = 1;
    vmp_list_add_tail(&iface->touched, &conn->touched);
}

void vmp_watch_remove(vmp_conn_t *conn)
{
    conn->is_touched = 0;
    vmp_list_del(&conn->watched);
    vmp_list_del(&conn->touched);
    vmp_watch_heap_remove(conn);
}

/* The later, the less it matters when: so many connections wake up together */
static uint64_t vmp_watch_round(uint64_t time, uint64_t now)
{
    uint64_t step;

    if ((time == UINT64_MAX) || (time < (now + VMP_WATCH_MSEC))) {
        return time;
    }

    step = 1ull << (63 - __builtin_clzll((time - now) / 8));
    return (time + step - 1) & ~(step - 1);
}

/* Before sleeping */
static void vmp_watch_settle(vmp_conn_t *conn, uint64_t now)
{
    uint64_t next = vmp_watch_look(conn, now);
    uint64_t time;

    /* also by what the look has posted: that is among what it returns */
    vmp_list_del(&conn->touched);
    conn->is_touched = 0;
    if (next == 0) {
        vmp_watch_remove(conn);
        return;
    }

    /* not again in this call: between looks the CQ is polled */
    time = vmp_watch_max(vmp_watch_round(next, now), now + 1);
    if (vmp_watch_heap_add(conn, time) != 0) {
        vmp_watch_add(conn);            /* it is looked at each time */
    }
}

void vmp_watch_progress(vmp_iface_t *iface)
{
    uint64_t now           = vmp_port_now(iface->port);
    unsigned max           = VMP_WATCH_CONNS;
    const vmp_link_t *last = iface->watched.prev;
    const vmp_link_t *link;
    vmp_conn_t *conn;

    do {
        link = iface->watched.next;
        conn = vmp_container_of(link, vmp_conn_t, watched);
        vmp_list_del(&conn->watched);
        vmp_list_add_tail(&iface->watched, &conn->watched);
        if (vmp_watch_look(conn, now) == 0) {
            vmp_watch_remove(conn);
        }
    } while ((--max > 0) && (link != last) &&
             !vmp_list_is_empty(&iface->watched));
}

uint64_t vmp_watch_deadline(vmp_iface_t *iface)
{
    unsigned max = VMP_WATCH_ARM_CONNS;
    uint64_t next;
    uint64_t now;

    if (vmp_list_is_empty(&iface->watched)) {
        return UINT64_MAX;
    }

    now = vmp_port_now(iface->port);
    for (; (max > 0) && !vmp_list_is_empty(&iface->touched); --max) {
        vmp_watch_settle(vmp_container_of(iface->touched.next, vmp_conn_t,
                                          touched), now);
    }

    for (; (max > 0) && (iface->watch_num > 0) &&
         (iface->watch_heap[0]->look_time <= now); --max) {
        vmp_watch_settle(iface->watch_heap[0], now);
    }

    next = (iface->watch_num > 0) ? iface->watch_heap[0]->look_time :
                                    UINT64_MAX;
    return vmp_list_is_empty(&iface->touched) ?
           next : vmp_watch_min(next, now + VMP_WATCH_MSEC);
}
