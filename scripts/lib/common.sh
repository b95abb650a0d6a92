# Sourced by the scripts a newcomer runs. Sets ROOT, and a PATH on which Debian's own python3, meson and g++ are
# the first found: a version manager's python3 lacks the modules that apt installed.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then BOLD=$'\e[1m' RED=$'\e[31m' PLAIN=$'\e[0m'; else BOLD='' RED='' PLAIN=''; fi
say() { printf '%s==> %s%s\n' "$BOLD" "$*" "$PLAIN"; }
die() { printf '%serror: %s%s\n' "$RED" "$*" "$PLAIN" >&2; exit 1; }

# Runs a command that dies with this script, even if the script is killed with SIGKILL.
tied() { setpriv --pdeathsig TERM "$@"; }

# Configures build/, if it is not there. Several files are compiled as one (docs/testing.md): their headers are most of
# what takes long.
configure_build() {
  [[ -f build/build.ninja ]] && return
  say "Configuring build/"
  rm -rf build/meson-private build/meson-info  # what a configuration that was cut short leaves is refused later
  local output
  output=$(exec setpriv --pdeathsig TERM meson setup build --unity=on --unity-size=16 2>&1) ||
    die "meson could not configure:"$'\n'"$output"
}

# How many compilers may run at a time: one per CPU, but no more than memory bears, since sources that include
# gRPC take up to 1.5 GB.
compilers() {
  local cpus memory
  cpus=$(nproc)
  memory=$(awk '/^MemAvailable/ { print int($2 / 1500000) }' /proc/meminfo)
  echo "${BUILD_JOBS:-$((memory < 1 ? 1 : memory < cpus ? memory : cpus))}"
}

# The comment at the top of the script.
usage() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"; }
