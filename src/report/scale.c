#include "report/scale.h"

#include <math.h>
#include <stdio.h>

/* The round number 1, 2 or 5 times a power of ten that divides `width` into about `parts`. */
static double round_step(double width, int parts)
{
    double raw = width / parts, power = pow(10, floor(log10(raw))), rest = raw / power;
    return power * (rest < 1.5 ? 1 : rest < 3.5 ? 2 : rest < 7.5 ? 5 : 10);
}

struct scale scale_of(double lo, double hi, bool log, bool round, double from, double to)
{
    enum { PARTS = 5 };
    if (!(hi - lo > 1e-12 * fmax(fabs(lo), fabs(hi)))) {
        double room = log ? 0 : lo != 0 ? 0.1 * fabs(lo) : 1;
        hi = log ? hi * 2 : hi + room;
        lo = log ? lo / 2 : lo == 0 ? 0 : lo - room;
    } else if (round && !log) {
        double step = round_step(hi - lo, PARTS) / 2;
        lo = step * floor(lo / step + 1e-9);
        hi = step * ceil(hi / step - 1e-9);
    }
    return (struct scale){lo, hi, log, from, to};
}

double scale_at(const struct scale *s, double value)
{
    double part = s->log ? log(value / s->lo) / log(s->hi / s->lo) : (value - s->lo) / (s->hi - s->lo);
    return s->from + (s->to - s->from) * part;
}

/* Powers of ten; also their double and fivefold where there are few. */
static int log_ticks(const struct scale *s, double tick[SCALE_TICKS])
{
    static const double factor[] = {1, 2, 5};
    double decades = log10(s->hi / s->lo);
    int factors = decades < 2.5 ? 3 : 1, n = 0, every = (int)ceil(decades / 6);
    for (int p = (int)floor(log10(s->lo)); n < SCALE_TICKS && pow(10, p) <= s->hi; p++)
        for (int i = 0; i < factors && n < SCALE_TICKS; i++) {
            double x = factor[i] * pow(10, p);
            if (x >= s->lo * (1 - 1e-9) && x <= s->hi * (1 + 1e-9) && p % (every > 0 ? every : 1) == 0)
                tick[n++] = x;
        }
    return n;
}

int scale_ticks(const struct scale *s, int wanted, double tick[SCALE_TICKS])
{
    int n = s->log ? log_ticks(s, tick) : 0;
    if (n >= 2)
        return n;
    double step = round_step(s->hi - s->lo, wanted), first = ceil(s->lo / step - 1e-6);
    for (n = 0; n < SCALE_TICKS && (first + n) * step <= s->hi + 1e-6 * step; n++)
        tick[n] = (first + n) * step;
    return n;
}

const char *scale_prefix(double most, double *unit)
{
    static const char *const prefix[] = {"", "k", "M", "G", "T", "P", "E", "Z", "Y"};
    enum { PREFIXES = sizeof prefix / sizeof *prefix };
    int i = 0;
    for (*unit = 1; i + 1 < PREFIXES && fabs(most) >= 1000 * *unit; i++)
        *unit *= 1000;
    return prefix[i];
}

char *scale_label(char out[32], double tick, double step)
{
    if (tick != 0 && (fabs(tick) < 1e-3 || fabs(tick) >= 1e6)) {
        snprintf(out, 32, "%.3g", tick);
        return out;
    }
    double power = floor(log10(step > 0 ? step : 1) + 1e-9);
    int decimals = power < 0 ? (int)-power : 0;
    snprintf(out, 32, "%.*f", decimals < 9 ? decimals : 9, tick == 0 ? 0.0 : tick);
    return out;
}
