/* Rotary positions as config.json says them (rope_scaling, rope_parameters): a plain value. The angles that
 * follow are model/rope.c's. */
#ifndef FORMAT_ROPE_H
#define FORMAT_ROPE_H
#include <stdbool.h>

/* LLAMA3: three bands of frequencies. LINEAR: all divided by the factor. DYNAMIC: a larger base beyond
 * max_position_embeddings, where only generation goes. YARN: a ramp between kept and divided
 * frequencies (arXiv:2309.00071). */
enum rope_scaling { ROPE_DEFAULT, ROPE_LLAMA3, ROPE_LINEAR, ROPE_DYNAMIC, ROPE_YARN };

struct rope {
    double theta;
    enum rope_scaling scaling;
    double factor, low_freq, high_freq, original_positions;                /* 0: not given, as below */
    double attention_factor, beta_fast, beta_slow, mscale, mscale_all_dim; /* YARN */
    bool exact_bounds; /* YARN: the ramp's ends are not rounded to whole frequencies (truncate: false) */
};

#endif
