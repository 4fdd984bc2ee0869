/* The deck: every kind of mistake with its message and position (deck_bad.h); good decks, merging, --set,
 * paths, reading the resolved deck again, restarts, and mutations, which must not crash. */
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "deck/deck.h"
#include "deck_bad.h"
#include "scratch.h"
#include "tap.h"

/* A good deck; every bad one is a variant of it called t.yaml. */
static const char base[] = "run: {steps: 100}\n"
                           "model: {like: m, moe: {experts: 8, top_k: 2}}\n"
                           "data: {sequence: 256, train: [{path: a, weight: 7}, b.bin]}\n"
                           "batch: {sequences: 16, micro: 4}\n";

static status parse(struct deck *d, const char *name, const char *text)
{
    return deck_parse(d, name, text, (int64_t)strlen(text), "/decks");
}

/* The base and a variant, read and checked. */
static status with_variant(struct deck *d, const char *variant)
{
    deck_init(d);
    TRY(parse(d, "base.yaml", base));
    TRY(parse(d, "t.yaml", variant));
    return deck_check(d);
}

static void tells(status code, const char *message, const char *what)
{
    const char *told = code == OK ? "" : status_text();
    if (!ok(code == (*message ? E_DECK : OK) && strcmp(told, message) == 0, "%.60s", what))
        printf("# expected: %s\n# told:     %s\n", message, told);
}

/* The width of the widest line of the last message, as a user sees it. */
static int width(void)
{
    char line[4096];
    int widest = 0, out = dup(STDERR_FILENO);
    FILE *shown = tmpfile();
    fflush(stderr);
    if (!shown || out < 0 || dup2(fileno(shown), STDERR_FILENO) < 0)
        bug("no file for a message");
    log_error(status_text());
    dup2(out, STDERR_FILENO);
    close(out);
    rewind(shown);
    while (fgets(line, sizeof line, shown)) {
        int n = (int)strcspn(line, "\n");
        widest = n > widest ? n : widest;
    }
    fclose(shown);
    return widest;
}

/* A case's first line, as the name of the test. */
static char *first_line(const char *text)
{
    return mem_format("bad: %.*s", (int)strcspn(text, "\n#"), text);
}

static void test_bad_decks(void)
{
    int widest = 0;
    for (size_t i = 0; i < sizeof bad_decks / sizeof *bad_decks; i++) {
        struct deck d;
        char *name = first_line(bad_decks[i].deck);
        status code = with_variant(&d, bad_decks[i].deck);
        tells(code, bad_decks[i].message, name);
        int wide = code == OK ? 0 : width();
        widest = wide > widest ? wide : widest;
        free(name);
        deck_free(&d);
    }
    ok(widest > 100 && widest <= 120, "no message about a deck is wider than 120 columns (%d)", widest);
}

static status with_set(struct deck *d, const char *set)
{
    char *copy = mem_text(set);
    deck_init(d);
    status code = parse(d, "base.yaml", base);
    if (code == OK)
        code = deck_read(d, 0, NULL, 1, &copy);
    if (code == OK)
        code = deck_check(d);
    free(copy);
    return code;
}

static void test_bad_sets(void)
{
    for (size_t i = 0; i < sizeof bad_sets / sizeof *bad_sets; i++) {
        struct deck d;
        char *name = mem_format("bad: --set %.*s", (int)strcspn(bad_sets[i].deck, "\n#"), bad_sets[i].deck);
        tells(with_set(&d, bad_sets[i].deck), bad_sets[i].message, name);
        free(name);
        deck_free(&d);
    }
}

/* ---- limits ---- */

static void test_limits(void)
{
    struct deck d;
    int64_t size = (1 << 20) + 1;
    char *text = mem_new(size + 1, 1);
    deck_init(&d);
    memset(text, '#', (size_t)size);
    tells(deck_parse(&d, "t.yaml", text, size, NULL),
          "t.yaml: more than 1 MiB, which is too large for a deck", "1 MiB + 1");
    memset(text, 'x', (size_t)size);
    memcpy(text, "run: {dir: ", 11);
    text[(64 << 10) + 12] = '}';
    tells(deck_parse(&d, "t.yaml", text, (64 << 10) + 13, NULL), "t.yaml:1:12: a value of more than 64 KiB",
          "a value of 64 KiB + 1");
    text[5000] = '}';
    tells(deck_parse(&d, "t.yaml", text, 5001, NULL),
          "t.yaml:1:12: run.dir: the path is longer than 4096 bytes", "a path of more than 4096 bytes");
    memcpy(text, "data: {split: [", 15);
    for (int i = 0; i < 1025; i++)
        memcpy(text + 15 + 3 * i, "1, ", 3);
    memcpy(text + 15 + 3 * 1025, "1]}", 3);
    tells(deck_parse(&d, "t.yaml", text, 15 + 3 * 1026, NULL),
          "t.yaml:1:3088: data.split: more than 1024 numbers", "a list of 1025 numbers");
    memset(text, '[', 2000);
    tells(deck_parse(&d, "t.yaml", text, 2000, NULL),
          "t.yaml:1:1: expected a mapping such as model: {like: PATH}, not a list", "2000 levels");
    for (int i = 0; i < 1000; i++)
        memcpy(text + 8 * i, "zzz: {}\n", 8);
    status code = deck_parse(&d, "t.yaml", text, 8000, NULL);
    ok(code == E_DECK && strstr(status_text(), "\n... and 9"), "a thousand mistakes end in a count");
    ok(deck_parse(&d, "t.yaml", "run: {steps: 1}\0", 16, NULL) == E_DECK, "a NUL byte behind the deck");
    free(text);
    deck_free(&d);
}

/* ---- good decks ---- */

static void is_text(const char *told, const char *expected, const char *what)
{
    if (!ok(told && strcmp(told, expected) == 0, "%s", what))
        printf("# expected: %s\n# told:     %s\n", expected, told ? told : "(none)");
}

/* The value of one key as text. */
static void is_value(const struct deck *d, const char *path, const char *expected)
{
    int n;
    const struct key *key = deck_keys(&n);
    for (int i = 0; i < n; i++)
        if (strcmp(key[i].path, path) == 0) {
            char *value = deck_value(d, i);
            is_text(value, expected, path);
            free(value);
            return;
        }
    ok(false, "%s is a key", path);
}

static void test_six_lines(void)
{
    struct deck d;
    char *here = getcwd(NULL, 0), *dir = mem_format("%s/runs/t", here);
    ok(with_variant(&d, "{}") == OK, "six lines are a deck");
    ok(d.run.steps == 100 && d.run.tokens == 0 && d.run.time_limit == 0, "run");
    ok(d.model.hidden == -1 && d.model.tied == -1 && d.model.norm_eps < 0 && d.model.moe.router == -1,
       "unset is -1 or NULL");
    ok(d.model.moe.experts == 8 && d.model.moe.granularity == -1 && d.model.moe.aux_loss_coeff == 0.01,
       "model.moe");
    ok(d.data.train.n == 2 && d.data.train.item[0].weight == 7 && d.data.train.item[1].weight == 1,
       "data.train");
    is_text(d.data.train.item[1].path, "/decks/b",
            "a path in a deck is relative to its folder, without suffix");
    is_text(d.run.dir, dir, "run.dir is runs/NAME under the current folder");
    is_text(deck_origin(&d, "batch.micro"), "base.yaml:4:31", "origin of a given key");
    is_text(deck_origin(&d, "optimizer.lr"), "default", "origin of a key that was not given");
    ok(d.optimizer.betas.n == 2 && d.optimizer.betas.x[1] == 0.95, "a list as default");
    free(here);
    free(dir);
    deck_free(&d);
}

static const struct good {
    const char *deck, *path, *value, *origin;
} good[] = {
    {"run: {steps: ~, tokens: 50e9}", "run.tokens", "5e+10", "t.yaml:1:25"},
    {"run: {steps: null, tokens: 1}", "run.steps", "0", "default"},
    {"run: {time_limit: 90s}", "run.time_limit", "90s", "t.yaml:1:19"},
    {"run: {time_limit: 1.5h}", "run.time_limit", "90min", "t.yaml:1:19"},
    {"run: {time_limit: auto}", "run.time_limit", "auto", "t.yaml:1:19"},
    {"start: random", "start.from", "random", "t.yaml:1:8"},
    {"model: {like: ~}\nstart: m2", "start.from", "/decks/m2", "t.yaml:2:8"},
    {"start: ./random", "start.from", "/decks/random", "t.yaml:1:8"},
    {"start: {from: ../x//y/./z/}", "start.from", "/decks/../x/y/z", "t.yaml:1:15"},
    {"start: {upcycle: {weight_scale: 2.5}}", "start.upcycle.weight_scale", "2.5", "t.yaml:1:33"},
    {"start:\n", "start.from", "~", "default"},
    {"model: {like: /}", "model.like", "/", "t.yaml:1:15"},
    {"model:\n  like: ${COPPICE_T_DIR}/m", "model.like", "/data/m", "t.yaml:2:9"},
    {"model: {like: \"${COPPICE_T_NONE:-/other}/m\"}", "model.like", "/other/m", "t.yaml:1:15"},
    {"model: {like: \"${COPPICE_T_EMPTY:-/other}\"}", "model.like", "/other", "t.yaml:1:15"},
    {"model: {like: \"$${X}/$a$\"}", "model.like", "\"/decks/$${X}/$a$\"", "t.yaml:1:15"},
    {"model: {like: \"a b\\\"\\\\#\"}", "model.like", "\"/decks/a b\\\"\\\\#\"", "t.yaml:1:15"},
    {"model: {like: \xc3\xa9t\xc3\xa9}", "model.like", "\"/decks/\xc3\xa9t\xc3\xa9\"", "t.yaml:1:15"},
    {"model: {moe: {capacity: 1.10}}", "model.moe.capacity", "1.10", "t.yaml:1:25"},
    {"model: {moe: {layers: all}}", "model.moe.layers", "all", "t.yaml:1:23"},
    {"model: {moe: {layers: every 2}}", "model.moe.layers", "every 2", "t.yaml:1:23"},
    {"model: {moe: {layers: [0, 2, 5]}}", "model.moe.layers", "[0,2,5]", "t.yaml:1:23"},
    {"model:\n  moe:\n    layers:\n    - 3\n    - 4\n", "model.moe.layers", "[3,4]", "t.yaml:4:5"},
    {"model: {moe: {renormalise: true}}", "model.moe.renormalise", "true", "t.yaml:1:28"},
    {"model: {tied: false}", "model.tied", "false", "t.yaml:1:15"},
    {"checkpoint: {every: 30min}", "checkpoint.every", "30min", "t.yaml:1:21"},
    {"checkpoint: {every: 2h}", "checkpoint.every", "2h", "t.yaml:1:21"},
    {"checkpoint: {every: 0.5s}", "checkpoint.every", "0.500000s", "t.yaml:1:21"},
    {"checkpoint: {every: never}", "checkpoint.every", "never", "t.yaml:1:21"},
    {"checkpoint: {final: false}", "checkpoint.final", "false", "t.yaml:1:21"},
    {"data: {train: x.idx}", "data.train", "[{path: /decks/x, weight: 1}]", "t.yaml:1:15"},
    {"data: {train: x.bin.idx}", "data.train", "[{path: /decks/x, weight: 1}]", "t.yaml:1:15"},
    {"data: {train: .bin}", "data.train", "[{path: /decks/.bin, weight: 1}]", "t.yaml:1:15"},
    {"data: {train: {path: x, weight: 0.1}}", "data.train", "[{path: /decks/x, weight: 0.1}]", "t.yaml:1:15"},
    {"data:\n  train:\n  - a b\n", "data.train", "[{path: \"/decks/a b\", weight: 1}]", "t.yaml:3:3"},
    {"data: {valid: [v]}", "data.train", "[{path: /decks/a, weight: 7}, {path: /decks/b, weight: 1}]",
     "base.yaml:3:30"},
    {"data: {train: [a], split: [0.9, 0.1]}", "data.split", "[0.9, 0.1]", "t.yaml:1:27"},
    {"data: {train: ~, batches: b}", "data.batches", "/decks/b", "t.yaml:1:27"},
    {"data: {document_mask: true}", "data.document_mask", "true", "t.yaml:1:23"},
    {"data: {pad_id: 0}", "data.pad_id", "0", "t.yaml:1:16"},
    {"optimizer: {lr: 1.0e-4}", "optimizer.lr", "0.0001", "t.yaml:1:17"},
    {"optimizer: {lr: 0.1234567890123456}", "optimizer.lr", "0.1234567890123456", "t.yaml:1:17"},
    {"# the same in JSON\n{\"batch\": {\"micro\": 2}}", "batch.micro", "2", "t.yaml:2:21"},
    {"---\nbatch: {micro: 8}\n...\n", "batch.micro", "8", "t.yaml:2:16"},
};

static void test_good_decks(void)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct deck d;
        char *name = mem_format("good: %.*s", (int)strcspn(good[i].deck, "#\n"), good[i].deck);
        tells(with_variant(&d, good[i].deck), "", name);
        is_value(&d, good[i].path, good[i].value);
        is_text(deck_origin(&d, good[i].path), good[i].origin, "its origin");
        free(name);
        deck_free(&d);
    }
}

static void test_sets(void)
{
    static const struct {
        const char *set, *path, *value;
    } cases[] = {
        {"batch.micro=8", "batch.micro", "8"},
        {"data.train.0.weight=3", "data.train", "[{path: /decks/a, weight: 3}, {path: /decks/b, weight: 1}]"},
        {"data.train.1.path=/x.bin", "data.train", "[{path: /decks/a, weight: 7}, {path: /x, weight: 1}]"},
        {"data.train=/t: #1", "data.train", "[{path: \"/t: #1\", weight: 1}]"},
        {"data.train=[{path: /p, weight: 2}, /q]", "data.train",
         "[{path: /p, weight: 2}, {path: /q, weight: 1}]"},
        {"model.moe.layers=[0, 2]", "model.moe.layers", "[0,2]"},
        {"optimizer.betas=[0.8,0.9]", "optimizer.betas", "[0.8, 0.9]"},
        {"model.like=/a=b", "model.like", "\"/a=b\""},
        {"batch.micro=~", "batch.micro", "1"},
        {"start=random", "start.from", "random"},
        {"start.from=/ckpt", "start.from", "/ckpt"},
    };
    struct deck d;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tells(with_set(&d, cases[i].set), "", cases[i].set);
        is_value(&d, cases[i].path, cases[i].value);
        deck_free(&d);
    }
    char *here = getcwd(NULL, 0), *there = mem_format("%s/m", here);
    tells(with_set(&d, "model.like=m"), "", "--set with a relative path");
    is_text(d.model.like, there, "is relative to the current folder");
    is_text(deck_origin(&d, "model.like"), "--set", "and its origin is --set");
    deck_free(&d);
    free(here);
    free(there);
}

/* Files: positions name them as they were given, paths follow their folder, all errors come at once. */
static void test_files(void)
{
    struct deck d;
    char *here = getcwd(NULL, 0), *set = mem_text("log.every=z"), *none = mem_text(scratch("none.yaml"));
    char *a = mem_text(scratch_write("a.yaml", base, sizeof base - 1));
    static const char variant[] = "data: {sequence: 64, train: c}\n", bad_a[] = "run: {steps: x}\n",
                      bad_b[] = "batch: {micro: y}\n";
    char *b = mem_text(scratch_write("b.c.yaml", variant, sizeof variant - 1));
    char *pair[] = {a, b}, *three[] = {a, none, b};
    char *path = mem_format("%s/%s", here, scratch("c")), *origin = mem_format("%s:1:18", b);
    char *message =
        mem_format("%s:1:14: run.steps: expected an integer, not 'x'\n%s: cannot be read: No such file or "
                   "directory\n%s:1:16: batch.micro: expected an integer, not 'y'\n"
                   "--set: log.every: expected an integer, not 'z'",
                   a, none, b);
    deck_init(&d);
    tells(deck_read(&d, 2, pair, 0, NULL), "", "two files merge");
    is_text(d.data.train.item[0].path, path, "a path follows its deck's folder");
    is_text(deck_origin(&d, "data.sequence"), origin, "an origin names its file");
    is_text(d.name, "b.c", "the last deck gives the name");
    ok(d.data.train.n == 1 && d.batch.micro == 4, "lists replace, sections merge");
    deck_free(&d);
    scratch_write("a.yaml", bad_a, sizeof bad_a - 1);
    scratch_write("b.c.yaml", bad_b, sizeof bad_b - 1);
    deck_init(&d);
    tells(deck_read(&d, 3, three, 1, &set), message, "errors of all decks and --set at once");
    deck_free(&d);
    scratch_remove();
    char *each[] = {here, set, none, a, b, path, origin, message};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        free(each[i]);
}

/* ---- the resolved deck ---- */

/* Does the resolved deck, read again, give the same deck? */
static bool reads_back(const struct deck *d)
{
    int n;
    struct deck again;
    deck_keys(&n);
    char *text = deck_resolved(d);
    deck_init(&again);
    bool same = parse(&again, "resolved.yaml", text) == OK;
    for (int i = 0; i < n; i++) {
        char *a = deck_value(d, i), *b = deck_value(&again, i);
        same = same && strcmp(a, b) == 0;
        free(a);
        free(b);
    }
    deck_free(&again);
    free(text);
    return same;
}

static void test_resolved(void)
{
    struct deck d;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        bool same = with_variant(&d, good[i].deck) == OK && reads_back(&d);
        ok(same, "the resolved deck reads back: %.*s", (int)strcspn(good[i].deck, "#\n"), good[i].deck);
        deck_free(&d);
    }
    deck_init(&d);
    ok(parse(&d, "odd\n\xff#.yaml", base) == OK && reads_back(&d), "an odd file name stays in its comment");
    char *text = deck_resolved(&d);
    ok(strstr(text, "\n    top_k: 2  # odd??#.yaml:2:43\n") != NULL, "a line of the resolved deck");
    free(text);
    deck_free(&d);
}

static void test_restart(void)
{
    struct deck then, now;
    ok(with_variant(&then, "{}") == OK, "a run");
    ok(with_variant(&now,
                    "run: {steps: 200}\nbatch: {sequences: 32}\nparallel: {tensor: 2}\neval: {every: 5}\n") ==
           OK,
       "a later leg with more steps, sequences and ranks");
    char *diff = deck_restart_diff(&now, &then);
    ok(!diff, "may go on");
    free(diff);
    deck_free(&now);
    ok(with_variant(&now, "optimizer: {lr: 1}\nrun: {seed: 5}\ndata: {train: c}\n") == OK,
       "another lr, seed and data");
    diff = deck_restart_diff(&now, &then);
    is_text(diff,
            "run.seed: was 1234, now 5 (t.yaml:2:13)\n"
            "data.train: was [{path: /decks/a, weight: 7}, {path: /decks/b, weight: 1}], now "
            "[{path: /decks/c, weight: 1}] (t.yaml:3:15)\n"
            "optimizer.lr: was 3e-05, now 1 (t.yaml:1:17)",
            "is refused with what differs");
    free(diff);
    deck_free(&now);
    deck_free(&then);
}

/* ---- the table ---- */

static void test_table(void)
{
    int n, badly = 0;
    const struct key *key = deck_keys(&n);
    for (int i = 0; i < n; i++) {
        bool words = key[i].type != K_CHOICE || key[i].words;
        bool clash = false;
        for (int j = 0; j < i; j++)
            clash = clash || strcmp(key[i].path, key[j].path) == 0 || key[i].offset == key[j].offset;
        badly += !words || clash || strlen(key[i].path) > 60 || strlen(key[i].help) < 12;
    }
    ok(n > 60 && badly == 0, "%d keys, each with its own name, place and help", n);
}

/* ---- mutations ---- */

static const char mutated[] = "run: {steps: 100, time_limit: 2h, dir: \"${HOME:-x}/r\"}\n"
                              "model:\n  like: 'm # x'\n  moe: {experts: 8, layers: [0, 2], capacity: 1.25}\n"
                              "start: random\n"
                              "data:\n  train:\n  - {path: a, weight: 7}\n  - b.bin\n  split: [0.9, 0.1]\n"
                              "batch: {sequences: 16, micro: 4}\noptimizer: {betas: [0.9, 0.95], lr: "
                              "1.0e-4}\ncheckpoint: {every: 30min}\n";

static uint32_t draw(uint64_t i, uint32_t below)
{
    uint32_t word[4];
    rng_block(20270112, 0, i, word);
    return word[0] % below;
}

/* One change: a byte set, removed or put in, or a stretch repeated. Returns the new size. */
static int64_t mutate(char *text, int64_t size, int64_t room, uint64_t at)
{
    static const char odd[] = "{}[]:,-#&*!|>'\"%@`~?\n\t \\$0.9e\0\x7f\x80\xc3\xff";
    int64_t where = draw(4 * at, (uint32_t)size), n = 1 + draw(4 * at + 1, 12);
    char byte = odd[draw(4 * at + 2, sizeof odd - 1)];
    uint32_t what = draw(4 * at + 3, 4);
    if (what == 0) {
        text[where] = byte;
    } else if (what == 1 && size > 1) {
        memmove(text + where, text + where + 1, (size_t)(size - where - 1));
        size--;
    } else if (what == 2 && size < room) {
        memmove(text + where + 1, text + where, (size_t)(size - where));
        text[where] = byte;
        size++;
    } else if (where + n <= size && size + n <= room) {
        memmove(text + where + n, text + where, (size_t)(size - where));
        size += n;
    }
    return size;
}

static void test_mutations(void)
{
    enum { ROUNDS = 4000, ROOM = 2048 };
    int64_t good_ones = 0, lost = 0, silent = 0;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        int64_t size = sizeof mutated - 1;
        char *text = mem_new(ROOM, 1);
        memcpy(text, mutated, (size_t)size);
        for (uint64_t j = 0; j <= i % 8; j++)
            size = mutate(text, size, ROOM, 8 * i + j);
        char *exact = mem_new(size, 1); /* so that a sanitizer sees the first byte behind it */
        memcpy(exact, text, (size_t)size);
        struct deck d;
        deck_init(&d);
        status code = deck_parse(&d, "t.yaml", exact, size, "/decks");
        good_ones += code == OK;
        silent += code != OK && (code != E_DECK || strncmp(status_text(), "t.yaml:", 7) != 0);
        lost += code == OK && !reads_back(&d);
        if (code == OK && deck_check(&d) != OK)
            silent += !*status_text();
        deck_free(&d);
        free(exact);
        free(text);
    }
    ok(good_ones > 40 && good_ones < ROUNDS, "%d mutated decks, %lld of them good", ROUNDS,
       (long long)good_ones);
    ok(silent == 0, "every refusal has a place");
    ok(lost == 0, "every good one reads back from its resolved form");
}

int main(void)
{
    setenv("COPPICE_T_DIR", "/data", 1);
    setenv("COPPICE_T_EMPTY", "", 1);
    unsetenv("COPPICE_T_NONE");
    test_table();
    test_six_lines();
    test_good_decks();
    test_sets();
    test_files();
    test_resolved();
    test_restart();
    test_limits();
    test_bad_decks();
    test_bad_sets();
    test_mutations();
    return tap_done();
}
