/* Capacity on one rank (definitions D5): which assignments are kept, by position and by probability; of equal
 * probabilities the first token is kept. */
#include <string.h>
#include "base/mem.h"
#include "model/layers/layers.h"
#include "tap.h"

enum { TOKENS = 6, K = 2, EXPERTS = 3, CHOICES = TOKENS * K };

static const struct test {
    const char *what;
    enum capacity_policy policy;
    int64_t capacity_ppm;
    int32_t idx[CHOICES], kept[CHOICES];
    float gate[CHOICES];
} tests[] = {
    /* capacity = ceil(6 * 2 * CF / 3) = 2 */
    {"by position: the first two tokens of each expert",
     BY_POSITION,
     500000,
     {0, 1, 0, 1, 0, 2, 0, 1, 0, 2, 2, 1},
     {0, 1, 0, 1, -1, 2, -1, -1, -1, 2, -1, -1},
     {.1f, .9f, .2f, .8f, .3f, .7f, .4f, .6f, .5f, .5f, .6f, .4f}},
    {"by probability: the two largest of each expert",
     BY_PROBABILITY,
     500000,
     {0, 1, 0, 1, 0, 2, 0, 1, 0, 2, 2, 1},
     {-1, 1, -1, 1, -1, 2, 0, -1, 0, -1, 2, -1},
     {.1f, .9f, .2f, .8f, .3f, .7f, .4f, .6f, .5f, .5f, .6f, .4f}},
    {"by probability: equal ones in the order of tokens",
     BY_PROBABILITY,
     500000,
     {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1},
     {0, 1, 0, 1, -1, -1, -1, -1, -1, -1, -1, -1},
     {.5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f}},
    {"a capacity that nobody exceeds drops nothing",
     BY_PROBABILITY,
     1500000,
     {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1},
     {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1},
     {.5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f}},
    /* of 4 tokens: ceil(4 * 2 * CF / 3) = 2 */
    {"padding takes no place and is not dropped",
     BY_POSITION,
     500000,
     {0, 1, -1, -1, 0, 2, 0, 1, -1, -1, 2, 1},
     {0, 1, -1, -1, 0, 2, -1, 1, -1, -1, 2, -1},
     {.1f, .9f, 0, 0, .3f, .7f, .4f, .6f, 0, 0, .6f, .4f}},
    {"by probability beside padding",
     BY_PROBABILITY,
     500000,
     {0, 1, -1, -1, 0, 2, 0, 1, -1, -1, 2, 1},
     {-1, 1, -1, -1, 0, 2, 0, 1, -1, -1, 2, -1},
     {.1f, .9f, 0, 0, .3f, .7f, .4f, .6f, 0, 0, .6f, .4f}},
    {"rounded up: 6 * 2 * 1.01 / 3 = 4.04 are 5",
     BY_POSITION,
     1010000,
     {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1},
     {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, -1, -1},
     {.5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f}},
};

static void check(struct dev *dev, const struct test *t)
{
    static const struct micro_batch batch = {.tokens = TOKENS};
    struct config config = {
        .moe = {
            .experts = EXPERTS, .top_k = K, .capacity_ppm = t->capacity_ppm, .capacity_policy = t->policy}};
    struct net net = {.config = &config, .dev = dev, .layout = {.world = 1, .tp = 1, .ep = 1, .etp = 1}};
    double tally[TALLY_LOADS] = {[TALLY_MARGIN] = INFINITY};
    struct pass p = {.tokens = TOKENS, .rows = TOKENS, .own = TOKENS, .training = true, .batch = &batch};
    int32_t idx[CHOICES], kept[CHOICES];
    float gate[CHOICES];
    memcpy(idx, t->idx, sizeof idx);
    for (int n = 0; n < TOKENS; n++)
        p.real += idx[n * K] >= 0;
    memcpy(gate, t->gate, sizeof gate);
    net.tally = view_of(tally, F64, 1, 1, TALLY_LOADS);
    if (arena_open(&net.arena, dev, 1 << 16) != OK)
        exit(99);
    capacity_keep(&net, &p, view_of(kept, I32, 1, TOKENS, K), view_of(idx, I32, 1, TOKENS, K),
                  view_of(gate, F32, 1, TOKENS, K));
    int dropped = 0, wrong = 0;
    for (int i = 0; i < CHOICES; i++) {
        dropped += t->kept[i] < 0 && idx[i] >= 0;
        wrong += kept[i] != t->kept[i];
    }
    ok(wrong == 0 && tally[TALLY_DROPPED] == dropped, "%s (%d of %d dropped, %d wrong)", t->what,
       (int)tally[TALLY_DROPPED], CHOICES, wrong);
    arena_close(&net.arena);
}

int main(void)
{
    struct dev *dev;
    struct dev_options options = {.threads = 1};
    if (dev_open(&dev, "cpu", 0, &options) != OK)
        return 99;
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        check(dev, &tests[i]);
    dev_close(dev);
    return tap_done();
}
