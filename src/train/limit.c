#define _GNU_SOURCE
#include "train/limit.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

bool limit_from_seconds(const char *text, time_t now, time_t *end)
{
    char *rest;
    errno = 0;
    long long value = strtoll(text, &rest, 10);
    *end = (time_t)value;
    return isdigit((unsigned char)*text) && *rest == '\0' && errno == 0 && *end > now;
}

bool limit_from_date(const char *text, time_t now, time_t *end)
{
    struct tm at = {.tm_isdst = -1};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &at);
    *end = rest ? mktime(&at) : -1;
    return rest && (*rest == '\0' || isspace((unsigned char)*rest)) && *end > now;
}

/* squeue may hang where the controller does not answer. */
static bool ask_squeue(const char *job, time_t now, time_t *end)
{
    char text[256];
    char *command = mem_format("timeout -s KILL 20 squeue -h -o %%e -j %s 2> /dev/null", job);
    FILE *pipe = popen(command, "r");
    size_t n = pipe ? fread(text, 1, sizeof text - 1, pipe) : 0;
    text[n] = '\0';
    if (pipe)
        pclose(pipe);
    free(command);
    return limit_from_date(text, now, end);
}

/* Who knew when Slurm ends this job; NULL if nobody did. */
static const char *slurm_end(time_t now, time_t *end)
{
    const char *given = getenv("SLURM_JOB_END_TIME"), *job = getenv("SLURM_JOB_ID");
    if (given && limit_from_seconds(given, now, end))
        return "SLURM_JOB_END_TIME";
    if (given)
        log_warn("SLURM_JOB_END_TIME is \"%s\", which is no time to come: ignored", given);
    if (!job || !*job || job[strspn(job, "0123456789")] != '\0')
        return NULL;
    if (ask_squeue(job, now, end))
        return "squeue";
    log_warn("the end of Slurm job %s is not known: neither SLURM_JOB_END_TIME nor squeue tells it; set "
             "run.time_limit",
             job);
    return NULL;
}

struct limit limit_find(double time_limit, double began)
{
    double now = clock_seconds(), slurm = (double)INFINITY;
    double own = time_limit > 0 ? began + time_limit : (double)INFINITY;
    time_t today = time(NULL), end;
    char left[32];
    const char *who = slurm_end(today, &end);
    if (who)
        slurm = now + (double)(end - today);
    text_time(left, fmax(fmin(own, slurm) - now, 0));
    if (own <= slurm && isfinite(own))
        log_say("limit     this leg ends in %s at the latest: run.time_limit, from its start", left);
    else if (who)
        log_say("limit     this job ends in %s: %s", left, who);
    else
        log_say("limit     the end of this job is not known: no time limit (run.time_limit sets one)");
    return (struct limit){fmin(own, slurm)};
}
