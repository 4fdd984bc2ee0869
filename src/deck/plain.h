/* Small YAML files of one level, KEY: VALUE with texts, numbers or lists of numbers: machine files. Local. */
#ifndef DECK_PLAIN_H
#define DECK_PLAIN_H
#include "base/status.h"

enum { PLAIN_LIST = 8 };

struct plain_entry {
    char *key, *text; /* text: NULL of a list */
    char *where;      /* FILE:LINE:COLUMN of the key */
    int n;            /* numbers: of a list, or 1 if the text is one */
    double x[PLAIN_LIST];
};
struct plain {
    int n;
    struct plain_entry *entry;
};

/** E_DECK with the place: not readable, not YAML, deeper than one level, a key given twice, a list of other
 * things than numbers. plain_free in any case. */
status plain_read(struct plain *, const char *file) MUST_USE;
void plain_free(struct plain *);

#endif
