#include "weights/fill.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "weights/names.h"

enum { FILE_SOURCE, GENERATOR };

static void plan_new(struct fill_plan *p, const struct model *target)
{
    *p = (struct fill_plan){.n_tensors = target->n_tensors};
    p->map = mem_new(target->n_tensors, sizeof *p->map);
}

void plan_free(struct fill_plan *p)
{
    for (int i = 0; i < p->n_tensors; i++)
        map_free(&p->map[i]);
    free(p->map);
    source_close(p->source[FILE_SOURCE]);
    source_close(p->source[GENERATOR]);
    *p = (struct fill_plan){0};
}

/* The whole of array `array` of a source. */
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

/* A checkpoint's arrays have our names and sizes. */
static status own_maps(const struct model *m, const struct source *source, struct map *maps)
{
    for (int i = 0; i < m->n_tensors; i++) {
        const struct tensor *t = &m->tensor[i];
        int array = source_find(source, t->name);
        if (array < 0 && !t->trained)
            continue; /* state of a routing that the source does not have: starts fresh */
        if (array < 0 || memcmp(source->array[array].dim, t->dim, sizeof t->dim) != 0)
            return fail(E_DATA, "%s: %s %s", source->path, t->name,
                        array < 0 ? "is missing" : "has another size than in the deck's model");
        maps[i] = map_whole(FILE_SOURCE, array, t->dim);
    }
    return OK;
}

static status file_maps(const struct model *m, struct source *source, struct map *maps)
{
    bool own = source_find(source, m->tensor[0].name) >= 0;
    return own ? own_maps(m, source, maps) : names_maps(m, source, maps);
}

/* Does a tensor come from the generator? State of the routing where the file has none; upcycling also
 * makes routers and the gates of shared experts. */
static bool is_new(const struct fill_plan *p, const struct model *target, int tensor,
                   const struct upcycle *up)
{
    enum slot slot = upcycle_slot(target, tensor);
    return target->tensor[tensor].trained ? up && (slot == T_ROUTER || slot == T_SHARED_GATE)
                                          : p->map[tensor].n == 0;
}

/* Weights of routed experts, which noise is added to. */
static bool is_noisy(const struct model *target, int tensor, const struct upcycle *up)
{
    enum slot slot = upcycle_slot(target, tensor);
    bool moe = target->layer[target->tensor[tensor].layer].type == MOE_BLOCK;
    return up && up->noise > 0 && moe && (slot == T_GATE_UP || slot == T_DOWN);
}

static void add_noise(struct map *m, int array, const int64_t dim[3])
{
    struct map noise = map_whole(GENERATOR, array, dim);
    noise.term[0].add = true;
    map_push(m, noise.term[0]); /* takes the term */
    free(noise.term);
}

/* up = NULL: nothing is upcycled. Routers are base rows, the same on every layout. */
static void plan_fresh(struct fill_plan *p, const struct model *target, const struct upcycle *up,
                       uint64_t seed)
{
    struct generated *list = mem_new(target->n_tensors, sizeof *list);
    int n = 0;
    for (int i = 0; i < target->n_tensors; i++) {
        const struct tensor *t = &target->tensor[i];
        bool router = upcycle_slot(target, i) == T_ROUTER;
        if (is_noisy(target, i, up)) {
            list[n] = (struct generated){.name = t->name, .std = up->noise};
            memcpy(list[n].dim, t->dim, sizeof t->dim);
            add_noise(&p->map[i], n++, t->dim);
            continue;
        }
        if (!is_new(p, target, i, up))
            continue;
        list[n] = (struct generated){.name = t->name, .std = t->one ? -1 : t->trained ? up->router_std : 0};
        memcpy(list[n].dim, t->dim, sizeof t->dim);
        if (router)
            list[n].dim[1] /= target->config.moe.granularity;
        p->map[i] = router ? upcycle_router(&target->config, GENERATOR, n) : map_whole(GENERATOR, n, t->dim);
        n++;
    }
    if (n > 0)
        p->source[GENERATOR] = source_open_random(seed, list, n);
    free(list);
}

status plan_same(struct fill_plan *p, const struct model *target, struct source *source)
{
    plan_new(p, target);
    p->source[FILE_SOURCE] = source;
    status s = file_maps(target, source, p->map);
    if (s == OK)
        plan_fresh(p, target, NULL, 0);
    else
        plan_free(p);
    return s;
}

/* outer, which is not needed any more, over what inner maps from. */
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

/* names -> grown dense model -> target. */
static void plan_dense(struct fill_plan *p, const struct model *target, const struct model *dense,
                       const struct map *names, const struct grow *grow, const struct upcycle *up)
{
    struct layout one = {.world = 1, .dp = 1, .tp = 1, .kv = 1, .edp = 1, .ep = 1, .etp = 1};
    struct config trunk = grow_trunk(&target->config);
    struct model grown;
    model_open(&grown, &trunk, &one);
    struct map *maps = mem_new(grown.n_tensors, sizeof *maps);
    for (int i = 0; i < grown.n_tensors; i++)
        maps[i] = compose_over(grow_map(&grown, dense, i, grow), names);
    for (int i = 0; i < target->n_tensors; i++)
        if (!is_new(p, target, i, up))
            p->map[i] = compose_over(upcycle_map(target, &grown, i, up), maps);
    maps_free(maps, grown.n_tensors);
    model_close(&grown);
}

status plan_upcycle(struct fill_plan *p, const struct model *target, const struct model *dense,
                    struct source *source, const struct grow *grow, const struct upcycle *up, uint64_t seed)
{
    struct map *names = mem_new(dense->n_tensors, sizeof *names);
    plan_new(p, target);
    p->source[FILE_SOURCE] = source;
    status s = grow_check(&target->config, &dense->config, grow);
    if (s == OK)
        s = file_maps(dense, source, names);
    if (s == OK) {
        plan_dense(p, target, dense, names, grow, up);
        plan_fresh(p, target, up, seed);
    } else {
        plan_free(p);
    }
    maps_free(names, dense->n_tensors);
    return s;
}

int64_t plan_bytes(const struct fill_plan *p, const struct model *m, const struct layout *l, int rank)
{
    int64_t bytes = 0;
    for (int i = 0; i < m->n_tensors; i++) {
        struct map part = map_restrict(&p->map[i], model_slab(m, l, rank, i));
        bytes = mem_add(bytes, map_bytes(&part, p->source));
        map_free(&part);
    }
    return bytes;
}

/* The device's own memory where the host can write it, else through a copy of this one slab. */
static status fill_tensor(struct store *s, int tensor, const struct fill_plan *p, int64_t *bytes_read)
{
    view to = store_view(s, tensor, WEIGHT);
    slab box = model_slab(s->model, &s->layout, s->rank, tensor);
    bool host = !strcmp(dev_name(s->dev), "cpu");
    float *out = host ? to.data : mem_new(view_size(to), sizeof *out);
    struct map part = map_restrict(&p->map[tensor], box);
    status result = map_run(&part, p->source, box.n, out, bytes_read);
    map_free(&part);
    if (host)
        return result;
    if (result == OK)
        dev_upload(s->dev, to, out);
    free(out);
    return result;
}

/* Can several tensors be filled at once? */
static bool is_concurrent(const struct store *s, const struct fill_plan *p)
{
    for (int i = 0; i < 2; i++)
        if (p->source[i] && !p->source[i]->concurrent)
            return false;
    return !strcmp(dev_name(s->dev), "cpu");
}

/* A tensor per thread at a time. The first failure is told; each thread has a status_text of its own. */
static status fill_local(struct store *s, const struct fill_plan *p, int64_t *bytes_read)
{
    status result = OK;
    int64_t bytes = 0;
    bool failed = false;
    char *text = NULL;
#pragma omp parallel for schedule(dynamic) reduction(+ : bytes) if (is_concurrent(s, p))
    for (int i = 0; i < s->model->n_tensors; i++) {
        bool ended;
#pragma omp atomic read
        ended = failed;
        status code = ended ? OK : fill_tensor(s, i, p, &bytes);
        if (code == OK)
            continue;
#pragma omp atomic write
        failed = true;
#pragma omp critical(fill_failure)
        if (result == OK) {
            result = code;
            text = mem_text(status_text());
        }
    }
    if (text)
        status_set_text(text);
    free(text);
    *bytes_read += bytes;
    return result;
}

status weights_fill(struct store *s, struct comm *comm, const struct fill_plan *p, int64_t *bytes_read)
{
    *bytes_read = 0;
    return comm_agree(comm, fill_local(s, p, bytes_read));
}
