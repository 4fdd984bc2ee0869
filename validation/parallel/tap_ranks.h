/* TAP for programs over ranks. ok() is COLLECTIVE: one rank's failure fails the check everywhere, and
 * only rank 0 prints. The plan comes at the end, so a crash or a hang shows as a missing plan. */
#ifndef PARALLEL_TAP_RANKS_H
#define PARALLEL_TAP_RANKS_H
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include "comm/comm.h"

static struct comm *tap_comm;
static int tap_count, tap_bad;

/** COLLECTIVE. Start of main, after comm_open. */
__attribute__((unused)) static void tap_open(struct comm *c)
{
    tap_comm = c;
}

__attribute__((format(printf, 2, 3), unused)) static bool ok(bool good, const char *format, ...)
{
    int64_t worst[2] = {!good, good ? 0 : comm_size(tap_comm) - comm_rank(tap_comm)};
    va_list args;
    comm_max_i64(tap_comm, worst, 2);
    tap_count++;
    tap_bad += worst[0] != 0;
    if (comm_rank(tap_comm) == 0) {
        printf("%sok %d - ", worst[0] ? "not " : "", tap_count);
        va_start(args, format);
        vprintf(format, args);
        va_end(args);
        if (worst[0])
            printf("\n# first on rank %d", comm_size(tap_comm) - (int)worst[1]);
        putchar('\n');
        fflush(stdout);
    }
    return worst[0] == 0;
}

/** COLLECTIVE. Leave this program as skipped, with the reason. Call before any ok(). */
__attribute__((unused)) static _Noreturn void skip_all(const char *why)
{
    if (comm_rank(tap_comm) == 0)
        printf("1..0 # SKIP %s\n", why);
    comm_close(tap_comm);
    exit(0);
}

/** COLLECTIVE. End of main: return tap_done(); closes the communicator. */
__attribute__((unused)) static int tap_done(void)
{
    if (comm_rank(tap_comm) == 0)
        printf("1..%d\n", tap_count);
    fflush(stdout);
    comm_close(tap_comm);
    return tap_bad ? 1 : 0;
}

#endif
