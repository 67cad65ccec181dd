#!/usr/bin/env bash
# A collector in another language: the last price of a symbol, with a plain SET and nothing of llmctx.
#
#   examples/plain_set.sh 127.0.0.1 6379 BTC/USDT:USDT 100500.5
#
# Any client of Redis will do. This one is bash alone, which sends the command as the protocol has it: the number of its
# parts, then each with its length in bytes. `llmctx schema price` prints the form of the value.
set -euo pipefail
export LC_ALL=C # lengths in bytes

host=$1 port=$2 symbol=$3 price=$4
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
value="{\"price\": {\"last\": $price, \"open\": null, \"high\": null, \"low\": null, \"volume\": null}, \"timestamp\": \"$now\"}"

send() {
  printf '*%d\r\n' $# >&3
  for part in "$@"; do printf '$%d\r\n%s\r\n' ${#part} "$part" >&3; done
  read -r answer <&3
  echo "${answer%$'\r'}"
}

exec 3<>"/dev/tcp/$host/$port"
send SET "stocks:price:$symbol" "$value" EX 86400
