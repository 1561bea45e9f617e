"""Settings: one name in three places, a source for each value, a clear error for a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.settings import Settings, SettingsError, load, origins

DOCS = Path(__file__).parents[1] / "docs" / "settings.md"


def test_an_option_wins_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    file = tmp_path / "strayframe.toml"
    file.write_text('batch_stills = 10\nport = 1\nhost = "::1"\n')
    settings = load({"port": 3, "store": None}, {"STRAYFRAME_PORT": "2", "STRAYFRAME_HOST": "0.0.0.0"}, file)
    assert (settings.port, settings.host, settings.batch_stills) == (3, "0.0.0.0", 10)
    assert settings.store == Settings.model_fields["store"].default


def test_each_value_names_its_source(tmp_path: Path) -> None:
    file = tmp_path / "strayframe.toml"
    file.write_text("batch_stills = 10\n")
    found = {o.name: o.source for o in origins({"port": 3}, {"STRAYFRAME_HOST": "::1"}, file)}
    assert found["port"] == "option --port"
    assert found["host"] == "STRAYFRAME_HOST"
    assert found["batch_stills"] == str(file)
    assert found["store"] == "default"
    assert found.keys() == Settings.model_fields.keys()


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"STRAYFRAME_PORT": "99999"}, ["STRAYFRAME_PORT", "port", "'99999'", "65535"]),
        ({"STRAYFRAME_LOG_LEVEL": "loud"}, ["log_level", "'loud'", "'debug', 'info', 'warning' or 'error'"]),
        ({"STRAYFRAME_STROE": "x"}, ["STRAYFRAME_STROE", "no setting 'stroe'"]),
    ],
)
def test_a_bad_setting_is_refused_with_key_value_and_what_is_accepted(
    environment: dict[str, str], told: list[str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(environment=environment)
    for part in told:
        assert part in str(caught.value)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    file = tmp_path / "strayframe.toml"
    file.write_text("port = = 1")
    with pytest.raises(SettingsError, match=r"strayframe\.toml: not valid TOML"):
        load(environment={}, file=file)
    with pytest.raises(SettingsError, match="cannot be read"):
        load(environment={}, file=tmp_path / "absent.toml")


def test_secrets_are_never_shown() -> None:
    environment = {
        "STRAYFRAME_KAFKA_PASSWORD": "hunter2",
        "STRAYFRAME_STORE": "postgresql://anna:hunter2@db/strayframe",
    }
    shown = {o.name: o.value for o in origins(environment=environment)}
    assert shown["kafka_password"] == "(set)"
    assert shown["store"] == "postgresql://anna:***@db/strayframe"
    asked = {o.name: o.value for o in origins(environment={"STRAYFRAME_STORE": "postgresql://db/n?password=hunter2"})}
    assert asked["store"] == "postgresql://db/n?..."
    assert "hunter2" not in repr(load(environment={"STRAYFRAME_KAFKA_PASSWORD": "hunter2"}))


def test_the_suite_s_own_variables_are_not_settings() -> None:
    assert load(environment={"STRAYFRAME_TEST_KAFKA": "127.0.0.1:1"}).kafka == ""


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_with_its_default(name: str) -> None:
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| `{name}` ")]
    assert len(rows) == 1
    default = Settings.model_fields[name].default
    assert str(Settings.model_fields[name].description) in rows[0]
    if isinstance(default, str | int | float) and default != "":
        assert f"`{default}`" in rows[0]
