#include "base/text.h"

#include <math.h>
#include <stdio.h>

/* n with three significant digits and the smallest unit that keeps it below 1000. */
static char *scaled(char text[32], double n, const char *const unit[], int units)
{
    int u = 0;
    for (; u < units - 1 && fabs(n) >= 999.5; u++)
        n /= 1000;
    const char *gap = *unit[u] ? " " : "";
    snprintf(text, 32, fabs(n) < 999.5 ? "%.3g%s%s" : "%.0f%s%s", n, gap, unit[u]);
    return text;
}

char *text_count(char text[32], double n)
{
    static const char *const unit[] = {"", "k", "M", "G", "T"};
    return scaled(text, n, unit, 5);
}

char *text_bytes(char text[32], double bytes)
{
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    return scaled(text, bytes, unit, 6);
}

char *text_grouped(char text[32], int64_t n)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)n), to = 0;
    for (int i = 0; i < length; i++) {
        text[to++] = digits[i];
        if (i < length - 1 && digits[i] != '-' && (length - 1 - i) % 3 == 0)
            text[to++] = ',';
    }
    text[to] = '\0';
    return text;
}

char *text_n(char text[48], int64_t n, const char *thing)
{
    char number[32];
    snprintf(text, 48, "%s %s%s", text_grouped(number, n), thing, n == 1 ? "" : "s");
    return text;
}

char *text_time(char text[32], double seconds)
{
    if (!(seconds >= 0 && seconds < 1e12)) {
        snprintf(text, 32, "?");
    } else if (seconds < 59.5) {
        snprintf(text, 32, seconds < 9.95 ? "%.2g s" : "%.0f s", seconds);
    } else {
        long long s = llround(seconds);
        if (s < 3600)
            snprintf(text, 32, "%lld:%02lld", s / 60, s % 60);
        else
            snprintf(text, 32, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    }
    return text;
}
