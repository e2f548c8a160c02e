/* libmodbus' own client on loopback: `modbus_client PORT` connects, and then for each line "COUNT" on standard input makes that
 * many reads of 125 holding registers, one after the other, and prints how many nanoseconds they took. */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { REGISTERS = 125 };

static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int count, char **arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: modbus_client PORT\n");
        return 2;
    }
    modbus_t *context = modbus_new_tcp("127.0.0.1", atoi(arguments[1]));
    if (context == NULL || modbus_connect(context) != 0) {
        fprintf(stderr, "connect: %s\n", modbus_strerror(errno));
        return 1;
    }
    modbus_set_slave(context, 1);
    uint16_t registers[REGISTERS];
    char line[32];
    while (fgets(line, sizeof line, stdin) != NULL) {
        long wanted = atol(line);
        long long begin = now_ns();
        for (long i = 0; i < wanted; i++) {
            if (modbus_read_registers(context, 0, REGISTERS, registers) != REGISTERS) {
                fprintf(stderr, "read: %s\n", modbus_strerror(errno));
                return 1;
            }
        }
        printf("%lld\n", now_ns() - begin);
        fflush(stdout);
    }
    modbus_close(context);
    modbus_free(context);
    return 0;
}
