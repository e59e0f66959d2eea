#!/bin/sh
# The API from a shell: signs in, looks at it, reads two updates of a stream. Places nothing.
#
#     examples/grpcurl.sh [DATA]
#
# Needs grpcurl and a running `./just run`, whose data folder is ./var unless DATA names another. grpcurl learns the API from the
# server itself (reflection); where that is off, give it `-import-path proto -proto arbiter/v1/trading.proto`.
set -eu

data=${1:-var}
# taken apart by hand, so that nothing else has to be installed; with jq: jq -r .grpc "$data/running.json"
server=$(sed -n 's/.*"grpc": *"\([^"]*\)".*/\1/p' "$data/running.json")
key=$(cat "$data/sandbox_api_key")

# what there is
grpcurl -plaintext "$server" list
grpcurl -plaintext "$server" describe arbiter.v1.TradingService.PlaceOrder
grpcurl -plaintext -d '{"service": "arbiter.v1.TradingService"}' "$server" grpc.health.v1.Health/Check

# signing in; the token is good for 15 minutes. The key comes by standard input, where `ps` does not show it.
token=$(printf '{"api_key": "%s"}' "$key" | grpcurl -plaintext -d @ "$server" arbiter.v1.UserService/Authenticate |
    sed -n 's/.*"accessToken": *"\([^"]*\)".*/\1/p')
export token

# calls; 64-bit numbers (micros, times) are strings in JSON. ${token} is put in by grpcurl, from the environment.
call() { grpcurl -plaintext -expand-headers -H 'authorization: Bearer ${token}' "$@"; }
call "$server" arbiter.v1.UserService/GetProfile
call "$server" arbiter.v1.TradingService/GetPositions
call -d '{"words": "final", "limit": 1}' "$server" arbiter.v1.MarketService/SearchMarkets

# a stream ends when grpcurl does; -max-time makes it end by itself, which grpcurl tells as DeadlineExceeded
call -max-time 2 "$server" arbiter.v1.TradingService/StreamPositions || true
