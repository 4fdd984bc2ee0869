/* Elementary functions without branches and tables, which the compiler vectorises. */
#ifndef DEVICE_CPU_VMATH_H
#define DEVICE_CPU_VMATH_H
#include <stdint.h>
#include <string.h>

static inline float vm_from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t vm_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/** exp(x) within 1 ulp. exp(-inf) = 0, exp(inf) = inf, and NaN stays NaN. Results below 2^-126 are 0 if
 * denormals are flushed. With x = n ln2 + r, |r| <= ln2/2, it is a polynomial in r (the minimax of Cephes'
 * expf, Moshier 1992) times 2^n, in two steps, because 2^n alone may overflow. */
static inline float vm_exp(float x)
{
    const float magic = 0x1.8p23f; /* after adding it, the low bits are the nearest integer */
    x = -104.0f > x ? -104.0f : x; /* in this order of operands a NaN stays */
    x = 90.0f < x ? 90.0f : x;
    float shifted = x * 0x1.715476p0f + magic;
    float n = shifted - magic;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f; /* the first product is exact */
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = (p * r * r + r) + 1.0f;
    int32_t whole = (int32_t)(vm_bits(shifted) - vm_bits(magic)), half = whole >> 1;
    uint32_t scale1 = (uint32_t)(half + 127) << 23, scale2 = (uint32_t)(whole - half + 127) << 23;
    return p * vm_from_bits(scale1) * vm_from_bits(scale2);
}

#endif
