/* The .idx file of a token set, for its reader (tokens.c) and its writer (tokens_write.c). */
#ifndef FORMAT_TOKENS_IDX_H
#define FORMAT_TOKENS_IDX_H
#include <stdint.h>

/* The file is this header, then i32 lengths[S], i64 pointers[S], i64 documents[D]. */
struct __attribute__((packed)) idx_header {
    char magic[9];
    uint64_t version;
    uint8_t type;
    uint64_t sequences, documents; /* S, D = documents + 1 */
};

static const char idx_magic[9] = "MMIDIDX\0";

enum { U8 = 1, I8, I16, I32, I64, F64, F32, U16, U32, U64, TYPES, CHUNK = 1 << 13 };

#endif
