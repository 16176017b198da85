# shellcheck shell=bash
# The cluster of containers: what is asked of it, and waiting for what comes. Sourced.

stable=wx0123456789abcdef
legacy=wxfedcba9876543210
# The longest wait for anything; a token's life is one and a half minutes.
patience=120

run_compose() {
  (cd "$project" && "${compose[@]}" "${profile[@]}" "$@")
}
profile=()

# Workers and the reader find Redis through Sentinels from now on.
with_sentinels() {
  profile=(--env-file deploy/compose/sentinel.env)
}

take_down() {
  (cd "$project" && "${compose[@]}" --profile sentinel --profile observability \
    down --volumes --timeout 5 >/dev/null 2>&1) || true
}

# The build has no network: what it needs is in the images that it begins with.
build_images() {
  local service
  {
    echo "services:"
    for service in worker simulator reader; do
      echo "  $service: { build: { network: none } }"
    done
  } >"$project/no-network.yml"
  (cd "$project" && "${compose[@]}" -f docker-compose.yml -f no-network.yml build) >"$state/build.log" 2>&1 ||
    { tail -n 30 "$state/build.log"; return 1; }
}

# What each image adds to its base; at most 25 MB.
image_sizes() {
  local tag base size
  base=$(docker image inspect --format '{{.Size}}' debian:bookworm-slim)
  for tag in zhongkong zhongkong-simulator zhongkong-reader; do
    size=$(($(docker image inspect --format '{{.Size}}' "$tag:local") - base))
    printf '%-20s %5s MB beyond its base\n' "$tag" "$(awk "BEGIN { printf \"%.1f\", $size / 1e6 }")"
    [ "$size" -le 25000000 ] || fail "$tag:local is too large"
  done
}

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# until WHAT COMMAND…: waits until the command succeeds.
until_true() {
  local what=$1 end=$((SECONDS + patience))
  shift
  while ! "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || fail "not within $patience s: $what"
    sleep 0.3
  done
}

# containers SERVICE [docker ps OPTION…]: their ids.
containers() {
  local service=$1
  shift
  docker ps -q --no-trunc --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
    --filter "label=com.docker.compose.service=$service" "$@"
}

healthy() {
  [ "$(containers "$1" --filter health=healthy | wc -l)" = "$2" ] && [ "$(containers "$1" | wc -l)" = "$2" ]
}

until_healthy() {
  until_true "$2 of $1 healthy" healthy "$1" "$2"
}

in_redis() {
  docker exec "$(containers "${redis:-redis}")" redis-cli "$@"
}

state_of() {
  in_redis HGET "zhongkong:{$1}:access_token:state" "$2"
}

# Orders and questions to the simulator: METHOD PATH [BODY]
order() {
  local address
  address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(containers simulator)")
  curl --silent --show-error --fail --max-time 30 --noproxy '*' -X "$1" "http://$address:8630/_simulator/$2" ${3:+--data "$3"}
}

# A command of zhongkong in a worker that runs and is not paused.
zhongkong() {
  docker exec "$(containers worker --filter status=running | sed -n 1p)" zhongkong "$@"
}

# counted NAME: the reader's count, of both accounts together.
counted() {
  { docker exec "$(containers reader)" zhongkong-reader counts 2>/dev/null || true; } |
    tr ' ' '\n' | awk -F= -v name="$1" '$1 == name { sum += $2 } END { print sum + 0 }'
}

reader_is_content() {
  docker exec "$(containers reader)" zhongkong-reader counts
}

# Token calls that the simulator received, of both accounts.
calls() {
  local id sum=0
  for id in "$stable" "$legacy"; do
    sum=$((sum + $(order GET "summary?app_id=$id" | sed 's/.*"calls":\([0-9]*\).*/\1/')))
  done
  echo "$sum"
}

# scene WHAT FUNCTION: plays it, and looks at what the reader counted by then.
scene() {
  local begun=$SECONDS before=0 dead absent
  echo "--- $1"
  [ -z "$(containers simulator)" ] || before=$(calls)
  "$2"
  until_true "the reader's tokens work" reader_is_content
  # Its counts are written every second.
  sleep 1.5
  dead=$(counted dead) absent=$(counted absent)
  rows+=("$(printf '%-66s %5s %8s %5s %7s %11s %6s' "$1" "$((SECONDS - begun)) s" \
    "$(counted reads)" "$dead" "$absent" "$(counted unanswered)" "$(($(calls) - before))")")
  [ "$dead$absent" = 00 ] || fail "the reader found $dead dead and $absent absent tokens"
}

print_table() {
  printf '\n%-66s %5s %8s %5s %7s %11s %6s\n' "scene" "time" "reads" "dead" "absent" "unanswered" "calls"
  printf '%s\n' "${rows[@]}"
  echo "reads to unanswered: the reader's since it was started; calls: to the token endpoints, in the scene"
  echo "All is well: no dead and no absent token."
}

# After a failure: what a person would look at first.
diagnose() {
  {
    run_compose ps -a
    run_compose logs --tail 60 --timestamps worker reader redis
  } >"$state/failure.log" 2>&1 || true
  echo "The containers' state and the end of their logs: $state/failure.log"
}
