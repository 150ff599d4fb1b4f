/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_MPI_PARTS_H_
#define VMP_MPI_PARTS_H_

#include "vmp_mpi_check.h"


/* What a collective sends or receives: parts of different lengths, a rank each,
 * one behind the other with gaps between */
typedef struct {
    int    *counts, *displs;
    size_t span;
} parts_t;


/* Bytes that @a src has for @a dst: none at times */
int parts_draw(int src, int dst, size_t size, uint64_t index);

void parts_alloc(parts_t *parts);

void parts_add(parts_t *parts, int peer, int size);

void parts_free(parts_t *parts);

/* Contents of the part that @a src has for @a dst */
void part_fill(uint8_t *buf, const parts_t *parts, int src, int dst,
               uint64_t index);

/* Also that the gap behind it is untouched */
void part_check(const uint8_t *buf, const parts_t *parts, int src, int dst,
                uint64_t index, const char *op);

#endif
