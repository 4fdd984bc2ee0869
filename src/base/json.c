#include "base/json.h"

#include <ctype.h>
#include <float.h>
#include <stdio.h>
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
    return json_parse_line(out, where, 1, text, n);
}

status json_parse_line(json_t **out, const char *where, int64_t line, const char *text, int64_t n)
{
    json_error_t error;
    json_t *value = json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, &error);
    if (!value)
        return fail(E_DATA, "%s:%lld:%d: not valid JSON: %s", where, (long long)line + error.line - 1,
                    error.column, error.text);
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

/* The fewest digits that read back as x. As in Python, with an exponent only below 1e-4 and from 1e16 on. */
static void shortest(char out[40], double x)
{
    int digits = 1;
    for (; digits <= DBL_DECIMAL_DIG; digits++) {
        snprintf(out, 40, "%.*e", digits - 1, x);
        if (strtod(out, NULL) == x)
            break;
    }
    int exponent = atoi(strchr(out, 'e') + 1), decimals = digits - 1 - exponent;
    if (exponent >= -4 && exponent < 16)
        snprintf(out, 40, "%.*f", decimals > 1 ? decimals : 1, x);
}

/* Length of the token at `at`: a string with its quotes, a number, or one byte of anything else. */
static size_t token(const char *at)
{
    const char *end = at + 1;
    if (*at == '-' || isdigit((unsigned char)*at))
        return strspn(at, "+-.0123456789eE");
    if (*at != '"')
        return 1;
    for (; *end != '"'; end++)
        end += *end == '\\';
    return (size_t)(end - at) + 1;
}

/* jansson writes all reals with 17 digits, and this replaces them. Twice the length is enough room: 1e16
 * becomes 1e+16. */
char *json_text(const json_t *value, size_t flags)
{
    char *long_text = json_dumps(value, flags | JSON_ENCODE_ANY), real[40];
    char *text = mem_new(2 * (int64_t)strlen(long_text) + 1, 1), *to = text;
    for (const char *from = long_text, *next; *from; from = next) {
        size_t n = token(from);
        next = from + n;
        if (*from != '"' && n > 1 && strcspn(from, ".eE") < n) {
            shortest(real, strtod(from, NULL));
            n = strlen(real);
            from = real;
        }
        memcpy(to, from, n);
        to += n;
    }
    free(long_text);
    return text;
}

status json_write_file(const json_t *value, const char *path, int indent)
{
    char *text = json_text(value, JSON_INDENT((size_t)indent)), *line = mem_format("%s\n", text);
    status s = file_replace(path, line);
    free(line);
    free(text);
    return s;
}

void json_print(json_t *value)
{
    char *text = json_text(value, JSON_INDENT(1));
    puts(text);
    free(text);
    json_decref(value);
}
