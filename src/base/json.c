#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
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

/* The bytes of a regular file, in *text (owned by the caller) unless it fails. */
static status read_file(const char *path, int64_t limit, char **text, int64_t *size)
{
    struct stat about;
    /* O_NONBLOCK: opening a pipe that somebody put there must not hang. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!f)
        return fail(E_DATA, "%s: cannot be read: %s", path, strerror(errno));
    if (fstat(fileno(f), &about) != 0 || !S_ISREG(about.st_mode)) {
        fclose(f);
        return fail(E_DATA, "%s: not a regular file", path);
    }
    if (about.st_size > limit) {
        fclose(f);
        return fail(E_DATA, "%s: %lld bytes are more than the %lld that this file may have", path,
                    (long long)about.st_size, (long long)limit);
    }
    *size = about.st_size;
    *text = mem_new(*size, 1);
    size_t got = fread(*text, 1, (size_t)*size, f);
    fclose(f);
    if (got == (size_t)*size)
        return OK;
    free(*text);
    return fail(E_DATA, "%s: only %zu of %lld bytes could be read", path, got, (long long)*size);
}

status json_read_file(json_t **out, const char *path, int64_t limit)
{
    char *text = NULL;
    int64_t size = 0;
    TRY(read_file(path, limit, &text, &size));
    status s = json_parse(out, path, text, size);
    free(text);
    return s;
}

status json_write_file(const json_t *value, const char *path, int indent)
{
    char *partial = mem_format("%s.tmp", path);
    FILE *f = fopen(partial, "we");
    bool good = f && json_dumpf(value, f, JSON_INDENT((size_t)indent)) == 0 && fputc('\n', f) != EOF;
    if (f)
        good = fclose(f) == 0 && good;
    good = good && rename(partial, path) == 0;
    status s = good ? OK : fail(E_SPACE, "%s: cannot be written: %s", path, strerror(errno));
    if (f && !good)
        unlink(partial);
    free(partial);
    return s;
}
