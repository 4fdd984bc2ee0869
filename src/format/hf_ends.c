#include "format/hf_ends.h"

#include <stdlib.h>
#include <string.h>
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"

enum { FILE_BYTES = 1 << 20 };

static void add(const json_t *id, int32_t ends[ENDS_MOST], int *n)
{
    json_int_t value = json_integer_value(id);
    if (json_is_integer(id) && value >= 0 && value <= INT32_MAX && *n < ENDS_MOST)
        ends[(*n)++] = (int32_t)value;
}

static void take(json_t *root, int32_t ends[ENDS_MOST], int *n)
{
    const json_t *value = json_object_get(root, "eos_token_id");
    add(value, ends, n);
    for (size_t i = 0; i < json_array_size(value); i++)
        add(json_array_get(value, i), ends, n);
    json_decref(root);
}

status hf_ends(const char *folder, const char *keys, int32_t ends[ENDS_MOST], int *n)
{
    json_t *root = NULL;
    char *path = mem_format("%s/generation_config.json", folder);
    status code = *folder && io_exists(path) ? json_read_file(&root, path, FILE_BYTES) : OK;
    free(path);
    *n = 0;
    TRY(code);
    take(root, ends, n);
    if (*n > 0 || !*keys)
        return OK;
    TRY(json_parse(&root, "config.json", keys, (int64_t)strlen(keys)));
    take(root, ends, n);
    return OK;
}
