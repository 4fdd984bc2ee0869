#include "text/tokenizer.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <xxhash.h>
#include "base/file.h"
#include "base/io.h"
#include "text/inside.h"
#include "text/utf8.h"

enum { FILE_BYTES = 256 << 20 };

/* ---- opening ---- */

static char *file_of(const char *path)
{
    struct stat about;
    bool folder = io_stat(path, &about) == 0 && S_ISDIR(about.st_mode);
    return folder ? mem_format("%s/tokenizer.json", path) : mem_text(path);
}

static status parse(struct tokenizer *t, const char *text, int64_t size)
{
    json_t *root = NULL;
    TRY(json_parse(&root, t->path, text, size));
    status s = tokenizer_read(t, root);
    json_decref(root);
    return s;
}

static status load(struct tokenizer *t)
{
    char *text = NULL;
    int64_t size = 0;
    TRY(file_load(t->path, FILE_BYTES, &text, &size));
    t->digest = XXH3_64bits(text, (size_t)size);
    status s = parse(t, text, size);
    free(text);
    return s;
}

/* E_DATA for a folder without tokenizer.json. If it has another form of tokenizer, the message says what to
 * do. */
static status explain_missing(const char *folder, const char *file)
{
    static const char *const others[] = {"tokenizer.model", "vocab.json", "tiktoken.model", "spiece.model"};
    for (size_t i = 0; !io_exists(file) && i < sizeof others / sizeof *others; i++) {
        char *path = mem_format("%s/%s", folder, others[i]);
        bool there = io_exists(path);
        free(path);
        if (there)
            return fail(E_DATA,
                        "%s: it has %s but no tokenizer.json, which is the form that is read; transformers "
                        "writes it: "
                        "AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)",
                        folder, others[i]);
    }
    return OK;
}

status tokenizer_open(struct tokenizer **out, const char *path)
{
    struct tokenizer *t = mem_new(1, sizeof *t);
    t->path = file_of(path);
    t->bos = t->eos = t->bpe.unknown = -1;
    status s = explain_missing(path, t->path);
    if (s == OK)
        s = load(t);
    if (s == OK) {
        tokenizer_find_specials(t);
        *out = t;
    } else {
        tokenizer_close(t);
    }
    return s;
}

status tokenizer_file_digest(const char *path, uint64_t *digest)
{
    char *text = NULL;
    int64_t size = 0;
    TRY(file_load(path, FILE_BYTES, &text, &size));
    *digest = XXH3_64bits(text, (size_t)size);
    free(text);
    return OK;
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t)
        return;
    free(t->path);
    vocab_free(&t->vocab);
    bpe_free(&t->bpe);
    added_free(&t->plain);
    added_free(&t->normalized);
    steps_free(&t->normalizer);
    steps_free(&t->splitter);
    steps_free(&t->decoder);
    free(t->before.at);
    free(t->after.at);
    free(t);
}

/* ---- what it is ---- */

const char *tokenizer_path(const struct tokenizer *t)
{
    return t->path;
}

uint64_t tokenizer_digest(const struct tokenizer *t)
{
    return t->digest;
}

int64_t tokenizer_vocabulary(const struct tokenizer *t)
{
    return t->vocab.size;
}

int32_t tokenizer_id(const struct tokenizer *t, const char *token)
{
    return vocab_find(&t->vocab, token, (int64_t)strlen(token));
}

char *tokenizer_token(const struct tokenizer *t, int64_t id)
{
    int64_t n = 0;
    const char *text = vocab_text(&t->vocab, id, &n);
    return mem_format("%.*s", (int)n, text ? text : "");
}

int32_t tokenizer_bos(const struct tokenizer *t)
{
    return t->bos;
}

int32_t tokenizer_eos(const struct tokenizer *t)
{
    return t->eos;
}

/* ---- text to ids ---- */

struct encoder {
    const struct tokenizer *t;
    struct regex_match *match;
    struct bpe_work *bpe;
    struct bytes text;
    struct pieces pieces, spare;
};

struct encoder *encoder_open(const struct tokenizer *t)
{
    struct encoder *e = mem_new(1, sizeof *e);
    e->t = t;
    e->match = regex_match_open();
    e->bpe = bpe_work_open(&t->bpe);
    return e;
}

void encoder_close(struct encoder *e)
{
    if (!e)
        return;
    regex_match_close(e->match);
    bpe_work_close(e->bpe);
    free(e->text.at);
    pieces_free(&e->pieces);
    pieces_free(&e->spare);
    free(e);
}

int64_t encoder_left_out(const struct encoder *e)
{
    return bpe_left_out(e->bpe);
}

/* Encodes the text between two added tokens. first: it begins where the whole text begins. */
typedef status encode_part(struct encoder *, const char *text, int64_t n, bool first, struct ids *out);

static status encode_words(struct encoder *e, const char *text, int64_t n, bool first, struct ids *out)
{
    struct pieces *p = &e->pieces;
    p->n = p->text.n = 0;
    bytes_add(&p->text, text, n);
    pieces_add(p, 0, n, first);
    TRY(steps_split(&e->t->splitter, e->match, p, &e->spare));
    for (int64_t i = 0; i < p->n; i++)
        bpe_word(e->bpe, p->text.at + p->piece[i].at, p->piece[i].n, out);
    return OK;
}

/* Cut the added tokens out, and encode the text between them by `part`. */
static status encode_around(struct encoder *e, const struct added *a, encode_part *part, const char *text,
                            int64_t n, bool first, struct ids *out)
{
    int64_t done = 0, begin = 0, end = 0, at = 0;
    const struct added_token *t;
    while ((t = added_next(a, text, n, done, &at, &begin, &end))) {
        if (begin > done)
            TRY(part(e, text + done, begin - done, first && done == 0, out));
        ids_add(out, &t->id, 1);
        done = end;
    }
    return n > done ? part(e, text + done, n - done, first && done == 0, out) : OK;
}

static status encode_normalized(struct encoder *e, const char *text, int64_t n, bool first, struct ids *out)
{
    if (!e->t->normalizer.n)
        return encode_around(e, &e->t->normalized, encode_words, text, n, first, out);
    e->text.n = 0;
    bytes_add(&e->text, text, n);
    TRY(steps_normalize(&e->t->normalizer, e->match, &e->text));
    return encode_around(e, &e->t->normalized, encode_words, e->text.at, e->text.n, first, out);
}

status encode(struct encoder *e, const char *text, int64_t n, bool special, struct ids *out)
{
    int64_t bad = utf8_bad(text, n);
    if (bad < n)
        return fail(E_DATA, "byte %lld (0x%02x) is not UTF-8", (long long)bad, (unsigned char)text[bad]);
    if (special)
        ids_add(out, e->t->before.at, e->t->before.n);
    TRY(encode_around(e, &e->t->plain, encode_normalized, text, n, true, out));
    if (special)
        ids_add(out, e->t->after.at, e->t->after.n);
    return OK;
}

/* ---- ids to text ---- */

status decode(struct encoder *e, const int32_t *id, int64_t n, bool skip, struct bytes *out)
{
    const struct vocab *v = &e->t->vocab;
    struct pieces *p = &e->pieces;
    p->n = p->text.n = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t length = 0;
        const char *text = vocab_text(v, id[i], &length);
        if (!text)
            return fail(E_DATA, "%s: no token has the id %d", e->t->path, id[i]);
        if (skip && v->token[id[i]].special)
            continue;
        if (p->n && !e->t->has_decoder) /* without a decoder Hugging Face joins tokens by spaces */
            bytes_add(&p->text, " ", 1);
        pieces_add(p, p->text.n, length, false);
        bytes_add(&p->text, text, length);
    }
    TRY(steps_decode(&e->t->decoder, e->match, p, &e->spare));
    bytes_add(out, p->text.at, p->text.n);
    return OK;
}
