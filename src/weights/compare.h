/* Compare a store's reduced gradients or master weights with a reference file, by Hugging Face names; and
 * write such a file. COLLECTIVE: every rank compares what it owns. */
#ifndef WEIGHTS_COMPARE_H
#define WEIGHTS_COMPARE_H
#include "comm/comm.h"
#include "format/safetensors.h"
#include "model/store.h"
#include "weights/names.h"

struct difference {
    const struct hf_name *name;
    double error, reference, value; /* |a-b|^2, |b|^2, |a|^2 over the whole array */
};
struct comparison {
    struct hf_name *names;
    int n;
    struct difference *row;
};

/** Compare GRAD (reduced) or MASTER with the arrays PREFIX+NAME of a safetensors file. */
status compare_open(struct comparison *, struct comm *, const struct store *, enum kind, const char *path,
                    const char *prefix) MUST_USE;
void compare_close(struct comparison *);
/** |a-b|/|b|; 0 if both are zero, infinite if only b is. */
double difference_ratio(const struct difference *);
/** Write them: rank 0 gathers one array after the other into tensors `first` and later ones of the writer,
 * which is NULL on other ranks. */
status compare_write(struct comm *, const struct store *, enum kind, const struct hf_name *, int n,
                     struct st_writer *, int first) MUST_USE;

#endif
