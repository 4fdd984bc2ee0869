/* YAML events, with positions, and refusal of what a deck may not hold. */
#include "deck/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/printable.h"

enum { DECK_DEPTH = 16, SCALAR_BYTES = 64 << 10 };

/* ---- messages ---- */

static void set_where(struct events *r, yaml_mark_t mark)
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
static const char *hint(const struct events *r, yaml_mark_t mark)
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

static void syntax_error(struct events *r)
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

/* ---- events ---- */

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

void events_next(struct events *r)
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

bool events_is(const struct events *r, yaml_event_type_t type)
{
    return r->event.type == type;
}

void events_skip(struct events *r)
{
    int outside =
        r->depth - (events_is(r, YAML_MAPPING_START_EVENT) || events_is(r, YAML_SEQUENCE_START_EVENT));
    while (r->depth > outside && !r->broken)
        events_next(r);
}

const char *events_kind(const struct events *r)
{
    return events_is(r, YAML_MAPPING_START_EVENT)    ? "a mapping"
           : events_is(r, YAML_SEQUENCE_START_EVENT) ? "a list"
                                                     : "a value";
}

struct scalar events_scalar(const struct events *r)
{
    return (struct scalar){.text = (const char *)r->event.data.scalar.value,
                           .where = r->where,
                           .folder = r->folder,
                           .quoted = r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE};
}

/* ---- a text ---- */

bool events_open(struct events *r, const char *text, int64_t size)
{
    int n;
    deck_keys(&n);
    if (!yaml_parser_initialize(&r->yaml))
        bug("libyaml has no memory");
    yaml_parser_set_input_string(&r->yaml, (const unsigned char *)text, (size_t)size);
    r->text = text;
    r->size = (size_t)size;
    r->seen = mem_new(n, sizeof *r->seen);
    events_next(r); /* stream start */
    events_next(r);
    return !r->broken && events_is(r, YAML_DOCUMENT_START_EVENT);
}

void events_close(struct events *r)
{
    yaml_event_delete(&r->event);
    yaml_parser_delete(&r->yaml);
    for (int i = 0; i < r->sections; i++)
        free(r->section[i]);
    free(r->section);
    free(r->seen);
    free(r->where);
}

const char *deck_parser_version(void)
{
    return yaml_get_version_string();
}
