/* The hash of values. A mix takes four products of 64 bits. With vector instructions for these it is as fast
 * as memory, so the loop is compiled for several instruction sets. All of them give the same bits, because
 * only integers are computed. */
#include "model/hash.h"

#include <string.h>
#include "base/rng.h"

struct sums {
    uint64_t hash;
    uint32_t largest; /* magnitude, as bits: infinity and NaN are the largest */
};

static inline __attribute__((always_inline)) struct sums row(uint64_t key, uint64_t index, int64_t n,
                                                             const float *value)
{
    struct sums s = {0};
    for (int64_t c = 0; c < n; c++) {
        uint32_t bits;
        memcpy(&bits, value + c, sizeof bits);
        uint32_t magnitude = bits & 0x7fffffff;
        s.largest = magnitude > s.largest ? magnitude : s.largest;
        s.hash += rng_mix(key ^ rng_mix((index + (uint64_t)c) ^ (uint64_t)bits << 32));
    }
    return s;
}

typedef struct sums row_sums(uint64_t key, uint64_t index, int64_t n, const float *value);

static struct sums row_any(uint64_t key, uint64_t index, int64_t n, const float *value)
{
    return row(key, index, n, value);
}

#if defined __x86_64__ && defined __GNUC__
__attribute__((target("avx2"))) static struct sums row_avx2(uint64_t key, uint64_t index, int64_t n,
                                                            const float *value)
{
    return row(key, index, n, value);
}

__attribute__((target("avx512f,avx512dq,avx512vl"))) static struct sums
row_avx512(uint64_t key, uint64_t index, int64_t n, const float *value)
{
    return row(key, index, n, value);
}

static row_sums *best(void)
{
    return __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") ? row_avx512
           : __builtin_cpu_supports("avx2")                                         ? row_avx2
                                                                                    : row_any;
}
#else
static row_sums *best(void)
{
    return row_any;
}
#endif

struct scanned tensor_scan(const char *name, const int64_t dim[3], const piece *part, const float *values)
{
    const uint32_t infinity = 0x7f800000;
    uint64_t key = rng_name(name);
    row_sums *sums = best();
    struct sums all = {0};
    slab boxes[5];
    int n = piece_slabs(part, boxes);
    for (int i = 0; i < n; i++) {
        const slab *b = &boxes[i];
        for (int64_t r = 0; r < b->n[0] * b->n[1]; r++, values += b->n[2]) {
            int64_t first = (b->lo[0] + r / b->n[1]) * dim[1] + b->lo[1] + r % b->n[1];
            struct sums s = sums(key, (uint64_t)(first * dim[2] + b->lo[2]), b->n[2], values);
            all.hash += s.hash;
            all.largest = s.largest > all.largest ? s.largest : all.largest;
        }
    }
    return (struct scanned){all.hash, all.largest < infinity};
}

uint64_t tensor_hash(const char *name, const int64_t dim[3], const piece *part, const float *values)
{
    const int64_t block = 1 << 18;
    uint64_t sum = 0;
#pragma omp parallel for schedule(static) reduction(+ : sum) /* integers: any order gives the same bits */
    for (int64_t i = 0; i < (part->n + block - 1) / block; i++) {
        int64_t lo = i * block, left = part->n - lo;
        piece one = {part->box, part->lo + lo, left < block ? left : block};
        sum += tensor_scan(name, dim, &one, values + lo).hash;
    }
    return sum;
}
