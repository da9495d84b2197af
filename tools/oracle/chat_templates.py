"""Conversations rendered by transformers' apply_chat_template, with templates in the manner of the families in use."""

import jinja2
import transformers
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from golden_files import MODELS_GOLDEN, provenance, write_json

MADE_BY = provenance("chat_templates.py", transformers, jinja2)
SPECIAL = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}

# Turns between marks, a system message by default.
CHATML = """{% for message in messages %}
    {% if loop.first and message.role != 'system' %}
        {{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
    {% endif %}
    {{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{% endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

# The system message goes into the first turn; turns must alternate; contents are trimmed or lists of parts.
GEMMA = """{{ bos_token }}
{%- if messages[0].role == 'system' -%}
    {%- set prefix = messages[0].content | trim + '\\n\\n' -%}
    {%- set turns = messages[1:] -%}
{%- else -%}
    {%- set prefix = '' -%}
    {%- set turns = messages -%}
{%- endif -%}
{%- for turn in turns -%}
    {%- if (turn.role == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception('Turns of user and assistant must alternate.') }}
    {%- endif -%}
    {%- set name = 'model' if turn.role == 'assistant' else turn.role -%}
    {{ '<start_of_turn>' + name + '\\n' + (prefix if loop.first else '') }}
    {%- if turn.content is string -%}
        {{ turn.content | trim }}
    {%- elif turn.content is iterable -%}
        {%- for part in turn.content if part.type == 'text' -%}{{ part.text | trim }}{%- endfor -%}
    {%- endif -%}
    {{ '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}
"""

# Tools as JSON, reasoning that only the last turns keep, a backward search with a namespace.
QWEN = """{%- if tools %}
    {{- '<|im_start|>system\\n# Tools\\n' }}
    {%- for tool in tools %}{{- tool | tojson }}{%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set found = namespace(searching=true, last=messages | length - 1) %}
{%- for message in messages[::-1] %}
    {%- if found.searching and message.role == 'user' %}
        {%- set found.searching = false %}
        {%- set found.last = messages | length - 1 - loop.index0 %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {%- set content, thought = message.content, '' %}
        {%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].split('<think>')[-1].strip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\\n' }}
        {%- if loop.index0 > found.last and thought %}{{- '<think>\\n' ~ thought ~ '\\n</think>\\n\\n' }}{%- endif %}
        {{- content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}"""

# Headers, the beginning token once, a macro, tools that are none but defined.
LLAMA3 = """{%- macro header(role) -%}<|start_header_id|>{{ role }}<|end_header_id|>{{ '\\n\\n' }}{%- endmacro -%}
{{- bos_token }}
{%- if not date_string is defined %}{%- set date_string = '26 Jul 2024' %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = '' %}
{%- endif %}
{{- header('system') }}
{%- if tools is not none %}{{- 'Environment: tools\\n' }}{%- endif %}
{{- 'Today: ' + date_string + '\\n\\n' }}
{{- system_message }}
{{- '<|eot_id|>' }}
{%- for message in messages %}
    {%- if message.role not in ['user', 'assistant'] %}{%- continue %}{%- endif %}
    {{- header(message['role']) + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- header('assistant') }}{%- endif %}"""

# One line per turn, in brackets, and the end token behind each answer.
LLAMA2 = """{% if messages[0]['role'] == 'system' %}{% set system = '<<SYS>>\\n' ~ messages[0]['content'] ~ '\\n<</SYS>>\\n\\n' %}{% set loop_messages = messages[1:] %}{% else %}{% set system = '' %}{% set loop_messages = messages %}{% endif %}{% for message in loop_messages %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + (system if loop.index0 == 0 else '') + message['content'].strip() + ' [/INST]' }}{% else %}{{ ' ' + message['content'].strip() + ' ' + eos_token }}{% endif %}{% endfor %}"""

TEMPLATES = {"chatml": CHATML, "gemma": GEMMA, "qwen": QWEN, "llama-3": LLAMA3, "llama-2": LLAMA2}


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


CONVERSATIONS = [
    [turn("user", "Hello!")],
    [turn("system", " Be terse. "), turn("user", " Größe? \n")],
    [
        turn("user", "1 + 1?"),
        turn("assistant", "<think>\nEasy: \"2\" & <b>\n</think>\n\n2"),
        turn("user", "{{ not_a_template }} {% if %}"),
    ],
    [turn("system", "S"), turn("user", "a\n\nb"), turn("assistant", "<think>x</think>y"), turn("user", "🦊")],
    [turn("user", "q"), turn("assistant", "\n<think>\nwhy\n</think>\n\nanswer \n")],
    # What some templates refuse.
    [turn("user", "a"), turn("user", "b")],
]


def render(tokenizer: PreTrainedTokenizerFast, messages: list[dict[str, str]], prompt: bool) -> dict[str, str]:
    try:
        return {"text": tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)}
    except jinja2.exceptions.TemplateError as error:
        return {"error": str(error)}


def main() -> None:
    rows = []
    for name, template in TEMPLATES.items():
        base = Tokenizer(models.BPE())
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=base, chat_template=template, **SPECIAL)
        for messages in CONVERSATIONS:
            for prompt in (False, True):
                rendered = render(tokenizer, messages, prompt)
                rows.append({"template": name, "messages": messages, "addGenerationPrompt": prompt, **rendered})
    templates = [{"name": name, "text": text} for name, text in TEMPLATES.items()]
    write_json(
        MODELS_GOLDEN / "chat-templates.json",
        {"madeBy": MADE_BY, "specialTexts": SPECIAL, "templates": templates, "rows": rows},
    )


if __name__ == "__main__":
    main()
