/* The tokens of one global batch: those of this rank's micro-batches. Local; the caller agrees. */
#ifndef TRAIN_BATCH_H
#define TRAIN_BATCH_H
#include "data/data.h"
#include "layout/layout.h"
#include "model/net.h"

/* This rank's micro-batches of one global batch: block(M, DP, d) of them. */
struct batch {
    int64_t micros, rounds;  /* M, ceil(M/DP) */
    struct range mine;       /* my micro-batches */
    int64_t micro, sequence; /* m, S */
    int64_t first;           /* number of its first sample */
    int64_t counted;         /* C of the global batch */
    int32_t *ids, *targets;  /* [mine.n, m*S] */
};

void batch_open(struct batch *, const struct layout *, int rank, int64_t sequences, int64_t micro,
                int64_t sequence);
/** The next step takes so many sequences: a multiple of micro, at most as many as batch_open had. */
void batch_size(struct batch *, const struct layout *, int rank, int64_t sequences);
void batch_close(struct batch *);
/** Local: fetch samples [first, first+B) of the global batch that are mine, and count all targets. */
status batch_fetch(struct batch *, struct data *, int64_t first) MUST_USE;
/** Micro-batch of round r; a rank without one gets zero tokens. */
struct micro_batch batch_round(const struct batch *, int64_t round);

#endif
