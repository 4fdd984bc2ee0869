/* Shared by the files of this room only: finding keys, setting one value. */
#ifndef DECK_INSIDE_H
#define DECK_INSIDE_H
#include "base/errors.h"
#include "deck/deck.h"

/* ---- keys.c ---- */
/** Index of a key, -1 if there is none. */
int key_find(const char *path);
/** Do keys stand below `path`? */
bool key_is_section(const char *path);
/** The key or section that was probably meant, NULL if nothing is near. Caller frees. */
char *key_nearest(const char *path);
/** "a, b, c": what stands directly in a section ("" = at the top). Caller frees. */
char *key_members(const char *section);

/** The message about a key that does not exist. */
void key_unknown(const char *path, const char *where, struct errors *);

/* ---- value.c, deck.c ---- */
struct scalar {
    const char *text, *where, *folder; /* relative paths start at `folder`; NULL is the current one */
    bool quoted;
};
/** Set key i from text; a list is written "[a, b]". Leaves it as it was when it adds an error. */
void value_set(struct deck *, int key, const struct scalar *, struct errors *);
/** Where the value of key i lies in the deck. */
void *value_slot(const struct deck *, int key);
/** Takes the items over. */
void value_set_items(struct deck *, int key, struct data_items, const char *where);
void value_set_paths(struct deck *, int key, struct paths, const char *where);
void paths_free(struct paths *);
/** A text of a list of paths or names; NULL with an error about `name` added. Caller frees. */
char *value_text(const struct key *, const char *name, const struct scalar *, struct errors *);
/** Back to the default. */
void value_reset(struct deck *, int key);
/** One item's path, and its weight; false with an error added. `name` is for the message. */
bool item_set_path(struct data_item *, const char *name, const struct scalar *, struct errors *);
bool item_set_weight(double *weight, const char *name, const struct scalar *, struct errors *);
void items_free(struct data_items *);
/** Where key i came from, as deck_origin. */
const char *value_origin(const struct deck *, int key);
void value_set_origin(struct deck *, int key, const char *where); /* NULL = default; copied */
/* ---- types.c, set.c: what a type of key can do ---- */
struct cell { /* a value, and what it is set from */
    const struct key *key;
    void *slot;
    const struct scalar *at;
    struct errors *errors;
};
typedef bool setter(const struct cell *); /* false with an error added, or the value is set */
setter set_int, set_real, set_bool, set_maybe, set_choice, set_path, set_reals, set_paths, set_items,
    set_every, set_duration, set_layers, set_decimal;
struct type {
    setter *set;
    void (*write)(char **text, const struct cell *); /* as YAML */
    const void *unset;                               /* NULL: it always has a value */
    size_t size;                                     /* of unset */
    void (*release)(void *slot);                     /* free what it owns */
    const char *(*path)(const void *slot, int i);    /* the i-th path that it holds, NULL behind the last */
    const char *expected, *domain;                   /* for messages, for the help; NULL: the key's words */
    enum { NO_LIST, LIST_NUMBERS, LIST_PATHS, LIST_ITEMS } list; /* which YAML list may stand for it */
    bool unquoted;                                               /* quotes around it are a mistake */
    bool ranged;                                                 /* the help gives its range */
};
const struct type *type_of(const struct key *);
/** Free what a value owns and make it the "unset" of its type. */
void type_clear(const struct key *, void *slot);
/** Is a value that has no default not given? */
bool type_is_unset(const struct key *, const void *slot);
/** "expected an integer": for the message about a value that is something else. */
const char *type_expected(const struct key *, char out[160]);

/* ---- number.c: a whole text as a number; false if it is none ---- */
bool number_int(const char *text, int64_t *out);
/** A decimal number, finite and in range of a double. */
bool number_real(const char *text, double *out);
/** "90s", "30min", "1.5h", "1d" in seconds. */
bool number_seconds(const char *text, double *out);
/** A number as short as it can be read back exactly. */
void number_add_real(char **text, double x);
/** In the largest unit that leaves a whole number: 2h, not 7200s. */
void number_add_seconds(char **text, double s);

/* ---- megatron.c: spellings of Megatron's command line, answered with the one that works here ---- */
/** "; Megatron's 969,30,1 is [0.97, 0.03] here": false if n numbers are no such --split. */
bool megatron_split(char out[120], const double *x, int n);
/** Is a text "0.3 a 0.7 b", a --data-path? Then an error about `name` is added. */
bool megatron_blend(const char *name, const char *text, const char *where, struct errors *);

/* ---- parse.c ---- */
/** Read a whole deck; `file` is for positions. */
void parse_text(struct deck *, const char *file, const char *text, int64_t size, const char *folder,
                struct errors *);
/** Read one key's value, a list or mapping in YAML, from --set. */
void parse_value(struct deck *, int key, const char *text, struct errors *);

/* ---- path.c ---- */
/** Absolute path of a path value: ${NAME} and ${NAME:-text} replaced, relative to at->folder.
 *  NULL with an error added. Caller frees. */
char *path_resolve(const char *name, const struct scalar *at, struct errors *);
/** `path` under `folder`; both may be relative, folder NULL is the current one. Caller frees. */
char *path_absolute(const char *folder, const char *path);

#endif
