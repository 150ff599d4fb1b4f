/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_stats.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define VMP_STATS_LINE_MAX  1024    /* bytes; the longest is half of that */


typedef struct vmp_stats_line {
    size_t length;
    char   text[VMP_STATS_LINE_MAX];
} vmp_stats_line_t;


static void vmp_stats_repair_add(vmp_repair_counters_t *repairs, uint64_t time)
{
    ++repairs->count;
    repairs->total_ns += time;
    if (time > repairs->max_ns) {
        repairs->max_ns = time;
    }
}

void vmp_stats_path_up(vmp_path_t *path)
{
    vmp_conn_t *conn        = path->conn;
    vmp_path_stats_t *stats = &conn->stats[path->index];
    uint64_t time;

    stats->is_up = 1;
    if (stats->down_time == 0) {
        return;
    }

    time             = vmp_port_now(conn->iface->port) - stats->down_time;
    stats->down_time = 0;
    vmp_stats_repair_add(&stats->repairs, time);
    vmp_stats_repair_add(&conn->iface->counters.repairs, time);
}

void vmp_stats_path_down(vmp_path_t *path)
{
    vmp_conn_t *conn        = path->conn;
    vmp_path_stats_t *stats = &conn->stats[path->index];

    if (!stats->is_up || (conn->block & (VMP_BLOCK_FAILED |
                                         VMP_BLOCK_CLOSED))) {
        return;     /* had not begun, or goes with its connection */
    }

    stats->is_up     = 0;
    stats->down_time = vmp_port_now(conn->iface->port);
    ++stats->downs;
    ++conn->iface->counters.paths_down;
}

static void vmp_stats_add(vmp_path_counters_t *sum,
                          const vmp_path_counters_t *counters)
{
    sum->tx_frames += counters->tx_frames;
    sum->tx_chunks += counters->tx_chunks;
    sum->tx_bytes  += counters->tx_bytes;
    sum->rx_frames += counters->rx_frames;
    sum->rx_bytes  += counters->rx_bytes;
}

void vmp_stats_path_gone(vmp_path_t *path)
{
    vmp_stats_add(&path->conn->stats[path->index].gone, &path->counters);
}

void vmp_stats_replay(vmp_conn_t *conn, unsigned kind, uint32_t bytes)
{
    vmp_replay_counters_t *replays = &conn->iface->counters.replays;

    if (kind == VMP_WR_AM) {
        ++replays->messages;
    } else if (kind == VMP_WR_GET_CHUNK) {
        ++replays->gets;
    } else {
        ++replays->puts;
    }

    replays->bytes += bytes;
    ++conn->num_replayed;
}

void vmp_stats_path_get(const vmp_conn_t *conn, unsigned index,
                        vmp_path_counters_t *counters)
{
    *counters = conn->stats[index].gone;
    if (conn->paths[index] != NULL) {
        vmp_stats_add(counters, &conn->paths[index]->counters);
    }
}

static void vmp_stats_printf(vmp_stats_line_t *line, const char *fmt, ...)
                             __attribute__((format(printf, 2, 3)));

static void vmp_stats_printf(vmp_stats_line_t *line, const char *fmt, ...)
{
    size_t left = sizeof(line->text) - line->length;
    va_list ap;
    int ret;

    va_start(ap, fmt);
    ret = vsnprintf(line->text + line->length, left, fmt, ap);
    va_end(ap);
    vmp_assert((ret >= 0) && ((size_t)ret < left));
    line->length += ((size_t)ret < left) ? (size_t)ret : 0;
}

/* What all lines have first */
static void vmp_stats_begin(vmp_stats_line_t *line, const char *type,
                            const vmp_iface_t *iface, const vmp_conn_t *conn)
{
    line->length = 0;
    vmp_stats_printf(line, "{\"type\":\"%s\",\"iface\":\"%016" PRIx64 "\"",
                     type, iface->id);
    if (conn != NULL) {
        vmp_stats_printf(line, ",\"peer\":\"%016" PRIx64 "\",\"conn\":%u",
                         conn->peer_id, conn->incarn);
    }
}

static void vmp_stats_end(vmp_stats_line_t *line, const vmp_iface_t *iface)
{
    vmp_stats_printf(line, "}");
    iface->ops.stats(iface->arg, line->text);
}

static void vmp_stats_repairs(vmp_stats_line_t *line,
                              const vmp_repair_counters_t *repairs)
{
    vmp_stats_printf(line, ",\"repairs\":%" PRIu64 ",\"repair_ns\":%" PRIu64
                     ",\"repair_max_ns\":%" PRIu64, repairs->count,
                     repairs->total_ns, repairs->max_ns);
}

/* As log lines name it */
static void vmp_stats_addr(vmp_stats_line_t *line, const vmp_rail_addr_t *rail)
{
    static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};
    char addr[INET6_ADDRSTRLEN];

    if (memcmp(rail->gid, v4_prefix, sizeof(v4_prefix)) == 0) {
        inet_ntop(AF_INET, rail->gid + sizeof(v4_prefix), addr, sizeof(addr));
    } else {
        inet_ntop(AF_INET6, rail->gid, addr, sizeof(addr));
    }

    vmp_stats_printf(line, ",\"addr\":\"%s\",\"lid\":%u", addr, rail->lid);
}

/* Of the connection's life: what went with it was as it had been */
static const char *vmp_stats_path_state(const vmp_conn_t *conn, unsigned index)
{
    const vmp_path_t *path = conn->paths[index];

    if ((path != NULL) && (path->state == VMP_PATH_SUSPECT)) {
        return "suspect";
    } else if (conn->stats[index].is_up) {
        return "up";
    } else if ((path != NULL) && (path->state == VMP_PATH_PROBE)) {
        return "probe";
    } else if ((path != NULL) && (path->state == VMP_PATH_READY)) {
        return "ready";
    } else {
        return (conn->stats[index].down_time != 0) ? "down" : "none";
    }
}

static const char *vmp_stats_conn_state(const vmp_conn_t *conn)
{
    if (conn->block & VMP_BLOCK_FAILED) {
        return "lost";
    } else if (conn->block & VMP_BLOCK_CLOSED) {
        return "closed";
    } else {
        return (conn->up_mask == 0) ? "setup" : "up";
    }
}

static void vmp_stats_path(const vmp_conn_t *conn, unsigned index)
{
    const vmp_path_stats_t *stats = &conn->stats[index];
    const vmp_path_t *path        = conn->paths[index];
    vmp_path_counters_t counters;
    vmp_stats_line_t line;

    vmp_stats_path_get(conn, index, &counters);
    vmp_stats_begin(&line, "path", conn->iface, conn);
    vmp_stats_printf(&line, ",\"path\":%u,\"state\":\"%s\",\"epoch\":%u",
                     index, vmp_stats_path_state(conn, index),
                     (path != NULL) ? path->epoch : conn->gone_epochs[index]);
    vmp_stats_printf(&line, ",\"tx_frames\":%" PRIu64 ",\"tx_chunks\":%" PRIu64
                     ",\"tx_bytes\":%" PRIu64 ",\"rx_frames\":%" PRIu64
                     ",\"rx_bytes\":%" PRIu64, counters.tx_frames,
                     counters.tx_chunks, counters.tx_bytes, counters.rx_frames,
                     counters.rx_bytes);
    vmp_stats_printf(&line, ",\"downs\":%" PRIu64, stats->downs);
    vmp_stats_repairs(&line, &stats->repairs);
    vmp_stats_end(&line, conn->iface);
}

void vmp_stats_conn_gone(const vmp_conn_t *conn)
{
    vmp_repair_counters_t repairs = {0};
    vmp_path_counters_t sum       = {0};
    uint64_t downs                = 0;
    vmp_path_counters_t counters;
    vmp_stats_line_t line;
    unsigned i;

    if (conn->iface->ops.stats == NULL) {
        return;
    }

    for (i = 0; i < conn->num_paths; ++i) {
        vmp_stats_path_get(conn, i, &counters);
        vmp_stats_add(&sum, &counters);
        downs            += conn->stats[i].downs;
        repairs.count    += conn->stats[i].repairs.count;
        repairs.total_ns += conn->stats[i].repairs.total_ns;
        if (conn->stats[i].repairs.max_ns > repairs.max_ns) {
            repairs.max_ns = conn->stats[i].repairs.max_ns;
        }
    }

    vmp_stats_begin(&line, "conn", conn->iface, conn);
    vmp_stats_addr(&line, &conn->peer_rail);
    vmp_stats_printf(&line, ",\"state\":\"%s\",\"status\":%d,\"paths\":%u",
                     vmp_stats_conn_state(conn), conn->status,
                     conn->num_paths);
    vmp_stats_printf(&line, ",\"tx_messages\":%" PRIu64
                     ",\"rx_messages\":%" PRIu64 ",\"tx_frames\":%" PRIu64
                     ",\"tx_chunks\":%" PRIu64 ",\"tx_bytes\":%" PRIu64
                     ",\"rx_frames\":%" PRIu64 ",\"rx_bytes\":%" PRIu64,
                     conn->tx_sn, conn->rx_next, sum.tx_frames, sum.tx_chunks,
                     sum.tx_bytes, sum.rx_frames, sum.rx_bytes);
    vmp_stats_printf(&line, ",\"replayed\":%" PRIu64 ",\"downs\":%" PRIu64,
                     conn->num_replayed, downs);
    vmp_stats_repairs(&line, &repairs);
    vmp_stats_end(&line, conn->iface);
    for (i = 0; i < conn->num_paths; ++i) {
        vmp_stats_path(conn, i);
    }
}

void vmp_stats_iface_gone(const vmp_iface_t *iface)
{
    const vmp_iface_counters_t *counters = &iface->counters;
    vmp_stats_line_t line;

    if (iface->ops.stats == NULL) {
        return;
    }

    vmp_stats_begin(&line, "iface", iface, NULL);
    vmp_stats_addr(&line, &iface->attr.addr[0]);
    vmp_stats_printf(&line, ",\"conns_failed\":%" PRIu64 ",\"eps_failed\":%"
                     PRIu64, counters->conns_failed, counters->eps_failed);
    vmp_stats_printf(&line, ",\"paths_down\":%" PRIu64 ",\"paths_failed\":%"
                     PRIu64 ",\"paths_timed_out\":%" PRIu64
                     ",\"paths_suspected\":%" PRIu64, counters->paths_down,
                     counters->paths_failed, counters->paths_timed_out,
                     counters->paths_suspected);
    vmp_stats_repairs(&line, &counters->repairs);
    vmp_stats_printf(&line, ",\"replayed_messages\":%" PRIu64
                     ",\"replayed_puts\":%" PRIu64 ",\"replayed_gets\":%"
                     PRIu64 ",\"replayed_bytes\":%" PRIu64,
                     counters->replays.messages, counters->replays.puts,
                     counters->replays.gets, counters->replays.bytes);
    vmp_stats_printf(&line, ",\"rx_duplicate\":%" PRIu64 ",\"rx_bad_frame\":%"
                     PRIu64 ",\"rx_out_of_order\":%" PRIu64
                     ",\"rx_copied_out\":%" PRIu64 ",\"rx_returned\":%" PRIu64
                     ",\"tx_no_credit\":%" PRIu64, counters->rx_duplicate,
                     counters->rx_bad_frame, counters->rx_out_of_order,
                     counters->rx_copied_out, counters->rx_returned,
                     counters->tx_no_credit);
    vmp_stats_end(&line, iface);
}
