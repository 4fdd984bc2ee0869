/* coppice report RUN... [--out FILE.html] [--bundle FILE]: one page about runs, and one file for a ticket.
 * Without MPI. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/commands.h"
#include "cmd/env.h"
#include "cmd/options.h"
#include "comm/launch.h"
#include "report/bundle.h"
#include "report/page.h"

static status check_arguments(const struct options *o)
{
    const char *dot = o->out ? strrchr(o->out, '.') : NULL;
    if (!o->n_files)
        return fail(E_DECK, "coppice report needs one or more run folders");
    if (o->out && (!dot || (strcmp(dot, ".html") != 0 && strcmp(dot, ".htm") != 0)))
        return fail(E_DECK, "--out: %s does not end in .html", o->out);
    if (o->bundle)
        TRY(bundle_name(o->bundle));
    return comm_one_task("coppice report works", "");
}

/* In the first run's folder, unless --out says where. */
static status write_page(const struct options *o, const struct page *p, const char *html)
{
    char *path = o->out ? mem_text(o->out) : mem_format("%s/report.html", p->run[0].dir);
    char runs[48], size[32];
    status code = file_replace(path, html);
    if (code == OK)
        log_say("report    %s (%s, %s)", path, text_n(runs, p->n, "run"),
                text_bytes(size, (double)strlen(html)));
    char *why = mem_text(status_text());
    if (code != OK && !o->out)
        code = fail(code, "%s; --out FILE.html writes it elsewhere", why);
    free(why);
    free(path);
    return code;
}

static status write_bundle(const struct options *o, const struct page *p, const char *html)
{
    json_t *facts = env_facts();
    char *environment = json_text(facts, JSON_INDENT(1));
    status code = bundle_write(o->bundle, p, html, environment);
    if (code == OK)
        log_say("bundle    %s", o->bundle);
    free(environment);
    json_decref(facts);
    return code;
}

static void warn(const struct page *p)
{
    for (int i = 0; i < p->n; i++)
        if (p->run[i].complaints.n) {
            const char *text = p->run[i].complaints.text;
            log_warn("%d that could not be used, such as %.*s", p->run[i].complaints.n,
                     (int)strcspn(text, "\n"), text);
        }
}

static status write_report(const struct options *o)
{
    struct page p;
    status code = page_open(&p, o->n_files, o->files);
    if (code == OK) {
        char *html = page_html(&p);
        warn(&p);
        if (o->out || !o->bundle)
            code = write_page(o, &p, html);
        if (code == OK && o->bundle)
            code = write_bundle(o, &p, html);
        free(html);
    }
    page_close(&p);
    return code;
}

int cmd_report(int argc, char **argv)
{
    struct options o;
    log_open(true, false);
    status code = options_parse(&o, argc, argv);
    log_open(true, o.quiet);
    if (code == OK)
        code = check_arguments(&o);
    if (code == OK)
        code = write_report(&o);
    if (code != OK)
        log_error(status_text());
    options_free(&o);
    return code;
}
