/* The order of data: blending, windows, epochs, split, batches from a file. The ids of the token sets count
 * up through all documents, so an id shows where in its set it was read. */
#include <inttypes.h>
#include "base/mem.h"
#include "data/data.h"
#include "data/blend.h"
#include "format/safetensors.h"
#include "format/tokens.h"
#include "scratch.h"
#include "tap.h"

enum { S = 10, VOCAB = 1 << 20 };

/** A set of n tokens first, first+1, ... in documents of uneven length (one of them empty). */
static char *write_set(const char *name, int32_t first, int64_t n)
{
    int64_t lengths[] = {n / 3, 0, 1, n - n / 3 - 1};
    int32_t *ids = mem_new(n, sizeof *ids);
    char *path = mem_text(scratch(name));

    for (int64_t i = 0; i < n; i++)
        ids[i] = first + (int32_t)i;
    if (tokens_write(path, 4, ids, lengths, 4) != OK)
        exit(99);
    free(ids);
    return path;
}

static struct data *opened(const struct data_section *section, uint64_t seed)
{
    struct data *d = NULL;

    if (data_open(&d, section, seed, VOCAB) != OK) {
        printf("# %s\n", status_text());
        exit(99);
    }
    return d;
}

/* ---- blend ---- */

/** Sets of samples 0, 1, ... as digits. */
static bool blends(const char *digits, int n, const double *weight)
{
    struct blend b;
    int64_t nth, seen[8] = {0}, length = (int64_t)strlen(digits);
    bool good = true;

    blend_open(&b, n, weight);
    for (int64_t i = 0; i < length; i++) {
        int set = digits[i] - '0';
        good &= blend_locate(&b, i, &nth) == set && nth == seen[set];
        good &= blend_locate(&b, i, &nth) == set && nth == seen[set]++;
    }
    for (int64_t i = length - 1; i >= 0; i -= 7) /* back */
        good &= blend_locate(&b, i, &nth) == digits[i] - '0' && nth < seen[digits[i] - '0'];
    good &= blend_locate(&b, 0, &nth) == digits[0] - '0' && nth == 0;
    blend_close(&b);
    return good;
}

static void check_blend(void)
{
    struct blend b;
    int64_t nth, taken[3] = {0};
    const double weight[3] = {3, 1, 1};
    bool near = true;

    /* Megatron-LM's rule, run in numpy. */
    ok(blends("0100100100010010010001001001000100100100", 2, (double[]){7, 3}), "blend 7 : 3");
    ok(blends("2012202120212202120212202120212202120212", 3, (double[]){1, 1, 2.5}), "blend 1 : 1 : 2.5");
    ok(blends("1031210131013121013101312101310131210131", 4, (double[]){0.2, 0.5, 0.1, 0.2}),
       "blend of four");
    ok(blends("0000000", 1, (double[]){5}), "blend of one");
    blend_open(&b, 3, weight);
    for (int64_t i = 0; i < 100000; i++) {
        taken[blend_locate(&b, i, &nth)]++;
        near &= fabs((double)taken[0] - 0.6 * (double)(i + 1)) <= 1.5;
    }
    ok(near && labs(taken[1] - taken[2]) <= 1, "shares are kept at every sample");
    blend_close(&b);
}

/* ---- token sets ---- */

/** Samples [from, from+n) fetched one by one; counts how often each window of each set comes. False
 *  if one is not S tokens in a row with the targets one further, or not where data_locate says. */
static bool count_windows(struct data *d, int64_t from, int64_t n, int *times[2], const int32_t first[2])
{
    int32_t ids[S], targets[S];
    bool good = true;

    for (int64_t i = from; i < from + n; i++) {
        int set;
        int64_t window;
        if (data_sample(d, i, (struct sample){.ids = ids, .targets = targets}) != OK)
            return false;
        data_locate(d, i, &set, &window);
        good &= ids[0] == first[set] + window * S;
        for (int j = 0; j < S; j++)
            good &= ids[j] == ids[0] + j && targets[j] == ids[j] + 1;
        times[set][window]++;
    }
    return good;
}

static bool all_are(const int *times, int64_t n, int k)
{
    for (int64_t i = 0; i < n; i++)
        if (times[i] != k)
            return false;
    return true;
}

static void check_one_set(const char *path)
{
    struct data_item item = {.path = (char *)(uintptr_t)path, .weight = 1};
    struct data_section section = {.pad_id = -1, .sequence = S, .train = {1, &item}};
    struct data *d = opened(&section, 1), *other = opened(&section, 2);
    int count[100] = {0}, *times[2] = {count, NULL};
    const int32_t first[2] = {0, 0};
    int64_t same_epoch = 0, same_seed = 0, in_order = 0, windows = 100;

    ok(data_train_tokens(d) == 1010 && data_file_steps(d) == -1, "1010 tokens: 100 windows of 10 + 1");
    ok(count_windows(d, 0, windows, times, first) && all_are(count, windows, 1),
       "one epoch is every window once");
    /* 17 steps of 7 sequences, then steps of 3: the epoch goes on where it was */
    ok(count_windows(d, windows, 19, times, first) && count_windows(d, 119, 81, times, first) &&
           all_are(count, windows, 2),
       "another batch size repeats nothing");
    for (int64_t i = 0; i < windows; i++) {
        int set;
        int64_t a, b, c;
        data_locate(d, i, &set, &a);
        data_locate(d, windows + i, &set, &b);
        data_locate(other, i, &set, &c);
        same_epoch += a == b;
        same_seed += a == c;
        in_order += a == i;
    }
    /* of 100 fixed points of a random permutation 1 is expected, 8 have probability 1e-6 */
    ok(same_epoch < 8 && same_seed < 8 && in_order < 8,
       "epochs and seeds have orders of their own (%d, %d, %d)", (int)same_epoch, (int)same_seed,
       (int)in_order);
    data_close(d);
    data_close(other);
}

static void check_two_sets(const char *a, const char *b)
{
    struct data_item items[2] = {{.path = (char *)(uintptr_t)a, .weight = 3},
                                 {.path = (char *)(uintptr_t)b, .weight = 1}};
    struct data_section section = {.pad_id = -1, .sequence = S, .train = {2, items}, .valid = {2, items}};
    struct data *d = opened(&section, 5);
    int count[2][100] = {{0}}, *times[2] = {count[0], count[1]};
    int32_t ids[S], targets[S];
    const int32_t first[2] = {0, 5000};
    char *about = data_about(d);
    bool good;
    int64_t counted;

    /* 100 and 50 windows at 3 : 1: when 150 of the first have gone, 50 of the second have */
    ok(count_windows(d, 0, 200, times, first) && all_are(count[1], 50, 1), "two sets: the second once");
    int once = 0, twice = 0;
    for (int i = 0; i < 100; i++) {
        once += count[0][i] == 1;
        twice += count[0][i] == 2;
    }
    ok(once == 50 && twice == 50, "two sets: the first one and a half times");
    ok(data_counted(d, 3, 7, &counted) == OK && counted == 70, "token sets count every target");
    ok(data_valid_sets(d) == 2 && !strcmp(data_valid_name(d, 0), "a") && !strcmp(data_valid_name(d, 1), "b"),
       "validation sets have names");
    ok(data_valid_windows(d, 0, 329) == 32 && data_valid_windows(d, 0, 1 << 20) == 100 &&
           data_valid_windows(d, 1, 1 << 20) == 50 && data_valid_windows(d, -1, 1 << 20) == 100,
       "windows of validation: floor(tokens/S), at most what is there");
    good = true;
    for (int64_t w = 0; w < 50; w++)
        good &= data_window(d, 1, w, (struct sample){.ids = ids, .targets = targets}) == OK &&
                ids[0] == 5000 + w * S && targets[S - 1] == ids[0] + S;
    ok(good, "validation is in file order, windows overlap by one");
    ok(data_window(d, -1, 7, (struct sample){.ids = ids, .targets = targets}) == OK && ids[0] == 70,
       "set -1 is the first training set, in file order");
    ok(!strcmp(about, "a 1.01 k, b 501 tokens to train on | valid: a 1.01 k, b 501"), "about: %s", about);
    free(about);
    data_close(d);
}

/** The same file twice: orders differ by set, names by path. */
static void check_twins(const char *path)
{
    struct data_item items[2] = {{.path = (char *)(uintptr_t)path, .weight = 1},
                                 {.path = (char *)(uintptr_t)path, .weight = 1}};
    struct data_section section = {.pad_id = -1, .sequence = S, .train = {2, items}, .valid = {2, items}};
    struct data *d = opened(&section, 1);
    int64_t window[2][100], n[2] = {0}, same = 0;

    for (int64_t i = 0; n[0] < 100 || n[1] < 100; i++) {
        int set;
        int64_t w;
        data_locate(d, i, &set, &w);
        if (n[set] < 100)
            window[set][n[set]++] = w;
    }
    for (int i = 0; i < 100; i++)
        same += window[0][i] == window[1][i];
    ok(same < 8, "sets have orders of their own (%d)", (int)same);
    ok(!strcmp(data_valid_name(d, 0), "a") && !strcmp(data_valid_name(d, 1), path),
       "equal names: the second is its path");
    data_close(d);
}

static void check_split(const char *path)
{
    struct data_item item = {.path = (char *)(uintptr_t)path, .weight = 1};
    struct data_section section = {
        .pad_id = -1, .sequence = S, .train = {1, &item}, .split = {2, (double[]){0.9, 0.1}}};
    struct data *d = opened(&section, 1);
    int count[100] = {0}, *times[2] = {count, NULL};
    int32_t ids[S], targets[S];

    ok(data_train_tokens(d) == 909 && data_valid_sets(d) == 1 && data_valid_windows(d, 0, 1 << 20) == 10,
       "split 0.9, 0.1 of 1010 tokens: 909 and 101");
    ok(count_windows(d, 0, 90, times, (const int32_t[]){0, 0}) && all_are(count, 90, 1) &&
           all_are(count + 90, 10, 0),
       "the first part trains");
    ok(data_window(d, 0, 9, (struct sample){.ids = ids, .targets = targets}) == OK && ids[0] == 909 + 90 &&
           targets[S - 1] == 1009,
       "the rest validates, to the last token");
    ok(!strcmp(data_valid_name(d, 0), "a"), "the rest has the set's name");
    data_close(d);
    section.sequence = 101;
    ok(data_open(&d, &section, 1, VOCAB) == E_DATA &&
           says("101 tokens of its part by data.split are fewer than") && says("data.sequence + 1 = 102"),
       "too small a part: %s", status_text());
}

static void check_refusals(const char *path)
{
    struct data_item items[2] = {{.path = (char *)(uintptr_t)path, .weight = 1},
                                 {.path = (char *)(uintptr_t) "no/such/set", .weight = 1}};
    struct data_section section = {.pad_id = -1, .sequence = 1010, .train = {1, items}};
    struct data *d = NULL;
    int32_t ids[S], targets[S];

    ok(data_open(&d, &section, 1, VOCAB) == E_DATA && says(path) && says("1010 tokens are fewer") &&
           says("= 1011"),
       "fewer than S+1 tokens: %s", status_text());
    section.sequence = S;
    section.train.n = 2;
    ok(data_open(&d, &section, 1, VOCAB) == E_DATA && says("no/such/set"), "a missing file: %s",
       status_text());
    section.train.n = 1;
    ok(data_open(&d, &section, 1, 500) == OK, "the vocabulary is checked as ids are read");
    ok(data_window(d, -1, 48, (struct sample){.ids = ids, .targets = targets}) == OK &&
           data_window(d, -1, 49, (struct sample){.ids = ids, .targets = targets}) == E_DATA && says(path) &&
           says("document 3") && says("500"),
       "an id too large: %s", status_text());
    data_close(d);
}

/* ---- documents and padding ---- */

static bool window_is(struct data *d, int64_t window, const char *begins, const char *targets)
{
    int32_t ids[S], to[S], from[S];
    bool good = data_window(d, -1, window, (struct sample){ids, to, from}) == OK;
    for (int i = 0; i < S && good; i++)
        good = from[i] == (begins[i] == '-' ? -1 : begins[i] - '0') && (to[i] < 0) == (targets[i] == '-');
    return good;
}

/* Documents of 7, 0, 6, 12 and 16 tokens; tokens 3, 9, 22, 23, 30 and 40 are padding, id 0. */
static void check_documents(void)
{
    char *path = mem_text(scratch("documents"));
    static const int pads[] = {3, 9, 22, 23, 30, 40};
    int32_t ids[41];
    struct data_item item = {.path = path, .weight = 1};
    struct data_section section = {.sequence = S, .train = {1, &item}, .document_mask = true, .pad_id = -1};
    for (int i = 0; i < 41; i++)
        ids[i] = 1 + i;
    for (size_t i = 0; i < sizeof pads / sizeof *pads; i++)
        ids[pads[i]] = 0;
    if (tokens_write(path, 4, ids, (int64_t[]){7, 0, 6, 12, 16}, 5) != OK)
        exit(99);
    struct data *d = opened(&section, 1);
    ok(data_has_begins(d) && !data_has_padding(d) && window_is(d, 0, "0000000777", "..........") &&
           window_is(d, 1, "0003333333", "..........") && window_is(d, 2, "0000055555", ".........."),
       "documents begin where the index says");
    data_close(d);
    section.pad_id = 0;
    d = opened(&section, 1);
    ok(data_has_padding(d) && window_is(d, 0, "000-44477-", "..--....--") &&
           window_is(d, 1, "0003333333", "..........") && window_is(d, 2, "00--455555", ".---.....-") &&
           window_is(d, 3, "-111111111", "-........-"),
       "padding is no document and no target, and ends one");
    data_close(d);
    section.document_mask = false;
    d = opened(&section, 1);
    ok(window_is(d, 0, "000-44444-", "..--....--"), "padding without documents");
    data_close(d);
    section.pad_id = 5000;
    ok(data_open(&d, &section, 1, 5000) == E_DECK && says("data.pad_id: 5000: the vocabulary has"), "%s",
       status_text());
    free(path);
}

/* ---- batches from a file ---- */

/* Two steps of two rows of four; the targets of the last `none` rows are not counted, one id is `id`. */
static status look_at_batches(int none, int64_t id, int part, int parts)
{
    enum { STEPS = 2, B = 2, LENGTH = 4 };
    const struct st_declare declare[] = {
        {.name = "train.targets", .type = ST_I64, .rank = 3, .shape = {STEPS, B, LENGTH}},
        {.name = "train.tokens", .type = ST_I64, .rank = 3, .shape = {STEPS, B, LENGTH + 1}}};
    int64_t tokens[STEPS * B * (LENGTH + 1)] = {[13] = id}, targets[STEPS * B * LENGTH] = {0}, looked;
    struct data_section section = {
        .pad_id = -1, .sequence = LENGTH, .batches = (char *)(uintptr_t)scratch("batches")};
    struct st_writer *w;
    struct data *d;
    for (int i = (STEPS * B - none) * LENGTH; i < STEPS * B * LENGTH; i++)
        targets[i] = -100;
    TRY(st_create(&w, section.batches, declare, 2));
    TRY(st_write_i64(w, 0, 0, STEPS * B * LENGTH, targets));
    TRY(st_write_i64(w, 1, 0, STEPS * B * (LENGTH + 1), tokens));
    TRY(st_finish(w));
    TRY(data_open(&d, &section, 1, 100));
    status code = data_check(d, part, parts, 60, &looked);
    data_close(d);
    return code;
}

static void test_batches(void)
{
    int bad = 0;
    ok(look_at_batches(0, 99, 0, 1) == OK && look_at_batches(3, 99, 0, 1) == OK,
       "batches within the vocabulary");
    for (int part = 0; part < 3; part++)
        bad += look_at_batches(0, 100, part, 3) == E_DATA;
    ok(bad == 1 && says("step 1, row 0, position 3: id 100"), "one of three parts finds an id: %s",
       status_text());
    ok(look_at_batches(4, 0, 0, 1) == E_DATA && says("all targets are -100"), "nothing is counted: %s",
       status_text());
}

static void check_golden(const char *path)
{
    struct data_section section = {.pad_id = -1, .sequence = 17, .batches = (char *)(uintptr_t)path};
    struct data *d = NULL;
    int32_t ids[32], targets[32];
    int64_t b, s, counted, steps[] = {62, 69, 68, 70, 74, 68, 78, 63};
    bool good = true;

    if (!path) {
        printf("# golden/micro-batches is not there: batches files are not checked\n");
        return;
    }
    d = opened(&section, 1);
    data_file_shape(d, &b, &s);
    ok(data_file_steps(d) == 8 && b == 8 && s == 17 && data_train_tokens(d) == 8 * 8 * 17,
       "8 steps of 8 x 17");
    ok(data_sample(d, 2 * 8 + 3, (struct sample){.ids = ids, .targets = targets}) == OK &&
           !memcmp(ids, (int32_t[]){132, 129, 53, 84, 34, 31}, 24) && ids[16] == 37 &&
           !memcmp(targets, (int32_t[]){129, 53, 84, -1, -1, 115}, 24),
       "step 2, row 3; -100 is not counted");
    for (int i = 0; i < 8; i++)
        good &= data_counted(d, 8 * i, 8, &counted) == OK && counted == steps[i];
    ok(good, "counted targets of each step");
    ok(data_sample(d, 64, (struct sample){.ids = ids, .targets = targets}) == E_DATA && says("sample 64") &&
           says("holds 64"),
       "the end: %s", status_text());
    ok(data_valid_windows(d, -1, 512) == 30 &&
           data_window(d, -1, 19, (struct sample){.ids = ids, .targets = targets}) == OK && ids[0] == 132,
       "its samples in order for the certificate");
    data_close(d);

    section.sequence = 23;
    d = opened(&section, 1);
    data_file_shape(d, &b, &s);
    ok(data_file_steps(d) == 1 && b == 2 && s == 23 && data_counted(d, 0, 2, &counted) == OK &&
           counted == 40 && data_sample(d, 1, (struct sample){.ids = ids, .targets = targets}) == OK &&
           !memcmp(ids, (int32_t[]){57, 100, 62, 41, 13}, 20) &&
           !memcmp(targets, (int32_t[]){23, -1, 116, -1, 7}, 20),
       "data.sequence picks the pair: tokens, targets");
    data_close(d);
    section.sequence = 1024;
    ok(data_open(&d, &section, 1, VOCAB) == E_DATA && says("data.sequence is 1024") &&
           says("17 in train.tokens, 23 in tokens"),
       "no such sequence: %s", status_text());
    section.sequence = 17;
    ok(data_open(&d, &section, 1, 100) == OK &&
           data_sample(d, 19, (struct sample){.ids = ids, .targets = targets}) == E_DATA &&
           says("train.tokens: step 2, row 3, position 0: id 132"),
       "an id too large: %s", status_text());
    data_close(d);
}

int main(void)
{
    char *a = write_set("a", 0, 1010), *b = write_set("b", 5000, 501);

    check_blend();
    check_one_set(a);
    check_two_sets(a, b);
    check_twins(a);
    check_split(a);
    check_refusals(a);
    check_documents();
    test_batches();
    check_golden(shared("golden/micro-batches/expect.safetensors"));
    free(a);
    free(b);
    scratch_remove();
    return tap_done();
}
