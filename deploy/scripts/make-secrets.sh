#!/bin/sh
# Makes the secrets that docker-compose.yml and docker-compose.prod.yml mount as files. What is there already is kept.
#
#   sh deploy/scripts/make-secrets.sh [folder]
#
# The folder is closed to other users of this machine. The files in it are readable, because containers read them as
# users of their own, and are reached by those alone that are given them.
set -eu
folder=${1:-secrets}
umask 077
mkdir -p "$folder"
chmod 700 "$folder"

random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
keep() {
  [ -s "$folder/$1" ] || printf '%s' "$2" >"$folder/$1"
  chmod 444 "$folder/$1"
}

keep operator_api_key "$(random)"
keep cluster_secret "$(random)"
keep postgres_password "$(random)"
keep redis_password "$(random)"
# What each of the two ends is told; made from the passwords, so that they agree.
keep database_url "postgres://sage:$(cat "$folder/postgres_password")@postgres:5432/sage"
keep redis_url "redis://:$(cat "$folder/redis_password")@redis:6379"
keep redis_conf "requirepass $(cat "$folder/redis_password")
"
echo "secrets in $folder: $(ls "$folder" | tr '\n' ' ')"
