/* The input is a text file for coppice tokenize. Its first byte says how it is read: j JSON lines, t one
 * text, b cut at blank lines, g JSON lines that are packed by gzip. */
#include "fuzz.h"
#include "text/records.h"

static status read_all(char *path, const struct record_options *options)
{
    struct records *r;
    struct record record = {0};
    bool there = true;
    status s = OK;
    records_open(&r, &path, 1, options);
    while (s == OK && (s = records_next(r, &record, &there)) == OK && there) {
        struct record_hold hold = {0};
        const char *text;
        int64_t n;
        s = record_text(&record, options, &hold, &text, &n);
        if (s == OK && (n < 0 || (n > 0 && !text)))
            bug("a text of %lld bytes", (long long)n);
        record_end(&hold);
    }
    records_close(r);
    free(record.raw.at);
    return s;
}

status fuzz_parse(const uint8_t *data, size_t size)
{
    char kind = size > 0 ? (char)*data : 't';
    struct record_options options = {.field = kind == 'j' || kind == 'g' ? "text" : NULL,
                                     .blank = kind == 'b'};
    size_t head = size > 0;
    fuzz_write("input", data + head, size - head);
    char *path = fuzz_path("input");
    status s = read_all(path, &options);
    free(path);
    return s;
}
