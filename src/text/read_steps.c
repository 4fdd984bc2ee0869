/* tokenizer.json: normalizer, pre_tokenizer, post_processor and decoder. Each of these places has one
 * component, or a Sequence of components; a table for each place lists the known types with their keys. */
#include <stdlib.h>
#include <utf8proc.h>
#include "text/inside.h"
#include "text/utf8.h"

struct reading {
    struct tokenizer *t;
    const struct place *place;
    struct steps *steps; /* the steps of this place so far */
    const char *type;    /* of the component that is being read */
    bool ended;          /* a ByteLevel was read, behind which nothing may follow */
};

struct component {
    const char *type, *keys; /* the keys of a component, separated by blanks */
    status (*read)(struct reading *, const json_t *);
};

struct place {
    const char *name, *list; /* list: the key that holds the components of a Sequence */
    const struct component *component;
    size_t n;
};

static status read_component(struct reading *, const json_t *);

/* ---- members ---- */

static status wrong(const struct reading *r, const char *key, const char *what)
{
    return fail(E_DATA, "%s: %s: %s: %s %s", r->t->path, r->place->name, r->type, key, what);
}

/* A member that must be a text. */
static status text_of(const struct reading *r, const json_t *from, const char *key, struct bytes *out)
{
    const char *text = json_string_value(json_object_get(from, key));
    if (!text)
        return wrong(r, key, "is no text");
    bytes_add(out, text, (int64_t)strlen(text));
    return OK;
}

static bool flag_of(const json_t *from, const char *key, bool otherwise)
{
    const json_t *value = json_object_get(from, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

/* A pattern: {"String": "..."}, {"Regex": "..."}, or a text, which is a regular expression. */
static status regex_of(const struct reading *r, const json_t *from, struct step *s)
{
    const json_t *pattern = json_object_get(from, "pattern");
    const char *literal = json_string_value(json_object_get(pattern, "String"));
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    const char *text = literal ? literal : regex;
    if (!text)
        return wrong(r, "pattern", "is neither {\"String\": ...} nor {\"Regex\": ...}");
    char *where = mem_format("%s: %s: %s", r->t->path, r->place->name, r->type);
    status code = regex_open(&s->regex, where, text, (int64_t)strlen(text), literal != NULL);
    free(where);
    return code;
}

/* ---- normalizer ---- */

static status read_form(struct reading *r, const json_t *from)
{
    static const struct {
        const char *name;
        int form;
    } forms[] = {
        {"NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE},
        {"NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE},
        {"NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
        {"NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT},
    };
    (void)from;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (!strcmp(forms[i].name, r->type))
            steps_add(r->steps, STEP_FORM)->form = forms[i].form;
    return OK;
}

static status read_prepend(struct reading *r, const json_t *from)
{
    return text_of(r, from, "prepend", &steps_add(r->steps, STEP_PREPEND)->text);
}

static status read_replace(struct reading *r, const json_t *from)
{
    struct step *s = steps_add(r->steps, STEP_REPLACE);
    TRY(text_of(r, from, "content", &s->text));
    return regex_of(r, from, s);
}

static status read_strip(struct reading *r, const json_t *from)
{
    struct step *s = steps_add(r->steps, STEP_STRIP);
    s->left = flag_of(from, "strip_left", true);
    s->right = flag_of(from, "strip_right", true);
    return OK;
}

/* ---- pre_tokenizer ---- */

static status rule_of(const struct reading *r, const json_t *from, struct step *s)
{
    static const struct {
        const char *name;
        enum split_rule rule;
    } rules[] = {{"Removed", REMOVED},
                 {"Isolated", ISOLATED},
                 {"MergedWithPrevious", WITH_PREVIOUS},
                 {"MergedWithNext", WITH_NEXT},
                 {"Contiguous", CONTIGUOUS}};
    const char *name = json_string_value(json_object_get(from, "behavior"));
    for (size_t i = 0; name && i < sizeof rules / sizeof *rules; i++)
        if (!strcmp(rules[i].name, name)) {
            s->rule = rules[i].rule;
            return OK;
        }
    return wrong(r, "behavior",
                 "is none of Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous");
}

static status read_split(struct reading *r, const json_t *from)
{
    struct step *s = steps_add(r->steps, STEP_SPLIT);
    s->invert = flag_of(from, "invert", false);
    TRY(rule_of(r, from, s));
    return regex_of(r, from, s);
}

/* Add a split by a pattern that is given here. */
static status split_by(struct reading *r, const char *pattern, bool literal, enum split_rule rule,
                       bool invert)
{
    struct step *s = steps_add(r->steps, STEP_SPLIT);
    s->rule = rule;
    s->invert = invert;
    return regex_open(&s->regex, r->type, pattern, (int64_t)strlen(pattern), literal);
}

static status read_digits(struct reading *r, const json_t *from)
{
    return split_by(r, "\\p{N}", false, flag_of(from, "individual_digits", false) ? ISOLATED : CONTIGUOUS,
                    false);
}

static status read_white(struct reading *r, const json_t *from)
{
    (void)from;
    return split_by(r, "\\s", false, REMOVED, false);
}

static status read_words(struct reading *r, const json_t *from)
{
    (void)from;
    return split_by(r, "[\\w\\u200c\\u200d]+|[^\\w\\s\\u200c\\u200d]+", false, REMOVED, true);
}

static status read_byte_level(struct reading *r, const json_t *from)
{
    static const char gpt2[] =
        "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    if (flag_of(from, "add_prefix_space", true)) {
        struct step *s = steps_add(r->steps, STEP_SPACES);
        s->when = ALWAYS;
        bytes_add(&s->text, " ", 1);
    }
    if (flag_of(from, "use_regex", true))
        TRY(split_by(r, gpt2, false, ISOLATED, false));
    r->t->bpe.bytes = r->ended = true;
    return OK;
}

/* The character and the rule of a Metaspace. Older files have add_prefix_space. */
static status metaspace_of(const struct reading *r, const json_t *from, struct step *s)
{
    static const char *const schemes[] = {[NEVER] = "never", [FIRST] = "first", [ALWAYS] = "always"};
    const json_t *scheme = json_object_get(from, "prepend_scheme");
    TRY(text_of(r, from, "replacement", &s->text));
    if (s->text.n == 0 || utf8_length(s->text.at[0]) != s->text.n)
        return wrong(r, "replacement", "is not one character");
    s->when = flag_of(from, "add_prefix_space", true) ? ALWAYS : NEVER;
    if (!scheme)
        return OK;
    for (int i = NEVER; i <= ALWAYS; i++)
        if (json_is_string(scheme) && !strcmp(schemes[i], json_string_value(scheme))) {
            s->when = (enum when)i;
            return OK;
        }
    return wrong(r, "prepend_scheme", "is none of always, first, never");
}

static status read_metaspace(struct reading *r, const json_t *from)
{
    TRY(metaspace_of(r, from, steps_add(r->steps, STEP_SPACES)));
    if (!flag_of(from, "split", true))
        return OK;
    return split_by(r, json_string_value(json_object_get(from, "replacement")), true, WITH_NEXT, false);
}

/* ---- decoder ---- */

static status read_bytes(struct reading *r, const json_t *from)
{
    (void)from;
    steps_add(r->steps, STEP_BYTES);
    r->ended = true;
    return OK;
}

static status read_fallback(struct reading *r, const json_t *from)
{
    (void)from;
    steps_add(r->steps, STEP_BYTE_FALLBACK);
    return OK;
}

static status read_fuse(struct reading *r, const json_t *from)
{
    (void)from;
    steps_add(r->steps, STEP_FUSE);
    return OK;
}

static status read_trim(struct reading *r, const json_t *from)
{
    struct step *s = steps_add(r->steps, STEP_TRIM);
    json_int_t left = json_integer_value(json_object_get(from, "start"));
    json_int_t right = json_integer_value(json_object_get(from, "stop"));
    s->left = (int)(left < INT32_MAX ? left : INT32_MAX);
    s->right = (int)(right < INT32_MAX ? right : INT32_MAX);
    TRY(text_of(r, from, "content", &s->text));
    return s->text.n ? OK : wrong(r, "content", "is empty");
}

static status read_unspace(struct reading *r, const json_t *from)
{
    return metaspace_of(r, from, steps_add(r->steps, STEP_UNSPACE));
}

/* ---- post_processor ---- */

static status read_nothing(struct reading *r, const json_t *from)
{
    (void)r;
    (void)from;
    return OK;
}

/* The ids of a special token of the template. */
static status template_ids(struct reading *r, const json_t *from, const json_t *item, struct ids *out)
{
    const char *name = json_string_value(json_object_get(item, "id"));
    const json_t *token = json_object_get(json_object_get(from, "special_tokens"), name ? name : "");
    json_t *ids = json_object_get(token, "ids"), *id;
    size_t i;
    if (!json_array_size(ids))
        return wrong(r, "special_tokens", "lacks a token of the template");
    json_array_foreach(ids, i, id) {
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
            return wrong(r, "special_tokens", "has an id that is not a whole number");
        ids_add(out, (int32_t[1]){(int32_t)json_integer_value(id)}, 1);
    }
    return OK;
}

/* A template is a list: special tokens, the text, special tokens. */
static status read_template(struct reading *r, const json_t *from)
{
    json_t *single = json_object_get(from, "single"), *item;
    size_t i;
    bool text = false;
    json_array_foreach(single, i, item) {
        const json_t *special = json_object_get(item, "SpecialToken"),
                     *sequence = json_object_get(item, "Sequence");
        if (special)
            TRY(template_ids(r, from, special, text ? &r->t->after : &r->t->before));
        else if (!sequence || text)
            return wrong(r, "single", "must be a list of special tokens, with the text once among them");
        text |= !special;
    }
    return text ? OK : wrong(r, "single", "does not have the text");
}

/* ---- the tables ---- */

/* clang-format off */
static const struct component normalizers[] = {
    {"NFC", "", read_form}, {"NFD", "", read_form}, {"NFKC", "", read_form}, {"NFKD", "", read_form},
    {"Prepend", "prepend", read_prepend}, {"Replace", "pattern content", read_replace},
    {"Strip", "strip_left strip_right", read_strip},
};
static const struct component pre_tokenizers[] = {
    {"Split", "pattern behavior invert", read_split},
    {"ByteLevel", "add_prefix_space trim_offsets use_regex", read_byte_level},
    {"Digits", "individual_digits", read_digits},
    {"Metaspace", "replacement add_prefix_space prepend_scheme split str_rep", read_metaspace},
    {"Whitespace", "", read_words}, {"WhitespaceSplit", "", read_white},
};
static const struct component decoders[] = {
    {"ByteLevel", "add_prefix_space trim_offsets use_regex", read_bytes},
    {"ByteFallback", "", read_fallback}, {"Fuse", "", read_fuse}, {"Replace", "pattern content", read_replace},
    {"Strip", "content start stop", read_trim},
    {"Metaspace", "replacement add_prefix_space prepend_scheme split str_rep", read_unspace},
};
static const struct component post_processors[] = {
    {"ByteLevel", "add_prefix_space trim_offsets use_regex", read_nothing},
    {"TemplateProcessing", "single pair special_tokens", read_template},
};
#define COMPONENTS(x) x, sizeof(x) / sizeof *(x)
static const struct place normalizer = {"normalizer", "normalizers", COMPONENTS(normalizers)},
    pre_tokenizer = {"pre_tokenizer", "pretokenizers", COMPONENTS(pre_tokenizers)},
    decoder = {"decoder", "decoders", COMPONENTS(decoders)},
    post_processor = {"post_processor", "processors", COMPONENTS(post_processors)};
/* clang-format on */

static status check_keys(const struct reading *r, const json_t *from, const char *keys)
{
    const char *key;
    json_t *value;
    char *known = mem_format(" type %s ", keys);
    status s = OK;
    json_object_foreach((json_t *)(uintptr_t)from, key, value) {
        char *word = mem_format(" %s ", key);
        if (s == OK && !strstr(known, word))
            s = wrong(r, key, "is not known");
        free(word);
    }
    free(known);
    return s;
}

static status read_sequence(struct reading *r, const json_t *from)
{
    json_t *list = json_object_get(from, r->place->list), *item;
    size_t i;
    TRY(check_keys(r, from, r->place->list));
    if (!json_is_array(list))
        return wrong(r, r->place->list, "is not a list");
    json_array_foreach(list, i, item)
        TRY(read_component(r, item));
    return OK;
}

static status unknown(const struct reading *r)
{
    char *list = mem_text("Sequence");
    for (size_t i = 0; i < r->place->n; i++)
        mem_append(&list, ", %s", r->place->component[i].type);
    status s = fail(E_DATA, "%s: %s: %.60s is not supported; known are %s", r->t->path, r->place->name,
                    r->type, list);
    free(list);
    return s;
}

static status read_component(struct reading *r, const json_t *from)
{
    r->type = json_string_value(json_object_get(from, "type"));
    if (!r->type)
        return fail(E_DATA, "%s: %s: it has no member type", r->t->path, r->place->name);
    if (r->ended)
        return fail(E_DATA, "%s: %s: %.60s behind ByteLevel is not supported", r->t->path, r->place->name,
                    r->type);
    if (!strcmp(r->type, "Sequence"))
        return read_sequence(r, from);
    for (size_t i = 0; i < r->place->n; i++) {
        const struct component *c = &r->place->component[i];
        if (strcmp(c->type, r->type) != 0)
            continue;
        TRY(check_keys(r, from, c->keys));
        return c->read(r, from);
    }
    return unknown(r);
}

static status read_place(struct tokenizer *t, const json_t *root, const struct place *place,
                         struct steps *steps)
{
    const json_t *from = json_object_get(root, place->name);
    struct reading r = {.t = t, .place = place, .steps = steps};
    return from && !json_is_null(from) ? read_component(&r, from) : OK;
}

status tokenizer_read_steps(struct tokenizer *t, const json_t *root)
{
    const json_t *d = json_object_get(root, decoder.name);
    t->has_decoder = d && !json_is_null(d);
    TRY(read_place(t, root, &normalizer, &t->normalizer));
    TRY(read_place(t, root, &pre_tokenizer, &t->splitter));
    TRY(read_place(t, root, &decoder, &t->decoder));
    return read_place(t, root, &post_processor, NULL);
}
