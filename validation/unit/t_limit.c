/* The end of a job as Slurm reports it: which texts are accepted, and which are not a time in the future. */
#include "train/limit.h"

#include <stdlib.h>
#include <string.h>

#include "tap.h"

enum { NOW = 1767225600 }; /* 2026-01-01 00:00:00 UTC */

static const struct {
    const char *text;
    time_t end; /* 0: refused */
} seconds[] = {
    {"1767225601", NOW + 1},
    {"1767229200", NOW + 3600},
    {"4102444800", 4102444800}, /* 2100 */
    {"1767225600", 0},          /* now */
    {"1767225599", 0},
    {"0", 0},
    {"-1767229200", 0},
    {"", 0},
    {"abc", 0},
    {"1767229200s", 0},
    {" 1767229200", 0},
    {"1767229200.5", 0},
    {"2026-01-01T01:00:00", 0},
    {"99999999999999999999", 0},
};

static const struct {
    const char *text;
    time_t end;
} dates[] = {
    {"2026-01-01T01:00:00", NOW + 3600},
    {"2026-01-01T01:00:00\n", NOW + 3600},
    {"2026-01-01T01:00:00\n2026-01-01T02:00:00\n", NOW + 3600}, /* an array job: the first */
    {"2100-01-01T00:00:00\n", 4102444800},
    {"2026-01-01T00:00:00\n", 0},
    {"2025-12-31T23:59:59\n", 0},
    {"", 0},
    {"\n", 0},
    {"N/A\n", 0},
    {"Unknown", 0},
    {"NONE", 0},
    {"abc", 0},
    {"1767229200", 0},
    {"2026-01-01", 0},
    {"2026-13-01T01:00:00", 0},
    {"2026-01-01T01:00:00Z", 0},
    {"slurm_load_jobs error: Invalid job id specified", 0},
};

/* An end that is refused is false; what stands in *end then counts for nothing. */
static void test_texts(void)
{
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        time_t end = 0;
        bool good = limit_from_seconds(seconds[i].text, NOW, &end);
        ok(good == (seconds[i].end != 0) && (!good || end == seconds[i].end), "seconds \"%s\"",
           seconds[i].text);
    }
    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
        time_t end = 0;
        bool good = limit_from_date(dates[i].text, NOW, &end);
        int n = (int)strcspn(dates[i].text, "\n");
        ok(good == (dates[i].end != 0) && (!good || end == dates[i].end), "date %zu \"%.*s\"", i, n,
           dates[i].text);
    }
}

/* Local time: also where clocks change within the year. */
static void test_zone(void)
{
    time_t end;
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    ok(limit_from_date("2026-01-01T02:00:00", NOW, &end) && end == NOW + 3600, "winter time of a zone");
    ok(limit_from_date("2026-07-01T02:00:00", NOW, &end) && end == NOW + 181 * 86400, "its summer time");
}

/* What scontrol prints, cut short. */
static void test_words(void)
{
    static const char job[] =
        "JobId=7 JobName=x EndTime=2026-01-01T01:00:00 Deadline=N/A\n"
        "   PreemptEligibleTime=2026-01-01T00:10:00 PreemptTime=None\n   JobState=RUNNING";
    char word[64];
    ok(limit_from_words(job, "EndTime", word) && !strcmp(word, "2026-01-01T01:00:00"),
       "a word within a line");
    ok(limit_from_words(job, "PreemptTime", word) && !strcmp(word, "None"), "a word at the end of a line");
    ok(limit_from_words(job, "JobState", word) && !strcmp(word, "RUNNING"), "the last word");
    ok(!limit_from_words(job, "Time", word) && !limit_from_words("", "EndTime", word), "no part of a word");
}

static void test_margin(void)
{
    const struct pace none = {0}, slow = {.step = 100, .validation = 50, .save = 200};
    ok(limit_margin(&none, 36000) == 60 && limit_margin(&none, 90) == 45, "a minute, or half of a short leg");
    ok(limit_margin(&slow, 36000) == 100 + 50 + 2 * 200 + 60, "a step, a validation, two saves");
}

int main(void)
{
    setenv("TZ", "UTC0", 1);
    tzset();
    test_texts();
    test_words();
    test_margin();
    test_zone();
    return tap_done();
}
