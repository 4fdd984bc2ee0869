#include "text/bpe.h"

#include <stdlib.h>
#include <xxhash.h>
#include "text/utf8.h"

/* ---- ByteLevel's characters ---- */

static bool is_itself(int c)
{
    return (c >= '!' && c <= '~') || (c >= 0xa1 && c <= 0xac) || c >= 0xae;
}

/* Bytes without a printable character get the characters from U+0100 on, in order. */
int32_t bpe_character_of(unsigned char byte)
{
    int others = 0;
    for (int c = 0; c < byte; c++)
        others += !is_itself(c);
    return is_itself(byte) ? byte : 0x100 + others;
}

int bpe_byte_of(int32_t character)
{
    if (character < 0x100)
        return is_itself(character) ? character : -1;
    int others = character - 0x100;
    for (int c = 0; c < 0x100; c++)
        if (!is_itself(c) && others-- == 0)
            return c;
    return -1;
}

/* ---- the table of merges ---- */

static int64_t slot_of(const struct bpe *b, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    key = (key ^ key >> 29) * 0x9e3779b97f4a7c15u;
    int64_t i = (int64_t)(key >> 20) & (b->slots - 1);
    while (b->merge[i].left >= 0 && (b->merge[i].left != left || b->merge[i].right != right))
        i = (i + 1) & (b->slots - 1);
    return i;
}

void bpe_room(struct bpe *b, int64_t n)
{
    b->slots = 16;
    while (b->slots < 2 * n)
        b->slots *= 2;
    b->merge = mem_new(b->slots, sizeof *b->merge);
    for (int64_t i = 0; i < b->slots; i++)
        b->merge[i].left = -1;
}

void bpe_add(struct bpe *b, int32_t left, int32_t right, int32_t rank, int32_t id)
{
    b->merge[slot_of(b, left, right)] = (struct merge){left, right, rank, id};
}

void bpe_free(struct bpe *b)
{
    free(b->merge);
}

/* ---- one word ---- */

struct symbol {
    int32_t id;
    int32_t before, after; /* the neighbours; -1: none */
    bool gone;             /* it was merged into the one before */
};

/* A merge that was possible when it was found; a later merge may have taken one of its symbols. */
struct candidate {
    int32_t rank, at, id;
};

enum { WORDS = 1 << 14, WORD_BYTES = 40, WORD_TOKENS = 8 };

struct bpe_work {
    const struct bpe *bpe;
    struct symbol *symbol;
    struct candidate *heap;
    int64_t n, room, heaped, heap_room, left_out;
    struct known {
        char text[WORD_BYTES];
        uint8_t bytes, tokens; /* bytes = 0: free */
        int32_t id[WORD_TOKENS];
    } * known; /* [WORDS], each at its hash */
};

struct bpe_work *bpe_work_open(const struct bpe *b)
{
    struct bpe_work *w = mem_new(1, sizeof *w);
    w->bpe = b;
    w->known = mem_new(WORDS, sizeof *w->known);
    return w;
}

void bpe_work_close(struct bpe_work *w)
{
    if (!w)
        return;
    free(w->symbol);
    free(w->heap);
    free(w->known);
    free(w);
}

int64_t bpe_left_out(const struct bpe_work *w)
{
    return w->left_out;
}

static bool sooner(const struct candidate *a, const struct candidate *b)
{
    return a->rank < b->rank || (a->rank == b->rank && a->at < b->at);
}

static void push(struct bpe_work *w, struct candidate c)
{
    if (w->heaped == w->heap_room) {
        w->heap_room = 2 * w->heap_room + 64;
        w->heap = mem_grow(w->heap, w->heap_room, sizeof *w->heap);
    }
    int64_t i = w->heaped++;
    for (; i > 0 && sooner(&c, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = c;
}

static struct candidate pop(struct bpe_work *w)
{
    struct candidate first = w->heap[0], c = w->heap[--w->heaped];
    int64_t i = 0;
    for (int64_t child = 1; child < w->heaped; child = 2 * i + 1) {
        child += child + 1 < w->heaped && sooner(&w->heap[child + 1], &w->heap[child]);
        if (!sooner(&w->heap[child], &c))
            break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = c;
    return first;
}

/* The merge of symbol `at` with the one behind it; NULL if there is none. */
static const struct merge *merge_at(const struct bpe_work *w, int32_t at)
{
    const struct symbol *s = &w->symbol[at];
    if (s->gone || s->after < 0)
        return NULL;
    const struct merge *m = &w->bpe->merge[slot_of(w->bpe, s->id, w->symbol[s->after].id)];
    return m->left >= 0 ? m : NULL;
}

static void consider(struct bpe_work *w, int32_t at)
{
    const struct merge *m = at >= 0 ? merge_at(w, at) : NULL;
    if (m)
        push(w, (struct candidate){m->rank, at, m->id});
}

static void merge_all(struct bpe_work *w)
{
    w->heaped = 0;
    for (int64_t i = 0; i < w->n; i++)
        consider(w, (int32_t)i);
    while (w->heaped) {
        struct candidate c = pop(w);
        const struct merge *m = merge_at(w, c.at);
        if (!m || m->id != c.id)
            continue; /* one of the two symbols has been merged with another one */
        struct symbol *s = &w->symbol[c.at], *next = &w->symbol[s->after];
        s->id = c.id;
        s->after = next->after;
        next->gone = true;
        if (s->after >= 0)
            w->symbol[s->after].before = c.at;
        consider(w, s->before);
        consider(w, c.at);
    }
}

/* ---- the characters of a word ---- */

static void add_symbol(struct bpe_work *w, int32_t id)
{
    if (w->n == w->room) {
        w->room = 2 * w->room + 64;
        w->symbol = mem_grow(w->symbol, w->room, sizeof *w->symbol);
    }
    int32_t at = (int32_t)w->n++;
    w->symbol[at] = (struct symbol){.id = id, .before = at - 1, .after = -1};
    if (at > 0)
        w->symbol[at - 1].after = at;
}

/* The model's token with this text; -1 if there is none. */
static int32_t model_token(const struct bpe *b, const char *text, int64_t n)
{
    int32_t id = vocab_find(b->vocab, text, n);
    return id >= 0 && !b->vocab->token[id].added ? id : -1;
}

/* Add the tokens of a character's bytes. False if one of them has none. */
static bool add_bytes(struct bpe_work *w, const char *text, int n)
{
    for (int i = 0; i < n; i++)
        if (w->bpe->byte[(unsigned char)text[i]] < 0)
            return false;
    for (int i = 0; i < n; i++)
        add_symbol(w, w->bpe->byte[(unsigned char)text[i]]);
    return true;
}

static void add_characters(struct bpe_work *w, const char *word, int64_t n)
{
    const struct bpe *b = w->bpe;
    bool pending = false; /* an unknown token was met, and the next ones may be fused with it */
    w->n = 0;
    for (int64_t at = 0; at < n;) {
        int length = b->bytes ? 1 : utf8_length(word[at]);
        int32_t id = b->bytes ? b->byte[(unsigned char)word[at]] : model_token(b, word + at, length);
        if (id >= 0) {
            if (pending)
                add_symbol(w, b->unknown);
            pending = false;
            add_symbol(w, id);
        } else if (b->bytes || !b->byte_fallback || !add_bytes(w, word + at, length)) {
            if (pending && !b->fuse_unknown)
                add_symbol(w, b->unknown);
            pending = b->unknown >= 0;
            w->left_out += b->unknown < 0;
        }
        at += length;
    }
    if (pending)
        add_symbol(w, b->unknown);
}

/* ---- the cache of words ---- */

static struct known *known_of(struct bpe_work *w, const char *word, int64_t n)
{
    return n <= WORD_BYTES ? &w->known[XXH3_64bits(word, (size_t)n) & (WORDS - 1)] : NULL;
}

static void remember(struct known *k, const char *word, int64_t n, const int32_t *id, int64_t tokens)
{
    if (!k || tokens > WORD_TOKENS)
        return;
    memcpy(k->text, word, (size_t)n);
    memcpy(k->id, id, (size_t)tokens * sizeof *id);
    k->bytes = (uint8_t)n;
    k->tokens = (uint8_t)tokens;
}

/* The token that is the whole word; -1 if there is none. */
static int32_t whole(const struct bpe *b, const char *word, int64_t n)
{
    struct bytes text = {0};
    if (!b->bytes)
        return model_token(b, word, n);
    for (int64_t i = 0; i < n; i++) {
        char c[4] = {0};
        bytes_add(&text, c, utf8_put(c, bpe_character_of((unsigned char)word[i])));
    }
    int32_t id = model_token(b, text.at, text.n);
    free(text.at);
    return id;
}

void bpe_word(struct bpe_work *w, const char *word, int64_t n, struct ids *out)
{
    struct known *k = known_of(w, word, n);
    int64_t left_out = w->left_out, from = out->n;
    if (k && k->bytes == n && !memcmp(k->text, word, (size_t)n)) {
        ids_add(out, k->id, k->tokens);
        return;
    }
    int32_t id = w->bpe->whole_words ? whole(w->bpe, word, n) : -1;
    if (id >= 0) {
        ids_add(out, &id, 1);
    } else {
        add_characters(w, word, n);
        merge_all(w);
        for (int64_t i = 0; i < w->n; i = w->symbol[i].after < 0 ? w->n : w->symbol[i].after)
            ids_add(out, &w->symbol[i].id, 1);
    }
    if (w->left_out == left_out)
        remember(k, word, n, out->at + from, out->n - from);
}
