/* Ready batches from a safetensors file (definitions D11), for references and comparisons: rows in
 * file order. Two pairs of tensors are known:
 *   train.tokens [steps, batch, S+1] (input = all but the last), train.targets [steps, batch, S];
 *   tokens [B, S], targets [B, S], which is one step.
 * Targets of -100 are not counted. Not collective. */
#ifndef DATA_BATCH_FILE_H
#define DATA_BATCH_FILE_H
#include "format/safetensors.h"

struct batch_file {
    struct st_file file;
    int tokens, targets;   /* tensors */
    int64_t steps, batch;  /* samples = steps * batch */
    int64_t sequence, row; /* S; tokens in a row of `tokens`: S or S + 1 */
    int64_t *line;         /* [row] one row as it is read */
};

/** The pair of tensors whose S is `sequence` (train's, if both are). E_DATA. */
status batch_file_open(struct batch_file *, const char *path, int64_t sequence) MUST_USE;
void batch_file_close(struct batch_file *);
/** Sample's ids and targets [S]; -1 = not counted. E_DATA: beyond the end, ids outside [0, vocab). */
status batch_file_sample(struct batch_file *, int64_t sample, int64_t vocab, int32_t *ids,
                         int32_t *targets) MUST_USE;
/** Are the ids and targets of one part of `parts` of the samples what batch_file_sample takes? In an order
 * that spreads them, until all are seen or `seconds` have passed (at least one); *looked += tokens seen.
 * E_DATA; also if a part that is the whole counts no target at all. */
status batch_file_check(struct batch_file *, int64_t vocab, int part, int parts, double seconds,
                        int64_t *looked) MUST_USE;
/** Counted targets of samples [first, first+n). */
status batch_file_counted(struct batch_file *, int64_t first, int64_t n, int64_t *counted) MUST_USE;

#endif
