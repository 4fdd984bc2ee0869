#include "start/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/errors.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "ckpt/ckpt.h"
#include "data/data.h"
#include "device/dev.h"
#include "start/exam.h"
#include "weights/forms.h"

struct check {
    const struct deck *deck;
    struct shapes shapes;
    bool branches; /* it would begin from the checkpoint of another run folder */
    const struct start_ask *ask;
    char *read; /* the mistakes that reading the deck found */
    struct errors errors;
};

/* ---- mistakes that follow from others ---- */

/* Is one of the reported lines about the same key as `line`? */
static bool follows(const char *told, const char *line)
{
    bool does = false;
    for (const char *at = told; at && *at && !does; at += strcspn(at, "\n"), at += *at == '\n') {
        char *mistake = mem_format("%.*s", (int)strcspn(at, "\n"), at);
        does = deck_follows(line, mistake);
        free(mistake);
    }
    return does;
}

/* The length of "FILE:LINE:COLUMN: KEY: " at the beginning of a line; 0 if it does not begin so. */
static size_t place_and_key(const char *line)
{
    const char *place = strstr(line, ": "), *key = place ? strstr(place + 2, ": ") : NULL;
    return key ? (size_t)(key - line) + 2 : 0;
}

/* Was something reported already about this key at this position? */
static bool is_told(const char *told, const char *line)
{
    size_t n = place_and_key(line);
    for (const char *at = told; at && *at && n > 0; at += strcspn(at, "\n"), at += *at == '\n')
        if (!strncmp(at, line, n))
            return true;
    return false;
}

/* Add the mistakes of a call that failed, except those that follow from mistakes of reading, and with `once`,
 * those at a position that has a mistake already. */
static bool take(struct check *c, status code, bool once)
{
    char *before = once ? mem_text(c->errors.text) : NULL;
    if (code == OK)
        return true;
    char *text = mem_text(status_text());
    for (const char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n') {
        char *line = mem_format("%.*s", (int)strcspn(at, "\n"), at);
        if (!follows(c->read, line) && !is_told(before, line))
            errors_say(&c->errors, code, "%s", line);
        free(line);
    }
    free(before);
    free(text);
    return false;
}

/* The same for a call that knows no deck, whose lines get their positions here. */
static bool take_placed(struct check *c, status code)
{
    return take(c, deck_place(c->deck, code, NULL), false);
}

/* Do further checks make sense after the mistakes that reading found? */
static bool goes_on(const char *read)
{
    bool does = true;
    for (const char *at = read; at && *at && does; at += strcspn(at, "\n"), at += *at == '\n') {
        char *mistake = mem_format("%.*s", (int)strcspn(at, "\n"), at);
        does = deck_names_key(mistake);
        free(mistake);
    }
    return does;
}

/* ---- layout and device ---- */

static int64_t gcd(int64_t a, int64_t b)
{
    return b == 0 ? a : gcd(b, a % b);
}

/* All numbers of ranks that fit are multiples of this. */
static int64_t least_ranks(const struct parallel_section *p)
{
    int64_t experts = p->expert * p->expert_tensor;
    return p->tensor / gcd(p->tensor, experts) * experts;
}

static char *layout_fails(const struct check *c, int ranks)
{
    const struct parallel_section *p = &c->deck->parallel;
    struct layout_needs needs = config_needs(&c->shapes.target);
    struct layout l;
    return layout_make(&l, ranks, (int)p->tensor, (int)p->expert, (int)p->expert_tensor, &needs);
}

static void check_layout(struct check *c)
{
    const char *origin = deck_origin(c->deck, "parallel.tensor");
    char *why = layout_fails(c, c->ask->ranks > 0 ? c->ask->ranks : start_least_ranks(c->deck));
    if (why && !strcmp(origin, "default"))
        origin = c->deck->file;
    if (why && !follows(c->errors.text, why)) /* a wrong divisor may have been reported already */
        take_placed(c, fail(E_DECK, deck_where(c->deck, why) ? "%.0s%s" : "%s: %s", origin, why));
    free(why);
}

int start_least_ranks(const struct deck *deck)
{
    int64_t least = least_ranks(&deck->parallel);
    return (int)(least < 1 << 20 ? least : 1 << 20);
}

char *start_ranks(const struct deck *deck)
{
    enum { SHOWN = 12 };
    int64_t least = least_ranks(&deck->parallel), shown = 0;
    int64_t micros = deck->batch.sequences / deck->batch.micro, most = micros * deck->parallel.tensor;
    char *text = mem_text("");
    for (int64_t n = least; n <= most && shown < SHOWN; n += least)
        if (micros % (n / deck->parallel.tensor) == 0)
            mem_append(&text, "%s%lld", shown++ ? ", " : "", (long long)n);
    if (shown == 0)
        mem_append(&text, "multiples of %lld", (long long)least);
    mem_append(&text, " rank%s", shown == 1 && least == 1 ? "" : "s");
    return text;
}

static void check_device(struct check *c)
{
    const char *type = choice_name(device_types, c->deck->device.type);
    if (!dev_is_known(type))
        take_placed(c, fail(E_RESOURCE, "device.type: %s was not compiled into this program; use cpu", type));
}

/* ---- data ---- */

/* Open one data set alone, so that the mistakes of each are reported. NULL if it cannot be used. */
static struct data *check_set(struct check *c, const struct data_section *alone)
{
    struct data *data = NULL;
    int64_t vocab = c->shapes.shaped ? c->shapes.target.vocab : INT32_MAX;
    if (!take_placed(c, data_open(&data, alone, (uint64_t)c->deck->run.seed, vocab)))
        return NULL;
    int64_t looked;
    const struct deck *d = c->deck;
    int sets = d->data.train.n + d->data.valid.n + (d->data.batches != NULL);
    take_placed(c, data_check(data, 0, 1, (double)START_LOOK / sets, &looked));
    return data;
}

static void check_sets(struct check *c, const struct data_items *items, bool train)
{
    const struct data_section *all = &c->deck->data;
    bool cut = train && items->n == 1;
    for (int i = 0; i < items->n; i++) {
        struct data_section alone = {.sequence = all->sequence, .pad_id = train && i == 0 ? all->pad_id : -1};
        struct data_items one = {.n = 1, .item = &items->item[i]};
        *(train ? &alone.train : &alone.valid) = one;
        if (cut)
            alone.split = all->split;
        data_close(check_set(c, &alone));
    }
}

/* A file of batches fixes how many sequences a step has, and how many steps there are. */
static void check_batches(struct check *c)
{
    const struct deck *d = c->deck;
    const struct data_section alone = {.sequence = d->data.sequence,
                                       .batches = d->data.batches,
                                       .document_mask = d->data.document_mask,
                                       .pad_id = d->data.pad_id};
    struct data *data = check_set(c, &alone);
    int64_t sequences, sequence, steps = deck_steps(d);
    if (!data)
        return;
    data_file_shape(data, &sequences, &sequence);
    if (sequences != d->batch.sequences)
        take_placed(c, fail(E_DECK, "batch.sequences: %lld, but the batches of %s have %lld",
                            (long long)d->batch.sequences, d->data.batches, (long long)sequences));
    if (c->ask->folder && steps > data_file_steps(data))
        take_placed(c, fail(E_DECK, "run.steps: %lld, but %s holds %lld batches", (long long)steps,
                            d->data.batches, (long long)data_file_steps(data)));
    data_close(data);
}

static void check_data(struct check *c)
{
    check_sets(c, &c->deck->data.train, true);
    check_sets(c, &c->deck->data.valid, false);
    if (c->deck->data.batches)
        check_batches(c);
}

static void check_tasks(struct check *c)
{
    struct exam exam;
    take_placed(c, start_exam(&exam, c->deck, &c->shapes.target));
    exam_close(&exam);
}

/* Are the data those of the checkpoint, so that no sample is repeated or left out? */
static void check_same_data(struct check *c, const char *checkpoint)
{
    struct ckpt_index index;
    struct data *data;
    char *identity = NULL;
    if (ckpt_index_read(&index, checkpoint) != OK)
        return;
    if (data_open(&data, &c->deck->data, (uint64_t)c->deck->run.seed, c->shapes.target.vocab) == OK) {
        take(c, start_same_data(data, &index, checkpoint, c->branches, &identity), false);
        data_close(data);
    }
    free(identity);
    ckpt_index_free(&index);
}

/* ---- weights ---- */

/* Read every array of a source, to see that its bytes are there and are finite numbers. */
static status read_source(struct source *s)
{
    int64_t bytes = 0;
    status code = OK;
    for (int i = 0; i < s->n && code == OK; i++) {
        slab plane = {.n = {1, s->array[i].dim[1], s->array[i].dim[2]}};
        float *out = mem_new(slab_size(&plane), sizeof *out);
        for (; plane.lo[0] < s->array[i].dim[0] && code == OK; plane.lo[0]++)
            code = source_read(s, i, plane, out, &bytes);
        free(out);
    }
    return code;
}

static status read_plan(const struct fill_plan *plan)
{
    int64_t bytes = 0;
    TRY(plan_check_heads(plan, 0, 1, &bytes));
    for (int i = 0; i < PLAN_SOURCES; i++)
        if (plan->source[i] && plan->source[i]->path)
            TRY(read_source(plan->source[i]));
    return OK;
}

/* Do the files have all tensors of the model, with the right sizes and types? */
static void check_weights(struct check *c)
{
    struct model model;
    struct fill_plan plan;
    model_open(&model, &c->shapes.target, &layout_alone);
    if (take_placed(c, shapes_plan(&c->shapes, c->deck, &model, &plan))) {
        if (c->ask->alone)
            take_placed(c, read_plan(&plan));
        plan_free(&plan);
    }
    model_close(&model);
}

/* ---- the run folder ---- */

/* Is there room on the disk for a checkpoint of this model? */
static void check_room(struct check *c, bool begins)
{
    struct model model;
    model_open(&model, &c->shapes.target, &layout_alone);
    take_placed(c, start_room(c->deck, &model, begins));
    model_close(&model);
}

/* Can a folder be made? The nearest folder above it that exists must be writable. */
static status can_be_made(const char *folder)
{
    char *at = io_nearest(folder);
    struct stat about;
    status code = OK;
    errno = 0;
    if (io_stat(at, &about) != 0 || (!S_ISDIR(about.st_mode) && (errno = ENOTDIR)))
        code = fail(E_SPACE, "run.dir: %s cannot be made: %s: %s", folder, at, strerror(errno));
    else if (io_access(at, W_OK | X_OK) != 0)
        code = fail(E_SPACE, "run.dir: %s cannot be written: %s: %s", folder, at, strerror(errno));
    free(at);
    return code;
}

/* *checkpoint: the one that train would continue, or begin a branch from; NULL if it would begin anew. */
static void find_checkpoint(struct check *c, char **checkpoint)
{
    const char *folder = c->ask->folder;
    *checkpoint = NULL;
    if (!folder || !take_placed(c, can_be_made(folder)) || c->ask->fresh)
        return;
    bool found = take_placed(c, ckpt_newest(folder, checkpoint));
    c->branches = found && !*checkpoint && c->ask->trunk;
    if (c->branches)
        take_placed(c, ckpt_newest(c->ask->trunk, checkpoint));
}

/* A run that goes on has the checkpoint's shape. */
static bool continue_shape(struct check *c, const char *checkpoint)
{
    struct ckpt_index index;
    if (!take_placed(c, ckpt_index_read(&index, checkpoint)))
        return false;
    bool good = c->branches || take(c, start_continues(c->deck, &index, checkpoint, c->ask->folder), false);
    if (good)
        good = take_placed(c, start_continue(&c->shapes, c->deck, &index, checkpoint));
    c->shapes.shaped = good;
    ckpt_index_free(&index);
    return good;
}

/* ---- models that can be trained, with a warning ---- */

static void warn_export(const struct check *c)
{
    const struct form *form;
    if (export_form(&form, &c->shapes.target, "auto") != OK && deck_place(c->deck, E_DATA, NULL) != OK)
        log_warn("%s; training is possible, coppice export is not", status_text());
}

/* Definitions, "Trap": where the gradient is 0, Adam turns rounding noise into whole steps. */
static void warn_router(const struct check *c)
{
    const struct moe *m = &c->shapes.target.moe;
    const char *key = "model.moe.aux_loss_coeff", *where = deck_where(c->deck, key);
    if (shapes_experts_equal(&c->shapes) && m->aux_coeff == 0 && m->z_coeff == 0 && m->max_z_coeff == 0)
        log_warn(
            "%s%s%s: 0, no z loss: the router's gradient is exactly 0 at first, so Adam follows rounding",
            where ? where : "", where ? ": " : "", key);
}

/* ---- the whole ---- */

static void check_all(struct check *c)
{
    char *checkpoint;
    take(c, deck_check(c->deck), false);
    find_checkpoint(c, &checkpoint);
    bool known = checkpoint ? continue_shape(c, checkpoint) : take(c, shapes_read(&c->shapes, c->deck), true);
    if (c->shapes.shaped)
        check_layout(c);
    check_device(c);
    check_data(c);
    if (c->shapes.shaped)
        check_tasks(c);
    if (known && !checkpoint)
        check_weights(c);
    if (known && checkpoint && c->ask->alone && c->errors.n == 0)
        check_same_data(c, checkpoint);
    if (known && c->ask->alone && c->ask->folder)
        check_room(c, !checkpoint);
    if (c->errors.n == 0)
        warn_export(c);
    if (c->errors.n == 0 && !checkpoint)
        warn_router(c);
    free(checkpoint);
}

status start_check(const struct deck *deck, status read, const struct start_ask *ask)
{
    struct check c = {.deck = deck, .ask = ask, .shapes = {.key = "model.like"}};
    errors_take(&c.errors, read);
    c.read = mem_text(c.errors.text);
    if (goes_on(c.read))
        check_all(&c);
    shapes_free(&c.shapes);
    free(c.read);
    return errors_end(&c.errors);
}
