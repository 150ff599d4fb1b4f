/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_pool.h"
#include "vmp_log.h"

#include <stdlib.h>

#define VMP_OBJ_CHUNK   64              /* objects */
#define VMP_BUF_ALIGN   64              /* bytes: a cache line */
#define VMP_PAGE_SIZE   4096


struct vmp_obj_chunk {
    vmp_obj_chunk_t *next;
    char            data[] __attribute__((aligned(16)));
};

struct vmp_buf_chunk {
    vmp_buf_chunk_t *next;
    void            *data;
    vmp_mem_t       mem;
};


void vmp_obj_pool_init(vmp_obj_pool_t *pool, size_t size, uint32_t max)
{
    pool->free   = NULL;
    pool->chunks = NULL;
    pool->size   = (size + 15) & ~(size_t)15;
    pool->total  = 0;
    pool->max    = max;
}

void vmp_obj_pool_cleanup(vmp_obj_pool_t *pool)
{
    vmp_obj_chunk_t *chunk;

    while ((chunk = pool->chunks) != NULL) {
        pool->chunks = chunk->next;
        free(chunk);
    }

    pool->free  = NULL;
    pool->total = 0;
}

int vmp_obj_pool_grow(vmp_obj_pool_t *pool)
{
    uint32_t num = pool->max - pool->total;
    vmp_obj_chunk_t *chunk;
    uint32_t i;

    if (num > VMP_OBJ_CHUNK) {
        num = VMP_OBJ_CHUNK;
    }

    if (num == 0) {
        return -1;
    }

    chunk = malloc(sizeof(*chunk) + (num * pool->size));
    if (chunk == NULL) {
        return -1;
    }

    chunk->next  = pool->chunks;
    pool->chunks = chunk;
    for (i = 0; i < num; ++i) {
        vmp_obj_put(pool, chunk->data + (i * pool->size));
    }

    pool->total += num;
    return 0;
}

void vmp_buf_pool_init(vmp_buf_pool_t *pool, vmp_port_md_t *md,
                       const char *name, size_t size, size_t hdr_offset,
                       uint32_t chunk_bufs, uint32_t max)
{
    pool->md         = md;
    pool->name       = name;
    pool->free       = NULL;
    pool->chunks     = NULL;
    pool->stride     = (size + VMP_BUF_ALIGN - 1) &
                       ~(size_t)(VMP_BUF_ALIGN - 1);
    pool->hdr_offset = hdr_offset;
    pool->chunk_bufs = chunk_bufs;
    pool->num_free   = 0;
    pool->total      = 0;
    pool->max        = max;
    pool->failed     = 0;
}

void vmp_buf_pool_cleanup(vmp_buf_pool_t *pool)
{
    vmp_buf_chunk_t *chunk;

    while ((chunk = pool->chunks) != NULL) {
        pool->chunks = chunk->next;
        vmp_port_mem_dereg(&chunk->mem);
        free(chunk->data);
        free(chunk);
    }

    pool->free     = NULL;
    pool->num_free = 0;
    pool->total    = 0;
}

int vmp_buf_pool_grow(vmp_buf_pool_t *pool)
{
    uint32_t num = pool->max - pool->total;
    vmp_buf_chunk_t *chunk;
    vmp_buf_t *buf;
    size_t length;
    uint32_t i;

    if (num > pool->chunk_bufs) {
        num = pool->chunk_bufs;
    }

    if ((num == 0) || pool->failed) {
        return -1;
    }

    chunk = malloc(sizeof(*chunk));
    if (chunk == NULL) {
        goto err;
    }

    length = num * pool->stride;
    length = (length + VMP_PAGE_SIZE - 1) & ~(size_t)(VMP_PAGE_SIZE - 1);
    if (posix_memalign(&chunk->data, VMP_PAGE_SIZE, length) != 0) {
        goto err_free_chunk;
    }

    if (vmp_port_mem_reg(pool->md, chunk->data, length, VMP_MEM_LOCAL_WRITE, 0,
                         &chunk->mem) != VMP_OK) {
        goto err_free_data;
    }

    chunk->next  = pool->chunks;
    pool->chunks = chunk;
    for (i = 0; i < num; ++i) {
        buf      = (vmp_buf_t*)((char*)chunk->data + (i * pool->stride) +
                                pool->hdr_offset);
        buf->mem = &chunk->mem;
        vmp_buf_put(pool, buf);
    }

    pool->total += num;
    return 0;

err_free_data:
    free(chunk->data);
err_free_chunk:
    free(chunk);
err:
    /* do not try again for every message: what there is must do */
    pool->failed = 1;
    vmp_warn("no more memory for %s: going on with %u buffers; check the limit "
             "of locked memory (ulimit -l)", pool->name, pool->total);
    return -1;
}
