/* encode TOKENIZER [special]: texts on stdin, each behind its length in bytes as 8 bytes (little-endian),
 * become a line of ids each; with "decode" the text again, hexadecimal. For validation/text/against-hf.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "text/tokenizer.h"

static status one(struct encoder *e, const char *mode, const char *text, int64_t n)
{
    struct ids ids = {0};
    struct bytes back = {0};
    status s = encode(e, text, n, !strcmp(mode, "special"), &ids);
    if (s == OK && !strcmp(mode, "decode"))
        s = decode(e, ids.at, ids.n, true, &back);
    for (int64_t i = 0; i < back.n; i++)
        printf("%02x", (unsigned char)back.at[i]);
    for (int64_t i = 0; i < ids.n && strcmp(mode, "decode") != 0; i++)
        printf("%s%d", i ? " " : "", ids.at[i]);
    putchar('\n');
    free(ids.at);
    free(back.at);
    return s;
}

int main(int argc, char **argv)
{
    struct tokenizer *t = NULL;
    status s =
        argc == 3 ? tokenizer_open(&t, argv[1]) : fail(E_DECK, "encode TOKENIZER plain|special|decode");
    struct encoder *e = s == OK ? encoder_open(t) : NULL;
    for (int64_t n; s == OK && fread(&n, sizeof n, 1, stdin) == 1;) {
        char *text = mem_new(n + 1, 1);
        if (fread(text, 1, (size_t)n, stdin) == (size_t)n)
            s = one(e, argv[2], text, n);
        free(text);
    }
    if (s != OK)
        fprintf(stderr, "%s\n", status_text());
    encoder_close(e);
    tokenizer_close(t);
    return s;
}
