/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#define _GNU_SOURCE

#include "agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>


typedef struct {
    int      sock;
    int      timed_out;
    int      dropping;   /* the user has gone: nothing is printed any more */
    int      stdin_open;
    int64_t  deadline;   /* of the command, 0: none */
    int64_t  give_up;    /* of the host's answer to a kill, 0: not asked */
    uint32_t window;
    int      code;
} agent_client_t;


static volatile sig_atomic_t agent_client_signal;

static void agent_client_on_signal(int signum)
{
    agent_client_signal = signum;
}

/* Signals arrive only inside ppoll(), so none is missed between a check and a
 * wait */
static void agent_client_catch(sigset_t *old)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT,
                                  SIGUSR1};
    struct sigaction action    = {.sa_handler = agent_client_on_signal};
    struct sigaction before;
    sigset_t set;
    unsigned i;

    sigemptyset(&set);
    for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        sigaction(signals[i], NULL, &before);
        /* a shell's background jobs have SIGINT ignored: keep that */
        if (before.sa_handler != SIG_IGN) {
            sigaction(signals[i], &action, NULL);
            sigaddset(&set, signals[i]);
        }
    }
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, old);
    for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        sigdelset(old, signals[i]);
    }
}

static int agent_client_connect(const agent_exec_params_t *params)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port   = htons(AGENT_PORT)};
    int64_t end = agent_now_ms() + (int64_t)(params->connect * 1000);
    struct timeval tv;
    int64_t left;
    int sock;

    inet_pton(AF_INET, params->address, &addr.sin_addr);
    do {
        sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (sock < 0) {
            return -1;
        }
        /* also bounds connect(): a host that still boots does not answer */
        left       = end - agent_now_ms();
        left       = (left < 100) ? 100 : left;
        tv.tv_sec  = left / 1000;
        tv.tv_usec = (left % 1000) * 1000;
        setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
        if (connect(sock, (struct sockaddr*)&addr, sizeof(addr)) == 0) {
            memset(&tv, 0, sizeof(tv));
            setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
            agent_socket_options(sock);
            return sock;
        }
        close(sock);
        usleep(100000);
    } while (agent_now_ms() < end);

    return -1;
}

static int agent_client_send_argv(int sock, char **argv)
{
    static char buffer[AGENT_FRAME_MAX];
    size_t used = 0, length;

    for (; *argv != NULL; argv++) {
        length = strlen(*argv) + 1;
        if (used + length > sizeof(buffer)) {
            errno = E2BIG;
            return -1;
        }
        memcpy(buffer + used, *argv, length);
        used += length;
    }
    return agent_send(sock, AGENT_ARGV, buffer, used);
}

/* Ends the command in the host; the answer is still waited for, so that it
 * has really gone when we return */
static void agent_client_kill(agent_client_t *client, int signum, int code)
{
    if (client->give_up == 0) {
        client->code    = code;
        client->give_up = agent_now_ms() + AGENT_PATIENCE * 1000;
    }
    agent_send_number(client->sock, AGENT_KILL, signum);
}

static void agent_client_stdin(agent_client_t *client)
{
    char buffer[AGENT_CHUNK];
    size_t max = sizeof(buffer);
    ssize_t ret;

    max = (client->window < max) ? client->window : max;
    ret = read(STDIN_FILENO, buffer, max);
    if ((ret < 0) && (errno == EINTR || errno == EAGAIN)) {
        return;
    }
    if (ret <= 0) {
        client->stdin_open = 0;
        ret                = 0;
    }
    client->window -= ret;
    agent_send(client->sock, AGENT_STDIN, buffer, ret);
}

/* Pipes are written in pieces that poll() promises not to block, so that a
 * reader who stopped reading does not keep a signal from being handled */
static void agent_client_print(agent_client_t *client, int fd,
                               const agent_frame_t *frame, const sigset_t *mask)
{
    struct timespec tick = {.tv_sec = 0, .tv_nsec = 200000000};
    struct pollfd pfd    = {.fd = fd, .events = POLLOUT};
    uint32_t done = 0, length;

    while ((done < frame->length) && !client->dropping) {
        if (ppoll(&pfd, 1, &tick, mask) > 0) {
            length = frame->length - done;
            length = (length > 4096) ? 4096 : length;
            if (agent_write_all(fd, frame->data + done, length) != 0) {
                /* as a local command: its reader left */
                agent_client_kill(client, SIGPIPE, 128 + SIGPIPE);
                client->dropping = 1;
            }
            done += length;
        }
        if ((agent_client_signal != 0) ||
            ((client->deadline != 0) && (agent_now_ms() >= client->deadline))) {
            client->dropping = 1;
        }
    }
}

/* @return nonzero when the command has ended */
static int agent_client_receive(agent_client_t *client, const sigset_t *mask)
{
    static agent_frame_t frame;

    if (agent_recv(client->sock, &frame) != 0) {
        if (client->give_up == 0) {
            fprintf(stderr, "vmplab: the connection to the host broke\n");
            client->code = AGENT_EXIT_FAILED;
        }
        return 1;
    }

    switch (frame.type) {
    case AGENT_STDOUT:
        agent_client_print(client, STDOUT_FILENO, &frame, mask);
        break;
    case AGENT_STDERR:
        agent_client_print(client, STDERR_FILENO, &frame, mask);
        break;
    case AGENT_WINUPD:
        client->window += agent_frame_number(&frame);
        break;
    case AGENT_EXIT:
        if (client->give_up == 0) {
            client->code = agent_frame_number(&frame);
        }
        return 1;
    default:
        break;
    }
    return 0;
}

static void agent_client_check_time(agent_client_t *client)
{
    int signum = agent_client_signal;

    if (signum == SIGUSR1) {
        fprintf(stderr, "vmplab: the lab was taken down\n");
        exit(AGENT_EXIT_FAILED);
    } else if (signum != 0) {
        agent_client_signal = 0;
        client->dropping    = 1;
        agent_client_kill(client, signum, 128 + signum);
    }
    if ((client->deadline != 0) && (agent_now_ms() >= client->deadline)) {
        client->deadline = 0;
        agent_client_kill(client, SIGTERM, AGENT_EXIT_TIMEOUT);
    }
}

static void agent_client_loop(agent_client_t *client, const sigset_t *mask)
{
    struct timespec tick = {.tv_sec = 0, .tv_nsec = 200000000};
    struct pollfd pfds[2];

    while ((client->give_up == 0) || (agent_now_ms() < client->give_up)) {
        pfds[0].fd     = client->sock;
        pfds[0].events = POLLIN;
        pfds[1].fd     = STDIN_FILENO;
        pfds[1].events = POLLIN;
        /* as a background job we must not read the terminal */
        if (!client->stdin_open || (client->window == 0) ||
            (isatty(STDIN_FILENO) &&
             (tcgetpgrp(STDIN_FILENO) != getpgrp()))) {
            pfds[1].fd = -1;
        }

        pfds[0].revents = pfds[1].revents = 0;
        if (ppoll(pfds, 2, &tick, mask) > 0) {
            if (pfds[1].revents != 0) {
                agent_client_stdin(client);
            }
            if ((pfds[0].revents != 0) && agent_client_receive(client, mask)) {
                return;
            }
        }
        agent_client_check_time(client);
    }
    fprintf(stderr, "vmplab: the host did not confirm the command's end\n");
}

int agent_exec(const agent_exec_params_t *params)
{
    agent_client_t client = {.window = AGENT_WINDOW, .stdin_open = 1};
    sigset_t mask;

    if ((params->netns != NULL) && (agent_enter_netns(params->netns) != 0)) {
        fprintf(stderr, "vmplab: cannot enter %s: %s\n", params->netns,
                strerror(errno));
        return AGENT_EXIT_FAILED;
    }

    client.sock = agent_client_connect(params);
    if (client.sock < 0) {
        fprintf(stderr, "vmplab: no answer from %s: %s\n", params->address,
                strerror(errno));
        return AGENT_EXIT_FAILED;
    }

    agent_client_catch(&mask);
    if (agent_client_send_argv(client.sock, params->argv) != 0) {
        fprintf(stderr, "vmplab: cannot send the command: %s\n",
                strerror(errno));
        return AGENT_EXIT_FAILED;
    }

    if (params->timeout > 0) {
        client.deadline = agent_now_ms() + (int64_t)(params->timeout * 1000);
    }
    agent_client_loop(&client, &mask);
    return client.code;
}
