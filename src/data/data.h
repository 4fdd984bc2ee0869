/* Which tokens a step sees (definitions D11): windows of S+1 tokens of the concatenated documents, in an
 * order that is drawn anew for each epoch, from several sets by Megatron's rule; or batches from a
 * safetensors file. A sample depends on the seed and on its number in the run alone, so a changed batch size
 * repeats nothing. Documents and padding come along where the deck asks for them. Local: every rank may fetch
 * any sample; the caller agrees. One thread at a time. */
#ifndef DATA_DATA_H
#define DATA_DATA_H
#include "base/status.h"
#include "deck/deck.h"

struct data;

/* Where the numbers of a sample or window go: [S] each. A target of -1 is not counted. begins (NULL: not
 * wanted): where in the sequence a token's document begins, -1: it is padding (data.pad_id). */
struct sample {
    int32_t *ids, *targets, *begins;
};

/** Open the training sets, or the batches, and the validation sets. Ids must be below vocab. E_DATA: "FILE:
 * ...", also if a set has fewer than sequence + 1 tokens. On failure there is nothing to close. */
status data_open(struct data **, const struct data_section *, uint64_t seed, int64_t vocab) MUST_USE;
/** Are the ids inside the vocabulary? Looks at one part of `parts` of all files, for about `seconds` in all,
 * as tokens_check and batch_file_check do. *looked: tokens seen, of data_tokens. Each rank looks at a part of
 * its own; the caller agrees and adds up. E_DATA: file, document, id. */
status data_check(struct data *, int part, int parts, double seconds, int64_t *looked) MUST_USE;
int64_t data_tokens(const struct data *); /* of all files, those for validation too */
void data_close(struct data *);
int64_t data_train_tokens(const struct data *); /* of all sets; of the file for batches */
/** How often `tokens` tokens of training go through a set; of several sets, the largest number. */
double data_epochs(const struct data *, double tokens);
/** Steps that a batches file holds; -1 for token sets, which never end. */
int64_t data_file_steps(const struct data *);
/** Sequences of a step of a batches file, and their length; 0 for token sets. */
void data_file_shape(const struct data *, int64_t *sequences, int64_t *sequence);
/** Have samples `begins` (data.document_mask, data.pad_id)? */
bool data_has_begins(const struct data *);
/** Is there padding? Then only the tokens say how many targets are counted. */
bool data_has_padding(const struct data *);
/** One training sample. E_DATA beyond the end of a batches file. */
status data_sample(struct data *, int64_t sample, struct sample to) MUST_USE;
/** The number of counted targets in samples [first, first+n), without padding; n*S for token sets. */
status data_counted(struct data *, int64_t first, int64_t n, int64_t *counted) MUST_USE;
/** The set that a sample comes from, and its window there. For a batches file, set 0 and the sample itself.
 */
void data_locate(struct data *, int64_t sample, int *set, int64_t *window);

int data_valid_sets(const struct data *);
const char *data_valid_name(const struct data *, int set);
/** Windows of a validation set for so many tokens: floor(tokens/S), but at least 1 and at most all. Set -1 as
 * in data_window. */
int64_t data_valid_windows(const struct data *, int set, int64_t tokens);
/** A window of a validation set, in file order. Set -1 is the first training set, for the certificate. */
status data_window(struct data *, int set, int64_t window, struct sample to) MUST_USE;
/** What the order of samples depends on, for checkpoints: a line for each file ("train PATH: ..." or "valid
 * PATH: ...") with its sizes and digests. E_IO, E_DATA. Caller frees *text. */
status data_identity(const struct data *, char **text) MUST_USE;
/** A line about the data for the start of a run. Caller frees. */
char *data_about(const struct data *);

#endif
