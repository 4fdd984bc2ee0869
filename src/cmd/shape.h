/* From the deck's model and start sections to the shape that trains and where its weights come from.
 * Local: reads config.json files. */
#ifndef CMD_SHAPE_H
#define CMD_SHAPE_H
#include "deck/deck.h"
#include "format/source.h"
#include "model/config.h"

enum start { START_RANDOM, START_SAME, START_UPCYCLE };

struct shapes {
    struct config target;   /* what trains */
    struct config source;   /* what its weights come from; target where there is none */
    enum start start;
    char *dir;              /* of the source: a Hugging Face directory, or a checkpoint; owned */
    bool checkpoint;
};

/** E_DECK with the position of the key at fault; E_DATA for a config.json. */
status shapes_read(struct shapes *, const struct deck *) MUST_USE;
/** Open where the weights come from (not of a random start). Local. E_DATA, E_NOCKPT. */
status shapes_source(const struct shapes *, struct source **) MUST_USE;
void shapes_free(struct shapes *);

#endif
