/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_CONTENT_H_
#define VMP_CONTENT_H_

/*
 * Contents for transfers that are checked: a stream of bytes defined by a
 * 64-bit key, any slice of which can be made or compared on its own.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VMP_CONTENT_OK SIZE_MAX


static inline uint64_t vmp_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ul;
    x  = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ul;
    x  = (x ^ (x >> 27)) * 0x94d049bb133111ebul;
    return x ^ (x >> 31);
}


/* Bytes [start, start + size) of the stream @a key */
static inline void vmp_content_fill(void *buf, size_t size, uint64_t key,
                                    size_t start)
{
    uint8_t *p = buf;
    uint64_t word;
    size_t i, len, skip;

    for (i = 0; i < size; i += len) {
        skip = (start + i) % 8;
        len  = ((size - i) < (8 - skip)) ? (size - i) : (8 - skip);
        word = vmp_mix(key + ((start + i) / 8));
        memcpy(p + i, (const uint8_t*)&word + skip, len);
    }
}


/* Index of the first byte that differs, or VMP_CONTENT_OK; *want_p is what it
 * should have been */
static inline size_t vmp_content_check(const void *buf, size_t size,
                                       uint64_t key, size_t start,
                                       uint8_t *want_p)
{
    const uint8_t *p = buf;
    uint8_t want[512];
    size_t i, j, len;

    for (i = 0; i < size; i += len) {
        len = ((size - i) < sizeof(want)) ? (size - i) : sizeof(want);
        vmp_content_fill(want, len, key, start + i);
        if (memcmp(p + i, want, len) == 0) {
            continue;
        }
        for (j = 0; p[i + j] == want[j]; ++j) {
        }
        *want_p = want[j];
        return i + j;
    }
    return VMP_CONTENT_OK;
}

#endif
