/* YAML events to values. Every node is read once and checked against the table of keys. Every mistake is
 * reported with its position, and reading goes on behind it, unless the YAML itself is broken. */
#include "deck/events.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

enum { LIST_MAX = 1024 };

/* ---- one key's value ---- */

/* A list of numbers as the text "[a, b]" that value_set reads; NULL with an error added. */
static char *join_list(struct events *r, const char *name)
{
    double x;
    int n = 0;
    bool good = true;
    char *text = mem_text("[");
    for (events_next(r); !r->broken && !events_is(r, YAML_SEQUENCE_END_EVENT); events_next(r)) {
        bool number = events_is(r, YAML_SCALAR_EVENT) && !events_scalar(r).quoted &&
                      number_real(events_scalar(r).text, &x);
        if (number && !r->refused && n < LIST_MAX) {
            mem_append(&text, "%s%s", n++ ? ", " : "", events_scalar(r).text);
            continue;
        }
        if (number && good)
            errors_add(r->errors, r->where, "%s: more than %d numbers", name, LIST_MAX);
        else if (!r->refused && events_is(r, YAML_SCALAR_EVENT) && !number)
            errors_add(r->errors, r->where, "%s: expected a number, not '%.60s'", name,
                       events_scalar(r).text);
        else if (!r->refused && !number)
            errors_add(r->errors, r->where, "%s: expected a number, not %s", name, events_kind(r));
        events_skip(r);
        good = false;
    }
    if (good && !r->broken) {
        mem_append(&text, "]");
        return text;
    }
    free(text);
    return NULL;
}

static void read_number_list(struct events *r, int key, const char *name)
{
    char *where = mem_text(r->where), *text = join_list(r, name);
    if (text)
        value_set(r->deck, key, &(struct scalar){text, where, r->folder, false}, r->errors);
    free(text);
    free(where);
}

/* Read the members of {path: P, weight: W}. The current event is the mapping's start. */
static bool read_item_members(struct events *r, struct data_item *item, const char *name)
{
    bool good = true, weight = false;
    char *where = mem_text(r->where);
    for (events_next(r); !r->broken && !events_is(r, YAML_MAPPING_END_EVENT); events_next(r)) {
        char *member = events_is(r, YAML_SCALAR_EVENT) ? mem_text(events_scalar(r).text) : mem_text("");
        char *member_where = mem_text(r->where), *path = mem_format("%s.%.60s", name, member);
        bool is_path = strcmp(member, "path") == 0, is_weight = strcmp(member, "weight") == 0,
             refused = r->refused;
        events_skip(r);
        events_next(r);
        struct scalar at = events_is(r, YAML_SCALAR_EVENT) ? events_scalar(r) : (struct scalar){0};
        bool done = false;
        if (!is_path && !is_weight && !refused)
            errors_add(r->errors, member_where, "%s: unknown; a data set has path and weight", path);
        else if ((is_path && item->path) || (is_weight && weight))
            errors_add(r->errors, member_where, "%s: given twice", path);
        else if (!at.text && !refused && !r->refused && !r->broken)
            errors_add(r->errors, r->where, "%s: expected a value, not %s", path, events_kind(r));
        else if (at.text && !refused && !r->refused)
            done = is_path ? item_set_path(item, path, &at, r->errors)
                           : item_set_weight(&item->weight, path, &at, r->errors);
        weight = weight || is_weight;
        good = good && done;
        events_skip(r);
        free(member);
        free(member_where);
        free(path);
    }
    if (good && !item->path && !r->broken) {
        errors_add(r->errors, where, "%s: a data set needs a path", name);
        good = false;
    }
    free(where);
    return good && !r->broken;
}

static bool read_item(struct events *r, struct data_items *items, const char *key)
{
    char *name = mem_format("%s.%d", key, items->n);
    items->item = mem_grow(items->item, items->n + 1, sizeof *items->item);
    struct data_item *item = &items->item[items->n++];
    *item = (struct data_item){.weight = 1};
    bool good = false;
    if (events_is(r, YAML_MAPPING_START_EVENT) && !r->refused) {
        good = read_item_members(r, item, name);
    } else if (events_is(r, YAML_SCALAR_EVENT) && !r->refused) {
        struct scalar at = events_scalar(r);
        good = item_set_path(item, name, &at, r->errors);
    } else if (!r->refused && !r->broken) {
        errors_add(r->errors, r->where, "%s: expected a path or {path: ..., weight: ...}, not %s", name,
                   events_kind(r));
    }
    if (!good)
        events_skip(r);
    free(name);
    return good;
}

/* Read a list of data sets, or a single one. */
static void read_items(struct events *r, int key, const char *name)
{
    struct data_items items = {0};
    char *where = mem_text(r->where);
    bool good = true;
    char *words = mem_text(""); /* the texts so far, which may be Megatron's --data-path */
    if (events_is(r, YAML_SEQUENCE_START_EVENT))
        for (events_next(r); !r->broken && !events_is(r, YAML_SEQUENCE_END_EVENT); events_next(r)) {
            mem_append(&words, "%s%s", *words ? " " : "",
                       events_is(r, YAML_SCALAR_EVENT) ? events_scalar(r).text : "{} {}");
            good = read_item(r, &items, name) && good;
        }
    else
        good = read_item(r, &items, name);
    if (good && !r->broken && megatron_blend(name, words, where, r->errors))
        good = false;
    free(words);
    if (good && !r->broken)
        value_set_items(r->deck, key, items, where);
    else
        items_free(&items);
    free(where);
}

/* Append the list's next path or name to `paths`; false with an error added. */
static bool read_path(struct events *r, struct paths *paths, const struct key *key)
{
    char *name = mem_format("%s.%d", key->path, paths->n), *path = NULL;
    struct scalar at = events_is(r, YAML_SCALAR_EVENT) && !r->refused ? events_scalar(r) : (struct scalar){0};
    if (at.text)
        path = value_text(key, name, &at, r->errors);
    else if (!r->refused && !r->broken)
        errors_add(r->errors, r->where, "%s: expected a %s, not %s", name,
                   key->type == K_PATHS ? "path" : "name", events_kind(r));
    free(name);
    if (!path) {
        events_skip(r);
        return false;
    }
    paths->path = mem_grow(paths->path, paths->n + 1, sizeof *paths->path);
    paths->path[paths->n++] = path;
    return true;
}

static void read_paths(struct events *r, int key, const struct key *about)
{
    struct paths paths = {0};
    char *where = mem_text(r->where);
    bool good = true;
    for (events_next(r); !r->broken && !events_is(r, YAML_SEQUENCE_END_EVENT); events_next(r))
        good = read_path(r, &paths, about) && good;
    if (good && !r->broken)
        value_set_paths(r->deck, key, paths, where);
    else
        paths_free(&paths);
    free(where);
}

/* Read the value of `key`. The current event is its first one, and afterwards its last one. */
static void read_key(struct events *r, int key)
{
    int n;
    const struct key *k = &deck_keys(&n)[key];
    bool list = events_is(r, YAML_SEQUENCE_START_EVENT);
    int kind = type_of(k)->list;
    char expected[160];
    if (r->refused || r->broken) {
        events_skip(r);
    } else if (events_is(r, YAML_SCALAR_EVENT)) {
        struct scalar at = events_scalar(r);
        value_set(r->deck, key, &at, r->errors);
    } else if (kind == LIST_ITEMS) {
        read_items(r, key, k->path);
    } else if (list && kind == LIST_PATHS) {
        read_paths(r, key, k);
    } else if (list && kind == LIST_NUMBERS) {
        read_number_list(r, key, k->path);
    } else {
        errors_add(r->errors, r->where, "%s: %s, not %s", k->path, type_expected(k, expected),
                   events_kind(r));
        events_skip(r);
    }
}

/* ---- sections ---- */

/* Was `path` given before in this deck? Remembers it. key: its number if it is a key, -1 if it is a section.
 */
static bool given_twice(struct events *r, const char *path, int key)
{
    if (key >= 0) {
        bool before = r->seen[key];
        r->seen[key] = true;
        return before;
    }
    for (int i = 0; i < r->sections; i++)
        if (strcmp(r->section[i], path) == 0)
            return true;
    r->section = mem_grow(r->section, r->sections + 1, sizeof *r->section);
    r->section[r->sections++] = mem_text(path);
    return false;
}

static void read_section(struct events *r, const char *section);

/* Read what stands behind the name `path` at `where`: a value or a section. The current event is its first
 * one. */
static void read_entry(struct events *r, const char *path, const char *where)
{
    bool text = events_is(r, YAML_SCALAR_EVENT), section = key_is_section(path);
    bool empty = text && !events_scalar(r).quoted && !*events_scalar(r).text;
    if (text && !empty && strcmp(path, "start") == 0) { /* start: random, start: PATH */
        path = "start.from";
        section = false;
    }
    int key = key_find(path);
    if (r->broken || r->refused) {
        events_skip(r);
    } else if (key < 0 && !section) {
        key_unknown(path, where, r->errors);
        events_skip(r);
    } else if (given_twice(r, path, key)) {
        errors_add(r->errors, where, "%s: given twice in this deck", path);
        events_skip(r);
    } else if (key >= 0) {
        read_key(r, key);
    } else if (events_is(r, YAML_MAPPING_START_EVENT)) {
        read_section(r, path);
    } else if (!empty) { /* a section may be empty, for instance if its keys are commented out */
        char *members = key_members(path);
        errors_add(r->errors, r->where, "%s: expected a mapping, not %s; it holds %s", path, events_kind(r),
                   members);
        free(members);
        events_skip(r);
    }
}

/* Read a mapping of keys. The current event is its start, and afterwards its end. */
static void read_section(struct events *r, const char *section)
{
    for (events_next(r); !r->broken && !events_is(r, YAML_MAPPING_END_EVENT); events_next(r)) {
        char *where = mem_text(r->where), *path = NULL;
        if (!events_is(r, YAML_SCALAR_EVENT) && !r->refused)
            errors_add(r->errors, where, "expected the name of a key, not %s", events_kind(r));
        else if (!r->refused && strchr(events_scalar(r).text, '.'))
            errors_add(r->errors, where, "%.120s: keys with dots are for --set; write section: {key: value}",
                       events_scalar(r).text);
        else if (!r->refused)
            path = mem_format("%s%s%s", section, *section ? "." : "", events_scalar(r).text);
        events_skip(r);
        events_next(r);
        if (path)
            read_entry(r, path, where);
        else
            events_skip(r);
        free(path);
        free(where);
    }
}

/* ---- a whole deck ---- */

void parse_text(struct deck *d, const char *file, const char *text, int64_t size, const char *folder,
                struct errors *errors)
{
    struct events r = {.deck = d, .errors = errors, .file = file, .folder = folder};
    bool begun = events_open(&r, text, size);
    if (begun)
        events_next(&r);
    if (begun && events_is(&r, YAML_MAPPING_START_EVENT) && !r.refused) {
        read_section(&r, "");
        events_next(&r); /* document end */
        events_next(&r);
        if (!r.broken && !events_is(&r, YAML_STREAM_END_EVENT))
            errors_add(errors, r.where, "there is a second document, but a deck is only one");
    } else if (begun && !r.broken && !r.refused) {
        errors_add(errors, r.where, "expected a mapping such as model: {like: PATH}, not %s",
                   events_kind(&r));
    } else if (!begun && !r.broken) {
        errors_add(errors, r.where, "the deck is empty");
    }
    events_close(&r);
}

void parse_value(struct deck *d, int key, const char *value, struct errors *errors)
{
    struct events r = {.deck = d, .errors = errors, .file = "--set"};
    if (events_open(&r, value, (int64_t)strlen(value))) {
        events_next(&r);
        read_key(&r, key);
        events_next(&r);
        if (!r.broken && !events_is(&r, YAML_DOCUMENT_END_EVENT))
            bug("libyaml left a document open");
    }
    events_close(&r);
}
