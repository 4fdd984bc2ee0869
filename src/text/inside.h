/* The parts of a tokenizer, for its reader (read*.c) and for tokenizer.c. */
#ifndef TEXT_INSIDE_H
#define TEXT_INSIDE_H
#include "base/json.h"
#include "text/added.h"
#include "text/bpe.h"
#include "text/steps.h"
#include "text/tokenizer.h"
#include "text/vocab.h"

struct tokenizer {
    char *path;
    uint64_t digest;
    struct vocab vocab;
    struct bpe bpe;
    struct added plain, normalized; /* searched for before the normalizer, and after it */
    struct steps normalizer, splitter, decoder;
    bool has_decoder;
    struct ids before, after; /* the tokens that the post_processor puts around a text */
    int32_t bos, eos;
};

/** Set up a tokenizer from the parsed file. E_DATA. */
status tokenizer_read(struct tokenizer *, const json_t *root) MUST_USE;
/** Read normalizer, pre_tokenizer, post_processor and decoder. E_DATA. */
status tokenizer_read_steps(struct tokenizer *, const json_t *root) MUST_USE;
/** Find bos and eos in the files beside the tokenizer. A file that cannot be read counts as absent. */
void tokenizer_find_specials(struct tokenizer *);

#endif
