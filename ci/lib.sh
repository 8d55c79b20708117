# Shared by the scripts in ci/. Source it; it sets $repo and moves there.
# shellcheck shell=bash
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$repo"
umask 022

say() { printf '%s\n' "$*" >&2; }

# die WHAT [TRY]: end with a plain sentence and, where there is one, what to try.
die() {
  say "$(basename "$0"): $1"
  [ $# -lt 2 ] || say "  try: $2"
  exit 1
}

# Become root once, at the start: chroots, mounts and package installation need it.
need_root() {
  [ "$(id -u)" != 0 ] || return 0
  command -v sudo >/dev/null || die "must run as root: it makes chroots and mounts" "install sudo, or run it in a root shell"
  # safe.directory: git, run as root, refuses a checkout owned by somebody else.
  exec sudo --preserve-env env GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory "GIT_CONFIG_VALUE_0=$repo" \
    "$(cd "$repo" && realpath "ci/$(basename "$0")")" "$@"
}

# need_packages COMMAND=PACKAGE…: install from the distribution whichever commands the host lacks.
need_packages() {
  local missing=() pair
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "missing on this machine: ${missing[*]}" \
    "use Debian 12 or 13 or Ubuntu 24.04, or install them by hand"
  say "installing from the distribution: ${missing[*]}"
  DEBIAN_FRONTEND=noninteractive apt-get -qq update >&2 || say "apt-get update failed; trying with the lists at hand"
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >&2 ||
    die "could not install ${missing[*]}" "apt-get install ${missing[*]} (on Ubuntu the 'universe' component must be on)"
}

# stage NAME COMMAND…: run it with its output in a log; print how long it took. On failure show the
# command and the end of its output, then STAGE_HINT.
stage() {
  local name=$1 start=$SECONDS log
  shift
  mkdir -p target/logs
  log=target/logs/$(basename "$0")-${name// /-}.log
  say "stage $name …"
  # Not inside an `if`: that would switch off `set -e` in the stage's own function.
  set +e
  (
    set -e
    "$@"
  ) >"$log" 2>&1
  local status=$?
  set -e
  if [ $status = 0 ]; then
    say "stage $name: done in $((SECONDS - start)) s"
    return 0
  fi
  say "stage $name: FAILED after $((SECONDS - start)) s"
  say "  command: $*"
  say "  output (its end; all of it in $log):"
  tail -n 40 "$log" | sed 's/^/  | /' >&2
  die "stage $name failed" "${STAGE_HINT:-read the output above, mend the cause and run it again: finished work is cached}"
}
