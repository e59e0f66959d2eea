"""Parse modes: what becomes an entity, with offsets in UTF-16 units, and what is refused at which byte."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter.sandbox.telegram import html, markdown_legacy, markdown_v2
from arbiter.sandbox.telegram.formatting import PARSERS
from arbiter.sandbox.telegram.links import link_url
from arbiter.sandbox.telegram.markup import finish, units
from arbiter.sandbox.telegram.refusal import Refusal


def spans(parsed):
    """The text, and its entities as (type, the text they cover, what else they say), in order."""
    text, entities = parsed
    encoded = text.encode("utf-16-le")

    def covered(each):
        return encoded[2 * each.offset : 2 * (each.offset + each.length)].decode("utf-16-le")

    return text, [
        (e.type, covered(e), e.url or e.language or e.custom_emoji_id) for e in sorted(entities, key=lambda e: (e.offset, -e.length))
    ]


def why(parse, source):
    with pytest.raises(Refusal) as caught:
        parse(source)
    prefix = "Bad Request: can't parse entities: "
    assert caught.value.code == 400
    assert caught.value.description.startswith(prefix)
    return caught.value.description.removeprefix(prefix)


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [
        ("plain", "plain", []),
        ("*bold*", "bold", [("bold", "bold", None)]),
        (
            "_it_ __un__ ~st~ ||sp||",
            "it un st sp",
            [("italic", "it", None), ("underline", "un", None), ("strikethrough", "st", None), ("spoiler", "sp", None)],
        ),
        ("🏟 *🏟 b* c", "🏟 🏟 b c", [("bold", "🏟 b", None)]),
        ("*a _b_*", "a b", [("bold", "a b", None), ("italic", "b", None)]),
        ("`a*b_`", "a*b_", [("code", "a*b_", None)]),
        ("`a\\`b`", "a`b", [("code", "a`b", None)]),
        ("```\nx = 1\n```", "x = 1\n", [("pre", "x = 1\n", None)]),
        ("```python\nx = 1```", "x = 1", [("pre", "x = 1", "python")]),
        ("[here](https://example.com/a_b)", "here", [("text_link", "here", "https://example.com/a_b")]),
        ("[here](example.com)", "here", [("text_link", "here", "http://example.com/")]),
        ("[here](https://e.com/\\)x)", "here", [("text_link", "here", "https://e.com/)x")]),
        ("[here](nothing)", "here", []),
        ("[example\\.org]", "example.org", [("text_link", "example.org", "http://example.org/")]),
        ("![👍](tg://emoji?id=5368324170671202286)", "👍", [("custom_emoji", "👍", "5368324170671202286")]),
        ("\\*not bold\\* 1\\.5", "*not bold* 1.5", []),
        ("\\a\\é", "a\\é", []),
        ("**", "", []),
        (">quote\n>more\nafter", "quote\nmore\nafter", [("blockquote", "quote\nmore\n", None)]),
        (">a *b*\n**>c||", "a b\nc", [("blockquote", "a b\n", None), ("bold", "b", None), ("expandable_blockquote", "c", None)]),
    ],
)
def test_markdown_v2_becomes_entities(source, text, found):
    assert spans(markdown_v2.parse(source)) == (text, found)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        *(
            (f"é{char}", f"Character '{char}' is reserved and must be escaped with the preceding '\\'")
            for char in "])(>#+-=|{}.!"
            if char not in "("
        ),
        ("🏟 *open", "Can't find end of Bold entity at byte offset 5"),
        ("é_open", "Can't find end of Italic entity at byte offset 2"),
        ("__open", "Can't find end of Underline entity at byte offset 0"),
        ("~open", "Can't find end of Strikethrough entity at byte offset 0"),
        ("||open", "Can't find end of Spoiler entity at byte offset 0"),
        ("`open", "Can't find end of Code entity at byte offset 0"),
        ("```open", "Can't find end of Pre entity at byte offset 0"),
        ("```a open", "Can't find end of PreCode entity at byte offset 0"),
        ("[open", "Can't find end of TextUrl entity at byte offset 0"),
        ("[a](open", "Can't find end of a URL at byte offset 3"),
        ("*a _b*", "Can't find end of Bold entity at byte offset 5"),
        ("![👍]", "Custom emoji entity must contain a tg://emoji URL"),
        ("![👍](http://emoji?id=1)", "Custom emoji URL must have scheme tg"),
        ("![👍](tg://other?id=1)", 'Custom emoji URL must have host "emoji"'),
        ("![👍](tg://emoji)", "Custom emoji URL must have an emoji identifier"),
        ("![👍](tg://emoji?id=01)", "Invalid custom emoji identifier specified"),
        (">*a\nb*", "Can't find end of Bold entity at byte offset 1"),
    ],
)
def test_markdown_v2_that_is_wrong_is_refused_at_its_byte(source, reason):
    assert why(markdown_v2.parse, source) == reason


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [
        ("*bold* _it_ `co*de`", "bold it co*de", [("bold", "bold", None), ("italic", "it", None), ("code", "co*de", None)]),
        ("```python\nx```", "x", [("pre", "x", "python")]),
        ("```two words\nx```", "two words\nx", [("pre", "two words\nx", None)]),
        ("[a](https://e.com/_x_)", "a", [("text_link", "a", "https://e.com/_x_")]),
        ("1.5 - (x) > y!", "1.5 - (x) > y!", []),
        ("\\_a\\_ \\.", "_a_ \\.", []),
        ("*a _b*_c_", "a _bc", [("bold", "a _b", None), ("italic", "c", None)]),
    ],
)
def test_the_old_markdown_becomes_entities_without_nesting(source, text, found):
    assert spans(markdown_legacy.parse(source)) == (text, found)


@pytest.mark.parametrize(("source", "at"), [("*open", 0), ("🏟 _open", 5), ("a `open", 2), ("[open", 0), ("```open`", 0), ("user_name", 4)])
def test_the_old_markdown_says_where_an_entity_has_no_end(source, at):
    assert why(markdown_legacy.parse, source) == f"Can't find end of the entity starting at byte offset {at}"


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [
        ("<b>a</b><strong>b</strong>", "ab", [("bold", "a", None), ("bold", "b", None)]),
        ("<i>a</i> <u>b</u> <s>c</s>", "a b c", [("italic", "a", None), ("underline", "b", None), ("strikethrough", "c", None)]),
        ("<b>a <i>b</i></b>", "a b", [("bold", "a b", None), ("italic", "b", None)]),
        ("<B>x</>", "x", [("bold", "x", None)]),
        ("1 &lt; 2 &amp;&amp; &quot;x&quot; &#8364; &#x1F3DF; &copy; & &#xD800;", '1 < 2 && "x" € 🏟 &copy; & &#xD800;', []),
        ("<code>a</code><pre>b</pre>", "ab", [("code", "a", None), ("pre", "b", None)]),
        ('<pre><code class="language-python">x</code></pre>', "x", [("pre", "x", "python")]),
        ('<a href="https://e.com/?a=1&amp;b=2">x</a>', "x", [("text_link", "x", "https://e.com/?a=1&b=2")]),
        ("<a href='tg://user?id=1'>x</a>", "x", [("text_link", "x", "tg://user?id=1")]),
        ("<a>example.org</a>", "example.org", [("text_link", "example.org", "http://example.org/")]),
        ('<span class="tg-spoiler">x</span><tg-spoiler>y</tg-spoiler>', "xy", [("spoiler", "x", None), ("spoiler", "y", None)]),
        ("<blockquote expandable>x</blockquote>", "x", [("expandable_blockquote", "x", None)]),
        ('<tg-emoji emoji-id="77">👍</tg-emoji>', "👍", [("custom_emoji", "👍", "77")]),
        ("🏟<b></b>", "🏟", []),
    ],
)
def test_html_becomes_entities(source, text, found):
    assert spans(html.parse(source)) == (text, found)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("é<b>open", 'Can\'t find end tag corresponding to start tag "b"'),
        ("é<script>x</script>", 'Unsupported start tag "script" at byte offset 2'),
        ("1 < 2 > x", 'Unsupported start tag "" at byte offset 2'),
        ("é</b>", "Unexpected end tag at byte offset 2"),
        ("<b>é<i>x</b></i>", 'Unmatched end tag at byte offset 9, expected "</i>", found "</b>"'),
        ("<b>x</b", "Unclosed end tag at byte offset 4"),
        ("x <b", "Unclosed start tag at byte offset 2"),
        ("<a href", 'Unclosed start tag "a" at byte offset 0'),
        ('<a href="x', 'Unclosed start tag "a" at byte offset 0'),
        ("<a ='x'>y</a>", 'Empty attribute name in the tag "a" at byte offset 0'),
        ("<a href>y</a>", 'Expected equal sign in declaration of an attribute of the tag "a" at byte offset 0'),
        ("<span>x</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
    ],
)
def test_html_that_is_wrong_is_refused_at_its_byte(source, reason):
    assert why(html.parse, source) == reason


def test_ends_are_trimmed_and_entities_with_them():
    text, entities = finish(*html.parse("  \n <b>  🏟 x  </b>  "))
    assert text == "🏟 x"
    assert [(e.type, e.offset, e.length) for e in entities] == [("bold", 0, 4)]


def test_links_commands_and_mentions_are_found_but_not_in_code():
    source = "🏟 /go https://e.com/a?b=1. @arbiter_bot #fed a/b me@x.com <code>/no https://e.com</code>"
    text, entities = finish(*html.parse(source))
    assert [each[:2] for each in spans((text, entities))[1]] == [
        ("bot_command", "/go"),
        ("url", "https://e.com/a?b=1"),
        ("mention", "@arbiter_bot"),
        ("hashtag", "#fed"),
        ("code", "/no https://e.com"),
    ]


@pytest.mark.parametrize(
    "address",
    [
        "",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "http://",
        "http://a b",
        "x" * 3000,
        "http://[::1",
        "http://e.com:x",
    ],
)
def test_what_is_no_address_makes_no_link(address):
    assert link_url(address) is None


MARKUP = st.text(st.sampled_from(list("*_~|`[]()<>!\\&;/=\"'# \n\r.ab🏟é>")) | st.characters(exclude_categories=["Cs"]), max_size=80)
TAGS = st.lists(
    st.sampled_from(
        [
            "<b>",
            "</b>",
            "<i>",
            "</i>",
            "<pre>",
            "</pre>",
            '<code class="language-x">',
            "</code>",
            "<a href='e.com'>",
            "</a>",
            "</>",
            "🏟",
            "&lt;",
            "x",
        ]
    ),
    max_size=20,
).map("".join)
SOURCES = MARKUP | TAGS


@pytest.mark.parametrize("mode", sorted(PARSERS))
@settings(deadline=None)
@given(source=SOURCES)
def test_no_source_breaks_a_parser_and_every_entity_lies_in_the_text(mode, source):
    try:
        text, entities = finish(*PARSERS[mode](source))
    except Refusal:
        return
    encoded = text.encode("utf-16-le")
    for each in entities:
        assert each.length > 0
        assert each.offset >= 0
        assert each.offset + each.length <= units(text)
        encoded[2 * each.offset : 2 * (each.offset + each.length)].decode("utf-16-le")  # cuts no character in two


@settings(deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_escaped_text_comes_through_as_it_was(text):
    text = text.replace("\r", "")
    escaped = "".join(f"\\{char}" if char in "_*[]()~`>#+-=|{}.!\\" else char for char in text)
    assert markdown_v2.parse(escaped) == (text, [])
    assert html.parse(text.replace("&", "&amp;").replace("<", "&lt;")) == (text, [])
