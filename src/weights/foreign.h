/* Directories that hold something else than the arrays of the model: heads that are stored although they are
 * tied, or other names. Not collective. */
#ifndef WEIGHTS_FOREIGN_H
#define WEIGHTS_FOREIGN_H
#include "format/source.h"
#include "model/tensors.h"

/** The array lm_head.weight of a model that ties its head to the embedding, if the source has both arrays;
 * else -1.
 */
int foreign_tied_head(const struct model *, const struct source *);
/** Check that this head equals the embedding bit by bit, in part `part` of `parts` of their rows. *bytes_read
 * += bytes read. E_DATA says how to use the one or the other. */
status foreign_check_head(struct source *, int head, int part, int parts, int64_t *bytes_read) MUST_USE;
/** Is a small array all zeros? False if it cannot be read, too. */
bool foreign_zeros(struct source *, int array);
/** The likely reason why the arrays of a directory do not fit, by their names ("the names begin with ...");
 * NULL if there is none. Caller frees. */
char *foreign_hint(const struct source *);

#endif
