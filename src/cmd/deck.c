/* coppice deck: write, check and show decks, and list the keys. No MPI. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "cmd/pages.h"
#include "deck/deck.h"
#include "start/check.h"

static const char new_deck[] =
    "# coppice train THIS.yaml         (coppice deck keys lists every key)\n"
    "run: {steps: 100}                 # or tokens: 50e9\n"
    "model:\n"
    "  # %sa Hugging Face directory. It gives the shape, and the weights to start from.\n"
    "  like: %s\n"
    "  moe: {experts: 8, top_k: 2}     # without this line the dense model itself is trained\n"
    "data:\n"
    "  sequence: 256                   # tokens\n"
    "  # %sa token set (its .bin and .idx), or several: [{path: a, weight: 7}, {path: b, weight: 3}]\n"
    "  train: %s\n"
    "  split: [0.9, 0.1]               # nine tenths train, the rest is for validation\n"
    "batch: {sequences: 16, micro: 4}  # sequences of a step, and of a micro-batch\n"
    "optimizer: {lr: 1.0e-4, warmup: 10}\n"
    "checkpoint: {every: 50, keep: 2}\n";

/* The deck to begin with; NULL: to be filled in. Caller frees. */
static char *small_deck(const char *model, const char *data)
{
    static const char fill[] = "FILL IN: ";
    return mem_format(new_deck, model ? "" : fill, model ? model : "path/to/model", data ? "" : fill,
                      data ? data : "path/to/tokens");
}

static status print_new(const struct options *o)
{
    if (o->n_files > 2)
        return fail(E_DECK, "coppice deck new: a model and a data set at most, but %s was given",
                    o->files[2]);
    char *deck = small_deck(o->n_files > 0 ? o->files[0] : NULL, o->n_files > 1 ? o->files[1] : NULL);
    printf("%s", deck);
    free(deck);
    return OK;
}

static const char preface[] =
    "# Decks\n"
    "\n"
    "A deck says in YAML what to train, on what, and how. `coppice deck keys --markdown` writes this\n"
    "page from the table that reads the decks; `coppice deck new` writes this small one:\n"
    "\n"
    "```yaml\n%s```\n"
    "\n"
    "- Several decks merge from left to right: `coppice train base.yaml variant.yaml`. Sections merge\n"
    "  key by key, lists replace, and `~` puts a key back to its default. Last comes\n"
    "  `--set batch.micro=2`, also `--set data.train.0.weight=3`.\n"
    "- Paths in a deck are relative to the deck's folder, those of `--set` to the current one.\n"
    "  `${NAME}` and `${NAME:-text}` in a path are replaced from the environment (within `{ }` or\n"
    "  `[ ]` YAML wants quotes around them); `$${` stands for `${` itself.\n"
    "- Numbers are decimal (`50e9` where a number need not be whole), truth is `true` or `false`,\n"
    "  times have a unit (`90s`, `30min`, `2h`, `1d`). Anchors, aliases, tags and second documents\n"
    "  are refused.\n"
    "- `coppice deck check` tells every mistake with its line and column; `coppice deck show` prints\n"
    "  every key with its value and where the value came from.\n"
    "- The column *restart* says whether a key may change when a run is continued.\n";

/* ---- the table of keys ---- */

/* Print a help text in lines of at most 100 columns. */
static void print_wrapped(const char *text)
{
    for (int column = 0; *text;) {
        int word = (int)strcspn(text, " ");
        if (column && column + 1 + word > 92) {
            putchar('\n');
            column = 0;
        }
        column += printf("%s%.*s", column ? " " : "        ", word, text);
        text += word + (text[word] == ' ');
    }
    putchar('\n');
}

static void print_plain(const struct key *key)
{
    char *values = deck_domain(key);
    printf("%s    %s; default %s%s\n", key->path, values, key->fallback ? key->fallback : "not given",
           key->may_change_on_restart ? "; may change on restart" : "");
    print_wrapped(key->help);
    free(values);
}

/* Print a cell of a table. `|` is escaped, because it ends a cell even in code. */
static void print_cell(const char *text)
{
    for (; *text; text++)
        printf(*text == '|' ? "\\%c" : "%c", *text);
}

static void print_markdown_row(const struct key *key)
{
    char *values = deck_domain(key);
    printf("| `%s` | ", strchr(key->path, '.') + 1);
    print_cell(values);
    printf(" | %s | %s | ", key->fallback ? key->fallback : "", key->may_change_on_restart ? "yes" : "no");
    print_cell(key->help);
    printf(" |\n");
    free(values);
}

char *deck_preface(void)
{
    char *deck = small_deck(NULL, NULL), *text = mem_format(preface, deck);
    free(deck);
    return text;
}

static void print_markdown(const struct key *key, int n)
{
    static const char table_head[] = "| key | value | default | restart | meaning |\n"
                                     "| --- | --- | --- | --- | --- |\n";
    size_t section = 0;
    char *text = deck_preface();
    printf("%s", text);
    free(text);
    for (int i = 0; i < n; i++) {
        size_t length = strcspn(key[i].path, ".");
        if (i == 0 || length != section || strncmp(key[i].path, key[i - 1].path, length) != 0)
            printf("\n## %.*s\n\n%s", (int)length, key[i].path, table_head);
        section = length;
        print_markdown_row(&key[i]);
    }
}

static json_t *key_json(const struct key *key)
{
    char *values = deck_domain(key);
    json_t *row = json_pack("{s:s, s:s, s:s?, s:s?, s:b, s:s}", "key", key->path, "value", values, "default",
                            key->fallback, "unit", key->unit, "may_change_on_restart",
                            key->may_change_on_restart, "help", key->help);
    free(values);
    return row;
}

/* Is the key to be listed? The argument is any part of its name; without an argument every key is. */
static bool is_asked(const struct options *o, const struct key *key)
{
    return o->n_files == 0 || strstr(key->path, o->files[0]);
}

static status check_asked(const struct options *o, const struct key *key, int n)
{
    if (o->n_files > 1 || (o->n_files && o->markdown))
        return fail(E_DECK, "coppice deck keys takes one name at most, and none with --markdown");
    for (int i = 0; i < n; i++)
        if (is_asked(o, &key[i]))
            return OK;
    return fail(E_DECK, "no key's name contains %s; coppice deck keys lists all", o->files[0]);
}

static status print_keys(const struct options *o)
{
    int n;
    const struct key *key = deck_keys(&n);
    TRY(check_asked(o, key, n));
    json_t *rows = o->json ? json_array() : NULL;
    if (o->markdown)
        print_markdown(key, n);
    for (int i = 0; i < n && !o->markdown; i++)
        if (!is_asked(o, &key[i]))
            continue;
        else if (o->json)
            json_array_append_new(rows, key_json(&key[i]));
        else
            print_plain(&key[i]);
    if (o->json)
        json_print(rows);
    return OK;
}

/* ---- check, show ---- */

/* The lines of the error record as a list. */
static json_t *error_lines(void)
{
    json_t *lines = json_array();
    for (const char *at = status_text(); *at;) {
        size_t n = strcspn(at, "\n");
        json_array_append_new(lines, json_stringn_nocheck(at, n));
        at += n + (at[n] == '\n');
    }
    return lines;
}

static status read_deck(struct deck *d, const struct options *o)
{
    if (o->n_files == 0)
        return fail(E_DECK, "no deck given: coppice deck check DECK.yaml (coppice deck new writes one)");
    return deck_read(d, o->n_files, o->files, o->n_set, o->set);
}

/* The verdict on a deck: mistakes, warnings, and the numbers of ranks that fit. */
static json_t *verdict_json(const struct deck *d, status code)
{
    json_t *warnings = json_array();
    for (int i = 0; i < log_warnings(); i++)
        json_array_append_new(warnings, json_string(log_warning(i)));
    char *ranks = code == OK ? start_ranks(d) : NULL;
    json_t *all = json_pack("{s:b, s:o, s:o, s:s?}", "good", code == OK, "errors",
                            code == OK ? json_array() : error_lines(), "warnings", warnings, "fits", ranks);
    free(ranks);
    return all;
}

static void show_verdict(const struct deck *d, int64_t asked)
{
    char *ranks =
        asked > 0 ? mem_format("%lld rank%s", (long long)asked, asked > 1 ? "s" : "") : start_ranks(d);
    log_say("%s: good; fits %s", d->file, ranks);
    free(ranks);
}

static status check_deck(const struct options *o)
{
    struct deck d;
    deck_init(&d);
    status read = read_deck(&d, o);
    const struct start_ask ask = {.ranks = (int)o->ranks, .folder = d.run.dir, .alone = true};
    status code = o->n_files == 0 ? read : start_check(&d, read, &ask);
    if (o->json) {
        json_print(verdict_json(&d, code));
        status_set_text(""); /* told */
    } else if (code == OK) {
        show_verdict(&d, o->ranks);
    }
    deck_free(&d);
    return code;
}

static json_t *deck_json(const struct deck *d)
{
    int n;
    const struct key *key = deck_keys(&n);
    json_t *all = json_object();
    for (int i = 0; i < n; i++) {
        char *value = deck_value(d, i);
        json_object_set_new(all, key[i].path,
                            json_pack("{s:s, s:s}", "value", value, "origin", deck_origin(d, key[i].path)));
        free(value);
    }
    return all;
}

static status show_deck(const struct options *o)
{
    struct deck d;
    deck_init(&d);
    status code = read_deck(&d, o);
    if (code == OK && o->json) {
        json_print(deck_json(&d));
    } else if (code == OK) {
        char *text = deck_resolved(&d);
        fputs(text, stdout);
        free(text);
    }
    deck_free(&d);
    return code;
}

/* Run one of the deck commands and print its error. */
static int deck_command(int argc, char **argv, status (*run)(const struct options *))
{
    struct options o;
    status code = options_parse(&o, argc, argv);
    log_open(true, code == OK && o.quiet);
    if (code == OK)
        code = run(&o);
    if (code != OK && *status_text())
        log_error(status_text());
    options_free(&o);
    return (int)code;
}

int cmd_deck_new(int argc, char **argv)
{
    return deck_command(argc, argv, print_new);
}

int cmd_deck_check(int argc, char **argv)
{
    return deck_command(argc, argv, check_deck);
}

int cmd_deck_show(int argc, char **argv)
{
    return deck_command(argc, argv, show_deck);
}

int cmd_deck_keys(int argc, char **argv)
{
    return deck_command(argc, argv, print_keys);
}
