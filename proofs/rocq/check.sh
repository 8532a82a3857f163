#!/bin/sh
# Compile the machine-checked proofs and fail unless every theorem is closed under the global context.
exec python3 "$(dirname "$0")/check.py" "$@"
