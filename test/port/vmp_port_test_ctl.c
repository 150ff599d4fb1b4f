/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "vmp_port_test.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>


#define NUM_STARTS   100
#define NUM_THREADS  3
#define BURST        300


/** A port with a control part that only counts. */
typedef struct end {
    vmp_port_t      *port;
    vmp_port_attr_t attr;
    vmp_ctl_t       *ctl;
} end_t;

/** One send in the helper thread. */
typedef struct send_job {
    const end_t *to;
    unsigned    ud;
    unsigned    remote_ud;
    uint32_t    tag;
    size_t      length;
    unsigned    count;
    int         is_forgetful;   /* Forget the address at once */
} send_job_t;


static void end_open(end_t *end, vmp_port_md_t *md, int gid_index)
{
    end->port = open_port(md, gid_index, &end->attr);
    end->ctl  = calloc(1, sizeof(*end->ctl));
    CHECK(end->ctl != NULL);
    end->ctl->port = end->port;
    CHECK(vmp_port_start(end->port, end->ctl) == VMP_OK);
}

static void end_close(end_t *end)
{
    unsigned count;

    vmp_port_stop(end->port);
    count = end->ctl->num_progress;
    sleep_ms(5);
    CHECK(end->ctl->num_progress == count);
    CHECK(end->ctl->num_bad == 0);
    vmp_port_close(end->port);
    free(end->ctl);
}

static void do_send(vmp_ctl_t *ctl, void *arg)
{
    const send_job_t *job = arg;
    uint8_t data[sizeof(test_dgram_t) + 8] = { 0 };
    test_dgram_t dgram;
    unsigned i;

    make_dgram(&dgram, job->tag,
               (job->length > sizeof(dgram)) ? sizeof(dgram) : job->length);
    dgram.length = (uint32_t)job->length;
    memcpy(data, &dgram, sizeof(dgram));
    for (i = 0; i < job->count; ++i) {
        vmp_port_ctl_send(ctl->port, 0, job->ud, &job->to->attr.addr[0],
                          job->to->attr.ud_qpn[0][job->remote_ud], data,
                          job->length);
        if (job->is_forgetful) {
            vmp_port_ctl_forget(ctl->port, 0, &job->to->attr.addr[0]);
        }
    }
}

/** Send until it arrives: UD may lose. Return how often. */
static unsigned send_one(const end_t *from, send_job_t *job)
{
    _Atomic unsigned *got = &job->to->ctl->got[job->tag];
    unsigned tries, i;

    for (tries = 1; tries <= 10; ++tries) {
        run_job(from->ctl, do_send, job);
        for (i = 0; i < 100; ++i) {
            if (*got > 0) {
                return tries;
            }
            sleep_ms(2);
        }
    }
    CHECK(!"a datagram arrives");
    return 0;
}

void test_ud(vmp_port_md_t *md, int gid_index)
{
    static const size_t lengths[] = { 8, 9, 100, 255, VMP_CTL_MAX_LEN };
    send_job_t job = { .count = 1 };
    unsigned num_sent = 0, num_tries = 0;
    unsigned i, j;
    end_t a, b;

    num_errors = 0;
    end_open(&a, md, gid_index);
    end_open(&b, md, gid_index);
    CHECK(threads_are(base_threads + 1));

    for (i = 0; i < a.attr.num_ud; ++i) {
        for (j = 0; j < b.attr.num_ud; ++j) {
            job.to           = &b;
            job.ud           = i;
            job.remote_ud    = j;
            job.tag          = ++num_sent;
            job.length       = lengths[num_sent % 5];
            job.is_forgetful = (j == 2);
            num_tries       += send_one(&a, &job);

            job.to     = &a;
            job.tag    = ++num_sent;
            num_tries += send_one(&b, &job);
        }
    }
    say("UD with GID index %d: %u datagrams sent %u times", gid_index,
        num_sent, num_tries);

    /* Too long */
    job.to     = &b;
    job.tag    = 1000;
    job.length = VMP_CTL_MAX_LEN + 1;
    run_job(a.ctl, do_send, &job);

    /* More than there are slots: the rest is lost, and nothing else */
    job.tag          = 1001;
    job.length       = 64;
    job.count        = BURST;
    job.is_forgetful = 0;
    run_job(a.ctl, do_send, &job);
    job.tag   = 1002;
    job.count = 1;
    send_one(&a, &job);
    sleep_ms(20);
    say("burst of %u: %u came in", BURST, b.ctl->got[1001]);
    CHECK(b.ctl->got[1000] == 0);
    CHECK((b.ctl->got[1001] > 0) && (b.ctl->got[1001] <= BURST));

    end_close(&a);
    end_close(&b);
    CHECK(num_errors == 0);
    CHECK(threads_are(base_threads));
}

static void do_renew(vmp_ctl_t *ctl, void *arg)
{
    const send_job_t *job = arg;
    unsigned tries        = 0;

    /* not while it sends: a moment later */
    while (vmp_port_ctl_renew(ctl->port, 0, job->ud - VMP_MAX_UD) != 0) {
        CHECK(++tries < 1000);
        sleep_ms(1);
    }
}

/** Spare control QPs are there once they are renewed, each time as others, and
 *  one that died is no worse. */
void test_ud_spares(vmp_port_md_t *md, int gid_index)
{
    struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };
    send_job_t job          = { .count = 1, .length = 100 };
    uint32_t last           = 0;
    unsigned num_same       = 0;
    struct ibv_qp **qp;
    unsigned round;
    end_t a, b;

    num_errors = 0;
    end_open(&a, md, gid_index);
    end_open(&b, md, gid_index);
    job.to = &b;
    job.ud = VMP_MAX_UD;
    run_job(a.ctl, do_send, &job);      /* not there: dropped */
    for (round = 0; round < 20; ++round) {
        job.ud        = VMP_MAX_UD + round % VMP_PORT_UD_SPARES;
        job.remote_ud = round % b.attr.num_ud;
        job.tag       = 500 + round;
        qp            = &a.port->rails[0].ud.qp[job.ud];
        if ((*qp != NULL) && (round % 3 == 0)) {
            CHECK(ibv_modify_qp(*qp, &attr, IBV_QP_STATE) == 0);
            run_job(a.ctl, do_send, &job);
            sleep_ms(5);
            CHECK(b.ctl->got[job.tag] == 0);
        }
        run_job(a.ctl, do_renew, &job);
        num_same += ((*qp)->qp_num == last);
        last      = (*qp)->qp_num;
        send_one(&a, &job);
    }

    CHECK(num_same == 0);
    end_close(&a);
    end_close(&b);
    CHECK(num_errors == 0);
}

/** A control QP that dies comes back. */
void test_ud_repair(vmp_port_md_t *md)
{
    struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };
    send_job_t job          = { .count = 1, .length = 100 };
    unsigned round;
    end_t a, b;

    num_errors = 0;
    end_open(&a, md, -1);
    end_open(&b, md, -1);
    for (round = 0; round < 3; ++round) {
        /* The helper does not touch this QP but for what we send */
        CHECK(ibv_modify_qp(a.port->rails[0].ud.qp[1], &attr, IBV_QP_STATE) ==
              0);
        job.to        = &b;
        job.ud        = 1;
        job.remote_ud = 0;
        job.tag       = (2 * round) + 1;
        say("sent after an error of the sending QP: %u times",
            send_one(&a, &job));

        job.to        = &a;
        job.ud        = 0;
        job.remote_ud = 1;
        job.tag       = (2 * round) + 2;
        say("sent to the repaired QP: %u times", send_one(&b, &job));
    }
    end_close(&a);
    end_close(&b);
    CHECK(num_errors == 0);
}

static void check_thread_name(void)
{
    char cmd[64];

    snprintf(cmd, sizeof(cmd),
             "grep -q '^vmp-helper$' /proc/%d/task/*/comm", (int)getpid());
    CHECK(system(cmd) == 0);
}

static void test_timer(end_t *end)
{
    unsigned before = end->ctl->num_progress;
    uint64_t start  = vmp_port_now(end->port);

    /* No timer: not called; then every 10 ms; then not again */
    sleep_ms(50);
    CHECK(end->ctl->num_progress == before);

    end->ctl->interval = 10000000;
    vmp_port_wake(end->port);
    CHECK(wait_counter(&end->ctl->num_progress, before + 11));
    say("ten timers of 10 ms took %.1f ms",
        (double)(vmp_port_now(end->port) - start) * 1e-6 - 50);
    CHECK(vmp_port_now(end->port) - start >= 150000000);

    end->ctl->interval = 0;
    vmp_port_wake(end->port);
    sleep_ms(20);
    before = end->ctl->num_progress;
    sleep_ms(50);
    CHECK(end->ctl->num_progress == before);
}

static void *start_stop(void *arg)
{
    vmp_port_md_t *md = arg;
    unsigned i;
    end_t end;

    end_open(&end, md, -1);
    for (i = 0; i < NUM_STARTS; ++i) {
        vmp_port_stop(end.port);
        CHECK(vmp_port_start(end.port, end.ctl) == VMP_OK);
        if ((i % 8) == 0) {
            unsigned count = end.ctl->num_progress;

            vmp_port_wake(end.port);
            CHECK(wait_counter(&end.ctl->num_progress, count + 1));
        }
    }
    end_close(&end);
    return NULL;
}

void test_helper(vmp_port_md_t *md)
{
    pthread_t threads[NUM_THREADS];
    uint64_t start;
    unsigned i;
    end_t end;

    num_errors = 0;
    end_open(&end, md, -1);
    check_thread_name();
    test_timer(&end);
    end_close(&end);
    CHECK(threads_are(base_threads));

    /* Alone, so that the thread starts and ends each time */
    start = vmp_verbs_now();
    start_stop(md);
    CHECK(threads_are(base_threads));
    say("helper started and stopped %u times: %.1f ms", NUM_STARTS,
        (double)(vmp_verbs_now() - start) * 1e-6);

    for (i = 0; i < NUM_THREADS; ++i) {
        CHECK(pthread_create(&threads[i], NULL, start_stop, md) == 0);
    }
    for (i = 0; i < NUM_THREADS; ++i) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK(threads_are(base_threads));
    CHECK(num_errors == 0);
    say("%u threads with a port each: ok", NUM_THREADS);
}

/** What a child does with what it inherited, and with a device of its own. */
static void child_main(vmp_port_md_t *md, end_t *a, end_t *b, vmp_mem_t *mem,
                       const volatile uint8_t *buf)
{
    vmp_port_md_t *own_md;
    send_job_t job = { .count = 1, .length = 50, .tag = 7 };
    vmp_sge_t sge = { 0 };
    uint64_t id   = 0;
    vmp_wc_t wc;
    end_t c, d;

    alarm(30);
    /* The parent's queues are left alone */
    CHECK(vmp_port_poll_rx(a->port, 0, &wc, 1) == 0);
    CHECK(vmp_port_poll_tx(a->port, 0, &wc, 1) == 0);
    CHECK(vmp_port_srq_post(a->port, 0, &id, &sge, 1) == 0);
    CHECK(vmp_port_event_arm(a->port, VMP_PORT_EVENT_RX, 0) == VMP_OK);
    /* What was registered is there, where the kernel allows it */
    CHECK((ibv_is_fork_initialized() != IBV_FORK_UNNEEDED) ||
          (buf[5000] == 0x5a));
    CHECK(vmp_port_mem_dereg(mem) == VMP_OK);
    vmp_port_stop(a->port);
    vmp_port_close(a->port);
    vmp_port_stop(b->port);
    vmp_port_close(b->port);

    own_md = open_md();
    end_open(&c, own_md, -1);
    end_open(&d, own_md, -1);
    job.to = &d;
    send_one(&c, &job);
    end_close(&c);
    end_close(&d);
    vmp_port_md_close(own_md);
    vmp_port_md_close(md);
    exit(0);
}

void test_fork(vmp_port_md_t *md)
{
    send_job_t job = { .count = 1, .length = 50, .tag = 1 };
    static uint8_t buf[8192];
    vmp_mem_t mem, copy;
    unsigned i;
    end_t a, b;
    int status = -1;
    pid_t pid;

    end_open(&a, md, -1);
    end_open(&b, md, -1);
    memset(buf, 0x5a, sizeof(buf));
    CHECK(vmp_port_mem_reg(md, buf, sizeof(buf), VMP_MEM_LOCAL_WRITE, 0,
                           &mem) == VMP_OK);
    job.to = &b;
    send_one(&a, &job);

    copy = mem;
    pid  = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        child_main(md, &a, &b, &copy, buf);
    }

    for (i = 0; (i < 10000) && (waitpid(pid, &status, WNOHANG) == 0); ++i) {
        sleep_ms(3);
    }
    CHECK(WIFEXITED(status) && (WEXITSTATUS(status) == 0));

    /* Nothing of ours is gone */
    job.tag = 2;
    send_one(&a, &job);
    job.to  = &a;
    job.tag = 3;
    send_one(&b, &job);
    CHECK(vmp_port_mem_dereg(&mem) == VMP_OK);
    end_close(&a);
    end_close(&b);
    say("fork: ok");
}
