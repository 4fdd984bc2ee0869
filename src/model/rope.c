/* Rotary positions: the angle of each pair of a head at each position, as transformers computes them. */
#include <math.h>
#include "model/config.h"

static const double PI = 3.14159265358979323846;

/* Three bands: kept, divided by the factor, and a smooth passage between them. */
static double llama3_frequency(const struct rope *r, double f)
{
    double wave = 2 * PI / f;
    if (wave < r->original_positions / r->high_freq)
        return f;
    if (wave > r->original_positions / r->low_freq)
        return f / r->factor;
    double smooth = (r->original_positions / wave - r->low_freq) / (r->high_freq - r->low_freq);
    return (1 - smooth) * f / r->factor + smooth * f;
}

static double or_else(double given, double otherwise)
{
    return given != 0 ? given : otherwise;
}

/* The pair that turns `turns` times within the original positions. */
static double yarn_pair(const struct rope *r, double turns, double head_dim)
{
    return head_dim * log(r->original_positions / (turns * 2 * PI)) / (2 * log(r->theta));
}

/* Fast pairs are kept, slow ones divided by the factor, with a ramp between the two ends. */
static double yarn_frequency(const struct rope *r, double f, int64_t i, double head_dim)
{
    double low = yarn_pair(r, or_else(r->beta_fast, 32), head_dim);
    double high = yarn_pair(r, or_else(r->beta_slow, 1), head_dim);
    if (!r->exact_bounds) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, head_dim - 1);
    double ramp = fmin(fmax(((double)i - low) / (high == low ? 0.001 : high - low), 0), 1);
    return f / r->factor * ramp + f * (1 - ramp);
}

static double yarn_mscale(double factor, double m)
{
    return factor <= 1 ? 1 : 0.1 * m * log(factor) + 1;
}

/* What cosines and sines are multiplied by. */
static double table_scale(const struct rope *r)
{
    if (r->scaling != ROPE_YARN)
        return 1;
    if (r->attention_factor != 0)
        return r->attention_factor;
    if (r->mscale != 0 && r->mscale_all_dim != 0)
        return yarn_mscale(r->factor, r->mscale) / yarn_mscale(r->factor, r->mscale_all_dim);
    return yarn_mscale(r->factor, 1);
}

/* The base at a position. DYNAMIC: from max_positions on, that of a sequence which ends there. So a text that
 * is generated has the tables of transformers, where a key keeps the base of its time. */
static double theta_at(const struct config *c, int64_t position)
{
    const struct rope *r = &c->rope;
    double hd = (double)c->head_dim, share = (double)(position + 1) / (double)c->max_positions;
    bool beyond = r->scaling == ROPE_DYNAMIC && share > 1 && hd > 2;
    return beyond ? r->theta * pow(r->factor * share - (r->factor - 1), hd / (hd - 2)) : r->theta;
}

static double frequency(const struct rope *r, double theta, int64_t i, double head_dim)
{
    double f = pow(theta, -2.0 * (double)i / head_dim);
    switch (r->scaling) {
    case ROPE_LLAMA3: return llama3_frequency(r, f);
    case ROPE_LINEAR: return f / r->factor;
    case ROPE_YARN: return yarn_frequency(r, f, i, head_dim);
    case ROPE_DEFAULT:
    case ROPE_DYNAMIC: break;
    }
    return f;
}

void config_rope_table(const struct config *c, int64_t sequence, float *cos_sin)
{
    int64_t half = c->head_dim / 2;
    double scale = table_scale(&c->rope);
    for (int64_t i = 0; i < half; i++) {
        double usual = frequency(&c->rope, c->rope.theta, i, (double)c->head_dim);
        for (int64_t s = 0; s < sequence; s++) {
            double theta = theta_at(c, s);
            double f = theta == c->rope.theta ? usual : frequency(&c->rope, theta, i, (double)c->head_dim);
            cos_sin[s * c->head_dim + i] = (float)(scale * cos((double)s * f));
            cos_sin[s * c->head_dim + half + i] = (float)(scale * sin((double)s * f));
        }
    }
}
