/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_spsc.h"

#include <stdlib.h>


int vmp_spsc_init(vmp_spsc_t *queue)
{
    vmp_spsc_node_t *dummy = malloc(sizeof(*dummy));

    if (dummy == NULL) {
        return -1;
    }

    atomic_init(&dummy->next, NULL);
    queue->tail = dummy;
    queue->head = dummy;
    return 0;
}

void vmp_spsc_cleanup(vmp_spsc_t *queue)
{
    vmp_spsc_node_t *node = queue->tail;
    vmp_spsc_node_t *next;

    while (node != NULL) {
        next = atomic_load_explicit(&node->next, memory_order_acquire);
        free(node);
        node = next;
    }

    queue->tail = NULL;
    queue->head = NULL;
}

void vmp_spsc_push(vmp_spsc_t *queue, vmp_spsc_node_t *node)
{
    vmp_spsc_node_t *prev = queue->head;

    atomic_store_explicit(&node->next, NULL, memory_order_relaxed);
    queue->head = node;
    atomic_store_explicit(&prev->next, node, memory_order_release);
}

vmp_spsc_node_t *vmp_spsc_pop(vmp_spsc_t *queue)
{
    vmp_spsc_node_t *dummy = queue->tail;
    vmp_spsc_node_t *node  = atomic_load_explicit(&dummy->next,
                                                  memory_order_acquire);

    if (node == NULL) {
        return NULL;
    }

    /* what is popped becomes the dummy, and is freed by the next pop */
    queue->tail = node;
    free(dummy);
    return node;
}
