/* The next token from logits. Pure. */
#ifndef EVAL_SAMPLE_H
#define EVAL_SAMPLE_H
#include <stdint.h>

struct sampling {
    double temperature; /* logits are divided by it; 0: always the likeliest token */
    double top_p;       /* from the likeliest tokens that have this probability together; 1: from all */
    uint64_t seed;
};

/** A token of logits [vocab]; of equal ones the lower id comes first. The draw depends on seed, text and
 *  position alone, on no layout. */
int32_t sample(const struct sampling *, const float *logits, int64_t vocab, int64_t text, int64_t position);

#endif
