/* The tokens that end a text, as generation_config.json and config.json say them. Not collective. */
#ifndef FORMAT_HF_ENDS_H
#define FORMAT_HF_ENDS_H
#include <stdint.h>
#include "base/status.h"

enum { ENDS_MOST = 64 };

/** Fills `ends` and *n: eos_token_id of FOLDER/generation_config.json; without it that of `keys`, a JSON
 * object of keys of config.json or "". A number or a list. *n = 0: neither says any. E_DATA, E_IO: a file
 * that cannot be read. */
status hf_ends(const char *folder, const char *keys, int32_t ends[ENDS_MOST], int *n) MUST_USE;

#endif
