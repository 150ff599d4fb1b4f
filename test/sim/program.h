/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMP_SIM_PROGRAM_H_
#define VMP_SIM_PROGRAM_H_

#include "fault.h"
#include "random.h"

#include "core/vmp_core.h"

#include <stdint.h>

/**
 * A random program: a world, and a list of what its applications do and what
 * befalls them, by virtual time. It follows from its seed alone, and can be run
 * with some of its acts left out.
 */
#define PROG_MAX_HOSTS  320
#define PROG_MAX_LINKS  4
#define PROG_MAX_SLOTS  6               /* endpoints of a host at a time */


typedef enum act_type {
    /* what applications do: `host`, and mostly `slot` */
    ACT_OPEN,                           /* endpoint to `peer` */
    ACT_CLOSE,                          /* destroy it, whatever is under way */
    ACT_AM_SHORT,
    ACT_AM_IOV,
    ACT_AM_BCOPY,
    ACT_AM_ZCOPY,
    ACT_PUT_SHORT,
    ACT_PUT_BCOPY,
    ACT_PUT_ZCOPY,
    ACT_GET_BCOPY,
    ACT_GET_ZCOPY,
    ACT_FENCE,
    ACT_FLUSH,
    ACT_CANCEL,                         /* flush with CANCEL, at once */
    ACT_CHECK,                          /* vmp_ep_check() */
    ACT_IFACE_FENCE,
    ACT_IFACE_FLUSH,
    ACT_IFACE_CLOSE,
    ACT_IFACE_OPEN,

    /* accidents, where there are none by name: `host`, for `size` ns */
    ACT_STALL,                          /* application computes */
    ACT_HELPER_STALL,                   /* helper thread gets no CPU */
    ACT_UD_LOSS,                        /* `arg` per 1000 datagrams lost, all */
    ACT_LINK_LOSS,                      /* link `slot`: `arg` per 10^6 */
    ACT_NO_QP,                          /* QPs cannot be made */
    ACT_LAST
} act_type_t;

#define ACT_FIRST_ACCIDENT  ACT_STALL


typedef struct act {
    uint64_t time;                      /* ns, virtual */
    uint32_t size;                      /* bytes, or ns */
    uint32_t arg;                       /* act_type says; RMA: where */
    uint16_t host;
    uint16_t peer;
    uint8_t  slot;
    uint8_t  type;
    uint8_t  is_off;                    /* left out */
} act_t;


/** One application's manners */
typedef struct prog_host {
    uint32_t poll_ns;                   /* between polls, when busy */
    uint32_t idle_ns;                   /* at most, when nothing happens */
    uint8_t  keep_percent;              /* of the messages, for a while */
    uint8_t  pump_percent;              /* callbacks that send something */
    uint8_t  sleeps;                    /* arms and sleeps when idle */
    uint8_t  num_paths;
    uint8_t  policy;                    /* index */
    uint32_t chunk_size;
} prog_host_t;


typedef struct prog_link {
    uint64_t rate;                      /* bytes/s */
    uint32_t delay;                     /* ns, one way */
    uint32_t jitter;                    /* ns at most */
    uint32_t queue;                     /* bytes; 0: no limit */
    uint32_t loss;                      /* per 10^6 packets */
} prog_link_t;


typedef struct program {
    uint64_t           seed;
    uint64_t           run_seed;        /* of what is decided while it runs */
    unsigned           num_hosts;
    unsigned           num_links;
    uint8_t            is_crowd;        /* many peers of host 0 */
    uint8_t            is_long;         /* until QPs are out of quarantine */
    uint8_t            is_faulty;       /* has accidents by name */
    uint32_t           ud_loss;         /* per 1000 datagrams */
    uint32_t           ud_dup;
    uint32_t           ud_jitter;       /* ns */
    uint32_t           region_size;     /* bytes, a host */
    uint32_t           inline_max;      /* bytes that the device takes */
    uint8_t            max_sge;
    uint8_t            burst;           /* packets that come at once */
    vmp_iface_params_t params;          /* but for ops and arg */
    prog_link_t        links[PROG_MAX_LINKS];
    prog_host_t        hosts[PROG_MAX_HOSTS];
    act_t              *acts;
    unsigned           num_acts;
    unsigned           max_acts;
    fault_t            faults[FAULT_MAX];   /* by time */
    unsigned           num_faults;
    uint8_t            min_rnr_timer;   /* without accidents */
    uint64_t           acts_end;        /* ns: of the last act */
    uint64_t           end;             /* and of the last accident */
} program_t;


/** `is_faulty`: with random accidents by name in place of `ACT_STALL` and what
 *  follows it. */
void program_make(program_t *prog, uint64_t seed, int is_faulty);

/** Its accidents, from a time on (ns). */
void program_make_faults(program_t *prog, rnd_t *rnd, uint64_t begin);

/** Bring accidents into the order of their times, and know when it ends. */
void program_sort_faults(program_t *prog);
void program_free(program_t *prog);

/** Readable, one line an act. */
void program_print(const program_t *prog);

const char *act_str(const act_t *act, char *buf, size_t max);

extern const char *const program_policies[];


#endif
