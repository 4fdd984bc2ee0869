/* coppice upcycle DECK... --out DIR [--dtype float32|bfloat16] [--explain]: what training would start from
 * (start, growth, upcycling), written as a Hugging Face directory without training; tensor by tensor, so the
 * model is never whole in memory. One rank, no MPI. */
#include <stdlib.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "cmd/shape.h"
#include "weights/export.h"
#include "weights/planned.h"

enum { SHARD_GB = 5 };

static status write_model(const struct shapes *s, const struct options *o, struct source *source)
{
    const char *type = o->dtype ? o->dtype : "float32";
    char shape[96], parameters[32], took[32];
    double start = clock_seconds();
    TRY(export_hf(source, &s->target, o->out, type, (int64_t)SHARD_GB * 1000000000));
    log_say("upcycled  %s -> %s (%s, %s parameters, %s) in %s", s->dir ? s->dir : "random", o->out,
            config_text(&s->target, shape), text_count(parameters, (double)config_parameters(&s->target)),
            type, text_time(took, clock_lap(&start)));
    return OK;
}

static status run_plan(const struct shapes *s, const struct deck *deck, const struct options *o)
{
    struct layout one = {.world = 1, .dp = 1, .tp = 1, .kv = 1, .edp = 1, .ep = 1, .etp = 1};
    struct model model;
    struct fill_plan plan;
    model_open(&model, &s->target, &one);
    status code = shapes_plan(s, deck, &model, &plan);
    if (code == OK) {
        if (o->explain)
            plan_explain(&plan, &model);
        struct source *source = source_open_plan(plan, &model); /* takes the plan */
        if (o->out)
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

int cmd_upcycle(int argc, char **argv)
{
    struct options o;
    struct deck deck;
    log_open(true, false);
    status code = options_parse(&o, argc, argv, "out dtype explain set");
    log_open(true, o.quiet);
    deck_init(&deck);
    if (code == OK)
        code = run_upcycle(&o, &deck);
    if (code != OK)
        log_error(status_text());
    deck_free(&deck);
    options_free(&o);
    return code;
}
