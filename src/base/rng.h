/* Counter-based random numbers (definitions D8): Philox4x32-10 (Salmon et al., SC'11), and normals by AS241
 * (Wichura 1988) with a logarithm of our own, so that the bits are the same on every machine. Pure: no state,
 * no rank. */
#ifndef BASE_RNG_H
#define BASE_RNG_H
#include <stdint.h>

/** 64-bit hash of a name (FNV-1a, then a mixer). Random numbers of a tensor are keyed by it. */
uint64_t rng_name(const char *name);
/** A bijective 64-bit mixer (splitmix64's finaliser). */
static inline uint64_t rng_mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}
/** One Philox block of 4 words for a 64-bit key and a 128-bit counter. */
void rng_block(uint64_t key, uint64_t hi, uint64_t lo, uint32_t out[4]);
/** A uniform number of 53 bits in the open interval (0,1), for (seed, stream, index). */
double rng_uniform(uint64_t seed, uint64_t stream, uint64_t index);
/** Standard normal for (seed, stream, index). */
double rng_normal(uint64_t seed, uint64_t stream, uint64_t index);
/** out[i] = std * normal(seed, stream, index + i), rounded to float once. */
void rng_normals(uint64_t seed, uint64_t stream, uint64_t index, int64_t n, double std, float *out);
/** The image of i under a keyed permutation of 0..n-1, by a Feistel network with cycle walking. */
int64_t rng_permute(uint64_t key, int64_t n, int64_t i);

#endif
