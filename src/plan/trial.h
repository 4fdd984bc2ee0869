/* Trials of a machine before it trains: are the ranks placed well, do products and messages give the right
 * numbers, how fast are they, and what does a folder promise? The acceptance suite (validation/site) asks.
 * Everything is COLLECTIVE.
 *
 * Results are lines on standard output, for people and for awk; words stand behind each other with spaces:
 *   rank R HOST node N cores LIST threads T
 *   check NAME ok|FAILED TEXT
 *   figure NAME VALUE UNIT mean MEAN worst rank R on HOST
 * VALUE is that of the worst rank.
 *
 * Tests plan a fault of one rank: COPPICE_TRIAL=KIND:RANK[:PERCENT]. flip.all_to_all (or another operation):
 * a bit of what it delivers; drift: the last bit of one product of a hundred; slow: products take PERCENT
 * longer; skew: its clock is wrong by PERCENT seconds; other: it says that it is another program. Each is
 * told on stderr. */
#ifndef PLAN_TRIAL_H
#define PLAN_TRIAL_H
#include "comm/group.h"

struct trial {
    struct comm *comm;
    struct dev *dev;
    struct layout layout;
    const char *folder;  /* NULL: none is asked for */
    const char *program; /* version and libraries, which all ranks must have alike */
    bool failed;         /* a check has failed */
};

/* ---- parts ---- */
/** Where ranks are: a line for each. Checks: program, threads, binding, clocks. */
status trial_place(struct trial *) MUST_USE;
/** Products in fp32 and bf16, memory, bits of a hundred equal products. Checks: repeat, outliers. */
status trial_node(struct trial *) MUST_USE;
/** Messages in each group of the layout that has several ranks. Checks: all_gather.GROUP,
 * reduce_scatter.GROUP, all_reduce.GROUP, all_to_all.GROUP: the data that arrive. */
status trial_fabric(struct trial *) MUST_USE;
/** The folder, as all ranks see it. Checks: locks, rename, visible, file_clock. E_SPACE: it cannot be
 * written. */
status trial_folder(struct trial *) MUST_USE;

/* ---- for the parts ---- */
enum better { HIGHER, LOWER };
/** A check that holds if it does on all ranks. `text`: of a rank on which it does not. */
void trial_check(struct trial *, const char *name, bool good, const char *text, const char *if_good);
/** A figure of each rank; the worst one is told. */
void trial_figure(struct trial *, const char *name, double mine, const char *unit, enum better);
/** The PERCENT of a planned fault of this kind on this rank (1 if it has none), else 0. */
double trial_fault(const struct trial *, const char *kind);

#endif
