# shellcheck shell=bash disable=SC2034 # the variables that each function is said to set are for build.sh
# Finds every tool that build.sh uses, installs what is missing, and says so. Sourced by build.sh, in the repository.
#
# Each `require_…` returns with its tool usable, or ends the script with a sentence that says what to do. What is there
# already is used as it is; what has to be installed goes through the system's own package manager when there is a right
# to, or under target/tools, which no other project sees.

TOOLS=target/tools
WASM_TARGET=wasm32-unknown-unknown
# What vite asks for.
NODE_MINIMUM=20.19
# Installed from npm where the system has only an older one.
NODE_FROM_NPM=22

say() { printf '    %s\n' "$*"; }
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# Whether version $1 is $2 or newer.
is_at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | sed -n 1p)" = "$2" ]; }

# Installs Debian packages; false, without a word, where there is no apt or no right to use it.
apt_install() {
  local root=()
  have apt-get || return 1
  if [ "$(id -u)" -ne 0 ]; then
    have sudo || return 1
    # Without a terminal nobody can type the password.
    if [ -t 0 ]; then root=(sudo); else root=(sudo -n); fi
  fi
  say "installing with apt-get: $*"
  if [ -z "${apt_updated:-}" ]; then
    # One unreachable archive of several is no reason to stop: the install itself says what is missing.
    ${root[@]+"${root[@]}"} apt-get update -qq || say "apt-get update failed; going on with the package lists that are there"
    apt_updated=yes
  fi
  ${root[@]+"${root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y -o Dpkg::Use-Pty=0 --no-install-recommends "$@" </dev/null
}

# What every Unix has; a container image may have been stripped of it.
require_basics() {
  local tool
  for tool in awk cat cp dirname env find id mkdir mv rm sed sort xargs; do
    have "$tool" || fail "\`$tool\` is missing; install the usual Unix tools (on Debian: apt-get install coreutils findutils mawk sed)"
  done
  if have sha256sum; then
    SHA256=(sha256sum)
  elif have shasum; then
    SHA256=(shasum -a 256)
  else
    fail "neither sha256sum nor shasum is there; install coreutils"
  fi
}

# Rust itself, as new as Cargo.toml asks for, and a linker for native code.
require_rust() {
  local minimum found
  minimum=$(awk -F'"' '/^rust-version = / { print $2 }' Cargo.toml)
  # A rustup installed in this very session is not on PATH yet.
  if ! have cargo && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
  fi
  if ! have cargo || ! have rustc; then
    apt_install rustc-web cargo-web || fail "Rust $minimum or newer is needed: install it from https://rustup.rs, then run this again"
  fi
  found=$(rustc --version | awk '{ print $2 }')
  is_at_least "$found" "$minimum" ||
    fail "rustc $found is too old, $minimum or newer is needed: run \`rustup update stable\`, or install Rust from https://rustup.rs"
  have cc || apt_install gcc libc6-dev || fail "no C compiler (\`cc\`), which Rust links with: install gcc or clang, then run this again"
}

# rustfmt and clippy: `minimal` rustup profiles and Debian's Rust come without them.
require_rust_linters() {
  if cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1; then return; fi
  if have rustup; then
    say "installing with rustup: rustfmt, clippy"
    rustup component add rustfmt clippy || fail "rustup could not add rustfmt and clippy; see its words above"
  else
    apt_install rustfmt-web rust-web-clippy || fail "rustfmt and clippy are missing; install Rust from https://rustup.rs"
  fi
}

# Rust's standard library for WebAssembly. Sets, for `wasm_cargo`,
#   WASM_CARGO  the command, with its environment
#   WASM_STD    arguments that build the library beside ours; empty when a built one is there. `test` is always among its
#               crates: otherwise tests would count as having another library, and build every dependency once more
# First what is there, then rustup's; where rustup cannot fetch, Debian's newer Rust, whose library sources are packaged.
# With `sources`, a variant needs a library built with its own flags (atomics): sources are needed in any case.
require_wasm_std() {
  local wanted=$1
  WASM_CARGO=(cargo)
  WASM_STD=()
  if [ "$wanted" = sources ]; then
    if has_std_sources || { have rustup && rustup_add component rust-src && has_std_sources; }; then
      WASM_CARGO=(env RUSTC_BOOTSTRAP=1 cargo)
      WASM_STD=('-Zbuild-std=std,panic_abort,test')
      return
    fi
  elif has_wasm_std || { have rustup && rustup_add target "$WASM_TARGET" && has_wasm_std; }; then
    return
  fi
  require_debian_wasm
}

has_wasm_std() { compgen -G "$(rustc --print target-libdir --target "$WASM_TARGET")/libstd-*.rlib" >/dev/null; }
has_std_sources() { [ -d "$(rustc --print sysroot)/lib/rustlib/src/rust/library" ]; }

rustup_add() {
  say "installing with rustup: $1 $2"
  rustup "$1" add "$2" || {
    say "rustup could not fetch it"
    return 1
  }
}

# Debian's `-web` packages: a Rust new enough, the library's sources, and the linker (rust-lld is a link to lld-22's).
require_debian_wasm() {
  # clippy, for the tests, has to be of the same version as the compiler.
  local packages=(rustc-web cargo-web rust-web-src rust-web-llvm lld-22 rust-web-clippy)
  if have dpkg && dpkg --status "${packages[@]}" >/dev/null 2>&1; then
    say "using Debian's Rust for WebAssembly"
  else
    apt_install "${packages[@]}" ||
      fail "Rust's standard library for WebAssembly is missing: run \`rustup target add $WASM_TARGET\` where there is a network, or, on Debian as root, \`apt-get install ${packages[*]}\`"
  fi
  # PATH first of all, so that `cargo clippy` does not pick rustup's.
  WASM_CARGO=(env "PATH=/usr/bin:$PATH" RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 /usr/bin/cargo)
  WASM_STD=('-Zbuild-std=std,panic_abort,test')
}

# wasm-bindgen's tool, of exactly the library's version: the two speak a format of their own. Sets WASM_BINDGEN (a folder).
require_wasm_bindgen() {
  local version folder
  version=$(awk '/^name = "wasm-bindgen"$/ { getline; gsub(/version = |"/, ""); print }' Cargo.lock)
  if have wasm-bindgen-test-runner && [ "$(wasm-bindgen --version 2>/dev/null)" = "wasm-bindgen $version" ]; then
    WASM_BINDGEN=$(dirname "$(command -v wasm-bindgen)")
    return
  fi
  folder=$TOOLS/wasm-bindgen-$version
  WASM_BINDGEN=$PWD/$folder/bin
  if [ -x "$WASM_BINDGEN/wasm-bindgen" ] && [ -x "$WASM_BINDGEN/wasm-bindgen-test-runner" ]; then return; fi
  say "installing wasm-bindgen-cli $version into $folder (once; about 3 minutes)"
  local install=(cargo install --quiet wasm-bindgen-cli --version "$version" --root "$folder"
    --target-dir "$TOOLS/wasm-bindgen-build" --bin wasm-bindgen --bin wasm-bindgen-test-runner)
  # A mirror may lag behind the versions in the tool's own lock file; any compatible ones do as well.
  if ! "${install[@]}" --locked; then
    say "not with the versions in its lock file (see above); trying with those that can be had"
    "${install[@]}" || fail "wasm-bindgen-cli $version could not be installed; see cargo's words above"
  fi
  rm -rf "$TOOLS/wasm-bindgen-build"
}

# Node and npm. Debian 12's own node is too old for vite; npm carries newer ones.
require_node() {
  local folder=$TOOLS/node
  if [ -x "$folder/node_modules/.bin/node" ]; then PATH="$PWD/$folder/node_modules/.bin:$PATH"; fi
  if ! have node || ! have npm; then
    apt_install nodejs npm || fail "Node $NODE_MINIMUM or newer is needed: install it from https://nodejs.org, then run this again"
  fi
  if is_at_least "$(node_version)" "$NODE_MINIMUM"; then return; fi
  say "node $(node_version) is too old; installing node $NODE_FROM_NPM from npm into $folder"
  npm install --loglevel=error --no-audit --no-fund --prefix "$folder" "node@$NODE_FROM_NPM" || fail "Node $NODE_MINIMUM or newer is needed: install it from https://nodejs.org"
  PATH="$PWD/$folder/node_modules/.bin:$PATH"
  hash -r
  is_at_least "$(node_version)" "$NODE_MINIMUM" || fail "Node $NODE_MINIMUM or newer is needed: install it from https://nodejs.org"
}

node_version() { node --version | sed 's/^v//'; }

# The npm packages of www/, exactly those of its lock file; kept until the lock file changes.
require_npm_packages() {
  local stamp=www/node_modules/.build-stamp wanted
  wanted=$("${SHA256[@]}" <www/package-lock.json)
  if [ -f "$stamp" ] && [ "$(<"$stamp")" = "$wanted" ]; then return; fi
  say "installing npm packages into www/node_modules"
  # --include=dev: all of them are build tools, and NODE_ENV=production would leave them out.
  (cd www && npm ci --include=dev --no-audit --no-fund) || fail "npm could not install the packages of www/package-lock.json; see its words above"
  printf '%s\n' "$wanted" >"$stamp"
}

# A Chromium for the page tests, which find it in CHROMIUM.
require_chromium() {
  local name
  if [ -n "${CHROMIUM:-}" ]; then
    [ -x "$CHROMIUM" ] || fail "CHROMIUM is $CHROMIUM, which is no program"
    return
  fi
  if ! find_chromium; then
    # Without a font, headless Chromium draws no text.
    apt_install chromium fonts-dejavu-core || fail "no Chromium for the page tests: install chromium or Google Chrome, or name one in CHROMIUM"
    find_chromium || fail "Chromium is installed but not on PATH: name it in CHROMIUM"
  fi
}

find_chromium() {
  local name
  for name in chromium chromium-browser google-chrome google-chrome-stable \
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
    if have "$name"; then
      CHROMIUM=$(command -v "$name")
      export CHROMIUM
      return
    fi
  done
  return 1
}
