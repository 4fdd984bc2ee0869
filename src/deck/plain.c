#include "deck/plain.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/near.h"
#include "base/printable.h"
#include "deck/inside.h"

enum { PLAIN_BYTES = 64 << 10 };

struct lines {
    yaml_parser_t yaml;
    yaml_event_t event;
    const char *file;
    struct plain *out;
};

static status at_fault(const struct lines *r, yaml_mark_t mark, const char *what)
{
    return fail(E_DECK, "%s:%zu:%zu: %s", r->file, mark.line + 1, mark.column + 1, what);
}

static status next(struct lines *r)
{
    yaml_event_delete(&r->event);
    memset(&r->event, 0, sizeof r->event);
    if (yaml_parser_parse(&r->yaml, &r->event))
        return OK;
    memset(&r->event, 0, sizeof r->event);
    return at_fault(r, r->yaml.problem_mark, r->yaml.problem ? r->yaml.problem : "not YAML");
}

static bool is(const struct lines *r, yaml_event_type_t type)
{
    return r->event.type == type;
}

/* Texts of the file stand in messages later. */
static status clean_scalar(const struct lines *r, const char *wanted)
{
    if (!is(r, YAML_SCALAR_EVENT))
        return at_fault(r, r->event.start_mark, wanted);
    if (!text_clean((const char *)r->event.data.scalar.value, r->event.data.scalar.length))
        return at_fault(r, r->event.start_mark, "a control character in a value");
    return OK;
}

/* An item of a list. */
static status take_item(struct lines *r, struct plain_entry *e)
{
    TRY(clean_scalar(r, "expected a number or a word in the list"));
    const char *text = (const char *)r->event.data.scalar.value;
    yaml_mark_t mark = r->event.start_mark;
    double x;
    bool number = number_real(text, &x);
    if (number && e->n == PLAIN_LIST)
        return at_fault(r, mark, "too many numbers in the list");
    if (number)
        e->x[e->n++] = x;
    else if (!e->word)
        e->word = mem_format("%s:%zu:%zu", r->file, mark.line + 1, mark.column + 1);
    mem_append(&e->text, "%s%s", *e->text ? " " : "", text);
    return OK;
}

static status take_value(struct lines *r, struct plain_entry *e)
{
    TRY(next(r));
    if (!is(r, YAML_SEQUENCE_START_EVENT)) {
        TRY(clean_scalar(r, "expected a value, or a list"));
        e->text = mem_text((const char *)r->event.data.scalar.value);
        e->n = number_real(e->text, &e->x[0]);
        return OK;
    }
    e->text = mem_text("");
    TRY(next(r));
    while (!is(r, YAML_SEQUENCE_END_EVENT)) {
        TRY(take_item(r, e));
        TRY(next(r));
    }
    return OK;
}

static status take_entry(struct lines *r)
{
    TRY(clean_scalar(r, "expected KEY: VALUE"));
    const char *key = (const char *)r->event.data.scalar.value;
    yaml_mark_t mark = r->event.start_mark;
    for (int i = 0; i < r->out->n; i++)
        if (!strcmp(r->out->entry[i].key, key))
            return at_fault(r, mark, "this key was given before");
    r->out->entry = mem_grow(r->out->entry, r->out->n + 1, sizeof *r->out->entry);
    struct plain_entry *e = &r->out->entry[r->out->n++];
    *e = (struct plain_entry){.key = mem_text(key)};
    e->where = mem_format("%s:%zu:%zu", r->file, mark.line + 1, mark.column + 1);
    return take_value(r, e);
}

static status read_events(struct lines *r)
{
    for (int i = 0; i < 3; i++) /* stream, document, mapping */
        TRY(next(r));
    if (!is(r, YAML_MAPPING_START_EVENT))
        return at_fault(r, r->event.start_mark, "expected lines of KEY: VALUE");
    TRY(next(r));
    while (!is(r, YAML_MAPPING_END_EVENT)) {
        TRY(take_entry(r));
        TRY(next(r));
    }
    return OK;
}

status plain_read(struct plain *out, const char *file)
{
    struct lines r = {.file = file, .out = out};
    char *text;
    int64_t size;
    *out = (struct plain){0};
    status code = file_load(file, PLAIN_BYTES, &text, &size);
    if (code != OK)
        return code == E_DATA ? E_DECK : code; /* the record says what */
    yaml_parser_initialize(&r.yaml);
    yaml_parser_set_input_string(&r.yaml, (const unsigned char *)text, (size_t)size);
    code = read_events(&r);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.yaml);
    free(text);
    return code;
}

void plain_free(struct plain *p)
{
    for (int i = 0; i < p->n; i++) {
        free(p->entry[i].key);
        free(p->entry[i].text);
        free(p->entry[i].where);
        free(p->entry[i].word);
    }
    free(p->entry);
    *p = (struct plain){0};
}

void plain_unknown(const struct plain_entry *e, const char *what, const char *(*name)(int i),
                   struct errors *errors)
{
    const char *found = NULL;
    int best = 1 + near_limit(e->key);
    for (int i = 0; name(i) && strlen(e->key) <= NEAR_LENGTH; i++) {
        int distance = near_distance(e->key, name(i));
        if (distance < best) {
            best = distance;
            found = name(i);
        }
    }
    errors_add(errors, e->where, "%.40s: unknown key of %s%s%s%s", e->key, what,
               found ? "; did you mean " : "", found ? found : "", found ? "?" : "");
}
