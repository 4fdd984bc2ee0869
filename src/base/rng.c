#include "base/rng.h"

#include <math.h>
#include <string.h>

uint64_t rng_name(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return rng_mix(hash);
}

void rng_block(uint64_t key, uint64_t hi, uint64_t lo, uint32_t out[4])
{
    uint32_t c0 = (uint32_t)lo, c1 = (uint32_t)(lo >> 32), c2 = (uint32_t)hi, c3 = (uint32_t)(hi >> 32);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xd2511f53u * c0, p1 = (uint64_t)0xcd9e8d57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* A block of four words serves two indices, with two words each. The result is an odd multiple of 2^-53, so
 * it is neither 0 nor 1. */
static double uniform_of(const uint32_t block[4], uint64_t index)
{
    const uint32_t *word = block + 2 * (index & 1);
    uint64_t bits = ((uint64_t)word[1] << 32 | word[0]) >> 12;
    return ((double)bits + 0.5) * 0x1p-52;
}

double rng_uniform(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t block[4];
    rng_block(seed, stream, index / 2, block);
    return uniform_of(block, index);
}

/* Natural logarithm of a normal positive number: x = 2^e * m with m in [sqrt(1/2), sqrt(2)), then log m = 2
 * atanh(s) with s = (m - 1)/(m + 1). As |s| < 0.172, the terms left out are below 2^-54. It uses only + - * /
 * in a fixed order, so that the bits are the same everywhere; no libm promises that. */
static double log_exact(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int e = (int)(bits >> 52) - 1023;
    bits = (bits & 0x000fffffffffffffu) | 0x3ff0000000000000u;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        e++;
    }
    double s = (m - 1) / (m + 1), z = s * s, sum = 0;
    for (int k = 11; k > 0; k--)
        sum = (sum + 1.0 / (2 * k + 1)) * z;
    return e * 0.69314718055994530942 + (2 * s + 2 * s * sum);
}

static double ratio(const double p[8], const double q[8], double x)
{
    double above = p[7], below = q[7];
    for (int i = 6; i >= 0; i--) {
        above = above * x + p[i];
        below = below * x + q[i];
    }
    return above / below;
}

/* The normal quantile to about 16 digits, algorithm AS241 PPND16 (M. J. Wichura, Applied Statistics 37,
 * 1988): one rational function for the middle, two for the tails. Coefficients have the names of the paper.
 */
static const double a[8] = {
    3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
    4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
};
static const double b[8] = {
    1.0000000000000000000e0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
    2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3,
};
static const double c[8] = {
    1.42343711074968357734e0, 4.63033784615654529590e0,  5.76949722146069140550e0,  3.64784832476320460504e0,
    1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
};
static const double d[8] = {
    1.00000000000000000000e0,  2.05319162663775882187e0,  1.67638483018380384940e0,
    6.89767334985100004550e-1, 1.48103976427480074590e-1, 1.51986665636164571966e-2,
    5.47593808499534494600e-4, 1.05075007164441684324e-9,
};
static const double e[8] = {
    6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
    2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
    2.71155556874348757815e-5, 2.01033439929228813265e-7,
};
static const double f[8] = {
    1.00000000000000000000e0,  5.99832206555887937690e-1,  1.36929880922735805310e-1,
    1.48753612908506148525e-2, 7.86869131145613259100e-4,  1.84631831751005468180e-5,
    1.42151175831644588870e-7, 2.04426310338993978564e-15,
};

static double normal_quantile(double u)
{
    double q = u - 0.5;
    if (fabs(q) <= 0.425)
        return q * ratio(a, b, 0.180625 - q * q);
    double r = sqrt(-log_exact(q < 0 ? u : 1 - u));
    double x = r <= 5 ? ratio(c, d, r - 1.6) : ratio(e, f, r - 5);
    return q < 0 ? -x : x;
}

double rng_normal(uint64_t seed, uint64_t stream, uint64_t index)
{
    return normal_quantile(rng_uniform(seed, stream, index));
}

void rng_normals(uint64_t seed, uint64_t stream, uint64_t index, int64_t n, double std, float *out)
{
    uint32_t block[4];
    for (int64_t i = 0; i < n; i++, index++) {
        if (i == 0 || index % 2 == 0)
            rng_block(seed, stream, index / 2, block);
        out[i] = (float)(std * normal_quantile(uniform_of(block, index)));
    }
}

/* One pass of a balanced Feistel network on 2*half bits. */
static uint64_t feistel(uint64_t key, int half, uint64_t x)
{
    uint64_t mask = ((uint64_t)1 << half) - 1, left = x >> half, right = x & mask;
    for (uint64_t round = 1; round <= 6; round++) {
        uint64_t next = left ^ (rng_mix(key + round * 0x9e3779b97f4a7c15u + rng_mix(right + 1)) & mask);
        left = right;
        right = next;
    }
    return left << half | right;
}

int64_t rng_permute(uint64_t key, int64_t n, int64_t i)
{
    int half = 1;
    while ((int64_t)1 << 2 * half < n && half < 31)
        half++;
    half += (int64_t)1 << 2 * half < n; /* n above 2^62 */
    uint64_t x = (uint64_t)i;
    do { /* at most 4 passes on average, because the network permutes fewer than 4n numbers */
        x = feistel(key, half, x);
    } while (x >= (uint64_t)n);
    return (int64_t)x;
}
