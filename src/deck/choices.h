/* The words that a deck chooses between, as enums, each with one table for the parser, the help and the
 * resolved deck. Pure; every room below may include this. */
#ifndef DECK_CHOICES_H
#define DECK_CHOICES_H
#include <stdbool.h>
#include <stdint.h>
#include "base/dtype.h"

enum router_order { TOPK_SOFTMAX, SOFTMAX_TOPK };
enum capacity_rule { CAP_ASSIGNMENTS, CAP_TOKENS };
enum capacity_policy { BY_POSITION, BY_PROBABILITY };
enum aux_domain { AUX_MICRO_BATCH, AUX_SEQUENCE, AUX_GLOBAL };
enum grow_method { GROW_NONE, GROW_FPI, GROW_AKI, GROW_AKI_PRO };
enum grow_depth { DEPTH_UNSET = -1, DEPTH_STACK, DEPTH_INTERPOLATE };
enum grow_scope { SCOPE_ALL, SCOPE_NEURONS };
enum router_init { ROUTER_COPY, ROUTER_NORMAL, ROUTER_ZERO };
enum weight_scale { SCALE_AUTO, SCALE_DOWN, SCALE_NONE };
enum guard_policy { GUARD_STOP, GUARD_SKIP, GUARD_REWIND };
enum schedule { SCHEDULE_COSINE, SCHEDULE_LINEAR, SCHEDULE_CONSTANT };
enum device_type { DEVICE_CPU, DEVICE_CUDA };
enum save_async { ASYNC_AUTO, ASYNC_YES, ASYNC_NO };
enum dev_transport { TRANSPORT_AUTO, TRANSPORT_NCCL, TRANSPORT_MPI };
enum recompute { RECOMPUTE_NONE, RECOMPUTE_MOE, RECOMPUTE_FULL };
enum dev_check { CHECK_NONE, CHECK_VALUES, CHECK_HIDDEN };

struct choice {
    const char *name;
    int value;
};
/* Each table ends with the name NULL. The values of `precisions` are those of dtype. */
extern const struct choice router_orders[], capacity_rules[], capacity_policies[], aux_domains[],
    grow_methods[], grow_depths[], guard_policies[], grow_scopes[], router_inits[], weight_scales[],
    schedules[], device_types[], dev_transports[], dev_checks[], recomputes[], save_asyncs[], precisions[];

/** The value of a name; -1 if the name is NULL or not in the table. */
int choice_find(const struct choice *, const char *name);
const char *choice_name(const struct choice *, int value);

/* A word, or a positive number of at most six decimal places that is kept exactly. */
struct decimal {
    int word; /* -1 if it is a number */
    int64_t millionths;
    int places; /* decimal places as written */
};
/** Read a text; false if it is neither one of the words nor such a number. */
bool decimal_read(struct decimal *, const struct choice *words, const char *text);

#endif
