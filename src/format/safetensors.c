#include "format/safetensors.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/half.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/once.h"
#include "base/file.h"
#include "format/file_kind.h"
#include "base/io.h"

enum { LENGTH_BYTES = 8, HEADER_LIMIT = 100000000, NAME_LIMIT = 4096, CHUNK_BYTES = 1 << 16 };

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#    error "safetensors files are little-endian and are read and written as they lie in memory"
#endif

/* All types of the format. The first ones are in the order of enum st_type. */
static const struct dtype {
    const char *name;
    int bits;
} dtypes[] = {
    {"F32", 32},        {"F16", 16},    {"BF16", 16},   {"F64", 64},    {"I64", 64},    {"I32", 32},
    {"I16", 16},        {"I8", 8},      {"U8", 8},      {"BOOL", 8},    {"U16", 16},    {"U32", 32},
    {"U64", 64},        {"C64", 64},    {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4},
};
enum { DTYPES = sizeof dtypes / sizeof dtypes[0] };

int64_t st_type_size(enum st_type type)
{
    return type < ST_OTHER ? dtypes[type].bits / 8 : 0;
}

const char *st_type_name(enum st_type type)
{
    return type < ST_OTHER ? dtypes[type].name : "other";
}

/* ---- header ---- */

#define BAD(...) fail(E_DATA, "%s: tensor %.100s: " __VA_ARGS__)

/* The dtype by its name in the header; NULL if the format has no such type. */
static const struct dtype *find_dtype(const json_t *member)
{
    const char *name = json_string_value(member);
    for (int i = 0; name && i < DTYPES; i++)
        if (strcmp(name, dtypes[i].name) == 0)
            return &dtypes[i];
    return NULL;
}

static status parse_type(const char *path, struct st_tensor *t, const json_t *member, int *bits)
{
    const struct dtype *d = find_dtype(member);
    if (!d)
        return BAD("the format has no such dtype", path, t->name);
    t->type = d - dtypes < ST_OTHER ? (enum st_type)(d - dtypes) : ST_OTHER;
    t->type_name = d->name;
    *bits = d->bits;
    return OK;
}

/* Set rank and shape. *bytes: the size of the elements. */
static status parse_shape(const char *path, struct st_tensor *t, const json_t *member, int bits,
                          int64_t *bytes)
{
    if (!json_is_array(member))
        return BAD("its shape is not a list", path, t->name);
    if (json_array_size(member) > ST_MAX_RANK)
        return BAD("rank %zu is more than %d", path, t->name, json_array_size(member), ST_MAX_RANK);
    t->rank = (int)json_array_size(member);
    int64_t total = 1;
    for (int i = 0; i < t->rank; i++) {
        const json_t *n = json_array_get(member, (size_t)i);
        t->shape[i] = json_integer_value(n);
        if (!json_is_integer(n) || t->shape[i] < 0)
            return BAD("its shape has an entry that is not a size", path, t->name);
        if (!mem_mul_fits(total, t->shape[i], &total))
            return BAD("its shape overflows", path, t->name);
    }
    if (!mem_mul_fits(total, bits, &total))
        return BAD("its size overflows", path, t->name);
    if (total % 8)
        return BAD("%lld bits are not a whole number of bytes", path, t->name, (long long)total);
    *bytes = total / 8;
    return OK;
}

/* Set `at`, still relative to the data, and `bytes` from data_offsets. */
static status parse_offsets(const char *path, struct st_tensor *t, const json_t *member, int64_t bytes)
{
    const json_t *begin = json_array_get(member, 0), *end = json_array_get(member, 1);
    if (json_array_size(member) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return BAD("data_offsets are not two integers", path, t->name);
    t->at = json_integer_value(begin);
    if (t->at < 0 || json_integer_value(end) < t->at)
        return BAD("data_offsets [%lld, %lld] are not a range", path, t->name, (long long)t->at,
                   (long long)json_integer_value(end));
    t->bytes = json_integer_value(end) - t->at;
    if (t->bytes != bytes)
        return BAD("its shape needs %lld bytes, data_offsets give %lld", path, t->name, (long long)bytes,
                   (long long)t->bytes);
    return OK;
}

static status parse_tensor(struct st_file *f, const char *name, const json_t *entry)
{
    if (!file_name_ok(name, NAME_LIMIT))
        return fail(E_DATA, "%s: a tensor's name is empty, longer than %d bytes or has control bytes",
                    f->path, NAME_LIMIT);
    struct st_tensor *t = &f->tensor[f->n++];
    t->name = mem_text(name);
    if (json_object_size(entry) != 3)
        return BAD("its entry is not {dtype, shape, data_offsets}", f->path, name);
    int bits = 0;
    int64_t bytes = 0;
    TRY(parse_type(f->path, t, json_object_get(entry, "dtype"), &bits));
    TRY(parse_shape(f->path, t, json_object_get(entry, "shape"), bits, &bytes));
    return parse_offsets(f->path, t, json_object_get(entry, "data_offsets"), bytes);
}

static status check_metadata(const char *path, json_t *metadata)
{
    const char *key;
    json_t *value;
    if (!json_is_object(metadata))
        return fail(E_DATA, "%s: __metadata__ is not an object", path);
    json_object_foreach(metadata, key, value)
        if (!json_is_string(value))
            return fail(E_DATA, "%s: __metadata__ holds something that is not text", path);
    return OK;
}

static status parse_header(struct st_file *f, json_t *header)
{
    const char *name;
    json_t *entry;
    if (!json_is_object(header))
        return fail(E_DATA, "%s: the header is not a JSON object", f->path);
    f->tensor = mem_new((int64_t)json_object_size(header), sizeof *f->tensor);
    json_object_foreach(header, name, entry) {
        if (strcmp(name, "__metadata__") == 0)
            TRY(check_metadata(f->path, entry));
        else
            TRY(parse_tensor(f, name, entry));
    }
    return OK;
}

static int by_place(const void *a, const void *b)
{
    const struct st_tensor *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static int by_name(const void *a, const void *b)
{
    const struct st_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* Check that the tensors fill the bytes behind the header without holes or overlaps. Offsets become absolute.
 */
static status check_tiling(struct st_file *f, int64_t data_at)
{
    int64_t end = 0, data_bytes = f->size - data_at;
    if (f->n)
        qsort(f->tensor, (size_t)f->n, sizeof *f->tensor, by_place);
    for (int i = 0; i < f->n; i++) {
        struct st_tensor *t = &f->tensor[i];
        if (t->at != end)
            return BAD("%s before it: it begins at byte %lld of the data, what precedes it ends at %lld",
                       f->path, t->name, t->at < end ? "an overlap" : "a hole", (long long)t->at,
                       (long long)end);
        end += t->bytes; /* cannot overflow: the file gives this sum as a 64-bit number */
        t->at += data_at;
    }
    if (end != data_bytes)
        return fail(E_DATA, "%s: the header describes %lld bytes of data, the file holds %lld%s", f->path,
                    (long long)end, (long long)data_bytes,
                    data_bytes < end ? " (a download or copy that did not finish?)" : "");
    if (f->n)
        qsort(f->tensor, (size_t)f->n, sizeof *f->tensor, by_name);
    return OK;
}

static status read_text(const struct st_file *f, char **text, int64_t *n)
{
    uint64_t length = 0;
    if (f->size < LENGTH_BYTES)
        return fail(E_DATA, "%s: %lld bytes are too few for a safetensors file", f->path, (long long)f->size);
    TRY(file_read(f->fd, f->path, 0, LENGTH_BYTES, &length));
    if (length > HEADER_LIMIT)
        return fail(E_DATA, "%s: not a safetensors file (a header of %llu bytes; the limit is %d)", f->path,
                    (unsigned long long)length, HEADER_LIMIT);
    *n = (int64_t)length;
    if (*n > f->size - LENGTH_BYTES)
        return fail(E_DATA, "%s: ends inside its header (of %lld bytes)", f->path, (long long)*n);
    *text = mem_new(*n, 1);
    status s = file_read(f->fd, f->path, LENGTH_BYTES, *n, *text);
    if (s != OK)
        free(*text);
    return s;
}

/* The text of the header. What base/once.h knows of it is not read again. */
static status header_text(const struct st_file *f, char **text, int64_t *n)
{
    char *name = mem_format("%s: header", f->path);
    bool known = once_get(name, HEADER_LIMIT, text, n);
    status s = known ? OK : read_text(f, text, n);
    if (s == OK && !known)
        once_put(name, *text, *n);
    free(name);
    return s;
}

static status read_header(struct st_file *f)
{
    char *text;
    int64_t n;
    json_t *header = NULL;
    TRY(header_text(f, &text, &n));
    status s = json_parse(&header, f->path, text, n);
    if (s == OK)
        s = parse_header(f, header);
    json_decref(header);
    free(text);
    TRY(s);
    return check_tiling(f, LENGTH_BYTES + n);
}

status st_open(struct st_file *f, const char *path)
{
    *f = (struct st_file){.fd = -1};
    TRY(file_open(&f->fd, &f->size, path));
    f->path = mem_text(path);
    status s = file_explain(read_header(f), path);
    if (s != OK)
        st_close(f);
    return s;
}

void st_close(struct st_file *f)
{
    for (int i = 0; i < f->n; i++)
        free(f->tensor[i].name);
    free(f->tensor);
    free(f->path);
    if (f->fd >= 0)
        io_close(f->fd);
    *f = (struct st_file){.fd = -1};
}

static int against_name(const void *name, const void *tensor)
{
    const struct st_tensor *t = tensor;
    return strcmp(name, t->name);
}

int st_find(const struct st_file *f, const char *name)
{
    const struct st_tensor *t =
        f->n ? bsearch(name, f->tensor, (size_t)f->n, sizeof *f->tensor, against_name) : NULL;
    return t ? (int)(t - f->tensor) : -1;
}

int64_t st_elements(const struct st_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= t->shape[i]; /* cannot overflow: parse_shape has checked it */
    return n;
}

/* ---- data ---- */

/* A block of a file in its own type, aligned for all types. */
union chunk {
    char bytes[CHUNK_BYTES];
    double f64[CHUNK_BYTES / 8];
    int64_t i64[CHUNK_BYTES / 8];
    int32_t i32[CHUNK_BYTES / 4];
    int16_t i16[CHUNK_BYTES / 2];
    uint16_t u16[CHUNK_BYTES / 2];
    int8_t i8[CHUNK_BYTES];
    uint8_t u8[CHUNK_BYTES];
};

static void chunk_to_f32(const union chunk *in, enum st_type type, int64_t n, float *out)
{
    if (type == ST_BF16)
        for (int64_t i = 0; i < n; i++)
            out[i] = float_of_bf16(in->u16[i]);
    else if (type == ST_F16)
        for (int64_t i = 0; i < n; i++)
            out[i] = float_of_f16(in->u16[i]);
    else
        for (int64_t i = 0; i < n; i++)
            out[i] = (float)in->f64[i];
}

static void chunk_to_i64(const union chunk *in, enum st_type type, int64_t n, int64_t *out)
{
    switch (type) {
    case ST_I32:
        for (int64_t i = 0; i < n; i++)
            out[i] = in->i32[i];
        break;
    case ST_I16:
        for (int64_t i = 0; i < n; i++)
            out[i] = in->i16[i];
        break;
    case ST_I8:
        for (int64_t i = 0; i < n; i++)
            out[i] = in->i8[i];
        break;
    default:
        for (int64_t i = 0; i < n; i++)
            out[i] = in->u8[i];
        break;
    }
}

static void check_range(const struct st_tensor *t, int64_t from, int64_t n)
{
    if (from < 0 || n < 0 || n > st_elements(t) - from)
        bug("tensor %s: elements [%lld, +%lld) of %lld", t->name, (long long)from, (long long)n,
            (long long)st_elements(t));
}

static status wrong_type(const struct st_file *f, const struct st_tensor *t, const char *wanted)
{
    return BAD("its type is %s where %s are needed", f->path, t->name, t->type_name, wanted);
}

status st_read_f32(const struct st_file *f, int tensor, int64_t from, int64_t n, float *out)
{
    const struct st_tensor *t = &f->tensor[tensor];
    if (t->type > ST_F64)
        return wrong_type(f, t, "floating-point numbers (F32, F16, BF16, F64)");
    check_range(t, from, n);
    int64_t size = st_type_size(t->type), at = t->at + from * size;
    if (t->type == ST_F32)
        return file_read(f->fd, f->path, at, n * size, out);
    union chunk chunk;
    for (int64_t done = 0, now; done < n; done += now) {
        now = n - done < CHUNK_BYTES / size ? n - done : CHUNK_BYTES / size;
        TRY(file_read(f->fd, f->path, at + done * size, now * size, &chunk));
        chunk_to_f32(&chunk, t->type, now, out + done);
    }
    return OK;
}

status st_read_stored(const struct st_file *f, int tensor, int64_t from, int64_t n, void *out)
{
    const struct st_tensor *t = &f->tensor[tensor];
    int64_t size = st_type_size(t->type);
    if (size == 0)
        return wrong_type(f, t, "numbers of a type that is read");
    check_range(t, from, n);
    return file_read(f->fd, f->path, t->at + from * size, n * size, out);
}

status st_read_i64(const struct st_file *f, int tensor, int64_t from, int64_t n, int64_t *out)
{
    const struct st_tensor *t = &f->tensor[tensor];
    if (t->type < ST_I64 || t->type > ST_BOOL)
        return wrong_type(f, t, "integers (I64, I32, I16, I8, U8, BOOL)");
    check_range(t, from, n);
    int64_t size = st_type_size(t->type), at = t->at + from * size;
    if (t->type == ST_I64)
        return file_read(f->fd, f->path, at, n * size, out);
    union chunk chunk;
    for (int64_t done = 0, now; done < n; done += now) {
        now = n - done < CHUNK_BYTES / size ? n - done : CHUNK_BYTES / size;
        TRY(file_read(f->fd, f->path, at + done * size, now * size, &chunk));
        chunk_to_i64(&chunk, t->type, now, out + done);
    }
    return OK;
}
