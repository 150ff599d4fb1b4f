/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * The simulated port: links, datagrams, wakeup.
 */

#include "sim_pair.h"

#define SIGNALED  VMP_POST_SIGNALED
#define MTU       1024
#define PACKET    (MTU + SIM_PKT_OVERHEAD)
#define REMOTE    (PAIR_REGION / 2)
#define NEVER     SIM_NEVER


/* Links -------------------------------------------------------------------- */

static sim_link_t *link_of(unsigned qp)
{
    uint16_t sport = vmp_port_udp_sport(sim_qp(pair[0].qps[qp])->entropy);

    return sim_link(0, 1, sim_link_of(0, 1, sport));
}

/* One message takes the time that rate and delay say */
static void test_rate(uint64_t seed)
{
    uint64_t rate = 1000000000;             /* bytes/s: a byte takes 1 ns */
    uint64_t ack  = 16 + SIM_PKT_OVERHEAD;
    uint64_t start;

    pair_begin("rate", seed);
    pair_conf.link.rate  = rate;
    pair_conf.link.delay = 5000;
    pair_open(1);
    start = sim_now();
    VMP_CHECK(pair_write(0, 1, SIGNALED, 0, 100 * MTU, REMOTE) == 0);
    pair_expect(1, VMP_WC_SUCCESS);
    /* acks that are sent on the way do not hold up the last one */
    VMP_CHECK(sim_now() - start == (100 * PACKET) + 5000 + ack + 5000);
    VMP_CHECK((link_of(0)->packets == 100) &&
              (link_of(0)->bytes == 100 * PACKET) &&
              (link_of(0)->rc_bytes == 100 * MTU));

    /* twice as long at half the rate, from now on */
    link_of(0)->rate = rate / 2;
    start            = sim_now();
    VMP_CHECK(pair_write(0, 2, SIGNALED, 0, 100 * MTU, REMOTE) == 0);
    pair_expect(2, VMP_WC_SUCCESS);
    VMP_CHECK(sim_now() - start == (200 * PACKET) + 5000 + ack + 5000);
    pair_end();
}

/* QPs on different links add up, QPs of a NIC share its rate */
static void test_parallel(uint64_t seed)
{
    uint64_t used = 0;
    uint64_t start;
    uint64_t time;
    uint64_t id;
    unsigned run;
    unsigned i;

    for (run = 0; run < 2; ++run) {
        pair_begin(run ? "one NIC" : "parallel links", seed);
        pair_conf.link.rate = 1000000000;
        pair_conf.nic_rate  = run ? 1000000000 : 0;
        pair_conf.links     = 64;           /* so that each has its own */
        pair_params.timeout = 14;
        pair_open(8);
        start = sim_now();
        for (i = 0; i < 8; ++i) {
            VMP_CHECK(pair_write(i, i, SIGNALED, 0, 100 * MTU, REMOTE) == 0);
        }

        for (i = 0; i < 8; ++i) {
            VMP_CHECK(pair_wait(&id, 100000000) == VMP_WC_SUCCESS);
            /* in turn, so that none ends much earlier */
            VMP_CHECK(!run || (sim_now() - start > 700 * PACKET));
        }

        time = sim_now() - start;
        for (i = 0; i < 64; ++i) {
            used += (sim_link(0, 1, i)->packets > 0);
        }

        printf("  %lu ns, %lu links\n", time, used);
        VMP_CHECK((used > 4) && (used <= 8));
        VMP_CHECK(run ? (time >= 800 * PACKET) : (time < 400 * PACKET));
        used = 0;
        pair_end();
    }
}

/* A queue that is too short drops what comes last; it is sent again */
static void test_queue(uint64_t seed)
{
    pair_begin("queue", seed);
    pair_conf.burst      = 3;
    pair_conf.link.rate  = 1000000000;
    pair_conf.link.queue = 20 * PACKET;
    pair_open(1);
    VMP_CHECK(pair_write(0, 1, SIGNALED, 0, 30 * MTU, REMOTE) == 0);
    pair_expect(1, VMP_WC_SUCCESS);
    /* nobody hears of the first 20 that came, so all are sent again, with the
     * same result, then what is still missing */
    VMP_CHECK(link_of(0)->dropped_queue == 20);
    VMP_CHECK(sim_counters.retransmitted == 40);
    VMP_CHECK(sim_counters.timeouts == 2);
    VMP_CHECK(!memcmp(pair[0].data, pair[1].data + REMOTE, 30 * MTU));
    pair_end();
}

/* What is under way is lost by a cut, and sent again when it is healed */
static void test_cut(uint64_t seed)
{
    pair_begin("cut", seed);
    pair_params.retry_count = 6;
    pair_open(1);
    VMP_CHECK(pair_write(0, 1, SIGNALED, 0, 3 * MTU, REMOTE) == 0);
    sim_run(500);
    sim_link_cut(link_of(0), 1);
    sim_run(100);
    sim_link_cut(link_of(0), 0);
    sim_run(10000);
    VMP_CHECK(link_of(0)->dropped_cut == 3);
    VMP_CHECK(memcmp(pair[0].data, pair[1].data + REMOTE, 3 * MTU));
    sim_nic_cut(1, 1);
    sim_run(2000000);
    VMP_CHECK((link_of(0)->dropped_cut > 3) && (link_of(0)->packets == 0));
    sim_nic_cut(1, 0);
    pair_expect(1, VMP_WC_SUCCESS);
    VMP_CHECK(!memcmp(pair[0].data, pair[1].data + REMOTE, 3 * MTU));
    pair_end();
}

/* Both directions on links of the same number, or not */
static void test_symmetric(uint64_t seed)
{
    unsigned different = 0;
    unsigned run, i;

    for (run = 0; run < 2; ++run) {
        pair_begin("symmetric", seed);
        pair_conf.is_symmetric = run;
        pair_open(0);
        for (i = 0; i < 100; ++i) {
            different += (sim_link_of(0, 1, 0xc000 + i) !=
                          sim_link_of(1, 0, 0xc000 + i));
        }

        VMP_CHECK((different > 50) && (different < 90));
        pair_end();
    }
}


/* Datagrams ---------------------------------------------------------------- */

#define NUM_DGRAMS  10000

static struct {
    uint8_t  seen[NUM_DGRAMS];
    unsigned num;
    unsigned late;                      /* came after a later one */
    unsigned last;
} dgrams;

static int datagram(void *arg, vmp_port_t *port, const void *data,
                    size_t length)
{
    unsigned i;

    VMP_CHECK((arg == &dgrams) && (length == 40 + (sizeof(i))));
    VMP_CHECK(port == pair[1].port);
    memcpy(&i, data, sizeof(i));
    VMP_CHECK(i < NUM_DGRAMS);
    ++dgrams.num;
    ++dgrams.seen[i];
    dgrams.late += (i < dgrams.last);
    dgrams.last  = (i > dgrams.last) ? i : dgrams.last;
    return 1;
}

static void test_ud(uint64_t seed, int is_bad)
{
    uint8_t data[44]   = {0};
    unsigned lost      = 0;
    unsigned twice     = 0;
    unsigned num_links = 0;
    uint64_t dropped   = 0;
    uint64_t repeated  = 0;
    uint64_t kept_back = 0;
    unsigned i;

    pair_begin("datagrams", seed);
    memset(&dgrams, 0, sizeof(dgrams));
    pair_conf.datagram     = datagram;
    pair_conf.datagram_arg = &dgrams;
    pair_conf.links        = 16;
    if (is_bad) {
        pair_conf.link.ud_loss    = 100000;
        pair_conf.link.ud_dup     = 50000;
        pair_conf.link.ud_late    = 20000;
        pair_conf.link.ud_late_ns = 100000;
    }

    pair_open(0);
    for (i = 0; i < NUM_DGRAMS; ++i) {
        memcpy(data, &i, sizeof(i));
        vmp_port_ctl_send(pair[0].port, 0, i % 4, &pair[1].attr.addr[0],
                          pair[1].attr.ud_qpn[0][i / 4 % 4], data,
                          sizeof(data));
        sim_run(1000);
    }

    sim_run(1000000);
    for (i = 0; i < NUM_DGRAMS; ++i) {
        lost  += (dgrams.seen[i] == 0);
        twice += (dgrams.seen[i] == 2);
        VMP_CHECK(dgrams.seen[i] <= 2);
    }

    for (i = 0; i < 16; ++i) {
        num_links += (sim_link(0, 1, i)->packets > 0);
        dropped   += sim_link(0, 1, i)->ud_dropped;
        repeated  += sim_link(0, 1, i)->ud_repeated;
        kept_back += sim_link(0, 1, i)->ud_kept_back;
        VMP_CHECK(sim_link(0, 1, i)->ud_dropped ==
                  sim_link(0, 1, i)->dropped_loss);
    }

    printf("  %u lost, %u twice, %u late, %u links\n", lost, twice,
           dgrams.late, num_links);
    VMP_CHECK((num_links >= 2) && (num_links <= 4));
    VMP_CHECK(sim_counters.ud_sent == NUM_DGRAMS);
    if (is_bad) {
        VMP_CHECK((dropped >= lost) && (repeated >= twice) && (kept_back > 0));
        VMP_CHECK((lost > 700) && (lost < 1300));
        VMP_CHECK((twice > 250) && (twice < 750));
        VMP_CHECK((dgrams.late > 150) && (dgrams.late < 1200));
    } else {
        VMP_CHECK(lost + twice + dgrams.late == 0);
        VMP_CHECK(dropped + repeated + kept_back == 0);
    }

    /* to nobody */
    vmp_port_ctl_send(pair[0].port, 0, 0, &pair[1].attr.addr[0], 0x999, data,
                      sizeof(data));
    sim_run(10000);
    VMP_CHECK(dgrams.num == NUM_DGRAMS - lost + twice);
    VMP_CHECK(sim_counters.ahs == 1);
    vmp_port_ctl_forget(pair[0].port, 0, &pair[1].attr.addr[0]);
    VMP_CHECK(sim_counters.ahs == 0);
    pair_end();
}


/* Wakeup ------------------------------------------------------------------- */

static void test_wakeup(uint64_t seed)
{
    vmp_port_t *port;
    uint64_t now;
    vmp_wc_t wc;

    pair_begin("wakeup", seed);
    pair_open(1);
    port = pair[0].port;
    VMP_CHECK(vmp_port_event_fd(port) == -1);
    VMP_CHECK(vmp_port_event_arm(port, VMP_PORT_EVENT_TX, NEVER) == VMP_OK);
    VMP_CHECK(pair_write(0, 1, SIGNALED, 0, 10, REMOTE) == 0);
    VMP_CHECK(!sim_port_is_signaled(port));
    sim_run(10000);
    VMP_CHECK(sim_port_is_signaled(port));

    /* what is there already is no event, but no reason to sleep */
    VMP_CHECK(vmp_port_event_arm(port, VMP_PORT_EVENT_TX, NEVER) ==
              VMP_ERR_BUSY);
    VMP_CHECK(!sim_port_is_signaled(port));
    VMP_CHECK(vmp_port_event_arm(port, VMP_PORT_EVENT_RX, NEVER) == VMP_OK);
    VMP_CHECK(vmp_port_poll_tx(port, 0, &wc, 1) == 1);

    /* of the other kind: none */
    VMP_CHECK(pair_write(0, 1, SIGNALED, 0, 10, REMOTE) == 0);
    sim_run(10000);
    VMP_CHECK(!sim_port_is_signaled(port));
    VMP_CHECK(vmp_port_poll_tx(port, 0, &wc, 1) == 1);

    /* a deadline, which the driver can wait for */
    now = sim_now();
    VMP_CHECK(vmp_port_event_arm(port, VMP_PORT_EVENT_TX, now) ==
              VMP_ERR_BUSY);
    VMP_CHECK(vmp_port_event_arm(port, VMP_PORT_EVENT_TX, now + 5000000) ==
              VMP_OK);
    VMP_CHECK(sim_next() <= now + 5000000);
    sim_run(4999999);
    VMP_CHECK(!sim_port_is_signaled(port));
    sim_run(1);
    VMP_CHECK(sim_port_is_signaled(port));

    /* control; when nobody has armed it leaves nothing behind */
    vmp_port_event_signal(port);
    VMP_CHECK(vmp_port_event_arm(port, 0, now + 50000000) == VMP_OK);
    VMP_CHECK(!sim_port_is_signaled(port));
    vmp_port_event_signal(port);
    VMP_CHECK(sim_port_is_signaled(port));

    /* an arrival */
    pair_recv(0, 1);
    port = pair[1].port;
    VMP_CHECK(vmp_port_event_arm(port, VMP_PORT_EVENT_TX | VMP_PORT_EVENT_RX,
                                 NEVER) == VMP_OK);
    VMP_CHECK(pair_send(0, 2, SIGNALED, 0, 10) == 0);
    sim_run(100000);
    VMP_CHECK(sim_port_is_signaled(port) && (sim_port_pending(port) == 1));
    VMP_CHECK(pair_arrival(&wc));
    pair_end();
}


int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    test_rate(seed);
    test_parallel(seed);
    test_queue(seed);
    test_cut(seed);
    test_symmetric(seed);
    test_ud(seed, 0);
    test_ud(seed, 1);
    test_wakeup(seed);
    return 0;
}
