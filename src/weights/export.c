#include "weights/export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "format/companions.h"
#include "format/outdir.h"
#include "format/safetensors.h"
#include "weights/forms.h"
#include "weights/config_hf.h"

enum { CHUNK = 1 << 18, FILE_NAME = 40 }; /* floats in memory at a time: 1 MiB */

struct export
{
    struct source *source;
    const struct config *config;
    const struct form *form;
    const char *dtype;
    enum st_type type;
    struct model model;
    int n, files;
    struct hf_name *name; /* [n] the arrays to write */
    int *array;           /* [n] the array of the source that each comes from; -1: zeros */
    int *file;            /* [n] the file that each goes to; ascending */
};

static status parse_dtype(struct export *e)
{
    if (strcmp(e->dtype, "float32") && strcmp(e->dtype, "bfloat16"))
        return fail(E_DECK, "export: dtype %s: needs float32 or bfloat16", e->dtype);
    e->type = strcmp(e->dtype, "float32") ? ST_BF16 : ST_F32;
    return OK;
}

/* ---- what goes where ---- */

/* Assign arrays to files, which are filled one after the other. No array is cut. */
static void assign_files(struct export *e, int64_t shard_bytes)
{
    int64_t filled = 0;
    e->files = e->n > 0;
    for (int i = 0; i < e->n; i++) {
        int64_t bytes = mem_mul(hf_name_size(&e->name[i]), st_type_size(e->type));
        if (filled > 0 && filled + bytes > shard_bytes) {
            e->files++;
            filled = 0;
        }
        filled += bytes;
        e->file[i] = e->files - 1;
    }
}

static status find_arrays(struct export *e)
{
    for (int i = 0; i < e->n; i++) {
        e->array[i] = -1;
        if (e->name[i].tensor < 0)
            continue;
        const struct tensor *t = &e->model.tensor[e->name[i].tensor];
        e->array[i] = source_find(e->source, t->name);
        if (e->array[i] < 0)
            return fail(E_DATA, "%s: tensor %s is missing", e->source->path ? e->source->path : "source",
                        t->name);
        if (memcmp(e->source->array[e->array[i]].dim, t->dim, sizeof t->dim))
            return fail(E_DATA, "%s: tensor %s has another shape than its model's config says",
                        e->source->path ? e->source->path : "source", t->name);
    }
    return OK;
}

static char *file_name(const struct export *e, int file, char out[FILE_NAME])
{
    if (e->files == 1)
        snprintf(out, FILE_NAME, "model.safetensors");
    else
        snprintf(out, FILE_NAME, "model-%05d-of-%05d.safetensors", file + 1, e->files);
    return out;
}

/* ---- writing ---- */

static status write_zeros(struct export *e, struct st_writer *w, int entry, int i, float *block)
{
    int64_t n = hf_name_size(&e->name[i]);
    memset(block, 0, CHUNK * sizeof *block);
    for (int64_t done = 0, now; done < n; done += now) {
        now = n - done < CHUNK ? n - done : CHUNK;
        TRY(st_write_f32(w, entry, done, now, block));
    }
    return OK;
}

static void scale(float *x, int64_t n, float by)
{
    for (int64_t i = 0; by != 1 && i < n; i++)
        x[i] *= by;
}

/* Write rows [at, at+n) of axis 0, in blocks of whole rows of axis 1. */
static status write_tensor(struct export *e, struct st_writer *w, int entry, int i, float *block)
{
    const struct hf_name *h = &e->name[i];
    const int64_t *dim = e->model.tensor[h->tensor].dim;
    int64_t step = dim[2] < CHUNK ? CHUNK / dim[2] : 1, done = 0, bytes = 0;
    for (int64_t a = h->at; a < h->at + h->n; a++)
        for (int64_t row = 0; row < dim[1]; row += step) {
            int64_t left = dim[1] - row;
            slab box = {{a, row, 0}, {1, left < step ? left : step, dim[2]}};
            TRY(source_read(e->source, e->array[i], box, block, &bytes));
            scale(block, slab_size(&box), h->scale);
            TRY(st_write_f32(w, entry, done, slab_size(&box), block));
            done += slab_size(&box);
        }
    return OK;
}

static status write_tensors(struct export *e, struct st_writer *w, int first, int n)
{
    int64_t widest = CHUNK;
    for (int i = first; i < first + n; i++)
        if (e->name[i].tensor >= 0 && e->model.tensor[e->name[i].tensor].dim[2] > widest)
            widest = e->model.tensor[e->name[i].tensor].dim[2];
    float *block = mem_new(widest, sizeof *block);
    status s = OK;
    for (int i = 0; i < n && s == OK; i++)
        s = e->array[first + i] < 0 ? write_zeros(e, w, i, first + i, block)
                                    : write_tensor(e, w, i, first + i, block);
    free(block);
    return s;
}

/* Write a file with the n arrays from `first` on. */
static status write_file(struct export *e, const char *dir, int first, int n)
{
    char name[FILE_NAME];
    char *path = mem_format("%s/%s", dir, file_name(e, e->file[first], name));
    struct st_declare *list = mem_new(n, sizeof *list);
    for (int i = 0; i < n; i++) {
        const struct hf_name *h = &e->name[first + i];
        list[i] = (struct st_declare){.name = h->name, .type = e->type, .rank = h->rank};
        memcpy(list[i].shape, h->shape, sizeof h->shape);
    }
    struct st_writer *w = NULL;
    status s = st_create(&w, path, list, n);
    if (s == OK) {
        s = write_tensors(e, w, first, n);
        if (s == OK)
            s = st_finish(w);
        else
            st_abandon(w);
    }
    free(list);
    free(path);
    return s;
}

static status write_index(const struct export *e, const char *dir)
{
    char name[FILE_NAME];
    int64_t bytes = 0;
    json_t *map = json_object();
    for (int i = 0; i < e->n; i++) {
        bytes += mem_mul(hf_name_size(&e->name[i]), st_type_size(e->type));
        json_object_set_new(map, e->name[i].name, json_string(file_name(e, e->file[i], name)));
    }
    json_t *index =
        json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)bytes, "weight_map", map);
    char *path = mem_format("%s/model.safetensors.index.json", dir);
    status s = json_write_file(index, path, 2);
    free(path);
    json_decref(index);
    return s;
}

static status write_config(const struct export *e, const char *dir)
{
    struct hf_config h;
    config_to_hf(&h, e->config, e->form);
    status s = hf_config_write(&h, dir, e->dtype);
    hf_config_free(&h);
    return s;
}

static status write_all(struct export *e, const char *dir, const char *name)
{
    TRY(write_config(e, dir));
    TRY(companions_copy(e->config->carried.folder, dir, name));
    for (int first = 0, end; first < e->n; first = end) {
        for (end = first + 1; end < e->n && e->file[end] == e->file[first];)
            end++;
        TRY(write_file(e, dir, first, end - first));
    }
    return e->files > 1 ? write_index(e, dir) : OK;
}

static void plan_files(struct export *e, int64_t shard_bytes)
{
    e->n = names_list(&e->model, e->form->naming, &e->name);
    e->array = mem_new(e->n, sizeof *e->array);
    e->file = mem_new(e->n, sizeof *e->file);
    assign_files(e, shard_bytes);
}

static void export_free(struct export *e)
{
    free(e->file);
    free(e->array);
    free(e->name);
    model_close(&e->model);
}

status export_hf(struct source *source, const struct config *c, const char *out_dir,
                 const struct export_options *o)
{
    struct export e = {.source = source, .config = c, .dtype = o->dtype};
    struct outdir out;
    TRY(parse_dtype(&e));
    TRY(export_form(&e.form, c, o->as));
    model_open(&e.model, c, &layout_alone);
    plan_files(&e, o->shard_bytes);
    status s = find_arrays(&e);
    if (s == OK)
        s = outdir_begin(&out, out_dir);
    if (s == OK) {
        s = write_all(&e, out.partial, out_dir);
        if (s == OK)
            s = outdir_publish(&out);
        else
            outdir_abandon(&out);
    }
    export_free(&e);
    return s;
}
