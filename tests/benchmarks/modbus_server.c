/* A Modbus TCP server over libmodbus on loopback, for the benchmarks: `modbus_server PORT`.
 * Prints "ready", serves any number of clients, and ends when standard input ends. */
#include <errno.h>
#include <modbus.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REGISTERS = 4000, BITS = 2000, CLIENTS_MAX = 8 };

int main(int count, char **arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: modbus_server PORT\n");
        return 2;
    }
    modbus_t *context = modbus_new_tcp("127.0.0.1", atoi(arguments[1]));
    modbus_mapping_t *memory = modbus_mapping_new(BITS, BITS, REGISTERS, REGISTERS);
    if (context == NULL || memory == NULL) return 1;
    for (int i = 0; i < REGISTERS; i++) memory->tab_registers[i] = 0x4148; /* 12.5 and a bit, as a float */
    int listener = modbus_tcp_listen(context, CLIENTS_MAX);
    if (listener < 0) {
        fprintf(stderr, "listen: %s\n", modbus_strerror(errno));
        return 1;
    }
    printf("ready\n");
    fflush(stdout);

    fd_set known;
    FD_ZERO(&known);
    FD_SET(STDIN_FILENO, &known);
    FD_SET(listener, &known);
    int highest = listener;
    for (;;) {
        fd_set ready = known;
        if (select(highest + 1, &ready, NULL, NULL, NULL) < 0) return 1;
        for (int fd = 0; fd <= highest; fd++) {
            if (!FD_ISSET(fd, &ready)) continue;
            if (fd == STDIN_FILENO) return 0;
            if (fd == listener) {
                int accepted = modbus_tcp_accept(context, &listener);
                if (accepted < 0) continue;
                if (accepted >= FD_SETSIZE) {
                    close(accepted);
                    continue;
                }
                /* Without it each answer waits until the one before is acknowledged, which takes a client up to 40 ms. */
                int one = 1;
                setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                FD_SET(accepted, &known);
                if (accepted > highest) highest = accepted;
                continue;
            }
            uint8_t request[MODBUS_TCP_MAX_ADU_LENGTH];
            modbus_set_socket(context, fd);
            int length = modbus_receive(context, request);
            if (length > 0) modbus_reply(context, request, length, memory);
            if (length < 0) {
                close(fd);
                FD_CLR(fd, &known);
            }
        }
    }
}
