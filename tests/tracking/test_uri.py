import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointdec.errors import UserError
from jointdec.tracking.uri import hide_credentials, resolve_uri, scheme_of, sqlite_path


def test_a_configured_uri_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere:5000")
    assert resolve_uri("http://here:5000") == "http://here:5000"


def test_the_environment_wins_over_the_default(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere:5000")
    assert resolve_uri(None) == "http://elsewhere:5000"


def test_the_default_is_a_database_in_the_current_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert resolve_uri(None) == f"sqlite:///{tmp_path}/mlflow.db"


def test_a_relative_sqlite_uri_becomes_absolute_and_keeps_its_query(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert resolve_uri("sqlite:///runs/a.db?timeout=3") == f"sqlite:///{tmp_path}/runs/a.db?timeout=3"


@pytest.mark.parametrize("name", ["a b", "50%20", "what?", "Müller#1"])
def test_the_path_of_the_default_database_is_the_one_sqlalchemy_opens(monkeypatch, tmp_path, name):
    from sqlalchemy import make_url

    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    uri = resolve_uri(None)
    assert make_url(uri).database == str(folder / "mlflow.db")
    assert sqlite_path(uri) == folder / "mlflow.db"


@pytest.mark.parametrize("uri", ["./mlruns", "mlruns", "/data/mlruns", "file:///data/mlruns", "file:mlruns"])
def test_a_file_store_is_refused_with_the_way_out(uri):
    with pytest.raises(UserError, match=r"tracking\.uri is .*in folders no longer.*sqlite:////"):
        resolve_uri(uri)


@pytest.mark.parametrize("uri", ["ftp://host/x", "htp://host:5000", "http://"])
def test_an_unknown_scheme_is_refused_with_the_known_ones(uri):
    with pytest.raises(UserError, match=r"must begin with sqlite:///, http://"):
        resolve_uri(uri)


def test_the_environment_variable_is_named_when_it_is_at_fault(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    with pytest.raises(UserError, match=r"^MLFLOW_TRACKING_URI is './mlruns'"):
        resolve_uri(None)


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite://host/x.db"])
def test_a_sqlite_uri_without_a_file_is_refused(uri):
    with pytest.raises(UserError, match="names no database file"):
        resolve_uri(uri)


def test_the_driver_is_no_part_of_the_scheme():
    assert scheme_of("postgresql+psycopg2://host/db") == "postgresql"


printable = st.characters(codec="ascii", categories=("L", "N", "P", "S"))


@given(secret=st.text(printable, min_size=1))
def test_no_password_survives_in_a_text(secret):
    text = f"API request to postgresql://ana:{secret}@db:5432/mlflow failed"
    assert hide_credentials(text) == "API request to postgresql://***@db:5432/mlflow failed"


@given(secret=st.text(printable, min_size=1).filter(lambda text: "@" not in text))
def test_no_query_value_survives_in_a_text(secret):
    text = f"API request to postgresql://db/mlflow?password={secret} failed"
    assert hide_credentials(text) == "API request to postgresql://db/mlflow?*** failed"


def test_a_uri_without_credentials_stays_as_it_is():
    assert hide_credentials("sqlite:////tmp/mlflow.db") == "sqlite:////tmp/mlflow.db"
