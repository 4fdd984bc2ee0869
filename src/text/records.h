/* Documents of text files: JSON lines, or plain text that is one document or is cut at blank lines. A record
 * is read by one thread, as it stands in the file; record_text, which any thread may call, makes its text.
 * Not collective. */
#ifndef TEXT_RECORDS_H
#define TEXT_RECORDS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"
#include "text/buffer.h"

struct records;

struct record_options {
    const char *field; /* of JSON lines; NULL: "text". Given, every file is JSON lines */
    bool blank;        /* plain text is cut at blank lines */
};

struct record {
    struct bytes raw; /* owned by the caller, used again */
    int file;         /* number of the path */
    int64_t line;     /* from 1: where it begins */
    bool json;
};

/** The files in this order; names in .jsonl, .json or .ndjson (before .gz and .zst) are JSON lines. `options`
 * and `paths` are borrowed. */
void records_open(struct records **, char *const *paths, int n, const struct record_options *);
void records_close(struct records *);
/** The next record; *there = false behind the last one. Blank lines of JSON lines are no records. E_DATA,
 * E_IO. */
status records_next(struct records *, struct record *, bool *there) MUST_USE;
/** Bytes that were read from the files, packed as they are there. */
int64_t records_consumed(const struct records *);

/** The text of a record. Borrowed: it stays while the record and *hold do; the caller calls record_end.
 * E_DATA: no JSON, or no such field; without the name of the file. */
struct record_hold {
    void *json;
};
status record_text(const struct record *, const struct record_options *, struct record_hold *,
                   const char **text, int64_t *n) MUST_USE;
void record_end(struct record_hold *);

#endif
