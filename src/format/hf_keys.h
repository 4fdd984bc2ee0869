/* What the files that read config.json share: the reader, and what can be done with a key. */
#ifndef FORMAT_HF_KEYS_H
#define FORMAT_HF_KEYS_H
#include <stddef.h>
#include <stdbool.h>
#include "base/json.h"
#include "format/hf_config.h"

enum {
    LLAMA = 1,
    MISTRAL = 2,
    QWEN2 = 4,
    MIXTRAL = 8,
    QWEN3 = 16,
    SEED_OSS = 32,
    SMOLLM3 = 64,
    GRANITE = 128,
    QWEN2_MOE = 256,
    QWEN3_MOE = 512,
    GRANITE_MOE = 1024,
    ALL = 2047,
    /* groups */
    QWEN_MOE = QWEN2_MOE | QWEN3_MOE,
    MOE = MIXTRAL | QWEN_MOE | GRANITE_MOE,
    SWITCHED = QWEN2 | QWEN3 | SMOLLM3 | QWEN_MOE /* a window counts only with use_sliding_window */
};
enum { GIVEN_MOST = 64, LAYERS_MOST = 1 << 10 };

struct reader {
    const char *path, *inside; /* inside: "rope_scaling." while its members are read; else "" */
    struct hf_config *config;
    json_t *root;
    int family;              /* its bit */
    long long no_rope;       /* every so many layers have no rotary positions */
    bool bare_given;         /* no_rope_layers stands in the file */
    long long sparse_step;   /* every so many layers have experts ... */
    bool dense[LAYERS_MOST]; /* ... but these */
    bool use_window;         /* use_sliding_window */
    bool types_given;        /* layer_types stands in the file */
    long long max_window_layers;
    struct given { /* members that keys of the file have set so far */
        const void *member;
        const char *inside, *name;
        double value;
    } given[GIVEN_MOST];
    int n_given;
};

struct key {
    const char *name;
    int families; /* those that have the key */
    status (*use)(struct reader *, const struct key *, json_t *value);
    size_t at;        /* member of struct hf_config */
    long long most;   /* the largest count, so that no product of sizes overflows */
    const char *text; /* the allowed values, or the reason why the key is refused or ignored */
};

/** E_DATA: "FILE: key "x": ...". */
status refuse(const struct reader *, const char *key, const char *format, ...) PRINTF(3, 4);
/** Add a line for the user; takes ownership of the text. */
void note(struct hf_config *, char *text);
/** Several keys may set one member, such as rope_theta outside and inside rope_scaling. E_DATA if the key
 * `name` gives it another value than an earlier key did. */
status agree(struct reader *, const char *name, const void *member, double value);

/** After all keys: the lists of layers, whether the file gives them or not. E_DATA if they contradict it. */
status complete_layers(const struct reader *) MUST_USE;
/** The file's keys that an export repeats, as the text of a JSON object; NULL if there are none. Caller
 * frees. */
char *carried_keys(json_t *root);

/* What is done with a key, for the tables of hf_config.c. E_DATA for a value that is not supported. */
typedef status use_key(struct reader *, const struct key *, json_t *value);
use_key use_count, use_count_or_null, use_number, use_number_or_null, use_flag, use_nothing, use_length,
    use_window, use_window_flag, use_window_from, use_layer_types, use_moe_layers, use_no_rope_layers,
    use_no_rope_interval, use_sparse_step, use_dense_layers;
use_key ignored;                          /* with a note */
use_key only_text, only_off, only_number; /* harmless at these values */

#endif
