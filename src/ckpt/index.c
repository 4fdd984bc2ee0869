/* index.h5: what a checkpoint holds and where. Every value passes through one digest on its way in
 * and out, so that no byte of a checkpoint is without one; what the digest cannot see (a file made
 * to mislead) is checked field by field before it is used. */
#include "ckpt/extent.h"

#include "base/file.h"
#include "base/mem.h"
#include "ckpt/fields.h"
#include "ckpt/step_dir.h"
#include "ckpt/text.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* 1: of Coppice 0.1. 2: data. 3: columns, kinds, types and choices by name, run, about. */
enum { VERSION = 3 };

static status put_state(struct book *b, const struct ckpt_index *x)
{
    char *state = state_to_json(&x->state), *config = config_to_json(&x->config);
    status s = book_put_text(b, "state", state);
    if (s == OK)
        s = book_put_text(b, "config", config);
    free(state);
    free(config);
    if (s == OK)
        s = book_put_text(b, "deck", x->state.deck ? x->state.deck : "");
    if (s == OK)
        s = book_put_text(b, "data", x->state.data ? x->state.data : "");
    return s == OK ? book_put_text(b, "about", x->about ? x->about : "{}") : s;
}

/* Of the kinds, in the order of their list. */
static status put_hashes(struct book *b, const struct ckpt_index *x)
{
    int64_t hash[SAVED_KINDS];
    for (int i = 0; i < SAVED_KINDS; i++)
        memcpy(&hash[i], &x->hash[saved_kind(i)], sizeof *hash);
    return book_put_i64(b, "hashes", hash, 1, SAVED_KINDS);
}

static status put_all(struct book *b, const struct ckpt_index *x)
{
    const int64_t version = VERSION;
    TRY(book_put_i64(b, "version", &version, 1, 1));
    TRY(put_state(b, x));
    TRY(fields_put_lists(b));
    TRY(fields_put_tensors(b, x));
    TRY(book_put_lines(b, "files", x->file, x->n_files));
    TRY(fields_put_extents(b, x));
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
    TRY(book_get_i64(b, name, &x, &rows, &columns));
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
    TRY(book_get_text(b, "state", &text));
    status s = state_from_json(&x->state, "state", text);
    free(text);
    TRY(s);
    TRY(book_get_text(b, "config", &text));
    s = config_from_json(&x->config, "config", text);
    free(text);
    TRY(s);
    TRY(config_check(&x->config));
    TRY(book_get_text(b, "deck", &x->state.deck));
    if (b->version >= 2)
        TRY(book_get_text(b, "data", &x->state.data));
    return b->version >= 3 ? book_get_text(b, "about", &x->about) : OK;
}

/* Plain names only: an index must not lead to files elsewhere. */
static status get_files(struct book *b, struct ckpt_index *x)
{
    int64_t n;
    TRY(book_get_lines(b, "files", &x->file, &n));
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
    int64_t saved = 0;
    TRY(get_numbers(b, "version", &b->version, 1));
    if (b->version < 1 || b->version > VERSION)
        return fail(E_DATA, "has version %lld; this program reads 1 to %d", (long long)b->version, VERSION);
    TRY(get_state(b, x));
    TRY(fields_get_lists(b));
    TRY(fields_get_tensors(b, x));
    TRY(get_files(b, x));
    TRY(fields_get_extents(b, x));
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
    book_free_lines(x->file, x->n_files);
    free(x->state.deck);
    free(x->state.data);
    free(x->about);
    free(x->tensor);
    free(x->extent);
    *x = (struct ckpt_index){0};
}
