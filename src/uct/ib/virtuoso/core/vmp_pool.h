/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_POOL_H_
#define VMP_POOL_H_

#include "vmp_types.h"
#include "port/port.h"


/**
 * Pools of equal elements that grow in chunks up to a maximum, and shrink never
 * before their cleanup. Growing costs system calls; taking and giving back does
 * not. No locks: they belong to the application's thread.
 */

/** Plain objects */
typedef struct vmp_obj {
    struct vmp_obj *next;               /**< While free */
} vmp_obj_t;

typedef struct vmp_obj_chunk vmp_obj_chunk_t;

typedef struct vmp_obj_pool {
    vmp_obj_t       *free;
    vmp_obj_chunk_t *chunks;
    size_t          size;               /**< Bytes an object */
    uint32_t        total;
    uint32_t        max;
} vmp_obj_pool_t;

void vmp_obj_pool_init(vmp_obj_pool_t *pool, size_t size, uint32_t max);
void vmp_obj_pool_cleanup(vmp_obj_pool_t *pool);

/** Slow part of vmp_obj_get(). */
int vmp_obj_pool_grow(vmp_obj_pool_t *pool);

/** @return An object with undefined contents, or NULL: all in use. */
static inline void *vmp_obj_get(vmp_obj_pool_t *pool)
{
    vmp_obj_t *obj;

    if ((pool->free == NULL) && (vmp_obj_pool_grow(pool) != 0)) {
        return NULL;
    }

    obj        = pool->free;
    pool->free = obj->next;
    return obj;
}

static inline void vmp_obj_put(vmp_obj_pool_t *pool, void *ptr)
{
    vmp_obj_t *obj = ptr;

    obj->next  = pool->free;
    pool->free = obj;
}


/** Start of every registered buffer */
typedef struct vmp_buf {
    struct vmp_buf  *next;              /**< While free */
    const vmp_mem_t *mem;               /**< Registration of its chunk */
} vmp_buf_t;

typedef struct vmp_buf_chunk vmp_buf_chunk_t;

typedef struct vmp_buf_pool {
    vmp_port_md_t   *md;
    const char      *name;              /**< For log lines */
    vmp_buf_t       *free;
    vmp_buf_chunk_t *chunks;
    size_t          stride;             /**< Bytes an element */
    size_t          hdr_offset;         /**< Of vmp_buf_t in an element */
    uint32_t        chunk_bufs;
    uint32_t        num_free;
    uint32_t        total;
    uint32_t        max;
    int             failed;             /**< Growing failed: logged */
} vmp_buf_pool_t;

void vmp_buf_pool_init(vmp_buf_pool_t *pool, vmp_port_md_t *md,
                       const char *name, size_t size, size_t hdr_offset,
                       uint32_t chunk_bufs, uint32_t max);

/** Frees what is in use, too: nothing may refer to it any more. */
void vmp_buf_pool_cleanup(vmp_buf_pool_t *pool);

int vmp_buf_pool_grow(vmp_buf_pool_t *pool);

/** Whether `num` buffers can be had, growing the pool if need be */
static inline int vmp_buf_pool_has(vmp_buf_pool_t *pool, uint32_t num)
{
    return __builtin_expect(pool->num_free >= num, 1) ||
           ((vmp_buf_pool_grow(pool) == 0) && (pool->num_free >= num));
}

/** @return A buffer, or NULL: all in use. */
static inline vmp_buf_t *vmp_buf_get(vmp_buf_pool_t *pool)
{
    vmp_buf_t *buf;

    if (!vmp_buf_pool_has(pool, 1)) {
        return NULL;
    }

    buf        = pool->free;
    pool->free = buf->next;
    --pool->num_free;
    return buf;
}

static inline void vmp_buf_put(vmp_buf_pool_t *pool, vmp_buf_t *buf)
{
    buf->next  = pool->free;
    pool->free = buf;
    ++pool->num_free;
}


#endif
