/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#ifndef _GNU_SOURCE
#  define _GNU_SOURCE /* dladdr1 */
#endif

#include "uct_vmp_abi.h"
#include "uct_vmp_abi_check.h"
#include "uct_vmp_weak.h"

#include <dlfcn.h>
#include <elf.h>
#include <limits.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define UCT_VMP_ABI_LIBUCP "libucp.so.0"

#define UCT_VMP_ABI_STRING_(_x) #_x
#define UCT_VMP_ABI_STRING(_x)  UCT_VMP_ABI_STRING_(_x)
#define UCT_VMP_ABI_VERSION \
    UCT_VMP_ABI_STRING(UCT_VERNO_MAJOR) "." UCT_VMP_ABI_STRING(UCT_VERNO_MINOR)


/* The size that the dynamic symbol table states, 0 if it is not there. */
static size_t uct_vmp_abi_symbol_size(void *handle, const char *name)
{
    const ElfW(Sym) *symbol = NULL;
    Dl_info info;
    void *address;

    address = dlsym(handle, name);
    if ((address == NULL) ||
        (dladdr1(address, &info, (void**)&symbol, RTLD_DL_SYMENT) == 0) ||
        (symbol == NULL) || (info.dli_saddr != address)) {
        return 0;
    }

    return symbol->st_size;
}

/* The class structures are plain data of one layout in all versions. */
static size_t uct_vmp_abi_class_size(void *handle, const char *name)
{
    const ucs_class_t *cls = dlsym(handle, name);

    return (cls == NULL) ? 0 : cls->size;
}

static void uct_vmp_abi_collect_version(uct_vmp_abi_facts_t *facts)
{
    void (*get_version)(unsigned *major, unsigned *minor, unsigned *patch);
    void *handle;

    /* Never load a library only to ask for its version. */
    handle = dlopen(UCT_VMP_ABI_LIBUCP, RTLD_LAZY | RTLD_NOLOAD);
    if (handle == NULL) {
        return;
    }

    *(void**)&get_version = dlsym(handle, "ucp_get_version");
    if (get_version != NULL) {
        get_version(&facts->major, &facts->minor, &facts->patch);
        facts->version_known = 1;
    }

    dlclose(handle);
}

static const char *uct_vmp_abi_missing_symbol(void)
{
    static const struct {
        const void *address;
        const char *name;
    } symbols[] = {
#define UCT_VMP_ABI_SYMBOL(_name) {(const void*)&_name, #_name},
        UCT_VMP_WEAK_SYMBOLS(UCT_VMP_ABI_SYMBOL)
#undef UCT_VMP_ABI_SYMBOL
    };
    size_t i;

    for (i = 0; i < sizeof(symbols) / sizeof(symbols[0]); ++i) {
        /* volatile: compilers believe that an address is never NULL */
        if (*(const void* volatile*)&symbols[i].address == NULL) {
            return symbols[i].name;
        }
    }

    return NULL;
}

void uct_vmp_abi_collect(uct_vmp_abi_facts_t *facts)
{
    static char library[PATH_MAX] = "no libuct";
    Dl_info info;
    void *handle;

    memset(facts, 0, sizeof(*facts));
    facts->library        = library;
    facts->missing_symbol = uct_vmp_abi_missing_symbol();

    uct_vmp_abi_collect_version(facts);

    if ((uct_component_register == NULL) ||
        (dladdr((void*)uct_component_register, &info) == 0)) {
        return;
    }

    snprintf(library, sizeof(library), "%s", info.dli_fname);
    handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
    if (handle == NULL) {
        return;
    }

    facts->component_size    = uct_vmp_abi_symbol_size(handle,
                                                       "uct_tcp_component");
    facts->tl_size           = uct_vmp_abi_symbol_size(handle, "uct_tcp_tl");
    facts->config_field_size = uct_vmp_abi_symbol_size(handle,
                                                       "uct_md_config_table");
    facts->base_iface_size   = uct_vmp_abi_class_size(handle,
                                                      "uct_base_iface_t_class");
    facts->base_ep_size      = uct_vmp_abi_class_size(handle,
                                                      "uct_base_ep_t_class");
    facts->mark_present      = dlsym(handle, UCT_VMP_ABI_MARK_PRESENT) != NULL;
    facts->mark_size         = uct_vmp_abi_symbol_size(
                                                handle,
                                                UCT_VMP_ABI_MARK_PRESENT);
    facts->mark_absent       = dlsym(handle, UCT_VMP_ABI_MARK_ABSENT) != NULL;

    dlclose(handle);
}

static int uct_vmp_abi_refuse(const uct_vmp_abi_facts_t *facts, char *reason,
                              size_t max, const char *format, ...)
{
    char detail[UCT_VMP_ABI_REASON_MAX / 2];
    va_list ap;

    va_start(ap, format);
    vsnprintf(detail, sizeof(detail), format, ap);
    va_end(ap);

    snprintf(reason, max,
             "vmp is not used: it was built for UCX " UCT_VMP_ABI_VERSION
             ", but %s (%.128s); install the build for that UCX or do not load "
             "vmp", detail, facts->library);
    return 0;
}

int uct_vmp_abi_judge(const uct_vmp_abi_facts_t *facts, char *reason,
                      size_t max)
{
    const struct {
        const char *name;
        size_t     found;
        size_t     expected;
    } sizes[] = {
        {"component", facts->component_size, sizeof(uct_component_t)},
        {"transport", facts->tl_size, sizeof(uct_tl_t)},
        {"settings field", facts->config_field_size,
         sizeof(ucs_config_field_t)},
        {"base interface", facts->base_iface_size, sizeof(uct_base_iface_t)},
        {"base endpoint", facts->base_ep_size, sizeof(uct_base_ep_t)}
    };
    size_t i;

    if (facts->version_known && ((facts->major != UCT_VERNO_MAJOR) ||
                                 (facts->minor != UCT_VERNO_MINOR))) {
        return uct_vmp_abi_refuse(facts, reason, max,
                                  "this process runs UCX %u.%u.%u",
                                  facts->major, facts->minor, facts->patch);
    }

    if (!facts->version_known &&
        (!facts->mark_present || facts->mark_absent ||
         ((UCT_VMP_ABI_MARK_SIZE != 0) &&
          (facts->mark_size != UCT_VMP_ABI_MARK_SIZE)))) {
        return uct_vmp_abi_refuse(facts, reason, max,
                                  "this process runs another UCX");
    }

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
        if (sizes[i].found == sizes[i].expected) {
            continue;
        }

        if (sizes[i].found == 0) {
            return uct_vmp_abi_refuse(facts, reason, max,
                                      "the size of a %s cannot be found in "
                                      "this process's UCX", sizes[i].name);
        }

        return uct_vmp_abi_refuse(facts, reason, max,
                                  "a %s of this process's UCX has %zu bytes "
                                  "instead of %zu (was it configured with "
                                  "statistics?)", sizes[i].name, sizes[i].found,
                                  sizes[i].expected);
    }

    if (facts->missing_symbol != NULL) {
        return uct_vmp_abi_refuse(facts, reason, max,
                                  "this process's UCX has no %s",
                                  facts->missing_symbol);
    }

    return 1;
}

int uct_vmp_abi_check(void)
{
    static int warned = 0;
    char reason[UCT_VMP_ABI_REASON_MAX];
    uct_vmp_abi_facts_t facts;

    uct_vmp_abi_collect(&facts);
    if (uct_vmp_abi_judge(&facts, reason, sizeof(reason))) {
        return 1;
    }

    if (!warned) {
        /* ucs_warn() reads private settings whose layout is not known here */
        fprintf(stderr, "WARNING: %s\n", reason);
        warned = 1;
    }

    return 0;
}
