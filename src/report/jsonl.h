/* Files of JSON lines, as training writes them while a report reads them. Not collective. */
#ifndef REPORT_JSONL_H
#define REPORT_JSONL_H
#include "base/json.h"

/* What could not be used, for the reader of the report: lines of text. Owned; free(text) ends it. */
struct complaints {
    char *text; /* NULL: none */
    int n;      /* the first few have a line each */
};
void complain(struct complaints *, const char *format, ...) PRINTF(2, 3);

/** Give each object of the file to `take`, with "FILE:LINE" as `where`. A line that is no JSON object, also
 * what a crash cut off, is a complaint; an incomplete last line may still be being written and is passed
 * over. The first line may name a schema, whose version must be 1: else the file is not used. No file is no
 * error. */
void jsonl_read(const char *path, struct complaints *,
                void (*take)(void *context, json_t *line, const char *where), void *context);

#endif
