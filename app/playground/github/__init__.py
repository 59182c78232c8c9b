"""A GitHub on your own machine: stateful, over real git, refusing what GitHub refuses."""

from .api import RequestRecord
from .people import RefusedError
from .records import OtherCi
from .server import serve
from .simulator import GitHub
from .world import AppRegistration

__all__ = ["AppRegistration", "GitHub", "OtherCi", "RefusedError", "RequestRecord", "serve"]
