#include "cmd/options.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/near.h"
#include "cmd/commands.h"

#define AT(member) offsetof(struct options, member)
static const char everywhere[] = "quiet"; /* all commands take it, and --help, which main answers */

/* One row for each option: where its value goes, the name of its value, its help. */
static const struct option {
    const char *name;
    enum { FLAG, TEXT, NUMBER, REAL, LIST } type;
    size_t at;
    const char *value, *help;
} table[] = {
    /* clang-format off */
    {"set", LIST, AT(set), "KEY=VALUE", "set a key of the deck; may be given several times"},
    {"fresh", FLAG, AT(fresh), NULL, "move the old run folder aside and start anew"},
    {"branch", TEXT, AT(branch), "DIR", "go on from the newest checkpoint, in this new run folder"},
    {"out", TEXT, AT(out), "PATH", "what to write: a new folder (probe: a safetensors file; tokenize: the name before .bin; eval, generate: a line of JSON for each question or text; machine: the folder to try; report: a .html file, by default report.html in the first run; help: a folder)"},
    {"bundle", TEXT, AT(bundle), "FILE", "one file for a ticket, .tar.gz or .tar: report, decks, logs, metrics, environment; no weights, no data"},
    {"expect", TEXT, AT(expect), "FILE", "compare with this reference; exit code 1 if it differs"},
    {"curve", FLAG, AT(curve), NULL, "train run.steps steps, and compare losses and final weights"},
    {"diff", TEXT, AT(diff), "PATH", "what is different in this other model; exit code 1 if anything is"},
    {"verify", FLAG, AT(verify), NULL, "read all of a checkpoint and compare it with its digests"},
    {"as", TEXT, AT(as), "FORM", "auto (default), or a model_type: llama, qwen3, mixtral, qwen2_moe, ..."},
    {"dtype", TEXT, AT(dtype), "TYPE", "float32 (default) or bfloat16"},
    {"format", TEXT, AT(format), "FORM", "hf (default): a Hugging Face directory; checkpoint: a run folder at step 0"},
    {"explain", FLAG, AT(explain), NULL, "say which source values each tensor is made from"},
    {"tokenizer", TEXT, AT(tokenizer), "PATH", "a tokenizer.json, or a model's folder that has one"},
    {"field", TEXT, AT(field), "NAME", "the text in JSON lines (default: text); all inputs are JSON lines then"},
    {"split-blank", FLAG, AT(split_blank), NULL, "cut plain text into documents at blank lines (default: a file is one)"},
    {"eod", TEXT, AT(eod), "TOKEN", "the end-of-document token, an id or its text (default: the tokenizer's)"},
    {"no-eod", FLAG, AT(no_eod), NULL, "no end-of-document token"},
    {"special", FLAG, AT(special), NULL, "with the tokens that the tokenizer puts around a text, such as <s>"},
    {"ranks", NUMBER, AT(ranks), "N", "of ranks (deck check without it: says which numbers fit; plan: the fewest)"},
    {"machine", TEXT, AT(machine), "FILE", "the machine file (default: the deck's, the site's, else cpu or dgx-h100)"},
    {"like", TEXT, AT(like), "PROGRAM", "megatron: what Megatron-Core would take, by a closed form"},
    {"with", LIST, AT(with), "KEY=VALUE", "of --like: pipeline=8, virtual=4, context=2, recompute=2, ...; several times"},
    {"search", FLAG, AT(search), NULL, "all layouts and micro-batches of these ranks, the fastest first"},
    {"legal-ranks", FLAG, AT(legal_ranks), NULL, "which numbers of ranks the deck or checkpoint can use (up to --ranks)"},
    {"job", FLAG, AT(job), NULL, "print an sbatch script with the plan's numbers"},
    {"measure", FLAG, AT(measure), NULL, "time this machine and write its file (with --out); under MPI its fabric too"},
    {"task", LIST, AT(task), "FILE", "questions to score: JSON lines, CSV, or a description; may be given several times"},
    {"shots", NUMBER, AT(shots), "N", "so many answered examples before each question (default: none)"},
    {"limit", NUMBER, AT(limit), "N", "the first N questions of each task (default: all)"},
    {"prompt", LIST, AT(prompt), "TEXT", "a text to go on with; may be given several times"},
    {"prompts", TEXT, AT(prompts), "FILE", "texts to go on with: one a line, or JSON lines"},
    {"tokens", NUMBER, AT(tokens), "N", "at most so many new tokens for each text (default: 128)"},
    {"temperature", REAL, AT(temperature), "T", "draw tokens, of logits divided by T (default: 0, always the likeliest token)"},
    {"top-p", REAL, AT(top_p), "P", "draw from the likeliest tokens that have probability P together (with --temperature 1)"},
    {"seed", NUMBER, AT(seed), "N", "of the draws (default: 1)"},
    {"all", FLAG, AT(all), NULL, "a line for each tensor, not for each kind of them"},
    {"json", FLAG, AT(json), NULL, "print JSON, for programs"},
    {"markdown", FLAG, AT(markdown), NULL, "print the page input/README.md"},
    {"shell", FLAG, AT(shell), NULL, "print assignments for a shell: eval \"$(coppice site show --shell)\""},
    {"quiet", FLAG, AT(quiet), NULL, "print nothing but errors"},
    /* clang-format on */
};
enum { OPTIONS = sizeof table / sizeof *table };

/* Is the word of n bytes one of `list`? */
static bool listed(const char *list, const char *word, size_t n)
{
    for (const char *at = list; *at;) {
        size_t length = strcspn(at, " ");
        if (length == n && !strncmp(at, word, n))
            return true;
        at += length + (at[length] == ' ');
    }
    return false;
}

static bool takes(const struct command *c, const struct option *o)
{
    size_t n = strlen(o->name);
    return listed(everywhere, o->name, n) || listed(c->options, o->name, n);
}

static const struct option *find(const struct command *c, const char *name, size_t n)
{
    for (int i = 0; i < OPTIONS; i++)
        if (strlen(table[i].name) == n && !strncmp(table[i].name, name, n) && takes(c, &table[i]))
            return &table[i];
    return NULL;
}

/* The message about an option that the command does not take. */
static status unknown(const struct command *c, const char *given)
{
    const char *found = NULL;
    char name[NEAR_LENGTH + 1];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(given, "="), given);
    int best = 1 + near_limit(name);
    for (int i = 0; i < OPTIONS; i++) {
        char *whole = mem_format("--%s", table[i].name);
        int distance = near_distance(name, whole);
        if (takes(c, &table[i]) && distance < best) {
            best = distance;
            found = table[i].name;
        }
        free(whole);
    }
    if (found)
        return fail(E_DECK, "%s: unknown option %s; did you mean --%s?", c->name, given, found);
    return fail(E_DECK, "%s: unknown option %s; see: coppice help %s", c->name, given, c->name);
}

/* A list, which ends with NULL. */
static char ***list_of(struct options *o, const struct option *row)
{
    return (char ***)(void *)((char *)o + row->at);
}

static int length_of(char *const *list)
{
    int n = 0;
    while (list[n])
        n++;
    return n;
}

static status take(struct options *o, const struct option *row, char *value, const char *argument)
{
    void *base = (char *)o + row->at;
    char *end = value;
    if ((row->type == FLAG) != (value == NULL))
        return fail(E_DECK, "%s: %s%s", argument,
                    value ? "takes no value" : "needs a value: ", value ? "" : row->value);
    if (row->type == FLAG)
        *(bool *)base = true;
    else if (row->type == TEXT)
        *(char **)base = value;
    else if (row->type == LIST)
        (*list_of(o, row))[length_of(*list_of(o, row))] = value;
    else if (row->type == REAL && ((*(double *)base = strtod(value, &end)) < 0 || *end || end == value ||
                                   !isfinite(*(double *)base)))
        return fail(E_DECK, "%s: %s: expected a number from 0", argument, value);
    else if (row->type == NUMBER &&
             ((*(int64_t *)base = strtoll(value, &end, 10)) < 1 || *end || end == value || end - value > 9))
        return fail(E_DECK, "%s: %s: expected a whole number from 1", argument, value);
    return OK;
}

status options_parse(struct options *o, int argc, char **argv)
{
    const struct command *c = command_find(argc, argv);
    *o = (struct options){.temperature = (double)NAN, .top_p = (double)NAN};
    o->files = mem_new(argc, sizeof *o->files);
    for (int i = 0; i < OPTIONS; i++)
        if (table[i].type == LIST)
            *list_of(o, &table[i]) = mem_new(argc, sizeof *o->files);
    for (int i = 1 + command_words(c); i < argc; i++) {
        if (argv[i][0] != '-' || !argv[i][1]) {
            o->files[o->n_files++] = argv[i];
            continue;
        }
        char *argument = argv[i], *name = argument + 2, *equals = strchr(argument, '=');
        size_t n = equals ? (size_t)(equals - name) : strlen(name);
        const struct option *row = !strncmp(argument, "--", 2) ? find(c, name, n) : NULL;
        if (!row)
            return unknown(c, argument);
        char *value = equals ? equals + 1 : NULL;
        if (!value && row->type != FLAG && i + 1 < argc)
            value = argv[++i];
        TRY(take(o, row, value, argument));
    }
    o->n_set = length_of(o->set);
    o->n_with = length_of(o->with);
    o->n_task = length_of(o->task);
    o->n_prompt = length_of(o->prompt);
    if (o->n_files && !*c->arguments)
        return fail(E_DECK, "%s: takes no argument, but %s was given", c->name, o->files[0]);
    return OK;
}

void options_free(struct options *o)
{
    free(o->files);
    for (int i = 0; i < OPTIONS; i++)
        if (table[i].type == LIST)
            free(*list_of(o, &table[i]));
}

void options_each(const char *names, options_teller *tell, void *to)
{
    for (int i = 0; i < OPTIONS; i++)
        if (listed(names, table[i].name, strlen(table[i].name)) ||
            listed(everywhere, table[i].name, strlen(table[i].name)))
            tell(to, table[i].name, table[i].value, table[i].help);
    tell(to, "help", NULL, "print this");
}

static void help_line(void *unused, const char *name, const char *value, const char *help)
{
    (void)unused;
    char *usage = mem_format("--%s%s%s", name, value ? " " : "", value ? value : "");
    printf("  %-18s %s\n", usage, help);
    free(usage);
}

void options_help(const char *names)
{
    options_each(names, help_line, NULL);
}
