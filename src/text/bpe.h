/* Byte pair encoding: the table of merges, and splitting one word into tokens. The result is that of Hugging
 * Face's tokenizers: of all pairs in the word the one of lowest rank is merged first; of equal ones, the
 * leftmost. Not collective. */
#ifndef TEXT_BPE_H
#define TEXT_BPE_H
#include "text/buffer.h"
#include "text/vocab.h"

struct bpe {
    struct merge {
        int32_t left, right, rank, id; /* left = -1: free */
    } * merge;                         /* [slots], by the hash of the pair */
    int64_t slots;
    bool bytes;                     /* the symbols of a word are bytes (ByteLevel), with the tokens byte[] */
    bool byte_fallback;             /* a character without a token becomes the tokens byte[] of its bytes */
    bool fuse_unknown, whole_words; /* whole_words: a word that is a token is not split (ignore_merges) */
    int32_t byte[256];              /* tokens of bytes; -1: none */
    int32_t unknown;                /* the token of unknown characters; -1: none, so they are left out */
    const struct vocab *vocab;
};

/** Make room for n merges. */
void bpe_room(struct bpe *, int64_t n);
/** Add a merge. If the pair is already there, it gets the new rank. */
void bpe_add(struct bpe *, int32_t left, int32_t right, int32_t rank, int32_t id);
void bpe_free(struct bpe *);

/** What one thread needs: a cache of the words that it met, and room for one word. */
struct bpe_work;
struct bpe_work *bpe_work_open(const struct bpe *);
void bpe_work_close(struct bpe_work *);
/** Append the tokens of a word, which is UTF-8, or any bytes if `bytes` is set. */
void bpe_word(struct bpe_work *, const char *word, int64_t n, struct ids *out);
/** How many characters without a token were left out so far. */
int64_t bpe_left_out(const struct bpe_work *);

/** The character by which ByteLevel writes a byte; and the byte of such a character, -1 for other characters.
 */
int32_t bpe_character_of(unsigned char byte);
int bpe_byte_of(int32_t character);

#endif
