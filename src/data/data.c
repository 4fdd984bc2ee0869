#include "data/data.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/text.h"
#include "data/batch_file.h"
#include "data/blend.h"
#include "format/tokens.h"

struct set { /* a range of a token file, cut into windows of S+1 tokens that overlap by one */
    const struct tokens *tokens;
    char *name;      /* the last part of the path, or the whole path if two sets would have the same name */
    int64_t from, n; /* tokens */
    int64_t windows;
};

struct sets {
    int n;
    struct set *set;
};

struct data {
    uint64_t seed;
    int64_t vocab, sequence;
    bool documents; /* data.document_mask */
    int64_t pad;    /* data.pad_id; -1: none */
    bool from_file; /* train from batches, not from sets */
    struct batch_file batches;
    int files;
    struct tokens *file; /* owned; sets point into it */
    struct sets train, valid;
    struct blend blend;
    int32_t *line; /* [S+1] for one window */
};

/* ---- opening ---- */

static char *name_of(const struct sets *sets, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *last = slash ? slash + 1 : path;

    for (int i = 0; i < sets->n; i++)
        if (strcmp(sets->set[i].name, last) == 0)
            return mem_text(path);
    return mem_text(last);
}

static status add_set(struct data *d, struct sets *sets, const struct tokens *tokens, int64_t from, int64_t n)
{
    struct set set = {.tokens = tokens, .from = from, .n = n, .windows = (n - 1) / d->sequence};

    if (set.windows < 1)
        return fail(E_DATA, "%s: %lld tokens%s are fewer than one window of data.sequence + 1 = %lld",
                    tokens->path, (long long)n, n < tokens->total ? " of its part by data.split" : "",
                    (long long)d->sequence + 1);
    set.name = name_of(sets, tokens->path);
    sets->set = mem_grow(sets->set, sets->n + 1, sizeof set);
    sets->set[sets->n++] = set;
    return OK;
}

static status open_tokens(struct data *d, const struct data_item *item, const struct tokens **tokens)
{
    TRY(tokens_open(&d->file[d->files], item->path));
    *tokens = &d->file[d->files++];
    return OK;
}

static status open_all(struct data *d, struct sets *sets, const struct data_items *items)
{
    for (int i = 0; i < items->n; i++) {
        const struct tokens *tokens;
        TRY(open_tokens(d, &items->item[i], &tokens));
        TRY(add_set(d, sets, tokens, 0, tokens->total));
    }
    return OK;
}

/** data.split: the first part of the one file trains, the rest validates. */
static status open_split(struct data *d, const struct data_section *s)
{
    const struct tokens *tokens;

    TRY(open_tokens(d, &s->train.item[0], &tokens));
    int64_t cut = llround((double)tokens->total * (s->split.x[0] / (s->split.x[0] + s->split.x[1])));
    TRY(add_set(d, &d->train, tokens, 0, cut));
    return add_set(d, &d->valid, tokens, cut, tokens->total - cut);
}

static void open_blend(struct data *d, const struct data_items *items)
{
    double *weight = mem_new(items->n, sizeof *weight);

    for (int i = 0; i < items->n; i++)
        weight[i] = items->item[i].weight;
    blend_open(&d->blend, items->n, weight);
    free(weight);
}

static status open_sources(struct data *d, const struct data_section *s)
{
    if (s->batches) {
        TRY(batch_file_open(&d->batches, s->batches, s->sequence, d->documents));
        d->from_file = true;
    } else if (s->split.n == 2 && s->train.n == 1) {
        TRY(open_split(d, s));
    } else {
        TRY(open_all(d, &d->train, &s->train));
    }
    return open_all(d, &d->valid, &s->valid);
}

status data_open(struct data **out, const struct data_section *section, uint64_t seed, int64_t vocab)
{
    if (section->pad_id >= vocab)
        return fail(E_DECK, "data.pad_id: %lld: the vocabulary has %lld ids, from 0 on",
                    (long long)section->pad_id, (long long)vocab);
    struct data *d = mem_new(1, sizeof *d);
    *d = (struct data){.seed = seed,
                       .vocab = vocab,
                       .sequence = section->sequence,
                       .documents = section->document_mask,
                       .pad = section->pad_id};
    d->file = mem_new((int64_t)section->train.n + section->valid.n, sizeof *d->file);
    d->line = mem_new(d->sequence + 1, sizeof *d->line);
    open_blend(d, &section->train);
    status opened = open_sources(d, section);
    if (opened == OK)
        *out = d;
    else
        data_close(d);
    return opened;
}

static void close_sets(struct sets *sets)
{
    for (int i = 0; i < sets->n; i++)
        free(sets->set[i].name);
    free(sets->set);
}

void data_close(struct data *d)
{
    if (!d)
        return;
    if (d->from_file)
        batch_file_close(&d->batches);
    close_sets(&d->train);
    close_sets(&d->valid);
    for (int i = 0; i < d->files; i++)
        tokens_close(&d->file[i]);
    blend_close(&d->blend);
    free(d->file);
    free(d->line);
    free(d);
}

status data_check(struct data *d, int part, int parts, double seconds, int64_t *looked)
{
    int left = d->files + d->from_file;
    double end = clock_seconds() + seconds;
    *looked = 0;
    if (d->from_file)
        TRY(batch_file_check(&d->batches, d->vocab, part, parts, seconds / left--, looked));
    for (int i = 0; i < d->files; i++)
        TRY(tokens_check(&d->file[i], d->vocab, part, parts, (end - clock_seconds()) / left--, looked));
    return OK;
}

/* ---- what there is ---- */

static int64_t total(const struct sets *sets)
{
    int64_t n = 0;

    for (int i = 0; i < sets->n; i++)
        n = mem_add(n, sets->set[i].n);
    return n;
}

int64_t data_train_tokens(const struct data *d)
{
    const struct batch_file *f = &d->batches;

    return d->from_file ? mem_mul(mem_mul(f->steps, f->batch), f->sequence) : total(&d->train);
}

int64_t data_tokens(const struct data *d)
{
    int64_t n = d->from_file ? data_train_tokens(d) : 0;

    for (int i = 0; i < d->files; i++)
        n = mem_add(n, d->file[i].total);
    return n;
}

double data_epochs(const struct data *d, double tokens)
{
    double most = d->from_file ? tokens / (double)data_train_tokens(d) : 0;

    for (int i = 0; i < d->train.n; i++)
        most = fmax(most, tokens * d->blend.weight[i] / (double)(d->train.set[i].windows * d->sequence));
    return most;
}

int64_t data_file_steps(const struct data *d)
{
    return d->from_file ? d->batches.steps : -1;
}

void data_file_shape(const struct data *d, int64_t *sequences, int64_t *sequence)
{
    *sequences = d->from_file ? d->batches.batch : 0;
    *sequence = d->from_file ? d->batches.sequence : 0;
}

int data_valid_sets(const struct data *d)
{
    return d->valid.n;
}

static const struct set *set_of(const struct data *d, int set)
{
    const struct sets *sets = set < 0 ? &d->train : &d->valid;
    int i = set < 0 ? 0 : set;

    if (i >= sets->n)
        bug("data: set %d of %d", set, sets->n);
    return &sets->set[i];
}

const char *data_valid_name(const struct data *d, int set)
{
    return set_of(d, set)->name;
}

int64_t data_valid_windows(const struct data *d, int set, int64_t tokens)
{
    bool file = set < 0 && d->from_file;
    int64_t there = file ? d->batches.steps * d->batches.batch : set_of(d, set)->windows;
    int64_t wanted = tokens / d->sequence;

    wanted = wanted > 0 ? wanted : 1; /* a loss needs at least one window */
    return wanted < there ? wanted : there;
}

static char *about_sets(const struct sets *sets)
{
    char *text = mem_text(""), number[32];

    for (int i = 0; i < sets->n; i++)
        mem_append(&text, "%s%s %s", i ? ", " : "", sets->set[i].name,
                   text_count(number, (double)sets->set[i].n));
    return text;
}

char *data_about(const struct data *d)
{
    const struct batch_file *f = &d->batches;
    char *train = d->from_file ? mem_format("%lld steps of %lld x %lld from %s", (long long)f->steps,
                                            (long long)f->batch, (long long)f->sequence, f->file.path)
                               : about_sets(&d->train);
    char *valid = about_sets(&d->valid);
    char *text = mem_format("%s%s%s%s", train, d->from_file ? "" : " tokens to train on",
                            d->valid.n ? " | valid: " : "", valid);

    free(train);
    free(valid);
    return text;
}

static status add_tokens(const struct tokens *t, const char *use, char **text)
{
    int64_t bytes;
    uint64_t index, blocks;
    TRY(tokens_identity(t, &bytes, &index, &blocks));
    mem_append(text,
               "%s %s: %" PRId64 " tokens, %" PRId64 " documents, %" PRId64 " bytes, index %016" PRIx64
               ", blocks %016" PRIx64 "\n",
               use, t->path, t->total, t->documents, bytes, index, blocks);
    return OK;
}

static status add_batches(const struct st_file *f, char **text)
{
    uint64_t blocks;
    TRY(file_sample(f->fd, f->path, f->size, &blocks));
    mem_append(text, "train %s: %" PRId64 " bytes, blocks %016" PRIx64 "\n", f->path, f->size, blocks);
    return OK;
}

status data_identity(const struct data *d, char **text)
{
    char *lines = mem_text("");
    status s = d->from_file ? add_batches(&d->batches.file, &lines) : OK;
    for (int i = 0; i < d->files && s == OK; i++)
        s = add_tokens(&d->file[i], i < d->train.n ? "train" : "valid", &lines);
    if (s == OK)
        *text = lines;
    else
        free(lines);
    return s;
}

/* ---- samples ---- */

void data_locate(struct data *d, int64_t sample, int *set, int64_t *window)
{
    int64_t nth, windows;
    uint64_t key;

    *set = 0;
    *window = sample;
    if (d->from_file)
        return;
    if (!d->train.n)
        bug("data: nothing to train on was opened");
    *set = blend_locate(&d->blend, sample, &nth);
    windows = d->train.set[*set].windows;
    key = rng_mix(d->seed ^ rng_name("data order")); /* the set and the epoch are mixed in below */
    key = rng_mix(key + (uint64_t)*set);
    key = rng_mix(key + (uint64_t)(nth / windows));
    *window = rng_permute(key, windows, nth % windows);
}

bool data_has_begins(const struct data *d)
{
    return d->documents || d->pad >= 0;
}

bool data_has_padding(const struct data *d)
{
    return d->pad >= 0;
}

/* Padding is no target and has none. The text behind it is another document. */
static void mark_padding(const struct data *d, struct sample to)
{
    int32_t begin = 0;
    for (int64_t i = 0; i < d->sequence && d->pad >= 0; i++) {
        bool is_pad = to.ids[i] == d->pad;
        if (is_pad || to.targets[i] == d->pad)
            to.targets[i] = -1;
        if (is_pad)
            begin = (int32_t)i + 1;
        if (to.begins)
            to.begins[i] = is_pad ? -1 : to.begins[i] > begin ? to.begins[i] : begin;
    }
}

static void begin_none(const struct data *d, struct sample to)
{
    for (int64_t i = 0; i < d->sequence && to.begins; i++)
        to.begins[i] = 0;
}

static status read_batch(struct data *d, int64_t sample, struct sample to)
{
    TRY(batch_file_sample(&d->batches, sample, d->vocab, to.ids, to.targets));
    begin_none(d, to);
    if (d->documents && to.begins)
        TRY(batch_file_begins(&d->batches, sample, to.begins));
    mark_padding(d, to);
    return OK;
}

static status read_window(struct data *d, const struct set *set, int64_t window, struct sample to)
{
    size_t bytes = (size_t)d->sequence * sizeof *to.ids;
    int64_t from = set->from + window * d->sequence;

    if (window < 0 || window >= set->windows)
        bug("data: window %lld of %lld in %s", (long long)window, (long long)set->windows, set->name);
    TRY(tokens_read(set->tokens, from, d->sequence + 1, d->vocab, d->line));
    memcpy(to.ids, d->line, bytes);
    memcpy(to.targets, d->line + 1, bytes);
    begin_none(d, to);
    if (d->documents && to.begins)
        tokens_begins(set->tokens, from, d->sequence, to.begins);
    mark_padding(d, to);
    return OK;
}

status data_sample(struct data *d, int64_t sample, struct sample to)
{
    int set;
    int64_t window;

    if (d->from_file)
        return read_batch(d, sample, to);
    data_locate(d, sample, &set, &window);
    return read_window(d, &d->train.set[set], window, to);
}

status data_counted(struct data *d, int64_t first, int64_t n, int64_t *counted)
{
    if (d->from_file)
        return batch_file_counted(&d->batches, first, n, counted);
    *counted = mem_mul(n, d->sequence);
    return OK;
}

status data_window(struct data *d, int set, int64_t window, struct sample to)
{
    if (set < 0 && d->from_file)
        return read_batch(d, window, to);
    return read_window(d, set_of(d, set), window, to);
}
