/* Decks from files and from memory, --set texts, and the default run folder. */
#include "deck/inside.h"

#include "base/file.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/once.h"
#include "base/printable.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DECK_BYTES = 1 << 20, SET_BYTES = 64 << 10 };

/* Set data.train.0.weight or data.train.0.path. True if `path` has that form, even if an error was added. */
static bool set_item(struct deck *d, const char *path, const struct scalar *at, struct errors *errors)
{
    int n, index, end = 0;
    const struct key *key = deck_keys(&n);
    for (int i = 0; i < n; i++) {
        size_t length = strlen(key[i].path);
        if (key[i].type != K_ITEMS || strncmp(path, key[i].path, length) != 0 ||
            sscanf(path + length, ".%5d%n", &index, &end) != 1 || path[length + (size_t)end] != '.')
            continue;
        struct data_items *items = value_slot(d, i);
        const char *member = path + length + end + 1;
        bool is_path = strcmp(member, "path") == 0, done = false;
        if (index < 0 || index >= items->n)
            errors_add(errors, at->where, "%.120s: %s has %d data set%s, counted from 0", path, key[i].path,
                       items->n, items->n == 1 ? "" : "s");
        else if (is_path)
            done = item_set_path(&items->item[index], path, at, errors);
        else if (strcmp(member, "weight") == 0)
            done = item_set_weight(&items->item[index].weight, path, at, errors);
        else
            errors_add(errors, at->where, "%.120s: unknown; a data set has path and weight", path);
        if (done)
            value_set_origin(d, i, at->where);
        return true;
    }
    return false;
}

static void read_set(struct deck *d, const char *set, struct errors *errors)
{
    const char *equals = strchr(set, '=');
    if (!text_clean(set, strlen(set)) || strlen(set) > SET_BYTES) {
        errors_add(errors, "--set", "not UTF-8, a control character, or more than 64 KiB");
        return;
    }
    if (!equals || equals == set) {
        errors_add(errors, "--set", "'%.120s': write KEY=VALUE, such as run.steps=100", set);
        return;
    }
    int n;
    struct scalar at = {.text = equals + 1, .where = "--set"};
    char *path = strncmp(set, "start=", 6) == 0 ? mem_text("start.from")
                                                : mem_format("%.*s", (int)(equals - set), set);
    int key = key_find(path);
    bool list = *at.text == '[' || *at.text == '{';
    if (list && key >= 0 && type_of(&deck_keys(&n)[key])->list >= LIST_PATHS)
        parse_value(d, key, at.text, errors);
    else if (key >= 0)
        value_set(d, key, &at, errors);
    else if (!set_item(d, path, &at, errors))
        key_unknown(path, "--set", errors);
    free(path);
}

/* ---- the whole ---- */

/* The default of run.dir contains the name of the last deck. */
static void set_names(struct deck *d, const char *file)
{
    const char *base = strrchr(file, '/');
    base = base ? base + 1 : file;
    const char *dot = strrchr(base, '.');
    char *name = mem_format("%.*s", dot && dot > base ? (int)(dot - base) : (int)strlen(base), base);
    char *whole = mem_text(file);
    bool clean = text_clean(name, strlen(name));
    for (char *c = name; *c; c++)
        if (!clean && (*c < ' ' || *c > '~'))
            *c = '_';
    free(d->name);
    free(d->file);
    d->name = name;
    d->file = whole;
}

static void set_default_dir(struct deck *d)
{
    if (d->origin[key_find("run.dir")])
        return;
    char *runs = mem_format("runs/%s", d->name ? d->name : "deck");
    free(d->run.dir);
    d->run.dir = path_absolute(NULL, runs);
    free(runs);
}

status deck_parse(struct deck *d, const char *name, const char *text, int64_t size, const char *folder)
{
    struct errors errors = {0};
    set_names(d, name);
    if (size > DECK_BYTES)
        errors_add(&errors, name, "more than 1 MiB, which is too large for a deck");
    else
        parse_text(d, name, text, size, folder, &errors);
    set_default_dir(d);
    return errors_end(&errors);
}

void deck_parse_saved(struct deck *d, const char *name, const char *text)
{
    status gone = deck_parse(d, name, text, (int64_t)strlen(text), "/");
    (void)gone;
}

/* Up to DECK_BYTES + 1 bytes, to see that there are too many; -1 with errno. A deck may be a pipe. Caller
 * frees. */
static int64_t read_text(const char *file, char **text)
{
    int64_t size;
    if (once_get(file, DECK_BYTES, text, &size))
        return size;
    int fd = io_open(file, O_RDONLY, 0), error;
    *text = mem_new(DECK_BYTES + 1, 1);
    size = fd >= 0 ? io_read_all(fd, *text, DECK_BYTES + 1, -1) : -1;
    error = errno;
    if (fd >= 0)
        io_close(fd);
    if (size >= 0)
        once_put(file, *text, size);
    errno = error;
    return size;
}

static void read_file(struct deck *d, const char *file, struct errors *errors)
{
    char *text;
    int64_t size = read_text(file, &text);
    if (size < 0) {
        int error = errno;
        char *hint = io_absent(error) ? file_meant(file) : mem_text("");
        errors_add(errors, file, "cannot be read: %s%s", strerror(error), hint);
        free(hint);
    } else if (size > DECK_BYTES) {
        errors_add(errors, file, "more than 1 MiB, which is too large for a deck");
    } else {
        const char *slash = strrchr(file, '/');
        char *folder = slash ? mem_format("%.*s", (int)(slash - file + 1), file) : mem_text(".");
        parse_text(d, file, text, size, folder, errors);
        free(folder);
    }
    free(text);
}

status deck_read(struct deck *d, int n_files, char *const files[], int n_set, char *const set[])
{
    struct errors errors = {0};
    for (int i = 0; i < n_files; i++) {
        set_names(d, files[i]);
        read_file(d, files[i], &errors);
    }
    for (int i = 0; i < n_set; i++)
        read_set(d, set[i], &errors);
    set_default_dir(d);
    return errors_end(&errors);
}
