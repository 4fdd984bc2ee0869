#include "train/stop.h"

#include <stdlib.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/signals.h"
#include "train/report.h"

/* Where no save has been measured: this rank's masters and moments at a rate that any file system reaches. */
static double guessed_save(const struct trainer *t)
{
    const double bytes_per_second = 5e7;
    int64_t n = 0;
    for (int i = 0; i < t->store->n_owned; i++)
        n += t->store->owned[i].part.n;
    return 3 * (double)sizeof(float) * (double)n / bytes_per_second;
}

static double either(double measured, double otherwise)
{
    return measured > 0 ? measured : otherwise;
}

static bool is_late(const struct trainer *t, const struct report *r)
{
    const struct pace *now = &r->longest, *then = &r->earlier;
    struct pace p = {.step = now->step,
                     .validation = either(now->validation, then->validation),
                     .save = either(now->save, either(then->save, guessed_save(t)))};
    return t->limit.end - clock_seconds() < limit_margin(&p, t->limit.leg);
}

int64_t stop_asked(const struct trainer *t, const struct report *r)
{
    int64_t reason = signals_seen() ? STOP_SIGNAL + signals_seen() : STOP_NOT;
    if (comm_rank(t->comm) == 0) {
        if (folder_stop_asked(t->folder))
            reason = STOP_USER;
        else if (reason == STOP_NOT && is_late(t, r))
            reason = STOP_LIMIT;
    }
    return reason;
}

char *stop_text(int64_t why)
{
    if (why == STOP_LIMIT)
        return mem_text("the time limit");
    return why == STOP_USER ? mem_text("RUN/stop")
                            : mem_format("the signal %s", signals_name((int)(why - STOP_SIGNAL)));
}

const char *stop_kind(int64_t why)
{
    if (why == STOP_LIMIT)
        return "limit";
    if (why == STOP_USER)
        return "user";
    return limit_is_preempted() ? "preemption" : "signal";
}
