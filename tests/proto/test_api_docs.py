"""The page made from the protos: everything is on it, linked and with its units, and no comment can spoil it."""

import re
from pathlib import Path

import api_docs
import pytest

ROOT = Path(__file__).resolve().parents[2]
API = (ROOT / "docs" / "api.md").read_text()

PROTO = """
// Things for sale.
//
// Conventions of the whole API: micros.
syntax = "proto3";
package shop.v1;

// What is sold.
message Item {
  // In which shape.
  enum Kind { KIND_UNSPECIFIED = 0; KIND_NEW = 1;  // never used
  }
  message Part { string name = 1; }
  string name = 1;  // a|b, <b>bold</b>, `<code>`
  int64 price_micros = 2;
  optional int64 sold_unix_ms = 3;
  repeated Part parts = 4;
  Kind kind = 5;
  oneof code { string ean = 6; string isbn = 7; }
  // by name,
  // in two lines
  map<string, Part> spares = 8;
  int64 wait_ms = 9;
  string odd_ms = 10;
}

message Empty {}
message Watch {}

// Sells.
service Shop {
  // First.
  //
  // Second.
  rpc Look(Empty) returns (Item);
  rpc Watch(stream Empty) returns (stream Item);
  rpc Buy(Item) returns (Basket);
}

message Basket { repeated Item items = 1; }

service Desk { rpc Look(Empty) returns (Empty); }
service Later {}
"""


@pytest.fixture
def page(compiled):
    return api_docs.render(compiled(shop=PROTO))


def row(page: str, name: str) -> str:
    (line,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
    return line


def anchors(page: str) -> set[str]:
    """As GitHub makes them."""
    found: dict[str, int] = {}
    made = set()
    for heading in re.findall(r"^#+ (.*)$", page, re.M):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        made.add(f"{slug}-{found[slug]}" if slug in found else slug)
        found[slug] = found.get(slug, 0) + 1
    return made


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("price_micros", "| `price_micros` | `int64`, micros | |"),
        ("sold_unix_ms", "| `sold_unix_ms` | optional `int64`, UTC ms | |"),
        ("wait_ms", "| `wait_ms` | `int64`, ms | |"),
        ("odd_ms", "| `odd_ms` | `string` | |"),
        ("parts", "| `parts` | repeated [Item.Part](#itempart) | |"),
        ("spares", "| `spares` | map of `string` to [Item.Part](#itempart) | by name, in two lines |"),
        ("kind", "| `kind` | [Item.Kind](#itemkind) | |"),
        ("ean", "| `ean` | `string` | One of `code`. |"),
        ("KIND_NEW", "| `KIND_NEW` | 1 | never used |"),
    ],
)
def test_a_field_is_a_row_with_type_link_unit_and_comment(page, name, shown):
    assert row(page, name) == shown


def test_a_comment_can_break_neither_table_nor_page(page):
    assert "| a\\|b, &lt;b>bold&lt;/b>, `<code>` |" in page


def test_a_method_has_its_paragraphs_and_says_which_side_streams(page):
    look = page.split("### Look\n")[1].split("###")[0]
    assert "First.\n\nSecond.\n" in look
    assert "**Request** `Empty`, which is empty" in look
    assert "**Response** [Item](#item)" in look
    watch = page.split("### Watch\n")[1].split("###")[0]
    assert "**Request, a stream of** `Empty`" in watch
    assert "**Response, a stream of** [Item](#item)" in watch


def test_a_message_of_one_method_alone_stands_with_the_method(page):
    buy = page.split("### Buy\n")[1].split("## ")[0]
    assert "| `items` | repeated [Item](#item) | |" in buy
    assert "### Basket" not in page


def test_the_conventions_come_first_and_once(page):
    assert page.index("Conventions of the whole API: micros.") < page.index("## Shop")
    assert page.count("Conventions of the whole API") == 1


def test_a_service_tells_its_files_comment_and_its_own(page):
    assert "## Shop\n\nThings for sale.\n\nSells.\n" in page
    assert "## Later\n\nThings for sale.\n\nNo methods yet.\n" in page


@pytest.mark.parametrize("made", [True, False], ids=["example", "committed"])
def test_every_link_leads_to_a_heading(page, made):
    text = page if made else API
    links = re.findall(r"\]\(#([^)]+)\)", text)
    assert links
    assert set(links) <= anchors(text)
    assert not made or "look-1" in links  # two services have a method of that name


def test_the_committed_page_has_every_service_and_method():
    for path in (ROOT / "proto").rglob("*.proto"):
        text = path.read_text()
        for service in re.findall(r"^service (\w+)", text, re.M):
            assert f"\n## {service}\n" in API
        for method in re.findall(r"^  rpc (\w+)", text, re.M):
            assert f"\n### {method}\n" in API
