/* Which checkpoints to delete. */
#include <stdlib.h>
#include <string.h>
#include "base/crew.h"
#include "base/mem.h"
#include "ckpt/ckpt.h"
#include "ckpt/step_dir.h"

/* What is asked of an older checkpoint. */
struct older {
    bool usable, foreign; /* foreign: of another run than the one just made */
};

static struct older look(const char *dir, const char *run)
{
    struct ckpt_index x;
    struct older o = {.usable = ckpt_usable(dir) == OK};
    if (o.usable && ckpt_index_read(&x, dir) == OK) {
        o.foreign = *run && *x.state.run && strcmp(run, x.state.run) != 0;
        ckpt_index_free(&x);
    }
    return o;
}

/* The id of the run that wrote a checkpoint; "" if it is not known. Caller frees. */
static void run_of(const char *run_dir, int64_t step, char run[RUN_ID])
{
    struct ckpt_index x;
    char *dir = step_dir_path(run_dir, step, "");
    run[0] = '\0';
    if (ckpt_index_read(&x, dir) == OK) {
        memcpy(run, x.state.run, RUN_ID);
        ckpt_index_free(&x);
    }
    free(dir);
}

struct pruning {
    char **dir;
    int n;
    struct crew *crew;
};

/* crew_work: folders are removed beside the steps, for large files take a while. */
static status remove_one(void *with, int64_t i)
{
    const struct pruning *p = with;
    step_dir_remove(p->dir[i]);
    return OK;
}

/* Of steps, newest first. A damaged one does not count as kept. */
static void choose(struct pruning *p, const char *run_dir, const int64_t *step, int n,
                   const struct ckpt_keep *keep, int64_t made)
{
    int64_t good = 1;
    char run[RUN_ID];
    run_of(run_dir, made, run);
    p->dir = mem_new(n, sizeof *p->dir);
    for (int i = 0; i < n; i++) {
        if (step[i] >= made || (keep->every > 0 && step[i] % keep->every == 0))
            continue;
        char *dir = step_dir_path(run_dir, step[i], "");
        struct older o = look(dir, run);
        if (!o.foreign && good >= keep->newest)
            p->dir[p->n++] = dir;
        else
            free(dir);
        good += o.usable && !o.foreign;
    }
}

struct pruning *ckpt_prune_begin(const char *run_dir, const struct ckpt_keep *keep, int64_t made)
{
    struct pruning *p = mem_new(1, sizeof *p);
    int64_t *step;
    int n;
    if (step_dir_list(run_dir, "", &step, &n) == OK)
        choose(p, run_dir, step, n, keep, made);
    free(step);
    step_dir_sweep(run_dir);
    p->crew = crew_start(1, p->n, remove_one, p);
    crew_offer(p->crew, p->n);
    return p;
}

void ckpt_prune_end(struct pruning *p)
{
    if (!p)
        return;
    status always = crew_end(p->crew);
    (void)always;
    for (int i = 0; i < p->n; i++)
        free(p->dir[i]);
    free(p->dir);
    free(p);
}

void ckpt_sweep(const char *run_dir)
{
    step_dir_sweep(run_dir);
}
