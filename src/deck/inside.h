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
/** "expected an integer": for the message about a value that is something else. */
const char *value_expected(const struct key *);
/** One item's path, and its weight; false with an error added. `name` is for the message. */
bool item_set_path(char **path, const char *name, const struct scalar *, struct errors *);
bool item_set_weight(double *weight, const char *name, const struct scalar *, struct errors *);
void items_free(struct data_items *);
/** Where key i came from, as deck_origin. */
const char *value_origin(const struct deck *, int key);
void value_set_origin(struct deck *, int key, const char *where); /* NULL = default; copied */
/** The whole of `text` is a decimal number, finite and in range of a double. */
bool number_real(const char *text, double *out);

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
