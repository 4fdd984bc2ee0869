/* This rank's tokens of a global batch. Local but for batch_fetch. */
#ifndef TRAIN_BATCH_H
#define TRAIN_BATCH_H
#include "comm/comm.h"
#include "data/data.h"
#include "layout/layout.h"
#include "model/net.h"

/* This rank's micro-batches of a global batch: block(M, DP, d). */
struct batch {
    int64_t micros, rounds;  /* M, ceil(M/DP) */
    struct range mine;       /* this rank's micro-batches */
    int64_t micro, sequence; /* m, S */
    int64_t sample;          /* number of its first sample */
    int64_t counted;         /* C of the global batch */
    int64_t real;            /* tokens of the global batch that are no padding */
    int64_t room;            /* tokens that there is room for */
    bool counts;             /* is it the first of the ranks with these micro-batches? */
    int32_t *ids, *targets;  /* [mine.n, m*S] */
    int32_t *begins;         /* the same; NULL unless batch_mask was called */
};

void batch_open(struct batch *, const struct layout *, int rank, int64_t sequences, int64_t micro,
                int64_t sequence);
/** Set the number of sequences of the next step: a multiple of micro, at most as many as batch_open had. */
void batch_size(struct batch *, const struct layout *, int rank, int64_t sequences);
/** Make room for `begins`, if the data have them. */
void batch_mask(struct batch *, const struct data *);
void batch_close(struct batch *);
/** Fetch this rank's part of samples [first, first+B), and count the targets of all of them. COLLECTIVE over
 * the world; ranks agree. */
status batch_fetch(struct batch *, struct comm *, struct data *, int64_t first) MUST_USE;
/** The micro-batch of a round; a rank without one gets zero tokens. */
struct micro_batch batch_round(const struct batch *, int64_t round);

#endif
