/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_SPSC_H_
#define VMP_SPSC_H_

#include <stdatomic.h>
#include <stddef.h>


/**
 * Unbounded single-producer single-consumer queue of intrusive nodes, wait-free
 * on both sides. It carries connection events between the application's thread
 * and the helper thread, never messages. Nodes are allocated with malloc() by
 * the producer, are the first member of what they carry, and are freed by the
 * queue (by the consumer's next pop).
 */
typedef struct vmp_spsc_node {
    struct vmp_spsc_node *_Atomic next;
} vmp_spsc_node_t;

typedef struct vmp_spsc {
    vmp_spsc_node_t *tail;                              /* consumer's */
    char            pad[64 - sizeof(vmp_spsc_node_t*)]; /* no false sharing */
    vmp_spsc_node_t *head;                              /* producer's */
} vmp_spsc_t;


/** Allocate the first dummy node. Return 0, or -1: out of memory. */
int vmp_spsc_init(vmp_spsc_t *queue);

/** Free all nodes left. Both sides must be done. */
void vmp_spsc_cleanup(vmp_spsc_t *queue);

/** Producer only. Takes over `node`. */
void vmp_spsc_push(vmp_spsc_t *queue, vmp_spsc_node_t *node);

/** Consumer only. NULL: empty. The node stays valid until the next pop. */
vmp_spsc_node_t *vmp_spsc_pop(vmp_spsc_t *queue);

/** Consumer only: one load. */
static inline int vmp_spsc_is_empty(const vmp_spsc_t *queue)
{
    return atomic_load_explicit(&queue->tail->next, memory_order_acquire) ==
           NULL;
}


#endif
