# shellcheck shell=bash
# The scenes. Sourced; each is played by `scene`, which looks at the reader's counts after it.

up() {
  run_compose up --detach --no-recreate --no-build --scale "worker=$1" 2>"$state/up.log" ||
    { cat "$state/up.log"; return 1; }
}

scale() {
  up "$1"
  until_healthy worker "$1"
  until_true "$1 workers know each other" knows_workers "$1"
}

# Those that live, by the status that any of them gives.
knows_workers() {
  [ "$(in_redis ZCARD zhongkong:workers)" = "$1" ]
}

starts_with_three() {
  scale 3
  until_healthy reader 1
  local id
  for id in "$stable" "$legacy"; do
    [ -n "$(zhongkong get "$id")" ] || fail "no token of $id"
  done
  # Each has an identity of its own.
  [ "$(in_redis ZRANGE zhongkong:workers 0 -1 | sort -u | wc -l)" = 3 ] || fail "workers share an identity"
  [ "$(docker exec "$(containers worker | sed -n 1p)" id -u)" = 10001 ] || fail "the worker runs as another user"
}

scales_to_five() {
  scale 5
}

scales_to_two() {
  scale 2
}

scales_to_three() {
  scale 3
}

is_observed() {
  run_compose --profile observability up --detach --no-recreate --no-deps prometheus 2>"$state/up.log" ||
    { cat "$state/up.log"; return 1; }
  until_healthy prometheus 1
  until_true "five workers are scraped" promises_are_kept 5
  local firing
  firing=$(query 'count(ALERTS{alertstate="firing"})')
  [[ $firing = *'"result":[]'* ]] || fail "alerts fire: $firing"
  [ "$(prometheus rules | grep -o '"type":"alerting"' | wc -l)" -gt 5 ] || fail "the alert rules are not loaded"
  run_compose --profile observability rm --force --stop prometheus >/dev/null 2>&1
}

prometheus() {
  local address
  address=$(run_compose --profile observability port prometheus 9090)
  curl --silent --show-error --fail --max-time 10 --noproxy '*' "http://$address/api/v1/$1"
}

query() {
  prometheus "query?query=$(printf '%s' "$1" | sed 's/{/%7B/g; s/}/%7D/g; s/"/%22/g; s/=/%3D/g')"
}

promises_are_kept() {
  [[ $(query 'sum(zhongkong_store_up)') = *"\"$1\"]"* ]]
}

# Has the legacy account refreshed, and holds the call after its token was issued: the old one has begun to die, and the
# worker does not know the new one. Sets $refresher and $generation.
catch_refresher() {
  local caller addresses
  generation=$(state_of "$legacy" generation)
  addresses=$(containers worker | xargs docker inspect \
    --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}} {{.Id}}')
  order POST hold "{\"point\": \"processed\", \"app_id\": \"$legacy\", \"times\": 1}"
  # The worker waits request_timeout for the answer, so there is no time to lose from here on.
  zhongkong refresh "$legacy" --force --wait 1s >/dev/null 2>&1 &
  caller=$(order GET 'held?at_least=1' | sed 's/.*"caller":"\([^"]*\)".*/\1/')
  refresher=$(awk -v caller="$caller" '$1 == caller { print $2 }' <<<"$addresses")
  [ -n "$refresher" ] || fail "no worker has the address $caller"
}

# Another worker makes up for the call, and nothing is in doubt any more.
is_made_up_for() {
  [ "$(state_of "$legacy" generation)" -gt "$generation" ] && [ -z "$(state_of "$legacy" doubt)" ] &&
    [ -z "$(state_of "$legacy" intent)" ]
}

until_made_up_for() {
  until_true "another worker makes up for the call" is_made_up_for
  [[ $(state_of "$legacy" worker) != "${refresher:0:12}"* ]] || fail "the refresher itself went on"
}

refresher_is_killed() {
  catch_refresher
  docker kill "$refresher" >/dev/null
  until_made_up_for
  order POST release >/dev/null
  docker start "$refresher" >/dev/null
  until_healthy worker 3
}

# The late answer lies there when it wakes up.
refresher_is_paused() {
  catch_refresher
  docker pause "$refresher" >/dev/null
  until_made_up_for
  order POST release >/dev/null
  docker unpause "$refresher" >/dev/null
  until_healthy worker 3
  until_true "nothing is in doubt" is_made_up_for
}

refresher_is_cut_off() {
  catch_refresher
  local network=${COMPOSE_PROJECT_NAME}_default
  docker network disconnect "$network" "$refresher"
  until_made_up_for
  order POST release >/dev/null
  docker network connect --alias worker "$network" "$refresher"
  until_healthy worker 3
  until_true "nothing is in doubt" is_made_up_for
}

# One after the other, as the README says.
rolls_to_a_new_configuration() {
  sed -i 's/^ahead = "30s"/ahead = "40s"/' "$project/deploy/compose/zhongkong/zhongkong.toml"
  local container
  for container in $(containers worker); do
    docker stop "$container" >/dev/null
    [ "$(docker inspect --format '{{.State.ExitCode}}' "$container")" = 0 ] || fail "a worker did not end in order"
    docker start "$container" >/dev/null
    until_healthy worker 3
  done
  generation=$(state_of "$legacy" generation)
  zhongkong refresh "$legacy" --force >/dev/null
  until_true "another token" is_made_up_for
  local ahead=$(($(state_of "$legacy" expires_at_ms) - $(state_of "$legacy" refresh_at_ms)))
  [ "$ahead" -gt 35000 ] || fail "the next refresh is due $ahead ms ahead, as before"
}

redis_is_restarted() {
  run_compose restart redis >/dev/null 2>&1
  until_healthy redis 1
  until_healthy worker 3
}

redis_is_killed() {
  local container
  container=$(containers redis)
  docker kill "$container" >/dev/null
  sleep 3
  docker start "$container" >/dev/null
  until_healthy redis 1
  until_healthy worker 3
}

# For less than is left of the tokens.
workers_are_away() {
  local container left
  local -a all
  mapfile -t all < <(containers worker)
  docker kill "${all[@]}" >/dev/null
  sleep 10
  left=$(in_redis PTTL "zhongkong:{$legacy}:access_token")
  [ "$left" -gt 0 ] || fail "the token's life ended"
  docker start "${all[@]}" >/dev/null
  until_healthy worker 3
}

starts_with_sentinels() {
  run_compose up --detach --no-build --scale worker=3 2>"$state/up.log" || { cat "$state/up.log"; return 1; }
  local number
  for number in 1 2 3; do
    until_healthy "sentinel-$number" 1
    until_true "sentinel-$number knows the replica and the others" sentinel_knows "sentinel-$number"
  done
  until_healthy worker 3
  until_healthy reader 1
}

sentinel() {
  local name=$1
  shift
  docker exec "$(containers "$name")" redis-cli -p 26379 "$@"
}

sentinel_knows() {
  [[ $(sentinel "$1" SENTINEL REPLICAS zhongkong) = *.11* ]] &&
    [ "$(sentinel "$1" SENTINEL SENTINELS zhongkong | grep -cx runid)" = 2 ]
}

primary_is() {
  [ "$(sentinel sentinel-1 SENTINEL GET-MASTER-ADDR-BY-NAME zhongkong | sed -n 1p)" = "172.30.86.$1" ]
}

primary_is_killed() {
  old_primary=$(containers redis)
  docker kill "$old_primary" >/dev/null
  until_true "the replica takes over" primary_is 11
  redis=redis-replica
  until_healthy worker 3
  generation=$(state_of "$legacy" generation)
  zhongkong refresh "$legacy" --force >/dev/null
  until_true "a token that the new primary has" is_made_up_for
}

primary_comes_back() {
  docker start "$old_primary" >/dev/null
  until_true "it follows the new primary" is_replica
  until_healthy worker 3
}

is_replica() {
  [ "$(docker exec "$old_primary" redis-cli ROLE | sed -n 1p)" = slave ]
}
