#include "format/source.h"

#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include "base/mem.h"
#include "base/rng.h"

struct generator {
    struct source source;
    uint64_t seed, *stream; /* [n] hash of each name */
    double *std;            /* [n] */
};

/* One row of a box. `index` is the global index of its first element. */
static void generate_row(const struct generator *g, int array, int64_t index, int64_t n, float *out)
{
    double std = g->std[array];
    if (std > 0)
        rng_normals(g->seed, g->stream[array], (uint64_t)index, n, std, out);
    else
        for (int64_t i = 0; i < n; i++)
            out[i] = std < 0 ? 1.0f : 0.0f;
}

static status generator_read(struct source *s, int array, slab box, float *out, int64_t *bytes_read)
{
    const struct generator *g = (const struct generator *)s;
    const int64_t *dim = s->array[array].dim;
    (void)bytes_read; /* nothing is read */
    for (int64_t i = box.lo[0]; i < box.lo[0] + box.n[0]; i++)
        for (int64_t j = box.lo[1]; j < box.lo[1] + box.n[1]; j++, out += box.n[2])
            generate_row(g, array, (i * dim[1] + j) * dim[2] + box.lo[2], box.n[2], out);
    return OK;
}

static void generator_close(struct source *s)
{
    struct generator *g = (struct generator *)s;
    free(g->stream);
    free(g->std);
}

struct source *source_open_random(uint64_t seed, const struct generated *list, int n)
{
    static const struct source_ops ops = {.read = generator_read, .close = generator_close};
    struct generator *g = mem_new(1, sizeof *g);
    *g = (struct generator){
        .source = {.ops = &ops, .concurrent = true, .n = n, .array = mem_new(n, sizeof(struct array))},
        .seed = seed,
        .stream = mem_new(n, sizeof *g->stream),
        .std = mem_new(n, sizeof *g->std),
    };
    for (int i = 0; i < n; i++) {
        struct array *a = &g->source.array[i];
        if (snprintf(a->name, sizeof a->name, "%s", list[i].name) >= (int)sizeof a->name)
            bug("array name %s is too long", list[i].name);
        memcpy(a->dim, list[i].dim, sizeof a->dim);
        g->stream[i] = rng_name(a->name);
        g->std[i] = list[i].std;
    }
    return &g->source;
}
