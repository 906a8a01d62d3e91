# Two commands do all the set-up on a fresh machine: `make train` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: train test test-neon ascend-grid mutation benchmark clean

# The stamp files are newer than their sources exactly when the environment is up to date.
NATIVE_SOURCES := $(shell find csrc python cmake CMakeLists.txt -type f 2>/dev/null)
BUILD_INPUTS := pyproject.toml setup.py vit_kernels/_version.py $(NATIVE_SOURCES)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.installed: $(BIN)/python $(BUILD_INPUTS)
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

$(VENV)/.installed-test: $(BIN)/python $(BUILD_INPUTS)
	$(BIN)/python -m pip install --quiet -e ".[test]"
	@touch $@ $(VENV)/.installed

## Train a small ViT on the embedded digits through the fused kernels, about a minute on two cores.
train: $(VENV)/.installed
	$(BIN)/python -m vit_kernels.train $(ARGS)

## The whole test suite.
test: $(VENV)/.installed-test
	$(BIN)/python -m pytest $(ARGS)

## Cross-compile the CPU kernels for AArch64 and check them under qemu-user.
test-neon:
	scripts/test-neon.sh

## Every Ascend C kernel x dtype x model width x N x batch on the twin, strict and adversarial (many hours; resumes).
ascend-grid: $(VENV)/.installed-test
	$(BIN)/python scripts/ascend_grid.py $(ARGS)

## Delete each synchronisation of each Ascend C kernel, one at a time: all must be noticed.
mutation: $(VENV)/.installed-test
	$(BIN)/python scripts/mutation.py $(ARGS)

## Fused beside stock, per operator and for the whole model; writes benchmarks/results/.
benchmark: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.run $(ARGS)

clean:
	rm -rf build $(VENV) vit_kernels/_lib vit_kernels/_native*.so
