/* A table of commands. */
#include <stdio.h>
#include <string.h>
#include "config.h"
#include "cmd/commands.h"
#include "base/log.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *arguments, *help;
} commands[] = {
    {"train", cmd_train, "DECK... [--set a.b=c] [--fresh | --branch DIR]",
     "train, or continue where the run folder stands"},
    {"probe", cmd_probe, "DECK... [--out F | --expect F] [--curve]",
     "logits, loss and every gradient of one batch"},
    {"inspect", cmd_inspect, "PATH [--json] [--diff PATH]", "what a model directory or a checkpoint is"},
    {"export", cmd_export, "RUN | CKPT [--out DIR] [--dtype bfloat16]",
     "write a checkpoint as a Hugging Face directory"},
    {"upcycle", cmd_upcycle, "DECK... --out DIR [--format checkpoint] | --explain",
     "write what training would start from"},
    {"deck", cmd_deck, "new | check DECK... | show DECK... | keys", "decks: write, check, resolve; all keys"},
    {"env", cmd_env, "", "build, libraries, machine, limits, variables"},
    {"help", cmd_help, "[COMMAND]", "this, or more about one command"},
};

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}

int cmd_help(int argc, char **argv)
{
    const struct command *one = argc > 2 ? find(argv[2]) : NULL;
    if (argc > 2 && !one) {
        fprintf(stderr, "coppice: there is no command %s; see: coppice help\n", argv[2]);
        return E_DECK;
    }
    printf("usage: coppice COMMAND ...   (several ranks: mpirun -n 4 coppice train DECK)\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (!one || one == &commands[i])
            printf("  %-8s %-42s %s\n", commands[i].name, commands[i].arguments, commands[i].help);
    printf("everywhere: --quiet    exit codes: 0 done, 1 comparison failed, 64 deck, 65 data, 69 resource,\n"
           "  70 bug, 71 not finite, 73 cannot write, 74 communication, 75 stopped and saved: run again,\n"
           "  76 no usable checkpoint    deck keys: coppice deck keys\n");
    return OK;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--version")) {
        printf("Coppice %s (%s)\n", PACKAGE_VERSION, COPPICE_REVISION);
        return OK;
    }
    if (argc < 2 || !strcmp(argv[1], "--help"))
        return cmd_help(1, argv);
    const struct command *c = find(argv[1]);
    if (!c) {
        fprintf(stderr, "coppice: there is no command %s; see: coppice help\n", argv[1]);
        return E_DECK;
    }
    return c->run(argc, argv);
}
