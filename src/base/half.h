/* Conversions between 16-bit floating-point numbers and floats. They use integer arithmetic, so that a thread
 * that flushes denormals gets the same bits as one that does not. Pure; compilers vectorise loops over these
 * calls. */
#ifndef BASE_HALF_H
#define BASE_HALF_H
#include <stdint.h>
#include <string.h>

static inline uint32_t bits_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/** BF16 -> F32, exact. */
static inline uint32_t bits_of_bf16(uint16_t half)
{
    return (uint32_t)half << 16;
}

static inline float float_of_bf16(uint16_t half)
{
    return float_of_bits(bits_of_bf16(half));
}

/** F32 -> BF16, to nearest, ties to even; a NaN stays a NaN. */
static inline uint16_t bf16_of_bits(uint32_t bits)
{
    uint32_t nearest_even = bits + 0x7fff + (bits >> 16 & 1);
    uint32_t nan = (bits & 0x7fffffff) > 0x7f800000;
    return (uint16_t)((nan ? bits | 0x400000 : nearest_even) >> 16);
}

static inline uint16_t bf16_of_float(float x)
{
    return bf16_of_bits(bits_of_float(x));
}

/** F16 -> F32, exact. A subnormal is its integer times 2^-24; infinity and NaN keep a full exponent. */
static inline float float_of_f16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = half & 0x7fff;
    uint32_t subnormal = bits_of_float((float)(int32_t)magnitude) - (magnitude ? 24u << 23 : 0);
    uint32_t normal = (magnitude << 13) + (112u << 23) + (magnitude >= 0x7c00 ? 112u << 23 : 0);
    return float_of_bits(sign | (magnitude < 0x400 ? subnormal : normal));
}

/** F32 -> F16, to nearest, ties to even; a number that is too large becomes infinity, a NaN stays a NaN. */
static inline uint16_t f16_of_float(float x)
{
    uint32_t bits = bits_of_float(x), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff, half;
    uint32_t mantissa = (magnitude & 0x7fffff) | 0x800000, shift = 126 - (magnitude >> 23);
    if (magnitude > 0x7f800000)
        half = 0x7e00;
    else if (magnitude >= 0x47800000) /* 65536 */
        half = 0x7c00;
    else if (magnitude >= 0x38800000) /* 2^-14: normal; rounding up may give infinity */
        half = (magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
    else /* units of 2^-24 */
        half = shift > 24 ? 0 : (mantissa + (1u << (shift - 1)) - 1 + (mantissa >> shift & 1)) >> shift;
    return (uint16_t)(sign | half);
}

#endif
