#include "eval/valid.h"

#include <math.h>
#include <stdlib.h>
#include "base/mem.h"
#include "base/signals.h"

/* Fetch windows [from, from+n) into `to` [micro, S]. If there are fewer than `micro`, the first window fills
 * up the micro-batch, and its targets are not counted. *counted: the number of counted targets. */
static status fetch(struct data *data, int set, int64_t from, int64_t n, int64_t micro, int64_t s,
                    struct sample to, int64_t *counted)
{
    for (int64_t i = 0; i < micro; i++) {
        struct sample one = {to.ids + i * s, to.targets + i * s, to.begins ? to.begins + i * s : NULL};
        TRY(data_window(data, set, i < n ? from + i : 0, one));
        for (int64_t j = 0; j < s; j++) {
            if (i >= n)
                one.targets[j] = -1;
            *counted += one.targets[j] >= 0;
        }
    }
    return OK;
}

status valid_loss(double *loss, struct comm *comm, struct net *net, const struct layout *l, int rank,
                  struct data *data, int set, int64_t tokens, int64_t micro, int64_t s)
{
    int64_t windows = data_valid_windows(data, set, tokens), micros = (windows + micro - 1) / micro;
    struct range mine = layout_micros(l, micros, layout_coords(l, rank).d);
    int64_t rounds = layout_rounds(l, micros), n = mem_mul(micro, s), counted = 0;
    struct sample to = {.ids = mem_new(n, sizeof *to.ids), .targets = mem_new(n, sizeof *to.targets)};
    if (data_has_begins(data))
        to.begins = mem_new(n, sizeof *to.begins);
    status code = OK;
    net_begin(net, false);
    for (int64_t r = 0; r < rounds && code == OK; r++) {
        struct micro_batch batch = {0};
        if (r < mine.n) {
            int64_t from = (mine.lo + r) * micro, left = windows - from;
            code = fetch(data, set, from, left < micro ? left : micro, micro, s, to, &counted);
            batch =
                (struct micro_batch){.tokens = n, .ids = to.ids, .targets = to.targets, .begins = to.begins};
        }
        if (code == OK)
            code = signals_check();
        code = comm_agree(comm, code);
        if (code == OK)
            net_eval(net, &batch, NULL);
    }
    free(to.ids);
    free(to.targets);
    free(to.begins);
    if (code != OK)
        return code;
    /* All ranks of a TP group have the same targets, so only t = 0 counts them. */
    double sum[2] = {net_read(net).nll, layout_coords(l, rank).t == 0 ? (double)counted : 0};
    comm_sum_f64(comm, sum, 2);
    *loss = sum[1] > 0 ? sum[0] / sum[1] : (double)NAN;
    return OK;
}
