/* status, log, mem, rng, json. */
#define _GNU_SOURCE /* mkdtemp */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/json.h"
#include "base/library.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/once.h"
#include "base/printable.h"
#include "base/rng.h"
#include "base/spread.h"
#include "base/status.h"
#include "base/text.h"
#include "tap.h"

static char folder[] = "/tmp/coppice-XXXXXX";

static char *in_folder(const char *name)
{
    return mem_format("%s/%s", folder, name);
}

static status nested(status s)
{
    TRY(s);
    return E_NAN;
}

static void test_status(void)
{
    char *big = mem_new(20001, 1);
    memset(big, 'x', 20000);
    ok(fail(E_DECK, "a %d", 1) == E_DECK && strcmp(status_text(), "a 1") == 0,
       "fail records and returns its code");
    ok(fail(E_DATA, "b: %s", status_text()) == E_DATA && strcmp(status_text(), "b: a 1") == 0,
       "a record may be wrapped in itself");
    status_set_text("c");
    ok(strcmp(status_text(), "c") == 0, "the record can be replaced");
    ok(nested(E_SPACE) == E_SPACE && nested(OK) == E_NAN, "TRY passes failures on, and only failures");
    ok(fail(E_DATA, "%s", big) == E_DATA && strlen(status_text()) < 20000 &&
           strcmp(status_text() + strlen(status_text()) - 4, "x...") == 0,
       "a long record is cut, visibly");
    ok(strcmp(status_name(E_NOCKPT), "no checkpoint") == 0 && strcmp(status_name(OK), "ok") == 0,
       "names of codes");
    free(big);
}

/* How a child that runs f ends; what it says on stderr goes to `said`. */
static int end_of(void (*f)(void), char *said, size_t size)
{
    int ends[2], how;
    if (pipe(ends) != 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        f();
        _exit(0);
    }
    close(ends[1]);
    size_t n = 0;
    for (ssize_t got = 1; got > 0 && n < size - 1; n += (size_t)(got > 0 ? got : 0))
        got = read(ends[0], said + n, size - 1 - n);
    said[n] = '\0';
    close(ends[0]);
    waitpid(child, &how, 0);
    return how;
}

static void overflow(void)
{
    mem_mul((int64_t)1 << 40, (int64_t)1 << 40);
}

static void negative(void)
{
    mem_add(-1, 5);
}

static void exhaust(void)
{
    mem_new((int64_t)1 << 60, 1);
}

static void test_ends(void)
{
    char said[4096];
    int how = end_of(overflow, said, sizeof said);
    ok(WIFEXITED(how) && WEXITSTATUS(how) == E_BUG && strstr(said, "coppice: bug: size 1099511627776 *") &&
           strstr(said, "mem_mul"),
       "a size that overflows is a bug: message, backtrace, exit code 70");
    how = end_of(negative, said, sizeof said);
    ok(WIFEXITED(how) && WEXITSTATUS(how) == E_BUG && strstr(said, "size -1 + 5"),
       "a negative size is a bug");
    how = end_of(exhaust, said, sizeof said);
    ok(WIFEXITED(how) && WEXITSTATUS(how) == E_RESOURCE && strstr(said, "out of memory"),
       "exhausted memory: message, exit code 69");
}

static void test_mem(void)
{
    int64_t product;
    ok(mem_mul(1 << 20, 1 << 20) == (int64_t)1 << 40, "a product beyond 32 bits");
    ok(mem_mul_fits(3, 4, &product) && product == 12 && !mem_mul_fits((int64_t)1 << 62, 2, &product) &&
           !mem_mul_fits(-1, 2, &product),
       "products of numbers from files");
    char *text = NULL, *copy = mem_text("abc");
    mem_append(&text, "%s%d", copy, 1);
    mem_append(&text, "%s", ", more");
    ok(strcmp(text, "abc1, more") == 0 && mem_text(NULL) == NULL, "texts are copied and appended to");
    free(text);
    free(copy);
    int64_t *numbers = mem_new(3, sizeof *numbers), bytes = 5000001;
    ok(numbers[0] == 0 && numbers[2] == 0, "mem_new is zero");
    numbers[2] = 7;
    numbers = mem_grow(numbers, 1000, sizeof *numbers);
    ok(numbers[2] == 7, "mem_grow keeps");
    free(numbers);
    free(mem_new(0, 8));
    char *map = mem_map(bytes);
    ok(map && (uintptr_t)map % (2 << 20) == 0, "mem_map aligns to 2 MiB");
    map[1] = 3;
    mem_touch(map, bytes);
    ok(map[0] == 0 && map[1] == 3 && map[bytes - 1] == 0, "mapped memory is zero, and touching keeps it");
    mem_unmap(map, bytes);
    ok(mem_map(0) == NULL && mem_map((int64_t)1 << 55) == NULL, "no bytes or too many: NULL");
    ok(mem_peak_rss() > 1 << 20 && mem_free_bytes() > 1 << 20, "memory in use and free, in bytes");
}

/* Random123's kat_vectors, philox4x32 with 10 rounds. */
static void test_philox(void)
{
    static const struct {
        uint64_t key, hi, lo;
        uint32_t out[4];
    } known[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {~0ull, ~0ull, ~0ull, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x299f31d0a4093822,
         0x0370734413198a2e,
         0x85a308d3243f6a88,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t out[4];
        rng_block(known[i].key, known[i].hi, known[i].lo, out);
        ok(memcmp(out, known[i].out, sizeof out) == 0, "Philox4x32-10, published answer %zu", i + 1);
    }
    ok(rng_mix(0x9e3779b97f4a7c15) == 0xe220a8397b1dcdaf, "splitmix64's first output for seed 0");
    ok(rng_name("foobar") == rng_mix(0x85944171f73967e8), "FNV-1a of \"foobar\", mixed");
}

/* The quantile against erfc, the normal distribution of libm: P(N < x) must give u back. The relative
 * condition of the tail is 1 + x^2; 16 roundings cover both polynomials, log, sqrt and erfc. */
static double quantile_error(int n)
{
    double worst = 0;
    for (uint64_t i = 0; i < (uint64_t)n; i++) {
        double u = rng_uniform(5, 6, i), x = rng_normal(5, 6, i);
        double tail = u < 0.5 ? u : 1 - u, back = 0.5 * erfc(fabs(x) * M_SQRT1_2);
        worst = fmax(worst, fabs(back - tail) / tail / (1 + x * x));
    }
    return worst;
}

static void test_normals(void)
{
    enum { N = 1000000 };
    float *x = mem_new(N, sizeof *x);
    double m[5] = {0}, error = quantile_error(N), n = N;
    ok(error < 16 * 0x1p-53, "quantile against erfc: %.1f roundings", error * 0x1p53);
    rng_normals(1234, rng_name("a.weight"), 0, N, 1.0, x);
    uint64_t hash = 0;
    for (int i = 0; i < N; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        hash = rng_mix(hash ^ bits);
        for (int k = 1; k < 5; k++)
            m[k] += pow((double)x[i], k) / n;
    }
    double sd = sqrt(m[2] - m[1] * m[1]);
    ok(fabs(m[1]) < 5 / sqrt(n) && fabs(m[2] - 1) < 5 * sqrt(2 / n), "mean %.5f and variance %.5f", m[1],
       m[2]);
    ok(fabs(m[3] / pow(sd, 3)) < 5 * sqrt(15 / n) && fabs(m[4] - 3) < 5 * sqrt(96 / n),
       "third moment %.4f and fourth %.4f", m[3], m[4]);
    ok(hash == 0xefcef7cc7a04239f, "bits of a million normals are those recorded (%016llx)",
       (unsigned long long)hash);
    float part[5];
    rng_normals(1234, rng_name("a.weight"), 999, 5, 0.02, part);
    bool same = true;
    for (int i = 0; i < 5; i++)
        same = same && part[i] == (float)(0.02 * rng_normal(1234, rng_name("a.weight"), 999 + (uint64_t)i));
    ok(same, "a part that starts at an odd index has the numbers of the whole");
    free(x);
}

static void test_uniform(void)
{
    enum { N = 1 << 20, BINS = 256 };
    static int bin[BINS];
    double chi = 0;
    bool open = true;
    for (uint64_t i = 0; i < N; i++) {
        double u = rng_uniform(1, 2, i);
        open = open && u > 0 && u < 1;
        bin[(int)(u * BINS)]++;
    }
    for (int b = 0; b < BINS; b++)
        chi += pow(bin[b] - N / BINS, 2) / (N / BINS);
    ok(open && fabs(chi - (BINS - 1)) < 5 * sqrt(2 * (BINS - 1)), "uniform in (0,1): chi squared %.0f of 255",
       chi);
    ok(rng_uniform(1, 2, 3) != rng_uniform(2, 2, 3) && rng_uniform(1, 2, 3) != rng_uniform(1, 3, 3) &&
           rng_uniform(1, 2, 2) != rng_uniform(1, 2, 3),
       "seed, stream and index all matter");
}

static bool bijective(uint64_t key, int64_t n)
{
    char *seen = mem_new(n, 1);
    bool good = true;
    for (int64_t i = 0; good && i < n; i++) {
        int64_t to = rng_permute(key, n, i);
        good = to >= 0 && to < n && !seen[to];
        if (good)
            seen[to] = 1;
    }
    free(seen);
    return good;
}

static void test_permute(void)
{
    bool good = true, large = true;
    for (int64_t n = 1; n < 300; n++)
        good = good && bijective((uint64_t)n, n);
    ok(good && bijective(1, 65536) && bijective(2, 65537) && bijective(3, 999999),
       "permutations are bijective");
    for (int bits = 40; bits < 63; bits++)
        for (int64_t i = 0, n = ((int64_t)1 << bits) + 1; i < 20; i++) {
            int64_t to = rng_permute(9, n, i);
            large = large && to >= 0 && to < n;
        }
    ok(large && rng_permute(9, INT64_MAX, 5) >= 0, "and stay in range up to 2^63");
    static int place[24][24];
    double chi = 0;
    for (uint64_t key = 0; key < 24000; key++)
        for (int64_t i = 0; i < 24; i++)
            place[i][rng_permute(key, 24, i)]++;
    for (int i = 0; i < 24; i++)
        for (int j = 0; j < 24; j++)
            chi += pow(place[i][j] - 1000, 2) / 1000;
    ok(fabs(chi - 23 * 23) < 5 * sqrt(2 * 23 * 23), "every place is equally likely: chi squared %.0f of 529",
       chi);
}

static void test_json(void)
{
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"{\"a\": 1, \"a\": 2}", "duplicate"},
        {"{\"a\": 1} x", "end of file"},
        {"{\"a\": \"\xff\"}", "unable to decode"},
        {"{\"a\": }", "f.json:1:"},
        {"[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "deeper than 16"},
        {"", "f.json"},
    };
    json_t *value = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ok(json_parse(&value, "f.json", bad[i].text, (int64_t)strlen(bad[i].text)) == E_DATA &&
               strstr(status_text(), bad[i].message),
           "%s", status_text());
    ok(json_parse(&value, "f.json", "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", 33) == OK, "16 levels are allowed");
    json_decref(value);
    ok(json_parse(&value, "f.json", "{\"a\": 7}garbage", 8) == OK &&
           json_integer_value(json_object_get(value, "a")) == 7,
       "only n bytes are read");
    char *path = in_folder("x.json"), *nowhere = in_folder("none/x.json"), *partial = in_folder("x.json.tmp");
    json_t *again = NULL;
    ok(json_write_file(value, path, 0) == OK && access(partial, F_OK) != 0 &&
           json_read_file(&again, path, 100) == OK && json_equal(value, again),
       "written, renamed and read back");
    ok(json_read_file(&again, path, 3) == E_DATA && strstr(status_text(), path), "%s", status_text());
    ok(json_read_file(&again, folder, 100) == E_DATA && json_read_file(&again, nowhere, 100) == E_DATA &&
           json_write_file(value, nowhere, 0) == E_SPACE,
       "%s", status_text());
    json_decref(value);
    json_decref(again);
    unlink(path);
    free(path);
    free(nowhere);
    free(partial);
}

/* Reals as Python's repr writes them; texts that look like numbers stay. */
static void test_json_reals(void)
{
    static const struct {
        double x;
        const char *text;
    } reals[] = {
        {1e-5, "1e-05"},
        {1e-4, "0.0001"},
        {0.1, "0.1"},
        {500000, "500000.0"},
        {0, "0.0"},
        {-2.5, "-2.5"},
        {1e15, "1000000000000000.0"},
        {1e16, "1e+16"},
        {1.0 / 3, "0.3333333333333333"},
        {5e-324, "5e-324"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
    };
    int bad = 0;
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
        json_t *value = json_real(reals[i].x);
        char *text = json_text(value, 0);
        if (strcmp(text, reals[i].text) || strtod(text, NULL) != reals[i].x) {
            printf("# %s, not %s\n", text, reals[i].text);
            bad++;
        }
        free(text);
        json_decref(value);
    }
    ok(bad == 0, "reals have the fewest digits that read back (%d bad)", bad);
    json_t *mixed = json_pack("{s:f, s:s, s:[i, f, b]}", "a\"1.5e-1", 1e-5, "b", "1.00 \\", "c", 12, 2.0, 1);
    char *text = json_text(mixed, JSON_COMPACT);
    ok(!strcmp(text, "{\"a\\\"1.5e-1\":1e-05,\"b\":\"1.00 \\\\\",\"c\":[12,2.0,true]}"), "%s", text);
    free(text);
    json_decref(mixed);
}

static bool file_is(const char *path, const char *want)
{
    char got[512];
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(got, 1, sizeof got - 1, f) : 0;
    if (f)
        fclose(f);
    got[n] = '\0';
    return strcmp(got, want) == 0;
}

static void test_log(void)
{
    char *path = in_folder("run.log"), *nowhere = in_folder("none/run.log");
    log_open(true, true);
    ok(log_file(path) == OK && log_file(NULL) == OK && log_file(path) == OK, "a log can be reopened");
    log_say("a %d", 1);
    log_warn("b %d", 2);
    log_warn("b %d", 2); /* said once */
    ok(file_is(path, "a 1\nwarning   b 2\n"), "what is said, quietly, stands in the file");
    ok(log_warnings() == 1 && strcmp(log_warning(0), "b 2") == 0, "warnings are kept");
    ok(log_file(nowhere) == E_SPACE && strstr(status_text(), nowhere), "%s", status_text());
    log_open(false, false);
    ok(log_file(path) == OK && !log_speaks(), "a silent process");
    log_say("never");
    ok(file_is(path, "a 1\nwarning   b 2\n"), "writes nothing");
    log_open(true, false);
    unlink(path);
    free(path);
    free(nowhere);
}

static void test_numbers(void)
{
    static const struct {
        char *(*text)(char out[32], double n);
        double n;
        const char *want;
    } of[] = {
        {text_count, 0, "0"},
        {text_count, 512, "512"},
        {text_count, 999.6, "1 k"},
        {text_count, 40960, "41 k"},
        {text_count, 1.1432e6, "1.14 M"},
        {text_count, 999.7e3, "1 M"},
        {text_count, 5e13, "50 T"},
        {text_count, 7.25e16, "72500 T"},
        {text_count, -1500, "-1.5 k"},
        {text_bytes, 15.6e6, "15.6 MB"},
        {text_bytes, 82e6, "82 MB"},
        {text_bytes, 12, "12 B"},
        {text_time, 0.0213, "0.021 s"},
        {text_time, 4.26, "4.3 s"},
        {text_time, 46.2, "46 s"},
        {text_time, 59.7, "1:00"},
        {text_time, 85, "1:25"},
        {text_time, 11045, "3:04:05"},
        {text_time, (double)INFINITY, "?"},
        {text_time, -1, "?"},
    };
    char out[32];
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        ok(strcmp(of[i].text(out, of[i].n), of[i].want) == 0, "%g is written %s (want %s)", of[i].n, out,
           of[i].want);
    ok(strcmp(text_grouped(out, 4096), "4,096") == 0 && strcmp(text_grouped(out, -123456), "-123,456") == 0 &&
           strcmp(text_grouped(out, 7), "7") == 0 && strcmp(text_grouped(out, 1000000), "1,000,000") == 0,
       "thousands are grouped");
    ok(strcmp(text_grouped(out, INT64_MIN), "-9,223,372,036,854,775,808") == 0, "to the smallest number");
}

/* All parts together visit each number once, and the first few of them lie apart. */
static void test_spread(void)
{
    bool good = true;
    for (int64_t n = 0; n < 60; n++)
        for (int parts = 1; parts < 9; parts++) {
            int seen[60] = {0};
            for (int part = 0; part < parts; part++) {
                struct spread s = spread_begin(n, part, parts);
                for (int64_t i; (i = spread_next(&s)) >= 0;)
                    good &= i < n && ++seen[i] == 1;
            }
            for (int64_t i = 0; i < n; i++)
                good &= seen[i] == 1;
        }
    ok(good, "spread: each number once, over 1 to 8 parts");
    struct spread s = spread_begin(1000, 0, 1);
    int tenths[10] = {0};
    for (int i = 0; i < 20; i++)
        tenths[spread_next(&s) / 100]++;
    for (int i = 0; i < 10; i++)
        good &= tenths[i] > 0 && tenths[i] < 4;
    ok(good, "spread: the first 20 of 1000 numbers lie in all tenths");
}

static void test_mask(void)
{
    char text[] = "a\033[31m\tb\xff\n\xc3\xa9\xc2\x9b\x7f", latin[] = "\xe9t\xe9";
    ok(strcmp(text_mask(text), "a?[31m\tb?\n\xc3\xa9???") == 0, "what a terminal obeys is masked");
    ok(strcmp(text_mask(latin), "?t?") == 0, "what is no UTF-8 is masked");
}

static void test_library(void)
{
    struct {
        double (*fabs)(double), (*floor)(double);
    } maths = {0};
    char why[256] = "";
    bool open = library_open("libm.so.6", (const char *const[]){"fabs", "floor", NULL}, &maths, why);
    ok(open && maths.floor(2.5) == 2 && maths.fabs(-1) == 1, "a library is opened: %s", why);
    open = library_open("libm.so.6", (const char *const[]){"fabs", "flour", NULL}, &maths, why);
    ok(!open && !strcmp(why, "libm.so.6 has no function flour"), "a function is missing: %s", why);
    open = library_open("libno.so", (const char *const[]){NULL}, &maths, why);
    ok(!open && !strncmp(why, "no libno.so (", 13), "a library is missing: %s", why);
}

/* What one rank leaves is packed, and unpacked on another; here that is the same one. */
static void test_once(void)
{
    static const char three[] = {1, 0, 2};
    char *got = NULL, *block;
    int64_t n = 0, more;
    once_put("/a", "x", 1);
    once_on();
    ok(!once_get("/a", 9, &got, &n), "what is left while the memory is off is not kept");
    once_put("/a", three, 3);
    once_put("/empty", NULL, 0);
    once_put("/a", "other", 5);
    ok(!once_get("/a", 2, &got, &n), "more bytes than the limit are not given");
    ok(once_get("/a", 3, &got, &n) && n == 3 && !memcmp(got, three, 3) && got[3] == 0,
       "the first bytes count");
    free(got);
    block = once_pack(&n);
    free(once_pack(&more));
    ok(more == 0, "a block holds what came since the last one");
    once_forget();
    once_unpack(block, n);
    ok(!once_get("/a", 9, &got, &more), "it was forgotten, and the memory is off");
    once_on();
    ok(once_get("/a", 9, &got, &more) && more == 3 && !memcmp(got, three, 3), "the block brings it back");
    free(got);
    ok(once_get("/empty", 0, &got, &more) && more == 0 && got[0] == 0, "and a file without bytes");
    free(got);
    free(block);
    once_forget();
}

int main(void)
{
    if (!mkdtemp(folder))
        return 1;
    test_status();
    test_ends();
    test_mem();
    test_philox();
    test_normals();
    test_uniform();
    test_permute();
    test_json();
    test_json_reals();
    test_log();
    test_numbers();
    test_spread();
    test_mask();
    test_library();
    test_once();
    rmdir(folder);
    return tap_done();
}
