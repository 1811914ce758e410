# Shared by the scripts beside this folder: words, and what they need installed.
# Source it with bash; it changes nothing by itself.

say() { printf '== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# as_root COMMAND...: runs it as root, by sudo where that needs no password.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif has sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    sudo "$@"
  else
    return 1
  fi
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq \
    -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"
}

# need_packages PACKAGE...: installs those Debian packages that are missing.
need_packages() {
  local missing=() package attempt output
  [ $# -gt 0 ] || return 0
  if ! has apt-get; then
    say "no apt-get here: taking it that what these hold is there: $*"
    return 0
  fi
  for package in "$@"; do
    installed "$package" || [[ " ${missing[*]-} " == *" $package "* ]] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing: ${missing[*]}"
  for attempt in 1 2 3; do
    if output=$({ apt_get update && apt_get install -y --no-install-recommends "${missing[@]}"; } 2>&1); then
      return 0
    fi
    [ "$attempt" -eq 3 ] || sleep $((attempt * 5))
  done
  printf '%s\n' "$output" >&2
  die "cannot install ${missing[*]}; as root: apt-get update && apt-get install ${missing[*]}"
}

# need_command COMMAND PACKAGE: like need_packages, where the command is not
# there from elsewhere.
need_command() {
  has "$1" && return 0
  has apt-get || die "$1 is missing, and there is no apt-get to install it with"
  need_packages "$2"
}

# need_go: Go is the one thing that has to be there.
need_go() {
  if ! has go && [ -x /usr/local/go/bin/go ]; then
    PATH=$PATH:/usr/local/go/bin
  fi
  has go || die "Go is missing: https://go.dev/doc/install"
  export GOFLAGS=${GOFLAGS--buildvcs=false} # a checkout of another user is no reason to fail
}

# need_node: Node.js 20 or newer, as the browser tests want it. Debian 12 has an
# older one, whose npm then fetches a newer one into the checkout's bin folder.
need_node() {
  local root=$1 wanted=20 version=22.23.3
  node_is() { has node && [ "$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)" -ge "$wanted" ]; }
  if ! node_is || ! has npm; then
    if [ ! -x "$root/bin/node-$version/node_modules/.bin/node" ]; then
      need_command node nodejs
      need_command npm npm
      if ! node_is; then
        say "installing: node $version into bin"
        npm install --no-audit --no-fund --no-save --silent --prefix "$root/bin/node-$version" "node@$version"
      fi
    fi
    if ! node_is; then
      PATH=$root/bin/node-$version/node_modules/.bin:$PATH
    fi
  fi
  node_is || die "Node.js $wanted or newer is missing"
}
