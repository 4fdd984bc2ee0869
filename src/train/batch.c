#include "train/batch.h"

#include <stdlib.h>
#include "base/mem.h"

void batch_open(struct batch *b, const struct layout *l, int rank, int64_t sequences, int64_t micro,
                int64_t sequence)
{
    *b = (struct batch){.micro = micro, .sequence = sequence, .counts = layout_coords(l, rank).t == 0};
    batch_size(b, l, rank, sequences);
    int64_t n = mem_mul(mem_mul(b->mine.n, micro), sequence);
    b->ids = mem_new(n, sizeof *b->ids);
    b->targets = mem_new(n, sizeof *b->targets);
    b->room = n;
}

void batch_mask(struct batch *b, const struct data *data)
{
    if (data_has_begins(data))
        b->begins = mem_new(b->room, sizeof *b->begins);
}

void batch_size(struct batch *b, const struct layout *l, int rank, int64_t sequences)
{
    b->micros = sequences / b->micro;
    b->rounds = layout_rounds(l, b->micros);
    b->mine = layout_micros(l, b->micros, layout_coords(l, rank).d);
    b->real = b->micros * b->micro * b->sequence;
}

void batch_close(struct batch *b)
{
    free(b->ids);
    free(b->targets);
    free(b->begins);
}

static struct sample sample_at(const struct batch *b, int64_t i)
{
    int64_t at = i * b->sequence;
    return (struct sample){b->ids + at, b->targets + at, b->begins ? b->begins + at : NULL};
}

static status fetch(struct batch *b, struct data *data, int64_t first)
{
    b->sample = first;
    for (int64_t i = 0; i < b->mine.n * b->micro; i++)
        TRY(data_sample(data, first + b->mine.lo * b->micro + i, sample_at(b, i)));
    return data_counted(data, first, b->micros * b->micro, &b->counted);
}

/* With padding, only the rank that has a sample knows what counts in it. */
static void count(struct batch *b, struct comm *comm)
{
    int64_t sum[2] = {0, 0};
    for (int64_t i = 0; i < b->mine.n * b->micro * b->sequence && b->counts; i++) {
        sum[0] += b->targets[i] >= 0;
        sum[1] += b->begins[i] >= 0;
    }
    comm_sum_i64(comm, sum, 2);
    b->counted = sum[0];
    b->real = sum[1];
}

status batch_fetch(struct batch *b, struct comm *comm, struct data *data, int64_t first)
{
    TRY(comm_agree(comm, fetch(b, data, first)));
    if (data_has_padding(data))
        count(b, comm);
    return OK;
}

struct micro_batch batch_round(const struct batch *b, int64_t round)
{
    if (round >= b->mine.n)
        return (struct micro_batch){.micros = b->micros};
    int64_t n = b->micro * b->sequence;
    return (struct micro_batch){.tokens = n,
                                .ids = b->ids + round * n,
                                .targets = b->targets + round * n,
                                .begins = b->begins ? b->begins + round * n : NULL,
                                .inv_counted = b->counted > 0 ? 1 / (double)b->counted : 0,
                                .micros = b->micros,
                                .sample = b->sample + (b->mine.lo + round) * b->micro};
}
