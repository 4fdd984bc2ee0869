/* The command line of a command: decks or paths, then options. Local, without MPI. */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

struct options {
    int n_files;
    char **files; /* arguments that are not options, borrowed from argv */
    int n_set, n_with, n_task, n_prompt;
    char **set, **with, **task, **prompt; /* texts of --set a.b=c, --with a=c, --task FILE, --prompt TEXT,
                                             borrowed */
    bool all, json, quiet, fresh, verify, curve, explain, markdown, split_blank, no_eod, special, measure,
        search, legal_ranks, job, shell;
    char *machine, *like, *out, *bundle, *expect, *as, *dtype, *diff, *branch, *format, *tokenizer, *field,
        *eod, *prompts;                  /* borrowed; NULL if absent */
    int64_t ranks, shots, limit, tokens; /* 0 if absent */
    int64_t seed;
    double temperature, top_p; /* NAN if absent */
};

/** Parse the arguments behind the command's name. The command's row (cmd/commands.c) says which options it
 * takes. E_DECK: an unknown option (with the one that was probably meant), a value that is missing or not
 * wanted, or files for a command that takes none. */
status options_parse(struct options *, int argc, char **argv) MUST_USE;
void options_free(struct options *);
/** Print a line for each of these options ("set json"), and for those that all commands take. */
void options_help(const char *names);
/** Call tell(to, name, value or NULL, help) for each of the same options. */
typedef void options_teller(void *to, const char *name, const char *value, const char *help);
void options_each(const char *names, options_teller *, void *to);

#endif
