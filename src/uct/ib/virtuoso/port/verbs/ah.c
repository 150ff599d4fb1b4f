/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "verbs_port.h"

#include <errno.h>
#include <stdlib.h>


/** Making a handle may wait in the kernel for the neighbour's MAC address, for
 *  a second where there is no answer: not again so soon after a failure. */
#define VMP_AH_RETRY_NS  (500 * VMP_NSEC_PER_MSEC)


void vmp_verbs_ah_init(vmp_verbs_ud_t *ud)
{
    ud->ah_list.next = &ud->ah_list;
    ud->ah_list.prev = &ud->ah_list;
}

static void vmp_verbs_ah_unlink(vmp_verbs_ah_t *ah)
{
    ah->prev->next = ah->next;
    ah->next->prev = ah->prev;
}

static void vmp_verbs_ah_link_first(vmp_verbs_ud_t *ud, vmp_verbs_ah_t *ah)
{
    ah->prev                  = &ud->ah_list;
    ah->next                  = ud->ah_list.next;
    ud->ah_list.next->prev    = ah;
    ud->ah_list.next          = ah;
}

static unsigned vmp_verbs_ah_bucket(const vmp_rail_addr_t *addr)
{
    uint64_t words[2];

    memcpy(words, addr->gid, sizeof(words));
    return (unsigned)(vmp_verbs_mix(words[0] ^ vmp_verbs_mix(words[1]) ^
                                    addr->lid) % VMP_AH_BUCKETS);
}

static int vmp_verbs_ah_match(const vmp_verbs_ah_t *ah,
                              const vmp_rail_addr_t *addr)
{
    return (ah->addr.lid == addr->lid) &&
           (ah->addr.is_roce == addr->is_roce) &&
           (memcmp(ah->addr.gid, addr->gid, sizeof(addr->gid)) == 0);
}

static vmp_verbs_ah_t *vmp_verbs_ah_find(vmp_verbs_ud_t *ud,
                                         const vmp_rail_addr_t *addr)
{
    vmp_verbs_ah_t *ah = ud->ah_hash[vmp_verbs_ah_bucket(addr)];

    while ((ah != NULL) && !vmp_verbs_ah_match(ah, addr)) {
        ah = ah->hash_next;
    }
    return ah;
}

static void vmp_verbs_ah_unhash(vmp_verbs_ud_t *ud, vmp_verbs_ah_t *ah)
{
    vmp_verbs_ah_t **prev = &ud->ah_hash[vmp_verbs_ah_bucket(&ah->addr)];

    while (*prev != ah) {
        prev = &(*prev)->hash_next;
    }
    *prev = ah->hash_next;
}

static void vmp_verbs_ah_free(vmp_verbs_ud_t *ud, vmp_verbs_ah_t *ah)
{
    unsigned i;

    vmp_verbs_ah_unlink(ah);
    --ud->num_ahs;
    for (i = 0; i < VMP_UD_MAX_QPS; ++i) {
        if (ah->ah[i] != NULL) {
            (void)ibv_destroy_ah(ah->ah[i]);
        }
    }
    free(ah);
}

/** Take an entry out of use; it goes when its last send has completed, since
 *  some devices look handles up only when they send. */
static void vmp_verbs_ah_doom(vmp_verbs_ud_t *ud, vmp_verbs_ah_t *ah)
{
    vmp_verbs_ah_unhash(ud, ah);
    ah->is_doomed = 1;
    if (ah->inflight == 0) {
        vmp_verbs_ah_free(ud, ah);
    }
}

static vmp_verbs_ah_t *vmp_verbs_ah_add(vmp_verbs_ud_t *ud,
                                        const vmp_rail_addr_t *addr)
{
    vmp_verbs_ah_t *ah, *last;
    unsigned bucket;

    if (ud->num_ahs >= VMP_AH_MAX) {
        last = ud->ah_list.prev;
        if (last->inflight > 0) {
            return NULL; /* all in use? then the network stands still */
        }
        vmp_verbs_ah_doom(ud, last);
    }

    ah = calloc(1, sizeof(*ah));
    if (ah == NULL) {
        return NULL;
    }

    bucket              = vmp_verbs_ah_bucket(addr);
    ah->addr            = *addr;
    ah->hash_next       = ud->ah_hash[bucket];
    ud->ah_hash[bucket] = ah;
    vmp_verbs_ah_link_first(ud, ah);
    ++ud->num_ahs;
    return ah;
}

/** A flow label for control: differs by control QP, is never 0, and stays. */
static uint32_t vmp_verbs_ah_entropy(const vmp_verbs_rail_t *rail, unsigned ud)
{
    return (uint32_t)(vmp_verbs_mix(rail->ud.qp[ud]->qp_num + 1ull) & 0xfffff) |
           1;
}

vmp_verbs_ah_t *vmp_verbs_ah_get(vmp_port_t *port, vmp_verbs_rail_t *rail,
                                 unsigned ud, const vmp_rail_addr_t *dest)
{
    struct ibv_ah_attr attr;
    vmp_verbs_ah_t *ah;
    uint64_t now;

    ah = vmp_verbs_ah_find(&rail->ud, dest);
    if (ah == NULL) {
        ah = vmp_verbs_ah_add(&rail->ud, dest);
        if (ah == NULL) {
            vmp_debug("%s: no memory for an address handle", rail->name);
            return NULL;
        }
    } else if (rail->ud.ah_list.next != ah) {
        vmp_verbs_ah_unlink(ah);
        vmp_verbs_ah_link_first(&rail->ud, ah);
    }

    if (ah->ah[ud] != NULL) {
        return ah;
    }

    now = vmp_verbs_now();
    if (now < ah->retry_at) {
        return NULL;
    }

    vmp_verbs_fill_av(port, rail, dest, vmp_verbs_ah_entropy(rail, ud), &attr);
    ah->ah[ud] = ibv_create_ah(rail->dev->pd, &attr);
    if (ah->ah[ud] == NULL) {
        vmp_debug("%s: cannot make an address handle: %s%s", rail->name,
                  strerror(errno), vmp_verbs_hint(errno));
        ah->retry_at = vmp_verbs_now() + VMP_AH_RETRY_NS;
        return NULL;
    }
    return ah;
}

void vmp_verbs_ah_put(vmp_verbs_ud_t *ud, vmp_verbs_ah_t *ah)
{
    --ah->inflight;
    if (ah->is_doomed && (ah->inflight == 0)) {
        vmp_verbs_ah_free(ud, ah);
    }
}

void vmp_verbs_ah_forget(vmp_verbs_ud_t *ud, const vmp_rail_addr_t *dest)
{
    vmp_verbs_ah_t *ah = vmp_verbs_ah_find(ud, dest);

    if (ah != NULL) {
        vmp_verbs_ah_doom(ud, ah);
    }
}

void vmp_verbs_ah_forget_all(vmp_verbs_ud_t *ud)
{
    vmp_verbs_ah_t *ah, *next;

    for (ah = ud->ah_list.next; ah != &ud->ah_list; ah = next) {
        next = ah->next;
        if (!ah->is_doomed) {
            vmp_verbs_ah_doom(ud, ah);
        }
    }
}

void vmp_verbs_ah_forget_qp(vmp_verbs_ud_t *ud, unsigned qp)
{
    vmp_verbs_ah_t *ah;

    for (ah = ud->ah_list.next; ah != &ud->ah_list; ah = ah->next) {
        if (ah->ah[qp] != NULL) {
            (void)ibv_destroy_ah(ah->ah[qp]);
            ah->ah[qp] = NULL;
        }
    }
}

void vmp_verbs_ah_cleanup(vmp_verbs_ud_t *ud)
{
    while (ud->ah_list.next != &ud->ah_list) {
        vmp_verbs_ah_free(ud, ud->ah_list.next);
    }
    memset(ud->ah_hash, 0, sizeof(ud->ah_hash));
}
