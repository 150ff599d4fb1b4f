/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core/vmp_entropy.h"


#define VMP_ENTROPY_TRIES  64
#define VMP_ENTROPY_PORTS  0x4000   /* UDP source ports: 14 bits */


/* Spread every bit over all (the finaliser of a well-known 64-bit hash) */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9ull;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static int port_is_taken(const vmp_ctl_conn_t *conn, uint16_t port)
{
    const vmp_ctl_path_t *path;
    unsigned i;

    for (i = 0; i < conn->num_paths; i++) {
        path = conn->paths[i].path;
        if ((path != NULL) && (vmp_port_udp_sport(path->entropy) == port)) {
            return 1;
        }
    }

    return 0;
}

int vmp_entropy_is_taken(const vmp_ctl_conn_t *conn, uint32_t entropy)
{
    return port_is_taken(conn, vmp_port_udp_sport(entropy));
}

static int port_has_failed(const vmp_ctl_conn_t *conn, uint16_t port)
{
    unsigned i;

    for (i = 0; i < VMP_CTL_FAILED_PORTS; i++) {
        if (conn->peer->failed_ports[i] == port) {
            return 1;
        }
    }

    return 0;
}

uint32_t vmp_entropy_choose(vmp_ctl_conn_t *conn, unsigned path,
                            uint32_t epoch)
{
    vmp_ctl_t *ctl = conn->ctl;
    uint64_t seed;
    uint32_t label;
    uint16_t port;
    unsigned i;

    if (!ctl->attr.addr[path % ctl->attr.num_rails].is_roce) {
        return path & VMP_PATH_BITS_MAX;
    }

    /* Two connections must not have the same values in the same order, as when
     * every process numbers its paths alike: their paths would all share links.
     * The random part makes the next try at a bad value another one. */
    seed = mix(ctl->params.id ^ mix(conn->peer_id));
    seed = mix(seed ^ ((uint64_t)conn->incarn << 32) ^ conn->peer_incarn);
    seed = mix(seed ^ ((uint64_t)path << 32) ^ epoch ^ vmp_ctl_random(ctl));

    for (i = 0; i < VMP_ENTROPY_TRIES; i++) {
        label = mix(seed + i) & VMP_FLOW_LABEL_MAX;
        port  = vmp_port_udp_sport(label);
        if ((label != 0) && !port_is_taken(conn, port) &&
            !port_has_failed(conn, port)) {
            return label;
        }
    }

    /* Labels of 14 bits are the ports' low bits: there are more of them than
     * paths */
    for (label = 1; label < VMP_ENTROPY_PORTS; label++) {
        if (!port_is_taken(conn, vmp_port_udp_sport(label))) {
            break;
        }
    }

    return label;
}

void vmp_entropy_failed(vmp_ctl_conn_t *conn, uint32_t entropy)
{
    vmp_ctl_peer_t *peer = conn->peer;

    peer->failed_ports[peer->num_failed++ % VMP_CTL_FAILED_PORTS] =
            vmp_port_udp_sport(entropy);
}
