#include "ckpt/book.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

void book_open(struct book *b)
{
    b->digest = XXH3_createState();
    XXH3_64bits_reset(b->digest);
}

static void add(struct book *b, const void *x, size_t bytes)
{
    XXH3_64bits_update(b->digest, x, bytes);
}

status book_put_i64(struct book *b, const char *name, const int64_t *x, int64_t rows, int64_t columns)
{
    add(b, x, (size_t)(rows * columns) * sizeof *x);
    return h5_write_i64(b->h5, name, x, rows, columns);
}

status book_put_text(struct book *b, const char *name, const char *text)
{
    add(b, text, strlen(text) + 1);
    return h5_write_text(b->h5, name, text);
}

status book_put_lines(struct book *b, const char *name, char *const lines[], int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        add(b, lines[i], strlen(lines[i]) + 1);
    return h5_write_lines(b->h5, name, lines, n);
}

status book_get_i64(struct book *b, const char *name, int64_t **x, int64_t *rows, int64_t *columns)
{
    int64_t *read;
    TRY(h5_read_i64(b->h5, name, &read, rows, columns));
    add(b, read, (size_t)(*rows * *columns) * sizeof *read);
    if (*rows <= INT32_MAX && *columns <= 1 << 10) {
        *x = read;
        return OK;
    }
    free(read);
    return fail(E_DATA, "%s: %lld x %lld numbers make no sense", name, (long long)*rows, (long long)*columns);
}

status book_get_text(struct book *b, const char *name, char **text)
{
    TRY(h5_read_text(b->h5, name, text));
    add(b, *text, strlen(*text) + 1);
    return OK;
}

void book_free_lines(char **lines, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        free(lines[i]);
    free(lines);
}

status book_get_lines(struct book *b, const char *name, char ***lines, int64_t *n)
{
    char **read;
    TRY(h5_read_lines(b->h5, name, &read, n));
    for (int64_t i = 0; i < *n; i++)
        add(b, read[i], strlen(read[i]) + 1);
    if (*n <= INT32_MAX) {
        *lines = read;
        return OK;
    }
    book_free_lines(read, *n);
    return fail(E_DATA, "%s: too many lines", name);
}

/* ---- tables ---- */

/* Names of columns, with blanks between them. */
status book_put_columns(struct book *b, const char *name, const char *const *column, int n)
{
    char *text = mem_text("");
    for (int i = 0; i < n; i++)
        mem_append(&text, "%s%s", i ? " " : "", column[i]);
    status s = book_put_text(b, name, text);
    free(text);
    return s;
}

/* Which of the names in `text` is `name`? */
static int64_t column_of(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (int64_t i = 0; *text; i++) {
        size_t length = strcspn(text, " ");
        if (length == n && !strncmp(text, name, n))
            return i;
        text += length + (text[length] == ' ');
    }
    return -1;
}

/* Columns that came later may be missing. */
static status find_columns(struct table *t, const char *name, const char *text, const char *const *column,
                           int needed, int n)
{
    for (int i = 0; i < n; i++) {
        t->at[i] = text ? column_of(text, column[i]) : i < t->columns ? i : -1;
        if (t->at[i] >= t->columns || (i < needed && t->at[i] < 0))
            return fail(E_DATA, "%s: has no column %s", name, column[i]);
    }
    return OK;
}

/* `needed` of the n columns must be there. t->x is the caller's after success. */
status book_get_table(struct book *b, const char *name, const char *const *column, int needed, int n,
                      struct table *t)
{
    char *columns = mem_format("%s_columns", name), *text = NULL;
    status s = book_get_i64(b, name, &t->x, &t->rows, &t->columns);
    if (s == OK) {
        s = book_get_text(b, columns, &text);
        if (s == OK)
            s = find_columns(t, name, b->version > 2 ? text : NULL, column, needed, n);
        free(text);
        if (s != OK)
            free(t->x);
    }
    free(columns);
    return s;
}

int64_t table_cell(const struct table *t, int64_t row, int column, int64_t otherwise)
{
    return t->at[column] < 0 ? otherwise : t->x[row * t->columns + t->at[column]];
}
