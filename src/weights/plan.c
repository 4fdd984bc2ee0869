/* Plans: what each tensor is read from. fill.c runs them. */
#include "weights/fill.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "weights/foreign.h"
#include "weights/names.h"

enum { GENERATOR, FILES }; /* sources; FILES is where the weights come from, then the parents follow */

static void plan_new(struct fill_plan *p, const struct model *target)
{
    *p = (struct fill_plan){.n_tensors = target->n_tensors};
    p->map = mem_new(target->n_tensors, sizeof *p->map);
    for (int i = 0; i < PLAN_SOURCES; i++)
        p->head[i] = -1;
}

void plan_free(struct fill_plan *p)
{
    for (int i = 0; i < p->n_tensors; i++)
        map_free(&p->map[i]);
    free(p->map);
    for (int i = 0; i < PLAN_SOURCES; i++)
        source_close(p->source[i]);
    *p = (struct fill_plan){0};
}

/* The map that copies a whole array of a source. */
static struct map map_whole(int source, int array, const int64_t dim[3])
{
    return map_one(source, array, axis_identity(dim[0]), axis_identity(dim[1]), axis_identity(dim[2]));
}

status plan_random(struct fill_plan *p, const struct model *target, uint64_t seed)
{
    struct generated *list = mem_new(target->n_tensors, sizeof *list);
    plan_new(p, target);
    for (int i = 0; i < target->n_tensors; i++) {
        const struct tensor *t = &target->tensor[i];
        list[i] = (struct generated){.name = t->name, .std = t->one ? -1 : t->init_std};
        memcpy(list[i].dim, t->dim, sizeof t->dim);
        p->map[i] = map_whole(GENERATOR, i, t->dim);
    }
    p->source[GENERATOR] = source_open_random(seed, list, target->n_tensors);
    free(list);
    return OK;
}

/* Maps over a checkpoint, whose arrays have our names and sizes. */
static status own_maps(const struct model *m, const struct source *source, struct map *maps)
{
    for (int i = 0; i < m->n_tensors; i++) {
        const struct tensor *t = &m->tensor[i];
        int array = source_find(source, t->name);
        if (array < 0 && !t->trained)
            continue; /* routing state that the source does not have begins anew */
        if (array < 0 || memcmp(source->array[array].dim, t->dim, sizeof t->dim) != 0)
            return fail(E_DATA, "%s: %s %s", source->path, t->name,
                        array < 0 ? "is missing" : "has another size than in the deck's model");
        maps[i] = map_whole(FILES, array, t->dim);
    }
    return OK;
}

/* Set the source of all terms; names_maps knows only one source, number 0. */
static void set_source(struct map *maps, int n, int source)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < maps[i].n; k++)
            maps[i].term[k].source = source;
}

/* The maps of all tensors of m from source FILES + file of the plan. */
static status file_maps(struct fill_plan *p, int file, const struct model *m, struct map *maps)
{
    struct source *source = p->source[FILES + file];
    bool own = source_find(source, m->tensor[0].name) >= 0;
    TRY(own ? own_maps(m, source, maps) : names_maps(m, source, maps));
    set_source(maps, m->n_tensors, FILES + file);
    p->head[FILES + file] = own ? -1 : foreign_tied_head(m, source);
    return OK;
}

status plan_check_heads(const struct fill_plan *p, int part, int parts, int64_t *bytes_read)
{
    for (int i = 0; i < PLAN_SOURCES; i++)
        if (p->source[i] && p->head[i] >= 0)
            TRY(foreign_check_head(p->source[i], p->head[i], part, parts, bytes_read));
    return OK;
}

/* ---- arrays of the generator ---- */

/* The generator's arrays so far. The plan's maps refer to them by number. */
struct drawing {
    int n;
    struct generated *list; /* names are owned */
};

static int draw(struct drawing *d, char *name, const int64_t dim[3], double std)
{
    d->list = mem_grow(d->list, d->n + 1, sizeof *d->list);
    d->list[d->n] = (struct generated){.name = name, .dim = {dim[0], dim[1], dim[2]}, .std = std};
    return d->n++;
}

static void drawing_end(struct drawing *d, struct fill_plan *p, uint64_t seed)
{
    if (d->n > 0)
        p->source[GENERATOR] = source_open_random(seed, d->list, d->n);
    for (int i = 0; i < d->n; i++)
        free((char *)(uintptr_t)d->list[i].name);
    free(d->list);
}

/* A new router: base rows for groups of experts, unless each row is drawn. Routing state starts as 0 or 1. */
static struct map map_drawn(struct drawing *d, const struct model *target, int tensor,
                            const struct upcycle *up)
{
    const struct tensor *t = &target->tensor[tensor];
    int64_t dim[3] = {t->dim[0], t->dim[1], t->dim[2]};
    bool router = upcycle_slot(target, tensor) == T_ROUTER, copied = router && up->router == ROUTER_COPY;
    double std = t->one ? -1 : !t->trained || (router && up->router == ROUTER_ZERO) ? 0 : up->router_std;
    if (copied)
        dim[1] /= target->config.moe.granularity;
    int array = draw(d, mem_text(t->name), dim, std);
    return copied ? upcycle_router(&target->config, GENERATOR, array) : map_whole(GENERATOR, array, dim);
}

/* A term over the new experts' part of a tensor: from index `first` of axis `axis` on. */
static struct term new_part(const struct tensor *t, int array, int axis, int64_t first)
{
    struct term term = {.source = GENERATOR, .array = array};
    for (int a = 0; a < 3; a++) {
        int64_t lo = a == axis ? first : 0;
        term.axis[a] = axis_shift(lo, t->dim[a] - lo, lo);
    }
    return term;
}

static void push_noise(struct map *m, struct drawing *d, const struct tensor *t, int axis, int64_t first,
                       double std)
{
    struct term noise = new_part(t, draw(d, mem_text(t->name), t->dim, std), axis, first);
    noise.does = ADD;
    map_push(m, noise);
}

/* Replace some neurons of each new expert by drawn ones: the same neurons in gate, up and down. */
static void push_redrawn(struct map *m, struct drawing *d, const struct model *target, int tensor,
                         int64_t first, const struct upcycle *up, uint64_t seed)
{
    const struct tensor *t = &target->tensor[tensor];
    bool down = upcycle_slot(target, tensor) == T_DOWN;
    int array = draw(d, mem_format("%s.reinit", t->name), t->dim, up->reinit_std);
    char *layer = mem_format("layers.%d.reinit", t->layer - 1);
    uint64_t key = rng_mix(seed ^ rng_name(layer));
    int64_t per = down ? 1 : 2;
    free(layer);
    for (int64_t e = first; e < target->config.moe.experts; e++) {
        struct term term = new_part(t, array, 0, 0);
        term.does = REPLACE;
        term.axis[0] = axis_shift(e * per, per, e * per);
        term.axis[down ? 2 : 1] = upcycle_redrawn(&target->config, up->reinit, rng_mix(key + (uint64_t)e));
        map_push(m, term);
    }
}

/* Add what makes new experts differ from what they are copies of. */
static void push_changes(struct map *m, struct drawing *d, const struct model *target, int tensor,
                         int64_t first, const struct upcycle *up, uint64_t seed)
{
    const struct tensor *t = &target->tensor[tensor];
    enum slot slot = upcycle_slot(target, tensor);
    bool moe = target->layer[t->layer].type == MOE_BLOCK;
    if (!moe || (slot != T_GATE_UP && slot != T_DOWN && slot != T_ROUTER) ||
        first == target->config.moe.experts)
        return;
    if (up->noise > 0)
        push_noise(m, d, t, slot == T_ROUTER, slot == T_GATE_UP ? 2 * first : first, up->noise);
    if (up->reinit > 0 && slot != T_ROUTER)
        push_redrawn(m, d, target, tensor, first, up, seed);
}

/* ---- plans ---- */

status plan_same(struct fill_plan *p, const struct model *target, struct source *source)
{
    static const struct upcycle none = {0}; /* for routing state, which starts as zeros or ones */
    struct drawing d = {0};
    plan_new(p, target);
    p->source[FILES] = source;
    status s = file_maps(p, 0, target, p->map);
    if (s != OK) {
        plan_free(p);
        return s;
    }
    for (int i = 0; i < target->n_tensors; i++)
        if (p->map[i].n == 0) /* routing state that the source does not have */
            p->map[i] = map_drawn(&d, target, i, &none);
    drawing_end(&d, p, 0);
    return OK;
}

/* Compose outer over inner, and free outer. */
static struct map compose_over(struct map outer, const struct map *inner)
{
    struct map m = map_compose(&outer, inner);
    map_free(&outer);
    return m;
}

static void maps_free(struct map *maps, int n)
{
    for (int i = 0; i < n; i++)
        map_free(&maps[i]);
    free(maps);
}

/* Compose the maps of names[models * from->n_tensors], growth and upcycling to those of the target. */
static void plan_derived(struct fill_plan *p, const struct model *target, const struct model *from,
                         const struct map *names, const struct grow *grow, const struct upcycle *up,
                         uint64_t seed)
{
    struct config trunk = grow_trunk(&target->config, &from->config);
    struct drawing d = {0};
    struct model grown;
    model_open(&grown, &trunk, &layout_alone);
    int models = 1 + up->parents, n = grown.n_tensors;
    struct map *maps = mem_new(mem_mul(models, n), sizeof *maps);
    for (int i = 0; i < models * n; i++)
        maps[i] = compose_over(grow_map(&grown, from, i % n, grow), names + i / n * from->n_tensors);
    for (int i = 0; i < target->n_tensors; i++) {
        bool drawn = upcycle_is_drawn(target, i, &from->config, up);
        p->map[i] =
            drawn ? map_drawn(&d, target, i, up) : compose_over(upcycle_map(target, &grown, i, up), maps);
        if (!drawn)
            push_changes(&p->map[i], &d, target, i, upcycle_first_new(&from->config), up, seed);
    }
    drawing_end(&d, p, seed);
    maps_free(maps, models * n);
    model_close(&grown);
}

status plan_upcycle(struct fill_plan *p, const struct model *target, const struct model *from,
                    struct source *const source[], const struct grow *grow, const struct upcycle *up,
                    uint64_t seed)
{
    int models = 1 + up->parents, n = mem_mul(models, from->n_tensors);
    struct map *names = mem_new(n, sizeof *names);
    plan_new(p, target);
    memcpy(&p->source[FILES], source, (size_t)models * sizeof *source);
    status s = grow_check(&target->config, &from->config, grow);
    if (s == OK)
        s = upcycle_check(&target->config, &from->config, up);
    for (int i = 0; i < models && s == OK; i++)
        s = file_maps(p, i, from, names + i * from->n_tensors);
    if (s == OK)
        plan_derived(p, target, from, names, grow, up, seed);
    else
        plan_free(p);
    maps_free(names, n);
    return s;
}
