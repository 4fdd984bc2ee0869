#include "eval/exam.h"

#include <stdlib.h>
#include "base/mem.h"

enum { CACHE = 256 << 20, LEAST = 8, MOST = 64 }; /* bytes; places, enough for most questions */

static status read_task(struct exam *e, const struct exam_ask *ask, const struct tokenizer *t)
{
    int32_t bos = tokenizer_bos(t);
    int i = e->n;
    TRY(task_read(&e->task[i], ask->path[i], ask->shots, ask->limit));
    e->n++;
    TRY(requests_make(&e->requests[i], &e->task[i], t, ask->most, bos >= 0 ? bos : tokenizer_eos(t)));
    int64_t fed = e->requests[i].longest - 1;
    e->longest = fed > e->longest ? fed : e->longest;
    return OK;
}

status exam_open(struct exam *e, const struct exam_ask *ask, const struct tokenizer *t)
{
    *e = (struct exam){.task = mem_new(ask->n, sizeof *e->task),
                       .requests = mem_new(ask->n, sizeof *e->requests)};
    for (int i = 0; i < ask->n; i++)
        TRY(read_task(e, ask, t));
    return OK;
}

void exam_close(struct exam *e)
{
    for (int i = 0; i < e->n; i++) {
        requests_free(&e->requests[i]);
        task_free(&e->task[i]);
    }
    free(e->requests);
    free(e->task);
    *e = (struct exam){0};
}

int64_t exam_places(const struct exam *e, int64_t bytes_a_token)
{
    int64_t fit = CACHE / mem_mul(e->longest, bytes_a_token);
    bool choices = false;
    for (int i = 0; i < e->n; i++)
        choices = choices || e->task[i].kind == TASK_CHOICE;
    return !choices ? 0 : fit < LEAST ? LEAST : fit > MOST ? MOST : fit;
}
