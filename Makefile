# Everything a contributor runs. The first run sets up what it needs; later runs start at once.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: demo test quick lint format schema tables lock bench faults trust probe security fuzz audit check-all check-bare pictures docs dist clean

export TOOLCHAINS ?=
PYTHON ?= $(shell .ci/find-python)
BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes
NOT_SLOW = $(if $(CI)$(ALL_TESTS),,-m "not slow")

demo: .venv/runtime | system            ## a GitHub on this machine, an issue, and Honk at work on it
	@$(BIN)/python -m app playground $(ARGS)

# FLEET=1, which the stories read, tells them with two `honk web` and three `honk worker` on Postgres.
# TOOLCHAINS=none leaves out Go, Rust, Java and Maven, and says so at the end.
test: .venv/dev .venv/claude-code .venv/docs toolchains tests/contract/node_modules/.stamp | system    ## lint, types and tests; ALL_TESTS=1 adds the slow ones, as CI does; ARGS go to pytest
ifeq ($(strip $(ARGS)),)
	@$(MAKE) --no-print-directory lint
	@$(if $(NOT_SLOW),echo "Skipping the slow tests (ALL_TESTS=1 runs them, as CI does).")
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(NOT_SLOW) $$(.ci/skip-unchanged)
else
	@$(BIN)/python -m pytest $(ARGS)
endif

quick: .venv/dev toolchains tests/contract/node_modules/.stamp | system               ## lint, types, import contract and unit tests, in about a minute
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest tests/unit --ignore tests/unit/playground -m "not slow" -n 2 --dist loadfile -q $(ARGS)

lint: .venv/dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: .venv/dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: .venv/dev | system               ## measures, never gates; ONLY=name,name
	@$(BIN)/python -m benchmarks $(ARGS)

faults: .venv/dev .venv/claude-code toolchains tests/contract/node_modules/.stamp | system    ## the fault bench, resumable; ONLY=kill, model, github, slack, chaos, deliveries or machine, ON=postgres, SEED=1, AGAIN=1
	@$(BIN)/python -m tests.faults $(if $(ONLY),--only $(ONLY)) $(if $(ON),--on $(ON)) $(if $(SEED),--seed $(SEED)) $(if $(AGAIN),--again)

trust: .venv/dev toolchains | system    ## cheats with their controls, honest changes, real releases, combinations; resumable; ONLY=word, SEED=1, AGAIN=1
	@$(BIN)/python -m tests.cheats $(if $(ONLY),--only "$(ONLY)") $(if $(SEED),--seed $(SEED)) $(if $(AGAIN),--again)

probe: .venv/dev toolchains | system    ## small repositories and real packages, set up without a policy; resumable; needs registries; ONLY=word, AGAIN=1
	@$(BIN)/python -m tests.probe $(if $(ONLY),--only "$(ONLY)") $(if $(AGAIN),--again)

security: .venv/dev .venv/claude-code | system            ## what hostile code, texts and requests try, and what stops each; resumable; ONLY=word, AGAIN=1
	@$(BIN)/python -m tests.security $(if $(ONLY),--only "$(ONLY)") $(if $(AGAIN),--again)

audit: .venv/dev                        ## what is locked, against a public database; needs the network
	@$(BIN)/python -m tests.supply.audit

fuzz: .venv/dev                         ## 100,000 random examples for every parser of untrusted input; resumable; ONLY=word, AGAIN=1
	@$(BIN)/python -m tests.fuzz $(if $(ONLY),--only "$(ONLY)") $(if $(AGAIN),--again)

check-all: test trust security faults fuzz audit ## all that a release has to pass

check-bare:                             ## the README's commands in bare roots of Debian 12 and 13; needs root; ONLY=bookworm
	@for suite in $(or $(ONLY),bookworm trixie); do \
		.ci/bare-root $$suite 'make demo ARGS=--once && make test' || exit 1; \
	done

pictures: .venv/dev | system            ## the story as pictures in docs/pictures
	@$(BIN)/python -m tests.browser.pictures
	@$(BIN)/python -m tests.browser.slack_pictures

dist: .venv/dev                         ## the wheel and the source distribution, in dist/
	@$(BIN)/python -m hatchling build -d dist

docs: .venv/docs                        ## the documentation as a site in dist/docs; a broken link fails
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env \
		-c docs -d .cache/docs . dist/docs
	@echo "Open dist/docs/index.html."

schema: .venv/dev                       ## docs/*.schema.json and docs/policy-reference.md, from the code
	@$(BIN)/python -c 'from app.domain.policy import json_schema; print(json_schema(), end="")' \
		> docs/honk.schema.json
	@$(BIN)/python -m tests.support.policy_reference
	@$(BIN)/python -c 'from app.playground.model import script_schema; print(script_schema(), end="")' \
		> docs/script.schema.json

tables: .venv/dev                       ## The tables of docs/verification.md, from the code
	@$(BIN)/python -m tests.support.verdict_tables

lock: .venv/dev                         ## bring every lock file up to the newest versions allowed
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 --extra playground pyproject.toml -c requirements.lock -o requirements-playground.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 --extra dev pyproject.toml -c requirements.lock -o requirements-dev.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 --group toolchains -o requirements-toolchains.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 --extra claude-code pyproject.toml -c requirements.lock -o requirements-claude-code.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 --extra slack pyproject.toml -c requirements.lock -o requirements-slack.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 --group docs -c requirements-dev.lock -o requirements-docs.lock

.PHONY: system
system:
	@.ci/system-packages $(if $(filter test quick pictures faults check-all,$(MAKECMDGOALS)),test $(TOOLCHAINS))

.PHONY: toolchains
toolchains: | .venv/bin/python
	@.ci/toolchains install $(TOOLCHAINS)

.venv/bin/python: | system
	@$(PYTHON) -m venv .venv

.venv/runtime: requirements-playground.lock | .venv/bin/python
	@echo "Installing what Honk needs into .venv (once) ..."
	@$(PIP_INSTALL) -r requirements-playground.lock
	@touch $@

.venv/dev: requirements-dev.lock pyproject.toml | .venv/bin/python
	@echo "Installing what Honk and its tests need into .venv (once) ..."
	@$(PIP_INSTALL) -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@ .venv/runtime

# The engine claude-code and Claude Code itself, for its tests; TOOLCHAINS=none leaves them out.
.venv/claude-code: requirements-claude-code.lock | .venv/dev
ifneq ($(TOOLCHAINS),none)
	@echo "Installing claude-agent-sdk with Claude Code (178 MB to download, 385 MB on disk) ..."
	@$(PIP_INSTALL) -r requirements-claude-code.lock
	@touch $@
endif

# Sphinx, its theme and its Markdown parser.
.venv/docs: requirements-docs.lock | .venv/dev
	@$(PIP_INSTALL) -r requirements-docs.lock
	@touch $@

tests/contract/node_modules/.stamp: tests/contract/package-lock.json | system toolchains
	@echo "Fetching GitHub's and Slack's descriptions of their APIs (once) ..."
	@cd tests/contract && PATH="$(CURDIR)/.cache/toolchains/node/bin:$$PATH" npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

clean:
	rm -rf .venv .cache tests/contract/node_modules
