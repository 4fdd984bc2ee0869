/* The rows of a task's file as JSON objects: JSON lines as they stand, the rows of a CSV file (RFC 4180, with
 * a header) as texts. Not collective. */
#ifndef EVAL_ROWS_H
#define EVAL_ROWS_H
#include "base/json.h"

struct rows {
    char *path;
    json_t **row;  /* [n] objects */
    int64_t *line; /* [n] where each begins, from 1 */
    int64_t n;
};

/** Read the first `limit` rows (0: all). Files may be .gz or .zst. E_DATA: "FILE:LINE: ...". */
status rows_read(struct rows *, const char *path, int64_t limit) MUST_USE;
void rows_free(struct rows *);
/** E_DATA: "FILE:LINE: ...". */
status rows_bad(const struct rows *, int64_t row, const char *format, ...) PRINTF(3, 4);

#endif
