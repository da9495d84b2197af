"""The real SmolLM2-135M-Instruct in a GGUF file, as this project's own resolver caches it."""

import os
from pathlib import Path

import gguf
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

FOLDER = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    / "saccade"
    / "models"
    / "HuggingFaceTB--SmolLM2-135M-Instruct"
)
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
# GGUF's token type of control tokens such as <|im_start|>.
CONTROL = 3


def load_tokenizer() -> Tokenizer:
    """Hugging Face's own BPE over the file's vocabulary and merges, with the published tokenizer.json's pre-tokenizer.

    SmolLM2's tokenizer.json has the sequence Digits(individual), ByteLevel, which GGUF calls `smollm`; transformers'
    conversion of GGUF files leaves the digits out, so it is not the oracle here.
    """
    fields = gguf.GGUFReader(FOLDER / FILE).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    kinds = fields["tokenizer.ggml.token_type"].contents()
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"

    tokenizer = Tokenizer(models.BPE(vocab={token: id for id, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, kinds) if kind == CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    assert tokenizer.get_vocab_size() == len(tokens)
    return tokenizer


def chat_template() -> str:
    return gguf.GGUFReader(FOLDER / FILE).fields["tokenizer.chat_template"].contents()
