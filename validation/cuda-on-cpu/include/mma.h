/* nvcuda::wmma on the CPU: 16x16x16, bf16 in, fp32 out. A fragment's elements lie in an order of our own, not
 * the hardware's, which is unspecified: code that relies on one fails. Products are exact in fp32, sums in
 * fp32 by ascending k; the hardware's order differs, so results agree to rounding only. */
#ifndef CUDA_ON_CPU_MMA_H
#define CUDA_ON_CPU_MMA_H
#include "cuda_bf16.h"

namespace nvcuda
{
namespace wmma
{
struct row_major {
    static constexpr bool row = true;
};
struct col_major {
    static constexpr bool row = false;
};
struct matrix_a {
};
struct matrix_b {
};
struct accumulator {
};
enum layout_t { mem_row_major, mem_col_major };

template <class Use, int M, int N, int K, class T, class Layout = void> struct fragment {
    static_assert(M == 16 && N == 16 && K == 16, "16x16x16 only");
    enum { num_elements = 8 };
    T x[8];
};
typedef fragment<accumulator, 16, 16, 16, float> sums;

/** Element i of lane l is this element, row by row, of the 16x16 matrix; 37 is odd: a permutation. */
inline int place(int lane, int i)
{
    return (i * 32 + lane) * 37 % 256;
}

template <class F, class T> inline void move(F &f, T *p, unsigned ld, bool row, bool load, const char *where)
{
    on_cpu::meeting(on_cpu::MATRIX, 0xffffffffu, nullptr, 0, where);
    if ((uintptr_t)p % 32 || ld * sizeof(T) % 16)
        on_cpu::die("%s: wants a pointer aligned to 32 bytes and rows 16 bytes apart", where);
    for (int i = 0; i < 8; i++) {
        int at = place(on_cpu::self->lane, i), r = at / 16, c = at % 16;
        T &element = p[row ? r * ld + c : c * ld + r];
        if (load)
            f.x[i] = element;
        else
            element = f.x[i];
    }
}
template <class U, class T, class L>
inline void load_matrix_sync(fragment<U, 16, 16, 16, T, L> &f, const T *p, unsigned ld)
{
    move(f, const_cast<T *>(p), ld, L::row, true, "load_matrix_sync");
}
inline void load_matrix_sync(sums &f, const float *p, unsigned ld, layout_t l)
{
    move(f, const_cast<float *>(p), ld, l == mem_row_major, true, "load_matrix_sync");
}
inline void store_matrix_sync(float *p, const sums &f, unsigned ld, layout_t l)
{
    move(const_cast<sums &>(f), p, ld, l == mem_row_major, false, "store_matrix_sync");
}
template <class F, class V> inline void fill_fragment(F &f, V v)
{
    for (auto &x : f.x)
        x = v;
}
/** d = a b + c of fragments, one lane's each. A meeting of the warp. */
void multiply(float *d, const __nv_bfloat16 *a, const __nv_bfloat16 *b, const float *c);
template <class LA, class LB>
inline void mma_sync(sums &d, const fragment<matrix_a, 16, 16, 16, __nv_bfloat16, LA> &a,
                     const fragment<matrix_b, 16, 16, 16, __nv_bfloat16, LB> &b, const sums &c)
{
    multiply(d.x, a.x, b.x, c.x);
}
} // namespace wmma
} // namespace nvcuda
#endif
