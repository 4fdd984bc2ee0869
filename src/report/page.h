/* The report: one page about one or more runs. Local; needs no MPI. */
#ifndef REPORT_PAGE_H
#define REPORT_PAGE_H
#include <stdio.h>
#include "report/history.h"

struct page {
    int n;
    struct history *run; /* [n], owned */
};

/** Read the run folders. E_DATA with all that are none. page_close in any case. */
status page_open(struct page *, int n, char *const dirs[]) MUST_USE;
void page_close(struct page *);
/** The whole page as HTML. Caller frees. */
char *page_html(const struct page *);

#endif
