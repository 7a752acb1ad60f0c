# A thin layer over the CMake presets, and the two commands of the README: `make run`, `make test`.
# What is missing on a Debian machine is installed by tools/need.sh; a machine that has it all needs no network.
.DEFAULT_GOAL := build
.PHONY: build run test bench install clean asan tsan coverage aarch64 fuzz format help build-needs test-needs

PREFIX ?= /usr/local
sample := models/SmolLM2-135M-Instruct.Q4_1.gguf
MODEL ?= $(sample)
TEST_MODELS ?= smollm2 gemma3
FUZZ_SECONDS ?= 20
CTEST_FLAGS ?=
# The prompt goes through the environment as it is: no shell and no make reads it.
ANDIRON_PROMPT := $(value PROMPT)
export ANDIRON_PROMPT

jobs := $(shell nproc)
ctest = ctest --output-on-failure -j $(jobs) $(CTEST_FLAGS) --test-dir
program := build/release/bin/andiron

build_packages := gcc=gcc libc6-dev cmake=cmake ninja-build=ninja pkg-config=pkg-config \
  libjansson-dev libpcre2-dev libutf8proc-dev libedit-dev
test_packages := $(build_packages) libcmocka-dev clang-format=clang-format
sanitizer_packages := $(test_packages) valgrind=valgrind
fuzz_packages := $(test_packages) clang=clang
aarch64_packages := $(test_packages) gcc-aarch64-linux-gnu=aarch64-linux-gnu-gcc qemu-user=qemu-aarch64 \
  libc6:arm64 libjansson-dev:arm64 libpcre2-dev:arm64 libutf8proc-dev:arm64 libedit-dev:arm64 libcmocka-dev:arm64

help: ## this list
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/  make \1@\2/p' Makefile | awk -F@ '{ printf "%-18s %s\n", $$1, $$2 }'
	@echo "Variables: PROMPT, MODEL (run, bench), PREFIX, DESTDIR (install), CTEST_FLAGS (test), FUZZ_SECONDS (fuzz)"

build: build-needs build/release/build.ninja ## build the program: build/release/bin/andiron
	@cmake --build build/release --target program

run: build $(filter $(sample),$(MODEL)) ## answer PROMPT with MODEL (default: the sample model); without PROMPT, converse
	@if [ -n "$$ANDIRON_PROMPT" ]; then exec $(program) run "$(MODEL)" -- "$$ANDIRON_PROMPT"; \
	elif [ -t 0 ]; then exec $(program) run "$(MODEL)"; \
	else exec $(program) run "$(MODEL)" "What is an andiron? Answer in one sentence."; fi

test: test-needs ## build everything and run all tests
	@python3 tools/get_models.py $(TEST_MODELS)
	@cmake --preset release -DANDIRON_TESTS=ON >/dev/null
	@cmake --build build/release
	@$(ctest) build/release

bench: build $(filter $(sample),$(MODEL)) ## measure MODEL on this machine
	@$(program) bench "$(MODEL)"

install: build ## install under PREFIX (and DESTDIR)
	@DESTDIR="$(DESTDIR)" cmake --install build/release --prefix "$(PREFIX)"

asan: ## all tests under AddressSanitizer and UBSan
	@tools/need.sh $(test_packages)
	@cmake --preset asan >/dev/null
	@cmake --build build/asan
	@$(ctest) build/asan

tsan: ## all tests under ThreadSanitizer
	@tools/need.sh $(test_packages)
	@cmake --preset tsan >/dev/null
	@cmake --build build/tsan
	@$(ctest) build/tsan

coverage: ## all tests, then lines covered, by file
	@tools/need.sh $(test_packages) lcov=lcov
	@cmake --preset coverage >/dev/null
	@cmake --build build/coverage
	@$(ctest) build/coverage
	@lcov -q --capture --directory build/coverage --output-file build/coverage/all.info
	@lcov -q --extract build/coverage/all.info '*/src/*' '*/apps/*' --output-file build/coverage/ours.info
	@lcov --list build/coverage/ours.info

aarch64: ## cross build, and all tests under qemu-user
	@tools/need.sh $(aarch64_packages)
	@cmake --preset aarch64 >/dev/null
	@cmake --build build/aarch64
	@$(ctest) build/aarch64

fuzz: ## live fuzzing of every target for FUZZ_SECONDS each
	@tools/need.sh $(fuzz_packages)
	@cmake --preset fuzz >/dev/null
	@cmake --build build/fuzz
	@tools/fuzz.sh build/fuzz $(FUZZ_SECONDS)

format: ## rewrite the C files in the project's style
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean: ## remove what was built (models stay)
	rm -rf build

build-needs:
	@tools/need.sh $(build_packages)
test-needs:
	@tools/need.sh $(test_packages)

build/release/build.ninja: | build-needs
	@cmake --preset release -DANDIRON_TESTS=OFF

$(sample):
	@python3 tools/get_models.py smollm2
