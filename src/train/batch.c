#include "train/batch.h"

#include <stdlib.h>
#include "base/mem.h"

void batch_open(struct batch *b, const struct layout *l, int rank, int64_t sequences, int64_t micro,
                int64_t sequence)
{
    *b = (struct batch){.micro = micro, .sequence = sequence};
    batch_size(b, l, rank, sequences);
    int64_t n = mem_mul(mem_mul(b->mine.n, micro), sequence);
    b->ids = mem_new(n, sizeof *b->ids);
    b->targets = mem_new(n, sizeof *b->targets);
}

void batch_size(struct batch *b, const struct layout *l, int rank, int64_t sequences)
{
    b->micros = sequences / b->micro;
    b->rounds = layout_rounds(l, b->micros);
    b->mine = layout_micros(l, b->micros, layout_coords(l, rank).d);
}

void batch_close(struct batch *b)
{
    free(b->ids);
    free(b->targets);
}

status batch_fetch(struct batch *b, struct data *data, int64_t first)
{
    b->first = first;
    for (int64_t i = 0; i < b->mine.n * b->micro; i++)
        TRY(data_sample(data, first + b->mine.lo * b->micro + i, b->ids + i * b->sequence,
                        b->targets + i * b->sequence));
    return data_counted(data, first, b->micros * b->micro, &b->counted);
}

struct micro_batch batch_round(const struct batch *b, int64_t round)
{
    if (round >= b->mine.n)
        return (struct micro_batch){.micros = b->micros};
    int64_t n = b->micro * b->sequence;
    return (struct micro_batch){.tokens = n,
                                .ids = b->ids + round * n,
                                .targets = b->targets + round * n,
                                .inv_counted = b->counted > 0 ? 1 / (double)b->counted : 0,
                                .micros = b->micros,
                                .sample = b->first + (b->mine.lo + round) * b->micro};
}
