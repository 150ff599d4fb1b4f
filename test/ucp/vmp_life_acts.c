/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_life.h"
#include "../common/vmp_task.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_SECONDS  20
#define STORM_US       3000     /* between two SIGALRM */


typedef enum {
    ACT_NONE, ACT_FORK, ACT_CHILD, ACT_SYSTEM, ACT_SIGNALS, ACT_STOP, ACT_RETURN,
    ACT_EXIT, ACT_QUICK_EXIT, ACT_CALLBACK, ACT_TERM, ACT_INT, ACT_KILL, ACT_DEAD,
    ACT_LAST
} act_t;

static const struct {
    const char *name;
    const char *help;
} acts[] = {
    [ACT_NONE]       = { "none",     "nothing" },
    [ACT_FORK]       = { "fork",     "forks; children write what they inherited"
                                     ", and end by exit and _exit" },
    [ACT_CHILD]      = { "child",    "forks; children call _exit at once" },
    [ACT_SYSTEM]     = { "system",   "runs commands" },
    [ACT_SIGNALS]    = { "signals",  "gets SIGALRM and SIGCHLD all the time" },
    [ACT_STOP]       = { "stop",     "is stopped for -S seconds" },
    [ACT_RETURN]     = { "return",   "returns from main" },
    [ACT_EXIT]       = { "exit",     "calls exit" },
    [ACT_QUICK_EXIT] = { "_exit",    "calls _exit" },
    [ACT_CALLBACK]   = { "callback", "calls exit in a callback of UCP" },
    [ACT_TERM]       = { "term",     "gets SIGTERM" },
    [ACT_INT]        = { "int",      "gets SIGINT" },
    [ACT_KILL]       = { "kill",     "gets SIGKILL" },
    [ACT_DEAD]       = { "dead",     "gets SIGKILL when its address is known" }
};

unsigned act_stop_seconds = 5;

static act_t                 act;
static int                   is_exit_armed;
static volatile sig_atomic_t num_alarms, num_children, num_in_helper;
static int                   wake_pipe[2];
static unsigned              num_forked, num_stops;
static pid_t                 child;


const char *acts_help(void)
{
    static char text[1024];
    size_t len = 0;
    unsigned i;

    for (i = 0; i < ACT_LAST; ++i) {
        len += snprintf(text + len, sizeof(text) - len, "    %-9s %s\n",
                        acts[i].name, acts[i].help);
    }
    return text;
}

void act_choose(const char *name)
{
    unsigned i;

    for (i = 0; i < ACT_LAST; ++i) {
        if (strcmp(acts[i].name, name) == 0) {
            act = i;
            return;
        }
    }
    die("-x: there is no '%s'; try -h", name);
}

int act_is_end(void)
{
    return act >= ACT_RETURN;
}

int act_is_early(void)
{
    return act == ACT_DEAD;
}

static void on_signal(int signo)
{
    int saved = errno;
    char name[16] = "";

    prctl(PR_GET_NAME, name);
    num_in_helper += (strcmp(name, VMP_TASK_HELPER) == 0);
    if (signo == SIGALRM) {
        ++num_alarms;
    } else {
        ++num_children;
    }
    errno = saved;
}

/* A process that wakes us up again. It knows nothing of UCX. */
static void fork_waker(void)
{
    pid_t self = getpid();
    char byte;

    if ((pipe(wake_pipe) != 0) || ((child = fork()) < 0)) {
        die("cannot fork: %s", strerror(errno));
    }
    if (child != 0) {
        return;
    }
    close(wake_pipe[1]);
    while (read(wake_pipe[0], &byte, 1) == 1) {
        sleep(act_stop_seconds);
        kill(self, SIGCONT);
    }
    _exit(0);
}

void act_prepare(void)
{
    if ((kit.rank == 1) && (act == ACT_STOP)) {
        fork_waker();
    }
}

/* Without SA_RESTART: system calls are interrupted */
static void storm_start(void)
{
    struct sigaction action = { .sa_handler = on_signal };
    struct itimerval timer  = { { 0, STORM_US }, { 0, STORM_US } };

    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGCHLD, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

/* The child sees what we had when it was made, may write it, and ends */
static void fork_child(unsigned round)
{
    static uint8_t *inherited;
    static const size_t length = 1 << 20;

    inherited = (inherited == NULL) ? xalloc(length) : inherited;
    child     = fork();
    if (child < 0) {
        die("cannot fork: %s", strerror(errno));
    }
    if (child == 0) {
        if (act != ACT_FORK) {
            _exit(0);
        }
        alarm(CHILD_SECONDS);
        memset(inherited, 0x55, length);
        usleep(100000); /* while the transfers run */
        if (round & 1) {
            _exit(0);
        }
        exit(0);
    }
    memset(inherited, 0xaa, length);
    ++num_forked;
}

static void run_command(void)
{
    int ret = system("exit 3");

    if (!WIFEXITED(ret) || (WEXITSTATUS(ret) != 3)) {
        die("system() returned 0x%x", ret);
    }
    ++num_forked;
}

void act_now(unsigned round)
{
    if (kit.rank != 1) {
        return;
    }
    switch (act) {
    case ACT_FORK:
    case ACT_CHILD:
        fork_child(round);
        break;
    case ACT_SYSTEM:
        run_command();
        break;
    case ACT_SIGNALS:
        if (round == 0) {
            storm_start();
        }
        fork_child(1);
        break;
    case ACT_STOP:
        /* Not while connecting: nothing could tell it from dead then */
        if ((round == 1) || (round == 2)) {
            ++num_stops;
            if (write(wake_pipe[1], "", 1) != 1) {
                die("nobody will wake us up");
            }
            raise(SIGSTOP);
        }
        break;
    case ACT_DEAD:
        raise(SIGKILL);
        break;
    default:
        break;
    }
}

void act_finish(unsigned round)
{
    int status;
    pid_t ret;

    (void)round;
    if ((kit.rank != 1) || ((act != ACT_FORK) && (act != ACT_CHILD) &&
                             (act != ACT_SIGNALS))) {
        return;
    }
    do {
        ret = waitpid(child, &status, 0);
    } while ((ret < 0) && (errno == EINTR));
    if ((ret != child) || (status != 0)) {
        die("child ended with 0x%x%s", status,
            (status == SIGALRM) ? " (it hung)" : "");
    }
}

void act_in_callback(void)
{
    if (is_exit_armed) {
        exit(0);
    }
}

int act_end(ucp_worker_h worker)
{
    double end = kit_now() + 20;

    switch (act) {
    case ACT_RETURN:
        return 0;
    case ACT_EXIT:
        exit(0);
    case ACT_QUICK_EXIT:
        _exit(0);
    case ACT_TERM:
        raise(SIGTERM);
        break;
    case ACT_INT:
        raise(SIGINT);
        break;
    case ACT_KILL:
        raise(SIGKILL);
        break;
    default:
        is_exit_armed = 1;
        while (kit_now() < end) {
            ucp_worker_progress(worker);
        }
        break;
    }
    die("did not end");
}

void act_check_helper(void)
{
    const char *tls = getenv("UCX_TLS");
    uint64_t open_signals;
    int count;

    count = vmp_task_helpers(&open_signals);
    if (open_signals != 0) {
        die("the helper thread does not block %" PRIx64, open_signals);
    }
    /* Other transports have none */
    if ((tls != NULL) && (strncmp(tls, "vmp", 3) == 0) && (count != 1)) {
        die("%d threads are named " VMP_TASK_HELPER ", not one", count);
    }
}

void act_report(void)
{
    struct itimerval off = { 0 };

    if (kit.rank != 1) {
        return;
    }
    setitimer(ITIMER_REAL, &off, NULL);
    say("forked %u times, stopped %u times, %d SIGALRM, %d SIGCHLD", num_forked,
        num_stops, (int)num_alarms, (int)num_children);
    if (num_in_helper > 0) {
        die("the helper thread ran signal handlers");
    }
    if ((act == ACT_SIGNALS) && ((num_alarms == 0) || (num_children == 0))) {
        die("there were no signals");
    }
}
