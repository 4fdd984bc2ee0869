/* coppice plan DECK: memory, time, traffic and cost of a job before it runs. It works on a login node,
 * without MPI, data and weights. */
#include "cmd/plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "ckpt/ckpt.h"
#include "cmd/commands.h"
#include "comm/launch.h"
#include "start/check.h"

/* ---- deck, shape, machine ---- */

static bool is_folder(const char *path)
{
    struct stat about;
    return io_stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

/* The deck and shape that a checkpoint keeps. */
static status read_checkpoint(struct planner *p, const char *path)
{
    struct ckpt_index index;
    char *dir;
    TRY(ckpt_resolve(path, &dir));
    status code = ckpt_index_read(&index, dir);
    if (code == OK) {
        deck_parse_saved(&p->deck, dir, index.state.deck);
        p->config = index.config;
        ckpt_index_free(&index);
    }
    free(dir);
    return code == OK ? deck_read(&p->deck, 0, NULL, p->options->n_set, p->options->set) : code;
}

static status read_deck(struct planner *p)
{
    const struct options *o = p->options;
    if (o->n_files == 0)
        return fail(E_DECK,
                    "no deck given: coppice plan DECK.yaml --ranks 128 (coppice deck new writes one)");
    if (o->n_files == 1 && is_folder(o->files[0]))
        return read_checkpoint(p, o->files[0]);
    TRY(deck_read(&p->deck, o->n_files, o->files, o->n_set, o->set));
    TRY(deck_check(&p->deck));
    TRY(shapes_read(&p->shapes, &p->deck));
    p->config = p->shapes.target;
    return OK;
}

static status read_machine(struct planner *p)
{
    enum device_type type = p->options->like ? DEVICE_CUDA : p->deck.device.type;
    TRY(site_read(&p->site));
    return plan_machine(&p->machine, p->options->machine, &p->deck, &p->site, type, &(bool){false});
}

static status make_layout(struct planner *p)
{
    const struct parallel_section *d = &p->deck.parallel;
    struct layout_needs needs = config_needs(&p->config);
    char *why =
        layout_make(&p->layout, p->ranks, (int)d->tensor, (int)d->expert, (int)d->expert_tensor, &needs);
    if (!why)
        return OK;
    status code = fail(E_DECK, "%s", why);
    free(why);
    return deck_place(&p->deck, code, "parallel.tensor");
}

/* ---- the page ---- */

static double tokens_of_run(const struct deck *d)
{
    return (double)deck_steps(d) * (double)(d->batch.sequences * d->data.sequence);
}

struct plan_page planner_page(const struct planner *p, const char *program, const struct plan *plan,
                              double load, double checkpoint)
{
    char shape[96];
    struct plan_page g = {
        .program = program, .machine = &p->machine, .ranks = p->ranks, .load = load, .plan = plan};
    g.model = mem_format("%s: %s, %s", p->deck.name ? p->deck.name : "deck", config_text(&p->config, shape),
                         choice_name(precisions, p->deck.device.precision));
    g.outlook = plan_outlook(plan, &p->machine, p->ranks, tokens_of_run(&p->deck), checkpoint);
    return g;
}

void planner_page_free(struct plan_page *g)
{
    free(g->model);
    free(g->layout);
}

void planner_print(const struct planner *p, const struct plan_page *g)
{
    if (p->options->json)
        json_print(plan_json(g));
    else if (p->options->job)
        planner_job(p, g);
    else
        plan_show(g);
}

static char *layout_text(const struct planner *p)
{
    const struct layout *l = &p->layout;
    int64_t micros = p->deck.batch.sequences / p->deck.batch.micro;
    return mem_format(
        "%d ranks: dense data %d x tensor %d, experts data %d x expert %d x expert-tensor %d; %lld rounds of "
        "%lld sequence%s",
        l->world, l->dp, l->tp, l->edp, l->ep, l->etp, (long long)layout_rounds(l, micros),
        (long long)p->deck.batch.micro, p->deck.batch.micro > 1 ? "s" : "");
}

/* ---- a deck that does not fit ---- */

static char *choice_text(const struct own_choice *x)
{
    char memory[32];
    return mem_format(
        "parallel: {tensor: %d, expert: %d, expert_tensor: %d}, batch.micro: %lld on %d ranks: %s a rank, "
        "%.3g s a step",
        x->layout.tp, x->layout.ep, x->layout.etp, (long long)x->micro, x->layout.world,
        text_bytes(memory, x->memory), x->step);
}

/* The nearest deck that does fit, on these ranks or on more; NULL if there is none. Caller frees. */
static char *nearest_fit(const struct planner *p)
{
    enum { DOUBLINGS = 7 };
    char *found = NULL;
    for (int i = 0, ranks = p->ranks; i < DOUBLINGS && !found && ranks < 1 << 20; i++, ranks *= 2) {
        struct own_choices all;
        if (plan_search(&all, &p->machine, &p->deck, &p->config, ranks) == OK) {
            const struct own_choice *near = plan_nearest(&all, &p->machine, &p->deck);
            found = near ? choice_text(near) : NULL;
        }
        own_choices_free(&all);
    }
    return found;
}

static status refuse(const struct planner *p, const struct plan *plan)
{
    char need[32], have[32], *near = nearest_fit(p);
    status code =
        fail(E_RESOURCE, "%s needs %s on its fullest rank, and a rank of %s has %s\nnearest that fits: %s",
             p->deck.file ? p->deck.file : "the deck", text_bytes(need, plan_memory(plan)), p->machine.name,
             text_bytes(have, p->machine.capacity),
             near ? near : "none on up to 64 times the ranks; use a smaller batch.micro or data.sequence");
    free(near);
    return code;
}

static status plan_here(struct planner *p)
{
    struct own_plan o;
    TRY(make_layout(p));
    TRY(plan_own(&o, &p->machine, &p->deck, &p->config, &p->layout, OWN_STEP));
    struct plan_page g =
        planner_page(p, "Coppice", &o.plan, plan_own_load(&p->config, &p->layout), o.checkpoint);
    g.layout = layout_text(p);
    g.by_class = o.by_class;
    g.classes = o.classes;
    bool fits = plan_fits(&o.plan, &p->machine);
    if (fits || !p->options->job)
        planner_print(p, &g);
    planner_page_free(&g);
    return fits ? OK : refuse(p, &o.plan);
}

/* ---- the command ---- */

static status run(struct planner *p)
{
    const struct options *o = p->options;
    TRY(comm_one_task("plan plans", ", or with --measure"));
    TRY(read_deck(p));
    p->ranks = o->ranks > 0 ? (int)o->ranks : start_least_ranks(&p->deck);
    if (o->legal_ranks)
        return planner_legal(p);
    TRY(read_machine(p));
    if (o->n_with > 0 && !o->like)
        return fail(E_DECK,
                    "--with is for --like megatron; this program's layout stands in the deck (--set)");
    if (o->like)
        return planner_megatron(p);
    return o->search ? planner_search(p) : plan_here(p);
}

static status plan_command(const struct options *o)
{
    struct planner *p = mem_new(1, sizeof *p);
    p->options = o;
    deck_init(&p->deck);
    status code = o->measure ? planner_measure(o) : run(p);
    shapes_free(&p->shapes);
    site_free(&p->site);
    deck_free(&p->deck);
    free(p);
    return code;
}

int cmd_plan(int argc, char **argv)
{
    struct options o;
    status code = options_parse(&o, argc, argv);
    log_open(true, code == OK && o.quiet);
    if (code == OK)
        code = plan_command(&o);
    if (code != OK && *status_text())
        log_error(status_text());
    options_free(&o);
    return (int)code;
}
