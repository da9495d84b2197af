"""Token ids of Hugging Face's tokenizers on the texts of tokenizer_texts.py: the real model's, and a small BPE's.

The small byte-level BPE is trained here on the same texts and committed as tokenizer.json, so that the comparison also runs
where the real model cannot be had.
"""

import tokenizers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from golden_files import MODELS_GOLDEN, provenance, write_json
from smollm2_model import FILE, load_tokenizer
from tokenizer_texts import texts

MADE_BY = provenance("tokenizer_ids.py", tokenizers)


def golden(tokenizer: Tokenizer) -> dict[str, object]:
    rows = []
    for text in texts():
        ids = tokenizer.encode(text).ids
        decoded = tokenizer.decode(ids, skip_special_tokens=False)
        rows.append([text, ids] + ([decoded] if decoded != text else []))
    return {"madeBy": MADE_BY, "columns": ["text", "ids", "decoded where it differs"], "rows": rows}


def train_small() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    return tokenizer


def main() -> None:
    write_json(MODELS_GOLDEN / "smollm2-tokenizer.json", {"file": FILE, **golden(load_tokenizer())})
    folder = MODELS_GOLDEN / "small-tokenizer"
    small = train_small()
    write_json(folder / "ids.json", golden(small))
    (folder / "tokenizer.json").write_text(small.to_str(pretty=False) + "\n")


if __name__ == "__main__":
    main()
