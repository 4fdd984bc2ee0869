/* The course of a run: checkpoints, legs, failures; its settings and its certificate. */
#include "report/sections.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/mem.h"
#include "base/text.h"
#include "report/html.h"

/* "2026-11-25 17:01" UTC; "?" if unknown. */
static char *time_text(char out[32], double seconds)
{
    time_t t = seconds > 0 && seconds < 1e11 ? (time_t)seconds : 0;
    struct tm parts;
    if (t == 0 || !gmtime_r(&t, &parts) || !strftime(out, 32, "%Y-%m-%d %H:%M:%S", &parts))
        snprintf(out, 32, "?");
    return out;
}

static bool is_event(const json_t *e, const char *kind)
{
    return !strcmp(json_word(e, "event"), kind);
}

/* ---- checkpoints ---- */

static void checkpoint_row(FILE *f, const char *heads, const struct history *h, const json_t *e)
{
    char when[32], size[32], waited[32] = "";
    if (isfinite(json_number(e, "waited")))
        snprintf(waited, sizeof waited, "%.2f", json_number(e, "waited"));
    html_row(f, heads, "%s\t%s\t%.0f\t%s\t%.2f\t%s", h->name, time_text(when, json_number(e, "time")),
             json_number(e, "step"), text_bytes(size, json_number(e, "bytes")), json_number(e, "seconds"),
             waited);
}

void section_checkpoints(FILE *f, const struct page *p)
{
    enum { SHOWN = 10 };
    static const char heads[] = "run|time (UTC)|#step|#size|#seconds|#steps waited, s";
    int all = 0, told = 0;
    for (int r = 0; r < p->n; r++)
        for (size_t i = 0; i < json_array_size(p->run[r].events); i++)
            all += is_event(json_array_get(p->run[r].events, i), "checkpoint");
    if (!all)
        return;
    html_table(f, NULL, heads);
    for (int r = 0; r < p->n; r++) {
        const struct history *h = &p->run[r];
        int shown = 0;
        for (size_t i = json_array_size(h->events); i-- > 0 && shown < SHOWN;)
            if (is_event(json_array_get(h->events, i), "checkpoint")) {
                checkpoint_row(f, heads, h, json_array_get(h->events, i));
                shown++;
            }
        told += shown;
    }
    html_table_end(f);
    if (told < all)
        html_put(f, "p", "soft", "The newest %d of each run; there were %d in all.", SHOWN, all);
}

/* ---- legs and failures ---- */

static const char leg_heads[] = "run|time (UTC)|#step|what|more";

/* What an event says beside its kind, step and time: "leg 1, ranks 4, tensor 2". Caller frees. */
static char *event_text(const json_t *e)
{
    static const char *const known[] = {"event", "step", "time"};
    char *text = NULL;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)e, key, value) {
        bool more = true;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            more = more && strcmp(key, known[i]) != 0;
        char *shown =
            json_is_string(value) ? mem_text(json_string_value(value)) : json_text(value, JSON_COMPACT);
        if (more)
            mem_append(&text, "%s%s %s", text ? ", " : "", key, shown);
        free(shown);
    }
    for (char *c = text; c && *c; c++)
        *c = strchr("\t\n", *c) ? ' ' : *c;
    return text ? text : mem_text("");
}

static void leg_row(FILE *f, const struct history *h, const json_t *e)
{
    char when[32], *text = event_text(e);
    html_row(f, leg_heads, "%s\t%s\t%.0f\t%s\t%s", h->name, time_text(when, json_number(e, "time")),
             json_number(e, "step"), json_word(e, "event"), text);
    free(text);
}

static bool is_of_legs(const json_t *e)
{
    return !is_event(e, "checkpoint") && !is_event(e, "memory") && !is_event(e, "eval");
}

static void state_of(FILE *f, const struct history *h)
{
    const char *state = json_word(h->status, "state"), *error = json_word(h->status, "error");
    if (*error)
        html_put(f, "p", "bad", "%s: %s: %s", h->name, state, error);
    if (h->repeated)
        html_put(f, "p", "soft",
                 "%s: %lld steps were done again from a checkpoint; the curves show the second time.",
                 h->name, (long long)h->repeated);
}

void section_legs(FILE *f, const struct page *p)
{
    enum { SHOWN = 60 };
    for (int r = 0; r < p->n; r++) {
        const struct history *h = &p->run[r];
        size_t n = json_array_size(h->events), left = 0, from = n;
        state_of(f, h);
        for (; from > 0 && left < SHOWN; from--)
            left += is_of_legs(json_array_get(h->events, from - 1));
        if (!left)
            continue;
        html_table(f, NULL, leg_heads);
        for (; from < n; from++)
            if (is_of_legs(json_array_get(h->events, from)))
                leg_row(f, h, json_array_get(h->events, from));
        html_table_end(f);
    }
}

/* ---- settings ---- */

/* Where they came from, of what was set in a deck or on the command line. */
static void settings_of_one(FILE *f, const struct history *h)
{
    static const char heads[] = "key|value|from";
    if (!h->settings.n)
        return;
    html_table(f, "Keys that were set; all others have their defaults", heads);
    for (int i = 0; i < h->settings.n; i++) {
        const struct setting *s = &h->settings.setting[i];
        if (strcmp(s->origin, "default") != 0)
            html_row(f, heads, "%s\t%s\t%s", s->key, s->value, s->origin);
    }
    html_table_end(f);
}

static bool differs(const struct page *p, const char *key)
{
    const char *first = settings_value(&p->run[0].settings, key);
    for (int r = 1; r < p->n; r++) {
        const char *other = settings_value(&p->run[r].settings, key);
        if (!first != !other || (first && strcmp(first, other) != 0))
            return true;
    }
    return false;
}

static void difference_row(FILE *f, const struct page *p, const char *heads, const char *key)
{
    char *row = mem_text(key);
    for (int r = 0; r < p->n; r++) {
        const char *value = settings_value(&p->run[r].settings, key);
        mem_append(&row, "\t%s", value ? value : "-");
    }
    html_row(f, heads, "%s", row);
    free(row);
}

/* Keys of run `r` that no run before it has are told there. */
static void differences(FILE *f, const struct page *p, const char *heads, int r)
{
    for (int i = 0; i < p->run[r].settings.n; i++) {
        const char *key = p->run[r].settings.setting[i].key;
        bool told = false;
        for (int before = 0; before < r; before++)
            told |= settings_value(&p->run[before].settings, key) != NULL;
        if (!told && differs(p, key))
            difference_row(f, p, heads, key);
    }
}

void section_settings(FILE *f, const struct page *p)
{
    char *heads = mem_text("key");
    int with = 0;
    for (int r = 0; r < p->n; r++) {
        char *name = mem_text(p->run[r].name);
        for (char *c = name; *c; c++)
            *c = *c == '|' || *c == '\t' ? '?' : *c;
        mem_append(&heads, "|%s", name);
        with += p->run[r].settings.n > 0;
        free(name);
    }
    if (p->n == 1) {
        settings_of_one(f, &p->run[0]);
    } else if (with > 0) {
        html_table(f, "Keys in which the runs differ", heads);
        for (int r = 0; r < p->n; r++)
            differences(f, p, heads, r);
        html_table_end(f);
    }
    free(heads);
}

/* ---- the certificate ---- */

static void figures(FILE *f, const char *heads, const json_t *c, const char *key, const char *name)
{
    const json_t *g = json_object_get(c, key);
    if (g)
        html_row(f, heads, "%s\t%.6g\t%.6g\t%.6g", name, json_number(g, "min"), json_number(g, "mean"),
                 json_number(g, "max"));
}

static void certificate(FILE *f, const struct history *h)
{
    static const char heads[] = "of each MoE layer|#least|#mean|#greatest";
    const json_t *c = h->certificate;
    html_put(f, "p", json_is_true(json_object_get(c, "pass")) ? NULL : "bad",
             "%s: %s. Theory: %s. %.0f tokens: max|difference of logits| %.3g, tolerance %.3g; KL %.3g "
             "nats/token.",
             h->name, json_word(c, "verdict"), json_word(c, "theory"), json_number(c, "tokens"),
             json_number(c, "max_abs_difference"), json_number(c, "tolerance"),
             json_number(c, "kl_nats_per_token"));
    if (!json_object_get(c, "gain"))
        return;
    html_table(f, NULL, heads);
    figures(f, heads, c, "gain", "gain");
    figures(f, heads, c, "expected_gain", "expected gain");
    figures(f, heads, c, "relative_error", "relative error");
    figures(f, heads, c, "deviation", "deviation from theory");
    html_table_end(f);
}

void section_certificate(FILE *f, const struct page *p)
{
    for (int r = 0; r < p->n; r++)
        if (p->run[r].certificate)
            certificate(f, &p->run[r]);
}

/* ---- what could not be read ---- */

void section_complaints(FILE *f, const struct page *p)
{
    for (int r = 0; r < p->n; r++) {
        const struct complaints *c = &p->run[r].complaints;
        if (!c->n)
            continue;
        html_put(f, "p", NULL, "%s: %d line%s or file%s could not be used, such as:", p->run[r].name, c->n,
                 c->n == 1 ? "" : "s", c->n == 1 ? "" : "s");
        html_put(f, "pre", "soft", "%s", c->text);
    }
}
