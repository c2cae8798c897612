"""What the kit's functions leave in place until the test ends, where somebody says when that is: pytest does."""

from collections.abc import Callable
from typing import Final


class Endings:
    """What is to be done when the test ends. ``are_told``: somebody will call `run` then."""

    def __init__(self) -> None:
        self.are_told = False
        self._endings: list[Callable[[], None]] = []

    def add(self, ending: Callable[[], None]) -> None:
        self._endings.append(ending)

    def run(self) -> None:
        """Do what there is to be done, the last that was added first."""
        while self._endings:
            self._endings.pop()()


endings: Final = Endings()
