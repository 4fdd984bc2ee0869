/* coppice plan --measure [DECK] [--out FILE]: measure this machine's file; under MPI on all ranks at once. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "cmd/plan.h"
#include "cmd/session.h"
#include "plan/measure.h"

/* Sizes of the deck, if there is one. */
static status read_ask(const struct options *o, struct deck *d, struct measure_ask *ask)
{
    struct shapes shapes = {0};
    *ask = measure_default();
    if (o->n_files == 0)
        return OK;
    TRY(deck_read(d, o->n_files, o->files, o->n_set, o->set));
    status code = shapes_read(&shapes, d);
    if (code == OK)
        *ask = measure_of(d, &shapes.target);
    shapes_free(&shapes);
    return code;
}

static status write_machine(const struct options *o, const struct machine *m, int ranks)
{
    FILE *f = o->out ? fopen(o->out, "wx") : stdout;
    if (!f)
        return fail(E_SPACE, "%s: cannot be written: %s", o->out, strerror(errno));
    fprintf(f,
            "# Written by coppice plan --measure on %d rank%s at once. Other work on the machine makes it "
            "too slow.\n",
            ranks, ranks > 1 ? "s" : "");
    machine_write(m, f);
    bool good = ferror(f) == 0;
    if (o->out && fclose(f) != 0)
        good = false;
    return good ? OK : fail(E_SPACE, "%s: cannot be written", o->out ? o->out : "standard output");
}

static status measure(struct comm *comm, const struct options *o, struct deck *d)
{
    struct measure_ask ask;
    struct machine m;
    struct dev *dev = NULL;
    TRY(comm_agree(comm, read_ask(o, d, &ask)));
    TRY(session_device(&dev, comm, &d->device));
    status code = measure_machine(&m, comm, dev, &ask);
    dev_close(dev);
    TRY(code);
    return comm_agree(comm, comm_rank(comm) == 0 ? write_machine(o, &m, comm_size(comm)) : OK);
}

status planner_measure(const struct options *o)
{
    struct comm *comm = NULL;
    struct deck d;
    TRY(comm_open(&comm));
    log_open(comm_rank(comm) == 0, o->quiet);
    deck_init(&d);
    status code = measure(comm, o, &d);
    deck_free(&d);
    comm_close(comm);
    return code;
}
