/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_mpi_parts.h"

#define GAP 13


int parts_draw(int src, int dst, size_t size, uint64_t index)
{
    uint64_t key = make_key(50, src, dst, index);

    return ((key % 5) == 0) ? 0 : (int)((key >> 8) % (size + 1));
}

void parts_alloc(parts_t *parts)
{
    parts->counts = alloc(nprocs * sizeof(int));
    parts->displs = alloc(nprocs * sizeof(int));
    parts->span   = 0;
}

void parts_add(parts_t *parts, int peer, int size)
{
    parts->counts[peer] = size;
    parts->displs[peer] = (int)parts->span;
    parts->span        += (size_t)size + GAP;
}

void parts_free(parts_t *parts)
{
    free(parts->counts);
    free(parts->displs);
}

void part_fill(uint8_t *buf, const parts_t *parts, int src, int dst,
               uint64_t index)
{
    fill(buf + parts->displs[dst], parts->counts[dst],
         make_key(51, src, dst, index), 0);
}

void part_check(const uint8_t *buf, const parts_t *parts, int src, int dst,
                uint64_t index, const char *op)
{
    const uint8_t *gap = buf + parts->displs[src] + parts->counts[src];
    int i;

    check(buf + parts->displs[src], parts->counts[src],
          make_key(51, src, dst, index), 0, op, src);
    for (i = 0; i < GAP; ++i) {
        check_value(op, src, gap[i], GUARD_BYTE);
    }
}
