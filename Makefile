# Needs Python 3.11 and make; everything else is installed into .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# setuptools warns at every editable install of folders that might hide the package.
PIP := PYTHONWARNINGS="ignore:Editable installation" $(BIN)/python -m pip install --quiet --constraint constraints.txt
SITE := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
# A process for each core; the tests of a file stay together, for they share what they train. One that a hanging test
# has ended does not come back, else it would begin with that test again.
PYTEST := $(BIN)/pytest -n auto --dist loadfile --max-worker-restart=0

.PHONY: install run test test-all docs dist reliability coverage mutation benchmark-cluster benchmark-everywhere benchmark-features benchmark-feedback benchmark-ranking benchmark-ratings benchmark-retrieval benchmark-scale benchmark-serving benchmark-speed benchmark-training benchmark-training-on benchmark-transfer benchmark-update clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24"
	$(PIP) --editable .
	touch $@

$(VENV)/.tested: $(INSTALLED)
	$(PIP) --editable ".[dev]"
	touch $@

run: $(INSTALLED)  ## the main job on embedded data
	$(BIN)/belfry run

test: $(VENV)/.tested  ## lint, types and the plain tests; with BELFRY_DATA also those on real data
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(SITE) --quiet
	$(PYTEST) $(if $(BELFRY_DATA),-m "not slow")

test-all: $(VENV)/.tested  ## every test; needs BELFRY_DATA
	$(PYTEST) -m ""

docs: $(VENV)/.tested  ## the pages as a site in build/site
	$(SITE)

dist: $(VENV)/.tested  ## wheel, source and notes of a release in dist/, tried in an environment of its own
	$(PIP) --editable ".[release]"
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*
	sed -n '/^## /,$${p}' CHANGELOG.md | sed '1d;/^## /,$$d' > dist/NOTES.md
	$(PYTHON) -m venv dist/try
	dist/try/bin/python -m pip install --quiet --constraint constraints.txt dist/*.whl
	cd dist/try && BELFRY_ARTIFACTS= bin/belfry run
	rm -rf dist/try

coverage: $(VENV)/.tested  ## branches that the tests take, child processes too; fails below 95% of one of the rooms
	rm -rf build/coverage && mkdir -p build/coverage
	COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml COVERAGE_FILE=$(CURDIR)/build/coverage/data $(PYTEST) -m "not slow and not realdata" \
		--deselect tests/pipeline/cli/test_console.py::test_a_signal_at_each_line_around_the_work  # it traces by itself
	$(BIN)/coverage combine --quiet --data-file=build/coverage/data build/coverage
	for room in dataset evaluation pipeline; do \
		echo "$$room:" && $(BIN)/coverage report --data-file=build/coverage/data --include="$$room/*" --fail-under=95 || exit 1; \
	done

mutation: $(VENV)/.tested  ## docs/results/mutation.md: small changes of the code that no test notices; an hour
	$(PIP) --editable ".[mutation]"
	$(BIN)/python -m benchmarks.mutation

reliability: $(VENV)/.tested  ## docs/results/reliability.md: every fault, attack and load, tried for real; an hour
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.reliability

benchmark-everywhere: $(VENV)/.tested  ## docs/results/everywhere.md; fails where a plain rule is not beaten; needs BELFRY_DATA
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.everywhere --check

benchmark-feedback: $(VENV)/.tested  ## the figures of docs/results/feedback.md, some minutes; on generated data
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.feedback

benchmark-features: $(VENV)/.tested  ## the figures of docs/results/features.md, two hours; needs BELFRY_DATA
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.features

benchmark-cluster: $(VENV)/.tested  ## the figures of docs/results/cluster.md, ten minutes; on generated data
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.cluster

benchmark-ranking: $(VENV)/.tested  ## the figures of docs/results/ranking.md, hours; needs BELFRY_DATA
	$(BIN)/python -m benchmarks.ranking --rankers all

benchmark-retrieval: $(VENV)/.tested  ## the leaderboard of docs/results/retrieval.md, hours; needs BELFRY_DATA
	$(BIN)/python -m benchmarks.leaderboard

benchmark-scale: $(VENV)/.tested  ## the figures of docs/results/scale.md, half an hour; on generated data
	$(BIN)/python -m benchmarks.scale

benchmark-serving: $(VENV)/.tested  ## the figures of docs/results/serving.md, half an hour; needs BELFRY_DATA
	$(BIN)/python -m benchmarks.serving

benchmark-speed: $(VENV)/.tested  ## the figures of docs/results/speed.md, less than half an hour; needs BELFRY_DATA
	$(BIN)/python -m benchmarks.speed

benchmark-training: $(VENV)/.tested  ## the figures of docs/results/training-speed.md; needs BELFRY_DATA
	$(BIN)/python -m benchmarks.training_speed

benchmark-training-on: $(VENV)/.tested  ## the figures of docs/results/training-on.md, ten minutes; needs BELFRY_DATA
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.training_on

benchmark-update: $(VENV)/.tested  ## the figures of docs/results/update.md, some minutes; needs BELFRY_DATA
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.update
benchmark-ratings: $(VENV)/.tested  ## the figures of docs/results/ratings.md and rating-deviations.md; needs BELFRY_DATA
	$(PIP) --editable ".[peers]"
	$(BIN)/python -m benchmarks.ratings
	$(BIN)/python -m benchmarks.rating_deviations

benchmark-transfer: $(VENV)/.tested  ## the figures of docs/results/transfer.md; needs BELFRY_DATA
	$(PIP) --editable ".[peers]"
	$(BIN)/python -m benchmarks.transfer

clean:
	rm -rf $(VENV)
