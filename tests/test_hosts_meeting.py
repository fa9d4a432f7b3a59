"""How processes meet before jax starts; threads stand for them here."""

from concurrent import futures
import contextlib
import json
import socket
import struct
import threading
import time

import pytest

from zsgen.core import errors
from zsgen.core.hosts import addresses, agreement, frames, meeting, reception

FACTS = {"config.seed": "0", "config.train.learning_rate": "0.0003"}


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
  """Shortens the times that a test waits."""
  monkeypatch.setattr(reception, "_GRACE", 0.3)
  monkeypatch.setattr(reception, "_GREETING", 0.3)
  monkeypatch.setattr(meeting, "_FOREIGN", 0.5)
  monkeypatch.setattr(meeting, "_WELCOME", 0.3)
  monkeypatch.setattr(meeting, "_JAX", 20)


@pytest.fixture
def address():
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    return addresses.Address("127.0.0.1", free.getsockname()[1])


@pytest.fixture
def meet(address):
  """Lets processes meet; each is (count, index) or (count, index, facts)."""

  def join(count, index, facts=FACTS, wait=20.0, target=address):
    try:
      meeting.meet(target, count, index, facts, wait)
    except errors.InputError as error:
      return str(error)
    if index == 0:  # The port is free at once: it is jax's now.
      jax.enter_context(_listening(address.port))
    return ""

  def meet_all(*members, **kwargs) -> list[str]:
    """Returns the error of each process; "" if they agree."""
    with futures.ThreadPoolExecutor(len(members)) as pool:
      return [*pool.map(lambda member: join(*member, **kwargs), members)]

  with contextlib.ExitStack() as jax:
    yield meet_all


def _listening(port: int) -> socket.socket:
  """A listener on all interfaces, as jax and other programs have."""
  if not socket.has_dualstack_ipv6():
    return socket.create_server(("", port), backlog=100)
  return socket.create_server(
      ("", port), backlog=100, family=socket.AF_INET6, dualstack_ipv6=True
  )


def test_all_agree(meet):
  assert meet((3, 2), (3, 0), (3, 1)) == [""] * 3


def test_ipv6(meet, address):
  try:
    socket.create_server(("::1", 0), family=socket.AF_INET6).close()
  except OSError:
    pytest.skip("no IPv6 here")
  target = addresses.parse(f"[::1]:{address.port}", "option")
  assert meet((2, 0), (2, 1), target=target) == ["", ""]


def test_a_port_that_is_forwarded(meet, address, monkeypatch):
  """Connects others to another port than the one on which jax listens."""
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
  monkeypatch.setenv("JAX_COORDINATOR_BIND_ADDRESS", f"[::]:{port}")
  (message,) = meet((2, 0), wait=0.5)  # Nobody forwards it here.
  assert f"process 0 cannot reach itself at {address}" in message
  forwarded = address._replace(port=port)
  (message,) = meet((2, 0), wait=0.5, target=forwarded)
  assert f"process 1 of 2 did not connect to {forwarded}" in message


def test_a_difference_is_one_message_for_all(meet):
  other_facts = {**FACTS, "config.train.learning_rate": "0.001"}
  messages = meet((4, 0), (4, 1), (4, 2, other_facts), (4, 3, other_facts))
  assert {*messages} == {
      "the processes of this run do not agree: config.train.learning_rate is"
      " 0.0003 in process 0 and 0.001 in processes 2 and 3. Start all processes"
      " by the same command, with the same config, the same installation and"
      " the same files."
  }


@pytest.mark.parametrize("members", [[(3, 0), (2, 1)], [(2, 0), (3, 2)]])
def test_a_different_count_is_reported(meet, members):
  """Checks that it is reported although neither sees all that it awaits."""
  first, second = meet(*members)
  assert first == second
  (first_count, _), (second_count, index) = members
  assert (
      f"config.machine.hosts.count is {first_count} in process 0 and"
      f" {second_count} in process {index}. Start all" in first
  )


@pytest.mark.parametrize("index", [0, 1])
def test_two_processes_with_one_index_are_reported(meet, index):
  messages = meet((3, 0), (3, 1), (3, index))
  assert len({*messages}) == 1
  assert (
      f"two processes have the number {index} (config.machine." in messages[0]
  )
  assert "from 0 to 2" in messages[0]


def test_a_missing_process_is_reported(meet, address):
  messages = meet((3, 0), (3, 2), wait=0.5)
  assert messages[0] == messages[1]
  assert messages[0].startswith(
      f"process 1 of 3 did not connect to {address} within 0.5 seconds"
      " (config.machine.hosts.wait). Start all 3 processes"
  )


def test_a_missing_process_0_is_reported(meet, address):
  (message,) = meet((2, 1), wait=0.5)
  assert f"process 1 cannot reach process 0 at {address}" in message
  assert "Connection refused. Start process 0 within" in message


@pytest.mark.parametrize("index", [0, 1])
def test_an_unknown_host(meet, address, index):
  nowhere = address._replace(host="nowhere.invalid")
  (message,) = meet((2, index), wait=0.5, target=nowhere)
  assert f" at nowhere.invalid:{address.port} after" in message
  assert "the host is not known" in message
  assert "config.machine.hosts.coordinator (JAX_COORDINATOR_ADDRESS)" in message


def test_what_ends_process_0_ends_the_others(meet, address):
  nowhere = address._replace(host="nowhere.invalid")

  with futures.ThreadPoolExecutor(1) as pool:
    second = pool.submit(meet, (2, 1))
    (first,) = meet((2, 0), wait=0.5, target=nowhere)
    assert second.result() == [first]


def test_a_stop_of_process_0_ends_the_others(meet, address, monkeypatch):
  welcome = threading.Event()
  send, call = reception.Reception._send, meeting._Caller.call

  def sent(room, *args):
    send(room, *args)
    welcome.set()

  def stop(caller):
    if caller._hello.index:
      call(caller)
    assert welcome.wait(20)
    raise KeyboardInterrupt

  monkeypatch.setattr(reception.Reception, "_send", sent)
  monkeypatch.setattr(meeting._Caller, "call", stop)
  with futures.ThreadPoolExecutor(1) as pool:
    second = pool.submit(meet, (2, 1))
    with pytest.raises(KeyboardInterrupt):
      meeting.meet(address, 2, 0, FACTS, 20)
    message = "process 0 was stopped while the processes met."
    assert second.result() == [message]


def test_a_port_used_by_another_program(meet, address):
  with _listening(address.port):
    messages = meet((2, 0), (2, 1))
  assert f"process 0 cannot listen on port {address.port}" in messages[0]
  assert "Address already in use" in messages[0]
  assert "another program, or a run that has begun" in messages[1]


def test_a_port_that_becomes_free(meet, address):
  old = _listening(address.port)
  with futures.ThreadPoolExecutor(2) as pool:
    pending = pool.submit(meet, (2, 0), (2, 1))
    time.sleep(0.2)
    old.close()
    assert pending.result() == ["", ""]


STRANGERS = {
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "garbage": bytes(range(256)) * 300,
    "silent": b"",
    "a part": frames.MAGIC,
    "too long": frames.MAGIC + struct.pack(">I", 2**32 - 1),
    "no json": frames.MAGIC + struct.pack(">I", 3) + b"{{{",
    "no object": frames.pack([1]),
    "deep": frames.MAGIC + struct.pack(">I", 10**5) + b"[" * 10**5,
    "no greeting": frames.pack({"index": 0}),
    "wrong types": frames.pack(dict(index=True, origin="", token="", facts={})),
    "controls": frames.pack(
        dict(index=1, origin="\x1b[2J", token="", facts={"a": "b"})
    ),
    "no facts": frames.pack(dict(index=1, origin="", token="", facts={"a": 1})),
}


@pytest.mark.parametrize("sent", STRANGERS.values(), ids=STRANGERS)
def test_unrelated_connections_are_ignored(meet, address, sent):
  with (
      futures.ThreadPoolExecutor(1) as pool,
      contextlib.ExitStack() as stack,
  ):
    first = pool.submit(meet, (2, 0))
    stranger = stack.enter_context(_connected(address))
    with contextlib.suppress(OSError):
      stranger.sendall(sent)
    stranger.settimeout(10)
    with contextlib.suppress(ConnectionResetError):
      assert stranger.recv(100) == b""  # It is closed in the end.
    meeting.meet(address, 2, 1, FACTS, 20)
    assert first.result() == [""]


def _connected(address) -> socket.socket:
  while True:
    with contextlib.suppress(ConnectionRefusedError):
      return meeting._connect(address)
    time.sleep(0.01)


def test_a_flood_of_silent_connections(meet, address, monkeypatch):
  monkeypatch.setattr(reception, "_GREETING", 60)
  with (
      futures.ThreadPoolExecutor(1) as pool,
      contextlib.ExitStack() as stack,
  ):
    first = pool.submit(meet, (2, 0))
    for _ in range(200):
      stack.enter_context(_connected(address))
    meeting.meet(address, 2, 1, FACTS, 20)
    assert first.result() == [""]


def test_a_lost_process_may_reconnect(meet, address):
  hello = reception.Hello(1, "", "gone", {})
  with futures.ThreadPoolExecutor(1) as pool:
    first = pool.submit(meet, (3, 0))
    with _connected(address) as connection:
      facts = {"config.machine.hosts.count": "3", **FACTS}
      message = {**hello.to_message(), "facts": facts}
      connection.sendall(frames.pack(message))
      assert frames.receive(connection, 10)["seconds"] > 0
    time.sleep(0.3)
    rest = meet((3, 1), (3, 2))
    assert [*first.result(), *rest] == [""] * 3


def test_frames_in_pieces():
  message = {"index": 1, "facts": {"a": "ü" * 99}}
  reader, data = frames.Reader(), frames.pack(message)
  for byte in data[:-1]:
    assert reader.add(bytes([byte])) is None
  assert reader.add(data[-1:]) == message
  with pytest.raises(ValueError, match="bytes"):
    frames.pack({"a": "a" * frames.MOST_BYTES})


def test_messages_name_the_differences():
  first = {"a": "1", "b": "2", "c": "3", "d": "4", "e": "5"}
  comparison = agreement.Comparison(first)
  comparison.add(1, first)
  assert comparison.message() == ""
  comparison.add(2, {**first, "a": "9"})
  comparison.add(4, {**first, "a": "9"})
  comparison.add(5, {"a": "8", "b": "2", "z": "1"})
  message = comparison.message()
  assert (
      "a is 1 in process 0, 9 in processes 2 and 4 and 8 in process 5;"
      " c is 3 in process 0 and (absent) in process 5;" in message
  )
  assert "e is 5 in process 0 and (absent) in process 5; and 1 more" in message


def test_long_values_are_shortened_and_stay_distinct():
  long, similar = "x" * 1000, "x" * 999 + "y"
  assert agreement.fact(long) != agreement.fact(similar)
  assert len(agreement.fact(long)) < 120
  assert json.loads(agreement.fact("ü\x1b")) == "ü\x1b"
  assert agreement.fact("ü\x1b").isascii()


def test_processes_are_named():
  assert agreement.processes([3]) == "process 3"
  assert agreement.processes([9, 1, 4, 7, 8]) == "processes 1, 4 and 7 to 9"
  assert agreement.processes(range(0, 99, 2)).endswith("and 42 more groups")
