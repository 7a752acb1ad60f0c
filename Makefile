# A thin layer over the CMake presets, and the two commands of the README: `make run`, `make test`.
# What is missing on a Debian machine is installed by tools/need.sh; a machine that has it all needs no network.
.DEFAULT_GOAL := build
.PHONY: build run test bench install check-install clean asan tsan debug coverage aarch64 levels fuzz mutants format help
.PHONY: bench-peers bench-compare
.NOTPARALLEL:

PREFIX ?= /usr/local
sample := models/SmolLM2-135M-Instruct.Q4_1.gguf
MODEL ?= $(sample)
TEST_MODELS ?= smollm2 gemma3
FUZZ_SECONDS ?= 20
MUTANTS ?= 100000
CTEST_FLAGS ?=
# The prompt goes through the environment as it is: no shell and no make reads it.
ANDIRON_PROMPT := $(value PROMPT)
export ANDIRON_PROMPT

jobs := $(shell nproc)
ctest = ctest --output-on-failure --no-tests=error -j $(jobs) $(CTEST_FLAGS) --test-dir
program := build/release/bin/andiron

# package=command: any source of the command will do
build_packages := gcc=gcc libc6-dev cmake=cmake ninja-build=ninja pkg-config=pkg-config \
  libjansson-dev libpcre2-dev libutf8proc-dev libedit-dev
test_packages := $(build_packages) libcmocka-dev clang-format=clang-format python3-pip=pip3
fuzz_packages := $(test_packages) clang=clang libclang-rt-dev
aarch64_packages := $(test_packages) gcc-aarch64-linux-gnu=aarch64-linux-gnu-gcc qemu-user=qemu-aarch64 \
  libc6-dev-arm64-cross libjansson-dev:arm64 libpcre2-dev:arm64 libutf8proc-dev:arm64 libedit-dev:arm64 libcmocka-dev:arm64

help: ## this list
	@sed -n 's/^\([a-z0-9 -]*\):.*## \(.*\)/  make \1@\2/p' Makefile | awk -F@ '{ printf "%-24s %s\n", $$1, $$2 }'
	@echo "Variables: PROMPT, MODEL (run, bench), PREFIX, DESTDIR (install), CTEST_FLAGS (tests), FUZZ_SECONDS, MUTANTS"

build: ## build the program: build/release/bin/andiron
	@tools/need.sh $(build_packages)
	@tools/build.py release program $(if $(wildcard build/release/build.ninja),,-DANDIRON_TESTS=OFF)

# What fetches the sample model is installed together with what builds the program.
run bench: build_packages += $(if $(wildcard $(sample)),,python3-pip=pip3)

run: build $(filter $(sample),$(MODEL)) ## answer PROMPT with MODEL (default: the sample model); without PROMPT, converse
	@if [ -n "$$ANDIRON_PROMPT" ]; then exec $(program) run "$(MODEL)" -- "$$ANDIRON_PROMPT"; \
	elif [ -t 0 ]; then exec $(program) run "$(MODEL)"; \
	else exec $(program) run "$(MODEL)" "What is an andiron? Answer in one sentence."; fi

test: ## build everything and run all tests
	@tools/need.sh $(test_packages)
	@python3 tools/get_models.py $(TEST_MODELS)
	@tools/build.py release all -DANDIRON_TESTS=ON
	@$(ctest) build/release

bench: build $(filter $(sample),$(MODEL)) ## measure MODEL on this machine
	@$(program) bench "$(MODEL)"

# QUICK=1: a few rows in three minutes, only printed; otherwise the table of docs/performance.md is written anew.
bench-peers: build ## build both peers from PyPI, measure all three, write docs/performance.md
	@tools/need.sh g++=c++ git=git python3-venv python3-pip=pip3 $(if $(shell grep -m1 amx_tile /proc/cpuinfo),clang-16=clang-16)
	@python3 tools/get_models.py smollm2 gemma3
	@python3 bench/peers.py build/bench
	@python3 bench/run.py $(if $(QUICK),--quick,--json docs/performance.json --page docs/performance.md)

bench-compare: build $(sample) ## the speed of this tree beside the previous commit's
	@tools/need.sh git=git
	@python3 bench/compare.py

install: build ## install under PREFIX (and DESTDIR)
	@DESTDIR="$(DESTDIR)" cmake --install build/release --prefix "$(PREFIX)"

check-install: build $(sample) ## install into an empty folder, and use all that is there
	@tools/need.sh g++=c++ binutils=readelf man-db=man zsh=zsh fish=fish
	@MODEL="$(sample)" tools/check_install.sh build/release

asan tsan debug: ## all tests in a debug build, or under AddressSanitizer and UBSan, or under ThreadSanitizer
	@tools/need.sh $(test_packages)
	@tools/build.py $@ all
	@$(ctest) build/$@

coverage: ## all tests, then the lines they ran, by room
	@tools/need.sh $(test_packages)
	@find build/coverage -name '*.gcda' -delete 2>/dev/null || true
	@tools/build.py coverage all
	@$(ctest) build/coverage
	@python3 tools/coverage.py build/coverage

aarch64: ## cross build, and the tests under qemu-user
	@tools/need.sh $(aarch64_packages)
	@tools/build.py aarch64 all
	@ANDIRON_TESTS_EMULATED=1 ANDIRON_TEST_PATIENCE=20 $(ctest) build/aarch64 -E '^style'

levels: ## x86-64: the program and its bits on CPUs without AVX-512 and without AVX, under qemu-user
	@tools/need.sh $(test_packages) qemu-user=qemu-x86_64
	@tools/build.py release all -DANDIRON_TESTS=ON
	@python3 tools/get_models.py smollm2
	@tools/levels.sh build/release $(sample)

mutants: ## MUTANTS wrong files of every kind through the loaders, under ASan and UBSan
	@tools/need.sh $(test_packages)
	@tools/build.py asan all
	@tools/mutants.sh build/asan $(MUTANTS)

fuzz: ## live fuzzing of every target for FUZZ_SECONDS each
	@tools/need.sh $(fuzz_packages)
	@tools/build.py fuzz all
	@tools/fuzz.sh build/fuzz $(FUZZ_SECONDS)

format: ## rewrite the C files in the project's style
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean: ## remove what was built (models stay)
	rm -rf build

$(sample):
	@python3 tools/get_models.py smollm2
