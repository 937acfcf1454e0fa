# Everything a person does with this project. `make` lists it.

PYTHON ?= python3
BIN := .venv/bin
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

.DEFAULT_GOAL := help
.PHONY: help run serve chats migrate test lint format lock clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/run ## Serve on 127.0.0.1:8000; without GROQ_API_KEY a simulator stands in for Groq
	@exec $(BIN)/python -m app

serve: .venv/run ## Serve with gunicorn and WEB_CONCURRENCY workers, as in production; needs a GROQ_API_KEY
	@exec $(BIN)/python -m gunicorn --config deploy/gunicorn.conf.py

chats: .venv/run ## Show the last chats
	@$(BIN)/python -m app chats

migrate: .venv/run ## Bring the database in DATABASE_URL up to date
	@$(BIN)/python -m app migrate

test: .venv/dev ## Run all tests; what they need (PostgreSQL, a simulated Groq), they start themselves
	@$(BIN)/python -m pytest

lint: .venv/dev ## Check style, types, the Dockerfile and the compose file
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

format: .venv/dev ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: .venv/dev ## Resolve the newest versions that pyproject.toml allows
	@echo uv | $(BIN)/$(COMPILE) --upgrade - -o requirements-uv.txt
	@$(BIN)/$(COMPILE) --upgrade pyproject.toml -o requirements.txt
	@$(BIN)/$(COMPILE) --upgrade -c requirements.txt --group dev pyproject.toml -o requirements-dev.txt

clean: ## Remove the environment and the caches, never data
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# uv installs from the hashed locks in a second; pip, which every Python brings, installs uv.
.venv/uv: requirements-uv.txt
	@echo "Creating .venv ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	@touch $@

.venv/run: .venv/uv requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements.txt
	@touch $@

.venv/dev: .venv/uv requirements.txt requirements-dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements-dev.txt
	@touch $@ .venv/run
