#!/usr/bin/env bash
# Everything that is measured on an accelerator, in one call of under ten minutes.
#
#     pip install -r benchmarks/requirements.txt
#     bash benchmarks/accelerator.sh [FOLDER]
#
# Writes to FOLDER (default: accelerator). SMALL=1 takes a minute or two on two cores and
# shows only that all of it runs.
set -u
out=${1:-accelerator}
mkdir -p "$out"
if [ "${SMALL:-}" ]; then
    rounds=1 epochs=1 images=50 samples=20 sizes="64 128" speed=mlp
    short="--config.data.name=digits --config.data.valid_size=200 --config.data.test_size=297"
else
    rounds=5 epochs=20 images=10000 samples=5000 sizes="128 512 2048 8192" speed=mlp,cnn
    short=""
fi
failed=0
step() {  # step NAME COMMAND...: its output in a file of that name
    local name=$1 began=$SECONDS
    shift
    if "$@" > "$out/$name.log" 2>&1; then
        echo "$name: $((SECONDS - began)) s"
    else
        echo "$name: failed, see $out/$name.log"
        failed=1
    fi
}
train() {  # train NAME FLAGS...
    local name=$1
    shift
    # shellcheck disable=SC2086
    step "$name" python main.py --config=configs/mnist_mlp.py $short \
        --config.train.epochs=$epochs --config.eval.pictures_every=0 \
        --workdir="$out/$name" "$@"
}

python -c "import jax; print(jax.__version__, jax.devices())" | tee "$out/devices.log"
step speed python -m benchmarks.train_speed --models=$speed --rounds=$rounds \
    --out="$out"
for size in $sizes; do
    step "speed_$size" python -m benchmarks.train_speed --models=mlp --rounds=$rounds \
        --changes="{\"data.batch_size\": [$size]}" --out="$out/batch_$size"
done
train profiled --profile
# Products of float32 with and without rounding to shorter formats: is the bound the same?
JAX_DEFAULT_MATMUL_PRECISION=float32 train float32
JAX_DEFAULT_MATMUL_PRECISION=bfloat16 train bfloat16
step importance python -m benchmarks.importance --images=$images --samples=$samples \
    --rounds=2
step startup python -m benchmarks.startup --rounds=$rounds
grep -h "elbo   " "$out"/float32.log "$out"/bfloat16.log
exit $failed
