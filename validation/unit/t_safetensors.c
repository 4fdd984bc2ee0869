/* format/safetensors: files of another writer are read with the right bits, hostile files are refused with a
 * reason, and what we write has the right header and reads back. */
#include <fcntl.h>
#include <stdint.h>
#include "base/denormals.h"
#include "format/safetensors.h"
#include "validation/unit/scratch.h"
#include "validation/unit/tap.h"

/* ---- files not written by us ---- */

/* Written by safetensors 0.8.0 (Python): one tensor of each type, a scalar, an empty one. */
static const char foreign_header[] =
    "{\"__metadata__\":{\"format\":\"pt\"},\"i64\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]},"
    "\"f64\":{\"dtype\":\"F64\",\"shape\":[2,1],\"data_offsets\":[16,32]},"
    "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[32,32]},"
    "\"f32\":{\"dtype\":\"F32\",\"shape\":[1,3],\"data_offsets\":[32,44]},"
    "\"scalar\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[44,48]},"
    "\"\xc3\xa9.w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[48,52]},"
    "\"i32\":{\"dtype\":\"I32\",\"shape\":[2],\"data_offsets\":[52,60]},"
    "\"bf16\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[60,68]},"
    "\"f16\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[68,76]},"
    "\"i16\":{\"dtype\":\"I16\",\"shape\":[2],\"data_offsets\":[76,80]},"
    "\"f8\":{\"dtype\":\"F8_E4M3\",\"shape\":[2],\"data_offsets\":[80,82]},"
    "\"i8\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[82,84]},"
    "\"u8\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[84,86]},"
    "\"b\":{\"dtype\":\"BOOL\",\"shape\":[2],\"data_offsets\":[86,88]}}";
static const char foreign_data[] =
    "000000000000008007000000000000009a9999999999b93f9c7500883ce437fecdcccc3d00000040000040c000002040"
    "0000803f0000008007000000c03f00c0627f0100003e00800100007c0080070038408007ff070100";

/* A file from a header and bytes behind it; length as given, or that of the header if negative. */
static const char *compose(const char *name, int64_t length, const char *header, size_t header_bytes,
                           const char *data, size_t data_bytes)
{
    uint64_t n = length < 0 ? header_bytes : (uint64_t)length;
    char *bytes = mem_new((int64_t)(8 + header_bytes + data_bytes), 1);
    memcpy(bytes, &n, 8);
    memcpy(bytes + 8, header, header_bytes);
    memcpy(bytes + 8 + header_bytes, data, data_bytes);
    const char *path = scratch_write(name, bytes, 8 + header_bytes + data_bytes);
    free(bytes);
    return path;
}

static void expect_floats(const struct st_file *f, const char *name, const float *expected, int64_t n)
{
    float got[4] = {0};
    int i = st_find(f, name);
    bool good = i >= 0 && st_elements(&f->tensor[i]) == n && st_read_f32(f, i, 0, n, got) == OK;
    ok(good && memcmp(got, expected, (size_t)n * sizeof *got) == 0, "%s is read to the bit", name);
}

static void expect_integers(const struct st_file *f, const char *name, int64_t first, int64_t second)
{
    int64_t got[2] = {0};
    int i = st_find(f, name);
    ok(i >= 0 && st_read_i64(f, i, 0, 2, got) == OK && got[0] == first && got[1] == second, "%s is read",
       name);
}

static void test_types(void)
{
    char data[sizeof foreign_data / 2];
    for (size_t i = 0; i < sizeof data; i++)
        sscanf(foreign_data + 2 * i, "%2hhx", (unsigned char *)&data[i]);
    struct st_file f;
    float x[4];
    int64_t n;
    if (!ok(st_open(&f, compose("foreign", -1, foreign_header, sizeof foreign_header - 1, data,
                                sizeof data)) == OK,
            "a file with all types opens"))
        return;
    expect_floats(&f, "f16", (const float[]){1.5f, -0.0f, 0x1p-24f, INFINITY}, 4);
    expect_floats(&f, "bf16", (const float[]){1.5f, -2.0f, 0x1.c4p127f, 0x1p-133f}, 4);
    expect_floats(&f, "f64", (const float[]){0.1f, -INFINITY}, 2);
    expect_floats(&f, "f32", (const float[]){0.1f, 2.0f, -3.0f}, 3);
    expect_floats(&f, "scalar", (const float[]){2.5f}, 1);
    expect_floats(&f, "\xc3\xa9.w", (const float[]){1.0f}, 1);
    expect_floats(&f, "empty", (const float[]){0}, 0);
    expect_integers(&f, "i64", INT64_MIN, 7);
    expect_integers(&f, "i32", INT32_MIN, 7);
    expect_integers(&f, "i16", INT16_MIN, 7);
    expect_integers(&f, "i8", INT8_MIN, 7);
    expect_integers(&f, "u8", 255, 7);
    expect_integers(&f, "b", 1, 0);
    ok(st_find(&f, "i") < 0 && st_find(&f, "zzz") < 0, "absent names are not found");
    int f8 = st_find(&f, "f8");
    ok(f8 >= 0 && strcmp(f.tensor[f8].type_name, "F8_E4M3") == 0,
       "a type that we do not read keeps its name");
    ok(st_read_f32(&f, f8, 0, 1, x) == E_DATA && says("F8_E4M3"), "... and is refused when read");
    ok(st_read_f32(&f, st_find(&f, "i64"), 0, 1, x) == E_DATA, "integers are not read as floats");
    ok(st_read_i64(&f, st_find(&f, "f32"), 0, 1, &n) == E_DATA, "floats are not read as integers");
    st_close(&f);
}

/* The value of every f16 by arithmetic, against the conversion of a whole file in a thread like the devices'.
 */
static void test_all_f16(void)
{
    static const char header[] = "{\"h\":{\"dtype\":\"F16\",\"shape\":[65536],\"data_offsets\":[0,131072]}}";
    static uint16_t all[65536];
    static float got[65536];
    for (int i = 0; i < 65536; i++)
        all[i] = (uint16_t)i;
    struct st_file f;
    uint64_t control = denormals_flush();
    bool good =
        st_open(&f, compose("f16", -1, header, sizeof header - 1, (const char *)all, sizeof all)) == OK &&
        st_read_f32(&f, 0, 0, 65536, got) == OK;
    denormals_set_control(control);
    for (int i = 0; i < 65536 && good; i++) {
        int exponent = i >> 10 & 31, mantissa = i & 1023;
        double value = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
        if (exponent == 31 && mantissa)
            good = isnan(got[i]);
        else
            good = fabs((double)got[i]) == (exponent == 31 ? (double)INFINITY : value) &&
                   !signbit(got[i]) == !(i & 0x8000);
    }
    ok(good, "all 65536 values of F16");
    st_close(&f);
}

/* Values printed once with Python's safetensors. */
static void test_golden(void)
{
    static const struct {
        const char *file, *name;
        int rank;
        int64_t elements;
        float first, middle, last;
        double sum;
    } cases[] = {
        {"golden/llama-mha/model.safetensors", "model.layers.1.mlp.down_proj.weight", 2, 11264,
         -0x1.ff17e0p-6f, 0x1.a5adbcp-8f, 0x1.15bfbep-5f, 1.1497653763581184},
        {"golden/llama-mha/model.safetensors", "lm_head.weight", 2, 16448, 0x1.9225a8p-3f, 0x1.c79ab6p-4f,
         0x1.3ee440p-7f, 9.352180432642854},
        {"golden/st-e8t2/expect.safetensors", "router_logits.1", 2, 384, -0x1.0a5938p+1f, 0x1.4d23bep+0f,
         0x1.56c34ep+0f, 44.254114982672036},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        const char *path = shared(cases[c].file);
        struct st_file f;
        if (!path) {
            ok(true, "%s # SKIP not there (set COPPICE_SHARED)", cases[c].file);
            continue;
        }
        int i = st_open(&f, path) == OK ? st_find(&f, cases[c].name) : -1;
        int64_t n = cases[c].elements;
        float *x = mem_new(n, sizeof *x);
        bool good = i >= 0 && f.tensor[i].rank == cases[c].rank && st_elements(&f.tensor[i]) == n &&
                    st_read_f32(&f, i, 0, n, x) == OK;
        double sum = 0;
        for (int64_t k = 0; k < n; k++)
            sum += (double)x[k];
        ok(good && x[0] == cases[c].first && x[n / 2] == cases[c].middle && x[n - 1] == cases[c].last &&
               fabs(sum - cases[c].sum) < 1e-9,
           "%s: %s", cases[c].file, cases[c].name);
        free(x);
        st_close(&f);
    }
}

/* ---- hostile files ---- */

#define T(type, shape, begin, end) \
    "{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"
#define LONG64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define LONG1024                                                                                             \
    LONG64 LONG64 LONG64 LONG64 LONG64 LONG64 LONG64 LONG64 LONG64 LONG64 LONG64 LONG64 LONG64 LONG64 LONG64 \
        LONG64

static const struct {
    const char *header;
    int data_bytes;
    const char *message; /* NULL = a good file */
} headers[] = {
    {"{}", 0, NULL},
    {"{}   ", 0, NULL},
    {"  \n{\"a\":" T("F32", "[2]", "0", "8") "}", 8, NULL},
    {"{\"a\":" T("F32", "[2]", "0", "8") ",\"b\":" T("F32", "[0]", "8", "8") "}", 8, NULL},
    {"{\"a\":" T("F32", "[0]", "0", "0") ",\"b\":" T("F32", "[2,0]", "0", "0") "}", 0, NULL},
    {"{\"a\":" T("F4", "[4]", "0", "2") "}", 2, NULL},
    {"{\"__metadata__\":{\"a\":\"b\"}}", 0, NULL},
    {"", 0, "JSON"},
    {"[]", 0, "not a JSON object"},
    {"{\"a\":", 0, "JSON"},
    {"{} x", 0, "JSON"},
    {"\xff{}", 0, "JSON"},
    {"{\"a\xff\":" T("F32", "[2]", "0", "8") "}", 8, "JSON"},
    {"{}", 1, "describes 0 bytes"},
    {"{\"__metadata__\":[]}", 0, "__metadata__"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "__metadata__"},
    {"{\"a\":" T("F32", "[2]", "0", "8") ",\"a\":" T("F32", "[2]", "8", "16") "}", 16, "duplicate"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "duplicate"},
    {"{\"a\":1}", 0, "tensor a: its entry"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "its entry"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"more\":1}}", 8, "its entry"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"offsets\":[0,8]}}", 8, "data_offsets"},
    {"{\"a\":" T("F31", "[2]", "0", "8") "}", 8, "dtype"},
    {"{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "dtype"},
    {"{\"a\":" T("F32", "2", "0", "8") "}", 8, "not a list"},
    {"{\"a\":" T("F32", "[2.0]", "0", "8") "}", 8, "not a size"},
    {"{\"a\":" T("F32", "[-2]", "0", "8") "}", 8, "not a size"},
    {"{\"a\":" T("F32", "[1,1,1,1,1,1,1,1,1]", "0", "4") "}", 4, "rank 9"},
    {"{\"a\":" T("F32", "[4294967296,4294967296]", "0", "8") "}", 8, "overflows"},
    {"{\"a\":" T("F32", "[2,9223372036854775807]", "0", "8") "}", 8, "overflows"},
    {"{\"a\":" T("F64", "[288230376151711744]", "0", "8") "}", 8, "overflows"},
    {"{\"a\":" T("F32", "[2,18446744073709551614]", "0", "8") "}", 8, "JSON"},
    {"{\"a\":" T("F4", "[3]", "0", "2") "}", 2, "whole number of bytes"},
    {"{\"a\":" T("F32", "[2]", "8", "0") "}", 8, "not a range"},
    {"{\"a\":" T("F32", "[2]", "-8", "0") "}", 8, "not a range"},
    {"{\"a\":" T("F32", "[2]", "0.0", "8.0") "}", 8, "two integers"},
    {"{\"a\":" T("F32", "[2]", "0", "8,8") "}", 8, "two integers"},
    {"{\"a\":" T("F32", "[2]", "0", "4") "}", 4, "needs 8 bytes"},
    {"{\"a\":" T("F32", "[]", "0", "8") "}", 8, "needs 4 bytes"},
    {"{\"a\":" T("F32", "[2]", "0", "8") ",\"b\":" T("F32", "[2]", "12", "20") "}", 20, "tensor b: a hole"},
    {"{\"a\":" T("F32", "[2]", "4", "12") "}", 12, "a hole"},
    {"{\"a\":" T("F32", "[2]", "0", "8") ",\"b\":" T("F32", "[2]", "4", "12") "}", 12,
     "tensor b: an overlap"},
    {"{\"a\":" T("F32", "[2]", "0", "8") ",\"b\":" T("F32", "[2]", "0", "8") "}", 8, "an overlap"},
    {"{\"a\":" T("F32", "[2]", "0", "8") "}", 7, "describes 8 bytes of data, the file holds 7"},
    {"{\"a\":" T("F32", "[2]", "0", "8") "}", 9, "the file holds 9"},
    {"{\"a\":" T("F32", "[2]", "9223372036854775799", "9223372036854775807") "}", 8, "a hole"},
    {"{\"\":" T("F32", "[2]", "0", "8") "}", 8, "name is empty"},
    {"{\"a\\nb\":" T("F32", "[2]", "0", "8") "}", 8, "control bytes"},
    {"{\"a\\u0000b\":" T("F32", "[2]", "0", "8") "}", 8, "JSON"},
    {"{\"" LONG1024 LONG1024 LONG1024 LONG1024 "\":" T("F32", "[2]", "0", "8") "}", 8, NULL},
    {"{\"" LONG1024 LONG1024 LONG1024 LONG1024 "x\":" T("F32", "[2]", "0", "8") "}", 8, "longer than 4096"},
    {"{\"a\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}", 0, "nested"},
};

static void test_headers(void)
{
    static const char zeros[64];
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        struct st_file f;
        const char *header = headers[i].header, *message = headers[i].message;
        status s =
            st_open(&f, compose("hostile", -1, header, strlen(header), zeros, (size_t)headers[i].data_bytes));
        ok(message ? s == E_DATA && says(message) : s == OK, "header %zu: %s", i, message ? message : "good");
        if (s == OK)
            st_close(&f);
    }
}

/* Length fields that lie, and things that are no files. */
static void test_lengths(void)
{
    static const struct {
        int64_t length;
        const char *message;
    } cases[] = {{100000001, "limit"},
                 {INT64_MAX, "limit"},
                 {INT64_MIN, "limit"},
                 {100000000, "inside its header"},
                 {3, "inside its header"},
                 {1, "JSON"},
                 {0, "JSON"}};
    struct st_file f;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = scratch("length");
        uint64_t n = (uint64_t)cases[i].length;
        char bytes[10] = "        {}";
        memcpy(bytes, &n, 8);
        ok(st_open(&f, (path = scratch_write("length", bytes, 10))) == E_DATA && says(cases[i].message),
           "a header of %lld bytes in a file of 10", (long long)cases[i].length);
    }
    ok(st_open(&f, scratch_write("short", "1234567", 7)) == E_DATA && says("too few"), "a file of 7 bytes");
    ok(st_open(&f, scratch("absent")) == E_DATA && says("cannot be opened"), "no file");
    ok(st_open(&f, scratch("")) == E_DATA && says("not a regular file"), "a folder");
    ok(mkfifo(scratch("pipe"), 0600) == 0 && st_open(&f, scratch("pipe")) == E_DATA &&
           says("not a regular file"),
       "a pipe that nobody writes to does not hang");
}

/* ---- writing ---- */

static float as_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static const uint32_t rounding[][2] = {
    /* float -> what BF16 keeps of it, as float */
    {0x3f800000, 0x3f800000}, {0x3f808000, 0x3f800000}, {0x3f818000, 0x3f820000}, {0x3f808001, 0x3f810000},
    {0x3f817fff, 0x3f810000}, {0x80000000, 0x80000000}, {0x7f7fffff, 0x7f800000}, {0xff800000, 0xff800000},
    {0x00008000, 0x00000000}, {0x00018000, 0x00020000}, {0x7f800001, 0x7fc00000}, {0xffffffff, 0xffff0000},
};
enum { ROUNDINGS = sizeof rounding / sizeof rounding[0], ROWS = 300, COLUMNS = 200 };

static const struct st_declare declared[] = {
    {"b.half", ST_BF16, 1, {ROUNDINGS}},   {"z", ST_F32, 2, {ROWS, COLUMNS}},
    {"a \"quoted\" name", ST_F32, 0, {0}}, {"ids", ST_I64, 1, {2}},
    {"empty", ST_F32, 2, {0, 3}},          {"odd", ST_BF16, 2, {ROWS, COLUMNS}},
};
static const char written_header[] =
    "{\"__metadata__\":{\"format\":\"pt\"},\"ids\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]},"
    "\"a \\\"quoted\\\" name\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[16,20]},"
    "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[20,20]},"
    "\"z\":{\"dtype\":\"F32\",\"shape\":[300,200],\"data_offsets\":[20,240020]},"
    "\"b.half\":{\"dtype\":\"BF16\",\"shape\":[12],\"data_offsets\":[240020,240044]},"
    "\"odd\":{\"dtype\":\"BF16\",\"shape\":[300,200],\"data_offsets\":[240044,360044]}}";

static float matrix[ROWS * COLUMNS];

static void write_all(const char *path)
{
    struct st_writer *w;
    float half[ROUNDINGS], one = 1.25f;
    for (int i = 0; i < ROUNDINGS; i++)
        half[i] = as_float(rounding[i][0]);
    for (int i = 0; i < ROWS * COLUMNS; i++)
        matrix[i] = (float)(i % 251) - 125; /* BF16 holds them exactly */
    ok(st_create(&w, path, declared, 6) == OK, "create");
    ok(st_write_f32(w, 1, 5, ROWS * COLUMNS - 5, matrix + 5) == OK && st_write_f32(w, 1, 0, 5, matrix) == OK,
       "F32 in two pieces, the later one first");
    ok(st_write_f32(w, 5, 0, 7, matrix) == OK && st_write_f32(w, 5, 7, ROWS * COLUMNS - 7, matrix + 7) == OK,
       "BF16 in two pieces");
    ok(st_write_f32(w, 0, 0, ROUNDINGS, half) == OK && st_write_f32(w, 2, 0, 1, &one) == OK, "small ones");
    ok(st_write_i64(w, 3, 0, 2, (const int64_t[]){INT64_MIN, 42}) == OK, "integers");
    ok(access(path, F_OK) != 0, "nothing has the file's name before it is complete");
    ok(st_finish(w) == OK, "finish");
}

static void check_header(const char *path)
{
    static char got[sizeof written_header + 16];
    uint64_t n = 0;
    int fd = open(path, O_RDONLY);
    ok(pread(fd, &n, 8, 0) == 8 && n % 8 == 0 && n >= sizeof written_header - 1 &&
           n < sizeof written_header + 7,
       "the header's length is padded to 8");
    ok(pread(fd, got, n, 8) == (ssize_t)n && strncmp(got, written_header, sizeof written_header - 1) == 0 &&
           strspn(got + sizeof written_header - 1, " ") == n - (sizeof written_header - 1),
       "the header: sorted by alignment, then name; padded with blanks");
    close(fd);
}

static void test_write(void)
{
    const char *path = scratch("written");
    struct st_file f;
    static float got[ROWS * COLUMNS];
    int64_t id = 0;
    write_all(path);
    check_header(path);
    if (!ok(st_open(&f, path) == OK && f.n == 6, "what we write opens"))
        return;
    ok(st_read_f32(&f, st_find(&f, "z"), 0, ROWS * COLUMNS, got) == OK &&
           memcmp(got, matrix, sizeof got) == 0,
       "F32");
    memset(got, 0, sizeof got);
    ok(st_read_f32(&f, st_find(&f, "odd"), 0, ROWS * COLUMNS, got) == OK &&
           memcmp(got, matrix, sizeof got) == 0,
       "BF16, exact values, longer than a chunk");
    ok(st_read_f32(&f, st_find(&f, "odd"), 33000, 100, got) == OK && memcmp(got, matrix + 33000, 400) == 0,
       "BF16 from the middle");
    bool good = st_read_f32(&f, st_find(&f, "b.half"), 0, ROUNDINGS, got) == OK;
    for (int i = 0; i < ROUNDINGS; i++)
        good = good && memcmp(&got[i], &rounding[i][1], 4) == 0;
    ok(good, "BF16 rounds to nearest even");
    ok(st_read_i64(&f, st_find(&f, "ids"), 1, 1, &id) == OK && id == 42, "I64");
    st_close(&f);
}

static void test_failed_writes(void)
{
    struct st_writer *w;
    char *path = mem_text(scratch("abandoned"));
    char *draft = mem_format("%s.tmp", path);
    ok(st_create(&w, path, declared, 6) == OK && access(draft, F_OK) == 0, "a draft while it is written");
    st_abandon(w);
    ok(access(path, F_OK) != 0 && access(draft, F_OK) != 0, "nothing is left of an abandoned file");
    ok(st_create(&w, "/nonexistent/file", declared, 6) == E_SPACE && says("/nonexistent/file"),
       "no such folder");
    ok(access("/dev/full", W_OK) != 0 || symlink("/dev/full", draft) != 0 ||
           (st_create(&w, path, declared, 6) == E_SPACE && unlink(draft) == 0),
       "a link in the place of the draft is not followed");
    free(path);
    free(draft);
}

int main(void)
{
    test_types();
    test_all_f16();
    test_golden();
    test_headers();
    test_lengths();
    test_write();
    test_failed_writes();
    if (!getenv("KEEP_SCRATCH"))
        scratch_remove();
    return tap_done();
}
