# shellcheck shell=bash
# Images under the names that docker-compose.yml and deploy/Dockerfile give, made here. Sourced.
#
# STAND-INS: where no image registry can be reached, the published images cannot be had. So each is put together from
# Debian's packages, and has what the published one has that we use: debian is debootstrap's smallest system, redis and
# prometheus are Debian's own (and so another version than the tag says), and rust is this machine's toolchain with the
# crates that cargo has fetched, since a build inside the engine has no network. There is none for Grafana, which Debian
# does not have.

suite=bookworm

make_bases() {
  tagged debian:bookworm-slim "$suite" make_debian
  tagged redis:7.2-bookworm "$(image_id debian:bookworm-slim)" make_redis
  tagged prom/prometheus:v2.53.4 "$(image_id debian:bookworm-slim)" make_prometheus
  cargo fetch --quiet --locked
  local crates
  crates=$(rustc --version; sha256sum Cargo.lock)
  tagged rust:1.95-slim-bookworm "$(image_id debian:bookworm-slim) $crates" make_rust
}

# tagged TAG FROM MAKE: runs MAKE, which prints an image, unless TAG was made by the same and from the same before.
tagged() {
  local tag=$1 made=$state/bases/${1//[\/:]/_} from image
  from="$2 $(declare -f "$3" | sha256sum)"
  [ -f "$made" ] && [ "$(cat "$made")" = "$from $(image_id "$tag")" ] && return
  echo "Making a stand-in for $tag"
  mkdir -p "$state/bases"
  image=$("$3" 2>"$made.log") || { tail -n 20 "$made.log"; return 1; }
  docker tag "$image" "$tag"
  echo "$from $(image_id "$tag")" >"$made"
}

image_id() {
  docker image inspect --format '{{.Id}}' "$1" 2>/dev/null || echo none
}

make_debian() {
  local root
  root=$(mktemp -d)
  debootstrap --variant=minbase "$suite" "$root" >&2 || return 1
  # What the slim image leaves out.
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
  tar -C "$root" -c . | docker import --change 'CMD ["bash"]' -
  rm -rf "$root"
}

# packaged PACKAGE… <<< LINES: the smallest system with packages, and further lines of a Dockerfile.
packaged() {
  {
    echo "FROM debian:bookworm-slim"
    echo "RUN apt-get update && apt-get install -y --no-install-recommends $* && rm -rf /var/lib/apt/lists/*"
    cat
  } | DOCKER_BUILDKIT=0 docker build --quiet --network host - | tail -n 1
}

make_redis() {
  packaged redis-server redis-sentinel <<'X'
RUN install -d -o redis -g redis /data
VOLUME /data
WORKDIR /data
CMD ["redis-server"]
X
}

make_prometheus() {
  packaged prometheus wget <<'X'
RUN install -d -o 65534 -g 65534 /prometheus
VOLUME /prometheus
WORKDIR /prometheus
ENTRYPOINT ["/usr/bin/prometheus"]
X
}

make_rust() {
  local with container home=${CARGO_HOME:-$HOME/.cargo}
  with=$(packaged ca-certificates gcc libc6-dev </dev/null)
  container=$(docker create --network none "$with")
  tar -C "$(rustc --print sysroot)" -ch --exclude=lib/rustlib/src bin/cargo bin/rustc lib |
    docker cp - "$container:/usr/local"
  tar -C "$home" -c --transform 's,^,cargo/,' registry/index registry/cache | docker cp - "$container:/usr/local"
  docker commit --change 'ENV CARGO_HOME=/usr/local/cargo CARGO_NET_OFFLINE=true' "$container"
  docker rm "$container" >/dev/null
}
