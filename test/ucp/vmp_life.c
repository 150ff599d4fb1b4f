/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * What happens to processes while transfers run: they fork, run commands, get
 * signals, are stopped and go on, end well or badly. Rank 1 does it, between
 * posting a round of messages and waiting for them; rank 0 must see nothing of
 * it, or if rank 1 has ended one clear error, and must be able to go on.
 */

#include "vmp_life.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NUM_MSGS        8   /* a round and direction */
#define CANCEL_SECONDS  2
#define POKE_SECONDS    0.5
#define POKE_TAG        (NUM_MSGS + 1)


typedef struct {
    ucs_status_ptr_t request;
    uint8_t          *buffer;
    size_t           size;
    uint64_t         key;
} msg_t;

typedef struct {
    msg_t out[NUM_MSGS];
    msg_t in[NUM_MSGS];
} round_t;


static const size_t sizes[NUM_MSGS] = { 0, 8, 1000, 8192, 65536, 70001, 262144,
                                        1048576 };

static ucp_worker_h  worker;
static ucp_context_h context;
static ucp_ep_h      ep;
static kit_blob_t    addrs[2];
static unsigned      num_rounds = 4;
static double        grace      = 30;   /* for an error to be told */
static uint64_t      num_checks, bytes_out;
static ucs_status_t  ep_error;
static unsigned      num_ep_errors;
static int           is_poking, is_peer_mode;


static void on_ep_error(void *arg, ucp_ep_h unused, ucs_status_t status)
{
    (void)arg, (void)unused;
    ep_error = status;
    ++num_ep_errors;
}

static void on_recv(void *request, ucs_status_t status,
                    const ucp_tag_recv_info_t *info, void *arg)
{
    (void)request, (void)status, (void)info, (void)arg;
    act_in_callback();
}

static uint64_t msg_key(unsigned rank, unsigned round, unsigned i)
{
    return vmp_mix(kit.seed + (((uint64_t)round * 2 + rank) * NUM_MSGS) + i);
}

static void round_post(round_t *r, unsigned round, ucp_ep_h to,
                       unsigned from_rank)
{
    ucp_request_param_t param = { .op_attr_mask =
                                      UCP_OP_ATTR_FIELD_CALLBACK |
                                      UCP_OP_ATTR_FLAG_NO_IMM_CMPL,
                                  .cb.recv      = on_recv };
    ucp_request_param_t none  = { .op_attr_mask = 0 };
    unsigned i;

    for (i = 0; i < NUM_MSGS; ++i) {
        r->in[i].size    = sizes[i];
        r->in[i].key     = msg_key(from_rank, round, i);
        r->in[i].buffer  = xalloc(sizes[i]);
        r->in[i].request = ucp_tag_recv_nbx(worker, r->in[i].buffer, sizes[i],
                                            i, UINT64_MAX, &param);
    }
    for (i = 0; i < NUM_MSGS; ++i) {
        r->out[i].size   = sizes[i];
        r->out[i].key    = msg_key(kit.rank, round, i);
        r->out[i].buffer = xalloc(sizes[i]);
        vmp_content_fill(r->out[i].buffer, sizes[i], r->out[i].key, 0);
        r->out[i].request = ucp_tag_send_nbx(to, r->out[i].buffer, sizes[i], i,
                                             &none);
        bytes_out        += sizes[i];
    }
}

/* Without an error handler UCP looks after no peer: who only waits for one that
 * is dead waits for ever, over any transport. So something is sent at times. */
static void poke(void)
{
    ucp_request_param_t param = { .op_attr_mask = 0 };
    static uint64_t byte;
    static double last;
    ucs_status_ptr_t request;

    if (!is_poking || ((kit_now() - last) < POKE_SECONDS)) {
        return;
    }
    last    = kit_now();
    request = ucp_tag_send_nbx(ep, &byte, 1, POKE_TAG, &param);
    if (UCS_PTR_IS_PTR(request)) {
        ucp_request_free(request);
    }
}

static void progress(void)
{
    kit_progress();
    poke();
}

/* What was not received when the endpoint was lost never comes: UCP does not
 * know who would have sent it. What has begun to come cannot be canceled
 * either, and is left behind. */
static ucs_status_t wait_or_cancel(msg_t *msg)
{
    double canceled = 0;

    if (!UCS_PTR_IS_PTR(msg->request)) {
        return UCS_PTR_STATUS(msg->request);
    }
    while (ucp_request_check_status(msg->request) == UCS_INPROGRESS) {
        progress();
        if (ep_error == UCS_OK) {
            continue;
        } else if (canceled == 0) {
            canceled = kit_now();
            ucp_request_cancel(worker, msg->request);
        } else if ((kit_now() - canceled) > CANCEL_SECONDS) {
            msg->buffer = NULL;
            return UCS_ERR_CANCELED;
        }
    }
    return kit_wait(msg->request);
}

/* Returns the first error */
static ucs_status_t round_wait(round_t *r)
{
    ucs_status_t status, first = UCS_OK;
    uint8_t want = 0;
    size_t offset;
    unsigned i;

    for (i = 0; i < NUM_MSGS; ++i) {
        status = wait_or_cancel(&r->in[i]);
        first  = (first == UCS_OK) ? status : first;
        if (status == UCS_OK) {
            offset = vmp_content_check(r->in[i].buffer, r->in[i].size,
                                       r->in[i].key, 0, &want);
            if (offset != VMP_CONTENT_OK) {
                die("message %u offset %zu: got 0x%02x want 0x%02x", i, offset,
                    r->in[i].buffer[offset], want);
            }
            ++num_checks;
        }
    }
    for (i = 0; i < NUM_MSGS; ++i) {
        /* The word that the peer has read a message may have died with it */
        while (UCS_PTR_IS_PTR(r->out[i].request) &&
               (ucp_request_check_status(r->out[i].request) ==
                UCS_INPROGRESS)) {
            progress();
        }
        status = kit_wait(r->out[i].request);
        first  = (first == UCS_OK) ? status : first;
    }
    for (i = 0; i < NUM_MSGS; ++i) {
        free(r->in[i].buffer);
        free(r->out[i].buffer);
    }
    return first;
}

/* Rank 1 has ended or will: all ends with an error, then other work goes on */
static void survive(unsigned round)
{
    ucp_request_param_t param = { .op_attr_mask = 0 };
    double begin              = kit_now();
    ucs_status_t status       = UCS_OK;
    uint64_t byte             = 0;
    round_t r;
    ucp_ep_h self;

    kit.stage = "survive";
    /* Rank 1 may have ended between two rounds: then nothing says so before
     * we send the next */
    while ((status == UCS_OK) && (ep_error == UCS_OK)) {
        round_post(&r, round++, ep, 1);
        status = round_wait(&r);
        if ((kit_now() - begin) > grace) {
            die("no error after %.0f s", grace);
        }
    }
    while ((ep_error == UCS_OK) && ((kit_now() - begin) < grace)) {
        kit_progress();
    }
    say("request %s, endpoint %s, after %.1f s", ucs_status_string(status),
        ucs_status_string(ep_error), kit_now() - begin);
    if (ep_error == UCS_OK) {
        die("the endpoint did not hear of it");
    }
    status = kit_wait(ucp_tag_send_nbx(ep, &byte, 1, 0, &param));
    if (status == UCS_OK) {
        die("a lost endpoint takes messages");
    }
    kit_ep_close(ep, 1);
    if (num_ep_errors != 1) {
        die("the error was told %u times", num_ep_errors);
    }

    kit.stage = "go on";
    ep_error  = UCS_OK;
    self      = kit_ep(worker, &addrs[0], on_ep_error, NULL);
    round_post(&r, round, self, 0);
    status = round_wait(&r);
    if (status != UCS_OK) {
        die("an endpoint to ourselves does not work any more: %s",
            ucs_status_string(status));
    }
    kit_ep_close(self, 0);
}

static void usage(void)
{
    printf("usage: vmp_life -x WHAT [options]        rank 0\n"
           "       vmp_life -x WHAT [options] HOST   then rank 1; same options\n"
           "rank 1 does WHAT:\n%s"
           "  -i N      rounds (4)\n"
           "  -S S      of stop: seconds (5)\n"
           "  -g S      an error must be told within (30)\n"
           "  -E        peer error handling\n", acts_help());
}

static void option(int c, const char *arg)
{
    switch (c) {
    case 'x':
        act_choose(arg);
        break;
    case 'i':
        num_rounds = kit_number(arg, c, 1, 100000);
        break;
    case 'S':
        act_stop_seconds = kit_number(arg, c, 1, 1000);
        break;
    case 'g':
        grace = kit_number(arg, c, 1, 1000);
        break;
    case 'E':
        is_peer_mode = 1;
        break;
    }
}

static const kit_program_t program = {
    "vmp_life", "13474", "x:i:S:g:E", option, usage
};


int main(int argc, char **argv)
{
    ucs_status_t status = UCS_OK;
    char before[1024];
    kit_blob_t mine;
    int may_lose;
    unsigned round;
    round_t r;

    kit_options(&program, argc, argv);
    act_prepare();
    kit_net_open();
    kit_resources(before, sizeof(before));
    kit_barrier("start");
    worker = kit_worker_open(UCP_FEATURE_TAG, UCS_THREAD_MODE_SINGLE, &context);
    kit_worker_address(worker, &mine);
    kit_allgather(&mine, addrs, sizeof(mine));
    if (act_is_early() && (kit.rank == 1)) {
        act_now(0);
    } else if (act_is_early()) {
        sleep(1);
        say("connecting to a process that has ended");
    }
    ep = kit_ep(worker, &addrs[!kit.rank], is_peer_mode ? on_ep_error : NULL,
                NULL);
    act_check_helper();
    for (round = 0; !act_is_early() && (round < num_rounds); ++round) {
        if (round == 1) {
            kit_barrier("transfer"); /* connected, and all idle */
        }
        round_post(&r, round, ep, !kit.rank);
        if (act_is_end() && (round == (num_rounds - 1))) {
            break;
        }
        act_now(round);
        /* Of the last round but one, rank 1 may be through and end before we
         * are: its last words are lost then, as all that it has not flushed */
        may_lose  = act_is_end() && ((round + 2) >= num_rounds);
        is_poking = may_lose && !is_peer_mode;
        status    = round_wait(&r);
        if ((status != UCS_OK) && may_lose && (kit.rank == 0)) {
            break;
        }
        if (status != UCS_OK) {
            die("round %u: %s", round, ucs_status_string(status));
        }
        act_finish(round);
    }

    if (act_is_end()) {
        kit_net_close();
        if (kit.rank == 1) {
            return act_end(worker); /* with all under way */
        }
        kit.stage = "lost";
        is_poking = !is_peer_mode;
        if (!act_is_early() && (status == UCS_OK)) {
            (void)round_wait(&r);
        }
        survive(round + 1);
    } else {
        kit_barrier("close");
        kit_ep_close(ep, 0);
        kit_barrier("end");
    }
    kit_worker_close(worker, context);
    act_report();
    kit_resources_check(before);
    /* the peer has sent as much */
    printf("vmp_life: payload out %" PRIu64 " in %" PRIu64 "\n", bytes_out,
           bytes_out);
    say("PASS (%" PRIu64 " checks, seed %" PRIu64 ")", num_checks, kit.seed);
    return 0;
}
