/* A TCP proxy on loopback that makes the way long: `delaying_proxy PORT TARGET_PORT DELAY_US` hands on what it receives in either
 * direction after half of the delay. Prints "ready", serves one connection after the other, ends when standard input ends. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNKS = 256, CHUNK_BYTES = 8192 };

struct chunk {
    long long due_ns;
    size_t length;
    unsigned char bytes[CHUNK_BYTES];
};

/* What is on its way in one direction: a ring of chunks. */
struct way {
    int from, to;
    unsigned first, count;
    struct chunk chunks[CHUNKS];
};

static struct way ways[2];

static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int opened(int port, int listening) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int failed = listening ? bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4)
                           : connect(fd, (struct sockaddr *)&address, sizeof address);
    if (!failed) return fd;
    close(fd);
    return -1;
}

/* Take in what came; -1 at the end of the connection. */
static int take(struct way *way, long long delay_ns) {
    if (way->count == CHUNKS) return 0;
    struct chunk *chunk = &way->chunks[(way->first + way->count) % CHUNKS];
    ssize_t length = recv(way->from, chunk->bytes, CHUNK_BYTES, MSG_DONTWAIT);
    if (length < 0) return errno == EAGAIN ? 0 : -1;
    if (length == 0) return -1;
    chunk->length = (size_t)length;
    chunk->due_ns = now_ns() + delay_ns;
    way->count++;
    return 0;
}

/* Hand on what is due; -1 at the end of the connection. */
static int hand_on(struct way *way) {
    while (way->count > 0 && way->chunks[way->first].due_ns <= now_ns()) {
        struct chunk *chunk = &way->chunks[way->first];
        size_t done = 0;
        while (done < chunk->length) {
            ssize_t sent = send(way->to, chunk->bytes + done, chunk->length - done, MSG_NOSIGNAL);
            if (sent < 0) return -1;
            done += (size_t)sent;
        }
        way->first = (way->first + 1) % CHUNKS;
        way->count--;
    }
    return 0;
}

/* Serve one connection; 1 when standard input has ended. */
static int serve(int client, int target, long long delay_ns) {
    ways[0] = (struct way){.from = client, .to = target};
    ways[1] = (struct way){.from = target, .to = client};
    for (;;) {
        struct pollfd polled[3] = {
            {.fd = STDIN_FILENO, .events = POLLIN}, {.fd = client, .events = POLLIN}, {.fd = target, .events = POLLIN}};
        long long due_ns = -1;
        for (int i = 0; i < 2; i++) {
            if (ways[i].count == CHUNKS) polled[i + 1].events = 0;
            if (ways[i].count == 0) continue;
            long long first = ways[i].chunks[ways[i].first].due_ns;
            if (due_ns < 0 || first < due_ns) due_ns = first;
        }
        long long left_ns = due_ns - now_ns();
        if (left_ns < 0) left_ns = 0;
        struct timespec wait = {.tv_sec = left_ns / 1000000000LL, .tv_nsec = left_ns % 1000000000LL};
        if (ppoll(polled, 3, due_ns < 0 ? NULL : &wait, NULL) < 0) return 1;
        if (polled[0].revents) return 1;
        for (int i = 0; i < 2; i++) {
            if (polled[i + 1].revents && take(&ways[i], delay_ns) < 0) return 0;
            if (hand_on(&ways[i]) < 0) return 0;
        }
    }
}

int main(int count, char **arguments) {
    if (count != 4) {
        fprintf(stderr, "usage: delaying_proxy PORT TARGET_PORT DELAY_US\n");
        return 2;
    }
    int listener = opened(atoi(arguments[1]), 1);
    if (listener < 0) {
        fprintf(stderr, "listen: %s\n", strerror(errno));
        return 1;
    }
    /* Sleeps that end within a microsecond of what they should. */
    prctl(PR_SET_TIMERSLACK, 1);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        struct pollfd polled[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = listener, .events = POLLIN}};
        if (poll(polled, 2, -1) < 0 || polled[0].revents) return 0;
        int one = 1, client = accept(listener, NULL, NULL), target = opened(atoi(arguments[2]), 0);
        if (client >= 0 && target >= 0) {
            setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            if (serve(client, target, atoll(arguments[3]) * 500LL)) return 0;
        }
        if (client >= 0) close(client);
        if (target >= 0) close(target);
    }
}
