/* The files of a Hugging Face directory beside config.json and the weights: tokenizer, chat template,
 * generation settings. Not collective. */
#ifndef FORMAT_COMPANIONS_H
#define FORMAT_COMPANIONS_H
#include <stdbool.h>
#include "base/status.h"

/** Does the folder hold a tokenizer? */
bool companions_there(const char *dir);
/** Copy them from one folder into another and report it in a line. If `from` is "" (unknown), gone or without
 *  such files, the line says what to copy, and from where. A file that cannot be read is a warning. E_SPACE:
 * a file cannot be written. `name` is the name of the folder `to` in messages. */
status companions_copy(const char *from, const char *to, const char *name) MUST_USE;

#endif
