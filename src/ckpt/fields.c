#include "ckpt/fields.h"

#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"

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
_Static_assert((int)EXTENT_COLUMNS <= (int)COLUMNS_MOST, "struct table has room for all columns");
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

/* ---- tensors ---- */

status fields_put_tensors(struct book *b, const struct ckpt_index *x)
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
    status s = book_put_lines(b, "tensor_names", name, x->n_tensors);
    if (s == OK)
        s = book_put_i64(b, "tensors", row[0], x->n_tensors, TENSOR_COLUMNS);
    free(row);
    free(name);
    return s == OK ? book_put_columns(b, "tensors_columns", tensor_column, TENSOR_COLUMNS) : s;
}

static status tensor_from(struct tensor *t, const char *name, const struct table *table, int64_t row)
{
    int64_t size = sizeof(float);
    if (!file_name_ok(name, sizeof t->name - 1))
        return fail(E_DATA, "a tensor's name makes no sense: \"%s\"", name);
    strcpy(t->name, name);
    for (int i = 0; i < 3; i++) {
        t->dim[i] = table_cell(table, row, T_EXPERTS + i, 0);
        if (t->dim[i] <= 0 || !mem_mul_fits(size, t->dim[i], &size))
            return fail(E_DATA, "tensor %s: its size makes no sense", name);
    }
    t->decay = table_cell(table, row, T_DECAY, 0) != 0;
    t->trained = table_cell(table, row, T_TRAINED, 1) != 0;
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

status fields_get_tensors(struct book *b, struct ckpt_index *x)
{
    char **name;
    int64_t names;
    struct table t;
    TRY(book_get_lines(b, "tensor_names", &name, &names));
    status s = book_get_table(b, "tensors", tensor_column, T_DECAY, TENSOR_COLUMNS, &t);
    if (s == OK) {
        s = take_tensors(x, &t, name, names);
        free(t.x);
    }
    book_free_lines(name, names);
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

status fields_put_lists(struct book *b)
{
    char *kind[SAVED_KINDS];
    for (int i = 0; i < SAVED_KINDS; i++)
        kind[i] = mem_text(kind_name(saved_kind(i)));
    status s = book_put_lines(b, "kinds", kind, SAVED_KINDS);
    for (int i = 0; i < SAVED_KINDS; i++)
        free(kind[i]);
    return s == OK ? book_put_lines(b, "types", type_names, TYPES) : s;
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

status fields_get_lists(struct book *b)
{
    char **line;
    int64_t n;
    if (b->version < 3) {
        take_kinds(b, old_kind, OLD_KINDS);
        return OK;
    }
    TRY(book_get_lines(b, "kinds", &line, &n));
    take_kinds(b, (const char *const *)line, (int)n);
    book_free_lines(line, n);
    TRY(book_get_lines(b, "types", &line, &n));
    status s = OK;
    b->n_types = (int)n;
    b->type = mem_new(n, sizeof *b->type);
    for (int64_t i = 0; i < n && s == OK; i++) {
        int known = type_index(line[i]);
        s = known < TYPES ? OK : fail(E_DATA, "numbers of type \"%s\" are not known", line[i]);
        b->type[i] = known < TYPES ? types[known] : F32;
    }
    book_free_lines(line, n);
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
    int64_t tensor = table_cell(t, row, X_TENSOR, -1), kind = table_cell(t, row, X_KIND, -1),
            type = table_cell(t, row, X_TYPE, -1), file = table_cell(t, row, X_FILE, -1),
            digest = table_cell(t, row, X_DIGEST, 0);
    if (!within(tensor, 1, x->n_tensors) || !within(kind, 1, b->n_kinds) || b->kind[kind] == KINDS ||
        !within(file, 1, x->n_files) || (t->at[X_TYPE] >= 0 && !within(type, 1, b->n_types)))
        return false;
    e->shard.tensor = (int)tensor;
    e->shard.kind = b->kind[kind];
    e->type = type < 0 ? F32 : b->type[type];
    e->file = (int)file;
    for (int i = 0; i < 3; i++) {
        p->box.lo[i] = table_cell(t, row, X_LO + i, -1);
        p->box.n[i] = table_cell(t, row, X_N + i, -1);
        if (!within(p->box.lo[i], p->box.n[i], x->tensor[tensor].dim[i]))
            return false;
    }
    p->lo = table_cell(t, row, X_FIRST, -1);
    p->n = table_cell(t, row, X_ELEMENTS, -1);
    e->offset = table_cell(t, row, X_OFFSET, -1);
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

status fields_put_extents(struct book *b, const struct ckpt_index *x)
{
    int64_t(*row)[EXTENT_COLUMNS] = mem_new(x->n_extents, sizeof *row);
    for (int i = 0; i < x->n_extents; i++)
        extent_to(row[i], &x->extent[i]);
    status s = book_put_i64(b, "extents", row[0], x->n_extents, EXTENT_COLUMNS);
    free(row);
    return s == OK ? book_put_columns(b, "extents_columns", extent_column, EXTENT_COLUMNS) : s;
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

status fields_get_extents(struct book *b, struct ckpt_index *x)
{
    struct table t;
    bool good = true;
    TRY(book_get_table(b, "extents", extent_column, OLD_EXTENT_COLUMNS, EXTENT_COLUMNS, &t));
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
