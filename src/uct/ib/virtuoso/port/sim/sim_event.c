/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "sim_int.h"

/*
 * Time: a heap of what is to happen, ordered by time and, at the same time, by
 * the order in which it was asked for.
 */

#define SIM_HEAP_ARITY  4


typedef struct sim_slot {
    uint64_t time;
    uint64_t order;
    sim_ev_t *ev;
} sim_slot_t;

static sim_slot_t *heap;
static uint32_t   heap_num;
static uint32_t   heap_max;
static uint64_t   heap_order;


static inline int sim_is_before(const sim_slot_t *a, const sim_slot_t *b)
{
    return (a->time < b->time) ||
           ((a->time == b->time) && (a->order < b->order));
}

static inline void sim_heap_set(uint32_t i, const sim_slot_t *slot)
{
    heap[i]      = *slot;
    slot->ev->pos = i + 1;
}

static void sim_heap_up(uint32_t i)
{
    sim_slot_t slot = heap[i];
    uint32_t parent;

    while (i > 0) {
        parent = (i - 1) / SIM_HEAP_ARITY;
        if (!sim_is_before(&slot, &heap[parent])) {
            break;
        }

        sim_heap_set(i, &heap[parent]);
        i = parent;
    }

    sim_heap_set(i, &slot);
}

static void sim_heap_down(uint32_t i)
{
    sim_slot_t slot = heap[i];
    uint32_t best;
    uint32_t end;
    uint32_t child;

    while ((child = (i * SIM_HEAP_ARITY) + 1) < heap_num) {
        end  = child + SIM_HEAP_ARITY;
        end  = (end < heap_num) ? end : heap_num;
        best = child;
        while (++child < end) {
            best = sim_is_before(&heap[child], &heap[best]) ? child : best;
        }

        if (!sim_is_before(&heap[best], &slot)) {
            break;
        }

        sim_heap_set(i, &heap[best]);
        i = best;
    }

    sim_heap_set(i, &slot);
}

void sim_ev_cancel(sim_ev_t *ev)
{
    uint32_t i = ev->pos - 1;

    if (ev->pos == 0) {
        return;
    }

    ev->pos = 0;
    if (i != --heap_num) {
        sim_heap_set(i, &heap[heap_num]);
        sim_heap_up(i);
        sim_heap_down(heap[i].ev->pos - 1);
    }
}

void sim_ev_at(sim_ev_t *ev, uint64_t time)
{
    sim_ev_cancel(ev);
    if (heap_num == heap_max) {
        heap_max = (heap_max == 0) ? 1024 : heap_max * 2;
        heap     = realloc(heap, heap_max * sizeof(*heap));
        if (heap == NULL) {
            abort();
        }
    }

    sim_heap_set(heap_num, &(sim_slot_t){
        .time  = (time > sim.now) ? time : sim.now,
        .order = heap_order++,
        .ev    = ev
    });
    sim_heap_up(heap_num++);
}

void sim_events_free(void)
{
    sim_ev_t *ev;

    while (heap_num > 0) {
        ev      = heap[--heap_num].ev;
        ev->pos = 0;
        if (ev->type == SIM_EV_PKT) {
            sim_pkt_free((sim_pkt_t*)ev);
        }
    }

    free(heap);
    heap       = NULL;
    heap_max   = 0;
    heap_order = 0;
}

static void sim_happen(sim_ev_t *ev)
{
    vmp_port_t *port;

    switch (ev->type) {
    case SIM_EV_PKT:
        sim_pkt_arrive((sim_pkt_t*)ev);
        break;
    case SIM_EV_QP_TIMER:
        sim_req_timer(vmp_container_of(ev, vmp_port_qp_t, timer));
        break;
    case SIM_EV_QP_DEATH:
        sim_qp_death(vmp_container_of(ev, vmp_port_qp_t, death));
        break;
    case SIM_EV_NIC_TX:
        sim_nic_run(vmp_container_of(ev, sim_nic_t, tx_ev));
        break;
    case SIM_EV_HELPER:
        sim_helper_run(vmp_container_of(ev, vmp_port_t, helper_ev));
        break;
    case SIM_EV_ARM:
        port = vmp_container_of(ev, vmp_port_t, arm_ev);
        sim_port_event(port, SIM_ARMED);
        break;
    }
}

uint64_t sim_next(void)
{
    return (heap_num == 0) ? SIM_NEVER : heap[0].time;
}

unsigned sim_step(uint64_t max)
{
    uint64_t end   = (max > (SIM_NEVER - sim.now)) ? SIM_NEVER : sim.now + max;
    unsigned count = 0;
    sim_ev_t *ev;

    if (sim_next() > end) {
        sim.now = end;
        return 0;
    }

    if (heap_num == 0) {
        return 0;
    }

    sim.now = heap[0].time;
    while ((heap_num > 0) && (heap[0].time == sim.now)) {
        ev = heap[0].ev;
        sim_ev_cancel(ev);
        sim_happen(ev);
        ++count;
    }

    sim_counters.events += count;
    return count;
}

void sim_run(uint64_t ns)
{
    uint64_t end = sim.now + ns;

    while (sim.now < end) {
        sim_step(end - sim.now);
    }
}
