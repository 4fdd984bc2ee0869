#include "plan/outlook.h"

#include <math.h>

/* Young 1974: sqrt(2 d M). Daly 2006: with two further terms, less the time of a save; M where a save takes
 * longer than two failures lie apart. */
static double daly(double save, double mtbf)
{
    double x = save / (2 * mtbf);
    return x >= 1 ? mtbf : sqrt(2 * save * mtbf) * (1 + sqrt(x) / 3 + x / 9) - save;
}

struct outlook plan_outlook(const struct plan *p, const struct machine *c, double ranks, double tokens,
                            double checkpoint)
{
    struct outlook o = {.nodes = ceil(ranks / c->node), .checkpoint_bytes = checkpoint};
    o.tokens_a_day = p->tokens / p->step * 86400;
    o.run_seconds = tokens / p->tokens * p->step;
    o.node_hours = o.nodes * o.run_seconds / 3600;
    o.energy = ranks * c->watts * o.run_seconds;
    o.checkpoint_seconds = checkpoint / (c->file_rate * o.nodes);
    o.mtbf = c->mtbf * 3600 / o.nodes;
    if (o.mtbf <= 0)
        return o;
    o.young = sqrt(2 * o.checkpoint_seconds * o.mtbf);
    o.daly = daly(o.checkpoint_seconds, o.mtbf);
    o.lost = o.checkpoint_seconds / o.daly + (o.daly + o.checkpoint_seconds) / (2 * o.mtbf);
    return o;
}
