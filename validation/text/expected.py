"""What Hugging Face's tokenizers make of the texts of validation/unit/t_tokenizer.c: prints validation/unit/tokenizer_ids.h.
  expected.py T_TOKENIZER.C FILE...      FILE: what `t_tokenizer write` wrote, in its order"""
import re, subprocess, sys, tempfile
import tokenizers

source = open(sys.argv[1]).read()
block = re.search(r"texts\[\] = \{(.*?)\n\};", source, re.S).group(1)
program = '#include <stdio.h>\nstatic const char *const t[] = {%s};\nint main(void) { for (unsigned i = 0; i < sizeof t / sizeof *t; i++) { fputs(t[i], stdout); putchar(1); } }' % block
with tempfile.TemporaryDirectory() as d:
    open(d + "/t.c", "w").write(program)
    subprocess.run(["cc", "-o", d + "/t", d + "/t.c"], check=True)
    texts = subprocess.run([d + "/t"], capture_output=True).stdout.decode().split("\1")[:-1]


def c_text(s):
    return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\?' else f"\\{b:03o}" for b in s.encode()) + '"'


print("/* Made by validation/text/expected.py with tokenizers %s. */" % tokenizers.__version__)
print("static const struct {\n    const char *ids, *special, *back;\n} expected[KINDS][TEXTS] = {")
for path in sys.argv[2:]:
    t = tokenizers.Tokenizer.from_file(path)
    print("    {")
    for text in texts:
        ids = t.encode(text, add_special_tokens=False).ids
        row = [" ".join(map(str, ids)), " ".join(map(str, t.encode(text).ids)), t.decode(ids)]
        print("        {" + ", ".join(map(c_text, row)) + "},")
    print("    },")
print("};")
