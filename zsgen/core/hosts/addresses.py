"""Parses addresses of the form HOST:PORT, such as jax's coordinator's."""

import ipaddress
import re
from typing import NamedTuple

from zsgen.core import errors

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_LONGEST = 253  # Characters of a name in the DNS.


class Address(NamedTuple):
  """The address at which process 0 listens.

  Attributes:
    host: a name, or an IP address without brackets.
    port: 1 to 65535.
  """

  host: str
  port: int

  def __str__(self) -> str:
    host = f"[{self.host}]" if ":" in self.host else self.host
    return f"{host}:{self.port}"


def parse(text: str, option: str) -> Address:
  """Parses HOST:PORT; an IPv6 address must be in brackets.

  Args:
    text: such as "10.0.0.1:1234", "node001:1234" or "[::1]:1234".
    option: the option that has this value, for the message.

  Raises:
    InputError: the host or the port is missing or invalid.
  """
  host, _, port = text.rpartition(":")
  bare = host[1:-1] if host.startswith("[") and host.endswith("]") else ""
  if not (bare and _is_ipv6(bare)) and not (
      _NAME.fullmatch(host) and len(host) <= _LONGEST
  ):
    raise errors.InputError(
        f"{option} is {_quote(text)}; it must be HOST:PORT, the host of"
        " process 0 and a free port there, such as 'node001:1234',"
        " '10.0.0.1:1234' or '[::1]:1234'."
    )
  if not re.fullmatch("[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
    raise errors.InputError(
        f"{option} is {_quote(text)}; its port is {_quote(port)}, which must"
        " be a number from 1 to 65535, of a port that is free on the host of"
        " process 0."
    )
  return Address(bare or host, int(port))


def _is_ipv6(text: str) -> bool:
  """Returns whether a text is an IPv6 address, without brackets."""
  try:
    ipaddress.IPv6Address(text)
  except ValueError:
    return False
  return True


def _quote(text: str) -> str:
  return repr(text if len(text) <= 80 else f"{text[:80]}…")
