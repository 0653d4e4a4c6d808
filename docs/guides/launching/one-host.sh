#!/bin/bash
# Do a command in shards on one host, one shard a GPU. What shard i prints is in shards/i.out once it is complete.
#   ./one-host.sh 8 predict flowers@champion photos --format csv
set -u
count=$1
shift
mkdir -p shards

# Each shard has its share of the cores, since every process would use all of them.
cores=()
for range in $(taskset -cp $$ | sed 's/.*: //; s/,/ /g'); do
  mapfile -t -O "${#cores[@]}" cores < <(seq "${range%-*}" "${range#*-}")
done
share=$((${#cores[@]} / count))
share=$((share > 0 ? share : 1))

# A shard's output has its final name only once it is whole.
one_shard() {
  local first=$((($1 - 1) * share % ${#cores[@]})) child
  rm -f "shards/$1.out"
  trap 'kill -TERM "$child"' TERM
  CUDA_VISIBLE_DEVICES=$(($1 - 1)) taskset -c "$(IFS=, && echo "${cores[*]:first:share}")" \
    transfercli "${@:2}" --shard "$1/$count" >"shards/$1.part" &
  child=$!
  wait "$child" || wait "$child" || return # a signal ends the first wait, the program the second
  mv "shards/$1.part" "shards/$1.out"
}

shards=()
trap 'kill -TERM "${shards[@]}"' TERM INT HUP
for number in $(seq "$count"); do
  one_shard "$number" "$@" &
  shards+=($!)
done
worst=0
for shard in "${shards[@]}"; do
  wait "$shard" || wait "$shard"
  code=$?
  worst=$((code > worst ? code : worst))
done
exit "$worst"
