#!/bin/bash
# Run digits-1 on Slurm: `launcher submit --backend slurm` feeds this to bash, once the run folder is written.
set -euo pipefail
mkdir -p /runs/digits-1/slurm
declare -A id

submit() {  # KEY [OPTION...]: hand the script on standard input to Slurm
    local answer
    answer=$(sbatch --parsable "${@:2}")
    id[$1]=${answer%%;*}
    echo "${id[$1]} $1"
}

submit convert <<'SCRIPT'
#!/bin/bash
#SBATCH --job-name=digits-1/convert
#SBATCH --chdir=/runs/digits-1
#SBATCH --output=/runs/digits-1/slurm/convert.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=1
#SBATCH --requeue
#SBATCH --signal=B:USR1@60
PYTHONPATH="$(</runs/digits-1/python-path)" || exit
export PYTHONPATH
exec /venv/bin/python -P -m launcher.attempt --limits-time --grace 50 \
    --rerun-with "/venv/bin/python -P -m launcher.backends.slurm.requeue $SLURM_JOB_ID" \
    /runs/digits-1 convert
SCRIPT

submit pretrain:all --dependency="afterok:${id[convert]}" --kill-on-invalid-dep=yes <<'SCRIPT'
#!/bin/bash
#SBATCH --job-name=digits-1/pretrain
#SBATCH --array=0-1
#SBATCH --chdir=/runs/digits-1
#SBATCH --output=/runs/digits-1/slurm/pretrain-%a.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=2
#SBATCH --requeue
#SBATCH --signal=B:USR1@60
jobs=(pretrain-vit_tiny_patch16_224 pretrain-locatvit_tiny)
PYTHONPATH="$(</runs/digits-1/python-path)" || exit
export PYTHONPATH
exec /venv/bin/python -P -m launcher.attempt --limits-time --grace 50 \
    --rerun-with "/venv/bin/python -P -m launcher.backends.slurm.requeue ${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" \
    /runs/digits-1 ${jobs[$SLURM_ARRAY_TASK_ID]}
SCRIPT

submit segment:all --dependency="afterok:${id[convert]},aftercorr:${id[pretrain:all]}" --kill-on-invalid-dep=yes <<'SCRIPT'
#!/bin/bash
#SBATCH --job-name=digits-1/segment
#SBATCH --array=0-1
#SBATCH --chdir=/runs/digits-1
#SBATCH --output=/runs/digits-1/slurm/segment-%a.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=2
#SBATCH --requeue
#SBATCH --signal=B:USR1@60
jobs=(segment-vit_tiny_patch16_224 segment-locatvit_tiny)
PYTHONPATH="$(</runs/digits-1/python-path)" || exit
export PYTHONPATH
exec /venv/bin/python -P -m launcher.attempt --limits-time --grace 50 \
    --rerun-with "/venv/bin/python -P -m launcher.backends.slurm.requeue ${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" \
    /runs/digits-1 ${jobs[$SLURM_ARRAY_TASK_ID]}
SCRIPT

submit compare --dependency="afterok:${id[pretrain:all]}_0:${id[pretrain:all]}_1:${id[segment:all]}_0:${id[segment:all]}_1" --kill-on-invalid-dep=yes <<'SCRIPT'
#!/bin/bash
#SBATCH --job-name=digits-1/compare
#SBATCH --chdir=/runs/digits-1
#SBATCH --output=/runs/digits-1/slurm/compare.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=1
#SBATCH --requeue
#SBATCH --signal=B:USR1@60
PYTHONPATH="$(</runs/digits-1/python-path)" || exit
export PYTHONPATH
exec /venv/bin/python -P -m launcher.attempt --limits-time --grace 50 \
    --rerun-with "/venv/bin/python -P -m launcher.backends.slurm.requeue $SLURM_JOB_ID" \
    /runs/digits-1 compare
SCRIPT
