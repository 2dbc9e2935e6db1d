# Two commands do all the set-up: `make demo` shows the main job, `make test` runs every check.
# Both make .venv with what they need; as root they also install what is missing of Debian's packages.

PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test lint bench clean

help:
	@echo "make demo   build, roll a sample log up, and count it live into a memcached of its own"
	@echo "make test   everything that is checked: lint, types, tests with real servers, benchmarks as tests"
	@echo "make lint   ruff, mypy, stubtest, cython-lint alone"
	@echo "make bench  GB/s of each stage beside wc -l and awk"
	@echo "make clean  remove all that these have made"

# $(call need,COMMAND THAT TELLS WHETHER IT IS THERE,PACKAGES): installs them as root, else says so and stops.
need = $(1) >/dev/null 2>&1 || { \
	if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -qq -y --no-install-recommends $(2) >/dev/null; \
	else echo "Missing: $(2). Install with: sudo apt-get install $(2)" >&2; exit 1; fi; }

HEADERS = import ensurepip, os, sysconfig; assert os.path.exists(sysconfig.get_paths()["include"] + "/Python.h")
SOURCES = pyproject.toml setup.py fasthits/__init__.py $(wildcard fasthits/*.p[xy][dx])

.venv/installed: $(SOURCES)
	@$(call need,command -v $(PYTHON),python3)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fasthits needs Python 3.11 or newer")'
	@$(call need,$(PYTHON) -c '$(HEADERS)',python3-venv python3-dev)
	@$(call need,command -v gcc,gcc libc6-dev)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: .venv/installed
	@$(call need,command -v memcached,memcached) || true
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash benchmarks/demo.sh

# Before the newest Django that .venv has: the oldest that is supported, found first on PYTHONPATH.
.venv/django-4.2: .venv/installed-dev
	$(BIN)/pip install --quiet --disable-pip-version-check --target $@ --upgrade 'django~=4.2.0'
	@touch $@

test: .venv/installed-dev .venv/django-4.2
	@$(call need,command -v memcached,memcached)
	@$(call need,test -x /usr/sbin/apache2,apache2-bin)
	@$(call need,command -v cronolog,cronolog)
	@$(call need,ls /usr/lib/postgresql/*/bin/postgres,postgresql)
	@$(call need,command -v chromium && command -v chromedriver,chromium chromium-driver)
	FASTHITS_REQUIRE_SERVERS=1 $(BIN)/python -m pytest tests benchmarks --benchmark-disable
	FASTHITS_REQUIRE_SERVERS=1 PYTHONPATH=.venv/django-4.2 $(BIN)/python -m pytest tests/django_app

lint: .venv/installed-dev
	$(BIN)/python -m pytest tests/test_source.py

bench: .venv/installed-dev
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv build dist demo *.egg-info fasthits/*.so fasthits/*.c fasthits/*.html
