/* Text files to a token set: documents are read by one thread, encoded by all of them, and written in their
 * order, so that the files do not depend on the number of threads. One task; not collective. */
#ifndef TEXT_PREPARE_H
#define TEXT_PREPARE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"
#include "text/records.h"
#include "text/tokenizer.h"

struct prepare {
    const struct tokenizer *tokenizer;
    char *const *path; /* [n] borrowed; "-" is standard input */
    int n;
    struct record_options records;
    int32_t eod;  /* put behind each document; -1: none */
    bool special; /* with the tokens of the post_processor */
    void (*progress)(void *context, const struct prepare *, double seconds); /* NULL: none; now and then */
    void *context;

    /* what came out */
    struct prepared {
        int64_t documents, tokens, text_bytes;
    } total, *of;     /* of: [n], owned by the caller */
    int64_t empty;    /* documents without a token, left out */
    int64_t left_out; /* characters that the vocabulary does not have */
    int64_t consumed; /* bytes of the files so far */
};

/** The type code in which Megatron's builder keeps ids of this vocabulary: u16 below 65,500, else i32. */
int prepare_type(const struct tokenizer *);
/** Write OUT.bin and OUT.idx. E_DATA: "FILE:LINE: ..."; E_IO, E_SPACE. Nothing is left of a failure. */
status prepare_run(struct prepare *, const char *out) MUST_USE;

#endif
