"""Token ids of Coppice against Hugging Face's tokenizers (Python), text by text.
  against-hf.py ENCODE NAME=TOKENIZER... [--text FILE...] [--random N]
ENCODE is the program validation/text/encode. Texts: the files in pieces and as a whole, and N random texts of all
kinds of white space, marks, emoji, controls and scripts, always the same. Prints a line per tokenizer; exit 1 if any id differs."""
import random, struct, subprocess, sys, time
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


def main():
    encode, kinds, files, n = sys.argv[1], [], [], 0
    rest = iter(sys.argv[2:])
    for a in rest:
        if a == "--text": files.append(next(rest))
        elif a == "--random": n = int(next(rest))
        else: kinds.append(a.split("=", 1))
    wrong = 0
    print("tokenizer            texts       tokens  differ  with bos/eos  decoded   ours MB/s   HF MB/s  ratio (one thread, whole files)")
    for name, path in kinds:
        hf = tokenizers.Tokenizer.from_file(path)
        hf.no_truncation(); hf.no_padding()
        r = random.Random(name)
        names = [str(t.content) for t in hf.get_added_tokens_decoder().values()][:300]
        texts = [t for t in (random_text(r, names) for _ in range(n)) if assigned(t)]
        whole = [open(f, encoding="utf-8", newline="").read() for f in files]
        for w in whole: texts += [w[i:i + 997] for i in range(0, len(w), 9973)]
        texts += whole
        ids = [hf.encode(t, add_special_tokens=False).ids for t in texts]
        got, _ = ours(encode, path, "plain", texts)
        differ = compare(name, got, [" ".join(map(str, x)) for x in ids], texts)
        small = texts[:max(0, len(texts) - len(whole))]
        special = compare(name + " special", ours(encode, path, "special", small)[0], [" ".join(map(str, hf.encode(t).ids)) for t in small], small)
        back, _ = ours(encode, path, "decode", small)
        decoded = compare(name + " decode", back, [hf.decode(x).encode().hex() for x in ids[:len(small)]], small)
        wrong += differ + special + decoded
        speed = ""
        if whole:
            size = sum(len(w.encode()) for w in whole) / 1e6
            _, start = ours(encode, path, "plain", ["a"])
            t1 = min(ours(encode, path, "plain", whole)[1] for _ in range(3)) - start
            t2 = []
            for _ in range(3):
                begin = time.perf_counter()
                for w in whole: hf.encode(w, add_special_tokens=False)
                t2.append(time.perf_counter() - begin)
            speed = f"{size / t1:9.2f} {size / min(t2):9.2f} {min(t2) / t1:6.2f}"
        print(f"{name:16s} {len(texts):9d} {sum(map(len, ids)):12d} {differ:7d} {special:13d} {decoded:8d}   {speed}", flush=True)
    sys.exit(wrong > 0)


main()
