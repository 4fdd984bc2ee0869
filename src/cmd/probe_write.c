/* coppice probe --out: a reference as a safetensors file. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cmd/probe.h"
#include "weights/compare.h"

/* ---- which arrays ---- */

struct declared {
    struct st_declare *list;
    int n;
};

static void declare(struct declared *d, const char *name, enum st_type type, int rank, const int64_t *shape)
{
    d->list = mem_grow(d->list, d->n + 1, sizeof *d->list);
    struct st_declare *t = &d->list[d->n++];
    *t = (struct st_declare){.name = mem_text(name), .type = type, .rank = rank};
    memcpy(t->shape, shape, (size_t)rank * sizeof *shape);
}

static void declare_batch(struct declared *d, const struct probe *p)
{
    int64_t one = 1, v = p->s.shapes.target.vocab;
    int64_t b = p->batch.micros * p->batch.micro, s = p->batch.sequence;
    declare(d, "logits", ST_F32, 3, (int64_t[]){b, s, v});
    declare(d, "tokens", ST_I64, 2, (int64_t[]){b, s});
    declare(d, "targets", ST_I64, 2, (int64_t[]){b, s});
    for (int i = 0; i < SCALARS; i++)
        declare(d, probe_scalar_name[i], ST_F32, 1, &one);
    if (p->batch.begins)
        declare(d, "documents", ST_I64, 2, (int64_t[]){b, s});
}

static void declare_curve(struct declared *d, const struct probe *p)
{
    int64_t steps = deck_steps(&p->s.deck);
    for (int i = 0; i < CURVES; i++)
        declare(d, probe_curve_name[i], ST_F32, 1, &steps);
}

static void declare_arrays(struct declared *d, const char *prefix, const struct hf_name *names, int n)
{
    for (int i = 0; i < n; i++) {
        char *name = mem_format("%s%s", prefix, names[i].name);
        declare(d, name, ST_F32, names[i].rank, names[i].shape);
        free(name);
    }
}

/* ---- their values ---- */

/* Sample i, in arrays [S]; wide [S] is room. */
static status write_sample(struct probe *p, struct st_writer *w, int64_t i, struct sample x, int64_t *wide)
{
    int64_t s = p->batch.sequence;
    TRY(data_sample(p->s.data, i, x));
    for (int64_t j = 0; j < s; j++)
        wide[j] = x.ids[j];
    TRY(st_write_i64(w, 1, i * s, s, wide));
    for (int64_t j = 0; j < s; j++)
        wide[j] = x.targets[j] < 0 ? -100 : x.targets[j];
    TRY(st_write_i64(w, 2, i * s, s, wide));
    if (!p->batch.begins)
        return OK;
    for (int64_t j = 0; j < s; j++)
        wide[j] = j == 0 ? 0 : wide[j - 1] + (x.begins[j] != x.begins[j - 1]);
    return st_write_i64(w, 3 + SCALARS, i * s, s, wide);
}

static status write_tokens(struct probe *p, struct st_writer *w)
{
    int64_t b = p->batch.micros * p->batch.micro, s = p->batch.sequence;
    int32_t *room = mem_new(3 * s, sizeof *room);
    int64_t *wide = mem_new(s, sizeof *wide);
    status code = OK;
    for (int64_t i = 0; i < b && code == OK; i++)
        code = write_sample(p, w, i, (struct sample){room, room + s, room + 2 * s}, wide);
    free(room);
    free(wide);
    return code;
}

/* Rank 0 writes the losses and the tokens. */
static status write_batch(struct probe *p, struct st_writer *w)
{
    double scalar[SCALARS];
    probe_scalars(p, scalar);
    for (int i = 0; i < SCALARS; i++) {
        float x = (float)scalar[i];
        TRY(st_write_f32(w, 3 + i, 0, 1, &x));
    }
    return write_tokens(p, w);
}

static status write_curve(struct probe *p, struct st_writer *w)
{
    int64_t steps = deck_steps(&p->s.deck);
    for (int i = 0; i < CURVES; i++)
        TRY(st_write_f32(w, i, 0, steps, p->curve + i * steps));
    return OK;
}

/* Gather the logits of all micro-batches on rank 0, which writes them. COLLECTIVE. */
static status write_logits(struct probe *p, struct st_writer *w)
{
    bool mine = layout_coords(&p->s.layout, p->s.rank).t == 0; /* all ranks of a TP group hold the same */
    int64_t n = mine ? mem_mul(p->batch.mine.n, probe_micro_logits(p)) : 0, total = 0;
    int64_t *size = mem_new(comm_size(p->s.comm), sizeof *size);
    char *all = NULL;
    comm_gather_v(p->s.comm, &all, size, p->logits, n * (int64_t)sizeof(float));
    for (int i = 0; w && i < comm_size(p->s.comm); i++)
        total += size[i] / (int64_t)sizeof(float);
    status code = w ? st_write_f32(w, 0, 0, total, (const float *)(const void *)all) : OK;
    free(all);
    free(size);
    return comm_agree(p->s.comm, code);
}

/* Rank 0: create the file, and write what is not spread over ranks. */
static status create_out(struct probe *p, const struct hf_name *names, int n, struct st_writer **w)
{
    struct declared d = {0};
    bool curve = p->s.options.curve;
    (curve ? declare_curve : declare_batch)(&d, p);
    declare_arrays(&d, curve ? "train.final." : "grad.", names, n);
    status code = st_create(w, p->s.options.out, d.list, d.n);
    for (int i = 0; i < d.n; i++)
        free((char *)(uintptr_t)d.list[i].name);
    free(d.list);
    if (code != OK)
        return code;
    return curve ? write_curve(p, *w) : write_batch(p, *w);
}

status probe_write(struct probe *p)
{
    struct hf_name *names;
    int n = names_list(&p->s.model, HF_OLD, &names);
    bool curve = p->s.options.curve;
    struct st_writer *w = NULL;
    status code = comm_agree(p->s.comm, p->s.rank == 0 ? create_out(p, names, n, &w) : OK);
    if (code == OK && !curve)
        code = write_logits(p, w);
    if (code == OK)
        code = compare_write(p->s.comm, &p->s.store, curve ? MASTER : GRAD, names, n, w,
                             curve ? CURVES : 3 + SCALARS + (p->batch.begins != NULL));
    free(names);
    if (code != OK && w)
        st_abandon(w);
    return code != OK ? code : comm_agree(p->s.comm, w ? st_finish(w) : OK);
}
