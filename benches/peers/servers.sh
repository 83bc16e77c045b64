# Sourced by scripts/peers: starts each server on core 0. Every start_… function sets process[NAME]
# and address[NAME], and writes NAME.request, NAME.begins and NAME.ends for the generator.
# shellcheck shell=bash disable=SC2034,SC2154

verify_path=/v2alpha1/admin/apiKeys:verify

# Starts a program on core 0 in the background. Its process id is in $started.
start() { # short name, program…
  local name=$1
  shift
  (cd "$scratch" && exec taskset -c 0 "$@") >"$scratch/$name.out" 2>&1 &
  started=$!
  process["$name"]=$started
  pids+=("$started")
}

until_answered() { # short name, command that succeeds once the server answers
  local name=$1
  shift
  for _ in $(seq 150); do
    kill -0 "${process[$name]}" 2>/dev/null || break
    "$@" >/dev/null 2>&1 && return
    sleep 0.1
  done
  tail -n 5 "$scratch/$name.out" >&2
  fail "$name does not answer; is its port taken?"
}

asks_over_http() { # short name, port, path, body of the request, body of the answer
  local method=GET
  [ -n "$4" ] && method=POST
  address[$1]=127.0.0.1:$2
  printf '%s %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' \
    "$method" "$3" "$2" "${#4}" "$4" >"$scratch/$1.request"
  printf 'HTTP/1.1 200' >"$scratch/$1.begins"
  printf '\r\n\r\n%s' "$5" >"$scratch/$1.ends"
}

# Talos with one worker. The other servers give its answer.
start_talos() {
  start talos env TALOS_SERVE_HTTP_PORT=$((port_base)) TALOS_SERVE_METRICS_PORT=$((port_base + 1)) TALOS_SERVE_WORKERS=1 "$talos" serve --dev
  local url=http://127.0.0.1:$port_base
  until_answered talos curl -sf "$url/health/ready"
  awk -v count="$keys" 'BEGIN {
    for (other = 2; other <= count; other++)
      printf "%s{\"raw_key\":\"another_key_%d\",\"name\":\"another\",\"actor_id\":\"someone\"}", other == 2 ? "[" : ",", other
    print "]" }' >"$scratch/others.json"
  "$talos" keys imported batch-import --file "$scratch/others.json" -e "$url" >"$scratch/import.out" 2>&1 ||
    { tail -n 5 "$scratch/import.out" >&2; fail 'the keys could not be imported'; }
  credential=$("$talos" keys issue peer --actor someone --scopes 'read:orders,write:orders' --ttl 720h \
    --metadata '{"team":"payments"}' -q -e "$url" 2>/dev/null)
  question="{\"credential\":\"$credential\"}"
  # The first verification reads the disk, and its head says so. The second one is used.
  curl -sf "$url$verify_path" -d "$question" >/dev/null
  curl -sfi "$url$verify_path" -d "$question" >"$scratch/answer-with-head"
  answer=$(curl -sf "$url$verify_path" -d "$question")
  case $answer in *'"is_valid":true'*) ;; *) fail "the key is not valid: $answer" ;; esac
  printf '%s' "$credential" >"$scratch/credential"
  printf '%s' "$answer" >"$scratch/answer"
  asks_over_http talos $((port_base)) $verify_path "$question" "$answer"
}

# The same process without a verification. It has an answer of its own.
start_alive() {
  process[alive]=${process[talos]}
  asks_over_http alive $((port_base)) /health/alive '' "$(curl -sf "http://127.0.0.1:$port_base/health/alive")"
}

start_bare() {
  start bare "$programs/bare_loop" --port $((port_base + 2)) --answer "$scratch/answer-with-head"
  answers_verifications bare $((port_base + 2))
}

start_nginx() {
  filled_in nginx.conf $((port_base + 3))
  start nginx nginx -e "$scratch/nginx.log" -c "$scratch/nginx.conf"
  answers_verifications nginx $((port_base + 3))
}

start_lua() {
  filled_in nginx-lua.conf $((port_base + 4))
  start lua nginx -e "$scratch/nginx-lua.log" -c "$scratch/nginx-lua.conf"
  answers_verifications lua $((port_base + 4))
}

filled_in() { # template, port
  sed -e "s|@SCRATCH@|$scratch|g" -e "s|@HERE@|$here/servers|g" -e "s|@MODULES@|$(nginx_modules)|g" \
    -e "s|@PORT@|$2|g" -e "s|@KEYS@|$keys|g" -e "s|@ANSWER@|$answer|g" "$here/servers/$1" >"$scratch/$1"
}

answers_verifications() { # short name, port
  until_answered "$1" curl -sf "http://127.0.0.1:$2$verify_path" -H 'content-type: application/json' -d "$question"
  asks_over_http "$1" "$2" $verify_path "$question" "$answer"
}

# Redis without persistence. The key is the hash of the credential, the value is the answer.
start_redis() {
  local port=$((port_base + 5)) hash
  start redis redis-server --port $port --bind 127.0.0.1 --save '' --appendonly no --dir "$scratch"
  until_answered redis redis-cli -p $port ping
  hash=$(printf '%s' "$credential" | sha256sum | cut -d ' ' -f 1)
  redis-cli -p $port set "$hash" "$answer" >/dev/null
  awk -v count="$keys" -v answer="${answer//\"/_}" 'BEGIN { for (other = 2; other <= count; other++) printf "SET another_key_%d %s\r\n", other, answer }' |
    redis-cli -p $port --pipe >/dev/null
  [ "$(redis-cli -p $port dbsize)" = "$keys" ] || fail 'Redis did not take all keys'
  address[redis]=127.0.0.1:$port
  # shellcheck disable=SC2016
  printf '*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n' ${#hash} "$hash" >"$scratch/redis.request"
  printf '$%d\r\n' ${#answer} >"$scratch/redis.begins"
  printf '%s\r\n' "$answer" >"$scratch/redis.ends"
}

# A database cluster in the scratch directory, on a Unix socket. PostgreSQL refuses to run as root.
start_postgres() {
  local programs as_postgres=()
  programs=$(postgres_programs)
  database=$scratch/postgres
  mkdir "$database"
  if [ "$(id -u)" -eq 0 ]; then
    as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups --)
    chown postgres:postgres "$database"
  fi
  (cd "$database" && "${as_postgres[@]}" "$programs/initdb" --pgdata "$database/data" --username peers --auth trust --encoding UTF8 --locale C --no-sync) \
    >"$scratch/initdb.out" 2>&1 || { tail -n 5 "$scratch/initdb.out" >&2; fail 'initdb failed'; }
  start postgres "${as_postgres[@]}" "$programs/postgres" -D "$database/data" -c listen_addresses= -c unix_socket_directories="$database"
  until_answered postgres psql -h "$database" -U peers postgres -c 'SELECT 1'
  psql -qX -v ON_ERROR_STOP=1 -h "$database" -U peers -v credential="$credential" -v answer="$answer" -v count="$keys" \
    -f "$here/servers/keys.sql" postgres >"$scratch/keys.out" 2>&1 || { tail -n 5 "$scratch/keys.out" >&2; fail 'the table could not be made'; }
}

start_axum() { start_key_server axum $((port_base + 6)); }
start_axum-cached() { start_key_server axum-cached $((port_base + 7)) --cache; }

start_key_server() { # short name, port, options
  [ -n "${process[postgres]:-}" ] || start_postgres
  start "$1" "$programs/key_server" --port "$2" --database-socket "$database" --database-user peers "${@:3}"
  answers_verifications "$1" "$2"
  # The CPU time of the database counts, too.
  process[$1]+=,${process[postgres]}
}
