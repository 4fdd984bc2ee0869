/* coppice machine PART...: try this machine, on all ranks at once. */
#include <stdlib.h>
#include <string.h>
#include "config.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/commands.h"
#include "cmd/session.h"
#include "format/h5.h"
#include "plan/trial.h"

static const struct part {
    const char *name;
    status (*run)(struct trial *);
} part[] = {{"place", trial_place}, {"node", trial_node}, {"fabric", trial_fabric}, {"folder", trial_folder}};
enum { PARTS = sizeof part / sizeof *part };

static bool asked(const struct options *o, const char *name)
{
    for (int i = 0; i < o->n_files; i++)
        if (!strcmp(o->files[i], name))
            return true;
    return false;
}

static status check_parts(const struct options *o)
{
    for (int i = 0; i < o->n_files; i++) {
        int k = 0;
        while (k < PARTS && strcmp(part[k].name, o->files[i]) != 0)
            k++;
        if (k == PARTS)
            return fail(E_DECK, "machine: there is no part %s; there are place, node, fabric and folder",
                        o->files[i]);
    }
    if (o->n_files == 0)
        return fail(E_DECK, "machine: name what to try: place, node, fabric, folder");
    return asked(o, "folder") && !o->out ? fail(E_DECK, "machine folder needs --out, the folder to try") : OK;
}

static status make_layout(struct layout *l, const struct deck *d, int ranks)
{
    const struct parallel_section *p = &d->parallel;
    char *why = layout_make(l, ranks, (int)p->tensor, (int)p->expert, (int)p->expert_tensor,
                            &(struct layout_needs){0});
    status code = why ? fail(E_DECK, "%s", why) : OK;
    free(why);
    return code;
}

static status look(struct session *s, struct trial *t)
{
    const struct options *o = &s->options;
    TRY(check_parts(o));
    deck_init(&s->deck);
    s->opened_deck = true;
    TRY(deck_read(&s->deck, 0, NULL, o->n_set, o->set));
    t->folder = o->out;
    return make_layout(&t->layout, &s->deck, comm_size(s->comm));
}

static status try_parts(struct session *s, struct trial *t)
{
    TRY(comm_agree(s->comm, look(s, t)));
    TRY(session_device(&s->dev, s->comm, &s->deck.device));
    t->dev = s->dev;
    for (int i = 0; i < PARTS; i++)
        if (asked(&s->options, part[i].name))
            TRY(part[i].run(t));
    return OK;
}

static status open_and_try(struct session *s, struct trial *t, int argc, char **argv)
{
    TRY(comm_open(&s->comm));
    s->rank = comm_rank(s->comm);
    log_open(s->rank == 0, false);
    TRY(comm_agree(s->comm, options_parse(&s->options, argc, argv)));
    t->comm = s->comm;
    return try_parts(s, t);
}

int cmd_machine(int argc, char **argv)
{
    struct session s = {0};
    struct trial t = {.program = NULL};
    char *program = mem_format("%s (%s), %s, HDF5 %s, %s", PACKAGE_VERSION, COPPICE_REVISION,
                               comm_mpi_library(), h5_version(), dev_cpu_library());
    t.program = program;
    int end = session_close(&s, open_and_try(&s, &t, argc, argv));
    free(program);
    return end == OK && t.failed ? 1 : end;
}
