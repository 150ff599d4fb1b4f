/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef FAKE_VERBS_H_
#define FAKE_VERBS_H_

#include <stdint.h>


/**
 * libibverbs, as far as the verbs port uses it, over a network within this
 * process: devices fake0, fake1, ... with one port each, RC with an SRQ, UD,
 * completion channels and device events by real file descriptors. A thread
 * plays all NICs; they are connected by FAKE_LINKS links, of which the flow
 * label picks one.
 *
 * The fake is compiled without TSan, locks by atomics that TSan does not see,
 * copies without memcpy() and writes to file descriptors past TSan's
 * interceptors. So it orders nothing: TSan finds two threads of the port racing
 * though both have called verbs in between, as they would with a real device.
 *
 * What no user of verbs may do ends the test with a line on stderr: a queue
 * that overruns, an object destroyed while others use it, events that are not
 * acknowledged.
 *
 * Not like a device: messages (not writes) are executed as a whole; a receive
 * buffer is never lost with a QP; packets do not overtake, nor get lost but
 * where a link is cut.
 */
#define FAKE_DEVS   4
#define FAKE_LINKS  4


/** Start and stop the NICs. Stopped, nothing may be open. */
void fake_begin(uint64_t seed);
void fake_end(void);


typedef enum fake_kind {
    FAKE_CONTEXT,
    FAKE_PD,
    FAKE_MR,
    FAKE_CHANNEL,
    FAKE_CQ,
    FAKE_SRQ,
    FAKE_QP,
    FAKE_AH,
    FAKE_KINDS
} fake_kind_t;

/** Objects there are now. */
unsigned fake_count(fake_kind_t kind);

const char *fake_kind_str(fake_kind_t kind);


/** Heap in use by what is linked with the wrappers of fake_heap.c: bytes and
 *  blocks. */
void fake_heap(uint64_t *bytes_p, uint64_t *blocks_p);


/* Faults ------------------------------------------------------------------- */

#define FAKE_TO_HIGHER  0x1     /**< From devices to those of larger number */
#define FAKE_TO_LOWER   0x2
#define FAKE_BOTH       0x3

/** A link loses all packets in these directions. Cut from lower to higher only,
 *  requests of lower devices are lost, and acknowledgements of what higher ones
 *  sent, which was executed. */
void fake_cut(unsigned link, unsigned directions);

/** All links are as they should be. */
void fake_heal(void);

/** One connected RC QP fails by itself, with RETRY_EXC; the peer hears nothing.
 *  Return whether there was one. */
int fake_break(void);

/** That many of 1000 UD datagrams are lost. */
void fake_lose_datagrams(unsigned permille);

/** A device fails for ever (DEVICE_FATAL): its QPs are in error without a word,
 *  polls of its CQs and all that is asked of its QPs fail, nothing comes in or
 *  goes out. Objects are destroyed as ever. Who waits for a completion is woken
 *  up. */
void fake_fail(unsigned dev);

/** The device says that its port went down or came up, whatever is true. */
void fake_port_event(unsigned dev, int is_up);


#endif
