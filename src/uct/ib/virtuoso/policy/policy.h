/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_POLICY_H_
#define VMP_POLICY_H_

#include <stddef.h>
#include <stdint.h>


/**
 * Public interface of a path-selection policy: the plug-in that picks the path
 * of the next chunk or message. A policy knows neither UCX nor verbs.
 *
 * Thread rules: every call for one connection comes from the thread that
 * progresses its interface; a policy must keep no state outside of `priv`.
 * Cost: select runs once per chunk and must stay at tens of ns: no system
 * call, allocation or lock.
 */

#define VMP_POLICY_ABI_VERSION  1


/** What a policy sees of one path. Read only. */
typedef struct vmp_policy_path {
    uint32_t inflight;      /**< Bytes posted and not yet known complete */
    uint32_t window;        /**< Bytes that may be in flight; 0: not up */
    uint32_t srtt_ns;       /**< Smoothed completion time, ns; 0: unknown */
    uint32_t outstanding;   /**< Work requests not yet known complete */
    uint64_t rate;          /**< Smoothed rate, bytes/s; 0: unknown */
} vmp_policy_path_t;


typedef struct vmp_policy_params {
    unsigned num_paths;     /**< Paths that the connection may have, 1..64 */
    uint64_t seed;          /**< For policies that draw random numbers */
} vmp_policy_params_t;


typedef struct vmp_policy_ops {
    uint32_t   abi_version; /**< VMP_POLICY_ABI_VERSION */
    uint32_t   size;        /**< sizeof(vmp_policy_ops_t) of the policy */
    const char *name;       /**< As UCX_VMP_POLICY names it */
    const char *desc;       /**< One line for people */
    size_t     priv_size;   /**< Bytes of state per connection, zeroed */

    /** Prepare `priv`. Return 0, or -1 to refuse. May be NULL. */
    int        (*init)(void *priv, const vmp_policy_params_t *params);

    /** Undo init. May be NULL. */
    void       (*cleanup)(void *priv);

    /**
     * Pick the path of the next chunk or message of `length` bytes.
     *
     * @param paths     Array over all path indices of the connection.
     * @param eligible  Bit i set: path i is up and has room. Never 0.
     * @return Index of a set bit, or -1 to wait until more paths have room.
     */
    int        (*select)(void *priv, const vmp_policy_path_t *paths,
                         uint64_t eligible, size_t length);

    /** The same for work of a path that died; NULL: use select. */
    int        (*select_replay)(void *priv, const vmp_policy_path_t *paths,
                                uint64_t eligible, size_t length);
} vmp_policy_ops_t;


#endif
