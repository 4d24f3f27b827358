#!/bin/bash
# Run cluster-1 on Slurm: `launcher submit --backend slurm` feeds this to bash, once the run folder is written.
set -euo pipefail
mkdir -p /runs/cluster-1/slurm
declare -A id

submit() {  # KEY [OPTION...]: hand the script on standard input to Slurm
    local answer
    answer=$(sbatch --parsable "${@:2}")
    id[$1]=${answer%%;*}
    echo "${id[$1]} $1"
}

submit convert <<'SCRIPT'
#!/bin/bash
#SBATCH --job-name=cluster-1/convert
#SBATCH --chdir=/runs/cluster-1
#SBATCH --output=/runs/cluster-1/slurm/convert.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=96
#SBATCH --mem=921600M
#SBATCH --time=2880
#SBATCH --partition=cpu
#SBATCH --account=vision
#SBATCH --exclusive
#SBATCH --nice=100
#SBATCH --requeue
#SBATCH --signal=B:USR1@60
PYTHONPATH="$(</runs/cluster-1/python-path)" || exit
export PYTHONPATH
exec /venv/bin/python -P -m launcher.attempt --limits-time --grace 50 \
    --rerun-with "/venv/bin/python -P -m launcher.backends.slurm.requeue $SLURM_JOB_ID" \
    /runs/cluster-1 convert
SCRIPT

submit train --dependency="afterok:${id[convert]}" --kill-on-invalid-dep=yes <<'SCRIPT'
#!/bin/bash
#SBATCH --job-name=cluster-1/train
#SBATCH --chdir=/runs/cluster-1
#SBATCH --output=/runs/cluster-1/slurm/train.log
#SBATCH --open-mode=append
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=96
#SBATCH --mem=921600M
#SBATCH --gres=gpu:h100:8
#SBATCH --time=2880
#SBATCH --partition=gpu
#SBATCH --account=vision
#SBATCH --qos=high
#SBATCH --constraint=ib&nvme
#SBATCH --requeue
#SBATCH --signal=B:USR1@60
PYTHONPATH="$(</runs/cluster-1/python-path)" || exit
export PYTHONPATH
exec /venv/bin/python -P -m launcher.attempt --limits-time --grace 50 \
    --rerun-with "/venv/bin/python -P -m launcher.backends.slurm.requeue $SLURM_JOB_ID" \
    --stop-with "scancel --signal=TERM $SLURM_JOB_ID.0" \
    --python python --image /images/locat.sqsh \
    /runs/cluster-1 train \
    -- srun --nodes=2 --ntasks-per-node=1 --cpus-per-task=96 --kill-on-bad-exit=0 --wait=50 --container-image=/images/locat.sqsh --container-mounts=/runs:/runs,/datasets:/datasets
SCRIPT
