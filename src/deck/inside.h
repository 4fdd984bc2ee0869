/* What the files of this room share: finding keys, setting one value. */
#ifndef DECK_INSIDE_H
#define DECK_INSIDE_H
#include "base/errors.h"
#include "deck/deck.h"

/* ---- keys.c ---- */
/** Index of a key, -1 if there is none. */
int key_find(const char *path);
/** Is `path` a section, with keys below it? */
bool key_is_section(const char *path);
/** What a section holds: "a, b, c". The section "" is the whole deck. Caller frees. */
char *key_members(const char *section);

/** Add the message about a key that does not exist. */
void key_unknown(const char *path, const char *where, struct errors *);

/* ---- value.c, deck.c ---- */
struct scalar {
    const char *text, *where, *folder; /* relative paths begin in `folder`; NULL is the current one */
    bool quoted;
};
/** Set a key from text; a list has the form "[a, b]". If it adds an error, the key keeps its value. */
void value_set(struct deck *, int key, const struct scalar *, struct errors *);
/** Where the value of a key lies in the deck. */
void *value_slot(const struct deck *, int key);
/** Set a key to a list of data sets; takes ownership of the items. */
void value_set_items(struct deck *, int key, struct data_items, const char *where);
void value_set_paths(struct deck *, int key, struct paths, const char *where);
void paths_free(struct paths *);
/** One path or name of a list, from its text; NULL with an error about `name`. Caller frees. */
char *value_text(const struct key *, const char *name, const struct scalar *, struct errors *);
/** Set a key back to its default. */
void value_reset(struct deck *, int key);
/** Set the path or the weight of a data set; false with an error about `name`. */
bool item_set_path(struct data_item *, const char *name, const struct scalar *, struct errors *);
bool item_set_weight(double *weight, const char *name, const struct scalar *, struct errors *);
void items_free(struct data_items *);
/** Where a key's value came from, as deck_origin says. */
const char *value_origin(const struct deck *, int key);
void value_set_origin(struct deck *, int key, const char *where); /* copies `where`; NULL: default */
/* ---- types.c, set.c: the types of keys ---- */
struct cell { /* a value, and what it is set from */
    const struct key *key;
    void *slot;
    const struct scalar *at;
    struct errors *errors;
};
typedef bool setter(const struct cell *); /* sets the value, or returns false with an error added */
setter set_int, set_real, set_bool, set_maybe, set_choice, set_path, set_reals, set_paths, set_items,
    set_every, set_duration, set_layers, set_decimal;
struct type {
    setter *set;
    void (*write)(char **text, const struct cell *); /* append the value as YAML */
    const void *unset;                               /* the value that means unset; NULL: always set */
    size_t size;                                     /* bytes of unset */
    void (*release)(void *slot);                     /* free what the value owns */
    const char *(*path)(const void *slot, int i);    /* the i-th path of the value; NULL behind the last */
    const char *expected, *domain; /* for messages and for the help; NULL: the key's words */
    const char *otherwise, *also;  /* what may stand behind these words, alike; NULL: nothing */
    enum { NO_LIST, LIST_NUMBERS, LIST_PATHS, LIST_ITEMS } list; /* the YAML list that it may be */
    bool unquoted;                                               /* the value must not be quoted */
    bool ranged;                                                 /* the help gives the range */
};
const struct type *type_of(const struct key *);
/** Free what a value owns, and make it unset. */
void type_clear(const struct key *, void *slot);
/** Is the value unset? */
bool type_is_unset(const struct key *, const void *slot);
/** "expected an integer", for the message about a value that is something else. Returns out. */
const char *type_expected(const struct key *, char out[160]);

/* ---- number.c: a whole text as a number; false if it is not one ---- */
bool number_int(const char *text, int64_t *out);
/** A finite decimal number. */
bool number_real(const char *text, double *out);
/** "90s", "30min", "1.5h", "1d" in seconds. */
bool number_seconds(const char *text, double *out);
/** Append the shortest text that reads back as exactly this number. */
void number_add_real(char **text, double x);
/** Append seconds in the largest unit that leaves a whole number: 2h, not 7200s. */
void number_add_seconds(char **text, double s);

/* ---- megatron.c: for values in the form of Megatron's command line, say what to write instead ---- */
/** "; Megatron's 969,30,1 is [0.97, 0.03] here"; false if the n numbers are no such --split. */
bool megatron_split(char out[120], const double *x, int n);
/** Is the text a --data-path such as "0.3 a 0.7 b"? Then it adds an error about `name`. */
bool megatron_blend(const char *name, const char *text, const char *where, struct errors *);

/* ---- parse.c ---- */
/** Read a whole deck. `file` is its name in positions. */
void parse_text(struct deck *, const char *file, const char *text, int64_t size, const char *folder,
                struct errors *);
/** Read the value of one key, a list or mapping in YAML, from --set. */
void parse_value(struct deck *, int key, const char *text, struct errors *);

/* ---- path.c ---- */
/** The absolute path of a path value, with ${NAME} and ${NAME:-text} replaced, relative to at->folder. NULL
 * with an error about `name`. Caller frees. */
char *path_resolve(const char *name, const struct scalar *at, struct errors *);
/** The absolute path of `path` in `folder`. Both may be relative; NULL is the current folder. Caller frees.
 */
char *path_absolute(const char *folder, const char *path);

#endif
