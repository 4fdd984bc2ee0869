/* The shape of a model of the Llama family, as Hugging Face defines it; each layer is dense or MoE. A plain
 * value that does not depend on ranks. Pure. */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"
#include "deck/choices.h"
#include "format/rope.h"
#include "layout/layout.h"

enum { MAX_LAYERS = 1024, MAX_EXPERTS = 4096 };

struct moe {
    int64_t experts; /* X, the total; 0 = the model is dense */
    int64_t top_k;
    int64_t granularity; /* G: an expert's FFN width is ffn / G */
    enum router_order order;
    bool renormalise;
    int64_t capacity_ppm; /* capacity factor in millionths, exact for decimals; 0 = dropless */
    enum capacity_rule capacity_rule;
    enum capacity_policy capacity_policy;
    double aux_coeff, z_coeff, max_z_coeff; /* of the aux loss, the z loss and the squared largest logit */
    enum aux_domain aux_domain;             /* what f_e counts; global: the batch of the step before */
    double jitter;          /* eps: training multiplies the router's input by 1-eps .. 1+eps; 0 = none */
    double bias_rate;       /* u of loss-free balancing; 0 = no bias */
    int64_t shared;         /* number of shared experts, computed as one FFN of width shared * F */
    bool shared_gate;       /* multiply the output of that FFN by sigmoid(w_s x) */
    bool layer[MAX_LAYERS]; /* which layers are MoE */
};

/* What the model does not compute with, but its export repeats. */
struct carried {
    char keys[512];    /* keys of config.json as a JSON object: token ids, initializer_range; "" = none */
    char folder[1024]; /* the Hugging Face directory that has the model's tokenizer; "" = unknown */
};

struct config {
    int64_t hidden, ffn, layers, heads, kv_heads, head_dim, vocab; /* ffn = F', the dense width */
    double norm_eps;
    struct rope rope;
    bool tied, qkv_bias;
    struct multipliers {
        double embedding, residual;
        double attention;      /* of scores, instead of 1/sqrt(head_dim) */
        double logits_scaling; /* divides the logits */
    } multiply;                /* Granite; 0: none */
    bool bare[MAX_LAYERS];     /* layers without rotary positions (SmolLM3) */
    int64_t window;            /* keys that a token sees, its own one too; 0 = all before it */
    bool whole[MAX_LAYERS];    /* layers without the window */
    bool qk_norm; /* RMSNorm of each head of Q and K, with a weight [head_dim], before rotary positions */
    int64_t max_positions;
    struct moe moe;
    struct carried carried;
};

/** X if layer l is MoE, else 0. */
int64_t config_experts(const struct config *, int64_t l);
int64_t config_moe_layers(const struct config *);
/** How many keys a token of layer l sees at most; 0: all. */
int64_t config_window(const struct config *, int64_t l);
/** F of one expert: ffn / granularity. */
int64_t config_expert_ffn(const struct config *);
struct layout_needs config_needs(const struct config *);
/** E_DECK with every reason why the shape makes no sense, a line each: heads % kv_heads, top_k > X, G | ffn,
 * ... */
status config_check(const struct config *) MUST_USE;
/** E_DECK if the routing weight is 1 for every choice, because the router's gradient is then always 0. Such a
 *  model can be read and exported, but not trained. */
status config_learns(const struct config *) MUST_USE;
/** Do two shapes agree in all but their experts, so that upcycling needs no growth? */
bool config_same_trunk(const struct config *, const struct config *);
/** Differences in settings that change what a model computes but are no sizes: "rope_theta 10000 there,
 * 500000 here; ...", by their names in config.json or in the deck; NULL if all agree. Settings of experts are
 * compared if both models have experts. Caller frees. */
char *config_changes(const struct config *there, const struct config *here);
/** "6 layers x 128", "6 layers x 128 -> E8T2"; returns out. */
char *config_text(const struct config *, char out[96]);
/** All parameters, and those that one token uses with its top_k experts. */
int64_t config_parameters(const struct config *);
int64_t config_active_parameters(const struct config *);
/** Model FLOPs of forward and backward per token at sequence S, by Megatron's convention:
 *  6L[h(q+2kv)+qh+3fkh] + 6hV + 6qSL. Router, norms and padding do not count. */
double config_flops_per_token(const struct config *, int64_t sequence);
/** Assignments that an expert keeps of a micro-batch of N tokens (D5); INT64_MAX if dropless. */
int64_t config_capacity(const struct config *, int64_t tokens);
/** cos_sin [S, head_dim]: the cosines of the rotary angles in the first half of a row, the sines in the
 * second (rope.c). */
void config_rope_table(const struct config *, int64_t sequence, float *cos_sin);
/** What the table of queries is longer by: a model's own attention multiplier over 1/sqrt(head_dim), else 1.
 */
double config_query_scale(const struct config *);

#endif
