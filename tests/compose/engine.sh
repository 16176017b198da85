# shellcheck shell=bash
# A Docker engine of one's own, and Compose for it. Sourced.
#
# Its images, sockets and state are apart from those of an engine that may run here, and so are the images that
# stand in for those of a registry. It changes no firewall rule and no setting of the host's network: containers on one
# bridge reach each other without.

state=$(realpath -m "${CARGO_TARGET_DIR:-target}")/compose
runtime=
engine=

# Why there can be no engine here; nothing if there can.
hindrance() {
  [ "$(uname -s)" = Linux ] || { echo "this is not Linux"; return; }
  [ "$(id -u)" = 0 ] || { echo "an engine of its own needs root"; return; }
  local program
  for program in dockerd docker iptables debootstrap cargo git curl; do
    command -v "$program" >/dev/null || { echo "$program is missing"; return; }
  done
}

# Starts it, or says why it does not run, and returns 1.
start_engine() {
  # A socket's path must be short.
  runtime=$(mktemp -d /tmp/zhongkong-compose.XXXXXX)
  mkdir -p "$state/engine" "$state/client/cli-plugins"
  export DOCKER_HOST=unix://$runtime/docker.sock DOCKER_CONFIG=$state/client
  dockerd --data-root "$state/engine" --exec-root "$runtime/exec" --pidfile "$runtime/pid" --host "$DOCKER_HOST" \
    --iptables=false --ip-forward=false --ip-masq=false --bridge=none >"$state/engine.log" 2>&1 &
  engine=$!
  local tries
  for ((tries = 0; tries < 120; tries++)); do
    docker version >/dev/null 2>&1 && return 0
    kill -0 "$engine" 2>/dev/null || break
    sleep 0.5
  done
  echo "dockerd does not run here; the end of $state/engine.log:"
  tail -n 5 "$state/engine.log"
  return 1
}

# Ends it; its images and build cache stay for the next run.
stop_engine() {
  if [ -n "$engine" ]; then
    kill "$engine" 2>/dev/null || true
    wait "$engine" 2>/dev/null || true
    engine=
  fi
  [ -n "$runtime" ] || return 0
  # What a container in the host's network leaves mounted.
  umount "$runtime"/exec/netns/* 2>/dev/null || true
  rm -rf "$runtime"
}

# The Compose that the words name, else v2 as it is installed, else v2 built of its Go module, else Debian's
# docker-compose. Sets $compose.
find_compose() {
  local version=v2.40.3 plugin=$state/client/cli-plugins/docker-compose
  if [ $# -gt 0 ]; then
    compose=("$@")
  elif docker compose version >/dev/null 2>&1; then
    compose=(docker compose)
  elif command -v go >/dev/null && go_is_new; then
    echo "Building Compose $version of its Go module (a few minutes, once)"
    local module
    module=$(mktemp -d)
    (
      cd "$module" || exit
      printf 'module compose-plugin\n\ngo 1.24\n' >go.mod
      printf '//go:build tools\n\npackage tools\n\nimport _ "github.com/docker/compose/v2/cmd"\n' >tools.go
      go get "github.com/docker/compose/v2/cmd@$version" 2>"$state/go.log" || { tail -n 5 "$state/go.log"; exit 1; }
      go build -trimpath -ldflags "-s -w -X github.com/docker/compose/v2/internal.Version=$version" \
        -o "$plugin" github.com/docker/compose/v2/cmd
    )
    rm -rf "$module"
    compose=(docker compose)
  else
    command -v docker-compose >/dev/null || {
      echo "Installing Debian's docker-compose"
      apt-get update -qq
      env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends docker-compose
    }
    compose=(docker-compose)
  fi
  "${compose[@]}" version | sed -n 1p
}

go_is_new() {
  local minor
  minor=$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
  [ "${minor:-0}" -ge 24 ]
}
