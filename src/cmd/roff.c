#include "cmd/roff.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

/* Append n bytes; with `code` a backquote begins and ends bold letters. */
static void append(char **page, const char *text, size_t n, bool code)
{
    bool bold = false;
    if (n > 0 && (*text == '.' || *text == '\''))
        mem_append(page, "\\&");
    for (size_t i = 0; i < n; i++)
        if (code && text[i] == '`')
            mem_append(page, (bold = !bold) ? "\\fB" : "\\fR");
        else if (text[i] == '\\')
            mem_append(page, "\\e");
        else if (text[i] == '-')
            mem_append(page, "\\-");
        else
            mem_append(page, "%c", text[i]);
}

void roff_words(char **page, const char *text)
{
    append(page, text, strlen(text), false);
}

void roff_item(char **page, const char *tag, const char *behind, const char *text)
{
    mem_append(page, ".TP\n\\fB");
    roff_words(page, tag);
    mem_append(page, "\\fR%s", *behind ? " " : "");
    roff_words(page, behind);
    mem_append(page, "\n");
    roff_words(page, text);
    mem_append(page, "\n");
}

static void line(char **page, const char *text, size_t n, bool fenced)
{
    if (!fenced && (n == 0 || *text == '#')) {
        mem_append(page, ".PP\n");
        return;
    }
    size_t skip = fenced ? 0 : strspn(text, " ");
    if (!fenced && n > 2 && strncmp(text, "- ", 2) == 0) {
        mem_append(page, ".IP \\(bu 2\n");
        skip = 2;
    }
    append(page, text + skip, n - skip, !fenced);
    mem_append(page, "\n");
}

void roff_markdown(char **page, const char *text)
{
    bool fenced = false;
    for (size_t n; *text; text += n + (text[n] == '\n')) {
        n = strcspn(text, "\n");
        if (strncmp(text, "```", 3) == 0)
            mem_append(page, (fenced = !fenced) ? ".nf\n" : ".fi\n");
        else
            line(page, text, n, fenced);
    }
}
