/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_STATS_H_
#define VMP_STATS_H_

#include "vmp_conn.h"


/**
 * Counters that outlive what they count, and the lines that tell them when a
 * connection or an interface goes (docs/stats.md has the format).
 */

/** A path of this index, of all its epochs. */
struct vmp_path_stats {
    vmp_path_counters_t gone;       /**< Of epochs that are gone */
    uint64_t            down_time;  /**< ns; 0: is not down */
    uint64_t            downs;      /**< How often it went, for itself */
    vmp_repair_counters_t repairs;
    uint8_t             is_up;
};


/** It may send. */
void vmp_stats_path_up(vmp_path_t *path);

/** It may not any more, for good. */
void vmp_stats_path_down(vmp_path_t *path);

/** The path object goes. */
void vmp_stats_path_gone(vmp_path_t *path);

/** Something was posted again. */
void vmp_stats_replay(vmp_conn_t *conn, unsigned kind, uint32_t bytes);

/** Of all epochs of a path of this index. */
void vmp_stats_path_get(const vmp_conn_t *conn, unsigned index,
                        vmp_path_counters_t *counters);

/** The connection goes: its lines, and those of its paths. */
void vmp_stats_conn_gone(const vmp_conn_t *conn);

/** The interface goes: its line, the last one. */
void vmp_stats_iface_gone(const vmp_iface_t *iface);


#endif
