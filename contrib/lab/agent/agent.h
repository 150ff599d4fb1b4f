/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifndef VMPLAB_AGENT_H_
#define VMPLAB_AGENT_H_

#include <stddef.h>
#include <stdint.h>

/*
 * One TCP connection runs one command. Both directions carry frames of a type
 * (1 byte), a length (4 bytes, big endian) and that many bytes.
 */
#define AGENT_PORT      7077
#define AGENT_FRAME_MAX (256 * 1024)
#define AGENT_CHUNK     (32 * 1024)

/* Standard input that may be on its way before the command has read it: the
 * server always reads its socket, so a kill request is never stuck behind
 * input that nobody wants */
#define AGENT_WINDOW    (64 * 1024)

/* Seconds from a polite signal to SIGKILL, and what the client allows for it */
#define AGENT_GRACE     2
#define AGENT_PATIENCE  6

/* Exit codes of the client itself */
#define AGENT_EXIT_TIMEOUT 124
#define AGENT_EXIT_FAILED  125

typedef enum {
    AGENT_ARGV   = 'A', /* to server: arguments, each ended by NUL */
    AGENT_STDIN  = 'I', /* to server: input; empty is its end */
    AGENT_KILL   = 'K', /* to server: signal for the command and its children */
    AGENT_STDOUT = 'O', /* to client */
    AGENT_STDERR = 'R', /* to client */
    AGENT_WINUPD = 'W', /* to client: so much input was taken */
    AGENT_EXIT   = 'X'  /* to client: exit code, the last frame */
} agent_frame_type_t;

typedef struct {
    uint8_t  type;
    uint32_t length;
    char     data[AGENT_FRAME_MAX + 1];
} agent_frame_t;


/** Milliseconds of the monotonic clock. */
int64_t agent_now_ms(void);


/** Writes everything. @return 0, or -1 with errno. Retries on EINTR. */
int agent_write_all(int fd, const void *data, size_t length);


/** Sends one frame. @return 0, or -1 when the connection is broken. */
int agent_send(int sock, agent_frame_type_t type, const void *data,
               size_t length);


/** Sends a frame whose payload is one number. */
int agent_send_number(int sock, agent_frame_type_t type, uint32_t number);


/** Receives one frame (blocking). @return 0, or -1 at the connection's end. */
int agent_recv(int sock, agent_frame_t *frame);


/** The number that @a frame carries, 0 if it carries none. */
uint32_t agent_frame_number(const agent_frame_t *frame);


/** Options that both ends want: no delay, and an end to a dead peer. */
void agent_socket_options(int sock);


/**
 * Signals every process below this one, also those that made a session of
 * their own (which works as this process is their subreaper).
 * @return how many there are.
 */
int agent_kill_tree(int signum);


/** Serves commands on all addresses; returns only on failure. */
int agent_serve(void);


typedef struct {
    const char *netns;     /* namespace to connect from, or NULL */
    const char *address;   /* dotted IPv4 address */
    double     timeout;    /* seconds the command may take, 0: no limit */
    double     connect;    /* seconds to keep trying to connect */
    char       **argv;     /* command */
} agent_exec_params_t;

/** Runs a command in a host. @return the exit code for this process. */
int agent_exec(const agent_exec_params_t *params);


/** Runs QEMU as a child with open taps. @return the exit code. */
int agent_vm(int argc, char **argv);


/** Makes @a path's network namespace this thread's. @return 0 or -1. */
int agent_enter_netns(const char *path);

#endif
