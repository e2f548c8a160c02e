.DEFAULT_GOAL := help
.PHONY: help setup check test demo clean

help:  ## Show what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## Install what development and tests need
	hack/test-setup

check:  ## Format, lint, types, layers, generated files, unit tests: under 90 s
	hack/check

test:  ## Everything: check, integration, and the system on a real cluster
	hack/test

demo:  ## From a fresh clone to a finished run on a real cluster
	hack/demo

clean:  ## Take the cluster down and remove what was built
	hack/clean
