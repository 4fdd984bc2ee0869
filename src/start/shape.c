#include "start/shape.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/errors.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "ckpt/ckpt.h"
#include "format/companions.h"
#include "format/hf_config.h"
#include "format/hf_folder.h"
#include "start/apply.h"
#include "weights/config_hf.h"

static bool exists(const char *dir, const char *name)
{
    char *path = mem_format("%s/%s", dir, name);
    bool there = io_exists(path);
    free(path);
    return there;
}

static status read_hf(struct config *c, const char *dir, const struct deck *deck)
{
    struct hf_config hf;
    TRY(hf_config_read(&hf, dir, deck->model.ignore.path, deck->model.ignore.n));
    for (int i = 0; i < hf.n_notes; i++)
        log_warn("%s", hf.notes[i]);
    status s = config_from_hf(c, &hf);
    char *whole = realpath(dir, NULL);
    if (s == OK && whole && strlen(whole) < sizeof c->carried.folder)
        strcpy(c->carried.folder, whole);
    free(whole);
    hf_config_free(&hf);
    return s;
}

status shapes_locate(const char *path, bool *checkpoint, char **dir)
{
    *checkpoint = !exists(path, "config.json");
    *dir = NULL;
    if (!*checkpoint) {
        *dir = mem_text(path);
        return OK;
    }
    bool ours = exists(path, "index.h5") || exists(path, "ckpt") || exists(path, "resolved.yaml");
    return ours ? ckpt_resolve(path, dir) : hf_folder_no_model(path);
}

/* Read the shape of a Hugging Face directory, a checkpoint or a run folder. */
static status read_shape(struct config *c, const char *path, const struct deck *deck)
{
    struct ckpt_index index;
    char *dir;
    bool checkpoint;
    TRY(shapes_locate(path, &checkpoint, &dir));
    status code = checkpoint ? ckpt_index_read(&index, dir) : read_hf(c, dir, deck);
    free(dir);
    if (code != OK || !checkpoint)
        return code;
    *c = index.config;
    ckpt_index_free(&index);
    return OK;
}

/* Prefix an error message with its subject. */
static status about(const char *what, status code)
{
    if (code == OK)
        return OK;
    char *why = mem_text(status_text());
    code = fail(code, "%s: %s", what, why);
    free(why);
    return code;
}

/* Prefix the message about a model with the key that names it, and with the key's position. */
static status about_key(const struct deck *deck, const char *key, status code)
{
    if (code != E_DATA && code != E_NOCKPT)
        return code;
    char *what = mem_format("%s: %s", deck_origin(deck, key), key);
    code = about(what, code);
    free(what);
    return code;
}

/* Add a mistake with its position to the list. If it names no key, it is about where the weights come from.
 */
static bool note(const struct shapes *s, const struct deck *deck, struct errors *e, status code)
{
    return errors_take(e, deck_place(deck, code, s->key));
}

/* Can the source become the target's trunk? */
static status read_grow(struct shapes *s, const char *from, const struct deck *deck)
{
    TRY(grow_choose(&s->grow, deck->start.grow.method, deck->start.grow.depth, deck->start.grow.scope));
    return about(from, grow_check(&s->target, &s->source, &s->grow));
}

/* Note and warn of settings other than sizes in which the target differs from a model. The target's settings
 * count. */
static void add_changes(struct shapes *s, const char *key, const char *path, const struct config *from)
{
    char *changes = config_changes(from, &s->target);
    if (!changes)
        return;
    s->changes = mem_grow(s->changes, s->n_changes + 1, sizeof *s->changes);
    s->changes[s->n_changes] =
        mem_format("%s %s was made with other settings than this model has: %s", key, path, changes);
    log_warn("%s; what this model has counts", s->changes[s->n_changes++]);
    free(changes);
}

/* Check that a parent of experts has the source's shape. */
static status check_parent(struct shapes *s, const char *parent, const struct deck *deck)
{
    struct config c;
    char is[96], wants[96];
    TRY(about_key(deck, "start.upcycle.parents", read_shape(&c, parent, deck)));
    if (c.moe.experts == 0 && config_same_trunk(&c, &s->source)) {
        add_changes(s, "start.upcycle.parents", parent, &c);
        return OK;
    }
    return fail(E_DECK,
                "start.upcycle.parents: %s (%s): parents are dense and of the shape of start.from (%s)",
                parent, config_text(&c, is), config_text(&s->source, wants));
}

static void read_upcycle(struct shapes *s, const char *from, const struct deck *deck, struct errors *e)
{
    const struct paths *parents = &deck->start.upcycle.parents;
    s->upcycle = (struct upcycle){.router = deck->start.upcycle.router,
                                  .router_std = deck->start.upcycle.router_std,
                                  .parents = parents->n,
                                  .noise = deck->start.upcycle.noise,
                                  .reinit = deck->start.upcycle.reinit,
                                  .reinit_std = deck->start.upcycle.reinit_std};
    s->parent = parents->path;
    upcycle_scales(&s->target, &deck->start.upcycle.weight_scale, &s->upcycle);
    note(s, deck, e, about(from, upcycle_check(&s->target, &s->source, &s->upcycle)));
    if (parents->n > PARENTS_MOST)
        note(s, deck, e, fail(E_DECK, "start.upcycle.parents: %d: at most %d", parents->n, PARENTS_MOST));
    for (int i = 0; i < parents->n && i < PARENTS_MOST; i++)
        note(s, deck, e, check_parent(s, parents->path[i], deck));
}

/* noise, reinit and parents act on new experts: refuse them where the start makes none. */
static status check_new(const struct shapes *s, const struct deck *deck)
{
    bool made = s->start == START_UPCYCLE;
    const char *key = deck->start.upcycle.noise > 0       ? "noise"
                      : deck->start.upcycle.reinit > 0    ? "reinit"
                      : deck->start.upcycle.parents.n > 0 ? "parents"
                                                          : NULL;
    if (made || !key)
        return OK;
    return fail(
        E_DECK,
        "start.upcycle.%s: no experts are made at this start; give model.moe.experts, more than it has", key);
}

/* Take from the target what config.json cannot say about the source; a checkpoint's config says all. */
static void complete_source(struct shapes *s)
{
    if (s->checkpoint)
        return;
    s->source.moe.order = s->target.moe.order;
    s->source.moe.renormalise = s->target.moe.renormalise;
    if (s->source.moe.shared == 0) { /* Mixtral's form has no word for them */
        s->source.moe.shared = s->target.moe.shared;
        s->source.moe.shared_gate = s->target.moe.shared_gate;
    }
    s->source.moe.capacity_ppm = s->target.moe.capacity_ppm;
    s->source.moe.capacity_rule = s->target.moe.capacity_rule;
    s->source.moe.capacity_policy = s->target.moe.capacity_policy;
}

/* Token ids and tokenizer come from model.like, or if it has none, from where the weights come from. */
static void carry(struct config *target, const struct config *source)
{
    if (target->vocab != source->vocab)
        return;
    if (!*target->carried.keys)
        strcpy(target->carried.keys, source->carried.keys);
    if (!companions_there(target->carried.folder) && companions_there(source->carried.folder))
        strcpy(target->carried.folder, source->carried.folder);
}

bool shapes_experts_equal(const struct shapes *s)
{
    return s->start == START_UPCYCLE && s->target.moe.granularity == 1 &&
           upcycle_is_copy(&s->target, &s->source, &s->upcycle) && upcycle_weights_sum_to_one(&s->target.moe);
}

/* Refuse a start whose experts would stay equal for ever. With a zero router, equal experts get the same
 * logit and, where they are chosen, the same gradient, so the router's gradient is exactly 0 at every step.
 */
static status check_apart(const struct shapes *s)
{
    const struct moe *m = &s->target.moe;
    bool equal = s->upcycle.router == ROUTER_ZERO && shapes_experts_equal(s);
    if (!equal || m->aux_coeff > 0 || m->max_z_coeff > 0 || m->bias_rate > 0)
        return OK;
    return fail(
        E_DECK,
        "start.upcycle.router: zero: equal experts stay equal, so it never learns; use copy or normal, "
        "or noise");
}

/* Decide how the run starts, given the target and the shape of `from` in s->source. */
static void decide_start(struct shapes *s, const char *from, const struct deck *deck, struct errors *e)
{
    if (!note(s, deck, e, about_key(deck, s->key, shapes_locate(from, &s->checkpoint, &s->dir))))
        return;
    complete_source(s);
    carry(&s->target, &s->source);
    if (!note(s, deck, e, config_check(&s->source)))
        return;
    add_changes(s, s->key, from, &s->source);
    bool from_moe = s->source.moe.experts > 0, to_moe = s->target.moe.experts > 0;
    bool grows = !config_same_trunk(&s->source, &s->target);
    bool more = s->target.moe.experts > s->source.moe.experts;
    note(s, deck, e, read_grow(s, from, deck));
    if (from_moe || to_moe)
        read_upcycle(s, from, deck, e);
    s->start = to_moe && (!from_moe || more) ? START_UPCYCLE : grows ? START_GROW : START_SAME;
    note(s, deck, e, check_new(s, deck));
    note(s, deck, e, check_apart(s));
}

/* Refuse sequences longer than the model was made for: beyond its positions it has never seen the rotary
 * angles. config.json's number includes its rotary scaling. */
static status check_length(const struct shapes *s, const struct deck *deck)
{
    int64_t n = deck->data.sequence, most = s->target.max_positions;
    if (n < 2)
        return fail(E_DECK,
                    "data.sequence: %lld: attention over one token is 1 whatever Q and K say, so they never "
                    "learn; give at least 2",
                    (long long)n);
    if (n <= most)
        return OK;
    return fail(
        E_DECK,
        "data.sequence: %lld is more than the %lld positions of max_position_embeddings; if you mean it: "
        "model.max_positions: %lld",
        (long long)n, (long long)most, (long long)n);
}

static void decide(struct shapes *s, const struct deck *deck, struct errors *e)
{
    const char *from = deck->start.from ? deck->start.from : deck->model.like, *like = deck->model.like;
    bool random = !from || !strcmp(from, "random"), read = true;
    *s = (struct shapes){.target = {.norm_eps = 1e-5, .rope = {.theta = 10000}, .max_positions = 2048}};
    s->key = deck->start.from ? "start.from" : "model.like";
    if (!random)
        read = note(s, deck, e, about_key(deck, s->key, read_shape(&s->source, from, deck)));
    if (!random && (!like || !strcmp(like, from)))
        s->target = s->source;
    else if (like)
        read = note(s, deck, e, about_key(deck, "model.like", read_shape(&s->target, like, deck))) && read;
    if (!read || !note(s, deck, e, apply_deck(&s->target, deck)))
        return;
    note(s, deck, e, check_length(s, deck));
    s->shaped = note(s, deck, e, config_check(&s->target));
    if (!s->shaped)
        return;
    note(s, deck, e, config_learns(&s->target));
    if (!random) {
        decide_start(s, from, deck, e);
        return;
    }
    s->source = s->target;
    s->start = START_RANDOM;
    note(s, deck, e, check_new(s, deck));
}

status shapes_read(struct shapes *s, const struct deck *deck)
{
    struct errors e = {0};
    decide(s, deck, &e);
    return errors_end(&e);
}

status shapes_model(struct shapes *s, const char *path, const struct deck *deck)
{
    *s = (struct shapes){.start = START_SAME, .key = "model"};
    TRY(shapes_locate(path, &s->checkpoint, &s->dir));
    TRY(read_shape(&s->target, path, deck));
    TRY(config_check(&s->target));
    s->source = s->target;
    s->shaped = true;
    return OK;
}

status shapes_continue(struct shapes *s, const struct deck *deck, const struct config *saved)
{
    *s = (struct shapes){.target = *saved, .key = "model", .start = START_SAME};
    status code = apply_deck(&s->target, deck);
    if (code == OK)
        code = config_check(&s->target);
    if (code == OK)
        code = check_length(s, deck);
    if (code == OK)
        code = config_learns(&s->target);
    s->source = s->target;
    return deck_place(deck, code, NULL);
}

static status open_source(struct source **source, const char *path)
{
    char *dir;
    bool checkpoint;
    TRY(shapes_locate(path, &checkpoint, &dir));
    status code = checkpoint ? ckpt_source(source, dir) : source_open_hf(source, dir);
    free(dir);
    return code;
}

status shapes_source(const struct shapes *s, const struct deck *deck, struct source **source)
{
    return about_key(deck, s->key,
                     s->checkpoint ? ckpt_source(source, s->dir) : source_open_hf(source, s->dir));
}

static status plan_derived(const struct shapes *s, const struct deck *deck, const struct model *target,
                           struct source *first, struct fill_plan *plan)
{
    struct source *source[1 + PARENTS_MOST] = {first};
    struct model from;
    status code = OK;
    for (int i = 0; i < s->upcycle.parents && code == OK; i++)
        code = about_key(deck, "start.upcycle.parents", open_source(&source[1 + i], s->parent[i]));
    if (code != OK) {
        for (int i = 0; i <= s->upcycle.parents; i++)
            source_close(source[i]);
        return code;
    }
    model_open(&from, &s->source, &layout_alone);
    code = plan_upcycle(plan, target, &from, source, &s->grow, &s->upcycle, (uint64_t)deck->run.seed);
    model_close(&from);
    return code;
}

status shapes_plan(const struct shapes *s, const struct deck *deck, const struct model *target,
                   struct fill_plan *plan)
{
    struct source *source = NULL;
    if (s->start == START_RANDOM)
        return plan_random(plan, target, (uint64_t)deck->run.seed);
    TRY(shapes_source(s, deck, &source));
    return s->start == START_SAME ? about_key(deck, s->key, plan_same(plan, target, source))
                                  : plan_derived(s, deck, target, source, plan);
}

void shapes_free(struct shapes *s)
{
    for (int i = 0; i < s->n_changes; i++)
        free(s->changes[i]);
    free(s->changes);
    free(s->dir);
}
