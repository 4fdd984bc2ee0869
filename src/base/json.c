#include "base/json.h"

#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"

enum { NESTING = 16 };

static bool deeper_than(json_t *value, int levels)
{
    const char *key;
    size_t i;
    json_t *child;
    if (json_is_object(value) || json_is_array(value)) {
        if (levels == 0)
            return true;
        json_object_foreach(value, key, child)
            if (deeper_than(child, levels - 1))
                return true;
        json_array_foreach(value, i, child)
            if (deeper_than(child, levels - 1))
                return true;
    }
    return false;
}

status json_parse(json_t **out, const char *where, const char *text, int64_t n)
{
    json_error_t error;
    json_t *value = json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, &error);
    if (!value)
        return fail(E_DATA, "%s:%d:%d: not valid JSON: %s", where, error.line, error.column, error.text);
    if (deeper_than(value, NESTING)) {
        json_decref(value);
        return fail(E_DATA, "%s: JSON nested deeper than %d levels", where, NESTING);
    }
    *out = value;
    return OK;
}

status json_read_file(json_t **out, const char *path, int64_t limit)
{
    char *text = NULL;
    int64_t size = 0;
    TRY(file_load(path, limit, &text, &size));
    status s = json_parse(out, path, text, size);
    free(text);
    return s;
}

status json_write_file(const json_t *value, const char *path, int indent)
{
    char *text = json_dumps(value, JSON_INDENT((size_t)indent)), *line = mem_format("%s\n", text);
    status s = file_replace(path, line);
    free(line);
    free(text);
    return s;
}
