/* The tokens that begin and end a text: from tokenizer_config.json, else config.json, else by their usual
 * names. */
#include <stdlib.h>
#include "base/io.h"
#include "text/inside.h"

enum { FILE_BYTES = 16 << 20 };

/* A JSON file beside the tokenizer; NULL if it is absent or not valid. */
static json_t *beside(const struct tokenizer *t, const char *name)
{
    const char *slash = strrchr(t->path, '/');
    char *path = mem_format("%.*s%s", slash ? (int)(slash + 1 - t->path) : 0, t->path, name);
    json_t *root = NULL;
    if (io_exists(path) && json_read_file(&root, path, FILE_BYTES) != OK)
        root = NULL;
    free(path);
    return root;
}

/* A token given as in "eos_token": a text, or an object with its content. */
static int32_t by_text(const struct tokenizer *t, const json_t *value)
{
    const char *text = json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
    return text ? tokenizer_id(t, text) : -1;
}

/* A token given as in "eos_token_id": a number, or a list, of which the first number counts. */
static int32_t by_number(const struct tokenizer *t, const json_t *value)
{
    int64_t n;
    const json_t *id = json_is_array(value) ? json_array_get(value, 0) : value;
    bool good = json_is_integer(id) && vocab_text(&t->vocab, json_integer_value(id), &n);
    return good ? (int32_t)json_integer_value(id) : -1;
}

static int32_t by_name(const struct tokenizer *t, const char *const names[4])
{
    int32_t id = -1;
    for (int i = 0; i < 4 && id < 0; i++)
        id = tokenizer_id(t, names[i]);
    return id;
}

void tokenizer_find_specials(struct tokenizer *t)
{
    static const char *const bos[4] = {"<|begin_of_text|>", "<s>", "<bos>", "<|endoftext|>"};
    static const char *const eos[4] = {"<|end_of_text|>", "</s>", "<eos>", "<|endoftext|>"};
    json_t *words = beside(t, "tokenizer_config.json"), *numbers = beside(t, "config.json");
    t->bos = by_text(t, json_object_get(words, "bos_token"));
    t->eos = by_text(t, json_object_get(words, "eos_token"));
    if (t->bos < 0)
        t->bos = by_number(t, json_object_get(numbers, "bos_token_id"));
    if (t->eos < 0)
        t->eos = by_number(t, json_object_get(numbers, "eos_token_id"));
    if (t->bos < 0)
        t->bos = by_name(t, bos);
    if (t->eos < 0)
        t->eos = by_name(t, eos);
    json_decref(words);
    json_decref(numbers);
}
