/* The site file: what an admin says once for everybody. PREFIX/etc/coppice/site.yaml, or the file that
 * $COPPICE_SITE names. One table of keys (site.c) reads it, and gives its example, its help and the shell
 * variables that job scripts read. What a deck or a command line says comes first. Local. */
#ifndef DECK_SITE_H
#define DECK_SITE_H
#include <stdbool.h>
#include "base/status.h"

enum site_type {
    SITE_TEXT,
    SITE_WORDS,
    SITE_PATH,
    SITE_FILE /* a path, or the name of an installed file */
};
struct site_key {
    const char *name;
    enum site_type type;
    const char *variable; /* what job scripts call it */
    const char *words;    /* "srun mpirun": the only values; NULL: any */
    const char *fallback; /* the default; NULL: none */
    const char *example, *help;
};
enum { SITE_KEYS = 10 };

struct site {
    char *file;             /* where the site file is or would be; NULL: a program in its build folder */
    bool exists;            /* is there one? */
    char *value[SITE_KEYS]; /* NULL: not given */
    char *where[SITE_KEYS]; /* FILE:LINE:COLUMN of the key; NULL: not given */
};

/** The i-th key; NULL behind the last. */
const struct site_key *site_key(int i);
/** Read the site file. Without one every key has its default. E_DECK with all mistakes, a line each.
 * site_free in any case. */
status site_read(struct site *) MUST_USE;
void site_free(struct site *);
/** The value of a key, its default if it is not given, NULL if there is neither. Words have blanks between
 * them. A name that is no key is a bug(). */
const char *site_get(const struct site *, const char *name);
/** An example of a site file: every key with its meaning, all of them commented out. Caller frees. */
char *site_example(void);

#endif
