/* The command line of a command: decks or paths, then options. Local, no MPI. */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H
#include <stdbool.h>
#include "base/status.h"

struct options {
    int n_files;
    char **files; /* arguments that are no options, borrowed from argv */
    int n_set;
    char **set; /* texts of --set a.b=c, borrowed */
    bool json, quiet, fresh, curve, explain;
    char *out, *expect, *dtype, *diff, *branch, *format; /* borrowed; NULL if absent */
};

/** Parse argv[2..]. `allowed` names the long options of this command ("set out expect");
 *  --quiet is allowed everywhere. Unknown options: E_DECK with the nearest. */
status options_parse(struct options *, int argc, char **argv, const char *allowed) MUST_USE;
void options_free(struct options *);

#endif
