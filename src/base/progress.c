#include "base/progress.h"

#include <stdatomic.h>
#include <stdio.h>

static struct {
    atomic_llong beats, all, some, step;
    atomic_int layer;
    _Atomic(const char *) task, part, op, collective, over;
    atomic_bool inside;
} now = {.layer = -1, .task = "start", .part = "", .op = "none", .collective = "none", .over = "none"};

static _Thread_local bool works;

#define NOTE(member, value) atomic_store_explicit(&now.member, value, memory_order_relaxed)
#define READ(member) atomic_load_explicit(&now.member, memory_order_relaxed)

/* A load and a store suffice, because only one thread writes. */
static void beat(void)
{
    NOTE(beats, READ(beats) + 1);
}

void progress_begin(void)
{
    works = true;
}

void progress_task(const char *task, int64_t step)
{
    if (!works)
        return;
    NOTE(task, task);
    NOTE(part, "");
    NOTE(layer, -1);
    NOTE(step, step);
    beat();
}

void progress_part(const char *part, int layer)
{
    if (!works)
        return;
    NOTE(part, part);
    NOTE(layer, layer);
    beat();
}

void progress_op(const char *op)
{
    if (!works)
        return;
    NOTE(op, op);
    beat();
}

void progress_enter(const char *collective, const char *over)
{
    if (!works)
        return;
    NOTE(collective, collective);
    NOTE(over, over ? over : "all ranks");
    NOTE(some, over ? READ(some) + 1 : 0);
    NOTE(all, READ(all) + !over);
    NOTE(inside, true);
    beat();
}

void progress_leave(void)
{
    if (!works)
        return;
    NOTE(inside, false);
    beat();
}

struct progress progress_look(void)
{
    return (struct progress){.beats = READ(beats),
                             .all = READ(all),
                             .some = READ(some),
                             .step = READ(step),
                             .task = READ(task),
                             .layer = READ(layer),
                             .part = READ(part),
                             .op = READ(op),
                             .collective = READ(collective),
                             .over = READ(over),
                             .inside = READ(inside)};
}

char *progress_text(const struct progress *p, char out[256])
{
    char layer[32] = "";
    if (p->layer >= 0)
        snprintf(layer, sizeof layer, ", layer %d", p->layer);
    snprintf(out, 256, "step %lld, %s%s%s%s, last op %s, %s %s %lld.%lld over %s", (long long)p->step,
             p->task, *p->part ? ", " : "", p->part, layer, p->op, p->inside ? "in" : "after", p->collective,
             (long long)p->all, (long long)p->some, p->over);
    return out;
}
