/* Text to token ids and back, as Hugging Face's tokenizers do it: a tokenizer.json whose model is BPE. What
 * the file asks for and is not known here is refused by name when it is opened. A tokenizer does not change
 * after that and may be shared by threads; each has an encoder of its own. Not collective. Left alone:
 * truncation and padding of the file. */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"
#include "text/buffer.h"

struct tokenizer;
struct encoder;

/** `path` is a tokenizer.json or the folder of a model that has one. E_DATA, E_IO: "FILE: ...". */
status tokenizer_open(struct tokenizer **, const char *path) MUST_USE;
void tokenizer_close(struct tokenizer *);
/** The file that was read. */
const char *tokenizer_path(const struct tokenizer *);
/** xxHash (XXH3, 64 bits) of the file. */
uint64_t tokenizer_digest(const struct tokenizer *);
/** The same of any tokenizer.json, which is not opened. E_DATA, E_IO. */
status tokenizer_file_digest(const char *path, uint64_t *digest) MUST_USE;
/** Largest id + 1. */
int64_t tokenizer_vocabulary(const struct tokenizer *);
/** The id of a token's exact text, -1: there is none. */
int32_t tokenizer_id(const struct tokenizer *, const char *token);
/** The text of a token for messages ("" if no token has this id). Owned by the caller. */
char *tokenizer_token(const struct tokenizer *, int64_t id);
/** Begin of text and end of text, -1: unknown. They stand in tokenizer_config.json or config.json beside the
 *  file; else they are known by their usual names. */
int32_t tokenizer_bos(const struct tokenizer *);
int32_t tokenizer_eos(const struct tokenizer *);

/** What one thread needs to encode and decode. */
struct encoder *encoder_open(const struct tokenizer *);
void encoder_close(struct encoder *);
/** Append the ids of a text. `special`: with the tokens that the post_processor puts around it (bos, eos).
 *  Names of special tokens in the text become these tokens. E_DATA: not UTF-8, with the byte. */
status encode(struct encoder *, const char *text, int64_t n, bool special, struct ids *out) MUST_USE;
/** Append the text of n ids; skip: without special tokens. Tokens that are parts of characters give their
 * bytes as they are. E_DATA: an id that no token has. */
status decode(struct encoder *, const int32_t *id, int64_t n, bool skip, struct bytes *out) MUST_USE;
/** Characters that no token says; they were left out, as Hugging Face does. */
int64_t encoder_left_out(const struct encoder *);

#endif
