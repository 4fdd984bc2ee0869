/* text/tokenizer: small tokenizers of each kind, with the ids of Hugging Face's tokenizers 0.23; files that
 * are refused by name; text that grows; patterns of Oniguruma; the vectors of llama.cpp if they are there. */
#include "base/json.h"
#include "text/bpe.h"
#include "text/growing.h"
#include "text/regex.h"
#include "text/tokenizer.h"
#include "text/utf8.h"
#include "validation/unit/scratch.h"
#include "validation/unit/tap.h"

/* ---- two vocabularies ---- */

/* Bytes by ByteLevel's characters (ids 0 to 255), then merges, each also a token. */
static const char *const byte_merges[] = {"Ġ t",  "h e", "Ġt he", "l l", "o Ġ", "1 2",
                                          "12 3", "Ġ Ġ", "Ċ Ċ",   "Ã ©", "n d", "a nd"};
/* Specials 0 to 2, <0x00> to <0xFF> (3 to 258), single characters, then merges. */
static const char *const space_merges[] = {"▁ t", "h e", "▁t he", "l l", "▁ ▁", "é é", "a ▁"};

static void add_merges(char **vocab, char **merges, const char *const *list, size_t n, int id, bool pairs)
{
    for (size_t i = 0; i < n; i++) {
        const char *space = strchr(list[i], ' ');
        mem_append(vocab, ", \"%.*s%s\": %d", (int)(space - list[i]), list[i], space + 1, id + (int)i);
        mem_append(merges, pairs ? "%s[\"%.*s\", \"%s\"]" : "%s\"%.*s %s\"", i ? ", " : "",
                   (int)(space - list[i]), list[i], space + 1);
    }
}

static char *byte_model(const char *more)
{
    char *vocab = NULL, *merges = NULL;
    for (int c = 0; c < 256; c++) {
        char text[5] = {0};
        utf8_put(text, bpe_character_of((unsigned char)c));
        mem_append(&vocab, "%s\"%s%s\": %d", c ? ", " : "", *text == '"' || *text == '\\' ? "\\" : "", text,
                   c);
    }
    add_merges(&vocab, &merges, byte_merges, sizeof byte_merges / sizeof *byte_merges, 256, false);
    mem_append(&vocab, ", \"the\": 268");
    char *model = mem_format("{\"type\": \"BPE\", \"vocab\": {%s}, \"merges\": [%s]%s}", vocab, merges, more);
    free(vocab);
    free(merges);
    return model;
}

static char *space_model(const char *more)
{
    static const char *const single[] = {"▁", "a", "d", "e", "h", "l", "n",
                                         "o", "t", "w", ".", "é", "1", "\\n"};
    char *vocab = mem_text("\"<unk>\": 0, \"<s>\": 1, \"</s>\": 2"), *merges = NULL;
    for (int c = 0; c < 256; c++)
        mem_append(&vocab, ", \"<0x%02X>\": %d", c, 3 + c);
    for (int i = 0; i < 14; i++)
        mem_append(&vocab, ", \"%s\": %d", single[i], 259 + i);
    add_merges(&vocab, &merges, space_merges, sizeof space_merges / sizeof *space_merges, 273, true);
    char *model =
        mem_format("{\"type\": \"BPE\", \"unk_token\": \"<unk>\", \"vocab\": {%s}, \"merges\": [%s]%s}",
                   vocab, merges, more);
    free(vocab);
    free(merges);
    return model;
}

/* A tokenizer.json of these parts, in the scratch folder. */
static const char *write_tokenizer(const char *name, const char *added, const char *parts, char *model)
{
    char *text = mem_format("{\"version\": \"1.0\", \"truncation\": null, \"padding\": null, "
                            "\"added_tokens\": [%s], %s, \"model\": %s}",
                            added, parts, model);
    const char *path = scratch_write(name, text, strlen(text));
    free(text);
    free(model);
    return path;
}

#define TOKEN(id, content, word, left, right, normalized, special)                                   \
    "{\"id\": " #id ", \"content\": \"" content "\", \"single_word\": " #word ", \"lstrip\": " #left \
    ", \"rstrip\": " #right ", \"normalized\": " #normalized ", \"special\": " #special "}"
#define BYTE_TOKENS                                                                   \
    TOKEN(269, "<|end|>", false, false, false, false, true)                           \
    ", " TOKEN(270, "<|endless|>", false, false, false, false, true) ", " TOKEN(      \
        271, "word", true, false, false, false,                                       \
        false) ", " TOKEN(272, "<left>", false, true, false, false,                   \
                          true) ", " TOKEN(273, "<right>", false, false, true, false, \
                                           true) ", " TOKEN(274, "ḍnorm", false, false, false, true, false)
#define SPACE_TOKENS                                                                                         \
    TOKEN(0, "<unk>", false, false, false, false, true)                                                      \
    ", " TOKEN(1, "<s>", false, false, false, false, true) ", " TOKEN(2, "</s>", false, false, false, false, \
                                                                      true)
#define LLAMA3_SPLIT                                                                                         \
    "{\"type\": \"Split\", \"pattern\": {\"Regex\": "                                                        \
    "\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|"                                \
    "\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"}, " \
    "\"behavior\": \"Isolated\", \"invert\": false}"
#define BYTE_LEVEL(prefix, regex)                              \
    "{\"type\": \"ByteLevel\", \"add_prefix_space\": " #prefix \
    ", \"trim_offsets\": true, \"use_regex\": " #regex "}"
#define SEQUENCE(key, list) "{\"type\": \"Sequence\", \"" key "\": [" list "]}"
#define TEMPLATE                                                                                         \
    "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<s>\", \"type_id\": " \
    "0}}, {\"Sequence\": "                                                                               \
    "{\"id\": \"A\", \"type_id\": 0}}], \"pair\": [], \"special_tokens\": {\"<s>\": {\"id\": \"<s>\", "  \
    "\"ids\": [1], "                                                                                     \
    "\"tokens\": [\"<s>\"]}}}"
#define LLAMA2_DECODER                                                                                      \
    SEQUENCE(                                                                                               \
        "decoders",                                                                                         \
        "{\"type\": \"Replace\", \"pattern\": {\"String\": \"▁\"}, \"content\": \" \"}, {\"type\": "      \
        "\"ByteFallback\"}, {\"type\": \"Fuse\"}, {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, " \
        "\"stop\": 0}")
#define METASPACE(scheme, split)                                                      \
    "{\"type\": \"Metaspace\", \"replacement\": \"▁\", \"prepend_scheme\": \"" scheme \
    "\", \"split\": " #split "}"

static const struct kind {
    const char *name, *added, *parts, *more;
    bool bytes;
} kinds[] = {
    {"gpt2", BYTE_TOKENS,
     "\"pre_tokenizer\": " BYTE_LEVEL(false, true) ", \"decoder\": " BYTE_LEVEL(true, true), "", true},
    {"llama3", BYTE_TOKENS,
     "\"pre_tokenizer\": " SEQUENCE("pretokenizers", LLAMA3_SPLIT
                                    ", " BYTE_LEVEL(false, false)) ", \"decoder\": " BYTE_LEVEL(true, true),
     ", \"ignore_merges\": true", true},
    {"smollm", BYTE_TOKENS,
     "\"pre_tokenizer\": " SEQUENCE("pretokenizers",
                                    "{\"type\": \"Digits\", \"individual_digits\": true}, " BYTE_LEVEL(
                                        true, true)) ", \"decoder\": " BYTE_LEVEL(true, true),
     "", true},
    {"nfc", BYTE_TOKENS,
     "\"normalizer\": {\"type\": \"NFC\"}, \"pre_tokenizer\": " BYTE_LEVEL(
         false, true) ", \"decoder\": " BYTE_LEVEL(true, true),
     "", true},
    {"llama2", SPACE_TOKENS,
     "\"normalizer\": " SEQUENCE("normalizers", "{\"type\": \"Prepend\", \"prepend\": \"▁\"}, {\"type\": "
                                                "\"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": "
                                                "\"▁\"}") ", \"pre_tokenizer\": null, "
                                                          "\"post_processor\": " TEMPLATE
                                                          ", \"decoder\": " LLAMA2_DECODER,
     ", \"byte_fallback\": true, \"fuse_unk\": true", false},
    {"mistral", SPACE_TOKENS,
     "\"normalizer\": null, \"pre_tokenizer\": " METASPACE("first", false) ", \"post_processor\": " TEMPLATE
                                                                           ", \"decoder\": " LLAMA2_DECODER,
     ", \"byte_fallback\": true, \"fuse_unk\": true", false},
    {"metaspace", SPACE_TOKENS,
     "\"normalizer\": {\"type\": \"NFKC\"}, \"pre_tokenizer\": " METASPACE(
         "always", true) ", \"decoder\": " METASPACE("always", true),
     ", \"fuse_unk\": true", false},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static const char *write_kind(const struct kind *k)
{
    char *name = mem_format("%s.json", k->name);
    const char *path =
        write_tokenizer(name, k->added, k->parts, k->bytes ? byte_model(k->more) : space_model(k->more));
    free(name);
    return path;
}

static const char *const texts[] = {
    "",
    "the hello and the  the\n\nend",
    "the 12345 123 the'S it's",
    "a<|end|>b <|endless|> word sword word.",
    "x  <left>  y  <right>  z",
    "café cafe\xcc\x81 \xe1\xb8\x8dnorm d\xcc\xa3norm",
    " </s> the ▁the  \xf0\x9f\x98\x80\xc3\xa9\xc3\xa9<s> the",
    "\xef\xac\x81 the\t\tll\r\n  \xc2\xa0 the",
    "<|end|> the<unk>the",
    "\nword\xe2\x83\x9d",
};
enum { TEXTS = sizeof texts / sizeof *texts };
#include "validation/unit/tokenizer_ids.h"

/* ---- ids ---- */

static char *ids_text(const struct ids *x)
{
    char *text = mem_text("");
    for (int64_t i = 0; i < x->n; i++)
        mem_append(&text, "%s%d", i ? " " : "", x->at[i]);
    return text;
}

static char *encoded(struct encoder *e, const char *text, bool special)
{
    struct ids x = {0};
    status s = encode(e, text, (int64_t)strlen(text), special, &x);
    char *got = s == OK ? ids_text(&x) : mem_text(status_text());
    free(x.at);
    return got;
}

static bool same(char *got, const char *want)
{
    bool good = !strcmp(got, want);
    if (!good)
        printf("# got  %s\n# want %s\n", got, want);
    free(got);
    return good;
}

static bool decodes(struct encoder *e, const char *text, const char *want)
{
    struct ids x = {0};
    struct bytes back = {0};
    bool good =
        encode(e, text, (int64_t)strlen(text), false, &x) == OK && decode(e, x.at, x.n, true, &back) == OK;
    bytes_add(&back, "", 1);
    good = good && !strcmp(back.at, want);
    if (!good)
        printf("# \"%s\" comes back as \"%s\", not \"%s\"\n", text, back.at, want);
    free(x.at);
    free(back.at);
    return good;
}

/* The text of ids [0, from), and then what each further one completes: whole characters, together the text.
 */
static bool grows(struct encoder *e, const char *text, int64_t from)
{
    struct ids x = {0};
    struct bytes whole = {0}, back = {0};
    struct growing g;
    bool good = encode(e, text, (int64_t)strlen(text), false, &x) == OK;
    from = from < x.n ? from : x.n;
    good = good && decode(e, x.at, x.n, true, &whole) == OK && decode(e, x.at, from, true, &back) == OK;
    bool cut = back.n >= 3 && !memcmp(back.at + back.n - 3, "\xef\xbf\xbd", 3);
    if (cut || utf8_bad(back.at, back.n) < back.n) { /* a prompt ends with a character */
        free(x.at), free(whole.at), free(back.at);
        return true;
    }
    growing_open(&g, e, x.at, from);
    for (int64_t i = from; i <= x.n; i++) {
        good = good && (i < x.n ? growing_add(&g, x.at[i]) : growing_end(&g)) == OK &&
               utf8_bad(g.text.at, g.text.n) == g.text.n;
        bytes_add(&back, g.text.at, g.text.n);
    }
    good = good && back.n == whole.n && !memcmp(back.at, whole.at, (size_t)whole.n);
    if (!good)
        printf("# \"%.*s\" grows from token %d to \"%.*s\"\n", (int)whole.n, whole.at, (int)from, (int)back.n,
               back.at);
    growing_close(&g);
    free(x.at), free(whole.at), free(back.at);
    return good;
}

static void test_growing(struct encoder *e, const char *name)
{
    bool good = true;
    for (int i = 0; i < TEXTS; i++)
        for (int64_t from = 0; from < 12; from++)
            good &= grows(e, texts[i], from);
    ok(good, "%s: text that grows by tokens", name);
}

static void test_kind(int k)
{
    struct tokenizer *t = NULL;
    if (!ok(tokenizer_open(&t, write_kind(&kinds[k])) == OK, "%s opens: %s", kinds[k].name, status_text()))
        return;
    struct encoder *e = encoder_open(t);
    bool good = true, special = true, back = true;
    for (int round = 0; round < 2; round++) /* the second from what it remembers */
        for (int i = 0; i < TEXTS; i++) {
            good &= same(encoded(e, texts[i], false), expected[k][i].ids);
            special &= same(encoded(e, texts[i], true), expected[k][i].special);
            back &= decodes(e, texts[i], expected[k][i].back);
        }
    ok(good, "%s: ids", kinds[k].name);
    ok(special, "%s: ids with what the post_processor adds", kinds[k].name);
    ok(back, "%s: text again", kinds[k].name);
    test_growing(e, kinds[k].name);
    encoder_close(e);
    tokenizer_close(t);
}

/* ---- refused ---- */

static const struct {
    const char *what, *parts, *model, *message; /* model: NULL, the small one of bytes */
} refused[] = {
    {"no model", "\"a\": 1", "null", "it has no model"},
    {"another model", "\"a\": 1", "{\"type\": \"Unigram\", \"vocab\": []}",
     "model.type Unigram is not supported; only BPE is"},
    {"a word-piece prefix", "\"a\": 1",
     "{\"vocab\": {\"a\": 0}, \"merges\": [], \"continuing_subword_prefix\": \"##\"}",
     "continuing_subword_prefix is set"},
    {"dropout", "\"a\": 1", "{\"vocab\": {\"a\": 0}, \"merges\": [], \"dropout\": 0.1}",
     "model.dropout is set"},
    {"an unknown setting", "\"a\": 1", "{\"vocab\": {\"a\": 0}, \"merges\": [], \"sparkle\": true}",
     "model.sparkle is not known"},
    {"no vocabulary", "\"a\": 1", "{\"merges\": []}", "model.vocab is not there"},
    {"an empty vocabulary", "\"a\": 1", "{\"vocab\": {}, \"merges\": []}", "model.vocab is not there"},
    {"a list as vocabulary", "\"a\": 1", "{\"vocab\": [\"a\"], \"merges\": []}", "model.vocab is not there"},
    {"an id that is a text", "\"a\": 1", "{\"vocab\": {\"a\": \"0\"}, \"merges\": []}",
     "the id of token \"a\""},
    {"a negative id", "\"a\": 1", "{\"vocab\": {\"a\": -1}, \"merges\": []}", "the id of token \"a\""},
    {"a huge id", "\"a\": 1", "{\"vocab\": {\"a\": 99999999999}, \"merges\": []}", "the id of token \"a\""},
    {"an id twice", "\"a\": 1", "{\"vocab\": {\"a\": 0, \"b\": 0}, \"merges\": []}", "the id of token \"b\""},
    {"no merges", "\"a\": 1", "{\"vocab\": {\"a\": 0}}", "model.merges is not there"},
    {"a merge of one", "\"a\": 1", "{\"vocab\": {\"a\": 0}, \"merges\": [\"a\"]}",
     "model.merges: number 0 is not of the form"},
    {"a merge of three", "\"a\": 1", "{\"vocab\": {\"a\": 0}, \"merges\": [\"a a a\"]}",
     "number 0 is not of the form"},
    {"a pair of one", "\"a\": 1", "{\"vocab\": {\"a\": 0}, \"merges\": [[\"a\"]]}",
     "number 0 is not of the form"},
    {"a merge of numbers", "\"a\": 1", "{\"vocab\": {\"a\": 0}, \"merges\": [[1, 2]]}",
     "number 0 is not of the form"},
    {"a merge out of the vocabulary", "\"a\": 1", "{\"vocab\": {\"a\": 0}, \"merges\": [\"a a\"]}",
     "not in the vocabulary"},
    {"an unknown token that is none", "\"a\": 1",
     "{\"vocab\": {\"a\": 0}, \"merges\": [], \"unk_token\": \"u\"}", "model.unk_token is not in"},
    {"byte_fallback with half of ByteLevel", "\"pre_tokenizer\": " BYTE_LEVEL(false, true),
     "{\"vocab\": {\"a\": 0}, \"merges\": [], \"byte_fallback\": true}",
     "byte_fallback is not supported together"},
    {"an unknown normalizer", "\"normalizer\": {\"type\": \"Lowercase\"}", NULL,
     "normalizer: Lowercase is not supported; known are Sequence, NFC"},
    {"... in a sequence",
     "\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, {\"type\": \"Nmt\"}]}",
     NULL, "Nmt is not supported"},
    {"a normalizer that is a number", "\"normalizer\": 7", NULL, "normalizer: it has no member type"},
    {"a sequence of nothing", "\"normalizer\": {\"type\": \"Sequence\"}", NULL, "normalizers is not a list"},
    {"a key that is not known", "\"normalizer\": {\"type\": \"NFC\", \"x\": 1}", NULL, "NFC: x is not known"},
    {"an unknown pre_tokenizer", "\"pre_tokenizer\": {\"type\": \"UnicodeScripts\"}", NULL,
     "pre_tokenizer: UnicodeScripts is not supported; known are Sequence, Split"},
    {"a split without a pattern", "\"pre_tokenizer\": {\"type\": \"Split\", \"behavior\": \"Isolated\"}",
     NULL, "pattern is neither"},
    {"a split of an unknown rule",
     "\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"String\": \"a\"}, \"behavior\": \"Sideways\"}",
     NULL, "behavior is none of"},
    {"an empty pattern",
     "\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"String\": \"\"}, \"behavior\": \"Isolated\"}",
     NULL, "the pattern is empty"},
    {"a pattern that matches nothing",
     "\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"a*\"}, \"behavior\": \"Isolated\"}",
     NULL, "matches an empty text"},
    {"a pattern that is none",
     "\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"(a\"}, \"behavior\": \"Isolated\"}",
     NULL, "is not understood"},
    {"something behind ByteLevel",
     "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [" BYTE_LEVEL(
         false, true) ", {\"type\": \"Digits\"}]}",
     NULL, "Digits behind ByteLevel"},
    {"an unknown scheme", "\"pre_tokenizer\": " METASPACE("sometimes", true), NULL,
     "prepend_scheme is none of"},
    {"an unknown decoder", "\"decoder\": {\"type\": \"CTC\"}", NULL,
     "decoder: CTC is not supported; known are Sequence, ByteLevel"},
    {"an unknown post_processor", "\"post_processor\": {\"type\": \"BertProcessing\"}", NULL,
     "post_processor: BertProcessing is not supported"},
    {"a template without the text", "\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": []}",
     NULL, "single does not have the text"},
    {"a template of an unknown token",
     "\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": "
     "\"s\"}}]}",
     NULL, "lacks a token"},
    {"an added token without an id", "\"added_tokens\": [{\"content\": \"x\"}]", NULL,
     "one has no content or no id"},
    {"an added token of another id", "\"added_tokens\": [{\"id\": 7, \"content\": \"the\"}]", NULL,
     "\"the\" has the id 7"},
    {"added tokens that are no list", "\"added_tokens\": 3", NULL, "added_tokens is not a list"},
};

static void test_refused(void)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char *model = refused[i].model ? mem_text(refused[i].model) : byte_model("");
        char *text = mem_format("{%s, \"model\": %s}", refused[i].parts, model);
        struct tokenizer *t = NULL;
        status s = tokenizer_open(&t, scratch_write("refused.json", text, strlen(text)));
        ok(s == E_DATA && says("refused.json: ") && says(refused[i].message), "refused: %s", refused[i].what);
        if (s == OK)
            tokenizer_close(t);
        free(model);
        free(text);
    }
    struct tokenizer *t = NULL;
    ok(tokenizer_open(&t, scratch_write("cut.json", "{\"model\": {", 11)) == E_DATA && says("cut.json:1:"),
       "refused: half a file");
    ok(tokenizer_open(&t, scratch("nowhere.json")) == E_DATA && says("nowhere.json: cannot be opened"),
       "refused: no file");
    scratch_write("tokenizer.model", "x", 1);
    ok(tokenizer_open(&t, scratch("")) == E_DATA && says("it has tokenizer.model but no tokenizer.json"),
       "refused: SentencePiece's form");
}

/* ---- patterns ---- */

static const struct {
    const char *pattern, *text, *match; /* match: NULL = refused, then text is in the message */
} patterns[] = {
    {"\\s+", "a\xc2\x85\xe2\x80\x89 b", "\xc2\x85\xe2\x80\x89 "},
    {"\\s", "\xe1\xa0\x8e\xe3\x80\x80", "\xe3\x80\x80"}, /* U+180E is no white space */
    {"[\\S]+", " \xe1\xa0\x8e ", "\xe1\xa0\x8e"},
    {"\\w+", "-\xe2\x93\x90_\xd9\xa3-", "\xe2\x93\x90_\xd9\xa3"},
    {"\\v", "\n\v", "\v"},
    {"a.b", "a\nba\rb", "a\rb"},
    {"^b$", "a\nb\nc", "b"},
    {"\\Aa", "ba", ""},
    {"x{,2}y", "xxxy", "xxy"},
    {"(a)(b)", "ab", "ab"},
    {"(?<!a)b(?=c)", "abcbc", "b"},
    {"(?i:'s)", "'\xc5\xbf", "'\xc5\xbf"},
    {"[^\\r\\n\\p{L}\\p{N}]?\\p{Lu}++",
     "1 \xc3\x89"
     "A",
     " \xc3\x89"
     "A"},
    {"\\p{^L}\\P{^N}", "a-1", "-1"},
    {"\\p{Han}+", "a\xe4\xb8\xad\xe3\x80\x82", "\xe4\xb8\xad"},
    {"\\u4e2d\\x41\\x{62}",
     "\xe4\xb8\xad"
     "Ab",
     "\xe4\xb8\xad"
     "Ab"},
    {"[a\\-\\]]+", "b-]a", "-]a"},
    {"a{2}+", "a{2}+", NULL},
    {"a{2}?", "a{2}?", NULL},
    {"[a[b]]", "[b in a class", NULL},
    {"[a&&b]", "&& in a class", NULL},
    {"[]a]", "] is the first", NULL},
    {"(?m)a", "(?m) is not understood", NULL},
    {"(?<n>a)", "(?<n is not understood", NULL},
    {"\\ba", "\\b is not understood", NULL},
    {"\\h", "\\h is not understood", NULL},
    {"[\\W]", "\\W is not understood", NULL},
    {"\\p{Nonsense}", "not understood", NULL},
    {"\\pL", "\\p is not a property", NULL},
    {"a{x", "{ is neither", NULL},
    {"a\\", "\\ is not understood", NULL},
    {"[a", "is not understood", NULL},
};

static void test_patterns(void)
{
    struct regex_match *m = regex_match_open();
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        const char *pattern = patterns[i].pattern, *text = patterns[i].text, *match = patterns[i].match;
        struct regex *r = NULL;
        int64_t begin = 0, end = 0, n = (int64_t)strlen(text);
        status s = regex_open(&r, "here", pattern, (int64_t)strlen(pattern), false);
        if (!match) {
            ok(s == E_DATA && says("here: ") && says(text), "pattern %s is refused", pattern);
        } else {
            bool good = s == OK && regex_next(r, m, text, n, 0, &begin, &end) == OK;
            ok(good && end - begin == (int64_t)strlen(match) && !memcmp(text + begin, match, strlen(match)),
               "pattern %s: bytes %d to %d%s%s", pattern, (int)begin, (int)end, good ? "" : ": ",
               good ? "" : status_text());
        }
        regex_close(r);
    }
    regex_match_close(m);
}

/* ---- what is beside ---- */

static void test_about(void)
{
    struct tokenizer *t = NULL;
    const char *path = write_kind(&kinds[1]);
    uint64_t digest = 0;
    if (!ok(tokenizer_open(&t, path) == OK && tokenizer_vocabulary(t) == 275 &&
                tokenizer_id(t, "<|end|>") == 269 && tokenizer_id(t, "nothing") == -1 &&
                tokenizer_eos(t) == -1,
            "vocabulary, ids by name, no eos"))
        return;
    ok(tokenizer_file_digest(path, &digest) == OK && digest == tokenizer_digest(t), "digest of the file");
    struct encoder *e = encoder_open(t);
    struct ids x = {0};
    struct bytes text = {0};
    ok(encode(e, "ab\xff", 3, false, &x) == E_DATA && says("byte 2 (0xff) is not UTF-8"),
       "text that is not UTF-8");
    ok(encode(e, "\xed\xa0\x80", 3, false, &x) == E_DATA, "a surrogate");
    ok(decode(e, (int32_t[]){299}, 1, false, &text) == E_DATA && says("no token has the id 299"),
       "an id without a token");
    ok(decode(e, (int32_t[]){269, 97}, 2, false, &text) == OK && text.n == 8 &&
           !memcmp(text.at, "<|end|>a", 8),
       "special tokens are text if asked");
    free(x.at);
    free(text.at);
    encoder_close(e);
    tokenizer_close(t);
    scratch_write("tokenizer_config.json",
                  "{\"eos_token\": {\"content\": \"<|endless|>\"}, \"bos_token\": \"<|end|>\"}", 65);
    t = NULL;
    ok(tokenizer_open(&t, write_kind(&kinds[0])) == OK && tokenizer_eos(t) == 270 && tokenizer_bos(t) == 269,
       "eos and bos from tokenizer_config.json");
    tokenizer_close(t);
    scratch_write("tokenizer_config.json", "{}", 2);
    scratch_write("config.json", "{\"eos_token_id\": [271, 269]}", 28);
    t = NULL;
    ok(tokenizer_open(&t, write_kind(&kinds[0])) == OK && tokenizer_eos(t) == 271,
       "eos from config.json, the first of a list");
    tokenizer_close(t);
}

/* Bytes that are no characters: each is U+FFFD when it is known that nothing makes it one. */
static void test_pieces(void)
{
    static const struct {
        int32_t id; /* of the byte */
        const char *text;
    } step[] = {{'a', "a"},
                {0xe2, ""},
                {0x82, ""},
                {0xac, "\xe2\x82\xac"},
                {0xc3, ""},
                {'b', "\xef\xbf\xbd"
                      "b"},
                {0xff, "\xef\xbf\xbd"},
                {0xe2, ""},
                {0x82, ""},
                {'a', "\xef\xbf\xbd"
                      "a"},
                {0xe0, ""},
                {0x82, ""},
                {'c', "\xef\xbf\xbd\xef\xbf\xbd"
                      "c"},
                {0xf0, ""}};
    struct tokenizer *t = NULL;
    struct growing g;
    bool good = tokenizer_open(&t, write_kind(&kinds[0])) == OK;
    struct encoder *e = good ? encoder_open(t) : NULL;
    growing_open(&g, e, NULL, 0);
    for (size_t i = 0; i < sizeof step / sizeof *step && good; i++) {
        good = growing_add(&g, step[i].id) == OK && g.text.n == (int64_t)strlen(step[i].text) &&
               !memcmp(g.text.at, step[i].text, (size_t)g.text.n);
        if (!good)
            printf("# step %d gives \"%.*s\" %s\n", (int)i, (int)g.text.n, g.text.at, status_text());
    }
    ok(good && growing_end(&g) == OK && g.text.n == 3 && !memcmp(g.text.at, "\xef\xbf\xbd", 3),
       "bytes that are no characters");
    growing_close(&g);
    encoder_close(e);
    tokenizer_close(t);
}

/* A word of a million characters, one after another merged: no square of the length. */
static void test_long(void)
{
    enum { N = 1000000 };
    struct tokenizer *t = NULL;
    struct ids x = {0};
    char *text = mem_new(N, 1);
    memset(text, 'l', N);
    struct encoder *e = NULL;
    bool good = tokenizer_open(&t, write_kind(&kinds[5])) == OK;
    if (good)
        e = encoder_open(t);
    ok(good && encode(e, text, N, false, &x) == OK && x.n == 1 + N / 2 && x.at[1] == 276,
       "a word of a million letters");
    encoder_close(e);
    tokenizer_close(t);
    free(x.at);
    free(text);
}

/* ---- vectors of llama.cpp ---- */

static char *next_part(char **rest, const char *end)
{
    char *part = *rest, *found = strstr(part, end);
    *rest = found ? found + strlen(end) : part + strlen(part);
    if (found)
        *found = '\0';
    return part;
}

static char *read_all(const char *path)
{
    static char text[1 << 16];
    FILE *f = fopen(path, "rb");
    text[f ? fread(text, 1, sizeof text - 1, f) : 0] = '\0';
    if (f)
        fclose(f);
    return mem_text(text);
}

static void test_vectors(void)
{
    const char *path = shared("data/tokenizers/llama3");
    struct tokenizer *t = NULL;
    if (!path) {
        ok(true, "vectors of llama.cpp # SKIP not there (set COPPICE_SHARED)");
        return;
    }
    if (!ok(tokenizer_open(&t, path) == OK, "Llama 3 opens"))
        return;
    char *in = read_all(shared("data/tokenizers/llama-bpe.gguf.inp")),
         *out = read_all(shared("data/tokenizers/llama-bpe.gguf.out"));
    struct encoder *e = encoder_open(t);
    char *texts_left = in, *ids_left = out;
    int n = 0, bad = 0;
    while (*ids_left) {
        char *text = next_part(&texts_left, "\n__ggml_vocab_test__\n"), *ids = next_part(&ids_left, "\n");
        char *got = encoded(e, text, false);
        bad += !same(got, *ids == ' ' ? ids + 1 : ids);
        n++;
    }
    ok(n > 40 && bad == 0, "Llama 3: %d vectors of llama.cpp", n);
    encoder_close(e);
    tokenizer_close(t);
    free(in);
    free(out);
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "write")) { /* for validation/text/expected.py */
        for (int k = 0; k < KINDS; k++)
            printf("%s\n", write_kind(&kinds[k]));
        return 0;
    }
    for (int k = 0; k < KINDS; k++)
        test_kind(k);
    test_about();
    test_refused();
    test_patterns();
    test_pieces();
    test_long();
    test_vectors();
    scratch_remove();
    return tap_done();
}
