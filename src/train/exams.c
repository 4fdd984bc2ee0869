#include "train/exams.h"

#include "base/progress.h"
#include "train/report.h"

status exams_take(struct trainer *t)
{
    struct scorer with = {.comm = t->comm,
                          .net = t->net,
                          .layout = &t->store->layout,
                          .rank = t->store->rank,
                          .tokens = t->batch->micro * t->sequence};
    for (int i = 0; t->exam && i < t->exam->n; i++) {
        progress_task("tasks", t->state.step);
        TRY(requests_score(&t->exam->requests[i], &with));
        report_task(t, &t->exam->task[i], &t->exam->requests[i]);
    }
    return OK;
}
