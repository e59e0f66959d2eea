"""Generated from `proto/arbiter/v1`, never edited: run `./just proto`. Only `arbiter.rpc` imports it."""
