/* The graphs of sdpa.h. A tensor of a graph has four dimensions: [sequences, heads, seq, head_dim or seq]. */
#include "device/cuda/sdpa.h"
#include <stdio.h>
#include <string.h>

typedef cudnnBackendDescriptor_t desc;
static const cudnnDataType_t F32_TYPE = CUDNN_DATA_FLOAT, BF16_TYPE = CUDNN_DATA_BFLOAT16;

/* ---- descriptors ---- */

/* Notes the first refusal. */
static bool good(struct sdpa_graph *g, cudnnStatus_t s, const char *what)
{
    if (s == CUDNN_STATUS_SUCCESS)
        return true;
    if (!*g->why) {
        char text[384] = "";
        g->cudnn->GetLastErrorString(text, sizeof text);
        snprintf(g->why, sizeof g->why, "%s: %s: %.384s", what, g->cudnn->GetErrorString(s), text);
    }
    return false;
}

static desc make(struct sdpa_graph *g, cudnnBackendDescriptorType_t type)
{
    desc d = NULL;
    if (g->makes < SDPA_MADE && good(g, g->cudnn->BackendCreateDescriptor(type, &d), "create"))
        g->made[g->makes++] = d;
    return d;
}

static void set(struct sdpa_graph *g, desc d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t n, const void *value)
{
    char what[48];
    snprintf(what, sizeof what, "attribute %d", (int)name);
    if (!*g->why)
        good(g, g->cudnn->BackendSetAttribute(d, name, type, n, value), what);
}

static void set_desc(struct sdpa_graph *g, desc d, cudnnBackendAttributeName_t name, desc value)
{
    set(g, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

static desc done(struct sdpa_graph *g, desc d, const char *what)
{
    if (!*g->why)
        good(g, g->cudnn->BackendFinalize(d), what);
    return d;
}

/* ---- tensors ---- */

struct shape {
    int64_t n[4], ld[4];
};

static struct shape shape_of(int64_t n0, int64_t n1, int64_t n2, int64_t n3, int64_t l0, int64_t l1,
                             int64_t l2, int64_t l3)
{
    return (struct shape){{n0, n1, n2, n3}, {l0, l1, l2, l3}};
}

/* A scalar's value comes with the call. */
enum kind { INNER, OUTER, SCALAR };

static desc tensor(struct sdpa_graph *g, enum kind kind, int64_t number, struct shape s, cudnnDataType_t type)
{
    desc d = make(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    int64_t align = 16, id = kind == INNER ? SDPA_TENSORS + g->inner++ : number;
    bool inner = kind == INNER, by_value = kind == SCALAR;
    set(g, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(g, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, s.n);
    set(g, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, s.ld);
    set(g, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
    set(g, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
    set(g, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &inner);
    set(g, d, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &by_value);
    return done(g, d, "tensor");
}

static desc inner(struct sdpa_graph *g, struct shape s, cudnnDataType_t type)
{
    return tensor(g, INNER, 0, s, type);
}

static desc scalar(struct sdpa_graph *g, int64_t number)
{
    return tensor(g, SCALAR, number, shape_of(1, 1, 1, 1, 1, 1, 1, 1), F32_TYPE);
}

/* Scores. */
static struct shape square(const struct sdpa *a)
{
    return shape_of(a->sequences, a->heads, a->seq, a->seq, a->heads * a->seq * a->seq, a->seq * a->seq,
                    a->seq, 1);
}

/* A number a row of a head, contiguous. */
static struct shape row_values(const struct sdpa *a)
{
    return shape_of(a->sequences, a->heads, a->seq, 1, a->heads * a->seq, a->seq, 1, 1);
}

/* Rows of all heads, contiguous by head. */
static struct shape by_head(const struct sdpa *a)
{
    int64_t head = a->seq * a->head_dim;
    return shape_of(a->sequences, a->heads, a->seq, a->head_dim, a->heads * head, head, a->head_dim, 1);
}

static struct shape flipped(struct shape s)
{
    return shape_of(s.n[0], s.n[1], s.n[3], s.n[2], s.ld[0], s.ld[1], s.ld[3], s.ld[2]);
}

/* One of ours: tokens lie ld apart, heads beside each other. */
static struct shape ours(const struct sdpa *a, enum sdpa_tensor t)
{
    bool narrow = t == SDPA_K || t == SDPA_V || t == SDPA_DK || t == SDPA_DV;
    int64_t ld = a->ld[t], heads = narrow ? a->kv_heads : a->heads;
    if (t == SDPA_LSE)
        return shape_of(a->sequences, a->heads, a->seq, 1, a->seq * ld, 1, ld, 1);
    return shape_of(a->sequences, heads, a->seq, a->head_dim, a->seq * ld, a->head_dim, ld, 1);
}

static desc outer(struct sdpa_graph *g, const struct sdpa *a, enum sdpa_tensor t)
{
    return tensor(g, OUTER, t, ours(a, t), t == SDPA_LSE ? F32_TYPE : BF16_TYPE);
}

static desc outer_flipped(struct sdpa_graph *g, const struct sdpa *a, enum sdpa_tensor t)
{
    return tensor(g, OUTER, t, flipped(ours(a, t)), BF16_TYPE);
}

/* ---- operations ---- */

static void add(struct sdpa_graph *g, desc op, const char *what)
{
    if (g->nodes < SDPA_NODES)
        g->node[g->nodes++] = done(g, op, what);
}

static void matmul(struct sdpa_graph *g, desc a, desc b, desc c)
{
    desc m = make(g, CUDNN_BACKEND_MATMUL_DESCRIPTOR),
         op = make(g, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    set(g, m, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &F32_TYPE);
    set_desc(g, op, CUDNN_ATTR_OPERATION_MATMUL_DESC, done(g, m, "matmul descriptor"));
    set_desc(g, op, CUDNN_ATTR_OPERATION_MATMUL_ADESC, a);
    set_desc(g, op, CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
    set_desc(g, op, CUDNN_ATTR_OPERATION_MATMUL_CDESC, c);
    add(g, op, "matmul");
}

/* y = mode(x, b, t), b and t where the mode has them; axis: of an index, else -1. */
static void pointwise(struct sdpa_graph *g, cudnnPointwiseMode_t mode, desc x, desc b, desc t, desc y,
                      int64_t axis)
{
    desc p = make(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    desc op = make(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set(g, p, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set(g, p, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &F32_TYPE);
    if (axis >= 0)
        set(g, p, CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, 1, &axis);
    set_desc(g, op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, done(g, p, "pointwise descriptor"));
    set_desc(g, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (b)
        set_desc(g, op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    if (t)
        set_desc(g, op, CUDNN_ATTR_OPERATION_POINTWISE_TDESC, t);
    set_desc(g, op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    add(g, op, "pointwise");
}

static void binary(struct sdpa_graph *g, cudnnPointwiseMode_t mode, desc x, desc b, desc y)
{
    pointwise(g, mode, x, b, NULL, y, -1);
}

static void unary(struct sdpa_graph *g, cudnnPointwiseMode_t mode, desc x, desc y)
{
    pointwise(g, mode, x, NULL, NULL, y, -1);
}

/* Over the dimensions in which y is smaller; heads of a group add up. */
static void reduce(struct sdpa_graph *g, cudnnReduceTensorOp_t how, desc x, desc y)
{
    desc r = make(g, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    desc op = make(g, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    set(g, r, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &F32_TYPE);
    set(g, r, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &how);
    set_desc(g, op, CUDNN_ATTR_OPERATION_REDUCTION_DESC, done(g, r, "reduction descriptor"));
    set_desc(g, op, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
    set_desc(g, op, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
    add(g, op, "reduction");
}

static void reshape(struct sdpa_graph *g, desc x, desc y)
{
    desc op = make(g, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
    set_desc(g, op, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x);
    set_desc(g, op, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y);
    add(g, op, "reshape");
}

/* Whether key >= the row's first one, and `seen`. */
static desc bounded(struct sdpa_graph *g, const struct sdpa *a, desc key, desc seen)
{
    desc first = tensor(g, OUTER, SDPA_FIRST, shape_of(a->sequences, 1, a->seq, 1, a->seq, a->seq, 1, 1),
                        CUDNN_DATA_INT32);
    desc late = inner(g, square(a), CUDNN_DATA_BOOLEAN), both = inner(g, square(a), CUDNN_DATA_BOOLEAN);
    binary(g, CUDNN_POINTWISE_CMP_GE, key, first, late);
    binary(g, CUDNN_POINTWISE_LOGICAL_AND, seen, late, both);
    return both;
}

/* y = x where the row's first key <= key <= query, else the score that is none. */
static void causal(struct sdpa_graph *g, const struct sdpa *a, desc x, desc y)
{
    desc query = inner(g, square(a), CUDNN_DATA_INT32), key = inner(g, square(a), CUDNN_DATA_INT32);
    desc seen = inner(g, square(a), CUDNN_DATA_BOOLEAN);
    pointwise(g, CUDNN_POINTWISE_GEN_INDEX, x, NULL, NULL, query, 2);
    pointwise(g, CUDNN_POINTWISE_GEN_INDEX, x, NULL, NULL, key, 3);
    binary(g, CUDNN_POINTWISE_CMP_GE, query, key, seen);
    if (a->bounded)
        seen = bounded(g, a, key, seen);
    pointwise(g, CUDNN_POINTWISE_BINARY_SELECT, x, scalar(g, SDPA_MASKED), seen, y, -1);
}

/* The scores scale * q k^T. */
static desc scores(struct sdpa_graph *g, const struct sdpa *a, desc q, desc kt)
{
    desc s = inner(g, square(a), F32_TYPE), scaled = inner(g, square(a), F32_TYPE);
    matmul(g, q, kt, s);
    binary(g, CUDNN_POINTWISE_MUL, s, scalar(g, SDPA_SCALE), scaled);
    return scaled;
}

/* ---- forward: p = exp(s - max) / sum, lse = max + log(sum), o = p v ---- */

static void forward(struct sdpa_graph *g, const struct sdpa *a)
{
    desc q = outer(g, a, SDPA_Q), kt = outer_flipped(g, a, SDPA_K), v = outer(g, a, SDPA_V);
    desc masked = inner(g, square(a), F32_TYPE), less = inner(g, square(a), F32_TYPE);
    desc e = inner(g, square(a), F32_TYPE), p = inner(g, square(a), BF16_TYPE);
    desc top = inner(g, row_values(a), F32_TYPE), sum = inner(g, row_values(a), F32_TYPE);
    desc log_sum = inner(g, row_values(a), F32_TYPE);
    causal(g, a, scores(g, a, q, kt), masked);
    reduce(g, CUDNN_REDUCE_TENSOR_MAX, masked, top);
    binary(g, CUDNN_POINTWISE_SUB, masked, top, less);
    unary(g, CUDNN_POINTWISE_EXP, less, e);
    reduce(g, CUDNN_REDUCE_TENSOR_ADD, e, sum);
    unary(g, CUDNN_POINTWISE_LOG, sum, log_sum);
    binary(g, CUDNN_POINTWISE_ADD, top, log_sum, outer(g, a, SDPA_LSE));
    binary(g, CUDNN_POINTWISE_DIV, e, sum, p);
    matmul(g, p, v, outer(g, a, SDPA_O));
}

/* ---- backward: dv = p^T do, ds = p * (do v^T - delta) * scale, dk = ds^T q, dq = ds k ---- */

/* delta = sum of do * o over a row. */
static desc row_delta(struct sdpa_graph *g, const struct sdpa *a, desc d_o)
{
    desc o = outer(g, a, SDPA_O), product = inner(g, ours(a, SDPA_O), F32_TYPE);
    desc dot = inner(g, row_values(a), F32_TYPE),
         delta = tensor(g, OUTER, SDPA_DELTA, row_values(a), F32_TYPE);
    binary(g, CUDNN_POINTWISE_MUL, d_o, o, product);
    reduce(g, CUDNN_REDUCE_TENSOR_ADD, product, dot);
    binary(g, CUDNN_POINTWISE_MUL, dot, scalar(g, SDPA_ONE), delta); /* where dropout would stand */
    return delta;
}

/* p = exp(s - lse), 0 where masked. */
static desc probabilities(struct sdpa_graph *g, const struct sdpa *a, desc q, desc kt)
{
    desc less = inner(g, square(a), F32_TYPE), masked = inner(g, square(a), F32_TYPE);
    desc p = inner(g, square(a), F32_TYPE);
    binary(g, CUDNN_POINTWISE_SUB, scores(g, a, q, kt), outer(g, a, SDPA_LSE), less);
    causal(g, a, less, masked);
    unary(g, CUDNN_POINTWISE_EXP, masked, p);
    return p;
}

/* to = x^T y, added over the query heads of each KV head. */
static void transposed_product(struct sdpa_graph *g, const struct sdpa *a, desc x, desc y,
                               enum sdpa_tensor to)
{
    desc xt = inner(g, flipped(square(a)), BF16_TYPE), all = inner(g, by_head(a), BF16_TYPE);
    reshape(g, x, xt);
    matmul(g, xt, y, all);
    reduce(g, CUDNN_REDUCE_TENSOR_ADD, all, outer(g, a, to));
}

static desc score_gradient(struct sdpa_graph *g, const struct sdpa *a, desc p, desc d_o, desc delta)
{
    desc dp = inner(g, square(a), F32_TYPE), less = inner(g, square(a), F32_TYPE);
    desc ds = inner(g, square(a), F32_TYPE), scaled = inner(g, square(a), F32_TYPE);
    matmul(g, d_o, outer_flipped(g, a, SDPA_V), dp);
    binary(g, CUDNN_POINTWISE_SUB, dp, delta, less);
    binary(g, CUDNN_POINTWISE_MUL, less, p, ds);
    binary(g, CUDNN_POINTWISE_MUL, ds, scalar(g, SDPA_SCALE_BACK), scaled);
    return scaled;
}

/* Blocks of keys add into fp32 memory in any order; deterministic: ds goes through workspace instead. */
static void query_gradient(struct sdpa_graph *g, const struct sdpa *a, desc ds, desc kt)
{
    desc k = inner(g, ours(a, SDPA_K), F32_TYPE), dq = outer(g, a, SDPA_DQ);
    reshape(g, kt, k);
    if (a->deterministic) {
        matmul(g, ds, k, dq);
        return;
    }
    desc sum = tensor(g, OUTER, SDPA_DQ32, by_head(a), F32_TYPE);
    matmul(g, ds, k, sum);
    unary(g, CUDNN_POINTWISE_IDENTITY, sum, dq);
}

static void backward(struct sdpa_graph *g, const struct sdpa *a)
{
    desc q = outer(g, a, SDPA_Q), kt = outer_flipped(g, a, SDPA_K), d_o = outer(g, a, SDPA_D_O);
    desc delta = row_delta(g, a, d_o), p = probabilities(g, a, q, kt);
    transposed_product(g, a, p, d_o, SDPA_DV);
    desc ds = score_gradient(g, a, p, d_o, delta);
    transposed_product(g, a, ds, q, SDPA_DK);
    query_gradient(g, a, ds, kt);
}

void sdpa_build(struct sdpa_graph *g, const struct cudnn *cudnn, const struct sdpa *a)
{
    *g = (struct sdpa_graph){.cudnn = cudnn};
    if (a->backward)
        backward(g, a);
    else
        forward(g, a);
}

/* ---- plans ---- */

enum { CHOICES = 8 };

/* Configurations that the heuristics propose, the best first; returns how many. */
static int64_t propose(struct sdpa_graph *g, desc graph, desc card, desc choice[CHOICES])
{
    desc heuristics = make(g, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    int64_t found = 0;
    set_desc(g, heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    set(g, heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (card)
        set_desc(g, heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, card);
    done(g, heuristics, "heuristics");
    for (int i = 0; i < CHOICES; i++)
        choice[i] = make(g, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (!*g->why)
        good(g,
             g->cudnn->BackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                           CUDNN_TYPE_BACKEND_DESCRIPTOR, CHOICES, &found, choice),
             "heuristics");
    g->proposed = found < CHOICES ? found : CHOICES;
    return g->proposed;
}

/* NULL if cuDNN cannot run this configuration here. */
static desc plan_of(struct sdpa_graph *g, cudnnHandle_t handle, desc card, desc choice)
{
    desc plan = NULL;
    const struct cudnn *cudnn = g->cudnn;
    if (cudnn->BackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan))
        return NULL;
    cudnnStatus_t s = cudnn->BackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                                                 CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &choice);
    if (!s && handle)
        s = cudnn->BackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    if (!s && card)
        s = cudnn->BackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
                                       CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &card);
    if (!s)
        s = cudnn->BackendFinalize(plan);
    if (!s)
        return plan;
    good(g, s, "plan");
    cudnn->BackendDestroyDescriptor(plan);
    return NULL;
}

desc sdpa_plan(struct sdpa_graph *g, cudnnHandle_t handle, desc card, int64_t *workspace)
{
    desc graph = make(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR), choice[CHOICES], plan = NULL;
    int64_t n;
    set(g, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g->nodes, g->node);
    if (handle)
        set(g, graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    done(g, graph, "operation graph");
    int64_t found = propose(g, graph, card, choice);
    for (int64_t i = 0; i < found && !plan; i++)
        plan = plan_of(g, handle, card, choice[i]);
    if (!plan && !*g->why)
        snprintf(g->why, sizeof g->why, "cuDNN has no configuration");
    if (plan && good(g,
                     g->cudnn->BackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                                   CUDNN_TYPE_INT64, 1, &n, workspace),
                     "workspace"))
        return plan;
    return NULL;
}

void sdpa_forget(struct sdpa_graph *g)
{
    for (int i = g->makes - 1; i >= 0; i--)
        g->cudnn->BackendDestroyDescriptor(g->made[i]);
    g->makes = g->nodes = 0;
}
