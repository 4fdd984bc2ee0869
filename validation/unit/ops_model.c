/* Ops of the dense model: references in double and how t_ops calls them. */
#include "base/mem.h"
#include "ops.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* RMSNorm: n = T, N, further groups of N columns */
static void norm_shapes(const int64_t *n, int64_t (*in)[2], int64_t (*out)[2])
{
    int64_t columns = n[1] * (1 + n[2]);
    memcpy(in, (int64_t[2][2]){{n[0], columns}, {1, n[1]}}, 4 * sizeof(int64_t));
    memcpy(out, (int64_t[2]){n[0], columns}, 2 * sizeof *n);
}

static void norm_ref(const struct run *r, double *const *in, double *const *out)
{
    int64_t h = r->n[1];
    for (int64_t t = 0; t < r->n[0] * (1 + r->n[2]); t++) {
        double sum = 0;
        for (int64_t i = 0; i < h; i++)
            sum += in[0][t * h + i] * in[0][t * h + i];
        for (int64_t i = 0; i < h; i++)
            out[0][t * h + i] = in[0][t * h + i] / sqrt(sum / (double)h + (double)1e-5f) * in[1][i];
    }
}

static void norm_setup(struct run *r)
{
    r->saved = vector(F32, r->n[0] * (1 + r->n[2]));
}

static void norm_fwd(struct run *r)
{
    dev_rmsnorm_fwd(dev, r->out[0], r->saved, r->in[0], r->in[1], 1e-5f);
}

static void norm_bwd(struct run *r)
{
    dev_rmsnorm_bwd(dev, r->acc & 1, r->d_in[0], r->acc & 2, r->d_in[1], r->d_out[0], r->in[0], r->saved,
                    r->in[1]);
}

static int64_t norm_terms(const int64_t *n)
{
    int64_t groups = n[0] * (1 + n[2]);
    return groups > n[1] ? groups : n[1];
}

const struct op op_norm = {
    .name = "rmsnorm",
    .ins = 2,
    .outs = 1,
    .seeds = 1,
    .accs = 2,
    .shapes = norm_shapes,
    .setup = norm_setup,
    .ref = norm_ref,
    .fwd = norm_fwd,
    .bwd = norm_bwd,
    .terms = norm_terms,
};

/* RoPE: n = T, heads, hd, S, are positions given? */
static void rope_shapes(const int64_t *n, int64_t (*in)[2], int64_t (*out)[2])
{
    in[0][0] = out[0][0] = n[0];
    in[0][1] = out[0][1] = n[1] * n[2];
}

static void rope_setup(struct run *r)
{
    r->saved = matrix(F32, r->n[3], r->n[2]);
    for (int64_t s = 0; s < r->n[3]; s++)
        for (int64_t i = 0; i < r->n[2] / 2; i++) {
            double angle = (double)s * pow(100, -(double)i / (double)r->n[2]);
            *at(r->saved, s, i) = (float)cos(angle);
            *at(r->saved, s, i + r->n[2] / 2) = (float)sin(angle);
        }
    if (r->n[4] > 0) {
        r->ids = vector(I32, r->n[0]);
        fill_ints(r->ids, 0, r->n[3]);
    }
}

static int64_t position_of(const struct run *r, int64_t t)
{
    return r->n[4] > 0 ? *int_at(r->ids, 0, t) : t % r->n[3];
}

static void rope_ref(const struct run *r, double *const *in, double *const *out)
{
    int64_t half = r->n[2] / 2;
    for (int64_t t = 0; t < r->n[0]; t++)
        for (int64_t h = 0; h < r->n[1]; h++)
            for (int64_t i = 0; i < half; i++) {
                int64_t a = (t * r->n[1] + h) * 2 * half + i, b = a + half;
                double c = (double)*at(r->saved, position_of(r, t), i),
                       s = (double)*at(r->saved, position_of(r, t), i + half);
                out[0][a] = in[0][a] * c - in[0][b] * s;
                out[0][b] = in[0][a] * s + in[0][b] * c;
            }
}

static void rope_fwd(struct run *r)
{
    copy_rows(r->out[0], r->in[0]);
    dev_rope(dev, r->out[0], r->n[1], r->ids, r->saved, 1);
}

static void rope_bwd(struct run *r)
{
    copy_rows(r->d_in[0], r->d_out[0]);
    dev_rope(dev, r->d_in[0], r->n[1], r->ids, r->saved, -1);
}

static int64_t rope_terms(const int64_t *n)
{
    return n[0] > 0 ? 4 : 1;
}

const struct op op_rope = {
    .name = "rope",
    .ins = 1,
    .outs = 1,
    .seeds = 1,
    .accs = 0,
    .shapes = rope_shapes,
    .setup = rope_setup,
    .ref = rope_ref,
    .fwd = rope_fwd,
    .bwd = rope_bwd,
    .terms = rope_terms,
};

/* SwiGLU: n = R, F; inputs gate|up and weights [1, R] */
static void swiglu_shapes(const int64_t *n, int64_t (*in)[2], int64_t (*out)[2])
{
    memcpy(in, (int64_t[2][2]){{n[0], 2 * n[1]}, {1, n[0]}}, 4 * sizeof(int64_t));
    memcpy(out, n, 2 * sizeof *n);
}

static void swiglu_setup(struct run *r)
{
    r->saved = matrix(F32, r->n[0], r->n[1]);
}

static void swiglu_ref(const struct run *r, double *const *in, double *const *out)
{
    int64_t f = r->n[1];
    for (int64_t t = 0; t < r->n[0]; t++)
        for (int64_t i = 0; i < f; i++) {
            double g = in[0][t * 2 * f + i], u = in[0][t * 2 * f + f + i];
            out[0][t * f + i] = in[1][t] * g / (1 + exp(-g)) * u;
        }
}

static void swiglu_fwd(struct run *r)
{
    dev_swiglu_fwd(dev, r->out[0], r->in[0], r->in[1]);
}

/* In place over gate|up, as the experts do. */
static void swiglu_bwd(struct run *r)
{
    copy_rows(r->d_in[0], r->in[0]);
    dev_swiglu_bwd(dev, r->d_in[0], r->saved, r->d_in[1], r->d_out[0], r->d_in[0], r->in[1]);
}

static int64_t swiglu_terms(const int64_t *n)
{
    return n[1];
}

const struct op op_swiglu = {
    .name = "swiglu",
    .ins = 2,
    .outs = 1,
    .seeds = 1,
    .accs = 0,
    .shapes = swiglu_shapes,
    .setup = swiglu_setup,
    .ref = swiglu_ref,
    .fwd = swiglu_fwd,
    .bwd = swiglu_bwd,
    .terms = swiglu_terms,
};

/* Embedding: n = T, H, Vl, v0; ids lie in -5 .. Vl+5 around v0 */
static void embed_shapes(const int64_t *n, int64_t (*in)[2], int64_t (*out)[2])
{
    in[0][0] = n[2];
    in[0][1] = n[1];
    memcpy(out, n, 2 * sizeof *n);
}

static void embed_setup(struct run *r)
{
    r->ids = vector(I32, r->n[0]);
    fill_ints(r->ids, r->n[3] - 5, r->n[2] + 10);
}

static void embed_ref(const struct run *r, double *const *in, double *const *out)
{
    int64_t h = r->n[1];
    for (int64_t i = 0; i < r->n[0] * h; i++) {
        int64_t v = *int_at(r->ids, 0, i / h) - r->n[3];
        out[0][i] = v >= 0 && v < r->n[2] ? in[0][v * h + i % h] : 0;
    }
}

static void embed_fwd(struct run *r)
{
    dev_embed_fwd(dev, r->out[0], r->ids, r->n[3], r->in[0]);
}

static void embed_bwd(struct run *r)
{
    dev_embed_bwd(dev, r->ids, r->d_out[0], r->n[3], r->acc & 1, r->d_in[0]);
}

static int64_t embed_terms(const int64_t *n)
{
    return n[0];
}

const struct op op_embed = {
    .name = "embed",
    .ins = 1,
    .outs = 1,
    .seeds = 1,
    .accs = 1,
    .shapes = embed_shapes,
    .setup = embed_setup,
    .ref = embed_ref,
    .fwd = embed_fwd,
    .bwd = embed_bwd,
    .terms = embed_terms,
};

/* Attention: n = sequences, S, heads, KV heads, hd, bounds: how many keys a row sees at most (0: all), and
 * about how long documents are (0: no documents) */
static struct attn_shape attn_of(const struct run *r)
{
    const int64_t *n = r->n;
    return (struct attn_shape){
        .seq = n[1], .heads = n[2], .kv_heads = n[3], .head_dim = n[4], .first = r->ids};
}

/* Documents of the same length but for remainders of 3, so that borders lie everywhere, and elsewhere in each
 * sequence. */
static void attn_setup(struct run *r)
{
    int64_t s = r->n[1], window = r->n[5], length = r->n[6];
    if (window == 0 && length == 0)
        return;
    r->ids = vector(I32, r->n[0] * s);
    for (int64_t t = 0, begin = 0; t < r->n[0] * s; t++) {
        if (t % s == 0)
            begin = 0;
        else if (length > 0 && t % s - begin >= length + (begin + t / s) % 3)
            begin = t % s;
        int64_t low = window > 0 && t % s - window + 1 > begin ? t % s - window + 1 : begin;
        *int_at(r->ids, 0, t) = (int32_t)low;
    }
}

static void attn_shapes(const int64_t *n, int64_t (*in)[2], int64_t (*out)[2])
{
    int64_t t = n[0] * n[1], wide = n[2] * n[4], narrow = n[3] * n[4];
    memcpy(in, (int64_t[3][2]){{t, wide}, {t, narrow}, {t, narrow}}, 6 * sizeof(int64_t));
    memcpy(out, (int64_t[2][2]){{t, wide}, {t, n[2]}}, 4 * sizeof(int64_t));
}

/* One row of one head over `keys` keys: scores p, then the weighted sum of v into o; returns lse. */
static double attn_row(const double *q, const double *k, const double *v, int64_t ld, int64_t keys,
                       int64_t hd, double *p, double *o)
{
    double max = -(double)INFINITY, sum = 0;
    for (int64_t j = 0; j < keys; j++) {
        p[j] = 0;
        for (int64_t i = 0; i < hd; i++)
            p[j] += q[i] * k[j * ld + i];
        p[j] /= sqrt((double)hd);
        max = fmax(max, p[j]);
    }
    memset(o, 0, (size_t)hd * sizeof *o);
    for (int64_t j = 0; j < keys; j++) {
        double e = exp(p[j] - max);
        sum += e;
        for (int64_t i = 0; i < hd; i++)
            o[i] += e * v[j * ld + i];
    }
    for (int64_t i = 0; i < hd; i++)
        o[i] /= sum;
    return max + log(sum);
}

static void attn_ref(const struct run *r, double *const *in, double *const *out)
{
    int64_t s = r->n[1], heads = r->n[2], kv = r->n[3], hd = r->n[4];
    double *p = mem_new(s, sizeof *p);
    for (int64_t t = 0; t < r->n[0] * s; t++)
        for (int64_t h = 0; h < heads; h++) {
            int64_t first = view_is_none(r->ids) ? 0 : *int_at(r->ids, 0, t);
            int64_t from = (t - t % s + first) * kv * hd + h / (heads / kv) * hd, q = (t * heads + h) * hd;
            out[1][t * heads + h] = attn_row(in[0] + q, in[1] + from, in[2] + from, kv * hd,
                                             t % s + 1 - first, hd, p, out[0] + q);
        }
    free(p);
}

static void attn_fwd(struct run *r)
{
    dev_attn_fwd(dev, attn_of(r), r->out[0], r->out[1], r->in[0], r->in[1], r->in[2]);
}

static void attn_bwd(struct run *r)
{
    dev_attn_bwd(dev, attn_of(r), r->d_in[0], r->d_in[1], r->d_in[2], r->d_out[0], r->out[0], r->out[1],
                 r->in[0], r->in[1], r->in[2]);
}

static int64_t attn_terms(const int64_t *n)
{
    return n[1] * n[2] / n[3] + n[4];
}

const struct op op_attention = {
    .name = "attention",
    .ins = 3,
    .outs = 2,
    .seeds = 1,
    .accs = 0,
    .shapes = attn_shapes,
    .setup = attn_setup,
    .ref = attn_ref,
    .fwd = attn_fwd,
    .bwd = attn_bwd,
    .terms = attn_terms,
};

/* Cross-entropy: n = T, V, columns of the first of two ranks; one seed for all, as in training. */
static void ce_shapes(const int64_t *n, int64_t (*in)[2], int64_t (*out)[2])
{
    memcpy(in, n, 2 * sizeof *n);
    memcpy(out, (int64_t[2]){1, n[0]}, 2 * sizeof(int64_t));
}

static void ce_setup(struct run *r)
{
    r->ids = vector(I32, r->n[0]);
    r->saved = vector(F32, r->n[0]);
    fill_ints(r->ids, -1, r->n[1] + 1);
}

static void ce_ref(const struct run *r, double *const *in, double *const *out)
{
    int64_t v = r->n[1];
    for (int64_t t = 0; t < r->n[0]; t++) {
        double sum = 0;
        for (int64_t i = 0; i < v; i++)
            sum += exp(in[0][t * v + i]);
        int32_t target = *int_at(r->ids, 0, t);
        out[0][t] = target < 0 ? 0 : log(sum) - in[0][t * v + target];
    }
}

static void ce_fwd(struct run *r)
{
    int64_t t = r->n[0], cut = r->n[2];
    view stats = view_of(own(6 * t), F32, 2, 3, t);
    dev_ce_stats(dev, view_at(stats, 0), view_cols(r->in[0], 0, cut), r->ids, 0);
    dev_ce_stats(dev, view_at(stats, 1), view_cols(r->in[0], cut, r->n[1] - cut), r->ids, cut);
    dev_ce_merge(dev, r->saved, r->out[0], stats, r->ids);
}

static void ce_bwd(struct run *r)
{
    int64_t cut = r->n[2];
    float scale = r->n[0] ? *at(r->d_out[0], 0, 0) : 0;
    copy_rows(r->d_in[0], r->in[0]);
    dev_ce_grad(dev, view_cols(r->d_in[0], 0, cut), r->saved, r->ids, 0, scale);
    dev_ce_grad(dev, view_cols(r->d_in[0], cut, r->n[1] - cut), r->saved, r->ids, cut, scale);
}

static int64_t ce_terms(const int64_t *n)
{
    return n[1];
}

const struct op op_cross_entropy = {
    .name = "cross-entropy",
    .ins = 1,
    .outs = 1,
    .seeds = 1,
    .accs = 0,
    .uniform = true,
    .shapes = ce_shapes,
    .setup = ce_setup,
    .ref = ce_ref,
    .fwd = ce_fwd,
    .bwd = ce_bwd,
    .terms = ce_terms,
};
