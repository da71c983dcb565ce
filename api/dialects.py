"""How the paths of another API refuse, whose clients would not understand the task API's way."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from api.answers import Answer, Headers


class Refused(Struct, frozen=True, kw_only=True):
    """A refusal before it is put into words.

    `status` and `text` are those of the task API, `headers` belong to the status. `error` is what
    was raised; it is told to nobody unless it is a refusal of the domain.
    """

    status: int
    text: str
    headers: "Headers" = ()
    error: Exception | None = None


Refuse: TypeAlias = "Callable[[Refused], Answer]"


class Dialect(Struct, frozen=True, kw_only=True):
    """How everything below `prefix` is refused, whether or not there is such an operation.

    With `trailing_slash` a path is the same with a slash at its end; with `write_is_read` who may
    write may read as well.
    """

    prefix: str
    refuse: Refuse
    trailing_slash: bool = False
    write_is_read: bool = False
