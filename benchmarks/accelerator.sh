#!/usr/bin/env bash
# All that is asked of an accelerator, in one call of under ten minutes on an H100.
#
#   bash benchmarks/accelerator.sh                  writes into ./accelerator, or $OUT
#   TORCH_PYTHON=PATH bash benchmarks/accelerator.sh   where torch has its own Python
#   SMALL=1 bash benchmarks/accelerator.sh          in small: does all of it run?
#   MODELS=mlp bash benchmarks/accelerator.sh       one of mlp,cnn
#
# accelerator.md has every table, log.txt what was printed, NAME.json all numbers. Each
# part has its own limit of time; one that fails or is late does not stop the others.
set -uo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH=.
PYTHON=${PYTHON:-python}
OUT=${OUT:-accelerator}
mkdir -p "$OUT"
rm -f "$OUT/accelerator.md" "$OUT/log.txt"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=()

models=${MODELS:-mlp,cnn}
training=(--rounds=5 --seconds=2) study=() bound=(--images=10000) longer=1
if [ -n "${SMALL:-}" ]; then
  training=(--rounds=1 --seconds=0.2 --images=512)
  study=(--images=512 --test-images=64 --num-seeds=2 --epochs=1 --seconds=0.2
    --steps=3 --largest-batch=1024)
  bound=(--images=50 --samples=100 --rounds=1) longer=10
fi
study+=(--models="$models")
torch=()
[ -n "${TORCH_PYTHON:-}" ] && torch=(--torch-python="$TORCH_PYTHON")

part() {  # name, seconds at most, command
  local name=$1 limit=$(($2 * longer)) table="$scratch/$1.md"
  shift 2
  rm -f "$OUT/$name.json"
  echo "== $name (after ${SECONDS}s)" | tee -a "$OUT/log.txt"
  timeout "$limit" "$PYTHON" -m "$@" --out="$scratch" >>"$OUT/log.txt" 2>&1 ||
    failed+=("$name")
  { [ -f "$table" ] && cat "$table" || echo "nothing was found"; echo; } |
    { printf '## %s\n\n' "$name"; cat; } >>"$OUT/accelerator.md"
  [ -f "$scratch/$name.json" ] && cp "$scratch/$name.json" "$OUT"
}

part train_speed 270 benchmarks.train_speed --models="$models" \
  "${training[@]}" "${torch[@]}"
part profile 40 benchmarks.accelerator profile "${study[@]}"
part importance 40 benchmarks.importance "${bound[@]}"
part precision 100 benchmarks.accelerator precision "${study[@]}"
XLA_PYTHON_CLIENT_MEM_FRACTION=0.95 part batch 90 \
  benchmarks.accelerator batch "${study[@]}"
# Else a GPU may give other bits each time, whatever the cut.
XLA_FLAGS="${XLA_FLAGS:-} --xla_gpu_deterministic_ops=true" \
  part unroll 50 benchmarks.accelerator unroll "${study[@]}"

echo "== done (after ${SECONDS}s); failed: ${failed[*]:-nothing}" | tee -a "$OUT/log.txt"
[ ${#failed[@]} -eq 0 ]
