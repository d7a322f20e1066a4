#!/usr/bin/env bash
#
# The process in which a step's script runs; started by run-step only.
# Reads the environment files, then the script; where it fails is written to $LAB_FAILURE.

set -Eeuo pipefail

source "$LAB_DIR/lib/report.sh"
trap 'record_failure "$?"' ERR

# The LAB_ variables go to the programs that a step starts, the passwords do not.
# shellcheck disable=SC1091
source "$LAB_DIR/env"
if [[ -f $LAB_DIR/steps/$LAB_STEP.env ]]; then
  # shellcheck disable=SC1090
  source "$LAB_DIR/steps/$LAB_STEP.env"
fi
export "${!LAB_@}"
# Programs answer in English and in UTF-8, whatever the terminal that asks.
export LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

heading "$LAB_STEP on ${LAB_NODE:-this node}, $(date -u '+%F %T') UTC"
# shellcheck disable=SC1090
source "$LAB_STEP_FILE"
