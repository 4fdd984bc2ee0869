/* A fuzz target as a test: its corpus (good-* must be accepted, bad-* refused), then mutations of it, the
 * same on every run. COPPICE_FUZZ: the number of mutations, default 2000. */
#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "../unit/tap.h"

/* The target (fuzz.h, which defines the second in the target's file). */
status fuzz_parse(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUTS = 64, MOST = 1 << 16 };

static struct input {
    char *name;
    uint8_t *data;
    size_t size;
} inputs[INPUTS];
static int n_inputs;

static int by_name(const void *a, const void *b)
{
    const struct input *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static void read_input(const char *folder, const char *name)
{
    char *path = mem_format("%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    struct input *in = &inputs[n_inputs++];
    in->name = mem_text(name);
    in->data = mem_new(MOST, 1);
    in->size = f ? fread(in->data, 1, MOST, f) : 0;
    if (!f || fclose(f) != 0)
        exit(99);
    free(path);
}

static void read_corpus(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir) {
        fprintf(stderr, "%s: %s\n", folder, strerror(errno));
        exit(99);
    }
    for (struct dirent *e; (e = readdir(dir)) && n_inputs < INPUTS;)
        if (e->d_name[0] != '.')
            read_input(folder, e->d_name);
    closedir(dir);
    qsort(inputs, (size_t)n_inputs, sizeof *inputs, by_name);
}

/* ---- mutations ---- */

static uint64_t state;

static uint64_t below(uint64_t n)
{
    return rng_mix(++state) % n;
}

/* Replace n bytes at `at` by m others; what does not fit is cut off. */
static size_t splice(uint8_t *data, size_t size, size_t at, size_t n, const uint8_t *with, size_t m)
{
    static uint8_t tail[2 * MOST];
    n = n < size - at ? n : size - at;
    m = m < MOST - at ? m : MOST - at;
    size_t rest = size - at - n;
    memcpy(tail, data + at + n, rest);
    memmove(data + at, with, m);
    rest = rest < MOST - at - m ? rest : MOST - at - m;
    memcpy(data + at + m, tail, rest);
    return at + m + rest;
}

static size_t put_number(uint8_t *data, size_t size, size_t at)
{
    static const int64_t numbers[] = {0,         1,         -1,        255,       65535,
                                      INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, 1 << 20};
    int64_t x = numbers[below(sizeof numbers / sizeof *numbers)];
    return splice(data, size, at, 8, (const uint8_t *)&x, below(2) ? 8 : 4);
}

static size_t put_word(uint8_t *data, size_t size, size_t at)
{
    static const char *const words[] = {"{",  "}",  "[",     "]",   ":",     ",",    "\"",   "-",
                                        "0",  "9",  "1e999", "nan", ".",     "\n",   "  ",   "\xff",
                                        "&a", "*a", "!!int", "---", "\"\":", "null", "true", "#"};
    const char *word = words[below(sizeof words / sizeof *words)];
    return splice(data, size, at, below(3), (const uint8_t *)word, strlen(word));
}

static size_t mutate(uint8_t *data, size_t size)
{
    size_t at = below(size + 1);
    const struct input *other = &inputs[below((uint64_t)n_inputs)];
    size_t from = below(other->size + 1), n = below(32);
    switch (below(7)) {
    case 0:
        if (at < size)
            data[at] ^= (uint8_t)(1u << below(8));
        return size;
    case 1: return put_number(data, size, at);
    case 2: return put_word(data, size, at);
    case 3: return splice(data, size, at, n, data, 0);
    case 4:
        return splice(data, size, at, 0, other->data + from, n < other->size - from ? n : other->size - from);
    case 5: return splice(data, size, at, 0, data + at, n < size - at ? n : size - at);
    default: return at; /* the end is missing */
    }
}

static void run_mutations(int64_t count)
{
    static uint8_t data[MOST];
    int64_t accepted = 0;
    for (int64_t i = 0; i < count; i++) {
        state = (uint64_t)i << 32;
        const struct input *in = &inputs[below((uint64_t)n_inputs)];
        size_t size = in->size;
        memcpy(data, in->data, size);
        for (uint64_t changes = 1 + below(4); changes > 0; changes--)
            size = mutate(data, size);
        LLVMFuzzerTestOneInput(data, size);
        status_set_text("");
        accepted += i % 16 == 0 && fuzz_parse(data, size) == OK;
    }
    ok(true, "%lld mutations without a crash (%lld of every 16th accepted)", (long long)count,
       (long long)accepted);
}

int main(int argc, char **argv)
{
    const char *srcdir = getenv("srcdir"), *mutations = getenv("COPPICE_FUZZ"),
               *slash = strrchr(argv[0], '/');
    const char *target = slash ? slash + 1 : argv[0];
    char *folder = argc > 1 ? mem_text(argv[1])
                            : mem_format("%s/validation/fuzz/corpus/%s", srcdir ? srcdir : ".",
                                         strncmp(target, "fuzz_", 5) ? target : target + 5);
    read_corpus(folder);
    for (int i = 0; i < n_inputs; i++) {
        bool good = !strncmp(inputs[i].name, "good", 4);
        LLVMFuzzerTestOneInput(inputs[i].data, inputs[i].size);
        status_set_text("");
        bool accepted = fuzz_parse(inputs[i].data, inputs[i].size) == OK;
        const char *why = accepted ? "" : status_text();
        ok(accepted == good, "%s is %s %.*s", inputs[i].name,
           accepted ? "accepted" : "refused:", (int)strcspn(why, "\n"), why);
    }
    run_mutations(mutations ? strtoll(mutations, NULL, 10) : 2000);
    for (int i = 0; i < n_inputs; i++) {
        free(inputs[i].name);
        free(inputs[i].data);
    }
    free(folder);
    return tap_done();
}
