/* format/source: boxes of arrays from one file, from several and from the generator hold the right values,
 * and only the bytes of the box are read. Hostile folders are refused. */
#include <fcntl.h>
#include <stdint.h>
#include "base/rng.h"
#include "format/safetensors.h"
#include "format/source.h"
#include "validation/unit/scratch.h"
#include "validation/unit/tap.h"

/* ---- a folder with two shards; every element of every array is its own global index ---- */

static const struct st_declare first_shard[] = {
    {"cube", ST_F32, 3, {3, 5, 7}}, {"matrix", ST_F32, 2, {5, 7}}, {"vector", ST_F32, 1, {7}}};
static const struct st_declare second_shard[] = {{"half", ST_BF16, 3, {3, 5, 7}},
                                                 {"scalar", ST_F32, 0, {0}},
                                                 {"ids", ST_I64, 1, {2}},
                                                 {"empty", ST_F32, 2, {0, 3}}};

static void write_shard(const char *path, const struct st_declare *list, int n)
{
    struct st_writer *w;
    float x[105];
    int64_t ids[2] = {0, 1};
    for (int i = 0; i < 105; i++)
        x[i] = (float)i;
    if (st_create(&w, path, list, n) != OK)
        bug("%s", status_text());
    for (int i = 0; i < n; i++) {
        int64_t elements = 1;
        for (int k = 0; k < list[i].rank; k++)
            elements *= list[i].shape[k];
        if ((list[i].type == ST_I64 ? st_write_i64(w, i, 0, 2, ids) : st_write_f32(w, i, 0, elements, x)) !=
            OK)
            bug("%s", status_text());
    }
    if (st_finish(w) != OK)
        bug("%s", status_text());
}

static void write_index(const char *text)
{
    scratch_write("model.safetensors.index.json", text, strlen(text));
}

#define FIRST "\"cube\":\"a.safetensors\",\"matrix\":\"a.safetensors\",\"vector\":\"a.safetensors\","
#define SECOND                                                 \
    "\"half\":\"b.safetensors\",\"scalar\":\"b.safetensors\"," \
    "\"ids\":\"b.safetensors\",\"empty\":\"b.safetensors\""

/* ---- boxes ---- */

static const struct {
    const char *name;
    slab box;
    int64_t calls; /* of the system: rows and planes that lie together are read in one */
} boxes[] = {
    {"cube", {{0, 0, 0}, {3, 5, 7}}, 1},   {"cube", {{1, 0, 0}, {2, 5, 7}}, 1},
    {"cube", {{1, 2, 0}, {1, 3, 7}}, 1},   {"cube", {{0, 2, 0}, {3, 2, 7}}, 3},
    {"cube", {{0, 0, 3}, {3, 5, 2}}, 15},  {"cube", {{2, 4, 6}, {1, 1, 1}}, 1},
    {"cube", {{1, 1, 1}, {2, 3, 4}}, 6},   {"half", {{0, 0, 0}, {3, 5, 7}}, 1},
    {"half", {{1, 2, 3}, {2, 2, 2}}, 4},   {"half", {{1, 1, 0}, {2, 4, 7}}, 2},
    {"matrix", {{0, 0, 0}, {1, 5, 7}}, 1}, {"matrix", {{0, 1, 2}, {1, 3, 5}}, 3},
    {"vector", {{0, 0, 2}, {1, 1, 4}}, 1}, {"scalar", {{0, 0, 0}, {1, 1, 1}}, 1},
    {"cube", {{1, 1, 1}, {0, 3, 4}}, 0},   {"matrix", {{0, 5, 7}, {1, 0, 0}}, 0},
    {"empty", {{0, 0, 0}, {1, 0, 3}}, 0},
};

/* Is each element of `got` its own global index? */
static bool holds(const float *got, const int64_t dim[3], slab box)
{
    for (int64_t i = 0; i < box.n[0]; i++)
        for (int64_t j = 0; j < box.n[1]; j++)
            for (int64_t k = 0; k < box.n[2]; k++, got++)
                if (*got != (float)(((box.lo[0] + i) * dim[1] + box.lo[1] + j) * dim[2] + box.lo[2] + k))
                    return false;
    return true;
}

struct traffic { /* of this process, by system calls; calls = -1 if the kernel does not say */
    int64_t bytes, calls;
};

/* What was read before this look at it, and with `own` also the look itself. */
static struct traffic traffic(bool own)
{
    char text[512] = "";
    long long bytes = 0, written = 0, calls = -1;
    int fd = open("/proc/self/io", O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (sscanf(text, "rchar: %lld wchar: %lld syscr: %lld", &bytes, &written, &calls) != 3)
        return (struct traffic){0, -1};
    return (struct traffic){bytes + own * n, calls + own};
}

static void test_boxes(struct source *s)
{
    for (size_t i = 0; i < sizeof boxes / sizeof boxes[0]; i++) {
        float got[106];
        slab box = boxes[i].box;
        int64_t bytes = 1000, size = slab_size(&box);
        int a = source_find(s, boxes[i].name);
        got[size] = -1;
        struct traffic before = traffic(true);
        bool good = a >= 0 && source_read(s, a, box, got, &bytes) == OK;
        struct traffic after = traffic(false);
        ok(good && holds(got, s->array[a].dim, box) && got[size] == -1, "box %zu of %s", i, boxes[i].name);
        ok(bytes == 1000 + size * s->array[a].element_bytes &&
               (before.calls < 0 ||
                (after.bytes - before.bytes == bytes - 1000 && after.calls - before.calls == boxes[i].calls)),
           "... its bytes are read, and no others, in %lld calls", (long long)boxes[i].calls);
    }
}

static void test_shards(void)
{
    struct source *s;
    float x[2];
    int64_t bytes = 0;
    write_shard(scratch("a.safetensors"), first_shard, 3);
    write_shard(scratch("b.safetensors"), second_shard, 4);
    write_index("{\"metadata\":{\"total_size\":1},\"weight_map\":{" FIRST SECOND "}}");
    if (!ok(source_open_hf(&s, scratch("")) == OK && s->n == 7, "two shards open")) {
        printf("# %s\n", status_text());
        return;
    }
    bool sorted = true;
    for (int i = 1; i < s->n; i++)
        sorted = sorted && strcmp(s->array[i - 1].name, s->array[i].name) < 0;
    ok(sorted && source_find(s, "nothing") < 0, "arrays are sorted by name");
    const struct array *v = &s->array[source_find(s, "vector")], *h = &s->array[source_find(s, "half")];
    ok(v->dim[0] == 1 && v->dim[1] == 1 && v->dim[2] == 7 && v->element_bytes == 4,
       "a vector is right-aligned");
    ok(h->element_bytes == 2 && strcmp(h->type_name, "BF16") == 0, "the file's type is known");
    test_boxes(s);
    ok(source_read(s, source_find(s, "ids"), (slab){{0, 0, 0}, {1, 1, 2}}, x, &bytes) == E_DATA &&
           says("I64"),
       "integers are no weights");
    source_close(s);
}

/* ---- hostile folders: other indices over the same two shards ---- */

#define MAP(...) "{\"weight_map\":{" __VA_ARGS__ "}}"

static const struct {
    const char *index, *message;
} indices[] = {
    {"", "empty"},
    {"{}", "there is no weight_map"},
    {"[]", "there is no weight_map"},
    {MAP(), "there is no weight_map"},
    {"{\"weight_map\":7}", "there is no weight_map"},
    {MAP(FIRST FIRST SECOND), "duplicate"},
    {MAP("\"cube\":7"), "not a plain name"},
    {MAP("\"cube\":\"../a.safetensors\""), "not a plain name"},
    {MAP("\"cube\":\"/etc/passwd\""), "not a plain name"},
    {MAP("\"cube\":\"sub/a.safetensors\""), "not a plain name"},
    {MAP("\"cube\":\"..\""), "not a plain name"},
    {MAP("\"cube\":\"\""), "not a plain name"},
    {MAP("\"cube\":\"a\\nb\""), "not a plain name"},
    {MAP("\"cube\":\"c.safetensors\""), "c.safetensors: cannot be opened"},
    {MAP(FIRST "\"half\":\"a.safetensors\""), "half is not in a.safetensors"},
    {MAP(FIRST "\"none\":\"b.safetensors\"," SECOND), "tensor none is not in b.safetensors"},
    {MAP("\"matrix\":\"a.safetensors\",\"vector\":\"a.safetensors\",\"cube\":\"b.safetensors\"," SECOND),
     "cube lies in a.safetensors, but weight_map says b.safetensors"},
    {MAP(FIRST SECOND ",\"more\":\"copy.safetensors\""), "is in two files"},
    {MAP("\"a\":\"long.safetensors\""), "no supported model has such a long name"},
    {MAP("\"a\":\"rank4.safetensors\""), "4 dimensions"},
    {MAP("\"a\":\"model.safetensors.index.json\""), "not a safetensors file"},
};

/* Arrays that the index does not list lie in its shards all the same. */
static void test_unlisted(void)
{
    struct source *s;
    write_index(MAP(FIRST "\"half\":\"b.safetensors\""));
    bool good = source_open_hf(&s, scratch("")) == OK;
    ok(good && s->n == 7 && source_find(s, "scalar") >= 0, "arrays that the index does not list count");
    if (good)
        source_close(s);
}

/* The first bytes of files that are often found in the place of weights. */
static void test_other_files(void)
{
    static const struct {
        const char *begin, *says;
    } cases[] = {
        {"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22e\nsize "
         "134\n",
         "a git-lfs pointer"},
        {"\n <!DOCTYPE html><html><head><title>Sign in</title></head><body>                   </body>",
         "HTML"},
        {"<html><body>504 Gateway Time-out</body></html>", "HTML"},
        {"GGUF\3aaaaaaaaaaaaaaaa", "GGUF"},
        {"PK\3\4aaaaaaaaaaaaaaaa", "torch.save"},
        {"\x1f\x8b\x8"
         "aaaaaaaaaaaaaa",
         "gzip"},
        {"Entry not found", "a download that failed"},
        {"", "empty"},
    };
    char zeros[200] = "";
    struct source *s;
    write_index(MAP("\"a\":\"x.safetensors\""));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch_write("x.safetensors", cases[i].begin, strlen(cases[i].begin));
        ok(source_open_hf(&s, scratch("")) == E_DATA && says(cases[i].says) && says("x.safetensors"),
           "a shard that is another file: %s", cases[i].says);
    }
    scratch_write("x.safetensors", zeros, sizeof zeros);
    ok(source_open_hf(&s, scratch("")) == E_DATA && says("nothing but zeros"), "... nothing but zeros");
    write_index(cases[0].begin);
    ok(source_open_hf(&s, scratch("")) == E_DATA && says("a git-lfs pointer"),
       "an index that is a git-lfs pointer");
}

/* NaN and infinity, in every type, at a place that the message names. */
static void test_not_finite(void)
{
    static const struct {
        enum st_type type;
        float x;
    } cases[] = {{ST_F32, (float)NAN}, {ST_F32, -(float)INFINITY}, {ST_F16, 65520}, {ST_BF16, (float)NAN}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct st_declare one = {"w", cases[i].type, 2, {3, 4}};
        float x[12] = {[6] = cases[i].x}, out[12];
        uint16_t half[12];
        struct st_writer *w;
        struct source *s;
        int64_t bytes = 0;
        const slab all = {{0, 0, 0}, {1, 3, 4}}, lower = {{0, 1, 1}, {1, 2, 3}},
                   above = {{0, 0, 0}, {1, 1, 4}};
        if (st_create(&w, scratch("n.safetensors"), &one, 1) != OK || st_write_f32(w, 0, 0, 12, x) != OK ||
            st_finish(w) != OK || source_open_file(&s, scratch("n.safetensors"), "") != OK)
            bug("%s", status_text());
        ok(source_read(s, 0, all, out, &bytes) == E_DATA &&
               says("n.safetensors: tensor w: element [0, 1, 2]") &&
               source_read(s, 0, lower, out, &bytes) == E_DATA && says("[0, 1, 2]") &&
               source_read(s, 0, above, out, &bytes) == OK,
           "%s %g is refused where it is read", st_type_name(cases[i].type), (double)cases[i].x);
        if (source_has_bf16(s, 0))
            ok(source_read_bf16(s, 0, lower, half, &bytes) == E_DATA && says("[0, 1, 2]"),
               "... also as stored");
        source_close(s);
    }
}

static void test_hostile(void)
{
    char long_name[129];
    memset(long_name, 'x', 128);
    long_name[128] = '\0';
    const struct st_declare longer = {long_name, ST_F32, 1, {1}}, rank4 = {"a", ST_F32, 4, {1, 1, 1, 1}};
    write_shard(scratch("copy.safetensors"), first_shard, 1);
    write_shard(scratch("long.safetensors"), &longer, 1);
    write_shard(scratch("rank4.safetensors"), &rank4, 1);
    for (size_t i = 0; i < sizeof indices / sizeof indices[0]; i++) {
        struct source *s;
        write_index(indices[i].index);
        status result = source_open_hf(&s, scratch(""));
        ok(result == E_DATA && says(indices[i].message), "index %zu: %s", i, indices[i].message);
        if (result == OK)
            source_close(s);
    }
    struct source *s;
    ok(unlink(scratch("model.safetensors.index.json")) == 0 && source_open_hf(&s, scratch("")) == E_DATA &&
           says("holds neither model.safetensors nor"),
       "a folder without weights");
    ok(source_open_hf(&s, "/nonexistent") == E_DATA && says("/nonexistent"), "no folder");
}

/* ---- one file, as the hub's cache has it: a link ---- */

static void test_single(void)
{
    struct source *s = NULL;
    float x[7];
    int64_t bytes = 0;
    ok(symlink("a.safetensors", scratch("model.safetensors")) == 0 && source_open_hf(&s, scratch("")) == OK &&
           s->n == 3,
       "model.safetensors, a link, opens");
    source_close(s);
    ok(source_open_file(&s, scratch("a.safetensors"), "ma") == OK && s->n == 1 &&
           source_find(s, "trix") == 0 && source_read(s, 0, (slab){{0, 4, 0}, {1, 1, 7}}, x, &bytes) == OK &&
           x[6] == 34,
       "the tensors of one file with a prefix, which is cut off");
    source_close(s);
}

static void test_golden(void)
{
    const char *dir = shared("golden/llama-mha");
    struct source *s;
    if (!dir) {
        ok(true, "golden/llama-mha # SKIP not there (set COPPICE_SHARED)");
        return;
    }
    float *x = mem_new(257 * 64, sizeof *x), column[3];
    int64_t bytes = 0;
    bool good = source_open_hf(&s, dir) == OK && s->n == 21;
    int a = good ? source_find(s, "lm_head.weight") : -1;
    good = a >= 0 && source_read(s, a, slab_whole(s->array[a].dim), x, &bytes) == OK;
    ok(good && bytes == 257 * 64 * 4 && x[0] == 0x1.9225a8p-3f && x[257 * 64 - 1] == 0x1.3ee440p-7f,
       "golden/llama-mha: lm_head.weight");
    good = good && source_read(s, a, (slab){{0, 100, 63}, {1, 3, 1}}, column, &bytes) == OK;
    ok(good && column[0] == x[100 * 64 + 63] && column[2] == x[102 * 64 + 63], "a piece of its last column");
    source_close(s);
    free(x);
}

/* ---- the generator ---- */

static void test_random(void)
{
    static const struct generated list[] = {
        {"w", {3, 5, 7}, 0.02}, {"norm", {1, 1, 7}, -1}, {"bias", {1, 1, 7}, 0}, {"v", {3, 5, 7}, 0.02}};
    static const struct generated other_order[] = {{"v", {3, 5, 7}, 0.02}, {"w", {3, 5, 7}, 0.02}};
    struct source *s = source_open_random(1234, list, 4), *t = source_open_random(1234, other_order, 2);
    struct source *u = source_open_random(1235, list, 4);
    const slab whole = {{0, 0, 0}, {3, 5, 7}}, part = {{1, 2, 3}, {2, 2, 4}}, row = {{0, 0, 0}, {1, 1, 7}};
    float w[105], v[105], expected[105], box[16];
    int64_t bytes = 0;
    ok(source_find(s, "v") == 3 && source_find(s, "x") < 0, "arrays keep the order given");
    ok(source_read(s, 0, whole, w, &bytes) == OK && source_read(s, 3, whole, v, &bytes) == OK && bytes == 0,
       "whole arrays; no bytes of any file");
    rng_normals(1234, rng_name("w"), 0, 105, 0.02, expected);
    ok(memcmp(w, expected, sizeof w) == 0, "keyed by seed, name and global index");
    ok(memcmp(w, v, sizeof w) != 0, "another name, other numbers");
    bool good = source_read(s, 0, part, box, &bytes) == OK;
    for (int i = 0; i < 16; i++)
        good = good && box[i] == w[((1 + i / 8) * 5 + 2 + i / 4 % 2) * 7 + 3 + i % 4];
    ok(good, "a box is a part of the whole");
    ok(source_read(t, 1, whole, v, &bytes) == OK && memcmp(w, v, sizeof w) == 0,
       "the order of the list does not matter");
    ok(source_read(u, 0, whole, v, &bytes) == OK && memcmp(w, v, sizeof w) != 0,
       "another seed, other numbers");
    good = source_read(s, 1, row, w, &bytes) == OK && source_read(s, 2, row, v, &bytes) == OK;
    for (int i = 0; i < 7; i++)
        good = good && w[i] == 1 && v[i] == 0;
    ok(good, "ones and zeros");
    source_close(s);
    source_close(t);
    source_close(u);
}

int main(void)
{
    test_shards();
    test_unlisted();
    test_other_files();
    test_not_finite();
    test_hostile();
    test_single();
    test_golden();
    test_random();
    scratch_remove();
    return tap_done();
}
