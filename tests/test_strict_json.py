"""JSON that others wrote: what is wrong, and where."""

import pytest

from zsgen.core import errors, strict_json


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"x\.json, line 1: is not JSON \(Expecting value"),
        (b'{"a":\n 1,\n "b" 2}', r"line 3: is not JSON \(.*column 6\)"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' is there twice"),
        (b'{"a":\n' * 2000, r"line 501: is not JSON \(nested too deeply\)"),
        (
            b"[" + b'"[[[[", ' * 900 + b"\n" + b"[" * 5000,
            r"line 2: is not JSON \(nested too deeply\)",
        ),
        (b"\n[" + b"7" * 5000 + b"]", r"line 2: .*more than 4,300 digits"),
        (b'"\xff"', "is not UTF-8"),
    ],
)
def test_every_problem_is_one_message(tmp_path, content, message):
  path = tmp_path / "x.json"
  path.write_bytes(content)
  with pytest.raises(errors.InputError, match=message) as error:
    strict_json.read(path, "Mend it.")
  assert str(error.value).endswith(" Mend it.")


def test_a_missing_file(tmp_path):
  with pytest.raises(errors.InputError, match="cannot be read"):
    strict_json.read(tmp_path / "x.json")


def test_a_byte_order_mark_is_skipped(tmp_path):
  path = tmp_path / "x.json"
  path.write_bytes(b'\xef\xbb\xbf{"a": "\\u0000\\ud83d\\ude00"}')
  assert strict_json.read(path) == {"a": "\0\N{GRINNING FACE}"}


def test_configs_may_repeat_a_key(tmp_path):
  """Reads as the programs that write them do, which take the last one."""
  path = tmp_path / "x.json"
  path.write_text('{"a": 1, "a": 2}')
  assert strict_json.read(path, unique=False) == {"a": 2}
