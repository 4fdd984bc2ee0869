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

bool limit_from_words(const char *text, const char *name, char out[64])
{
    size_t length = strlen(name);
    for (const char *at = strstr(text, name); at; at = strstr(at + 1, name)) {
        if ((at > text && !isspace((unsigned char)at[-1])) || at[length] != '=')
            continue;
        snprintf(out, 64, "%.*s", (int)strcspn(at + length + 1, " \n"), at + length + 1);
        return true;
    }
    return false;
}

/* This job's number in Slurm; NULL if it has none. */
static const char *job_number(void)
{
    const char *job = getenv("SLURM_JOB_ID");
    return job && *job && job[strspn(job, "0123456789")] == '\0' ? job : NULL;
}

/* What a command of Slurm prints about this job, "" if it fails. It may hang where the controller does not
 * answer. */
static void ask(const char *command, int patience, char out[8192])
{
    char *whole = mem_format("timeout -s KILL %d %s %s 2> /dev/null", patience, command, job_number());
    FILE *pipe = popen(whole, "r");
    size_t n = pipe ? fread(out, 1, 8191, pipe) : 0;
    out[n] = '\0';
    if (pipe)
        pclose(pipe);
    free(whole);
}

static bool ask_scontrol(time_t now, time_t *end)
{
    char text[8192], date[64];
    ask("scontrol -o show job", 20, text);
    return limit_from_words(text, "EndTime", date) && limit_from_date(date, now, end);
}

static bool ask_squeue(time_t now, time_t *end)
{
    char text[8192];
    ask("squeue -h -o %e -j", 20, text);
    return limit_from_date(text, now, end);
}

bool limit_is_preempted(void)
{
    char text[8192], word[64];
    if (!job_number())
        return false;
    ask("scontrol -o show job", 5, text);
    if (limit_from_words(text, "JobState", word) && !strcmp(word, "PREEMPTED"))
        return true;
    return limit_from_words(text, "PreemptTime", word) && isdigit((unsigned char)*word);
}

/* Who knew when Slurm ends this job; NULL if nobody did. */
static const char *slurm_end(time_t now, time_t *end)
{
    const char *given = getenv("SLURM_JOB_END_TIME");
    if (given && limit_from_seconds(given, now, end))
        return "SLURM_JOB_END_TIME";
    if (given)
        log_warn("SLURM_JOB_END_TIME is \"%s\", which is no time to come: ignored", given);
    if (!job_number())
        return NULL;
    if (ask_scontrol(now, end))
        return "scontrol";
    if (ask_squeue(now, end))
        return "squeue";
    log_warn("the end of Slurm job %s is not known: neither SLURM_JOB_END_TIME, scontrol nor squeue tells "
             "it; set run.time_limit",
             job_number());
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
        log_say("limit     this job ends in %s, says %s; the run saves before that (run.time_limit: auto)",
                left, who);
    else
        log_say("limit     the end of this job is not known: no time limit (run.time_limit sets one)");
    return (struct limit){fmin(own, slurm), fmin(own, slurm) - began};
}

double limit_margin(const struct pace *longest, double leg)
{
    return longest->step + longest->validation + 2 * longest->save + fmin(60, leg / 2);
}
