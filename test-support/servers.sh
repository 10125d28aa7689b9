# Functions for scripts that run tests against third-party servers. To be sourced, not executed.
#
# A script calls `need` and `install`, then `open_work_folder`, then `start` and `ready` for each server, and at last
# `run_tests`. Everything that was started is stopped when the script exits.

# Installed packages are kept between runs.
kept="${XDG_CACHE_HOME:-$HOME/.cache}/token-cache/servers"

# Fails if one of these programs is not installed.
need() { # PROGRAM...
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || { echo "$program is missing: install it, and run this again" >&2; exit 1; }
  done
}

# Installs a package into $kept/NAME, unless that version is there already.
install() { # NAME INSTALLER PACKAGE
  local name="$1" installer="$2" package="$3"
  [[ "$(cat "$kept/$name/package" 2>/dev/null)" == "$package" ]] && return
  echo "installing $package" >&2
  rm -rf "${kept:?}/$name"
  mkdir -p "$kept/$name"
  "$installer" "$kept/$name" "$package"
  echo "$package" >"$kept/$name/package"
}
from_npm() { npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$1" "$2"; }
from_pypi() { python3 -m venv "$1" && "$1/bin/pip" install --quiet --disable-pip-version-check "$2"; }

# Makes the temporary folder $work, which is removed when the script exits. The servers are stopped then too.
open_work_folder() {
  work="$(mktemp -d)"
  trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
}

# Starts a server. Its output goes to $work/NAME.log.
start() { # NAME COMMAND...
  "${@:2}" >>"$work/$1.log" 2>&1 &
  servers[$1]=$!
}
declare -A servers

# Waits until a server listens on all these ports of 127.0.0.1. Fails if it exits before, or after 10 minutes.
ready() { # NAME PORT...
  local port
  for port in "${@:2}"; do
    for ((tries = 0; ; tries++)); do
      (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
      if ((tries == 3000)) || ! kill -0 "${servers[$1]}" 2>/dev/null; then
        echo "$1 does not listen on port $port; its output was:" >&2
        tail -n 40 "$work/$1.log" >&2
        exit 1
      fi
      sleep 0.2
    done
  done
}

# Runs the tests. If they fail, shows the end of each server's output.
run_tests() { # COMMAND...
  "$@" && return
  for log in "$work"/*.log; do printf '\n== %s\n' "$log"; tail -n 15 "$log"; done >&2
  exit 1
}
