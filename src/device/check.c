/* Checks of arguments before a kernel, of results after it, and counting it in the profile. */
#include <omp.h>
#include "base/progress.h"
#include "device/check.h"

static void want_memory(const struct dev *dev, const char *op, const char *name, view v)
{
    char text[96];
    if (!dev->dry && !v.data && view_size(v) > 0)
        bug("%s: %s is %s without memory", op, name, view_text(text, v));
}

void want_shape(const struct dev *dev, const char *op, const char *name, view v, dtype type, int64_t n0,
                int64_t n1, int64_t n2)
{
    char was[96], wanted[96];
    bool same = v.type == type && v.n[0] == n0 && v.n[1] == n1 && v.n[2] == n2;
    if (!same || (v.ld < v.n[2] && n0 * n1 > 1))
        bug("%s: %s is %s, wanted %s", op, name, view_text(was, v),
            view_text(wanted, view_of(NULL, type, n0, n1, n2)));
    want_memory(dev, op, name, v);
}

void want_vector(const struct dev *dev, const char *op, const char *name, view v, dtype type, int64_t n)
{
    char was[96], wanted[96];
    if (v.type != type || view_size(v) != n || !view_contiguous(v))
        bug("%s: %s is %s, wanted as many elements as %s, without gaps", op, name, view_text(was, v),
            view_text(wanted, view_of(NULL, type, 1, 1, n)));
    want_memory(dev, op, name, v);
}

double views_bytes(const view *v, int n)
{
    double bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += (double)(view_size(v[i]) * dtype_size(v[i].type));
    return bytes;
}

double op_begin(struct dev *dev, enum dev_op op)
{
    dev_show(dev);
    dev->running = dev_op_name(op);
    progress_op(dev->running);
    return dev->profiling ? omp_get_wtime() : 0;
}

static void check_outputs(struct dev *dev, const char *op, const view *outputs, int n)
{
    char text[96];
    for (int i = 0; i < n; i++)
        if (outputs[i].type != I32 && outputs[i].type != F64 && view_size(outputs[i]) > 0 &&
            !dev->ops->finite(dev, outputs[i]))
            bug("%s: output %d, %s, has a NaN or an infinity", op, i, view_text(text, outputs[i]));
    guards_verify(dev, op);
}

void op_end(struct dev *dev, enum dev_op op, view shape, double begin, double flops, double in,
            const view *outputs, int n)
{
    dev->flops += flops;
    if (dev->profiling && dev->ops->mark)
        dev->ops->sync(dev); /* the time of the work, not of the asking */
    if (dev->profiling)
        profile_count(dev, op, shape, begin, flops, in + views_bytes(outputs, n));
    if (dev->check != CHECK_NONE)
        check_outputs(dev, dev_op_name(op), outputs, n);
    dev->last = dev->running;
    dev->running = NULL;
    dev_hide(dev);
}
