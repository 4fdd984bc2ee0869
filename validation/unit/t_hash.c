/* The weight hash (definitions D10) is the sum over elements of a mix of name, global index and bits. So it
 * depends on which element holds a value, and not on how the array is cut into pieces. */
#include <string.h>
#include "base/rng.h"
#include "model/store.h"
#include "tap.h"

enum { A = 3, B = 5, C = 7, N = A * B * C };
static const int64_t dim[3] = {A, B, C};

/* The definition, element by element. */
static uint64_t expected(const char *name, const float *x)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < N; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        sum += rng_mix(rng_name(name) ^ rng_mix(i ^ (uint64_t)bits << 32));
    }
    return sum;
}

static uint64_t whole(const char *name, const float *x)
{
    piece all = {slab_whole(dim), 0, N};
    return tensor_hash(name, dim, &all, x);
}

/* One value is moved to another place. */
static void swapped(const float *x)
{
    int unseen = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < i; j++) {
            float y[N];
            memcpy(y, x, sizeof y);
            y[i] = x[j];
            y[j] = x[i];
            unseen += whole("t", y) == whole("t", x);
        }
    ok(unseen == 0, "every exchange of two elements is seen (%d are not)", unseen);
}

/* Columns [from, C) and [0, from), each of them cut into two runs. */
static uint64_t in_pieces(const float *x, int64_t from, int64_t part)
{
    uint64_t sum = 0;
    for (int side = 0; side < 2; side++) {
        slab box = slab_whole(dim);
        float y[N];
        int64_t n = 0;
        box.lo[2] = side ? 0 : from;
        box.n[2] = side ? from : C - from;
        for (int64_t row = 0; row < A * B; row++)
            for (int64_t c = 0; c < box.n[2]; c++)
                y[n++] = x[row * C + box.lo[2] + c];
        int64_t cut = part * n / 100;
        piece first = {box, 0, cut}, second = {box, cut, n - cut};
        sum += tensor_hash("t", dim, &first, y) + tensor_hash("t", dim, &second, y + cut);
    }
    return sum;
}

int main(void)
{
    float x[N];
    for (int i = 0; i < N; i++)
        x[i] = (float)rng_uniform(1, 2, (uint64_t)i);
    ok(whole("t", x) == expected("t", x), "as defined");
    swapped(x);
    ok(whole("t", x) != whole("u", x), "the name counts");
    float y[N];
    memcpy(y, x, sizeof y);
    y[N - 1] = -y[N - 1];
    ok(whole("t", y) != whole("t", x), "the sign of one element counts");
    int wrong = 0;
    for (int64_t from = 1; from < C; from++)
        for (int64_t part = 0; part <= 100; part += 7)
            wrong += in_pieces(x, from, part) != whole("t", x);
    ok(wrong == 0, "pieces add up to the whole, however it is cut (%d do not)", wrong);
    return tap_done();
}
