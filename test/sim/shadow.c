/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "oracle.h"
#include "../common/vmp_content.h"

#include <stdlib.h>

/*
 * What memory may hold. Puts are known by what they write; which of those that
 * cover a byte may be seen there follows from who knows what: a put is behind
 * another if that one was complete before it was posted, or came before a fence
 * of the same endpoint. Of puts without order between them either may be last,
 * for each byte.
 */
#define SHADOW_MAX  1024                /* puts over one range */


/* Who looks: a get, a message (when it is delivered), or whoever knows of
 * everything that is complete */
typedef struct reader {
    const op_t *op;                     /* NULL: knows all */
} reader_t;


void shadow_fill(void *data, const op_t *op)
{
    vmp_content_fill(data, op->length, op->key, 0);
}

int shadow_matches(const void *data, const op_t *op, uint32_t offset)
{
    uint8_t want;

    return vmp_content_check((const uint8_t*)data + offset,
                             op->length - offset, op->key, offset,
                             &want) == VMP_CONTENT_OK;
}

static int is_before(const op_t *first, const op_t *second)
{
    return ((first->completed != 0) && (first->completed < second->posted)) ||
           ((first->ep == second->ep) && (first->epoch < second->epoch));
}

static int is_seen(const op_t *put, const reader_t *reader)
{
    return (reader->op == NULL) ? (put->completed != 0) :
                                  is_before(put, reader->op);
}

/* A get has read before what is behind it; a message is looked at later */
static int is_later(const op_t *put, const reader_t *reader)
{
    return (reader->op != NULL) && (reader->op->type >= ACT_GET_BCOPY) &&
           is_before(reader->op, put);
}

/* Whether it did all that it should; those that were cut short may have. If its
 * endpoint is gone, what the endpoint sent behind a fence tells. */
static int is_certain(const op_t *put, const reader_t *reader)
{
    return (put->state == OP_POSTED) || (put->state == OP_DONE) ||
           ((put->state == OP_ORPHAN) && !put->is_cancel &&
            (reader->op != NULL) && (reader->op->ep == put->ep) &&
            (put->epoch < reader->op->epoch));
}

static int covers(const op_t *put, uint32_t offset)
{
    return (offset >= put->offset) && (offset < (put->offset + put->length));
}

static void complain(const region_t *region, const reader_t *reader,
                     uint32_t offset, uint8_t have, const op_t **puts,
                     unsigned num, int is_initial, const char *rule)
{
    char text[512] = "";
    size_t len     = 0;
    unsigned i;

    for (i = 0; (i < num) && (len < (sizeof(text) - 80)); ++i) {
        len += snprintf(text + len, sizeof(text) - len, " %s",
                        op_str(puts[i]));
    }

    oracle_fail(rule, "byte %u of host %u's memory, as %s sees it, is 0x%02x: "
                "of none of%s%s", offset, region->host->index,
                (reader->op != NULL) ? op_str(reader->op) : "everybody", have,
                text, is_initial ? " the initial contents" : "");
}

/* A range over which the same puts lie */
static void check_piece(const region_t *region, const reader_t *reader,
                        uint32_t start, uint32_t end, const uint8_t *data,
                        const op_t **all, unsigned num_all, const char *rule)
{
    int is_initial = 1;
    unsigned num   = 0;
    const op_t *puts[SHADOW_MAX];
    uint8_t byte;
    uint32_t pos;
    unsigned i;
    unsigned j;

    for (i = 0; i < num_all; ++i) {
        if (!covers(all[i], start)) {
            continue;
        }

        if (is_certain(all[i], reader) && is_seen(all[i], reader)) {
            is_initial = 0;
        }

        for (j = 0; j < num_all; ++j) {
            if (covers(all[j], start) && is_certain(all[j], reader) &&
                is_before(all[i], all[j]) && is_seen(all[j], reader)) {
                break;
            }
        }

        if (j == num_all) {
            puts[num++] = all[i];
        }
    }

    if ((num == 1) && !is_initial) {
        pos = vmp_content_check(data, end - start, puts[0]->key,
                                start - puts[0]->offset, &byte);
        if (pos != (uint32_t)VMP_CONTENT_OK) {
            complain(region, reader, start + pos, data[pos], puts, num, 0,
                     rule);
        }
        return;
    }

    for (pos = start; pos < end; ++pos) {
        for (i = 0; i < num; ++i) {
            vmp_content_fill(&byte, 1, puts[i]->key, pos - puts[i]->offset);
            if (data[pos - start] == byte) {
                break;
            }
        }

        if (i < num) {
            continue;
        }

        vmp_content_fill(&byte, 1, region->key, pos);
        if (!is_initial || (data[pos - start] != byte)) {
            complain(region, reader, pos, data[pos - start], puts, num,
                     is_initial, rule);
        }
    }
}

static int compare_pos(const void *ptr1, const void *ptr2)
{
    uint32_t pos1 = *(const uint32_t*)ptr1;
    uint32_t pos2 = *(const uint32_t*)ptr2;

    return (pos1 > pos2) - (pos1 < pos2);
}

/* Whether `data` may be what `reader` finds at `offset` of a region */
static void check(const region_t *region, const reader_t *reader,
                  uint32_t offset, uint32_t length, const uint8_t *data,
                  const char *rule)
{
    uint32_t end = offset + length;
    unsigned num = 0;
    unsigned cut = 0;
    uint32_t cuts[(2 * SHADOW_MAX) + 2];
    const op_t *puts[SHADOW_MAX];
    const op_t *put;
    uint32_t i;

    if ((length == 0) || region->is_gone) {
        return;
    }

    for (i = 0; i < region->num_puts; ++i) {
        put = region->puts[i];
        if ((put->offset >= end) || ((put->offset + put->length) <= offset) ||
            is_later(put, reader)) {
            continue;
        }

        oracle_check(num < SHADOW_MAX, "bound", "more than %u puts to one "
                     "place: too many to tell what is right there",
                     SHADOW_MAX);
        puts[num++] = put;
        cuts[cut++] = (put->offset > offset) ? put->offset : offset;
        if ((put->offset + put->length) < end) {
            cuts[cut++] = put->offset + put->length;
        }
    }

    cuts[cut++] = offset;
    cuts[cut++] = end;
    qsort(cuts, cut, sizeof(cuts[0]), compare_pos);
    for (i = 0; (i + 1) < cut; ++i) {
        if (cuts[i] < cuts[i + 1]) {
            check_piece(region, reader, cuts[i], cuts[i + 1],
                        data + (cuts[i] - offset), puts, num, rule);
        }
    }
}

void shadow_check_put(op_t *put, const char *rule)
{
    reader_t reader = {NULL};

    if (!put->is_checked) {
        put->is_checked = 1;
        check(put->region, &reader, put->offset, put->length,
              put->region->data + put->offset, rule);
    }
}

void shadow_check_fence(op_t *put, const op_t *am)
{
    reader_t reader = {am};

    check(put->region, &reader, put->offset, put->length,
          put->region->data + put->offset, "fence");
}

void shadow_check_get(const op_t *get, const void *data)
{
    reader_t reader = {get};

    check(get->region, &reader, get->offset, get->length, data, "get");
}

void shadow_check_region(const region_t *region)
{
    reader_t reader = {NULL};

    check(region, &reader, 0, region->size, region->data, "memory");
}
