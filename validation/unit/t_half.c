/* base/half: every 16-bit pattern, and the rounding of values between them, compared with arithmetic in
 * double, in a thread that flushes denormals as computing threads do. */
#include <math.h>
#include "base/denormals.h"
#include "base/half.h"
#include "tap.h"

/* The value of a half with that many bits of mantissa, in double, which is exact. */
static double value(uint16_t half, int mantissa_bits)
{
    int bias = (1 << (14 - mantissa_bits)) - 1, exponent = (half & 0x7fff) >> mantissa_bits;
    int mantissa = half & ((1 << mantissa_bits) - 1), full = 2 * bias + 1;
    double sign = half & 0x8000 ? -1 : 1;
    if (exponent == full)
        return mantissa ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent ? ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits)
                            : ldexp(mantissa, 1 - bias - mantissa_bits));
}

/* The pattern that a double, made to float by the library, has; computed before denormals are flushed. */
static uint32_t expected[2][65536];

static void test_widen(void)
{
    bool f16 = true, bf16 = true;
    for (uint32_t h = 0; h < 65536; h++) {
        uint32_t a = bits_of_float(float_of_f16((uint16_t)h)), b = bits_of_bf16((uint16_t)h);
        bool nan16 = (h & 0x7fff) > 0x7c00;
        f16 = f16 && (nan16 ? (a & 0x7fffffff) > 0x7f800000 && a >> 31 == h >> 15 : a == expected[0][h]);
        bf16 = bf16 && ((h & 0x7fff) > 0x7f80 ? b == h << 16 : b == expected[1][h]);
    }
    ok(f16, "all 65,536 values of F16 become floats with denormals flushed");
    ok(bf16, "... and of BF16");
}

/* Each value comes back; what lies between two goes to the nearer, a tie to the even one. */
static void test_narrow(void)
{
    bool back16 = true, backbf = true, between = true;
    for (uint32_t h = 0; h < 65536; h++) {
        bool nan16 = (h & 0x7fff) > 0x7c00, nanbf = (h & 0x7fff) > 0x7f80;
        uint16_t a = f16_of_float(float_of_bits(expected[0][h])), b = bf16_of_bits(expected[1][h]);
        back16 = back16 && (nan16 ? (a & 0x7fff) > 0x7c00 : a == h);
        backbf = backbf && (nanbf ? (b & 0x7fff) > 0x7f80 : b == h);
    }
    for (uint32_t h = 0; h < 0x7bff; h++) { /* neighbours h and h + 1 */
        uint32_t low = expected[0][h], high = expected[0][h + 1];
        double tie = (value((uint16_t)h, 10) + value((uint16_t)(h + 1), 10)) / 2;
        uint32_t middle = bits_of_float((float)tie), even = h & 1 ? h + 1 : h;
        between = between && f16_of_float(float_of_bits(middle)) == even &&
                  f16_of_float(float_of_bits(middle - 1)) == h && middle > low && middle < high &&
                  f16_of_float(float_of_bits(middle + 1)) == h + 1;
    }
    ok(back16, "F16 -> F32 -> F16 is the identity");
    ok(backbf, "BF16 -> F32 -> BF16 is the identity");
    ok(between, "F32 -> F16 is to nearest, ties to even, subnormals included");
    ok(f16_of_float(65519.9f) == 0x7bff && f16_of_float(65520.0f) == 0x7c00 && f16_of_float(-1e30f) == 0xfc00,
       "too large for F16 becomes infinity");
    ok(bf16_of_bits(0x3f808000) == 0x3f80 && bf16_of_bits(0x3f818000) == 0x3f82 &&
           bf16_of_bits(0x3f808001) == 0x3f81 && bf16_of_bits(0x00008001) == 1,
       "F32 -> BF16 is to nearest, ties to even");
}

int main(void)
{
    for (uint32_t h = 0; h < 65536; h++) {
        expected[0][h] = bits_of_float((float)value((uint16_t)h, 10));
        expected[1][h] = bits_of_float((float)value((uint16_t)h, 7));
    }
    denormals_flush();
    test_widen();
    test_narrow();
    return tap_done();
}
