/* The input is a task to score a model with. Its first byte says which file it is: j JSON lines, c CSV, d a
 * description of a file that is there. The second one is the number of examples: 0, 1 or 2. */
#include "eval/task.h"
#include "fuzz.h"

static const char questions[] =
    "{\"q\": \"a b\", \"c\": [\"x\", \"y\"], \"g\": 1}\n{\"q\": \" c\", \"c\": [\"z\", \"w\"], \"g\": 0}\n"
    "{\"q\": \"d\", \"c\": [\"x\", \"y\"], \"g\": \"B\"}\n";

status fuzz_parse(const uint8_t *data, size_t size)
{
    const char *name = size == 0 || *data == 'j' ? "t.jsonl" : *data == 'c' ? "t.csv" : "t.json";
    size_t head = size < 2 ? size : 2;
    struct task t;
    fuzz_write("questions.jsonl", (const uint8_t *)questions, sizeof questions - 1);
    fuzz_write(name, data + head, size - head);
    char *path = fuzz_path(name);
    status s = task_read(&t, path, size > 1 ? data[1] % 3 : 0, 0);
    for (int64_t i = 0; s == OK && i < t.n; i++)
        if (t.item[i].n < 1 || t.item[i].gold < 0 || t.item[i].gold >= t.item[i].n)
            bug("question %lld has no answer", (long long)i);
    task_free(&t);
    free(path);
    return s;
}
