/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * The preload shim: gets the transport into a stock UCX, whose list of modules
 * is fixed when UCX is built.
 *
 * UCX's libraries load their modules by calling ucs_load_modules(), through
 * the dynamic linker. This library defines a function of that name, and being
 * preloaded it is found first. It forwards every call to the real one, and
 * after UCX has loaded the modules of the framework "uct" it loads ours too.
 *
 * It depends on nothing but the C library, so it may be preloaded in any
 * process: one that does not use UCX never calls us, and sees no UCX either.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


#define VMP_PRELOAD_FRAMEWORK "uct"
#define VMP_PRELOAD_SYMBOL    "ucs_load_modules"
#define VMP_PRELOAD_UCS       "libucs.so.0"
#define VMP_PRELOAD_UCT       "libuct.so.0"
#define VMP_PRELOAD_MODULE    "libuct_vmp.so.0"
#define VMP_PRELOAD_EXPORT    __attribute__((visibility("default")))


/* ucs_load_modules(); UCX does not install its declaration. init_once is a
 * static variable of the caller, which tells us who calls. */
typedef void (*vmp_preload_func_t)(const char *framework, const char *modules,
                                   void *init_once, unsigned flags);


VMP_PRELOAD_EXPORT void
ucs_load_modules(const char *framework, const char *modules, void *init_once,
                 unsigned flags);


/* Recursive, since a module that is being loaded may cause another call */
static pthread_mutex_t vmp_preload_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static int vmp_preload_done             = 0;

/* The last real function found, for callers that do not depend on libucs */
static _Atomic(vmp_preload_func_t) vmp_preload_cached;


/* One write, so that lines of several processes do not mix */
static void vmp_preload_complain(const char *where, const char *why)
{
    char line[2 * PATH_MAX];
    int length;
    ssize_t ret;

    length = snprintf(line, sizeof(line),
                      "vmp: %s: %s; UCX goes on without vmp [pid %d]\n", where,
                      why, (int)getpid());
    if (length < 0) {
        return;
    }

    if ((size_t)length >= sizeof(line)) {
        length           = sizeof(line) - 1;
        line[length - 1] = '\n';
    }

    ret = write(STDERR_FILENO, line, length);
    (void)ret;
}

/* A handle of the loaded object that holds the address, or NULL. Not the
 * return address: UCX may tail-call us, and then it is somebody else's. */
static void *vmp_preload_object_of(const void *address)
{
    struct link_map *map = NULL;
    Dl_info info;

    if ((dladdr1(address, &info, (void**)&map, RTLD_DL_LINKMAP) == 0) ||
        (map == NULL)) {
        return NULL;
    }

    /* The program itself has an empty name, for which dlopen wants NULL */
    return dlopen((map->l_name[0] == '\0') ? NULL : map->l_name,
                  RTLD_LAZY | RTLD_NOLOAD);
}

static vmp_preload_func_t vmp_preload_symbol_in(void *handle)
{
    union {
        void               *address;
        vmp_preload_func_t func;
    } symbol;

    symbol.address = (handle == NULL) ? NULL :
                                        dlsym(handle, VMP_PRELOAD_SYMBOL);
    return (symbol.func == ucs_load_modules) ? NULL : symbol.func;
}

/* RTLD_NEXT alone would not do: it does not see a UCX that was loaded with
 * RTLD_LOCAL, as by Python or a plug-in. */
static vmp_preload_func_t vmp_preload_find_real(void *caller)
{
    vmp_preload_func_t func;
    void *handle;

    func = vmp_preload_symbol_in(caller);
    if (func == NULL) {
        /* libucm loads modules as well, but does not depend on libucs */
        func = atomic_load(&vmp_preload_cached);
    }
    if (func == NULL) {
        handle = dlopen(VMP_PRELOAD_UCS, RTLD_LAZY | RTLD_NOLOAD);
        func   = vmp_preload_symbol_in(handle);
        if (handle != NULL) {
            (void)dlclose(handle);
        }
    }
    if (func == NULL) {
        func = vmp_preload_symbol_in(RTLD_NEXT);
    }
    if (func != NULL) {
        atomic_store(&vmp_preload_cached, func);
    }

    return func;
}

/* Where our module is: VMP_MODULE, or "ucx" beside this library */
static int vmp_preload_module_path(char *path, size_t max)
{
    const char *override = secure_getenv("VMP_MODULE");
    const char *slash;
    Dl_info info;
    int length;

    if ((override != NULL) && (override[0] != '\0')) {
        length = snprintf(path, max, "%s", override);
    } else if ((dladdr(&vmp_preload_done, &info) == 0) ||
               (info.dli_fname == NULL)) {
        return -1;
    } else {
        slash  = strrchr(info.dli_fname, '/');
        length = (slash == NULL) ?
                 snprintf(path, max, "ucx/" VMP_PRELOAD_MODULE) :
                 snprintf(path, max, "%.*s/ucx/" VMP_PRELOAD_MODULE,
                          (int)(slash - info.dli_fname), info.dli_fname);
    }

    return ((length < 0) || ((size_t)length >= max)) ? -1 : 0;
}

/* Our module is linked with libuct.so.0. If the UCX that calls goes by another
 * name (some wheels rename it), loading the module would load a second UCX. */
static int vmp_preload_is_our_ucx(void *caller)
{
    void *uct = dlopen(VMP_PRELOAD_UCT, RTLD_LAZY | RTLD_NOLOAD);
    int same  = (uct != NULL) && (uct == caller);

    if (uct != NULL) {
        (void)dlclose(uct);
    }

    return same;
}

static void vmp_preload_load_module(void *caller)
{
    char path[PATH_MAX];
    const char *error;

    if (vmp_preload_module_path(path, sizeof(path)) != 0) {
        vmp_preload_complain(VMP_PRELOAD_MODULE,
                             "its path cannot be found or is too long, set "
                             "VMP_MODULE to it");
        return;
    }

    if (dlopen(VMP_PRELOAD_MODULE, RTLD_LAZY | RTLD_NOLOAD) != NULL) {
        return; /* UCX's own plug-in directory or the program was first */
    }

    if (!vmp_preload_is_our_ucx(caller)) {
        vmp_preload_complain(path, "this process uses a UCX whose library is "
                                   "not named " VMP_PRELOAD_UCT);
        return;
    }

    /* NOW: a symbol that is missing must be a message and not a crash later */
    if (dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) == NULL) {
        error = dlerror();
        vmp_preload_complain("cannot load the module",
                             (error == NULL) ? path : error);
    }
}

void ucs_load_modules(const char *framework, const char *modules,
                      void *init_once, unsigned flags)
{
    int saved_errno = errno;
    vmp_preload_func_t func;
    void *caller;

    caller = vmp_preload_object_of(init_once);
    func   = vmp_preload_find_real(caller);
    if (func == NULL) {
        vmp_preload_complain(VMP_PRELOAD_SYMBOL,
                             "UCX's own function is not found, so that no "
                             "module of UCX is loaded; unset LD_PRELOAD");
        goto out;
    }

    errno = saved_errno;
    func(framework, modules, init_once, flags);
    saved_errno = errno;

    if ((framework == NULL) || (strcmp(framework, VMP_PRELOAD_FRAMEWORK) != 0)) {
        goto out;
    }

    /* A second caller waits, so that it does not miss our component */
    (void)pthread_mutex_lock(&vmp_preload_lock);
    if (!vmp_preload_done) {
        vmp_preload_done = 1;
        vmp_preload_load_module(caller);
    }
    (void)pthread_mutex_unlock(&vmp_preload_lock);

out:
    if (caller != NULL) {
        (void)dlclose(caller);
    }
    errno = saved_errno;
}
