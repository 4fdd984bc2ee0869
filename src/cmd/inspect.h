/* Parts of coppice inspect. Local, no MPI. */
#ifndef CMD_INSPECT_H
#define CMD_INSPECT_H
#include <stdbool.h>
#include "base/json.h"
#include "format/source.h"

/** Is the path that of a token set (its .bin or .idx, or what they have in common), and not of a folder? */
bool inspect_names_tokens(const char *path);
/** What a token set holds, its verdict first, as lines or as JSON. E_DATA, E_IO: also told in there. */
status inspect_tokens(const char *path, bool json) MUST_USE;
/** A line for each kind of array: those whose names differ in their numbers alone, of one type and shape. */
void kinds_show(const struct source *);
/** "2 x 3": a vector has one number. */
char *shape_text(char out[96], const struct array *);
const char *type_text(const struct array *);

/** A text for JSON: what is no clean UTF-8 is masked. */
json_t *json_clean(const char *text);

#endif
