/* Streams and tickets. On a device whose calls return when their work is done, such as the CPU, work is done
 * at once and a wait does nothing. In the hidden mode COMM and COPIES run late instead: their work stays in
 * queues until something waits for it. So code that forgets to wait reads NaN or old values, as it may on a
 * GPU. */
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

void dev_queue(struct dev *dev, enum stream s, void (*run)(void *), void *with)
{
    put(dev, s, (struct task){.run = run, .with = with});
}

ticket dev_mark(struct dev *dev, enum stream s)
{
    return (ticket){s, dev->queue[s].put};
}

void dev_wait(struct dev *dev, enum stream s, ticket t)
{
    if (s != t.stream && dev->queue[t.stream].done < t.number)
        put(dev, s, (struct task){.other = t});
}

void dev_wait_host(struct dev *dev, ticket t)
{
    dev->waits += dev->queue[t.stream].done < t.number;
    progress_op("wait");
    drain(dev, t);
}

void dev_sync(struct dev *dev)
{
    if (dev->dry)
        return;
    dev->waits++;
    progress_op("wait");
    for (int s = 0; s < STREAMS; s++)
        drain(dev, dev_mark(dev, (enum stream)s));
    dev->ops->sync(dev);
}
