/* From the deck's model and start sections to the shape that trains and where its weights come from.
 * Local: reads config.json files. */
#ifndef CMD_SHAPE_H
#define CMD_SHAPE_H
#include "deck/deck.h"
#include "model/config.h"

enum start { START_RANDOM, START_SAME, START_UPCYCLE, START_CHECKPOINT };

struct shapes {
    struct config target;   /* what trains */
    struct config source;   /* what its weights come from; target where there is none */
    enum start start;
    char *dir;              /* of the source; owned */
};

/** E_DECK with the position of the key at fault; E_DATA for a config.json. */
status shapes_read(struct shapes *, const struct deck *) MUST_USE;
void shapes_free(struct shapes *);

#endif
