/* coppice inspect for a token set. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/inspect.h"
#include "format/tokens.h"

static const double look_seconds = 10; /* for looking at the ids of a large set */

struct look {
    struct tokens tokens;
    struct tokens_survey survey;
    int64_t bytes;
    uint64_t index, blocks; /* digests */
    bool opened;
};

static bool there(const char *path, const char *end)
{
    struct stat about;
    char *file = mem_format("%s%s", path, end);
    bool is_file = io_stat(file, &about) == 0 && !S_ISDIR(about.st_mode);
    free(file);
    return is_file;
}

bool inspect_names_tokens(const char *path)
{
    static const char *const end[] = {".idx", ".bin", "_text_document.idx"};
    size_t n = strlen(path);
    struct stat about;
    if (io_stat(path, &about) == 0 && S_ISDIR(about.st_mode))
        return false;
    bool tokens = n > 4 && (!strcmp(path + n - 4, ".bin") || !strcmp(path + n - 4, ".idx"));
    for (size_t i = 0; i < sizeof end / sizeof *end; i++)
        tokens = tokens || there(path, end[i]);
    return tokens;
}

/* E_DATA if no model can use the ids: they must be numbers from 0 up to the largest possible vocabulary. */
static status judge(const struct look *l)
{
    const struct tokens *t = &l->tokens;
    const struct tokens_survey *s = &l->survey;
    char id[24];
    if (t->total == 0)
        return fail(E_DATA, "%s: it holds no tokens", t->path);
    bool negative = tokens_id_less(t, s->least, 0), large = tokens_id_less(t, INT32_MAX - 1, s->largest);
    if (negative || large)
        return fail(E_DATA, "%s.bin: it holds token %s; ids are 0 to %d", t->path,
                    tokens_id_text(t, negative ? s->least : s->largest, id), INT32_MAX - 1);
    return OK;
}

static status look(struct look *l, const char *path)
{
    TRY(tokens_open(&l->tokens, path));
    l->opened = true;
    TRY(tokens_identity(&l->tokens, &l->bytes, &l->index, &l->blocks));
    TRY(tokens_survey(&l->tokens, look_seconds, &l->survey));
    return judge(l);
}

/* ---- for people ---- */

/* "ids 97 to 122 in the 8,192 of 100,000 tokens that were looked at". Caller frees. */
static char *ids_text(const struct look *l)
{
    const struct tokens_survey *s = &l->survey;
    char least[24], largest[24], looked[32], all[32];
    char *text = mem_format("ids %s to %s", tokens_id_text(&l->tokens, s->least, least),
                            tokens_id_text(&l->tokens, s->largest, largest));
    if (s->looked < l->tokens.total)
        mem_append(&text, " in the %s of %s tokens that were looked at", text_grouped(looked, s->looked),
                   text_grouped(all, l->tokens.total));
    return text;
}

static void show_set(const struct look *l)
{
    const struct tokens *t = &l->tokens;
    const struct tokens_survey *s = &l->survey;
    char a[48], b[48], c[32], least[32], median[32], most[32], *first = NULL, id[24];
    log_say("tokens      %s: %s of type %s in %s, %s", t->path, text_n(a, t->total, "token"),
            tokens_type_name(t), text_n(b, t->documents, "document"), text_bytes(c, (double)l->bytes));
    log_say("documents   of %s (shortest), %s (median), %s (longest) tokens; %s empty",
            text_grouped(least, s->shortest), text_grouped(median, s->median), text_grouped(most, s->longest),
            s->empty ? text_grouped(c, s->empty) : "none");
    for (int i = 0; i < s->n; i++)
        mem_append(&first, " %s", tokens_id_text(t, s->first[i], id));
    log_say("first ids  %s%s", first ? first : "", s->n < t->total ? " ..." : "");
    log_say("digests     index %016" PRIx64 ", blocks %016" PRIx64, l->index, l->blocks);
    free(first);
}

static void show(const struct look *l, status code)
{
    if (code != OK) {
        log_say("trainable   no, because %s", status_text());
    } else {
        char *ids = ids_text(l);
        log_say("trainable   yes, by a model whose vocabulary has them: %s", ids);
        free(ids);
    }
    if (l->opened)
        show_set(l);
}

/* ---- for programs ---- */

/* An id for JSON. JSON's integers are signed, so a larger id is a text. */
static json_t *id_json(const struct tokens *t, int64_t id)
{
    char text[24];
    return id < 0 && tokens_id_less(t, 0, id) ? json_string(tokens_id_text(t, id, text)) : json_integer(id);
}

static json_t *documents_json(const struct look *l)
{
    const struct tokens_survey *s = &l->survey;
    return json_pack("{sIsIsIsIsI}", "number", (json_int_t)l->tokens.documents, "empty", (json_int_t)s->empty,
                     "shortest", (json_int_t)s->shortest, "median", (json_int_t)s->median, "longest",
                     (json_int_t)s->longest);
}

static json_t *set_json(const struct look *l)
{
    const struct tokens_survey *s = &l->survey;
    char index[20], blocks[20];
    snprintf(index, sizeof index, "%016" PRIx64, l->index);
    snprintf(blocks, sizeof blocks, "%016" PRIx64, l->blocks);
    json_t *ids = json_pack("{sIsoso}", "looked_at", (json_int_t)s->looked, "least",
                            id_json(&l->tokens, s->least), "largest", id_json(&l->tokens, s->largest));
    json_t *first = json_array();
    for (int i = 0; i < s->n; i++)
        json_array_append_new(first, id_json(&l->tokens, s->first[i]));
    json_object_set_new(ids, "first", first);
    return json_pack("{sssIsIsosos{ssss}}", "type", tokens_type_name(&l->tokens), "number",
                     (json_int_t)l->tokens.total, "bytes", (json_int_t)l->bytes, "documents",
                     documents_json(l), "ids", ids, "digests", "index", index, "blocks", blocks);
}

static void show_json(const struct look *l, const char *path, status code)
{
    json_t *all =
        json_pack("{sosssbso}", "path", json_clean(l->opened ? l->tokens.path : path), "kind", "tokens",
                  "good", code == OK, "error", code == OK ? json_null() : json_clean(status_text()));
    if (l->opened)
        json_object_set_new(all, "tokens", set_json(l));
    json_print(all);
}

status inspect_tokens(const char *path, bool json)
{
    struct look l = {0};
    status code = look(&l, path);
    if (json)
        show_json(&l, path, code);
    else
        show(&l, code);
    if (l.opened)
        tokens_close(&l.tokens);
    return code;
}
