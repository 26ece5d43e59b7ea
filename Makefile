# Everything that takes more than one line lives in scripts/.

.PHONY: help run test bench stop build lint format clean
.DEFAULT_GOAL := help

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

run: ## install, build, start everything, run a first session, serve (ONCE=1: end after the session)
	@scripts/run

test: ## every test, against a real PostgreSQL and a real Docker engine (FILTER=name: only those)
	@scripts/test

bench: ## every promised figure beside Docker's, as a table and in .execbox/bench.json (RUNS=20, ONLY='exec- create-')
	@scripts/bench

stop: ## end what 'make run' has left running, and remove its bridge, rules and mounts
	@scripts/stop

build: ## the server, the command line and the agent, in release mode
	@scripts/build

lint: ## check the format of the Swift sources, and the scripts
	@scripts/lint

format: ## format the Swift sources
	@scripts/format

clean: ## 'make stop', then remove everything built, and this clone's development data
	@scripts/clean
