/* The deck's model section on top of a shape. Pure. */
#ifndef START_APPLY_H
#define START_APPLY_H
#include "deck/deck.h"
#include "model/config.h"

/** Set what the deck's model section gives; other members stay, or get their defaults. E_DECK. */
status apply_deck(struct config *, const struct deck *) MUST_USE;

#endif
