/* format/tokens: the bytes of Megatron's files, files of another writer, hostile files. */
#include <fcntl.h>
#include <stdint.h>
#include "format/tokens.h"
#include "validation/unit/scratch.h"
#include "validation/unit/tap.h"

static void write_pair(const char *name, const void *bin, size_t bin_bytes, const void *idx, size_t idx_bytes)
{
    char *file = mem_format("%s.bin", name);
    scratch_write(file, bin, bin_bytes);
    strcpy(strrchr(file, '.'), ".idx");
    scratch_write(file, idx, idx_bytes);
    free(file);
}

/* An index with three sequences in two documents, byte by byte as Megatron's writer packs it:
 * header, lengths {2, 1, 3}, pointers {0, 2, 3} elements, documents {0, 2, 3}. */
enum { LENGTHS = 34, POINTERS = 46, DOCUMENTS = 70, IDX_BYTES = 94 };

static void good_index(unsigned char out[IDX_BYTES], int type, int64_t size)
{
    static const int32_t lengths[] = {2, 1, 3};
    static const int64_t elements[] = {0, 2, 3}, documents[] = {0, 2, 3};
    static const unsigned char header[LENGTHS] = "MMIDIDX\0\0\1\0\0\0\0\0\0\0?\3\0\0\0\0\0\0\0\3\0\0\0\0\0\0";
    memcpy(out, header, sizeof header);
    out[17] = (unsigned char)type;
    memcpy(out + LENGTHS, lengths, sizeof lengths);
    for (int i = 0; i < 3; i++) {
        int64_t at = elements[i] * size;
        memcpy(out + POINTERS + 8 * i, &at, 8);
    }
    memcpy(out + DOCUMENTS, documents, sizeof documents);
}

/* ---- types ---- */

static void test_type(int type, int64_t size, int64_t largest)
{
    unsigned char idx[IDX_BYTES], bin[48];
    struct tokens t;
    int32_t got[6] = {0};
    for (int i = 0; i < 6; i++) {
        int64_t id = i == 4 ? largest : 10 + i;
        memcpy(bin + i * size, &id, (size_t)size); /* little-endian */
    }
    good_index(idx, type, size);
    write_pair("types", bin, (size_t)(6 * size), idx, sizeof idx);
    if (!ok(tokens_open(&t, scratch("types")) == OK && t.type == type && t.sequences == 3 &&
                t.documents == 2 && t.total == 6,
            "type code %d opens", type))
        return;
    ok(tokens_read(&t, 0, 6, largest + 1, got) == OK && got[0] == 10 && got[3] == 13 && got[4] == largest &&
           got[5] == 15,
       "type code %d is read, to its largest", type);
    ok(tokens_read(&t, 1, 3, 100, got) == OK && got[0] == 11 && got[1] == 12 && got[2] == 13,
       "across sequences and documents");
    ok(tokens_read(&t, 0, 6, largest, got) == E_DATA && says("document 1 holds token") && says("types.bin"),
       "an id outside the vocabulary is refused, with its document");
    ok(tokens_read(&t, 6, 0, 100, got) == OK, "nothing at the end");
    tokens_close(&t);
}

static void test_negative(void)
{
    unsigned char idx[IDX_BYTES];
    int16_t bin[6] = {1, 2, -3, 4, 5, 6};
    struct tokens t;
    int32_t got[6];
    good_index(idx, 3, 2);
    write_pair("negative", bin, sizeof bin, idx, sizeof idx);
    ok(tokens_open(&t, scratch("negative")) == OK && tokens_read(&t, 0, 6, 100, got) == E_DATA &&
           says("document 0 holds token -3"),
       "a negative id is refused");
    tokens_close(&t);
}

/* Documents come in the order of the file, their sequences wherever the pointers say. */
static void test_order(void)
{
    unsigned char idx[IDX_BYTES], bin[6] = {0, 1, 2, 3, 4, 5};
    static const int64_t pointers[] = {4, 3, 0};
    static const int32_t expected[] = {4, 5, 3, 0, 1, 2};
    struct tokens t;
    int32_t got[6];
    good_index(idx, 1, 1);
    memcpy(idx + POINTERS, pointers, sizeof pointers);
    write_pair("order", bin, sizeof bin, idx, sizeof idx);
    ok(tokens_open(&t, scratch("order")) == OK && tokens_read(&t, 0, 6, 100, got) == OK &&
           memcmp(got, expected, sizeof got) == 0,
       "sequences lie where their pointers say");
    tokens_close(&t);
}

/* ---- hostile indices: the good one with some bytes changed ---- */

static const struct {
    const char *what;
    int at, size; /* bytes changed; size 0: cut or lengthened to `at` bytes */
    int64_t value;
    const char *message;
} hostile[] = {
    {"magic", 0, 1, 'X', "MMIDIDX"},
    {"version 2", 9, 8, 2, "version 2"},
    {"type 0", 17, 1, 0, "type code 0"},
    {"type 11", 17, 1, 11, "type code 11"},
    {"type 255", 17, 1, 255, "type code 255"},
    {"doubles", 17, 1, 6, "float64"},
    {"floats", 17, 1, 7, "float32"},
    {"wider tokens", 17, 1, 5, "outside the .bin"},
    {"too many sequences", 18, 8, 1000, "promises 1000 sequences"},
    {"negative sequences", 18, 8, -1, "promises"},
    {"a count that overflows", 18, 8, INT64_MAX, "promises"},
    {"a count that overflows when multiplied", 18, 8, (int64_t)1 << 60, "promises"},
    {"fewer sequences", 18, 8, 2, "94 bytes"},
    {"more sequences", 18, 8, 4, "94 bytes"},
    {"too many documents", 26, 8, 1000, "and 1000 documents"},
    {"negative documents", 26, 8, -3, "promises"},
    {"no list of documents", 26, 8, 0, "list of documents is empty"},
    {"fewer documents", 26, 8, 2, "94 bytes"},
    {"empty file", 0, 0, 0, "too few"},
    {"cut header", 33, 0, 0, "too few"},
    {"cut lengths", 40, 0, 0, "40 bytes"},
    {"cut documents", 93, 0, 0, "93 bytes"},
    {"trailing byte", 95, 0, 0, "95 bytes"},
    {"modes", 97, 0, 0, "multimodal"},
    {"negative length", LENGTHS + 4, 4, -1, "sequence 1 has -1 tokens"},
    {"long sequence", LENGTHS + 8, 4, 4, "sequence 2"},
    {"very long sequence", LENGTHS, 4, INT32_MAX, "outside the .bin"},
    {"negative pointer", POINTERS, 8, -1, "sequence 0 lies at byte -1"},
    {"pointer behind the end", POINTERS + 16, 8, 13, "outside the .bin"},
    {"pointer that overflows", POINTERS + 8, 8, INT64_MAX, "sequence 1"},
    {"first document not 0", DOCUMENTS, 8, 1, "first document"},
    {"unordered documents", DOCUMENTS + 8, 8, 4, "document 0: sequences 0 to 4 of 3"},
    {"descending documents", DOCUMENTS + 8, 8, -1, "document 0"},
    {"last document too short", DOCUMENTS + 16, 8, 2, "documents hold only 2"},
    {"last document too long", DOCUMENTS + 16, 8, 4, "document 1"},
};

static void test_hostile(void)
{
    static const uint16_t bin[6];
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        unsigned char idx[IDX_BYTES + 8] = {0};
        struct tokens t;
        good_index(idx, 8, 2);
        memcpy(idx + hostile[i].at, &hostile[i].value, (size_t)hostile[i].size);
        write_pair("hostile", bin, sizeof bin, idx, hostile[i].size ? IDX_BYTES : (size_t)hostile[i].at);
        status s = tokens_open(&t, scratch("hostile"));
        ok(s == E_DATA && says(hostile[i].message) && says("hostile.idx"), "%s", hostile[i].what);
        if (s == OK)
            tokens_close(&t);
    }
}

static void test_files(void)
{
    unsigned char idx[IDX_BYTES];
    static const unsigned char bin[6];
    struct tokens t;
    int32_t got[6];
    ok(tokens_open(&t, scratch("nothing")) == E_DATA && says("nothing.bin"), "no files");
    scratch_write("alone.bin", bin, 6);
    ok(tokens_open(&t, scratch("alone.bin")) == E_DATA && says("alone.idx"), "no index");
    good_index(idx, 1, 1);
    write_pair("both", bin, 6, idx, sizeof idx);
    ok(tokens_open(&t, scratch("both.bin")) == OK && t.total == 6, "named by its .bin");
    ok(truncate(scratch("both.bin"), 5) == 0 && tokens_read(&t, 0, 6, 100, got) == E_DATA &&
           says("ends at byte 5"),
       "a file that shrinks while it is open");
    tokens_close(&t);
    ok(tokens_open(&t, scratch("both.idx")) == E_DATA && says("sequence 2"),
       "named by its .idx; .bin cut short");
    unsigned char none[42] = "MMIDIDX\0\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\1";
    write_pair("none", bin, 0, none, sizeof none);
    ok(tokens_open(&t, scratch("none")) == OK && t.total == 0 && t.documents == 0,
       "a data set without documents");
    ok(tokens_read(&t, 0, 0, 100, got) == OK, "... of which nothing can be read");
    tokens_close(&t);
}

/* ---- files of another writer: figures in ../shared/data/README.md, ids read with numpy ---- */

static void test_shared(void)
{
    static const struct {
        const char *prefix;
        int64_t total, documents, vocab;
        int32_t first, middle, last;
        int64_t sum;
    } cases[] = {
        {"data/tokens/war-and-peace", 799812, 365, 49152, 5229, 288, 0, 3430541606},
        {"data/tokens/wikitext2-valid", 273927, 60, 49152, 446, 3297, 0, 1137154782},
        {"data/tokens/tinystories_975", 216089, 977, 49152, 2705, 30, 0, 815471704},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *idx = mem_format("%s.idx", cases[i].prefix);
        const char *path = shared(idx);
        struct tokens t;
        free(idx);
        if (!path) {
            ok(true, "%s # SKIP not there (set COPPICE_SHARED)", cases[i].prefix);
            continue;
        }
        if (!ok(tokens_open(&t, path) == OK && t.total == cases[i].total && t.documents == cases[i].documents,
                "%s: tokens and documents", cases[i].prefix))
            continue;
        int32_t *ids = mem_new(t.total, sizeof *ids);
        int64_t sum = 0;
        bool good = tokens_read(&t, 0, t.total, cases[i].vocab, ids) == OK;
        for (int64_t k = 0; k < t.total; k++)
            sum += ids[k];
        ok(good && sum == cases[i].sum && ids[0] == cases[i].first && ids[t.total / 2] == cases[i].middle &&
               ids[t.total - 1] == cases[i].last,
           "%s: ids", cases[i].prefix);
        free(ids);
        tokens_close(&t);
    }
}

/* ---- writing ---- */

static bool file_is(const char *name, const void *bytes, size_t n)
{
    unsigned char got[128];
    int fd = open(scratch(name), O_RDONLY);
    ssize_t size = read(fd, got, sizeof got);
    close(fd);
    return size == (ssize_t)n && memcmp(got, bytes, n) == 0;
}

static void test_write(void)
{
    static const int32_t ids[] = {1, 2, 3, 40000, 5};
    static const int64_t lengths[] = {3, 0, 2};
    static const unsigned char bin[] = {1, 0, 2, 0, 3, 0, 0x40, 0x9c, 5, 0};
    static const unsigned char idx[] = "MMIDIDX\0\0"
                                       "\1\0\0\0\0\0\0\0"
                                       "\10"
                                       "\3\0\0\0\0\0\0\0"
                                       "\4\0\0\0\0\0\0\0"
                                       "\3\0\0\0"
                                       "\0\0\0\0"
                                       "\2\0\0\0"
                                       "\0\0\0\0\0\0\0\0"
                                       "\6\0\0\0\0\0\0\0"
                                       "\6\0\0\0\0\0\0\0"
                                       "\0\0\0\0\0\0\0\0"
                                       "\1\0\0\0\0\0\0\0"
                                       "\2\0\0\0\0\0\0\0"
                                       "\3\0\0\0\0\0\0";
    struct tokens t;
    int32_t got[5];
    ok(tokens_write(scratch("new"), 8, ids, lengths, 3) == OK, "write u16");
    ok(file_is("new.bin", bin, sizeof bin), "the .bin to the byte");
    ok(file_is("new.idx", idx, sizeof idx), "the .idx to the byte");
    ok(access(scratch("new.bin.tmp"), F_OK) != 0 && access(scratch("new.idx.tmp"), F_OK) != 0,
       "no drafts are left");
    for (int type = 4; type <= 8; type += 4) {
        ok(tokens_write(scratch("again.bin"), type, ids, lengths, 3) == OK &&
               tokens_open(&t, scratch("again")) == OK && t.total == 5 && t.documents == 3 &&
               t.type == type && tokens_read(&t, 0, 5, 50000, got) == OK && memcmp(got, ids, sizeof ids) == 0,
           "type %d comes back", type);
        tokens_close(&t);
    }
    int64_t n = 20001;
    int32_t *many = mem_new(n, sizeof *many), *back = mem_new(n, sizeof *back);
    for (int64_t i = 0; i < n; i++)
        many[i] = (int32_t)(i % 251);
    ok(tokens_write(scratch("long"), 1, many, &n, 1) == OK && tokens_open(&t, scratch("long")) == OK &&
           tokens_read(&t, 0, n, 256, back) == OK && memcmp(many, back, (size_t)n * 4) == 0,
       "u8, longer than a chunk");
    ok(tokens_read(&t, 7777, 9000, 256, back) == OK && memcmp(many + 7777, back, 36000) == 0,
       "... from the middle");
    tokens_close(&t);
    free(many);
    free(back);
    ok(tokens_write("/nonexistent/x", 8, ids, lengths, 3) == E_SPACE && says("/nonexistent"),
       "no such folder");
}

/* A look at the ids, dealt to several: one of them finds the one that is none. */
static void test_look(void)
{
    enum { N = 5 * 8192 + 7, PARTS = 4 };
    int64_t n = N, looked = 0;
    int32_t *ids = mem_new(n, sizeof *ids);
    struct tokens t;
    ids[3 * 8192 + 1] = 60000;
    ok(tokens_write(scratch("look"), 4, ids, &n, 1) == OK && tokens_open(&t, scratch("look")) == OK,
       "six blocks");
    int bad = 0;
    for (int part = 0; part < PARTS; part++)
        bad += tokens_check(&t, 60000, part, PARTS, 60, &looked) == E_DATA;
    ok(bad == 1 && says("look.bin: document 0 holds token 60000"), "one of four parts finds it: %s",
       status_text());
    looked = 0;
    for (int part = 0; part < PARTS; part++)
        bad -= tokens_check(&t, 60001, part, PARTS, 60, &looked) != OK;
    ok(bad == 1 && looked == N, "four parts see each token once");
    looked = 0;
    ok(tokens_check(&t, 60001, 0, 1, 0, &looked) == OK && looked == 8192, "no time: one block all the same");
    tokens_close(&t);
    free(ids);
}

int main(void)
{
    static const struct {
        int type;
        int64_t size, largest;
    } types[] = {{1, 1, 255},           {2, 1, 127},   {3, 2, 32767},         {4, 4, INT32_MAX - 1},
                 {5, 8, INT32_MAX - 1}, {8, 2, 65535}, {9, 4, INT32_MAX - 1}, {10, 8, INT32_MAX - 1}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        test_type(types[i].type, types[i].size, types[i].largest);
    test_negative();
    test_order();
    test_hostile();
    test_files();
    test_shared();
    test_write();
    test_look();
    scratch_remove();
    return tap_done();
}
