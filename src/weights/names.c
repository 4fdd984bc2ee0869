#include "weights/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "weights/foreign.h"

/* Where an array occurs: in any model or layer that has the slot, or only in layers of one kind. */
enum where { ANY, DENSE, OLD, OLD_EXPERT, FUSED, QWEN, QWEN_EXPERT, GRANITE };

static const struct row {
    enum slot slot;
    enum where where;
    int rank;     /* dimensions in the file */
    int at, step; /* it is row at + e*step of axis 0, for expert e (dense: e = 0); step = 0: it is all rows */
    const char *name; /* behind "model.layers.L." and the prefix of expert E; or the whole name */
} rows[] = {
    {T_EMBED, ANY, 2, 0, 0, "model.embed_tokens.weight"},
    {T_NORM, ANY, 1, 0, 0, "model.norm.weight"},
    {T_HEAD, ANY, 2, 0, 0, "lm_head.weight"},
    {T_ATTN_NORM, ANY, 1, 0, 0, "input_layernorm.weight"},
    {T_Q, ANY, 2, 0, 0, "self_attn.q_proj.weight"},
    {T_K, ANY, 2, 0, 0, "self_attn.k_proj.weight"},
    {T_V, ANY, 2, 0, 0, "self_attn.v_proj.weight"},
    {T_Q_BIAS, ANY, 1, 0, 0, "self_attn.q_proj.bias"},
    {T_K_BIAS, ANY, 1, 0, 0, "self_attn.k_proj.bias"},
    {T_V_BIAS, ANY, 1, 0, 0, "self_attn.v_proj.bias"},
    {T_Q_NORM, ANY, 1, 0, 0, "self_attn.q_norm.weight"},
    {T_K_NORM, ANY, 1, 0, 0, "self_attn.k_norm.weight"},
    {T_O, ANY, 2, 0, 0, "self_attn.o_proj.weight"},
    {T_FFN_NORM, ANY, 1, 0, 0, "post_attention_layernorm.weight"},
    {T_GATE_UP, DENSE, 2, 0, 1, "mlp.gate_proj.weight"},
    {T_GATE_UP, DENSE, 2, 1, 1, "mlp.up_proj.weight"},
    {T_DOWN, DENSE, 2, 0, 1, "mlp.down_proj.weight"},
    {T_SHARED_GATE_UP, ANY, 2, 0, 1, "mlp.shared_expert.gate_proj.weight"},
    {T_SHARED_GATE_UP, ANY, 2, 1, 1, "mlp.shared_expert.up_proj.weight"},
    {T_SHARED_DOWN, ANY, 2, 0, 1, "mlp.shared_expert.down_proj.weight"},
    {T_SHARED_GATE, ANY, 2, 0, 0, "mlp.shared_expert_gate.weight"},
    {T_ROUTER, OLD, 2, 0, 0, "block_sparse_moe.gate.weight"},
    {T_GATE_UP, OLD_EXPERT, 2, 0, 2, "w1.weight"},
    {T_GATE_UP, OLD_EXPERT, 2, 1, 2, "w3.weight"},
    {T_DOWN, OLD_EXPERT, 2, 0, 1, "w2.weight"},
    {T_ROUTER, FUSED, 2, 0, 0, "mlp.gate.weight"},
    {T_GATE_UP, FUSED, 3, 0, 0, "mlp.experts.gate_up_proj"},
    {T_DOWN, FUSED, 3, 0, 0, "mlp.experts.down_proj"},
    {T_ROUTER, QWEN, 2, 0, 0, "mlp.gate.weight"},
    {T_GATE_UP, QWEN_EXPERT, 2, 0, 2, "gate_proj.weight"},
    {T_GATE_UP, QWEN_EXPERT, 2, 1, 2, "up_proj.weight"},
    {T_DOWN, QWEN_EXPERT, 2, 0, 1, "down_proj.weight"},
    {T_ROUTER, GRANITE, 2, 0, 0, "block_sparse_moe.router.layer.weight"},
    {T_GATE_UP, GRANITE, 3, 0, 0, "block_sparse_moe.input_linear.weight"},
    {T_DOWN, GRANITE, 3, 0, 0, "block_sparse_moe.output_linear.weight"},
};
enum { ROWS = sizeof rows / sizeof *rows };

/* The arrays of expert E begin with "model.layers.L.PREFIX.E." */
static const char *const expert_prefix[] = {
    [OLD_EXPERT] = "block_sparse_moe.experts", [QWEN_EXPERT] = "mlp.experts"};

static bool of_expert(const struct row *r)
{
    return r->where == OLD_EXPERT || r->where == QWEN_EXPERT;
}

int64_t hf_name_size(const struct hf_name *h)
{
    int64_t n = 1;
    for (int i = 0; i < h->rank; i++)
        n = mem_mul(n, h->shape[i]);
    return n;
}

/* ---- arrays of zeros, for what a family always has and the model has not ---- */

static bool is_zeros(enum slot slot, const struct layer *l, enum naming naming)
{
    switch (slot) {
    case T_Q_BIAS:
    case T_K_BIAS:
    case T_V_BIAS:
        return (naming == HF_QWEN2 || naming == HF_QWEN2_MOE) && (l->type == BLOCK || l->type == MOE_BLOCK);
    case T_SHARED_GATE_UP:
    case T_SHARED_DOWN:
    case T_SHARED_GATE: return naming == HF_QWEN2_MOE && l->type == MOE_BLOCK;
    default: return false;
    }
}

static void zeros_shape(enum slot slot, const struct config *c, int64_t shape[3])
{
    const int64_t wide = NO_SHARED_WIDTH;
    switch (slot) {
    case T_Q_BIAS: shape[0] = c->heads * c->head_dim; break;
    case T_K_BIAS:
    case T_V_BIAS: shape[0] = c->kv_heads * c->head_dim; break;
    case T_SHARED_GATE_UP: shape[0] = wide, shape[1] = c->hidden; break;
    case T_SHARED_DOWN: shape[0] = c->hidden, shape[1] = wide; break;
    default: shape[0] = 1, shape[1] = c->hidden; break; /* T_SHARED_GATE */
    }
}

/* ---- all arrays of a model ---- */

static bool occurs(const struct row *r, const struct model *m, int layer, enum naming naming)
{
    const struct layer *l = &m->layer[layer];
    if (r->slot == T_HEAD && m->config.tied)
        return false;
    if (l->tensor[r->slot] < 0)
        return is_zeros(r->slot, l, naming);
    switch (r->where) {
    case DENSE: return l->type == BLOCK;
    case OLD:
    case OLD_EXPERT: return l->type == MOE_BLOCK && naming == HF_OLD;
    case FUSED: return l->type == MOE_BLOCK && naming == HF_FUSED;
    case QWEN:
    case QWEN_EXPERT: return l->type == MOE_BLOCK && (naming == HF_QWEN2_MOE || naming == HF_QWEN3_MOE);
    case GRANITE: return l->type == MOE_BLOCK && naming == HF_GRANITE_MOE;
    case ANY: break;
    }
    return true;
}

static void write_name(struct hf_name *h, const struct row *r, const struct layer *l, int layer,
                       int64_t expert)
{
    bool block = l->type == BLOCK || l->type == MOE_BLOCK;
    if (!block)
        snprintf(h->name, sizeof h->name, "%s", r->name);
    else if (of_expert(r))
        snprintf(h->name, sizeof h->name, "model.layers.%d.%s.%" PRId64 ".%s", layer - 1,
                 expert_prefix[r->where], expert, r->name);
    else
        snprintf(h->name, sizeof h->name, "model.layers.%d.%s", layer - 1, r->name);
}

/* Qwen2-MoE multiplies its shared expert by sigmoid(gate). A shared expert without a gate gets the gate
 * vector 0, which gives 1/2, and twice the weights of down. */
static float scale_of(const struct row *r, const struct layer *l, enum naming naming)
{
    return naming == HF_QWEN2_MOE && r->slot == T_SHARED_DOWN && l->tensor[T_SHARED_GATE] < 0 ? 2 : 1;
}

static struct hf_name describe_zeros(const struct row *r, const struct model *m, int layer)
{
    struct hf_name h = {.tensor = -1, .rank = r->rank, .scale = 1};
    zeros_shape(r->slot, &m->config, h.shape);
    write_name(&h, r, &m->layer[layer], layer, 0);
    return h;
}

static struct hf_name describe(const struct row *r, const struct model *m, int layer, int64_t expert)
{
    int tensor = m->layer[layer].tensor[r->slot];
    const int64_t *dim = m->tensor[tensor].dim;
    struct hf_name h = {
        .tensor = tensor, .rank = r->rank, .at = r->at + expert * r->step, .n = r->step ? 1 : dim[0]};
    int64_t x = m->layer[layer].type == MOE_BLOCK ? m->config.moe.experts : 1;
    const int64_t shape[3] = {x, dim[0] / x * dim[1], dim[2]}; /* with three dimensions: gate above up */
    memcpy(h.shape, r->rank == 3 ? shape : dim + 3 - r->rank, (size_t)r->rank * sizeof *shape);
    write_name(&h, r, &m->layer[layer], layer, expert);
    return h;
}

/* Add the arrays of row r in a layer: one, or one for each expert. */
static void add_row(struct hf_name *out, const struct row *r, const struct model *m, int layer, int64_t times,
                    enum naming naming)
{
    bool zeros = m->layer[layer].tensor[r->slot] < 0;
    for (int64_t e = 0; e < times; e++) {
        out[e] = zeros ? describe_zeros(r, m, layer) : describe(r, m, layer, e);
        out[e].scale = scale_of(r, &m->layer[layer], naming);
    }
}

int names_list(const struct model *m, enum naming naming, struct hf_name **out)
{
    int64_t n = 0, room = 0, experts = m->config.moe.experts;
    *out = NULL;
    for (int l = 0; l < m->n_layers; l++)
        for (int i = 0; i < ROWS; i++) {
            int64_t times = !occurs(&rows[i], m, l, naming) ? 0 : of_expert(&rows[i]) ? experts : 1;
            if (n + times > room) {
                room = 2 * (n + times);
                *out = mem_grow(*out, room, sizeof **out);
            }
            add_row(*out + n, &rows[i], m, l, times, naming);
            n += times;
        }
    return (int)n;
}

/* ---- reading ---- */

/* What shows a naming of experts. */
static const struct {
    const char *part;
    enum naming naming;
} signs[] = {
    {".mlp.experts.gate_up_proj", HF_FUSED},
    {".mlp.experts.0.gate_proj.", HF_QWEN3_MOE},
    {".block_sparse_moe.input_linear.", HF_GRANITE_MOE},
};

static enum naming naming_of(const struct source *s)
{
    for (int i = 0; i < s->n; i++)
        for (size_t k = 0; k < sizeof signs / sizeof *signs; k++)
            if (strstr(s->array[i].name, signs[k].part))
                return signs[k].naming;
    return HF_OLD;
}

/* A message about all that is wrong with a directory, in one line. */
struct complaint {
    char *text;
    int n;
};
enum { NAMED = 20 };

static void complain(struct complaint *c, const char *name, const char *what)
{
    if (c->n++ >= NAMED)
        return;
    mem_append(&c->text, "%s%s %s", c->text ? "; " : "", name, what);
}

static char *shape_text(const int64_t *shape, int rank)
{
    char *text = mem_text("[");
    for (int i = 0; i < rank; i++)
        mem_append(&text, "%" PRId64 "%s", shape[i], i < rank - 1 ? ", " : "]");
    return text;
}

static void check_shape(struct complaint *c, const struct hf_name *h, const struct array *a)
{
    int64_t want[3] = {1, 1, 1};
    memcpy(want + 3 - h->rank, h->shape, (size_t)h->rank * sizeof *want);
    if (!memcmp(want, a->dim, sizeof want))
        return;
    char *has = shape_text(a->dim + 3 - h->rank, h->rank), *needs = shape_text(h->shape, h->rank);
    char *what = mem_format("is %s, the model needs %s", has, needs);
    complain(c, h->name, what);
    free(what);
    free(needs);
    free(has);
}

/* Is the array one that files may have although it is not needed? These are the head of a model that ties it
 * to the embedding, rotary frequencies that old versions of transformers saved, and the shared expert of
 * zeros that exports as Qwen2-MoE must have. */
static bool is_redundant(const struct model *m, struct source *s, int array)
{
    const char *name = s->array[array].name;
    return (m->config.tied && !strcmp(name, "lm_head.weight")) || strstr(name, ".rotary_emb.inv_freq") ||
           (m->config.moe.shared == 0 && strstr(name, ".mlp.shared_expert") && foreign_zeros(s, array));
}

/* The array with this name. In a model with a tied head, lm_head.weight without the embedding is the
 * embedding: a writer that stores each tensor once may choose that name. */
static int find_array(const struct model *m, const struct source *s, const char *name)
{
    int at = source_find(s, name);
    bool embed = m->config.tied && !strcmp(name, "model.embed_tokens.weight");
    return at < 0 && embed ? source_find(s, "lm_head.weight") : at;
}

/* The stored head of a model with a tied head must have the embedding's shape. */
static void check_tied_head(struct complaint *c, const struct model *m, const struct source *s,
                            const struct hf_name *name, int n)
{
    int head = foreign_tied_head(m, s);
    for (int i = 0; i < n && head >= 0; i++)
        if (!strcmp(name[i].name, "model.embed_tokens.weight")) {
            struct hf_name h = name[i];
            strcpy(h.name, "lm_head.weight");
            check_shape(c, &h, &s->array[head]);
        }
}

/* at[i]: the array of name[i], -1 if it is missing. Complains about missing, wrong and extra arrays. */
static void check_names(struct complaint *c, const struct model *m, struct source *s,
                        const struct hf_name *name, int n, int *at)
{
    bool *used = mem_new(s->n, sizeof *used);
    for (int i = 0; i < n; i++) {
        at[i] = find_array(m, s, name[i].name);
        if (at[i] < 0) {
            complain(c, name[i].name, "is missing");
            continue;
        }
        used[at[i]] = true;
        check_shape(c, &name[i], &s->array[at[i]]);
    }
    for (int i = 0; i < s->n; i++)
        if (!used[i] && !is_redundant(m, s, i))
            complain(c, s->array[i].name, "does not belong to this model");
    free(used);
    check_tied_head(c, m, s, name, n);
}

static status refuse(const struct complaint *c, const struct source *s)
{
    char more[48] = "", *hint = foreign_hint(s);
    if (c->n > NAMED)
        snprintf(more, sizeof more, "; and %d more", c->n - NAMED);
    status code = fail(E_DATA, "%s: the arrays do not fit config.json or the deck's model%s%s: %s%s",
                       s->path ? s->path : "source", hint ? ": " : "", hint ? hint : "", c->text, more);
    free(hint);
    return code;
}

/* Map an array to the rows of our tensor that it is. The order of elements is the same. */
static void add_term(struct map *map, struct source *s, int array, const struct hf_name *h,
                     const int64_t dim[3])
{
    int64_t view[3] = {h->n, dim[1], dim[2]};
    memcpy(s->array[array].dim, view, sizeof view);
    struct axis rows_of = axis_shift(h->at, h->n, 0);
    map_push(map,
             (struct term){.array = array, .axis = {rows_of, axis_identity(dim[1]), axis_identity(dim[2])}});
}

status names_maps(const struct model *m, struct source *s, struct map *maps)
{
    struct hf_name *name;
    int n = names_list(m, naming_of(s), &name);
    int *at = mem_new(n, sizeof *at);
    struct complaint c = {0};
    memset(maps, 0, (size_t)m->n_tensors * sizeof *maps);
    check_names(&c, m, s, name, n, at);
    status result = c.n ? refuse(&c, s) : OK;
    for (int i = 0; i < n && result == OK; i++)
        add_term(&maps[name[i].tensor], s, at[i], &name[i], m->tensor[name[i].tensor].dim);
    free(c.text);
    free(at);
    free(name);
    return result;
}
