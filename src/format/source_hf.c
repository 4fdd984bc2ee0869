#include "format/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/json.h"
#include "base/mem.h"
#include "base/file.h"
#include "format/file_kind.h"
#include "base/io.h"
#include "format/hf_folder.h"
#include "format/safetensors.h"

enum { INDEX_LIMIT = 256 << 20, SHARD_NAME_LIMIT = 255 };

struct place { /* the file and tensor of an array */
    int shard, tensor;
};

struct hf {
    struct source source;
    int shards;
    struct st_file *shard;
    struct place *place; /* [source.n] */
};

/* ---- reading a box ---- */

/* Merge rows, and planes of rows, that lie one after the other in the file, so that one call reads them. */
static void merge_runs(const int64_t dim[3], slab *box)
{
    if (box->n[2] == dim[2] && box->n[1] == dim[1]) {
        *box = (slab){.lo = {0, 0, box->lo[0] * dim[1] * dim[2]}, .n = {1, 1, box->n[0] * dim[1] * dim[2]}};
    } else if (box->n[2] == dim[2]) {
        box->lo[2] = box->lo[1] * dim[2];
        box->n[2] = box->n[1] * dim[2];
        box->lo[1] = 0;
        box->n[1] = 1;
    }
}

/* stored: read the stored form, else floats. */
static status read_box(struct source *s, int array, slab box, bool stored, char *out, int64_t *bytes_read)
{
    const struct hf *h = (const struct hf *)s;
    const struct array *a = &s->array[array];
    const struct place *p = &h->place[array];
    const struct st_file *file = &h->shard[p->shard];
    int64_t plane = a->dim[1] * a->dim[2], row = a->dim[2];
    int64_t size = stored ? a->element_bytes : (int64_t)sizeof(float);
    merge_runs(a->dim, &box);
    for (int64_t i = box.lo[0]; i < box.lo[0] + box.n[0]; i++)
        for (int64_t j = box.lo[1]; j < box.lo[1] + box.n[1]; j++, out += box.n[2] * size) {
            int64_t at = i * plane + j * row + box.lo[2];
            TRY(stored ? st_read_stored(file, p->tensor, at, box.n[2], out)
                       : st_read_f32(file, p->tensor, at, box.n[2], (float *)(void *)out));
        }
    *bytes_read += slab_size(&box) * a->element_bytes;
    return OK;
}

static status hf_read(struct source *s, int array, slab box, float *out, int64_t *bytes_read)
{
    return read_box(s, array, box, false, (char *)out, bytes_read);
}

static status hf_read_bf16(struct source *s, int array, slab box, uint16_t *out, int64_t *bytes_read)
{
    return read_box(s, array, box, true, (char *)out, bytes_read);
}

static void hf_close(struct source *s)
{
    struct hf *h = (struct hf *)s;
    for (int i = 0; i < h->shards; i++)
        st_close(&h->shard[i]);
    free(h->shard);
    free(h->place);
}

/* ---- opening ---- */

/* Open the file `name` in the folder; NULL: the source's path is the file. */
static status open_shard(struct hf *h, const char *name)
{
    char *path = name ? mem_format("%s/%s", h->source.path, name) : mem_text(h->source.path);
    h->shard = mem_grow(h->shard, h->shards + 1, sizeof *h->shard);
    status s = st_open(&h->shard[h->shards], path);
    h->shards += s == OK;
    free(path);
    return s;
}

/* `name` is the tensor's name without the source's prefix. */
static status describe(struct array *a, const struct st_file *f, const struct st_tensor *t, const char *name)
{
    if (strlen(name) >= sizeof a->name)
        return fail(E_DATA, "%s: tensor %.60s...: no supported model has such a long name", f->path, t->name);
    if (t->rank > 3)
        return fail(E_DATA, "%s: tensor %s: it has %d dimensions, but supported models need at most 3",
                    f->path, t->name, t->rank);
    strcpy(a->name, name);
    for (int i = 0; i < 3; i++)
        a->dim[i] = i < 3 - t->rank ? 1 : t->shape[i - 3 + t->rank];
    a->element_bytes = (int)st_type_size(t->type);
    a->type_name = t->type_name;
    a->file = f->path;
    return OK;
}

struct found { /* an array and its place, which are sorted together */
    struct array array;
    struct place place;
};

static int by_name(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return strcmp(x->array.name, y->array.name);
}

static status keep_found(struct hf *h, struct found *found, int n)
{
    if (n)
        qsort(found, (size_t)n, sizeof *found, by_name);
    h->source.array = mem_new(n, sizeof *h->source.array);
    h->place = mem_new(n, sizeof *h->place);
    for (int i = 0; i < n; i++) {
        if (i && strcmp(found[i].array.name, found[i - 1].array.name) == 0)
            return fail(E_DATA, "%s: tensor %s is in two files", h->source.path, found[i].array.name);
        h->source.array[i] = found[i].array;
        h->place[i] = found[i].place;
    }
    h->source.n = n;
    h->source.sorted = true;
    return OK;
}

/* List the arrays of all files whose names begin with `prefix`, which is cut off, sorted by name. */
static status list_arrays(struct hf *h, const char *prefix)
{
    size_t cut = strlen(prefix);
    int n = 0, total = 0;
    for (int i = 0; i < h->shards; i++)
        total += h->shard[i].n;
    struct found *found = mem_new(total, sizeof *found);
    status s = OK;
    for (int i = 0; i < h->shards && s == OK; i++)
        for (int j = 0; j < h->shard[i].n && s == OK; j++) {
            const struct st_tensor *t = &h->shard[i].tensor[j];
            if (strncmp(t->name, prefix, cut))
                continue;
            found[n].place = (struct place){i, j};
            s = describe(&found[n++].array, &h->shard[i], t, t->name + cut);
        }
    if (s == OK)
        s = keep_found(h, found, n);
    free(found);
    return s;
}

/* Is the name that of a file in this folder, so that it does not lead out of it? */
static bool basename_ok(const char *name)
{
    return name && file_name_ok(name, SHARD_NAME_LIMIT) && !strchr(name, '/') && name[0] != '.';
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Open every file that the weight_map names, in alphabetical order. */
static status open_shards(struct hf *h, const char *index, json_t *weight_map)
{
    int n = 0;
    status s = OK;
    const char *name;
    json_t *file;
    const char **names = mem_new((int64_t)json_object_size(weight_map), sizeof *names);
    json_object_foreach(weight_map, name, file) {
        names[n] = json_string_value(file);
        if (!basename_ok(names[n]) && s == OK)
            s = fail(E_DATA, "%s: weight_map names a file that is not a plain name in this folder", index);
        n++;
    }
    if (s == OK && n)
        qsort(names, (size_t)n, sizeof *names, by_text);
    for (int i = 0; i < n && s == OK; i++)
        if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
            s = open_shard(h, names[i]);
    free(names);
    return s;
}

static const char *basename_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Every array must be where the index says. */
static status check_weight_map(const struct hf *h, const char *index, json_t *weight_map)
{
    const char *name;
    json_t *file;
    for (int i = 0; i < h->source.n; i++) {
        const char *shard = basename_of(h->shard[h->place[i].shard].path);
        const char *said = json_string_value(json_object_get(weight_map, h->source.array[i].name));
        if (said && strcmp(said, shard) != 0) /* an index may leave out tied heads */
            return fail(E_DATA, "%s: tensor %s lies in %s, but weight_map says %s", index,
                        h->source.array[i].name, shard, said);
    }
    json_object_foreach(weight_map, name, file)
        if (source_find(&h->source, name) < 0)
            return fail(E_DATA, "%s: tensor %.100s is not in %s, where weight_map puts it", index, name,
                        json_string_value(file));
    return OK;
}

static status open_sharded(struct hf *h, const char *index)
{
    json_t *root = NULL;
    TRY(file_explain(json_read_file(&root, index, INDEX_LIMIT), index));
    json_t *weight_map = json_object_get(root, "weight_map");
    status s = json_object_size(weight_map) > 0 ? OK : fail(E_DATA, "%s: there is no weight_map", index);
    if (s == OK)
        s = open_shards(h, index, weight_map);
    if (s == OK)
        s = list_arrays(h, "");
    if (s == OK)
        s = check_weight_map(h, index, weight_map);
    json_decref(root);
    return s;
}

static status open_single(struct hf *h)
{
    TRY(open_shard(h, "model.safetensors"));
    return list_arrays(h, "");
}

static bool holds(const char *dir, const char *name)
{
    char *path = mem_format("%s/%s", dir, name);
    bool there = io_exists(path);
    free(path);
    return there;
}

/* There is an index beside model.safetensors. That is right if the index names that file. */
static status open_both(struct hf *h, const char *dir, const char *index)
{
    TRY(open_sharded(h, index));
    if (h->shards == 1 && !strcmp(basename_of(h->shard[0].path), "model.safetensors"))
        return OK;
    return fail(
        E_DATA,
        "%s: model.safetensors stands beside model.safetensors.index.json, which names other files; which "
        "one is the model? Move the other one away",
        dir);
}

static status open_dir(struct hf *h, const char *dir)
{
    bool single = holds(dir, "model.safetensors"), sharded = holds(dir, "model.safetensors.index.json");
    if (!single && !sharded)
        return hf_folder_no_weights(dir);
    if (holds(dir, "adapter_config.json"))
        return fail(
            E_DATA,
            "%s: a LoRA adapter (adapter_config.json) lies beside the weights, and transformers adds it to "
            "them: merge it into the model first (peft: merge_and_unload), or move adapter_* away",
            dir);
    char *index = mem_format("%s/model.safetensors.index.json", dir);
    status s = !sharded ? open_single(h) : single ? open_both(h, dir, index) : open_sharded(h, index);
    free(index);
    return s;
}

static struct hf *new_source(const char *path)
{
    static const struct source_ops ops = {hf_read, hf_read_bf16, hf_close};
    struct hf *h = mem_new(1, sizeof *h);
    h->source = (struct source){.ops = &ops, .path = mem_text(path), .concurrent = true};
    return h;
}

static status give(struct source **out, struct hf *h, status s)
{
    if (s == OK)
        *out = &h->source;
    else
        source_close(&h->source);
    return s;
}

status source_open_hf(struct source **out, const char *dir)
{
    struct hf *h = new_source(dir);
    return give(out, h, open_dir(h, dir));
}

status source_open_file(struct source **out, const char *path, const char *prefix)
{
    struct hf *h = new_source(path);
    status s = open_shard(h, NULL);
    return give(out, h, s == OK ? list_arrays(h, prefix) : s);
}
