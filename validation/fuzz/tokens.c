/* The input is an .idx file, beside a .bin file of 64 bytes. If it is accepted, its tokens are read. */
#include <stdbool.h>
#include "format/tokens.h"
#include "fuzz.h"

enum { BIN_BYTES = 64, MOST = 4096, VOCABULARY = 50 }; /* some tokens are beyond the vocabulary */

static void write_bin(void)
{
    uint8_t bin[BIN_BYTES];
    for (int i = 0; i < BIN_BYTES; i++)
        bin[i] = i % 8 == 0 ? (uint8_t)i : 0; /* small numbers of 8 bytes too */
    fuzz_write("fuzz.bin", bin, sizeof bin);
}

static status read_all(const struct tokens *t)
{
    static int32_t out[MOST];
    int64_t n = t->total < MOST ? t->total : MOST;
    TRY(tokens_read(t, t->total - n, n, VOCABULARY, out));
    for (int64_t i = 0; i < n; i++)
        if (out[i] < 0 || out[i] >= VOCABULARY)
            bug("token %d", out[i]);
    return OK;
}

status fuzz_parse(const uint8_t *data, size_t size)
{
    static bool begun;
    struct tokens t;
    if (!begun)
        write_bin();
    begun = true;
    fuzz_write("fuzz.idx", data, size);
    char *path = fuzz_path("fuzz");
    status s = tokens_open(&t, path);
    free(path);
    if (s != OK)
        return s;
    s = read_all(&t);
    tokens_close(&t);
    return s;
}
