"""Where a store in PostgreSQL is: read, and shown without what is secret."""

from __future__ import annotations

import pytest

from lutfarm.store.sql.postgresql import read_address, shown
from lutfarm_jobs.errors import SpecError


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("postgresql+psycopg://ann:s3cret@host:5433/farm", "postgresql://ann@host:5433/farm"),
        ("postgresql://ann:s3cret@host/farm", "postgresql://ann@host/farm"),
        (" postgresql+psycopg:///farm\n", "postgresql:///farm"),
        ("postgresql+psycopg://host/farm?password=s3cret&sslmode=require", "postgresql://host/farm"),
        ("postgresql+psycopg://ann@/farm?host=/run/pg", "postgresql://ann@/run/pg/farm"),
        ("postgresql+psycopg://ann@/farm?host=a&host=b", "postgresql://ann@a,b/farm"),
        ("postgresql+psycopg://ann:s3%40cret%2F@[::1]:1/farm", "postgresql://ann@::1:1/farm"),
    ],
)
def test_a_place_is_shown_without_its_secrets(address: str, place: str) -> None:
    url = read_address(address)
    assert url.drivername == "postgresql+psycopg"
    assert shown(url) == place


@pytest.mark.parametrize(
    "address",
    [
        "s3cret",
        "://s3cret",
        "postgresql+psycopg://ann:s3cret@host",
        "postgresql+psycopg://ann:s3cret@host:x/farm",
        "postgresql+psycopg://ann:s3cret@host/",
        "postgresql+psycopg2://ann:s3cret@host/farm",
        "sqlite:///s3cret.db",
        "mysql://ann:s3cret@host/farm",
        "postgresql+psycopg://ann:s3cret@host:0/farm",
    ],
)
def test_what_is_no_address_is_refused_with_the_shape_and_not_repeated(address: str) -> None:
    with pytest.raises(SpecError, match=r"postgresql\+psycopg://USER@HOST/DATABASE") as refused:
        read_address(address)
    assert "s3cret" not in str(refused.value)
