/* index.h5: what a checkpoint holds and where. Every value passes through one digest on its way in
 * and out, so that no byte of a checkpoint is without one; what the digest cannot see (a file made
 * to mislead) is checked field by field before it is used. */
#include "ckpt/extent.h"

#include "base/file.h"
#include "base/mem.h"
#include "ckpt/step_dir.h"
#include "ckpt/text.h"
#include "format/h5.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* 1: of Coppice 0.1. 2: data. 3: columns, kinds, types and choices by name, run, about. */
enum { VERSION = 3 };

/* Columns are found by their names. Up to version 2 they stood in this order; `type` was not there. */
enum tensor_column { T_EXPERTS, T_ROWS, T_COLUMNS, T_DECAY, T_TRAINED, TENSOR_COLUMNS };
static const char *const tensor_column[] = {"experts", "rows", "columns", "decay", "trained"};
enum extent_column {
    X_TENSOR,
    X_KIND,
    X_LO,
    X_N = X_LO + 3,
    X_FIRST = X_N + 3,
    X_ELEMENTS,
    X_FILE,
    X_OFFSET,
    X_DIGEST,
    X_TYPE,
    EXTENT_COLUMNS,
    OLD_EXTENT_COLUMNS = X_TYPE
};
static const char *const extent_column[] = {"tensor",
                                            "kind",
                                            "box_first_expert",
                                            "box_first_row",
                                            "box_first_column",
                                            "box_experts",
                                            "box_rows",
                                            "box_columns",
                                            "first_element_in_box",
                                            "elements",
                                            "file",
                                            "offset_in_bytes",
                                            "xxh3_64",
                                            "type"};
/* Values of the columns kind and type index these lists of names. Up to version 2 kinds had the numbers of a
 * list of five, of which the first two are never saved. */
static char f32_name[] = "f32", bf16_name[] = "bf16";
static char *const type_names[] = {f32_name, bf16_name};
enum { OLD_KINDS = 5, TYPES = 2 };
static const char *const old_kind[OLD_KINDS] = {"", "", "master", "moment1", "moment2"};
static const dtype types[TYPES] = {F32, BF16};

struct book { /* an index file being written or read */
    struct h5 *h5;
    XXH3_state_t *digest;
    int64_t version;
    int n_kinds; /* what the file's numbers mean */
    enum kind *kind;
    int n_types;
    dtype *type;
};

/* Numbers with named columns. */
struct table {
    int64_t rows, columns, *x;
    int64_t at[EXTENT_COLUMNS]; /* where each wanted column is, -1: nowhere */
};

static void book_open(struct book *b)
{
    b->digest = XXH3_createState();
    XXH3_64bits_reset(b->digest);
}

static void add(struct book *b, const void *x, size_t bytes)
{
    XXH3_64bits_update(b->digest, x, bytes);
}

static status put_i64(struct book *b, const char *name, const int64_t *x, int64_t rows, int64_t columns)
{
    add(b, x, (size_t)(rows * columns) * sizeof *x);
    return h5_write_i64(b->h5, name, x, rows, columns);
}

static status put_text(struct book *b, const char *name, const char *text)
{
    add(b, text, strlen(text) + 1);
    return h5_write_text(b->h5, name, text);
}

static status put_lines(struct book *b, const char *name, char *const lines[], int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        add(b, lines[i], strlen(lines[i]) + 1);
    return h5_write_lines(b->h5, name, lines, n);
}

static status get_i64(struct book *b, const char *name, int64_t **x, int64_t *rows, int64_t *columns)
{
    int64_t *read;
    TRY(h5_read_i64(b->h5, name, &read, rows, columns));
    add(b, read, (size_t)(*rows * *columns) * sizeof *read);
    if (*rows <= INT32_MAX && *columns <= 1 << 10) {
        *x = read;
        return OK;
    }
    free(read);
    return fail(E_DATA, "%s: %lld x %lld numbers make no sense", name, (long long)*rows, (long long)*columns);
}

static status get_text(struct book *b, const char *name, char **text)
{
    TRY(h5_read_text(b->h5, name, text));
    add(b, *text, strlen(*text) + 1);
    return OK;
}

static void free_lines(char **lines, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        free(lines[i]);
    free(lines);
}

static status get_lines(struct book *b, const char *name, char ***lines, int64_t *n)
{
    char **read;
    TRY(h5_read_lines(b->h5, name, &read, n));
    for (int64_t i = 0; i < *n; i++)
        add(b, read[i], strlen(read[i]) + 1);
    if (*n <= INT32_MAX) {
        *lines = read;
        return OK;
    }
    free_lines(read, *n);
    return fail(E_DATA, "%s: too many lines", name);
}

/* ---- tables ---- */

/* Names of columns, with blanks between them. */
static status put_columns(struct book *b, const char *name, const char *const *column, int n)
{
    char *text = NULL;
    for (int i = 0; i < n; i++)
        mem_append(&text, "%s%s", i ? " " : "", column[i]);
    status s = put_text(b, name, text);
    free(text);
    return s;
}

/* Which of the names in `text` is `name`? */
static int64_t column_of(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (int64_t i = 0; *text; i++) {
        size_t length = strcspn(text, " ");
        if (length == n && !strncmp(text, name, n))
            return i;
        text += length + (text[length] == ' ');
    }
    return -1;
}

/* Columns that came later may be missing. */
static status find_columns(struct table *t, const char *name, const char *text, const char *const *column,
                           int needed, int n)
{
    for (int i = 0; i < n; i++) {
        t->at[i] = text ? column_of(text, column[i]) : i < t->columns ? i : -1;
        if (t->at[i] >= t->columns || (i < needed && t->at[i] < 0))
            return fail(E_DATA, "%s: has no column %s", name, column[i]);
    }
    return OK;
}

/* `needed` of the n columns must be there. t->x is the caller's after success. */
static status get_table(struct book *b, const char *name, const char *const *column, int needed, int n,
                        struct table *t)
{
    char *columns = mem_format("%s_columns", name), *text = NULL;
    status s = get_i64(b, name, &t->x, &t->rows, &t->columns);
    if (s == OK) {
        s = get_text(b, columns, &text);
        if (s == OK)
            s = find_columns(t, name, b->version > 2 ? text : NULL, column, needed, n);
        free(text);
        if (s != OK)
            free(t->x);
    }
    free(columns);
    return s;
}

static int64_t cell(const struct table *t, int64_t row, int column, int64_t otherwise)
{
    return t->at[column] < 0 ? otherwise : t->x[row * t->columns + t->at[column]];
}

/* ---- tensors ---- */

static status put_tensors(struct book *b, const struct ckpt_index *x)
{
    char **name = mem_new(x->n_tensors, sizeof *name);
    int64_t(*row)[TENSOR_COLUMNS] = mem_new(x->n_tensors, sizeof *row);
    for (int i = 0; i < x->n_tensors; i++) {
        const struct tensor *t = &x->tensor[i];
        name[i] = x->tensor[i].name;
        memcpy(row[i], t->dim, sizeof t->dim);
        row[i][T_DECAY] = t->decay;
        row[i][T_TRAINED] = t->trained;
    }
    status s = put_lines(b, "tensor_names", name, x->n_tensors);
    if (s == OK)
        s = put_i64(b, "tensors", row[0], x->n_tensors, TENSOR_COLUMNS);
    free(row);
    free(name);
    return s == OK ? put_columns(b, "tensors_columns", tensor_column, TENSOR_COLUMNS) : s;
}

static status tensor_from(struct tensor *t, const char *name, const struct table *table, int64_t row)
{
    int64_t size = sizeof(float);
    if (!file_name_ok(name, sizeof t->name - 1))
        return fail(E_DATA, "a tensor's name makes no sense: \"%s\"", name);
    strcpy(t->name, name);
    for (int i = 0; i < 3; i++) {
        t->dim[i] = cell(table, row, T_EXPERTS + i, 0);
        if (t->dim[i] <= 0 || !mem_mul_fits(size, t->dim[i], &size))
            return fail(E_DATA, "tensor %s: its size makes no sense", name);
    }
    t->decay = cell(table, row, T_DECAY, 0) != 0;
    t->trained = cell(table, row, T_TRAINED, 1) != 0;
    return OK;
}

static status take_tensors(struct ckpt_index *x, const struct table *t, char *const *name, int64_t names)
{
    x->tensor = mem_new(t->rows, sizeof *x->tensor);
    x->n_tensors = (int)t->rows;
    if (t->rows != names)
        return fail(E_DATA, "%lld tensors with %lld names", (long long)t->rows, (long long)names);
    for (int64_t i = 0; i < t->rows; i++)
        TRY(tensor_from(&x->tensor[i], name[i], t, i));
    return OK;
}

static status get_tensors(struct book *b, struct ckpt_index *x)
{
    char **name;
    int64_t names;
    struct table t;
    TRY(get_lines(b, "tensor_names", &name, &names));
    status s = get_table(b, "tensors", tensor_column, T_DECAY, TENSOR_COLUMNS, &t);
    if (s == OK) {
        s = take_tensors(x, &t, name, names);
        free(t.x);
    }
    free_lines(name, names);
    return s;
}

/* ---- kinds and types ---- */

static int saved_index(const char *name)
{
    int i = 0;
    while (i < SAVED_KINDS && strcmp(name, kind_name(saved_kind(i))) != 0)
        i++;
    return i;
}

static int type_index(const char *name)
{
    int i = 0;
    while (i < TYPES && strcmp(name, type_names[i]) != 0)
        i++;
    return i;
}

static status put_lists(struct book *b)
{
    char *kind[SAVED_KINDS];
    for (int i = 0; i < SAVED_KINDS; i++)
        kind[i] = mem_text(kind_name(saved_kind(i)));
    status s = put_lines(b, "kinds", kind, SAVED_KINDS);
    for (int i = 0; i < SAVED_KINDS; i++)
        free(kind[i]);
    return s == OK ? put_lines(b, "types", type_names, TYPES) : s;
}

/* A kind that this program does not know is KINDS: extents must not have it. */
static void take_kinds(struct book *b, const char *const *name, int n)
{
    b->n_kinds = n;
    b->kind = mem_new(n, sizeof *b->kind);
    for (int i = 0; i < n; i++) {
        int saved = saved_index(name[i]);
        b->kind[i] = saved < SAVED_KINDS ? saved_kind(saved) : KINDS;
    }
}

static status get_lists(struct book *b)
{
    char **line;
    int64_t n;
    if (b->version < 3) {
        take_kinds(b, old_kind, OLD_KINDS);
        return OK;
    }
    TRY(get_lines(b, "kinds", &line, &n));
    take_kinds(b, (const char *const *)line, (int)n);
    free_lines(line, n);
    TRY(get_lines(b, "types", &line, &n));
    status s = OK;
    b->n_types = (int)n;
    b->type = mem_new(n, sizeof *b->type);
    for (int64_t i = 0; i < n && s == OK; i++) {
        int known = type_index(line[i]);
        s = known < TYPES ? OK : fail(E_DATA, "numbers of type \"%s\" are not known", line[i]);
        b->type[i] = known < TYPES ? types[known] : F32;
    }
    free_lines(line, n);
    return s;
}

/* ---- extents ---- */

static void extent_to(int64_t row[EXTENT_COLUMNS], const struct extent *e)
{
    const piece *p = &e->shard.part;
    row[X_TENSOR] = e->shard.tensor;
    row[X_KIND] = saved_index(kind_name(e->shard.kind));
    memcpy(row + X_LO, p->box.lo, sizeof p->box.lo);
    memcpy(row + X_N, p->box.n, sizeof p->box.n);
    row[X_FIRST] = p->lo;
    row[X_ELEMENTS] = p->n;
    row[X_FILE] = e->file;
    row[X_OFFSET] = e->offset;
    memcpy(row + X_DIGEST, &e->digest, sizeof e->digest);
    row[X_TYPE] = e->type == BF16;
}

static bool within(int64_t lo, int64_t n, int64_t end)
{
    return lo >= 0 && n > 0 && n <= end && lo <= end - n;
}

/* False if any number points outside what it indexes. */
static bool extent_from(const struct book *b, struct extent *e, const struct table *t, int64_t row,
                        const struct ckpt_index *x)
{
    piece *p = &e->shard.part;
    int64_t tensor = cell(t, row, X_TENSOR, -1), kind = cell(t, row, X_KIND, -1),
            type = cell(t, row, X_TYPE, -1), file = cell(t, row, X_FILE, -1),
            digest = cell(t, row, X_DIGEST, 0);
    if (!within(tensor, 1, x->n_tensors) || !within(kind, 1, b->n_kinds) || b->kind[kind] == KINDS ||
        !within(file, 1, x->n_files) || (t->at[X_TYPE] >= 0 && !within(type, 1, b->n_types)))
        return false;
    e->shard.tensor = (int)tensor;
    e->shard.kind = b->kind[kind];
    e->type = type < 0 ? F32 : b->type[type];
    e->file = (int)file;
    for (int i = 0; i < 3; i++) {
        p->box.lo[i] = cell(t, row, X_LO + i, -1);
        p->box.n[i] = cell(t, row, X_N + i, -1);
        if (!within(p->box.lo[i], p->box.n[i], x->tensor[tensor].dim[i]))
            return false;
    }
    p->lo = cell(t, row, X_FIRST, -1);
    p->n = cell(t, row, X_ELEMENTS, -1);
    e->offset = cell(t, row, X_OFFSET, -1);
    memcpy(&e->digest, &digest, sizeof e->digest);
    return within(p->lo, p->n, slab_size(&p->box)) && e->offset >= 0 &&
           e->offset <= INT64_MAX - p->n * (int64_t)sizeof(float);
}

static int by_tensor(const void *a, const void *b)
{
    const struct extent *x = a, *y = b;
    const int64_t difference[4] = {x->shard.tensor - (int64_t)y->shard.tensor,
                                   (int64_t)x->shard.kind - (int64_t)y->shard.kind,
                                   x->file - (int64_t)y->file, x->offset - y->offset};
    for (int i = 0; i < 4; i++)
        if (difference[i])
            return difference[i] < 0 ? -1 : 1;
    return 0;
}

void ckpt_index_sort(struct ckpt_index *x)
{
    qsort(x->extent, (size_t)x->n_extents, sizeof *x->extent, by_tensor);
}

static status put_extents(struct book *b, const struct ckpt_index *x)
{
    int64_t(*row)[EXTENT_COLUMNS] = mem_new(x->n_extents, sizeof *row);
    for (int i = 0; i < x->n_extents; i++)
        extent_to(row[i], &x->extent[i]);
    status s = put_i64(b, "extents", row[0], x->n_extents, EXTENT_COLUMNS);
    free(row);
    return s == OK ? put_columns(b, "extents_columns", extent_column, EXTENT_COLUMNS) : s;
}

/* Every element that is saved stands in exactly one extent: one listed twice would hide one that is missing.
 * Extents `first` to `end` are those of one kind of a tensor. */
static status check_cover(const struct ckpt_index *x, int tensor, enum kind kind, int first, int end)
{
    const struct tensor *t = &x->tensor[tensor];
    bool absent = kind != MASTER && !t->trained && first == end;
    piece *part = mem_new(end - first, sizeof *part);
    for (int i = first; i < end; i++)
        part[i - first] = x->extent[i].shard.part;
    bool good = absent || pieces_tile(part, end - first, t->dim);
    free(part);
    return good ? OK
                : fail(E_DATA, "the extents of %s of %s do not hold each of its elements once",
                       kind_name(kind), t->name);
}

static status check_covers(const struct ckpt_index *x)
{
    for (int t = 0, at = 0; t < x->n_tensors; t++)
        for (int k = 0; k < SAVED_KINDS; k++) {
            int first = at;
            while (at < x->n_extents && x->extent[at].shard.tensor == t &&
                   x->extent[at].shard.kind == saved_kind(k))
                at++;
            TRY(check_cover(x, t, saved_kind(k), first, at));
        }
    return OK;
}

static status get_extents(struct book *b, struct ckpt_index *x)
{
    struct table t;
    bool good = true;
    TRY(get_table(b, "extents", extent_column, OLD_EXTENT_COLUMNS, EXTENT_COLUMNS, &t));
    x->extent = mem_new(t.rows, sizeof *x->extent);
    x->n_extents = (int)t.rows;
    for (int64_t i = 0; i < t.rows && good; i++)
        good = extent_from(b, &x->extent[i], &t, i, x);
    free(t.x);
    if (!good)
        return fail(E_DATA, "an extent makes no sense");
    ckpt_index_sort(x);
    return check_covers(x);
}

/* ---- the whole ---- */

static status put_state(struct book *b, const struct ckpt_index *x)
{
    char *state = state_to_json(&x->state), *config = config_to_json(&x->config);
    status s = put_text(b, "state", state);
    if (s == OK)
        s = put_text(b, "config", config);
    free(state);
    free(config);
    if (s == OK)
        s = put_text(b, "deck", x->state.deck ? x->state.deck : "");
    if (s == OK)
        s = put_text(b, "data", x->state.data ? x->state.data : "");
    return s == OK ? put_text(b, "about", x->about ? x->about : "{}") : s;
}

/* Of the kinds, in the order of their list. */
static status put_hashes(struct book *b, const struct ckpt_index *x)
{
    int64_t hash[SAVED_KINDS];
    for (int i = 0; i < SAVED_KINDS; i++)
        memcpy(&hash[i], &x->hash[saved_kind(i)], sizeof *hash);
    return put_i64(b, "hashes", hash, 1, SAVED_KINDS);
}

static status put_all(struct book *b, const struct ckpt_index *x)
{
    const int64_t version = VERSION;
    TRY(put_i64(b, "version", &version, 1, 1));
    TRY(put_state(b, x));
    TRY(put_lists(b));
    TRY(put_tensors(b, x));
    TRY(put_lines(b, "files", x->file, x->n_files));
    TRY(put_extents(b, x));
    TRY(put_hashes(b, x));
    uint64_t digest = XXH3_64bits_digest(b->digest);
    int64_t bits;
    memcpy(&bits, &digest, sizeof bits);
    return h5_write_i64(b->h5, "digest", &bits, 1, 1);
}

status ckpt_index_write(const struct ckpt_index *x, const char *path)
{
    struct book b = {0};
    TRY(h5_create(&b.h5, path));
    book_open(&b);
    status s = put_all(&b, x);
    XXH3_freeState(b.digest);
    if (s == OK)
        return h5_close(b.h5);
    h5_abandon(b.h5);
    return s;
}

static status get_numbers(struct book *b, const char *name, int64_t *out, int64_t n)
{
    int64_t *x = NULL, rows, columns;
    TRY(get_i64(b, name, &x, &rows, &columns));
    bool good = rows == 1 && columns == n;
    if (good)
        memcpy(out, x, (size_t)n * sizeof *out);
    free(x);
    return good ? OK
                : fail(E_DATA, "%s: %lld x %lld numbers make no sense", name, (long long)rows,
                       (long long)columns);
}

static status get_state(struct book *b, struct ckpt_index *x)
{
    char *text;
    TRY(get_text(b, "state", &text));
    status s = state_from_json(&x->state, "state", text);
    free(text);
    TRY(s);
    TRY(get_text(b, "config", &text));
    s = config_from_json(&x->config, "config", text);
    free(text);
    TRY(s);
    TRY(config_check(&x->config));
    TRY(get_text(b, "deck", &x->state.deck));
    if (b->version >= 2)
        TRY(get_text(b, "data", &x->state.data));
    return b->version >= 3 ? get_text(b, "about", &x->about) : OK;
}

/* Plain names only: an index must not lead to files elsewhere. */
static status get_files(struct book *b, struct ckpt_index *x)
{
    int64_t n;
    TRY(get_lines(b, "files", &x->file, &n));
    x->n_files = (int)n;
    for (int64_t i = 0; i < n; i++)
        if (!file_name_ok(x->file[i], NAME_MAX) || x->file[i][0] == '.' || strchr(x->file[i], '/'))
            return fail(E_DATA, "\"%s\" is not the name of a shard file", x->file[i]);
    return OK;
}

static status get_hashes(struct book *b, struct ckpt_index *x)
{
    int64_t *hash = mem_new(b->n_kinds, sizeof *hash);
    status s = get_numbers(b, "hashes", hash, b->n_kinds);
    for (int i = 0; i < b->n_kinds && s == OK; i++)
        if (b->kind[i] != KINDS)
            memcpy(&x->hash[b->kind[i]], &hash[i], sizeof *hash);
    free(hash);
    return s;
}

static status get_all(struct book *b, struct ckpt_index *x)
{
    int64_t saved;
    TRY(get_numbers(b, "version", &b->version, 1));
    if (b->version < 1 || b->version > VERSION)
        return fail(E_DATA, "has version %lld; this program reads 1 to %d", (long long)b->version, VERSION);
    TRY(get_state(b, x));
    TRY(get_lists(b));
    TRY(get_tensors(b, x));
    TRY(get_files(b, x));
    TRY(get_extents(b, x));
    TRY(get_hashes(b, x));
    x->digest = XXH3_64bits_digest(b->digest);
    TRY(get_numbers(b, "digest", &saved, 1));
    return memcmp(&x->digest, &saved, sizeof saved) == 0
               ? OK
               : fail(E_DATA, "its digest differs, the file was changed after it was written");
}

/* Whatever is wrong inside is one thing to the caller: this is no usable checkpoint. */
static status unusable(const char *path)
{
    char *why = mem_text(status_text());
    bool named = strncmp(why, path, strlen(path)) == 0;
    status s = named ? fail(E_NOCKPT, "%s", why) : fail(E_NOCKPT, "%s: %s", path, why);
    free(why);
    return s;
}

/* The bytes of a folder's index.h5. */
static status load(const char *path, char **bytes, int64_t *n)
{
    const int64_t limit = (int64_t)4 << 30;
    return ckpt_verdict(file_load(path, limit, bytes, n), "");
}

/* A folder step_N holds step N: nobody may swap folders, or copy one over another. */
static status check_name(const struct ckpt_index *x, const char *path)
{
    char *dir = mem_format("%.*s", (int)(strrchr(path, '/') - path), path);
    int64_t step = step_dir_number(dir);
    free(dir);
    if (step < 0 || step == x->state.step)
        return OK;
    return fail(E_DATA, "%s: is the index of step %lld", path, (long long)x->state.step);
}

static status parse(struct ckpt_index *x, const char *path, const char *bytes, int64_t n)
{
    struct book b = {0};
    *x = (struct ckpt_index){0};
    status s = h5_open_bytes(&b.h5, path, bytes, n);
    if (s == OK) {
        book_open(&b);
        s = get_all(&b, x);
        XXH3_freeState(b.digest);
        free(b.kind);
        free(b.type);
        h5_abandon(b.h5);
    }
    if (s == OK)
        s = check_name(x, path);
    if (s == OK)
        return OK;
    s = unusable(path);
    ckpt_index_free(x);
    return s;
}

status ckpt_index_load(struct comm *c, struct ckpt_index *x, const char *dir)
{
    char *path = mem_format("%s/index.h5", dir), *bytes = NULL;
    int64_t n = 0;
    *x = (struct ckpt_index){0};
    status s = comm_agree(c, comm_rank(c) == 0 ? load(path, &bytes, &n) : OK);
    if (s == OK) {
        comm_bcast(c, &n, sizeof n, 0);
        bytes = comm_rank(c) == 0 ? bytes : mem_new(n, 1);
        comm_bcast(c, bytes, n, 0);
        s = comm_agree(c, parse(x, path, bytes, n));
        free(bytes);
    }
    free(path);
    return s;
}

status ckpt_index_read(struct ckpt_index *x, const char *dir)
{
    char *path = mem_format("%s/index.h5", dir), *bytes = NULL;
    int64_t n;
    *x = (struct ckpt_index){0};
    status s = load(path, &bytes, &n);
    if (s == OK) {
        s = parse(x, path, bytes, n);
        free(bytes);
    }
    free(path);
    return s;
}

void ckpt_index_free(struct ckpt_index *x)
{
    free_lines(x->file, x->n_files);
    free(x->state.deck);
    free(x->state.data);
    free(x->about);
    free(x->tensor);
    free(x->extent);
    *x = (struct ckpt_index){0};
}
