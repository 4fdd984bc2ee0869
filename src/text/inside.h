/* What a tokenizer is made of: shared by its reader (read*.c) and its user (tokenizer.c). */
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
    struct added plain, normalized; /* found before and after the normalizer */
    struct steps normalizer, splitter, decoder;
    bool has_decoder;
    struct ids before, after; /* of the post_processor */
    int32_t bos, eos;
};

/** Fill a tokenizer from the parsed file. E_DATA. */
status tokenizer_read(struct tokenizer *, const json_t *root) MUST_USE;
/** normalizer, pre_tokenizer, post_processor, decoder. E_DATA. */
status tokenizer_read_steps(struct tokenizer *, const json_t *root) MUST_USE;
/** bos and eos from the files beside it; what cannot be read counts as not there. */
void tokenizer_find_specials(struct tokenizer *);

#endif
