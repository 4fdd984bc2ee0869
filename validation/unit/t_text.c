/* The model's shape as text in a checkpoint's index: it reads back; older checkpoints without a field are
 * read with its default; values that make no sense are refused. */
#include <string.h>

#include "base/json.h"
#include "ckpt/text.h"
#include "tap.h"

static struct config example(void)
{
    struct config c = {.hidden = 64,
                       .ffn = 96,
                       .layers = 4,
                       .heads = 4,
                       .kv_heads = 2,
                       .head_dim = 16,
                       .vocab = 100,
                       .norm_eps = 1e-5,
                       .rope = {.theta = 5e5, .factor = 0.1},
                       .max_positions = 512,
                       .moe = {.experts = 8, .top_k = 2, .granularity = 2, .aux_coeff = 1.0 / 3},
                       .window = 128,
                       .carried = {.keys = "{\"bos_token_id\":1}", .folder = "/models/\"x\" \\ y"}};
    c.moe.layer[1] = c.moe.layer[3] = true;
    return c;
}

/* The example's text with one member replaced (NULL: taken out), read. */
static status read_with(struct config *c, const char *name, json_t *value)
{
    struct config from = example();
    char *text = config_to_json(&from);
    json_t *object = json_loads(text, 0, NULL);
    free(text);
    if (value)
        json_object_set_new(object, name, value);
    else
        json_object_del(object, name);
    text = json_dumps(object, 0); /* with 17 digits, as older versions wrote them */
    json_decref(object);
    status s = config_from_json(c, "config", text);
    free(text);
    return s;
}

static bool refused(const char *name, json_t *value)
{
    struct config c;
    return read_with(&c, name, value) == E_DATA;
}

int main(void)
{
    struct config c = example(), back;
    char *text = config_to_json(&c), *again, longest[2000];
    bool read = config_from_json(&back, "config", text) == OK;
    again = config_to_json(&back);
    ok(read && !strcmp(text, again) && back.moe.aux_coeff == c.moe.aux_coeff, "written and read");
    free(again);
    ok(strstr(text, "\"norm_eps\": 1e-05,") && strstr(text, "\"rope.theta\": 500000.0,"), "reals are short");
    free(text);
    ok(read_with(&back, "carried.window", NULL) == OK && back.window == 0 && back.moe.aux_coeff == 1.0 / 3,
       "a checkpoint from before windows were carried %s", status_text());
    ok(read_with(&back, "carried.keys", NULL) == OK && !*back.carried.keys,
       "from before token ids were carried");
    ok(read_with(&back, "carried.folder", NULL) == OK && !*back.carried.folder, "from before the folder was");
    ok(refused("hidden", NULL), "%s", status_text());
    ok(refused("carried.colour", json_integer(3)), "%s", status_text());
    ok(refused("carried.window", json_string("wide")), "%s", status_text());
    ok(refused("carried.keys", json_integer(1)), "%s", status_text());
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    ok(refused("carried.folder", json_string(longest)), "%s", status_text());
    longest[sizeof c.carried.folder - 1] = '\0';
    ok(read_with(&back, "carried.folder", json_string(longest)) == OK &&
           !strcmp(back.carried.folder, longest),
       "the longest folder");
    return tap_done();
}
