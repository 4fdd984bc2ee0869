/* The deck: a YAML file as typed sections. One table of keys (deck/keys.c) drives parsing, checks,
 * `coppice deck keys`, input/README.md and the resolved deck. Below train/ functions take sections,
 * never the deck. Local; the caller agrees. Texts are owned by the deck. */
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
    char *where; /* "FILE:LINE:COLUMN" of the path; NULL = unknown */
};
struct data_items {
    int n;
    struct data_item *item;
};
struct paths {
    int n;
    char **path; /* absolute; of K_NAMES: as they were written */
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
    double time_limit; /* s; 0 = auto */
};
struct moe_section {        /* unset: -1, NULL; the keys without the remark have defaults */
    int64_t experts, top_k; /* unset: as `like` says */
    int64_t granularity;
    int router;              /* -1 unset, enum router_order */
    int renormalise;         /* -1 unset, 0, 1 */
    char *layers;            /* unset | all | every N | "0,2,5" (ascending; a list is kept as text) */
    struct decimal capacity; /* dropless is the only word */
    enum capacity_rule capacity_rule;
    enum capacity_policy capacity_policy;
    double aux_loss_coeff, z_loss_coeff, max_z_loss_coeff;
    enum aux_domain aux_loss_domain;
    double jitter, bias_update_rate;
    int64_t shared;
    bool shared_gate;
    double imbalance; /* planned rows at an expert's rank over the balanced number */
};
struct model_section { /* unset: -1, NULL; spelled-out keys override `like` */
    char *like;        /* absolute path of a Hugging Face directory */
    int64_t hidden, ffn, layers, heads, kv_heads, head_dim, vocab, max_positions;
    double norm_eps, rope_theta;
    int tied, qkv_bias;  /* -1 unset */
    struct paths ignore; /* keys of config.json */
    struct moe_section moe;
};
struct start_section {
    char *from; /* NULL = model.like; "random"; a directory or checkpoint (absolute) */
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
};
struct device_section {
    enum device_type type;
    dtype precision;
    enum dev_check check;
    int64_t threads;
};
struct data_section {
    int64_t sequence;
    struct data_items train, valid;
    char *batches;      /* FILE.safetensors instead of train */
    struct reals split; /* e.g. 0.9, 0.1 */
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
    int64_t keep, writers; /* ranks a file; 0 = a node's */
    bool final;
};
struct eval_section {
    struct every every;
    int64_t tokens;
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
    struct log_section log;
    char *name;    /* last deck's file name without suffix: the default run.dir is runs/<name> */
    char *file;    /* last deck as it was named, for messages about what is missing */
    char **origin; /* [deck_keys()] where each value came from: NULL = default; see deck_origin */
};

struct key {
    const char *path; /* "model.moe.top_k" */
    enum key_type {
        K_INT,
        K_REAL,
        K_BOOL,
        K_MAYBE, /* a bool that may be unset, kept as an int -1, 0, 1 */
        K_CHOICE,
        K_PATH,
        K_REALS,
        K_PATHS,
        K_NAMES,
        K_ITEMS,
        K_EVERY,
        K_LAYERS,
        K_DURATION,
        K_DECIMAL /* a word, or a positive decimal that is kept exactly */
    } type;
    size_t offset;
    double min, max; /* inclusive, of numbers */
    const char *unit, *fallback /* as YAML text; NULL = unset */, *help;
    const struct choice *words; /* that may stand for it; of a path, duration, decimal: besides others */
    bool may_change_on_restart;
};
const struct key *deck_keys(int *n);

/** All defaults, nothing read. Every deck begins with this; the calls below add to it. */
void deck_init(struct deck *);
void deck_free(struct deck *);
/** Read YAML decks left to right (base, then variants), then --set a.b=c texts, on top of what the
 *  deck holds. Sections merge key by key, lists replace. All errors of all decks in one record, one
 *  line each "FILE:LINE:COLUMN: message"; E_DECK. Decks hold at most 1 MiB, 16 levels and 64 KiB a
 *  value; anchors, aliases, tags, second documents and double keys are refused. */
status deck_read(struct deck *, int n_files, char *const files[], int n_set, char *const set[]) MUST_USE;
/** The same from memory (tests, fuzzing, the deck inside a checkpoint). Paths are relative to
 *  `folder`; NULL is the current one. */
status deck_parse(struct deck *, const char *name, const char *text, int64_t size,
                  const char *folder) MUST_USE;
/** Checks inside the deck that need no file: micro | sequences, exactly one of steps and tokens,
 *  train or batches, ... E_DECK, all at once, with positions and the numbers that would fit. */
status deck_check(const struct deck *) MUST_USE;
/** Steps that a run takes: run.steps, or as many as reach run.tokens. */
int64_t deck_steps(const struct deck *);
/** The resolved deck as YAML: every key, absolute paths, "# origin" behind each value. It can be
 *  read again and gives the same deck. Caller frees. */
char *deck_resolved(const struct deck *);
/** Differences in keys that may not change on restart; NULL if none, else lines (caller frees). */
char *deck_restart_diff(const struct deck *now, const struct deck *then);
/** What may stand for a key's value, in words. Caller frees. */
char *deck_domain(const struct key *);
/** The value of key `i` as YAML text, "~" if unset. Caller frees. */
char *deck_value(const struct deck *, int i);
/** "FILE:LINE:COLUMN" of a key's value, for messages of later checks; "--set", or "default" if it
 *  was not given. */
const char *deck_origin(const struct deck *, const char *path);
/** Position of the first key named in `message` that the user gave; NULL if there is none. */
const char *deck_where(const struct deck *, const char *message);
/** Of libyaml. */
const char *deck_parser_version(void);
/** Put its place in the decks before each line of a failed call's record that has none: that of the first key
 *  that the line names; else, if the code is E_DECK, of `otherwise` (a key, or NULL); else of the key (which
 * is named then) whose path the line names. Returns the code. */
status deck_place(const struct deck *, status code, const char *otherwise);
/** Does a mistake in a deck say which key it is about? After one that does not, too much is unknown for
 *  further checks. */
bool deck_names_key(const char *mistake);
/** Do a later message and an earlier mistake name the same key, so that one may follow from the other? */
bool deck_follows(const char *message, const char *mistake);

#endif
