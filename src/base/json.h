/* JSON, thin over jansson: parse with limits and duplicate keys refused, read typed members with a
 * clear message, write one line. Not collective. The handle is a jansson json_t, borrowed unless
 * said otherwise; only base/json.c and format/ files include jansson.h through this header. */
#ifndef BASE_JSON_H
#define BASE_JSON_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

/** Parse `n` bytes (need not end in NUL). Duplicate keys, bad UTF-8, trailing text and nesting
 *  beyond 16 are E_DATA with `where` in the message. *out is owned by the caller (json_decref). */
status json_parse(json_t **out, const char *where, const char *text, int64_t n) MUST_USE;
/** Read a whole file (at most `limit` bytes) and parse it. */
status json_read_file(json_t **out, const char *path, int64_t limit) MUST_USE;
/** Write `value` to `path` through a temporary name and rename; indent 0 = one line. */
status json_write_file(const json_t *value, const char *path, int indent) MUST_USE;
#endif
