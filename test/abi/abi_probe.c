/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Prints size, member offset, slot order, value and prototype of everything
 * that uct_vmp_abi.h declares, one line each. Compiled twice by abi_compare.sh:
 * with ABI_PROBE_OURS against that header, without it against a UCX source tree;
 * equal output means equal declarations. Prototypes are compared by the compiler:
 * abi_probe_list.h names the type it expects of each slot, as both see it.
 */

#ifdef ABI_PROBE_OURS
#  include "uct_vmp_abi.h"
#else
#  include <uct/api/uct.h>
#  include <uct/api/tl.h>
#  include <uct/api/version.h>
#  include <uct/base/uct_component.h>
#  include <uct/base/uct_iface.h>
#  include <uct/base/uct_md.h>
#  include <uct/base/uct_worker.h>
#endif

#include <stddef.h>
#include <stdio.h>


#define SIZE(_type) \
    printf("size   %-44s %zu\n", #_type, sizeof(_type));

#define FIELD(_type, _field) \
    printf("offset %-44s %zu (%zu bytes)\n", #_type "." #_field, \
           offsetof(_type, _field), sizeof(((_type*)NULL)->_field));

#define VALUE(_name) \
    printf("value  %-44s 0x%llx\n", #_name, (unsigned long long)(_name));

/* Does the slot have exactly this type? */
#define SLOT(_type, _field, ...) \
    printf("slot   %-44s %zu %s\n", #_type "." #_field, \
           offsetof(_type, _field) / sizeof(void*), \
           __builtin_types_compatible_p(__typeof__(((_type*)NULL)->_field), \
                                        __VA_ARGS__) ? "same" : "differs");

#define FUNC(_name, ...) \
    printf("func   %-44s %s\n", #_name, \
           __builtin_types_compatible_p(__typeof__(&_name), __VA_ARGS__) ? \
                   "same" : "differs");


int main(void)
{
#include "abi_probe_list.h"
    return 0;
}
