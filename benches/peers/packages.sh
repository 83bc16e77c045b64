# Sourced by scripts/peers: installs missing servers from Debian's packages.
# shellcheck shell=bash

have() { command -v "$1" >/dev/null 2>&1; }

# The directory of PostgreSQL's server programs. Debian does not put it into PATH.
postgres_programs() {
  local directory newest=''
  for directory in /usr/lib/postgresql/*/bin; do
    [ -x "$directory/initdb" ] && newest=$(printf '%s\n%s\n' "$newest" "$directory" | sort -V | tail -n 1)
  done
  if [ -n "$newest" ]; then echo "$newest"; elif have initdb; then dirname "$(realpath "$(command -v initdb)")"; else return 1; fi
}

nginx_modules() { nginx -V 2>&1 | sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p'; }

# Whether nginx's Lua interpreter will find a module.
have_lua_module() { compgen -G "/usr/share/lua/5.1/$1" >/dev/null || compgen -G "/usr/lib/*/lua/5.1/$1" >/dev/null; }

install_packages() {
  local missing=()
  have curl || missing+=(curl)
  have taskset && have setpriv || missing+=(util-linux)
  if wanted nginx || wanted lua; then have nginx || missing+=(nginx-light); fi
  if wanted lua; then
    { have nginx && [ -e "$(nginx_modules)/ngx_http_lua_module.so" ]; } || missing+=(libnginx-mod-http-lua)
    have_lua_module cjson.so || missing+=(lua-cjson)
    have_lua_module nginx/sha256.lua || missing+=(lua-nginx-string)
  fi
  if wanted redis; then have redis-server && have redis-cli || missing+=(redis-server); fi
  if wanted axum || wanted axum-cached; then { postgres_programs && have psql; } >/dev/null || missing+=(postgresql); fi
  [ ${#missing[@]} -eq 0 ] && return
  have apt-get || fail "missing: ${missing[*]} (names of Debian packages); install them and run this again"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    have sudo || fail "missing: ${missing[*]}; run as root: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing ${missing[*]}; if Debian starts one of them as a service, stop it before you measure"
  "${as_root[@]}" apt-get update -qq || fail 'apt-get update failed; is there a network?'
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 ||
    fail "could not install ${missing[*]}; install them by hand and run this again, or leave servers out with PEERS=…"
}
