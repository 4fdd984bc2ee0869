/* Looking at a data set without using it: are its ids in range, and what does it hold? */
#include <stdlib.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/spread.h"
#include "format/tokens.h"

enum { BLOCK = 1 << 13 };

static int64_t blocks_of(const struct tokens *t)
{
    return t->total / BLOCK + (t->total % BLOCK > 0);
}

static int64_t block_size(const struct tokens *t, int64_t block)
{
    int64_t left = t->total - block * BLOCK;
    return left < BLOCK ? left : BLOCK;
}

status tokens_check(const struct tokens *t, int64_t vocab, int part, int parts, double seconds,
                    int64_t *looked)
{
    int32_t ids[BLOCK];
    double end = clock_seconds() + seconds;
    struct spread blocks = spread_begin(blocks_of(t), part, parts);
    for (int64_t block; (block = spread_next(&blocks)) >= 0;) {
        int64_t n = block_size(t, block);
        TRY(tokens_read(t, block * BLOCK, n, vocab, ids));
        *looked += n;
        if (clock_seconds() >= end)
            break;
    }
    return OK;
}

/* ---- for people ---- */

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void survey_documents(const struct tokens *t, struct tokens_survey *s)
{
    if (t->documents == 0)
        return;
    int64_t *length = mem_new(t->documents, sizeof *length);
    for (int64_t i = 0; i < t->documents; i++) {
        length[i] = t->start[t->document[i + 1]] - t->start[t->document[i]];
        s->empty += length[i] == 0;
    }
    qsort(length, (size_t)t->documents, sizeof *length, ascending);
    s->shortest = length[0];
    s->median = length[(t->documents - 1) / 2];
    s->longest = length[t->documents - 1];
    free(length);
}

static void survey_ids(const struct tokens *t, const int64_t *id, int64_t n, struct tokens_survey *s)
{
    for (int64_t i = 0; i < n; i++) {
        bool first = s->looked == 0 && i == 0;
        if (first || tokens_id_less(t, id[i], s->least))
            s->least = id[i];
        if (first || tokens_id_less(t, s->largest, id[i]))
            s->largest = id[i];
    }
    s->looked += n;
}

status tokens_survey(const struct tokens *t, double seconds, struct tokens_survey *s)
{
    int64_t ids[BLOCK];
    double end = clock_seconds() + seconds;
    struct spread blocks = spread_begin(blocks_of(t), 0, 1);
    *s = (struct tokens_survey){.n = t->total < 16 ? (int)t->total : 16};
    survey_documents(t, s);
    TRY(tokens_read_raw(t, 0, s->n, s->first));
    for (int64_t block; (block = spread_next(&blocks)) >= 0;) {
        int64_t n = block_size(t, block);
        TRY(tokens_read_raw(t, block * BLOCK, n, ids));
        survey_ids(t, ids, n, s);
        if (clock_seconds() >= end)
            break;
    }
    return OK;
}
