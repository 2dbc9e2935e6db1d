# Two commands do all the set-up: `make demo` shows the main job, `make test` runs the tests.
# Both make .venv with what they need; as root they also install what is missing of Debian's packages.

PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/bash
# Python keeps what it has compiled, as it does for users: tests start thousands of processes.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
# Much of the tests waits, so there are more workers than cores. The tests are shared by files, in the order of tests/conftest.py.
WORKERS ?= 5
SPREAD := --dist loadfile --no-loadscope-reorder
.PHONY: help demo page programs installed test test-builds coverage test-python test-pythons deb test-deb lint docs bench instructions clean

help:
	@echo "make demo   build, roll a sample log up, and count it live into a memcached of its own"
	@echo "make page   the web page on what make demo has counted, until Ctrl-C"
	@echo "make test   lint, types, tests with real servers, benchmarks as tests"
	@echo "make test-builds  the other tests: the builds (with sanitizers, of two clones, as README says), the instructions of the core"
	@echo "make installed  what make test needs of Python's packages"
	@echo "make test-pythons  the tests with each Python from 3.11 on that is here"
	@echo "make coverage  which lines of fasthits the tests run, with pages in build/coverage/html"
	@echo "make deb    a Debian package in build/deb; make test-deb installs it into a new Debian in a folder and uses it there"
	@echo "make lint   only the checks of the source: ruff, mypy, stubtest, cython-lint"
	@echo "make docs   the manual as a site, in build/site"
	@echo "make bench  seconds for a day of 1 GB, of fasthits and of other programs, with the targets"
	@echo "make instructions  what the core takes for a line, counted by callgrind; RECORD=1 writes it down"
	@echo "make clean  remove all that these have made"

# $(call need,COMMAND THAT TELLS WHETHER IT IS THERE,PACKAGES): installs them as root, else says so and stops.
need = $(1) >/dev/null 2>&1 || { \
	if [ "$$(id -u)" = 0 ]; then .ci/install $(2); \
	else echo "Missing: $(2). Install with: sudo .ci/install $(2)" >&2; false; fi; }

# An installer would look for long at which versions of the tests' packages an older Python could have.
NEW_ENOUGH = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fasthits needs Python 3.11 or newer")'
HEADERS = import ensurepip, os, sysconfig; assert os.path.exists(sysconfig.get_paths()["include"] + "/Python.h")
# uv takes a third of pip's time. Where it cannot install, pip may: pip's settings can name a mirror. The pip that comes
# with Python 3.11 would take four minutes to choose the packages of the tests, a new one takes half a minute.
INSTALLERS = install --quiet --disable-pip-version-check --upgrade pip 'uv>=0.9,<1'
INSTALL = @install() { echo "Installing $$*"; $(BIN)/uv pip install --quiet --python $(BIN)/python "$$@" || \
	$(BIN)/pip install --quiet --disable-pip-version-check "$$@"; }; install
SOURCES = pyproject.toml setup.py fasthits/__init__.py $(wildcard fasthits/*.pyx fasthits/core/*.pxd fasthits/core/*.h)

.venv/made:
	@$(call need,command -v $(PYTHON),python3)
	@$(NEW_ENOUGH)
	@$(call need,$(PYTHON) -c '$(HEADERS)',python3-venv python3-dev)
	@$(call need,command -v gcc,gcc libc6-dev)
	$(PYTHON) -m venv .venv
	$(BIN)/pip $(INSTALLERS)
	@touch $@

.venv/installed: $(SOURCES) | .venv/made
	$(INSTALL) --editable .
	@touch $@

.venv/installed-dev: $(SOURCES) | .venv/made
	$(INSTALL) --editable '.[dev]'
	@touch .venv/installed $@

.venv/installed-bench: .venv/installed-dev
	$(INSTALL) --editable '.[dev,bench]'
	@touch $@

.venv/installed-web: .venv/installed
	$(INSTALL) --editable '.[web]'
	@touch $@

demo: .venv/installed
	@$(call need,command -v memcached,memcached) || true
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash benchmarks/demo.sh

page: .venv/installed-web
	@$(call need,command -v memcached,memcached)
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash benchmarks/demo.sh page

# A checker of accessibility that looks at the web page, in a package that needs nothing else of it; it is not shipped.
build/axe: | .venv/made
	$(INSTALL) --no-deps --upgrade --target $@ axe-playwright-python==0.1.8
	@touch $@

# Found first on PYTHONPATH, before what .venv has: the oldest Django, and the newest typer.
.venv/others: | .venv/made
	$(INSTALL) --upgrade --target $@ 'django~=4.2.0' 'typer<1'
	@touch $@

# User agents to measure on, test data of two packages; they are not shipped. No dependency of them is needed.
build/agents: | .venv/made
	$(INSTALL) --no-deps --upgrade --target $@ device-detector==6.5.1 fake-useragent==2.2.0
	@touch $@

# What the tests start, as COMMAND or COMMAND=PACKAGE.
PROGRAMS := $(PYTHON)=python3 gcc memcached apache2=apache2-bin nginx=nginx-light cronolog logrotate haproxy \
	stunnel=stunnel4 nutcracker postgres=postgresql chromium-headless-shell chromedriver=chromium-driver \
	systemd-analyze=systemd setfacl=acl faketime ip=iproute2 mount valgrind man=man-db openssl

# All that is missing is named at once, and before anything is made.
programs:
	@PATH="$$PATH:/usr/sbin:/sbin:$$(echo /usr/lib/postgresql/*/bin | tr ' ' :)"; \
	missing=$$(echo $$(for each in $(PROGRAMS); do command -v $${each%=*} >/dev/null || echo $${each#*=}; done)); \
	$(PYTHON) -c '$(HEADERS)' 2>/dev/null || missing="$$missing python3-venv python3-dev"; \
	$(call need,[ -z "$$missing" ],$$missing)

# The Python packages that the tests need.
installed: .venv/installed-dev .venv/others build/agents build/axe

PYTEST = FASTHITS_REQUIRE_SERVERS=1 $(BIN)/python -m pytest
# Slow files are first, so that all workers end together. The old Django and the new typer come after,
# without the tests that run in processes of their own for long; with PostgreSQL only what makes SQL of its own.
OLD := -m 'not slow' -k 'not postgresql or test_parse_log.py or test_models.py'
test: programs installed
	$(PYTEST) tests benchmarks --benchmark-disable -m 'not builds' -n $(WORKERS) $(SPREAD)
	PYTHONPATH=.venv/others $(PYTEST) tests/django tests/cli/test_help_and_mistakes.py $(OLD) -n $(WORKERS) $(SPREAD)

test-builds: programs installed
	$(PYTEST) tests benchmarks --benchmark-disable -m builds -n $(WORKERS) $(SPREAD)

# Which lines of fasthits tests run, in percent and as pages. Slow tests add next to nothing to it. Some tests fail as
# long as each process imports coverage and writes a file, and a process that is killed leaves a file that is cut off.
coverage: programs installed
	rm -rf build/coverage
	-FASTHITS_REQUIRE_SERVERS=1 $(BIN)/python -m coverage run -m pytest $(or $(TESTS),tests --ignore=tests/test_source.py) \
		-m 'not slow' -n $(WORKERS) $(SPREAD)
	PYTHONWARNINGS=ignore $(BIN)/python -m coverage combine --quiet
	rm -f build/coverage/data.*
	$(BIN)/python -m coverage html --quiet --fail-under=0
	$(BIN)/python -m coverage report

# With another Python, in an environment of its own: make test-python PYTHON=python3.13 TESTS=tests/rules
TESTS ?= tests --ignore=tests/test_source.py
test-python: BIN = build/python/bin
test-python:
	@$(NEW_ENOUGH)
	$(PYTHON) -m venv build/python
	$(BIN)/pip $(INSTALLERS)
	$(INSTALL) --editable '.[tests]' $(if $(WITH),'$(WITH)')
	$(BIN)/python -m pytest $(TESTS) -n $(WORKERS) $(SPREAD)

# With each Python that is here. PYTHONS='/opt/3.13/bin/python ...' names others.
PYTHONS ?= python3.11 python3.12 python3.13 python3.14 python3.14t
test-pythons:
	@for each in $(PYTHONS); do \
		if ! $$each -c '' 2>/dev/null; then echo "Not here: $$each"; continue; fi; \
		rm -rf build/python; $(MAKE) test-python PYTHON=$$each || exit 1; \
	done

# A package for the Debian or Ubuntu of this machine, built from the source archive.
deb: .venv/installed-dev
	@$(call need,command -v dh && /usr/bin/python3 -c '$(HEADERS)',dpkg-dev debhelper gcc libc6-dev python3-dev python3-venv)
	rm -rf build/deb && mkdir -p build/deb
	$(BIN)/python setup.py -q sdist --formats=gztar --dist-dir build/deb
	tar -xzf build/deb/fasthits-*.tar.gz -C build/deb && rm build/deb/*.tar.gz && mv build/deb/fasthits-* build/deb/source
	printf 'fasthits (%s) unstable; urgency=medium\n\n  * CHANGELOG.md tells.\n\n -- %s  %s\n' \
		"$$($(BIN)/python -c 'import fasthits; print(fasthits.__version__)')" 'fasthits contributors <fasthits@localhost>' \
		"$$(date -R)" >build/deb/source/debian/changelog
	cd build/deb/source && dpkg-buildpackage --build=binary --no-sign
	rm -r build/deb/source

# Installs the package into a new Debian in a folder that is then removed, and uses it there. As root, or in a user namespace.
test-deb: deb
	@$(call need,command -v mmdebstrap,mmdebstrap)
	mmdebstrap --variant=apt --include=memcached,nginx-light,systemd,man-db \
		--customize-hook='sync-in build/deb /root' --customize-hook='copy-in debian/tests/installed /root' \
		--customize-hook='chroot "$$1" sh -c "apt-get install -y --no-install-recommends /root/*.deb && sh /root/installed"' \
		"$$(. /etc/os-release; echo $$VERSION_CODENAME)" /dev/null

lint: .venv/installed-dev
	$(BIN)/python -m pytest tests/test_source.py

# The renewed pages are part of the repository; the site is not.
docs: .venv/installed-dev
	$(BIN)/python -m docs.reference
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "Open build/site/index.html"

# What is missing of the rivals is named in the table; BENCH=4GB and the like for one part.
bench: .venv/installed-bench
	@for each in gawk goaccess memcached jq igzip=isal; do $(call need,command -v $${each%=*},$${each#*=}) || true; done
	$(BIN)/python -m benchmarks $(BENCH)

instructions: .venv/installed-dev
	@$(call need,command -v valgrind,valgrind)
	$(BIN)/python -m benchmarks.instructions $(if $(RECORD),--record)

clean:
	rm -rf .venv build dist wheelhouse demo *.egg-info fasthits/*.so fasthits/*.c fasthits/*.html
