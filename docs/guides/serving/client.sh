#!/bin/sh
# Ask a model about image files with curl:
#   ./client.sh http://127.0.0.1:8500 flowers photo.jpg other.png
#   ./client.sh unix:/run/transfercli/serve.sock flowers photo.jpg
# The token, if the server asks for one, is in the file that TRANSFERCLI_TOKEN_FILE names. A line of JSON a file,
# in their order: the answer, the server's reason that there is none, or null without a word from the server (stderr has
# why). The exit code is 1 if a file has no answer.
set -eu
address=$1 model=$2
shift 2

# Options that no other user of the machine may read are given through stdin, not on the command line.
options() {
    case $address in
        unix:*) printf 'unix-socket = "%s"\n' "${address#unix:}" ;;
    esac
    if [ -n "${TRANSFERCLI_TOKEN_FILE:-}" ]; then
        printf 'header = "Authorization: Bearer %s"\n' "$(cat "$TRANSFERCLI_TOKEN_FILE")"
    fi
}

case $address in
    unix:*) base=http://localhost ;;
    *) base=$address ;;
esac
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
failed=0
for file in "$@"; do
    : > "$answer"
    if [ ! -r "$file" ]; then
        echo "$file: there is no such file, or it cannot be read" >&2
        failed=1
    else
        # --retry waits as long as Retry-After says, and tries again after 408, 429, 500, 502, 503 and 504. The answer
        # goes through a file, which each try begins anew: answers before a repeated try are not printed.
        options | curl --config - --silent --show-error --fail-with-body --retry 5 --max-time 60 --output "$answer" \
            --header 'Content-Type: application/octet-stream' --data-binary "@$file" "$base/predict/$model" || failed=1
    fi
    [ -s "$answer" ] || printf null > "$answer"
    cat "$answer"
    echo
done
exit $failed
