/* Ready batches from a safetensors file (definitions D11), for references and comparisons, in file order. The
 * file has one of two pairs of tensors, or both: train.tokens [steps, batch, S+1], of which the last in each
 * row is no input, and train.targets [steps, batch, S]; tokens [B, S] and targets [B, S], which are one step.
 * A target of -100 is not counted. documents or train.documents, shaped as the targets, has the number of
 * each token's document. Not collective. */
#ifndef DATA_BATCH_FILE_H
#define DATA_BATCH_FILE_H
#include "format/safetensors.h"

struct batch_file {
    struct st_file file;
    int tokens, targets;   /* indices of the two tensors */
    int documents;         /* index; -1: not wanted */
    int64_t steps, batch;  /* samples = steps * batch */
    int64_t sequence, row; /* S; tokens in a row of `tokens`: S or S + 1 */
    int64_t *line;         /* [row] for one row of the file */
};

/** Open the pair of tensors whose S is `sequence`; if both have it, train's. documents: their documents are
 * wanted. E_DATA. */
status batch_file_open(struct batch_file *, const char *path, int64_t sequence, bool documents) MUST_USE;
void batch_file_close(struct batch_file *);
/** The ids and targets [S] of a sample; target -1 is not counted. E_DATA: it lies beyond the end, or an id
 * outside [0, vocab). */
status batch_file_sample(struct batch_file *, int64_t sample, int64_t vocab, int32_t *ids,
                         int32_t *targets) MUST_USE;
/** begins [S]: where in the sample each token's document begins. The file was opened with documents. */
status batch_file_begins(struct batch_file *, int64_t sample, int32_t *begins) MUST_USE;
/** Would batch_file_sample take the samples of one part of `parts`? Looks at them in an order that spreads
 * over the file, until all are seen or `seconds` have passed, but at least at one. *looked += tokens seen.
 * E_DATA; also if the only part counts no target at all. */
status batch_file_check(struct batch_file *, int64_t vocab, int part, int parts, double seconds,
                        int64_t *looked) MUST_USE;
/** The number of counted targets in samples [first, first+n). */
status batch_file_counted(struct batch_file *, int64_t first, int64_t n, int64_t *counted) MUST_USE;

#endif
