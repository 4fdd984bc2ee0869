/* Numbers and times of a deck: from text, and to text. */
#include "deck/inside.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

static const struct {
    const char *name;
    double seconds;
} unit[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};

bool number_int(const char *text, int64_t *out)
{
    const char *digits = text + (*text == '-');
    size_t n = strspn(digits, "0123456789");
    if (n == 0 || digits[n] || (digits[0] == '0' && n > 1)) /* 010 might be meant as an octal number */
        return false;
    errno = 0;
    *out = strtoll(text, NULL, 10);
    return errno == 0;
}

bool number_real(const char *text, double *out)
{
    char *end;
    if (strspn(text, "0123456789+-.eE") != strlen(text) || *text == '+' || *text == '\0')
        return false; /* strtod would also read hexadecimal numbers, inf, nan and blanks */
    errno = 0;
    double x = strtod(text, &end);
    if (*end || errno || !isfinite(x))
        return false;
    *out = x;
    return true;
}

bool number_seconds(const char *text, double *out)
{
    char number[32];
    size_t n = strspn(text, "0123456789.");
    if (n >= sizeof number)
        return false;
    memcpy(number, text, n);
    number[n] = '\0';
    for (size_t i = 0; i < sizeof unit / sizeof *unit; i++)
        if (strcmp(text + n, unit[i].name) == 0 && number_real(number, out)) {
            *out *= unit[i].seconds;
            return true;
        }
    return false;
}

void number_add_real(char **text, double x)
{
    char number[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(number, sizeof number, "%.*g", digits, x);
        if (strtod(number, NULL) == x)
            break;
    }
    mem_append(text, "%s", number);
}

void number_add_seconds(char **text, double s)
{
    for (size_t i = 0; i < sizeof unit / sizeof *unit; i++)
        if (s / unit[i].seconds == floor(s / unit[i].seconds)) {
            mem_append(text, "%.0f%s", s / unit[i].seconds, unit[i].name);
            return;
        }
    mem_append(text, "%.6fs", s);
}
