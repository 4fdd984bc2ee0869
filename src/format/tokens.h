/* Megatron's token files .bin and .idx (MMIDIDX version 1). The index is held in memory; tokens are read from
 * disk when they are needed. Not collective. */
#ifndef FORMAT_TOKENS_H
#define FORMAT_TOKENS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

struct tokens {
    char *path; /* the prefix, for messages */
    int fd;     /* of the .bin file */
    int type; /* the code in the .idx file: 1 u8, 2 i8, 3 i16, 4 i32, 5 i64, 8 u16; in forks 9 u32, 10 u64 */
    int64_t documents, total; /* the number of documents, and of tokens in all of them */
    int64_t sequences;
    int64_t *start;    /* [sequences + 1] running token count */
    int64_t *pointer;  /* [sequences] byte offset in .bin */
    int64_t *document; /* [documents + 1] first sequence of each document */
};

/** Open and check a token set. `prefix` may end in .bin or .idx. E_DATA: "FILE: ...". */
status tokens_open(struct tokens *, const char *prefix) MUST_USE;
void tokens_close(struct tokens *);
/** Tokens [from, from+n) of the concatenation of all documents. E_DATA with file, document and id if an id
 * lies outside [0, vocab). */
status tokens_read(const struct tokens *, int64_t from, int64_t n, int64_t vocab, int32_t *out) MUST_USE;
/** The same without a check of the ids; u64 above INT64_MAX become negative. */
status tokens_read_raw(const struct tokens *, int64_t from, int64_t n, int64_t *out) MUST_USE;
/** begins[i]: where the document of token from + i begins, counted from `from`, but at least 0. */
void tokens_begins(const struct tokens *, int64_t from, int64_t n, int32_t *begins);
/** Are the ids inside [0, vocab)? Looks at the blocks of one part of `parts`, in an order that spreads over
 * the set, until all are seen or `seconds` have passed, but at least at one. *looked += tokens seen. E_DATA.
 * (tokens_read checks every token that is used.) */
status tokens_check(const struct tokens *, int64_t vocab, int part, int parts, double seconds,
                    int64_t *looked) MUST_USE;
/** What a data set holds, for people. */
struct tokens_survey {
    int64_t shortest, median, longest, empty; /* lengths of documents in tokens; documents without tokens */
    int64_t looked;                           /* tokens whose ids were looked at */
    int64_t least, largest;                   /* ids among these, as tokens_read_raw gives them */
    int n;                                    /* number of ids in first[] */
    int64_t first[16];
};
/** Looks at ids as tokens_check does. E_DATA, E_IO. */
status tokens_survey(const struct tokens *, double seconds, struct tokens_survey *) MUST_USE;
/** A raw id in digits; returns out. */
char *tokens_id_text(const struct tokens *, int64_t id, char out[24]);
bool tokens_id_less(const struct tokens *, int64_t a, int64_t b);
/** "u16" */
const char *tokens_type_name(const struct tokens *);
/** What identifies a data set: the size of .bin, a digest of the whole index, and a digest of blocks of .bin.
 * E_IO, E_DATA. */
status tokens_identity(const struct tokens *, int64_t *bytes, uint64_t *index, uint64_t *blocks) MUST_USE;
/** Write a data set with a document for each element of lengths[], of type 1 (u8), 8 (u16) or 4 (i32). An id
 * that the type cannot hold is a bug(). First .bin, then .idx; each is complete or absent. */
status tokens_write(const char *prefix, int type, const int32_t *ids, const int64_t *lengths,
                    int64_t documents) MUST_USE;

/** The same, document by document. tokens_finish and tokens_abandon end the draft. E_SPACE; E_DATA for a
 * document of 2^31 tokens or more. */
struct tokens_draft;
status tokens_begin(struct tokens_draft **, const char *prefix, int type) MUST_USE;
status tokens_add(struct tokens_draft *, const int32_t *ids, int64_t n) MUST_USE;
status tokens_finish(struct tokens_draft *) MUST_USE;
void tokens_abandon(struct tokens_draft *);
/** The path without .bin or .idx at its end. Caller frees. */
char *tokens_prefix(const char *path);

#endif
