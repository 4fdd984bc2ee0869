/* The facade: opening and modes. Memory is in memory.c, the profile in profile.c, the ops are in op.c and
 * ffn.c. */
#include "base/mem.h"
#include "device/ops.h"
#include <stdlib.h>
#include <string.h>

const char *dev_op_name(enum dev_op op)
{
#define OP_TEXT(result, name, args) [OP_##name] = #name,
    static const char *const names[] = {DEV_OPS(OP_TEXT) DEV_OPTIONAL_OPS(OP_TEXT)};
#undef OP_TEXT
    return names[op];
}

bool dev_is_known(const char *name)
{
    for (const struct dev_ops *const *ops = dev_devices; *ops; ops++)
        if (strcmp((*ops)->name, name) == 0)
            return true;
    return false;
}

static void forget(struct dev *dev)
{
    profile_free(&dev->profile);
    if (dev->null)
        free((void *)(uintptr_t)dev->ops);
    free(dev);
}

/* A table that lacks an op would be found only where a model needs it. */
static void check_table(const struct dev_ops *ops)
{
    const char *device = ops->name;
#define OP_THERE(result, op, args) \
    if (!ops->op)                  \
        bug("device %s has no op %s", device, #op);
    DEV_OPS(OP_THERE)
#undef OP_THERE
}

status dev_open(struct dev **out, const char *name, int node_local_rank, const struct dev_options *options)
{
    *out = NULL;
    for (const struct dev_ops *const *ops = dev_devices; *ops; ops++) {
        if (strcmp((*ops)->name, name) != 0)
            continue;
        struct dev *dev = mem_new(1, sizeof *dev);
        dev->null = options->null;
        dev->ops = options->null ? null_ops(*ops) : *ops;
        dev->threads = options->threads;
        dev->transport = options->transport;
        dev->any_order = options->any_order;
        dev->check = options->check;
        check_table(dev->ops);
        status opened = dev->ops->open(dev, node_local_rank);
        if (opened == OK && memory_watched(dev))
            memory_watch(dev);
        if (opened == OK)
            *out = dev;
        else
            forget(dev);
        return opened;
    }
    return fail(E_RESOURCE, "device %s was not compiled into this program; use cpu", name);
}

void dev_close(struct dev *dev)
{
    if (!dev)
        return;
    dev_sync(dev);
    memory_unwatch(dev);
    dev->ops->close(dev);
    forget(dev);
}

const char *dev_name(const struct dev *dev)
{
    return dev->ops->name;
}

const char *dev_about(const struct dev *dev)
{
    return dev->about;
}

int dev_threads(const struct dev *dev)
{
    return dev->threads;
}

int dev_count(const struct dev *dev)
{
    return dev->count;
}

int64_t dev_room(struct dev *dev)
{
    return dev->ops->room && !dev->null ? dev->ops->room(dev) : INT64_MAX;
}

bool dev_any_order(const struct dev *dev)
{
    return dev->any_order;
}

enum dev_transport dev_transport(const struct dev *dev)
{
    return dev->transport;
}

int64_t dev_pitch(const struct dev *dev, int64_t n)
{
    return n > 0 && n % dev->ops->pitch.every == 0 ? n + dev->ops->pitch.more : n;
}

int64_t dev_head_rows(const struct dev *dev, int64_t columns, dtype type)
{
    int64_t rows = dev->ops->head.bytes / (columns * dtype_size(type));
    rows = rows < dev->ops->head.least ? dev->ops->head.least : rows;
    return rows > dev->ops->head.most ? dev->ops->head.most : rows;
}

double dev_ceiling_sample(struct dev *dev, dtype type)
{
    return dev->ops->ceiling(dev, type);
}

bool dev_at_once(const struct dev *dev)
{
    return dev->ops->at_once && dev->check != CHECK_HIDDEN;
}

void dev_set_dry(struct dev *dev, bool dry)
{
    dev->dry = dry;
}

bool dev_is_dry(const struct dev *dev)
{
    return dev->dry;
}

bool dev_is_blind(const struct dev *dev)
{
    return dev->dry || dev->null;
}

int64_t dev_expert_rows(const struct dev *dev)
{
    return dev->ops->expert_ffn_fwd ? 0 : dev->ops->expert_rows;
}

double dev_flops(const struct dev *dev)
{
    return dev->flops;
}
