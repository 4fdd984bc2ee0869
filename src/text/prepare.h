/* Text files to a token set. One thread reads documents, all threads encode them, and they are written in
 * their order, so that the files do not depend on the number of threads. Not collective. */
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
    int32_t eod;  /* the token behind each document; -1: none */
    bool special; /* add the tokens of the post_processor */
    void (*progress)(void *context, const struct prepare *, double seconds); /* called now and then */
    void *context;

    /* results */
    struct prepared {
        int64_t documents, tokens, text_bytes;
    } total, *of;     /* in all, and of each file [n]; the caller owns `of` */
    int64_t empty;    /* documents without a token, which are left out */
    int64_t left_out; /* characters without a token, which are left out */
    int64_t consumed; /* bytes read from the files so far */
};

/** The type code that Megatron uses for ids of this vocabulary: u16 below 65,500 tokens, else i32. */
int prepare_type(const struct tokenizer *);
/** Write OUT.bin and OUT.idx. E_DATA: "FILE:LINE: ..."; E_IO, E_SPACE. A failure leaves no files. */
status prepare_run(struct prepare *, const char *out) MUST_USE;

#endif
