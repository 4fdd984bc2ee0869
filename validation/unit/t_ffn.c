/* The experts' FFN: forward is compared with double precision, backward with finite differences of that. One
 * expert has no rows, and one needs several blocks of rows. Gradients are also added to what is there. */
#include "base/mem.h"
#include "base/rng.h"
#include "device/ops.h"
#include "tap.h"
#include <math.h>
#include <string.h>

enum { E = 4, H = 20, F = 12, R = 1300 };
static const int64_t offs[E + 1] = {0, 5, 5, 1212, R};

/* One problem: the inputs in double (they are floats), as the reference and the device see them. */
struct problem {
    double x[R][H], wgu[E][2 * F][H], wd[E][H][F], weight[R], dy[R][H];
    bool weighted;
};

static double silu(double g)
{
    return g / (1 + exp(-g));
}

/** L restricted to row r: sum over h of dy*y. */
static double row_loss(const struct problem *p, int e, int64_t r, double *y)
{
    double act[F], loss = 0;
    for (int f = 0; f < F; f++) {
        double g = 0, u = 0;
        for (int h = 0; h < H; h++) {
            g += p->x[r][h] * p->wgu[e][f][h];
            u += p->x[r][h] * p->wgu[e][F + f][h];
        }
        act[f] = (p->weighted ? p->weight[r] : 1) * silu(g) * u;
    }
    for (int h = 0; h < H; h++) {
        double out = 0;
        for (int f = 0; f < F; f++)
            out += act[f] * p->wd[e][h][f];
        if (y)
            y[h] = out;
        loss += out * p->dy[r][h];
    }
    return loss;
}

/** dL/d(*at) over rows [from, to) of expert e, by a central difference. */
static double slope(struct problem *p, int e, int64_t from, int64_t to, double *at)
{
    const double step = 1e-4, was = *at;
    double change = 0;
    for (int side = -1; side <= 1; side += 2) {
        *at = was + side * step;
        for (int64_t r = from; r < to; r++)
            change += side * row_loss(p, e, r, NULL);
    }
    *at = was;
    return change / (2 * step);
}

static void fill_random(uint64_t seed, int64_t n, double scale, double *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (double)(float)(scale * rng_normal(seed, 0, (uint64_t)i));
}

static view device_copy(const double *from, int64_t n0, int64_t n1, int64_t n2)
{
    float *p = mem_new(n0 * n1 * n2, sizeof *p);
    for (int64_t i = 0; i < n0 * n1 * n2; i++)
        p[i] = (float)from[i];
    return view_of(p, F32, n0, n1, n2);
}

static view device_filled(float value, int64_t n0, int64_t n1, int64_t n2)
{
    float *p = mem_new(n0 * n1 * n2, sizeof *p);
    for (int64_t i = 0; i < n0 * n1 * n2; i++)
        p[i] = value;
    return view_of(p, F32, n0, n1, n2);
}

/* Gradients are sums of up to 1207 products of products, each term rounded a few times, terms of both
 * signs and of size about 1: 1e-5 of the largest element leaves a factor of ten. */
struct worst {
    double error, size;
};

static void compare(struct worst *w, float got, double wanted)
{
    double error = fabs((double)got - wanted);
    w->error = error <= w->error ? w->error : error; /* NaN counts */
    w->size = fmax(w->size, fabs(wanted));
}

static bool close_enough(struct worst w)
{
    return w.error <= 1e-5 * w.size;
}

static int expert_of(int64_t r)
{
    int e = 0;
    while (r >= offs[e + 1])
        e++;
    return e;
}

static void check_forward(const struct problem *p, const float *y, float before, const char *what)
{
    struct worst w = {0};
    for (int64_t r = 0; r < R; r++) {
        double out[H];
        row_loss(p, expert_of(r), r, out);
        for (int h = 0; h < H; h++)
            compare(&w, y[r * H + h], (double)before + out[h]);
    }
    ok(close_enough(w), "forward, %s: error %.1e of the largest", what, w.error / w.size);
}

static void check_rows(struct problem *p, const float *dx, const float *d_weight, const char *what)
{
    struct worst w = {0}, ww = {0};
    for (int64_t r = 0; r < R; r++) {
        for (int h = 0; h < H; h++)
            compare(&w, dx[r * H + h], slope(p, expert_of(r), r, r + 1, &p->x[r][h]));
        if (p->weighted)
            compare(&ww, d_weight[r], slope(p, expert_of(r), r, r + 1, &p->weight[r]));
    }
    ok(close_enough(w) && close_enough(ww), "dx and d_weight, %s: error %.1e of the largest", what,
       w.error / w.size);
}

/** Every 17th element of both weight gradients, which were added to `before`. */
static void check_weights(struct problem *p, const float *dwgu, const float *dwd, float before,
                          const char *what)
{
    struct worst w = {0};
    bool empty = true;
    for (int e = 0; e < E; e++) {
        for (int i = e; i < 2 * F * H; i += 17) {
            double s = slope(p, e, offs[e], offs[e + 1], &p->wgu[e][0][0] + i);
            compare(&w, dwgu[e * 2 * F * H + i], (double)before + s);
        }
        for (int i = e; i < H * F; i += 17) {
            double s = slope(p, e, offs[e], offs[e + 1], &p->wd[e][0][0] + i);
            compare(&w, dwd[e * H * F + i], (double)before + s);
        }
    }
    for (int i = 0; i < 2 * F * H; i++)
        empty &= dwgu[2 * F * H + i] == before && dwd[H * F + i % (H * F)] == before;
    ok(close_enough(w) && empty, "weight gradients, %s: error %.1e of the largest; empty expert exact", what,
       w.error / w.size);
}

static void test_ffn(struct dev *dev, struct arena *arena, struct problem *p)
{
    const char *what = p->weighted ? "weighted" : "no weight";
    view x = device_copy(&p->x[0][0], 1, R, H), wgu = device_copy(&p->wgu[0][0][0], E, 2 * F, H);
    view wd = device_copy(&p->wd[0][0][0], E, H, F), dy = device_copy(&p->dy[0][0], 1, R, H);
    view weight = p->weighted ? device_copy(p->weight, 1, 1, R) : view_none();
    view d_weight = p->weighted ? device_filled(NAN, 1, 1, R) : view_none();
    view y = device_filled(NAN, 1, R, H), gu = device_filled(NAN, 1, R, 2 * F),
         dx = device_filled(NAN, 1, R, H);
    view dwgu = device_filled(NAN, E, 2 * F, H), dwd = device_filled(NAN, E, H, F);
    int64_t mark = arena_mark(arena);

    dev_expert_ffn_fwd(dev, arena, y, gu, E, offs, x, wgu, wd, weight, false);
    check_forward(p, y.data, 0, what);
    dev_fill(dev, y, 3);
    dev_expert_ffn_fwd(dev, arena, y, gu, E, offs, x, wgu, wd, weight, true);
    check_forward(p, y.data, 3, "added");

    dev_expert_ffn_bwd(dev, arena, dx, dwgu, dwd, d_weight, E, offs, dy, x, gu, wgu, wd, weight, false);
    check_rows(p, dx.data, d_weight.data, what);
    check_weights(p, dwgu.data, dwd.data, 0, what);
    dev_fill(dev, dwgu, 2);
    dev_fill(dev, dwd, 2);
    dev_expert_ffn_fwd(dev, arena, y, gu, E, offs, x, wgu, wd, weight, false); /* backward destroyed gu */
    dev_expert_ffn_bwd(dev, arena, dx, dwgu, dwd, d_weight, E, offs, dy, x, gu, wgu, wd, weight, true);
    check_weights(p, dwgu.data, dwd.data, 2, "added");
    ok(arena_mark(arena) == mark, "scratch is released");
    view all[] = {x, wgu, wd, dy, weight, d_weight, y, gu, dx, dwgu, dwd};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i].data);
}

static int64_t peak_of(struct dev *dev, const int64_t *rows)
{
    struct arena a = {.dev = dev};
    view x = view_of(NULL, F32, 1, R, H), wgu = view_of(NULL, F32, E, 2 * F, H),
         wd = view_of(NULL, F32, E, H, F);
    view gu = view_of(NULL, F32, 1, R, 2 * F);
    dev_set_dry(dev, true);
    dev_expert_ffn_fwd(dev, &a, x, gu, E, rows, x, wgu, wd, view_none(), false);
    dev_expert_ffn_bwd(dev, &a, x, wgu, wd, view_none(), E, rows, x, x, gu, wgu, wd, view_none(), false);
    dev_set_dry(dev, false);
    return a.peak;
}

/* A device of other properties, with expert FFNs of its own: they call the composed ones of the CPU. */
static const struct dev_ops *cpu;
static struct dev_ops other;
static int own_forward, own_backward; /* calls */

static void own_fwd(struct dev *dev, struct arena *arena, view y, view gu, int64_t experts,
                    const int64_t *from, view x, view wgu, view wd, view weight, bool acc)
{
    own_forward++;
    dev->ops = cpu;
    dev_expert_ffn_fwd(dev, arena, y, gu, experts, from, x, wgu, wd, weight, acc);
    dev->ops = &other;
}

static void own_bwd(struct dev *dev, struct arena *arena, view dx, view dwgu, view dwd, view d_weight,
                    int64_t experts, const int64_t *from, view dy, view x, view gu, view wgu, view wd,
                    view weight, bool acc)
{
    own_backward++;
    dev->ops = cpu;
    dev_expert_ffn_bwd(dev, arena, dx, dwgu, dwd, d_weight, experts, from, dy, x, gu, wgu, wd, weight, acc);
    dev->ops = &other;
}

static void test_properties(struct dev *dev, struct problem *p)
{
    struct arena arena = {0};
    int64_t before = peak_of(dev, offs);
    bool whole = true;
    cpu = dev->ops;
#define THERE(result, name, args) whole = whole && cpu->name;
    DEV_OPS(THERE)
#undef THERE
    ok(whole, "the CPU has every op that is not optional");
    other = *cpu;
    other.align = 512;
    other.expert_rows = 100;
    other.pitch.every = 10;
    other.pitch.more = 6;
    other.head.bytes = 4000;
    other.head.most = 40;
    dev->ops = &other;
    ok(dev_pitch(dev, 30) == 36 && dev_pitch(dev, 31) == 31 && dev_pitch(dev, 0) == 0,
       "pitch is the device's");
    ok(dev_head_rows(dev, 25, F32) == 40 && dev_head_rows(dev, 25, BF16) == 40 &&
           dev_head_rows(dev, 50, BF16) == 40 && dev_head_rows(dev, 1000, F32) == 32,
       "rows of a head chunk are the device's");
    int64_t peak = peak_of(dev, offs);
    ok(peak != before && peak % other.align == 0,
       "blocks of 100 rows, arena by 512 bytes: %lld bytes, not %lld", (long long)peak, (long long)before);
    if (arena_open(&arena, dev, peak) != OK)
        bug("%s", status_text());
    test_ffn(dev, &arena, p);
    ok(own_forward + own_backward == 0, "expert FFNs are composed");
    arena_close(&arena);
    other.align = cpu->align;
    other.expert_ffn_fwd = own_fwd;
    other.expert_ffn_bwd = own_bwd;
    if (arena_open(&arena, dev, before + peak) != OK)
        bug("%s", status_text());
    test_ffn(dev, &arena, p);
    ok(own_forward > 0 && own_backward > 0, "or the device's own: %d calls forward, %d backward", own_forward,
       own_backward);
    arena_close(&arena);
    dev->ops = cpu;
}

int main(void)
{
    static struct problem p;
    static const int64_t nobody[E + 1] = {0};
    struct dev *dev;
    struct arena arena = {0};
    struct dev_options options = {.threads = 2, .check = CHECK_VALUES};
    if (dev_open(&dev, "cpu", 0, &options) != OK)
        return 99;
    int64_t peak = peak_of(dev, offs);
    ok(peak > 0 && peak_of(dev, nobody) == peak, "scratch does not depend on the routing");
    if (arena_open(&arena, dev, peak) != OK)
        return 99;
    fill_random(1, R * H, 1, &p.x[0][0]);
    fill_random(2, E * 2 * F * H, 0.3, &p.wgu[0][0][0]);
    fill_random(3, E * H * F, 0.3, &p.wd[0][0][0]);
    fill_random(4, R, 1, p.weight);
    fill_random(5, R * H, 1, &p.dy[0][0]);
    for (int weighted = 0; weighted < 2; weighted++) {
        p.weighted = weighted;
        test_ffn(dev, &arena, &p);
    }
    arena_close(&arena);
    test_properties(dev, &p);
    dev_close(dev);
    return tap_done();
}
