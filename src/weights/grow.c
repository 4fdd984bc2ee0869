#include "weights/grow.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "weights/upcycle.h"

status grow_choose(struct grow *g, enum grow_method method, enum grow_depth depth, enum grow_scope scope)
{
    bool pro = method == GROW_AKI_PRO;
    g->method = pro ? GROW_AKI : method;
    g->interpolate = depth == DEPTH_UNSET ? pro : depth == DEPTH_INTERPOLATE;
    g->neurons_only = scope == SCOPE_NEURONS;
    if (pro && !g->interpolate)
        return fail(
            E_DECK,
            "start.grow.depth: stack: aki-pro is aki with depth: interpolate; use method: aki to stack");
    return OK;
}

/* ---- what can grow ---- */

static status check_same(const struct config *to, const struct config *from)
{
    if (from->moe.experts > 0)
        return fail(E_DECK, "start.grow: only a dense model grows; this one has %lld experts",
                    (long long)from->moe.experts);
    if (to->head_dim != from->head_dim)
        return fail(E_DECK,
                    "start.grow: model.head_dim: %lld instead of %lld: rotary positions fix a head's width; "
                    "add heads instead",
                    (long long)to->head_dim, (long long)from->head_dim);
    if (to->vocab != from->vocab)
        return fail(E_DECK,
                    "start.grow: model.vocab: %lld instead of %lld: a new vocabulary is another tokenizer",
                    (long long)to->vocab, (long long)from->vocab);
    if (to->qkv_bias != from->qkv_bias)
        return fail(E_DECK, "start.grow: model.qkv_bias: growth neither adds nor removes biases");
    if (to->qk_norm != from->qk_norm)
        return fail(E_DECK, "start.grow: model.qk_norm: growth neither adds nor removes norms of Q and K");
    if (memcmp(to->bare, from->bare, sizeof to->bare) ||
        (to->layers != from->layers && memchr(from->bare, 1, sizeof from->bare)))
        return fail(E_DECK,
                    "start.grow: model.layers: some layers of this model have no rotary positions; its "
                    "depth cannot grow");
    if (to->layers != from->layers && to->window > 0 && memchr(to->whole, 1, sizeof to->whole))
        return fail(E_DECK, "start.grow: model.layers: some layers of this model have a sliding window and "
                            "some have none; its depth cannot grow");
    if (to->tied && !from->tied)
        return fail(E_DECK,
                    "start.grow: model.tied: embedding and head of this model differ and cannot become one");
    return OK;
}

enum { SIZES = 5 };
static const char *const size_name[SIZES] = {"hidden", "ffn", "layers", "kv_heads", "heads / kv_heads"};

static void sizes_of(const struct config *c, int64_t size[SIZES])
{
    const int64_t list[SIZES] = {c->hidden, c->ffn, c->layers, c->kv_heads, c->heads / c->kv_heads};
    memcpy(size, list, sizeof list);
}

static status check_larger(const struct config *to, const struct config *from)
{
    int64_t now[SIZES], was[SIZES];
    sizes_of(to, now);
    sizes_of(from, was);
    for (int i = 0; i < SIZES; i++)
        if (now[i] < was[i])
            return fail(E_DECK, "start.grow: model.%s: %lld is less than the source's %lld: models only grow",
                        size_name[i], (long long)now[i], (long long)was[i]);
    return OK;
}

/* E_DECK: the shapes differ and the deck asks for no growth. */
static status refuse_growth(const struct config *to, const struct config *from)
{
    int64_t now[SIZES], was[SIZES];
    int i = 0;
    sizes_of(to, now);
    sizes_of(from, was);
    while (i < SIZES && now[i] == was[i])
        i++;
    char *what = i < SIZES ? mem_format("model.%s is %lld, its is %lld", size_name[i], (long long)now[i],
                                        (long long)was[i])
                           : mem_text("head_dim, vocab, tied, qkv_bias or qk_norm");
    status code =
        fail(E_DECK,
             "its shape differs from the model's (%s): set start.grow.method (fpi, aki or aki-pro) to "
             "grow it, or leave the sizes out of the deck, or start: random",
             what);
    free(what);
    return code;
}

status grow_check(const struct config *target, const struct config *dense, const struct grow *g)
{
    if (config_same_trunk(target, dense))
        return OK;
    if (g->method == GROW_NONE)
        return refuse_growth(target, dense);
    TRY(check_same(target, dense));
    return check_larger(target, dense);
}

bool grow_is_exact(const struct config *to, const struct config *from, const struct grow *g)
{
    bool wider = to->hidden != from->hidden || to->ffn != from->ffn || to->heads != from->heads ||
                 to->kv_heads != from->kv_heads;
    return to->layers == from->layers && to->hidden % from->hidden == 0 && (!wider || g->method == GROW_FPI);
}

struct config grow_trunk(const struct config *target, const struct config *source)
{
    struct config c = *target;
    c.moe = source->moe;
    return c;
}

/* ---- units: what an axis counts, and where each unit of a grown axis comes from ---- */

enum units { FIXED, HIDDEN, NEURONS, QUERY, KEY_VALUE }; /* QUERY, KEY_VALUE: heads, of head_dim rows each */

struct unit {
    int64_t from;
    bool fresh; /* it lies beyond the source's units, so AKI takes it from the next layer */
};

static int64_t units_of(const struct config *c, enum units units, int64_t fixed)
{
    const int64_t n[] = {fixed, c->hidden, c->ffn, c->heads * c->head_dim, c->kv_heads * c->head_dim};
    return n[units];
}

/* Query heads stay with their KV head: the j-th head of group y comes from the (j mod s)-th of group y mod g.
 */
static struct unit unit_at(const struct config *to, const struct config *from, enum units units, int64_t i)
{
    int64_t head = i / to->head_dim, inside = i % to->head_dim;
    int64_t s = from->heads / from->kv_heads, per = units == QUERY ? to->heads / to->kv_heads : 1;
    int64_t group = head / per, j = head % per;
    switch (units) {
    case FIXED: break;
    case HIDDEN: return (struct unit){i % from->hidden, i >= from->hidden};
    case NEURONS: return (struct unit){i % from->ffn, i >= from->ffn};
    case QUERY:
        return (struct unit){(group % from->kv_heads * s + j % s) * from->head_dim + inside,
                             group >= from->kv_heads || j >= s};
    case KEY_VALUE:
        return (struct unit){group % from->kv_heads * from->head_dim + inside, group >= from->kv_heads};
    }
    return (struct unit){i, false};
}

enum part { ALL, OLD, FRESH };

struct growth {
    const struct config *to, *from;
};

/* A grown axis; `fixed` is its size if it does not grow. divide: scale by 1/n where n units come from the
 * same one.
 */
static struct axis grown_axis(struct growth g, enum units units, int64_t fixed, enum part part, bool divide)
{
    int64_t n = units_of(g.to, units, fixed), kept = 0;
    int64_t *copies = mem_new(units_of(g.from, units, fixed), sizeof *copies);
    struct pick *at = mem_new(n, sizeof *at);
    for (int64_t i = 0; i < n; i++)
        copies[unit_at(g.to, g.from, units, i).from]++;
    for (int64_t i = 0; i < n; i++) {
        struct unit u = unit_at(g.to, g.from, units, i);
        if (part == ALL || u.fresh == (part == FRESH))
            at[kept++] = (struct pick){i, u.from, divide ? 1.0 / (double)copies[u.from] : 1.0};
    }
    struct axis a = axis_picks(at, kept);
    free(copies);
    free(at);
    return a;
}

/* ---- tensors ---- */

/* How each tensor grows. The last axis of a vector counts outputs of the layer; that of a matrix mostly
 * inputs. */
/* clang-format off */
static const struct rule {
    enum units row, column;
    bool divide;                         /* the columns are inputs, so n copies of one carry 1/n each */
    enum { NEVER, STREAM, UNITS } renew; /* which rows AKI takes from the next layer: see neurons_only */
} rules[SLOTS] = {
    [T_EMBED] = {FIXED, HIDDEN, false, NEVER},
    [T_HEAD] = {FIXED, HIDDEN, true, NEVER},
    [T_NORM] = {FIXED, HIDDEN, false, NEVER},
    [T_ATTN_NORM] = {FIXED, HIDDEN, false, NEVER},
    [T_FFN_NORM] = {FIXED, HIDDEN, false, NEVER},
    [T_Q] = {QUERY, HIDDEN, true, UNITS},
    [T_K] = {KEY_VALUE, HIDDEN, true, UNITS},
    [T_V] = {KEY_VALUE, HIDDEN, true, UNITS},
    [T_Q_BIAS] = {FIXED, QUERY, false, UNITS},
    [T_K_BIAS] = {FIXED, KEY_VALUE, false, UNITS},
    [T_V_BIAS] = {FIXED, KEY_VALUE, false, UNITS},
    [T_Q_NORM] = {FIXED, FIXED, false, NEVER},
    [T_K_NORM] = {FIXED, FIXED, false, NEVER},
    [T_O] = {HIDDEN, QUERY, true, STREAM},
    [T_GATE_UP] = {NEURONS, HIDDEN, true, UNITS},
    [T_DOWN] = {HIDDEN, NEURONS, true, STREAM},
};
/* clang-format on */

/* The layer of the source, as an index into model.layer, that becomes layer l. */
static int layer_from(const struct model *grown, const struct model *dense, int l, bool interpolate)
{
    int64_t to = grown->config.layers, from = dense->config.layers;
    if (grown->layer[l].type == EMBED)
        return l;
    if (grown->layer[l].type == HEAD)
        return dense->n_layers - 1;
    return 1 + (int)(interpolate ? (l - 1) * from / to : (l - 1) % from);
}

static void push_part(struct map *m, struct growth g, const struct rule *r, const int64_t dim[3], int array,
                      enum part part, bool divide)
{
    bool vector = r->row == FIXED;
    struct term t = {.array = array, .axis = {axis_identity(dim[0])}};
    t.axis[1] = grown_axis(g, r->row, dim[1], vector ? ALL : part, false);
    t.axis[2] = grown_axis(g, r->column, dim[2], vector ? part : ALL, divide);
    map_push(m, t);
}

struct map grow_map(const struct model *grown, const struct model *dense, int tensor, const struct grow *grow)
{
    const struct tensor *t = &grown->tensor[tensor];
    enum slot slot = upcycle_slot(grown, tensor);
    const struct rule *r = &rules[slot];
    struct growth g = {&grown->config, &dense->config};
    struct map m = {0};
    int from = layer_from(grown, dense, t->layer, grow->interpolate);
    int array = dense->layer[from].tensor[slot], next = array;
    bool renews =
        grow->method == GROW_AKI && (r->renew == UNITS || (r->renew == STREAM && !grow->neurons_only));
    if (renews && from + 1 < dense->n_layers - 1)
        next = dense->layer[from + 1].tensor[slot];
    /* A tied head cannot be divided without the embedding, so the norm before it is divided instead. */
    bool divide = r->divide || (slot == T_NORM && grown->config.tied);
    push_part(&m, g, r, t->dim, array, next == array ? ALL : OLD, divide);
    if (next != array)
        push_part(&m, g, r, t->dim, next, FRESH, divide);
    return m;
}
