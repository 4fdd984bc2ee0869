/* A machine as the plan knows it: rates, latencies and sizes of one rank's device, of a node and of the
 * network. One table of keys (machine.c) reads and writes the files in input/machines/. Units: s, B, FLOP/s,
 * B/s. Local. */
#ifndef PLAN_MACHINE_H
#define PLAN_MACHINE_H
#include <stdbool.h>
#include <stdio.h>
#include "base/status.h"

enum { MACHINE_RATES = 3, MACHINE_NAME = 80 };

struct machine {
    char name[MACHINE_NAME];
    char file[256]; /* where it was read from, "" = made here */
    double peak;    /* denominator of MFU */
    double gemm, sms, k0;
    double sizes[MACHINE_RATES], rates[MACHINE_RATES];
    double attn_fwd, attn_fwd_half, attn_bwd, attn_bwd_half;
    double memory;
    double coll, a2a, network, near_latency, far_latency;
    double gap, hide, hide_sms;
    double node, capacity, context;
    double file_rate, mtbf, watts;
    double band; /* relative error to expect of a step's time */
};

/** E_DECK with FILE:LINE:COLUMN: an unknown key (with the nearest one), a value out of range, a key missing.
 * A name without a slash that is no file here is looked for in the installed folder of machine files. */
status machine_read(struct machine *, const char *file) MUST_USE;
/** The file that machine_read reads, each key with its meaning behind it. */
void machine_write(const struct machine *, FILE *);
/** What a table of rates says of a product rows x columns x k: FLOP/s, from the three sizes measured, or
 * `gemm` where there are none. */
double machine_gemm_rate(const struct machine *, double rows, double columns, double k);

#endif
