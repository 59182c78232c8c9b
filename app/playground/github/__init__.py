"""A simulated GitHub on this machine: stateful, over real git, refusing what GitHub refuses."""

from .accounts import AppRegistration
from .people import RefusedError
from .records import OtherCi
from .request_log import RequestRecord
from .server import serve
from .simulator import GitHub

__all__ = ["AppRegistration", "GitHub", "OtherCi", "RefusedError", "RequestRecord", "serve"]
