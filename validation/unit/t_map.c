/* Maps against brute force: random maps with repetition, gaps, scales and terms that add or replace are
 * evaluated element by element from their definition, and compared bit by bit with map_run: whole, cut to
 * random boxes, and composed of two and three. Reads are counted for each source element. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tap.h"
#include "weights/map.h"

/* ---- a source in memory that counts how often each element is read ---- */
enum { ARRAYS = 3 };
struct memory {
    struct source base;
    float *data[ARRAYS];
    int *reads[ARRAYS];
};

static int64_t size_of(const int64_t dim[3])
{
    return dim[0] * dim[1] * dim[2];
}

static status memory_read(struct source *source, int array, slab box, float *out, int64_t *bytes_read)
{
    struct memory *m = (struct memory *)source;
    const int64_t *dim = m->base.array[array].dim;
    for (int64_t i = 0; i < box.n[0]; i++)
        for (int64_t j = 0; j < box.n[1]; j++)
            for (int64_t k = 0; k < box.n[2]; k++) {
                int64_t at = ((box.lo[0] + i) * dim[1] + box.lo[1] + j) * dim[2] + box.lo[2] + k;
                *out++ = m->data[array][at];
                m->reads[array][at]++;
            }
    *bytes_read += slab_size(&box) * m->base.array[array].element_bytes;
    return OK;
}

static status memory_read_bf16(struct source *source, int array, slab box, uint16_t *out, int64_t *bytes_read)
{
    float *values = mem_new(slab_size(&box), sizeof *values);
    status s = memory_read(source, array, box, values, bytes_read);
    for (int64_t i = 0; i < slab_size(&box); i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        out[i] = (uint16_t)(bits >> 16);
    }
    free(values);
    return s;
}

static status memory_fail(struct source *source, int array, slab box, float *out, int64_t *bytes_read)
{
    (void)source, (void)array, (void)box, (void)out, (void)bytes_read;
    return fail(E_DATA, "memory: broken");
}

static const struct source_ops memory_ops = {.read = memory_read, .read_bf16 = memory_read_bf16},
                               failing_ops = {.read = memory_fail};

/* ---- random things ---- */
static uint64_t draw_count;

static int64_t draw(int64_t n) /* 0 .. n-1 */
{
    return (int64_t)(rng_uniform(7, 1, draw_count++) * (double)n);
}

static void memory_open(struct memory *m, int64_t dim[ARRAYS][3])
{
    m->base = (struct source){.ops = &memory_ops, .n = ARRAYS}; /* no path: any bits */
    m->base.array = mem_new(ARRAYS, sizeof *m->base.array);
    for (int i = 0; i < ARRAYS; i++) {
        memcpy(m->base.array[i].dim, dim[i], sizeof dim[i]);
        m->base.array[i].element_bytes = i == 1 ? 2 : 4;
        m->base.array[i].type_name = i == 1 ? "BF16" : NULL;
        m->data[i] = mem_new(size_of(dim[i]), sizeof(float));
        m->reads[i] = mem_new(size_of(dim[i]), sizeof(int));
        for (int64_t k = 0; k < size_of(dim[i]); k++) {
            float x = (float)rng_normal(3, (uint64_t)i, (uint64_t)k);
            m->data[i][k] = i == 1 ? floorf(16 * x) / 16 : x; /* BF16 holds it */
        }
    }
}

static void memory_close(struct memory *m)
{
    for (int i = 0; i < ARRAYS; i++) {
        free(m->data[i]);
        free(m->reads[i]);
    }
    free(m->base.array);
}

/* Picks for the targets lo .. lo+n-1 of one axis: some left out, sources repeated, scaled or not. */
static struct axis random_axis(int64_t lo, int64_t n, int64_t sources)
{
    if (draw(3) == 0) {
        int64_t most = n < sources ? n : sources, len = 1 + draw(most);
        return axis_shift(lo + draw(n - len + 1), len, draw(sources - len + 1));
    }
    struct pick at[64];
    int64_t k = 0, scaled = draw(2), wrap = draw(2);
    for (int64_t i = 0; i < n; i++)
        if (draw(5) > 0)
            at[k++] = (struct pick){lo + i, wrap ? i % sources : draw(sources),
                                    scaled ? (double)(1 + draw(6)) / 3.0 : 1.0};
    return axis_picks(at, k);
}

/* Copies on disjoint bands of axis `a`, then up to three terms that add or replace anywhere. */
static struct map random_map(const int64_t dim[3], int64_t source_dim[ARRAYS][3])
{
    struct map m = {0};
    int a = (int)draw(3);
    for (int64_t lo = 0, n; lo < dim[a]; lo += n) {
        n = 1 + draw(dim[a] - lo);
        struct term t = {.array = (int)draw(ARRAYS)};
        for (int b = 0; b < 3; b++)
            t.axis[b] = random_axis(b == a ? lo : 0, b == a ? n : dim[b], source_dim[t.array][b]);
        map_push(&m, t);
    }
    for (int64_t adds = draw(4); adds > 0; adds--) {
        struct term t = {.array = (int)draw(ARRAYS), .does = draw(2) ? ADD : REPLACE};
        for (int b = 0; b < 3; b++)
            t.axis[b] = random_axis(0, dim[b], source_dim[t.array][b]);
        map_push(&m, t);
    }
    return m;
}

/* ---- the oracle ---- */
static bool find(const struct axis *a, int64_t dst, struct pick *out)
{
    for (int64_t i = 0; i < a->n; i++) {
        *out = a->at ? a->at[i] : (struct pick){a->lo + i, a->from + i, 1};
        if (out->dst == dst)
            return true;
    }
    return false;
}

static float element(const struct map *m, float *const *data, int64_t dims[][3], const int64_t at[3],
                     int **needs)
{
    float y = 0;
    for (int i = 0; i < m->n; i++) {
        const struct term *t = &m->term[i];
        struct pick p[3];
        if (!find(&t->axis[0], at[0], &p[0]) || !find(&t->axis[1], at[1], &p[1]) ||
            !find(&t->axis[2], at[2], &p[2]))
            continue;
        int64_t from = (p[0].src * dims[t->array][1] + p[1].src) * dims[t->array][2] + p[2].src;
        float x = data[t->array][from];
        double scale = p[0].scale * p[1].scale * p[2].scale;
        if (t->does == ADD)
            y = (float)((double)y + scale * (double)x);
        else
            y = scale == 1.0 ? x : (float)(scale * (double)x);
        if (needs)
            needs[t->array][from] = 1;
    }
    return y;
}

/* The box of the map's result, from the definition. */
static float *expect(const struct map *m, float *const *data, int64_t dims[][3], slab box, int **needs)
{
    float *out = mem_new(slab_size(&box), sizeof *out), *y = out;
    for (int64_t i = 0; i < box.n[0]; i++)
        for (int64_t j = 0; j < box.n[1]; j++)
            for (int64_t k = 0; k < box.n[2]; k++)
                *y++ =
                    element(m, data, dims, (int64_t[3]){box.lo[0] + i, box.lo[1] + j, box.lo[2] + k}, needs);
    return out;
}

static bool only_copies(const struct map *m)
{
    return m->n == 0 || m->term[m->n - 1].does == COPY;
}

/* Run the map for a box; compare bits with `want`, bytes with map_bytes, reads with the union. */
static bool run_agrees(const struct map *m, struct memory *source, int64_t dims[][3], slab box,
                       const float *want)
{
    struct source *sources[1] = {&source->base};
    int *needs[ARRAYS];
    for (int i = 0; i < ARRAYS; i++) {
        memset(source->reads[i], 0, (size_t)size_of(dims[i]) * sizeof(int));
        needs[i] = mem_new(size_of(dims[i]), sizeof(int));
    }
    free(expect(m, source->data, dims, box, needs));
    struct map part = map_restrict(m, box);
    float *out = mem_new(slab_size(&box), sizeof *out);
    memset(out, 0xff, (size_t)slab_size(&box) * sizeof *out);
    int64_t bytes = 0;
    bool good = map_run(&part, sources, box.n, out, &bytes) == OK && bytes == map_bytes(&part, sources) &&
                memcmp(out, want, (size_t)slab_size(&box) * sizeof *out) == 0;
    for (int i = 0; i < ARRAYS; i++)
        for (int64_t k = 0; k < size_of(dims[i]); k++)
            good = good && (only_copies(m) ? source->reads[i][k] == needs[i][k]
                                           : !source->reads[i][k] == !needs[i][k]);
    for (int i = 0; i < ARRAYS; i++)
        free(needs[i]);
    free(out);
    map_free(&part);
    return good;
}

static slab random_box(const int64_t dim[3])
{
    slab box;
    for (int a = 0; a < 3; a++) {
        box.n[a] = 1 + draw(dim[a]);
        box.lo[a] = draw(dim[a] - box.n[a] + 1);
    }
    return box;
}

static void random_dims(int64_t dims[ARRAYS][3])
{
    for (int i = 0; i < ARRAYS; i++)
        for (int a = 0; a < 3; a++)
            dims[i][a] = 1 + draw(a == 2 ? 13 : 7);
}

static void test_random(void)
{
    int bad = 0, boxes = 0, copies = 0;
    for (int round = 0; round < 400; round++) {
        int64_t dims[ARRAYS][3], dim[3] = {1 + draw(6), 1 + draw(9), 1 + draw(20)};
        random_dims(dims);
        struct memory source;
        memory_open(&source, dims);
        struct map m = random_map(dim, dims);
        copies += only_copies(&m);
        for (int i = 0; i < 4; i++, boxes++) {
            slab box = i == 0 ? slab_whole(dim) : random_box(dim);
            float *want = expect(&m, source.data, dims, box, NULL);
            bad += !run_agrees(&m, &source, dims, box, want);
            free(want);
        }
        map_free(&m);
        memory_close(&source);
    }
    ok(bad == 0, "%d boxes of 400 random maps: bits, bytes and reads as by definition (%d bad)", boxes, bad);
    ok(copies > 50 && copies < 350, "%d of the maps only copy, so that each element must be read just once",
       copies);
}

/* Models two or three deep: model d's tensors are made from model d-1's, model -1 is the file. */
enum { DEEPEST = 3 };

static struct map copies_map(const int64_t dim[3], int64_t source_dim[ARRAYS][3])
{
    for (;;) {
        struct map m = random_map(dim, source_dim);
        if (only_copies(&m))
            return m;
        map_free(&m);
    }
}

/* Scales of powers of two make the intermediate tensors of the step-by-step evaluation exact. */
static void exact_scales(struct map *m)
{
    for (int i = 0; i < m->n; i++)
        for (int a = 0; a < 3; a++)
            for (int64_t k = 0; m->term[i].axis[a].at && k < m->term[i].axis[a].n; k++)
                m->term[i].axis[a].at[k].scale = m->term[i].axis[a].at[k].scale > 1.0 ? 2.0 : 0.5;
}

static bool composition_agrees(int depth)
{
    int64_t dims[DEEPEST + 1][ARRAYS][3];
    struct map map[DEEPEST][ARRAYS], whole[ARRAYS];
    float *data[DEEPEST + 1][ARRAYS];
    struct memory source;
    bool good = true;
    for (int d = 0; d <= depth; d++)
        random_dims(dims[d]);
    memory_open(&source, dims[0]);
    for (int i = 0; i < ARRAYS; i++)
        data[0][i] = source.data[i];
    for (int d = 0; d < depth; d++)
        for (int i = 0; i < ARRAYS; i++) {
            map[d][i] = d == 0 ? random_map(dims[1][i], dims[0]) : copies_map(dims[d + 1][i], dims[d]);
            exact_scales(&map[d][i]);
            data[d + 1][i] = expect(&map[d][i], data[d], dims[d], slab_whole(dims[d + 1][i]), NULL);
        }
    for (int i = 0; i < ARRAYS; i++) { /* outermost first: ((outer o middle) o inner) */
        whole[i] = map_compose(&map[depth - 1][i], map[depth - 1 > 0 ? depth - 2 : 0]);
        for (int d = depth - 3; d >= 0; d--) {
            struct map next = map_compose(&whole[i], map[d]);
            map_free(&whole[i]);
            whole[i] = next;
        }
        slab all = slab_whole(dims[depth][i]);
        good = good && run_agrees(&whole[i], &source, dims[0], all, data[depth][i]);
    }
    for (int d = 0; d < depth; d++)
        for (int i = 0; i < ARRAYS; i++) {
            map_free(&map[d][i]);
            free(data[d + 1][i]);
        }
    for (int i = 0; i < ARRAYS; i++)
        map_free(&whole[i]);
    memory_close(&source);
    return good;
}

static void test_composition(void)
{
    for (int depth = 2; depth <= DEEPEST; depth++) {
        int bad = 0;
        for (int round = 0; round < 150; round++)
            bad += !composition_agrees(depth);
        ok(bad == 0, "150 compositions of %d maps equal one map after the other, bit by bit (%d bad)", depth,
           bad);
    }
}

/* ---- bits, rounding, errors ---- */
static struct memory one_array(int64_t n, const uint32_t *bits)
{
    int64_t dims[ARRAYS][3] = {{1, 1, n}, {1, 1, 1}, {1, 1, 1}};
    struct memory m;
    memory_open(&m, dims);
    if (bits)
        memcpy(m.data[0], bits, (size_t)n * sizeof *bits);
    return m;
}

static void test_bits(void)
{
    const uint32_t odd[6] = {0x80000000, 0x7fc12345, 0xffa00001, 0x00000001, 0x7f800000, 0x3f800000};
    const struct pick backwards[6] = {{0, 5, 1}, {1, 4, 1}, {2, 3, 1}, {3, 2, 1}, {4, 1, 1}, {5, 0, 1}};
    struct memory m = one_array(6, odd);
    struct source *sources[1] = {&m.base};
    const int64_t n[3] = {1, 1, 6};
    uint32_t out[6];
    int64_t bytes = 0;
    for (int way = 0; way < 2; way++) {
        struct axis last = way ? axis_picks(backwards, 6) : axis_identity(6);
        struct map map = map_one(0, 0, axis_identity(1), axis_identity(1), last);
        bool good = map_run(&map, sources, n, (float *)out, &bytes) == OK;
        for (int i = 0; i < 6; i++)
            good = good && out[i] == odd[way ? 5 - i : i];
        ok(good, "-0, NaN payloads, infinity and subnormals survive a copy (%s)", way ? "picked" : "direct");
        map_free(&map);
    }
    memory_close(&m);
}

/* (x/3)*0.7 by two maps in turn rounds twice; composed, the scales multiply in double. */
static void test_one_rounding(void)
{
    const struct pick third[1] = {{0, 0, 1.0 / 3.0}}, more[1] = {{0, 0, 0.7}};
    struct memory m = one_array(1000, NULL);
    struct source *sources[1] = {&m.base};
    const int64_t n[3] = {1, 1, 1000};
    struct map inner = map_one(0, 0, axis_picks(third, 1), axis_identity(1), axis_identity(1000));
    struct map outer = map_one(0, 0, axis_picks(more, 1), axis_identity(1), axis_identity(1000));
    struct map both = map_compose(&outer, &inner);
    float out[1000];
    int64_t bytes = 0, twice = 0, once = 0;
    bool ran = map_run(&both, sources, n, out, &bytes) == OK;
    for (int i = 0; i < 1000; i++) {
        double x = (double)m.data[0][i];
        float want = (float)(1.0 / 3.0 * 0.7 * x);
        once += out[i] != want;
        twice += (float)(0.7 * (double)(float)(1.0 / 3.0 * x)) != want;
    }
    ok(ran && once == 0 && twice > 0,
       "scales multiply in double and round once (rounding twice spoils %d of 1000)", (int)twice);
    map_free(&inner);
    map_free(&outer);
    map_free(&both);
    memory_close(&m);
}

/* More rows than fit one block, to two places each; no row but the first begins where the last did. */
static void test_blocks(int array)
{
    int64_t dims[ARRAYS][3] = {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}}, dim[3] = {4, 700, 901};
    memcpy(dims[array], (int64_t[3]){2, 700, 901}, sizeof dims[array]);
    const struct pick experts[4] = {{0, 0, 1}, {1, 1, 1}, {2, 0, 1}, {3, 1, 1}};
    struct memory m;
    memory_open(&m, dims);
    struct map map = map_one(0, array, axis_picks(experts, 4), axis_identity(700), axis_identity(901));
    struct source *sources[1] = {&m.base};
    float *out = mem_new(size_of(dim), sizeof *out);
    int64_t bytes = 0, half = size_of(dims[array]);
    bool good =
        map_run(&map, sources, dim, out, &bytes) == OK && bytes == m.base.array[array].element_bytes * half;
    for (int i = 0; i < 2; i++)
        good = good && memcmp(out + i * half, m.data[array], (size_t)half * sizeof *out) == 0;
    ok(good, "several blocks of %s: one read, two copies", array == 1 ? "BF16" : "floats");
    free(out);
    map_free(&map);
    memory_close(&m);
}

static void test_failure(void)
{
    struct memory m = one_array(4, NULL);
    m.base.ops = &failing_ops;
    struct source *sources[1] = {&m.base};
    const struct pick pair[2] = {{0, 3, 1}, {1, 3, 1}};
    struct map map = map_one(0, 0, axis_identity(1), axis_identity(1), axis_picks(pair, 2));
    float out[2];
    int64_t bytes = 0;
    ok(map_run(&map, sources, (int64_t[3]){1, 1, 2}, out, &bytes) == E_DATA &&
           !strcmp(status_text(), "memory: broken"),
       "a failed read is passed on");
    map_free(&map);
    memory_close(&m);
}

int main(void)
{
    test_random();
    test_composition();
    test_bits();
    test_one_rounding();
    test_blocks(0);
    test_blocks(1);
    test_failure();
    return tap_done();
}
