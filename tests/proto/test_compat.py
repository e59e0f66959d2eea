"""Each change of the protos that breaks a client is seen and named; what adds to them is none."""

import compat
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

BEFORE = """
syntax = "proto3";
package shop.v1;

message Item {
  reserved 7, 9 to 11;
  reserved "colour";
  enum Kind { KIND_UNSPECIFIED = 0; KIND_NEW = 1; }
  message Part { string name = 1; }
  string name = 1;
  int64 price_micros = 2;
  optional int32 stock = 3;
  repeated Part parts = 4;
  Kind kind = 5;
  oneof code { string ean = 6; string isbn = 8; }
  map<string, int64> counts = 12;
}

enum State { reserved 5 to 6; reserved "STATE_LOST"; STATE_UNSPECIFIED = 0; STATE_OPEN = 1; STATE_SHUT = 2; }

message Order { Item item = 1; State state = 2; }
message Empty {}

service Shop {
  rpc Look(Empty) returns (Item);
  rpc Buy(Order) returns (Order);
  rpc Watch(Empty) returns (stream Item);
}

service Desk { rpc Ask(Empty) returns (Empty); }
"""

BREAKS = {
    "renumbered": ("price_micros = 2", "price_micros = 20", "field shop.v1.Item.price_micros (number 2) has number 20 now"),
    "renamed": ("int64 price_micros", "int64 cost_micros", "field shop.v1.Item.price_micros (number 2) is called cost_micros now"),
    "removed": ("  int64 price_micros = 2;\n", "", "field shop.v1.Item.price_micros (number 2) is gone"),
    "removed and reserved": (
        "  int64 price_micros = 2;\n",
        "  reserved 2; reserved 'price_micros';\n",
        "field shop.v1.Item.price_micros (number 2) is gone",
    ),
    "retyped": ("int64 price_micros", "int32 price_micros", "field shop.v1.Item.price_micros (number 2) was int64, is int32 now"),
    "another message": ("Item item = 1", "Empty item = 1", "field shop.v1.Order.item (number 1) was shop.v1.Item, is shop.v1.Empty now"),
    "made repeated": (
        "int64 price_micros",
        "repeated int64 price_micros",
        "field shop.v1.Item.price_micros (number 2) was neither repeated nor optional, is repeated now",
    ),
    "made single": ("repeated Part", "Part", "field shop.v1.Item.parts (number 4) was repeated, is neither repeated nor optional now"),
    "no longer optional": (
        "optional int32",
        "int32",
        "field shop.v1.Item.stock (number 3) was optional, is neither repeated nor optional now",
    ),
    "another oneof": (
        "string ean = 6; string isbn = 8; }",
        "string isbn = 8; } oneof number { string ean = 6; }",
        "field shop.v1.Item.ean (number 6) was in oneof code, is in oneof number now",
    ),
    "out of its oneof": (
        "oneof code { string ean = 6; string isbn = 8; }",
        "oneof code { string isbn = 8; } string ean = 6;",
        "field shop.v1.Item.ean (number 6) was in oneof code, is neither repeated nor optional now",
    ),
    "another JSON name": (
        "price_micros = 2",
        'price_micros = 2 [json_name = "price"]',
        "field shop.v1.Item.price_micros (number 2) was priceMicros, is price now",
    ),
    "a map's value": (
        "map<string, int64>",
        "map<string, int32>",
        "field shop.v1.Item.CountsEntry.value (number 2) was int64, is int32 now",
    ),
    "a nested field": ("string name = 1; }", "string title = 1; }", "field shop.v1.Item.Part.name (number 1) is called title now"),
    "a freed number": ("reserved 7, 9 to 11", "reserved 9 to 11", "message shop.v1.Item: the numbers 7 to 7 are not reserved any more"),
    "a freed end": ("9 to 11", "9 to 10", "message shop.v1.Item: the numbers 9 to 11 are not reserved any more"),
    "a freed name": ('  reserved "colour";\n', "", "message shop.v1.Item: the name colour is not reserved any more"),
    "value renamed": ("STATE_SHUT = 2", "STATE_CLOSED = 2", "value shop.v1.State.STATE_SHUT (number 2) is called STATE_CLOSED now"),
    "value renumbered": ("STATE_SHUT = 2", "STATE_SHUT = 3", "value shop.v1.State.STATE_SHUT (number 2) has number 3 now"),
    "value removed": (" STATE_SHUT = 2;", "", "value shop.v1.State.STATE_SHUT (number 2) is gone"),
    "nested value removed": (" KIND_NEW = 1;", "", "value shop.v1.Item.Kind.KIND_NEW (number 1) is gone"),
    "a value's freed number": ("reserved 5 to 6", "reserved 5", "enum shop.v1.State: the numbers 5 to 6 are not reserved any more"),
    "a value's freed name": (' reserved "STATE_LOST";', "", "enum shop.v1.State: the name STATE_LOST is not reserved any more"),
    "method removed": ("  rpc Look(Empty) returns (Item);\n", "", "method shop.v1.Shop.Look is gone"),
    "method renamed": ("rpc Look", "rpc See", "method shop.v1.Shop.Look is gone"),
    "another request": (
        "Buy(Order) returns",
        "Buy(Item) returns",
        "method shop.v1.Shop.Buy was (shop.v1.Order) returns (shop.v1.Order), is (shop.v1.Item) returns (shop.v1.Order) now",
    ),
    "another response": (
        "rpc Look(Empty) returns (Item)",
        "rpc Look(Empty) returns (Order)",
        "method shop.v1.Shop.Look was (shop.v1.Empty) returns (shop.v1.Item), is (shop.v1.Empty) returns (shop.v1.Order) now",
    ),
    "no stream any more": (
        "returns (stream Item)",
        "returns (Item)",
        "method shop.v1.Shop.Watch was (shop.v1.Empty) returns (stream shop.v1.Item), is (shop.v1.Empty) returns (shop.v1.Item) now",
    ),
    "a stream of requests": (
        "rpc Buy(Order)",
        "rpc Buy(stream Order)",
        "method shop.v1.Shop.Buy was (shop.v1.Order) returns (shop.v1.Order), is (stream shop.v1.Order) returns (shop.v1.Order) now",
    ),
    "service removed": ("service Desk { rpc Ask(Empty) returns (Empty); }", "", "service shop.v1.Desk is gone"),
}


def changed(old: str, new: str) -> str:
    assert BEFORE.count(old) == 1
    return BEFORE.replace(old, new)


@pytest.mark.parametrize(("old", "new", "line"), BREAKS.values(), ids=BREAKS)
def test_a_break_is_told_in_one_line(compiled, old, new, line):
    assert compat.breaks(compiled(shop=BEFORE), compiled(shop=changed(old, new))) == [line]


def test_a_removed_message_and_enum_are_told_with_what_held_them(compiled):
    after = BEFORE.replace("State", "Phase")
    found = compat.breaks(compiled(shop=BEFORE), compiled(shop=after))
    assert "enum shop.v1.State is gone" in found
    assert "field shop.v1.Order.state (number 2) was shop.v1.State, is shop.v1.Phase now" in found
    found = compat.breaks(compiled(shop=BEFORE), compiled(shop=BEFORE.replace("Item", "Thing")))
    assert {"message shop.v1.Item is gone", "message shop.v1.Item.Part is gone", "enum shop.v1.Item.Kind is gone"} <= set(found)


def test_two_fields_that_swap_their_numbers_are_both_told(compiled):
    after = changed("string ean = 6; string isbn = 8;", "string ean = 8; string isbn = 6;")
    assert compat.breaks(compiled(shop=BEFORE), compiled(shop=after)) == [
        "field shop.v1.Item.ean (number 6) has number 8 now",
        "field shop.v1.Item.isbn (number 8) has number 6 now",
    ]


def test_another_package_breaks_everything(compiled):
    after = changed("package shop.v1", "package shop.v2")
    assert "service shop.v1.Shop is gone" in compat.breaks(compiled(shop=BEFORE), compiled(shop=after))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("int64 price_micros = 2;", "int64 price_micros = 2; int64 size_micros = 13;"),
        ("string isbn = 8;", "string isbn = 8; string issn = 14;"),
        ("STATE_SHUT = 2;", "STATE_SHUT = 2; STATE_SOLD = 3;"),
        ("9 to 11", "9 to 11, 15"),
        ("reserved 7, 9 to 11", "reserved 7 , 9 to 11, 20 to 30"),
        ("message Empty {}", "message Empty { string note = 1; } message More {}"),
        ("rpc Look(Empty) returns (Item);", "rpc Look(Empty) returns (Item); rpc Sell(Item) returns (Order);"),
        ("service Desk {", "service Till { rpc Pay(Order) returns (Empty); } service Desk {"),
        ("string name = 1;\n", "string name = 1;  // what it is called\n"),
    ],
)
def test_what_adds_breaks_nobody(compiled, old, new):
    assert compat.breaks(compiled(shop=BEFORE), compiled(shop=changed(old, new))) == []


def test_a_message_may_move_to_another_file_of_its_package(compiled):
    moved = changed("message Empty {}\n", "").replace("package shop.v1;", 'package shop.v1;\nimport "other.proto";')
    other = 'syntax = "proto3";\npackage shop.v1;\nmessage Empty {}\n'
    assert compat.breaks(compiled(shop=BEFORE), compiled(other=other, shop=moved)) == []


def test_what_is_stored_is_read_back_without_comments_and_breaks_nobody(compiled):
    files = compiled(shop=changed("price_micros = 2", 'price_micros = 2 [json_name = "cost"]'))
    text = compat.dump(files)
    stored = compat.load(text)
    assert compat.breaks(stored, files) == compat.breaks(files, stored) == []
    assert text == compat.dump(stored)
    assert 'json_name: "cost"' in text
    assert "priceMicros" not in text
    assert "source_code_info" not in text


def test_what_is_no_descriptor_set_is_refused():
    with pytest.raises(ValueError, match="not a descriptor set"):
        compat.load("<<<<<<< ours")


def test_nothing_stored_breaks_nobody(compiled):
    assert compat.breaks(FileDescriptorSet(), compiled(shop=BEFORE)) == []
