/* What other people's directories hold besides the arrays of the model: heads that are stored although they
 * are tied, names that are not ours. Not collective. */
#ifndef WEIGHTS_FOREIGN_H
#define WEIGHTS_FOREIGN_H
#include "format/source.h"
#include "model/tensors.h"

/** The stored lm_head.weight of a model that ties its head to the embedding, if both are in the source; else
 * -1. */
int foreign_tied_head(const struct model *, const struct source *);
/** Is that head the embedding? Compares rows [part/parts, (part+1)/parts) of both, bit by bit; *bytes_read
 * +=. E_DATA with both ways out. */
status foreign_check_head(struct source *, int head, int part, int parts, int64_t *bytes_read) MUST_USE;
/** What the names of the arrays of a directory that does not fit point to ("every name begins with ..."),
 * owned by the caller; NULL if nothing. */
char *foreign_hint(const struct source *);

#endif
