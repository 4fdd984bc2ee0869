/* Documents of text files: JSON lines, or plain text, which is one document or is cut at blank lines or at
 * every line. One thread reads records as they stand in the file; any thread may then get the text of one by
 * record_text. Not collective.
 */
#ifndef TEXT_RECORDS_H
#define TEXT_RECORDS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"
#include "text/buffer.h"

struct records;

struct record_options {
    const char *field; /* the field with the text in JSON lines; NULL: "text", if names say JSON lines */
    bool blank;        /* cut plain text at blank lines */
    bool lines;        /* each line of plain text is one, without its end; blank lines are skipped */
};

struct record {
    struct bytes raw; /* owned by the caller, who passes it again */
    int file;         /* the number of the path */
    int64_t line;     /* the line in which it begins, from 1 */
    bool json;
};

/** Read the files in this order. Names that end in .jsonl, .json or .ndjson (before .gz or .zst) are JSON
 * lines. `options` and `paths` are borrowed. */
void records_open(struct records **, char *const *paths, int n, const struct record_options *);
void records_close(struct records *);
/** The next record; *there = false behind the last one. Blank lines among JSON lines are skipped. E_DATA,
 * E_IO. */
status records_next(struct records *, struct record *, bool *there) MUST_USE;
/** Bytes read from the files so far, before unpacking. */
int64_t records_consumed(const struct records *);

/** The text of a record, which stays while the record and *hold do; the caller calls record_end. E_DATA,
 * without the name of the file: not JSON, or no such field. */
struct record_hold {
    void *json;
};
status record_text(const struct record *, const struct record_options *, struct record_hold *,
                   const char **text, int64_t *n) MUST_USE;
void record_end(struct record_hold *);

#endif
