#!/bin/bash
# Do a command in shards on one host, one shard a GPU. What shard i prints is in shards/i.out.
#   ./one-host.sh 8 predict flowers@champion photos --format csv
set -u
count=$1
shift
mkdir -p shards
shards=()
for number in $(seq "$count"); do
  CUDA_VISIBLE_DEVICES=$((number - 1)) transfercli "$@" --shard "$number/$count" >"shards/$number.out" &
  shards+=($!)
done
worst=0
for shard in "${shards[@]}"; do
  wait "$shard"
  code=$?
  worst=$((code > worst ? code : worst))
done
exit "$worst"
