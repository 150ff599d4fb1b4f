/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_LIST_H_
#define VMP_LIST_H_

#include <stddef.h>


/** Intrusive doubly linked ring; an element that is in no list points to
 *  itself, so that removing it twice does no harm. */
typedef struct vmp_link {
    struct vmp_link *next;
    struct vmp_link *prev;
} vmp_link_t;

#define vmp_container_of(_ptr, _type, _member) \
    ((_type*)((char*)(_ptr) - offsetof(_type, _member)))


static inline void vmp_list_init(vmp_link_t *head)
{
    head->next = head;
    head->prev = head;
}

static inline int vmp_list_is_empty(const vmp_link_t *head)
{
    return head->next == head;
}

static inline void vmp_list_add_tail(vmp_link_t *head, vmp_link_t *elem)
{
    elem->next       = head;
    elem->prev       = head->prev;
    head->prev->next = elem;
    head->prev       = elem;
}

static inline void vmp_list_add_head(vmp_link_t *head, vmp_link_t *elem)
{
    vmp_list_add_tail(head->next, elem);
}

static inline void vmp_list_del(vmp_link_t *elem)
{
    elem->prev->next = elem->next;
    elem->next->prev = elem->prev;
    vmp_list_init(elem);
}

/** Whether an initialised element is in a list */
static inline int vmp_list_is_linked(const vmp_link_t *elem)
{
    return elem->next != elem;
}

/** Add at the tail unless it is in a list already */
static inline void vmp_list_add_once(vmp_link_t *head, vmp_link_t *elem)
{
    if (!vmp_list_is_linked(elem)) {
        vmp_list_add_tail(head, elem);
    }
}

#define vmp_list_for_each(_elem, _head) \
    for ((_elem) = (_head)->next; (_elem) != (_head); (_elem) = (_elem)->next)

#define vmp_list_for_each_safe(_elem, _tmp, _head) \
    for ((_elem) = (_head)->next, (_tmp) = (_elem)->next; \
         (_elem) != (_head); (_elem) = (_tmp), (_tmp) = (_elem)->next)


#endif
