"""Chat templates beside what the transformers library makes of them."""

import pytest

from npgpt.data.chat_template import ChatTemplate

pytest.importorskip("jinja2", reason="of the extra 'chat'")
theirs = pytest.importorskip("transformers.utils.chat_template_utils", reason="'.[peers]'")

TALK = [{"role": "user", "content": "Hi <b>ü"}, {"role": "assistant", "content": "Hello."}]
EACH = "{% for m in messages %}"
TEMPLATES = [
    EACH + "{{ m.content }}{% if loop.last %}{% break %}{% endif %}{{ loop.index }}\n{% endfor %}",
    "{% if tools is not none %}with tools{% endif %}{% if tools is defined %}defined{% endif %}",
    "{{ documents is none }}", "{{ strftime_now is defined }}", "{{ strftime_now('%Y') }}",
    "{{ messages|tojson }}{{ messages|tojson(indent=2, sort_keys=true) }}{{ eos_token }}",
]


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("asks", [False, True])
def test_a_template_writes_what_it_writes_in_transformers(template, asks):
    tokens = {"eos_token": "</s>"}
    (text,) = ChatTemplate(template, tokens, "here").rendered([(TALK, asks)])
    (expected,), _ = theirs.render_jinja_template(
        [TALK], chat_template=template, add_generation_prompt=asks, **tokens)
    assert text == expected
