/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#define _GNU_SOURCE

#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>


#define AGENT_VM_FIRST_FD 10 /* QEMU's command line names these */

static volatile sig_atomic_t agent_vm_stop;

static void agent_vm_on_signal(int signum)
{
    agent_vm_stop = signum;
}

/* Opens the tap "NETNS-PATH:NAME" as descriptor @a fd. One QEMU has taps in
 * two namespaces, which only descriptors can span. */
static int agent_vm_open_tap(const char *spec, int fd)
{
    const char *name = strrchr(spec, ':');
    struct ifreq ifr;
    char path[256];
    int tap;

    if (name == NULL) {
        errno = EINVAL;
        return -1;
    }
    snprintf(path, sizeof(path), "%.*s", (int)(name - spec), spec);
    if (agent_enter_netns(path) != 0) {
        return -1;
    }

    tap = open("/dev/net/tun", O_RDWR);
    if (tap < 0) {
        return -1;
    }
    memset(&ifr, 0, sizeof(ifr));
    ifr.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name + 1);
    if ((ioctl(tap, TUNSETIFF, &ifr) != 0) || (dup2(tap, fd) < 0)) {
        close(tap);
        return -1;
    }
    close(tap);
    return 0;
}

static int agent_vm_wait(pid_t child, int life)
{
    int64_t end = agent_now_ms() + (int64_t)life * 1000;
    int status;

    for (;;) {
        if (waitpid(child, &status, WNOHANG) == child) {
            return WIFEXITED(status) ? WEXITSTATUS(status) :
                                       (128 + WTERMSIG(status));
        }
        if ((agent_vm_stop != 0) || (agent_now_ms() >= end)) {
            /* nothing of a guest is worth saving */
            kill(child, SIGKILL);
        }
        usleep(50000);
    }
}

int agent_vm(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = agent_vm_on_signal};
    int fd                  = AGENT_VM_FIRST_FD;
    int life                = 6 * 3600;
    pid_t parent            = getpid();
    pid_t child;
    int i;

    for (i = 0; (i + 1 < argc) && (strcmp(argv[i], "--") != 0); i += 2) {
        if (strcmp(argv[i], "--life") == 0) {
            life = atoi(argv[i + 1]);
        } else if (agent_vm_open_tap(argv[i + 1], fd++) != 0) {
            fprintf(stderr, "vmplab: cannot open the tap %s: %s\n",
                    argv[i + 1], strerror(errno));
            return AGENT_EXIT_FAILED;
        }
    }
    if (i + 1 >= argc) {
        return AGENT_EXIT_FAILED;
    }

    sigaction(SIGTERM, &action, NULL);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    child = fork();
    if (child == 0) {
        /* QEMU never outlives us, however we end */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(AGENT_EXIT_FAILED);
        }
        execvp(argv[i + 1], argv + i + 1);
        fprintf(stderr, "vmplab: %s: %s\n", argv[i + 1], strerror(errno));
        _exit(AGENT_EXIT_FAILED);
    }
    if (child < 0) {
        return AGENT_EXIT_FAILED;
    }
    for (i = AGENT_VM_FIRST_FD; i < fd; i++) {
        close(i);
    }
    return agent_vm_wait(child, life);
}
