/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef UCT_VMP_ABI_CHECK_H_
#define UCT_VMP_ABI_CHECK_H_

#include <stddef.h>


/* Longest sentence that uct_vmp_abi_judge() writes, with its end. */
#define UCT_VMP_ABI_REASON_MAX 512


/**
 * What can be seen of a UCX from outside, without calling into its private
 * parts. A size of 0 means that the symbol was not found.
 */
typedef struct uct_vmp_abi_facts {
    const char *library;          /**< path of libuct, never NULL */
    const char *missing_symbol;   /**< first symbol we need that is not there,
                                       or NULL */
    int        version_known;     /**< libucp is loaded and told its version */
    unsigned   major;             /**< valid if version_known */
    unsigned   minor;             /**< valid if version_known */
    unsigned   patch;             /**< valid if version_known */
    size_t     component_size;    /**< bytes of a component */
    size_t     tl_size;           /**< bytes of a transport */
    size_t     config_field_size; /**< bytes of an empty settings table */
    size_t     base_iface_size;   /**< bytes of the base interface */
    size_t     base_ep_size;      /**< bytes of the base endpoint */
    int        mark_present;      /**< the symbol that this version has */
    size_t     mark_size;         /**< bytes of that symbol */
    int        mark_absent;       /**< nonzero: the symbol that only other
                                       versions have was found */
} uct_vmp_abi_facts_t;


/**
 * Collect the facts of the UCX that this process runs.
 *
 * Calls nothing of UCX but ucp_get_version(). Not thread safe by itself; called
 * from the module's constructor and from tests.
 *
 * @param [out] facts   Filled; its strings live as long as the process.
 */
void uct_vmp_abi_collect(uct_vmp_abi_facts_t *facts);


/**
 * Tell whether a UCX with these facts is the one this build was made for.
 *
 * @param [in]  facts   What was seen.
 * @param [out] reason  If it is not, one sentence saying why and what to do.
 * @param [in]  max     Size of reason in bytes.
 *
 * @return Nonzero if vmp may register itself.
 */
int uct_vmp_abi_judge(const uct_vmp_abi_facts_t *facts, char *reason,
                      size_t max);


/**
 * Collect, judge and, if the UCX is refused, print one warning line to stderr,
 * once a process.
 *
 * @return Nonzero if vmp may register itself.
 */
int uct_vmp_abi_check(void);

#endif
