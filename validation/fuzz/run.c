/* The input is a run folder for coppice report: lines "== NAME" and behind each the file of that name. The
 * page is made in any case. Refused is what has a complaint. */
#include <stdbool.h>
#include <string.h>
#include "fuzz.h"
#include "report/page.h"

static const char *const names[] = {"metrics.jsonl",    "events.jsonl",  "experts.jsonl",
                                    "status.json",      "plan.json",     "profile.json",
                                    "certificate.json", "resolved.yaml", "run.log"};
enum { NAMES = sizeof names / sizeof *names };

/* The file that a line "== NAME" begins, or -1. */
static int file_of(const uint8_t *line, size_t n)
{
    for (int i = 0; i < NAMES; i++)
        if (n == strlen(names[i]) + 3 && !memcmp(line, "== ", 3) && !memcmp(line + 3, names[i], n - 3))
            return i;
    return -1;
}

static void write_files(const uint8_t *data, size_t size)
{
    const uint8_t *begin[NAMES] = {0}, *end = data + size;
    size_t length[NAMES] = {0};
    int file = NAMES - 1;
    for (const uint8_t *next; data < end; data = next) {
        const uint8_t *newline = memchr(data, '\n', (size_t)(end - data));
        next = newline ? newline + 1 : end;
        int begins = file_of(data, (size_t)((newline ? newline : end) - data));
        if (begins >= 0) {
            file = begins;
            begin[file] = next;
            length[file] = 0;
        } else if (begin[file]) {
            length[file] += (size_t)(next - data);
        }
    }
    for (int i = 0; i < NAMES; i++)
        fuzz_write(names[i], begin[i], length[i]);
    for (int i = 3; i < 7; i++) /* an absent object is no mistake */
        if (!begin[i]) {
            char *path = fuzz_path(names[i]);
            unlink(path);
            free(path);
        }
}

/* Every < of the page begins a tag, which ends before the next one. */
static void check_page(const char *html)
{
    bool inside = false;
    for (const char *c = html; *c; c++) {
        if ((*c == '<' && inside) || (*c == '>' && !inside && strstr(c, "</style>") == NULL))
            bug("the page is not well-formed");
        inside = *c == '<' || (inside && *c != '>');
    }
}

status fuzz_parse(const uint8_t *data, size_t size)
{
    struct page p;
    char *dir = mem_text(fuzz_folder());
    write_files(data, size);
    status s = page_open(&p, 1, &dir);
    if (s == OK) {
        char *html = page_html(&p);
        check_page(html);
        free(html);
        if (p.run[0].complaints.n)
            s = fail(E_DATA, "%s", p.run[0].complaints.text);
    }
    page_close(&p);
    free(dir);
    return s;
}
