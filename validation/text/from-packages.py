"""Tokenizers of Qwen and Mistral as tokenizer.json, from files that two Python packages carry (no network):
  pip download --no-deps dashscope mistral-common; unzip both here; from-packages.py DASHSCOPE_DIR MISTRAL_COMMON_DIR OUT_DIR
writes OUT_DIR/qwen.json (resources/qwen.tiktoken, with the steps of Qwen2 and Qwen2.5), mistral-v1.json and mistral-v3.json (data/*.model, with the
steps of Mistral-7B-v0.1 and v0.3) and tekken.json (data/tekken_240911.json, Mistral-Nemo). The steps are those of the published tokenizer.json files."""
import base64, json, os, struct, sys


def byte_letters():  # GPT-2's letters for bytes
    shown = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    letters, n = {}, 0
    for b in range(256):
        letters[b] = chr(b) if b in shown else chr(256 + n)
        n += b not in shown
    return letters


def halves(ranks, token):
    """The two parts that the merge of this token joins: merge by rank until two are left."""
    parts = [bytes([b]) for b in token]
    while len(parts) > 2:
        best = min((ranks[a + b], i) for i, (a, b) in enumerate(zip(parts, parts[1:])) if a + b in ranks and ranks[a + b] < ranks[token])
        i = best[1]
        parts[i:i + 2] = [parts[i] + parts[i + 1]]
    return parts


def byte_level(ranks, first, pattern, special, normalizer, ignore_merges):
    letters = byte_letters()
    text = lambda b: "".join(letters[x] for x in b)
    vocab = {text(t): r + first for t, r in ranks.items()}
    merges = [[text(p) for p in halves(ranks, t)] for t, r in sorted(ranks.items(), key=lambda x: x[1]) if len(t) > 1]
    added = [{"id": i, "content": s, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for s, i in special]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": normalizer,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}]},
            "post_processor": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
            "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False,
                      "byte_fallback": False, "ignore_merges": ignore_merges, "vocab": vocab, "merges": merges}}


def qwen(path):
    ranks = {base64.b64decode(a): int(b) for a, b in (line.split() for line in open(path, "rb") if line.strip())}
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    special = [(s, len(ranks) + i) for i, s in enumerate(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])]
    return byte_level(ranks, 0, pattern, special, {"type": "NFC"}, False)


def tekken(path):
    j = json.load(open(path, encoding="utf-8"))
    n, specials = j["config"]["default_vocab_size"], j["config"]["default_num_special_tokens"]
    ranks = {base64.b64decode(t["token_bytes"]): t["rank"] for t in j["vocab"] if t["rank"] < n - specials}
    special = [(["<unk>", "<s>", "</s>"][i] if i < 3 else f"<SPECIAL_{i}>", i) for i in range(specials)]
    return byte_level(ranks, specials, j["config"]["pattern"], special, None, True)


def fields(data):  # of a protobuf message: (number, value)
    at = 0
    def varint():
        nonlocal at
        x = shift = 0
        while True:
            b = data[at]; at += 1
            x |= (b & 127) << shift; shift += 7
            if b < 128: return x
    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0: value = varint()
        elif kind == 5: value = data[at:at + 4]; at += 4
        elif kind == 1: value = data[at:at + 8]; at += 8
        else: n = varint(); value = data[at:at + n]; at += n
        yield key >> 3, value


def pieces(path):  # of a SentencePiece model: (text, score, type)
    for number, value in fields(open(path, "rb").read()):
        if number == 1:
            f = dict(fields(value))
            yield f[1].decode(), struct.unpack("<f", f.get(2, b"\0" * 4))[0], f.get(3, 1)


def sentencepiece(path, first_space):
    all = list(pieces(path))
    vocab = {text: i for i, (text, _, _) in enumerate(all)}
    merges = []
    for text, score, kind in all:
        if kind == 1:
            cut = [(text[:i], text[i:]) for i in range(1, len(text)) if text[:i] in vocab and text[i:] in vocab]
            merges += [(score, a, b) for a, b in sorted(cut, key=lambda x: (vocab[x[0]], vocab[x[1]]))]
    merges = [[a, b] for _, a, b in sorted(merges, key=lambda x: -x[0])]
    added = [{"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
             for i, (text, _, kind) in enumerate(all) if kind in (2, 3)]
    template = lambda n: [x for k in range(n) for x in ({"SpecialToken": {"id": "<s>", "type_id": k}}, {"Sequence": {"id": "AB"[k], "type_id": k}})]
    strip = [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
             {"type": "Strip", "content": " ", "start": 1, "stop": 0}]
    legacy = first_space == "normalizer"
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"},
                           {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]} if legacy else None,
            "pre_tokenizer": None if legacy else {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False},
            "post_processor": {"type": "TemplateProcessing", "single": template(1), "pair": template(2),
                               "special_tokens": {"<s>": {"id": "<s>", "ids": [vocab["<s>"]], "tokens": ["<s>"]}}},
            "decoder": {"type": "Sequence", "decoders": strip},
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": True, "byte_fallback": True, "ignore_merges": False, "vocab": vocab, "merges": merges}}


def main():
    dashscope, mistral, out = sys.argv[1:]
    data = os.path.join(mistral, "data")
    made = {"qwen": qwen(os.path.join(dashscope, "resources", "qwen.tiktoken")),
            "mistral-v1": sentencepiece(os.path.join(data, "tokenizer.model.v1"), "normalizer"),
            "mistral-v3": sentencepiece(os.path.join(data, "mistral_instruct_tokenizer_240323.model.v3"), "metaspace"),
            "tekken": tekken(os.path.join(data, "tekken_240911.json"))}
    for name, tokenizer in made.items():
        with open(os.path.join(out, name + ".json"), "w", encoding="utf-8") as f: json.dump(tokenizer, f, ensure_ascii=False)


main()
