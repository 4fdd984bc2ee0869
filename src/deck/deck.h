/* The deck: a YAML file as typed sections. One table of keys (deck/keys.c) drives parsing, checks, `coppice
 * deck keys`, input/README.md and the resolved deck. The rooms below start/ take sections, never the deck.
 * Local; the caller agrees. The deck owns its texts. */
#ifndef DECK_DECK_H
#define DECK_DECK_H
#include "base/status.h"
#include "deck/choices.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct data_item {
    char *path; /* a .bin/.idx prefix, absolute */
    double weight;
    char *where; /* "FILE:LINE:COLUMN" of the path; NULL if unknown */
};
struct data_items {
    int n;
    struct data_item *item;
};
struct paths {
    int n;
    char **path; /* absolute paths; for K_NAMES, names as written */
};
struct reals {
    int n;
    double *x;
};
struct every {
    int64_t steps;
    double seconds;
}; /* 500 | 30min; both 0 = never */

struct run_section {
    int64_t steps; /* exactly one of steps and tokens is above 0 once deck_check passes */
    double tokens;
    int64_t seed;
    char *dir; /* absolute */
    bool profile;
    char *machine;     /* a machine file, absolute; NULL = the shipped one */
    double time_limit; /* s; 0 = auto */
    double watchdog;   /* s; 0 = never */
};
struct moe_section {        /* unset is -1 or NULL; keys without a remark have defaults */
    int64_t experts, top_k; /* unset: as `like` says */
    int64_t granularity;
    int router;              /* -1 unset, enum router_order */
    int renormalise;         /* -1 unset, 0, 1 */
    char *layers;            /* NULL, "all", "every N", or a list as text: "0,2,5", ascending */
    struct decimal capacity; /* dropless is the only word */
    enum capacity_rule capacity_rule;
    enum capacity_policy capacity_policy;
    double aux_loss_coeff, z_loss_coeff, max_z_loss_coeff;
    enum aux_domain aux_loss_domain;
    double jitter, bias_update_rate;
    int64_t shared;
    int shared_gate;  /* -1: not given */
    double imbalance; /* planned rows at an expert's rank, as a multiple of the balanced number */
};
struct model_section { /* unset is -1 or NULL; keys that are given override `like` */
    char *like;        /* absolute path of a Hugging Face directory */
    int64_t hidden, ffn, layers, heads, kv_heads, head_dim, vocab, max_positions;
    double norm_eps, rope_theta;
    int tied, qkv_bias, qk_norm; /* -1 unset */
    struct paths ignore;         /* keys of config.json */
    struct moe_section moe;
};
struct start_section {
    char *from; /* NULL: model.like; "random"; or the absolute path of a directory or checkpoint */
    struct {
        enum grow_method method;
        enum grow_depth depth; /* may be DEPTH_UNSET */
        enum grow_scope scope;
    } grow;
    struct {
        enum router_init router;
        double router_std;
        struct paths parents;
        double noise, reinit, reinit_std;
        struct decimal weight_scale; /* words: enum weight_scale */
    } upcycle;
};
struct parallel_section {
    int64_t tensor, expert, expert_tensor;
    bool overlap_gradients, overlap_weights;
};
struct device_section {
    enum device_type type;
    dtype precision;
    enum dev_transport transport;
    bool deterministic;
    enum recompute recompute;
    enum dev_check check;
    int64_t threads;
};
struct data_section {
    int64_t sequence;
    struct data_items train, valid;
    char *batches;      /* a safetensors file to use instead of train */
    struct reals split; /* such as 0.9, 0.1 */
    bool document_mask;
    int64_t pad_id; /* -1: none */
};
struct batch_section {
    int64_t sequences, micro;
};
struct optimizer_section {
    double lr, min_lr;
    enum schedule schedule;
    int64_t warmup, horizon; /* 0 = the first leg's steps */
    double weight_decay;
    struct reals betas;
    double eps, clip;
};
struct checkpoint_section {
    struct every every;
    int64_t keep, keep_every, writers; /* ranks a file; 0 = a node's */
    bool final;
    enum save_async async;
};
struct guard_section {
    enum guard_policy policy;
    int64_t most;                  /* bad steps in a row */
    double loss_spike, norm_spike; /* 0 = never */
    struct every replicas;
};
struct eval_section {
    struct every every;
    int64_t tokens;
    struct paths tasks;   /* see eval/task.h */
    int64_t shots, limit; /* limit 0: all questions */
    char *tokenizer;      /* absolute path; NULL: the model's */
};
struct log_section {
    int64_t every;
};

struct deck {
    struct run_section run;
    struct model_section model;
    struct start_section start;
    struct parallel_section parallel;
    struct device_section device;
    struct data_section data;
    struct batch_section batch;
    struct optimizer_section optimizer;
    struct checkpoint_section checkpoint;
    struct eval_section eval;
    struct guard_section guard;
    struct log_section log;
    char *name;    /* the last deck's file name without suffix; the default run.dir is runs/<name> */
    char *file;    /* the last deck's path as given, for messages about what is missing */
    char **origin; /* [deck_keys()] where each value came from; NULL: it is the default */
};

struct key {
    const char *path; /* "model.moe.top_k" */
    enum key_type {
        K_INT,
        K_REAL,
        K_BOOL,
        K_MAYBE, /* a truth value that may be unset: -1, 0, 1 */
        K_CHOICE,
        K_PATH,
        K_REALS,
        K_PATHS,
        K_NAMES,
        K_ITEMS,
        K_EVERY,
        K_LAYERS,
        K_DURATION,
        K_DECIMAL /* a word, or a positive decimal number that is kept exactly */
    } type;
    size_t offset;
    double min, max;      /* of a number, inclusive */
    const char *unit;     /* NULL: none */
    const char *fallback; /* the default as YAML text; NULL: unset */
    const char *help;
    const struct choice *words; /* of a choice; or words that a path, duration or decimal may be, too */
    bool may_change_on_restart;
};
const struct key *deck_keys(int *n);

/** Set all defaults. Every deck begins with this; the calls below add to it. */
void deck_init(struct deck *);
void deck_free(struct deck *);
/** Read YAML decks from left to right (base, then variants), then --set a.b=c texts, on top of what the deck
 * holds. Sections merge key by key, lists replace. E_DECK with all mistakes of all decks, a line each:
 *  "FILE:LINE:COLUMN: message". A deck has at most 1 MiB, 16 levels, and 64 KiB in a value. Anchors, aliases,
 * tags, second documents and double keys are refused. */
status deck_read(struct deck *, int n_files, char *const files[], int n_set, char *const set[]) MUST_USE;
/** The same from memory, for tests, fuzzing and the deck inside a checkpoint. Paths are relative to `folder`;
 * NULL is the current one. */
status deck_parse(struct deck *, const char *name, const char *text, int64_t size,
                  const char *folder) MUST_USE;
/** A deck that a checkpoint keeps. A key or value that this program no longer knows is passed over. */
void deck_parse_saved(struct deck *, const char *name, const char *text);
/** Checks across keys that need no file: micro divides sequences, exactly one of steps and tokens is given,
 * train or batches, ... E_DECK with all mistakes, with positions and numbers that would fit. */
status deck_check(const struct deck *) MUST_USE;
/** Steps that a run takes: run.steps, or as many as reach run.tokens. */
int64_t deck_steps(const struct deck *);
/** The resolved deck as YAML: every key, absolute paths, "# origin" behind each value. Reading it gives the
 * same deck. Caller frees. */
char *deck_resolved(const struct deck *);
/** Differences in keys that may not change on restart, a line each; NULL if there are none. Caller frees. */
char *deck_restart_diff(const struct deck *now, const struct deck *then);
/** What may stand for a key's value, in words. Caller frees. */
char *deck_domain(const struct key *);
/** The value of key `i` as YAML text, "~" if unset. Caller frees. */
char *deck_value(const struct deck *, int i);
/** Where a key's value came from, for messages of later checks: "FILE:LINE:COLUMN", "--set", or "default". */
const char *deck_origin(const struct deck *, const char *path);
/** Position of the first key named in `message` that the user gave; NULL if there is none. */
const char *deck_where(const struct deck *, const char *message);
/** Version of libyaml. */
const char *deck_parser_version(void);
/** Put a position in the decks before each line of a failed call's record that has none. It is that of the
 * first key that the line names; else, with E_DECK, that of the key `otherwise` (may be NULL); else that of
 * the key whose path the line names, and then the key's name is put there too. Returns the code. */
status deck_place(const struct deck *, status code, const char *otherwise);
/** Does a mistake in a deck say which key it is about? After one that does not, further checks make no sense.
 */
bool deck_names_key(const char *mistake);
/** Do a later message and an earlier mistake name the same key? Then the later one may follow from the
 * earlier. */
bool deck_follows(const char *message, const char *mistake);

#endif
