/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * The verbs port where there is no device: clean results, and not a word on
 * stderr. With a device present the first part is only that nothing fails.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "core/vmp_ctl.h"
#include "core/vmp_log.h"
#include "port/port.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


#define CHECK(_cond) \
    do { \
        if (!(_cond)) { \
            printf("FAIL: line %d: %s; last log line: %s\n", __LINE__, #_cond, \
                   last_line); \
            exit(1); \
        } \
    } while (0)


vmp_log_level_t vmp_log_max_level = VMP_LOG_DEBUG;

static char     last_line[512];
static unsigned num_errors;


void vmp_log(vmp_log_level_t level, const char *file, unsigned line,
             const char *fmt, ...)
{
    va_list ap;

    (void)file;
    (void)line;
    va_start(ap, fmt);
    vsnprintf(last_line, sizeof(last_line), fmt, ap);
    va_end(ap);
    if (level <= VMP_LOG_WARN) {
        ++num_errors;
    }
}

/* No interface is ever opened here */
void vmp_ctl_recv(vmp_ctl_t *ctl, unsigned rail, const void *data,
                  size_t length, uint64_t now)
{
    (void)ctl;
    (void)rail;
    (void)data;
    (void)length;
    (void)now;
    abort();
}

uint64_t vmp_ctl_progress(vmp_ctl_t *ctl, uint64_t now)
{
    (void)ctl;
    (void)now;
    abort();
}

void vmp_ctl_rail_event(vmp_ctl_t *ctl, unsigned rail, int is_up, uint64_t now)
{
    (void)ctl;
    (void)rail;
    (void)is_up;
    (void)now;
    abort();
}

static int has_devices(void)
{
    struct dirent *entry;
    int found = 0;
    DIR *dir;

    dir = opendir("/sys/class/infiniband");
    if (dir == NULL) {
        return 0;
    }
    while ((entry = readdir(dir)) != NULL) {
        found |= (entry->d_name[0] != '.');
    }
    closedir(dir);
    return found;
}

static void test_query(void)
{
    vmp_port_dev_t *devs = (void*)1;
    unsigned num         = 77;

    CHECK(vmp_port_query_devices(&devs, &num) == VMP_OK);
    CHECK(num_errors == 0);
    if (has_devices()) {
        printf("%u usable ports here\n", num);
    } else {
        CHECK(num == 0);
        CHECK(devs == NULL);
    }
    free(devs);
}

static void test_open(void)
{
    const char *names[VMP_MAX_RAILS + 1] = { "nosuch0", "a", "b", "c", "d" };
    vmp_port_md_t *md;

    num_errors = 0;
    CHECK(vmp_port_md_open(names, 1, &md) == VMP_ERR_NO_DEVICE);
    CHECK(num_errors == 1);
    CHECK(strstr(last_line, "nosuch0") != NULL);

    CHECK(vmp_port_md_open(names, 0, &md) == VMP_ERR_INVALID_PARAM);
    CHECK(vmp_port_md_open(names, VMP_MAX_RAILS + 1, &md) ==
          VMP_ERR_INVALID_PARAM);
    CHECK(num_errors == 3);
}

static void test_strings(void)
{
    int status;

    for (status = VMP_WC_SUCCESS; status <= VMP_WC_OTHER; ++status) {
        CHECK(strlen(vmp_wc_status_str((vmp_wc_status_t)status)) > 0);
    }
    CHECK(vmp_port_udp_sport(0xfffff) == 65472);
    CHECK(vmp_port_udp_sport(1) == 49153);
}

/** Everything but our own lines of failure goes to stdout. */
static FILE *catch_stderr(void)
{
    FILE *file = tmpfile();

    CHECK(file != NULL);
    CHECK(dup2(fileno(file), STDERR_FILENO) >= 0);
    return file;
}

int main(void)
{
    FILE *file = catch_stderr();
    char noise[256];

    test_query();
    test_open();
    test_strings();

    rewind(file);
    if (fgets(noise, sizeof(noise), file) != NULL) {
        printf("FAIL: noise on stderr: %s\n", noise);
        return 1;
    }
    printf("PASS\n");
    return 0;
}
