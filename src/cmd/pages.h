/* What make install puts beside the program, from the tables of commands, options, keys and exit codes: man
 * pages, completion, an example of a site file. No MPI. */
#ifndef CMD_PAGES_H
#define CMD_PAGES_H
#include "base/status.h"

/** Write coppice.1, a page for each command, coppice-deck.5, coppice.bash, _coppice and site.yaml.example
 * into the folder, which is made if need be. E_SPACE. */
status pages_write(const char *folder) MUST_USE;
/** What a deck is, in Markdown, as the first part of input/README.md. Caller frees. */
char *deck_preface(void);
/** The scripts that complete command lines (completion.c). Caller frees. */
char *completion_bash(void);
char *completion_zsh(void);

#endif
