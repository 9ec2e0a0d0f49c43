"""The contracts are whole: each has as many tests as the table of what is certified says."""

from importlib import import_module
from pathlib import Path

import pytest

from tests.frameworks.contracts import CONTRACTS

HERE = Path(__file__).parent


@pytest.mark.parametrize("module", CONTRACTS)
def test_a_contract_has_all_its_tests(module: str) -> None:
    contract = import_module(f"tests.frameworks.{module.removesuffix('.py').replace('/', '.')}")
    tests = [name for name in vars(contract) if name.startswith("test_")]
    assert len(tests) == CONTRACTS[module].tests


def test_all_contracts_are_counted() -> None:
    found = {str(path.relative_to(HERE)) for path in HERE.glob("*/test_contract*.py")}
    assert found == set(CONTRACTS)
