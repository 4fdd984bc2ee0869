/* coppice upcycle DECK... --out DIR [--format hf|checkpoint] [--as FORM] [--dtype float32|bfloat16]
 * [--explain]: write the model that training would start from, after growth and upcycling. Format hf is a
 * Hugging Face directory, written tensor by tensor, so that the whole model is never in memory; on one rank
 * without MPI. Format checkpoint is the run folder of a run at step 0, which train continues; on any number
 * of ranks. COLLECTIVE. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "ckpt/ckpt.h"
#include "ckpt/owner.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "cmd/session.h"
#include "comm/launch.h"
#include "train/loop.h"
#include "weights/export.h"
#include "weights/planned.h"

enum { SHARD_GB = 5 };

/* ---- as a Hugging Face directory ---- */

static status write_model(const struct shapes *s, const struct options *o, struct source *source)
{
    const char *type = o->dtype ? o->dtype : "float32";
    char shape[96], parameters[32], took[32];
    double start = clock_seconds();
    const struct export_options how = {o->as, type, (int64_t)SHARD_GB * 1000000000};
    TRY(export_hf(source, &s->target, o->out, &how));
    log_say("upcycled  %s -> %s (%s, %s parameters, %s) in %s", s->dir ? s->dir : "random", o->out,
            config_text(&s->target, shape), text_count(parameters, (double)config_parameters(&s->target)),
            type, text_time(took, clock_lap(&start)));
    return OK;
}

static status run_plan(const struct shapes *s, const struct deck *deck, const struct options *o)
{
    struct model model;
    struct fill_plan plan;
    model_open(&model, &s->target, &layout_alone);
    status code = shapes_plan(s, deck, &model, &plan);
    if (code == OK) {
        if (o->explain)
            plan_explain(&plan, &model);
        int64_t bytes = 0;
        struct source *source = source_open_plan(plan, &model); /* takes ownership of the plan */
        if (o->out)
            code = plan_check_heads(&plan, 0, 1, &bytes);
        if (o->out && code == OK)
            code = write_model(s, o, source);
        source_close(source);
    }
    model_close(&model);
    return code;
}

static status run_upcycle(const struct options *o, struct deck *deck)
{
    struct shapes shapes;
    if (o->n_files == 0 || (!o->out && !o->explain))
        return fail(E_DECK, "coppice upcycle needs a deck and --out DIR, or --explain");
    TRY(deck_read(deck, o->n_files, o->files, o->n_set, o->set));
    status code = shapes_read(&shapes, deck);
    if (code == OK)
        code = run_plan(&shapes, deck, o);
    shapes_free(&shapes);
    return code;
}

/* ---- as a checkpoint ---- */

/* Make a new run folder, so that nothing is written over another run. */
static status make_folder(const char *dir, struct lock **lock)
{
    if (io_mkdir(dir, 0777) == 0)
        return lock_take(lock, dir, NULL);
    return errno == EEXIST ? fail(E_DECK, "%s: exists; give the checkpoint a new folder", dir)
                           : fail(E_SPACE, "%s: cannot be made: %s", dir, strerror(errno));
}

static status save(struct session *s, struct lock *lock)
{
    const struct optimizer_section *o = &s->deck.optimizer;
    char size[32], took[32];
    double start = clock_seconds();
    const struct ckpt_state none = {0};
    int64_t bytes = 0, steps = loop_steps(&s->deck.run, &s->deck.batch, s->deck.data.sequence, &none);
    struct ckpt_state state = {.horizon = o->horizon > 0 ? o->horizon : steps,
                               .deck = deck_resolved(&s->deck)};
    owner_token(state.run);
    const struct saver_how how = {.run_dir = s->options.out,
                                  .lock = lock,
                                  .writers = s->deck.checkpoint.writers,
                                  .threads = dev_threads(s->dev)};
    status code = ckpt_save(s->comm, &s->store, &state, &how, &bytes);
    free(state.deck);
    if (code == OK)
        log_say("upcycled  %s -> %s (step 0, %s) in %s", s->shapes.dir ? s->shapes.dir : "random",
                s->options.out, text_bytes(size, (double)bytes), text_time(took, clock_lap(&start)));
    return code;
}

/* Save under the lock of the new folder, so that no job begins in it before the checkpoint exists. */
static status save_locked(struct session *s)
{
    struct lock *lock = NULL;
    status code = comm_agree(s->comm, s->rank == 0 ? make_folder(s->options.out, &lock) : OK);
    if (code == OK)
        code = save(s, lock);
    lock_release(lock);
    return code;
}

static status run_checkpoint(struct session *s, int argc, char **argv)
{
    TRY(session_open(s, argc, argv));
    if (!s->options.out)
        return comm_agree(s->comm, fail(E_DECK, "coppice upcycle --format checkpoint needs --out DIR"));
    TRY(session_open_device(s));
    TRY(session_open_store(s, true));
    TRY(session_fill(s, NULL));
    if (s->options.explain)
        plan_explain(&s->plan, &s->model);
    return save_locked(s);
}

/* ---- the command ---- */

static status run_hf(const struct options *o, struct deck *deck)
{
    if (o->format && strcmp(o->format, "hf") != 0)
        return fail(E_DECK, "--format %s: needs hf or checkpoint", o->format);
    TRY(comm_one_task("coppice upcycle writes a Hugging Face directory", ", or with --format checkpoint"));
    return run_upcycle(o, deck);
}

int cmd_upcycle(int argc, char **argv)
{
    static struct session session;
    struct options o;
    struct deck deck;
    log_open(true, false);
    status code = options_parse(&o, argc, argv);
    bool checkpoint = code == OK && o.format && !strcmp(o.format, "checkpoint");
    log_open(true, o.quiet);
    deck_init(&deck);
    if (code == OK && !checkpoint)
        code = run_hf(&o, &deck);
    if (code != OK)
        log_error(status_text());
    deck_free(&deck);
    options_free(&o);
    return checkpoint ? session_close(&session, run_checkpoint(&session, argc, argv)) : (int)code;
}
