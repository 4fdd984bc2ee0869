/* The index of a checkpoint: a good one in which the input replaces datasets. An input consists of records: a
 * byte that names the dataset, a byte with the length / 8, and so many bytes. An empty input is the good
 * index. The bytes of HDF5 itself are not changed, because its library does not withstand hostile files (t_h5
 * has damaged ones). */
#include <stdbool.h>
#include <string.h>
#include "ckpt/extent.h"
#include "format/h5.h"
#include "fuzz.h"

enum type { NUMBERS, TEXT, LINES };
static struct dataset {
    const char *name;
    enum type type;
    int64_t rows, columns; /* of numbers; rows also of lines */
    int64_t *number;
    char *text, **line;
} datasets[] = {
    {.name = "version"},
    {.name = "state", .type = TEXT},
    {.name = "config", .type = TEXT},
    {.name = "deck", .type = TEXT},
    {.name = "tensor_names", .type = LINES},
    {.name = "tensors"},
    {.name = "tensors_columns", .type = TEXT},
    {.name = "files", .type = LINES},
    {.name = "extents"},
    {.name = "extents_columns", .type = TEXT},
    {.name = "hashes"},
    {.name = "digest"},
    {.name = "data", .type = TEXT}, /* from here on in the order of versions: inputs name them by number */
    {.name = "about", .type = TEXT},
    {.name = "kinds", .type = LINES},
    {.name = "types", .type = LINES},
};
enum { DATASETS = sizeof datasets / sizeof *datasets };

#define MUST(call)                               \
    do {                                         \
        if ((call) != OK)                        \
            bug("%s: %s", #call, status_text()); \
    } while (0)

/* Two tensors in two files. */
static void write_good(const char *path)
{
    char deck[] = "run: {steps: 2}", a[] = "a.h5", b[] = "b.h5", *files[] = {a, b};
    struct tensor tensor[2] = {{.name = "embed", .dim = {1, 8, 4}}, {.name = "norm", .dim = {1, 1, 4}}};
    struct extent extent[3];
    struct ckpt_index x = {.n_tensors = 2, .n_extents = 3, .n_files = 2, .tensor = tensor, .extent = extent};
    x.file = files;
    x.state =
        (struct ckpt_state){.step = 2, .samples = 8, .tokens = 64, .horizon = 4, .leg = 1, .deck = deck};
    x.config = (struct config){.hidden = 4,
                               .ffn = 8,
                               .layers = 1,
                               .heads = 2,
                               .kv_heads = 1,
                               .head_dim = 2,
                               .vocab = 8,
                               .norm_eps = 1e-5,
                               .rope = {.theta = 10000},
                               .max_positions = 16};
    for (int i = 0; i < 3; i++) {
        struct shard s = {.tensor = i / 2, .kind = MASTER};
        s.part = (piece){slab_whole(tensor[i / 2].dim), i % 2 * 16, i == 2 ? 4 : 16};
        extent[i] = (struct extent){.shard = s, .file = i % 2, .offset = 4096, .digest = (uint64_t)i};
    }
    MUST(ckpt_index_write(&x, path));
}

static void read_dataset(struct h5 *h, struct dataset *d)
{
    if (d->type == NUMBERS)
        MUST(h5_read_i64(h, d->name, &d->number, &d->rows, &d->columns));
    else if (d->type == TEXT)
        MUST(h5_read_text(h, d->name, &d->text));
    else
        MUST(h5_read_lines(h, d->name, &d->line, &d->rows));
}

static void release(struct dataset *d)
{
    for (int64_t i = 0; d->line && i < d->rows; i++)
        free(d->line[i]);
    free(d->line);
    free(d->text);
    free(d->number);
}

static void release_all(void)
{
    for (int i = 0; i < DATASETS; i++)
        release(&datasets[i]);
}

static void read_good(const char *path)
{
    struct h5 *h;
    write_good(path);
    MUST(h5_open(&h, path));
    for (int i = 0; i < DATASETS; i++)
        read_dataset(h, &datasets[i]);
    h5_abandon(h);
    atexit(release_all);
}

/* Text without NUL, which HDF5's fixed strings cannot hold. */
static char *text_of(const uint8_t *data, size_t n)
{
    char *text = mem_new((int64_t)n + 1, 1);
    for (size_t i = 0; i < n; i++)
        text[i] = data[i] ? (char)data[i] : ' ';
    return text;
}

/* As `d`, with what the bytes say: rows of as many columns, a text, or as many lines as the good one. */
static struct dataset replaced(const struct dataset *d, const uint8_t *data, size_t n)
{
    struct dataset r = *d;
    r.number = NULL;
    r.text = NULL;
    r.line = NULL;
    if (d->type == TEXT) {
        r.text = text_of(data, n);
    } else if (d->type == NUMBERS) {
        r.rows = (int64_t)n / 8 / d->columns;
        r.number = mem_new(r.rows * d->columns, sizeof *r.number);
        if (r.rows > 0)
            memcpy(r.number, data, (size_t)(r.rows * d->columns) * sizeof *r.number);
    } else {
        r.line = mem_new(r.rows, sizeof *r.line);
        for (int64_t i = 0; i < r.rows; i++)
            r.line[i] = text_of(data + n / (size_t)r.rows * (size_t)i, n / (size_t)r.rows);
    }
    return r;
}

static void write_dataset(struct h5 *h, const struct dataset *d)
{
    if (d->type == NUMBERS)
        MUST(h5_write_i64(h, d->name, d->number, d->rows, d->columns));
    else if (d->type == TEXT)
        MUST(h5_write_text(h, d->name, d->text));
    else
        MUST(h5_write_lines(h, d->name, d->line, d->rows));
}

static void write_all(const char *path, const struct dataset *with)
{
    struct h5 *h;
    unlink(path);
    MUST(h5_create(&h, path));
    for (int i = 0; i < DATASETS; i++)
        write_dataset(h, &with[i]);
    h5_abandon(h);
}

status fuzz_parse(const uint8_t *data, size_t size)
{
    struct dataset with[DATASETS];
    bool changed[DATASETS] = {false};
    char *path = fuzz_path("index.h5");
    if (!datasets[0].number)
        read_good(path);
    memcpy(with, datasets, sizeof with);
    for (size_t n; size >= 2; data += n, size -= n) {
        int i = data[0] % DATASETS;
        n = (size_t)data[1] * 8;
        data += 2;
        size -= 2;
        n = n < size ? n : size;
        if (changed[i])
            release(&with[i]);
        changed[i] = true;
        with[i] = replaced(&datasets[i], data, n);
    }
    write_all(path, with);
    for (int i = 0; i < DATASETS; i++)
        if (changed[i])
            release(&with[i]);
    free(path);

    struct ckpt_index x;
    status s = ckpt_index_read(&x, fuzz_folder());
    if (s == OK)
        ckpt_index_free(&x);
    return s;
}
