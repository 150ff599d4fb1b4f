/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Counts what is allocated (the linker sends the calls here by --wrap): exact,
 * while mallinfo2() counts what malloc keeps for its threads, and nothing with
 * a sanitizer.
 */

#include "fake_verbs.h"

#include <malloc.h>
#include <stdlib.h>

static uint64_t heap_bytes;
static uint64_t heap_blocks;

void *__real_malloc(size_t size);
void *__real_calloc(size_t num, size_t size);
void *__real_realloc(void *ptr, size_t size);
int __real_posix_memalign(void **ptr_p, size_t align, size_t size);
void __real_free(void *ptr);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t num, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
int __wrap_posix_memalign(void **ptr_p, size_t align, size_t size);
void __wrap_free(void *ptr);


static void *heap_add(void *ptr)
{
    if (ptr != NULL) {
        __atomic_fetch_add(&heap_bytes, malloc_usable_size(ptr),
                           __ATOMIC_RELAXED);
        __atomic_fetch_add(&heap_blocks, 1, __ATOMIC_RELAXED);
    }
    return ptr;
}

static void heap_remove(void *ptr)
{
    if (ptr != NULL) {
        __atomic_fetch_sub(&heap_bytes, malloc_usable_size(ptr),
                           __ATOMIC_RELAXED);
        __atomic_fetch_sub(&heap_blocks, 1, __ATOMIC_RELAXED);
    }
}

void *__wrap_malloc(size_t size)
{
    return heap_add(__real_malloc(size));
}

void *__wrap_calloc(size_t num, size_t size)
{
    return heap_add(__real_calloc(num, size));
}

void *__wrap_realloc(void *ptr, size_t size)
{
    heap_remove(ptr);
    return heap_add(__real_realloc(ptr, size));
}

int __wrap_posix_memalign(void **ptr_p, size_t align, size_t size)
{
    int ret = __real_posix_memalign(ptr_p, align, size);

    if (ret == 0) {
        heap_add(*ptr_p);
    }
    return ret;
}

void __wrap_free(void *ptr)
{
    heap_remove(ptr);
    __real_free(ptr);
}

void fake_heap(uint64_t *bytes_p, uint64_t *blocks_p)
{
    *bytes_p  = __atomic_load_n(&heap_bytes, __ATOMIC_RELAXED);
    *blocks_p = __atomic_load_n(&heap_blocks, __ATOMIC_RELAXED);
}
