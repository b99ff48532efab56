# triage: "make demo" shows it, "make test" proves it, "make check" is what a change passes before it lands.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
BUILD   := CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)'
TOOLS   := $(CURDIR)/.cache/bin
MODULES := . behind behind/aws
SYSTEMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64

.PHONY: build demo play test check lint vet generate fuzz bench bench-check e2e capture diagnose-score dist clean

build: ## bin/triage for this machine
	$(BUILD) -o bin/triage ./cmd/triage

demo: build ## the whole story on this machine, step by step
	bin/triage demo

play: build ## the same, by itself
	bin/triage demo --play

test: ## everything; installs what the tests need from Debian's packages where it may
	sh e2e/install.sh
	for m in $(MODULES); do (cd $$m && go test -count=1 -timeout 5m ./...) || exit 1; done
	$(MAKE) play

check: vet lint ## format, vet, linters, architecture and all tests under the race detector
	for m in $(MODULES); do (cd $$m && go test -race -timeout 10m ./...) || exit 1; done

vet: ## format, go vet, and the same for darwin
	@test -z "$$(git ls-files '*.go' | xargs gofmt -l | tee /dev/stderr)"
	for m in $(MODULES); do (cd $$m && go vet ./... && GOOS=darwin go vet ./...) || exit 1; done
	GOOS=darwin GOARCH=arm64 $(BUILD) -o /dev/null ./cmd/triage

LINTERS := honnef.co/go/tools/cmd/staticcheck@v0.8.2 github.com/kisielk/errcheck@v1.30.0 \
	github.com/gordonklaus/ineffassign@v0.2.0 github.com/golangci/misspell/cmd/misspell@v0.8.0 \
	github.com/mgechev/revive@v1.17.0

lint: $(TOOLS)/.linters ## staticcheck, errcheck, ineffassign, misspell, revive
	for m in $(MODULES); do (cd $$m && \
		$(TOOLS)/staticcheck ./... && \
		$(TOOLS)/errcheck -exclude $(CURDIR)/.errcheck -ignoretests ./... && \
		$(TOOLS)/ineffassign ./... && \
		$(TOOLS)/revive -config $(CURDIR)/.revive.toml -set_exit_status ./...) || exit 1; done
	git ls-files | xargs $(TOOLS)/misspell -error

$(TOOLS)/.linters: Makefile
	for l in $(LINTERS); do GOBIN=$(TOOLS) go install $$l || exit 1; done
	touch $@

generate: ## documents that are written from tables
	go test . ./internal/control ./internal/dialect ./internal/diagnose -run 'Document|Requests$$' -update

FUZZTIME ?= 1m
fuzz: ## every fuzz target for FUZZTIME
	@for m in $(MODULES); do (cd $$m && for d in $$(go list -f '{{.Dir}}' ./...); do \
		for f in $$(grep -hosE '^func Fuzz[A-Za-z0-9]*' $$d/*_test.go | sed 's/func //'); do \
			echo "$$d $$f" && go test $$d -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x || exit 1; \
		done; done) || exit 1; done

bench: ## benchmarks beside the code
	go test ./... -run '^$$' -bench . -benchmem

e2e: ## the story on real nginx, gunicorn, Django and PostgreSQL alone
	sh e2e/install.sh
	go test -count=1 -v ./e2e

capture: ## records anew what real servers answer to checks and second questions (internal/diagnose/testdata); needs root, and installs what is missing with INSTALL=--install
	sh e2e/capture.sh $(INSTALL)

diagnose-score: ## how many recorded failures are diagnosed rightly: right, undecided and wrong, by stage and origin
	@go test -count=1 -v -run '^Test(Score|Coverage)$$' ./internal/diagnose

BENCH ?= -parts compare,memory,growth,https,storm -targets 1000,10000
bench-check: ## what a check costs beside HAProxy and Caddy, and in a mass failure, into bench/results/check.md (half an hour; BENCH="-parts compare" for less)
	sh bench/install.sh
	go run ./bench/check $(BENCH)

dist: ## static binaries and their checksums
	rm -rf dist && mkdir dist
	for s in $(SYSTEMS); do GOOS=$${s%/*} GOARCH=$${s#*/} $(BUILD) -o dist/triage-$${s%/*}-$${s#*/} ./cmd/triage || exit 1; done
	cd dist && sha256sum triage-* > SHA256SUMS

clean:
	rm -rf bin dist .cache
