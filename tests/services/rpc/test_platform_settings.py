"""Settings are read once, and every fault is told together."""

from pathlib import Path

import pytest

from spin_services.environment import SettingsInvalid
from spin_services.platform import from_environment


def test_defaults_suit_one_machine() -> None:
    platform = from_environment({})
    assert platform.service_address("auth") == "127.0.0.1:9101"
    assert platform.service_address("audit") == "127.0.0.1:9105"
    assert platform.allowed_origins == ("http://localhost:8080",)
    assert platform.database_url == ""


def test_one_number_moves_every_port_and_an_address_moves_one() -> None:
    platform = from_environment({"SPIN_SERVICE_PORT_BASE": "9300", "SPIN_AUDIT_ADDRESS": "audit:7000", "SPIN_LISTEN_HOST": "0.0.0.0"})
    assert platform.service_address("secrets") == "127.0.0.1:9304"
    assert platform.service_address("audit") == "audit:7000"
    assert platform.listen_address("audit") == "0.0.0.0:7000"


def test_every_fault_is_told_at_once_and_no_value_with_it(tmp_path: Path) -> None:
    wrong = {
        "SPIN_PUBLIC_URL": "ftp://hidden-value",
        "SPIN_TRACE_RATIO": "hidden-value",
        "SPIN_LOG_FORMAT": "hidden-value",
        "SPIN_METRICS_PORT": "70000",
        "SPIN_AUTH_ADDRESS": "hidden-value",
        "SPIN_DATABASE_URL": "mysql://hidden-value",
        "SPIN_TLS_CERT": str(tmp_path / "absent"),
    }
    with pytest.raises(SettingsInvalid) as caught:
        from_environment(wrong)
    assert {fault.split()[0] for fault in caught.value.faults} >= wrong.keys()
    assert "hidden-value" not in str(caught.value)


def test_a_database_address_with_a_password_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "database-url"
    file.write_text("postgresql://spin:password@db/spin\n")
    assert from_environment({"SPIN_DATABASE_URL_FILE": str(file)}).database_url == "postgresql://spin:password@db/spin"


@pytest.mark.parametrize("origin", ["https://a.example.org/path", "https://user@a.example.org", "a.example.org", "https://a.example.org?q"])
def test_origins_are_origins(origin: str) -> None:
    with pytest.raises(SettingsInvalid):
        from_environment({"SPIN_ALLOWED_ORIGINS": f"https://b.example.org,{origin}"})
