"""Settings: which source wins, what is refused and how it is told, and that no secret is ever shown."""

import msgspec
import pytest

from arbiter.config import KNOWN, SECRET, SHORT_NAMES, Settings, load
from arbiter.errors import ConfigError

TOKEN = "123456:very-secret-token-of-a-sensible-length"
OTHER_TOKEN = "654321:another-secret-token-of-a-sensible-length"


@pytest.fixture
def read(tmp_path):
    """`load` on files written for the test."""

    def read(flags=None, environ=None, toml=None, env=None):
        if toml is not None:
            (tmp_path / "arbiter.toml").write_text(toml)
        if env is not None:
            (tmp_path / ".env").write_text(env)
        return load(flags or {}, environ or {}, tmp_path)

    return read


def refusal(read, *parts, **sources) -> str:
    """The message of a start that must fail: one line that holds all `parts`."""
    with pytest.raises(ConfigError) as caught:
        read(**sources)
    text = str(caught.value)
    assert caught.value.cure
    assert "\n" not in text
    for part in parts:
        assert part in text
    return text


# -- which wins --


def test_without_anything_the_defaults_are_in_force(read):
    settings = read()
    assert settings == Settings()
    assert (settings.grpc_host, settings.grpc_port, settings.log_level, settings.mode) == ("localhost", 50051, "INFO", "sandbox")


def test_each_source_wins_over_those_before_it(read):
    sources = {
        "toml": "grpc_port = 1\nhttp_port = 1\nchat_port = 1\nsandbox_seed = 1\n",
        "env": "ARBITER_HTTP_PORT=2\nARBITER_CHAT_PORT=2\nARBITER_SANDBOX_SEED=2\n",
        "environ": {"ARBITER_CHAT_PORT": "3", "ARBITER_SANDBOX_SEED": "3"},
        "flags": {"sandbox_seed": 4, "data": None},
    }
    settings = read(**sources)
    assert (settings.grpc_port, settings.http_port, settings.chat_port, settings.sandbox_seed) == (1, 2, 3, 4)
    assert settings.data == "./var"


@pytest.mark.parametrize(("short", "name"), SHORT_NAMES.items())
def test_the_names_that_operators_know_work_and_the_full_name_wins(read, short, name):
    values = {
        "grpc_port": ("1", "2"),
        "log_level": ("DEBUG", "ERROR"),
        "telegram_bot_token": (TOKEN, OTHER_TOKEN),
        "telegram_allowed_users": ("1", "2, 3"),
        "telegram_api_url": ("http://localhost:8081", "https://bots.example.com/api"),
    }.get(name, ("one", "two"))
    assert str(getattr(read(environ={short: values[0]}), name)) == values[0]
    both = {short: values[0], f"ARBITER_{name.upper()}": values[1]}
    assert str(getattr(read(environ=both), name)) == values[1]
    assert str(getattr(read(environ=dict(reversed(both.items()))), name)) == values[1]


def test_a_short_name_in_the_environment_wins_over_the_full_name_in_a_file(read):
    assert read(env="ARBITER_GRPC_PORT=1", environ={"GRPC_PORT": "2"}).grpc_port == 2


def test_a_named_settings_file_is_read_instead_of_the_usual_one(read, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text("grpc_port = 7")
    assert read({"config": str(other)}, toml="grpc_port = 1").grpc_port == 7
    assert read(environ={"ARBITER_CONFIG": str(other)}).grpc_port == 7


def test_other_programs_variables_are_none_of_our_business(read):
    assert read(environ={"PATH": "/bin", "GRPC_VERBOSITY": "debug", "TELEGRAM": "x"}, env="OTHER=1\n") == Settings()


def test_an_env_file_may_have_comments_exports_and_quotes(read):
    text = "# a comment\n\nexport GRPC_PORT=1\nARBITER_DATA = \"my data\"\nARBITER_RECORDING='a=b#c'\n  LOG_LEVEL=debug  \n"
    settings = read(env=text)
    assert (settings.grpc_port, settings.data, settings.recording, settings.log_level) == (1, "my data", "a=b#c", "DEBUG")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("recordings/a.jsonl # the short one", "recordings/a.jsonl"),
        ("a.jsonl\t# a tab does too", "a.jsonl"),
        ("a#b.jsonl", "a#b.jsonl"),
        ("#b.jsonl", "#b.jsonl"),
        (" # nothing but a comment", ""),
        ('"a # b.jsonl"', "a # b.jsonl"),
        ("'a # b.jsonl' # and a comment", "a # b.jsonl"),
        ('"a.jsonl" # say "hello"', "a.jsonl"),
        ('"it\'s.jsonl"', "it's.jsonl"),
        ("it's.jsonl # fine", "it's.jsonl"),
        ('""', ""),
    ],
)
def test_in_an_env_file_a_blank_and_a_hash_begin_a_comment_and_quotes_keep_them(read, written, value):
    assert read(env=f"ARBITER_RECORDING={written}\nexport ARBITER_DATA={written}\nGRPC_PORT=7 # c\n") == Settings(
        recording=value, data=value, grpc_port=7
    )


@pytest.mark.parametrize("written", ['"a.jsonl', "'a.jsonl # c", "\"a.jsonl'", '"a" b', "'"])
def test_a_quote_of_an_env_file_that_is_not_closed_is_told_by_its_line_and_not_shown(read, written):
    text = refusal(read, ".env line 2 has a quote that is not closed", env=f"GRPC_PORT=1\nARBITER_RECORDING={written}\n")
    assert written not in text


@pytest.mark.parametrize("level", ["debug", "Warning", "ERROR"])
def test_a_log_level_may_be_spelt_in_any_case(read, level):
    assert read(environ={"LOG_LEVEL": level}).log_level == level.upper()


def test_settings_cannot_be_changed(read):
    with pytest.raises(AttributeError):
        read().grpc_port = 1


# -- what is refused --


@pytest.mark.parametrize(
    ("sources", "shown", "nearest"),
    [
        ({"toml": "grpc_prot = 1"}, "grpc_prot", "grpc_port"),
        ({"env": "ARBITER_GRPC_PROT=1"}, "ARBITER_GRPC_PROT", "ARBITER_GRPC_PORT"),
        ({"environ": {"ARBITER_GPRC_PORT": "1"}}, "ARBITER_GPRC_PORT", "ARBITER_GRPC_PORT"),
        ({"environ": {"ARBITER_RECORDINGSPEED": "2"}}, "ARBITER_RECORDINGSPEED", "ARBITER_RECORDING_SPEED"),
        ({"environ": {"ARBITER_SEED": "2"}}, "ARBITER_SEED", "ARBITER_SANDBOX_SEED"),
    ],
)
def test_an_unknown_setting_names_the_nearest_known_one(read, sources, shown, nearest):
    refusal(read, f"unknown setting {shown} in ", f"did you mean {nearest}?", **sources)


def test_an_unknown_setting_that_is_like_none_is_to_be_removed_and_lists_them_all(read):
    refusal(read, "unknown setting zzzzzz", "remove it; known settings: ", *KNOWN, toml="zzzzzz = 1")


def test_an_unknown_variable_that_is_like_none_is_to_be_removed_and_lists_the_variables(read):
    variables = [f"ARBITER_{name.upper()}" for name in KNOWN]
    refusal(read, "unknown setting ARBITER_ZZZZZZ", "remove it; known settings: ", *variables, environ={"ARBITER_ZZZZZZ": "1"})


def test_an_unknown_settings_value_is_not_shown(read):
    assert TOKEN not in refusal(read, environ={"ARBITER_TELEGRAM_BOT_TOKN": TOKEN})


@pytest.mark.parametrize(
    ("sources", "where"),
    [
        ({"toml": 'grpc_port = "many"'}, "arbiter.toml"),
        ({"toml": "grpc_port = 65536"}, "arbiter.toml"),
        ({"toml": "grpc_port = 1.5"}, "arbiter.toml"),
        ({"toml": "grpc_port = [1]"}, "arbiter.toml"),
        ({"env": "GRPC_PORT="}, "GRPC_PORT in .env"),
        ({"environ": {"GRPC_PORT": "-1"}}, "GRPC_PORT in the environment"),
        ({"environ": {"ARBITER_GRPC_PORT": "50 051"}}, "ARBITER_GRPC_PORT in the environment"),
        ({"flags": {"grpc_port": 70_000}}, "--grpc-port"),
    ],
)
def test_a_bad_value_is_told_with_its_name_and_where_it_came_from(read, sources, where):
    refusal(read, "grpc_port = ", where, "is not valid", "correct it in", **sources)


@pytest.mark.parametrize("change", ['log_level = "LOUD"', 'mode = "live"', "recording_speed = 0", "recording_speed = 100001", "data = 7"])
def test_every_kind_of_value_is_checked(read, change):
    refusal(read, change.partition(" ")[0], "is not valid", toml=change)


@pytest.mark.parametrize(
    "change",
    [
        *("grpc_connections = 0", "grpc_connections = 100001", "grpc_connections_per_address = 0", "grpc_streams_per_connection = 0"),
        *("grpc_streams_per_connection = 10001", "grpc_idle_seconds = 4", "grpc_keepalive_seconds = 0", "grpc_keepalive_seconds = 86401"),
    ],
)
def test_the_fronts_limits_have_limits(read, change):
    refusal(read, change.partition(" ")[0], "is not valid", toml=change)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("ARBITER_MODE", "live", "it must be sandbox, the only one there is yet"),
        ("LOG_LEVEL", "loud", "it must be DEBUG, INFO, WARNING or ERROR"),
    ],
)
def test_a_setting_of_few_values_names_them_when_it_is_given_another(read, variable, value, told):
    text = refusal(read, environ={variable: value})
    name = variable.removeprefix("ARBITER_").lower()
    origin = f"{variable} in the environment"
    assert text == f"{name} = {value!r} (from {origin}) is not valid: {told}; correct it in {origin}"


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        ({"toml": "grpc_port = 70000"}, "grpc_port = 70000 (from "),
        ({"env": "GRPC_PORT=abc"}, "grpc_port = 'abc' (from GRPC_PORT in .env)"),
        ({"environ": {"GRPC_PORT": "abc"}}, "grpc_port = 'abc' (from GRPC_PORT in the environment)"),
        ({"env": "TELEGRAM_BOT_TOKEN=short"}, "telegram_bot_token (from TELEGRAM_BOT_TOKEN in .env)"),
        ({"env": "TELEGRAM_API_URL=nowhere"}, "telegram_api_url = 'nowhere' (from TELEGRAM_API_URL in .env)"),
        ({"env": "TELEGRAM_ALLOWED_USERS=me"}, "telegram_allowed_users (from TELEGRAM_ALLOWED_USERS in .env) has 'me'"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_also_where_a_later_source_overrides_it(read, sources, told):
    good = {"grpc_port": 0, "telegram_bot_token": TOKEN, "telegram_api_url": "http://localhost:1", "telegram_allowed_users": "1"}
    refusal(read, told, flags=good, **sources)


def test_a_short_name_beside_the_full_one_may_be_another_programs_and_is_not_looked_at(read):
    assert read(environ={"LOG_LEVEL": "trace", "ARBITER_LOG_LEVEL": "DEBUG"}).log_level == "DEBUG"


def test_a_value_with_a_line_break_is_told_in_one_line(read):
    refusal(read, "grpc_port", environ={"GRPC_PORT": "1\n2"})


def test_bad_toml_is_told_with_its_line(read):
    refusal(read, "arbiter.toml is not valid TOML", "line 2", toml="grpc_port = 1\ngrpc_port =\n")


@pytest.mark.parametrize("line", ["no equals sign", "1X=2", "a b=c", "=x"])
def test_a_line_of_the_env_file_that_is_none_is_told_by_number_and_not_shown(read, line):
    assert line not in refusal(read, ".env line 2 is not NAME=value", env=f"GRPC_PORT=1\n{line}\n")


def test_a_named_file_that_is_not_there_is_told(read, tmp_path):
    refusal(read, "cannot read", "nowhere.toml: No such file", flags={"config": str(tmp_path / "nowhere.toml")})


def test_files_that_are_no_text_or_too_large_are_told(read, tmp_path):
    (tmp_path / "arbiter.toml").write_bytes(b"\xff\xfe")
    refusal(read, "is not UTF-8 text")
    (tmp_path / "arbiter.toml").write_bytes(b"#" * 300_000)
    refusal(read, "is larger than 256 KiB")
    (tmp_path / "arbiter.toml").unlink()
    (tmp_path / ".env").mkdir()
    refusal(read, "cannot read", ".env: Is a directory")


# -- secrets --


def test_a_secret_is_never_shown(read):
    settings = read(environ={"TELEGRAM_BOT_TOKEN": TOKEN})
    assert settings.telegram_bot_token == TOKEN
    assert TOKEN not in repr(settings)
    assert TOKEN not in str(settings)
    assert "telegram_bot_token='***'" in repr(settings)
    assert "telegram_bot_token=''" in repr(Settings())


def test_a_secret_that_is_not_valid_is_not_shown_either(read):
    assert "987654321" not in refusal(read, "telegram_bot_token = ***", toml="telegram_bot_token = 987654321")


def test_every_setting_that_sounds_secret_is_treated_as_one():
    sounding = {name for name in KNOWN if any(word in name for word in ("token", "secret", "password", "credential"))}
    assert sounding == SECRET


def test_every_setting_has_a_default():
    assert all(field.default is not msgspec.NODEFAULT for field in msgspec.structs.fields(Settings))


@pytest.mark.parametrize("bad", ["987", "abc:def", TOKEN.replace(":", ""), f"{TOKEN} x", "123456:short", f"{TOKEN}\u0661"])
def test_a_token_that_no_bot_can_have_is_refused_at_the_start_and_not_shown(read, bad):
    text = refusal(read, "has not the form of a bot's token", environ={"TELEGRAM_BOT_TOKEN": bad})
    assert bad not in text


@pytest.mark.parametrize("bad", ["me", "1,two", "-5", "1.5", "\u0661"])
def test_an_allow_list_with_anything_but_ids_is_refused_at_the_start(read, bad):
    refusal(read, "which is no Telegram id", environ={"TELEGRAM_ALLOWED_USERS": bad})


@pytest.mark.parametrize(
    "bad", ["localhost:8081", "ftp://host", "http://", "https://host:0", "http://host:99999", "http://host/?x=1", "http://[::1", "x"]
)
def test_an_address_of_no_bot_api_is_refused_at_the_start(read, bad):
    refusal(read, "is not the address of a Bot API", environ={"TELEGRAM_API_URL": bad})


@pytest.mark.parametrize(("value", "expected"), [("false", False), ("0", False), ("true", True)])
def test_the_bot_can_be_left_to_a_service_of_its_own(read, value, expected):
    assert read().bot is True
    assert read(environ={"ARBITER_BOT": value}).bot is expected
    assert read(flags={"bot": False}).bot is False
