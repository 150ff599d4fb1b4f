/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "uct_vmp_config.h"

#include "core/vmp_log.h"

#include <ucs/sys/string.h>

#include <math.h>
#include <string.h>

#define UCT_VMP_SUSPECT_MAX     1e6     /* seconds: longer is never */
#define UCT_VMP_CONFIG_BW_AUTO  (-2.0)  /* UCX's, which renamed it */
#define UCT_VMP_CONFIG_MAX_BW   1e15    /* bytes a second */


/* enum ibv_mtu */
static const char *uct_vmp_mtu_names[] = {
    "default", "256", "512", "1024", "2048", "4096", NULL
};

ucs_config_field_t uct_vmp_md_config_table[] = {
    {"", "", NULL, ucs_offsetof(uct_vmp_md_config_t, super),
     UCS_CONFIG_TYPE_TABLE(uct_md_config_table)},

    {"RCACHE", "y",
     "Keep memory registrations for reuse, by UCX's registration cache. Has\n"
     "an effect only with versions of UCX that do not cache them by themselves\n"
     "(1.13).",
     ucs_offsetof(uct_vmp_md_config_t, rcache), UCS_CONFIG_TYPE_BOOL},

    {NULL}
};

ucs_config_field_t uct_vmp_iface_config_table[] = {
    /* Like rc_verbs: beyond that many endpoints UCP prefers other transports,
     * where it may */
    {"", "MAX_NUM_EPS=256", NULL, ucs_offsetof(uct_vmp_iface_config_t, super),
     UCS_CONFIG_TYPE_TABLE(uct_iface_config_table)},

    {"NUM_PATHS", "4",
     "Network paths (RC queue pairs) of a connection, 1..64. Further ones than\n"
     "the first are made when the traffic first needs them.",
     ucs_offsetof(uct_vmp_iface_config_t, num_paths), UCS_CONFIG_TYPE_UINT},

    {"SPREAD_THRESH", "4k",
     "Operations longer than this are spread over the paths; shorter ones use\n"
     "the first path that is up. \"inf\" spreads nothing.",
     ucs_offsetof(uct_vmp_iface_config_t, spread_thresh),
     UCS_CONFIG_TYPE_MEMUNITS},

    {"POLICY", "rr",
     "What picks the path of the next chunk or message:\n"
     "  single - always the first path that is up\n"
     "  rr     - one path after the other",
     ucs_offsetof(uct_vmp_iface_config_t, policy), UCS_CONFIG_TYPE_STRING},

    {"CHUNK_SIZE", "32k",
     "Bytes of a put or get that are posted on a path at a time, 4k..1g.",
     ucs_offsetof(uct_vmp_iface_config_t, chunk_size),
     UCS_CONFIG_TYPE_MEMUNITS},

    {"PATH_WINDOW", "128k",
     "Bytes in flight on a path at most; at least one chunk.",
     ucs_offsetof(uct_vmp_iface_config_t, path_window),
     UCS_CONFIG_TYPE_MEMUNITS},

    {"SEG_SIZE", "8192",
     "Largest active message, its receive buffer's size; 1k..1m.",
     ucs_offsetof(uct_vmp_iface_config_t, seg_size),
     UCS_CONFIG_TYPE_MEMUNITS},

    {"PEER_TIMEOUT", "15s",
     "A peer from which nothing is heard for that long is given up.",
     ucs_offsetof(uct_vmp_iface_config_t, peer_timeout), UCS_CONFIG_TYPE_TIME},

    {"SUSPECT_TIME", "200us",
     "How long a path may stand still, at least, before it gets no new work: 1us\n"
     "and more. How long really follows from how long its requests took before. It\n"
     "is given up, and its work done over others, if these move meanwhile. \"inf\":\n"
     "only the device tells that a path is dead.",
     ucs_offsetof(uct_vmp_iface_config_t, suspect_time), UCS_CONFIG_TYPE_TIME},

    {"NUM_UD", "2",
     "Queue pairs for connection set-up, 1..8. Each takes a network path of its\n"
     "own; an unanswered request moves to the next.",
     ucs_offsetof(uct_vmp_iface_config_t, num_ud), UCS_CONFIG_TYPE_UINT},

    {"RX_WINDOW", "512",
     "Messages that a peer may have in flight to us at most; a power of 2,\n"
     "16..65536.",
     ucs_offsetof(uct_vmp_iface_config_t, rx_window), UCS_CONFIG_TYPE_UINT},

    {"RX_WINDOW_MIN", "16",
     "Messages that every peer may have in flight to us from the start.",
     ucs_offsetof(uct_vmp_iface_config_t, rx_window_min),
     UCS_CONFIG_TYPE_UINT},

    {"TX_QUEUE_LEN", "256",
     "Length of a path's send queue; a power of 2, 16..32768.",
     ucs_offsetof(uct_vmp_iface_config_t, tx_queue_len), UCS_CONFIG_TYPE_UINT},

    {"TX_CQ_LEN", "4096",
     "Length of the completion queue that the interface's paths share; at least\n"
     "TX_QUEUE_LEN.",
     ucs_offsetof(uct_vmp_iface_config_t, tx_cq_len), UCS_CONFIG_TYPE_UINT},

    {"RX_QUEUE_LEN", "1024",
     "Receive buffers that are kept posted, 32..32768.",
     ucs_offsetof(uct_vmp_iface_config_t, rx_queue_len), UCS_CONFIG_TYPE_UINT},

    {"RX_MAX_BUFS", "inf",
     "Receive buffers at most, with those that the application holds.",
     ucs_offsetof(uct_vmp_iface_config_t, rx_max_bufs), UCS_CONFIG_TYPE_UINT},

    {"TX_MAX_BUFS", "4096",
     "Send buffers at most (bcopy operations that are not yet acknowledged).",
     ucs_offsetof(uct_vmp_iface_config_t, tx_max_bufs), UCS_CONFIG_TYPE_UINT},

    {"TX_MIN_INLINE", "128",
     "Bytes to put into a work request itself, if the device can.",
     ucs_offsetof(uct_vmp_iface_config_t, max_inline),
     UCS_CONFIG_TYPE_MEMUNITS},

    {"TX_MIN_SGE", "5",
     "Scatter-gather entries of a work request, if the device can; 2..16.",
     ucs_offsetof(uct_vmp_iface_config_t, max_sge), UCS_CONFIG_TYPE_UINT},

    {"MAX_RD_ATOMIC", "16",
     "Reads outstanding on a path at most, if the device can; 1..255.",
     ucs_offsetof(uct_vmp_iface_config_t, max_rd_atomic),
     UCS_CONFIG_TYPE_UINT},

    {"GID_INDEX", "auto",
     "Index of the port's GID to use. \"auto\" prefers RoCE v2 over IPv4, then\n"
     "RoCE v2 over IPv6.",
     ucs_offsetof(uct_vmp_iface_config_t, gid_index), UCS_CONFIG_TYPE_ULUNITS},

    {"TRAFFIC_CLASS", "auto",
     "IB traffic class, or RoCE v2 differentiated services byte, 0..255.\n"
     "\"auto\" selects 0.",
     ucs_offsetof(uct_vmp_iface_config_t, traffic_class),
     UCS_CONFIG_TYPE_ULUNITS},

    {"SL", "auto",
     "IB service level, or RoCE v2 Ethernet priority, 0..15. \"auto\" selects 0.",
     ucs_offsetof(uct_vmp_iface_config_t, sl), UCS_CONFIG_TYPE_ULUNITS},

    {"PKEY", "auto",
     "Partition key, 0x1..0x7fff. \"auto\" selects the first one with full\n"
     "membership.",
     ucs_offsetof(uct_vmp_iface_config_t, pkey), UCS_CONFIG_TYPE_HEX},

    {"PATH_MTU", "default",
     "Path MTU. \"default\" selects the active MTU of the port.",
     ucs_offsetof(uct_vmp_iface_config_t, path_mtu),
     UCS_CONFIG_TYPE_ENUM(uct_vmp_mtu_names)},

    {"TIMEOUT", "1.0s",
     "Transport timeout: how long the device waits for an acknowledgement before\n"
     "it sends again. Rounded up to 4.096us times a power of 2.",
     ucs_offsetof(uct_vmp_iface_config_t, timeout), UCS_CONFIG_TYPE_TIME},

    {"RETRY_COUNT", "3",
     "Transport retries, 0..6 (some devices take 7 as without end, so that a\n"
     "dead path would never be seen).",
     ucs_offsetof(uct_vmp_iface_config_t, retry_count), UCS_CONFIG_TYPE_UINT},

    {"RNR_TIMEOUT", "1ms",
     "How long the device waits when the peer had no receive buffer. Retries of\n"
     "this kind never end.",
     ucs_offsetof(uct_vmp_iface_config_t, rnr_timeout), UCS_CONFIG_TYPE_TIME},

    {"STATS", "",
     "Where counters are written as JSON lines when connections and interfaces\n"
     "close: \"stdout\", \"stderr\", or \"file:PATH\" to append to a file. %p in\n"
     "PATH is the process id, %h the host. Empty: nowhere.",
     ucs_offsetof(uct_vmp_iface_config_t, stats), UCS_CONFIG_TYPE_STRING},

    {"BANDWIDTH", "auto",
     "Bandwidth that UCX is told, for its choice of transports. \"auto\" is a\n"
     "little less than the port's, so that rc wins where both are allowed.",
     ucs_offsetof(uct_vmp_iface_config_t, bandwidth), UCS_CONFIG_TYPE_BW},

    {"LATENCY", "8us",
     "Latency that UCX is told, for its choice of transports.",
     ucs_offsetof(uct_vmp_iface_config_t, latency), UCS_CONFIG_TYPE_TIME},

    {"OVERHEAD", "100ns",
     "Overhead of a message that UCX is told, for its choice of transports.",
     ucs_offsetof(uct_vmp_iface_config_t, overhead), UCS_CONFIG_TYPE_TIME},

    {NULL}
};


/* Settings that are plain numbers with bounds. */
static int uct_vmp_config_check(const char *name, unsigned long long value,
                                unsigned long long min, unsigned long long max,
                                int is_power_of_2)
{
    if ((value >= min) && (value <= max) &&
        (!is_power_of_2 || ((value & (value - 1)) == 0))) {
        return 1;
    }

    vmp_error("UCX_VMP_%s is %llu: must be %s%llu..%llu", name, value,
              is_power_of_2 ? "a power of 2 in " : "", min, max);
    return 0;
}

static int uct_vmp_config_check_auto(const char *name, unsigned long value,
                                     unsigned long max)
{
    return (value == UCS_ULUNITS_AUTO) ||
           uct_vmp_config_check(name, value, 0, max, 0);
}

static int uct_vmp_config_check_real(const char *name, double value, double min,
                                     double max, const char *unit)
{
    if ((value >= min) && (value <= max)) {
        return 1;
    }

    vmp_error("UCX_VMP_%s is %g%s: must be %g%s..%g%s", name, value, unit, min,
              unit, max, unit);
    return 0;
}

static int uct_vmp_config_check_time(const char *name, double value, double min,
                                     double max)
{
    return uct_vmp_config_check_real(name, value, min, max, "s");
}

static int uct_vmp_config_is_valid(const uct_vmp_iface_config_t *config)
{
    /* not short-circuited: report all that is wrong at once */
    return uct_vmp_config_check("NUM_PATHS", config->num_paths, 1,
                                VMP_MAX_PATHS, 0) &
           ((config->spread_thresh == UCS_MEMUNITS_INF) ||
            uct_vmp_config_check("SPREAD_THRESH", config->spread_thresh, 0,
                                 1ul << 40, 0)) &
           uct_vmp_config_check("CHUNK_SIZE", config->chunk_size, 4096,
                                1ul << 30, 0) &
           uct_vmp_config_check("PATH_WINDOW", config->path_window,
                                config->chunk_size, 1ul << 31, 0) &
           uct_vmp_config_check("SEG_SIZE", config->seg_size, 1024, 1ul << 20,
                                0) &
           uct_vmp_config_check("NUM_UD", config->num_ud, 1, VMP_MAX_UD, 0) &
           uct_vmp_config_check("RX_WINDOW", config->rx_window, 16, 65536, 1) &
           uct_vmp_config_check("RX_WINDOW_MIN", config->rx_window_min, 1,
                                config->rx_window, 0) &
           uct_vmp_config_check("TX_QUEUE_LEN", config->tx_queue_len, 16,
                                32768, 1) &
           uct_vmp_config_check("TX_CQ_LEN", config->tx_cq_len,
                                config->tx_queue_len, 1ul << 22, 0) &
           uct_vmp_config_check("RX_QUEUE_LEN", config->rx_queue_len, 32,
                                32768, 0) &
           uct_vmp_config_check("RX_MAX_BUFS", config->rx_max_bufs,
                                config->rx_queue_len, UINT32_MAX, 0) &
           uct_vmp_config_check("TX_MAX_BUFS", config->tx_max_bufs, 16,
                                UINT32_MAX, 0) &
           uct_vmp_config_check("TX_MIN_INLINE", config->max_inline, 0, 4096,
                                0) &
           uct_vmp_config_check("TX_MIN_SGE", config->max_sge, 2, 16, 0) &
           uct_vmp_config_check("MAX_RD_ATOMIC", config->max_rd_atomic, 1, 255,
                                0) &
           uct_vmp_config_check_auto("GID_INDEX", config->gid_index, 255) &
           uct_vmp_config_check_auto("TRAFFIC_CLASS", config->traffic_class,
                                     255) &
           uct_vmp_config_check_auto("SL", config->sl, 15) &
           ((config->pkey == UCS_HEXUNITS_AUTO) ||
            uct_vmp_config_check("PKEY", config->pkey, 1, 0x7fff, 0)) &
           uct_vmp_config_check("RETRY_COUNT", config->retry_count, 0, 6, 0) &
           uct_vmp_config_check_time("TIMEOUT", config->timeout, 4.096e-6,
                                     8000) &
           uct_vmp_config_check_time("RNR_TIMEOUT", config->rnr_timeout, 1e-5,
                                     0.65536) &
           uct_vmp_config_check_time("PEER_TIMEOUT", config->peer_timeout, 0.1,
                                     1e6) &
           uct_vmp_config_check_time("SUSPECT_TIME", config->suspect_time, 1e-6,
                                     INFINITY) &
           ((config->bandwidth == UCT_VMP_CONFIG_BW_AUTO) ||
            uct_vmp_config_check_real("BANDWIDTH", config->bandwidth, 0,
                                      UCT_VMP_CONFIG_MAX_BW, "B/s")) &
           uct_vmp_config_check_time("LATENCY", config->latency, 0, 1) &
           uct_vmp_config_check_time("OVERHEAD", config->overhead, 0, 1);
}

/* The smallest exponent that is not shorter: 4.096us * 2^n. */
static uint8_t uct_vmp_config_ib_timeout(double seconds)
{
    uint8_t exponent = 1; /* 0 would mean without end */
    double time      = 2 * 4.096e-6;

    while ((exponent < 31) && (time < seconds)) {
        ++exponent;
        time *= 2;
    }

    return exponent;
}

/* The IB specification numbers 32 fixed times, given here in units of 10us;
 * number 0 is the longest. */
static uint8_t uct_vmp_config_ib_rnr_timer(double seconds)
{
    static const uint32_t times[32] = {
        65536, 1,    2,    3,    4,    6,    8,     12,    16,    24,   32,
        48,    64,   96,   128,  192,  256,  384,   512,   768,   1024, 1536,
        2048,  3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768, 49152
    };
    uint8_t i;

    for (i = 1; i < 32; ++i) {
        if (times[i] * 1e-5 >= seconds - 1e-9) {
            return i;
        }
    }

    return 0;
}

static unsigned long uct_vmp_config_auto(unsigned long value,
                                         unsigned long auto_value)
{
    return (value == UCS_ULUNITS_AUTO) ? auto_value : value;
}

vmp_status_t uct_vmp_config_to_params(const uct_vmp_iface_config_t *config,
                                      vmp_iface_params_t *params)
{
    vmp_port_params_t *port = &params->port;

    if (!uct_vmp_config_is_valid(config)) {
        return VMP_ERR_INVALID_PARAM;
    }

    memset(params, 0, sizeof(*params));
    params->num_paths       = config->num_paths;
    params->spread_thresh   = config->spread_thresh;
    params->chunk_size      = config->chunk_size;
    params->path_window     = config->path_window;
    params->seg_size        = config->seg_size;
    params->rx_window_min   = config->rx_window_min;
    params->rx_window_max   = config->rx_window;
    params->rx_max_bufs     = config->rx_max_bufs;
    params->tx_max_bufs     = config->tx_max_bufs;
    params->peer_timeout_ns = (uint64_t)(config->peer_timeout * 1e9);
    params->suspect_ns      = (config->suspect_time > UCT_VMP_SUSPECT_MAX) ?
                              UINT64_MAX :
                              (uint64_t)(config->suspect_time * 1e9);
    params->policy          = config->policy;

    port->gid_index     = (config->gid_index == UCS_ULUNITS_AUTO) ? -1 :
                          (int)config->gid_index;
    port->traffic_class = uct_vmp_config_auto(config->traffic_class, 0);
    port->sl            = uct_vmp_config_auto(config->sl, 0);
    port->pkey          = (config->pkey == UCS_HEXUNITS_AUTO) ? 0xffff :
                          config->pkey;
    port->path_mtu      = config->path_mtu;
    port->timeout       = uct_vmp_config_ib_timeout(config->timeout);
    port->retry_count   = config->retry_count;
    port->min_rnr_timer = uct_vmp_config_ib_rnr_timer(config->rnr_timeout);
    port->max_rd_atomic = config->max_rd_atomic;
    port->num_ud        = config->num_ud;
    port->sq_depth      = config->tx_queue_len;
    port->cq_depth      = config->tx_cq_len;
    port->srq_depth     = config->rx_queue_len;
    port->max_inline    = config->max_inline;
    port->max_sge       = config->max_sge;
    return VMP_OK;
}
