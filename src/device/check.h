/* Checks of an op's arguments, and running its kernel. The macros are for functions dev_NAME(struct dev *dev,
 * ...); from these they take the names of op and argument for messages. */
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
/* Any other condition must hold. */
#define NEED(condition)                                    \
    do {                                                   \
        if (!(condition))                                  \
            bug("%s: needs %s", __func__ + 4, #condition); \
    } while (0)

/* Run a kernel on its arguments. On a dry device it only reserves scratch, if it is one that does. It is
 * counted and timed, and its outputs, the last arguments, are checked. flops: how many it executes; in: bytes
 * that it must read. The profile counts it by the shape of its first output. */
#define RUN(op, args, flops, in, ...) \
    RUN_INTO(, ((const view[]){__VA_ARGS__})[0], op, args, flops, in, __VA_ARGS__)
/* The same, counted by the shape of another view, if the output does not show how large the work is. */
#define RUN_OVER(shape, op, args, flops, in, ...) RUN_INTO(, shape, op, args, flops, in, __VA_ARGS__)
/* The same for a kernel that returns something: RUN_INTO(total =, x, sum, ...). */
#define RUN_INTO(result, shape, op, args, flops, in, ...)                                                \
    do {                                                                                                 \
        if (dev->dry) {                                                                                  \
            if (dev->ops->reserves[OP_##op] && !dev->null)                                               \
                dev->ops->op args;                                                                       \
            break;                                                                                       \
        }                                                                                                \
        double begin = op_begin(dev, OP_##op);                                                           \
        if (!dev->null)                                                                                  \
            result dev->ops->op args;                                                                    \
        const view outputs[] = {__VA_ARGS__};                                                            \
        op_end(dev, OP_##op, shape, begin, flops, in, outputs, (int)(sizeof outputs / sizeof *outputs)); \
    } while (0)
/* The sum of the bytes of some views. */
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
