"""Settings from the environment: everything wrong is named at once."""

import pytest

from api.settings import Settings, SettingsError, check, from_env


def test_nothing_set_gives_the_defaults() -> None:
    assert from_env({"TASKLEDGER_PORT": " ", "PATH": "/bin", "TASKLEDGER_TOKEN": "x"}) == Settings()
    assert check(Settings()).sqlite_path == "data/ledger.db"


def test_every_setting_has_a_variable() -> None:
    environment = {
        "TASKLEDGER_HOST": "::1",
        "TASKLEDGER_PORT": "0",
        "TASKLEDGER_STORE": "sqlite:/tmp/x.db",
        "TASKLEDGER_ALLOWED_HOSTS": "a.example, b.example,",
        "TASKLEDGER_STRICT_SESSIONS": "Yes",
        "TASKLEDGER_SWEEP_SECONDS": "0.5",
    }
    settings = from_env(environment)

    assert settings.allowed_hosts == ("a.example", "b.example")
    assert (settings.host, settings.port, settings.sqlite_path) == ("::1", 0, "/tmp/x.db")
    assert (settings.strict_sessions, settings.sweep_seconds) == (True, 0.5)


def test_every_bad_variable_is_named() -> None:
    environment = {
        "TASKLEDGER_PORT": "70000",
        "TASKLEDGER_STORE": "ledger.db",
        "TASKLEDGER_STRICT_SESSIONS": "perhaps",
        "TASKLEDGER_LEASE_SECONDS": "5 min",
        "TASKLEDGER_KEEP_ALIVE_SECONDS": "nan",
        "TASKLEDGER_HOST": "a b",
    }
    with pytest.raises(SettingsError) as refused:
        from_env(environment)

    text = str(refused.value)
    assert all(name in text for name in environment)
    assert "TASKLEDGER_PORT must be from 0 to 65535, got '70000'" in text
    places = "sqlite:PATH or postgresql://USER@HOST/DATABASE"
    assert f"TASKLEDGER_STORE must be {places}, got 'ledger.db'" in text
    assert len(refused.value.problems) == len(environment)


def test_a_database_without_a_user_is_not_opened_as_its_superuser() -> None:
    wanted = "TASKLEDGER_STORE must name its user, as postgresql://USER@HOST/DATABASE does"
    with pytest.raises(SettingsError, match=wanted):
        from_env({"TASKLEDGER_STORE": "postgresql://db.internal/ledger"})


def test_the_steps_of_a_ladder_must_not_go_down() -> None:
    with pytest.raises(SettingsError, match="ATTENTION_AFTER_CYCLES must not be less than"):
        from_env({"TASKLEDGER_STARVED_AFTER_CYCLES": "11"})
