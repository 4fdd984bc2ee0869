/* Compare the tokenizer of the tokens with that of the model that trains on them. Not collective. */
#ifndef START_TOKENIZERS_H
#define START_TOKENIZERS_H
#include "deck/deck.h"
#include "model/config.h"

/** Warn of each token set of the deck whose PREFIX.json (coppice tokenize) names another tokenizer than the
 *  tokenizer.json of model.like (or start.from), or a larger vocabulary than the model's. Sets and models
 * without these files are not judged. One rank is enough. */
void start_compare_tokenizers(const struct deck *, const struct config *target);

#endif
