#!/usr/bin/env bash
# Checks edgecodec on a machine with an NVIDIA GPU and measures it beside PyTorch. gpu/README.md explains it.
#
#     gpu/check.sh [--wheels FOLDER] [--out FOLDER] [--minutes M] [--device cuda|cpu] [--small] [--fresh]
#
# It uses no network, stops by itself after M minutes (9), and goes on where it was when it is started again.
# Status: 0 all done, 1 a check failed, 75 time is up and more is to be done.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
out=out/gpu
wheels=
minutes=9
given=()
while [ $# -gt 0 ]; do
    case $1 in
        --wheels) wheels=$2; shift 2 ;;
        --out) out=$2; shift 2 ;;
        --minutes) minutes=$2; shift 2 ;;
        --device) given+=("$1" "$2"); shift 2 ;;
        --small | --fresh) given+=("$1"); shift ;;
        *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
begin=$SECONDS
mkdir -p "$out"

if [ -n "$wheels" ]; then
    "$python" -m pip install -q --no-index --no-deps --no-compile --upgrade --target "$out/site" "$wheels"/*.whl
fi
if [ -z "${EDGECODEC_LIBRARY:-}" ]; then
    cmake -S native -B "$out/native" -DCMAKE_BUILD_TYPE=Release >"$out/native.log" &&
        cmake --build "$out/native" -j4 >>"$out/native.log" || { cat "$out/native.log" >&2; exit 1; }
    EDGECODEC_LIBRARY=$PWD/$out/native/libedgecodec.so
    [ "${out#/}" = "$out" ] || EDGECODEC_LIBRARY=$out/native/libedgecodec.so
fi
export EDGECODEC_LIBRARY PYTHONUNBUFFERED=1
export PYTHONPATH="$PWD:$PWD/engines:$PWD/export:$PWD/train:$PWD/evaluate:$PWD/gpu:$out/site${PYTHONPATH:+:$PYTHONPATH}"

left=$(awk -v m="$minutes" -v s=$((SECONDS - begin)) 'BEGIN { printf "%d", m * 60 - s }')
# The program ends by itself when time is up; one that hangs in a driver is ended here.
exec timeout -k 5 $((left + 20)) "$python" -m gpu_check --out "$out" --seconds "$left" ${given[@]+"${given[@]}"}
