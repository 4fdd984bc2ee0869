/* This rank's tokens of a global batch. Local; the caller agrees. */
#ifndef TRAIN_BATCH_H
#define TRAIN_BATCH_H
#include "data/data.h"
#include "layout/layout.h"
#include "model/net.h"

/* This rank's micro-batches of a global batch: block(M, DP, d). */
struct batch {
    int64_t micros, rounds;  /* M, ceil(M/DP) */
    struct range mine;       /* this rank's micro-batches */
    int64_t micro, sequence; /* m, S */
    int64_t first;           /* number of its first sample */
    int64_t counted;         /* C of the global batch */
    int32_t *ids, *targets;  /* [mine.n, m*S] */
};

void batch_open(struct batch *, const struct layout *, int rank, int64_t sequences, int64_t micro,
                int64_t sequence);
/** Set the number of sequences of the next step: a multiple of micro, at most as many as batch_open had. */
void batch_size(struct batch *, const struct layout *, int rank, int64_t sequences);
void batch_close(struct batch *);
/** Fetch this rank's part of samples [first, first+B), and count the targets of all of them. */
status batch_fetch(struct batch *, struct data *, int64_t first) MUST_USE;
/** The micro-batch of a round; a rank without one gets zero tokens. */
struct micro_batch batch_round(const struct batch *, int64_t round);

#endif
