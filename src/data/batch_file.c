#include "data/batch_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/spread.h"

enum { NOT_COUNTED = -100 }; /* as in PyTorch */

static const struct pair {
    const char *tokens, *targets, *documents;
    int rank, longer; /* dimensions; a row of tokens has S + longer of them */
} pairs[] = {
    {"train.tokens", "train.targets", "train.documents", 3, 1},
    {"tokens", "targets", "documents", 2, 0},
};
enum { PAIRS = sizeof pairs / sizeof *pairs };

/** Do the shapes of a pair agree? Fills *f if they do. */
static status read_shape(struct batch_file *f, const struct pair *pair)
{
    const struct st_tensor *x = &f->file.tensor[f->tokens], *y = &f->file.tensor[f->targets];

    if (x->rank != pair->rank || y->rank != pair->rank)
        return fail(E_DATA, "%s: %s and %s have %d and %d dimensions, not %d", f->file.path, x->name, y->name,
                    x->rank, y->rank, pair->rank);
    f->steps = pair->rank == 3 ? x->shape[0] : 1;
    f->batch = x->shape[pair->rank - 2];
    f->row = x->shape[pair->rank - 1];
    f->sequence = f->row - pair->longer;
    for (int d = 0; d < pair->rank; d++)
        if (y->shape[d] != (d == pair->rank - 1 ? f->sequence : x->shape[d]))
            return fail(E_DATA, "%s: the shapes of %s and %s do not fit: %lld and %lld in dimension %d",
                        f->file.path, x->name, y->name, (long long)x->shape[d], (long long)y->shape[d], d);
    return OK;
}

/** The array of documents must be there and have the targets' shape. */
static status find_documents(struct batch_file *f, const char *name)
{
    f->documents = st_find(&f->file, name);
    if (f->documents < 0)
        return fail(E_DATA,
                    "%s: data.document_mask needs an array %s with the number of each token's document",
                    f->file.path, name);
    const struct st_tensor *x = &f->file.tensor[f->documents], *y = &f->file.tensor[f->targets];
    if (x->rank != y->rank || memcmp(x->shape, y->shape, (size_t)y->rank * sizeof *y->shape) != 0)
        return fail(E_DATA, "%s: %s has another shape than %s", f->file.path, name, y->name);
    return OK;
}

static status find_pair(struct batch_file *f, int64_t sequence, bool documents)
{
    char found[128] = "";

    for (int i = 0; i < PAIRS; i++) {
        f->tokens = st_find(&f->file, pairs[i].tokens);
        f->targets = st_find(&f->file, pairs[i].targets);
        if (f->tokens < 0 || f->targets < 0)
            continue;
        TRY(read_shape(f, &pairs[i]));
        if (f->sequence == sequence)
            return documents ? find_documents(f, pairs[i].documents) : OK;
        size_t end = strlen(found);
        snprintf(found + end, sizeof found - end, "%s%lld in %s", end ? ", " : "", (long long)f->sequence,
                 pairs[i].tokens);
    }
    if (*found)
        return fail(E_DATA, "%s: data.sequence is %lld, its sequences have %s", f->file.path,
                    (long long)sequence, found);
    return fail(E_DATA,
                "%s: no batches in it: neither train.tokens with train.targets, nor tokens with targets",
                f->file.path);
}

status batch_file_open(struct batch_file *f, const char *path, int64_t sequence, bool documents)
{
    *f = (struct batch_file){.documents = -1};
    TRY(st_open(&f->file, path));
    status found = find_pair(f, sequence, documents);
    if (found == OK)
        f->line = mem_new(f->row, sizeof *f->line);
    else
        st_close(&f->file);
    return found;
}

void batch_file_close(struct batch_file *f)
{
    free(f->line);
    st_close(&f->file);
}

static status read_line(struct batch_file *f, int tensor, int64_t sample, int64_t n)
{
    int64_t samples = f->steps * f->batch;

    if (sample < 0 || sample >= samples)
        return fail(E_DATA, "%s: sample %lld is wanted, but it holds %lld (%lld steps of %lld)", f->file.path,
                    (long long)sample, (long long)samples, (long long)f->steps, (long long)f->batch);
    return st_read_i64(&f->file, tensor, sample * n, n, f->line);
}

static status bad_id(const struct batch_file *f, int tensor, int64_t sample, int64_t at, int64_t vocab)
{
    return fail(E_DATA, "%s: tensor %s: step %lld, row %lld, position %lld: id %lld; the vocabulary has %lld",
                f->file.path, f->file.tensor[tensor].name, (long long)(sample / f->batch),
                (long long)(sample % f->batch), (long long)at, (long long)f->line[at], (long long)vocab);
}

status batch_file_sample(struct batch_file *f, int64_t sample, int64_t vocab, int32_t *ids, int32_t *targets)
{
    TRY(read_line(f, f->tokens, sample, f->row));
    for (int64_t i = 0; i < f->row; i++) {
        if (f->line[i] < 0 || f->line[i] >= vocab)
            return bad_id(f, f->tokens, sample, i, vocab);
        if (i < f->sequence)
            ids[i] = (int32_t)f->line[i];
    }
    TRY(read_line(f, f->targets, sample, f->sequence));
    for (int64_t i = 0; i < f->sequence; i++) {
        if (f->line[i] != NOT_COUNTED && (f->line[i] < 0 || f->line[i] >= vocab))
            return bad_id(f, f->targets, sample, i, vocab);
        targets[i] = f->line[i] == NOT_COUNTED ? -1 : (int32_t)f->line[i];
    }
    return OK;
}

status batch_file_begins(struct batch_file *f, int64_t sample, int32_t *begins)
{
    TRY(read_line(f, f->documents, sample, f->sequence));
    for (int64_t i = 0; i < f->sequence; i++)
        begins[i] = i > 0 && f->line[i] == f->line[i - 1] ? begins[i - 1] : (int32_t)i;
    return OK;
}

status batch_file_counted(struct batch_file *f, int64_t first, int64_t n, int64_t *counted)
{
    *counted = 0;
    for (int64_t sample = first; sample < first + n; sample++) {
        TRY(read_line(f, f->targets, sample, f->sequence));
        for (int64_t i = 0; i < f->sequence; i++)
            *counted += f->line[i] != NOT_COUNTED;
    }
    return OK;
}

status batch_file_check(struct batch_file *f, int64_t vocab, int part, int parts, double seconds,
                        int64_t *looked)
{
    int32_t *ids = mem_new(2 * f->sequence, sizeof *ids), *targets = ids + f->sequence;
    int64_t samples = f->steps * f->batch, seen = 0, counted = 0;
    struct spread order = spread_begin(samples, part, parts);
    double end = clock_seconds() + seconds;
    status code = OK;
    for (int64_t sample; code == OK && (sample = spread_next(&order)) >= 0;) {
        code = batch_file_sample(f, sample, vocab, ids, targets);
        seen++;
        for (int64_t i = 0; i < f->sequence && code == OK; i++)
            counted += targets[i] >= 0;
        if (clock_seconds() >= end)
            break;
    }
    free(ids);
    *looked += seen * f->sequence;
    if (code == OK && seen == samples && seen > 0 && counted == 0)
        return fail(E_DATA, "%s: all targets are %d, which is not counted: there is nothing to learn",
                    f->file.path, NOT_COUNTED);
    return code;
}
