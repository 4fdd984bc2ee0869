/* Streams and tickets. A device with streams of its own does what it is told by its table (mark, wait,
 * wait_host). The others' calls return when their work is done, as the CPU's: work is done at once, and a
 * wait does nothing. In the hidden mode COMM and COPIES run late instead: their work stays in queues until a
 * wait wants it, so that what forgets to wait reads NaN or the values before, as it may on a GPU. */
#include <stdlib.h>
#include "base/mem.h"
#include "base/progress.h"
#include "device/ops.h"

struct task {
    void (*run)(void *);
    void *with;
    ticket other; /* if run is NULL, the task waits for this ticket */
    struct task *next;
};

struct watcher {
    void (*look)(void *);
    void *with;
    struct watcher *next;
};

static bool own_streams(const struct dev *dev)
{
    return dev->ops->mark != NULL;
}

/* ---- queues ---- */

/** Run a stream's work in order up to a ticket. It ends, because queued work waits only for earlier work. */
static void drain(struct dev *dev, ticket to)
{
    struct queue *q = &dev->queue[to.stream];
    while (q->done < to.number) {
        struct task *t = q->first;
        q->first = t->next;
        if (t->run)
            t->run(t->with);
        else
            drain(dev, t->other);
        q->done++;
        free(t);
    }
}

static void put(struct dev *dev, enum stream s, struct task task)
{
    struct queue *q = &dev->queue[s];
    struct task *t = mem_new(1, sizeof *t), **last = &q->first;
    *t = task;
    while (*last)
        last = &(*last)->next;
    *last = t;
    q->put++;
    if (s == COMPUTE || dev->check != CHECK_HIDDEN)
        drain(dev, dev_mark(dev, s));
}

/* ---- what callers see ---- */

enum stream dev_at(const struct dev *dev)
{
    return dev->at;
}

void *dev_stream(struct dev *dev)
{
    return dev->ops->handle ? dev->ops->handle(dev) : NULL;
}

/* On a device with streams of its own, what `run` asks of it goes to this one. */
void dev_queue(struct dev *dev, enum stream s, void (*run)(void *), void *with)
{
    if (!own_streams(dev)) {
        put(dev, s, (struct task){.run = run, .with = with});
        return;
    }
    enum stream before = dev->at;
    dev->at = s;
    run(with);
    dev->at = before;
}

ticket dev_mark(struct dev *dev, enum stream s)
{
    struct queue *q = &dev->queue[s];
    if (own_streams(dev) && !dev->dry)
        dev->ops->mark(dev, s, ++q->put);
    return (ticket){s, q->put};
}

void dev_wait(struct dev *dev, enum stream s, ticket t)
{
    if (s == t.stream || dev->queue[t.stream].done >= t.number)
        return;
    if (own_streams(dev))
        dev->ops->wait(dev, s, t);
    else
        put(dev, s, (struct task){.other = t});
}

void dev_wait_host(struct dev *dev, ticket t)
{
    struct queue *q = &dev->queue[t.stream];
    if (q->done >= t.number)
        return;
    progress_op("wait");
    if (own_streams(dev)) {
        dev->waits += dev->ops->wait_host(dev, t);
        q->done = t.number;
        return;
    }
    dev->waits++;
    drain(dev, t);
}

void dev_sync(struct dev *dev)
{
    if (dev->dry)
        return;
    dev->waits++;
    progress_op("wait");
    for (int s = 0; s < STREAMS && !own_streams(dev); s++)
        drain(dev, dev_mark(dev, (enum stream)s));
    dev->ops->sync(dev);
}

/* ---- who looks while the host waits ---- */

void dev_watch(struct dev *dev, void (*look)(void *), void *with)
{
    struct watcher *w = mem_new(1, sizeof *w);
    *w = (struct watcher){look, with, dev->watchers};
    dev->watchers = w;
}

void dev_unwatch(struct dev *dev, const void *with)
{
    struct watcher **link = &dev->watchers;
    while (*link && (*link)->with != with)
        link = &(*link)->next;
    struct watcher *w = *link;
    if (w)
        *link = w->next;
    free(w);
}

void dev_look(struct dev *dev)
{
    for (const struct watcher *w = dev->watchers; w; w = w->next)
        w->look(w->with);
}
