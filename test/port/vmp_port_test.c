/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * The verbs port on a real (or soft-RoCE) device, in loopback, with a control
 * part that only counts. Usage:
 *   vmp_port_test [-v] [DEVICE]              all tests
 *   vmp_port_test [-v] -e SECONDS [DEVICE]   only write what events there are
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "vmp_port_test.h"

#include <dirent.h>
#include <pthread.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>


#define TIME_LIMIT  150     /* Seconds for everything */


vmp_log_level_t  vmp_log_max_level = VMP_LOG_INFO;
vmp_port_dev_t   dev;
char             last_line[512];
_Atomic unsigned num_errors;
unsigned         base_threads;


void vmp_log(vmp_log_level_t level, const char *file, unsigned line,
             const char *fmt, ...)
{
    char buf[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(buf, sizeof(buf), fmt, ap);
    va_end(ap);
    if (level == VMP_LOG_ERROR) {
        memcpy(last_line, buf, sizeof(buf));
        ++num_errors;
    }
    printf("  [%d] %s:%u %s\n", level, file, line, buf);
}

void vmp_ctl_recv(vmp_ctl_t *ctl, unsigned rail, const void *data,
                  size_t length, uint64_t now)
{
    test_dgram_t want, dgram;

    CHECK(rail == 0);
    CHECK(now > 0);
    if ((length < 8) || (length > VMP_CTL_MAX_LEN)) {
        ++ctl->num_bad;
        return;
    }

    memcpy(&dgram, data, length);
    if ((dgram.length != length) || (dgram.tag >= MAX_TAGS) ||
        (make_dgram(&want, dgram.tag, length) != length) ||
        (memcmp(&want, data, length) != 0)) {
        ++ctl->num_bad;
        return;
    }
    ++ctl->got[dgram.tag];
}

uint64_t vmp_ctl_progress(vmp_ctl_t *ctl, uint64_t now)
{
    ++ctl->num_progress;
    if (ctl->job_state == 1) {
        ctl->job(ctl, ctl->job_arg);
        ctl->job_state = 2;
    }
    return (ctl->interval == 0) ? UINT64_MAX : now + ctl->interval;
}

void vmp_ctl_rail_event(vmp_ctl_t *ctl, unsigned rail, int is_up, uint64_t now)
{
    (void)now;
    say("event: rail %u %s", rail, is_up ? "up" : "down");
    ++ctl->num_events;
}

void check_failed(const char *file, int line, const char *cond)
{
    printf("FAIL: %s:%d: %s\n  last error line: %s\n", file, line, cond,
           last_line);
    fflush(stdout);
    _exit(1);
}

void say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    fflush(stdout);
}

void sleep_ms(unsigned ms)
{
    struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

    nanosleep(&ts, NULL);
}

int wait_counter(_Atomic unsigned *counter, unsigned value)
{
    unsigned i;

    for (i = 0; i < 5000; ++i) {
        if (atomic_load(counter) >= value) {
            return 1;
        }
        sleep_ms(2);
    }
    return 0;
}

void run_job(vmp_ctl_t *ctl, void (*job)(vmp_ctl_t *ctl, void *arg), void *arg)
{
    unsigned i;

    ctl->job       = job;
    ctl->job_arg   = arg;
    ctl->job_state = 1;
    vmp_port_wake(ctl->port);
    for (i = 0; (i < 5000) && (ctl->job_state != 2); ++i) {
        sleep_ms(2);
    }
    CHECK(ctl->job_state == 2);
    ctl->job_state = 0;
}

size_t make_dgram(test_dgram_t *dgram, uint32_t tag, size_t length)
{
    size_t i;

    dgram->tag    = tag;
    dgram->length = (uint32_t)length;
    for (i = 0; i + 8 < length; ++i) {
        dgram->fill[i] = (uint8_t)(tag + i);
    }
    return length;
}

unsigned num_threads(void)
{
    struct dirent *entry;
    unsigned num = 0;
    DIR *dir;

    dir = opendir("/proc/self/task");
    CHECK(dir != NULL);
    while ((entry = readdir(dir)) != NULL) {
        num += (entry->d_name[0] != '.');
    }
    closedir(dir);
    return num;
}

/* A thread that was joined may still be listed for a moment */
int threads_are(unsigned num)
{
    unsigned i;

    for (i = 0; (i < 1000) && (num_threads() != num); ++i) {
        usleep(1000);
    }
    return num_threads() == num;
}

vmp_port_md_t *open_md(void)
{
    const char *names[] = { dev.name };
    vmp_port_md_t *md;

    CHECK(vmp_port_md_open(names, 1, &md) == VMP_OK);
    return md;
}

void default_params(vmp_port_params_t *params, int gid_index)
{
    memset(params, 0, sizeof(*params));
    params->num_rails         = 1;
    params->rails[0].port_num = dev.port_num;
    params->gid_index         = gid_index;
    params->pkey              = 0xffff;
    params->timeout           = 14;
    params->retry_count       = 6;
    params->min_rnr_timer     = 13;
    params->max_rd_atomic     = 4;
    params->num_ud            = 4;
    params->sq_depth          = 64;
    params->cq_depth          = 4096;
    params->srq_depth         = 512;
    params->max_inline        = 128;
    params->max_sge           = 4;
}

vmp_port_t *open_port(vmp_port_md_t *md, int gid_index, vmp_port_attr_t *attr)
{
    vmp_port_params_t params;
    vmp_port_t *port;

    default_params(&params, gid_index);
    CHECK(vmp_port_open(md, &params, &port, attr) == VMP_OK);
    return port;
}

static void find_device(const char *name)
{
    vmp_port_dev_t *devs;
    unsigned i, num;

    CHECK(vmp_port_query_devices(&devs, &num) == VMP_OK);
    for (i = 0; i < num; ++i) {
        say("%s:%u %s, MTU code %u, %.3f GB/s, sysfs \"%s\"", devs[i].name,
            devs[i].port_num, devs[i].is_roce ? "RoCE" : "InfiniBand",
            devs[i].mtu, (double)devs[i].speed * 1e-9, devs[i].sysfs_path);
        if ((dev.port_num == 0) &&
            ((name == NULL) || (strcmp(devs[i].name, name) == 0))) {
            dev = devs[i];
        }
    }
    free(devs);
    if (dev.port_num == 0) {
        say("SKIP: no usable RDMA device%s%s", name ? " " : "",
            name ? name : "");
        exit(77);
    }
}

/** GID indices of both kinds, -1: there is none. */
static void find_gids(vmp_port_md_t *md, int *ipv4, int *ipv6)
{
    struct ibv_gid_entry entry;
    int i;

    *ipv4 = -1;
    *ipv6 = -1;
    for (i = 0; i < 16; ++i) {
        if ((ibv_query_gid_ex(md->devs[0].ctx, dev.port_num, (uint32_t)i,
                              &entry, 0) != 0) ||
            (entry.gid_type != IBV_GID_TYPE_ROCE_V2)) {
            continue;
        }
        if ((entry.gid.raw[10] == 0xff) && (entry.gid.raw[0] == 0)) {
            *ipv4 = i;
        } else if (entry.gid.raw[0] != 0xfe) {
            *ipv6 = i;
        }
    }
    say("GID index IPv4 %d, IPv6 %d", *ipv4, *ipv6);
}

/** Serve a port while somebody changes or removes the device. */
static void watch_events(vmp_port_md_t *md, unsigned seconds)
{
    static struct vmp_ctl ctl;
    vmp_port_attr_t attr;

    ctl.interval = 100000000;
    ctl.port     = open_port(md, -1, &attr);
    CHECK(vmp_port_start(ctl.port, &ctl) == VMP_OK);
    say("watching");
    sleep_ms(seconds * 1000);
    vmp_port_stop(ctl.port);
    vmp_port_close(ctl.port);
    say("%u events, %u calls of progress", ctl.num_events, ctl.num_progress);
    CHECK(ctl.num_progress < 20 * (seconds + ctl.num_events + 1));
}

static void run_tests(vmp_port_md_t *md)
{
    int gids[3] = { -1, -1, -1 };
    unsigned i;

    find_gids(md, &gids[1], &gids[2]);
    test_params(md);
    test_mem(md);
    for (i = 0; i < 3; ++i) {
        if ((i > 0) && (gids[i] < 0)) {
            continue;
        }
        test_rc(md, gids[i]);
        test_ud(md, gids[i]);
        test_ud_spares(md, gids[i]);
    }
    test_ud_repair(md);
    test_helper(md);
#ifndef __SANITIZE_THREAD__ /* allows no threads after a fork */
    test_fork(md);
#endif
}

static void *note_tid(void *arg)
{
    *(pid_t *)arg = gettid();
    return NULL;
}

/**
 * A sanitizer starts a thread of its own with the first one. Ours must not be
 * counted, which it would be for a moment after it was joined.
 */
static unsigned count_base_threads(void)
{
    char path[64];
    pthread_t thread;
    unsigned i;
    pid_t tid;

    CHECK(pthread_create(&thread, NULL, note_tid, &tid) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    snprintf(path, sizeof(path), "/proc/self/task/%d", tid);
    for (i = 0; (i < 1000) && (access(path, F_OK) == 0); ++i) {
        usleep(1000);
    }
    CHECK(access(path, F_OK) != 0);
    return num_threads();
}

int main(int argc, char **argv)
{
    unsigned seconds = 0;
    vmp_port_md_t *md;
    int opt;

    setvbuf(stdout, NULL, _IOLBF, 0);
    alarm(TIME_LIMIT);
    while ((opt = getopt(argc, argv, "ve:")) != -1) {
        switch (opt) {
        case 'v':
            vmp_log_max_level = VMP_LOG_DEBUG;
            break;
        case 'e':
            seconds = (unsigned)atoi(optarg);
            break;
        default:
            say("usage: vmp_port_test [-v] [-e SECONDS] [DEVICE]");
            return 2;
        }
    }

    base_threads = count_base_threads();
    find_device((optind < argc) ? argv[optind] : NULL);
    md = open_md();
    if (seconds > 0) {
        watch_events(md, seconds);
    } else {
        run_tests(md);
    }

    CHECK(threads_are(base_threads));
    num_errors = 0;
    vmp_port_md_close(md);
    CHECK(num_errors == 0);
    say("PASS");
    return 0;
}
