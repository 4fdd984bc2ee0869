#include "train/saving.h"

#include <math.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/progress.h"
#include "base/text.h"

/* ---- beside the steps or not ---- */

/* Do the copies of all ranks of this node fit into its memory, with what is still to come? *need: theirs. */
static bool fits(const struct trainer *t, int64_t *need)
{
    int n = comm_size(t->comm);
    const int *node = comm_nodes(t->comm);
    struct ask {
        int64_t copies, pending;
    } mine = {ckpt_copy_bytes(t->store), net_pending(t->net)}, *all = mem_new(n, sizeof *all);
    comm_all_gather(t->comm, all, &mine, sizeof mine);
    int64_t pending = 0;
    *need = 0;
    for (int i = 0; i < n; i++)
        if (node[i] == node[comm_rank(t->comm)]) {
            *need += all[i].copies;
            pending += all[i].pending;
        }
    free(all);
    return (double)(*need + pending) <= 0.9 * (double)mem_free_bytes();
}

bool saving_beside(const struct checkpoint_section *c)
{
    bool between = c->every.steps > 0 || c->every.seconds > 0;
    return c->async == ASYNC_YES || (c->async == ASYNC_AUTO && between);
}

/* COLLECTIVE. */
static status choose(const struct trainer *t, struct saver_how *how)
{
    char needs[32], there[32];
    int64_t need, tight;
    tight = !fits(t, &need);
    status code =
        tight ? fail(E_RESOURCE,
                     "checkpoint.async: true: the copies that are written beside the steps need %s of "
                     "memory on this node, %s is free; auto or false saves without",
                     text_bytes(needs, (double)need), text_bytes(there, (double)mem_free_bytes()))
              : OK;
    how->async = saving_beside(t->checkpoint);
    if (t->checkpoint->async == ASYNC_YES)
        return comm_agree(t->comm, code);
    comm_max_i64(t->comm, &tight, 1);
    if (how->async && tight)
        log_say("saves     while the steps wait: copies would not fit into the memory of a node");
    how->async = how->async && !tight;
    return OK;
}

status saving_open(struct trainer *t)
{
    struct saver_how how = {.run_dir = t->folder->dir,
                            .lock = t->folder->lock,
                            .writers = t->checkpoint->writers,
                            .threads = dev_threads(t->dev)};
    TRY(choose(t, &how));
    saver_open(&t->saver, t->comm, t->store, &how);
    return OK;
}

bool saving_busy(const struct trainer *t)
{
    return saver_busy(t->saver);
}

/* ---- from phase to phase ---- */

/* E_SPACE and the disk's lies are a warning; all else ends the run. */
static status outcome(struct trainer *t, struct report *r, int64_t step, status code)
{
    free(r->unsaved);
    r->unsaved = code == E_SPACE || code == E_NOCKPT ? mem_text(status_text()) : NULL;
    if (!r->unsaved)
        return code;
    log_warn("step %lld is not saved: %s", (long long)step, r->unsaved);
    report_event(t, "unsaved", json_pack("{sIss}", "step", (json_int_t)step, "error", r->unsaved));
    return OK;
}

static void tell_saved(struct trainer *t, struct report *r, const struct saved *saved)
{
    char size[32], took[32];
    r->longest.save = fmax(r->longest.save, saved->seconds);
    log_say("  saved step %lld: %s in %s", (long long)saved->step, text_bytes(size, (double)saved->bytes),
            text_time(took, saved->seconds));
    report_event(t, "checkpoint",
                 json_pack("{sIsIsfsf}", "step", (json_int_t)saved->step, "bytes", (json_int_t)saved->bytes,
                           "seconds", saved->seconds, "waited", r->waited));
    r->waited = 0;
}

static status commit(struct trainer *t, struct report *r)
{
    struct saved saved;
    double start = clock_seconds();
    status code = saver_commit(t->saver, &saved);
    double seconds = clock_lap(&start);
    r->saving += seconds;
    r->waited += seconds;
    r->saved = code == OK ? saved.step : r->saved;
    if (code == OK) {
        tell_saved(t, r, &saved);
        saver_verify(t->saver);
    }
    return outcome(t, r, saved.step, code);
}

/* What cannot be read back now keeps the older ones alive; what comes back changed is no checkpoint. */
static status judge(struct trainer *t, struct report *r)
{
    const struct ckpt_keep keep = {t->checkpoint->keep, t->checkpoint->keep_every};
    double start = clock_seconds();
    status code = saver_verified(t->saver);
    r->saving += clock_lap(&start);
    if (code == E_IO) {
        log_warn("step %lld cannot be read back, so older checkpoints stay: %s", (long long)r->saved,
                 status_text());
        return OK;
    }
    if (code == E_NOCKPT) {
        char *dir = mem_format("%s/ckpt/step_%08lld", t->folder->dir, (long long)r->saved);
        ckpt_note_damaged(t->comm, dir);
        free(dir);
    } else if (code == OK && comm_rank(t->comm) == 0) {
        ckpt_prune_end(t->pruning);
        t->pruning = ckpt_prune_begin(t->folder->dir, &keep, r->saved);
    }
    return code == E_NOCKPT ? outcome(t, r, r->saved, code) : code;
}

/* The next phase, which may wait. */
static status advance(struct trainer *t, struct report *r)
{
    progress_task("save", t->state.step);
    return saver_phase(t->saver) == SAVER_WRITING ? commit(t, r) : judge(t, r);
}

status saving_go_on(struct trainer *t, struct report *r, bool busy)
{
    return saver_phase(t->saver) == SAVER_IDLE || busy ? OK : advance(t, r);
}

static void end_pruning(struct trainer *t)
{
    ckpt_prune_end(t->pruning);
    t->pruning = NULL;
}

status saving_begin(struct trainer *t, struct report *r)
{
    double start = clock_seconds();
    progress_task("save", t->state.step);
    while (saver_phase(t->saver) != SAVER_IDLE)
        TRY(advance(t, r));
    end_pruning(t);
    status code = saver_begin(t->saver, &t->state);
    double seconds = clock_lap(&start);
    r->saving += seconds;
    r->waited = seconds;
    if (code != OK)
        return outcome(t, r, t->state.step, code);
    return saver_is_async(t->saver) ? OK : commit(t, r);
}

status saving_end(struct trainer *t, struct report *r, bool soon)
{
    while (saver_phase(t->saver) == SAVER_WRITING || (saver_phase(t->saver) != SAVER_IDLE && !soon))
        TRY(advance(t, r));
    return OK;
}

void saving_close(struct trainer *t, struct report *r)
{
    char *first = mem_text(status_text());
    if (t->saver && saver_phase(t->saver) == SAVER_WRITING && commit(t, r) != OK)
        log_warn("%s", status_text());
    status_set_text(first);
    free(first);
    saver_close(t->saver);
    t->saver = NULL;
    end_pruning(t);
}
