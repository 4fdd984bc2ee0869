#include "train/forecast.h"

#include <math.h>
#include "base/log.h"
#include "base/text.h"
#include "train/report.h"

/* A term predicted and measured, and how many times the prediction was needed. */
static json_t *term(double predicted, double measured)
{
    return json_pack("{sososo}", "predicted", folder_number(predicted), "measured", folder_number(measured),
                     "ratio", folder_number(predicted > 0 ? measured / predicted : (double)NAN));
}

/* The phase whose seconds are farthest from the prediction. */
static int worst_phase(const struct forecast *f, const double *measured)
{
    int worst = 0;
    for (int i = 1; i < PHASES; i++)
        if (fabs(measured[i] - f->phase[i]) > fabs(measured[worst] - f->phase[worst]))
            worst = i;
    return worst;
}

static void write_plan(const struct forecast *f, const struct trainer *t, const double *measured, double step,
                       double peak)
{
    json_t *phases = json_object();
    for (int i = 0; i < PHASES; i++)
        json_object_set_new(phases, phase_name[i], term(f->phase[i], measured[i]));
    json_t *all = json_pack("{sssfsososo}", "machine", f->machine, "band", f->band, "step_s",
                            term(f->step, step), "phases_s", phases, "memory_bytes", term(f->memory, peak));
    if (folder_write_json(t->folder, "plan.json", all) != OK)
        log_warn("%s", status_text());
}

void forecast_show(const struct forecast *f, const struct report *r, const struct trainer *t, double peak)
{
    double steps = (double)(t->state.step - r->first_step), measured[PHASES], step = r->stepping / steps;
    if (!f->machine[0] || steps < 1 || comm_rank(t->comm) != 0)
        return;
    for (int i = 0; i < PHASES; i++)
        measured[i] = r->seconds[i] / steps;
    int worst = worst_phase(f, measured);
    log_say("plan      %.3g s a step predicted (+- %.0f %%, %s), %.3g s taken: %.2f times; worst term: %s, "
            "%.3g s "
            "predicted, %.3g s taken",
            f->step, 100 * f->band, f->machine, step, step / f->step, phase_name[worst], f->phase[worst],
            measured[worst]);
    write_plan(f, t, measured, step, peak);
}
