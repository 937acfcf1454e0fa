# Commands for development and operation. `make` lists them.

PYTHON ?= python3
BIN := .venv/bin
PYTEST = $(if $(COVERAGE),$(BIN)/coverage erase; )PYTHONDONTWRITEBYTECODE= $(BIN)/$(if $(COVERAGE),coverage run,python) -m pytest --numprocesses=auto --durations=10
REPORT = $(if $(COVERAGE),; code=$$?; $(BIN)/coverage combine --quiet && $(BIN)/coverage report; exit $$code)
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

COMMA := ,
PYTHONS := $(shell sed -n 's/.*Python :: \(3\.[0-9]*\)".*/\1/p' pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help run serve chats live trace migrate prune check-groq stack stack-down test test-all test-repeat mutation-test loadtest chaos leak-test bench seed pictures fuzz image lint rename format dashboards lock lock-check audit pin release-notes clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/run ## Serve on 127.0.0.1:8000, without GROQ_API_KEY with a simulated Groq; RELOAD=1 restarts on changes of the code
	@exec $(BIN)/python -m app run $(if $(RELOAD),--reload)

serve: .venv/run ## Serve with gunicorn and WEB_CONCURRENCY workers, as in production; needs a GROQ_API_KEY
	@exec $(BIN)/python -m gunicorn --config deploy/gunicorn.conf.py

chats: .venv/run ## Show the latest chats; ARGS="--outcome upstream_error --since 1h"
	@$(BIN)/python -m app chats $(ARGS)

live: .venv/run ## Show the running chats of all workers, every second
	@$(BIN)/python -m app live

trace: .venv/run ## Show the trace of the latest chat, or of ID=...
	@$(BIN)/python -m app trace $(ID)

migrate: .venv/run ## Migrate the database in DATABASE_URL to the latest schema
	@$(BIN)/python -m app migrate

prune: .venv/run ## Delete chats older than OLDER_THAN=90d, or of END_USER=id, while the service runs
	@$(if $(OLDER_THAN)$(END_USER),,echo "say what to delete: make prune OLDER_THAN=90d, or END_USER=id" >&2; exit 2)
	@$(BIN)/python -m app prune $(if $(END_USER),--end-user "$(END_USER)") $(if $(OLDER_THAN),--older-than "$(OLDER_THAN)")

check-groq: .venv/run ## Compare Groq with docs/groq.md; needs a GROQ_API_KEY, sends six small requests
	@$(BIN)/python -m app check-groq

stack: ## Start the service, PostgreSQL, Redis, Prometheus, Alertmanager, Grafana and Jaeger in Docker
	@docker compose up --build --wait --wait-timeout 300
	@echo "The service  http://$$(docker compose port app 8000)"
	@echo "Grafana      http://$$(docker compose port grafana 3000)"
	@echo "Prometheus   http://$$(docker compose port prometheus 9090)"
	@echo "Alertmanager http://$$(docker compose port alertmanager 9093)"
	@echo "Jaeger       http://$$(docker compose port jaeger 16686)"

stack-down: ## Stop the containers; rows and metrics remain in their volumes
	@docker compose down

test: .venv/dev ## Run the tests, in about four minutes on two cores; includes PostgreSQL and a simulated Groq; COVERAGE=1
	@$(PYTEST) -m "not long and not needs"$(REPORT)

test-all: .venv/dev ## Run all tests: also long ones, and those that need a browser, Prometheus, Alertmanager, nginx, Redis or Node; ENGINE=docker COVERAGE=1
	@$(PYTEST)$(REPORT)

test-repeat: .venv/dev ## Repeat `make test` in random order; TIMES=10 HOG=1 IGNORE_SIGINT=1
	@$(BIN)/python -m tests.repeat $(if $(TIMES),--times $(TIMES)) $(if $(HOG),--hog $(HOG)) $(if $(IGNORE_SIGINT),--ignore-sigint)

mutation-test: .venv/dev ## List changes of code that no test notices, within an hour; SAMPLE=300 SEED=0 MODULES=app/db/writer.py
	@VIRTUAL_ENV=.venv $(BIN)/uv run --quiet --no-project --python $(BIN)/python --with mutmut==3.8.1 \
		--with libcst==1.9.0 python -m tests.mutation \
		$(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) $(MODULES)

loadtest: .venv/dev ## Run locust and check the SLOs; USERS=100 DURATION=60s SHAPE=spike|overload FAULTS=cuts WEB=1 HOST=http://...
	@$(BIN)/python -m loadtests.locust $(if $(USERS),--users "$(USERS)") $(if $(DURATION),--run-time "$(DURATION)") \
		$(if $(SHAPE),--shape "$(SHAPE)") $(addprefix --fault ,$(subst $(COMMA), ,$(FAULTS))) $(if $(HOST),--host "$(HOST)") \
		$(if $(filter-out 0,$(WEB)),--web) $(if $(PROCESSES),--processes "$(PROCESSES)")

chaos: .venv/dev ## Kill workers and the database under load, and compare receipts with rows; STREAMS=2000 SEED=0
	@$(BIN)/python -m loadtests.chaos $(if $(STREAMS),--streams $(STREAMS)) $(if $(SEED),--seed $(SEED))

leak-test: .venv/dev ## End chats with every outcome and check for leaks; CHATS=10000 SEED=0
	@$(BIN)/python -m loadtests.leak_test $(if $(CHATS),--chats $(CHATS)) $(if $(SEED),--seed $(SEED))

bench: .venv/dev ## Compare the cost with nginx and without signals, into docs/performance.md, or with BASE=HEAD~1; ONLY=cost,ttft QUICK=1
	@$(BIN)/python -m loadtests.bench $(addprefix --only ,$(subst $(COMMA), ,$(ONLY))) $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(BASE),--base "$(BASE)") $(if $(BASE_PYTHON),--base-python "$(BASE_PYTHON)") \
		$(if $(TENSORZERO),--tensorzero "$(TENSORZERO)")

seed: .venv/dev ## Insert ROWS=100000 generated chats of the last year into DATABASE_URL
	@$(BIN)/python -m loadtests.seed $(if $(ROWS),--rows $(ROWS))

pictures: .venv/dev ## Take the pictures in README and docs; needs Chromium
	@$(BIN)/python -m loadtests.pictures

fuzz: .venv/dev ## Send CASES=20000 random inputs to the service, which it starts itself
	@$(BIN)/python -m tests.fuzz --cases $(or $(CASES),20000)

image: .venv/dev ## Build and test the image; ENGINE=podman instead of Docker
	@ENGINE=$(or $(ENGINE),docker) $(BIN)/python -m pytest tests/deploy/test_image.py -rP

lint: .venv/dev ## Check style, types, security, dashboards, Dockerfile, compose, workflows and Kubernetes manifests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/bandit --quiet --recursive app migrations deploy
	@$(BIN)/mypy
	@cd deploy/grafana && ../../$(BIN)/mypy --cache-dir ../../.mypy_cache/grafana --config-file ../../pyproject.toml build.py
	@$(BIN)/python deploy/grafana/build.py --check
	@cd deploy/k8s && ../../$(BIN)/mypy --cache-dir ../../.mypy_cache/k8s --config-file ../../pyproject.toml check.py
	@$(BIN)/python deploy/k8s/check.py
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	@if docker compose version >/dev/null 2>&1; then docker compose config --quiet; fi

rename: ## Give the project its own name: NAME=my-chat TITLE="My chat" REPOSITORY=owner/my-chat
	@$(PYTHON) deploy/scripts/rename.py "$(NAME)" --title "$(TITLE)" --repository "$(REPOSITORY)"

format: .venv/dev ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

dashboards: .venv/dev ## Generate Grafana's dashboards from deploy/grafana/panels
	@$(BIN)/python deploy/grafana/build.py

lock: .venv/dev ## Lock the newest versions that pyproject.toml allows
	@echo uv | $(BIN)/$(COMPILE) --upgrade - -o requirements-uv.txt
	@$(BIN)/$(COMPILE) --upgrade pyproject.toml -o requirements.txt
	@$(BIN)/$(COMPILE) --upgrade -c requirements.txt --group dev pyproject.toml -o requirements-dev.txt

lock-check: .venv/uv ## Check that the locks install, from wheels only, on every supported Python
	@for version in $(PYTHONS); do for lock in requirements.txt requirements-dev.txt; do \
		$(BIN)/uv pip install --quiet --dry-run --target .venv/lock-check --python-version $$version --only-binary :all: --require-hashes -r $$lock \
			&& echo "$$lock installs on $$version" || exit 1; done; done

audit: .venv/dev ## Fail if a locked package has a known vulnerability, or could not be looked up; needs the internet
	@$(BIN)/python deploy/scripts/audit.py

pin: ## Pin the base image of the Dockerfile to its current digest; needs Docker
	@image=$$(sed -n 's/^FROM \(python:[^@ ]*\).*/\1/p' Dockerfile | head -1) \
		&& digest=$$(docker buildx imagetools inspect "$$image" --format '{{.Manifest.Digest}}') \
		&& sed "s|^FROM $$image[^ ]*|FROM $$image@$$digest|" Dockerfile > Dockerfile.pinned && mv Dockerfile.pinned Dockerfile && grep '^FROM' Dockerfile

release-notes: ## Check that the files name VERSION=1.2.3, and print its section of CHANGELOG.md
	@$(PYTHON) deploy/scripts/release.py "$(VERSION)"

clean: ## Remove the environment and caches, but no data
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage*

# uv installs the hashed locks in a second; pip, which is part of every Python, installs uv.
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
