#include "format/hf_folder.h"

#include <dirent.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/io.h"
#include "base/mem.h"

#define CONVERT                                                                                            \
    "convert it to safetensors (in Python: transformers' AutoModelForCausalLM.from_pretrained(\"FOLDER\")" \
    ".save_pretrained(\"NEW\"))"
#define MERGE "merge it into its base model first (peft: merge_and_unload, then save_pretrained)"
#define GGUF \
    "a GGUF file of llama.cpp, which Coppice does not read: download the model in its safetensors form"
#define META "weights in Meta's own form: convert them with transformers' convert_llama_weights_to_hf.py"

/* What it means if a folder holds a name. The first clue that fits counts. */
struct clue {
    const char *pattern, *meaning;
};

static const struct clue no_weights[] = {
    {"adapter_config.json", "a LoRA adapter is here, not a model: " MERGE},
    {"*.gguf", GGUF},
    {"consolidated*", META},
    {"pytorch_model*.bin", "the weights are in PyTorch's form: " CONVERT},
    {"*.pt", "the weights are in PyTorch's form: " CONVERT},
    {"*.pth", "the weights are in PyTorch's form: " CONVERT},
    {"model-*-of-*.safetensors", "the shards are here without model.safetensors.index.json: download it too"},
    {"*.safetensors", "safetensors files of other names are here: model.safetensors is the one that is read"},
    {"*.incomplete", "a download did not finish: download the model again"},
    {NULL, "other formats are not read"},
};

static const struct clue no_config[] = {
    {"adapter_config.json", "a LoRA adapter, not a model: " MERGE},
    {"*.gguf", GGUF},
    {"params.json", META},
    {"consolidated*", META},
    {"*.safetensors", "there are weights but no config.json: put the model's config.json beside them"},
    {"pytorch_model*.bin", "there are weights in PyTorch's form and no config.json: " CONVERT},
    {"models--*", "the hub's cache: the model is the folder models--ORG--NAME/snapshots/REVISION in it"},
    {NULL, NULL},
};

/* The first entry of a folder that fits the pattern, without hidden ones; NULL if there is none. Caller
 * frees. */
static char *find_entry(const char *dir, const char *pattern)
{
    char *found = NULL;
    DIR *d = io_opendir(dir);
    for (struct dirent *e; d && !found && (e = readdir(d));)
        if (fnmatch(pattern, e->d_name, FNM_PERIOD) == 0)
            found = mem_text(e->d_name);
    if (d)
        closedir(d);
    return found;
}

static bool holds(const char *dir, const char *pattern)
{
    char *entry = find_entry(dir, pattern);
    free(entry);
    return entry != NULL;
}

/* The meaning of a folder's entries by a table of clues; NULL if no clue fits. */
static const char *meaning_of(const char *dir, const struct clue *clue)
{
    while (clue->pattern && !holds(dir, clue->pattern))
        clue++;
    return clue->meaning;
}

/* A folder DIR/NAME with a config.json; NULL if there is none. Caller frees. */
static char *find_model_below(const char *dir)
{
    char *found = NULL;
    DIR *d = io_opendir(dir);
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        char *path = mem_format("%s/%s/config.json", dir, e->d_name);
        if (e->d_name[0] != '.' && io_exists(path))
            found = mem_format("%s/%s", dir, e->d_name);
        free(path);
    }
    if (d)
        closedir(d);
    return found;
}

/* A file was given: say that its folder should be given. */
static status not_a_folder(const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    if (dot && !strcmp(dot, ".gguf"))
        return fail(E_DATA, "%s: " GGUF, path);
    return fail(E_DATA, "%s: a file; a model is named by its folder: %.*s", path,
                slash ? (int)(slash - path) : 1, slash ? path : ".");
}

/* The hub's cache keeps a model in models--ORG--NAME/snapshots/REVISION. */
static status cache_folder(const char *dir)
{
    char *snapshots = mem_format("%s/snapshots", dir), *model = find_model_below(snapshots);
    status s = fail(E_DATA, "%s: a cache folder of the Hugging Face hub; the model is in %s%s", dir,
                    model ? model : snapshots, model ? "" : "/REVISION");
    free(model);
    free(snapshots);
    return s;
}

static status unknown_folder(const char *dir)
{
    char *model = find_model_below(dir);
    status s =
        model ? fail(E_DATA, "%s: no model is in this folder, but one is in %s", dir, model)
        : holds(dir, "*")
            ? fail(E_DATA,
                   "%s: no model is in this folder: neither config.json (Hugging Face) nor index.h5 (a "
                   "checkpoint) nor ckpt/step_* (a run folder)",
                   dir)
            : fail(E_DATA, "%s: no model is in this folder: it is empty", dir);
    free(model);
    return s;
}

status hf_folder_no_model(const char *path)
{
    struct stat about;
    if (io_stat(path, &about) != 0) {
        char *near = file_near(path, "");
        status s =
            fail(E_DATA,
                 "%s: there is no such folder%s%s. Coppice reads local folders: a Hugging Face directory, a "
                 "checkpoint or a run folder. For a name on the hub, download it first (hf download ORG/NAME "
                 "--local-dir DIR) and name DIR",
                 path, near ? "; did you mean " : "", near ? near : "");
        free(near);
        return s;
    }
    if (!S_ISDIR(about.st_mode))
        return not_a_folder(path);
    if (holds(path, "snapshots"))
        return cache_folder(path);
    const char *meaning = meaning_of(path, no_config);
    return meaning ? fail(E_DATA, "%s: %s", path, meaning) : unknown_folder(path);
}

status hf_folder_no_weights(const char *dir)
{
    return fail(E_DATA, "%s: holds neither model.safetensors nor model.safetensors.index.json: %s", dir,
                meaning_of(dir, no_weights));
}
