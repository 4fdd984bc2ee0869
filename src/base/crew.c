#include "base/crew.h"

#include <pthread.h>
#include <stdlib.h>
#include "base/mem.h"
#include "base/progress.h"

struct crew {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* one of the numbers below has changed */
    crew_work *work;
    void *with;
    int64_t n, ready, next; /* pieces in all, offered, begun */
    int64_t running;        /* pieces that are being worked on */
    bool *done;             /* [n] */
    bool ending;            /* nothing more will be offered */
    status code;            /* of the lowest piece that failed */
    int64_t failed;         /* the number of that piece */
    char *why;
    int threads;
    pthread_t *thread;
};

/* Note that piece i is done. Called under the lock. */
static void note(struct crew *c, int64_t i, status code)
{
    c->running--;
    c->done[i] = true;
    if (code != OK && (c->code == OK || i < c->failed)) {
        c->code = code;
        c->failed = i;
        free(c->why);
        c->why = mem_text(status_text());
    }
    pthread_cond_broadcast(&c->changed);
}

static bool more(const struct crew *c)
{
    return c->next < c->ready && c->code == OK;
}

/* Work on pieces. Called under the lock, which is released while a piece is worked on. */
static void work_along(struct crew *c)
{
    while (more(c)) {
        int64_t i = c->next++;
        c->running++;
        pthread_mutex_unlock(&c->lock);
        status code = c->work(c->with, i);
        pthread_mutex_lock(&c->lock);
        note(c, i, code);
    }
}

static void *run(void *with)
{
    struct crew *c = with;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        work_along(c);
        if (c->ending || c->next == c->n || c->code != OK)
            break;
        pthread_cond_wait(&c->changed, &c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

struct crew *crew_start(int threads, int64_t n, crew_work *work, void *with)
{
    struct crew *c = mem_new(1, sizeof *c);
    *c = (struct crew){.work = work, .with = with, .n = n};
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    c->done = mem_new(n, sizeof *c->done);
    c->thread = mem_new(threads, sizeof *c->thread);
    while (c->threads < threads && pthread_create(&c->thread[c->threads], NULL, run, c) == 0)
        c->threads++;
    return c;
}

void crew_offer(struct crew *c, int64_t ready)
{
    pthread_mutex_lock(&c->lock);
    c->ready = ready;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

void crew_wait(struct crew *c, int64_t i)
{
    pthread_mutex_lock(&c->lock);
    if (c->threads == 0)
        work_along(c);
    while (!c->done[i] && (more(c) || c->running > 0))
        pthread_cond_wait(&c->changed, &c->lock);
    pthread_mutex_unlock(&c->lock);
}

bool crew_busy(struct crew *c)
{
    pthread_mutex_lock(&c->lock);
    bool busy = c->running > 0 || (more(c) && c->threads > 0);
    pthread_mutex_unlock(&c->lock);
    return busy;
}

void crew_stop(struct crew *c)
{
    pthread_mutex_lock(&c->lock);
    c->ready = c->next;
    pthread_mutex_unlock(&c->lock);
}

status crew_end(struct crew *c)
{
    if (!c)
        return OK;
    pthread_mutex_lock(&c->lock);
    work_along(c);
    c->ending = true;
    pthread_cond_broadcast(&c->changed);
    while (c->running > 0 || (more(c) && c->threads > 0)) {
        pthread_cond_wait(&c->changed, &c->lock);
        progress_op("pieces of files"); /* the crew's work is this rank's, too */
    }
    pthread_mutex_unlock(&c->lock);
    for (int i = 0; i < c->threads; i++)
        pthread_join(c->thread[i], NULL);
    status code = c->code == OK ? OK : fail(c->code, "%s", c->why);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->changed);
    free(c->why);
    free(c->done);
    free(c->thread);
    free(c);
    return code;
}

status crew_do(int threads, int64_t n, crew_work *work, void *with)
{
    struct crew *c = crew_start(threads - 1, n, work, with);
    crew_offer(c, n);
    return crew_end(c);
}
