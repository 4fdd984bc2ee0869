#include "format/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/half.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/file.h"

enum { CHUNK = 1 << 14 }; /* elements rounded at a time */

struct entry {
    char *name;
    enum st_type type;
    int rank;
    int64_t shape[ST_MAX_RANK];
    int64_t elements, at, written; /* at: absolute offset in bytes */
};

struct st_writer {
    struct file_draft file;
    int n;
    struct entry *entry; /* as declared */
};

/* The order of tensors: by alignment, the largest first, so that each is aligned to its type; then by name.
 */
static int by_alignment(const void *a, const void *b)
{
    const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;
    int64_t wider = st_type_size(y->type) - st_type_size(x->type);
    return wider ? (wider > 0 ? 1 : -1) : strcmp(x->name, y->name);
}

static json_t *entry_json(const struct entry *e, int64_t begin)
{
    json_t *shape = json_array();
    for (int i = 0; i < e->rank; i++)
        json_array_append_new(shape, json_integer(e->shape[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", st_type_name(e->type), "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)(begin + e->elements * st_type_size(e->type)));
}

/* The header's JSON, padded with blanks so that the data begin at a multiple of 8. Sets the place of every
 * entry relative to the data. */
static char *make_header(struct st_writer *w)
{
    struct entry **order = mem_new(w->n, sizeof *order);
    for (int i = 0; i < w->n; i++)
        order[i] = &w->entry[i];
    if (w->n)
        qsort(order, (size_t)w->n, sizeof *order, by_alignment);
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    int64_t at = 0;
    for (int i = 0; i < w->n; i++) {
        if (json_object_get(header, order[i]->name))
            bug("tensor %s is declared twice", order[i]->name);
        if (json_object_set_new(header, order[i]->name, entry_json(order[i], at)) != 0)
            bug("tensor name %s is not UTF-8", order[i]->name);
        order[i]->at = at;
        at = mem_add(at, mem_mul(order[i]->elements, st_type_size(order[i]->type)));
    }
    char *compact = json_dumps(header, JSON_COMPACT);
    int padded = (int)(strlen(compact) + 7) / 8 * 8;
    char *text = mem_format("%-*s", padded, compact);
    free(compact);
    json_decref(header);
    free(order);
    return text;
}

static void declare(struct entry *e, const struct st_declare *d)
{
    if (d->type == ST_OTHER || d->rank < 0 || d->rank > ST_MAX_RANK)
        bug("tensor %s cannot be declared so", d->name);
    *e = (struct entry){.name = mem_text(d->name), .type = d->type, .rank = d->rank, .elements = 1};
    for (int i = 0; i < d->rank; i++) {
        e->shape[i] = d->shape[i];
        e->elements = mem_mul(e->elements, d->shape[i]);
    }
}

static void writer_free(struct st_writer *w)
{
    for (int i = 0; i < w->n; i++)
        free(w->entry[i].name);
    free(w->entry);
    free(w);
}

static status begin(struct st_writer *w, const char *path, const char *header)
{
    int64_t length = (int64_t)strlen(header), data_at = 8 + length;
    for (int i = 0; i < w->n; i++)
        w->entry[i].at += data_at;
    TRY(file_begin(&w->file, path));
    status s = file_write(&w->file, 0, 8, &length);
    if (s == OK)
        s = file_write(&w->file, 8, length, header);
    if (s != OK)
        file_abandon(&w->file);
    return s;
}

status st_create(struct st_writer **out, const char *path, const struct st_declare *list, int n)
{
    struct st_writer *w = mem_new(1, sizeof *w);
    w->entry = mem_new(n, sizeof *w->entry);
    for (w->n = 0; w->n < n; w->n++)
        declare(&w->entry[w->n], &list[w->n]);
    char *header = make_header(w);
    status s = begin(w, path, header);
    free(header);
    if (s == OK)
        *out = w;
    else
        writer_free(w);
    return s;
}

/* The entry to which elements [from, from+n) are to be written. */
static struct entry *claim(struct st_writer *w, int i, int64_t from, int64_t n)
{
    struct entry *e = &w->entry[i];
    if (from < 0 || n < 0 || n > e->elements - from)
        bug("tensor %s: elements [%" PRId64 ", +%" PRId64 ") of %" PRId64, e->name, from, n, e->elements);
    e->written += n;
    return e;
}

static status write_half(struct st_writer *w, enum st_type type, int64_t at, int64_t n, const float *data)
{
    uint16_t rounded[CHUNK];
    for (int64_t done = 0, now; done < n; done += now) {
        now = n - done < CHUNK ? n - done : CHUNK;
        for (int64_t i = 0; i < now; i++)
            rounded[i] = type == ST_BF16 ? bf16_of_float(data[done + i]) : f16_of_float(data[done + i]);
        TRY(file_write(&w->file, at + 2 * done, 2 * now, rounded));
    }
    return OK;
}

status st_write_f32(struct st_writer *w, int i, int64_t from, int64_t n, const float *data)
{
    const struct entry *e = claim(w, i, from, n);
    if (e->type == ST_BF16 || e->type == ST_F16)
        return write_half(w, e->type, e->at + 2 * from, n, data);
    if (e->type != ST_F32)
        bug("tensor %s: floats are written as F32, F16 or BF16", e->name);
    return file_write(&w->file, e->at + 4 * from, 4 * n, data);
}

status st_write_i64(struct st_writer *w, int i, int64_t from, int64_t n, const int64_t *data)
{
    const struct entry *e = claim(w, i, from, n);
    if (e->type != ST_I64)
        bug("tensor %s: integers are written as I64", e->name);
    return file_write(&w->file, e->at + 8 * from, 8 * n, data);
}

status st_finish(struct st_writer *w)
{
    for (int i = 0; i < w->n; i++)
        if (w->entry[i].written != w->entry[i].elements)
            bug("tensor %s: %" PRId64 " of %" PRId64 " elements written", w->entry[i].name,
                w->entry[i].written, w->entry[i].elements);
    status s = file_publish(&w->file);
    writer_free(w);
    return s;
}

void st_abandon(struct st_writer *w)
{
    if (!w)
        return;
    file_abandon(&w->file);
    writer_free(w);
}
