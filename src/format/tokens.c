#include "format/tokens.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/file.h"
#include "base/io.h"
#include "format/tokens_idx.h"

static const struct {
    const char *name;
    int size; /* bytes; 0: not a type of tokens */
} types[TYPES] = {
    [U8] = {"u8", 1},   [I8] = {"i8", 1},       [I16] = {"i16", 2},     [I32] = {"i32", 4},
    [I64] = {"i64", 8}, [F64] = {"float64", 0}, [F32] = {"float32", 0}, [U16] = {"u16", 2},
    [U32] = {"u32", 4}, [U64] = {"u64", 8}, /* only forks of Megatron have these */
};

/* ---- opening ---- */

static status check_header(const char *path, const struct idx_header *h, int64_t size)
{
    if (memcmp(h->magic, idx_magic, sizeof idx_magic) != 0)
        return fail(E_DATA, "%s: not a Megatron index (it does not begin with MMIDIDX)", path);
    if (h->version != 1)
        return fail(E_DATA, "%s: version %llu of the format; only 1 is known", path,
                    (unsigned long long)h->version);
    if (h->type == 0 || h->type >= TYPES)
        return fail(E_DATA, "%s: the format has no type code %d", path, h->type);
    if (types[h->type].size == 0)
        return fail(E_DATA, "%s: its tokens are %s; tokens are integers", path, types[h->type].name);
    /* Counts are compared with the file's size before they are multiplied, so that nothing overflows. */
    uint64_t words = (uint64_t)(size - (int64_t)sizeof *h) / 4;
    if (h->sequences > words || h->documents > words)
        return fail(E_DATA,
                    "%s: it promises %llu sequences and %llu documents, more than its %lld bytes hold", path,
                    (unsigned long long)h->sequences, (unsigned long long)h->documents, (long long)size);
    if (h->documents == 0)
        return fail(E_DATA, "%s: its list of documents is empty, but it must have one entry at least", path);
    int64_t sequences = (int64_t)h->sequences, documents = (int64_t)h->documents;
    int64_t expected = (int64_t)sizeof *h + 12 * sequences + 8 * documents;
    if (size == expected + sequences && sequences > 0)
        return fail(E_DATA, "%s: it lists modes of sequences (multimodal data), which are not supported",
                    path);
    if (size != expected)
        return fail(E_DATA, "%s: %lld bytes, but %lld sequences and %lld documents need %lld", path,
                    (long long)size, (long long)sequences, (long long)documents - 1, (long long)expected);
    return OK;
}

/* Set the running count of tokens from the lengths, and check that every sequence lies in the .bin file. */
static status check_sequences(struct tokens *t, const char *idx, const int32_t *length, int64_t bytes)
{
    int64_t size = types[t->type].size;
    for (int64_t i = 0; i < t->sequences; i++) {
        if (length[i] < 0)
            return fail(E_DATA, "%s: sequence %lld has %d tokens", idx, (long long)i, length[i]);
        if (t->pointer[i] < 0 || t->pointer[i] > bytes || length[i] * size > bytes - t->pointer[i])
            return fail(E_DATA,
                        "%s: sequence %lld lies at byte %lld, %d tokens of %lld bytes, outside the .bin file "
                        "of %lld bytes",
                        idx, (long long)i, (long long)t->pointer[i], length[i], (long long)size,
                        (long long)bytes);
        t->start[i + 1] = mem_add(t->start[i], length[i]);
    }
    t->total = t->start[t->sequences];
    return OK;
}

static status check_documents(const struct tokens *t, const char *idx)
{
    if (t->document[0] != 0)
        return fail(E_DATA, "%s: the first document begins with sequence %lld, not 0", idx,
                    (long long)t->document[0]);
    for (int64_t i = 0; i < t->documents; i++)
        if (t->document[i + 1] < t->document[i] || t->document[i + 1] > t->sequences)
            return fail(E_DATA, "%s: document %lld: sequences %lld to %lld of %lld are not a range", idx,
                        (long long)i, (long long)t->document[i], (long long)t->document[i + 1],
                        (long long)t->sequences);
    if (t->document[t->documents] != t->sequences)
        return fail(E_DATA, "%s: %lld sequences, but the documents hold only %lld", idx,
                    (long long)t->sequences, (long long)t->document[t->documents]);
    return OK;
}

static status take_index(struct tokens *t, const char *idx, const char *bytes, int64_t size,
                         int64_t bin_bytes)
{
    struct idx_header h;
    if (size < (int64_t)sizeof h)
        return fail(E_DATA, "%s: %lld bytes are too few for an index", idx, (long long)size);
    memcpy(&h, bytes, sizeof h);
    TRY(check_header(idx, &h, size));
    t->type = h.type;
    t->sequences = (int64_t)h.sequences;
    t->documents = (int64_t)h.documents - 1;
    t->start = mem_new(t->sequences + 1, sizeof *t->start);
    t->pointer = mem_new(t->sequences, sizeof *t->pointer);
    t->document = mem_new(t->documents + 1, sizeof *t->document);
    const char *lengths = bytes + sizeof h, *pointers = lengths + 4 * t->sequences,
               *documents = pointers + 8 * t->sequences;
    memcpy(t->pointer, pointers, (size_t)(documents - pointers));
    memcpy(t->document, documents, 8 * (size_t)(t->documents + 1));
    int32_t *length = mem_new(t->sequences, sizeof *length);
    memcpy(length, lengths, (size_t)(pointers - lengths));
    status s = check_sequences(t, idx, length, bin_bytes);
    free(length);
    TRY(s);
    return check_documents(t, idx);
}

static bool is_there(const char *prefix, const char *end)
{
    char *path = mem_format("%s%s", prefix, end);
    bool there = io_exists(path);
    free(path);
    return there;
}

/* E_DATA with the likely cause if one of the two files is missing. OK if both exist, or no cause is known. */
static status explain_missing(const char *given, const char *prefix)
{
    bool bin = is_there(prefix, ".bin"), idx = is_there(prefix, ".idx");
    if (bin && idx)
        return OK;
    if (bin || idx)
        return fail(
            E_DATA,
            "%s.%s has no %s.%s beside it; a token set is both files, as Megatron's preprocess_data.py "
            "writes them",
            prefix, bin ? "bin" : "idx", prefix, bin ? "idx" : "bin");
    if (is_there(prefix, "_text_document.idx"))
        return fail(E_DATA, "%s.bin does not exist, but %s_text_document.bin does; give %s_text_document",
                    prefix, prefix, prefix);
    if (io_exists(given))
        return fail(E_DATA,
                    "%s is no token set; give the common name of a .bin and an .idx file, as Megatron's "
                    "preprocess_data.py makes them from text",
                    given);
    char *near = file_near(prefix, ".idx");
    status s = near ? fail(E_DATA, "%s.bin does not exist; did you mean %s?", prefix, near) : OK;
    free(near);
    return s;
}

static status open_files(struct tokens *t, const char *bin, const char *idx)
{
    int64_t bin_bytes = 0, size = 0;
    char *bytes;
    TRY(file_open(&t->fd, &bin_bytes, bin));
    TRY(file_load(idx, INT64_MAX, &bytes, &size));
    status s = take_index(t, idx, bytes, size, bin_bytes);
    free(bytes);
    return s;
}

char *tokens_prefix(const char *path)
{
    size_t n = strlen(path);
    bool suffix = n > 4 && (strcmp(path + n - 4, ".bin") == 0 || strcmp(path + n - 4, ".idx") == 0);
    return mem_format("%.*s", (int)(suffix ? n - 4 : n), path);
}

status tokens_open(struct tokens *t, const char *prefix)
{
    *t = (struct tokens){.fd = -1, .path = tokens_prefix(prefix)};
    char *bin = mem_format("%s.bin", t->path), *idx = mem_format("%s.idx", t->path);
    status s = explain_missing(prefix, t->path);
    if (s == OK)
        s = open_files(t, bin, idx);
    free(bin);
    free(idx);
    if (s != OK)
        tokens_close(t);
    return s;
}

status tokens_identity(const struct tokens *t, int64_t *bytes, uint64_t *index, uint64_t *blocks)
{
    struct stat about;
    uint64_t sum = (uint64_t)t->type;
    const struct {
        const int64_t *x;
        int64_t n;
    } part[] = {{t->start, t->sequences + 1}, {t->pointer, t->sequences}, {t->document, t->documents + 1}};
    if (fstat(t->fd, &about) != 0)
        return fail(E_IO, "%s.bin: cannot be read: %s", t->path, strerror(errno));
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        sum = XXH3_64bits_withSeed(part[i].x, (size_t)part[i].n * sizeof *part[i].x, sum);
    *index = sum;
    *bytes = about.st_size;
    return file_sample(t->fd, t->path, about.st_size, blocks);
}

void tokens_close(struct tokens *t)
{
    if (t->fd >= 0)
        io_close(t->fd);
    free(t->path);
    free(t->start);
    free(t->pointer);
    free(t->document);
    *t = (struct tokens){.fd = -1};
}

/* ---- reading ---- */

/* The last i in [0, n) with list[i] <= x; list ascends and list[0] <= x. */
static int64_t last_not_above(const int64_t *list, int64_t n, int64_t x)
{
    int64_t lo = 0, hi = n;
    while (hi - lo > 1) {
        int64_t middle = lo + (hi - lo) / 2;
        if (list[middle] <= x)
            lo = middle;
        else
            hi = middle;
    }
    return lo;
}

union chunk {
    uint8_t u8[CHUNK];
    int8_t i8[CHUNK];
    int16_t i16[CHUNK];
    uint16_t u16[CHUNK];
    int32_t i32[CHUNK];
    uint32_t u32[CHUNK];
    int64_t i64[CHUNK]; /* u64 too: a number that does not fit becomes negative, which is no id */
};

static int64_t token_at(const union chunk *c, int type, int64_t i)
{
    switch (type) {
    case U8: return c->u8[i];
    case I8: return c->i8[i];
    case I16: return c->i16[i];
    case U16: return c->u16[i];
    case I32: return c->i32[i];
    case U32: return c->u32[i];
    default: return c->i64[i];
    }
}

/* Read at most CHUNK tokens of one sequence, from its token `skip` on. */
static status read_chunk(const struct tokens *t, int64_t sequence, int64_t skip, int64_t n, int64_t *out)
{
    union chunk chunk;
    int64_t size = types[t->type].size;
    TRY(file_read(t->fd, t->path, t->pointer[sequence] + skip * size, n * size, &chunk));
    for (int64_t i = 0; i < n; i++)
        out[i] = token_at(&chunk, t->type, i);
    return OK;
}

status tokens_read_raw(const struct tokens *t, int64_t from, int64_t n, int64_t *out)
{
    if (from < 0 || n < 0 || n > t->total - from)
        bug("%s: tokens [%lld, +%lld) of %lld", t->path, (long long)from, (long long)n, (long long)t->total);
    int64_t sequence = last_not_above(t->start, t->sequences + 1, from);
    for (int64_t now; n > 0; from += now, out += now, n -= now) {
        while (t->start[sequence + 1] <= from)
            sequence++;
        int64_t left = t->start[sequence + 1] - from;
        now = n < left ? n : left;
        now = now < CHUNK ? now : CHUNK;
        TRY(read_chunk(t, sequence, from - t->start[sequence], now, out));
    }
    return OK;
}

/* The token that a document begins with. */
static int64_t document_start(const struct tokens *t, int64_t document)
{
    return t->start[t->document[document]];
}

void tokens_begins(const struct tokens *t, int64_t from, int64_t n, int32_t *begins)
{
    int64_t sequence = last_not_above(t->start, t->sequences + 1, from);
    int64_t document = last_not_above(t->document, t->documents + 1, sequence);
    for (int64_t i = 0; i < n; i++) {
        while (document + 1 < t->documents && document_start(t, document + 1) <= from + i)
            document++;
        int64_t begin = document_start(t, document) - from;
        begins[i] = (int32_t)(begin > 0 ? begin : 0);
    }
}

const char *tokens_type_name(const struct tokens *t)
{
    return types[t->type].name;
}

char *tokens_id_text(const struct tokens *t, int64_t id, char out[24])
{
    if (t->type == U64)
        snprintf(out, 24, "%llu", (unsigned long long)id);
    else
        snprintf(out, 24, "%lld", (long long)id);
    return out;
}

bool tokens_id_less(const struct tokens *t, int64_t a, int64_t b)
{
    return t->type == U64 ? (uint64_t)a < (uint64_t)b : a < b;
}

/* E_DATA: the token at `at` is not in the vocabulary. */
static status bad_id(const struct tokens *t, int64_t at, int64_t id, int64_t vocab)
{
    char text[24];
    int64_t sequence = last_not_above(t->start, t->sequences + 1, at);
    return fail(E_DATA,
                "%s.bin: document %lld holds token %s; the vocabulary has %lld (was it made with another "
                "tokenizer?)",
                t->path, (long long)last_not_above(t->document, t->documents + 1, sequence),
                tokens_id_text(t, id, text), (long long)vocab);
}

status tokens_read(const struct tokens *t, int64_t from, int64_t n, int64_t vocab, int32_t *out)
{
    int64_t raw[CHUNK];
    if (vocab > INT32_MAX)
        bug("%s: a vocabulary of %lld", t->path, (long long)vocab);
    for (int64_t now; n > 0; from += now, out += now, n -= now) {
        now = n < CHUNK ? n : CHUNK;
        TRY(tokens_read_raw(t, from, now, raw));
        for (int64_t i = 0; i < now; i++) {
            if (raw[i] < 0 || raw[i] >= vocab)
                return bad_id(t, from + i, raw[i], vocab);
            out[i] = (int32_t)raw[i];
        }
    }
    return OK;
}
