/* The input is a tokenizer.json. If it is accepted, a text is encoded by it, and the ids are decoded. */
#include <string.h>
#include "fuzz.h"
#include "text/tokenizer.h"

/* Spaces, digits, marks, names of added tokens. */
static const char text[] =
    "the he\xcc\x81llo  <a> 12\xc2\xbd\n\n\xe2\x96\x81\xf0\x9f\x98\x80<b>x <0x41>\r\n ";

static status use(const struct tokenizer *t)
{
    struct encoder *e = encoder_open(t);
    struct ids ids = {0};
    struct bytes back = {0};
    status s = encode(e, text, sizeof text - 1, false, &ids);
    for (int64_t i = 0; s == OK && i < ids.n; i++)
        if (ids.at[i] < 0 || ids.at[i] >= tokenizer_vocabulary(t))
            bug("token %d", ids.at[i]);
    if (s == OK)
        s = decode(e, ids.at, ids.n, true, &back);
    free(ids.at);
    free(back.at);
    encoder_close(e);
    return s;
}

status fuzz_parse(const uint8_t *data, size_t size)
{
    struct tokenizer *t = NULL;
    fuzz_write("tokenizer.json", data, size);
    char *path = fuzz_path("tokenizer.json");
    status s = tokenizer_open(&t, path);
    free(path);
    if (s != OK)
        return s;
    s = use(t);
    tokenizer_close(t);
    return s;
}
