/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_kit.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_SECONDS 30


/* Rank 0: one socket for each other rank. Others: [0] leads to rank 0. */
static int socks[KIT_MAX_RANKS];


static void transfer(int sock, void *buf, size_t size, int out)
{
    size_t done = 0;
    ssize_t ret;

    while (done < size) {
        ret = out ? send(sock, (char*)buf + done, size - done,
                         MSG_NOSIGNAL | MSG_DONTWAIT) :
                    recv(sock, (char*)buf + done, size - done, MSG_DONTWAIT);
        if (ret > 0) {
            done += ret;
        } else if ((ret == 0) || ((errno != EINTR) && (errno != EAGAIN))) {
            die("another rank has ended");
        } else if (kit_progress() == 0) {
            usleep(100);
        }
    }
}

static int net_connect(const struct addrinfo *addrs)
{
    const struct addrinfo *ai;
    unsigned try;
    int sock;

    for (try = 0; try < (CONNECT_SECONDS * 5); ++try) {
        for (ai = addrs; ai != NULL; ai = ai->ai_next) {
            sock = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
            if ((sock >= 0) &&
                (connect(sock, ai->ai_addr, ai->ai_addrlen) == 0)) {
                return sock;
            }
            close(sock);
        }
        usleep(200000);
    }
    die("no TCP connection to rank 0: %s", strerror(errno));
}

static void net_accept(const struct addrinfo *addr)
{
    int lsock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one   = 1;
    uint32_t rank;
    unsigned i;
    int sock;

    setsockopt(lsock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if ((bind(lsock, addr->ai_addr, addr->ai_addrlen) != 0) ||
        (listen(lsock, KIT_MAX_RANKS) != 0)) {
        die("cannot listen: %s", strerror(errno));
    }
    for (i = 1; i < kit.num_ranks; ++i) {
        sock = accept4(lsock, NULL, NULL, SOCK_CLOEXEC);
        if (sock < 0) {
            die("cannot accept: %s", strerror(errno));
        }
        transfer(sock, &rank, sizeof(rank), 0);
        if ((rank == 0) || (rank >= kit.num_ranks) || (socks[rank] != 0)) {
            die("an unexpected rank %u came", rank);
        }
        socks[rank] = sock;
    }
    close(lsock);
}

void kit_net_open(void)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
                              .ai_flags    = (kit.rank == 0) ? AI_PASSIVE : 0,
                              .ai_family   = (kit.rank == 0) ? AF_INET :
                                                               AF_UNSPEC };
    uint32_t rank         = kit.rank;
    struct addrinfo *addrs;
    int ret;

    ret = getaddrinfo((kit.rank == 0) ? NULL : kit.host, kit.port, &hints, &addrs);
    if (ret != 0) {
        die("cannot resolve %s: %s", kit.host, gai_strerror(ret));
    }
    if (kit.rank == 0) {
        net_accept(addrs);
    } else {
        socks[0] = net_connect(addrs);
        transfer(socks[0], &rank, sizeof(rank), 1);
    }
    freeaddrinfo(addrs);
}

void kit_net_close(void)
{
    unsigned i;

    for (i = 0; i < KIT_MAX_RANKS; ++i) {
        if (socks[i] != 0) {
            close(socks[i]);
            socks[i] = 0;
        }
    }
}

void kit_allgather(const void *mine, void *all, size_t size)
{
    uint8_t *parts = all;
    unsigned i;

    if (kit.rank != 0) {
        transfer(socks[0], (void*)mine, size, 1);
        transfer(socks[0], all, size * kit.num_ranks, 0);
        return;
    }
    memcpy(parts, mine, size);
    for (i = 1; i < kit.num_ranks; ++i) {
        transfer(socks[i], parts + (i * size), size, 0);
    }
    for (i = 1; i < kit.num_ranks; ++i) {
        transfer(socks[i], all, size * kit.num_ranks, 1);
    }
}

void kit_barrier(const char *next_stage)
{
    uint64_t check = 0, all[KIT_MAX_RANKS];
    const char *p;
    unsigned i;

    for (p = next_stage; *p != '\0'; ++p) {
        check = vmp_mix(check + (uint8_t)*p);
    }
    kit_allgather(&check, all, sizeof(check));
    for (i = 0; i < kit.num_ranks; ++i) {
        if (all[i] != check) {
            die("rank %u is elsewhere than at '%s'", i, next_stage);
        }
    }
    kit.stage = next_stage;
}
