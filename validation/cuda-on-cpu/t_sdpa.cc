/* Do the graphs of attention say attention? A stand-in for cuDNN's backend keeps what
 * src/device/cuda/sdpa_graph.c builds and evaluates it node by node in fp32, every tensor rounded to its
 * type; the results are compared with double precision. TAP. */
#include <cmath>
#include <cstring>
#include <map>
#include <vector>
extern "C" {
#include "base/half.h"
#include "base/rng.h"
#include "device/cuda/sdpa.h"
#include "unit/tap.h"
}

namespace
{
/* ---- the stand-in: descriptors are bags of attributes ---- */

struct node {
    cudnnBackendDescriptorType_t type;
    std::map<int, std::vector<char>> attribute;
    bool finished = false;

    template <class T> T get(int name, size_t i = 0) const
    {
        T value;
        memcpy(&value, attribute.at(name).data() + i * sizeof value, sizeof value);
        return value;
    }
    const node *sub(int name) const
    {
        return (const node *)get<void *>(name);
    }
    bool has(int name) const
    {
        return attribute.count(name) > 0;
    }
};

cudnnStatus_t create(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *d)
{
    *d = new node{type, {}};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t destroy(cudnnBackendDescriptor_t d)
{
    delete (node *)d;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t set(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                  cudnnBackendAttributeType_t type, int64_t n, const void *value)
{
    node *of = (node *)d;
    size_t width = type == CUDNN_TYPE_INT64 || type == CUDNN_TYPE_BACKEND_DESCRIPTOR ? 8
                   : type == CUDNN_TYPE_BOOLEAN                                      ? 1
                                                                                     : 4;
    of->attribute[name].assign((const char *)value, (const char *)value + width * (size_t)n);
    return of->finished ? CUDNN_STATUS_BAD_PARAM : CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t finish(cudnnBackendDescriptor_t d)
{
    ((node *)d)->finished = true;
    return CUDNN_STATUS_SUCCESS;
}

const char *error_text(cudnnStatus_t)
{
    return "refused";
}

void last_error(char *text, size_t room)
{
    if (room > 0)
        *text = 0;
}

/* ---- tensors, by their numbers ---- */

struct memory {
    int64_t n[4], ld[4];
    cudnnDataType_t type;
    std::vector<float> value;
};
std::map<int64_t, memory> tensors;
const char *wrong; /* what the graph says that is no attention, or NULL */

float rounded(float x, cudnnDataType_t type)
{
    return type == CUDNN_DATA_BFLOAT16 ? float_of_bf16(bf16_of_float(x)) : x;
}

memory &tensor_of(const node *op, int name)
{
    const node *d = op->sub(name);
    memory &t = tensors[d->get<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID)];
    size_t size = 1;
    for (size_t i = 0; i < 4; i++) {
        t.n[i] = d->get<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS, i);
        t.ld[i] = d->get<int64_t>(CUDNN_ATTR_TENSOR_STRIDES, i);
        size += (size_t)((t.n[i] - 1) * t.ld[i]);
    }
    t.type = d->get<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE);
    if (t.value.size() < size)
        t.value.resize(size, NAN);
    return t;
}

/* The element that stands at `i` of an array of sizes `full`: one of a group where t is smaller. */
float &element(memory &t, const int64_t i[4], const int64_t full[4])
{
    int64_t at = 0;
    for (int k = 0; k < 4; k++)
        at += (t.n[k] == full[k] ? i[k] : i[k] / (full[k] / t.n[k])) * t.ld[k];
    return t.value[(size_t)at];
}

template <class F> void each(const int64_t n[4], F visit)
{
    int64_t i[4];
    for (i[0] = 0; i[0] < n[0]; i[0]++)
        for (i[1] = 0; i[1] < n[1]; i[1]++)
            for (i[2] = 0; i[2] < n[2]; i[2]++)
                for (i[3] = 0; i[3] < n[3]; i[3]++)
                    visit(i);
}

/* ---- operations ---- */

void matmul(const node *op)
{
    memory &a = tensor_of(op, CUDNN_ATTR_OPERATION_MATMUL_ADESC);
    memory &b = tensor_of(op, CUDNN_ATTR_OPERATION_MATMUL_BDESC);
    memory &c = tensor_of(op, CUDNN_ATTR_OPERATION_MATMUL_CDESC);
    int64_t inner = a.n[3], full_a[4] = {c.n[0], c.n[1], c.n[2], inner},
            full_b[4] = {c.n[0], c.n[1], inner, c.n[3]};
    if (b.n[2] != inner || c.n[2] != a.n[2] || c.n[3] != b.n[3]) {
        wrong = "shapes of a product";
        return;
    }
    each(c.n, [&](int64_t *i) {
        float sum = 0;
        for (int64_t k = 0; k < inner; k++) {
            int64_t at_a[4] = {i[0], i[1], i[2], k}, at_b[4] = {i[0], i[1], k, i[3]};
            sum += rounded(element(a, at_a, full_a), CUDNN_DATA_BFLOAT16) *
                   rounded(element(b, at_b, full_b), CUDNN_DATA_BFLOAT16);
        }
        element(c, i, c.n) = rounded(sum, c.type);
    });
}

float point(cudnnPointwiseMode_t mode, float x, float b, float t, int64_t index)
{
    switch ((int)mode) {
    case CUDNN_POINTWISE_MUL: return x * b;
    case CUDNN_POINTWISE_SUB: return x - b;
    case CUDNN_POINTWISE_ADD: return x + b;
    case CUDNN_POINTWISE_DIV: return x / b;
    case CUDNN_POINTWISE_EXP: return expf(x);
    case CUDNN_POINTWISE_LOG: return logf(x);
    case CUDNN_POINTWISE_IDENTITY: return x;
    case CUDNN_POINTWISE_GEN_INDEX: return (float)index;
    case CUDNN_POINTWISE_CMP_GE: return x >= b;
    case CUDNN_POINTWISE_LOGICAL_AND: return x != 0 && b != 0;
    case CUDNN_POINTWISE_BINARY_SELECT: return t != 0 ? x : b;
    default: wrong = "a mode"; return NAN;
    }
}

void pointwise(const node *op)
{
    const node *p = op->sub(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    auto mode = p->get<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE);
    int64_t axis = p->has(CUDNN_ATTR_POINTWISE_AXIS) ? p->get<int64_t>(CUDNN_ATTR_POINTWISE_AXIS) : 0;
    memory &x = tensor_of(op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC);
    memory &y = tensor_of(op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
    auto other = [&](int name) -> memory & { return op->has(name) ? tensor_of(op, name) : x; };
    memory &b = other(CUDNN_ATTR_OPERATION_POINTWISE_BDESC), &t = other(CUDNN_ATTR_OPERATION_POINTWISE_TDESC);
    each(y.n, [&](int64_t *i) {
        float r = point(mode, element(x, i, y.n), element(b, i, y.n), element(t, i, y.n), i[axis]);
        element(y, i, y.n) = rounded(r, y.type);
    });
}

void reduce(const node *op)
{
    auto how = op->sub(CUDNN_ATTR_OPERATION_REDUCTION_DESC)
                   ->get<cudnnReduceTensorOp_t>(CUDNN_ATTR_REDUCTION_OPERATOR);
    bool top = how == CUDNN_REDUCE_TENSOR_MAX;
    memory &x = tensor_of(op, CUDNN_ATTR_OPERATION_REDUCTION_XDESC);
    memory &y = tensor_of(op, CUDNN_ATTR_OPERATION_REDUCTION_YDESC);
    if (!top && how != CUDNN_REDUCE_TENSOR_ADD)
        wrong = "a reduction";
    each(y.n, [&](int64_t *i) { element(y, i, y.n) = top ? -INFINITY : 0; });
    each(x.n, [&](int64_t *i) {
        float &sum = element(y, i, x.n), v = element(x, i, x.n);
        sum = top ? fmaxf(sum, v) : sum + v;
    });
    each(y.n, [&](int64_t *i) { element(y, i, y.n) = rounded(element(y, i, y.n), y.type); });
}

/* The same memory seen otherwise. */
void reshape(const node *op)
{
    memory &x = tensor_of(op, CUDNN_ATTR_OPERATION_RESHAPE_XDESC);
    memory &y = tensor_of(op, CUDNN_ATTR_OPERATION_RESHAPE_YDESC);
    for (size_t i = 0; i < y.value.size() && i < x.value.size(); i++)
        y.value[i] = rounded(x.value[i], y.type);
}

void run(const sdpa_graph &g)
{
    for (int i = 0; i < g.nodes; i++) {
        const node *op = (const node *)g.node[i];
        switch ((int)op->type) {
        case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR: matmul(op); break;
        case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR: pointwise(op); break;
        case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR: reduce(op); break;
        case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR: reshape(op); break;
        default: wrong = "an operation";
        }
    }
}

/* ---- the reference, in double ---- */

struct reference {
    const sdpa &a;
    const std::vector<float> &qkv, &d_o, &first_key;
    int64_t tokens = a.sequences * a.seq, wide = a.heads * a.head_dim, narrow = a.kv_heads * a.head_dim;
    std::vector<double> o = zeros(wide), lse = zeros(a.heads), dq = zeros(wide), dk = zeros(narrow),
                        dv = zeros(narrow);

    std::vector<double> zeros(int64_t columns) const
    {
        return std::vector<double>((size_t)(tokens * columns));
    }
    double at(int64_t token, int64_t column) const
    {
        return (double)qkv[(size_t)(token * a.ld[SDPA_Q] + column)];
    }
    static double dot(const double *x, const double *y, int64_t n)
    {
        double sum = 0;
        for (int64_t i = 0; i < n; i++)
            sum += x[i] * y[i];
        return sum;
    }
    std::vector<double> part(int64_t token, int64_t column) const
    {
        std::vector<double> x((size_t)a.head_dim);
        for (int64_t i = 0; i < a.head_dim; i++)
            x[(size_t)i] = at(token, column + i);
        return x;
    }
    void row(int64_t t, int64_t h)
    {
        int64_t d = a.head_dim, s = t % a.seq, first = t - s, kv = h / (a.heads / a.kv_heads),
                head = t * a.heads + h, low = a.bounded ? (int64_t)first_key[(size_t)t] : 0;
        std::vector<double> q = part(t, h * d), p((size_t)s + 1), k, v;
        double sum = 0, delta = 0, scale = 1 / std::sqrt((double)d), *to = &o[(size_t)(head * d)];
        for (int64_t j = low; j <= s; j++) {
            k = part(first + j, wide + kv * d);
            sum += p[(size_t)j] = std::exp(scale * dot(q.data(), k.data(), d));
        }
        lse[(size_t)head] = std::log(sum);
        for (int64_t j = low; j <= s; j++)
            for (int64_t i = 0; i < d; i++)
                to[i] += p[(size_t)j] / sum * at(first + j, wide + narrow + kv * d + i);
        const float *g = &d_o[(size_t)(head * d)];
        for (int64_t i = 0; i < d; i++)
            delta += to[i] * (double)g[i];
        for (int64_t j = low; j <= s; j++) {
            double dp = 0, weight = p[(size_t)j] / sum;
            int64_t key = ((first + j) * a.kv_heads + kv) * d;
            for (int64_t i = 0; i < d; i++)
                dp += (double)g[i] * at(first + j, wide + narrow + kv * d + i);
            double ds = weight * (dp - delta) * scale;
            for (int64_t i = 0; i < d; i++) {
                dq[(size_t)(head * d + i)] += ds * at(first + j, wide + kv * d + i);
                dk[(size_t)(key + i)] += ds * q[(size_t)i];
                dv[(size_t)(key + i)] += weight * (double)g[i];
            }
        }
    }
    void all()
    {
        for (int64_t t = 0; t < tokens; t++)
            for (int64_t h = 0; h < a.heads; h++)
                row(t, h);
    }
};

/* The largest error of a tensor of ours, [T, columns], in units of its largest element. */
double error(const std::vector<double> &want, int64_t number, int64_t columns, int64_t ld)
{
    double worst = 0, most = 0;
    const memory &got = tensors[number];
    for (size_t i = 0; i < want.size(); i++) {
        size_t at = i / (size_t)columns * (size_t)ld + i % (size_t)columns;
        double off = at < got.value.size() ? std::fabs((double)got.value[at] - want[i]) : NAN;
        most = std::fmax(most, std::fabs(want[i]));
        worst = off <= worst ? worst : off;
        if (std::isnan(off))
            return INFINITY;
    }
    return worst / most;
}

std::vector<float> numbers(size_t n, uint64_t stream)
{
    std::vector<float> x(n);
    for (size_t i = 0; i < n; i++)
        x[i] = float_of_bf16(bf16_of_float((float)rng_normal(3, stream, i)));
    return x;
}

void test(sdpa a, const cudnn &api)
{
    static sdpa_graph forward, backward;
    int64_t tokens = a.sequences * a.seq, wide = a.heads * a.head_dim, narrow = a.kv_heads * a.head_dim;
    int64_t fused = wide + 2 * narrow;
    float scale = 1 / sqrtf((float)a.head_dim);
    for (int t = 1; t < SDPA_TENSORS; t++)
        a.ld[t] = t == SDPA_O || t == SDPA_D_O ? wide : t == SDPA_LSE ? a.heads : fused;
    std::vector<float> qkv = numbers((size_t)(tokens * fused), 1), d_o = numbers((size_t)(tokens * wide), 2);
    std::vector<float> first; /* documents of 5 tokens, and a window of 4 */
    for (int64_t t = 0; t < tokens; t++)
        first.push_back((float)(t % a.seq - (t % a.seq % 5 < 3 ? t % a.seq % 5 : 3)));
    tensors.clear();
    wrong = NULL;
    tensors[SDPA_Q].value = qkv;
    tensors[SDPA_K].value.assign(qkv.begin() + wide, qkv.end());
    tensors[SDPA_V].value.assign(qkv.begin() + wide + narrow, qkv.end());
    tensors[SDPA_D_O].value = d_o;
    tensors[SDPA_SCALE].value = tensors[SDPA_SCALE_BACK].value = {scale};
    tensors[SDPA_MASKED].value = {a.bounded ? SDPA_UNSEEN : -INFINITY};
    tensors[SDPA_FIRST].value = first;
    tensors[SDPA_ONE].value = {1};
    reference r = {a, qkv, d_o, first};
    r.all();
    a.backward = false;
    sdpa_build(&forward, &api, &a);
    run(forward);
    a.backward = true;
    sdpa_build(&backward, &api, &a);
    run(backward);
    /* a result of bf16 products of `keys` bf16 factors, rounded twice or three times on the way */
    const double bar = 4 * 0x1p-8;
    double o = error(r.o, SDPA_O, wide, wide), lse = error(r.lse, SDPA_LSE, a.heads, a.heads);
    double dq = error(r.dq, SDPA_DQ, wide, fused), dk = error(r.dk, SDPA_DK, narrow, fused);
    double dv = error(r.dv, SDPA_DV, narrow, fused);
    bool good = !wrong && o < bar && lse < 1e-5 && dq < bar && dk < bar && dv < bar;
    ok(good,
       "%lld x %lld, %lld/%lld heads of %lld%s%s: errors o %.1e, lse %.1e, dq %.1e, dk %.1e, dv %.1e%s%s",
       (long long)a.sequences, (long long)a.seq, (long long)a.heads, (long long)a.kv_heads,
       (long long)a.head_dim, a.deterministic ? ", deterministic" : "", a.bounded ? ", masked" : "", o, lse,
       dq, dk, dv, wrong ? ": " : "", wrong ? wrong : "");
    sdpa_forget(&forward);
    sdpa_forget(&backward);
}
} // namespace

int main()
{
    cudnn api = {};
    api.GetErrorString = error_text;
    api.GetLastErrorString = last_error;
    api.BackendCreateDescriptor = create;
    api.BackendDestroyDescriptor = destroy;
    api.BackendSetAttribute = set;
    api.BackendFinalize = finish;
    static const int64_t shapes[][5] = {
        {2, 20, 4, 2, 16}, {1, 33, 3, 1, 8}, {3, 7, 2, 2, 24}, {2, 9, 4, 1, 8}};
    for (auto &s : shapes)
        for (int kind = 0; kind < 4; kind++)
            test({s[0], s[1], s[2], s[3], s[4], {}, false, kind >= 2, kind % 2 != 0}, api);
    return tap_done();
}
