/* A Modbus TCP server of libmodbus on a free port of the loopback, which it prints. Input registers hold 0x1234, discrete
 * inputs 1, everything else 0. One client at a time; ends when its parent does. */
#include <arpa/inet.h>
#include <modbus.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define ADDRESSES 2000

int main(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    modbus_t *server = modbus_new_tcp("127.0.0.1", 0);
    modbus_mapping_t *memory = modbus_mapping_new(ADDRESSES, ADDRESSES, ADDRESSES, ADDRESSES);
    if (server == NULL || memory == NULL) return 1;
    memset(memory->tab_input_bits, 1, ADDRESSES);
    for (int i = 0; i < ADDRESSES; i++) memory->tab_input_registers[i] = 0x1234;
    int listener = modbus_tcp_listen(server, 1);
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    if (listener < 0 || getsockname(listener, (struct sockaddr *)&address, &size) < 0) return 2;
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (modbus_tcp_accept(server, &listener) >= 0) {
        uint8_t request[MODBUS_TCP_MAX_ADU_LENGTH];
        int length;
        while ((length = modbus_receive(server, request)) >= 0)
            if (length > 0) modbus_reply(server, request, length, memory);
        modbus_close(server);
    }
    return 3;
}
