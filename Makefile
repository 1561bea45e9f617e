# What a stranger needs: `make demo` shows the main job, `make test` runs every check. Python 3.11+ and make are
# enough to begin with; the rest is installed into .venv, at the versions and hashes of the lock files.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
# Bytecode is kept, whatever the environment says: without it each process that starts compiles for seconds.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
JOBS ?= 3
say = @printf '\n== %s\n'

.PHONY: help
help: ## list these targets
	@printf 'Strayframe catches camera stills that reach the wrong home.\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\nStart with `make demo`. CONTRIBUTING.md is a map of the house.\n'

# --- what people run -------------------------------------------------------------------------------------

.PHONY: demo
demo: .venv/.run ## simulate a leak and catch it, then serve the API on 127.0.0.1:8321 (ONCE=1 ends by itself)
	@$(BIN)/strayframe demo $(if $(ONCE),--once)

.PHONY: test
test: .venv/.test ## every check and every test, against a real Kafka broker and a real PostgreSQL
	@$(MAKE) -j3 --output-sync compiled check services-have
	$(say) tests
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

.PHONY: compiled
compiled: .venv/.test ## compile, once, what the first start would compile: about a minute
	$(say) 'compiling, once: about a minute'
	@$(BIN)/python -c 'from streams.warm import warm; warm()'

.PHONY: check
check: lint types layers ## the checks that take seconds: lint, types, layers

.PHONY: lint
lint: .venv/.test ## ruff: rules and format
	$(say) lint
	@$(BIN)/ruff check
	$(say) format
	@$(BIN)/ruff format --check

.PHONY: types
types: .venv/.test ## mypy, strict
	$(say) types
	@$(BIN)/mypy

.PHONY: layers
layers: .venv/.test ## import-linter: an import points only down
	$(say) layers
	@$(BIN)/lint-imports

.PHONY: unit
unit: .venv/.test ## the tests that need no service
	$(say) 'tests without services'
	@$(BIN)/python -m pytest -m 'not services'

.PHONY: contract
contract: .venv/.test ## schemathesis over the OpenAPI document, for minutes instead of seconds
	$(say) contract
	@CONTRACT_EXAMPLES=200 $(BIN)/python -m pytest -q --timeout 3000 tests/test_contract.py

.PHONY: soak
soak: .venv/.test ## ten minutes under load with everything that goes wrong (tests/soak.py says what)
	$(say) soak
	@$(BIN)/python -m pytest -q -s tests/soak.py

# --- for those who develop -------------------------------------------------------------------------------

.PHONY: services-have
services-have: .venv/.test ## have what the tests' broker and database need: programs and jars
	@$(BIN)/python tests/services.py have

.PHONY: services-up
services-up: .venv/.run ## start a Kafka broker and a PostgreSQL and leave them running; tests then use them
	@$(BIN)/python tests/services.py up

.PHONY: services-down
services-down: ## stop them and delete their data
	@if [ -e .services/state.json ]; then $(BIN)/python tests/services.py down; fi

.PHONY: docker-check
docker-check: .venv/.test ## the Dockerfile's lint, its tests, and compose.yaml as docker-compose reads it
	$(say) docker
	@$(BIN)/hadolint docker/Dockerfile
	@$(BIN)/python -m pytest -q tests/test_docker.py
	@$(BIN)/python tests/programs.py docker-compose >/dev/null
	@docker-compose -f docker/compose.yaml config -q && echo 'docker/compose.yaml: docker-compose accepts it'

.PHONY: bench
bench: .venv/.bench ## all benchmarks beside their peers; tables and pictures go to build/bench (QUICK=1: small sizes)
	@$(BIN)/python benchmarks/run.py $(if $(QUICK),--quick) $(if $(OUT),--out $(OUT))

.PHONY: lock
lock: .venv-lock/bin/uv ## resolve the dependencies of pyproject.toml anew into the lock files
	@rm -f requirements-build.lock requirements.lock requirements-dev.lock requirements-bench.lock
	@$(COMPILE) --group build -o requirements-build.lock
	@$(COMPILE) pyproject.toml --group dev -c requirements-build.lock -o requirements-dev.lock
	@$(COMPILE) pyproject.toml -c requirements-build.lock -c requirements-dev.lock -o requirements.lock
	@$(COMPILE) pyproject.toml --group dev --group bench -c requirements-dev.lock -o requirements-bench.lock

.PHONY: clean
clean: services-down ## delete what was installed, built and cached here
	rm -rf .venv .venv-lock .services .demo build dist *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- how it is set up ------------------------------------------------------------------------------------

.venv/.run: requirements-build.lock requirements.lock pyproject.toml
	@.ci/venv requirements-build.lock requirements.lock
	@touch $@

.venv/.test: requirements-dev.lock pyproject.toml
	@.ci/venv requirements-dev.lock
	@touch .venv/.run $@

.venv/.bench: requirements-bench.lock pyproject.toml
	@.ci/venv requirements-bench.lock
	@touch .venv/.run .venv/.test $@

# The locks name no index and no folder of wheels, whatever the environment that they are made in says.
COMPILE = env -u PIP_FIND_LINKS -u UV_FIND_LINKS UV_CUSTOM_COMPILE_COMMAND='make lock' .venv-lock/bin/uv \
	--no-config pip compile -q --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	--no-emit-index-url --no-emit-find-links

.venv-lock/bin/uv: .venv/.run
	@$(BIN)/python -m venv --clear .venv-lock
	@.venv-lock/bin/python -m pip --disable-pip-version-check -q install uv
