import json
import sys
from pathlib import Path

import pytest

from forebay.embedded.options import check_options, kinds
from forebay.errors import ConfigError, InvalidRequest
from forebay.server.config import RANGES, Settings, load


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "forebay.toml"
    file.write_text('port = 1\nhost = "::1"\ninterval_ms = 20\n')
    settings = load(file, {"FOREBAY_PORT": "2", "FOREBAY_INTERVAL_MS": "30", "HOME": "x"}, {"port": 3, "host": None})
    assert (settings.port, settings.interval_ms, settings.host) == (3, 30, "::1")


def test_nothing_given_is_the_defaults() -> None:
    assert load() == Settings()


@pytest.mark.parametrize(
    ("name", "nearest"), [("prot", "'port'"), ("ring_byte", "'ring_bytes'"), ("zzzzz", "docs/configuration.md")]
)
def test_an_unknown_key_is_refused_with_the_nearest_name(tmp_path: Path, name: str, nearest: str) -> None:
    file = tmp_path / "forebay.toml"
    file.write_text(f"{name} = 1\n")
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert repr(name) in str(refused.value)
    assert nearest in str(refused.value)
    assert len(str(refused.value)) < 300


def test_settings_stand_under_no_heading(tmp_path: Path) -> None:
    file = tmp_path / "forebay.toml"
    file.write_text("[server]\nport = 1\n")
    with pytest.raises(ConfigError, match=r"has a table \[server\]; settings stand at the top level"):
        load(file)


ONE = {"name": "p", "source": "s", "sink": "t", "operations": [{"type": "filter", "predicate": "value.a > 1"}]}

TABLES = """
port = 1

[[processors]]
name = "p"
source = "s"
sink = "t"
operations = [{ type = "filter", predicate = "value.a > 1" }]

[[processors]]
name = "q"
"""


def test_a_table_is_one_of_the_file_and_json_in_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "forebay.toml"
    file.write_text("port = 1\n[reputation]\nzones = ['bl.test']\n")
    assert load(file).reputation == {"zones": ["bl.test"]}
    assert load(file, {"FOREBAY_REPUTATION": '{"stream":"mails"}'}).reputation == {"stream": "mails"}
    assert load(None).reputation is None
    file.write_text("reputation = 1\n")
    with pytest.raises(ConfigError, match="reputation from .* is 1, which is not a table, or a JSON object"):
        load(file)


def test_no_error_about_a_table_shows_what_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "forebay.toml"
    file.write_text('dependency = "redis://:secret@h"\n')
    with pytest.raises(ConfigError, match=r"dependency from .* is \*\*\*, which is not a list of tables") as refused:
        load(file)
    assert "secret" not in str(refused.value)
    with pytest.raises(ConfigError) as refused:
        load(None, {"FOREBAY_DEPENDENCY": '[{"url":"redis://:secret@h"'})
    assert "secret" not in str(refused.value)


def test_processors_are_tables_of_the_file_and_json_in_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "forebay.toml"
    file.write_text(TABLES)
    assert load(file).processors == (ONE, {"name": "q"})
    assert load(file, {"FOREBAY_PROCESSORS": json.dumps([ONE])}).processors == (ONE,)
    for wrong in ("p", "{}", "[1]", "[{]"):
        with pytest.raises(
            ConfigError, match="^processors from the environment is .*, which is not a list of tables, or"
        ):
            load(environment={"FOREBAY_PROCESSORS": wrong})
    file.write_text("[processors]\nname = 'p'\n")
    with pytest.raises(
        ConfigError, match=r"has a table \[processors\]; .*, under no heading; write \[\[processors\]\]$"
    ):
        load(file)
    file.write_text("processors = 1\n")
    with pytest.raises(ConfigError, match="processors from .* is 1, which is not a list of tables"):
        load(file)


def test_functions_are_a_list_of_the_file_and_have_commas_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "forebay.toml"
    file.write_text('functions = ["scoring", "package.checks"]\n')
    assert load(file).functions == ("scoring", "package.checks")
    assert load(environment={"FOREBAY_FUNCTIONS": "scoring, package.checks,"}).functions == (
        "scoring",
        "package.checks",
    )
    assert load(environment={"FOREBAY_FUNCTIONS": ""}).functions == ()
    assert load(flags={"functions": ("a", "b")}).functions == ("a", "b")
    for wrong in ('"scoring"', "[1]", "1"):
        file.write_text(f"functions = {wrong}\n")
        with pytest.raises(ConfigError, match="^functions from .*forebay.toml is .*, which is not a list of texts$"):
            load(file)
    for module in ("./scoring", "--memory", "a b", "", "a..b"):
        file.write_text(f"functions = [{module!r}]\n")
        with pytest.raises(
            ConfigError, match="^functions from .*, which is no module as import takes it: scoring, pack"
        ):
            load(file)


def test_the_engine_gets_a_command_for_functions_and_none_where_there_are_none() -> None:
    options = Settings().engine_options()
    assert (options["function_command"], options["function_names"], "functions" in options) == ([], [], False)
    options = load(flags={"functions": ("scoring",), "function_worker_bytes": 1 << 30}).engine_options()
    assert options["function_command"] == [
        *(sys.executable, "-m", "forebay.processors.worker", "--memory", str(2 << 30)),
        "scoring",
    ]


def test_a_range_is_said_in_full_and_sizes_in_their_units() -> None:
    with pytest.raises(ConfigError, match=r"is 5, outside of 8,388,608 to 1,099,511,627,776 \(8 MiB to 1 TiB\)$"):
        load(flags={"ring_bytes": 5})
    with pytest.raises(ConfigError, match=r"outside of 0\.1 to 3,600,000$"):
        load(flags={"health_commit_p99_warning_ms": 0.0})
    with pytest.raises(ConfigError, match=r"outside of 256 to 1,073,741,824 \(256 bytes to 1 GiB\)$"):
        load(flags={"max_record_bytes": 1})


def test_an_unknown_variable_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="FOREBAY_DURABILTY in the environment; did you mean 'FOREBAY_DURABILITY'"):
        load(environment={"FOREBAY_DURABILTY": "fsync"})


def test_variables_of_the_command_line_are_not_settings() -> None:
    assert load(environment={"FOREBAY_URL": "http://x", "FOREBAY_TOKEN": "t"}) == Settings()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"FOREBAY_PORT": "x"}, "port from the environment is 'x', which is not a whole number"),
        ({"FOREBAY_NO_AUTH": "perhaps"}, "no_auth from the environment is 'perhaps', which is not true or false"),
        ({"FOREBAY_DURABILITY": "none"}, "durability from the environment is 'none'; choose one of fsync, interval"),
    ],
)
def test_ill_typed_values_are_named(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(environment=environment)


@pytest.mark.parametrize("name", RANGES)
def test_both_ends_of_every_range(name: str) -> None:
    # Sizes that are compared to each other are moved along.
    sizes = ("max_body_bytes", "max_reading_bytes")
    for value in RANGES[name]:
        given: dict[str, float] = dict.fromkeys(sizes, 1 << 20) | {name: value}
        if given["max_body_bytes"] > given["max_reading_bytes"]:
            given[sizes[name == "max_body_bytes"]] = given[name]
        assert getattr(load(flags=given), name) == value
    for beyond in (RANGES[name][0] - 1, RANGES[name][1] + 1):
        with pytest.raises(ConfigError, match=f"{name} from the command line is .*, outside of"):
            load(flags={name: int(beyond) if float(beyond).is_integer() else beyond})


def test_every_number_has_a_range() -> None:
    numbers = {name for name, kind in kinds(Settings).items() if kind in (int, float)}
    assert numbers == set(RANGES)


def test_origins_are_scheme_host_and_port() -> None:
    settings = load(flags={"websocket_origins": " https://Dash.example:8443,http://[::1]:80 ,"})
    assert settings.origins() == {"https://dash.example:8443", "http://[::1]:80"}
    assert Settings().origins() == frozenset()
    for wrong in ("dash.example", "https://dash.example/", "*", "null", "https://user@dash.example", "ftp://x"):
        with pytest.raises(ConfigError, match="websocket_origins has .*, which is not like https"):
            load(flags={"websocket_origins": f"https://dash.example,{wrong}"})


def test_kafka_comes_later() -> None:
    with pytest.raises(ConfigError, match="comes later"):
        load(flags={"log": "kafka://localhost:9092"})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
def test_an_open_address_needs_insecure(host: str) -> None:
    with pytest.raises(ConfigError, match="insecure"):
        load(flags={"host": host, "no_auth": True})
    assert load(flags={"host": host, "no_auth": True, "insecure": True}).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_nothing(host: str) -> None:
    assert load(flags={"host": host, "no_auth": True}).host == host


def test_a_body_has_to_fit_the_memory_budget() -> None:
    with pytest.raises(ConfigError, match="max_reading_bytes"):
        load(flags={"max_body_bytes": 2 << 20, "max_reading_bytes": 1 << 20})


def test_a_record_is_no_larger_than_a_body() -> None:
    assert load(flags={"max_body_bytes": 5000}).engine_options()["max_record_bytes"] == 5000


def test_files_that_are_not_there_or_not_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path / "missing.toml")
    (tmp_path / "bad.toml").write_text("port = = 1")
    with pytest.raises(ConfigError, match="is not TOML"):
        load(tmp_path / "bad.toml")


def test_options_of_open_follow_the_same_rules() -> None:
    assert check_options({"durability": "memory"})["durability"] == "memory"
    with pytest.raises(InvalidRequest, match="did you mean 'workers'"):
        check_options({"worker": 1})
    with pytest.raises(InvalidRequest, match="^workers is 65, outside of 0 to 64$"):
        check_options({"workers": 65})
