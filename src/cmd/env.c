/* coppice env: this build, the machine, limits and variables. Without MPI. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <xxhash.h>
#include "config.h"
#include "base/disk.h"
#include "base/host.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/commands.h"
#include "cmd/env.h"
#include "cmd/options.h"
#include "comm/comm.h"
#include "deck/deck.h"
#include "deck/site.h"
#include "device/dev.h"
#include "format/h5.h"
#include "text/libraries.h"

/* clang's __VERSION__ contains the compiler's name, GCC's does not. */
#ifdef __clang__
#    define COMPILER "%s"
#else
#    define COMPILER "GCC %s"
#endif

#ifdef __GLIBC__
#    include <gnu/libc-version.h>
#    define LIBC "glibc %s"
#    define LIBC_VERSION gnu_get_libc_version()
#else
#    define LIBC "%s"
#    define LIBC_VERSION "C library of this system"
#endif

extern char **environ;

/* ---- facts: each is a line, or a member with --json ---- */

static json_t *facts; /* NULL: print lines. Else an object, in which facts of the same name are a list. */

PRINTF(2, 3) static void tell(const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = mem_format_list(format, args);
    va_end(args);
    if (!facts)
        log_say("%-11s %s", name, text);
    else if (!json_object_get(facts, name))
        json_object_set_new(facts, name, json_pack("[s]", text));
    else
        json_array_append_new(json_object_get(facts, name), json_string(text));
    free(text);
}

/* Tell a list such as "HDF5 1.10.8, jansson 2.14". With --json each library is a member. */
static void tell_libraries(const char *list)
{
    json_t *each = json_object();
    for (const char *at = list; *at; at += strcspn(at, ","), at += strspn(at, ", ")) {
        char *one = mem_format("%.*s", (int)strcspn(at, ","), at), *version = strrchr(one, ' ');
        if (version)
            *version++ = '\0';
        json_object_set_new(each, one, json_string(version ? version : ""));
        free(one);
    }
    if (facts)
        json_object_set(facts, "libraries", each);
    else
        tell("libraries", "%s", list);
    json_decref(each);
}

/* The COPPICE_* variables that have a meaning. */
static const char *const known[] = {"COPPICE_FAIL",    "COPPICE_FAULT",        "COPPICE_SHARED",
                                    "COPPICE_LEGS",    "COPPICE_LEG",          "COPPICE_SITE",
                                    "COPPICE_RETRIES", "COPPICE_TEST_TIMEOUT", "COPPICE_TRIAL"};

static bool is_variable(const char *entry, const char *name)
{
    size_t n = strlen(name);
    return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

static bool is_known(const char *entry)
{
    bool found = false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        found |= is_variable(entry, known[i]);
    for (int i = 0; site_key(i); i++)
        found |= is_variable(entry, site_key(i)->variable);
    return found;
}

static void show_variables(void)
{
    static const char *const other[] = {"OMP_", "SLURM_JOB_ID=", "SLURM_STEP_NUM_TASKS=", "OPENBLAS_",
                                        "OMPI_MCA_"};
    for (char **e = environ; *e; e++) {
        if (!strncmp(*e, "COPPICE_", 8))
            tell("variable", "%s%s", *e, is_known(*e) ? "" : "   (unknown to Coppice: a typing mistake?)");
        for (size_t i = 0; i < sizeof other / sizeof *other; i++)
            if (!strncmp(*e, other[i], strlen(other[i])))
                tell("variable", "%s", *e);
    }
}

static void show_limit(const char *name, int which)
{
    struct rlimit l;
    char text[32] = "unlimited";
    if (getrlimit((__rlimit_resource_t)which, &l) == 0 && l.rlim_cur != RLIM_INFINITY)
        text_grouped(text, (int64_t)l.rlim_cur);
    tell("limit", "%s %s", name, text);
}

static void show_system(void)
{
    struct utsname u;
    bool quotas;
    double room = disk_free(".", &quotas);
    char host[64], cores[64], a[32], b[32];
    struct host_cores mine;
    if (uname(&u) == 0)
        tell("system", "%s %s, %s", u.sysname, u.release, host_name(host));
    host_cores(&mine);
    tell("cores", "%s, of which %.3g may be used at once", host_cores_text(&mine, cores),
         host_cores_share(&mine, (int[]){0}, 1, 0));
    tell("memory", "%s free", text_bytes(a, (double)mem_free_bytes()));
    if (room >= 0)
        tell("folder", "%s free here%s", text_bytes(b, room), quotas ? "" : "; a quota would not be seen");
    show_limit("locked memory (bytes)", RLIMIT_MEMLOCK);
    show_limit("open files", RLIMIT_NOFILE);
}

static void show_libraries(void)
{
    unsigned xxhash = XXH_versionNumber();
    char *text = text_libraries();
    char *list =
        mem_format("%s, HDF5 %s, jansson %s, libyaml %s, xxHash %u.%u.%u, %s, %s, " LIBC, comm_mpi_library(),
                   h5_version(), jansson_version_str(), deck_parser_version(), xxhash / 10000,
                   xxhash / 100 % 100, xxhash % 100, text, dev_cpu_library(), LIBC_VERSION);
    tell_libraries(list);
    free(list);
    free(text);
}

/* The GPU that a first rank would take, or why there is none. */
static void show_cuda(const struct dev_options *options)
{
    struct dev *dev = NULL;
    if (!dev_is_known("cuda")) {
        tell("cuda", "not built in");
        return;
    }
    tell("cuda", "%s", dev_open(&dev, "cuda", 0, options) == OK ? dev_about(dev) : status_text());
    tell("nccl", "%s", comm_nccl_library());
    dev_close(dev);
}

static void tell_all(void)
{
    struct dev *dev = NULL;
    struct dev_options options = {0};
    tell("Coppice", "%s (%s), compiled by " COMPILER, PACKAGE_VERSION, COPPICE_REVISION, __VERSION__);
    tell("compiler", "%s", COPPICE_BUILT);
    show_libraries();
    if (dev_open(&dev, "cpu", 0, &options) == OK) {
        tell("cpu", "%s", dev_about(dev));
        if (dev_cpu_caution())
            tell("caution", "%s", dev_cpu_caution());
        dev_close(dev);
    }
    show_cuda(&options);
    show_system();
    show_variables();
}

json_t *env_facts(void)
{
    json_t *all = facts = json_object();
    tell_all();
    facts = NULL;
    return all;
}

int cmd_env(int argc, char **argv)
{
    struct options o;
    log_open(true, false);
    status code = options_parse(&o, argc, argv);
    log_open(true, o.quiet);
    if (code != OK)
        log_error(status_text());
    else if (o.json)
        json_print(env_facts());
    else
        tell_all();
    options_free(&o);
    return code;
}
