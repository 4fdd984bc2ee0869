/* Minimal TAP for one process. The plan is printed at the end (tap_done), so a crash shows as a
 * missing plan. Tests that run on several ranks use validation/parallel/tap_ranks.h. */
#ifndef UNIT_TAP_H
#define UNIT_TAP_H
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static int tap_count, tap_bad;

__attribute__((format(printf, 2, 3), unused)) static bool ok(bool good, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("%sok %d - ", good ? "" : "not ", ++tap_count);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
    tap_bad += !good;
    fflush(stdout);
    return good;
}

/** Leave this program as skipped, with the reason. Call before any ok(). */
__attribute__((unused, noreturn)) static void skip_all(const char *why)
{
    printf("1..0 # SKIP %s\n", why);
    exit(0);
}

/** End of main: return tap_done(); */
__attribute__((unused)) static int tap_done(void)
{
    printf("1..%d\n", tap_count);
    return tap_bad ? 1 : 0;
}

#endif
