/* Byte pair encoding: which pairs of tokens are merged in which order, and one word split into tokens. The
 * result is that of Hugging Face's tokenizers: of all pairs in the word the one of lowest rank is merged
 * first, the leftmost of equal ones. Not collective. */
#ifndef TEXT_BPE_H
#define TEXT_BPE_H
#include "text/buffer.h"
#include "text/vocab.h"

struct bpe {
    struct merge {
        int32_t left, right, rank, id; /* left = -1: empty */
    } * merge;                         /* [slots] by hash of the pair */
    int64_t slots;
    bool bytes;                     /* characters are bytes (ByteLevel): byte[] are their tokens */
    bool byte_fallback;             /* a character without a token is <0xNN> of its bytes: byte[] */
    bool fuse_unknown, whole_words; /* whole_words: a word that is a token is not split (ignore_merges) */
    int32_t byte[256];              /* -1: there is none */
    int32_t unknown;                /* -1: there is none, the character is left out */
    const struct vocab *vocab;
};

/** An empty table for n merges. */
void bpe_room(struct bpe *, int64_t n);
/** A pair that is there already gets the new rank. */
void bpe_add(struct bpe *, int32_t left, int32_t right, int32_t rank, int32_t id);
void bpe_free(struct bpe *);

/** What one thread works with: the words that it met last and their tokens, room for one word. */
struct bpe_work;
struct bpe_work *bpe_work_open(const struct bpe *);
void bpe_work_close(struct bpe_work *);
/** Append the tokens of a word. With .bytes the word is bytes, else UTF-8. */
void bpe_word(struct bpe_work *, const char *word, int64_t n, struct ids *out);
/** Characters that had no token and were left out so far. */
int64_t bpe_left_out(const struct bpe_work *);

/** The character by which ByteLevel writes a byte; the byte of such a character, -1 for others. */
int32_t bpe_character_of(unsigned char byte);
int bpe_byte_of(int32_t character);

#endif
