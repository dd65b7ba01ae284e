#!/bin/sh
# Write new random secrets for docker-compose.yml into a folder, ./secrets unless another is named.
# What is there already is never changed: the database keeps the password that it was made with.
set -eu

folder=${1:-secrets}
random() { od -An -v -N "$1" -tx1 /dev/urandom | tr -d ' \n'; }

if [ -e "$folder" ]; then
    echo "$folder is there already; nothing was changed." >&2
    exit 0
fi

# Others on this host are kept out by the folder. The files inside may be read by anyone that they
# are handed to: the containers' users have other ids than you.
umask 077
unfinished=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$unfinished"' EXIT
write() { printf '%s\n' "$2" > "$unfinished/$1" && chmod 0444 "$unfinished/$1"; }

database_password=$(random 32)
redis_password=$(random 32)
write postgres_password "$(random 32)"
write database_password "$database_password"
write imgq_database_url "postgresql://imgq:$database_password@postgres:5432/imgq"
write imgq_redis_url "redis://imgq:$redis_password@redis:6379/0"
write imgq_bootstrap_key "imgq_$(random 4)_$(random 32)"
# Without a password a client may only ask whether the server lives.
write redis_users "user default on nopass resetkeys resetchannels -@all +ping
user imgq on >$redis_password ~imgq:* &* +@all -@admin -@dangerous"
mv "$unfinished" "$folder"
trap - EXIT
echo "New secrets are in $folder; your API key is in $folder/imgq_bootstrap_key." >&2
