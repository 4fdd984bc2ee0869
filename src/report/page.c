#include "report/page.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/errors.h"
#include "base/mem.h"
#include "config.h"
#include "report/html.h"
#include "report/sections.h"

static const struct section {
    const char *id, *title;
    void (*write)(FILE *, const struct page *);
} sections[] = {
    {"overview", "Overview", section_overview},
    {"losses", "Losses", section_losses},
    {"scores", "Scores", section_scores},
    {"updates", "Updates", section_updates},
    {"experts", "Experts", section_experts},
    {"speed", "Speed", section_speed},
    {"plan", "Plan and reality", section_plan},
    {"memory", "Memory", section_memory},
    {"checkpoints", "Checkpoints", section_checkpoints},
    {"legs", "Legs and failures", section_legs},
    {"settings", "Settings", section_settings},
    {"certificate", "Certificate", section_certificate},
    {"complaints", "What could not be read", section_complaints},
};
enum { SECTIONS = sizeof sections / sizeof *sections };

/* Runs of the same name are told apart by their whole paths. */
static void tell_apart(struct page *p)
{
    bool *same = mem_new(p->n, sizeof *same);
    for (int a = 0; a < p->n; a++)
        for (int b = 0; b < p->n; b++)
            same[a] |= a != b && !strcmp(p->run[a].name, p->run[b].name);
    for (int a = 0; a < p->n; a++)
        if (same[a]) {
            free(p->run[a].name);
            p->run[a].name = mem_text(p->run[a].dir);
        }
    free(same);
}

status page_open(struct page *p, int n, char *const dirs[])
{
    char *mistakes = NULL;
    *p = (struct page){n, mem_new(n, sizeof *p->run)};
    for (int i = 0; i < n; i++) {
        if (history_open(&p->run[i], dirs[i]) != OK)
            mem_append(&mistakes, "%s%s", mistakes ? "\n" : "", status_text());
        p->run[i].colour = i;
    }
    tell_apart(p);
    status code = mistakes ? fail(E_DATA, "%s", mistakes) : OK;
    free(mistakes);
    return code;
}

void page_close(struct page *p)
{
    for (int i = 0; i < p->n; i++)
        history_close(&p->run[i]);
    free(p->run);
}

/* What a section writes; "" if it has nothing to tell: frames without a figure or a row do not count. Caller
 * frees. */
static char *section_text(const struct section *s, const struct page *p)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        bug("no memory for the report");
    s->write(f, p);
    if (fclose(f) != 0)
        bug("no memory for the report");
    static const char *const tells[] = {"<svg", "<td", "<p>", "<pre", "class=\"bad\""};
    bool empty = true;
    for (size_t i = 0; i < sizeof tells / sizeof *tells; i++)
        empty = empty && !strstr(text, tells[i]);
    if (empty)
        *text = '\0';
    return text;
}

static char *title_of(const struct page *p)
{
    enum { NAMED = 4 };
    char *title = mem_text("Coppice: ");
    for (int i = 0; i < p->n && i < NAMED; i++)
        mem_append(&title, "%s%s", i ? ", " : "", p->run[i].name);
    if (p->n > NAMED)
        mem_append(&title, " and %d more", p->n - NAMED);
    return title;
}

static void write_head(FILE *f, const struct page *p, char *const text[SECTIONS])
{
    char *title = title_of(p), when[32];
    time_t now = time(NULL);
    struct tm parts;
    html_begin(f, title);
    html_put(f, "h1", NULL, "%s", title);
    strftime(when, sizeof when, "%Y-%m-%d %H:%M", gmtime_r(&now, &parts));
    html_put(f, "p", "soft", "Report of %s UTC by Coppice %s (%s)", when, PACKAGE_VERSION, COPPICE_REVISION);
    fprintf(f, "<nav>");
    for (int i = 0; i < SECTIONS; i++)
        if (*text[i])
            fprintf(f, "<a href=\"#%s\">%s</a> ", sections[i].id, sections[i].title);
    fprintf(f, "</nav>\n");
    free(title);
}

char *page_html(const struct page *p)
{
    char *text[SECTIONS], *html = NULL;
    size_t size;
    FILE *f = open_memstream(&html, &size);
    if (!f)
        bug("no memory for the report");
    for (int i = 0; i < SECTIONS; i++)
        text[i] = section_text(&sections[i], p);
    write_head(f, p, text);
    for (int i = 0; i < SECTIONS; i++) {
        if (*text[i])
            fprintf(f, "<h2 id=\"%s\">%s</h2>\n%s", sections[i].id, sections[i].title, text[i]);
        free(text[i]);
    }
    html_end(f);
    if (fclose(f) != 0)
        bug("no memory for the report");
    return html;
}
