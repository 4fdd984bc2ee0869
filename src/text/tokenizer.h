/* Text to token ids and back by a tokenizer.json whose model is BPE, with the ids of Hugging Face's
 * tokenizers. If the file asks for something that is not known here, opening it fails and names that. Its
 * truncation and padding have no effect. Threads may share a tokenizer, because it does not change; each
 * needs an encoder of its own. Not collective.
 */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"
#include "text/buffer.h"

struct tokenizer;
struct encoder;

/** `path` is a tokenizer.json or a folder that has one. E_DATA, E_IO: "FILE: ...". */
status tokenizer_open(struct tokenizer **, const char *path) MUST_USE;
void tokenizer_close(struct tokenizer *);
/** The file that was read. */
const char *tokenizer_path(const struct tokenizer *);
/** xxHash (XXH3, 64 bits) of the file. */
uint64_t tokenizer_digest(const struct tokenizer *);
/** The same for a file, without opening it as a tokenizer. E_DATA, E_IO. */
status tokenizer_file_digest(const char *path, uint64_t *digest) MUST_USE;
/** Largest id + 1. */
int64_t tokenizer_vocabulary(const struct tokenizer *);
/** The id of the token with exactly this text; -1 if there is none. */
int32_t tokenizer_id(const struct tokenizer *, const char *token);
/** The text of a token for messages; "" if no token has this id. Caller frees. */
char *tokenizer_token(const struct tokenizer *, int64_t id);
/** The tokens that begin and end a text; -1 if unknown. They are found in tokenizer_config.json or
 * config.json beside the file, else by their usual names. */
int32_t tokenizer_bos(const struct tokenizer *);
int32_t tokenizer_eos(const struct tokenizer *);

/** What one thread needs to encode and to decode. */
struct encoder *encoder_open(const struct tokenizer *);
void encoder_close(struct encoder *);
/** Append the ids of a text. special: add the tokens that the post_processor puts around it (bos, eos). Names
 * of special tokens in the text become these tokens. E_DATA, with the byte, if the text is not UTF-8. */
status encode(struct encoder *, const char *text, int64_t n, bool special, struct ids *out) MUST_USE;
/** Append the text of n ids. skip: leave special tokens out. A token that is part of a character gives its
 * bytes. E_DATA: an id that no token has. */
status decode(struct encoder *, const int32_t *id, int64_t n, bool skip, struct bytes *out) MUST_USE;
/** How many characters without a token were left out, as Hugging Face does it. */
int64_t encoder_left_out(const struct encoder *);

#endif
