"""The app's public names are documented. Its modules can only be imported after Django is set up."""

import pytest

from tests.support.documentation import MODULES, assert_documented, assert_examples_are_true


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("fasthits.django")])
def test_the_app_is_documented(name: str) -> None:
    assert_documented(name)
    assert_examples_are_true(name)
