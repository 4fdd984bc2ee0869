/* Small YAML files of one level, KEY: VALUE with texts, numbers or lists of them: machine files, the site
 * file. Local. */
#ifndef DECK_PLAIN_H
#define DECK_PLAIN_H
#include "base/errors.h"

enum { PLAIN_LIST = 8 };

struct plain_entry {
    char *key, *text; /* text: of a list, its items with blanks between */
    char *where;      /* FILE:LINE:COLUMN of the key */
    char *word;       /* that of the first item of a list that is no number; NULL: there is none */
    int n;            /* numbers: of a list, or 1 if the text is one */
    double x[PLAIN_LIST];
};
struct plain {
    int n;
    struct plain_entry *entry;
};

/** E_DECK with the place: not readable, not YAML, deeper than one level, a key given twice. plain_free in any
 * case. */
status plain_read(struct plain *, const char *file) MUST_USE;
/** Add the mistake that an entry's key is none of `what`, with the nearest of the keys that name(0), name(1)
 * ... give until NULL. */
void plain_unknown(const struct plain_entry *, const char *what, const char *(*name)(int i), struct errors *);
void plain_free(struct plain *);

#endif
