# shellcheck shell=bash disable=SC2034
# Sourced: what a pod and a unit are tried with. Redis and the simulator are as far away as loopback of the namespace.

app=wx0123456789abcdef
key="zhongkong:{$app}:access_token"
# That of the chart's ci/minimal.yaml.
secret=not-a-secret-for-the-simulator-only

wrong() { echo "FAILED: $*" >&2; exit 1; }

# until_true WHAT COMMAND…: goes on as soon as the command succeeds, within thirty seconds.
until_true() {
  local what=$1
  shift
  for _ in {1..300}; do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  wrong "within 30 s not so: $what"
}

# A root that nothing is written to, but for /run and /etc, which are this namespace's own and may be prepared.
own_files() {
  mount --make-rprivate /
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir -p /run/upper /run/work /run/secrets
  mount -t overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work overlay /etc
}

redis_and_simulator() {
  ip link set lo up
  redis-server --bind 127.0.0.1 --port 6379 --save '' --appendonly no --dir /run --daemonize no >/run/redis.log 2>&1 &
  "$1/zhongkong-simulator" --listen=127.0.0.1:8630 --life=20s --overlap=8s --account="$app:$secret" >/run/simulator.log 2>&1 &
  until_true "Redis answers" redis-cli ping
}

has_token() { [ -n "$(redis-cli GET "$key")" ]; }
