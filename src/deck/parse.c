/* YAML events to values. libyaml's loader is not used, because it merges nothing, keeps duplicate keys and
 * follows aliases. Here every node is read once and checked against the table of keys. Every mistake is
 * reported with its position, and reading goes on behind it, unless the YAML itself is broken. */
#include "deck/inside.h"

#include "base/mem.h"
#include "base/printable.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { DECK_DEPTH = 16, SCALAR_BYTES = 64 << 10, LIST_MAX = 1024 };

struct reader {
    yaml_parser_t yaml;
    yaml_event_t event; /* the current one */
    struct deck *deck;
    struct errors *errors;
    const char *file, *folder, *text;
    size_t size;
    char *where; /* FILE:LINE:COLUMN of the current event */
    int depth;
    bool broken;    /* the text is not YAML from here on */
    bool refused;   /* the current node was refused with an error */
    bool *seen;     /* [keys] given in this deck */
    char **section; /* section paths given in this deck */
    int sections;
};

static void set_where(struct reader *r, yaml_mark_t mark)
{
    free(r->where);
    if (strcmp(r->file, "--set") == 0)
        r->where = mem_text(r->file);
    else
        r->where = mem_format("%s:%zu:%zu", r->file, mark.line + 1, mark.column + 1);
}

/* The line and column of an offset: for bytes that are not text libyaml knows only the offset. */
static yaml_mark_t mark_of(const char *text, size_t offset)
{
    yaml_mark_t mark = {.index = offset};
    for (size_t i = 0; i < offset; i++) {
        mark.line += text[i] == '\n';
        mark.column = text[i] == '\n' ? 0 : mark.column + 1;
    }
    return mark;
}

/* The probable cause, where libyaml's message does not say it. */
static const char *hint(const struct reader *r, yaml_mark_t mark)
{
    const char *line = r->text, *end = r->text + r->size;
    for (size_t i = 0; i < mark.line && line < end; i++) {
        const char *feed = memchr(line, '\n', (size_t)(end - line));
        line = feed ? feed + 1 : end;
    }
    const char *feed = memchr(line, '\n', (size_t)(end - line));
    size_t n = (size_t)((feed ? feed : end) - line);
    if (n > 0 && memchr(line, '\t', n))
        return " (tabs cannot indent)";
    for (size_t i = 0; i + 1 < n; i++)
        if (line[i] == '$' && line[i + 1] == '{')
            return " (a path with ${...} needs quotes within { } or [ ])";
    return "";
}

static void syntax_error(struct reader *r)
{
    const yaml_parser_t *y = &r->yaml;
    yaml_mark_t mark = y->problem_mark;
    if (y->error == YAML_READER_ERROR)
        mark = mark_of(r->text, y->problem_offset);
    set_where(r, mark);
    if (y->context)
        errors_add(r->errors, r->where, "not YAML: %s, %s that began on line %zu%s", y->problem, y->context,
                   y->context_mark.line + 1, hint(r, mark));
    else
        errors_add(r->errors, r->where, "not YAML: %s%s", y->problem ? y->problem : "unreadable",
                   hint(r, mark));
}

/* Why a deck may not hold this event, although YAML allows it; NULL if it may. */
static const char *refusal(const yaml_event_t *e)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (e->type == YAML_ALIAS_EVENT)
        return "aliases (*name) are refused in a deck; write the value again";
    if (e->type == YAML_MAPPING_START_EVENT) {
        anchor = e->data.mapping_start.anchor;
        tag = e->data.mapping_start.tag;
    } else if (e->type == YAML_SEQUENCE_START_EVENT) {
        anchor = e->data.sequence_start.anchor;
        tag = e->data.sequence_start.tag;
    } else if (e->type == YAML_SCALAR_EVENT) {
        anchor = e->data.scalar.anchor;
        tag = e->data.scalar.tag;
        if (e->data.scalar.length > SCALAR_BYTES)
            return "a value of more than 64 KiB";
        if (!text_clean((const char *)e->data.scalar.value, e->data.scalar.length))
            return "a control character or line break in a value";
    }
    if (anchor)
        return "anchors (&name) are refused in a deck";
    return tag ? "tags (!name) are refused in a deck" : NULL;
}

/* Step to the next event. If the YAML is broken, the event stays YAML_NO_EVENT. */
static void next(struct reader *r)
{
    yaml_event_delete(&r->event);
    memset(&r->event, 0, sizeof r->event);
    r->refused = false;
    if (r->broken)
        return;
    if (!yaml_parser_parse(&r->yaml, &r->event)) {
        memset(&r->event, 0, sizeof r->event);
        syntax_error(r);
        r->broken = true;
        return;
    }
    set_where(r, r->event.start_mark);
    yaml_event_type_t type = r->event.type;
    r->depth += (type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT) -
                (type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT);
    const char *why = refusal(&r->event);
    if (why) {
        errors_add(r->errors, r->where, "%s", why);
        r->refused = true;
    }
    if (r->depth > DECK_DEPTH) {
        errors_add(r->errors, r->where, "more than %d levels", DECK_DEPTH);
        r->broken = true;
        yaml_event_delete(&r->event);
    }
}

static bool is(const struct reader *r, yaml_event_type_t type)
{
    return r->event.type == type;
}

/* Skip the node that begins with the current event. */
static void skip(struct reader *r)
{
    int outside = r->depth - (is(r, YAML_MAPPING_START_EVENT) || is(r, YAML_SEQUENCE_START_EVENT));
    while (r->depth > outside && !r->broken)
        next(r);
}

static const char *kind_name(const struct reader *r)
{
    return is(r, YAML_MAPPING_START_EVENT)    ? "a mapping"
           : is(r, YAML_SEQUENCE_START_EVENT) ? "a list"
                                              : "a value";
}

/* The current scalar event as a value. Its texts stay until the next event. */
static struct scalar scalar_here(const struct reader *r)
{
    return (struct scalar){.text = (const char *)r->event.data.scalar.value,
                           .where = r->where,
                           .folder = r->folder,
                           .quoted = r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE};
}

/* ---- one key's value ---- */

/* A list of numbers as the text "[a, b]" that value_set reads; NULL with an error added. */
static char *join_list(struct reader *r, const char *name)
{
    double x;
    int n = 0;
    bool good = true;
    char *text = mem_text("[");
    for (next(r); !r->broken && !is(r, YAML_SEQUENCE_END_EVENT); next(r)) {
        bool number =
            is(r, YAML_SCALAR_EVENT) && !scalar_here(r).quoted && number_real(scalar_here(r).text, &x);
        if (number && !r->refused && n < LIST_MAX) {
            mem_append(&text, "%s%s", n++ ? ", " : "", scalar_here(r).text);
            continue;
        }
        if (number && good)
            errors_add(r->errors, r->where, "%s: more than %d numbers", name, LIST_MAX);
        else if (!r->refused && is(r, YAML_SCALAR_EVENT) && !number)
            errors_add(r->errors, r->where, "%s: expected a number, not '%.60s'", name, scalar_here(r).text);
        else if (!r->refused && !number)
            errors_add(r->errors, r->where, "%s: expected a number, not %s", name, kind_name(r));
        skip(r);
        good = false;
    }
    if (good && !r->broken) {
        mem_append(&text, "]");
        return text;
    }
    free(text);
    return NULL;
}

static void read_number_list(struct reader *r, int key, const char *name)
{
    char *where = mem_text(r->where), *text = join_list(r, name);
    if (text)
        value_set(r->deck, key, &(struct scalar){text, where, r->folder, false}, r->errors);
    free(text);
    free(where);
}

/* Read the members of {path: P, weight: W}. The current event is the mapping's start. */
static bool read_item_members(struct reader *r, struct data_item *item, const char *name)
{
    bool good = true, weight = false;
    char *where = mem_text(r->where);
    for (next(r); !r->broken && !is(r, YAML_MAPPING_END_EVENT); next(r)) {
        char *member = is(r, YAML_SCALAR_EVENT) ? mem_text(scalar_here(r).text) : mem_text("");
        char *member_where = mem_text(r->where), *path = mem_format("%s.%.60s", name, member);
        bool is_path = strcmp(member, "path") == 0, is_weight = strcmp(member, "weight") == 0,
             refused = r->refused;
        skip(r);
        next(r);
        struct scalar at = is(r, YAML_SCALAR_EVENT) ? scalar_here(r) : (struct scalar){0};
        bool done = false;
        if (!is_path && !is_weight && !refused)
            errors_add(r->errors, member_where, "%s: unknown; a data set has path and weight", path);
        else if ((is_path && item->path) || (is_weight && weight))
            errors_add(r->errors, member_where, "%s: given twice", path);
        else if (!at.text && !refused && !r->refused && !r->broken)
            errors_add(r->errors, r->where, "%s: expected a value, not %s", path, kind_name(r));
        else if (at.text && !refused && !r->refused)
            done = is_path ? item_set_path(item, path, &at, r->errors)
                           : item_set_weight(&item->weight, path, &at, r->errors);
        weight = weight || is_weight;
        good = good && done;
        skip(r);
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

static bool read_item(struct reader *r, struct data_items *items, const char *key)
{
    char *name = mem_format("%s.%d", key, items->n);
    items->item = mem_grow(items->item, items->n + 1, sizeof *items->item);
    struct data_item *item = &items->item[items->n++];
    *item = (struct data_item){.weight = 1};
    bool good = false;
    if (is(r, YAML_MAPPING_START_EVENT) && !r->refused) {
        good = read_item_members(r, item, name);
    } else if (is(r, YAML_SCALAR_EVENT) && !r->refused) {
        struct scalar at = scalar_here(r);
        good = item_set_path(item, name, &at, r->errors);
    } else if (!r->refused && !r->broken) {
        errors_add(r->errors, r->where, "%s: expected a path or {path: ..., weight: ...}, not %s", name,
                   kind_name(r));
    }
    if (!good)
        skip(r);
    free(name);
    return good;
}

/* Read a list of data sets, or a single one. */
static void read_items(struct reader *r, int key, const char *name)
{
    struct data_items items = {0};
    char *where = mem_text(r->where);
    bool good = true;
    char *words = mem_text(""); /* the texts so far, which may be Megatron's --data-path */
    if (is(r, YAML_SEQUENCE_START_EVENT))
        for (next(r); !r->broken && !is(r, YAML_SEQUENCE_END_EVENT); next(r)) {
            mem_append(&words, "%s%s", *words ? " " : "",
                       is(r, YAML_SCALAR_EVENT) ? scalar_here(r).text : "{} {}");
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
static bool read_path(struct reader *r, struct paths *paths, const struct key *key)
{
    char *name = mem_format("%s.%d", key->path, paths->n), *path = NULL;
    struct scalar at = is(r, YAML_SCALAR_EVENT) && !r->refused ? scalar_here(r) : (struct scalar){0};
    if (at.text)
        path = value_text(key, name, &at, r->errors);
    else if (!r->refused && !r->broken)
        errors_add(r->errors, r->where, "%s: expected a %s, not %s", name,
                   key->type == K_PATHS ? "path" : "name", kind_name(r));
    free(name);
    if (!path) {
        skip(r);
        return false;
    }
    paths->path = mem_grow(paths->path, paths->n + 1, sizeof *paths->path);
    paths->path[paths->n++] = path;
    return true;
}

static void read_paths(struct reader *r, int key, const struct key *about)
{
    struct paths paths = {0};
    char *where = mem_text(r->where);
    bool good = true;
    for (next(r); !r->broken && !is(r, YAML_SEQUENCE_END_EVENT); next(r))
        good = read_path(r, &paths, about) && good;
    if (good && !r->broken)
        value_set_paths(r->deck, key, paths, where);
    else
        paths_free(&paths);
    free(where);
}

/* Read the value of `key`. The current event is its first one, and afterwards its last one. */
static void read_key(struct reader *r, int key)
{
    int n;
    const struct key *k = &deck_keys(&n)[key];
    bool list = is(r, YAML_SEQUENCE_START_EVENT);
    int kind = type_of(k)->list;
    char expected[160];
    if (r->refused || r->broken) {
        skip(r);
    } else if (is(r, YAML_SCALAR_EVENT)) {
        struct scalar at = scalar_here(r);
        value_set(r->deck, key, &at, r->errors);
    } else if (kind == LIST_ITEMS) {
        read_items(r, key, k->path);
    } else if (list && kind == LIST_PATHS) {
        read_paths(r, key, k);
    } else if (list && kind == LIST_NUMBERS) {
        read_number_list(r, key, k->path);
    } else {
        errors_add(r->errors, r->where, "%s: %s, not %s", k->path, type_expected(k, expected), kind_name(r));
        skip(r);
    }
}

/* ---- sections ---- */

/* Was `path` given before in this deck? Remembers it. key: its number if it is a key, -1 if it is a section.
 */
static bool given_twice(struct reader *r, const char *path, int key)
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

static void read_section(struct reader *r, const char *section);

/* Read what stands behind the name `path` at `where`: a value or a section. The current event is its first
 * one. */
static void read_entry(struct reader *r, const char *path, const char *where)
{
    bool text = is(r, YAML_SCALAR_EVENT), section = key_is_section(path);
    bool empty = text && !scalar_here(r).quoted && !*scalar_here(r).text;
    if (text && !empty && strcmp(path, "start") == 0) { /* start: random, start: PATH */
        path = "start.from";
        section = false;
    }
    int key = key_find(path);
    if (r->broken || r->refused) {
        skip(r);
    } else if (key < 0 && !section) {
        key_unknown(path, where, r->errors);
        skip(r);
    } else if (given_twice(r, path, key)) {
        errors_add(r->errors, where, "%s: given twice in this deck", path);
        skip(r);
    } else if (key >= 0) {
        read_key(r, key);
    } else if (text && !empty && strcmp(path, "start") == 0) { /* start: random, start: PATH */
        read_key(r, key_find("start.from"));
    } else if (is(r, YAML_MAPPING_START_EVENT)) {
        read_section(r, path);
    } else if (!empty) { /* a section may be empty, for instance if its keys are commented out */
        char *members = key_members(path);
        errors_add(r->errors, r->where, "%s: expected a mapping, not %s; it holds %s", path, kind_name(r),
                   members);
        free(members);
        skip(r);
    }
}

/* Read a mapping of keys. The current event is its start, and afterwards its end. */
static void read_section(struct reader *r, const char *section)
{
    for (next(r); !r->broken && !is(r, YAML_MAPPING_END_EVENT); next(r)) {
        char *where = mem_text(r->where), *path = NULL;
        if (!is(r, YAML_SCALAR_EVENT) && !r->refused)
            errors_add(r->errors, where, "expected the name of a key, not %s", kind_name(r));
        else if (!r->refused && strchr(scalar_here(r).text, '.'))
            errors_add(r->errors, where, "%.120s: keys with dots are for --set; write section: {key: value}",
                       scalar_here(r).text);
        else if (!r->refused)
            path = mem_format("%s%s%s", section, *section ? "." : "", scalar_here(r).text);
        skip(r);
        next(r);
        if (path)
            read_entry(r, path, where);
        else
            skip(r);
        free(path);
        free(where);
    }
}

/* ---- a whole deck ---- */

static bool reader_open(struct reader *r, const char *text, int64_t size)
{
    int n;
    deck_keys(&n);
    if (!yaml_parser_initialize(&r->yaml))
        bug("libyaml has no memory");
    yaml_parser_set_input_string(&r->yaml, (const unsigned char *)text, (size_t)size);
    r->text = text;
    r->size = (size_t)size;
    r->seen = mem_new(n, sizeof *r->seen);
    next(r); /* stream start */
    next(r);
    return !r->broken && is(r, YAML_DOCUMENT_START_EVENT);
}

static void reader_close(struct reader *r)
{
    yaml_event_delete(&r->event);
    yaml_parser_delete(&r->yaml);
    for (int i = 0; i < r->sections; i++)
        free(r->section[i]);
    free(r->section);
    free(r->seen);
    free(r->where);
}

void parse_text(struct deck *d, const char *file, const char *text, int64_t size, const char *folder,
                struct errors *errors)
{
    struct reader r = {.deck = d, .errors = errors, .file = file, .folder = folder};
    bool begun = reader_open(&r, text, size);
    if (begun)
        next(&r);
    if (begun && is(&r, YAML_MAPPING_START_EVENT) && !r.refused) {
        read_section(&r, "");
        next(&r); /* document end */
        next(&r);
        if (!r.broken && !is(&r, YAML_STREAM_END_EVENT))
            errors_add(errors, r.where, "a second document; a deck is one");
    } else if (begun && !r.broken && !r.refused) {
        errors_add(errors, r.where, "expected a mapping such as model: {like: PATH}, not %s", kind_name(&r));
    } else if (!begun && !r.broken) {
        errors_add(errors, r.where, "the deck is empty");
    }
    reader_close(&r);
}

void parse_value(struct deck *d, int key, const char *value, struct errors *errors)
{
    struct reader r = {.deck = d, .errors = errors, .file = "--set"};
    if (reader_open(&r, value, (int64_t)strlen(value))) {
        next(&r);
        read_key(&r, key);
        next(&r);
        if (!r.broken && !is(&r, YAML_DOCUMENT_END_EVENT))
            bug("libyaml left a document open");
    }
    reader_close(&r);
}

const char *deck_parser_version(void)
{
    return yaml_get_version_string();
}
