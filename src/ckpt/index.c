/* index.h5: what a checkpoint holds and where. Every value passes through one digest on its way in
 * and out, so that no byte of a checkpoint is without one; what the digest cannot see (a file made
 * to mislead) is checked field by field before it is used. */
#include "ckpt/extent.h"

#include "base/file.h"
#include "base/mem.h"
#include "ckpt/step_dir.h"
#include "ckpt/text.h"
#include "format/h5.h"
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
    VERSION = 2, /* 2: data */
    TENSOR_COLUMNS = 5,
    EXTENT_COLUMNS = 13
};
static const char EXTENT_HELP[] =
    "tensor, kind (2 master, 3 moment1, 4 moment2), first index [3] and size [3] of a box, first element and "
    "number of elements of the box in row-major order, file, offset in bytes, XXH3-64 of the bytes";
static const char TENSOR_HELP[] = "size [3], weight decay, trained";

struct book { /* an index file being written or read */
    struct h5 *h5;
    XXH3_state_t *digest;
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

static status get_i64(struct book *b, const char *name, int64_t **x, int64_t *rows, int64_t columns)
{
    int64_t found, *read;
    TRY(h5_read_i64(b->h5, name, &read, rows, &found));
    add(b, read, (size_t)(*rows * found) * sizeof *read);
    if (found == columns && *rows <= INT32_MAX) {
        *x = read;
        return OK;
    }
    free(read);
    return fail(E_DATA, "%s: %lld x %lld numbers make no sense", name, (long long)*rows, (long long)found);
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

/* ---- tensors ---- */

static status put_tensors(struct book *b, const struct ckpt_index *x)
{
    char **name = mem_new(x->n_tensors, sizeof *name);
    int64_t(*row)[TENSOR_COLUMNS] = mem_new(x->n_tensors, sizeof *row);
    for (int i = 0; i < x->n_tensors; i++) {
        const struct tensor *t = &x->tensor[i];
        name[i] = x->tensor[i].name;
        memcpy(row[i], t->dim, sizeof t->dim);
        row[i][3] = t->decay;
        row[i][4] = t->trained;
    }
    status s = put_lines(b, "tensor_names", name, x->n_tensors);
    if (s == OK)
        s = put_i64(b, "tensors", row[0], x->n_tensors, TENSOR_COLUMNS);
    free(row);
    free(name);
    return s == OK ? put_text(b, "tensors_columns", TENSOR_HELP) : s;
}

static status tensor_from(struct tensor *t, const char *name, const int64_t row[TENSOR_COLUMNS])
{
    int64_t size = sizeof(float);
    if (strlen(name) == 0 || strlen(name) >= sizeof t->name)
        return fail(E_DATA, "a tensor's name makes no sense: \"%s\"", name);
    strcpy(t->name, name);
    for (int i = 0; i < 3; i++) {
        t->dim[i] = row[i];
        if (row[i] <= 0 || !mem_mul_fits(size, row[i], &size))
            return fail(E_DATA, "tensor %s: its size makes no sense", name);
    }
    t->decay = row[3] != 0;
    t->trained = row[4] != 0;
    return OK;
}

static status get_tensors(struct book *b, struct ckpt_index *x)
{
    char **name, *help;
    int64_t names, rows, *row;
    TRY(get_lines(b, "tensor_names", &name, &names));
    status s = get_i64(b, "tensors", &row, &rows, TENSOR_COLUMNS);
    if (s == OK) {
        x->tensor = mem_new(rows, sizeof *x->tensor);
        x->n_tensors = (int)rows;
        s = rows == names ? OK
                          : fail(E_DATA, "%lld tensors with %lld names", (long long)rows, (long long)names);
        for (int64_t i = 0; i < rows && s == OK; i++)
            s = tensor_from(&x->tensor[i], name[i], row + i * TENSOR_COLUMNS);
        free(row);
    }
    free_lines(name, names);
    TRY(s);
    TRY(get_text(b, "tensors_columns", &help));
    free(help);
    return OK;
}

/* ---- extents ---- */

static void extent_to(int64_t row[EXTENT_COLUMNS], const struct extent *e)
{
    const piece *p = &e->shard.part;
    row[0] = e->shard.tensor;
    row[1] = e->shard.kind;
    memcpy(row + 2, p->box.lo, sizeof p->box.lo);
    memcpy(row + 5, p->box.n, sizeof p->box.n);
    row[8] = p->lo;
    row[9] = p->n;
    row[10] = e->file;
    row[11] = e->offset;
    memcpy(row + 12, &e->digest, sizeof e->digest);
}

static bool within(int64_t lo, int64_t n, int64_t end)
{
    return lo >= 0 && n > 0 && n <= end && lo <= end - n;
}

static bool is_saved(int64_t kind)
{
    bool saved = false;
    for (int i = 0; i < SAVED_KINDS; i++)
        saved = saved || kind == (int64_t)saved_kind(i);
    return saved;
}

/* False if any number points outside what it indexes. */
static bool extent_from(struct extent *e, const int64_t row[EXTENT_COLUMNS], const struct ckpt_index *x)
{
    piece *p = &e->shard.part;
    if (!within(row[0], 1, x->n_tensors) || !is_saved(row[1]) || !within(row[10], 1, x->n_files))
        return false;
    e->shard.tensor = (int)row[0];
    e->shard.kind = (enum kind)row[1];
    e->file = (int)row[10];
    for (int i = 0; i < 3; i++) {
        p->box.lo[i] = row[2 + i];
        p->box.n[i] = row[5 + i];
        if (!within(p->box.lo[i], p->box.n[i], x->tensor[e->shard.tensor].dim[i]))
            return false;
    }
    p->lo = row[8];
    p->n = row[9];
    e->offset = row[11];
    memcpy(&e->digest, row + 12, sizeof e->digest);
    return within(p->lo, p->n, slab_size(&p->box)) && e->offset >= 0 &&
           e->offset <= INT64_MAX - p->n * (int64_t)sizeof(float);
}

/* By tensor and kind for search, then as they lie on disk for reading. */
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

static status put_extents(struct book *b, const struct ckpt_index *x)
{
    int64_t(*row)[EXTENT_COLUMNS] = mem_new(x->n_extents, sizeof *row);
    for (int i = 0; i < x->n_extents; i++)
        extent_to(row[i], &x->extent[i]);
    status s = put_i64(b, "extents", row[0], x->n_extents, EXTENT_COLUMNS);
    free(row);
    return s == OK ? put_text(b, "extents_columns", EXTENT_HELP) : s;
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
    char *help;
    int64_t rows, *row;
    bool good = true;
    TRY(get_i64(b, "extents", &row, &rows, EXTENT_COLUMNS));
    x->extent = mem_new(rows, sizeof *x->extent);
    x->n_extents = (int)rows;
    for (int64_t i = 0; i < rows && good; i++)
        good = extent_from(&x->extent[i], row + i * EXTENT_COLUMNS, x);
    free(row);
    if (!good)
        return fail(E_DATA, "an extent makes no sense");
    qsort(x->extent, (size_t)rows, sizeof *x->extent, by_tensor);
    TRY(check_covers(x));
    TRY(get_text(b, "extents_columns", &help));
    free(help);
    return OK;
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
    return s == OK ? put_text(b, "data", x->state.data ? x->state.data : "") : s;
}

static status put_all(struct book *b, const struct ckpt_index *x)
{
    const int64_t version = VERSION;
    int64_t hash[KINDS];
    memcpy(hash, x->hash, sizeof hash);
    TRY(put_i64(b, "version", &version, 1, 1));
    TRY(put_state(b, x));
    TRY(put_tensors(b, x));
    TRY(put_lines(b, "files", x->file, x->n_files));
    TRY(put_extents(b, x));
    TRY(put_i64(b, "hashes", hash, 1, KINDS));
    uint64_t digest = XXH3_64bits_digest(b->digest);
    int64_t bits;
    memcpy(&bits, &digest, sizeof bits);
    return h5_write_i64(b->h5, "digest", &bits, 1, 1);
}

status ckpt_index_write(const struct ckpt_index *x, const char *path)
{
    struct book b;
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
    int64_t *x = NULL, rows;
    TRY(get_i64(b, name, &x, &rows, n));
    if (rows == 1)
        memcpy(out, x, (size_t)n * sizeof *out);
    free(x);
    return rows == 1 ? OK : fail(E_DATA, "%s: %lld rows make no sense", name, (long long)rows);
}

static status get_state(struct book *b, struct ckpt_index *x, int64_t version)
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
    return version < 2 ? OK : get_text(b, "data", &x->state.data);
}

/* Plain names only: an index must not lead to files elsewhere. */
static status get_files(struct book *b, struct ckpt_index *x)
{
    int64_t n;
    TRY(get_lines(b, "files", &x->file, &n));
    x->n_files = (int)n;
    for (int64_t i = 0; i < n; i++)
        if (x->file[i][0] == '\0' || x->file[i][0] == '.' || strchr(x->file[i], '/'))
            return fail(E_DATA, "\"%s\" is not the name of a shard file", x->file[i]);
    return OK;
}

static status get_all(struct book *b, struct ckpt_index *x)
{
    int64_t version, hash[KINDS], saved;
    TRY(get_numbers(b, "version", &version, 1));
    if (version < 1 || version > VERSION)
        return fail(E_DATA, "has version %lld; this program reads 1 to %d", (long long)version, VERSION);
    TRY(get_state(b, x, version));
    TRY(get_tensors(b, x));
    TRY(get_files(b, x));
    TRY(get_extents(b, x));
    TRY(get_numbers(b, "hashes", hash, KINDS));
    memcpy(x->hash, hash, sizeof hash);
    uint64_t digest = XXH3_64bits_digest(b->digest), expected;
    TRY(get_numbers(b, "digest", &saved, 1));
    memcpy(&expected, &saved, sizeof expected);
    return digest == expected ? OK
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
    free(x->tensor);
    free(x->extent);
    *x = (struct ckpt_index){0};
}
