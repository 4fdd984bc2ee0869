/* JSON by jansson: parse with limits and without duplicate keys, and write. Not collective. A json_t is
 * borrowed unless said otherwise. */
#ifndef BASE_JSON_H
#define BASE_JSON_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

/** Parse n bytes, which need not end in NUL. Duplicate keys, bad UTF-8, text behind the value and nesting
 * deeper than 16 are E_DATA, with `where` in the message. The caller calls json_decref on *out. */
status json_parse(json_t **out, const char *where, const char *text, int64_t n) MUST_USE;
/** The same for text that begins in this line of a file, counted from 1. */
status json_parse_line(json_t **out, const char *where, int64_t line, const char *text, int64_t n) MUST_USE;
/** Read a whole file (at most `limit` bytes) and parse it. */
status json_read_file(json_t **out, const char *path, int64_t limit) MUST_USE;
/** Text of a value with jansson's flags (JSON_COMPACT, JSON_INDENT(2), ...). A real has the fewest digits
 * that read back as the same number, as in Python: 1e-05, 500000.0. Caller frees. */
char *json_text(const json_t *value, size_t flags);
/** Write a value to a temporary file that is renamed to `path`. indent 0: one line. */
status json_write_file(const json_t *value, const char *path,
                       int indent) MUST_USE; /** Print to standard output. Takes the reference. */
void json_print(json_t *);

#endif
