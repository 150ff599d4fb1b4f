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
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>


int64_t agent_now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int agent_write_all(int fd, const void *data, size_t length)
{
    const char *p = data;
    ssize_t ret;

    while (length > 0) {
        ret = write(fd, p, length);
        if (ret < 0) {
            if (errno == EINTR) {
                continue;
            }
            return -1;
        }
        p      += ret;
        length -= ret;
    }
    return 0;
}

static int agent_read_all(int fd, void *data, size_t length)
{
    char *p = data;
    ssize_t ret;

    while (length > 0) {
        ret = read(fd, p, length);
        if ((ret < 0) && (errno == EINTR)) {
            continue;
        }
        if (ret <= 0) {
            return -1;
        }
        p      += ret;
        length -= ret;
    }
    return 0;
}

int agent_send(int sock, agent_frame_type_t type, const void *data,
               size_t length)
{
    uint32_t be_length = htonl(length);
    char header[5];

    header[0] = type;
    memcpy(&header[1], &be_length, sizeof(be_length));
    if (agent_write_all(sock, header, sizeof(header)) != 0) {
        return -1;
    }
    return agent_write_all(sock, data, length);
}

int agent_send_number(int sock, agent_frame_type_t type, uint32_t number)
{
    uint32_t be_number = htonl(number);

    return agent_send(sock, type, &be_number, sizeof(be_number));
}

int agent_recv(int sock, agent_frame_t *frame)
{
    uint32_t be_length;
    char header[5];

    if (agent_read_all(sock, header, sizeof(header)) != 0) {
        return -1;
    }
    memcpy(&be_length, &header[1], sizeof(be_length));
    frame->type   = header[0];
    frame->length = ntohl(be_length);
    if (frame->length > AGENT_FRAME_MAX) {
        return -1;
    }
    frame->data[frame->length] = '\0';
    return agent_read_all(sock, frame->data, frame->length);
}

uint32_t agent_frame_number(const agent_frame_t *frame)
{
    uint32_t be_number;

    if (frame->length != sizeof(be_number)) {
        return 0;
    }
    memcpy(&be_number, frame->data, sizeof(be_number));
    return ntohl(be_number);
}

void agent_socket_options(int sock)
{
    int one = 1, idle = 10, interval = 5, count = 6;

    setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(sock, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    setsockopt(sock, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(sock, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(sock, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

int agent_enter_netns(const char *path)
{
    int fd, ret;

    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    ret = setns(fd, CLONE_NEWNET);
    close(fd);
    return ret;
}

/* /etc/hosts is all that the lab's hosts have; a static program cannot use
 * the C library's resolver without its plug-ins */
static int agent_resolve(const char *name, char *address, size_t max)
{
    struct in_addr in;
    char line[512];
    char *word, *save, *first;
    FILE *f;

    if (inet_pton(AF_INET, name, &in) == 1) {
        snprintf(address, max, "%s", name);
        return 0;
    }

    f = fopen("/etc/hosts", "r");
    if (f == NULL) {
        return -1;
    }
    while (fgets(line, sizeof(line), f) != NULL) {
        first = strtok_r(line, " \t\n", &save);
        if ((first == NULL) || (inet_pton(AF_INET, first, &in) != 1)) {
            continue;
        }
        while ((word = strtok_r(NULL, " \t\n", &save)) != NULL) {
            if (strcmp(word, name) == 0) {
                snprintf(address, max, "%s", first);
                fclose(f);
                return 0;
            }
        }
    }
    fclose(f);
    return -1;
}

static char *agent_join(char **argv)
{
    size_t length = 1;
    char *joined;
    int i;

    for (i = 0; argv[i] != NULL; i++) {
        length += strlen(argv[i]) + 1;
    }
    joined = calloc(1, length);
    if (joined == NULL) {
        return NULL;
    }
    for (i = 0; argv[i] != NULL; i++) {
        strcat(joined, (i > 0) ? " " : "");
        strcat(joined, argv[i]);
    }
    return joined;
}

/* What MPI launchers expect of ssh: [OPTIONS] [USER@]HOST WORD... */
static int agent_rsh(char **argv)
{
    agent_exec_params_t params = {.connect = 10};
    char *shell_argv[]         = {"/bin/sh", "-c", NULL, NULL};
    const char *host;
    char address[64];

    for (; (*argv != NULL) && (**argv == '-'); argv++) {
        /* these take a value */
        if ((strlen(*argv) == 2) && (strchr("bcEeFIiJLlmOopQRSWw",
                                            (*argv)[1]) != NULL) &&
            (argv[1] != NULL)) {
            argv++;
        }
    }
    if ((argv[0] == NULL) || (argv[1] == NULL)) {
        fprintf(stderr, "vmplab: usage: ssh [OPTIONS] HOST COMMAND...\n");
        return AGENT_EXIT_FAILED;
    }

    host = strchr(argv[0], '@');
    host = (host != NULL) ? (host + 1) : argv[0];
    if (agent_resolve(host, address, sizeof(address)) != 0) {
        fprintf(stderr, "vmplab: no host of the lab is named %s\n", host);
        return AGENT_EXIT_FAILED;
    }

    shell_argv[2]  = agent_join(argv + 1);
    params.address = address;
    params.argv    = shell_argv;
    return (shell_argv[2] == NULL) ? AGENT_EXIT_FAILED : agent_exec(&params);
}

static int agent_main_exec(char **argv)
{
    agent_exec_params_t params = {.connect = 10};

    for (; (argv[0] != NULL) && (argv[1] != NULL) && (argv[0][0] == '-') &&
           (strcmp(argv[0], "--") != 0);
         argv += 2) {
        if (strcmp(argv[0], "--netns") == 0) {
            params.netns = argv[1];
        } else if (strcmp(argv[0], "--timeout") == 0) {
            params.timeout = atof(argv[1]);
        } else if (strcmp(argv[0], "--connect") == 0) {
            params.connect = atof(argv[1]);
        } else if (strcmp(argv[0], "--address") == 0) {
            params.address = argv[1];
        }
    }
    if ((argv[0] == NULL) || (argv[1] == NULL) || (params.address == NULL)) {
        return AGENT_EXIT_FAILED;
    }
    params.argv = argv + 1;
    return agent_exec(&params);
}

int main(int argc, char **argv)
{
    const char *name = strrchr(argv[0], '/');

    name = (name != NULL) ? (name + 1) : argv[0];
    if ((strcmp(name, "ssh") == 0) || (strcmp(name, "rsh") == 0)) {
        return agent_rsh(argv + 1);
    } else if ((argc == 2) && (strcmp(argv[1], "serve") == 0)) {
        return agent_serve();
    } else if ((argc > 2) && (strcmp(argv[1], "exec") == 0)) {
        return agent_main_exec(argv + 2);
    } else if ((argc > 2) && (strcmp(argv[1], "vm") == 0)) {
        return agent_vm(argc - 2, argv + 2);
    }
    fprintf(stderr, "vmplab-agent: a part of contrib/lab/vmplab, see there\n");
    return AGENT_EXIT_FAILED;
}
