/* The least that any server can cost: an edge-triggered epoll loop that answers a constant response.
   floor PORT BODY: the body is read from the file BODY once. benches/peers compiles and starts it. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static char body[64 << 10], response[sizeof body + 256], request[16 << 10];

int main(int count, char **words) {
    FILE *file = count == 3 ? fopen(words[2], "rb") : NULL;
    if (!file) return fprintf(stderr, "floor PORT BODY\n"), 2;
    size_t length = fread(body, 1, sizeof body, file);
    int head = sprintf(response, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nX-Cache: HIT\r\n\r\n", length);
    for (size_t at = 0; at < length; at++) response[head + at] = body[at];

    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0);
    struct sockaddr_in address = {AF_INET, htons(atoi(words[1])), {htonl(INADDR_LOOPBACK)}};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) return perror("floor"), 1;
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});

    struct epoll_event events[256];
    for (;;) {
        int ready = epoll_wait(poll, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN | EPOLLET, .data.fd = fd});
                }
                continue;
            }
            /* a request is one segment, and its client waits for the answer before it sends the next */
            if (recv(fd, request, sizeof request, 0) <= 0) close(fd);
            else if (send(fd, response, head + length, MSG_NOSIGNAL) < 0) close(fd);
        }
    }
}
