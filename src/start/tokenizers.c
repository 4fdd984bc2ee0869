#include "start/tokenizers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "format/tokens.h"
#include "text/tokenizer.h"

enum { FILE_BYTES = 64 << 20 };

/* The file PREFIX.json of coppice tokenize; NULL if there is none. */
static json_t *about_set(const char *path)
{
    char *prefix = tokens_prefix(path), *name = mem_format("%s.json", prefix);
    json_t *root = NULL;
    if (!io_exists(name) || json_read_file(&root, name, FILE_BYTES) != OK)
        root = NULL;
    free(prefix);
    free(name);
    return root;
}

static void compare(const char *path, const char *file, const char *digest, int64_t vocab)
{
    json_t *root = about_set(path);
    const json_t *tokenizer = json_object_get(root, "tokenizer");
    const char *made = json_string_value(json_object_get(tokenizer, "xxh3"));
    const char *by = json_string_value(json_object_get(tokenizer, "file"));
    int64_t its = json_integer_value(json_object_get(tokenizer, "vocabulary"));
    if (made && *digest && strcmp(made, digest) != 0)
        log_warn("%s was made with another tokenizer (%s) than the model's (%s): its ids may mean other "
                 "texts to the model",
                 path, by ? by : "unknown", file);
    else if (its > vocab)
        log_warn("%s was made with a tokenizer of %lld tokens (%s), and the model has %lld", path,
                 (long long)its, by ? by : "unknown", (long long)vocab);
    json_decref(root);
}

static void compare_all(const struct data_items *items, const char *file, const char *digest, int64_t vocab)
{
    for (int64_t i = 0; i < items->n; i++)
        compare(items->item[i].path, file, digest, vocab);
}

status start_tokenizer(struct tokenizer **t, const char *path, const struct config *model)
{
    TRY(tokenizer_open(t, path));
    int64_t its = tokenizer_vocabulary(*t);
    return its <= model->vocab
               ? OK
               : fail(E_DATA, "%s has %lld tokens, the model %lld: it is another model's tokenizer",
                      tokenizer_path(*t), (long long)its, (long long)model->vocab);
}

void start_compare_tokenizers(const struct deck *deck, const struct config *target)
{
    char *file = mem_format("%s/tokenizer.json", target->carried.folder), digest[20] = "";
    uint64_t sum;
    if (*target->carried.folder && io_exists(file) && tokenizer_file_digest(file, &sum) == OK)
        snprintf(digest, sizeof digest, "%016llx", (unsigned long long)sum);
    compare_all(&deck->data.train, file, digest, target->vocab);
    compare_all(&deck->data.valid, file, digest, target->vocab);
    free(file);
}
