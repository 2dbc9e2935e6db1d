# Two commands do all the set-up: `make demo` shows the main job, `make test` runs every check.
# Both make .venv with what they need; as root they also install what is missing of Debian's packages.

PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo page test lint bench instructions clean

help:
	@echo "make demo   build, roll a sample log up, and count it live into a memcached of its own"
	@echo "make page   the web page on what make demo has counted, until Ctrl-C"
	@echo "make test   everything that is checked: lint, types, tests with real servers, benchmarks as tests"
	@echo "make lint   ruff, mypy, stubtest, cython-lint alone"
	@echo "make bench  seconds for a day of 1 GB beside those of other programs, and what they are to be"
	@echo "make instructions  what the core takes for a line, counted by callgrind; RECORD=1 writes it down"
	@echo "make clean  remove all that these have made"

# $(call need,COMMAND THAT TELLS WHETHER IT IS THERE,PACKAGES): installs them as root, else says so and stops.
need = $(1) >/dev/null 2>&1 || { \
	if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -qq -y --no-install-recommends $(2) >/dev/null; \
	else echo "Missing: $(2). Install with: sudo apt-get install $(2)" >&2; false; fi; }

HEADERS = import ensurepip, os, sysconfig; assert os.path.exists(sysconfig.get_paths()["include"] + "/Python.h")
SOURCES = pyproject.toml setup.py fasthits/__init__.py $(wildcard fasthits/*.pyx fasthits/core/*.pxd)

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

.venv/installed-bench: .venv/installed-dev
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,bench]'
	@touch $@

.venv/installed-web: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[web]'
	@touch $@

demo: .venv/installed
	@$(call need,command -v memcached,memcached) || true
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash benchmarks/demo.sh

page: .venv/installed-web
	@$(call need,command -v memcached,memcached)
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash benchmarks/demo.sh page

# A checker of accessibility that looks at the web page; it is not shipped.
AXE := build/npm/node_modules/axe-core/axe.min.js

$(AXE):
	@$(call need,command -v npm,npm)
	npm install --silent --no-save --no-package-lock --prefix build/npm axe-core@4

# Before the newest Django that .venv has: the oldest that is supported, found first on PYTHONPATH.
.venv/django-4.2: .venv/installed-dev
	$(BIN)/pip install --quiet --disable-pip-version-check --target $@ --upgrade 'django~=4.2.0'
	@touch $@

# User agents to measure on, test data of two packages; they are not shipped. No dependency of them is needed.
build/agents: .venv/installed-dev
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $@ \
		device-detector==6.5.1 fake-useragent==2.2.0
	@touch $@

test: .venv/installed-dev .venv/django-4.2 build/agents $(AXE)
	@$(call need,command -v memcached,memcached)
	@$(call need,test -x /usr/sbin/apache2,apache2-bin)
	@$(call need,command -v cronolog,cronolog)
	@$(call need,command -v logrotate,logrotate)
	@$(call need,command -v systemd-analyze,systemd)
	@$(call need,command -v setfacl,acl)
	@$(call need,command -v faketime,faketime)
	@$(call need,command -v haproxy,haproxy)
	@$(call need,command -v stunnel,stunnel4)
	@$(call need,command -v nutcracker,nutcracker)
	@$(call need,command -v ip,iproute2)
	@$(call need,test -x /usr/sbin/nginx,nginx-light)
	@$(call need,command -v valgrind,valgrind)
	@$(call need,command -v man,man-db)
	@$(call need,ls /usr/lib/postgresql/*/bin/postgres,postgresql)
	@$(call need,command -v chromium,chromium)
	@$(call need,command -v chromedriver,chromium-driver)
	FASTHITS_REQUIRE_SERVERS=1 $(BIN)/python -m pytest tests benchmarks --benchmark-disable
	FASTHITS_REQUIRE_SERVERS=1 PYTHONPATH=.venv/django-4.2 $(BIN)/python -m pytest tests/django

lint: .venv/installed-dev
	$(BIN)/python -m pytest tests/test_source.py

# What is missing of the rivals is named in the table; BENCH='--size 4GB' and the like for other logs.
bench: .venv/installed-bench
	@for each in gawk goaccess memcached igzip=isal; do $(call need,command -v $${each%=*},$${each#*=}) || true; done
	$(BIN)/python -m benchmarks $(BENCH)

instructions: .venv/installed-dev
	@$(call need,command -v valgrind,valgrind)
	$(BIN)/python -m benchmarks.instructions $(if $(RECORD),--record)

clean:
	rm -rf .venv build dist demo *.egg-info fasthits/*.so fasthits/*.c fasthits/*.html
