/* What the facade asks of an op's arguments, and what it does around a kernel. The macros stand in
 * functions dev_NAME(struct dev *dev, ...) and give the op and the argument their names. */
#ifndef DEVICE_CHECK_H
#define DEVICE_CHECK_H
#include "device/ops.h"

/* The matrix v must have this type and shape. */
#define WANT(v, type, rows, columns) want_shape(dev, __func__ + 4, #v, v, type, 1, rows, columns)
/* The matrix v must have this shape, and be F32 or BF16. */
#define WANT_FLOAT(v, rows, columns)      \
    do {                                  \
        NEED(is_float(v));                \
        WANT(v, (v).type, rows, columns); \
    } while (0)
/* The stack of matrices v must have this type and shape. */
#define WANT_STACK(v, type, n0, rows, columns) want_shape(dev, __func__ + 4, #v, v, type, n0, rows, columns)
/* v must hold n elements without a gap, whatever its shape. */
#define WANT_VECTOR(v, type, n) want_vector(dev, __func__ + 4, #v, v, type, n)
/* x must have the shape of y, and both this type. */
#define WANT_ALIKE(x, y, type)                             \
    do {                                                   \
        WANT_STACK(y, type, (y).n[0], (y).n[1], (y).n[2]); \
        WANT_STACK(x, type, (y).n[0], (y).n[1], (y).n[2]); \
    } while (0)
/* Any other condition. */
#define NEED(condition)                                    \
    do {                                                   \
        if (!(condition))                                  \
            bug("%s: needs %s", __func__ + 4, #condition); \
    } while (0)

/* Run a kernel on its arguments: nothing in dry mode; counted, timed and its outputs (the last
 * arguments) checked. flops: executed by it; in: bytes it must read. The profile knows it by the shape of
 * its first output. */
#define RUN(op, args, flops, in, ...) \
    RUN_INTO(, ((const view[]){__VA_ARGS__})[0], op, args, flops, in, __VA_ARGS__)
/* The same by the shape of another view, where the output does not say how large the work is. */
#define RUN_OVER(shape, op, args, flops, in, ...) RUN_INTO(, shape, op, args, flops, in, __VA_ARGS__)
/* The same for a kernel with a result: RUN_INTO(total =, x, sum, ...). */
#define RUN_INTO(result, shape, op, args, flops, in, ...)                                                \
    do {                                                                                                 \
        if (dev->dry)                                                                                    \
            break;                                                                                       \
        double begin = op_begin(dev, OP_##op);                                                           \
        result dev->ops->op args;                                                                        \
        const view outputs[] = {__VA_ARGS__};                                                            \
        op_end(dev, OP_##op, shape, begin, flops, in, outputs, (int)(sizeof outputs / sizeof *outputs)); \
    } while (0)
/* Bytes of some views together. */
#define BYTES(...) \
    views_bytes((const view[]){__VA_ARGS__}, (int)(sizeof(const view[]){__VA_ARGS__} / sizeof(view)))

static inline bool is_float(view v)
{
    return v.type == F32 || v.type == BF16;
}

void want_shape(const struct dev *, const char *op, const char *name, view v, dtype, int64_t n0, int64_t n1,
                int64_t n2);
void want_vector(const struct dev *, const char *op, const char *name, view v, dtype, int64_t n);
double views_bytes(const view *, int n);
double op_begin(struct dev *, enum dev_op);
void op_end(struct dev *, enum dev_op, view shape, double begin, double flops, double in, const view *outputs,
            int n);

#endif
