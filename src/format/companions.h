/* The files that a Hugging Face directory has beside config.json and the weights: tokenizer, chat template,
 * generation settings. Not collective. */
#ifndef FORMAT_COMPANIONS_H
#define FORMAT_COMPANIONS_H
#include <stdbool.h>
#include "base/status.h"

/** Does the folder hold a tokenizer? */
bool companions_there(const char *dir);
/** Copy them from one folder into another and say so in a line. `from` may be "" (unknown), gone or without
 *  such files: then a line says what to copy, and from where. A file that cannot be read is a warning;
 *  E_SPACE: one cannot be written. `name` is how the user calls the folder `to`. */
status companions_copy(const char *from, const char *to, const char *name) MUST_USE;

#endif
