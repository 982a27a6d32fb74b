# Shared by the scripts beside it; source it, do not run it.
# Makes .venv with what the caller needs, once, and again when the requirements change.

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# The newest of the versions for which every dependency ships a wheel comes first.
find_python() {
    for candidate in "${PYTHON:-}" python3.12 python3.11 python3.13 python3.14 python3 python; do
        [ -n "$candidate" ] || continue
        command -v "$candidate" >/dev/null 2>&1 || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

# ensure_venv KIND: KIND names requirements/KIND.txt (run, dev).
ensure_venv() {
    kind=$1
    venv=${SIGNALPACA_VENV:-.venv}
    lock="requirements/$kind.txt"
    wanted=$(cat pyproject.toml "$lock" | cksum)
    if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.signalpaca-$kind" 2>/dev/null)" = "$wanted" ]; then
        return 0
    fi
    python=$(find_python) || die "Python 3.11 or newer is needed and was not found (set PYTHON=/path/to/python)"
    if [ ! -x "$venv/bin/python" ]; then
        say "making a virtual environment in $venv with $($python --version 2>&1) ..."
        "$python" -m venv "$venv" || die "'$python -m venv' failed; the venv module is missing (Debian: apt-get install python3-venv)"
    fi
    say "installing what $lock names (about a minute the first time) ..."
    "$venv/bin/python" -m pip install --disable-pip-version-check --quiet --require-hashes -r "$lock" ||
        die "pip could not install $lock; is the package index reachable?"
    # setuptools warns at length about editable installs; its output is shown when it fails.
    said=$("$venv/bin/python" -m pip install --disable-pip-version-check --quiet --no-deps \
        --no-build-isolation -e . 2>&1) || die "pip could not install signalpaca itself: $said"
    printf '%s\n' "$wanted" >"$venv/.signalpaca-$kind"
}
