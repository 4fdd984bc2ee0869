/* Which tokens a step sees (definitions D11): windows of S+1 tokens of the concatenated documents,
 * one keyed permutation per epoch, blending by Megatron's rule; or batches from a safetensors file.
 * sample = f(seed, samples consumed so far + position), so a changed batch size repeats nothing.
 * Local: every rank may fetch any sample; the caller agrees. One thread at a time. */
#ifndef DATA_DATA_H
#define DATA_DATA_H
#include "base/status.h"
#include "deck/deck.h"

struct data;

/** Open train (or batches) and valid sets. vocab bounds the ids. A batches file may hold several
 *  sequence lengths (train.tokens, tokens): the one that is data.sequence is read. E_DATA: "FILE: ...",
 *  also if a set has fewer than sequence + 1 tokens. On failure there is nothing to close. */
status data_open(struct data **, const struct data_section *, uint64_t seed, int64_t vocab) MUST_USE;
/** Are the ids inside the vocabulary? Looks at one part of `parts` of all files, for about `seconds` in all,
 * as tokens_check and batch_file_check do; *looked: tokens seen, of the data_tokens there are. Local: the
 * parts are of ranks, who agree and add up. E_DATA: file, document, id. */
status data_check(struct data *, int part, int parts, double seconds, int64_t *looked) MUST_USE;
int64_t data_tokens(const struct data *); /* of all files, validation too */
void data_close(struct data *);
int64_t data_train_tokens(const struct data *); /* of all sets; of the file for batches */
/** How often `tokens` tokens of training go through a set: the most, of several sets. */
double data_epochs(const struct data *, double tokens);
/** Steps that a batches file holds; -1 for token sets (endless). And its [batch, sequence] (0 for sets). */
int64_t data_file_steps(const struct data *);
void data_file_shape(const struct data *, int64_t *sequences, int64_t *sequence);
/** One training sample: ids and targets [S]; target -1 = not counted. Token sets count all. Beyond
 *  the end of a batches file: E_DATA. */
status data_sample(struct data *, int64_t sample, int32_t *ids, int32_t *targets) MUST_USE;
/** Counted targets of samples [first, first+n): n*S for token sets. */
status data_counted(struct data *, int64_t first, int64_t n, int64_t *counted) MUST_USE;
/** Which set a sample comes from and its window there (for tests and events). Of a batches file: set
 *  0 and the sample itself. */
void data_locate(struct data *, int64_t sample, int *set, int64_t *window);

int data_valid_sets(const struct data *);
const char *data_valid_name(const struct data *, int set);
/** floor(tokens/S), at least 1, at most what is there; set -1 as in data_window. */
int64_t data_valid_windows(const struct data *, int set, int64_t tokens);
/** Window of a validation set in file order; set -1 = the first training set (certificate). */
status data_window(struct data *, int set, int64_t window, int32_t *ids, int32_t *targets) MUST_USE;
/** What the order of samples depends on, to be kept in checkpoints: a line a file ("train PATH: ..." or
 * "valid PATH: ...") with its sizes and digests. E_IO, E_DATA. *text is the caller's. */
status data_identity(const struct data *, char **text) MUST_USE;
/** A line for the start of a run, caller frees. */
char *data_about(const struct data *);

#endif
