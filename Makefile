# Everything a person or a machine does with this repository. `make help` lists it.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := build

MODULE  := github.com/reeve-scheduler/reeve
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# Empty for tests: the packages that vet has compiled then serve again.
TRIM    ?= -trimpath
LDFLAGS := -s -w -X main.version=$(VERSION)

# The product has no C in it; only the race detector, which is for tests, needs cgo.
export CGO_ENABLED := 0

TOOL := go tool -modfile=tools/go.mod
BUF  := tools/node_modules/.bin/buf
# Servers of S3 and of Azure Blob Storage for tests.
S3   := tools/bin/versitygw
AZURE := tools/azurite/node_modules/.bin/azurite-blob
# gen/ belongs to the generators; nobody formats or lints it by hand.
SOURCES = $(shell git ls-files --cached --others --exclude-standard '*.go' ':!gen/')
# Black-box tests run the built binary; the race detector would only watch the test itself.
BLACKBOX := $(MODULE)/test/

PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: build
build: ## one static binary in bin/
	go build $(TRIM) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

.PHONY: test
test: deps lint vet cross race blackbox ## everything a change must pass

# The order above is by price: a typo is found before the long tests start.
# Rooms with long tests in which nothing is concurrent: pure ones must not be, as internal/tidy sees
# to, and a simulated cluster is one goroutine. The race detector has nothing to find there, and makes
# them four times as long.
ALONE := internal/core internal/plan internal/sim

.PHONY: race
race: ## all tests but the black-box ones, under the race detector where anything is concurrent
	CGO_ENABLED=1 go test -race $$(go list ./... | grep -v '^$(BLACKBOX)' $(foreach room,$(ALONE),| grep -vx '$(MODULE)/$(room)'))
	go test $(addprefix ./,$(ALONE))

.PHONY: blackbox
blackbox: ## tests of the built binary
	@if [ -d test ]; then \
	  if [ -d cmd ]; then $(MAKE) build TRIM=; fi; \
	  echo 'go test ./test/...'; go test -timeout 20m ./test/...; \
	fi
	cd bench && go test ./...

.PHONY: vet
vet: ## what the compiler's own checker finds, on both systems we ship for
	go vet ./...
	GOOS=darwin go vet ./...
	@# It reads /proc, and so runs on Linux alone.
	cd bench && GOOS=linux go vet ./...

.PHONY: lint
lint: format-check ## linters, wire contract
	$(TOOL) golangci-lint run
	cd bench && go tool -modfile=../tools/go.mod golangci-lint run
	@if [ -d proto ]; then $(MAKE) proto-lint; fi

.PHONY: proto-lint
proto-lint: $(BUF) ## the wire contract's own rules
	$(BUF) format --diff --exit-code
	$(BUF) lint
	@# What a release has promised still holds; before the first one nothing is promised.
	@if tag=$$(git describe --tags --abbrev=0 2>/dev/null); then \
	  echo "buf breaking (against $$tag)"; $(BUF) breaking --against ".git#tag=$$tag"; \
	fi

.PHONY: format-check
format-check:
	@bad=$$(gofmt -s -l $(SOURCES)); \
	if [ -n "$$bad" ]; then printf 'not formatted, run "make fmt":\n%s\n' "$$bad" >&2; exit 1; fi

.PHONY: fmt
fmt: ## format Go and proto files
	gofmt -s -w $(SOURCES)
	@if [ -d proto ]; then $(MAKE) proto-fmt; fi

.PHONY: proto-fmt
proto-fmt: $(BUF)
	$(BUF) format --write

.PHONY: generate
generate: $(BUF) ## write gen/ from proto/
	$(BUF) generate --clean

.PHONY: cross
cross: ## compile for every platform we ship
	@for p in $(PLATFORMS); do \
	  echo "go build ./... ($$p)"; \
	  GOOS=$${p%/*} GOARCH=$${p#*/} go build ./...; \
	done

# Flags for the benchmark, such as BENCH='-run W1 -peers=false'.
BENCH ?=
.PHONY: bench
bench: ## measure Reeve and its peers on this machine, into docs/performance.md (nothing else should run)
	@tools/debian.sh peers || echo 'what is missing is not measured' >&2
	cd bench && go run . -write ../docs/performance.md $(BENCH)

.PHONY: bench-plan
bench-plan: ## measure the decision loop alone, on one processor (nothing else should run)
	go test ./internal/plan -run '^$$' -bench 'Place|Vain|Step|Dispersed|Near' -cpu 1 -timeout 0

FUZZTIME ?= 30s
.PHONY: fuzz
fuzz: ## each fuzz test for FUZZTIME (30s)
	@grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -r -n1 dirname | sort -u | while read -r dir; do \
	  for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | sed 's/^func //'); do \
	    echo "$$dir $$f"; go test $$dir -run='^$$' -fuzz="^$$f\$$" -fuzztime=$(FUZZTIME); \
	  done; \
	done

SEEDS ?= 1000
# Other seeds each time; FROM=1 repeats the ones that the tests begin with.
FROM  ?= $(shell date +%s)000
.PHONY: sim
sim: ## whole simulated clusters under faults, from SEEDS (1000) seeds; what breaks prints its seed
	go test ./internal/sim -run 'TestSeeds$$' -v -timeout 0 -sim.from $(FROM) -sim.seeds $(SEEDS)

CHAOS ?= 10m
# Other choices each time; the seed that a run prints repeats its choices.
SEED  ?= 0
.PHONY: chaos
chaos: build ## faults of every kind on the built program under load, for CHAOS (10m); SEED repeats the choices of a run
	REEVE_TEST_BINARY=$(CURDIR)/bin/reeve go test ./test/blackbox -run 'TestChaos$$' -v -timeout 0 -chaos $(CHAOS) -chaos-seed $(SEED)

.PHONY: chaos-servers
chaos-servers: build ## the same with three servers on PostgreSQL, and partitions between any two; as root, on Linux
	REEVE_TEST_BINARY=$(CURDIR)/bin/reeve go test ./test/blackbox -run 'TestChaosServers$$' -v -timeout 0 -chaos $(CHAOS) -chaos-seed $(SEED)

.PHONY: deps
deps: $(BUF) $(S3) $(AZURE) ## install what the tests need beside Go and Node
	@tools/debian.sh
	go mod download

# npm writes the folder's time, not the file's: touch, or make would install for ever.
$(BUF): tools/package-lock.json tools/package.json
	cd tools && npm ci --ignore-scripts
	@touch $@

$(S3): tools/s3/go.mod tools/s3/go.sum
	cd tools/s3 && go build -o ../bin/ -ldflags '-s -w' github.com/versity/versitygw/cmd/versitygw
	@touch $@

$(AZURE): tools/azurite/package-lock.json tools/azurite/package.json
	cd tools/azurite && npm ci --ignore-scripts
	@touch $@

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist
