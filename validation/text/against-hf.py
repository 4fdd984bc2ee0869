"""Token ids of Coppice against Hugging Face's tokenizers (Python), text by text.
  against-hf.py ENCODE NAME=TOKENIZER... [--text FILE...] [--random N] [--machine MB]
ENCODE is the program validation/text/encode. Texts: the files in pieces and as a whole; N random texts of all
kinds of white space, marks, emoji, controls and scripts, always the same; MB of what is installed on this machine: man pages and messages
in all languages, documents, sources. Prints a line per tokenizer; exit 1 if any id differs."""
import glob, gzip, os, random, struct, subprocess, sys, time
import tokenizers

SPACES = "\t\n\v\f\r \x85\xa0\u1680\u180e\u2000\u2003\u200a\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
PARTS = [SPACES, "  \n\n\r\n\t ", "abcdefgh XYZ ", "0123456789\u0663\u00b2\u2167\u00bd\u0be7", "'s't're've'm'll'd'S'T'RE\u017f'",
         "\u0301\u0308\u0327\u20dd\ufe0f\u200d\u0e31\u093f\u0345", "\U0001f600\U0001f468\u200d\U0001f469\U0001f1e9\U0001f1ea\U0001f3fd\u2764\ufe0f",
         "\0\x01\x07\x1b\x7f\x80\x9f\ufffd\ufffe\uffff\U0010ffff", "\u00e9\u00df\u0130\u0131\u01c5\u02b0\ufb01\u2460\u24b6\uff21\u1e9b\u2126\u212b\uac00\u1100\u1161",
         "\u4e2d\u6587\u65e5\u672c\u306e\u30ab\ud55c\uae00\u0627\u0644\u0639\u05e9\u0939\u093f\u0928\u0e44\u0e17\u0e22", "!?.,;:()[]{}<>|\\/#@$%^&*_-+=~`\"\u2014\u2026\u00ab\u00a7\u20ac",
         "the of and   int main(void) {\n    return 0;\n}\n", "\u2581\u2581 \u0120\u010a"]


def random_text(r, names):
    out = []
    for _ in range(r.randrange(1, 12)):
        k = r.random()
        if k < 0.06: out.append(chr(r.choice([r.randrange(0x20, 0xd800), r.randrange(0xe000, 0x30000)])))
        elif k < 0.14 and names: out.append(r.choice(names))
        elif k < 0.30: out.append(r.choice(" \n") * r.randrange(1, 9))
        else:
            part = r.choice(PARTS)
            out.append("".join(r.choice(part) for _ in range(r.randrange(1, 8))))
    return "".join(out)


def assigned(text):  # characters newer than what both Unicode tables know are no fair test
    import unicodedata
    return all(unicodedata.category(c) != "Cn" or c in "\ufffe\uffff\U0010ffff" for c in text)


def messages(data):  # the translations of a .mo file
    order = "<" if data[:4] == b"\xde\x12\x04\x95" else ">"
    n, _, table = struct.unpack(order + "3I", data[8:20])
    parts = (struct.unpack(order + "2I", data[table + 8 * i:table + 8 * i + 8]) for i in range(n))
    return "\n".join(data[at:at + length].replace(b"\0", b"\n").decode() for length, at in parts)


def load(path):  # a text of at most 256 KiB; "" if it is none
    try:
        data = (gzip.open if path.endswith(".gz") else open)(path, "rb").read(1 << 23)
        text = messages(data) if path.endswith(".mo") else data.decode()
        return text[:1 << 18]
    except (OSError, EOFError, UnicodeDecodeError, struct.error):
        return ""


MACHINE = {  # kind: its share, and where it is; a kind in languages takes as much of each
    "man pages": (0.22, "/usr/share/man/*/man?/*.gz", 4), "English man pages": (0.06, "/usr/share/man/man?/*.gz", 0),
    "messages": (0.22, "/usr/share/locale/*/LC_MESSAGES/*.mo", 4), "documents": (0.18, "/usr/share/doc/**/*", 0),
    "Python": (0.16, "/usr/lib/python3*/**/*.py", 0), "C headers": (0.08, "/usr/include/**/*.h", 0),
    "Vim's and Perl's pages": (0.05, "/usr/share/[vp]*/**/*.[tp]??", 0), "XML and JSON": (0.03, "/usr/share/**/*.[xj][ms][lo]*", 0)}


def machine(megabytes):
    """Texts of this machine and a line about them. The order of files is mixed, always in the same way."""
    texts, about = [], []
    for kind, (share, pattern, language) in MACHINE.items():
        paths = sorted(p for p in glob.glob(pattern, recursive=True) if os.path.isfile(p))
        random.Random(kind).shuffle(paths)
        by = {}
        for p in paths: by.setdefault(p.split("/")[language] if language else "", []).append(p)
        size = 0
        for left, name in zip(range(len(by), 0, -1), sorted(by, key=lambda k: len(by[k]))):  # what a small one leaves, others take
            room = (share * megabytes * 1e6 - size) / left
            for p in by[name]:
                if room <= 0: break
                text = load(p)
                texts += [text] if text else []
                room -= len(text.encode())
                size += len(text.encode())
        about.append(f"{kind} {size / 1e6:.1f} MB" + (f" in {len(by)} languages" if language else ""))
    return texts, ", ".join(about)


def ours(encode, path, mode, texts):
    data = b"".join(struct.pack("<q", len(b)) + b for b in (t.encode() for t in texts))
    begin = time.perf_counter()
    got = subprocess.run([encode, path, mode], input=data, capture_output=True)
    if got.returncode: sys.exit(got.stderr.decode())
    return got.stdout.decode().split("\n")[:-1], time.perf_counter() - begin


def compare(what, got, want, texts):
    bad = [i for i in range(len(texts)) if got[i] != want[i]]
    for i in bad[:5]: print(f"# {what} {texts[i][:80]!r}:\n#   got  {got[i][:300]}\n#   want {want[i][:300]}")
    return len(bad)


def plain_ids(encode, name, path, hf, texts):
    """Compare ids, about 4 MB of texts at a time: (tokens, texts that differ)."""
    tokens = wrong = at = 0
    while at < len(texts):
        end, size = at, 0
        while end < len(texts) and size < 4 << 20: size, end = size + len(texts[end]), end + 1
        part = texts[at:end]
        want = [hf.encode(t, add_special_tokens=False).ids for t in part]
        wrong += compare(name, ours(encode, path, "plain", part)[0], [" ".join(map(str, x)) for x in want], part)
        tokens, at = tokens + sum(map(len, want)), end
    return tokens, wrong


def speeds(encode, path, hf, whole):
    size = sum(len(w.encode()) for w in whole) / 1e6
    _, start = ours(encode, path, "plain", ["a"])
    t1 = min(ours(encode, path, "plain", whole)[1] for _ in range(3)) - start
    t2 = []
    for _ in range(3):
        begin = time.perf_counter()
        for w in whole: hf.encode(w, add_special_tokens=False)
        t2.append(time.perf_counter() - begin)
    return f"{size / t1:9.2f} {size / min(t2):9.2f} {min(t2) / t1:6.2f}"


def main():
    encode, kinds, files, n, real = sys.argv[1], [], [], 0, []
    rest = iter(sys.argv[2:])
    for a in rest:
        if a == "--text": files.append(next(rest))
        elif a == "--random": n = int(next(rest))
        elif a == "--machine":
            real, about = machine(float(next(rest)))
            print(f"this machine: {len(real)} texts: {about}")
        else: kinds.append(a.split("=", 1))
    whole = [open(f, encoding="utf-8", newline="").read() for f in files]
    pieces = [w[i:i + 997] for w in whole for i in range(0, len(w), 9973)]
    wrong = 0
    print("tokenizer            texts  MB of text       tokens  differ  with bos/eos  decoded   ours MB/s   HF MB/s  ratio (one thread, whole files)")
    for name, path in kinds:
        hf = tokenizers.Tokenizer.from_file(path)
        hf.no_truncation(); hf.no_padding()
        r = random.Random(name)
        names = [str(t.content) for t in hf.get_added_tokens_decoder().values()][:300]
        small = [t for t in (random_text(r, names) for _ in range(n)) if assigned(t)] + pieces
        texts = small + whole + real
        tokens, differ = plain_ids(encode, name, path, hf, texts)
        special = compare(name + " special", ours(encode, path, "special", small)[0], [" ".join(map(str, hf.encode(t).ids)) for t in small], small)
        back, _ = ours(encode, path, "decode", small)
        decoded = compare(name + " decode", back, [hf.decode(hf.encode(t, add_special_tokens=False).ids).encode().hex() for t in small], small)
        wrong += differ + special + decoded
        size = sum(len(t.encode()) for t in texts) / 1e6
        print(f"{name:16s} {len(texts):9d} {size:11.1f} {tokens:12d} {differ:7d} {special:13d} {decoded:8d}   {speeds(encode, path, hf, whole) if whole else ''}", flush=True)
    sys.exit(wrong > 0)


main()
