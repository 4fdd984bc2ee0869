/* Views are borrowed device memory with a type, a shape and a leading dimension. Pure. */
#include "base/mem.h"
#include "device/ops.h"
#include <stdio.h>

int64_t dtype_size(dtype type)
{
    static const int64_t size[] = {[F32] = 4, [BF16] = 2, [I32] = 4, [F64] = 8};
    return size[type];
}

view view_of(void *data, dtype type, int64_t n0, int64_t n1, int64_t n2)
{
    return (view){.data = data, .type = type, .n = {n0, n1, n2}, .ld = n2};
}

view view_none(void)
{
    return (view){.data = NULL, .type = F32};
}

bool view_is_none(view v)
{
    return v.n[0] == 0 && v.n[1] == 0 && v.n[2] == 0;
}

int64_t view_size(view v)
{
    return mem_mul(mem_mul(v.n[0], v.n[1]), v.n[2]);
}

bool view_contiguous(view v)
{
    return v.ld == v.n[2] || v.n[0] * v.n[1] <= 1;
}

char *view_text(char out[96], view v)
{
    static const char *type[] = {[F32] = "F32", [BF16] = "BF16", [I32] = "I32", [F64] = "F64"};
    snprintf(out, 96, "%s [%lld, %lld, %lld] ld %lld", type[v.type], (long long)v.n[0], (long long)v.n[1],
             (long long)v.n[2], (long long)v.ld);
    return out;
}

/** A view that begins `elements` later. A NULL view, as in dry mode, stays NULL. */
static view moved(view v, int64_t elements)
{
    if (v.data)
        v.data = (char *)v.data + elements * dtype_size(v.type);
    return v;
}

static void check_range(const char *what, view v, int64_t from, int64_t n, int64_t limit)
{
    char text[96];
    if (v.n[0] != 1 || from < 0 || n < 0 || from + n > limit)
        bug("%s: %lld + %lld does not lie in the matrix %s", what, (long long)from, (long long)n,
            view_text(text, v));
}

view view_rows(view v, int64_t from, int64_t n)
{
    check_range("view_rows", v, from, n, v.n[1]);
    v.n[1] = n;
    return moved(v, from * v.ld);
}

view view_cols(view v, int64_t from, int64_t n)
{
    check_range("view_cols", v, from, n, v.n[2]);
    v.n[2] = n;
    return moved(v, from);
}

view view_at(view v, int64_t i)
{
    char text[96];
    if (i < 0 || i >= v.n[0])
        bug("view_at: no matrix %lld in the stack %s", (long long)i, view_text(text, v));
    v.n[0] = 1;
    return moved(v, i * v.n[1] * v.ld);
}

view view_reshape(view v, int64_t n0, int64_t n1, int64_t n2)
{
    view shaped = view_of(v.data, v.type, n0, n1, n2);
    char was[96], now[96];
    if (!view_contiguous(v) || view_size(shaped) != view_size(v))
        bug("view_reshape: %s cannot become %s", view_text(was, v), view_text(now, shaped));
    return shaped;
}
