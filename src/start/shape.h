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
}; /* START_UPCYCLE: grown first if sizes differ */

struct shapes {
    bool shaped;          /* is the target known? */
    struct config target; /* the model that trains */
    struct config source; /* the model that its weights come from; the target if there is none */
    enum start start;
    struct upcycle upcycle; /* how experts are made */
    char *const *parent;    /* [upcycle.parents] the models that experts come from; borrowed from the deck */
    struct grow grow;       /* how START_GROW and START_UPCYCLE grow */
    const char *key;        /* the key that names where the weights come from: start.from or model.like */
    char **changes; /* a line for each model whose settings (rope, eps, ...) differ from the target's */
    int n_changes;
    char *dir; /* the source's Hugging Face directory or checkpoint; owned */
    bool checkpoint;
};

/** Find a model: `path` is a Hugging Face directory, a checkpoint, or a run folder, whose newest checkpoint
 * is taken. Caller frees *dir. E_DATA with the likely cause, E_NOCKPT. */
status shapes_locate(const char *path, bool *checkpoint, char **dir) MUST_USE;
/** Read the shapes. All mistakes are reported, a line each with its position in the deck: E_DECK, or E_DATA
 * or E_NOCKPT if a model cannot be read. Warns of settings that change. `shaped` says whether the target is
 * known. */
status shapes_read(struct shapes *, const struct deck *) MUST_USE;
/** The shape of the model at `path` (see shapes_locate) as it stands, with its weights. The deck gives
 * model.ignore alone. E_DATA, E_NOCKPT. */
status shapes_model(struct shapes *, const char *path, const struct deck *) MUST_USE;
/** The shape for a run that goes on from a checkpoint: its shape, with the deck's keys on top. model.like and
 * the start section have no effect. E_DECK. */
status shapes_continue(struct shapes *, const struct deck *, const struct config *saved) MUST_USE;
/** Do all experts of a layer begin equal, with weights that add up to 1? The router's gradient is then 0 at
 * first. */
bool shapes_experts_equal(const struct shapes *);
/** Open the source of the weights; there must be one. Local. E_DATA, E_NOCKPT. */
status shapes_source(const struct shapes *, const struct deck *, struct source **) MUST_USE;
/** Make the read plan of the target from that source, or from random numbers. Local. E_DECK, E_DATA,
 * E_NOCKPT. */
status shapes_plan(const struct shapes *, const struct deck *, const struct model *target,
                   struct fill_plan *) MUST_USE;
void shapes_free(struct shapes *);

#endif
