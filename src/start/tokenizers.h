/* The model's tokenizer, and that of the tokens that it trains on. Not collective. */
#ifndef START_TOKENIZERS_H
#define START_TOKENIZERS_H
#include "deck/deck.h"
#include "model/config.h"
#include "text/tokenizer.h"

/** Open the tokenizer at a path for this model. The caller closes it in any case. E_DATA, also if it has more
 *  tokens than the model. */
status start_tokenizer(struct tokenizer **, const char *path, const struct config *) MUST_USE;
/** Warn of each token set of the deck whose PREFIX.json (coppice tokenize) names another tokenizer than the
 *  tokenizer.json of model.like (or start.from), or a larger vocabulary than the model's. Sets and models
 * without these files are not judged. One rank is enough. */
void start_compare_tokenizers(const struct deck *, const struct config *target);

#endif
