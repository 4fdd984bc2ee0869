/* Parts of coppice inspect. Local, without MPI. */
#ifndef CMD_INSPECT_H
#define CMD_INSPECT_H
#include <stdbool.h>
#include "base/json.h"
#include "format/source.h"

/** Does the path name a token set: its .bin, its .idx, or their common part, but not a folder? */
bool inspect_names_tokens(const char *path);
/** Print what a token set holds, with the verdict, as lines or as JSON. E_DATA, E_IO: these stand there, too.
 */
status inspect_tokens(const char *path, bool json) MUST_USE;
/** Print a line for each kind of array. Arrays of a kind have the same type and shape, and names that differ
 * only in numbers. */
void kinds_show(const struct source *);
/** The shape of an array: "2 x 3", or one number for a vector. */
char *shape_text(char out[96], const struct array *);
const char *type_text(const struct array *);

/** A text for JSON, in which bytes that are not clean UTF-8 are masked. */
json_t *json_clean(const char *text);

#endif
