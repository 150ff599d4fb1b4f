/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#define _GNU_SOURCE

#include "agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>


#define AGENT_MAX_ARGS  4096

/* How long output may trail behind the command's end, in ms: background
 * processes that keep its pipes open must not keep the connection */
#define AGENT_LINGER    300

typedef struct {
    int     sock;            /* -1: the client has gone */
    int     child_in;        /* pipes; -1 when closed */
    int     child_out;
    int     child_err;
    int     signal_fd;
    pid_t   child;
    int     exited;
    int     code;
    int64_t exit_time;
    int64_t kill_time;       /* when politeness ends, 0: not asked to kill */
    char    in_data[AGENT_WINDOW];
    size_t  in_length;
    int     in_eof;
} agent_server_t;


static void agent_server_close(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

static void agent_child_run(char **argv, int in, int out, int err)
{
    struct rlimit memlock   = {RLIM_INFINITY, RLIM_INFINITY};
    struct rlimit core      = {0, 0};
    struct sched_param prio = {.sched_priority = 0};
    sigset_t none;

    setsid();
    /* A polling process must yield the one CPU to the kernel's soft-RoCE
     * workers at once */
    sched_setscheduler(0, SCHED_IDLE, &prio);
    setrlimit(RLIMIT_MEMLOCK, &memlock);
    setrlimit(RLIMIT_CORE, &core);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    execvp(argv[0], argv);
    fprintf(stderr, "vmplab: %s: %s\n", argv[0], strerror(errno));
    _exit((errno == ENOENT) ? 127 : 126);
}

static int agent_server_start(agent_server_t *server, agent_frame_t *frame)
{
    static char *argv[AGENT_MAX_ARGS + 1];
    int in[2], out[2], err[2];
    int argc = 0;
    char *p;

    for (p = frame->data;
         (p < frame->data + frame->length) && (argc < AGENT_MAX_ARGS);
         p += strlen(p) + 1) {
        argv[argc++] = p;
    }
    if ((argc == 0) || (pipe2(in, O_CLOEXEC) != 0) ||
        (pipe2(out, O_CLOEXEC) != 0) || (pipe2(err, O_CLOEXEC) != 0)) {
        return -1;
    }

    server->child = fork();
    if (server->child < 0) {
        return -1;
    } else if (server->child == 0) {
        agent_child_run(argv, in[0], out[1], err[1]);
    }

    close(in[0]);
    close(out[1]);
    close(err[1]);
    server->child_in  = in[1];
    server->child_out = out[0];
    server->child_err = err[0];
    fcntl(server->child_in, F_SETFL, O_NONBLOCK);
    fcntl(server->child_out, F_SETFL, O_NONBLOCK);
    fcntl(server->child_err, F_SETFL, O_NONBLOCK);
    return 0;
}

static void agent_server_kill(agent_server_t *server, int signum)
{
    agent_kill_tree(signum);
    if (server->kill_time == 0) {
        server->kill_time = agent_now_ms() + AGENT_GRACE * 1000;
    }
}

static void agent_server_gone(agent_server_t *server)
{
    agent_server_close(&server->sock);
    agent_server_kill(server, SIGTERM);
}

static void agent_server_reap(agent_server_t *server)
{
    struct signalfd_siginfo info;
    int status;
    pid_t pid;

    while (read(server->signal_fd, &info, sizeof(info)) > 0) {
    }
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == server->child) {
            server->exited    = 1;
            server->exit_time = agent_now_ms();
            server->code      = WIFEXITED(status) ?
                                        WEXITSTATUS(status) :
                                        (128 + WTERMSIG(status));
        }
    }
}

static void agent_server_output(agent_server_t *server, int *fd,
                                agent_frame_type_t type)
{
    char buffer[AGENT_CHUNK];
    ssize_t ret;

    ret = read(*fd, buffer, sizeof(buffer));
    if ((ret < 0) && ((errno == EAGAIN) || (errno == EINTR))) {
        return;
    }
    if (ret <= 0) {
        agent_server_close(fd);
        return;
    }
    if ((server->sock >= 0) &&
        (agent_send(server->sock, type, buffer, ret) != 0)) {
        agent_server_gone(server);
    }
}

static void agent_server_input(agent_server_t *server)
{
    ssize_t ret;

    if (server->in_length > 0) {
        ret = write(server->child_in, server->in_data, server->in_length);
        if (ret > 0) {
            server->in_length -= ret;
            memmove(server->in_data, server->in_data + ret, server->in_length);
            if (server->sock >= 0) {
                agent_send_number(server->sock, AGENT_WINUPD, ret);
            }
        } else if ((errno != EAGAIN) && (errno != EINTR)) {
            agent_server_close(&server->child_in);
        }
    }
    if ((server->in_length == 0) && server->in_eof) {
        agent_server_close(&server->child_in);
    }
}

static void agent_server_receive(agent_server_t *server)
{
    static agent_frame_t frame;

    if (agent_recv(server->sock, &frame) != 0) {
        agent_server_gone(server);
        return;
    }

    switch (frame.type) {
    case AGENT_STDIN:
        if (frame.length == 0) {
            server->in_eof = 1;
        } else if ((server->child_in >= 0) &&
                   (frame.length <= AGENT_WINDOW - server->in_length)) {
            memcpy(server->in_data + server->in_length, frame.data,
                   frame.length);
            server->in_length += frame.length;
        }
        if (server->child_in >= 0) {
            agent_server_input(server);
        }
        break;
    case AGENT_KILL:
        agent_server_kill(server, agent_frame_number(&frame));
        break;
    default:
        break;
    }
}

/* @return nonzero when nothing is left to wait for */
static int agent_server_finished(agent_server_t *server)
{
    int64_t now = agent_now_ms();
    int left;

    if (server->kill_time != 0) {
        left = (server->exited || (now >= server->kill_time)) ?
                       agent_kill_tree(SIGKILL) : 1;
        return server->exited && (left == 0);
    }
    return server->exited &&
           (((server->child_out < 0) && (server->child_err < 0)) ||
            (now - server->exit_time > AGENT_LINGER));
}

static void agent_server_poll(agent_server_t *server)
{
    struct pollfd pfds[5];
    int i;

    pfds[0] = (struct pollfd){.fd = server->sock, .events = POLLIN};
    pfds[1] = (struct pollfd){.fd = server->signal_fd, .events = POLLIN};
    pfds[2] = (struct pollfd){.fd = server->child_out, .events = POLLIN};
    pfds[3] = (struct pollfd){.fd = server->child_err, .events = POLLIN};
    pfds[4] = (struct pollfd){.fd = -1, .events = POLLOUT};
    if ((server->in_length > 0) || server->in_eof) {
        pfds[4].fd = server->child_in;
    }
    if (poll(pfds, 5, 100) < 0) {
        return;
    }

    for (i = 0; i < 5; i++) {
        if ((pfds[i].fd < 0) || (pfds[i].revents == 0)) {
            continue;
        }
        if (i == 0) {
            agent_server_receive(server);
        } else if (i == 1) {
            agent_server_reap(server);
        } else if (i == 2) {
            agent_server_output(server, &server->child_out, AGENT_STDOUT);
        } else if (i == 3) {
            agent_server_output(server, &server->child_err, AGENT_STDERR);
        } else if (server->child_in >= 0) {
            agent_server_input(server);
        }
    }
}

static void agent_server_connection(int sock)
{
    static agent_server_t server = {.child_in = -1, .child_out = -1,
                                    .child_err = -1};
    static agent_frame_t frame;
    sigset_t set;

    server.sock = sock;
    agent_socket_options(sock);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    server.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if ((agent_recv(sock, &frame) != 0) || (frame.type != AGENT_ARGV) ||
        (agent_server_start(&server, &frame) != 0)) {
        return;
    }

    do {
        agent_server_poll(&server);
    } while (!agent_server_finished(&server));

    if (server.sock >= 0) {
        agent_send_number(server.sock, AGENT_EXIT, server.code);
    }
}

int agent_serve(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port   = htons(AGENT_PORT)};
    struct pollfd pfd       = {.events = POLLIN};
    int one                 = 1;
    int sock;

    pfd.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(pfd.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if ((bind(pfd.fd, (struct sockaddr*)&addr, sizeof(addr)) != 0) ||
        (listen(pfd.fd, 64) != 0)) {
        perror("vmplab-agent: cannot listen");
        return AGENT_EXIT_FAILED;
    }

    for (;;) {
        if (poll(&pfd, 1, 1000) > 0) {
            sock = accept4(pfd.fd, NULL, NULL, SOCK_CLOEXEC);
            if ((sock >= 0) && (fork() == 0)) {
                close(pfd.fd);
                agent_server_connection(sock);
                _exit(0);
            }
            close(sock);
        }
        /* as process 1 of the guest: orphans, too */
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
    }
}
