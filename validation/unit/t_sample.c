/* The next token: the likeliest; draws with the probabilities that temperature and top_p say. */
#include "eval/sample.h"
#include <math.h>
#include "tap.h"

enum { V = 6, DRAWS = 20000 };
static const float logits[V] = {0, 1.5f, -1, 1.5f, 0.5f, -30};

static int64_t first_text = 1;

/* The largest distance of frequencies over DRAWS draws from p, in standard deviations; infinite if a token
 * without probability was drawn. */
static double deviation(struct sampling s, const double *p)
{
    int count[V] = {0};
    double worst = 0;
    for (int i = 0; i < DRAWS; i++)
        count[sample(&s, logits, V, first_text + i / 100, i % 100)]++;
    for (int v = 0; v < V; v++) {
        double sigma = sqrt(DRAWS * p[v] * (1 - p[v])), off = fabs(count[v] - DRAWS * p[v]);
        worst = fmax(worst, off < 1e-6 ? 0 : sigma > 0.01 ? off / sigma : (double)INFINITY);
    }
    return worst;
}

/* softmax(logits / temperature) over `in` tokens, which are given in the order of their probability. */
static void softmax(double temperature, const int *in, int n, double *p)
{
    double sum = 0;
    for (int v = 0; v < V; v++)
        p[v] = 0;
    for (int i = 0; i < n; i++)
        sum += exp((double)logits[in[i]] / temperature);
    for (int i = 0; i < n; i++)
        p[in[i]] = exp((double)logits[in[i]] / temperature) / sum;
}

int main(void)
{
    static const int order[V] = {1, 3, 4, 0, 2, 5};
    struct sampling s = {.top_p = 1};
    double p[V];
    ok(sample(&s, logits, V, 0, 0) == 1, "temperature 0: the likeliest token, of equal ones the lower id");
    s = (struct sampling){.temperature = 1, .top_p = 1, .seed = 7};
    softmax(1, order, V, p);
    double off = deviation(s, p); /* of six frequencies: 4.5 sigma happen once in 25,000 */
    ok(off < 4.5, "temperature 1: frequencies are the softmax, %.1f sigma", off);
    s.temperature = 0.5;
    softmax(0.5, order, V, p);
    off = deviation(s, p);
    ok(off < 4.5, "temperature 0.5: %.1f sigma", off);
    /* softmax at 1: 0.364, 0.364, 0.134, 0.081, 0.030 */
    s = (struct sampling){.temperature = 1, .top_p = 0.8, .seed = 7};
    softmax(1, order, 3, p);
    off = deviation(s, p);
    ok(off < 4.5, "top_p 0.8: the three likeliest, which have 0.86, %.1f sigma", off);
    s.top_p = 0.7;
    softmax(1, order, 2, p);
    off = deviation(s, p);
    ok(off < 4.5, "top_p 0.7: the two likeliest, %.1f sigma", off);
    s.top_p = 1e-6;
    ok(sample(&s, logits, V, 3, 4) == 1, "top_p 1e-6: the likeliest");
    s = (struct sampling){.temperature = 1, .top_p = 1, .seed = 7};
    int other[3] = {0}, again = 0;
    for (int i = 0; i < 64; i++) {
        int32_t id = sample(&s, logits, V, 1, i);
        struct sampling seed = {.temperature = 1, .top_p = 1, .seed = 8};
        again += sample(&s, logits, V, 1, i) == id;
        other[0] += sample(&seed, logits, V, 1, i) != id;
        other[1] += sample(&s, logits, V, 2, i) != id;
        other[2] += sample(&s, logits, V, 1, i + 64) != id;
    }
    ok(again == 64 && other[0] > 20 && other[1] > 20 && other[2] > 20,
       "a draw depends on seed, text and position alone");
    return tap_done();
}
