# Two commands do everything on a fresh clone: make demo, make test.
# PYTHON is the interpreter that both environments are made from.
PYTHON ?= $(shell for p in python3.11 python3; do $$p -c '' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
OUT := build/hybrid
SEEDS ?= 3
PARALLEL := -n auto --dist loadfile
STREAM := --input $(OUT)/test.npz --carry astrocytes

.PHONY: setup demo models test test-all check format clean

setup: .venv/ready .venv-lava/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --no-deps snntorch spikingjelly loguru
	touch $@

.venv-lava/ready: targets/lava_cpu/make_environment.py targets/lava_cpu/requirements.txt
	$(PYTHON) targets/lava_cpu/make_environment.py .venv-lava
	touch $@

demo: setup
	$(BIN)/python models/hybrid/train.py --out $(OUT)
	$(BIN)/astrodeploy compile $(OUT)/model.pt --target loihi2 -o $(OUT)/loihi2.astro
	$(BIN)/astrodeploy run $(OUT)/loihi2.astro $(STREAM) --samples 100 --engine torch --engine fast --engine lava:10
	$(BIN)/astrodeploy compile $(OUT)/model.pt --target loihi1 --freeze-astrocytes -o $(OUT)/loihi1.astro
	$(BIN)/astrodeploy run $(OUT)/loihi1.astro --input $(OUT)/test.npz --samples 100 --engine torch --engine fast --engine lava:10
	$(BIN)/astrodeploy verify $(OUT)/loihi2.astro $(STREAM) --samples 10
	$(BIN)/astrodeploy estimate $(OUT)/loihi2.astro $(STREAM) --samples 100
	$(BIN)/astrodeploy report $(OUT)/loihi2.astro $(STREAM) --samples 100 \
		--engines oracle,fast,lava,brian2 -o $(OUT)/report.html

models: setup
	$(BIN)/python models/study.py --seeds $(SEEDS)

test: setup
	$(BIN)/python -m pytest $(PARALLEL) -m 'not slow'

test-all: setup
	HYPOTHESIS_PROFILE=drawn $(BIN)/python -m pytest $(PARALLEL)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) test

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .venv-lava build
