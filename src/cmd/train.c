/* coppice train DECK...: from the deck to a trained model. The same command continues from the newest
 * checkpoint of the run folder. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/signals.h"
#include "base/text.h"
#include "ckpt/owner.h"
#include "cmd/commands.h"
#include "cmd/session.h"
#include "cmd/startup.h"
#include "plan/own.h"
#include "start/exam.h"
#include "train/loop.h"
#include "train/mark.h"
#include "train/profile.h"
#include "train/room.h"

struct job {
    struct session s;
    struct folder folder;
    bool opened_folder;
    struct watchdog *watchdog;
    struct trainer trainer;
    struct ckpt_index index; /* of the checkpoint that this leg begins from */
    char *checkpoint;        /* its path; NULL: the run begins now */
    char *trunk;   /* with --branch, the deck's run folder, whose newest checkpoint begins the branch */
    bool branches; /* this leg begins the branch */
    struct exam exam;
    struct origin origin; /* what the source model left for the certificate */
};

/* ---- the run folder ---- */

/* --branch DIR: the run goes on in DIR, from the newest checkpoint of the deck's run folder. */
static status take_branch(struct job *j)
{
    struct deck *deck = &j->s.deck;
    if (!j->s.options.branch)
        return OK;
    char *set = mem_format("run.dir=%s", j->s.options.branch);
    j->trunk = mem_text(deck->run.dir);
    status code = deck_read(deck, 0, NULL, 1, &set);
    free(set);
    if (code == OK && !strcmp(deck->run.dir, j->trunk))
        return fail(E_DECK, "--branch %s is the run folder itself", j->trunk);
    return code;
}

static status open_folder(struct job *j)
{
    if (j->s.rank != 0)
        return OK;
    TRY(folder_open(&j->folder, j->s.options.fresh));
    ckpt_sweep(j->s.deck.run.dir);
    return OK;
}

/* Checkpoints hold the masters, so a run may go on in another precision. This is reported, because losses
 * differ. */
static void tell_precision(const struct job *j, const struct deck *then)
{
    dtype was = then->device.precision, is = j->s.deck.device.precision;
    if (was != is)
        log_say(
            "precision %s where the checkpoint was written in %s: the fp32 masters are kept, working weights "
            "are %s",
            choice_name(precisions, is), choice_name(precisions, was),
            is == BF16 ? "rounded from them" : "the masters themselves");
}

/* For comm_once. Set the shape that trains. With a checkpoint it is that of the checkpoint with the deck's
 * keys on top, so that neither model.like nor start.from need exist. */
static status take_shape(void *with)
{
    struct job *j = with;
    struct session *s = &j->s;
    return j->checkpoint ? start_continue(&s->shapes, &s->deck, &j->index, j->checkpoint)
                         : shapes_read(&s->shapes, &s->deck);
}

/* Print what a branch changes. */
static void show_branch(const struct job *j, const struct deck *then, const char *diff)
{
    const char *now = j->s.deck.model.like, *was = then->model.like;
    if (!j->opened_folder)
        return;
    log_say("branch    of %s%s%s", j->checkpoint, diff ? "\n" : "", diff ? diff : "");
    if (now && was && strcmp(now, was) != 0)
        log_warn("model.like: %s is not looked at: a branch keeps the model of %s", now, j->checkpoint);
}

/* Check that this deck may continue the checkpoint. A branch may change every key but those of the model. */
static status check_restart(struct job *j)
{
    const struct deck *deck = &j->s.deck;
    struct deck then;
    if (!j->branches)
        TRY(start_continues(deck, &j->index, j->checkpoint, deck->run.dir));
    deck_init(&then);
    deck_parse_saved(&then, j->checkpoint, j->index.state.deck);
    char *changes = j->branches ? deck_restart_diff(deck, &then) : NULL;
    if (j->opened_folder)
        tell_precision(j, &then);
    if (j->branches)
        show_branch(j, &then, changes);
    free(changes);
    deck_free(&then);
    return OK;
}

static void forget_checkpoint(struct job *j)
{
    ckpt_index_free(&j->index);
    free(j->checkpoint);
    j->checkpoint = NULL;
}

static status find_checkpoint(struct job *j)
{
    forget_checkpoint(j);
    TRY(ckpt_find(j->s.comm, j->s.deck.run.dir, &j->checkpoint));
    if (!j->checkpoint && j->trunk) {
        j->branches = true;
        TRY(ckpt_find(j->s.comm, j->trunk, &j->checkpoint));
        if (!j->checkpoint)
            return fail(E_NOCKPT, "--branch: %s has no checkpoint to begin from", j->trunk);
    }
    if (!j->checkpoint)
        return OK;
    TRY(ckpt_index_load(j->s.comm, &j->index, j->checkpoint));
    return comm_agree(j->s.comm, check_restart(j));
}

static status write_resolved(struct job *j)
{
    char *text = deck_resolved(&j->s.deck);
    status code = j->s.rank == 0 ? folder_write_text(&j->folder, "resolved.yaml", text) : OK;
    j->trainer.state.deck = text;
    return comm_agree(j->s.comm, code);
}

/* ---- weights: from a checkpoint, or from where the deck says ---- */

static void borrow(struct job *j)
{
    struct session *s = &j->s;
    struct trainer *t = &j->trainer;
    t->comm = s->comm;
    t->dev = s->dev;
    t->group = s->group;
    t->store = &s->store;
    t->net = s->net;
    t->data = s->data;
    t->folder = &j->folder;
    t->watchdog = j->watchdog;
    t->run = &s->deck.run;
    t->batch = &s->deck.batch;
    t->optimizer = &s->deck.optimizer;
    t->checkpoint = &s->deck.checkpoint;
    t->eval = &s->deck.eval;
    t->log = &s->deck.log;
    t->guards = &s->deck.guard;
    t->sequence = s->deck.data.sequence;
    t->watched = !s->options.quiet;
    t->steps = loop_steps(t->run, t->batch, t->sequence, &j->index.state);
    t->start_valid = t->valid = (double)NAN;
}

/* Load the newest checkpoint. A damaged one is noted, and the next older one is tried. */
static status load_newest(struct job *j)
{
    for (;;) {
        status code = ckpt_load(j->s.comm, &j->s.store, j->s.group, &j->index, j->checkpoint);
        if (code != E_NOCKPT || j->branches) /* a branch changes nothing in the other run folder */
            return code;
        TRY(comm_agree(j->s.comm, folder_check(&j->folder)));
        ckpt_note_damaged(j->s.comm, j->checkpoint);
        TRY(find_checkpoint(j));
    }
}

/* Warn if the next steps are behind the horizon, where the rate is min_lr, whatever optimizer.lr says. */
static void warn_horizon(const struct job *j)
{
    const struct optimizer_section *o = &j->s.deck.optimizer;
    const struct ckpt_state *state = &j->trainer.state;
    char horizon[48];
    if (state->step >= state->horizon && o->schedule != SCHEDULE_CONSTANT)
        log_warn("optimizer.lr: step %lld is behind the horizon of %s: the rate is min_lr, %g; raise "
                 "optimizer.horizon%s",
                 (long long)state->step, text_n(horizon, state->horizon, "step"), o->min_lr,
                 j->branches ? "" : " (with --branch DIR)");
}

/* A branch is a run of its own, and so is what an older version began. */
static void take_run_id(struct job *j)
{
    struct ckpt_state *state = &j->trainer.state;
    memcpy(state->run, j->branches ? "" : j->index.state.run, j->branches ? 1 : sizeof state->run);
    if (!*state->run)
        owner_token(state->run);
}

/* All of it was read and is good: what the last leg had no time to delete may go. */
static void prune_older(const struct job *j)
{
    const struct checkpoint_section *c = &j->s.deck.checkpoint;
    if (j->s.rank == 0 && !j->branches)
        ckpt_prune_end(ckpt_prune_begin(j->s.deck.run.dir, &(struct ckpt_keep){c->keep, c->keep_every},
                                        j->index.state.step));
}

static status continue_run(struct job *j)
{
    struct ckpt_state *state = &j->trainer.state;
    const struct optimizer_section *o = &j->s.deck.optimizer;
    double start = clock_seconds();
    char took[32];
    TRY(load_newest(j));
    state->step = j->index.state.step;
    state->samples = j->index.state.samples;
    state->tokens = j->index.state.tokens;
    state->horizon = o->horizon > 0 ? o->horizon : j->index.state.horizon;
    state->leg = j->index.state.leg + 1;
    take_run_id(j);
    prune_older(j);
    warn_horizon(j);
    log_say("continue  %s, step %lld of %lld | in %s | hashes %016llx %016llx %016llx",
            strrchr(j->checkpoint, '/') + 1, (long long)state->step, (long long)j->trainer.steps,
            text_time(took, clock_lap(&start)), (unsigned long long)j->index.hash[MASTER],
            (unsigned long long)j->index.hash[MOMENT1], (unsigned long long)j->index.hash[MOMENT2]);
    j->trainer.start_valid = folder_recorded(&j->folder, "status.json", "start_valid_loss");
    return OK;
}

static status begin_run(struct job *j)
{
    struct ckpt_state *state = &j->trainer.state;
    const struct optimizer_section *o = &j->s.deck.optimizer;
    state->horizon = o->horizon > 0 ? o->horizon : j->trainer.steps;
    state->leg = 1;
    owner_token(state->run);
    TRY(startup_fill(&j->s));
    TRY(startup_certify(&j->s, &j->folder, &j->origin));
    origin_close(&j->origin);
    return OK;
}

/* The validation loss at step 0. The reported start is the loss of the source model, if there is one; after
 * growth or upcycling that is not exact the two differ. */
static status start_loss(struct job *j)
{
    struct trainer *t = &j->trainer;
    if (j->checkpoint)
        return OK;
    t->start_valid = j->origin.valid;
    TRY(loop_validate(t, &t->valid));
    if (!isfinite(t->start_valid))
        t->start_valid = t->valid;
    return OK;
}

/* ---- the command ---- */

/* Rank 0. */
static status check_data(struct job *j)
{
    const struct ckpt_index *from = j->checkpoint ? &j->index : NULL;
    return start_same_data(j->s.data, from, j->checkpoint, j->branches, &j->trainer.state.data);
}

/* What this leg will take, to compare with. Only a machine file that the deck names must be good. */
static status foresee(struct job *j)
{
    const struct session *s = &j->s;
    double ceiling = 1e9 * j->trainer.ceiling / comm_size(s->comm);
    status code = plan_forecast(&j->trainer.forecast, &s->deck, &s->shapes.target, &s->layout, ceiling);
    return s->deck.run.machine ? deck_place(&s->deck, code, "run.machine") : OK;
}

/* The peak of this rank, from what it has before the first step. Validation may have taken rows at experts
 * already, which are among the planned ones. HDF5 takes up to 3.3 MB when it is first used (measured), but
 * little where a checkpoint was read. */
static status foresee_memory(struct job *j)
{
    const struct session *s = &j->s;
    struct net_memory net = net_memory(s->net);
    double hdf5 = j->checkpoint ? 2 << 20 : 4 << 20, before = (double)mem_peak_rss(), peak;
    int64_t rows = net.routed + net.beyond - net_pending(s->net), resident = mem_rss() - rows;
    TRY(plan_peak(&peak, &s->deck, &s->shapes.target, &s->layout, s->rank, (double)resident));
    j->trainer.forecast.peak = fmax(peak + hdf5, before);
    return OK;
}

static status prepare(struct job *j, int argc, char **argv)
{
    struct session *s = &j->s;
    double began = clock_seconds();
    TRY(signals_open()); /* before MPI_Init, which makes threads */
    TRY(session_open_deck(s, argc, argv, true));
    TRY(comm_agree(s->comm, take_branch(j)));
    if (!s->options.fresh) /* only for the shape; it is looked for again under the lock */
        TRY(find_checkpoint(j));
    TRY(session_open_shapes(s, take_shape, j));
    j->folder = folder_at(s->deck.run.dir);
    j->opened_folder = true;
    TRY(comm_agree(s->comm, open_folder(j)));
    TRY(find_checkpoint(j));
    TRY(session_open_device(s));
    TRY(comm_agree(s->comm, s->rank == 0 ? check_data(j) : OK));
    startup_banner(s, j->checkpoint ? j->index.state.leg + 1 : 1);
    j->trainer.ceiling = ceiling_sample(s->comm, s->dev, session_precision(s));
    TRY(startup_machine(s, j->trainer.ceiling));
    TRY(comm_agree(s->comm, s->rank == 0 ? foresee(j) : OK));
    if (s->rank == 0)
        j->trainer.limit = limit_find(s->deck.run.time_limit, began);
    return write_resolved(j);
}

/* Ranks that share a GPU share what is free there. */
static status device_room(const struct session *s)
{
    int64_t sharing = dev_count(s->dev) > 0 ? (comm_node_size(s->comm) - 1) / dev_count(s->dev) + 1 : 1;
    int64_t room = dev_room(s->dev);
    return room == INT64_MAX ? OK
                             : room_check(&s->deck, &s->shapes.target, &s->layout, s->rank, room / sharing);
}

/* E_STOP if a signal asked to stop before the first step, when there is nothing to save. COLLECTIVE. */
static status given_up(const struct job *j)
{
    return comm_agree(j->s.comm, signals_check());
}

static status open_exam(struct job *j)
{
    const struct session *s = &j->s;
    status code = start_exam(&j->exam, &s->deck, &s->shapes.target);
    j->trainer.exam = &j->exam;
    for (int i = 0; i < j->exam.n && code == OK; i++)
        if (j->exam.requests[i].left_out)
            log_warn("eval.tasks: %s: %lld tokens of contexts are beyond data.sequence and were cut off",
                     j->exam.task[i].name, (long long)j->exam.requests[i].left_out);
    return deck_place(&s->deck, code, NULL);
}

static status run_job(struct job *j, int argc, char **argv)
{
    struct session *s = &j->s;
    TRY(prepare(j, argc, argv));
    int64_t steps = loop_steps(&s->deck.run, &s->deck.batch, s->deck.data.sequence, &j->index.state);
    if (j->checkpoint && j->index.state.step >= steps) {
        log_say("nothing to do: step %lld of %lld is done; to go on, raise run.steps (or run.tokens)",
                (long long)j->index.state.step, (long long)steps);
        log_say("          newest checkpoint: %s", j->checkpoint);
        return OK;
    }
    TRY(given_up(j));
    TRY(watchdog_open(&j->watchdog, s->comm, s->deck.run.dir, s->deck.run.watchdog));
    borrow(j);
    const struct opened opened = session_opened(s);
    if (!j->checkpoint)
        TRY(origin_open(&j->origin, &opened)); /* it frees the source model before the target is made */
    TRY(given_up(j));
    TRY(comm_agree(s->comm, device_room(s)));
    TRY(session_open_store(s, true));
    TRY(comm_agree(s->comm, s->rank == 0 ? start_room(&s->deck, &s->model, !j->checkpoint) : OK));
    startup_disk(s);
    TRY(j->checkpoint ? continue_run(j) : begin_run(j));
    TRY(session_open_net(s, true));
    j->trainer.net = s->net;
    TRY(comm_agree(s->comm, open_exam(j)));
    TRY(start_loss(j));
    TRY(given_up(j));
    TRY(comm_agree(s->comm, foresee_memory(j)));
    status code = loop_run(&j->trainer);
    return code == E_DATA ? deck_place(&s->deck, code, NULL) : code; /* the message may be about a data set */
}

/* A leg that ended before its first step says so in status.json, too. COLLECTIVE. */
static void end_watch(struct job *j, status code)
{
    if (!j->watchdog)
        return;
    char *text = mem_text(status_text());
    if (code != OK && j->s.rank == 0 && folder_check(&j->folder) == OK)
        mark_end(j->s.deck.run.dir, code == E_STOP ? "stopped" : "failed", text);
    watchdog_close(j->watchdog, j->s.comm);
    status_set_text(text);
    free(text);
}

int cmd_train(int argc, char **argv)
{
    static struct job j;
    status code = run_job(&j, argc, argv);
    end_watch(&j, code);
    free(j.trainer.state.deck);
    free(j.trainer.state.data);
    forget_checkpoint(&j);
    free(j.trunk);
    origin_close(&j.origin);
    exam_close(&j.exam);
    if (j.opened_folder)
        folder_close(&j.folder);
    return session_close(&j.s, code);
}
