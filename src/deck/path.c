/* Path values: environment variables, and the folder that a relative path begins in. */
#include "deck/inside.h"

#include "base/mem.h"
#include "base/printable.h"

enum { PATH_BYTES = 4096 };
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void append(char **text, const char *more, size_t n)
{
    mem_append(text, "%.*s", (int)n, more);
}

/* The value of ${inside}: that of the variable, or the text behind ":-". NULL with *why if there is neither.
 */
static char *lookup(const char *inside, size_t n, char **why)
{
    char *name = mem_format("%.*s", (int)n, inside), *value = NULL;
    char *instead = strstr(name, ":-");
    if (instead) {
        *instead = '\0';
        instead += 2;
    }
    bool good = *name && !isdigit((unsigned char)*name);
    for (const char *c = name; *c; c++)
        good = good && (isalnum((unsigned char)*c) || *c == '_');
    const char *found = good ? getenv(name) : NULL;
    if (!good)
        *why = mem_format("'${%.*s}' is not a variable; write ${NAME} or ${NAME:-text}",
                          (int)(n < 60 ? n : 60), inside);
    else if (found && *found)
        value = mem_text(found);
    else if (instead)
        value = mem_text(instead);
    else
        *why =
            mem_format("${%s} is %s; set it, or write ${%s:-text}", name, found ? "empty" : "not set", name);
    free(name);
    return value;
}

/* Replace every ${...}; $${ means a literal ${. NULL with *why on a mistake. */
static char *expand(const char *text, char **why)
{
    char *out = mem_text("");
    while (*text && !*why) {
        size_t plain = strcspn(text, "$");
        append(&out, text, plain);
        text += plain;
        if (strncmp(text, "$${", 3) == 0) {
            append(&out, "${", 2);
            text += 3;
        } else if (strncmp(text, "${", 2) == 0) {
            const char *end = strchr(text, '}');
            char *value = end ? lookup(text + 2, (size_t)(end - text - 2), why) : NULL;
            if (!end)
                *why = mem_text("${ without }");
            if (value)
                append(&out, value, strlen(value));
            free(value);
            text = end ? end + 1 : text;
        } else if (*text) {
            append(&out, text++, 1);
        }
    }
    if (*why) {
        free(out);
        return NULL;
    }
    return out;
}

/* Remove "./" and doubled slashes. ".." stays, because folders may be symbolic links. */
static void tidy(char *path)
{
    char *to = path;
    for (const char *from = path; *from;) {
        if (from[0] == '/' && (from[1] == '/' || from[1] == '\0') && from != path)
            from++;
        else if (from[0] == '/' && from[1] == '/')
            from++;
        else if (from[0] == '/' && from[1] == '.' && (from[2] == '/' || (from[2] == '\0' && to != path)))
            from += 2;
        else
            *to++ = *from++;
    }
    *to = '\0';
}

char *path_absolute(const char *folder, const char *path)
{
    char *whole;
    if (*path == '/') {
        whole = mem_text(path);
    } else if (folder && *folder == '/') {
        whole = mem_format("%s/%s", folder, path);
    } else {
        char *here = getcwd(NULL, 0);
        whole = mem_format("%s/%s/%s", here ? here : ".", folder ? folder : ".", path);
        free(here);
    }
    tidy(whole);
    return whole;
}

char *path_resolve(const char *name, const struct scalar *at, struct errors *errors)
{
    char *why = NULL, *path = NULL, *text = NULL;
    if (strlen(at->text) > PATH_BYTES)
        why = mem_format("the path is longer than %d bytes", PATH_BYTES);
    else
        text = expand(at->text, &why);
    if (text && !*text)
        why = mem_text("expected a path, not an empty text");
    else if (text && (strcmp(text, "~") == 0 || strncmp(text, "~/", 2) == 0))
        why = mem_text("~ is not replaced; write ${HOME}");
    else if (text && strlen(text) > PATH_BYTES)
        why = mem_format("the path is longer than %d bytes", PATH_BYTES);
    else if (text && !text_clean(text, strlen(text)))
        why = mem_text("a path must be UTF-8 without control characters and line breaks");
    if (why)
        errors_add(errors, at->where, "%s: %s", name, why);
    else
        path = path_absolute(at->folder, text);
    free(text);
    free(why);
    return path;
}
