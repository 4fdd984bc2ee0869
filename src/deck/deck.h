/* The deck: a YAML file as typed sections. One table of keys (deck/keys.c) drives parsing, checks,
 * `coppice deck keys`, input/README.md and the resolved deck. Below train/ functions take sections,
 * never the deck. Local; the caller agrees. Texts are owned by the deck. */
#ifndef DECK_DECK_H
#define DECK_DECK_H
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct data_item {
    char *path;
    double weight;
}; /* a .bin/.idx prefix, absolute */
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
    char *router;    /* unset | topk-softmax | softmax-topk */
    int renormalise; /* -1 unset, 0, 1 */
    char *layers;    /* unset | all | every N | "0,2,5" (ascending; a list is kept as text) */
    char *capacity;  /* dropless | a decimal of at most six places, as written */
    char *capacity_rule, *capacity_policy;
    double aux_loss_coeff, z_loss_coeff, max_z_loss_coeff;
    char *aux_loss_domain; /* micro-batch | sequence | global */
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
        char *method, *depth,
            *scope; /* none | fpi | aki | aki-pro; NULL unset | stack | interpolate; all | neurons */
    } grow;
    struct {
        char *router; /* copy | normal | zero */
        double router_std;
        struct paths parents;
        double noise, reinit, reinit_std;
        char *weight_scale; /* auto | down | none | a decimal */
    } upcycle;
};
struct parallel_section {
    int64_t tensor, expert, expert_tensor;
};
struct device_section {
    char *type, *precision, *check; /* false | true | hidden */
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
    char *schedule;
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
        K_DECIMAL /* a word or a positive decimal, kept as text so that it stays exact */
    } type;
    size_t offset;
    double min, max; /* inclusive, of numbers */
    const char *unit, *fallback /* as YAML text; NULL = unset */, *help;
    const char *choices; /* "a|b|c"; of a path, duration, decimal: words that are taken as they are */
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
/** The value of key `i` as YAML text, "~" if unset. Caller frees. */
char *deck_value(const struct deck *, int i);
/** "FILE:LINE:COLUMN" of a key's value, for messages of later checks; "--set", or "default" if it
 *  was not given. */
const char *deck_origin(const struct deck *, const char *path);
/** Where the mistake stands that a message tells: the origin of the first key named in it that was given;
 *  NULL if it names none. */
const char *deck_where(const struct deck *, const char *message);
/** Of libyaml. */
const char *deck_parser_version(void);
/** Put its place in the decks before each line of a failed call's record that has none: that of the first key
 *  that the line names; else, if the code is E_DECK, of `otherwise` (a key, or NULL); else of the key (which is
 *  named then) whose path the line names. Returns the code. */
status deck_place(const struct deck *, status code, const char *otherwise);
/** Does a mistake in a deck say which key it is about? After one that does not, too much is unknown for
 *  further checks. */
bool deck_names_key(const char *mistake);
/** Do a later message and an earlier mistake name the same key, so that one may follow from the other? */
bool deck_follows(const char *message, const char *mistake);

#endif
