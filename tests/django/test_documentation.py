"""What the app makes public is documented; its modules can be imported only where Django is set up."""

import pytest

from tests.support.documentation import MODULES, assert_documented, assert_examples_are_true


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("fasthits.django")])
def test_the_app_is_documented(name: str) -> None:
    assert_documented(name)
    assert_examples_are_true(name)
