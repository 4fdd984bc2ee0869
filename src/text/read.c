/* tokenizer.json: the model (vocabulary and merges) and the added tokens. */
#include <stdio.h>
#include <stdlib.h>
#include "text/inside.h"
#include "text/utf8.h"

static status wrong(const struct tokenizer *t, const char *what)
{
    return fail(E_DATA, "%s: %s", t->path, what);
}

/* ---- vocabulary ---- */

static status read_vocab(struct tokenizer *t, const json_t *model)
{
    json_t *vocab = json_object_get(model, "vocab"), *id;
    const char *text;
    if (!json_is_object(vocab) || !json_object_size(vocab))
        return wrong(t, "model.vocab is not there; a BPE model has an object of tokens and their ids");
    json_object_foreach(vocab, text, id)
        if (!json_is_integer(id) ||
            !vocab_add(&t->vocab, text, (int64_t)strlen(text), json_integer_value(id)))
            return fail(
                E_DATA,
                "%s: model.vocab: the id of token \"%.40s\" is not a whole number, is out of range, or "
                "another token has it too",
                t->path, text);
    return OK;
}

/* ---- merges ---- */

/* The two parts of a merge: "a b" or ["a", "b"]. */
static bool both_parts(const json_t *merge, const char *part[2], int64_t n[2])
{
    const char *whole = json_string_value(merge), *space = whole ? strchr(whole, ' ') : NULL;
    if (whole) {
        if (!space || strchr(space + 1, ' '))
            return false;
        part[0] = whole;
        part[1] = space + 1;
        n[0] = space - whole;
        n[1] = (int64_t)strlen(part[1]);
        return true;
    }
    for (size_t i = 0; i < 2; i++) {
        part[i] = json_string_value(json_array_get(merge, i));
        n[i] = part[i] ? (int64_t)strlen(part[i]) : 0;
    }
    return json_array_size(merge) == 2 && part[0] && part[1];
}

static status read_merge(struct tokenizer *t, const json_t *merge, int32_t rank, struct bytes *both)
{
    const char *part[2];
    int64_t n[2];
    if (!both_parts(merge, part, n))
        return fail(E_DATA, "%s: model.merges: number %d is not of the form \"a b\" or [\"a\", \"b\"]",
                    t->path, rank);
    both->n = 0;
    bytes_add(both, part[0], n[0]);
    bytes_add(both, part[1], n[1]);
    int32_t left = vocab_find(&t->vocab, part[0], n[0]), right = vocab_find(&t->vocab, part[1], n[1]);
    int32_t id = vocab_find(&t->vocab, both->at, both->n);
    if (left < 0 || right < 0 || id < 0)
        return fail(E_DATA,
                    "%s: model.merges: number %d, \"%.*s\" and \"%.*s\": one of them or both together are "
                    "not in the vocabulary",
                    t->path, rank, (int)(n[0] < 40 ? n[0] : 40), part[0], (int)(n[1] < 40 ? n[1] : 40),
                    part[1]);
    bpe_add(&t->bpe, left, right, rank, id);
    return OK;
}

static status read_merges(struct tokenizer *t, const json_t *model)
{
    json_t *merges = json_object_get(model, "merges"), *merge;
    size_t i;
    struct bytes both = {0};
    status s = OK;
    if (!json_is_array(merges))
        return wrong(t, "model.merges is not there; a BPE model has a list of pairs");
    bpe_room(&t->bpe, (int64_t)json_array_size(merges));
    json_array_foreach(merges, i, merge)
        if (s == OK)
            s = read_merge(t, merge, (int32_t)i, &both);
    free(both.at);
    return s;
}

/* ---- settings of the model ---- */

/* Is a setting off: absent, null, empty, false or 0? */
static bool is_off(const json_t *value)
{
    return !value || json_is_null(value) || json_is_false(value) ||
           (json_is_number(value) && json_number_value(value) == 0) ||
           (json_is_string(value) && !json_string_length(value));
}

static status read_settings(struct tokenizer *t, json_t *model)
{
    static const char *const off[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix"};
    static const char known[] =
        " type dropout continuing_subword_prefix end_of_word_suffix unk_token fuse_unk "
        "byte_fallback ignore_merges vocab merges ";
    const char *type = json_string_value(json_object_get(model, "type")), *key;
    json_t *value;
    if (type && strcmp(type, "BPE") != 0)
        return fail(E_DATA, "%s: model.type %s is not supported; only BPE is", t->path, type);
    json_object_foreach(model, key, value) {
        char *word = mem_format(" %s ", key);
        bool is_known = strstr(known, word) != NULL;
        free(word);
        if (!is_known)
            return fail(E_DATA, "%s: model.%.60s is not known", t->path, key);
    }
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (!is_off(json_object_get(model, off[i])))
            return fail(E_DATA, "%s: model.%s is set, which is not supported", t->path, off[i]);
    t->bpe.fuse_unknown = json_is_true(json_object_get(model, "fuse_unk"));
    t->bpe.byte_fallback = json_is_true(json_object_get(model, "byte_fallback"));
    t->bpe.whole_words = json_is_true(json_object_get(model, "ignore_merges"));
    return OK;
}

static status read_unknown(struct tokenizer *t, const json_t *model)
{
    const json_t *value = json_object_get(model, "unk_token");
    const char *text = json_string_value(value);
    if (!value || json_is_null(value))
        return OK;
    t->bpe.unknown = text ? vocab_find(&t->vocab, text, (int64_t)strlen(text)) : -1;
    return t->bpe.unknown >= 0 ? OK : wrong(t, "model.unk_token is not in the vocabulary");
}

/* Find the tokens of single bytes: ByteLevel's characters, or <0xNN>. */
static status find_bytes(struct tokenizer *t)
{
    int there = 0;
    t->bpe.vocab = &t->vocab;
    for (int c = 0; c < 256; c++) {
        char text[8];
        int n = t->bpe.bytes ? utf8_put(text, bpe_character_of((unsigned char)c))
                             : snprintf(text, sizeof text, "<0x%02X>", c);
        t->bpe.byte[c] = vocab_find(&t->vocab, text, n);
        there += t->bpe.byte[c] >= 0;
    }
    if (t->bpe.bytes && t->bpe.byte_fallback && there < 256)
        return wrong(t, "model.byte_fallback is not supported together with ByteLevel");
    return OK;
}

/* ---- added tokens ---- */

static status add_token(struct tokenizer *t, const json_t *about)
{
    json_t *id = json_object_get(about, "id");
    const char *text = json_string_value(json_object_get(about, "content"));
    bool special = json_is_true(json_object_get(about, "special"));
    const json_t *normalized = json_object_get(about, "normalized");
    if (!text || !json_is_integer(id))
        return wrong(t, "added_tokens: one has no content or no id");
    int64_t n = (int64_t)strlen(text);
    int32_t found = vocab_find(&t->vocab, text, n);
    if (found >= 0 ? found != json_integer_value(id) : !vocab_add(&t->vocab, text, n, json_integer_value(id)))
        return fail(E_DATA,
                    "%s: added_tokens: \"%.40s\" has the id %lld, but the vocabulary has another one for it, "
                    "or another token "
                    "has this one",
                    t->path, text, (long long)json_integer_value(id));
    t->vocab.token[json_integer_value(id)].added = found < 0;
    t->vocab.token[json_integer_value(id)].special = special;
    struct bytes content = {0};
    bytes_add(&content, text, n);
    bool after = normalized ? json_is_true(normalized) : !special;
    struct regex_match *match = regex_match_open();
    status s = after ? steps_normalize(&t->normalizer, match, &content) : OK;
    regex_match_close(match);
    struct added_token token = {
        .text = content.at,
        .n = content.n,
        .id = (int32_t)json_integer_value(id),
        .single_word = json_is_true(json_object_get(about, "single_word")),
        .strip_left = json_is_true(json_object_get(about, "lstrip")),
        .strip_right = json_is_true(json_object_get(about, "rstrip")),
    };
    added_add(after ? &t->normalized : &t->plain, token);
    return s;
}

static status read_added(struct tokenizer *t, const json_t *root)
{
    json_t *list = json_object_get(root, "added_tokens"), *about;
    size_t i;
    if (list && !json_is_array(list) && !json_is_null(list))
        return wrong(t, "added_tokens is not a list");
    json_array_foreach(list, i, about)
        TRY(add_token(t, about));
    added_sort(&t->plain);
    added_sort(&t->normalized);
    return OK;
}

status tokenizer_read(struct tokenizer *t, const json_t *root)
{
    json_t *model = json_object_get(root, "model");
    if (!json_is_object(model))
        return wrong(t, "it has no model; a tokenizer.json of Hugging Face's tokenizers has one");
    TRY(read_settings(t, model));
    TRY(read_vocab(t, model));
    TRY(read_merges(t, model));
    TRY(read_unknown(t, model));
    TRY(tokenizer_read_steps(t, root));
    TRY(find_bytes(t));
    return read_added(t, root);
}
