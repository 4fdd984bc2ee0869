/* Values in the form of Megatron's command line. */
#include "deck/inside.h"

#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Megatron's parts for training, validation and test may add up to any number. */
bool megatron_split(char out[120], const double *x, int n)
{
    if (n < 2 || n > 3 || x[0] <= 0 || x[1] < 0 || (n == 3 ? x[2] < 0 : x[0] <= 1 && x[1] <= 1))
        return false;
    char parts[48], rounded[16];
    snprintf(rounded, sizeof rounded, "%.2g", x[1] / (x[0] + x[1]));
    double valid = strtod(rounded, NULL);
    if (n == 3)
        snprintf(parts, sizeof parts, "%g,%g,%g", x[0], x[1], x[2]);
    else
        snprintf(parts, sizeof parts, "%g,%g", x[0], x[1]);
    if (valid > 0)
        snprintf(out, 120, "; Megatron's %s is [%.4g, %.4g] here%s", parts, 1 - valid, valid,
                 n == 3 && x[2] > 0 ? ", without a test part" : "");
    else
        snprintf(out, 120, "; Megatron's %s has no validation part: leave data.split out", parts);
    return true;
}

/* The pairs of "0.3 a 0.7 b" as a list of data sets in YAML. *n: the number of words, -1 if the text has
 * another form. Caller frees. */
static char *pairs(const char *text, int *n)
{
    char *words = mem_text(text), *at = words, *word, *list = NULL;
    const char *weight = "";
    double x;
    *n = 0;
    while (*n >= 0 && (word = strsep(&at, " ,\t"))) {
        if (!*word)
            continue;
        bool number = number_real(word, &x), is_weight = *n % 2 == 0;
        *n = number == is_weight ? *n + 1 : -1;
        if (is_weight)
            weight = word;
        else
            mem_append(&list, "%s{path: %s, weight: %s}", list ? ", " : "", word, weight);
    }
    free(words);
    return list;
}

bool megatron_blend(const char *name, const char *text, const char *where, struct errors *errors)
{
    int n;
    char *list = pairs(text, &n);
    /* A single pair may be a file name that begins with a year, so its weight must have a decimal point. */
    bool blend = n >= 2 && n % 2 == 0 && (n > 2 || text[strcspn(text, ". ")] == '.');
    if (blend)
        errors_add(errors, where, "%s: '%.60s' is Megatron's spelling; write [%.400s]", name, text, list);
    free(list);
    return blend;
}
