/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Experiments on dying QPs of real devices, for docs/protocol.md: what recovery
 * may rely on, and what the simulation must be at least as unkind as.
 *
 *   vmp_facts DEVICE            on the first host: serves one experimenter
 *   vmp_facts DEVICE HOST       on the second: prints what it finds
 *
 * The experimenter asks for the links between the hosts to be cut and healed by
 * lines "@cut" and "@heal", and waits for a line on its input.
 */

#include "vmp_facts.h"

#include <infiniband/verbs.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TCP_PORT    "18777"
#define TIME_LIMIT  150             /* s */
#define PSN         0xfffff0        /* wraps soon */
#define KILLS       8
#define HERE        0
#define THERE       1


static int sock = -1;
static uint64_t base[2];            /* memory that the peer writes */
static uint64_t rkey[2];
static uint64_t gid[2][2];
static uint32_t mtu;
static unsigned next_qp;


void facts_die(const char *what)
{
    printf("vmp_facts: FAIL: %s\n", what);
    exit(1);
}

static void transfer(void *data, size_t length, int is_send)
{
    uint8_t *pos = data;
    ssize_t ret;

    for (; length > 0; pos += ret, length -= ret) {
        ret = is_send ? send(sock, pos, length, 0) : recv(sock, pos, length, 0);
        if (ret <= 0) {
            facts_die("the other host is gone");
        }
    }
}

/* One step at a side; its results */
static facts_msg_t at(int side, step_t step, uint64_t a, uint64_t b,
                      uint64_t c)
{
    facts_msg_t msg = {.step = step, .v = {a, b, c}};

    if (side == HERE) {
        side_step(&msg);
    } else {
        transfer(&msg, sizeof(msg), 1);
        transfer(&msg, sizeof(msg), 0);
    }

    return msg;
}

static void fact(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    printf("fact: ");
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
}

static void sleep_ms(unsigned ms)
{
    usleep(ms * 1000);
}

/* A pair of QPs with one index on both sides */
static unsigned make_pair(void)
{
    unsigned qp = next_qp++;
    uint64_t num[2];
    facts_msg_t msg;
    int side;

    for (side = 0; side < 2; ++side) {
        num[side] = at(side, STEP_MAKE, qp, 0, 0).v[0];
    }

    for (side = 0; side < 2; ++side) {
        msg = (facts_msg_t){
            .step = STEP_CONNECT,
            .v    = {qp, num[!side], gid[!side][0], gid[!side][1], PSN, PSN}
        };
        if (side == HERE) {
            side_step(&msg);
        } else {
            transfer(&msg, sizeof(msg), 1);
            transfer(&msg, sizeof(msg), 0);
        }
    }

    return qp;
}

static void write_to_peer(int side, unsigned qp, uint64_t wr_id,
                          uint32_t length, int is_bad)
{
    facts_msg_t msg = {
        .step = STEP_WRITE,
        .v    = {qp, wr_id, length, base[!side], rkey[!side] + is_bad}
    };

    if (side == HERE) {
        side_step(&msg);
    } else {
        transfer(&msg, sizeof(msg), 1);
        transfer(&msg, sizeof(msg), 0);
    }
}

static const char *ended(int side, int is_rx, unsigned ms)
{
    static char bufs[4][80];
    static unsigned next;
    char *buf       = bufs[next++ % 4];
    facts_msg_t msg = at(side, STEP_POLL, is_rx, ms, 0);

    if (msg.v[0] == 0) {
        snprintf(buf, sizeof(bufs[0]), "nothing in %u ms", ms);
    } else {
        snprintf(buf, sizeof(bufs[0]), "%s after %.1f ms",
                 ibv_wc_status_str(msg.v[2]), msg.v[3] / 1e3);
    }

    return buf;
}

static const char *event(int side)
{
    facts_msg_t msg = at(side, STEP_EVENT, 1000, 0, 0);

    return (msg.v[0] == 0) ? "no event" : ibv_event_type_str(msg.v[1]);
}

static unsigned drain(int side, int is_rx)
{
    unsigned num = 0;

    while (at(side, STEP_POLL, is_rx, 100, 0).v[0] != 0) {
        ++num;
    }

    return num;
}

static void drop_pair(unsigned qp)
{
    int side;

    for (side = 0; side < 2; ++side) {
        at(side, STEP_ERROR, qp, 0, 0);
        drain(side, 0);
        drain(side, 1);
        while (at(side, STEP_EVENT, 50, 0, 0).v[0] != 0);
        at(side, STEP_DESTROY, qp, 0, 0);
    }
}


/* Experiments -------------------------------------------------------------- */

static void try_events(void)
{
    unsigned qp = make_pair();

    at(THERE, STEP_ERROR, qp, 0, 0);
    fact("modify to ERR, QP with an SRQ, idle: %s", event(THERE));
    write_to_peer(HERE, qp, 1, 64, 0);
    fact("write to a QP that is in ERR: %s", ended(HERE, 0, 10000));
    fact("QP that failed by its own retries: %s", event(HERE));
    drop_pair(qp);

    qp = make_pair();
    write_to_peer(HERE, qp, 1, 64, 1);
    fact("write with a wrong key: %s", ended(HERE, 0, 10000));
    fact("responder that refused it: %s; state %s", event(THERE),
         (at(THERE, STEP_QUERY, qp, 0, 0).v[0] == IBV_QPS_ERR) ? "ERR" :
                                                              "not ERR");
    fact("requester that was refused: %s", event(HERE));
    drop_pair(qp);

    qp = make_pair();
    at(THERE, STEP_DESTROY, qp, 0, 0);
    write_to_peer(HERE, qp, 1, 64, 0);
    fact("write to a QP that is destroyed: %s", ended(HERE, 0, 10000));
    at(THERE, STEP_MAKE, qp, 0, 0);
    drop_pair(qp);
}

/* A long write, cut short by the responder's ERR */
static void try_kill(void)
{
    uint64_t late     = 0;
    uint64_t worst    = 0;
    uint64_t slowest  = 0;
    unsigned at_once  = 0;
    unsigned at_last  = 0;
    unsigned i, qp;
    facts_msg_t msg;
    const char *end = "";

    for (i = 0; i < KILLS; ++i) {
        at(THERE, STEP_CLEAR, 0, 0, 0);
        qp = make_pair();
        write_to_peer(HERE, qp, 1, FACTS_REGION, 0);
        msg      = at(THERE, STEP_KILL, qp, 3 + (i * 61), 0);
        at_once += (((PSN + msg.v[0]) & 0xffffff) == msg.v[3]);
        at_last += (((PSN + msg.v[1]) & 0xffffff) == msg.v[4]);
        late    += msg.v[1] - msg.v[0];
        worst    = (msg.v[2] > worst) ? msg.v[2] : worst;
        slowest  = (msg.v[5] > slowest) ? msg.v[5] : slowest;
        printf("  killed at %lu packets, %lu at the end, rq_psn %lu, then "
               "%lu\n", (unsigned long)msg.v[0], (unsigned long)msg.v[1],
               (unsigned long)((msg.v[3] - PSN) & 0xffffff),
               (unsigned long)((msg.v[4] - PSN) & 0xffffff));
        end = ended(HERE, 0, 10000);
        drop_pair(qp);
    }

    fact("rq_psn in ERR fits memory in %u of %u at once, %u at the end",
         at_once, KILLS, at_last);
    fact("packets executed after modify to ERR returned: %lu in %u tries, the "
         "last one %lu us later; modify takes %lu us at most",
         (unsigned long)late, KILLS, (unsigned long)worst,
         (unsigned long)slowest);
    fact("the writer sees: %s", end);
}

/* A message half there when its QP dies: does its buffer come back? */
static void try_srq(void)
{
    unsigned qp = make_pair();
    unsigned i;

    at(THERE, STEP_RECV, 0, FACTS_BUFS, 0);
    at(HERE, STEP_SEND, qp, 1, FACTS_BUF);
    sleep_ms(80);
    at(THERE, STEP_ERROR, qp, 0, 0);
    fact("message half there: the sender sees %s", ended(HERE, 0, 10000));
    fact("message half there: the receiver sees %s", ended(THERE, 1, 1000));
    drop_pair(qp);

    qp = make_pair();
    for (i = 0; i < FACTS_BUFS; ++i) {
        at(HERE, STEP_SEND, qp, i, 64);
    }

    sleep_ms(500);
    fact("of %u buffers %u could be used afterwards", FACTS_BUFS,
         drain(THERE, 1));
    drop_pair(qp);
}

static void try_purge(void)
{
    unsigned qp = make_pair();
    unsigned i;

    for (i = 0; i < 4; ++i) {
        write_to_peer(HERE, qp, i, 64, 0);
    }

    sleep_ms(300);
    at(HERE, STEP_RESET, qp, 0, 0);
    fact("of 4 completions not polled, after RESET there are %u",
         drain(HERE, 0));
    drop_pair(qp);

    qp = make_pair();
    at(THERE, STEP_RECV, 0, 4, 0);
    for (i = 0; i < 4; ++i) {
        at(HERE, STEP_SEND, qp, i, 64);
    }

    sleep_ms(300);
    drain(HERE, 0);
    at(THERE, STEP_DESTROY, qp, 0, 0);
    fact("of 4 arrivals not polled, after destroy there are %u",
         drain(THERE, 1));
    at(THERE, STEP_MAKE, qp, 0, 0);
    drop_pair(qp);
}

static void try_numbers(void)
{
    uint64_t first = 0;
    uint64_t last  = 0;
    unsigned same  = 0;
    unsigned i;

    for (i = 0; i < 16; ++i) {
        first = at(HERE, STEP_MAKE, next_qp, 0, 0).v[0];
        same += (first == last);
        last  = first;
        at(HERE, STEP_DESTROY, next_qp, 0, 0);
    }

    fact("QP made and destroyed 16 times: %u times the same number again",
         same);
}

static int links(const char *what)
{
    char line[16];

    printf("@%s\n", what);
    fflush(stdout);
    return (fgets(line, sizeof(line), stdin) != NULL) ? 0 : -1;
}

/* Both sides in mid-transfer */
static unsigned begin_crossing(void)
{
    unsigned qp;
    int side;

    qp = make_pair();
    at(HERE, STEP_CLEAR, 0, 0, 0);
    at(THERE, STEP_CLEAR, 0, 0, 0);
    for (side = 0; side < 2; ++side) {
        write_to_peer(side, qp, 1, FACTS_REGION / 2, 0);
        write_to_peer(side, qp, 2, 64, 0);
    }

    sleep_ms(100);
    return qp;
}

static void end_crossing(const char *what, unsigned qp)
{
    uint64_t num, psn;
    int side, i;

    for (side = 0; side < 2; ++side) {
        for (i = 0; i < 2; ++i) {
            fact("%s: side %d, WR %d: %s", what, side, i + 1,
                 ended(side, 0, 10000));
        }

        num = at(side, STEP_COUNT, 0, 0, 0).v[0];
        psn = at(side, STEP_QUERY, qp, 0, 0).v[1];
        fact("%s: side %d, packets executed %lu, rq_psn %lu", what, side,
             (unsigned long)num, (unsigned long)((psn - PSN) & 0xffffff));
    }

    drop_pair(qp);
}

static void try_crossing(void)
{
    unsigned qp = begin_crossing();

    at(THERE, STEP_ERROR, qp, 0, 0);
    end_crossing("one side to ERR", qp);

    qp = begin_crossing();
    at(THERE, STEP_ERROR, qp, 0, 0);
    at(HERE, STEP_ERROR, qp, 0, 0);
    end_crossing("both to ERR", qp);

    qp = make_pair();
    at(HERE, STEP_CLEAR, 0, 0, 0);
    at(THERE, STEP_CLEAR, 0, 0, 0);
    write_to_peer(THERE, qp, 1, FACTS_REGION / 2, 0);
    write_to_peer(THERE, qp, 2, 64, 0);
    write_to_peer(HERE, qp, 1, 64, 1);
    write_to_peer(HERE, qp, 2, 64, 0);
    end_crossing("wrong key on side 0", qp);

    qp = begin_crossing();
    if (links("cut") == 0) {
        end_crossing("links cut", qp);
        links("heal");
    }
}


/* Two hosts ---------------------------------------------------------------- */

static void open_socket(const char *host)
{
    struct addrinfo hints = {.ai_family   = AF_INET,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags    = AI_PASSIVE};
    struct addrinfo *info;
    int on                = 1;
    int fd, i;

    if (getaddrinfo(host, TCP_PORT, &hints, &info) != 0) {
        facts_die("no address");
    }

    fd = socket(info->ai_family, info->ai_socktype, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (host == NULL) {
        if ((bind(fd, info->ai_addr, info->ai_addrlen) != 0) ||
            (listen(fd, 1) != 0)) {
            facts_die("cannot listen");
        }

        printf("listening\n");
        fflush(stdout);
        sock = accept(fd, NULL, NULL);
        close(fd);
    } else {
        for (i = 0; (i < 50) && (connect(fd, info->ai_addr,
                                         info->ai_addrlen) != 0); ++i) {
            sleep_ms(200);
        }

        sock = fd;
    }

    freeaddrinfo(info);
    if (sock < 0) {
        facts_die("no connection");
    }
}

static void serve(void)
{
    facts_msg_t msg;

    do {
        transfer(&msg, sizeof(msg), 0);
        if (msg.step != STEP_LAST) {
            side_step(&msg);
        }
        transfer(&msg, sizeof(msg), 1);
    } while (msg.step != STEP_LAST);
}

int main(int argc, char **argv)
{
    facts_msg_t msg;
    int side;

    setvbuf(stdout, NULL, _IOLBF, 0);
    alarm(TIME_LIMIT);
    if ((argc < 2) || (argc > 3)) {
        facts_die("usage: vmp_facts DEVICE [HOST]");
    }

    side_open(argv[1]);
    open_socket((argc > 2) ? argv[2] : NULL);
    if (argc == 2) {
        serve();
    } else {
        for (side = 0; side < 2; ++side) {
            msg          = at(side, STEP_INFO, 0, 0, 0);
            gid[side][0] = msg.v[0];
            gid[side][1] = msg.v[1];
            mtu          = msg.v[2];
            base[side]   = msg.v[3];
            rkey[side]   = msg.v[4];
        }

        printf("MTU %u bytes\n", mtu);
        try_events();
        try_kill();
        try_srq();
        try_purge();
        try_numbers();
        try_crossing();
        at(THERE, STEP_LAST, 0, 0, 0);
    }

    side_close();
    close(sock);
    printf("PASS\n");
    return 0;
}
