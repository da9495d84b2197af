"""The texts on which tokenizers are compared: Unicode, white space, digits, code, special tokens, emoji, other scripts."""

import random

PLAIN = [
    "",
    "a",
    " ",
    "Hello, world!",
    " Hello, world!",
    "Hello, world! ",
    "The quick brown fox jumps over the lazy dog.",
    "I've been told he's there, they'll go, we'd stay; I'm sure you're right and it isn't John's.",
    "I'VE BEEN TOLD HE'S THERE, THEY'LL GO, WE'D STAY",
    "'s 't 're 've 'm 'll 'd 'S 'T",
    "rock 'n' roll, the '90s, O'Neill's",
    "“Curly quotes” and ‘single ones’, don’t they’re",
    "ALL CAPS AND camelCase AndPascalCase snake_case kebab-case",
    "antidisestablishmentarianism floccinaucinihilipilification",
    "Dr. Smith, M.D., of Acme Inc. (est. 1987), said: 'No!'",
    "e-mail: someone@example.org, see https://example.org/a/b?c=d&e=f#g",
    "wait... what?! no---really--yes – maybe — perhaps",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "!!!!!!!!!!!!!!!!????????????????................",
    "abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc",
]

WHITE_SPACE = [
    "  ",
    "   ",
    "\n",
    "\n\n",
    "\n\n\n\n",
    "\r\n",
    "\r",
    "\t",
    "\t\t\t",
    " \n \n ",
    "a  b   c    d     e",
    "a \n b\n c \n\n d",
    "trailing   ",
    "   leading",
    "tab\tseparated\tvalues\n1\t2\t3",
    "line one\r\nline two\r\n\r\nline four",
    "  two spaces, newline  \n  again",
    "\u00a0no-break\u00a0space\u00a0",
    "\u2003em\u2003space \u2009thin\u2009 \u200azero\u200b width\u200b",
    "\u3000ideographic\u3000space",
    "\u2028line separator\u2029paragraph separator",
    "\u0085next line\u0085",
    "\u180emongolian\u180evowel",
    "\ufeffbyte order mark\ufeff",
    "a \u0085 b\u0085\u0085c  \u0085  d",
    "a \ufeff b\ufeff\ufeffc  \ufeff  d",
    "a \u180e b  \u200b  c \u2060\u2060 d",
    "a\u00a0\u00a0b \u3000 c \u2003\n\u2003 d",
    "\v\f vertical",
    "\x1c\x1d\x1e\x1f separators",
    "a" + " " * 40 + "b",
    "a" + "\n" * 20 + "b",
    "\x00null\x00 \x07bell \x7fdelete \x80\x9f",
]

DIGITS = [
    "0",
    "7",
    "42",
    "123456789",
    " 123 456",
    "3.14159265358979",
    "1,000,000.00",
    "2024-02-29T23:59:59.999Z",
    "+49 (0)30 1234-5678",
    "0x1F 0b1010 1e-10 1_000_000",
    "v1.2.3-rc.4+build.5",
    "A1B2C3 4u2 3rd 21st",
    "١٢٣٤٥ (Arabic-Indic)",
    "१२३४५ (Devanagari)",
    "１２３４５ (full width)",
    "²³¹ ½ ¼ ¾ ⅓ ⅞",
    "Ⅰ Ⅳ Ⅻ ⅷ roman",
    "① ⑩ ⑳ ⓿ circled",
    "一二三 四百五十六 〇",
    "𝟎𝟏𝟐 𝟙𝟚𝟛 𝟬𝟭 mathematical",
    "10²³ x₁ + x₂",
    "50% of $19.99 is €10,00 or £8.50 or ¥1500",
]

CODE = [
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return fibonacci(n - 1) + fibonacci(n - 2)\n",
    "for (let i = 0; i < 10; i++) {\n\tconsole.log(`${i}: ${values[i] ?? 'none'}`);\n}\n",
    "#include <stdio.h>\nint main(void) { printf(\"%d\\n\", 42); return 0; }",
    "SELECT a.id, COUNT(*) FROM a LEFT JOIN b ON a.id = b.a_id WHERE b.x IS NOT NULL GROUP BY 1;",
    "<div class=\"a b\" id='c'><p>Hello&nbsp;&amp;&#39;</p></div>",
    "{\"key\": [1, 2.5, null, true], \"nested\": {\"a\": \"b\\u0041\"}}",
    "x = [[0] * 8 for _ in range(8)]  # comment",
    "if (a && b || !c) { d <<= 2; e ^= ~f; }",
    "git commit -m \"fix: don't crash\" && git push --force-with-lease origin HEAD:main",
    "\\frac{1}{2} \\sum_{i=0}^{n} x_i^2 \\leq \\alpha",
    "| a | b |\n|---|---|\n| 1 | 2 |\n",
    "# Title\n\n* item one\n  * nested\n\n```python\nprint('x')\n```\n",
    "C:\\Users\\name\\file.txt /usr/local/bin ~/.config ../../x",
    "@media (max-width: 600px) { .a > .b::after { content: \"\\201C\"; } }",
    "let r#type = &'static str; fn f<'a>(x: &'a mut [u8]) -> Option<Box<dyn Fn()>> {}",
    "==== ---- #### //// **** ____ <<<< >>>> ||||",
    "a=b;c==d;e===f;g!=h;i!==j;k->l;m=>n;o::p;q|>r",
    "                indented by sixteen\n        and eight\n",
]

SPECIAL = [
    "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>",
    "<|im_end|><|im_end|>",
    "<|endoftext|>",
    "text<|endoftext|>text",
    "text <|endoftext|> text",
    " <|im_start|> spaces around <|im_end|> ",
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n",
    "<repo_name>name<file_sep>a.py<gh_stars>5",
    "<jupyter_start><jupyter_text>x<jupyter_code>y<jupyter_output>z",
    "<|im_start",
    "im_start|>",
    "<|im_start |>",
    "< |im_end|>",
    "<|IM_START|>",
    "<|im_<|im_end|>start|>",
    "<<|im_end|>>",
    "<empty_output>",
    "<issue_start><issue_comment><issue_closed>",
    "12<|im_end|>34",
    "<s></s><unk><pad>[CLS][SEP]",
]

SCRIPTS = [
    "Größe, Straße, Übermut, ÄÖÜäöüß",
    "café naïve résumé Ångström São Paulo",
    "cafe\u0301 nai\u0308ve A\u030angstro\u0308m",
    "e\u0301\u0302\u0303\u0304 stacked",
    "Привет, мир! Ещё раз.",
    "Γειά σου Κόσμε, ΑΣΣ",
    "İstanbul ığdır DİYARBAKIR",
    "Việt Nam: Tiếng Việt có dấu",
    "你好，世界！",
    "今日は良い天気ですね。カタカナ ｶﾀｶﾅ ひらがな",
    "안녕하세요 세계",
    "\u1112\u1161\u11ab\u1100\u1173\u11af decomposed",
    "繁體字與简体字 mixed with English words and 123",
    "שלום עולם",
    "שָׁלוֹם עֲלֵיכֶם",
    "مرحبا بالعالم",
    "السَّلَامُ عَلَيْكُمْ",
    "سلام دنیا ۱۲۳",
    "English שלום mixed مرحبا directions",
    "नमस्ते दुनिया क्षत्रिय",
    "வணக்கம் உலகம்",
    "สวัสดีชาวโลก",
    "ສະບາຍດີ ໂລກ",
    "កម្ពុជា ភាសាខ្មែរ",
    "မင်္ဂလာပါ",
    "ሰላም ዓለም",
    "Ꮳ Ꮎ Ꮖ ᏔᏍ",
    "ᚠᛇᚻ ᛒᛦᚦ",
    "𐍈 𐌰𐌽 gothic, 𒀀𒁀 cuneiform",
    "ﬁ ﬂ ﬃ ligatures, Ǆ ǅ ǆ",
    "ａｂｃ ＡＢＣ full width！",
    "ªº ʰʲ ˈstres",
    "\u202eright to left override\u202c \u200e\u200f",
]

SYMBOLS = [
    "🙂",
    "🙂🙃😀😁😂",
    "I ❤️ this 👍🏽",
    "👨‍👩‍👧‍👦 family, 🏳️‍🌈 flag, 🇩🇪🇫🇷 countries",
    "1️⃣ 2️⃣ #️⃣ keycaps",
    "✓ ✔ ✗ ★ ☆ ♥ ♠ → ← ↑ ↓ ⇒ ⟶",
    "∀x∈ℝ: ∃y ≤ √x ∧ ∑∏∫∂∇ ≠ ∞",
    "°C ±5 µm × ÷ § ¶ † ‡ • … ‰",
    "©®™ №",
    "─│┌┐└┘├┤ ▀▄█▓▒░",
    "♔♕♖ 🂡 🀄 ⚀⚁",
    "𝓗𝓮𝓵𝓵𝓸 𝔚𝔬𝔯𝔩𝔡 𝕏",
    "zalgo: Z\u0351\u036b\u0343\u036a\u0302\u036ba\u0336\u0321\u0353lg\u0327o\u0322\u0330",
    "\ud7ff\ue000\uf8ff private use",
    "\ufffd\ufffe\uffff noncharacters",
    "\U0010ffff\U000e0001\U000e007f",
    "😀a😀 b😀",
    "👩🏾‍🚀🚀",
]

PROSE = [
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a wife.",
    "Call me Ishmael. Some years ago--never mind how long precisely--having little or no money in my purse, I thought I "
    "would sail about a little and see the watery part of the world.",
    "Down, down, down. There was nothing else to do, so Alice soon began talking again. “Dinah’ll miss me very much "
    "to-night, I should think!” (Dinah was the cat.)",
    "Q: What is 12 x 12?\nA: 144.\n\nQ: And 13 x 13?\nA:",
]


def mixtures(count: int) -> list[str]:
    """Pieces of all the texts above in random order: what nobody thought of."""
    pieces = [piece for text in PLAIN + WHITE_SPACE + DIGITS + CODE + SPECIAL + SCRIPTS + SYMBOLS for piece in text.split(" ")]
    generator = random.Random(11)
    separators = ["", " ", " ", "  ", "\n", "\t", "'s ", "7"]
    texts = []
    for _ in range(count):
        chosen = generator.choices(pieces, k=generator.randint(3, 12))
        texts.append("".join(piece + generator.choice(separators) for piece in chosen))
    return texts


def texts() -> list[str]:
    fixed = PLAIN + WHITE_SPACE + DIGITS + CODE + SPECIAL + SCRIPTS + SYMBOLS + PROSE
    assert len(set(fixed)) == len(fixed)
    return fixed + mixtures(200 - len(fixed))
