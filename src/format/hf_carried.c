/* Keys of config.json that an export repeats, because they say how a model is used and not what it computes:
 * initializer_range, and token ids, for which transformers would otherwise take 1 and 2. */
#include "format/hf_keys.h"

#include <stdbool.h>
#include <string.h>

static bool ends_in(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n > m && strcmp(name + n - m, suffix) == 0;
}

static bool is_id_list(const json_t *value)
{
    size_t i;
    json_t *id;
    json_array_foreach(value, i, id)
        if (!json_is_integer(id))
            return false;
    return json_is_array(value);
}

static bool is_carried(const char *name, const json_t *value)
{
    if (ends_in(name, "_token_id"))
        return json_is_integer(value) || json_is_null(value) || is_id_list(value);
    return !strcmp(name, "initializer_range") && json_is_number(value);
}

char *carried_keys(json_t *root)
{
    const char *name;
    json_t *value, *kept = json_object();
    json_object_foreach(root, name, value)
        if (is_carried(name, value))
            json_object_set(kept, name, value);
    char *text = json_object_size(kept) ? json_text(kept, JSON_COMPACT) : NULL;
    json_decref(kept);
    return text;
}
