/* From the deck's model and start sections to the shape that trains and where its weights come from.
 * Local: reads config.json files. */
#ifndef START_SHAPE_H
#define START_SHAPE_H
#include "deck/deck.h"
#include "format/source.h"
#include "model/config.h"
#include "weights/fill.h"

enum start {
    START_RANDOM,
    START_SAME,
    START_GROW,
    START_UPCYCLE
}; /* UPCYCLE: grown first where sizes differ */

struct shapes {
    bool shaped;          /* is the target known? */
    struct config target; /* what trains */
    struct config source; /* what its weights come from; target where there is none */
    enum start start;
    struct upcycle upcycle; /* how experts are made */
    char *const *parent;    /* [upcycle.parents] where they come from; borrowed from the deck */
    struct grow grow;       /* how START_GROW and START_UPCYCLE grow; nothing where the sizes agree */
    const char *key;        /* that names what the weights come from: start.from or model.like */
    char **changes; /* a line for each model whose settings (rope, eps, ...) the target does not have */
    int n_changes;
    char *dir; /* of the source: a Hugging Face directory, or a checkpoint; owned */
    bool checkpoint;
};

/** Where a model is: a Hugging Face directory as it is named, or a checkpoint, the newest one of a run
 * folder. *dir is the caller's. E_DATA with the likely cause, E_NOCKPT. */
status shapes_locate(const char *path, bool *checkpoint, char **dir) MUST_USE;
/** Every mistake that the shapes show, a line each with its place in the deck: E_DECK, and E_DATA or E_NOCKPT
 *  where a model cannot be read. Warns of settings that change. `shaped` tells whether the target is known.
 */
status shapes_read(struct shapes *, const struct deck *) MUST_USE;
/** The same for weights that a checkpoint holds: its shape, with the deck's keys on top; model.like and start
 * are not looked at. E_DECK. */
status shapes_continue(struct shapes *, const struct deck *, const struct config *saved) MUST_USE;
/** Open where the weights come from (not of a random start). Local. E_DATA, E_NOCKPT. */
status shapes_source(const struct shapes *, const struct deck *, struct source **) MUST_USE;
/** The read plan of the target's table from that source, or random. Local. E_DECK, E_DATA, E_NOCKPT. */
status shapes_plan(const struct shapes *, const struct deck *, const struct model *target,
                   struct fill_plan *) MUST_USE;
void shapes_free(struct shapes *);

#endif
