/* What the trials tell, and their planned faults. */
#include "plan/trial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/host.h"
#include "base/log.h"
#include "base/mem.h"

enum { WORDS = 256 };

void trial_check(struct trial *t, const char *name, bool good, const char *text, const char *if_good)
{
    char words[WORDS];
    int n = comm_size(t->comm), bad = -1, *all = mem_new(n, sizeof *all), mine = good;
    comm_all_gather(t->comm, all, &mine, sizeof mine);
    for (int r = n - 1; r >= 0; r--)
        bad = all[r] ? bad : r;
    free(all);
    snprintf(words, sizeof words, "%s", good ? if_good : text);
    if (bad >= 0)
        comm_bcast(t->comm, words, sizeof words, bad);
    t->failed = t->failed || bad >= 0;
    if (bad >= 0)
        log_say("check %-18s FAILED rank %d: %s", name, bad, words);
    else
        log_say("check %-18s ok %s", name, words);
}

/* ---- figures ---- */

struct told {
    double value;
    char host[64];
};

void trial_figure(struct trial *t, const char *name, double mine, const char *unit, enum better better)
{
    int n = comm_size(t->comm), worst = 0;
    double sum = 0;
    struct told own = {.value = mine}, *all = mem_new(n, sizeof *all);
    host_name(own.host);
    comm_all_gather(t->comm, all, &own, sizeof own);
    for (int r = 0; r < n; r++) {
        sum += all[r].value;
        if (better == HIGHER ? all[r].value < all[worst].value : all[r].value > all[worst].value)
            worst = r;
    }
    log_say("figure %-26s %.4g %s mean %.4g worst rank %d on %s", name, all[worst].value, unit, sum / n,
            worst, all[worst].host);
    free(all);
}

/* ---- faults ---- */

double trial_fault(const struct trial *t, const char *kind)
{
    const char *plan = getenv("COPPICE_TRIAL");
    size_t n = strlen(kind);
    int rank = -1;
    double percent = 1;
    if (!plan || strncmp(plan, kind, n) != 0 || sscanf(plan + n, ":%d:%lf", &rank, &percent) < 1)
        return 0;
    if (rank != comm_rank(t->comm))
        return 0;
    fprintf(stderr, "COPPICE_TRIAL: rank %d: %s\n", rank, plan);
    return percent;
}
