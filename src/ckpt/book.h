/* Inside ckpt/: index.h5 as a book, in which every value passes through one digest on its way in and out. Not
 * collective. E_SPACE if writing fails; E_DATA, E_IO if reading does. What is read is the caller's after
 * success. */
#ifndef CKPT_BOOK_H
#define CKPT_BOOK_H
#include <xxhash.h>
#include "format/h5.h"
#include "model/store.h"

struct book { /* an index file being written or read */
    struct h5 *h5;
    XXH3_state_t *digest;
    int64_t version;
    int n_kinds; /* what the file's numbers mean */
    enum kind *kind;
    int n_types;
    dtype *type;
};

enum { COLUMNS_MOST = 16 };
struct table { /* numbers with named columns */
    int64_t rows, columns, *x;
    int64_t at[COLUMNS_MOST]; /* where each wanted column is, -1: nowhere */
};

void book_open(struct book *);
status book_put_i64(struct book *, const char *name, const int64_t *x, int64_t rows,
                    int64_t columns) MUST_USE;
status book_put_text(struct book *, const char *name, const char *text) MUST_USE;
status book_put_lines(struct book *, const char *name, char *const lines[], int64_t n) MUST_USE;
status book_get_i64(struct book *, const char *name, int64_t **x, int64_t *rows, int64_t *columns) MUST_USE;
status book_get_text(struct book *, const char *name, char **text) MUST_USE;
status book_get_lines(struct book *, const char *name, char ***lines, int64_t *n) MUST_USE;
void book_free_lines(char **lines, int64_t n);

/** The names of a table's columns, n of them. They have no blanks. */
status book_put_columns(struct book *, const char *name, const char *const *column, int n) MUST_USE;
/** The table `name`, with its columns by the names in NAME_columns; up to version 2 they stood in the order
 * of column[n]. The first `needed` must be there. */
status book_get_table(struct book *, const char *name, const char *const *column, int needed, int n,
                      struct table *) MUST_USE;
/** A number of a row; `otherwise` if the table has no such column. */
int64_t table_cell(const struct table *, int64_t row, int column, int64_t otherwise);

#endif
