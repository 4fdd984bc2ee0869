#include "cmd/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/near.h"
#include "base/status.h"
#include "cmd/options.h"
#include "cmd/pages.h"

static const struct command commands[] = {
    {"train", cmd_train, "DECK...", "set fresh branch",
     "train, or continue where the run folder stands (any number of ranks)",
     "mpirun -n 4 coppice train deck.yaml --set run.steps=200"},
    {"probe", cmd_probe, "DECK...", "set out expect curve",
     "logits, loss and every gradient of one batch (any number of ranks)",
     "coppice probe deck.yaml --expect reference.safetensors"},
    {"inspect", cmd_inspect, "PATH", "all json verify diff set",
     "whether a model, a checkpoint or a token set can be used, and what it is",
     "coppice inspect runs/deck --diff runs/other"},
    {"export", cmd_export, "RUN|CHECKPOINT", "out as dtype", "write a checkpoint as a Hugging Face directory",
     "coppice export runs/deck --out deck-hf --dtype bfloat16"},
    {"upcycle", cmd_upcycle, "DECK...", "out as dtype format explain set",
     "write what training would start from", "coppice upcycle deck.yaml --out upcycled-hf"},
    {"plan", cmd_plan, "[DECK...]", "set ranks machine json search like with legal-ranks job measure out",
     "memory, time, traffic and cost of a job before it runs, for any number of ranks, without MPI",
     "coppice plan deck.yaml --ranks 128 --machine dgx-h100"},
    {"machine", cmd_machine, "PART...", "set out",
     "try this machine: place, node, fabric, folder (any number of ranks); coppice-validate asks it",
     "mpirun -n 4 coppice machine place node fabric --set parallel.tensor=2"},
    {"eval", cmd_eval, "MODEL", "task shots limit tokenizer out json set",
     "score a model: multiple choice, last word, perplexity (any number of ranks)",
     "coppice eval runs/deck --task arc_easy.jsonl --task mmlu/test/anatomy_test.csv --shots 5"},
    {"generate", cmd_generate, "MODEL",
     "prompt prompts field tokens temperature top-p seed tokenizer out json set",
     "go on with texts: the likeliest tokens, or drawn ones (any number of ranks)",
     "coppice generate runs/deck --prompt 'Once upon a time' --tokens 200 --top-p 0.9"},
    {"tokenize", cmd_tokenize, "INPUT...", "tokenizer out field split-blank eod no-eod special",
     "text, JSON lines, also .gz and .zst, to a .bin and .idx file",
     "coppice tokenize --tokenizer /models/Llama-3-8B web.jsonl.gz --out tokens/web"},
    {"report", cmd_report, "RUN...", "out bundle",
     "one page to look at about one or more runs, also while they go on; or one file for a ticket",
     "coppice report runs/demo runs/demo-dense --out demo.html"},
    {"deck new", cmd_deck_new, "[MODEL [DATA]]", "", "print a small deck to begin with",
     "coppice deck new /models/Llama-3-8B tokens/web > deck.yaml"},
    {"deck check", cmd_deck_check, "DECK...", "set json ranks",
     "everything that train would refuse, in one go; nothing is written",
     "coppice deck check deck.yaml --ranks 8"},
    {"deck show", cmd_deck_show, "DECK...", "set json", "every key, its value and where it came from",
     "coppice deck show base.yaml variant.yaml --set batch.micro=2"},
    {"deck keys", cmd_deck_keys, "[NAME]", "json markdown",
     "the keys of a deck (all, or those with NAME in them), with their meaning",
     "coppice deck keys capacity"},
    {"site show", cmd_site_show, "", "json shell", "what the site file says, and where it lies",
     "coppice site show"},
    {"site get", cmd_site_get, "KEY", "",
     "one value of the site file, or the folder of input, jobscripts, machines or validation",
     "coppice site get launcher"},
    {"site check", cmd_site_check, "", "", "what is wrong with the site file on this machine",
     "coppice site check"},
    {"env", cmd_env, "", "json", "build, libraries, machine, limits, variables", "coppice env"},
    {"help", cmd_help, "[COMMAND]", "out",
     "this list, or more about one command; with --out all of it as man pages and completion",
     "coppice help train"},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

const struct command *command_list(int *n)
{
    *n = COMMANDS;
    return commands;
}

/* ---- finding a command ---- */

int command_words(const struct command *c)
{
    return strchr(c->name, ' ') ? 2 : 1;
}

/* Does the command's name begin with this word? */
static bool begins(const struct command *c, const char *word)
{
    size_t n = strcspn(c->name, " ");
    return strlen(word) == n && !strncmp(c->name, word, n);
}

const struct command *command_find(int argc, char **argv)
{
    for (int i = 0; i < COMMANDS && argc > 1; i++) {
        const char *space = strchr(commands[i].name, ' ');
        if (begins(&commands[i], argv[1]) && (!space || (argc > 2 && !strcmp(space + 1, argv[2]))))
            return &commands[i];
    }
    return NULL;
}

/* ---- commands that do not exist ---- */

/* The command whose n-th word is nearest to `given`; NULL if none is near. For n = 1 only commands that begin
 * with the word `first` count. */
static const char *nearest(const char *given, const char *first)
{
    const char *found = NULL;
    int best = 1 + near_limit(given);
    for (int i = 0; i < COMMANDS && strlen(given) <= NEAR_LENGTH; i++) {
        const char *space = strchr(commands[i].name, ' ');
        if (first && (!space || !begins(&commands[i], first)))
            continue;
        char *word = first ? mem_text(space + 1)
                           : mem_format("%.*s", (int)strcspn(commands[i].name, " "), commands[i].name);
        int distance = near_distance(given, word);
        if (distance < best && distance < (int)strlen(given)) {
            best = distance;
            found = commands[i].name;
        }
        free(word);
    }
    return found;
}

/* Is it the first word of commands with two words? */
static bool is_family(const char *word)
{
    for (int i = 0; i < COMMANDS; i++)
        if (command_words(&commands[i]) == 2 && begins(&commands[i], word))
            return true;
    return false;
}

int command_unknown(int argc, char **argv)
{
    bool family = is_family(argv[1]);
    const char *given = family ? (argc > 2 ? argv[2] : "") : argv[1];
    const char *near = nearest(given, family ? argv[1] : NULL);
    int n = near && !family ? (int)strcspn(near, " ") : near ? (int)strlen(near) : 0;
    if (family && !*given)
        fprintf(stderr, "coppice: %s needs one word more; see: coppice help %s\n", argv[1], argv[1]);
    else if (near)
        fprintf(stderr, "coppice: there is no command %s%s%s; did you mean %.*s?\n", family ? argv[1] : "",
                family ? " " : "", given, n, near);
    else
        fprintf(stderr, "coppice: there is no command %s%s%s; see: coppice help\n", family ? argv[1] : "",
                family ? " " : "", given);
    return E_DECK;
}

/* ---- help ---- */

void command_help(const struct command *c)
{
    printf("%s: %s\n\nusage: coppice %s%s%s%s\n\noptions:\n", c->name, c->help, c->name,
           *c->arguments ? " " : "", c->arguments, " [OPTION]...");
    options_help(c->options);
    printf("\nexample:\n  %s\n", c->example);
}

static void list(const char *family)
{
    for (int i = 0; i < COMMANDS; i++) {
        const struct command *c = &commands[i];
        char *usage = mem_format("%s%s%s", c->name, *c->arguments ? " " : "", c->arguments);
        if (!family || begins(c, family))
            printf("  %-27s %s\n", usage, c->help);
        free(usage);
    }
}

static void help_all(void)
{
    printf("usage: coppice COMMAND ...   (several ranks: mpirun -n 4 coppice train DECK)\n\n");
    list(NULL);
    printf("\noptions and an example of one command: coppice help COMMAND, or coppice COMMAND --help\n"
           "keys of a deck: coppice deck keys    version: coppice --version\n\nexit codes:\n");
    int n;
    const struct status_about *code = status_list(&n);
    for (int i = 0; i < n; i++)
        printf("  %2d  %s\n", (int)code[i].code, code[i].meaning);
}

/* coppice help --out DIR */
static int write_pages(int argc, char **argv)
{
    struct options o;
    status code = options_parse(&o, argc, argv);
    if (code == OK && !o.out)
        code = fail(E_DECK, "help: expected a command, or --out DIR");
    if (code == OK)
        code = pages_write(o.out);
    if (code != OK)
        log_error(status_text());
    options_free(&o);
    return (int)code;
}

int cmd_help(int argc, char **argv)
{
    const struct command *c = command_find(argc - 1, argv + 1);
    if (argc < 3)
        help_all();
    else if (argv[2][0] == '-')
        return write_pages(argc, argv);
    else if (c)
        command_help(c);
    else if (argc == 3 && is_family(argv[2]))
        list(argv[2]);
    else
        return command_unknown(argc - 1, argv + 1);
    return OK;
}
