/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_SIM_FAULT_H_
#define VMP_SIM_FAULT_H_

#include <stdint.h>

/**
 * Accidents by name: what befalls links, devices and processes of a world. As
 * text, one a line, of which kinds and their words are in fault.c:
 *
 *     at 2ms for 3ms cut host 0 peer 1 link 2
 *     at 2ms for 3ms late host 0 peer 1 link 2 us 100 one-way
 *     at 2.5ms break host 1 peer 0 path 0 status retry
 *
 * Links are those between a host and a peer; those of everybody if these two
 * are the same.
 *
 * All that takes paths away is over within FAULT_WINDOW, which is shorter than
 * a peer is waited for: no endpoint may fail by it (R5). What only makes a
 * process stand still, or control deaf, may last for longer.
 */
#define FAULT_WINDOW  2200000000ull     /* ns */
#define FAULT_MAX     24                /* of a program */


typedef enum fault_kind {
    /* links: from `host` to `peer` and back */
    FAULT_CUT,
    FAULT_ONE_WAY,                      /* there only */
    FAULT_FLAP,                         /* cut and healed every `arg` us */
    FAULT_SLOW,                         /* `arg` permille of its rate */
    FAULT_DELAY,                        /* `arg` us more */
    FAULT_LOSS,                         /* `arg` of a million packets */
    FAULT_TWICE,                        /* the same */
    FAULT_LATE,                         /* up to `arg` us, some packets */
    FAULT_BLACKOUT,                     /* all links */
    FAULT_OUTAGE,                       /* the same, until the peer is lost */
    FAULT_CTL_LOSS,                     /* `arg` of 1000 datagrams of all */
    FAULT_CTL_TWICE,                    /* the same */
    FAULT_CTL_LATE,                     /* up to `arg` us, a third of all */
    FAULT_CTL_HOLE,                     /* datagrams from host to peer */

    /* QPs: path `link` of `host` to `peer` */
    FAULT_BREAK,                        /* fails by itself, status `arg` */
    FAULT_REFUSE,                       /* its next request, status `arg` */
    FAULT_EXECUTED,                     /* executed, but fails, with `arg` */
    FAULT_HALF,                         /* of the next long message on any path
                                           its first packets */
    FAULT_MUTE,                         /* hears and says nothing */
    FAULT_STUCK,                        /* fails, and cannot be moved to ERR */

    /* devices: all of them */
    FAULT_LATE_ERR,                     /* ERR bites up to `arg` us later */
    FAULT_LATE_LAST,                    /* LAST_WQE_REACHED: the same */
    FAULT_NO_LAST,
    FAULT_BUFFER_BACK,                  /* all receive buffers of dying QPs, as
                                           failed, status `arg` */
    FAULT_RNR,                          /* for `arg` of a million messages */
    FAULT_NO_PSN,                       /* they cannot tell rq_psn */
    FAULT_NO_POST,                      /* `arg` of a million posts fail */
    FAULT_NO_QP,
    FAULT_NO_CONNECT,

    /* `host` */
    FAULT_STALL,                        /* application computes */
    FAULT_HELPER,                       /* helper thread gets no CPU */
    FAULT_FREEZE,                       /* both: the process is stopped */
    FAULT_PORT_DOWN,                    /* events, true or not */
    FAULT_PORT_UP,
    FAULT_UNPLUG,                       /* all links, event `arg` us later */
    FAULT_EARLY,                        /* the same, event so much earlier */
    FAULT_ADDRESS,                      /* another GID, event the same */
    FAULT_SILENT,                       /* the same, without event */
    FAULT_DEVICE,                       /* fails, event `arg` us later; then the
                                           process starts anew */
    FAULT_CQ,                           /* its CQs do, control goes on */
    FAULT_KILL,                         /* killed; restarts after that time */
    FAULT_GONE,                         /* all links, until peers are lost */
    FAULT_LAST
} fault_kind_t;


typedef struct fault {
    uint64_t time;                      /* ns, virtual */
    uint64_t size;                      /* ns that it lasts; 0: a moment */
    uint32_t arg;                       /* fault_kind_t says */
    uint16_t host;
    uint16_t peer;
    uint8_t  link;                      /* or path */
    uint8_t  kind;
    uint8_t  is_off;                    /* left out */
    uint8_t  is_one_way;                /* from host to peer only */
} fault_t;


const char *fault_name(fault_kind_t kind);

/** It is a moment: it does not end. */
int fault_is_moment(fault_kind_t kind);

/** A line may say of it that it is so in one direction only. */
int fault_may_be_one_way(fault_kind_t kind);

/** All links of a host are cut. */
int fault_is_unplug(fault_kind_t kind);

/** For so long that who waits for the other side loses it (R5). */
int fault_is_outage(fault_kind_t kind);

/** What devices do with QPs that die. */
int fault_is_of_dying(fault_kind_t kind);

/** Of those that links have: whether it is about what goes that way, or over
 *  that link. */
int fault_is_on(const fault_t *fault, unsigned from, unsigned to);
int fault_is_on_link(const fault_t *fault, unsigned link, unsigned num_links);

/** When it is over, and its device has said so, ns. */
uint64_t fault_end(const fault_t *fault);

/** A random one of a kind, with its time after `begin`. `is_alone`: all
 *  accidents are of that kind. */
void fault_random(fault_t *fault, fault_kind_t kind, uint64_t begin,
                  int is_alone, unsigned num_hosts, unsigned num_links,
                  uint32_t (*rnd)(uint32_t num));

/** A line of text, without newline. */
const char *fault_str(const fault_t *fault, char *buf, unsigned max);

/** The reverse. Return 0, or -1: `buf` says why not. */
int fault_parse(const char *line, fault_t *fault, char *buf, unsigned max);


/* expected.c: what the core of today does not survive */

/** Whether it is known that `rule` is broken between two hosts after the kinds
 *  that have happened to them (bit mask). */
int expected_failure(uint64_t happened, const char *rule);

/** Return 0 if every known failure has been seen, after many programs; else say
 *  which has not. */
int expected_check(void);


#endif
