/* safetensors: every element of an accepted file is read. */
#include "format/safetensors.h"
#include "fuzz.h"

enum { MOST = 1 << 16 };

static void read_tensor(const struct st_file *f, int i)
{
    static union {
        float f32[MOST];
        int64_t i64[MOST];
    } out;
    int64_t n = st_elements(&f->tensor[i]);
    if (n > MOST)
        n = MOST;
    status as_floats = st_read_f32(f, i, 0, n, out.f32), as_integers = st_read_i64(f, i, 0, n, out.i64);
    if (as_floats == OK && as_integers == OK)
        bug("tensor %s is of two types", f->tensor[i].name);
    if (st_find(f, f->tensor[i].name) != i)
        bug("tensor %s is not found", f->tensor[i].name);
}

status fuzz_parse(const uint8_t *data, size_t size)
{
    struct st_file f;
    fuzz_write("fuzz.safetensors", data, size);
    char *path = fuzz_path("fuzz.safetensors");
    status s = st_open(&f, path);
    for (int i = 0; s == OK && i < f.n; i++)
        read_tensor(&f, i);
    if (s == OK)
        st_close(&f);
    free(path);
    return s;
}
