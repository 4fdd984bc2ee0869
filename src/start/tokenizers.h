/* Were the tokens made by the tokenizer of the model that trains on them? Not collective. */
#ifndef START_TOKENIZERS_H
#define START_TOKENIZERS_H
#include "deck/deck.h"
#include "model/config.h"

/** A warning for each token set of the deck whose PREFIX.json (coppice tokenize) tells of another tokenizer
 * than the tokenizer.json of model.like (or start.from), or of a larger vocabulary than the model's. Sets and
 * models without these files are not judged. One rank is enough. */
void start_compare_tokenizers(const struct deck *, const struct config *target);

#endif
