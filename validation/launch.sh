# Sourced by the scripts here: the program and how to start it on several ranks.
: "${COPPICE:=$top/build/coppice}"
if [ ! -x "$COPPICE" ]; then
    echo "there is no program $COPPICE: build it (./quickstart check does) or set COPPICE" >&2
    exit 69
fi
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
if [ -z "${MPIEXEC:-}" ]; then
    MPIEXEC=mpiexec
    case $($MPIEXEC --version 2> /dev/null) in
    *"Open MPI"* | *OpenRTE*) MPIEXEC_FLAGS="--oversubscribe --bind-to none" ;;
    *) MPIEXEC_FLAGS= ;;
    esac
fi

# launch RANKS COMMAND...: on one rank without MPI.
launch() {
    launch_ranks=$1
    shift
    if [ "$launch_ranks" -eq 1 ]; then
        timeout -k 5 "${TEST_TIMEOUT:-600}" "$@"
    else
        # shellcheck disable=SC2086
        timeout -k 5 "${TEST_TIMEOUT:-600}" $MPIEXEC ${MPIEXEC_FLAGS:-} -n "$launch_ranks" "$@"
    fi
}
