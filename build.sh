#!/usr/bin/env bash
# Builds, serves and tests Roentgen. `./build.sh --help` says what there is; scripts/tools.sh installs what is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=scripts/tools.sh
source scripts/tools.sh

# The wasm modules: the variants of the one that judges films, of which www/src/modules.ts downloads one; the same variants
# with the bindings for training, downloaded where somebody trains; and the decoders that are added for films in rarer
# formats, and for DICOM, small rather than fast. For each: name, which is its folder under www/src/pkg; cargo features; then any rustc
# flags on top of those in .cargo/config.toml (simd128). With a `+atomics` among them the standard library is built here
# too: the one that Rust ships has no atomics.
#
# Shared memory has to name its largest size: 2 GiB, reserved, not used, and more than twice what training may take. The
# `export`s are what wasm-bindgen sets up each thread's own variables with.
#
# They do without the places of panics, 7 KB of what everybody downloads: what went wrong they still say.
LEAN="-Zlocation-detail=none"
RELAXED="$LEAN -Ctarget-feature=+relaxed-simd"
THREADS="$LEAN -Ctarget-feature=+relaxed-simd,+atomics,+bulk-memory,+mutable-globals
  -Clink-arg=--shared-memory -Clink-arg=--import-memory -Clink-arg=--max-memory=2147483648
  -Clink-arg=--export=__wasm_init_tls -Clink-arg=--export=__tls_size
  -Clink-arg=--export=__tls_align -Clink-arg=--export=__tls_base"
WASM_VARIANTS=(
  "simd128 web $LEAN"
  "relaxed-simd web $RELAXED"
  "threads threads $THREADS"
  "training-simd128 training $LEAN"
  "training-relaxed-simd training $RELAXED"
  "training-threads training,threads $THREADS"
  "decoders decoders -Copt-level=s"
  "dicom dicom-decoder -Copt-level=s"
)

# What is tested and linted: the library, and the kernels, which are a package of their own.
PACKAGES=(--package roentgen --package roentgen-kernels)

usage() {
  cat <<'EOF'
Builds, serves and tests Roentgen. Whatever is missing is installed first: the standard library's sources, wasm-bindgen's
tool, npm packages, and for tests Chromium; and nothing is built again that is there already.

  ./build.sh serve [--port N]  build the site, serve it on 127.0.0.1 and print its address
                               (port N, or the first free one from 8080)
  ./build.sh build             write the static site to dist/, which any static host can serve
  ./build.sh test              run every check: rustfmt, clippy (native, wasm), Rust tests, wasm tests, TypeScript,
                               sizes of the built files against their budget, page tests in headless Chromium
  ./build.sh bench             time every kernel here and the networks in headless Chromium, and write the medians to
                               benches/record/ with the machine's name
  ./build.sh --help            print this

Environment: CHROMIUM names the browser for page tests and bench. Everything built is under target/, dist/,
www/node_modules/ and www/src/pkg/; removing them starts afresh.
EOF
}

heading() { printf '\n==> %s\n' "$*"; }

# --- what is up to date -------------------------------------------------------------------------------------------

# One hash over the names and contents of all files under the given paths; www/node_modules stands for its lock file.
digest() {
  { find "$@" -name node_modules -prune -o -type f -print0 2>/dev/null || true; } |
    LC_ALL=C sort -z | xargs -0 "${SHA256[@]}" | "${SHA256[@]}"
}

# unless_unchanged NAME PATH... -- COMMAND...: runs the command unless every file under the paths, which are its inputs
# and its outputs, is as it was after its last run. Contents, not times: a fresh checkout has new times for old files.
unless_unchanged() {
  local name=$1 paths=() stamp
  shift
  while [ "$1" != -- ]; do
    paths+=("$1")
    shift
  done
  shift
  stamp=target/stamps/${name// /-}
  if [ -f "$stamp" ] && [ "$(<"$stamp")" = "$(digest "${paths[@]}")" ]; then
    say "$name: up to date"
    return
  fi
  mkdir -p target/stamps
  rm -f "$stamp"
  "$@"
  digest "${paths[@]}" >"$stamp"
}

# --- WebAssembly --------------------------------------------------------------------------------------------------

# wasm_cargo VARIANT COMMAND ARGUMENT...: cargo for one variant, in a target folder that only those with the same flags
# share: in a common one the variants, and the native build, would rebuild each other.
wasm_cargo() {
  local name features flags flag config=()
  read -r -d '' name features flags <<<"$1" || true
  local subcommand=$2
  shift 2
  for flag in $flags; do config+=("'$flag'"); done
  # A RUSTFLAGS in the environment, meant for native code, would replace the flags in .cargo/config.toml; --config adds.
  env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS "${WASM_CARGO[@]}" "$subcommand" --locked \
    --target "$WASM_TARGET" --target-dir "$(wasm_target "$name")" --no-default-features --features "$features" \
    --config "target.$WASM_TARGET.rustflags=[$(IFS=, && printf '%s' "${config[*]-}")]" \
    ${WASM_STD[@]+"${WASM_STD[@]}"} "$@"
}

wasm_target() {
  local name=${1#training-}
  printf 'target/wasm/%s' "${name/dicom/decoders}"
}

# Builds one variant and binds it into www/src/pkg, unless what it is made of and by is as it was. Cargo would not see that:
# a variant with training and the one without write the same file, so either is stale once the other was built.
build_variant() {
  local name=${1%% *}
  local bound=www/src/pkg/$name
  unless_unchanged "wasm module $name" src .cargo Cargo.toml Cargo.lock build.sh scripts/tools.sh www/package-lock.json \
    target/wasm/compiler "$bound" -- compile_variant "$1" "$bound"
}

compile_variant() {
  say "wasm module ${1%% *}"
  wasm_cargo "$1" build --lib --profile wasm
  bind "$1" "$(wasm_target "${1%% *}")/$WASM_TARGET/wasm/roentgen.wasm" "$2"
}

# bind VARIANT MODULE FOLDER: JavaScript and TypeScript around the module, which is then optimised.
bind() {
  local variant=$1 module=$2 folder=$3 features=()
  local name=roentgen-${variant%% *} scratch=target/wasm/bound-${variant%% *}
  # wasm-opt refuses a module with anything that is not named here, which keeps a newer instruction out of the baseline.
  if [[ $variant == *+relaxed-simd* ]]; then features+=(--enable-relaxed-simd); fi
  if [[ $variant == *+atomics* ]]; then features+=(--enable-threads); fi
  rm -rf "$scratch"
  "$WASM_BINDGEN/wasm-bindgen" --target web --out-dir "$scratch" --out-name "$name" "$module"
  # The first six are what rustc uses for every wasm target.
  www/node_modules/.bin/wasm-opt -O3 --enable-bulk-memory --enable-multivalue --enable-mutable-globals \
    --enable-nontrapping-float-to-int --enable-reference-types --enable-sign-ext --enable-simd \
    ${features[@]+"${features[@]}"} -o "$scratch/${name}_bg.wasm" "$scratch/${name}_bg.wasm"
  rm -rf "$folder"
  mkdir -p "$(dirname "$folder")"
  mv "$scratch" "$folder"
}

# --- commands -----------------------------------------------------------------------------------------------------

set_up() {
  heading "tools"
  require_basics
  require_rust
  if [[ ${WASM_VARIANTS[*]} == *+atomics* ]]; then require_wasm_std sources; else require_wasm_std built; fi
  require_wasm_bindgen
  require_node
  require_npm_packages
  if [ "$verb" = test ]; then require_rust_linters; fi
  if [ "$verb" = test ] || [ "$verb" = bench ]; then require_chromium; fi
  say "$(rustc --version), wasm-bindgen $("$WASM_BINDGEN/wasm-bindgen" --version | awk '{ print $2 }'), node $(node_version)"
}

# in_lanes COMMAND...: runs the command with each variant, those with threads and the decoders beside the others: most of
# the time goes into the compiler's last step and wasm-opt, which take one core each. False when one failed.
in_lanes() {
  local lane pids=() pid status=0
  for lane in one other; do
    (run_lane "$lane" "$@") &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || status=1; done
  return "$status"
}

run_lane() {
  local lane=$1 variant of
  shift
  for variant in "${WASM_VARIANTS[@]}"; do
    case ${variant%% *} in
      *threads | decoders | dicom) of=other ;;
      *) of=one ;;
    esac
    if [ "$of" = "$lane" ]; then "$@" "$variant"; fi
  done
}

build_wasm() {
  mkdir -p target/wasm
  { rustc -vV && "$WASM_BINDGEN/wasm-bindgen" --version; } >target/wasm/compiler
  in_lanes build_variant
}

build_site() { unless_unchanged site www dist -- npm_run build; }

npm_run() { (cd www && npm run --silent "$@"); }

clippy_native() { cargo clippy --locked --release --workspace --all-targets -- -D warnings; }

# What differs in code: with and without relaxed simd, threads and training, and the decoders, both modules of them at once. The
# other variants are mixtures of these.
clippy_wasm() { in_lanes lint_variant; }

lint_variant() {
  case ${1%% *} in
    simd128 | training-threads) lint_wasm "$1" ;;
    decoders) lint_wasm "simd128 decoders,dicom-decoder $LEAN" ;;
  esac
}

lint_wasm() { wasm_cargo "$1" clippy --profile wasm "${PACKAGES[@]}" --lib --test wasm -- -D warnings; }

# --show-output: a test that leaves something out for want of data says so, and passing tests are silent otherwise.
test_rust() { cargo test --locked --release "${PACKAGES[@]}" -- --show-output; }

# Under node, in the module's own profile, for what users get is to be tested, and its dependencies are there already: every
# kernel against its reference in each of the instruction sets, and the file of tests made for wasm in the modules that differ
# in what else it is about; those of threads in a pool of several.
test_wasm() {
  # Commas between them, which is how wasm-bindgen's runner takes them.
  export NODE_ARGS="--require=$PWD/tests/wasm/pool.cjs"
  # Node 20 has relaxed simd in its final form, behind a flag that later ones do not know.
  if ! node_has relaxedSimd; then NODE_ARGS+=,--experimental-wasm-relaxed-simd; fi
  in_lanes test_variant
}

test_variant() {
  local name features flags
  read -r -d '' name features flags <<<"$1" || true
  case $name in
    # Without any feature: the kernels have none.
    simd128 | relaxed-simd | threads) run_wasm_tests "$name , $flags" --package roentgen-kernels --lib ;;
  esac
  case $name in
    simd128 | threads | decoders | dicom) run_wasm_tests "$1" --test wasm ;;
  esac
}

run_wasm_tests() {
  local variant=$1
  shift
  say "variant: ${variant%% *}"
  wasm_cargo "$variant" test --profile wasm "$@" \
    --config "target.$WASM_TARGET.runner=['$WASM_BINDGEN/wasm-bindgen-test-runner']"
}

# Whether node has a feature of WebAssembly, by its name in the library that the page asks too.
node_has() {
  (cd www && node --input-type=module --eval \
    "import { $1 } from 'wasm-feature-detect'; process.exitCode = (await $1()) ? 0 : 1")
}

# The page is held to what the command line says, so its tests need both.
test_page() {
  cargo build --locked --release
  ROENTGEN=$(native_binary) npm_run test
}

# What an earlier run measured, of a bench that is no more, would be recorded as new.
bench_kernels() {
  local folder=${CARGO_TARGET_DIR:-target}
  rm -rf "$folder/criterion"
  cargo bench --locked --package roentgen-bench --bench kernels
  node scripts/record-bench.mjs "$folder/criterion"
}

bench_web() {
  npm_run build -- --mode bench
  node benches/web/run.mjs
}

native_binary() {
  local folder=${CARGO_TARGET_DIR:-target}
  (cd "$folder/release" && printf '%s/roentgen\n' "$PWD")
}

passed=0
failed=0
skipped=0

# step TITLE COMMAND...: runs one group of checks, says how long it took and counts it; false when it failed.
step() {
  local title=$1 started=$SECONDS status
  shift
  heading "$title"
  # In a condition `set -e` would be off inside the command, and its failures lost.
  set +e
  (
    set -e
    "$@"
  )
  status=$?
  set -e
  last_step=$status
  if [ "$status" -eq 0 ]; then
    passed=$((passed + 1))
    printf -- '--- ok: %s (%d s)\n' "$title" $((SECONDS - started))
  else
    failed=$((failed + 1))
    printf -- '--- FAILED: %s (%d s)\n' "$title" $((SECONDS - started))
  fi
}

run_tests() {
  step "formatting (rustfmt)" cargo fmt --all --check
  step "clippy, native" clippy_native
  step "clippy, wasm" clippy_wasm
  step "Rust tests" test_rust
  step "wasm module" build_wasm
  local module=$last_step
  step "wasm tests (node)" test_wasm
  if [ "$module" -eq 0 ]; then
    step "TypeScript" npm_run check
    step "site" build_site
  else
    skip "TypeScript" "site"
  fi
  if [ "$last_step" -eq 0 ]; then
    step "size budget" node scripts/size-budget.mjs dist
    step "page tests (Chromium)" test_page
  else
    skip "size budget" "page tests (Chromium)"
  fi
  printf '\nchecks, one a heading above, in %d min %02d s:\n' $((SECONDS / 60)) $((SECONDS % 60))
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  [ "$failed" -eq 0 ]
}

# skip TITLE...: groups that cannot run, for one that they need has failed.
skip() {
  last_step=1
  skipped=$((skipped + $#))
  printf '\nskipped, for what it needs failed: %s\n' "$@"
}

main() {
  verb=${1:---help}
  local port=()
  case $verb in
    -h | --help | help)
      usage
      return
      ;;
    serve)
      if [ "${2:-}" = --port ]; then
        # Said before anything is built; the server says whether the port is free.
        if ! [[ ${3:-} =~ ^[0-9]{1,5}$ ]] || [ "$((10#$3))" -gt 65535 ]; then
          fail "--port needs a whole number from 0 to 65535"
        fi
        port=(--port "$3")
        set -- serve
      fi
      ;;
    build | test | bench) ;;
    *) fail "unknown command \`$verb\`; ./build.sh --help says what there is" ;;
  esac
  [ $# -eq 1 ] || fail "\`$verb\` does not take \`${*:2}\`; ./build.sh --help says what there is"

  # These would move cargo's output away from where it is looked for below.
  unset CARGO_BUILD_TARGET
  set_up
  if [ "$verb" = test ]; then
    run_tests
    return
  fi
  heading "wasm module"
  build_wasm
  if [ "$verb" = bench ]; then
    heading "kernels"
    bench_kernels
    heading "browser"
    bench_web
    return
  fi
  heading "site"
  build_site
  say "the site is in dist/"
  if [ "$verb" = serve ]; then exec node www/server.mjs --root dist ${port[@]+"${port[@]}"}; fi
}

main "$@"
