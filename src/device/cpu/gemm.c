/* GEMM by oneDNN's sgemm, or by any CBLAS. */
#ifdef HAVE_CONFIG_H
#    include "config.h"
#endif
#include "device/cpu/wide.h"
#include <stdio.h>
#include <string.h>
#ifdef HAVE_DNNL
#    include <dnnl.h>
#elif defined HAVE_CBLAS
#    include <cblas.h>
#    include <limits.h>
#else
#    error "no GEMM library: configure with oneDNN or CBLAS"
#endif

#ifdef HAVE_DNNL
/* oneDNN uses OpenMP's threads; inside a parallel region only the calling one. */
static void library_sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                          const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    if (dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, 1, a, lda, b, ldb, beta, c, ldc) != dnnl_success)
        bug("dnnl_sgemm refused m %lld n %lld k %lld lda %lld ldb %lld ldc %lld", (long long)m, (long long)n,
            (long long)k, (long long)lda, (long long)ldb, (long long)ldc);
}

const char *dev_cpu_library(void)
{
    static char name[40];
    const dnnl_version_t *v = dnnl_version();
    snprintf(name, sizeof name, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
    return name;
}

/* oneDNN issue 4845 is in its x86 kernels before 3.11.2. */
const char *dev_cpu_caution(void)
{
#    ifdef __x86_64__
    const dnnl_version_t *v = dnnl_version();
    if (v->major < 3 || (v->major == 3 && (v->minor < 11 || (v->minor == 11 && v->patch < 2))))
        return "a signal handler on a computing thread corrupts memory (oneDNN issue 4845, mended in "
               "3.11.2); "
               "train keeps signals off its threads; profilers that sample by signals must not be used";
#    endif
    return NULL;
}
#else
/* A CBLAS decides on its threads itself, so one that uses OpenMP should be linked. */
static void library_sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                          const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    int64_t sizes[] = {m, n, k, lda, ldb, ldc};
    for (int i = 0; i < 6; i++)
        if (sizes[i] > INT_MAX)
            bug("GEMM size %lld is too large for CBLAS: build with oneDNN", (long long)sizes[i]);
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (int)m, (int)n,
                (int)k, 1, a, (int)lda, b, (int)ldb, beta, c, (int)ldc);
}

const char *dev_cpu_library(void)
{
    return "CBLAS";
}

const char *dev_cpu_caution(void)
{
    return NULL;
}
#endif

/** c *= beta; with beta = 0, c is not read. */
static void scale(int64_t m, int64_t n, float beta, float *c, int64_t ldc)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            c[i * ldc + j] = beta == 0 ? 0 : beta * c[i * ldc + j];
}

void cpu_sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
               int64_t ldb, float beta, float *c, int64_t ldc)
{
    if (m == 0 || n == 0)
        return;
    if (k > 0)
        library_sgemm(ta, tb, m, n, k, a, lda, b, ldb, beta, c, ldc);
    else if (beta != 1)
        scale(m, n, beta, c, ldc);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Operands in fp32, and their buffers. */
enum { WIDE_A, WIDE_B, WIDE_C };

/* Two kinds of products go in chunks, which are fixed so that the bits are. A weight gradient (a transposed,
 * K = tokens) goes by chunks of K: 184 -> 226 GFLOP/s at K = 2048 on a Xeon with AVX-512, no difference on
 * Zen 5. A wide output (logits) goes by chunks of columns, which stay in the last cache: 162 -> 181 GFLOP/s
 * with 256 rows on Zen 5. */
static void gemm_f32(bool ta, bool tb, view a, view b, bool acc, view c)
{
    enum { CHUNK = 512, COLUMNS = 4096 };
    int64_t m = c.n[1], n = c.n[2], k = ta ? a.n[1] : a.n[2], done = 0;
    for (; ta && !tb && k - done > CHUNK; done += CHUNK)
        cpu_sgemm(true, false, m, n, CHUNK, f32_row(a, done), a.ld, f32_row(b, done), b.ld, acc || done > 0,
                  c.data, c.ld);
    int64_t from = 0;
    for (; tb && n - from > 2 * COLUMNS; from += COLUMNS)
        cpu_sgemm(ta, true, m, COLUMNS, k, a.data, a.ld, f32_row(b, from), b.ld, acc, (float *)c.data + from,
                  c.ld);
    cpu_sgemm(ta, tb, m, n - from, k - done, f32_row(a, done), a.ld, f32_row(b, done + from), b.ld,
              acc || done > 0, (float *)c.data + from, c.ld);
}

/* c (+)= op(a) op(b) of F32 operands: BF16 is added up block by block in fp32 and rounded once. A block is
 * still in the second cache when it is rounded. */
static void gemm_round(struct dev *dev, bool ta, bool tb, view a, view b, bool acc, view c)
{
    enum { ROWS = 512, COLUMNS = 1024 };
    if (c.type == F32) {
        if (!dev->dry)
            gemm_f32(ta, tb, a, b, acc, c);
        return;
    }
    for (int64_t j = 0; j < c.n[2]; j += COLUMNS)
        for (int64_t i = 0; i < c.n[1]; i += ROWS) {
            int64_t rows = smaller(ROWS, c.n[1] - i), columns = smaller(COLUMNS, c.n[2] - j);
            view part = view_cols(view_rows(c, i, rows), j, columns),
                 wide = wide_view(dev, WIDE_C, part, acc);
            if (dev->dry) /* no block is larger than the first */
                return;
            gemm_f32(ta, tb, ta ? view_cols(a, i, rows) : view_rows(a, i, rows),
                     tb ? view_rows(b, j, columns) : view_cols(b, j, columns), acc, wide);
            wide_view_store(dev, part, wide);
        }
}

/* How many rows or columns of an operand are made F32 at once: all of them, or as many as take 16 MiB. */
static int64_t wide_most(int64_t k)
{
    enum { MOST = 4 << 20, LEAST = 512 };
    return k * LEAST < MOST ? MOST / k / LEAST * LEAST : LEAST;
}

/* Any other mixture of types: parts of the operands become F32, each as seldom as possible. */
static void gemm_wide(struct dev *dev, bool ta, bool tb, view a, view b, bool acc, view c)
{
    int64_t k = ta ? a.n[1] : a.n[2], most = wide_most(k > 0 ? k : 1);
    view wa = view_none(), wb;
    for (int64_t j = 0, columns; j < c.n[2]; j += columns) {
        columns = smaller(most, c.n[2] - j);
        wb = wide_view(dev, WIDE_B, tb ? view_rows(b, j, columns) : view_cols(b, j, columns), true);
        for (int64_t i = 0, rows; i < c.n[1]; i += rows) {
            rows = smaller(most, c.n[1] - i);
            if (j == 0 || rows < c.n[1])
                wa = wide_view(dev, WIDE_A, ta ? view_cols(a, i, rows) : view_rows(a, i, rows), true);
            gemm_round(dev, ta, tb, wa, wb, acc, view_cols(view_rows(c, i, rows), j, columns));
        }
    }
}

void cpu_gemm(struct dev *dev, bool ta, bool tb, view a, view b, bool acc, view c)
{
    bool all_f32 = a.type == F32 && b.type == F32 && c.type == F32, bf16 = a.type == BF16 && b.type == BF16;
    if (dev->dry && (all_f32 || (bf16 && cpu_fast_at_bf16())))
        return; /* the library's own scratch */
    if (all_f32)
        gemm_f32(ta, tb, a, b, acc, c);
    else if (!(cpu_fast_at_bf16() && cpu_gemm_bf16(ta, tb, a, b, acc, c)))
        gemm_wide(dev, ta, tb, a, b, acc, c);
}
