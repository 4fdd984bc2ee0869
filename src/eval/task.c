#include "eval/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/io.h"
#include "base/mem.h"
#include "eval/rows.h"

/* ---- how fields become a question ---- */

/* Each may be what a description says; NULL: not said. */
struct recipe {
    enum task_kind kind;
    const char *prompt, *delimiter;
    const char *choices; /* a field with a list of texts, or the texts themselves between bars: "A|B|C|D" */
    const char *gold;    /* a field: number, letter, true or false, or the text of the choice */
    const char *target;  /* of last_word and text: a field */
    const char *description;
};

/* What files are known by: their first row has all of these fields. */
static const struct known {
    const char *fields;
    struct recipe recipe;
} known[] = {
    {"query choices gold", {TASK_CHOICE, "{query}\nAnswer:", " ", "choices", "gold", NULL, ""}},
    {"context continuation", {TASK_LAST_WORD, "{context}", " ", NULL, NULL, "continuation", ""}},
    {"question choice0 choice1 choice2 choice3 answer",
     {TASK_CHOICE, "{trim question}\nA. {choice0}\nB. {choice1}\nC. {choice2}\nD. {choice3}\nAnswer:", " ",
      "A|B|C|D", "answer", NULL,
      "The following are multiple choice questions (with answers) about {subject}.\n\n"}},
    {"passage question answer",
     {TASK_CHOICE, "{passage}\nQuestion: {question}?\nAnswer:", " ", "no|yes", "answer", NULL, ""}},
    {"goal sol1 sol2 label",
     {TASK_CHOICE, "Question: {goal}\nAnswer:", " ", "{sol1}|{sol2}", "label", NULL, ""}},
    {"text", {TASK_TEXT, "", "", NULL, NULL, "text", ""}},
};
enum { KNOWN = sizeof known / sizeof *known };

static bool has_all(const json_t *row, const char *fields)
{
    char name[64];
    for (size_t n; *fields; fields += n + (fields[n] == ' ')) {
        n = strcspn(fields, " ");
        snprintf(name, sizeof name, "%.*s", (int)n, fields);
        if (!json_object_get(row, name))
            return false;
    }
    return true;
}

static status recognise(struct recipe *r, const struct rows *rows)
{
    for (int i = 0; i < KNOWN; i++)
        if (has_all(rows->row[0], known[i].fields)) {
            *r = known[i].recipe;
            return OK;
        }
    return rows_bad(
        rows, 0,
        "which task this is cannot be seen: its fields are none of {query, choices, gold}, {context, "
        "continuation}, {question, choice0..3, answer}, {passage, question, answer}, {goal, sol1, "
        "sol2, label}, {text}; describe it in a .json file (coppice help eval)");
}

/* ---- templates ---- */

/* "abstract algebra" from ".../abstract_algebra_test.csv". Caller frees. */
static char *subject_of(const char *path)
{
    static const char *const ends[] = {"_test", "_dev", "_val"};
    const char *slash = strrchr(path, '/');
    char *name = mem_text(slash ? slash + 1 : path);
    name[strcspn(name, ".")] = '\0';
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(name), m = strlen(ends[i]);
        if (n > m && !strcmp(name + n - m, ends[i]))
            name[n - m] = '\0';
    }
    for (char *c = name; *c; c++)
        *c = *c == '_' ? ' ' : *c;
    return name;
}

/* The text without white space at its ends. Caller frees. */
static char *trimmed(const char *text)
{
    text += strspn(text, " \t\r\n");
    size_t n = strlen(text);
    while (n > 0 && strchr(" \t\r\n", text[n - 1]))
        n--;
    return mem_format("%.*s", (int)n, text);
}

static status put_field(char **out, const struct rows *rows, int64_t row, const char *name,
                        const char *subject)
{
    bool trim = !strncmp(name, "trim ", 5);
    name += trim ? 5 : 0;
    const json_t *value = json_object_get(rows->row[row], name);
    if (!strcmp(name, "subject") && !value) {
        mem_append(out, "%s", subject);
        return OK;
    }
    if (!json_is_string(value))
        return rows_bad(rows, row, "\"%s\" is missing, or no text", name);
    char *text = trim ? trimmed(json_string_value(value)) : mem_text(json_string_value(value));
    mem_append(out, "%s", text);
    free(text);
    return OK;
}

/* `text` with each {field} replaced; {trim field}: without white space at its ends. Caller frees *out. */
static status fill_in(char **out, const struct rows *rows, int64_t row, const char *text, size_t n)
{
    char *subject = subject_of(rows->path);
    status code = OK;
    *out = mem_text("");
    for (size_t i = 0; i < n && code == OK;) {
        const char *close = text[i] == '{' ? memchr(text + i, '}', n - i) : NULL;
        if (!close) {
            mem_append(out, "%c", text[i++]);
            continue;
        }
        char *name = mem_format("%.*s", (int)(close - text - (ptrdiff_t)i - 1), text + i + 1);
        code = put_field(out, rows, row, name, subject);
        free(name);
        i = (size_t)(close - text) + 1;
    }
    free(subject);
    if (code != OK) {
        free(*out);
        *out = NULL;
    }
    return code;
}

/* ---- one question ---- */

static int64_t letters_of(const char *text)
{
    int64_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80; /* UTF-8: not inside a character */
    return n;
}

static void add_choice(struct question *q, const char *delimiter, const char *text)
{
    q->choice = mem_grow(q->choice, q->n + 1, sizeof *q->choice);
    q->letters = mem_grow(q->letters, q->n + 1, sizeof *q->letters);
    q->letters[q->n] = letters_of(text);
    q->choice[q->n++] = mem_format("%s%s", delimiter, text);
}

/* From "A|B" or "{a}|{b}". */
static status spelled_choices(struct question *q, const struct rows *rows, int64_t row,
                              const struct recipe *r)
{
    for (const char *at = r->choices; *at;) {
        size_t n = strcspn(at, "|");
        char *text;
        TRY(fill_in(&text, rows, row, at, n));
        add_choice(q, r->delimiter, text);
        free(text);
        at += n + (at[n] == '|');
    }
    return OK;
}

static status listed_choices(struct question *q, const struct rows *rows, int64_t row, const struct recipe *r)
{
    const json_t *list = json_object_get(rows->row[row], r->choices);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text)
            return rows_bad(rows, row, "\"%s\" must be a list of texts", r->choices);
        add_choice(q, r->delimiter, text);
    }
    return q->n >= 2 ? OK : rows_bad(rows, row, "\"%s\" must be a list of two texts or more", r->choices);
}

static int64_t number_of(const char *text, const struct question *q, const char *delimiter)
{
    char *end;
    int64_t n = strtoll(text, &end, 10);
    if (*text && !*end)
        return n;
    for (int i = 0; i < q->n; i++)
        if (!strcmp(text, q->choice[i] + strlen(delimiter)))
            return i;
    return text[0] >= 'A' && text[0] <= 'Z' && !text[1] ? text[0] - 'A' : -1;
}

static status find_gold(struct question *q, const struct rows *rows, int64_t row, const struct recipe *r)
{
    const json_t *gold = json_object_get(rows->row[row], r->gold);
    int64_t n = json_is_integer(gold)   ? json_integer_value(gold)
                : json_is_boolean(gold) ? json_is_true(gold)
                : json_is_string(gold)  ? number_of(json_string_value(gold), q, r->delimiter)
                                        : -1;
    if (n < 0 || n >= q->n)
        return rows_bad(rows, row, "\"%s\" names none of the %d choices", r->gold, q->n);
    q->gold = (int)n;
    return OK;
}

static status read_target(struct question *q, const struct rows *rows, int64_t row, const struct recipe *r)
{
    const char *text = json_string_value(json_object_get(rows->row[row], r->target));
    if (!text)
        return rows_bad(rows, row, "\"%s\" is missing, or no text", r->target);
    add_choice(q, r->delimiter, text);
    return OK;
}

static status read_question(struct question *q, const struct rows *rows, int64_t row, const struct recipe *r)
{
    TRY(fill_in(&q->context, rows, row, r->prompt, strlen(r->prompt)));
    if (r->kind != TASK_CHOICE)
        return read_target(q, rows, row, r);
    bool field = !strpbrk(r->choices, "|{");
    TRY(field ? listed_choices(q, rows, row, r) : spelled_choices(q, rows, row, r));
    return find_gold(q, rows, row, r);
}

static void question_free(struct question *q)
{
    for (int i = 0; i < q->n; i++)
        free(q->choice[i]);
    free(q->choice);
    free(q->letters);
    free(q->context);
}

/* ---- examples before each question ---- */

/* The answered examples, each followed by an empty line. Caller frees *out. */
static status examples(char **out, const struct rows *rows, const struct recipe *r, int64_t shots)
{
    TRY(fill_in(out, rows, 0, r->description, strlen(r->description)));
    for (int64_t i = 0; i < shots; i++) {
        struct question q = {0};
        status code = read_question(&q, rows, i, r);
        if (code == OK)
            mem_append(out, "%s%s\n\n", q.context, q.choice[q.gold]);
        question_free(&q);
        TRY(code);
    }
    return OK;
}

/* .../dev/X_dev.csv for .../test/X_test.csv; NULL if there is none. Caller frees. */
static char *dev_file(const char *path)
{
    const char *folder = strstr(path, "/test/"), *name = strrchr(path, '/'),
               *end = strstr(name ? name : path, "_test.");
    if (!folder || !end)
        return NULL;
    char *dev = mem_format("%.*s/dev/%.*s_dev.%s", (int)(folder - path), path, (int)(end - name - 1),
                           name + 1, end + strlen("_test."));
    if (io_exists(dev))
        return dev;
    free(dev);
    return NULL;
}

/* ---- a task ---- */

struct file {
    struct recipe recipe;
    bool described;
    char *data, *shots;
    json_t *description; /* the texts of the recipe live in it */
};

static char *beside(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    return *name == '/' || !slash ? mem_text(name) : mem_format("%.*s/%s", (int)(slash - path), path, name);
}

static const char *text_at(const json_t *object, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : otherwise;
}

static status check_members(const char *path, const json_t *object)
{
    static const char *const keys[] = {"kind", "data",  "prompt", "delimiter",  "choices",
                                       "gold", "shots", "target", "description"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        size_t i = 0;
        while (i < sizeof keys / sizeof *keys && strcmp(keys[i], key))
            i++;
        if (i == sizeof keys / sizeof *keys || !json_is_string(value))
            return fail(E_DATA,
                        "%s: %s: a task has the texts kind, data, prompt, delimiter, choices, gold, shots, "
                        "target, description",
                        path, key);
    }
    return OK;
}

static status describe(struct file *f, const char *path)
{
    static const char *const kinds[] = {"choice", "last_word", "text"};
    TRY(json_read_file(&f->description, path, 1 << 20));
    const json_t *d = f->description;
    TRY(check_members(path, d));
    const char *kind = text_at(d, "kind", "choice"), *data = text_at(d, "data", NULL);
    int k = 0;
    while (k < TASK_KINDS && strcmp(kinds[k], kind))
        k++;
    if (k == TASK_KINDS)
        return fail(E_DATA, "%s: kind: %s: needs choice, last_word or text", path, kind);
    if (!data)
        return fail(E_DATA, "%s: data: which file has the questions?", path);
    f->described = true;
    f->data = beside(path, data);
    f->shots = text_at(d, "shots", NULL) ? beside(path, text_at(d, "shots", NULL)) : NULL;
    f->recipe = (struct recipe){.kind = (enum task_kind)k,
                                .prompt = text_at(d, "prompt", ""),
                                .delimiter = text_at(d, "delimiter", k == TASK_TEXT ? "" : " "),
                                .choices = text_at(d, "choices", "choices"),
                                .gold = text_at(d, "gold", "gold"),
                                .target = text_at(d, "target", k == TASK_TEXT ? "text" : "continuation"),
                                .description = text_at(d, "description", "")};
    return OK;
}

static bool is_description(const char *path)
{
    size_t n = strlen(path);
    return n > 5 && !strcmp(path + n - 5, ".json");
}

/* The examples, and from which row on the questions are. */
static status read_examples(const struct file *f, const struct rows *rows, int64_t shots, char **text,
                            int64_t *first)
{
    char *path = f->shots ? mem_text(f->shots) : dev_file(f->data);
    struct rows other = {0};
    *first = 0;
    if (path && shots > 0) {
        status code = rows_read(&other, path, shots);
        free(path);
        TRY(code);
    } else {
        free(path);
        *first = shots;
    }
    const struct rows *from = other.n ? &other : rows;
    status code = from->n < shots ? fail(E_DATA, "%s: --shots %lld: it has %lld rows", from->path,
                                         (long long)shots, (long long)from->n)
                                  : examples(text, from, &f->recipe, shots);
    if (other.n)
        rows_free(&other);
    return code;
}

static status read_items(struct task *t, const struct file *f, const struct rows *rows, int64_t shots,
                         int64_t limit)
{
    char *before = NULL;
    int64_t first;
    TRY(read_examples(f, rows, shots, &before, &first));
    int64_t n = rows->n - first;
    t->n = limit && n > limit ? limit : n;
    t->item = mem_new(t->n, sizeof *t->item);
    status code = t->n > 0 ? OK : fail(E_DATA, "%s: no questions behind the examples", rows->path);
    for (int64_t i = 0; i < t->n && code == OK; i++) {
        struct question *q = &t->item[i];
        code = read_question(q, rows, first + i, &f->recipe);
        if (code == OK && *before) {
            char *whole = mem_format("%s%s", before, q->context);
            free(q->context);
            q->context = whole;
        }
    }
    free(before);
    return code;
}

static char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = mem_text(slash ? slash + 1 : path);
    name[strcspn(name, ".")] = '\0';
    return name;
}

static status read_task(struct task *t, struct file *f, const char *path, int64_t shots, int64_t limit)
{
    struct rows rows;
    if (is_description(path))
        TRY(describe(f, path));
    else
        f->data = mem_text(path);
    TRY(rows_read(&rows, f->data, limit ? limit + shots : 0));
    status code = f->described ? OK : recognise(&f->recipe, &rows);
    if (code == OK && shots > 0 && f->recipe.kind != TASK_CHOICE)
        code = fail(E_DECK, "--shots %lld: %s is no multiple-choice task", (long long)shots, path);
    t->kind = f->recipe.kind;
    if (code == OK)
        code = read_items(t, f, &rows, shots, limit);
    rows_free(&rows);
    return code;
}

status task_read(struct task *t, const char *path, int64_t shots, int64_t limit)
{
    struct file f = {0};
    *t = (struct task){.name = name_of(path)};
    status code = read_task(t, &f, path, shots, limit);
    json_decref(f.description);
    free(f.data);
    free(f.shots);
    if (code != OK)
        task_free(t);
    return code;
}

void task_free(struct task *t)
{
    for (int64_t i = 0; t->item && i < t->n; i++)
        question_free(&t->item[i]);
    free(t->item);
    free(t->name);
    *t = (struct task){0};
}
